"""The network between many clients and the server: what TCP makes of delay, jitter and stalls. Nothing is lost.

A ``Line`` says when what is sent arrives; arrivals of a player never overtake each other. A stall is one lost segment:
whatever would arrive during it arrives together at its end. A ``Wire`` holds what is under way to the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ipc.layout import SAMPLE

F64 = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

WIRE_ENTRIES: Final = 512
"""Samples of a player under way: a stall of 10 s at 30 Hz is 300."""
SWING_MS: Final = 3000.0
"""How long a line that swings stays slow."""
_WINDOW: Final = 8


class Alarms:
    """N clocks that ring at random moments, ``every_ms`` (N,) apart in the mean; 0: never."""

    def __init__(self, every_ms: F64, now_ms: float, rng: np.random.Generator) -> None:
        self._every_ms = every_ms
        self._rng = rng
        self._next_ms = now_ms + self._draw(np.arange(len(every_ms)))

    def ring(self, now_ms: float) -> Index:
        """(M,) who rings now; none of them again before it has been asked the next time."""
        who: Index = np.flatnonzero(self._next_ms <= now_ms)
        if len(who):
            self._next_ms[who] = now_ms + self._draw(who)
        return who

    def _draw(self, who: Index) -> F64:
        mean = self._every_ms[who]
        return np.where(mean > 0.0, mean * self._rng.uniform(0.3, 1.7, len(who)), np.inf)


@dataclass(eq=False)
class Line:
    """One direction of N connections. Parameters are (N,) milliseconds; ``swing_ms`` is added in phases, 0 to it."""

    delay_ms: F64
    jitter_ms: F64
    stall_every_ms: F64
    stall_ms: F64
    swing_every_ms: F64
    swing_ms: F64
    rng: np.random.Generator
    now_ms: float

    def __post_init__(self) -> None:
        count = len(self.delay_ms)
        self._last_ms = np.full(count, -np.inf)
        self._stall_from_ms = np.full(count, np.inf)
        self._draw_stalls(np.flatnonzero(self.stall_every_ms > 0.0), np.full(count, self.now_ms))
        self._swings = Alarms(self.swing_every_ms, self.now_ms, self.rng)
        self._swing_until_ms = np.full(count, -np.inf)

    def pass_time(self, now_ms: float) -> None:
        """Once per frame."""
        self._swing_until_ms[self._swings.ring(now_ms)] = now_ms + SWING_MS

    def arrivals_ms(self, who: Index, sent_ms: F64) -> F64:
        """(M,) when what players ``who`` (M,), none twice, send at ``sent_ms`` (M,) arrives."""
        slow = np.where(sent_ms < self._swing_until_ms[who], self.swing_ms[who], 0.0)
        jitter = self.jitter_ms[who] * self.rng.random(len(who))
        due = np.maximum(sent_ms + self.delay_ms[who] + jitter + slow, self._last_ms[who])
        begin = self._stall_from_ms[who]
        end = begin + self.stall_ms[who]
        due = np.where((due >= begin) & (due < end), end, due)
        self._last_ms[who] = due
        over = who[due >= end]
        if len(over):
            self._draw_stalls(over, self._last_ms)
        return due

    def cut(self, who: Index, now_ms: float) -> None:
        """New connections: nothing that was sent before holds them up."""
        self._last_ms[who] = now_ms

    def _draw_stalls(self, who: Index, after_ms: F64) -> None:
        mean = self.stall_every_ms[who]
        self._stall_from_ms[who] = after_ms[who] + mean * self.rng.uniform(0.3, 1.7, len(who))


class Wire:
    """Samples of N players on their way to the server, each in the order of sending."""

    def __init__(self, count: int, entries: int = WIRE_ENTRIES) -> None:
        assert entries & (entries - 1) == 0, "positions are masked: a power of two"
        self._mask = entries - 1
        self._samples: Any = np.zeros((count, entries), SAMPLE)
        self._due_ms = np.zeros((count, entries))
        self._put = np.zeros(count, np.int64)
        self._got = np.zeros(count, np.int64)

    def put(self, who: Index, samples: Any, due_ms: F64) -> None:
        """Send one sample of each of ``who`` (M,), none twice, to arrive at ``due_ms`` (M,)."""
        assert len(who) == 0 or (self._put[who] - self._got[who]).max() <= self._mask, "a wire is full: more entries"
        at = self._put[who] & self._mask
        self._samples[who, at] = samples
        self._due_ms[who, at] = due_ms
        self._put[who] += 1

    def arrived(self, now_ms: float) -> tuple[Index, NDArray[np.int64]]:
        """Players (M,) with samples that are here, ascending, and how many of each; they stay until ``drop``."""
        who: Index = np.flatnonzero(self._got < self._put)
        who = who[self._due_ms[who, self._got[who] & self._mask] <= now_ms]
        count = np.ones(len(who), np.int64)
        more = np.arange(len(who))
        while len(more):
            ahead = (self._got[who[more]] + count[more])[:, None] + np.arange(_WINDOW)
            due = self._due_ms[who[more][:, None], ahead & self._mask] <= now_ms
            here = (due & (ahead < self._put[who[more]][:, None])).sum(axis=1)  # due times ascend
            count[more] += here
            more = more[here == _WINDOW]
        return who, count

    def look(self, owner: Index, offset: NDArray[np.integer]) -> tuple[Any, F64]:
        """Samples (M,) and their due times (M,): of each owner the ``offset``-th that is under way."""
        at = (self._got[owner] + offset) & self._mask
        return self._samples[owner, at], self._due_ms[owner, at]

    def drop(self, who: Index, count: NDArray[np.integer]) -> None:
        """The first ``count`` (M,) of ``who`` (M,) are taken."""
        self._got[who] += count

    def clear(self, who: Index) -> None:
        """The connections are gone, and what was under way with them."""
        self._got[who] = self._put[who]
