"""What a shard costs: so much per zone, so much per player. From whole-system runs of one scenario."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    """One size of shard."""

    zones: int
    players: int
    cpu_ms: float
    """Processor time of main and all zones together, per second."""


@dataclass(frozen=True, slots=True)
class Cost:
    """``cpu_ms = per_zone_ms * zones + per_player_ms[players] * players``."""

    per_zone_ms: float
    """Per zone and second; nan where no two points differ in nothing but zones."""
    per_player_ms: dict[int, float]
    """Per player-second, by players: where it is flat, twice as many players cost twice as much."""

    @property
    def spread(self) -> float:
        """How much dearer a player is at the dearest size than at the cheapest; 0: the same."""
        return max(self.per_player_ms.values()) / min(self.per_player_ms.values()) - 1.0


def cost_of(points: Sequence[Point]) -> Cost:
    """Fit by least squares: zones among points with equally many players first, then what is left per player."""
    same: dict[int, list[Point]] = defaultdict(list)
    for point in points:
        same[point.players].append(point)
    up = across = 0.0
    for group in same.values():
        zones, cpu_ms = (statistics.fmean(values) for values in zip(*((p.zones, p.cpu_ms) for p in group), strict=True))
        up += sum((point.zones - zones) * (point.cpu_ms - cpu_ms) for point in group)
        across += sum((point.zones - zones) ** 2 for point in group)
    per_zone_ms = up / across if across else float("nan")
    a_zone_ms = per_zone_ms if across else 0.0
    per_player_ms = {
        players: statistics.fmean((point.cpu_ms - a_zone_ms * point.zones) / players for point in group)
        for players, group in sorted(same.items())
    }
    return Cost(per_zone_ms, per_player_ms)
