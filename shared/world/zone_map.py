"""How N zones divide the world: a k-d split along chunk edges into rectangles of about equal expected load."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.constants import CHUNK_M, ZONES_MAX


class TooManyZones(ValueError):
    """The world has fewer chunks than zones were asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class ZoneMap:
    """The rectangles of all zones; together they tile the world and never overlap."""

    size_m: int
    """Edge of the square world, metres; a multiple of CHUNK_M."""
    rects_m: NDArray[np.float64]
    """``(zones, 4)``: ``x0, z0, x1, z1`` in metres; a zone owns ``x0 <= x < x1`` and ``z0 <= z < z1``."""
    zone_of_chunk: NDArray[np.int16]
    """``(chunks, chunks)`` indexed ``[cz, cx]``: the zone that owns the chunk."""

    @classmethod
    def split(cls, size_m: int, zones: int, load: NDArray[np.float64] | None = None) -> ZoneMap:
        """Split a world of ``size_m`` metres into ``zones`` rectangles.

        ``load`` is ``(chunks, chunks)`` indexed ``[cz, cx]``: the players expected in each chunk, in any unit; equal
        everywhere when left out. Raises TooManyZones when a rectangle would have no chunk.
        """
        if not 1 <= zones <= ZONES_MAX:
            raise ValueError(f"zones must be 1 to {ZONES_MAX}, not {zones}")
        if size_m < CHUNK_M or size_m % CHUNK_M:
            raise ValueError(f"world size must be a multiple of {CHUNK_M} m, not {size_m}")
        chunks = size_m // CHUNK_M
        weight = np.ones((chunks, chunks)) if load is None else np.asarray(load, dtype=np.float64)
        assert weight.shape == (chunks, chunks), "load must have one number per chunk"
        zone_of_chunk = np.zeros((chunks, chunks), np.int16)
        rects = np.zeros((zones, 4))
        pending = [(0, zones, 0, 0, chunks, chunks)]  # first zone, count of zones, cx0, cz0, cx1, cz1
        while pending:
            first, count, cx0, cz0, cx1, cz1 = pending.pop()
            if count == 1:
                rects[first] = np.array([cx0, cz0, cx1, cz1], dtype=np.float64) * CHUNK_M
                zone_of_chunk[cz0:cz1, cx0:cx1] = first
                continue
            left, along_x, cut = _cut(weight[cz0:cz1, cx0:cx1], count, zones, size_m)
            if along_x:
                pending.append((first, left, cx0, cz0, cx0 + cut, cz1))
                pending.append((first + left, count - left, cx0 + cut, cz0, cx1, cz1))
            else:
                pending.append((first, left, cx0, cz0, cx1, cz0 + cut))
                pending.append((first + left, count - left, cx0, cz0 + cut, cx1, cz1))
        return cls(size_m=size_m, rects_m=rects, zone_of_chunk=zone_of_chunk)

    @property
    def zones(self) -> int:
        """Number of zones."""
        return len(self.rects_m)

    def zone_at(self, x: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.int16]:
        """The zone that owns each point; ``x`` and ``z`` are ``(N,)`` metres, points outside count as on the edge."""
        last = len(self.zone_of_chunk) - 1
        cx = np.clip(np.floor_divide(x, CHUNK_M), 0, last).astype(np.intp)
        cz = np.clip(np.floor_divide(z, CHUNK_M), 0, last).astype(np.intp)
        return self.zone_of_chunk[cz, cx]

    def zone_of_point(self, x: float, z: float) -> int:
        """The zone that owns one point, metres."""
        return int(self.zone_at(np.array([x]), np.array([z]))[0])


def _cut(weight: NDArray[np.float64], count: int, zones: int, size_m: int) -> tuple[int, bool, int]:
    """Where to cut one rectangle: (zones of the first part, cut across x, chunks of the first part).

    Cuts the longer axis where the load on both sides is nearest to the zones on both sides, but leaves each side at
    least as many chunks as it gets zones.
    """
    depth, width = weight.shape
    if depth * width < count:
        raise TooManyZones(
            f"{zones} zones do not fit a world of {size_m} m: each needs a chunk of {CHUNK_M} m; "
            "use fewer --zones or a larger --world-size"
        )
    along_x = width >= depth
    length, across = (width, depth) if along_x else (depth, width)
    load = weight.sum(axis=0 if along_x else 1)
    before = np.concatenate(([0.0], np.cumsum(load)))
    for left in sorted(range(1, count), key=lambda left: abs(left - count // 2)):  # halves, unless chunks are scarce
        least, most = -(-left // across), length - -(-(count - left) // across)
        if least <= most:
            break
    target = before[-1] * left / count
    cut = least + int(np.argmin(np.abs(before[least : most + 1] - target)))
    return left, along_x, cut
