"""One scenario, one outcome: with 1, 2 and 8 zones, in one process and in many."""

from __future__ import annotations

import math
import random
from typing import Literal

import pytest

from tests.stepper import ShardStepper

PLAYERS = 40
TICKS = 200


def _play(zones: int, zones_in: Literal["thread", "process"]) -> list[dict[str, dict[str, object]]]:
    """The committed state of everybody after each tick of a scripted scenario with all that players do."""
    rng = random.Random(7)
    history = []
    with ShardStepper(zones=zones, size_m=1024, players=PLAYERS, zones_in=zones_in) as shard:
        for tick in range(TICKS):
            for number in range(PLAYERS):
                name = f"player-{number:02d}"
                occupant = shard.realm.occupant(name)
                fate = rng.random()
                if occupant is None or not shard.clients[name].placements:
                    if tick % 5 == 0:
                        shard.enter(name, keep=False)
                elif fate < 0.005:
                    shard.realm.leave(name)
                elif fate < 0.01:
                    shard.realm.respawn(name)
                elif fate < 0.9:
                    turn = tick / 30 + number
                    x, z = 512 + 480 * math.cos(turn) * math.sin(number), 512 + 480 * math.sin(turn)
                    for _ in range(1 if fate < 0.8 else 11):  # a lump now and then, more than one tick judges
                        shard.move(name, x, z, 30 * math.cos(turn), 30 * math.sin(turn), yaw=turn)
            shard.step()
            history.append(shard.state())
    return history


@pytest.fixture(scope="module")
def reference() -> list[dict[str, dict[str, object]]]:
    return _play(1, "thread")


@pytest.mark.parametrize(
    ("zones", "zones_in"), [(2, "thread"), (8, "thread"), (1, "process"), (2, "process"), (8, "process")]
)
def test_the_same_scenario_gives_the_same_states(
    zones: int, zones_in: Literal["thread", "process"], reference: list[dict[str, dict[str, object]]]
) -> None:
    history = _play(zones, zones_in)
    for tick, (here, there) in enumerate(zip(history, reference, strict=True)):
        assert here == there, f"tick {tick + 1}"


def test_the_scenario_is_worth_playing(reference: list[dict[str, dict[str, object]]]) -> None:
    assert max(len(states) for states in reference) == PLAYERS
    assert min(len(states) for states in reference[20:]) < PLAYERS  # some are always away
    assert any(state["epoch"] >= 2 for states in reference for state in states.values())  # type: ignore[operator]
    assert all(math.isfinite(state["sample_ms"]) for states in reference for state in states.values())  # type: ignore[arg-type]
