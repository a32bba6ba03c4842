"""The roads as a graph: what can be reached from where, the shortest way, and the nearest safe place on a road.

Roads are driven both ways, on the right. Searches are breadth-first or Dijkstra's over posts; ties are broken by the
number of the post, so that every platform finds the same way.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from shared.world.box_grid import BoxGrid, boxes_of
from shared.world.headings import yaw_mrad
from shared.world.roads import Roads

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

_CELL_M = 128.0
SAFE_END_M = 6.0
"""A car is put down at least so far from the end of a road, where the road is longer than twice that."""


class RoadPoint(NamedTuple):
    """A point on the centre line of a road."""

    piece: int
    share: float
    """0 at the piece's first post, 1 at its second."""
    x: float
    z: float
    distance_m: float
    """From the point that was asked for."""


class RoadPose(NamedTuple):
    """A car on a road: metres, and the yaw in radians as whole milliradians."""

    x: float
    z: float
    yaw: float
    piece: int


class Leg(NamedTuple):
    """A piece as it is driven: from its first post to its second, or backwards."""

    piece: int
    forward: bool


@dataclass(frozen=True, slots=True, eq=False)
class RoadGraph:
    """Neighbours of every post in compressed sparse rows, and the parts of the net that hang together."""

    roads: Roads
    lengths_m: F64
    """``(pieces,)``."""
    starts: I32
    """``(posts + 1,)``: post p has the ways out ``starts[p] .. starts[p + 1]``."""
    to_post: I32
    by_piece: I32
    part: I32
    """``(posts,)``: posts of equal part can reach each other."""
    near: BoxGrid

    @classmethod
    def of(cls, roads: Roads, size_m: int) -> Self:
        """The graph of these roads."""
        posts = len(roads.post_cm)
        start, end = roads.piece_posts[:, 0], roads.piece_posts[:, 1]
        source, target = np.concatenate((start, end)), np.concatenate((end, start))
        piece = np.concatenate((np.arange(roads.pieces), np.arange(roads.pieces)))
        order = np.lexsort((piece, target, source))
        starts = np.searchsorted(source[order], np.arange(posts + 1)).astype(np.int32)
        to_post, by_piece = target[order].astype(np.int32), piece[order].astype(np.int32)
        x0, z0, x1, z1 = roads.ends_m().T
        near = BoxGrid.file(boxes_of(x0, z0, x1, z1), size_m, _CELL_M)
        return cls(roads, roads.lengths_m(), starts, to_post, by_piece, _parts(starts, to_post), near)

    def degree(self) -> I32:
        """Ways out of every post; 3 and more is a junction, 1 a dead end."""
        return np.diff(self.starts).astype(np.int32)

    def shortest(self, start: int, goal: int, but_not: int = -1) -> list[Leg] | None:
        """The shortest way from post to post, not over the piece ``but_not``; None when there is none."""
        if self.part[start] != self.part[goal]:
            return None
        best: dict[int, float] = {start: 0.0}
        came: dict[int, tuple[int, int]] = {}
        done: set[int] = set()
        queue: list[tuple[float, int]] = [(0.0, start)]
        while queue:
            length, post = heapq.heappop(queue)
            if post in done:
                continue
            if post == goal:
                return self._way_back(came, start, goal)
            done.add(post)
            for way in range(self.starts[post], self.starts[post + 1]):
                piece, other = int(self.by_piece[way]), int(self.to_post[way])
                far = length + float(self.lengths_m[piece])
                if piece != but_not and far < best.get(other, np.inf):
                    best[other] = far
                    came[other] = (post, piece)
                    heapq.heappush(queue, (far, other))
        return None

    def _way_back(self, came: dict[int, tuple[int, int]], start: int, goal: int) -> list[Leg]:
        legs: list[Leg] = []
        post = goal
        while post != start:
            before, piece = came[post]
            legs.append(Leg(piece, int(self.roads.piece_posts[piece, 0]) == before))
            post = before
        return legs[::-1]

    def nearest(self, x: float, z: float) -> RoadPoint | None:
        """The point of a road's centre line that is nearest to (x, z); None where there are no roads."""
        if not self.roads.pieces:
            return None
        reach = _CELL_M / 2
        while True:
            box = np.array([[x - reach, z - reach, x + reach, z + reach]])
            pieces = np.unique(self.near.near(box)[1])
            if len(pieces):
                point = self._nearest_of(pieces, x, z)
                if point.distance_m <= reach or reach > 2 * self.near.cells * _CELL_M:
                    return point
            reach *= 2

    def _nearest_of(self, pieces: I32, x: float, z: float) -> RoadPoint:
        x0, z0, x1, z1 = (self.roads.post_cm[self.roads.piece_posts[pieces]] / 100.0).reshape(-1, 4).T
        dx, dz = x1 - x0, z1 - z0
        share = np.clip(((x - x0) * dx + (z - z0) * dz) / (dx * dx + dz * dz), 0.0, 1.0)
        on_x, on_z = x0 + dx * share, z0 + dz * share
        distance2 = (x - on_x) * (x - on_x) + (z - on_z) * (z - on_z)
        at = int(np.argmin(distance2))
        return RoadPoint(
            int(pieces[at]), float(share[at]), float(on_x[at]), float(on_z[at]), float(np.sqrt(distance2[at]))
        )

    def safe_pose(self, x: float, z: float, yaw: float | None = None) -> RoadPose | None:
        """Where a car that is lost at (x, z) is put: the nearest road, right-hand lane, along the road.

        Of the two directions the one nearer to ``yaw`` is taken, else that of the road's points. Roads are free of
        props and above the water everywhere, so a pose on a road is safe. None where there are no roads.
        """
        point = self.nearest(x, z)
        if point is None:
            return None
        ax, az, bx, bz = (self.roads.post_cm[self.roads.piece_posts[point.piece]] / 100.0).reshape(4).tolist()
        length = float(self.lengths_m[point.piece])
        ahead_x, ahead_z = (bx - ax) / length, (bz - az) / length
        share = self._off_dead_ends(point, length)
        if yaw is not None:
            straight = int(yaw_mrad(np.array([ahead_x]), np.array([ahead_z]))[0]) / 1000.0
            turned = abs(straight - yaw) % (2 * np.pi)
            if np.pi / 2 < turned < 3 * np.pi / 2:
                ahead_x, ahead_z = -ahead_x, -ahead_z
        lane_m = float(self.roads.half_cm[self.roads.piece_road[point.piece]]) / 200.0
        milli = int(yaw_mrad(np.array([ahead_x]), np.array([ahead_z]))[0])
        on_x, on_z = ax + (bx - ax) * share, az + (bz - az) * share
        return RoadPose(on_x - ahead_z * lane_m, on_z + ahead_x * lane_m, milli / 1000.0, point.piece)

    def _off_dead_ends(self, point: RoadPoint, length_m: float) -> float:
        keep = min(SAFE_END_M / length_m, 0.5)
        degree = [
            int(self.starts[post + 1] - self.starts[post]) for post in self.roads.piece_posts[point.piece].tolist()
        ]
        share = max(point.share, keep) if degree[0] == 1 else point.share
        return min(share, 1.0 - keep) if degree[1] == 1 else share


def _parts(starts: I32, to_post: I32) -> I32:
    """Number of the part of the net that each post belongs to, by breadth-first search."""
    part = np.full(len(starts) - 1, -1, np.int32)
    parts = 0
    for seed in range(len(part)):
        if part[seed] >= 0:
            continue
        part[seed] = parts
        front = np.array([seed])
        while len(front):
            ways = np.concatenate([to_post[starts[post] : starts[post + 1]] for post in front])
            front = np.unique(ways[part[ways] < 0])
            part[front] = parts
        parts += 1
    return part
