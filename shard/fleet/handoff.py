"""Handoffs: which players change zones at this boundary, and the public record of how long that took.

A zone names, in every Done, the members that stand beyond its border band, and where they belong. At the next boundary
at which both zones are idle the membership moves; until then the source keeps the player, so nobody is ever without an
owner and nobody has two. State does not move at all: rows, budgets and race progress lie where they lay.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

LEDGER_ENTRIES = 20_000
"""Handoffs that percentiles are taken over: an hour of a busy shard."""


@dataclass(frozen=True, slots=True)
class Request:
    """A member of ``source`` stands in ``target``'s part of the world."""

    slot: int
    generation: int
    source: int
    target: int
    left_ms: float
    """Server time at which it crossed the line."""


def decide(requests: Iterable[Request], idle: Collection[int], room: int) -> list[Request]:
    """The requests that are carried out now: both zones idle, at most ``room`` per zone and direction, oldest first."""
    taken: dict[tuple[str, int], int] = {}
    moves = []
    for request in sorted(requests, key=lambda request: (request.left_ms, request.slot)):
        out, into = ("out", request.source), ("into", request.target)
        if request.source == request.target or request.source not in idle or request.target not in idle:
            continue
        if taken.get(out, 0) >= room or taken.get(into, 0) >= room:
            continue
        taken[out] = taken.get(out, 0) + 1
        taken[into] = taken.get(into, 0) + 1
        moves.append(request)
    return moves


@dataclass(frozen=True, slots=True)
class Handoff:
    """One handoff that is complete: the new owner has committed a tick with the player in it."""

    slot: int
    generation: int
    source: int
    target: int
    last_tick: int
    """The source's last committed tick with the player."""
    first_tick: int
    """The target's first."""
    ms: float
    """From crossing the line to the time of the new owner's first tick; includes the way through the border band."""
    ticks: int
    """The same in ticks, begun ones counted."""

    @property
    def gap(self) -> int:
        """Ticks in which nobody simulated the player; 0 unless a zone was late or down."""
        return self.first_tick - self.last_tick - 1


class Ledger:
    """Handoffs under way and done."""

    def __init__(self, period_ms: float) -> None:
        self._period_ms = period_ms
        self._open: dict[int, tuple[Request, int]] = {}
        self._recent: deque[Handoff] = deque(maxlen=LEDGER_ENTRIES)
        self.count = 0
        self.gaps = 0
        """Sum of the gaps of all handoffs, in ticks."""

    def begin(self, move: Request, last_tick: int) -> None:
        """The membership moves now; the source's last committed tick is ``last_tick``."""
        assert move.slot not in self._open, f"slot {move.slot} is handed off twice at once"
        self._open[move.slot] = (move, last_tick)

    def under_way(self, slot: int) -> bool:
        """Whether the slot's new owner has not committed a tick with it yet."""
        return slot in self._open

    def complete(self, slot: int, tick: int, now_ms: float) -> Request | None:
        """The owner of ``slot`` committed ``tick``, whose time is ``now_ms``: the move that this ends, if any."""
        opened = self._open.pop(slot, None)
        if opened is None:
            return None
        move, last_tick = opened
        ms = max(now_ms - move.left_ms, 0.0)
        ticks = int(np.ceil(ms / self._period_ms))
        done = Handoff(move.slot, move.generation, move.source, move.target, last_tick, tick, ms, ticks)
        self._recent.append(done)
        self.count += 1
        self.gaps += done.gap
        return move

    def cancel(self, slot: int) -> Request | None:
        """The player of ``slot`` is gone before its new owner committed a tick with it: the move, if any."""
        opened = self._open.pop(slot, None)
        return None if opened is None else opened[0]

    def recent(self) -> list[Handoff]:
        """The newest handoffs, oldest first."""
        return list(self._recent)

    def summary(self) -> dict[str, float]:
        """Count, gap ticks, and p50, p99, p99.9 over recent handoffs, in ticks and ms from line to new owner."""
        out: dict[str, float] = {"count": self.count, "gap_ticks": self.gaps}
        if self._recent:
            for label, share in (("p50", 50.0), ("p99", 99.0), ("p999", 99.9)):
                out[f"{label}_ms"] = float(np.percentile([done.ms for done in self._recent], share))
                out[f"{label}_ticks"] = float(np.percentile([done.ticks for done in self._recent], share))
        return out
