"""Scores of players who left: going out and coming in again is no way to get rid of strikes.

Kept in memory only, for as long as they matter, and never above SECOND_CHANCE: who was removed may come back, as a
ghost and not far from being removed again. That is no ban: it fades like every score.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from shared.thresholds import DEFAULT

SECOND_CHANCE: Final = 0.75 * DEFAULT.remove_at
NOTABLE: Final = 0.5
"""Lower scores are forgotten."""
PLAYERS_MAX: Final = 10_000


class Records:
    """Players' scores as of when they left. Times are server time in ms."""

    def __init__(self) -> None:
        self._scores: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._scores)

    def all(self) -> dict[str, tuple[float, float]]:
        """Everybody's score and when they left, the oldest first."""
        return dict(self._scores)

    def left(self, player: str, score: float, now_ms: float) -> None:
        """A body is gone; ``score`` is what its row held."""
        self._scores.pop(player, None)
        if score >= NOTABLE:
            self._scores[player] = min(score, SECOND_CHANCE), now_ms
        while len(self._scores) > PLAYERS_MAX:
            self._scores.popitem(last=False)

    def entered(self, player: str, now_ms: float) -> float:
        """The score with which a player begins."""
        score, left_ms = self._scores.pop(player, (0.0, now_ms))
        faded = score * 0.5 ** (max(now_ms - left_ms, 0.0) / (1000.0 * DEFAULT.half_life_s))
        return faded if faded >= NOTABLE else 0.0
