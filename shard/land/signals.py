"""Gestures: a horn, a wave, lights, passed on to everybody who is shown the cell of whoever makes one.

They are the only message by which one player makes the server write to all others near, so they are limited twice. Each
connection may send one per second, five at once (``budget.py``). And a cell passes on CELL_PER_S: without that,
2,000 players on one square would be sent 2,000 horns per second each; with it a client hears at most 36 per second,
from its nine cells. Whoever is refused is told when to try again; the sender hears its own, which tells it that it went
out.
"""

from __future__ import annotations

from typing import Final

from shard.access.bucket import Bucket
from shard.access.wsframe import text_frame
from shard.views.fanout import Fanout
from shared.messages import SignalHeard, SignalHeardPayload, SignalKind, encode

CELL_PER_S: Final = 4.0
CELL_BURST: Final = 8
CELLS_MAX: Final = 1024
"""Cells that are remembered before the quiet ones among them are forgotten."""


class Signals:
    """All gestures of a shard."""

    def __init__(self, fanout: Fanout) -> None:
        self._fanout = fanout
        self._cells: dict[int, Bucket] = {}

    def __len__(self) -> int:
        """Cells that are remembered."""
        return len(self._cells)

    def make(self, slot: int, cell: int, kind: SignalKind, now_s: float) -> float:
        """Pass on a gesture of ``slot``, which ``cell`` lists; or return after how many seconds to try again."""
        bucket = self._cells.get(cell)
        if bucket is None:
            if len(self._cells) >= CELLS_MAX:
                self._cells = {each: kept for each, kept in self._cells.items() if kept.full_at_s > now_s}
            bucket = self._cells[cell] = Bucket(CELL_PER_S, CELL_BURST)
        wait_s = bucket.take(now_s)
        if not wait_s:
            frame = text_frame([encode(SignalHeard(SignalHeardPayload(slot, kind)))])
            self._fanout.tell(cell, frame)
        return wait_s
