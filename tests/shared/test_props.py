"""Props: where they must not stand, to which chunk they belong, and that only file, seed and place decide."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.world.frontage import DRY_CM
from shared.world.headings import heading
from shared.world.land import Land, land_of
from shared.world.prop_kinds import PROP_INDEX, PROP_KINDS
from shared.world.prop_table import PropTable
from shared.world.scatter import SQUARE_M
from shared.world.world import World
from tests.fakes.small_world import lands, small_land

F64 = NDArray[np.float64]


@pytest.fixture(scope="module")
def harbour() -> Land:
    return land_of(World("harbour", 1, 4096))


def columns(table: PropTable) -> list[tuple[int, ...]]:
    """The props as a list that can be compared."""
    rows = (table.kind, table.x_cm, table.y_cm, table.z_cm, table.yaw_mrad, table.scale_pct)
    return [tuple(row) for row in np.stack(rows, axis=-1).tolist()]


def outlines(table: PropTable, step_m: float = 0.5) -> tuple[F64, F64, F64]:
    """Points (x, z) on the outline and in the middle of every prop, and the prop's number."""
    xs, zs, owners = [], [], []
    x, z = table.position_m()
    half_w, half_d = table.half_sizes_m()
    ahead_x, ahead_z = heading(table.yaw_mrad / 1000.0)
    for number in range(len(table)):
        if PROP_KINDS[int(table.kind[number])].shape in ("circle", "none"):
            angle = np.linspace(0, 2 * np.pi, 12)
            across, along = np.cos(angle) * half_w[number], np.sin(angle) * half_w[number]
        else:
            wide = np.linspace(-1, 1, max(3, int(2 * half_w[number] / step_m))) * half_w[number]
            deep = np.linspace(-1, 1, max(3, int(2 * half_d[number] / step_m))) * half_d[number]
            sides = [(wide, np.full_like(wide, end)) for end in (deep[0], deep[-1])]
            sides += [(np.full_like(deep, end), deep) for end in (wide[0], wide[-1])]
            across = np.concatenate([side[0] for side in sides] + [np.zeros(1)])
            along = np.concatenate([side[1] for side in sides] + [np.zeros(1)])
        xs.append(x[number] + ahead_x[number] * along - ahead_z[number] * across)
        zs.append(z[number] + ahead_z[number] * along + ahead_x[number] * across)
        owners.append(np.full(len(across), number))
    return np.concatenate(xs), np.concatenate(zs), np.concatenate(owners)


def distance_to(x: F64, z: F64, segment: list[float]) -> F64:
    """Distance of points from one segment, by plain projection."""
    x0, z0, x1, z1 = segment
    length2 = (x1 - x0) ** 2 + (z1 - z0) ** 2
    along = 0.0 if length2 == 0 else np.clip(((x - x0) * (x1 - x0) + (z - z0) * (z1 - z0)) / length2, 0, 1)
    found: F64 = np.hypot(x - x0 - (x1 - x0) * along, z - z0 - (z1 - z0) * along)
    return found


def keep_off(land: Land) -> list[tuple[str, list[float], float]]:
    """(what, segment, metres that every prop's outline keeps off it), by the words of the design."""
    strips = [
        ("road", segment, half)
        for segment, half in zip(land.roads.ends_m().tolist(), land.roads.halves_m().tolist(), strict=True)
    ]
    for what in (*land.file.spawns, *land.file.kiosks):
        strips.append((what.id, [*what.at, *what.at], what.radius_m))
    for route in land.routes:
        strips += [(f"gate of {route.id}", gate, 0.5) for gate in route.gates_m.tolist()]
        strips += [(f"grid of {route.id}", [slot.x, slot.z, slot.x, slot.z], 1.5) for slot in route.grid]
    return strips


def assert_clear(land: Land, table: PropTable) -> None:
    x, z, owner = outlines(table)
    for what, (x0, z0, x1, z1), keep in keep_off(land):
        near = (np.abs(x - (x0 + x1) / 2) < 60) & (np.abs(z - (z0 + z1) / 2) < 60)
        if not near.any():
            continue
        distance = distance_to(x[near], z[near], [x0, z0, x1, z1])
        worst = int(np.argmin(distance))
        kind = PROP_KINDS[int(table.kind[int(owner[near][worst])])].name
        assert distance[worst] >= keep - 0.02, f"{kind} at {x[near][worst]:.1f}, {z[near][worst]:.1f} on {what}"


