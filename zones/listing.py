"""What watchers have been told about a zone's members, and what is news to them.

This is a zone's private memory between ticks. It is a cache: after a take-over it starts empty, and the first tick then
sends every cell full.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ipc.control import Seat
from shared.constants import PROOF_OF_LIFE_MS
from shared.player_state import I32
from zones.rows import SEQ, Rows

NO_CELL = -1


@dataclass(frozen=True, slots=True)
class News:
    """What changed since the last tick; masks are over the members of the tick."""

    entered: NDArray[np.bool_]
    """(N,) members whom watchers of their cell do not know there yet."""
    changed: NDArray[np.bool_]
    """(N,) members whose row is to be sent: it changed, or it is time for a proof of life."""
    gone: dict[int, list[int]]
    """Cell to slots that have left it."""
    touched: set[int]
    """Cells whose members are others than at the last tick, told or not."""
    held: set[int]
    """Cells that still list somebody who was released and is not forgotten yet."""


class Listing:
    """Per slot: the cell in which watchers were told of it, and the row that they were told last."""

    def __init__(self, slots: int) -> None:
        self._cell = np.full(slots, NO_CELL, np.int32)
        self._row = np.zeros((slots, 8), np.int64)
        self._sent_ms = np.zeros(slots)
        self._left_behind: dict[int, Seat] = {}
        """Slots that were released and are still listed here."""
        self._gone: dict[int, list[int]] = {}
        self._touched: set[int] = set()

    def adopt(self, seats: list[Seat]) -> None:
        """New members are not listed yet. One that is back before it was forgotten leaves its old cell by the way."""
        for slot, _ in seats:
            if slot in self._left_behind:
                self._forget(slot)
            self._cell[slot] = NO_CELL

    def release(self, seats: list[Seat]) -> None:
        """Members who are simulated elsewhere from now on stay listed until they are forgotten."""
        for seat in seats:
            self._left_behind[seat[0]] = seat
            self._touched.add(int(self._cell[seat[0]]))

    def forget(self, seats: list[Seat]) -> None:
        """Their new owner shows them, or they left the world: this tick says ``gone``."""
        for seat in seats:
            if self._left_behind.get(seat[0]) == seat:
                self._forget(seat[0])

    def _forget(self, slot: int) -> None:
        del self._left_behind[slot]
        if self._cell[slot] != NO_CELL:
            self._gone.setdefault(int(self._cell[slot]), []).append(slot)
        self._cell[slot] = NO_CELL

    def reintroduce(self, slot: int) -> None:
        """A member is called or drives something else: watchers are told anew who it is, in whatever cell it is."""
        cell = int(self._cell[slot])
        if cell != NO_CELL:
            self._gone.setdefault(cell, []).append(slot)
            self._touched.add(cell)
        self._cell[slot] = NO_CELL

    def update(self, slots: NDArray[np.intp], cell: I32, rows: Rows, now_ms: float) -> News:
        """Compare this tick's cells and rows of all members with what was told, and note them as told.

        ``slots`` (N,), ``cell`` (N,), ``rows`` (N, 8).
        """
        told = self._cell[slots]
        entered = told != cell
        gone, self._gone = self._gone, {}
        touched, self._touched = self._touched, set()
        touched.update(told[entered].tolist(), cell[entered].tolist())
        for index in np.flatnonzero(entered & (told != NO_CELL)):
            gone.setdefault(int(told[index]), []).append(int(slots[index]))
        old = self._row[slots]
        old[:, SEQ] = rows[:, SEQ]  # an acknowledgement alone is no news
        changed = entered | (rows != old).any(axis=1) | (now_ms - self._sent_ms[slots] >= PROOF_OF_LIFE_MS - 1.0)
        self._cell[slots] = cell
        self._row[slots] = rows
        self._sent_ms[slots[changed]] = now_ms
        here = dict(zip(slots[entered].tolist(), cell[entered].tolist(), strict=True))
        for left, out in list(gone.items()):  # in the cell again by the end of the tick: never left
            if stay := [slot for slot in out if here.get(slot) != left]:
                gone[left] = stay
            else:
                del gone[left]
        held = {int(self._cell[slot]) for slot in self._left_behind} - {NO_CELL}  # a successor listed them nowhere
        return News(entered, changed, gone, touched, held)
