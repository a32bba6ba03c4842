"""The division of the world: N rectangles that tile it, cut along chunk edges, of about equal load."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.constants import CHUNK_M, ZONES_MAX
from shared.world.zone_map import TooManyZones, ZoneMap

ANY_NUMBER = range(1, ZONES_MAX + 1)


def painted(zone_map: ZoneMap) -> NDArray[np.int64]:
    """How many rectangles cover each chunk, ``[cz, cx]``, by a plain loop over the rectangles."""
    chunks = zone_map.size_m // CHUNK_M
    cover = np.zeros((chunks, chunks), np.int64)
    for x0, z0, x1, z1 in (zone_map.rects_m / CHUNK_M).tolist():
        assert x0 == int(x0)
        assert z0 == int(z0)
        assert x1 == int(x1)
        assert z1 == int(z1)
        cover[int(z0) : int(z1), int(x0) : int(x1)] += 1
    return cover


def areas_m2(zone_map: ZoneMap) -> NDArray[np.float64]:
    x0, z0, x1, z1 = zone_map.rects_m.T
    area: NDArray[np.float64] = (x1 - x0) * (z1 - z0)
    return area


def assert_tiles(zone_map: ZoneMap, zones: int) -> None:
    assert zone_map.zones == zones
    assert (painted(zone_map) == 1).all(), "every chunk lies in exactly one rectangle"
    assert (areas_m2(zone_map) > 0).all()
    for zone, (x0, z0, x1, z1) in enumerate((zone_map.rects_m // CHUNK_M).astype(int).tolist()):
        assert (zone_map.zone_of_chunk[z0:z1, x0:x1] == zone).all()


@pytest.mark.parametrize("size_m", [512, 1024, 4096])
def test_any_number_of_zones_tiles_a_world_that_fits_them(size_m: int) -> None:
    for zones in ANY_NUMBER:
        assert_tiles(ZoneMap.split(size_m, zones), zones)


@settings(max_examples=60, deadline=None)
@given(
    chunks=st.integers(1, 12), zones=st.integers(1, ZONES_MAX), seed=st.integers(0, 2**32 - 1), power=st.integers(0, 8)
)
def test_any_load_gives_a_tiling_or_says_that_the_zones_do_not_fit(
    chunks: int, zones: int, seed: int, power: int
) -> None:
    load = np.random.default_rng(seed).random((chunks, chunks)) ** power
    try:
        zone_map = ZoneMap.split(chunks * CHUNK_M, zones, load)
    except TooManyZones:
        assert zones > 1
    else:
        assert zones <= chunks * chunks
        assert_tiles(zone_map, zones)


@pytest.mark.parametrize(("chunks", "zones"), [(3, 8), (3, 9), (5, 25), (7, 32)])
def test_a_world_with_a_chunk_for_every_zone_is_not_refused(chunks: int, zones: int) -> None:
    assert_tiles(ZoneMap.split(chunks * CHUNK_M, zones), zones)


def test_load_never_makes_a_world_too_small_that_is_large_enough_without() -> None:
    chunks, zones = 10, 44
    assert_tiles(ZoneMap.split(chunks * CHUNK_M, zones), zones)
    for seed in range(30):
        load = np.random.default_rng(seed).random((chunks, chunks)) ** 6
        assert_tiles(ZoneMap.split(chunks * CHUNK_M, zones, load), zones)


def test_a_power_of_two_of_zones_has_equal_areas() -> None:
    for zones in (1, 2, 4, 8, 16, 32, 64):
        assert len(set(areas_m2(ZoneMap.split(4096, zones)).tolist())) == 1


def test_areas_are_balanced_whatever_the_number() -> None:
    for zones in ANY_NUMBER:
        area = areas_m2(ZoneMap.split(4096, zones))
        assert area.max() <= 1.25 * area.mean(), f"{zones} zones"
        assert area.min() >= 0.75 * area.mean(), f"{zones} zones"


@pytest.mark.parametrize("zones", [2, 3, 8, 13, 64])
def test_zones_share_the_expected_load_not_the_area(zones: int) -> None:
    """A town in the south-west corner of an empty country."""
    cz, cx = np.mgrid[0:64, 0:64]
    load = np.exp(-((63 - cz) ** 2 + cx**2) / 500.0) + 0.01
    zone_map = ZoneMap.split(4096, zones, load)
    assert_tiles(zone_map, zones)
    per_zone = np.bincount(zone_map.zone_of_chunk.ravel(), load.ravel(), zones)
    assert per_zone.max() <= 1.35 * per_zone.mean()
    assert per_zone.min() >= 0.65 * per_zone.mean()
    assert areas_m2(zone_map).max() > 1.5 * areas_m2(zone_map).min(), "the load was not looked at"


def test_the_load_is_indexed_by_row_then_column() -> None:
    load = np.full((16, 16), 1e-6)
    load[:, 0] = 1.0  # everybody in the westernmost column
    x0, z0, x1, z1 = ZoneMap.split(1024, 2, load).rects_m[0].tolist()
    assert (x0, z0, x1, z1) == (0.0, 0.0, 64.0, 1024.0)


@settings(max_examples=60, deadline=None)
@given(zones=st.integers(1, ZONES_MAX), points=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=20))
def test_a_point_belongs_to_the_rectangle_that_contains_it(zones: int, points: list[tuple[float, float]]) -> None:
    zone_map = ZoneMap.split(1024, zones)
    inside = [(x * 1023.999, z * 1023.999) for x, z in points]
    corners = [(x, z) for x0, z0, _, _ in zone_map.rects_m.tolist() for x, z in ((x0, z0),)]
    for x, z in inside + corners:
        owners = [
            zone for zone, (x0, z0, x1, z1) in enumerate(zone_map.rects_m.tolist()) if x0 <= x < x1 and z0 <= z < z1
        ]
        assert owners == [zone_map.zone_of_point(x, z)]


def test_points_outside_the_world_count_as_on_its_edge() -> None:
    zone_map = ZoneMap.split(1024, 7)
    along = np.linspace(0.0, 1023.9, 50)
    west, north = np.full(50, -30.0), np.full(50, -0.001)
    east, south = np.full(50, 1024.0), np.full(50, 9000.0)
    edge, first = np.full(50, 1023.9), np.zeros(50)
    assert (zone_map.zone_at(west, along) == zone_map.zone_at(first, along)).all()
    assert (zone_map.zone_at(east, along) == zone_map.zone_at(edge, along)).all()
    assert (zone_map.zone_at(along, north) == zone_map.zone_at(along, first)).all()
    assert (zone_map.zone_at(along, south) == zone_map.zone_at(along, edge)).all()


@pytest.mark.parametrize(("size_m", "zones"), [(64, 2), (128, 5), (448, 50), (448, 64)])
def test_more_zones_than_chunks_are_refused_with_the_fix_in_the_text(size_m: int, zones: int) -> None:
    with pytest.raises(TooManyZones) as refusal:
        ZoneMap.split(size_m, zones)
    text = str(refusal.value)
    assert text.startswith(f"{zones} zones do not fit a world of {size_m} m")
    assert "use fewer --zones" in text


@pytest.mark.parametrize("zones", [0, -1, ZONES_MAX + 1])
def test_zones_out_of_range_are_refused(zones: int) -> None:
    with pytest.raises(ValueError, match=f"1 to {ZONES_MAX}, not {zones}"):
        ZoneMap.split(4096, zones)


@pytest.mark.parametrize("size_m", [0, 63, 100, -64])
def test_a_world_that_is_no_multiple_of_a_chunk_is_refused(size_m: int) -> None:
    with pytest.raises(ValueError, match=f"multiple of {CHUNK_M} m, not {size_m}"):
        ZoneMap.split(size_m, 1)


def test_the_same_split_is_the_same_to_the_last_byte() -> None:
    load = np.random.default_rng(3).random((64, 64))
    one, other = ZoneMap.split(4096, 23, load), ZoneMap.split(4096, 23, load)
    assert one.rects_m.tobytes() == other.rects_m.tobytes()
    assert one.zone_of_chunk.tobytes() == other.zone_of_chunk.tobytes()
