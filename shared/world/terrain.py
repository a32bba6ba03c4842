"""The ground under everything: heights in whole centimetres above sea level, from 32-bit integer arithmetic only.

The ground is the relief (``relief.py``), except near roads: on a road it is the road's own height, level across, and
over the verge beside it the one passes into the other. ``shared/types/terrain.ts`` computes the same for one chunk from
what the chunk holds; golden vectors hold the two together. Neighbouring chunks agree on their common edge because
every piece that shapes a point is known to every chunk that the point belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.constants import CHUNK_M
from shared.world.relief import Relief
from shared.world.roads import VERGE_M, Roads

F64 = NDArray[np.float64]
Whole = NDArray[np.integer[Any]] | NDArray[np.float64]
"""Whole centimetres in whatever type the caller has them."""
I32 = NDArray[np.int32]

WATER_CM: Final = 0
"""Sea level. Ground below it is under water."""
SHOULDER_CM: Final = 100
"""Beside a road the ground stays level so far beyond its edge."""
_VERGE_CM: Final = int(VERGE_M * 100)
_CHUNK_CM: Final = CHUNK_M * 100
_POINTS_AT_ONCE: Final = 1 << 14
"""Keeps the arrays of a big question in the processor's cache; the answer does not depend on it."""


@dataclass(frozen=True, slots=True, eq=False)
class Terrain:
    """Heights of one world."""

    relief: Relief
    roads: Roads | None

    @property
    def size_cm(self) -> int:
        """Edge of the world, centimetres."""
        return self.relief.size_m * 100

    def ground_cm(self, x_cm: Whole, z_cm: Whole) -> I32:
        """Heights at points of any one shape, centimetres; points beyond the map have the height of its edge."""
        x = np.clip(np.asarray(x_cm, np.int64), 0, self.size_cm).astype(np.int32)
        z = np.clip(np.asarray(z_cm, np.int64), 0, self.size_cm).astype(np.int32)
        x, z = np.broadcast_arrays(x, z)
        flat_x, flat_z = x.reshape(-1), z.reshape(-1)
        height = np.empty(len(flat_x), np.int32)
        for first in range(0, len(flat_x), _POINTS_AT_ONCE):
            part = slice(first, first + _POINTS_AT_ONCE)
            height[part] = self._ground(flat_x[part], flat_z[part])
        return height.reshape(x.shape)

    def ground_m(self, x_m: F64, z_m: F64) -> F64:
        """Heights at points in metres, each taken to the nearest centimetre first."""
        x_cm = np.floor(np.asarray(x_m, np.float64) * 100.0 + 0.5)
        z_cm = np.floor(np.asarray(z_m, np.float64) * 100.0 + 0.5)
        return self.ground_cm(x_cm.astype(np.int32), z_cm.astype(np.int32)) / 100.0

    def surface_cm(self, x_cm: Whole, z_cm: Whole) -> I32:
        """As ``ground_cm``, but the water's level where there is water."""
        return np.maximum(self.ground_cm(x_cm, z_cm), np.int32(WATER_CM))

    def posts_cm(self, step_m: int) -> NDArray[np.int16]:
        """Heights on a lattice, indexed ``[z, x]``, from edge to edge: what shared memory holds for the zones."""
        assert self.relief.size_m % step_m == 0, "step_m must divide the world's size"
        at = np.arange(0, self.size_cm + 1, step_m * 100, dtype=np.int32)
        return self.ground_cm(at[None, :], at[:, None]).astype(np.int16)

    def _ground(self, x: I32, z: I32) -> I32:
        base = self.relief.ground_cm(x, z)
        if self.roads is None or not self.roads.pieces:
            return base
        last = np.int32(self.roads.by_chunk.cells - 1)
        cx, cz = np.minimum(x // np.int32(_CHUNK_CM), last), np.minimum(z // np.int32(_CHUNK_CM), last)
        chunk = cz.astype(np.intp) * self.roads.by_chunk.cells + cx
        point, piece = self.roads.by_chunk.of_cells(chunk)
        if not len(point):
            return base
        distance2, road_cm, cover = _near_pieces(x[point], z[point], self.roads, piece)
        near = cover > 0
        point, distance2, road_cm, cover = point[near], distance2[near], road_cm[near], cover[near]
        if not len(point):
            return base
        starts = np.flatnonzero(np.concatenate(([True], point[1:] != point[:-1])))
        counts = np.diff(np.concatenate((starts, [len(point)])))
        nearest = np.repeat(np.minimum.reduceat(distance2, starts), counts)
        band = (nearest >> np.int32(1)) + np.int32(1)
        weight = np.maximum(((nearest + band - distance2) << np.int32(8)) // band, 0)
        weight = (weight * cover + np.int32(1023)) >> np.int32(10)
        bed = np.add.reduceat(weight * road_cm, starts) // np.add.reduceat(weight, starts)
        share = _ease(np.maximum.reduceat(cover, starts))
        where = point[starts]
        base[where] += ((bed - base[where]) * share) >> np.int32(10)
        return base


def _near_pieces(x: I32, z: I32, roads: Roads, piece: I32) -> tuple[I32, I32, I32]:
    """For pairs (N,) of a point and a piece: distance squared (cm^2), the road's height there (cm), and its cover.

    Cover is 1024 on the road and its shoulder, and falls to 0 at the end of the verge, evenly in distance squared.
    """
    start, end = roads.piece_posts[piece, 0], roads.piece_posts[piece, 1]
    ax, az = roads.post_cm[start, 0], roads.post_cm[start, 1]
    dx, dz = roads.post_cm[end, 0] - ax, roads.post_cm[end, 1] - az
    px, pz = x - ax, z - az
    length2 = dx * dx + dz * dz
    along = np.clip(px * dx + pz * dz, 0, length2)
    first, rest = np.divmod(along << np.int32(7), length2)  # the share of the piece, in two steps of 7 bits
    share = (first << np.int32(7)) + (rest << np.int32(7)) // length2
    off_x, off_z = px - ((dx * share) >> np.int32(14)), pz - ((dz * share) >> np.int32(14))
    y0, y1 = roads.post_y_cm[start], roads.post_y_cm[end]
    road_cm = y0 + (((y1 - y0) * share) >> np.int32(14))
    distance2 = off_x * off_x + off_z * off_z
    half = roads.half_cm[roads.piece_road[piece]]
    inner, outer = half + np.int32(SHOULDER_CM), half + np.int32(_VERGE_CM)
    inner2, outer2 = (inner * inner) >> np.int32(4), (outer * outer) >> np.int32(4)
    left = np.clip(outer2 - (distance2 >> np.int32(4)), 0, outer2 - inner2)
    return distance2, road_cm, (left << np.int32(10)) // (outer2 - inner2)


def _ease(share: I32) -> I32:
    """s^2 (3 - 2 s), both of 1024."""
    return (((share * share) >> np.int32(4)) * (np.int32(3072) - np.int32(2) * share)) >> np.int32(16)
