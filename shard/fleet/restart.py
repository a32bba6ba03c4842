"""What to do about workers that end on their own: how soon another takes over, and what is left behind for it.

A zone's players stand still until a successor has done the tick that the lost worker has not, so the first successor
comes at once and is given exactly the same: the same Tick, the same samples. Most exits have causes that do not repeat
(somebody's kill, a full machine). If the zone ends again without having committed a tick in between, its input is to
blame, and each further exit gives more of that input up: first the samples that wait to be judged, then the players,
who are moved to the lobby. What somebody else kills says little about the input, so it counts a third.

A zone without players that still cannot live is restarted for ever, ever more slowly. The rest of the world goes on,
and no zone's exits ever end the shard. Workers that die before they are ready are another matter: then nothing can be
started any more, on this machine, as it is now; after FAILED_STARTS_MAX of them the shard ends and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Literal, TypeAlias

Cause: TypeAlias = Literal["crash", "hang", "killed"]
"""By its own fault; killed by us because it did not answer; killed by a signal that we did not send."""

STEADY_S: Final = 1.0
"""Who lived longer than this did not die of being started: a start costs a quarter of a second of one core."""
AT_ONCE: Final = 3
"""Exits in quick succession that are answered without a pause: as many as it takes to give up samples and players.
Who was killed by others after it had ticked is followed at once, however often."""
FIRST_PAUSE_S: Final = 0.5
PAUSE_MAX_S: Final = 10.0
FAILED_STARTS_MAX: Final = 5
EXITS_KEPT: Final = 16
"""Exits of a zone that a plan looks back at: more change nothing."""


class Sacrifice(IntEnum):
    """What the successor is spared, each including the ones before."""

    NOTHING = 0
    SAMPLES = 1
    """Those that wait to be judged."""
    PLAYERS = 2
    """They go to the lobby."""


@dataclass(frozen=True, slots=True)
class Exit:
    """One end of one zone's worker."""

    at_s: float
    lived_s: float
    """Since it became the zone."""
    cause: Cause
    tick: int
    """The zone's last committed tick: equal for two exits if nothing was done in between."""


@dataclass(frozen=True, slots=True)
class Restart:
    """What the successor of a worker is given."""

    at_s: float
    sacrifice: Sacrifice


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Nothing more is started."""


def after_exit(exits: Sequence[Exit]) -> Restart:
    """When, and with what, a zone gets its next worker. ``exits`` are all of this zone, oldest first, at least one."""
    last = exits[-1]
    blamed = kills = 0
    for exit in reversed(exits):
        if exit.tick != last.tick:
            break
        if exit.cause == "killed":
            kills += 1
        else:
            blamed += 1
    sacrifice = Sacrifice(min(max(blamed + kills // 3 - 1, 0), Sacrifice.PLAYERS))
    quick = 0
    for exit, before in zip(reversed(exits), [*list(exits)[-2::-1], None], strict=True):
        ticked = before is None or before.tick != exit.tick
        if exit.lived_s >= STEADY_S or (exit.cause == "killed" and ticked):
            break
        quick += 1
    over = quick - AT_ONCE
    pause_s = min(FIRST_PAUSE_S * 2.0 ** min(over - 1, 16), PAUSE_MAX_S) if over > 0 else 0.0
    return Restart(last.at_s + pause_s, sacrifice)


def after_failed_starts(count: int, now_s: float) -> Restart | GiveUp:
    """When to start another worker after ``count`` in a row have ended before they were ready."""
    if count >= FAILED_STARTS_MAX:
        return GiveUp()
    pause_s = FIRST_PAUSE_S * 2.0 ** (count - 1) if count else 0.0
    return Restart(now_s + min(pause_s, PAUSE_MAX_S), Sacrifice.NOTHING)
