"""Cheats cheat as they say, honest twins do not, and numbers that are none reach no zone."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from scripts.fair.dishonest import refusals
from scripts.fair.techniques import (
    TECHNIQUES,
    UNSPEAKABLE,
    BorderBlinker,
    Claim,
    Honest,
    Resumer,
    Technique,
)
from shared.vehicles import VEHICLES, VehicleClass

CAR = VEHICLES[0]
DT_S = 0.05
BY_NAME = {technique.name: technique for technique in TECHNIQUES}


def driven(client: Honest, seconds: float, start_s: float = 0.0) -> list[Claim]:
    claims: list[Claim] = []
    for number in range(round(seconds / DT_S)):
        claims += client.claims(1e6 + 1000.0 * (start_s + DT_S * number), DT_S)
    return claims


def at_speed(technique: Technique) -> Honest:
    """A cheat that has driven honestly for a while."""
    client = technique.make(CAR)
    client.place(1000.0, 1000.0, 0.3, 0.0, 0.0, 4)
    driven(client, 10.0)
    return client


def length_m(claims: list[Claim]) -> float:
    return sum(math.hypot(b.x - a.x, b.z - a.z) for a, b in pairwise(claims))


@pytest.mark.parametrize("vehicle", VEHICLES, ids=lambda vehicle: vehicle.name)
@pytest.mark.parametrize("technique", TECHNIQUES, ids=lambda technique: technique.name)
def test_until_it_begins_every_cheat_is_within_its_caps(technique: Technique, vehicle: VehicleClass) -> None:
    client = technique.make(vehicle)
    client.place(1000.0, 1000.0, 0.3, 0.0, 0.0, 4)
    claims = driven(client, 12.0)
    assert len(claims) == 240
    assert [claim.seq for claim in claims] == list(range(1, 241))
    assert {claim.epoch for claim in claims} == {4}
    for before, after in pairwise(claims):
        speed, faster = math.hypot(before.vx, before.vz), math.hypot(after.vx, after.vz)
        assert faster <= vehicle.speed_cap_mps
        assert faster - speed <= vehicle.accel_cap_mps2 * DT_S
        assert math.hypot(after.x - before.x, after.z - before.z) <= vehicle.speed_cap_mps * DT_S
    assert math.hypot(claims[-1].vx, claims[-1].vz) == pytest.approx(0.99 * vehicle.speed_cap_mps)
    assert math.isnan(client.deed_s)


@pytest.mark.parametrize(
    ("name", "share"), [("speed x1.05", 1.05), ("speed x1.10", 1.1), ("speed x1.25", 1.25), ("speed x2", 2.0)]
)
def test_speeders_are_as_much_too_fast_as_they_say(name: str, share: float) -> None:
    client = at_speed(BY_NAME[name])
    client.begin()
    driven(client, 10.0)
    assert length_m(driven(client, 1.0)) == pytest.approx(share * client.top_mps * 0.95, rel=1e-4)
    assert client.deed_s == 0.0


def test_a_fast_clock_runs_ahead_as_its_car_does() -> None:
    client = at_speed(BY_NAME["clock x1.05"])
    client.begin()
    claims = driven(client, 10.0)
    assert claims[-1].t_ms - claims[0].t_ms == pytest.approx(1.05 * 1000.0 * (10.0 - DT_S))
    assert length_m(claims) / (claims[-1].t_ms - claims[0].t_ms) * 1000.0 == pytest.approx(client.top_mps, rel=1e-4)


@pytest.mark.parametrize(("name", "metres"), [("blink 30 m", 30.0), ("blink 100 m", 100.0)])
def test_blinkers_are_elsewhere_every_five_seconds(name: str, metres: float) -> None:
    client = at_speed(BY_NAME[name])
    client.begin()
    claims = driven(client, 20.0)
    jumps = [math.hypot(b.x - a.x, b.z - a.z) for a, b in pairwise(claims)]
    assert sum(jump > 20.0 for jump in jumps) == 3, "and the first of four before the first of these samples"
    assert max(jumps) == pytest.approx(metres + client.top_mps * DT_S, rel=0.01)


@pytest.mark.parametrize(("name", "silent_s"), [("lag switch, 1 s bank", 1.0), ("lag switch, racing", 0.5)])
def test_lag_switches_say_nothing_and_then_have_come_twice_as_far(name: str, silent_s: float) -> None:
    client = at_speed(BY_NAME[name])
    client.begin()
    claims = driven(client, 10.0)
    gaps = [(b.t_ms - a.t_ms, math.hypot(b.x - a.x, b.z - a.z)) for a, b in pairwise(claims)]
    [(gap_ms, metres)] = [gap for gap in gaps if gap[0] > 100.0]
    assert gap_ms == pytest.approx(1000.0 * silent_s + 50.0, abs=51.0)
    assert metres > 1.9 * silent_s * client.top_mps


def test_the_clock_of_a_time_reverser_runs_backwards() -> None:
    client = at_speed(BY_NAME["time reversal"])
    client.begin()
    stamps = [claim.t_ms for claim in driven(client, 3.0)]
    assert all(after < before for before, after in pairwise(stamps))


def test_a_replayer_repeats_its_number_and_a_forger_names_an_epoch_that_is_not() -> None:
    replayer, forger = at_speed(BY_NAME["seq replay"]), at_speed(BY_NAME["epoch forgery"])
    replayer.begin()
    forger.begin()
    assert {claim.seq for claim in driven(replayer, 1.0)} == {200}
    assert {claim.epoch for claim in driven(forger, 1.0)} == {5}


def test_who_denies_a_correction_takes_its_epoch_and_stays_where_it_claims_to_be() -> None:
    client = at_speed(BY_NAME["denied corrections"])
    client.begin()
    before = client.x, client.z
    client.place(5.0, 6.0, 0.0, 0.0, 0.0, 9)
    assert (client.x, client.z) == before
    assert driven(client, DT_S)[0].epoch == 9


def test_everybody_else_adopts_a_correction() -> None:
    for technique in TECHNIQUES:
        if technique.name == "denied corrections":
            continue
        client = at_speed(technique)
        client.begin()
        driven(client, 2.0)
        client.place(500.0, 600.0, 1.0, 3.0, 4.0, 9)
        assert (client.x, client.z, client.yaw, client.epoch) == (500.0, 600.0, 1.0, 9)
        assert client.speed_mps == pytest.approx(3.0 * math.sin(1.0) + 4.0 * math.cos(1.0))


def test_a_flyer_climbs_and_a_wall_hopper_speaks_once_per_second() -> None:
    flyer, hopper = at_speed(BY_NAME["flying"]), at_speed(BY_NAME["wall pass, 1 Hz"])
    flyer.begin()
    hopper.begin()
    assert driven(flyer, 10.0)[-1].y == 42.5
    assert 9 <= len(driven(hopper, 10.0)) <= 11


def test_a_border_blinker_jumps_when_the_border_is_behind_it() -> None:
    client = BorderBlinker(CAR, 1e9)
    client.place(1000.0, 500.0, math.pi / 2, 60.0, 0.0, 1)
    client.border_x = 1100.0
    client.begin()
    claims = driven(client, 5.0)
    [jump] = [(a, b) for a, b in pairwise(claims) if math.hypot(b.x - a.x, b.z - a.z) > 50.0]
    assert 1104.0 < jump[0].x < 1116.0
    assert jump[1].x - jump[0].x == pytest.approx(103.5, abs=0.5)


def test_a_resumer_jumps_with_the_first_sample_of_a_new_connection() -> None:
    client = Resumer(CAR)
    client.place(1000.0, 500.0, 0.0, 0.0, 60.0, 1)
    client.begin()
    assert length_m(driven(client, 1.0)) < 70.0
    client.resumed()
    client.place(client.x, client.z, client.yaw, 0.0, 60.0, 2)
    x, z = client.x, client.z
    [first, second] = driven(client, 2 * DT_S)
    assert math.hypot(first.x - x, first.z - z) > 99.0
    assert math.hypot(second.x - first.x, second.z - first.z) < 4.0


def test_numbers_that_are_none_are_refused_before_any_zone() -> None:
    found = refusals(UNSPEAKABLE)
    assert len(found) == len(UNSPEAKABLE)
    assert all(reason.startswith("malformed: ") for _, reason in found)
    assert refusals([("a number", "12.5")]) == [("a number", "NOT REFUSED")]
