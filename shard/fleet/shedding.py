"""What is given up when ticks are late for long, in which order, and when it is taken back: a reducer, once per tick.

In this order: detail (half the row budget: farther cells come less often, or not at all), entries (who wants in waits
in the queue, who is in stays), races (those that are on go on, no more are opened). One step at a time, and each has to
show what it does before the next; back in the reverse order, only after it has been calm for three times as long, so
that what was given up is not given up again at once.

A single late or hung zone is no load: it is replaced. A tick is late when main began it a period late or gave up the
schedule, or when more than half of all zones missed its deadline.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

MEMORY_S: Final = 10.0
"""Over which the share of late ticks is taken: it halves every 7 s."""
LATE_SHARE: Final = 0.5
"""From here on something is given up, ..."""
CALM_SHARE: Final = 0.05
"""... and below this something is taken back. In between, all stays as it is."""
GIVE_UP_EVERY_S: Final = 5.0
TAKE_BACK_EVERY_S: Final = 15.0


class Shed(IntEnum):
    """What is given up; each includes those before."""

    NOTHING = 0
    DETAIL = 1
    ENTRIES = 2
    RACES = 3


TOLD: Final = {
    Shed.DETAIL: "the server is overloaded: those who are farther away are shown less often",
    Shed.ENTRIES: "the server is overloaded: nobody is let in for now",
    Shed.RACES: "the server is overloaded: no races are opened for now",
}


@dataclass(frozen=True, slots=True)
class Load:
    """How things stand after a tick."""

    shed: Shed = Shed.NOTHING
    late_share: float = 0.0
    """Of recent ticks; 0 to 1."""
    changed_ms: float = -math.inf
    """When ``shed`` changed last."""
    tick_ms: float = -math.inf
    """Time of the last tick."""


def after_tick(load: Load, late: bool, now_ms: float) -> Load:
    """How things stand after the tick of ``now_ms``, server time, which was ``late`` or not."""
    gap_s = max(now_ms - load.tick_ms, 0.0) / 1000.0
    elapsed_s = min(gap_s, MEMORY_S / 10.0)  # a gap in which nothing ran says little
    share = load.late_share + (float(late) - load.late_share) * elapsed_s / MEMORY_S
    since_s = (now_ms - load.changed_ms) / 1000.0
    if share >= LATE_SHARE and load.shed < Shed.RACES and since_s >= GIVE_UP_EVERY_S:
        return Load(Shed(load.shed + 1), share, now_ms, now_ms)
    if share <= CALM_SHARE and load.shed > Shed.NOTHING and since_s >= TAKE_BACK_EVERY_S:
        return Load(Shed(load.shed - 1), share, now_ms, now_ms)
    return Load(load.shed, share, load.changed_ms, now_ms)


def row_budget(shed: Shed, whole: int, least: int) -> int:
    """Rows per frame; ``whole`` when nothing is given up, 0: no budget, then there is none to cut."""
    return whole if shed < Shed.DETAIL or not whole else max(whole // 2, min(least, whole))
