"""Honest cars are honest: within their caps at every step, and never inside or through anything solid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.fair.cars import BODY_M, BRAKE_MPS2, GAP_M, GRIP_MPS2, SHARE, STEP_S, Cars
from scripts.fair.proving_ground import EDGE_M, ProvingGround
from shared.vehicles import VEHICLES

CARS = 60
ROUNDING = 1e-6


@pytest.fixture(scope="module")
def ground() -> ProvingGround:
    """Small and full: a car meets something every second or two."""
    return ProvingGround.build(5, size_m=512, walls=14, houses=8, poles=20)


def some_cars(ground: ProvingGround, seed: int, body_m: float = BODY_M) -> Cars:
    rng = np.random.default_rng(seed)
    return Cars.make(ground, rng.integers(0, 3, CARS).astype(np.uint8), rng, body_m)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), body_m=st.sampled_from([BODY_M, 0.1, 0.0]))
def test_no_step_is_beyond_any_cap(ground: ProvingGround, seed: int, body_m: float) -> None:
    cars = some_cars(ground, seed, body_m)
    moving = np.ones(CARS, np.bool_)
    for _ in range(240):
        x, z, vx, vz = cars.x, cars.z, cars.vx, cars.vz
        speed = np.hypot(vx, vz)
        contacts = cars.contacts
        cars.step(moving)
        faster = np.hypot(cars.vx, cars.vz)
        assert (faster <= cars.top_mps + ROUNDING).all()
        assert (faster - speed <= cars.accel_mps2 * STEP_S + ROUNDING).all()
        assert (np.hypot(cars.x - x, cars.z - z) <= cars.top_mps * STEP_S + 3 * GAP_M).all()
        assert (np.minimum(cars.x, cars.z) >= EDGE_M).all()
        assert (np.maximum(cars.x, cars.z) <= ground.size_m - EDGE_M).all()
        if cars.contacts == contacts:  # nobody hit anything: tyres and brakes explain every change
            rolls = (speed > 5.0) & (cars.x > EDGE_M) & (cars.z > EDGE_M)
            rolls &= (cars.x < ground.size_m - EDGE_M) & (cars.z < ground.size_m - EDGE_M)
            change = np.hypot(cars.vx - vx, cars.vz - vz)[rolls]
            assert (speed - faster <= BRAKE_MPS2 * STEP_S + ROUNDING)[rolls].all()
            most_mps2 = np.hypot(GRIP_MPS2, max(each.accel_cap_mps2 for each in VEHICLES))
            assert (change <= 1.03 * most_mps2 * STEP_S).all(), "3 %: it speeds up while it turns"


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31), body_m=st.sampled_from([BODY_M, 0.1, 0.0]))
def test_no_car_is_ever_in_or_through_a_solid(ground: ProvingGround, seed: int, body_m: float) -> None:
    cars = some_cars(ground, seed, body_m)
    moving = np.ones(CARS, np.bool_)
    for _ in range(400):
        x, z = cars.x, cars.z
        cars.step(moving)
        share, _ = ground.static.solids.first_hits(x, z, cars.x, cars.z, body_m)
        assert not (share <= 1.0).any()
    assert cars.contacts > 50, "they met something"


def test_cars_drive_fast_and_get_along(ground: ProvingGround) -> None:
    """What makes the table worth something. A few are caught between walls that cross; they turn and try."""
    cars = some_cars(ground, 3)
    moving = np.ones(CARS, np.bool_)
    fastest, came_m = np.zeros(CARS), np.zeros(CARS)
    for _ in range(60 * 60):
        x, z = cars.x, cars.z
        cars.step(moving)
        came_m += np.hypot(cars.x - x, cars.z - z)
        fastest = np.maximum(fastest, np.hypot(cars.vx, cars.vz))
    assert (fastest > 0.5 * cars.top_mps).mean() > 0.9
    assert (came_m > 100.0).mean() > 0.9
    assert np.median(came_m) > 600.0


def test_cars_reach_what_their_class_may_do() -> None:
    ground = ProvingGround.build(1, size_m=2048, walls=0, houses=0, poles=0)
    cars = some_cars(ground, 4)
    for _ in range(60 * 40):
        cars.step(np.ones(CARS, np.bool_))
    speed = np.hypot(cars.vx, cars.vz)
    assert (speed > 0.999 * cars.top_mps).mean() > 0.3
    assert np.isin(cars.top_mps, [SHARE * each.speed_cap_mps for each in VEHICLES]).all()


def test_who_does_not_move_stays(ground: ProvingGround) -> None:
    cars = some_cars(ground, 6)
    for _ in range(30):
        cars.step(np.ones(CARS, np.bool_))
    still = np.arange(CARS) % 2 == 0
    x, vx = cars.x.copy(), cars.vx.copy()
    for _ in range(10):
        cars.step(~still)
    assert (cars.x[still] == x[still]).all()
    assert (cars.vx[still] == vx[still]).all()
    assert (cars.x[~still] != x[~still]).any()


def test_a_car_is_where_it_is_placed_with_the_speed_it_is_given(ground: ProvingGround) -> None:
    cars = some_cars(ground, 7)
    cars.place(3, 100.0, 120.0, 5.0, -2.0)
    assert (cars.x[3], cars.z[3], cars.vx[3], cars.vz[3]) == (100.0, 120.0, 5.0, -2.0)


def test_points_that_are_called_free_are(ground: ProvingGround) -> None:
    x, z = ground.free_points(200, 2.0, np.random.default_rng(1))
    assert ground.is_free(x, z, 2.0).all()


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_what_is_not_called_near_is_out_of_reach_of_a_step(ground: ProvingGround, seed: int) -> None:
    x, z = np.random.default_rng(seed).uniform(0.0, ground.size_m, (2, 500))
    far = ~ground.is_near(x, z)
    reach_m = BODY_M + max(each.speed_cap_mps for each in VEHICLES) * STEP_S
    assert ground.is_free(x[far], z[far], reach_m).all()
