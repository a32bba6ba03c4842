"""Where travellers are put: on the road beside the kiosk, never in each other."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from shard.land.arrivals import APART_M, PLACES_MAX, PROMISED_MS, Arrivals, places
from shared.world.land import Kiosk, Land, land_of
from shared.world.world import World
from tests.fakes.kiosk_world import kiosk_world
from tests.fakes.small_world import small_land

NOBODY = np.empty((0, 2))
LANDS = [kiosk_world(), World("harbour", 1, 4096)]


def kiosk_of(land: Land, name: str) -> Kiosk:
    [kiosk] = [kiosk for kiosk in land.kiosks if kiosk.id == name]
    return kiosk


@pytest.mark.parametrize("world", LANDS, ids=["small", "harbour"])
def test_every_kiosk_has_places_on_the_road_apart_from_each_other(world: World) -> None:
    land = land_of(world)
    for kiosk in land.kiosks:
        found = places(land, kiosk)
        assert len(found) == PLACES_MAX
        for one, other in itertools.combinations(found, 2):
            assert math.dist((one.x, one.z), (other.x, other.z)) >= APART_M
        for pose in found:
            road = land.graph.nearest(pose.x, pose.z)
            assert road is not None
            half_m = float(land.roads.halves_m()[road.piece])
            assert road.distance_m < half_m, f"{kiosk.id}: a car beside the road"
        assert found[0] == land.respawn(kiosk.x, kiosk.z, kiosk.yaw)


def test_arrivals_of_one_tick_stand_behind_each_other() -> None:
    land = land_of(kiosk_world())
    arrivals, kiosk = Arrivals(land), kiosk_of(land, "k-travel-a")
    given = [arrivals.place(kiosk, NOBODY, 1000.0) for _ in range(PLACES_MAX)]
    assert given == list(places(land, kiosk))


def test_a_place_with_a_car_on_it_is_passed_over_and_a_promise_ends() -> None:
    land = land_of(kiosk_world())
    arrivals, kiosk = Arrivals(land), kiosk_of(land, "k-travel-a")
    first, second = places(land, kiosk)[:2]
    assert arrivals.place(kiosk, np.array([[first.x + 1.0, first.z]]), 1000.0) == second
    assert arrivals.place(kiosk, NOBODY, 1000.0) == first
    assert arrivals.place(kiosk, NOBODY, 1001.0 + PROMISED_MS) == first


def test_where_all_are_taken_the_one_with_most_room_is_given() -> None:
    land = land_of(kiosk_world())
    kiosk = kiosk_of(land, "k-travel-a")
    found = places(land, kiosk)
    cars_m = np.array([(pose.x, pose.z) for pose in found])
    cars_m[5, 0] += 2.0
    assert Arrivals(land).place(kiosk, cars_m, 1000.0) == found[5]


def test_without_a_road_the_kiosks_own_circle_is_the_place() -> None:
    land = small_land()
    kiosk = kiosk_of(land, "k-travel-a")
    bare = land_of(World("open", 1, 1024))
    found = places(bare, kiosk)
    assert len(found) >= 2
    assert all(math.dist((pose.x, pose.z), (kiosk.x, kiosk.z)) <= kiosk.entry.radius_m for pose in found)
