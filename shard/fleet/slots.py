"""Who gets which row: free slots, first freed first given, each after a rest."""

from __future__ import annotations

from collections import deque

from shared.constants import SLOT_REST_MS
from shared.ids import Generation, Slot

SeatOf = tuple[Slot, Generation]


class SlotPool:
    """Free slots in the order in which they may be given out. A slot is in the pool or in use, never both."""

    def __init__(self, slots: int) -> None:
        self._free: deque[tuple[float, Slot]] = deque((0.0, Slot(slot)) for slot in range(slots))
        self._generation = [0] * slots
        self._used: set[Slot] = set()

    def take(self, now_ms: float) -> SeatOf | None:
        """The slot that has rested longest, with its next generation; None while none has rested long enough."""
        if not self._free or self._free[0][0] > now_ms:
            return None
        _, slot = self._free.popleft()
        self._used.add(slot)
        self._generation[slot] = (self._generation[slot] + 1) & 0xFFFFFFFF
        return slot, Generation(self._generation[slot])

    def claim(self, slot: int, generation: int) -> SeatOf | None:
        """A certain slot, for a player who had it in the shard's last life; None when it is not free."""
        for at, (_, free) in enumerate(self._free):
            if free == slot:
                del self._free[at]
                self._used.add(free)
                self._generation[free] = generation
                return free, Generation(generation)
        return None

    def give_back(self, slot: Slot, now_ms: float) -> None:
        """The slot's last player is gone from its zone; nobody gets the slot for SLOT_REST_MS."""
        self._used.remove(slot)
        self._free.append((now_ms + SLOT_REST_MS, slot))

    @property
    def used(self) -> int:
        """Slots in use."""
        return len(self._used)
