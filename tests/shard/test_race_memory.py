"""Races over the death of the main process: those under way go on, those about to start are cancelled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ipc.control import GatePassed
from shard.races.director import RACES_MAX
from shard.state.checkpoint import decode, encode
from shard.state.keeper import restore, take
from shared.constants import FLAG_AWAY, FLAG_RACING
from shared.messages import RaceState
from shared.world.world import World
from tests.fakes.small_world import small_file
from tests.stepper import Recorder, ShardStepper

SMALL = World.of_file(small_file())
RACERS = ["anna", "ben"]
ID = "r1-by-gates"
STEPS = {"open": 2, "staging": 1, "countdown": 10, "running": 110}


def raced(phase: str) -> ShardStepper:
    """A shard with a race of two in that phase."""
    shard = ShardStepper(zones=2, world=SMALL)
    shard.realm.races.open_anywhere = True
    for player in RACERS:
        shard.enter(player)
    shard.step(3)
    for player in RACERS:
        assert shard.realm.races.join(player, "by-gates", shard.realm.now_ms) == ID
        if phase == "open":
            break
    if phase != "staging":
        shard.step(STEPS[phase])
    if phase == "running":
        passes(shard, "anna", 0)
    assert state(shard).payload.phase == phase
    return shard


def passes(shard: ShardStepper, player: str, gate: int) -> None:
    """A zone tells that the player passed a gate."""
    body, now_ms = shard.body(player), shard.realm.now_ms
    shard.realm.races.zone_event(GatePassed(body.slot, body.generation, 1, 0, gate, now_ms, 2.0), now_ms)


def state(shard: ShardStepper) -> RaceState:
    """What is told of the race."""
    told = shard.realm.races.state(ID)
    assert told is not None
    return told


@contextmanager
def next_life(shard: ShardStepper, without: str = "") -> Iterator[ShardStepper]:
    """The same world a second later, after a crash."""
    found = decode(encode(take(shard.realm, {})), SMALL.hash, shard.now_ms)
    if without:
        bodies = [body for body in found.bodies if body.player != without]
        assert [body.player for body in found.bodies][-1] == without, "rows would belong to others"
        rows = type(found.rows)(**{name: getattr(found.rows, name)[: len(bodies)] for name in found.rows.__slots__})
        found = type(found)(
            **{name: getattr(found, name) for name in found.__slots__} | {"bodies": bodies, "rows": rows}
        )
    now_ms = shard.realm.now_ms + 1000.0
    with ShardStepper(zones=2, world=SMALL) as second:
        restore(second.realm, found, now_ms)
        second.realm.number_on(shard.realm.tick + 20, now_ms)
        for player in RACERS:
            second.clients[player], second._seq[player] = Recorder(), 0
        yield second


def row(shard: ShardStepper, player: str, name: str) -> int:
    """One number of the player's committed row."""
    slot = shard.body(player).slot
    return int(shard.memory.table.committed(name)[slot])


def test_a_running_race_goes_on_with_everybody_away() -> None:
    with raced("running") as first, next_life(first) as second:
        before, after = state(first).payload, state(second).payload
        assert (after.phase, after.start_at_ms) == ("running", before.start_at_ms)
        assert [racer.gate for racer in after.racers] == [racer.gate for racer in before.racers] == [1, 0]
        assert all(racer.away for racer in after.racers)
        for player in RACERS:
            assert second.realm.races.race_of(player) == ID
            for name in ("race", "route", "gate", "lap", "told", "start_ms"):
                assert row(second, player, name) == row(first, player, name), name
            assert row(second, player, "flags") & (FLAG_RACING | FLAG_AWAY) == FLAG_RACING | FLAG_AWAY
        second.step(2)
        assert second.realm.resume("anna", second.clients["anna"])
        second.step(2)
        assert {racer.player: racer.away for racer in state(second).payload.racers} == {"anna": False, "ben": True}
        passes(second, "anna", 1)
        assert max(racer.gate for racer in state(second).payload.racers) == 2


def test_who_does_not_come_back_is_out_after_the_hold_counted_from_the_restart() -> None:
    with raced("running") as first, next_life(first) as second:
        second.step(590)
        assert {racer.status for racer in state(second).payload.racers} == {"racing"}
        second.step(20)
        assert {racer.reason for racer in state(second).payload.racers} == {"disconnected"}
        assert second.realm.races.race_of("anna") is None
        second.step(2)
        assert row(second, "anna", "race") == -1


def test_a_racer_without_a_car_is_out_and_the_others_go_on() -> None:
    with raced("running") as first, next_life(first, without="ben") as second:
        assert {racer.player: racer.status for racer in state(second).payload.racers} == {
            "anna": "racing",
            "ben": "dnf",
        }


@pytest.mark.parametrize("phase", ["staging", "countdown"])
def test_a_race_about_to_start_is_cancelled_and_its_racers_are_free(phase: str) -> None:
    with raced(phase) as first, next_life(first) as second:
        told = state(second).payload
        assert (told.phase, told.reason) == ("cancelled", "server_restart")
        second.step(2)
        for player in RACERS:
            assert second.realm.races.race_of(player) is None
            assert row(second, player, "race") == -1
            assert not row(second, player, "flags") & FLAG_RACING
            assert not second.realm.frozen(player)


def test_an_open_race_can_still_be_joined() -> None:
    with raced("open") as first, next_life(first) as second:
        second.realm.races.open_anywhere = True
        second.realm.resume("ben", second.clients["ben"])
        assert second.realm.races.join("ben", ID, second.realm.now_ms) == ID
        assert len(state(second).payload.racers) == 2


def test_an_open_race_without_racers_closes_in_its_time() -> None:
    with ShardStepper(zones=2, world=SMALL) as first:
        first.step()
        assert first.realm.races.open(None, "by-gates", first.realm.now_ms) == ID
        with next_life(first) as second:
            second.step(550)
            assert state(second).payload.phase == "open"
            second.step(60)
            assert state(second).payload.phase == "cancelled"


def test_no_number_is_used_again() -> None:
    with raced("running") as first, next_life(first) as second:
        opened = second.realm.races.open(None, "by-gates", second.realm.now_ms)
        assert isinstance(opened, str)
        assert opened.startswith(f"r{2 + RACES_MAX}-")


def test_a_world_without_races_remembers_none() -> None:
    with ShardStepper(zones=1, world=SMALL) as shard:
        assert not take(shard.realm, {}).races.races
