"""The invariants of the tick, checked at every commit while the shard runs with ``--debug``.

An auditor sees what main sees and trusts nothing: it keeps its own record of what was committed for whom. A breach is
our bug and ends the shard.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ipc.control import Done, Seat, Tick
from ipc.world_table import MainTable
from shard.fleet.barrier import ZoneDesk
from shared.constants import RING_PENDING_MAX, ROUNDS_MAX
from shared.ids import NO_ZONE


class InvariantBroken(AssertionError):
    """What must never happen has happened; the text says to whom and at which tick."""


class Auditor:
    """Watches all Ticks and commits of one shard. Arrays are (slots,), about each slot's present player."""

    def __init__(self, table: MainTable) -> None:
        slots = len(table.front)
        self._table = table
        self._generation = np.zeros(slots, np.int64)
        self._owner = np.full(slots, NO_ZONE, np.int64)
        self._tick = np.zeros(slots, np.int64)
        self._tail = np.zeros(slots, np.int64)
        self.samples = 0
        """Samples judged in committed ticks."""

    def sent(self, zone: int, tick: Tick) -> None:
        """``tick`` has just been sent to ``zone``."""
        for slot, generation in tick.released:
            self._require(self._owner[slot] == zone, tick.tick, slot, f"is released by zone {zone}, not its owner")
            self._require(self._generation[slot] == generation, tick.tick, slot, "is released as another player")
            self._owner[slot] = NO_ZONE
        for slot, generation in tick.adopted:
            if self._generation[slot] != generation:
                self._generation[slot], self._tick[slot] = generation, 0
                self._tail[slot] = self._table.column("tail")[self._table.front[slot], slot]

    def adopted(self, zone: int, tick: Tick) -> None:
        """All Ticks of the boundary are sent: every adoption must find its player released."""
        for slot, _ in tick.adopted:
            self._require(self._owner[slot] == NO_ZONE, tick.tick, slot, f"is adopted by {zone}, owned by another")
            self._owner[slot] = zone

    def dropped(self, index: NDArray[np.intp]) -> None:
        """The samples that waited for these slots are dropped on purpose."""
        self._tail[index] = self._table.column("tail")[self._table.front[index], index]

    def abandoned(self, seats: Iterable[Seat]) -> None:
        """These players are taken out of the world without a release."""
        for slot, _ in seats:
            self._owner[slot] = NO_ZONE

    def committed(self, desk: ZoneDesk, done: Done) -> None:
        """``desk`` has just been committed with ``done``."""
        index = desk.index
        half = self._table.front[index]
        tick, tail = (self._table.column(name)[half, index].astype(np.int64) for name in ("tick", "tail"))
        judged = (tail - self._tail[index]) & 0xFFFFFFFF
        pending = (self._table.head[index].astype(np.int64) - tail) & 0xFFFFFFFF
        self._every(self._owner[index] == desk.zone, index, done, "is committed by a zone that does not own it")
        self._every(tick == done.tick, index, done, "was not written in the tick that is committed")
        self._every(tick > self._tick[index], index, done, "is committed twice for one tick")
        self._every(judged <= ROUNDS_MAX, index, done, "had more samples judged than a tick judges")
        self._every(pending <= RING_PENDING_MAX, index, done, "has a tail beyond its head")
        if judged.sum() != done.judged:
            raise InvariantBroken(f"zone {desk.zone} tick {done.tick}: {judged.sum()} taken, {done.judged} judged")
        self._tick[index], self._tail[index] = tick, tail
        self.samples += done.judged

    def _every(self, holds: NDArray[np.bool_], index: NDArray[np.intp], done: Done, what: str) -> None:
        if not holds.all():
            raise InvariantBroken(f"zone {done.zone} tick {done.tick}: slot {index[~holds][0]} {what}")

    def _require(self, holds: bool, tick: int, slot: int, what: str) -> None:
        if not holds:
            raise InvariantBroken(f"tick {tick}: slot {slot} {what}")
