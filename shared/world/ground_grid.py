"""The ground as a zone knows it: heights on a square grid of posts, flat arrays that shared memory can hold.

``terrain.py`` computes the exact height anywhere, from roads and relief; that is too dear for every sample of many
cars. Between posts this grid is bilinear: enough to say whether a car flies, not enough to draw with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from shared.world.terrain import Terrain

F64 = NDArray[np.float64]

STEP_MIN_M: Final = 4
"""Between posts, in worlds of up to 8 km."""
POSTS_MAX: Final = 2048
"""Per side: 8 MiB in all. Larger worlds have fewer posts, not more memory."""


@dataclass(frozen=True, slots=True, eq=False)
class GroundGrid:
    """Heights of one world."""

    step_m: int
    posts_cm: NDArray[np.int16]
    """``(posts, posts)`` indexed ``[z, x]``: centimetres above sea level; the first row is the north edge."""

    @classmethod
    def of(cls, terrain: Terrain) -> Self:
        """The posts of a world."""
        step_m = step_for(terrain.relief.size_m)
        return cls(step_m, terrain.posts_cm(step_m))

    @classmethod
    def level(cls, size_m: int, height_cm: int = 0) -> Self:
        """Ground of one height everywhere."""
        return cls(size_m, np.full((2, 2), height_cm, np.int16))

    def height_m(self, x: F64, z: F64) -> F64:
        """(N,) metres: height of the ground, or of the water above it, at points (N,) in metres.

        Points beyond the map have the height of its edge.
        """
        last = len(self.posts_cm) - 2
        column = np.clip(np.nan_to_num(x) / self.step_m, 0.0, last + 1.0)
        row = np.clip(np.nan_to_num(z) / self.step_m, 0.0, last + 1.0)
        west, north = np.minimum(column.astype(np.intp), last), np.minimum(row.astype(np.intp), last)
        east_share, south_share = column - west, row - north
        north_west, north_east = self._post(north, west), self._post(north, west + 1)
        south_west, south_east = self._post(north + 1, west), self._post(north + 1, west + 1)
        above = north_west + (north_east - north_west) * east_share
        below = south_west + (south_east - south_west) * east_share
        height: F64 = np.maximum(above + (below - above) * south_share, 0.0) / 100.0
        return height

    def _post(self, row: NDArray[np.intp], column: NDArray[np.intp]) -> F64:
        return self.posts_cm[row, column].astype(np.float64)


def step_for(size_m: int) -> int:
    """Metres between posts in a world of this size."""
    step_m = STEP_MIN_M
    while size_m // step_m > POSTS_MAX:
        step_m *= 2
    return step_m
