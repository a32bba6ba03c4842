"""Who steers a bot's car, and the roaming driver: a smooth kinematic car on its way between the zones' corners.

A bot asks its Driver for one state per step and sends it as a ``move``. Other kinds of bots (racers, cheaters) are
other Drivers. Metres, seconds, radians in the frame of the wire contract: heading ``(sin yaw, cos yaw)`` in (x, z).
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.vehicles import VehicleClass
from shared.world.land import Land
from shared.world.world import Pose

Rect = tuple[float, float, float, float]
"""``x0, z0, x1, z1`` in metres, as ``welcome.zones`` lists them."""

TOP_SPEED_MPS = 35.0
"""What the fastest roamer drives, if its vehicle can: two cells in under four seconds."""
ACCEL_MPS2 = 5.0
BRAKE_MPS2 = 7.0
CORNERING_MPS2 = 8.0
"""Sideways acceleration: what a road tyre holds."""
TURN_RATE_MAX_RPS = 1.2
PLANNED_BRAKE_MPS2 = 4.0
"""What a driver counts on when it looks ahead: the rest of BRAKE_MPS2 pays for the turn and for late steps."""

STEP_MAX_S = 0.25
"""A step that comes later than this moves the car no further: the car waited, it did not fly."""

EDGE_M = 2.0
"""Nothing drives nearer to the world's edge than this, if it was not put there."""
WAYPOINT_MARGIN_M = 16.0
ARRIVED_M = 12.0
"""More than the turning circle at APPROACH_MPS, so that no car orbits its waypoint."""
APPROACH_MPS = 8.0
SPREAD_M = 24.0
"""Waypoints lie this far around a hot spot: three border bands, so that a visit often ends on another side."""
HOT_SHARE = 0.85
CANDIDATES = 4
"""Hot spots drawn per waypoint; the nearest of them wins, so that a large world still has many crossings."""


@dataclass(frozen=True, slots=True)
class CarState:
    """Where a car is and how it moves; ``speed_mps`` is along the heading."""

    x: float
    z: float
    yaw: float
    speed_mps: float

    @property
    def vx(self) -> float:
        """Velocity to the east, metres per second."""
        return self.speed_mps * math.sin(self.yaw)

    @property
    def vz(self) -> float:
        """Velocity to the south, metres per second."""
        return self.speed_mps * math.cos(self.yaw)


class Driver(Protocol):
    """Decides where a bot's car is. Called in this order: ``survey`` once, then ``place`` and ``step`` as they come."""

    def survey(self, size_m: float, zones: Sequence[Rect], land: Land | None = None) -> None:
        """The world became known (``welcome``), and its ``land`` if it is one that can be built here."""

    def place(self, pose: Pose, vx: float, vz: float) -> None:
        """The server moved the car (``placed``): go on from there."""

    def step(self, dt_s: float) -> CarState:
        """The car after ``dt_s`` more seconds: the next sample to send."""


