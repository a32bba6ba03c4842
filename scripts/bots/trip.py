"""A car on a given way over the roads, as fast as it can: to the start of a route, and along it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from scripts.bots.driver import CarState
from shared.world.course import start_post
from shared.world.land import Land
from shared.world.routes import Route

ACCEL_SHARE: Final = 0.8
"""Of what the vehicle can."""
SPEED_SHARE: Final = 0.98
DOUBLED_M: Final = 0.5
"""Points nearer than this to the one before are left out."""

Point = tuple[float, float]


class Trip:
    """A car on rails along a line of points; it never brakes, not even in bends, so that it is where it is too soon."""

    def __init__(self, points: Sequence[Point], top_mps: float, accel_mps2: float) -> None:
        kept = [points[0]]
        for point in points[1:]:
            if math.dist(point, kept[-1]) >= DOUBLED_M:
                kept.append(point)
        assert len(kept) > 1, "a way has two points at least"
        self._points = np.array(kept)
        steps = np.diff(self._points, axis=0)
        self._at_m = np.concatenate(([0.0], np.cumsum(np.sqrt((steps * steps).sum(axis=1)))))
        self._top_mps, self._accel_mps2 = SPEED_SHARE * top_mps, ACCEL_SHARE * accel_mps2
        self.driven_m = 0.0
        self.speed_mps = 0.0

    @property
    def length_m(self) -> float:
        """From end to end."""
        return float(self._at_m[-1])

    @property
    def arrived(self) -> bool:
        """Whether the end is reached."""
        return self.driven_m >= self.length_m

    def step(self, dt_s: float) -> CarState:
        """The car after ``dt_s`` more seconds."""
        faster = min(self._top_mps, self.speed_mps + self._accel_mps2 * dt_s)
        self.driven_m = min(self.length_m, self.driven_m + 0.5 * (self.speed_mps + faster) * dt_s)
        self.speed_mps = faster
        leg = int(np.clip(np.searchsorted(self._at_m, self.driven_m, side="right") - 1, 0, len(self._at_m) - 2))
        (x0, z0), (x1, z1) = self._points[leg].tolist(), self._points[leg + 1].tolist()
        share = (self.driven_m - float(self._at_m[leg])) / float(self._at_m[leg + 1] - self._at_m[leg])
        yaw = math.atan2(x1 - x0, z1 - z0) % math.tau
        return CarState(x0 + (x1 - x0) * share, z0 + (z1 - z0) * share, yaw, self.speed_mps)


def way_to_route(land: Land, x: float, z: float, route: Route) -> list[Point]:
    """Points from (x, z) over the roads to where the course of a route begins. Raises ValueError without a way."""
    near = land.graph.nearest(x, z)
    posts = land.graph.roads.piece_posts
    goal = start_post(route.course.legs[0], land.graph)
    legs = None if near is None else land.graph.shortest(int(posts[near.piece, round(near.share)]), goal)
    if near is None or legs is None:
        raise ValueError(f"no road leads from ({x:.0f}, {z:.0f}) to the start of {route.id}")
    metres = land.graph.roads.post_cm / 100.0
    ends = [int(posts[leg.piece, 1 if leg.forward else 0]) for leg in legs]
    first = int(posts[near.piece, round(near.share)])
    return [(x, z), (near.x, near.z), *((float(px), float(pz)) for px, pz in metres[[first, *ends]].tolist())]


def course_of(route: Route) -> list[Point]:
    """The points of a route's course."""
    return [(float(x), float(z)) for x, z in route.course.points_m.tolist()]
