"""A border that nobody notices: thousands of crossings over real spawned zones, watched by strict observers."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.bots.world_view import WorldView
from shared.constants import BORDER_BAND_M
from tests.stepper import ShardStepper

PLAYERS = 160
OBSERVERS = 4
SPEED_MPS = 60.0
REACH_M = 14.0
"""How far each driver goes beyond the line before it turns: outside the band on both sides."""


def _drive(shard: ShardStepper, axis: np.ndarray, centre: tuple[float, float], crossings: int) -> dict[str, int]:
    """Drive all players back and forth through ``centre`` until they made ``crossings`` in all; returns sample counts.

    ``axis`` is (players, 2), the unit direction of each. After every tick, each observer must see every player exactly
    once and no more than a tick's way from where it is.
    """
    names = [f"driver-{number:03d}" for number in range(PLAYERS)]
    observers = {name: WorldView() for name in names[:OBSERVERS]}
    for name in names:
        shard.enter(name, keep=name in observers)
    shard.step()
    phase = np.linspace(0.0, 4.0 * REACH_M, PLAYERS, endpoint=False)  # metres along a full there and back
    written = dict.fromkeys(names, 0)

    def pose(way: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        along = np.where(way < 2 * REACH_M, way - REACH_M, 3 * REACH_M - way)
        forth = np.where(way < 2 * REACH_M, 1.0, -1.0)
        return np.array(centre) + axis * along[:, None], axis * (forth * SPEED_MPS)[:, None]

    place, _ = pose(phase)
    for name, (x, z) in zip(names, place.tolist(), strict=True):
        shard.put(name, x, z)
    shard.step(2)
    while shard.realm.barrier.ledger.count < crossings:
        assert shard.realm.tick < 4000, "the drivers do not cross"
        phase = (phase + SPEED_MPS * 0.05) % (4.0 * REACH_M)
        place, velocity = pose(phase)
        for name, (x, z), (vx, vz) in zip(names, place.tolist(), velocity.tolist(), strict=True):
            assert shard.move(name, x, z, vx, vz)
            written[name] += 1
        shard.step()
        truth = dict(zip(names, place.tolist(), strict=True))
        for name, view in observers.items():
            client = shard.clients[name]
            for snapshot in client.snapshots:
                changes = view.apply(snapshot.payload)
                assert not changes.twice
                assert not changes.without_row
                assert not changes.unknown_rows
            client.snapshots.clear()
            assert view.slot_of.keys() == truth.keys(), f"{name} at tick {shard.realm.tick}"
            for player, (x, z) in truth.items():
                entity = view.find(player)
                assert entity is not None
                assert entity.row is not None
                off = np.hypot(entity.row.x / 100 - x, entity.row.z / 100 - z)
                assert off <= 2 * SPEED_MPS * 0.05 + 0.02, f"{player} is shown {off:.2f} m off"
    return written


def _judge(shard: ShardStepper, written: dict[str, int]) -> None:
    """Every sample judged exactly once, nobody lost, no gap in anybody's ticks."""
    shard.step()
    assert shard.realm.auditor is not None
    assert shard.realm.auditor.samples == sum(written.values())
    for name, state in shard.state().items():
        assert state["seq"] == written[name]
        assert state["tick"] == shard.realm.tick
    assert len(shard.state()) == PLAYERS
    assert all(done.gap == 0 for done in shard.realm.barrier.ledger.recent())
    assert shard.realm.barrier.ledger.gaps == 0


@pytest.mark.timeout(180)
def test_five_thousand_crossings_of_one_border_lose_double_and_hide_nobody() -> None:
    with ShardStepper(zones=2, size_m=1024, players=PLAYERS, zones_in="process") as shard:
        border_x = float(shard.zone_map.rects_m[0, 2])
        written = _drive(shard, np.tile([1.0, 0.0], (PLAYERS, 1)), (border_x, 480.0), 5_000)
        _judge(shard, written)


@pytest.mark.timeout(180)
def test_five_thousand_crossings_of_a_corner_of_four_zones_lose_double_and_hide_nobody() -> None:
    turns = np.linspace(0.0, 2 * np.pi, PLAYERS, endpoint=False)
    with ShardStepper(zones=4, size_m=1024, players=PLAYERS, zones_in="process") as shard:
        written = _drive(shard, np.column_stack((np.cos(turns), np.sin(turns))), (512.0, 512.0), 5_000)
        _judge(shard, written)


def test_wobbling_inside_the_band_hands_nobody_off() -> None:
    with ShardStepper(zones=2, size_m=1024, zones_in="process") as shard:
        shard.enter("wobbler")
        shard.step()
        border_x = float(shard.zone_map.rects_m[0, 2])
        shard.put("wobbler", border_x - 1.0, 500.0)
        shard.step(2)
        before = shard.realm.barrier.ledger.count  # coming here from the spawn point may have been one
        for tick in range(400):
            shard.move("wobbler", border_x + (BORDER_BAND_M - 0.1) * np.sin(tick / 3.0), 500.0, 20.0)
            shard.step()
        assert shard.realm.barrier.ledger.count == before
