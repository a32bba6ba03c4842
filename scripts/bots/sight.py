"""Which chunks a driving client asks for, and how early it has them: need, the moment a chunk comes into sight; have,
the moment it came.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

from shared.constants import CHUNK_M
from shared.messages import CHUNKS_MAX

SIGHT_M: Final = 192.0
"""A chunk whose nearest point is nearer than this must be there."""
AHEAD_M: Final = 256.0
"""A chunk that is nearer than this is asked for: a lead of 64 m, 0.9 s at 70 m/s."""

Index = tuple[int, int]


@dataclass(slots=True)
class Sight:
    """What one client knows of a world of ``side`` x ``side`` chunks. Times are seconds of one clock."""

    side: int
    ahead_m: float = AHEAD_M
    needed_s: dict[Index, float] = field(default_factory=dict)
    """When each chunk came into sight."""
    had_s: dict[Index, float] = field(default_factory=dict)
    asked: set[Index] = field(default_factory=set)
    twice: int = 0
    """Chunks that came again."""

    def within(self, x: float, z: float, radius_m: float) -> list[Index]:
        """Chunks whose nearest point is at most so far from a place, nearest middle first."""
        reach = math.ceil(radius_m / CHUNK_M)
        cx, cz = int(x // CHUNK_M), int(z // CHUNK_M)
        found = []
        for column in range(max(0, cx - reach), min(self.side, cx + reach + 1)):
            for row in range(max(0, cz - reach), min(self.side, cz + reach + 1)):
                off_x = max(column * CHUNK_M - x, 0.0, x - (column + 1) * CHUNK_M)
                off_z = max(row * CHUNK_M - z, 0.0, z - (row + 1) * CHUNK_M)
                if math.hypot(off_x, off_z) <= radius_m:
                    middle = math.hypot((column + 0.5) * CHUNK_M - x, (row + 0.5) * CHUNK_M - z)
                    found.append((middle, (column, row)))
        return [index for _, index in sorted(found)]

    def drove(self, x: float, z: float, before_s: float) -> list[list[Index]]:
        """The car is at (x, z); what to ask for now, by message.

        ``before_s`` is when it was at the last place: what came into sight since may have been needed from then on.
        """
        for index in self.within(x, z, SIGHT_M):
            self.needed_s.setdefault(index, before_s)
        lacking = [index for index in self.within(x, z, self.ahead_m) if index not in self.asked]
        self.asked.update(lacking)
        return [lacking[first : first + CHUNKS_MAX] for first in range(0, len(lacking), CHUNKS_MAX)]

    def received(self, index: Index, now_s: float) -> None:
        """A chunk came."""
        self.twice += index in self.had_s
        self.had_s.setdefault(index, now_s)

    def late_s(self, but_not: set[Index]) -> list[float]:
        """By how much each chunk that was in sight came too late, in order; negative: early; inf: it did not come."""
        return sorted(
            self.had_s.get(index, math.inf) - needed_s
            for index, needed_s in self.needed_s.items()
            if index not in but_not
        )


def quantile(ordered: list[float], share: float) -> float:
    """The value that this share of an ordered list does not exceed; nan of an empty one."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan
