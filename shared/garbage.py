"""Garbage collection that never lands in a tick: what is there at start is frozen, the rest is looked at in the gaps.

Reference counts free nearly everything here at once; the collector is needed for cycles only, and those come with
connections and exceptions, not with ticks. So it may wait for the gap after a tick's work. Its own triggers stay as a
last resort, so high that they are reached only when there has been no gap for a long time.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

YOUNG: Final = 700
"""Allocations after which the youngest generation is looked at: CPython's own number."""
OLDER_EVERY: Final = 10
"""Collections of a generation before the next older one is looked at: as CPython has it."""
LAST_RESORT: Final = 200_000
"""Allocations without any gap: some 40 MiB of small objects."""
MARGIN: Final = 2.0
"""A gap must be so many times longer than the last collection of that generation."""


@dataclass(slots=True)
class Tally:
    """What collections there were, and what they took."""

    count: int = 0
    longest_ms: float = 0.0


class Garbage:
    """This process's collector. One per process: the interpreter has only one."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        """``clock_s`` never goes backwards."""
        self._clock_s = clock_s
        self._took_s = [0.0, 0.0, 0.0]
        self._since = [0, 0, 0]
        """Collections of each generation since the next older one was looked at."""
        self._began_s = 0.0
        self._in_gap = False
        self._thresholds = gc.get_threshold()
        self.in_gaps = Tally()
        self.in_ticks = Tally()
        """By last resort, wherever the process was."""

    def begin(self) -> None:
        """Freeze what is here, and keep the collector out of ticks from now on. ``end`` gives it back."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(LAST_RESORT, *self._thresholds[1:])
        gc.callbacks.append(self._note)

    def end(self) -> None:
        """The collector is CPython's again. Idempotent."""
        if self._note in gc.callbacks:
            gc.callbacks.remove(self._note)
            gc.set_threshold(*self._thresholds)
            gc.unfreeze()

    def collect(self, gap_s: float) -> None:
        """A tick's work is done and the next begins in ``gap_s``: look at what is due and fits."""
        if gc.get_count()[0] < YOUNG:
            return
        oldest = 0
        while oldest < 2 and self._since[oldest] + 1 >= OLDER_EVERY:
            oldest += 1
        while oldest > 0 and self._took_s[oldest] * MARGIN > gap_s:
            oldest -= 1  # due all the same: the next long enough gap has it
        self._in_gap = True
        try:
            gc.collect(oldest)
        finally:
            self._in_gap = False
        self._since[:oldest] = [0] * oldest
        self._since[oldest] += 1

    def _note(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began_s = self._clock_s()
            return
        took_s = self._clock_s() - self._began_s
        self._took_s[info["generation"]] = took_s
        tally = self.in_gaps if self._in_gap else self.in_ticks
        tally.count += 1
        tally.longest_ms = max(tally.longest_ms, 1000.0 * took_s)
