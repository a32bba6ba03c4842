"""Racing bots: honest drivers keep within their caps and pass every gate; the others do what they are meant to."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.bots.race_book import RaceEntry
from scripts.bots.raceline import GateWatch, RaceLine, crossing
from scripts.bots.racer import BRAKE_MPS2, ON_SLOT_M, STEER_RPS, Conduct, Racer
from shared.vehicles import VehicleClass
from shared.world.land import Land
from shared.world.routes import Route
from shared.world.world import Pose
from tests.fakes.small_world import small_land

START_MS = 10_000.0
STEP_S = 0.05


@pytest.fixture(scope="module")
def land() -> Land:
    return small_land()


class Drive:
    """One racer on its own, at 20 Hz."""

    def __init__(self, land: Land, route: int, conduct: Conduct = Conduct.HONEST, slot: int = 0, seed: int = 1) -> None:
        self.route: Route = land.routes[route]
        self.vehicle: VehicleClass = land.vehicles[0]
        self.entry = RaceEntry("p")
        self.now_ms = 0.0
        rng = random.Random(seed)
        self.racer = Racer(rng, self.vehicle, self.route, self.entry, lambda: self.now_ms, conduct)
        grid = self.route.grid[slot]
        self.pose = Pose(grid.x, 0.0, grid.z, grid.yaw)

    def step(self) -> None:
        self.now_ms += 1000.0 * STEP_S
        self.racer.step(STEP_S)

    def run(self, seconds: float) -> None:
        """Until it has finished and stands, or the time is over."""
        until_ms = self.now_ms + 1000.0 * seconds
        while self.now_ms < until_ms and not (self.finished and self.racer.car.speed_mps == 0.0):
            before = self.racer.car
            self.step()
            car, cap = self.racer.car, self.vehicle
            assert car.speed_mps <= 0.95 * cap.speed_cap_mps
            gained = car.speed_mps - before.speed_mps
            assert -BRAKE_MPS2 * STEP_S - 1e-9 <= gained <= 0.85 * cap.accel_cap_mps2 * STEP_S
            way = math.dist((car.x, car.z), (before.x, before.z))
            assert way <= max(car.speed_mps, before.speed_mps) * STEP_S + 1e-9, "it drove every metre"
            turned = abs((car.yaw - before.yaw + math.pi) % math.tau - math.pi)
            assert turned <= STEER_RPS * STEP_S + 1e-9

    @property
    def finished(self) -> bool:
        return len(self.entry.truth_ms) == self.last + 1

    @property
    def last(self) -> int:
        gates = len(self.route.gates_m)
        return gates * self.route.laps if self.route.closed else gates - 1


def started(drive: Drive) -> Drive:
    drive.racer.place(drive.pose, 0.0, 0.0)
    drive.entry.start_ms = START_MS
    return drive


@pytest.mark.parametrize("route", [0, 1, 2], ids=["dash", "round", "by-gates"])
@pytest.mark.parametrize("slot", [0, 1])
def test_an_honest_racer_passes_every_gate_in_order(land: Land, route: int, slot: int) -> None:
    drive = started(Drive(land, route, slot=slot))
    while drive.now_ms < START_MS:
        drive.step()
        assert math.dist((drive.racer.car.x, drive.racer.car.z), (drive.pose.x, drive.pose.z)) < ON_SLOT_M
    drive.run(400.0)
    assert drive.finished
    assert drive.entry.truth_ms == sorted(drive.entry.truth_ms)
    assert drive.entry.truth_ms[0] > START_MS
    assert drive.racer.car.speed_mps == 0.0, "it stops behind the finish"
    assert not drive.entry.disturbed


def test_it_waits_without_a_start_and_before_it_is_on_the_grid(land: Land) -> None:
    drive = Drive(land, 0)
    drive.entry.start_ms = 0.0
    drive.racer.place(Pose(500.0, 0.0, 500.0, 0.0), 0.0, 0.0)
    drive.run(5.0)
    assert (drive.racer.car.x, drive.racer.car.z) == (500.0, 500.0)
    drive.racer.place(drive.pose, 0.0, 0.0)
    drive.entry.start_ms = None
    drive.run(5.0)
    assert (drive.racer.car.x, drive.racer.car.z) == (drive.pose.x, drive.pose.z)


def test_a_false_start_leaves_the_slot_early_and_finishes(land: Land) -> None:
    drive = started(Drive(land, 0, Conduct.FALSE_START))
    while drive.now_ms < START_MS - 100.0:
        drive.step()
    moved_m = math.dist((drive.racer.car.x, drive.racer.car.z), (drive.pose.x, drive.pose.z))
    assert moved_m > 1.5, "what the zone calls a false start"
    drive.run(400.0)
    assert drive.finished


def test_who_skips_a_gate_passes_all_before_it_and_none_after(land: Land) -> None:
    drive = started(Drive(land, 0, Conduct.SKIP_GATE))
    drive.run(200.0)
    assert len(drive.entry.truth_ms) == len(drive.route.gates_m) // 2
    assert drive.racer.has_strayed


@pytest.mark.parametrize("conduct", [Conduct.SKIP_GATE, Conduct.BACKWARDS])
def test_nobody_has_strayed_while_it_passes_gates_forwards(land: Land, conduct: Conduct) -> None:
    drive = started(Drive(land, 0, conduct))
    while not drive.racer.has_strayed:
        passed, at_m = len(drive.entry.truth_ms), drive.racer.at_m
        drive.step()
    assert len(drive.entry.truth_ms) == passed > 0
    if conduct is Conduct.BACKWARDS:
        assert drive.racer.at_m < at_m
    honest = started(Drive(land, 0))
    honest.run(200.0)
    assert not honest.racer.has_strayed


def test_who_turns_back_passes_two_gates_and_no_more_than_it_needs_to_brake(land: Land) -> None:
    drive = started(Drive(land, 0, Conduct.BACKWARDS))
    drive.run(200.0)
    assert 2 <= len(drive.entry.truth_ms) <= 3
    assert drive.racer.at_m < float(drive.route.gate_at_m[0]), "it is back behind the start"


def test_who_is_put_back_where_it_was_knows_what_it_has_passed_since_does_not_count(land: Land) -> None:
    drive = started(Drive(land, 0))
    poses = []
    while len(drive.entry.truth_ms) < 3:
        drive.step()
        poses.append((drive.racer.car, list(drive.entry.truth_ms)))
    car, truth = next(pose for pose in reversed(poses) if len(pose[1]) == 1)
    held_ms = drive.now_ms = drive.now_ms + 20_000.0
    drive.racer.place(Pose(car.x, 0.0, car.z, car.yaw), car.vx, car.vz)
    assert (drive.entry.truth_ms, drive.entry.disturbed) == (truth, False)
    drive.run(400.0)
    assert drive.finished
    assert drive.entry.truth_ms[1] > held_ms, "the gates are passed once more"
    assert not drive.entry.disturbed


def test_who_does_not_know_the_time_waits_and_misses_no_gate(land: Land) -> None:
    """After a reconnect the clock is unknown for a step or two."""
    drive = started(Drive(land, 0))
    while len(drive.entry.truth_ms) < 2:
        drive.step()
    car, now_ms = drive.racer.car, drive.now_ms
    drive.now_ms = math.nan
    drive.racer.place(Pose(car.x, 0.0, car.z, car.yaw), car.vx, car.vz)
    drive.step()
    drive.now_ms = now_ms + 3000.0
    drive.step()
    assert drive.racer.car == car
    drive.run(400.0)
    assert drive.finished
    assert drive.entry.truth_ms[2] > now_ms + 3000.0
    assert not any(math.isnan(each) for each in drive.entry.truth_ms)
    assert not drive.entry.disturbed


def test_a_server_made_move_while_racing_spoils_the_truth(land: Land) -> None:
    drive = started(Drive(land, 0))
    drive.run(15.0)
    car = drive.racer.car
    drive.racer.place(Pose(car.x - 3.0, 0.0, car.z, car.yaw), 0.0, 0.0)
    assert drive.entry.disturbed


def test_speeds_leave_room_to_brake_for_every_bend(land: Land) -> None:
    line = RaceLine(land.routes[1], 50.0)
    speeds = [line.speed_mps(5.0 * number) for number in range(int(land.routes[1].course.length_m / 5.0))]
    assert max(speeds) <= 50.0
    assert min(speeds) < 15.0, "there are bends"
    for slower, faster in zip(speeds[1:], speeds, strict=False):
        assert faster * faster <= slower * slower + 2.0 * 5.0 * 5.0 + 1e-6


def test_positions_go_on_over_laps(land: Land) -> None:
    route = land.routes[1]
    line = RaceLine(route, 50.0)
    gate_m = float(route.gate_at_m[1])
    here, next_lap = line.point(gate_m), line.point(gate_m + route.lap_m)
    assert (here.x, here.z) == pytest.approx((next_lap.x, next_lap.z), abs=1e-6)
    assert line.at(here.x, here.z, gate_m + route.lap_m - 5.0) == pytest.approx(gate_m + route.lap_m, abs=1e-6)


# --- gates, against exact arithmetic

WHOLE = st.integers(-20, 20)
POINTS = st.tuples(WHOLE, WHOLE)


@given(POINTS, POINTS, POINTS, POINTS)
def test_a_gate_is_crossed_where_exact_arithmetic_says(
    a: tuple[int, int], b: tuple[int, int], p: tuple[int, int], q: tuple[int, int]
) -> None:
    (ax, az), (bx, bz), (x, z), (to_x, to_z) = a, b, p, q
    rx, rz, sx, sz = to_x - x, to_z - z, bx - ax, bz - az
    slope = rx * sz - rz * sx
    exact = None
    if slope > 0:
        on_step = Fraction((ax - x) * sz - (az - z) * sx, slope)
        on_gate = Fraction((ax - x) * rz - (az - z) * rx, slope)
        if 0 < on_step <= 1 and 0 <= on_gate <= 1:
            exact = on_step
    found = crossing((ax, az, bx, bz), x, z, to_x, to_z)
    assert found == (None if exact is None else float(exact))


def test_two_gates_in_one_step_count_in_order_and_a_missed_one_stops_all(land: Land) -> None:
    watch = GateWatch(land.routes[0])
    ways = [tuple(gate) for gate in land.routes[0].gates_m.tolist()]
    middles = [((ax + bx) / 2, (az + bz) / 2) for ax, az, bx, bz in ways]
    (x0, z0), (x1, z1) = middles[0], middles[1]
    crossed = watch.drove(x0 - 0.2 * (x1 - x0), z0 - 0.2 * (z1 - z0), x1 + 0.1 * (x1 - x0), z1 + 0.1 * (z1 - z0))
    assert [each.index for each in crossed] == [0, 1]
    assert crossed[0].share < crossed[1].share
    (x3, z3), (x4, z4) = middles[3], middles[4]
    assert watch.drove(x3 - 0.2 * (x4 - x3), z3 - 0.2 * (z4 - z3), x4, z4) == [], "gate 2 comes first"
