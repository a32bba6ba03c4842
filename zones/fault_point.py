"""Faults on purpose: a worker that dies, stops or fails at a stated step of a stated tick. For tests only.

The steps are before, amid and after each write that a worker does for a tick. Rows and cells that are half written are
really half written, and what is not committed is overwritten with nonsense first, so that nothing of it can matter.
"""

from __future__ import annotations

import os
import signal
import struct
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ipc.block import Block
from ipc.cell_arena import CellWriter
from ipc.control import Done, encode
from ipc.input_ring import InputReader
from ipc.pipe import PipeEnd
from ipc.world_table import Slots, ZoneTable
from shared.cells import CellColumns
from shared.player_state import I32, PlayerState
from shared.quadtree import NONE

_NOISE = 0xA5


class FaultStep(StrEnum):
    """Where in a tick."""

    TOLD = "told"
    """The Tick has arrived, nothing is done."""
    ADOPTED = "adopted"
    """The members are those of the Tick."""
    STEPPED = "stepped"
    """The new state is known, no row is written."""
    ROWS_HALF = "rows half"
    ROWS = "rows"
    """All rows are written, no cell is."""
    CELLS_HALF = "cells half"
    CELLS = "cells"
    """All is written, nothing is said."""
    DONE_HALF = "done half"
    DONE = "done"
    """The Done is in the pipe."""


@dataclass(frozen=True, slots=True)
class FaultPoint:
    """What happens, to which zone, where and when; picklable."""

    zone: int
    step: FaultStep | None = None
    tick: int = 0
    """0: in every tick."""
    how: Literal["kill", "stop", "raise"] = "kill"
    poison_m: float | None = None
    """A sample with this ``x`` makes the zone fail when it is read."""
    again: bool = False
    """It also befalls whoever takes the zone over."""


class Trap:
    """A worker's fault point, told which tick it is."""

    def __init__(self, point: FaultPoint) -> None:
        self._point = point
        self.tick = 0

    def is_set(self, step: FaultStep) -> bool:
        """Whether the fault is to happen at ``step`` of the present tick."""
        return self._point.step == step and self._point.tick in (0, self.tick)

    def pass_by(self, step: FaultStep) -> None:
        """Come to ``step``."""
        if self.is_set(step):
            self.spring()

    def spring(self) -> None:
        """Have the fault now."""
        if self._point.how == "raise":
            raise RuntimeError(f"a fault on purpose in tick {self.tick}")
        os.kill(os.getpid(), signal.SIGKILL if self._point.how == "kill" else signal.SIGSTOP)

    def taste(self, samples: Any) -> None:
        """Fail over a poisonous sample."""
        if self._point.poison_m is not None and (samples["x"] == self._point.poison_m).any():
            raise RuntimeError(f"a sample on purpose in tick {self.tick}")

    def say(self, pipe: PipeEnd, done: Done) -> None:
        """Send ``done``, or as much of it as the fault leaves."""
        if self.is_set(FaultStep.DONE_HALF):
            data = encode(done)
            os.write(pipe.fileno(), (struct.pack("<I", len(data)) + data)[: 4 + len(data) // 2])
            self.spring()
        pipe.send(encode(done))
        pipe.flush()
        self.pass_by(FaultStep.DONE)


class TrappedTable(ZoneTable):
    """A ZoneTable whose worker meets its fault while rows are read or written."""

    def __init__(self, block: Block, trap: Trap) -> None:
        super().__init__(block)
        self._trap = trap

    def read(self, slots: Slots) -> PlayerState:
        self._trap.pass_by(FaultStep.ADOPTED)
        return super().read(slots)

    def write(self, slots: Slots, state: PlayerState) -> None:
        self._trap.pass_by(FaultStep.STEPPED)
        if self._trap.is_set(FaultStep.ROWS_HALF):
            self._spoil(slots, state)
            self._trap.spring()
        super().write(slots, state)
        self._trap.pass_by(FaultStep.ROWS)

    def _spoil(self, slots: Slots, state: PlayerState) -> None:
        """Write every other column, and nonsense into the rest."""
        noise = PlayerState(**{column.name: getattr(state, column.name).copy() for column in fields(state)})
        for column in fields(state)[::2]:
            getattr(noise, column.name).reshape(-1).view(np.uint8)[:] = _NOISE
        super().write(slots, noise)


class TrappedReader(InputReader):
    """An InputReader whose worker fails over a poisonous sample."""

    def __init__(self, block: Block, trap: Trap) -> None:
        super().__init__(block)
        self._trap = trap

    def read(self, slots: NDArray[np.intp], positions: NDArray[np.uint32]) -> Any:
        samples = super().read(slots, positions)
        self._trap.taste(samples)
        return samples


class TrappedWriter(CellWriter):
    """A CellWriter whose worker meets its fault while cells are written."""

    def __init__(self, block: Block, trap: Trap) -> None:
        super().__init__(block)
        self._trap = trap

    def write(self, half: int, cells: CellColumns, nodes: I32 = NONE) -> list[int]:
        if self._trap.is_set(FaultStep.CELLS_HALF):
            self._record["payload"][half] = _NOISE
            self._record["directory"][half].view(np.uint8)[:] = _NOISE
            super().write(half, cells.take(list(range(len(cells) // 2))), nodes)
            self._trap.spring()
        omitted = super().write(half, cells, nodes)
        self._trap.pass_by(FaultStep.CELLS)
        return omitted
