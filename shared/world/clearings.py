"""What must stay free of props: roads (and with them start grids), spawn points, kiosks and the way there, gates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from shared.constants import CHUNK_M
from shared.world.box_grid import BoxGrid, boxes_of
from shared.world.footprints import distance2_to_segment, segment_in_box

F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

GATE_CLEAR_M: Final = 2.5
"""On both sides of a gate's line, and beyond its ends."""
ACCESS_HALF_M: Final = 4.0
"""Half the width of the way from a kiosk or spawn point to its road."""
ACCESS_MAX_M: Final = 60.0
"""A kiosk or spawn point may be so far from the middle of its road."""


@dataclass(frozen=True, slots=True, eq=False)
class Clearings:
    """Strips of ground: everything within ``radius_m`` of a segment. Discs are strips of no length."""

    ends_m: F64
    """``(strips, 4)``: x0, z0, x1, z1."""
    radius_m: F64
    """``(strips,)``."""
    grid: BoxGrid

    @classmethod
    def of(cls, ends_m: F64, radius_m: F64, size_m: int) -> Self:
        """These strips in a world of ``size_m``."""
        x0, z0, x1, z1 = ends_m.T
        return cls(ends_m, radius_m, BoxGrid.file(boxes_of(x0, z0, x1, z1, radius_m), size_m, CHUNK_M / 2))

    def free_discs(self, x: F64, z: F64, radius_m: F64, margin_m: float) -> Mask:
        """Which discs (N,) keep ``margin_m`` off all strips."""
        reach = radius_m + margin_m
        query, strip = self.grid.near(boxes_of(x, z, x, z, reach))
        x0, z0, x1, z1 = self.ends_m[strip].T
        limit = self.radius_m[strip] + reach[query]
        hit = distance2_to_segment(x[query], z[query], x0, z0, x1, z1) < limit * limit
        return self._none_of(query[hit], len(x))

    def free_boxes(self, x: F64, z: F64, ahead_x: F64, ahead_z: F64, half_w: F64, half_d: F64, margin_m: float) -> Mask:
        """Which boxes (N,) keep at least ``margin_m`` off all strips; at their corners up to 1.4 times as much."""
        reach = half_w + half_d + margin_m
        query, strip = self.grid.near(boxes_of(x, z, x, z, reach))
        x0, z0, x1, z1 = self.ends_m[strip].T
        grow = self.radius_m[strip] + margin_m
        asked = (x[query], z[query], ahead_x[query], ahead_z[query], half_w[query] + grow, half_d[query] + grow)
        hit = segment_in_box(x0, z0, x1, z1, *asked)
        return self._none_of(query[hit], len(x))

    @staticmethod
    def _none_of(hit: NDArray[np.intp], count: int) -> Mask:
        free = np.ones(count, np.bool_)
        free[hit] = False
        return free
