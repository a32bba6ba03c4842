"""The best times of every route since the shard began. Nothing is kept beyond that: receipts are what lasts."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from typing import Final

BEST_MAX: Final = 10
"""Lines of a board: what fits on one, and 1 KiB on the wire."""


@dataclass(frozen=True, slots=True)
class BestTime:
    """One line of a board."""

    player: str
    name: str
    """As it was when the time was driven."""
    vehicle: str
    time_ms: float


class BestTimes:
    """At most BEST_MAX lines per route, one per player, best first; of equal times the earlier stands above."""

    def __init__(self) -> None:
        self._lines: dict[str, list[BestTime]] = defaultdict(list)

    def record(self, route: str, player: str, name: str, vehicle: str, time_ms: float) -> bool:
        """Take note of a time; True when it changes the board."""
        assert time_ms > 0.0, f"a time of {time_ms} ms"
        lines = self._lines[route]
        own = next((line for line in lines if line.player == player), None)
        if own is not None and own.time_ms <= time_ms:
            return False
        if own is not None:
            lines.remove(own)
        at = bisect_right(lines, time_ms, key=lambda line: line.time_ms)
        if at == BEST_MAX:
            return False
        lines.insert(at, BestTime(player, name, vehicle, time_ms))
        del lines[BEST_MAX:]
        return True

    def all(self) -> dict[str, tuple[BestTime, ...]]:
        """The lines of every route, best first."""
        return {route: tuple(lines) for route, lines in self._lines.items() if lines}

    def of(self, route: str) -> tuple[BestTime, ...]:
        """The lines of a route, best first."""
        return tuple(self._lines.get(route, ()))
