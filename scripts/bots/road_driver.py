"""A driver who keeps to the roads of a world that has some, and roams where there are none.

The way is a trail: a line through the middle of the road with a speed limit at every bend, driven as a car on rails.
Nothing stands on roads, so such a car never drives through anything.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from scripts.bots.driver import (
    BRAKE_MPS2,
    CORNERING_MPS2,
    PLANNED_BRAKE_MPS2,
    STEP_MAX_S,
    CarState,
    Driver,
    Rect,
    Roamer,
)
from shared.messages import WorldInfo
from shared.vehicles import VehicleClass
from shared.world.land import Land, land_of
from shared.world.road_graph import Leg
from shared.world.world import Pose, World, WorldFault

BEND_MPS_MIN = 5.0
"""The slowest bend: a junction taken at a right angle."""
TARGETS = 4
"""Posts drawn per journey; the nearest wins, so that journeys stay short enough to plan at once."""
SAME_PLACE_M = 0.05


def known_land(world: WorldInfo) -> Land | None:
    """The land of a shard's world, when it is one that this program can build: same name, seed and hash."""
    try:
        here = World(world.preset, world.seed, world.size_m)
    except WorldFault:
        return None
    return land_of(here) if here.hash == world.hash else None


@dataclass(frozen=True, slots=True)
class Trail:
    """A line with milestones and the speed allowed at each of its points."""

    points: tuple[tuple[float, float], ...]
    at_m: tuple[float, ...]
    limit_mps: tuple[float, ...]

    @classmethod
    def through(cls, points: Sequence[tuple[float, float]], top_mps: float) -> Self:
        """The trail through ``points``; doubled points are left out. It ends at walking pace."""
        line = [points[0]]
        for point in points[1:]:
            if math.dist(point, line[-1]) > SAME_PLACE_M:
                line.append(point)
        if len(line) == 1:
            line.append((line[0][0], line[0][1] + 2.0 * SAME_PLACE_M))
        lengths = [math.dist(one, other) for one, other in pairwise(line)]
        at_m = [0.0]
        for length in lengths:
            at_m.append(at_m[-1] + length)
        limits = [top_mps]
        for before, here, after, length, further in zip(line, line[1:], line[2:], lengths, lengths[1:], strict=False):
            limits.append(min(top_mps, _bend_mps(before, here, after, 0.5 * (length + further))))
        limits.append(min(top_mps, BEND_MPS_MIN))
        for index in range(len(lengths) - 1, -1, -1):  # in time for the next bend
            reach = math.sqrt(limits[index + 1] ** 2 + 2.0 * PLANNED_BRAKE_MPS2 * lengths[index])
            limits[index] = min(limits[index], reach)
        return cls(tuple(line), tuple(at_m), tuple(limits))

    @property
    def length_m(self) -> float:
        """From end to end."""
        return self.at_m[-1]

    def leg(self, at_m: float, first: int = 0) -> int:
        """Index of the point before ``at_m``, searched from ``first`` on."""
        while first < len(self.at_m) - 2 and self.at_m[first + 1] <= at_m:
            first += 1
        return first

    def pose(self, at_m: float, leg: int) -> tuple[float, float, float]:
        """x, z and yaw at a position on a leg."""
        (x0, z0), (x1, z1) = self.points[leg], self.points[leg + 1]
        share = (at_m - self.at_m[leg]) / (self.at_m[leg + 1] - self.at_m[leg])
        return x0 + (x1 - x0) * share, z0 + (z1 - z0) * share, math.atan2(x1 - x0, z1 - z0) % math.tau

    def limit(self, at_m: float, leg: int) -> float:
        """The speed from which the next bend can still be taken, metres per second."""
        room_m = self.at_m[leg + 1] - at_m
        return math.sqrt(self.limit_mps[leg + 1] ** 2 + 2.0 * PLANNED_BRAKE_MPS2 * max(room_m, 0.0))


def _bend_mps(
    before: tuple[float, float], here: tuple[float, float], after: tuple[float, float], length_m: float
) -> float:
    """The speed at which a bend is taken: v^2 = a r, with r = length / angle."""
    turned = math.atan2(after[0] - here[0], after[1] - here[1]) - math.atan2(here[0] - before[0], here[1] - before[1])
    angle = abs((turned + math.pi) % math.tau - math.pi)
    return max(BEND_MPS_MIN, math.sqrt(CORNERING_MPS2 * length_m / max(angle, 1e-6)))