@settings(max_examples=20, deadline=None)
@given(land=lands())
def test_no_prop_stands_on_a_road_of_any_world(land: Land) -> None:
    everything = land.props.everywhere()
    if len(everything):
        assert_clear(land, everything)


def test_no_prop_stands_on_roads_spawns_kiosks_gates_or_grids() -> None:
    land = small_land()
    table = land.props.everywhere()
    without_marks = table.take(table.kind != PROP_INDEX["church"])
    assert len(without_marks) > 2000
    assert_clear(land, without_marks)


def test_nor_in_harbour(harbour: Land) -> None:
    built = harbour.props.built.table
    assert len(built) > 1500
    assert_clear(harbour, built)
    town = [(cx, cz) for cx in range(25, 42) for cz in range(29, 42)]
    assert_clear(harbour, harbour.props.place(np.array(town))[0])


def test_a_prop_belongs_to_the_one_chunk_in_which_it_stands(harbour: Land) -> None:
    side = harbour.chunks
    chunks = np.array([(cx, cz) for cz in range(side) for cx in range(side)])
    table, first = harbour.props.place(chunks)
    assert (first[0], first[-1]) == (0, len(table))
    cx, cz = table.chunk()
    owner = np.repeat(np.arange(len(chunks)), np.diff(first))
    assert (chunks[owner, 0] == cx).all()
    assert (chunks[owner, 1] == cz).all()
    assert len(set(columns(table))) == len(table), "no prop is there twice"
    assert sorted(columns(harbour.props.everywhere())) == sorted(columns(table))
    assert sorted(columns(table.take(np.isin(table.kind, _built())))) == sorted(columns(harbour.props.built.table))


def _built() -> list[int]:
    return [index for index, kind in enumerate(PROP_KINDS) if kind.role != "scatter"]


