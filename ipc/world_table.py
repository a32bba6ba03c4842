"""The WorldTable by role: what main may do with it, what a zone may do with it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ipc.block import Block
from shared.ids import NO_ZONE
from shared.player_state import COLUMNS, PlayerState

Slots = NDArray[np.intp]


class _Columns:
    def __init__(self, block: Block) -> None:
        self._record: Any = block.record
        self._columns: list[tuple[str, Any]] = [(name, self._record[name]) for name, *_ in COLUMNS]
        self.front: NDArray[np.uint8] = self._record["front"]

    def release(self) -> None:
        """Drop all views, so that the block can be closed."""
        self._record = None
        self._columns = []
        del self.front

    def read(self, slots: Slots) -> PlayerState:
        """Copy the committed rows of ``slots``, an index array of shape (N,)."""
        half = self.front[slots]
        return PlayerState(**{name: column[half, slots] for name, column in self._columns})


class MainTable(_Columns):
    """Main's side. Call only for slots whose zone is idle, but for reading committed rows."""

    def __init__(self, block: Block) -> None:
        super().__init__(block)
        record = self._record
        self.owner: NDArray[np.int16] = record["owner"]
        self.generation: NDArray[np.uint32] = record["generation"]
        self.head: NDArray[np.uint32] = record["head"]
        self.player: NDArray[np.bytes_] = record["player"]
        self.name: NDArray[np.bytes_] = record["name"]
        self.vehicle: NDArray[np.uint8] = record["vehicle"]
        self._by_name = dict(self._columns)
        self.owner[:] = NO_ZONE

    def release(self) -> None:
        super().release()
        del self.owner, self.generation, self.head, self.player, self.name, self.vehicle, self._by_name

    def column(self, name: str) -> Any:
        """Both halves of one zone column, (2, slots, ...): index with ``front``."""
        return self._by_name[name]

    def committed(self, name: str) -> Any:
        """One zone column as committed, copied: (slots, ...)."""
        return self._by_name[name][self.front, np.arange(len(self.front))]

    def seat(self, slot: int, generation: int, player: str, name: str, vehicle: int, head: int) -> None:
        """Prepare the row of a slot that no zone owns for a new player: nothing of the last one stays but counters.

        ``head`` is the ring's counter: samples before it were the last player's.
        """
        assert self.owner[slot] == NO_ZONE, f"slot {slot} still belongs to zone {self.owner[slot]}"
        half = self.front[slot]
        epoch = self._by_name["epoch"][half, slot]
        for column, _, _, fresh in COLUMNS:
            self._by_name[column][:, slot] = fresh
        self._by_name["epoch"][:, slot] = epoch
        self._by_name["tail"][:, slot] = head
        self.head[slot] = head
        self.generation[slot] = generation
        self.player[slot] = player.encode()
        self.name[slot] = name.encode()
        self.vehicle[slot] = vehicle

    def restore(self, slots: Slots, state: PlayerState, names: Collection[str]) -> None:
        """Write the named columns of rows that are seated and that no zone owns; ``slots`` is (N,), ``state`` too."""
        for name in names:
            self._by_name[name][:, slots] = getattr(state, name)

    def rename(self, slot: int, name: str, vehicle: int) -> None:
        """The player of a slot is called and drives something else from now on."""
        self.name[slot] = name.encode()
        self.vehicle[slot] = vehicle

    def commit(self, slots: Slots) -> None:
        """Make the halves that the zone of ``slots`` has just written the committed ones."""
        self.front[slots] ^= 1


class ZoneTable(_Columns):
    """A zone's side: committed rows of its members in, the other half out. Nothing else is writable from here."""

    def __init__(self, block: Block) -> None:
        super().__init__(block)
        record = self._record
        self._head: NDArray[np.uint32] = record["head"]
        self._identity = (record["player"], record["name"], record["vehicle"])

    def release(self) -> None:
        super().release()
        del self._head, self._identity

    def heads(self, slots: Slots) -> NDArray[np.uint32]:
        """How many samples main had written for each slot when it sent this Tick; (N,) counters."""
        return self._head[slots]

    def vehicles(self, slots: Slots) -> NDArray[np.uint8]:
        """(N,) the members' vehicle classes, as indices into those of the world."""
        classes: NDArray[np.uint8] = self._identity[2][slots]
        return classes

    def identity(self, slot: int) -> tuple[str, str, int]:
        """Player id, name and vehicle index of a member."""
        player, name, vehicle = self._identity
        return bytes(player[slot]).decode(), bytes(name[slot]).decode(), int(vehicle[slot])

    def write(self, slots: Slots, state: PlayerState) -> None:
        """Write the rows of ``slots`` into the half that is not committed."""
        half = self.front[slots] ^ 1
        for name, column in self._columns:
            column[half, slots] = getattr(state, name)
