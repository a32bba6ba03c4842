"""Gestures: one frame for exactly those who are shown the cell, and not too many of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
import pytest

from shard.land.signals import CELL_BURST, CELL_PER_S, CELLS_MAX, Signals
from shard.views.fanout import NOTHING, CellNews, Fanout
from shard.views.watching import Watching
from shared.constants import CELL_M
from tests.stepper import payload_of

SIDE = 8


@dataclass
class Ear:
    frames: list[bytes] = field(default_factory=list)
    ready: bool = True

    def offer(self, frame: bytes) -> bool:
        if self.ready:
            self.frames.append(frame)
        return self.ready


@dataclass
class Square:
    """Watchers by slot, shown the cells around their homes."""

    fanout: Fanout = field(default_factory=lambda: Fanout(16, Watching(SIDE, CELL_M, 0)))
    homes: np.ndarray = field(default_factory=lambda: np.full(16, NOTHING, np.int32))
    ears: dict[int, Ear] = field(default_factory=dict)

    def stand(self, slot: int, home: int) -> Ear:
        ear = self.ears[slot] = Ear()
        self.homes[slot] = home
        self.fanout.watch(slot, ear)
        self.fanout.publish(1, 50.0, self.homes, None, CellNews())
        for each in self.ears.values():
            each.frames.clear()
        return ear

    def heard(self) -> set[int]:
        return {slot for slot, ear in self.ears.items() if ear.frames}


@pytest.fixture
def square() -> Square:
    square = Square()
    for slot, (x, z) in enumerate([(3, 3), (3, 3), (4, 4), (2, 3), (5, 3), (3, 5), (4, 2), (0, 0), (1, 1)]):
        square.stand(slot, z * SIDE + x)
    return square


def test_those_who_are_shown_the_cell_hear_it_and_nobody_else(square: Square) -> None:
    assert Signals(square.fanout).make(0, 3 * SIDE + 3, "horn", 1.0) == 0.0
    assert square.heard() == {0, 1, 2, 3, 6}
    [frame] = {frame for ear in square.ears.values() for frame in ear.frames}
    assert json.loads(payload_of(frame)) == {"type": "signal", "payload": {"slot": 0, "kind": "horn"}}
    first = next(ear.frames[0] for ear in square.ears.values() if ear.frames)
    assert all(frame is first for ear in square.ears.values() for frame in ear.frames), "encoded once"


def test_the_world_does_not_wrap_at_its_edge(square: Square) -> None:
    square.stand(9, SIDE - 1)
    square.stand(10, 2 * SIDE)
    Signals(square.fanout).make(11, SIDE - 1, "wave", 1.0)
    assert square.heard() == {9}


def test_who_watches_no_more_or_reads_too_slowly_hears_nothing(square: Square) -> None:
    square.fanout.unwatch(1)
    square.ears[2].ready = False
    Signals(square.fanout).make(0, 3 * SIDE + 3, "lights", 1.0)
    assert square.heard() == {0, 3, 6}


def test_who_has_not_been_shown_anything_yet_hears_nothing(square: Square) -> None:
    square.ears[12] = Ear()
    square.fanout.watch(12, square.ears[12])
    square.homes[12] = 3 * SIDE + 3
    Signals(square.fanout).make(0, 3 * SIDE + 3, "horn", 1.0)
    assert 12 not in square.heard()


def test_before_its_first_tick_a_car_is_heard_by_nobody(square: Square) -> None:
    assert Signals(square.fanout).make(0, NOTHING, "horn", 1.0) == 0.0
    assert square.heard() == set()


def test_a_cell_passes_on_so_many_and_says_when_there_is_room_again(square: Square) -> None:
    signals = Signals(square.fanout)
    cell, ear = 3 * SIDE + 3, square.ears[1]
    waits = [signals.make(slot, cell, "horn", 1.0) for slot in (0, *range(2, 14))]
    assert waits[:CELL_BURST] == [0.0] * CELL_BURST
    assert all(0.0 < wait <= 1.0 / CELL_PER_S + 1e-3 for wait in waits[CELL_BURST:])
    assert len(ear.frames) == CELL_BURST
    assert signals.make(0, 0, "horn", 1.0) == 0.0, "another cell has its own room"
    assert signals.make(0, cell, "horn", 1.0 + waits[-1]) == 0.0


def test_quiet_cells_are_forgotten(square: Square) -> None:
    signals = Signals(square.fanout)
    signals.make(0, 0, "horn", 1000.0)
    for cell in range(1, 3 * CELLS_MAX):
        signals.make(0, cell % (SIDE * SIDE) + cell * SIDE * SIDE, "horn", float(cell) / 100.0)
    assert len(signals) <= CELLS_MAX
