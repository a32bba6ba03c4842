"""The roaming driver: smooth within its caps, inside the world, on its way to places where bots meet."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.bots.driver import (
    BRAKE_MPS2,
    CORNERING_MPS2,
    EDGE_M,
    STEP_MAX_S,
    TURN_RATE_MAX_RPS,
    Rect,
    Roamer,
    hot_spots,
)
from scripts.bots.truth import BorderCrossings
from shared.vehicles import VEHICLES
from shared.world.world import Pose
from shared.world.zone_map import ZoneMap


def zones_of(size_m: int, zones: int) -> list[Rect]:
    return [(float(r[0]), float(r[1]), float(r[2]), float(r[3])) for r in ZoneMap.split(size_m, zones).rects_m]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    vehicle=st.sampled_from(VEHICLES),
    size_m=st.sampled_from([64, 128, 512, 4096]),
    at=st.tuples(st.floats(0.05, 0.95), st.floats(0.05, 0.95)),
    yaw=st.floats(0.0, 6.28),
    velocity=st.tuples(st.floats(-80, 80), st.floats(-80, 80)),
    steps=st.lists(st.sampled_from([0.0, 0.001, 0.033, 0.05, 0.05, 0.1, STEP_MAX_S, 3.0]), min_size=200, max_size=400),
)
def test_every_step_is_within_the_cars_caps_and_the_world(seed, vehicle, size_m, at, yaw, velocity, steps):  # type: ignore[no-untyped-def]
    driver = Roamer(random.Random(seed), vehicle)
    driver.survey(size_m, zones_of(size_m, 1 if size_m == 64 else 4))
    driver.place(Pose(at[0] * size_m, 0.0, at[1] * size_m, yaw), *velocity)
    before = driver.car
    for dt_s in steps:
        car = driver.step(dt_s)
        dt_s = min(dt_s, STEP_MAX_S)  # noqa: PLW2901
        assert EDGE_M - 1e-6 <= car.x <= size_m - EDGE_M + 1e-6
        assert EDGE_M - 1e-6 <= car.z <= size_m - EDGE_M + 1e-6
        assert 0.0 <= car.speed_mps <= min(driver.top_speed_mps, vehicle.speed_cap_mps)
        assert -BRAKE_MPS2 * dt_s - 1e-9 <= car.speed_mps - before.speed_mps <= driver.accel_mps2 * dt_s + 1e-9
        assert math.dist((car.x, car.z), (before.x, before.z)) <= max(car.speed_mps, before.speed_mps) * dt_s + 1e-9
        turned = abs((car.yaw - before.yaw + math.pi) % math.tau - math.pi)
        assert turned <= TURN_RATE_MAX_RPS * dt_s + 1e-9
        assert turned * before.speed_mps <= CORNERING_MPS2 * dt_s + 1e-9
        before = car


@pytest.mark.parametrize("seed", range(5))
def test_a_roamer_arrives_again_and_again_and_crosses_borders(seed: int) -> None:
    zones = zones_of(1024, 8)
    driver = Roamer(random.Random(seed), VEHICLES[0])
    driver.survey(1024, zones)
    driver.place(Pose(300.0, 0.0, 700.0, 1.0), 0.0, 0.0)
    crossings = BorderCrossings(zones)
    crossings.placed(300.0, 700.0)
    fastest = 0.0
    for _ in range(20 * 180):
        car = driver.step(0.05)
        crossings.drove(car.x, car.z)
        fastest = max(fastest, car.speed_mps)
    assert driver.arrivals >= 10, "waypoints are reached, not orbited"
    assert crossings.count >= 3
    assert fastest > 20.0


def test_the_same_seed_drives_the_same_journey() -> None:
    def journey() -> list[tuple[float, float]]:
        driver = Roamer(random.Random(7), VEHICLES[1])
        driver.survey(512, zones_of(512, 4))
        driver.place(Pose(100.0, 0.0, 100.0, 0.0), 0.0, 0.0)
        return [(car.x, car.z) for car in (driver.step(0.05) for _ in range(400))]

    assert journey() == journey()


def test_placed_is_adopted_exactly() -> None:
    driver = Roamer(random.Random(1), VEHICLES[0])
    driver.survey(512, zones_of(512, 4))
    driver.place(Pose(200.0, 3.0, 250.0, math.pi / 2), 10.0, 0.0)
    assert (driver.car.x, driver.car.z, driver.car.yaw) == (200.0, 250.0, math.pi / 2)
    assert driver.car.speed_mps == pytest.approx(10.0)
    assert driver.car.vx == pytest.approx(10.0)
    assert driver.car.vz == pytest.approx(0.0, abs=1e-9)


def test_hot_spots_lie_on_borders_and_not_on_the_worlds_edge_alone() -> None:
    spots = hot_spots(128, [(0, 0, 64, 128), (64, 0, 128, 128)])
    assert spots == [(64.0, 0.0), (64.0, 64.0), (64.0, 128.0)]
    assert hot_spots(64, [(0, 0, 64, 64)]) == [(32.0, 32.0)]


def test_a_crossing_counts_beyond_the_band_once_and_never_by_being_placed() -> None:
    crossings = BorderCrossings([(0, 0, 64, 64), (64, 0, 128, 64)], band_m=8.0)
    crossings.placed(60.0, 30.0)
    assert [crossings.drove(x, 30.0) for x in (63.0, 66.0, 72.0, 72.5, 70.0, 60.0, 55.5, 50.0)] == [
        False, False, False, True, False, False, True, False,
    ]  # fmt: skip
    crossings.placed(100.0, 30.0)
    assert not crossings.drove(101.0, 30.0)
    assert crossings.count == 2
