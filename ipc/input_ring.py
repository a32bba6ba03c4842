"""Samples on their way from main to the zones: one ring per slot, one producer, one consumer, never overwriting.

Positions are 32-bit counters that only grow; ``counter & (RING_ENTRIES - 1)`` is the entry. The last 64 judged samples
stay readable behind the tail as evidence.
"""

from __future__ import annotations

from math import nan
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ipc.block import Block
from ipc.layout import SAMPLE, SAMPLE_STRUCT
from shared.constants import RING_ENTRIES, RING_PENDING_MAX
from shared.messages import MovePayload

_MASK = RING_ENTRIES - 1
_COUNTER = 0xFFFFFFFF
_pack_into = SAMPLE_STRUCT.pack_into


class Lane(NamedTuple):
    """The way of one player's samples into its ring."""

    ring: InputWriter
    slot: int

    def write(self, recv_ms: float, move: MovePayload) -> bool:
        """As ``InputWriter.write`` of the slot."""
        return self.ring.write(self.slot, recv_ms, move)


class InputWriter:
    """Main's side. ``heads`` are main's own counters; zones see them only as published with a Tick."""

    def __init__(self, block: Block) -> None:
        samples = block.record["samples"]
        self._samples: Any = samples
        self._bytes: Any = memoryview(samples.reshape(-1).view(np.uint8))
        self.heads: NDArray[np.uint32] = np.zeros(samples.shape[0], np.uint32)
        """(slots,) samples written since the start, wrapping."""
        self.tails: NDArray[np.uint32] = np.zeros(samples.shape[0], np.uint32)
        """(slots,) samples judged in committed ticks: what fullness is measured against; set at each commit."""
        self._firsts = np.zeros(samples.shape[0], np.uint32)
        """(slots,) the counter at which the slot's present player began."""
        self._head = self.heads.data  # a Python int per access, in a third of the time of a numpy scalar
        self._tail = self.tails.data

    def release(self) -> None:
        """Drop all views, so that the block can be closed."""
        self._bytes.release()
        self._samples = None

    def lane(self, slot: int) -> Lane:
        """Where the samples of one slot go; for as long as its player may drive."""
        return Lane(self, slot)

    def write(self, slot: int, recv_ms: float, move: MovePayload) -> bool:
        """Append one sample; False when 64 are pending, and then nothing was written.

        ``recv_ms`` is server time when its bytes were received. See SAMPLE for the units.
        """
        head = self._head[slot]
        if (head - self._tail[slot]) & _COUNTER >= RING_PENDING_MAX:
            return False
        y, vy = move.y, move.vy
        _pack_into(
            self._bytes,
            (slot * RING_ENTRIES + (head & _MASK)) * 80,
            recv_ms,
            move.t,
            move.x,
            nan if y is None else y,
            move.z,
            move.yaw,
            move.vx,
            0.0 if vy is None else vy,
            move.vz,
            move.epoch,
            move.seq,
        )
        self._head[slot] = (head + 1) & _COUNTER
        return True

    def rewind(self, slot: int) -> int:
        """A new player takes the slot: what the last one left unjudged is dropped. Returns the counter it starts at."""
        head = self._tail[slot] = self._head[slot]
        self._firsts[slot] = head
        return head

    def pending(self, slot: int) -> int:
        """Samples of the slot that are written and not yet judged in a committed tick."""
        return (self._head[slot] - self._tail[slot]) & _COUNTER

    def between(self, slots: NDArray[np.intp], ends: NDArray[np.uint32], counts: NDArray[np.uint32]) -> Any:
        """The last ``counts`` (N,) samples of each slot before its counter ``ends`` (N,), slot by slot; a copy."""
        which = np.repeat(np.arange(len(slots)), counts)
        before = np.cumsum(counts) - counts
        positions = (ends - counts)[which] + (np.arange(len(which)) - before[which]).astype(np.uint32)
        return self._samples[slots[which], positions & _MASK]

    def evidence(self, slot: int) -> Any:
        """The last samples of a slot's present player that were judged in committed ticks, 64 at most, oldest first.

        A copy: (K,) records of SAMPLE.
        """
        tail = self._tail[slot]
        own = min((tail - int(self._firsts[slot])) & _COUNTER, RING_PENDING_MAX)
        return _judged(self._samples, slot, tail)[RING_PENDING_MAX - own :]


class InputReader:
    """A zone's side."""

    def __init__(self, block: Block) -> None:
        self._samples: Any = block.record["samples"]

    def release(self) -> None:
        """Drop all views, so that the block can be closed."""
        self._samples = None

    def read(self, slots: NDArray[np.intp], positions: NDArray[np.uint32]) -> Any:
        """Copy one sample per slot: (N,) records of SAMPLE at the given counters, which must lie in [tail, head)."""
        return self._samples[slots, positions & _MASK]

    def evidence(self, slot: int, tail: int) -> Any:
        """The last 64 judged samples of one slot, oldest first, given its tail; (64,) records of SAMPLE."""
        return _judged(self._samples, slot, tail)


def _judged(samples: Any, slot: int, tail: int) -> Any:
    positions = (np.arange(tail - RING_PENDING_MAX, tail, dtype=np.int64) & _MASK).astype(np.intp)
    return samples[slot, positions]


assert SAMPLE.itemsize == 80, "InputWriter.write computes offsets with the record's size"