def test_no_two_things_that_grow_stand_at_the_same_place(harbour: Land) -> None:
    table = harbour.props.everywhere()
    grown = table.take(~np.isin(table.kind, _built()))
    squares = np.stack([grown.x_cm // (SQUARE_M * 100), grown.z_cm // (SQUARE_M * 100)], axis=-1)
    assert len(np.unique(squares, axis=0)) == len(grown)
    for at in (grown.x_cm, grown.z_cm):
        inner = at % (SQUARE_M * 100)
        assert inner.min() >= 100
        assert inner.max() < 700


def test_buildings_do_not_overlap(harbour: Land) -> None:
    """By sampled outlines, not by the formula that placed them."""
    table = harbour.props.built.table
    houses = table.take(np.isin(table.kind, [i for i, kind in enumerate(PROP_KINDS) if kind.role == "building"]))
    assert len(houses) > 600
    x, z, owner = outlines(houses, step_m=1.0)
    at_x, at_z = houses.position_m()
    half_w, half_d = houses.half_sizes_m()
    ahead_x, ahead_z = houses.heading()
    for number in range(len(houses)):
        near = (np.abs(x - at_x[number]) < 50) & (np.abs(z - at_z[number]) < 50) & (owner != number)
        along = (x[near] - at_x[number]) * ahead_x[number] + (z[near] - at_z[number]) * ahead_z[number]
        aside = (x[near] - at_x[number]) * -ahead_z[number] + (z[near] - at_z[number]) * ahead_x[number]
        inside = (np.abs(along) < half_d[number] - 0.05) & (np.abs(aside) < half_w[number] - 0.05)
        assert not inside.any()


def test_trees_keep_off_houses(harbour: Land) -> None:
    table = harbour.props.everywhere()
    built = harbour.props.built.table
    grown = table.take(~np.isin(table.kind, _built()))
    x, z = grown.position_m()
    at_x, at_z = built.position_m()
    half_w, half_d = built.half_sizes_m()
    ahead_x, ahead_z = built.heading()
    for number in range(0, len(built), 3):
        near = (np.abs(x - at_x[number]) < 30) & (np.abs(z - at_z[number]) < 30)
        along = np.abs((x[near] - at_x[number]) * ahead_x[number] + (z[near] - at_z[number]) * ahead_z[number])
        aside = np.abs((x[near] - at_x[number]) * -ahead_z[number] + (z[near] - at_z[number]) * ahead_x[number])
        assert not ((along < half_d[number] + 1) & (aside < half_w[number] + 1)).any()


def test_what_grows_stands_on_the_ground_and_on_land(harbour: Land) -> None:
    table = harbour.props.everywhere()
    grown = table.take(~np.isin(table.kind, _built()))
    assert (grown.y_cm == harbour.terrain.ground_cm(grown.x_cm, grown.z_cm)).all()
    reed = grown.kind == PROP_INDEX["reed"]
    assert grown.y_cm[~reed].min() >= 60
    assert reed.sum() > 100
    assert -40 <= grown.y_cm[reed].min() < 0 < grown.y_cm[reed].max() <= 80
    houses = harbour.props.built.table
    houses = houses.take(np.isin(houses.kind, [i for i, kind in enumerate(PROP_KINDS) if kind.role == "building"]))
    assert houses.y_cm.min() >= DRY_CM
    assert (houses.y_cm <= harbour.terrain.ground_cm(houses.x_cm, houses.z_cm)).all(), "no house stands on air"


@settings(max_examples=15, deadline=None)
@given(land=lands(), data=st.data())
def test_a_chunk_does_not_depend_on_what_is_asked_with_it(land: Land, data: st.DataObject) -> None:
    index = st.integers(0, land.chunks - 1)
    asked = data.draw(st.lists(st.tuples(index, index), min_size=1, max_size=20, unique=True))
    together, first = land.props.place(np.array(asked))
    for number, one in enumerate(asked):
        alone, _ = land.props.place(np.array([one]))
        assert columns(alone) == columns(together.take(slice(int(first[number]), int(first[number + 1]))))


def test_the_same_seed_places_the_same_and_another_otherwise() -> None:
    here, again, other = (columns(small_land(seed=seed).props.everywhere()) for seed in (7, 7, 8))
    assert here == again
    places, others = ({(row[1], row[3]) for row in rows} for rows in (here, other))
    assert len(places & others) < len(places) * 0.02, "neither the same kinds nor the same places"


def test_densities_are_those_of_the_file(harbour: Land) -> None:
    """Per hectare of wood: 52 pines and 26 oaks are asked for; roads, clearings and the sea take some."""
    table = harbour.props.everywhere()
    wood = next(number for number, biome in enumerate(harbour.biomes.entries) if biome.name == "wood")
    at = np.arange(800, 409600, 1600, dtype=np.int32)
    x, z = np.meshgrid(at, at)
    hectares = float((harbour.biomes.at(x.ravel(), z.ravel()) == wood).mean()) * harbour.size_m**2 / 10_000
    inside = table.take(harbour.biomes.at(table.x_cm, table.z_cm) == wood)
    pines, oaks = (int((inside.kind == PROP_INDEX[name]).sum()) / hectares for name in ("pine", "oak"))
    assert 40 < pines < 56
    assert 20 < oaks < 28


def test_clumping_makes_it_uneven() -> None:
    def spread(clumping: int) -> float:
        land = small_land(("clumping = 30", f"clumping = {clumping}"))
        table = land.props.everywhere()
        pine = table.take(table.kind == PROP_INDEX["pine"])
        counts = np.histogram2d(pine.x_cm, pine.z_cm, bins=(3, 3), range=((2e3, 24e3), (2e3, 24e3)))[0]
        return float(counts.std() / counts.mean())

    assert spread(100) > 2 * spread(0)


def test_rails_stand_above_water_and_slopes_only(harbour: Land) -> None:
    table = harbour.props.built.table
    rails = table.take(table.kind == PROP_INDEX["rail"])
    assert len(rails) > 300
    bridge = (np.abs(rails.x_cm - 143_000) < 10_000) & (np.abs(rails.z_cm - 273_000) < 6_000)
    assert bridge.sum() >= 30, "the long bridge has rails on both sides"
    flat = small_land(("step_m = 128", "step_m = 128\nroughness = 0"))
    unguarded = flat.props.built.table
    middle_of_town = (np.abs(unguarded.x_cm - 51_200) < 10_000) & (np.abs(unguarded.z_cm - 52_000) < 10_000)
    assert not (middle_of_town & (unguarded.kind == PROP_INDEX["rail"])).any()


def test_roads_can_be_without_rails(harbour: Land) -> None:
    assert not any(road.rails for road in harbour.roads.entries if road.id == "quay-street")


def test_an_open_world_has_no_props() -> None:
    land = Land.of(World("open", 1, 1024))
    assert len(land.props.everywhere()) == 0
