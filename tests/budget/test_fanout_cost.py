"""What a tick costs the main process, counted: everything grows with groups and cells, only the writes with clients."""

from __future__ import annotations

import sys
from collections import Counter
from types import FrameType
from typing import Any

import numpy as np
import pytest

from ipc.input_ring import Lane
from shard.views.fanout import CellNews, Fanout
from shard.views.watching import Watching
from shared.cells import CellPage
from shared.constants import CELL_M
from tests.cell_forms import plain_cell
from tests.stepper import ShardStepper

SIDE = 8
HOMES = (9, 12, 41, 44)


class Socket:
    """Takes every frame, and notes which."""

    def __init__(self, frames: dict[int, bytes]) -> None:
        self.frames = frames

    def offer(self, frame: bytes) -> bool:
        self.frames[id(frame)] = frame
        return True


class Counting:
    """Counts the calls that are made within it, of Python and of C."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def __enter__(self) -> Counting:
        sys.setprofile(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _called(self, frame: FrameType, event: str, what: Any) -> None:
        if event == "call":
            self.calls[frame.f_code.co_name] += 1
        elif event == "c_call":
            self.calls[what.__name__] += 1


def hall(clients: int) -> tuple[Fanout, np.ndarray[Any, np.dtype[np.int32]], dict[int, bytes]]:
    """A fan-out whose clients live in HOMES in turn, all of them up to date."""
    frames: dict[int, bytes] = {}
    fanout = Fanout(clients, Watching(SIDE, CELL_M, 0))
    roots = np.array([HOMES[slot % len(HOMES)] for slot in range(clients)], np.int32)
    for slot in range(clients):
        fanout.watch(slot, Socket(frames))
    publish(fanout, roots, 1)
    frames.clear()
    return fanout, roots, frames


def publish(fanout: Fanout, roots: np.ndarray[Any, np.dtype[np.int32]], tick: int) -> None:
    cells = CellNews()
    cells.add(CellPage.of([plain_cell(cell, [cell], values={cell: tick}) for cell in range(SIDE * SIDE)]), tick)
    fanout.publish(tick, 50.0 * tick, roots, np.zeros((len(roots), 3)), cells)


def test_nothing_but_the_write_is_done_per_client_and_all_of_a_group_get_one_object() -> None:
    counted = []
    for clients in (8, 400):
        fanout, roots, frames = hall(clients)
        with Counting() as counting:
            publish(fanout, roots, 2)
        assert counting.calls.pop("offer") == clients
        assert len(frames) == len(HOMES) == fanout.joins // 2
        counting.calls.pop("id")  # of the socket above
        counted.append(counting.calls)
    assert counted[0] == counted[1]


def test_a_change_of_home_is_paid_by_those_who_change_it() -> None:
    fanout, roots, frames = hall(400)
    roots[:40] = HOMES[0]  # from three homes to one: three ways
    publish(fanout, roots, 2)
    assert len(frames) == len(HOMES) + 3
    publish(fanout, roots, 3)
    assert fanout.joins == len(HOMES) + len(HOMES) + 3 + len(HOMES)


@pytest.mark.parametrize("parked", [False, True])
def test_bytes_of_a_row_and_of_a_cell(parked: bool) -> None:
    """Rows of 6 numbers; a cell costs 19 bytes more, a frame 76, and parked cars nothing until a second is over."""
    sizes: list[tuple[int, int, int]] = []

    class Scale:
        lane: Lane | None = None

        def offer(self, frame: bytes) -> bool:
            sizes.append((len(frame), frame.count(b'{"c":'), frame.count(b"[") - frame.count(b'{"c":') - 1))
            return True

        def placed(self, payload: object) -> None:
            pass

    with ShardStepper(zones=1, players=30, size_m=256) as shard:
        for number in range(20):
            shard.enter(f"car-{number}", keep=False)
        shard.step()
        for number in range(20):
            shard.put(f"car-{number}", 100.0 + 2.5 * number, 110.0 + number)
        shard.step(2)
        shard.realm.fanout.watch(shard.body("car-0").slot, Scale())
        shard.step()
        sizes.clear()
        for tick in range(1, 6):
            for number in range(20):
                moved = 0.0 if parked else 0.5 * tick
                shard.move(f"car-{number}", 100.0 + 2.5 * number + moved, 110.0 + number, 10.0, 0.0, 1.571)
            shard.step()
        if parked:
            assert len(sizes) <= 1, "the first sample changes yaw and speed, the others nothing"
            return
        assert [(cells, rows) for _, cells, rows in sizes] == [(3, 20)] * 5  # one of two squares is split
        for size, cells, rows in sizes:
            assert (size - 80 - 18 * cells) / rows <= 34, "bytes per row"
