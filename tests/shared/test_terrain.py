"""Heights: golden, the same in every form of asking, continuous over chunk edges, level on roads, dry on roads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.world import noise
from shared.world.chunks import make_chunks
from shared.world.land import Land, land_of
from shared.world.relief import Relief
from shared.world.roads import ABOVE_WATER_CM, PIECE_M
from shared.world.terrain import SHOULDER_CM, Terrain, _near_pieces
from shared.world.world import World
from tests import golden_world
from tests.fakes.chunk_ground import height_cm, lattice, value_noise
from tests.fakes.small_world import lands, small_land


@pytest.fixture(scope="module")
def harbour() -> Land:
    return land_of(World("harbour", 1, 4096))


@pytest.fixture(scope="module")
def small() -> Land:
    return small_land()


@pytest.mark.parametrize("turn", range(len(golden_world.SEEDS)))
def test_heights_and_hashes_are_the_golden_ones(turn: int) -> None:
    """Equal on every machine and for good; tests/node holds the TypeScript twin to the same file."""
    golden = golden_world.read()[turn]
    rows = golden_world.rows(turn)
    assert len(rows) == len(golden) == 500
    assert [row[1:] for row in rows] == [row[1:] for row in golden], "heights changed: see tests/golden_world.py"
    assert [row[0] for row in rows] == [row[0] for row in golden], "chunks changed: see tests/golden_world.py"


def test_the_vectorised_heights_are_those_of_a_plain_loop_that_stays_within_32_bits(harbour: Land) -> None:
    rng = np.random.default_rng(5)
    town_and_hills = [(cx, cz) for cz in range(2, 62, 4) for cx in range(1, 63, 4)]
    for chunk in make_chunks(harbour, town_and_hills):
        inside = rng.integers(0, 6401, (8, 2)) + np.array([chunk.cx * 6400, chunk.cz * 6400])
        heights = harbour.terrain.ground_cm(inside[:, 0], inside[:, 1])
        assert heights.tolist() == [height_cm(chunk.payload(), x, z) for x, z in inside.tolist()]


@settings(max_examples=25, deadline=None)
@given(land=lands(), data=st.data())
def test_neighbouring_chunks_agree_on_their_common_edge(land: Land, data: st.DataObject) -> None:
    """Each computes the edge from its own numbers and roads alone, and so does the whole world."""
    index = st.integers(0, land.chunks - 2)
    cx, cz = data.draw(index), data.draw(index)
    here, east, south = (chunk.payload() for chunk in make_chunks(land, [(cx, cz), (cx + 1, cz), (cx, cz + 1)]))
    for along in data.draw(st.lists(st.integers(0, 6400), min_size=12, max_size=12)):
        for x, z, other in (
            ((cx + 1) * 6400, cz * 6400 + along, east),
            (cx * 6400 + along, (cz + 1) * 6400, south),
        ):
            one, two = height_cm(here, x, z), height_cm(other, x, z)
            assert one == two == int(land.terrain.ground_cm(np.array(x), np.array(z)))


@settings(max_examples=20, deadline=None)
@given(land=lands(), seed=st.integers(0, 2**31))
def test_the_ground_has_no_steps(land: Land, seed: int) -> None:
    """10 cm further the ground is hardly ever more than 20 cm higher, and every step above has its reason.

    A bank of b cm rises over the verge: its share of b grows by at most 1/44 in 10 cm (1.5 of the easing, times the
    growth of the cover at the outer edge of the narrowest road). And where roads of different height stand over one
    another without a common node there is no smooth ground between them: a step is at most their difference.
    """
    rng = np.random.default_rng(seed)
    x, z = rng.integers(0, land.size_m * 100 - 10, (2, 4000)).astype(np.int32)
    here = land.terrain.ground_cm(x, z)
    beside = [(x + np.int32(10), z), (x, z + np.int32(10))]
    steps = np.abs(np.stack([land.terrain.ground_cm(*there) - here for there in beside]))
    assert np.quantile(steps, 0.99) <= 20
    for axis, point in np.argwhere(steps > 20).tolist():
        other_x, other_z = beside[axis]
        bank_cm, between_cm = _bank_and_difference(land, [(x[point], z[point]), (other_x[point], other_z[point])])
        assert steps[axis, point] <= 20 + bank_cm // 44 + between_cm, (x[point], z[point])


def _bank_and_difference(land: Land, points: list[tuple[np.int32, np.int32]]) -> tuple[int, int]:
    """How far the roads that shape the ground at ``points`` lie above or below the relief, and from one another, cm."""
    beds: list[int] = []
    for x, z in points:
        every = np.arange(land.roads.pieces, dtype=np.int32)
        _, bed_cm, cover = _near_pieces(np.full(len(every), x), np.full(len(every), z), land.roads, every)
        beds += bed_cm[cover > 0].tolist()
    if not beds:
        return 0, 0
    reliefs = [int(land.terrain.relief.ground_cm(np.array([x]), np.array([z]))[0]) for x, z in points]
    return max(abs(bed - relief) for bed in beds for relief in reliefs), max(beds) - min(beds)


def test_scalars_arrays_and_shapes_give_the_same(small: Land) -> None:
    terrain = small.terrain
    x, z = np.meshgrid(np.arange(0, 102401, 3413), np.arange(0, 102401, 3413))
    heights = terrain.ground_cm(x, z)
    assert heights.shape == x.shape
    assert heights.dtype == np.int32
    assert (terrain.ground_cm(x.astype(np.int32), z.astype(np.int32)) == heights).all()
    assert (terrain.ground_cm(x.astype(np.float64), z.astype(np.uint32)) == heights).all()
    assert (terrain.ground_cm(x.ravel(), z.ravel()) == heights.ravel()).all()
    assert (terrain.ground_cm(x[:1], z[:, :1]) == heights).all(), "broadcast"
    for row, column in ((0, 0), (5, 17), (30, 30)):
        single = terrain.ground_cm(np.array(x[row, column]), np.array(z[row, column]))
        assert single.shape == ()
        assert single == heights[row, column]
    assert len(terrain.ground_cm(np.zeros(0), np.zeros(0))) == 0
    at = terrain.ground_cm(np.array([51200]), np.array([52000]))
    assert terrain.ground_m(np.array([511.996]), np.array([520.004]))[0] == at[0] / 100.0


def test_more_points_than_fit_in_one_go(small: Land) -> None:
    rng = np.random.default_rng(2)
    x, z = rng.integers(0, 102400, (2, 40_000)).astype(np.int32)
    whole = small.terrain.ground_cm(x, z)
    part = slice(16_000, 17_500)
    assert (small.terrain.ground_cm(x[part], z[part]) == whole[part]).all()


def test_beyond_the_map_the_ground_goes_on_as_at_its_edge(small: Land) -> None:
    inside = small.terrain.ground_cm(np.array([0, 102400, 5000]), np.array([700, 102400, 0]))
    outside = small.terrain.ground_cm(np.array([-5, 999_999_999, 5000]), np.array([700, 2**40, -(2**40)]))
    assert (inside == outside).all()


def test_the_lattice_of_heights_for_zones(small: Land) -> None:
    posts = small.terrain.posts_cm(4)
    assert posts.shape == (257, 257)
    assert posts.dtype == np.int16
    assert posts[130, 128] == small.terrain.ground_cm(np.array(51200), np.array(52000))


def test_a_road_is_level_across_and_as_high_as_its_posts(harbour: Land) -> None:
    roads, graph = harbour.roads, harbour.graph
    near_junction = graph.degree()[roads.piece_posts] != 2
    plain = np.flatnonzero(~near_junction.any(axis=1) & (graph.lengths_m > 12.0))
    x0, z0, x1, z1 = roads.ends_m()[plain].T
    length = graph.lengths_m[plain]
    right_x, right_z = -(z1 - z0) / length, (x1 - x0) / length
    middle_x, middle_z = (x0 + x1) / 2, (z0 + z1) / 2
    centre = harbour.terrain.ground_m(middle_x, middle_z)
    posts = roads.post_y_cm[roads.piece_posts[plain]]
    assert np.abs(centre * 100.0 - posts.mean(axis=1)).max() <= 2.0
    lone = _without_other_roads_near(harbour, plain)
    for share in (-0.95, -0.5, 0.5, 0.95):
        off = roads.halves_m()[plain] * share
        side = harbour.terrain.ground_m(middle_x + right_x * off, middle_z + right_z * off)
        tilt = np.abs(side - centre)[lone]
        assert np.quantile(tilt, 0.99) <= 0.12, "metres of height from the middle to the edge of a road"
        assert tilt.max() <= 0.45, "in hairpins the way up lies beside the way down"


def _without_other_roads_near(land: Land, pieces: NDArray[np.intp]) -> list[int]:
    """Positions in ``pieces`` whose middle has no road of another name within 40 m."""
    lone = []
    middles = land.roads.ends_m()[pieces].reshape(-1, 2, 2).mean(axis=1)
    ends = land.roads.ends_m().reshape(-1, 2, 2).mean(axis=1)
    for number, middle in enumerate(middles):
        near = ((ends - middle) ** 2).sum(axis=1) < 40.0**2
        if len(set(land.roads.piece_road[near].tolist())) == 1:
            lone.append(number)
    return lone


def test_roads_stay_above_the_water(harbour: Land) -> None:
    """The long bridge crosses the river mouth on a bank."""
    assert harbour.roads.post_y_cm.min() >= ABOVE_WATER_CM
    bridge = next(number for number, road in enumerate(harbour.roads.entries) if road.id == "long-bridge")
    posts = harbour.roads.piece_posts[list(harbour.roads.road_pieces[bridge])].ravel()
    x, z = harbour.roads.post_cm[posts].T
    assert harbour.terrain.relief.ground_cm(x, z).min() < -200, "there is water under it"
    assert harbour.terrain.ground_cm(x, z).min() >= ABOVE_WATER_CM - 2
    assert (harbour.terrain.surface_cm(x, z) >= 0).all()


def test_pieces_are_as_short_as_32_bits_need(harbour: Land) -> None:
    assert harbour.graph.lengths_m.max() <= PIECE_M
    assert harbour.graph.lengths_m.min() > 0.5
    assert SHOULDER_CM == 100


def test_another_seed_is_another_ground_over_the_same_relief(small: Land) -> None:
    x, z = np.meshgrid(np.arange(0, 102400, 1600, dtype=np.int32), np.arange(0, 102400, 1600, dtype=np.int32))
    other = small_land(seed=8).terrain
    here, there = small.terrain.ground_cm(x, z), other.ground_cm(x, z)
    assert (small_land().terrain.ground_cm(x, z) == here).all()
    assert (here != there).mean() > 0.8
    assert np.abs(here - there).max() < 2500, "metres of bumps, not another world"


def test_no_roughness_and_no_relief_is_the_plain_of_the_open_world(small: Land) -> None:
    x = np.arange(0, 102400, 977, dtype=np.int32)
    bare = small_land(("step_m = 128", "step_m = 128\nroughness = 0")).terrain.relief
    assert (bare.ground_cm(x, x[::-1]) == bare.sheet_cm(x, x[::-1])).all()
    plain = Land.of(World("open", 3, 1024)).terrain
    assert (plain.ground_cm(x, x[::-1]) == 0).all()
    assert (Terrain(Relief.flat(3, 960), None).ground_cm(x, x) == 0).all()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    x=st.integers(-(2**24), 2**24),
    z=st.integers(-(2**24), 2**24),
    bits=st.integers(10, 14),
)
def test_noise_is_the_same_in_numpy_and_in_whole_numbers(seed: int, x: int, z: int, bits: int) -> None:
    def one(value: int) -> NDArray[np.int32]:
        return np.array([value], np.int32)

    assert (noise.lattice_hash(seed, one(x), one(z)) >> np.uint32(16)).astype(np.int32) - 32768 == lattice(seed, x, z)
    assert noise.value_noise(seed, one(x), one(z), bits) == value_noise(seed, x, z, bits)


def test_noise_fills_its_range_evenly() -> None:
    x, z = np.meshgrid(np.arange(512, dtype=np.int32), np.arange(512, dtype=np.int32))
    hashed = noise.lattice_hash(1, x, z)
    assert len(np.unique(hashed)) > 512 * 512 * 0.9999
    for bit in range(32):
        share = float(((hashed >> np.uint32(bit)) & np.uint32(1)).mean())
        assert abs(share - 0.5) < 0.01
    waves = noise.bumps(1, x * 997, z * 997)
    assert -32768 <= waves.min() < -16000
    assert 16000 < waves.max() <= 32767
    assert abs(float(waves.mean())) < 1500


@pytest.mark.parametrize("value", [-16384, 16384])
def test_the_highest_and_lowest_relief_do_not_overflow(value: int) -> None:
    relief = Relief(1, 1024, 128, 300, np.full((10, 10), value, np.int32))
    x = np.arange(0, 102401, 173, dtype=np.int32)
    assert (relief.sheet_cm(x, x[::-1]) == value).all()
    assert np.abs(relief.ground_cm(x, x[::-1]).astype(np.int64) - value).max() <= 3 * (60 + 2048)
