"""Races at kiosks: what the counter passes on, who may join from where, and what a racer may not do meanwhile."""

from __future__ import annotations

import math

import pytest

from shard.land.kiosks import Asker, Refused
from shard.races.director import Director, Entrant, Refusal
from shard.races.race_desk import NEAR_M, RaceCounter, kiosk_rule
from shared.world.land import Land
from tests.fakes.kiosk_world import RACE
from tests.fakes.small_world import small_land

NOW_MS = 1_000_000.0
ANNA, BEN = Asker("anna", 0, 1), Asker("ben", 1, 1)


@pytest.fixture(scope="module")
def land() -> Land:
    return small_land()


class Cars:
    """Everybody has one."""

    def entrant(self, player: str) -> Entrant:
        return Entrant(({"anna": 0, "ben": 1}[player], 1), player, "car")

    def committed_ms(self, slot: int) -> float:
        return NOW_MS


@pytest.fixture
def director(land: Land) -> Director:
    return Director(land.routes, Cars())


@pytest.fixture
def counter(director: Director) -> RaceCounter:
    return RaceCounter(director)


def test_what_one_opens_the_next_joins_and_both_are_shown(counter: RaceCounter, director: Director) -> None:
    assert counter.open(ANNA, "dash", NOW_MS) == {"race": "r1-dash"}
    assert counter.join(BEN, "r1-dash", ["dash", "round"], NOW_MS) == {"race": "r1-dash"}
    [shown] = counter.show(["dash"])
    assert (shown["race"], shown["racers"], shown["phase"]) == ("r1-dash", 2, "open")
    assert counter.race_of("ben") == director.race_of("ben") == "r1-dash"


def test_a_kiosk_takes_nobody_into_a_race_on_another_kiosks_route(counter: RaceCounter, director: Director) -> None:
    counter.open(ANNA, "dash", NOW_MS)
    refused = counter.join(BEN, "r1-dash", ["round"], NOW_MS)
    assert isinstance(refused, Refused)
    assert refused.reason.startswith("unknown_race:")
    assert director.race_of("ben") is None


def test_a_refusal_of_the_director_is_told_with_its_code(counter: RaceCounter) -> None:
    counter.open(ANNA, "dash", NOW_MS)
    refused = counter.open(ANNA, "dash", NOW_MS)
    assert isinstance(refused, Refused)
    assert refused.reason == "not_allowed: you are in a race: leave r1-dash first"


@pytest.mark.parametrize(("away_m", "allowed"), [(0.0, True), (NEAR_M, True), (NEAR_M + 0.1, False), (math.inf, False)])
def test_race_join_is_for_who_is_at_a_kiosk_of_the_route(land: Land, away_m: float, allowed: bool) -> None:
    [kiosk] = [each for each in land.kiosks if each.kind == "race"]
    assert (kiosk.x, kiosk.z) == RACE
    reach_m = float(kiosk.entry.radius_m) + away_m
    rule = kiosk_rule(land.kiosks, lambda _: None if math.isinf(away_m) else (kiosk.x + reach_m, kiosk.z))
    refusal = rule("anna", "dash")
    if allowed:
        assert refusal is None
    else:
        assert refusal == Refusal("not_allowed", f"drive to a race kiosk of dash first: {kiosk.id}")


def test_a_route_without_a_kiosk_is_joined_from_anywhere(land: Land) -> None:
    rule = kiosk_rule(land.kiosks, lambda _: (0.0, 0.0))
    assert rule("anna", "by-gates") is None
    assert rule("anna", "round") is not None
