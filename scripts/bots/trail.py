"""Where a bot has driven of late, and what a car that is given back shows of that."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

KEPT: Final = 400
"""Samples remembered: twenty seconds. A car that is given back is older only if its zone hung for as long."""
SAME_PLACE_M: Final = 0.01
"""A car has been where it was given back for as long as it was so near: whoever stands loses nothing."""


@dataclass(frozen=True, slots=True)
class Comeback:
    """A car that was given back after a broken connection."""

    player: str
    cut_s: float
    back_s: float
    """When the connection ended, and when ``placed`` came."""
    age_s: float
    """How long before the connection ended the car had been where it was given back."""
    off_m: float
    """How far that is from its trail: next to nothing, or it never was there."""


class Trail:
    """The last samples of one bot."""

    def __init__(self) -> None:
        self._at: deque[tuple[float, float, float]] = deque(maxlen=KEPT)

    def add(self, x: float, z: float, now_s: float) -> None:
        """The car is here now."""
        self._at.append((x, z, now_s))

    def comeback(self, player: str, x: float, z: float, cut_s: float, back_s: float) -> Comeback:
        """The car was given back at (x, z)."""
        near = [(math.hypot(x - at_x, z - at_z), at_s) for at_x, at_z, at_s in self._at if at_s <= cut_s]
        if not near:
            return Comeback(player, cut_s, back_s, math.inf, math.inf)
        off_m = min(near)[0]
        latest_s = max(at_s for each_m, at_s in near if each_m <= off_m + SAME_PLACE_M)
        return Comeback(player, cut_s, back_s, cut_s - latest_s, off_m)
