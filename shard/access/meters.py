"""What all connections have sent lately, as columns: the number of a connection is its place in each of them.

These are looked at for every move of everybody. By the time a connection's turn comes again, the processor's cache has
lost all that belongs to it alone, and each piece of its memory takes a tenth of a microsecond to fetch: with thousands
of sockets that was half of what a move cost. In a column eight neighbours come along.

Every entry is the moment until which all that was sent is paid for, as in ``shard/access/bucket.py``.
"""

from __future__ import annotations

import heapq
import math
from array import array
from typing import Final

INTAKE_BYTES_PER_S: Final = 24 * 1024
"""Five times 30 moves of 150 bytes per second."""

INTAKE_FRAMES_PER_S: Final = 60
"""Twice the moves that a client may send; control frames count, too."""

INTAKE_BURST_S: Final = 8.0
"""What may come at once, in seconds of the rates above: 192 KiB and 480 frames, a stall of 16 s at 30 Hz."""

MOVES_PER_S: Final = 30.0
MOVES_BURST: Final = 60
"""Two seconds' worth arrives at once after a stall."""

_S_PER_BYTE: Final = 1.0 / INTAKE_BYTES_PER_S
_S_PER_FRAME: Final = 1.0 / INTAKE_FRAMES_PER_S
_S_PER_MOVE: Final = 1.0 / MOVES_PER_S
_MOVES_DEPTH_S: Final = (MOVES_BURST - 1) * _S_PER_MOVE + 1e-6
"""With a microsecond for rounding: a sum of many intervals must not cost the last of a burst."""


class Meters:
    """Of all connections of a shard. Times may not go backwards."""

    __slots__ = ("_bytes_paid_s", "_frames_paid_s", "_free", "_moves_paid_s")

    def __init__(self) -> None:
        self._bytes_paid_s = array("d")
        self._frames_paid_s = array("d")
        self._moves_paid_s = array("d")
        self._free: list[int] = []
        """Numbers that were given back, the smallest first."""

    def claim(self) -> int:
        """A number for a connection that has sent nothing."""
        columns = (self._bytes_paid_s, self._frames_paid_s, self._moves_paid_s)
        if not self._free:
            for column in columns:
                column.append(-math.inf)
            return len(self._moves_paid_s) - 1
        number = heapq.heappop(self._free)
        for column in columns:
            column[number] = -math.inf
        return number

    def give_back(self, number: int) -> None:
        """The connection is gone."""
        heapq.heappush(self._free, number)

    def read(self, number: int, size_bytes: int, frames: int, now_s: float) -> float:
        """Count what was read from the socket; returns the seconds by which that is over the burst: 0 or less if not.

        It is counted in any case.
        """
        by_bytes, by_frames = self._bytes_paid_s[number], self._frames_paid_s[number]
        by_bytes = (by_bytes if by_bytes > now_s else now_s) + size_bytes * _S_PER_BYTE
        by_frames = (by_frames if by_frames > now_s else now_s) + frames * _S_PER_FRAME
        self._bytes_paid_s[number], self._frames_paid_s[number] = by_bytes, by_frames
        return (by_bytes if by_bytes > by_frames else by_frames) - now_s - INTAKE_BURST_S

    def move(self, number: int, now_s: float) -> bool:
        """Whether one more ``move`` is within its rate; counted only if so."""
        paid_s = self._moves_paid_s[number]
        if paid_s <= now_s:
            paid_s = now_s
        elif paid_s - now_s > _MOVES_DEPTH_S:
            return False
        self._moves_paid_s[number] = paid_s + _S_PER_MOVE
        return True
