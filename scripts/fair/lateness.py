"""Main's part in fairness: how late each zone's ticks were, and when strikes are the server's own fault."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

MEMORY_MS: Final = 1000.0
FLAGGED_LEAST: Final = 20
FLAGGED_SHARE: Final = 0.2
"""So many players flagged in one tick, and more than such a share of all, cannot all be cheats."""


class Leniency:
    """Keeps how late ticks were; times are the ticks' own, in milliseconds."""

    def __init__(self, period_ms: float) -> None:
        self._period_ms = period_ms
        self._last_ms: dict[int, float] = {}
        self._late: dict[int, tuple[float, float]] = {}
        """Per zone: how late, and until when that is remembered."""
        self._flagged = 0
        self.forgive = False
        """Whether the Ticks of this boundary forgive the strikes of the last."""

    def begin(self, now_ms: float, zones: Iterable[int], members: int) -> None:
        """``zones`` get a Tick with the time ``now_ms``; ``members`` are all players of the shard."""
        self._late = {zone: known for zone, known in self._late.items() if now_ms < known[1]}
        for zone in zones:
            late_ms = now_ms - self._last_ms.get(zone, now_ms - self._period_ms) - self._period_ms
            self._last_ms[zone] = now_ms
            if late_ms > 0.5 * self._period_ms:
                self._late[zone] = max(late_ms, self.late_ms(zone)), now_ms + MEMORY_MS
        many = self._flagged >= FLAGGED_LEAST and self._flagged > FLAGGED_SHARE * members
        self._flagged = 0
        self.forgive = bool(self._late) or many

    def flagged(self, players: int) -> None:
        """A zone gave strikes to so many players in its last tick."""
        self._flagged += players

    def late_ms(self, zone: int) -> float:
        """How late we were for this zone within the last second."""
        return self._late.get(zone, (0.0, 0.0))[0]
