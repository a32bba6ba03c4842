"""A shard's next life: rows come back bit by bit, everybody away; those who return in time have their cars."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shard.access.auth import load_keys
from shard.access.keys import KeyStore
from shard.players.reception import HouseRules, Reception
from shard.state import keeper as keeping
from shard.state.checkpoint import CARS_KEPT_MS, LEAP_MS, RESET, decode, encode, held
from shard.state.keeper import Keeper, restore, take
from shard.state.state_dir import StateDir
from shared.constants import FLAG_AWAY, FLAG_GHOST
from shared.player_state import BORDER_COLUMNS, COLUMNS, PlayerState
from tests.shard.test_checkpoint import rows
from tests.stepper import START_MS, Recorder, ShardStepper

DRIVERS = [f"driver-{number:02d}" for number in range(12)]


def driven(zones: int = 2) -> ShardStepper:
    """A shard with some who drive, one who is away, and one who has just come in."""
    shard = ShardStepper(zones=zones, size_m=512, anticheat="enforce")
    for player in DRIVERS:
        shard.enter(player)
    shard.step(3)
    for tick in range(20):
        for number, player in enumerate(DRIVERS):
            if tick == 0:
                shard.put(player, 40.0 + 35.0 * number, 250.0)
            elif tick > 2:
                shard.move(player, 40.0 + 35.0 * number, 250.0 + 0.4 * (tick - 2), vz=8.0)
        shard.step()
    shard.realm.hold(DRIVERS[3])
    shard.step()
    return shard


def rows_of(shard: ShardStepper, players: list[str]) -> PlayerState:
    """Their committed rows."""
    return shard.memory.table.read(np.array([shard.body(player).slot for player in players], np.intp))


def same(one: PlayerState, other: PlayerState, but: frozenset[str]) -> None:
    """Both are equal to the last bit."""
    for name, *_ in COLUMNS:
        if name not in but:
            assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name


@pytest.mark.parametrize("zones", [1, 4])
def test_restored_rows_are_the_committed_ones_bit_by_bit(zones: int) -> None:
    with driven() as first, ShardStepper(zones=zones, size_m=512, anticheat="enforce") as second:
        before = rows_of(first, DRIVERS)
        kept = take(first.realm, {})
        first.step(5)  # the copy does not change with the world
        found = decode(encode(kept), first.world.hash, first.now_ms)
        assert sorted(entry.player for entry in restore(second.realm, found, first.now_ms)) == DRIVERS
        held(before, np.zeros(len(DRIVERS), np.bool_))
        after = rows_of(second, DRIVERS)
        same(before, after, RESET)
        assert np.ptp(before.pos[:, 2]) == 0.0
        assert (before.pos[:, 2] > 255.0).all(), "nobody has driven, so the test would prove nothing"
        for player in DRIVERS:
            assert second.body(player).slot == first.body(player).slot
            assert second.body(player).entry == first.body(player).entry
            assert second.body(player).away
        second.step(3)
        moved = rows_of(second, DRIVERS)
        same(after, moved, BORDER_COLUMNS | RESET | {"tick", "strikes_ms", "due"})
        owners = second.memory.table.owner[[second.body(player).slot for player in DRIVERS]]
        assert (owners == second.zone_map.zone_at(moved.pos[:, 0], moved.pos[:, 2])).all()


def test_not_a_column_is_forgotten() -> None:
    with driven() as first, ShardStepper(zones=1, size_m=512) as second:
        kept = take(first.realm, {})
        places, anything = kept.rows.pos.copy(), rows(len(kept.bodies))
        anything.pos[:] = places
        restore(second.realm, replace(kept, rows=anything), first.now_ms)
        expected = rows(len(kept.bodies))
        expected.pos[:] = places
        held(expected, np.zeros(len(kept.bodies), np.bool_))
        same(expected, rows_of(second, [body.player for body in kept.bodies]), RESET)


def test_who_comes_back_drives_on_and_others_see_it_as_away_until_then() -> None:
    with driven() as first, ShardStepper(zones=2, size_m=512, anticheat="enforce") as second:
        pose = rows_of(first, DRIVERS[:1]).pos[0].tolist()
        epoch = int(rows_of(first, DRIVERS[:1]).epoch[0])
        restore(second.realm, take(first.realm, {}), first.now_ms)
        second.realm.number_on(first.realm.tick, first.now_ms)
        onlooker, driver = second.enter("onlooker"), Recorder()
        second.clients[DRIVERS[0]], second._seq[DRIVERS[0]] = driver, 0
        second.step(2)
        assert second.realm.tick == first.realm.tick + 2
        assert rows_of(second, DRIVERS[:1]).flags[0] & (FLAG_AWAY | FLAG_GHOST) == FLAG_AWAY | FLAG_GHOST
        assert second.realm.resume(DRIVERS[0], driver)
        second.step(2)
        [placed] = driver.placements
        assert placed.reason == "resume"
        assert [placed.x, placed.z] == [pose[0], pose[2]]
        assert placed.epoch == epoch + 1
        assert not rows_of(second, DRIVERS[:1]).flags[0] & (FLAG_AWAY | FLAG_GHOST)
        second.move(DRIVERS[0], placed.x, placed.z + 0.3, vz=6.0)
        second.step(2)
        assert rows_of(second, DRIVERS[:1]).pos[0, 2] == placed.z + 0.3
        assert driver.snapshots
        assert onlooker.placements[-1].slot not in {second.body(player).slot for player in DRIVERS}


def test_who_leaves_or_has_not_been_placed_is_not_kept() -> None:
    with driven() as shard:
        shard.realm.leave(DRIVERS[0])
        shard.enter("newcomer")
        shard.begin()
        kept = take(shard.realm, {})
        shard.collect()
        shard.realm.end_tick()
        assert {body.player for body in kept.bodies} == set(DRIVERS[1:])
        assert len(kept.rows) == len(DRIVERS) - 1


def test_a_smaller_shard_and_other_vehicles_leave_out_whom_they_cannot_hold() -> None:
    with driven() as first, ShardStepper(zones=1, size_m=512, players=4) as second:
        kept = take(first.realm, {})
        bodies = [*kept.bodies]
        bodies[1] = type(bodies[1])(bodies[1].player, "Bo", "hovercraft", None, bodies[1].slot, 1)
        back = restore(second.realm, replace(kept, bodies=bodies), first.now_ms)
        assert [entry.player for entry in back] == [DRIVERS[0], *DRIVERS[2:4]]
        assert second.realm.has_room()
        assert rows_of(second, DRIVERS[2:4]).pos[:, 0].tolist() == rows_of(first, DRIVERS[2:4]).pos[:, 0].tolist()
        second.step(2)


def test_best_times_and_strikes_come_back() -> None:
    with driven() as first, ShardStepper(zones=1, size_m=512) as second:
        for player, time_ms in (("ann", 61_000.0), ("bo", 60_000.0), ("cy", 60_000.0)):
            first.realm.attendant.desk.times.record("loop", player, player, "car", time_ms)
        first.realm.records.left("cheat", 4.0, first.now_ms)
        restore(second.realm, decode(encode(take(first.realm, {})), first.world.hash, first.now_ms), first.now_ms)
        assert [line.player for line in second.realm.attendant.desk.times.of("loop")] == ["bo", "cy", "ann"]
        assert second.realm.records.entered("cheat", first.now_ms) == 4.0


# --- the keeper


class Life:
    """A stepped shard with a reception and a directory, and a clock set by hand."""

    def __init__(self, path: Path, resume_s: float = 30.0) -> None:
        self.now_ms = START_MS + 5000.0
        self.shard = driven()
        self.next = ShardStepper(zones=2, size_m=512)
        self.state = StateDir(path)
        keys = KeyStore(load_keys({"SUPABASE_JWT_SECRET": "a secret for tests that is long enough"}))
        rules = HouseRules(resume_s)
        self.reception = Reception(self.next.realm, keys, 20.0, lambda: self.now_ms, lambda work: None, rules)
        self.keeper = Keeper(self.state, self.next.realm, self.reception)

    def close(self) -> None:
        self.state.close()
        self.next.close()
        self.shard.close()


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    with closing(Life(tmp_path)) as opened:
        yield opened


def test_everybody_is_away_for_as_long_as_the_house_holds_cars(life: Life) -> None:
    sessions = {player: f"session of {player}" for player in DRIVERS}
    kept = take(life.shard.realm, sessions)
    life.keeper.bring_back(kept)
    assert sorted(life.reception.guests) == DRIVERS
    for player, guest in life.reception.guests.items():
        assert guest.peer is None
        assert guest.away_until_s == life.now_ms / 1000.0 + 30.0
        assert (guest.session, guest.entry) == (sessions[player], life.shard.body(player).entry)
    page = life.reception.roster.page().page
    assert page is not None
    assert {row.state for row in page} == {"away"}
    assert life.next.realm.tick == kept.tick + math.ceil(LEAP_MS / 50.0)


def test_cars_of_long_ago_are_not_put_back_but_times_are(life: Life) -> None:
    life.shard.realm.attendant.desk.times.record("loop", "ann", "Ann", "car", 61_000.0)
    kept = take(life.shard.realm, {})
    life.now_ms = kept.now_ms + CARS_KEPT_MS + 1.0
    life.keeper.bring_back(kept)
    assert not life.reception.guests
    assert not life.next.realm.occupied
    assert life.next.realm.attendant.desk.times.of("loop")


def test_a_house_that_holds_no_cars_puts_none_back(tmp_path: Path) -> None:
    with closing(Life(tmp_path, resume_s=0.0)) as life:
        life.keeper.bring_back(take(life.shard.realm, {}))
        assert not life.reception.guests


def test_a_snapshot_is_taken_once_per_second_and_as_soon_as_a_busy_disk_is_done(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Any] = []
    monkeypatch.setattr(keeping, "take", lambda realm, sessions: taken.append(realm.tick))
    monkeypatch.setattr(life.state, "save", lambda snapshot: True)
    for tick in range(100):
        life.keeper.ticked(1000.0 + tick * 0.05)
    assert len(taken) == 5
    monkeypatch.setattr(life.state, "_busy", True)
    for tick in range(30):
        life.keeper.ticked(1005.0 + tick * 0.05)
    assert len(taken) == 5
    monkeypatch.setattr(life.state, "_busy", False)
    life.keeper.ticked(1006.5)
    assert len(taken) == 6, "not a second later"
    life.keeper.ticked(1007.45)
    assert len(taken) == 6
    life.keeper.ticked(1007.5)
    assert len(taken) == 7
    assert life.keeper.summary()["checkpoints_late"] == 1
    monkeypatch.setattr(life.state, "_busy", True)
    life.keeper.ticked(1008.5)
    assert life.keeper.summary()["checkpoints_late"] == 2
