"""The arrays that go to the zones say the same as the land that they are made from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.world.ground_grid import STEP_MIN_M, GroundGrid, step_for
from shared.world.land import Land, land_of
from shared.world.static_world import StaticWorld
from shared.world.world import WORLD_SIZE_MAX_M, World


@pytest.fixture(scope="module")
def harbour() -> Land:
    return land_of(World("harbour", 1, 4096))


@pytest.fixture(scope="module")
def static(harbour: Land) -> StaticWorld:
    return StaticWorld.of(harbour)


def test_the_way_through_columns_changes_nothing(static: StaticWorld) -> None:
    back = StaticWorld.of_columns(static.size_m, static.columns())
    assert back.columns().keys() == static.columns().keys()
    for name, column in static.columns().items():
        assert np.array_equal(column, back.columns()[name]), name
    x0, z0 = np.random.default_rng(1).uniform(0, 4096, (2, 500))
    one, other = (each.solids.first_hits(x0, z0, x0 + 30, z0) for each in (static, back))
    assert np.array_equal(one[0], other[0])
    assert np.array_equal(one[1], other[1])


def test_on_posts_the_ground_is_the_terrain_and_water_is_level(harbour: Land, static: StaticWorld) -> None:
    step = static.ground.step_m
    x, z = (axis.ravel() for axis in np.meshgrid(np.arange(0.0, 4097.0, step * 8), np.arange(0.0, 4097.0, step * 8)))
    exact = np.maximum(harbour.terrain.ground_m(x, z), 0.0)
    assert np.array_equal(static.ground.height_m(x, z), exact)
    assert (exact == 0.0).any(), "harbour has water"


def test_between_posts_the_ground_is_near_the_terrain(harbour: Land, static: StaticWorld) -> None:
    x, z = np.random.default_rng(2).uniform(0, 4096, (2, 20_000))
    off = np.abs(static.ground.height_m(x, z) - np.maximum(harbour.terrain.ground_m(x, z), 0.0))
    assert np.quantile(off, 0.99) < 0.1
    assert off.max() < 1.5, "AIRBORNE_M counts on it"


@given(x=st.floats(-1e6, 1e6), z=st.floats(-1e6, 1e6))
def test_level_ground_is_level_to_the_last_bit_everywhere(x: float, z: float) -> None:
    assert GroundGrid.level(1024, 250).height_m(np.array([x]), np.array([z])).tolist() == [2.5]


def test_a_larger_world_has_wider_steps_not_more_posts() -> None:
    assert [step_for(size_m) for size_m in (64, 4096, 8192, 8256, WORLD_SIZE_MAX_M)] == [4, 4, 4, 8, 32]
    assert STEP_MIN_M == 4


def test_the_route_table_holds_every_gate_of_every_route_in_order(harbour: Land, static: StaticWorld) -> None:
    table = static.routes
    assert len(table) == len(harbour.routes) == 5
    for index, route in enumerate(harbour.routes):
        part = slice(table.starts[index], table.starts[index + 1])
        assert np.array_equal(table.gates_m[part], route.gates_m)
        assert np.array_equal(table.gate_at_m[part], route.gate_at_m)
        assert (table.closed[index], table.laps[index], table.lap_m[index]) == (route.closed, route.laps, route.lap_m)


def test_an_empty_world_has_nothing_in_the_way() -> None:
    empty = StaticWorld.empty(512, 120)
    share, which = empty.solids.first_hits(np.array([1.0]), np.array([1.0]), np.array([500.0]), np.array([500.0]))
    assert (share.tolist(), which.tolist(), len(empty.routes)) == ([np.inf], [-1], 0)
