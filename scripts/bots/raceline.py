"""A route as a racing bot sees it: where it is along the course, how fast it may go there, which gates it passed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.world.course import CoursePoint
from shared.world.routes import Route

F64 = NDArray[np.float64]

PROFILE_STEP_M = 5.0
BEND_WINDOW_M = 20.0
"""A bend is measured over this length: roads are polylines, whose corners have no radius of their own."""
CORNERING_MPS2 = 5.0
TURN_RATE_RPS = 0.8
BRAKE_MPS2 = 5.0
SLOWEST_MPS = 4.0
BACK_M, AHEAD_M = 20.0, 60.0
"""Where the car is looked for, around where it was: more than the way of a late step at top speed."""


class RaceLine:
    """The course of a route. Positions are metres along it; on a circuit they go on from lap to lap."""

    def __init__(self, route: Route, top_mps: float) -> None:
        self.route = route
        self._course = route.course
        self._start_m = float(route.gate_at_m[0])
        self._end_m = self._start_m + route.lap_m if route.closed else route.course.length_m
        self._speeds = self._profile(top_mps)

    def point(self, at_m: float) -> CoursePoint:
        """The place on the middle of the road."""
        return self._course.point(self._folded(at_m))

    def speed_mps(self, at_m: float) -> float:
        """As fast as the bends ahead allow."""
        return float(np.interp(self._folded(at_m), np.arange(len(self._speeds)) * PROFILE_STEP_M, self._speeds))

    def at(self, x: float, z: float, near_m: float) -> float:
        """The position nearest to a place, looked for around ``near_m``."""
        offset = near_m - self._folded(near_m)
        course, local = self._course, near_m - offset
        best, found = math.inf, local
        for leg in range(course.leg_at(local - BACK_M), course.leg_at(local + AHEAD_M) + 1):
            (x0, z0), (x1, z1) = course.points_m[leg].tolist(), course.points_m[leg + 1].tolist()
            length = float(course.at_m[leg + 1] - course.at_m[leg])
            share = ((x - x0) * (x1 - x0) + (z - z0) * (z1 - z0)) / (length * length)
            share = min(1.0, max(0.0, share))
            off = math.hypot(x0 + (x1 - x0) * share - x, z0 + (z1 - z0) * share - z)
            if off < best:
                best, found = off, float(course.at_m[leg]) + share * length
        return found + offset

    def _folded(self, at_m: float) -> float:
        """The position within the course: on a circuit, beyond gate 0 it begins anew there."""
        if self.route.closed and at_m > self._end_m:
            return self._start_m + (at_m - self._start_m) % self.route.lap_m
        return at_m

    def _profile(self, top_mps: float) -> F64:
        """Speeds every PROFILE_STEP_M: what bends allow, and from where one has to brake for them."""
        count = int(self._course.length_m / PROFILE_STEP_M) + 1
        speeds = np.full(count, top_mps)
        for number in range(count):
            before = self._course.point(max(0.0, number * PROFILE_STEP_M - BEND_WINDOW_M / 2))
            after = self._course.point(min(self._course.length_m, number * PROFILE_STEP_M + BEND_WINDOW_M / 2))
            cos = before.ahead_x * after.ahead_x + before.ahead_z * after.ahead_z
            bend = math.acos(max(-1.0, min(1.0, cos))) / BEND_WINDOW_M
            if bend > 1e-6:
                speeds[number] = max(SLOWEST_MPS, min(top_mps, math.sqrt(CORNERING_MPS2 / bend), TURN_RATE_RPS / bend))
        if not self.route.closed:
            speeds[-1] = 0.0  # the road ends: stop on it
        for _ in range(2 if self.route.closed else 1):  # the second time round knows what comes behind the line
            if self.route.closed:
                ahead = int(self._start_m / PROFILE_STEP_M) + 1
                speeds[-1] = min(speeds[-1], speeds[min(ahead, count - 1)])
            for number in range(count - 2, -1, -1):
                reachable = math.sqrt(speeds[number + 1] ** 2 + 2.0 * BRAKE_MPS2 * PROFILE_STEP_M)
                speeds[number] = min(speeds[number], reachable)
        return speeds


@dataclass(frozen=True, slots=True)
class Crossed:
    """A gate was crossed forwards: its index over all laps, and when, as share of the step."""

    index: int
    share: float


class GateWatch:
    """Which gates a car has truly passed, in order."""

    def __init__(self, route: Route) -> None:
        self._gates = [tuple(gate) for gate in route.gates_m.tolist()]
        self.last = len(self._gates) * route.laps if route.closed else len(self._gates) - 1
        self.passed = 0

    def drove(self, x: float, z: float, to_x: float, to_z: float) -> list[Crossed]:
        """The gates crossed on a straight step; share 0 is its begin, which belongs to the step before."""
        crossed: list[Crossed] = []
        after = 0.0
        while self.passed <= self.last:
            share = crossing(self._gates[self.passed % len(self._gates)], x, z, to_x, to_z)
            if share is None or (crossed and share < after):
                break
            crossed.append(Crossed(self.passed, share))
            after = share
            self.passed += 1
        return crossed


def crossing(gate: tuple[float, ...], x: float, z: float, to_x: float, to_z: float) -> float | None:
    """Where on a step, 0 excluded and 1 included, a gate is crossed forwards; None: it is not."""
    ax, az, bx, bz = gate
    rx, rz, sx, sz = to_x - x, to_z - z, bx - ax, bz - az
    slope = rx * sz - rz * sx
    if slope <= 0.0:
        return None
    on_step = ((ax - x) * sz - (az - z) * sx) / slope
    on_gate = ((ax - x) * rz - (az - z) * rx) / slope
    return on_step if 0.0 < on_step <= 1.0 and 0.0 <= on_gate <= 1.0 else None
