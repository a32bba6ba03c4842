"""A bot on the roads of a known world: on the road all the way, within its car's means, and never at rest for long."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.bots.driver import BRAKE_MPS2, CarState
from scripts.bots.road_driver import Local, RoadDriver, Trail, TrailFollower, known_land
from shared.messages import WorldInfo
from shared.vehicles import VEHICLES, VehicleClass
from shared.world.land import land_of
from shared.world.solids import Solids
from shared.world.world import Pose, World

STEP_S = 0.05
HARBOUR = World("harbour", 1, 4096)


@pytest.fixture(scope="module")
def solids() -> Solids:
    return Solids.of(land_of(HARBOUR).props.everywhere(), HARBOUR.size_m)


def info(world: World, hash_: str | None = None) -> WorldInfo:
    return WorldInfo(world.preset, world.seed, world.size_m, 64, hash_ or world.hash)


def test_only_the_very_same_world_is_known() -> None:
    assert known_land(info(HARBOUR)) is land_of(HARBOUR)
    assert known_land(info(HARBOUR, "0" * 16)) is None
    assert known_land(WorldInfo("somewhere", 1, 4096, 64, "0" * 16)) is None


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), spawn=st.integers(0, 200), vehicle=st.sampled_from(VEHICLES))
def test_a_local_drives_on_roads_within_its_cars_means(
    solids: Solids, seed: int, spawn: int, vehicle: VehicleClass
) -> None:
    driver = Local(random.Random(seed), vehicle)
    driver.survey(4096.0, [(0.0, 0.0, 4096.0, 4096.0)], land_of(HARBOUR))
    pose = HARBOUR.spawn(spawn)
    driver.place(pose, 0.0, 0.0)
    cars = [CarState(pose.x, pose.z, pose.yaw, 0.0)] + [driver.step(STEP_S) for _ in range(1200)]
    x, z = np.array([[car.x, car.z] for car in cars]).T
    assert solids.first_hits(x[:-1], z[:-1], x[1:], z[1:])[1].max() == -1, "it drove through something"
    for before, after in pairwise(cars):
        assert math.dist((before.x, before.z), (after.x, after.z)) <= after.speed_mps * STEP_S + 1e-6
        assert after.speed_mps - before.speed_mps <= vehicle.accel_cap_mps2 * STEP_S + 1e-9
    assert math.dist((x[0], z[0]), (x[-1], z[-1])) + np.abs(np.diff(x)).sum() > 100.0, "a minute on the road"


@given(
    points=st.lists(st.tuples(st.floats(0, 500), st.floats(0, 500)), min_size=1, max_size=8),
    top_mps=st.floats(6.0, 60.0),
)
def test_a_follower_arrives_and_brakes_in_time_for_every_bend(
    points: list[tuple[float, float]], top_mps: float
) -> None:
    trail = Trail.through(points, top_mps)
    follower = TrailFollower(trail, top_mps, 5.0)
    speed = 0.0
    for _ in range(200_000):
        if follower.arrived:
            break
        leg = trail.leg(follower.at_m)
        car = follower.step(STEP_S)
        assert car.speed_mps >= speed - BRAKE_MPS2 * STEP_S - 1e-9
        if trail.leg(follower.at_m) > leg:  # a bend was passed in this step
            assert car.speed_mps <= max(trail.limit_mps[leg + 1 : trail.leg(follower.at_m) + 1]) + 5.0 * STEP_S + 0.6
        speed = car.speed_mps
    assert follower.arrived
    assert math.dist((car.x, car.z), trail.points[-1]) < 1e-6


def test_where_there_are_no_roads_a_local_roams() -> None:
    driver = Local(random.Random(1), VEHICLES[0])
    driver.survey(512.0, [(0.0, 0.0, 512.0, 512.0)], land_of(World("open", 1, 512)))
    driver.place(Pose(100.0, 0.0, 100.0, 0.0), 0.0, 0.0)
    assert not isinstance(driver._driver, RoadDriver)
    assert driver.step(STEP_S).speed_mps > 0.0