class TrailFollower:
    """A car on a trail: speeds up and brakes within its class's means and never leaves the line."""

    def __init__(self, trail: Trail, top_mps: float, accel_mps2: float, speed_mps: float = 0.0) -> None:
        self.trail = trail
        self.at_m = 0.0
        self._top_mps = top_mps
        self._accel_mps2 = accel_mps2
        self._speed_mps = min(speed_mps, trail.limit_mps[0])
        self._leg = 0

    @property
    def arrived(self) -> bool:
        """Whether the end is reached."""
        return self.at_m >= self.trail.length_m

    def step(self, dt_s: float) -> CarState:
        """The car after ``dt_s`` more seconds."""
        trail = self.trail
        allowed = min(self._top_mps, trail.limit(self.at_m, self._leg))
        wanted = min(allowed, self._speed_mps + self._accel_mps2 * dt_s)
        self._speed_mps = max(wanted, self._speed_mps - BRAKE_MPS2 * dt_s)
        self.at_m = min(self.at_m + self._speed_mps * dt_s, trail.length_m)
        self._leg = trail.leg(self.at_m, self._leg)
        return CarState(*trail.pose(self.at_m, self._leg), self._speed_mps)


class RoadDriver:
    """Drives from one place of the road net to another, for ever."""

    def __init__(self, rng: random.Random, top_mps: float, accel_mps2: float, land: Land) -> None:
        self._rng = rng
        self._top_mps = top_mps
        self._accel_mps2 = accel_mps2
        self._land = land
        self._follower: TrailFollower | None = None

    def survey(self, size_m: float, zones: Sequence[Rect], land: Land | None = None) -> None:
        """All is known."""

    def place(self, pose: Pose, vx: float, vz: float) -> None:
        """Go on from there: over open ground to the nearest road, then along it."""
        along = vx * math.sin(pose.yaw) + vz * math.cos(pose.yaw)
        self._follower = self._set_out(pose, max(along, 0.0))

    def step(self, dt_s: float) -> CarState:
        assert self._follower is not None, "call place() before step()"
        car = self._follower.step(min(dt_s, STEP_MAX_S))
        if self._follower.arrived:
            self._follower = self._set_out(Pose(car.x, 0.0, car.z, car.yaw), 0.0)
        return car

    def _set_out(self, pose: Pose, speed_mps: float) -> TrailFollower:
        graph = self._land.graph
        near = graph.nearest(pose.x, pose.z)
        assert near is not None, "a road driver needs roads"
        posts = [int(post) for post in graph.roads.piece_posts[near.piece]]
        facing = self._facing(pose, posts)
        goals = [goal for goal in self._rng.sample(range(len(graph.part)), TARGETS) if goal not in posts]
        goal = min(goals or posts, key=lambda post: math.dist((near.x, near.z), self._at(post)))
        legs = graph.shortest(facing, goal) or [Leg(near.piece, facing == posts[1])]
        ends = [int(graph.roads.piece_posts[leg.piece, 1 if leg.forward else 0]) for leg in legs]
        line = [(pose.x, pose.z), (near.x, near.z), self._at(facing), *map(self._at, ends)]
        trail = Trail.through(line, self._top_mps)
        return TrailFollower(trail, self._top_mps, self._accel_mps2, speed_mps)

    def _facing(self, pose: Pose, posts: list[int]) -> int:
        """Of the two ends of the road at hand the one that lies ahead."""
        ahead_x, ahead_z = math.sin(pose.yaw), math.cos(pose.yaw)

        def ahead(post: int) -> float:
            x, z = self._at(post)
            return (x - pose.x) * ahead_x + (z - pose.z) * ahead_z

        return max(posts, key=ahead)

    def _at(self, post: int) -> tuple[float, float]:
        x, z = self._land.graph.roads.post_cm[post].tolist()
        return x / 100.0, z / 100.0


class Local:
    """Knows its way about: on the roads where the land is known and has some, across country elsewhere."""

    def __init__(self, rng: random.Random, vehicle: VehicleClass) -> None:
        self._rng = rng
        self._roamer = Roamer(rng, vehicle)
        self._driver: Driver = self._roamer

    def survey(self, size_m: float, zones: Sequence[Rect], land: Land | None = None) -> None:
        self._driver = self._roamer
        if land is not None and land.graph.roads.pieces:
            self._driver = RoadDriver(self._rng, self._roamer.top_speed_mps, self._roamer.accel_mps2, land)
        self._driver.survey(size_m, zones, land)

    def place(self, pose: Pose, vx: float, vz: float) -> None:
        self._driver.place(pose, vx, vz)

    def step(self, dt_s: float) -> CarState:
        return self._driver.step(dt_s)