class Roamer:
    """Drives from waypoint to waypoint without ever teleporting; everything it draws comes from ``rng``."""

    def __init__(self, rng: random.Random, vehicle: VehicleClass) -> None:
        self._rng = rng
        self.top_speed_mps = min(TOP_SPEED_MPS * rng.uniform(0.72, 1.0), 0.9 * vehicle.speed_cap_mps)
        self.accel_mps2 = min(ACCEL_MPS2, 0.8 * vehicle.accel_cap_mps2)
        self.car = CarState(0.0, 0.0, 0.0, 0.0)
        self.waypoint = (0.0, 0.0)
        self.arrivals = 0
        self._size_m = 0.0
        self._hot_spots: list[tuple[float, float]] = []

    def survey(self, size_m: float, zones: Sequence[Rect], land: Land | None = None) -> None:
        self._size_m = size_m
        self._hot_spots = hot_spots(size_m, zones)

    def place(self, pose: Pose, vx: float, vz: float) -> None:
        """Adopts the pose exactly, and as much of the speed as the car and the way to the world's edge allow."""
        along = vx * math.sin(pose.yaw) + vz * math.cos(pose.yaw)
        allowed = math.sqrt(2.0 * PLANNED_BRAKE_MPS2 * self._room_m(pose.x, pose.z, pose.yaw))
        self.car = CarState(pose.x, pose.z, pose.yaw, max(0.0, min(along, self.top_speed_mps, allowed)))
        self._draw_waypoint()

    def step(self, dt_s: float) -> CarState:
        """Steer, then speed up or brake, then roll. Within the caps above for every ``dt_s`` in 0 .. STEP_MAX_S."""
        assert self._size_m > 0.0, "call survey() before step()"
        dt_s = min(dt_s, STEP_MAX_S)
        car = self.car
        if math.hypot(self.waypoint[0] - car.x, self.waypoint[1] - car.z) < ARRIVED_M:
            self.arrivals += 1
            self._draw_waypoint()
        bearing = math.atan2(self.waypoint[0] - car.x, self.waypoint[1] - car.z)
        off_course = _turn(car.yaw, bearing)
        turn_most = min(TURN_RATE_MAX_RPS, CORNERING_MPS2 / max(car.speed_mps, 1.0)) * dt_s
        yaw = (car.yaw + max(-turn_most, min(turn_most, off_course))) % math.tau
        slowest = max(0.0, car.speed_mps - BRAKE_MPS2 * dt_s)
        stop_m = car.speed_mps * car.speed_mps / (2.0 * PLANNED_BRAKE_MPS2)
        if stop_m > self._room_m(car.x, car.z, yaw):  # too fast to turn towards the world's edge
            yaw = car.yaw
        wanted = self.top_speed_mps if abs(off_course) < 0.5 else APPROACH_MPS
        wanted = min(wanted, self._speed_limit_mps(yaw, dt_s))
        speed = max(slowest, min(wanted, car.speed_mps + self.accel_mps2 * dt_s))
        distance = 0.5 * (car.speed_mps + speed) * dt_s
        if speed == 0.0:  # it stopped within the step
            distance = min(distance, stop_m)
        self.car = CarState(car.x + math.sin(yaw) * distance, car.z + math.cos(yaw) * distance, yaw, speed)
        return self.car

    def _speed_limit_mps(self, yaw: float, dt_s: float) -> float:
        """The speed at the end of a step along ``yaw`` from which the car can still stop before the world's edge.

        Solves (way of the step) + v^2 / 2b = room for v; a car that keeps to it and to its heading never needs more
        than the planned brake.
        """
        room_m = self._room_m(self.car.x, self.car.z, yaw) - 0.5 * self.car.speed_mps * dt_s
        half_s = 0.5 * dt_s
        under_root = half_s * half_s + 2.0 * room_m / PLANNED_BRAKE_MPS2
        return max(0.0, PLANNED_BRAKE_MPS2 * (math.sqrt(max(0.0, under_root)) - half_s))

    def _room_m(self, x: float, z: float, yaw: float) -> float:
        """The way straight ahead to the world's edge."""
        room_m = 2.0 * self._size_m
        for at, outward in ((x, math.sin(yaw)), (z, math.cos(yaw))):
            room = (self._size_m - EDGE_M - at) if outward > 0.0 else at - EDGE_M
            if abs(outward) > 1e-9:
                room_m = min(room_m, max(0.0, room) / abs(outward))
        return room_m

    def _draw_waypoint(self) -> None:
        rng, margin = self._rng, min(WAYPOINT_MARGIN_M, self._size_m / 8)
        if rng.random() < HOT_SHARE:
            spots = [rng.choice(self._hot_spots) for _ in range(CANDIDATES)]
            x, z = min(spots, key=lambda spot: math.hypot(spot[0] - self.car.x, spot[1] - self.car.z))
            x, z = x + rng.uniform(-SPREAD_M, SPREAD_M), z + rng.uniform(-SPREAD_M, SPREAD_M)
        else:
            x, z = rng.uniform(0.0, self._size_m), rng.uniform(0.0, self._size_m)
        self.waypoint = _clamp(x, margin, self._size_m - margin), _clamp(z, margin, self._size_m - margin)


def hot_spots(size_m: float, zones: Sequence[Rect]) -> list[tuple[float, float]]:
    """Where bots meet: the corners of all zones and the middles of their sides, except where only the world ends.

    A world of one zone has no border; its centre is the meeting point then.
    """
    spots: set[tuple[float, float]] = set()
    for x0, z0, x1, z1 in zones:
        middle_x, middle_z = (x0 + x1) / 2, (z0 + z1) / 2
        for x in (x0, middle_x, x1):
            for z in (z0, middle_z, z1):
                inner_x, inner_z = x not in (0.0, middle_x, size_m), z not in (0.0, middle_z, size_m)
                if inner_x or inner_z:
                    spots.add((x, z))
    return sorted(spots) or [(size_m / 2, size_m / 2)]


def _turn(from_yaw: float, to_yaw: float) -> float:
    """The shorter way round, radians in -pi .. pi."""
    return (to_yaw - from_yaw + math.pi) % math.tau - math.pi


def _clamp(value: float, low: float, high: float) -> float:
    return max(low, min(high, value))
