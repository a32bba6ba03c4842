"""From amounts of excess to what happens: the table of reactions, strikes and how they fade.

Mitigate first, score second, remove last. A reaction of a check is what becomes of the sample at once; its strikes are
a score that halves every ``half_life_s`` and opens the later steps: reported, ghosted with the running race result
declared invalid, removed. Nobody is banned here.

Strikes of a tick are *due* at the next one, and count only if its Tick does not say ``forgive``. So main, which alone
sees all zones, has one tick's time to find that it was our fault: somebody was late, or so many players were flagged at
once that they cannot all be cheats. Set-backs are not taken back: they are harmless, and may be needed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shared.constants import FLAG_AWAY, FLAG_GHOST
from shared.player_state import F64, PlayerState
from shared.thresholds import Thresholds

Check: TypeAlias = Literal[
    "clock",
    "clock_back",
    "budget",
    "late",
    "teleport",
    "speed",
    "acceleration",
    "agreement",
    "clip",
    "bounds",
    "unanswered",
    "flight",
    "height",
    "sunk",
    "gate_order",
    "gate_split",
]
"""The last two are judged with the gates."""

Action: TypeAlias = Literal["accept", "clamp", "ignore", "set_back"]


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a check's excess brings about."""

    action: Action
    unit: str
    """Of the excess."""
    strikes: float
    """Per occurrence; or, with ``full``, per second for an excess of that much."""
    full: float | None = None
    """None: an occurrence counts as one, however large. Otherwise strikes grow with excess and time."""
    most: float = 3.0
    """With ``full``: the most per second, as a multiple of ``strikes``."""


REACTIONS: Final[dict[Check, Reaction]] = {
    "clock": Reaction("clamp", "ms", 1.0, full=1000.0, most=0.5),  # a stepped clock is one of these
    "clock_back": Reaction("accept", "ms", 0.5),
    "budget": Reaction("set_back", "m", 1.0),  # within the leash: clamped, see ``anticheat``
    "late": Reaction("set_back", "m", 0.0),  # no reproach: see ``anticheat``
    "teleport": Reaction("set_back", "m", 3.0),
    "speed": Reaction("accept", "m/s", 1.0, full=7.0),  # the distance budget mitigates
    "acceleration": Reaction("accept", "m/s", 0.5, full=5.0, most=2.0),
    "agreement": Reaction("accept", "m", 0.1, full=1.0, most=1.0),  # telemetry: alone it never removes anybody
    "clip": Reaction("set_back", "m", 2.0),
    "bounds": Reaction("set_back", "m", 0.0),
    "unanswered": Reaction("set_back", "ms", 0.0),
    "flight": Reaction("clamp", "s", 1.0, full=0.001, most=1.0),
    "height": Reaction("clamp", "m", 1.0, full=0.001, most=1.0),
    "sunk": Reaction("clamp", "m", 0.0),
    "gate_order": Reaction("accept", "gates", 0.0),
    "gate_split": Reaction("accept", "ms", 5.0),
}


def strikes_for(check: Check, excess: F64, span_s: F64) -> F64:
    """(M,) strikes for excesses (M,) that lasted ``span_s`` (M,)."""
    reaction = REACTIONS[check]
    if reaction.full is None:
        return np.where(excess > 0.0, reaction.strikes, 0.0)
    share = np.minimum(excess / reaction.full, reaction.most)
    if check == "clock":  # its excess is time already
        return share * reaction.strikes
    return share * span_s * reaction.strikes


def faded(strikes: F64, age_ms: F64, limits: Thresholds) -> F64:
    """(M,) what is left of strikes (M,) after ``age_ms`` (M,): halves every ``half_life_s``.

    The exponential function by its series, in place of the library's, whose last bit differs between machines; ages
    are ticks, so the series' error is far below one in a million. What nobody would notice is dropped.
    """
    x = np.maximum(age_ms, 0.0) * (math.log(2.0) / (1000.0 * limits.half_life_s))
    left = strikes / (1.0 + x * (1.0 + x * (0.5 + x * (1.0 / 6.0 + x / 24.0))))
    return np.where(left < 0.001, 0.0, left)


@dataclass(frozen=True, slots=True)
class Sentence:
    """Who passed which threshold in this tick; indices of rows, ascending."""

    logged: NDArray[np.intp]
    ghosted: NDArray[np.intp]
    removed: NDArray[np.intp]
    """Everybody at or above the threshold, told in each tick until they are released; once when not enforced."""

    def steps(self) -> tuple[tuple[Literal["removed", "ghosted", "logged"], NDArray[np.intp]], ...]:
        """The steps by name, the gravest first."""
        return ("removed", self.removed), ("ghosted", self.ghosted), ("logged", self.logged)


def count_strikes(state: PlayerState, now_ms: float, forgive: bool, enforce: bool, limits: Thresholds) -> Sentence:
    """Let strikes fade, and count what the last tick left due. Once per tick.

    Mutates strikes, strikes_ms, due; and the ghost flag when ``enforce``.
    """
    before = state.strikes.copy()
    active = np.flatnonzero((state.strikes > 0.0) | (state.due > 0.0))
    if len(active):
        left = faded(state.strikes[active], now_ms - state.strikes_ms[active], limits)
        state.strikes[active] = left if forgive else left + state.due[active]
        state.strikes_ms[active] = now_ms
        state.due[active] = 0.0
    if enforce and len(active):
        flags, strikes = state.flags[active], state.strikes[active]
        ghost = np.where(strikes >= limits.ghost_at, FLAG_GHOST, 0).astype(np.uint8)
        ends = (strikes < limits.ghost_at) & (before[active] >= limits.ghost_at) & (flags & FLAG_AWAY == 0)
        state.flags[active] = np.where(ends, flags & (0xFF ^ FLAG_GHOST), flags) | ghost

    def passed(threshold: float) -> NDArray[np.intp]:
        return np.flatnonzero((state.strikes >= threshold) & (before < threshold))

    removed = np.flatnonzero(state.strikes >= limits.remove_at) if enforce else passed(limits.remove_at)
    return Sentence(passed(limits.log_at), passed(limits.ghost_at), removed)
