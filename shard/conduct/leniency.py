"""When strikes do not count: we were late, or too many were flagged at once to be anybody's fault but ours.

Zones hold the strikes of a tick back until the next, whose Tick says whether to forget them (``zones/verdicts.py``).
So the rule about many players at once is applied to the whole shard and not zone by zone: sixty of two hundred players,
flagged in six zones of which none has twenty, are forgiven as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

MEMORY_MS: Final = 1000.0
"""What we held up arrives for a while after we go on: sockets are read in turn, rings are judged eight at a time."""

FLAGGED_LEAST: Final = 20
FLAGGED_SHARE: Final = 0.2
"""At least so many players and more than this share of all, flagged in one tick, are our fault."""


class Leniency:
    """Keeps, per zone, how late its Ticks were, and decides tick by tick. Times are the ticks' own, in ms."""

    def __init__(self, period_ms: float) -> None:
        self._period_ms = period_ms
        self._last_ms: dict[int, float] = {}
        """The time of each zone's last Tick."""
        self._late: dict[int, tuple[float, float]] = {}
        """Per zone: how late, and until when that is remembered."""
        self._flagged = 0
        self.forgive = False
        """Whether the Ticks of this boundary forgive."""
        self.reason = ""
        """Why: for the log."""
        self.forgiven = 0
        """Ticks that forgave strikes that there were."""

    def begin(self, now_ms: float, zones: Iterable[int], members: int) -> None:
        """A boundary: ``zones`` get a Tick with the time ``now_ms``; ``members`` are all players of the shard."""
        for zone in zones:
            late_ms = now_ms - self._last_ms.get(zone, now_ms - self._period_ms) - self._period_ms
            self._last_ms[zone] = now_ms
            known_ms, until_ms = self._late.get(zone, (0.0, 0.0))
            if now_ms >= until_ms:
                known_ms = 0.0
            if late_ms > 0.5 * self._period_ms:  # schedules are exact: anything else is a tick that was not
                self._late[zone] = max(late_ms, known_ms), now_ms + MEMORY_MS
            elif known_ms == 0.0:
                self._late.pop(zone, None)
        flagged, self._flagged = self._flagged, 0
        many = flagged >= FLAGGED_LEAST and flagged > FLAGGED_SHARE * members
        self.reason = "late" if self._late else f"{flagged} of {members} players flagged at once" if many else ""
        self.forgive = bool(self.reason)
        self.forgiven += self.forgive and flagged > 0

    def flagged(self, players: int) -> None:
        """A Done told of so many players with strikes."""
        self._flagged += players

    def late_ms(self, zone: int) -> float:
        """How late we were for this zone within the last second."""
        return self._late.get(zone, (0.0, 0.0))[0]
