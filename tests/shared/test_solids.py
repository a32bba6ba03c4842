"""Solids: the shapes of the chunks' props, found by any segment that touches them, touched exactly where they are."""

from __future__ import annotations

import math
from dataclasses import fields
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.world.chunks import make_chunks
from shared.world.footprints import boxes_overlap
from shared.world.land import Land, land_of
from shared.world.prop_kinds import PROP_INDEX, PROP_KINDS
from shared.world.prop_table import BOX, CIRCLE, WALL, PropTable
from shared.world.solids import CELL_M, NEVER, Solids
from shared.world.world import World
from tests.fakes.small_world import small_land

F64 = NDArray[np.float64]
SIZE_M = 256
CLOSE = Fraction(1, 10**9)


@pytest.fixture(scope="module")
def small() -> Land:
    return small_land()


def props(rows: list[tuple[str, float, float, int, int]]) -> PropTable:
    """Props from (kind, x, z in metres, yaw in milliradians, scale in per cent)."""
    columns = [
        [PROP_INDEX[row[0]] for row in rows],
        [round(row[1] * 100) for row in rows],
        [0] * len(rows),
        [round(row[2] * 100) for row in rows],
        [row[3] for row in rows],
        [row[4] for row in rows],
    ]
    return PropTable(*(np.array(column, np.int32) for column in columns))


def one(value: float) -> F64:
    return np.array([value])


def touch(solids: Solids, number: int, segment: tuple[float, float, float, float], grow_m: float = 0.0) -> float:
    """``first_touch`` of one segment and one solid."""
    x0, z0, x1, z1 = (one(end) for end in segment)
    return float(solids.first_touch(np.array([number], np.int32), x0, z0, x1, z1, grow_m)[0])


def exactly(solids: Solids, number: int, segment: tuple[float, float, float, float]) -> tuple[bool, bool, Fraction]:
    """In rational arithmetic: (touches, too close to call in floating point, the share at which it enters)."""
    x0, z0, x1, z1 = map(Fraction, segment)
    x, z = Fraction(float(solids.x[number])), Fraction(float(solids.z[number]))
    half_w, half_d = Fraction(float(solids.half_w[number])), Fraction(float(solids.half_d[number]))
    px, pz, dx, dz = x0 - x, z0 - z, x1 - x0, z1 - z0
    if solids.shape[number] == CIRCLE:
        square, towards, outside = dx * dx + dz * dz, px * dx + pz * dz, px * px + pz * pz - half_w * half_w
        if outside <= 0:
            return True, False, Fraction(0)
        nearest = min(max(-towards / square, Fraction(0)), Fraction(1)) if square else Fraction(0)
        off_x, off_z = px + dx * nearest, pz + dz * nearest
        gap = off_x * off_x + off_z * off_z - half_w * half_w
        if gap > 0:
            return False, gap < CLOSE, Fraction(2)
        root = Fraction(math.sqrt(towards * towards - square * outside))
        return True, gap > -CLOSE, (-towards - root) / square
    ahead_x, ahead_z = Fraction(float(solids.ahead_x[number])), Fraction(float(solids.ahead_z[number]))
    enter, leave, edge = Fraction(0), Fraction(1), Fraction(1)
    for axis_x, axis_z, half in ((ahead_x, ahead_z, half_d), (-ahead_z, ahead_x, half_w)):
        start, step = px * axis_x + pz * axis_z, dx * axis_x + dz * axis_z
        edge = min(edge, abs(abs(start) - half))
        if step == 0:
            if abs(start) > half:
                enter = Fraction(2)
            continue
        first, second = sorted(((-half - start) / step, (half - start) / step))
        enter, leave = max(enter, first), min(leave, second)
    return enter <= leave, abs(enter - leave) < CLOSE or edge < CLOSE, enter


KINDS = st.sampled_from(["pine", "boulder", "house", "warehouse", "rail", "silo"])
COORDINATE = st.integers(8000, 12000).map(lambda cm: cm / 100)
PROP = st.tuples(KINDS, COORDINATE, COORDINATE, st.integers(0, 6283), st.integers(50, 150))
SEGMENT = st.tuples(*[st.one_of(COORDINATE, st.floats(80, 120))] * 4)


@settings(max_examples=300, deadline=None)
@given(prop=PROP, segment=SEGMENT)
def test_a_segment_touches_where_rational_arithmetic_says(
    prop: tuple[str, float, float, int, int], segment: tuple[float, float, float, float]
) -> None:
    solids = Solids.of(props([prop]), SIZE_M)
    touches, too_close, share = exactly(solids, 0, segment)
    got = touch(solids, 0, segment)
    if not too_close:
        assert (got < NEVER) == touches
    if touches and got < NEVER and not too_close:
        assert 0.0 <= got <= 1.0
        assert abs(got - float(share)) < 1e-9


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(PROP, max_size=25),
    segments=st.lists(SEGMENT, min_size=1, max_size=15),
    grow_m=st.sampled_from([0.0, 1.5]),
)
def test_first_hits_are_those_of_a_plain_loop(
    rows: list[tuple[str, float, float, int, int]], segments: list[tuple[float, float, float, float]], grow_m: float
) -> None:
    solids = Solids.of(props(rows), SIZE_M)
    x0, z0, x1, z1 = np.array(segments).T
    share, which = solids.first_hits(x0, z0, x1, z1, grow_m)
    for number, segment in enumerate(segments):
        touches = [touch(solids, solid, segment, grow_m) for solid in range(len(solids))]
        best = min(touches, default=NEVER)
        assert share[number] == best
        assert which[number] == (touches.index(best) if best < NEVER else -1)


def test_candidates_miss_nothing_and_name_each_pair_once(small: Land) -> None:
    solids = Solids.of(small.props.everywhere(), small.size_m)
    rng = np.random.default_rng(4)
    x0, z0 = rng.uniform(0, small.size_m, (2, 500))
    x1, z1 = x0 + rng.uniform(-60, 60, 500), z0 + rng.uniform(-60, 60, 500)
    segment, solid = solids.candidates(x0, z0, x1, z1)
    pairs = set(zip(segment.tolist(), solid.tolist(), strict=True))
    assert len(pairs) == len(segment)
    every = np.arange(len(solids), dtype=np.int32)
    touched = 0
    for number in range(len(x0)):
        ends = np.repeat(np.array([[x0[number], z0[number], x1[number], z1[number]]]), len(every), axis=0).T
        hit = np.flatnonzero(solids.first_touch(every, ends[0], ends[1], ends[2], ends[3]) < NEVER)
        assert {(number, other) for other in hit.tolist()} <= pairs
        touched += len(hit)
    assert touched > 50
    assert len(segment) < 500 * 100, "far fewer than all"


@settings(max_examples=60, deadline=None)
@given(prop=PROP)
def test_a_solid_is_filed_wherever_it_reaches(prop: tuple[str, float, float, int, int]) -> None:
    """A point just inside each of its corners, or on its rim, finds it."""
    solids = Solids.of(props([prop]), SIZE_M)
    x, z, ahead_x, ahead_z = (float(column[0]) for column in (solids.x, solids.z, solids.ahead_x, solids.ahead_z))
    half_w, half_d = float(solids.half_w[0]) * 0.999, float(solids.half_d[0]) * 0.999
    corners = [(wide * half_w, deep * half_d) for wide in (-1, 1) for deep in (-1, 1)]
    if solids.shape[0] == CIRCLE:
        corners = [(half_w * math.cos(angle), half_w * math.sin(angle)) for angle in range(7)]
    for wide, deep in corners:
        at_x, at_z = one(x + ahead_x * deep - ahead_z * wide), one(z + ahead_z * deep + ahead_x * wide)
        assert len(solids.candidates(at_x, at_z, at_x, at_z)[0]) == 1


def test_solids_are_the_solid_props_that_chunks_list(small: Land) -> None:
    solids = Solids.of(small.props.everywhere(), small.size_m)
    side = range(small.chunks)
    listed = [
        row for chunk in make_chunks(small, [(cx, cz) for cz in side for cx in side]) for row in chunk.payload().props
    ]
    solid = [row for row in listed if PROP_KINDS[PROP_INDEX[row.kind]].shape != "none"]
    assert len(solids) == len(solid) < len(listed)
    want = sorted((row.x, row.z) for row in solid)
    assert sorted(zip(solids.x.tolist(), solids.z.tolist(), strict=True)) == want
    by_place = {(row.x, row.z): row for row in solid}
    for number in range(0, len(solids), 7):
        row = by_place[float(solids.x[number]), float(solids.z[number])]
        kind = PROP_KINDS[PROP_INDEX[row.kind]]
        shape = {"circle": CIRCLE, "box": BOX, "wall": WALL}[kind.shape]
        assert solids.shape[number] == shape
        assert solids.half_w[number] == (0.0 if shape == WALL else pytest.approx(kind.half_width_m * row.scale))
        assert (float(solids.ahead_x[number]), float(solids.ahead_z[number])) == pytest.approx(
            (math.sin(row.yaw), math.cos(row.yaw)), abs=1e-15
        )


def test_columns_are_ready_for_shared_memory(small: Land) -> None:
    solids = Solids.of(small.props.everywhere(), small.size_m)
    for field in fields(solids):
        column = getattr(solids, field.name)
        if isinstance(column, np.ndarray):
            assert column.flags.c_contiguous
            assert column.dtype in (np.int8, np.float64)
            assert column.shape == (len(solids),)
    assert solids.grid.starts.dtype == solids.grid.items.dtype == np.int32
    assert solids.grid.cells == small.size_m / CELL_M
    assert np.isfinite(solids.x).all()


def test_the_roads_of_harbour_are_free_from_end_to_end() -> None:
    """A car of 2 m that keeps to its lane meets nothing solid on any road."""
    land = land_of(World("harbour", 1, 4096))
    solids = Solids.of(land.props.everywhere(), land.size_m)
    x0, z0, x1, z1 = land.roads.ends_m().T
    length, lane = land.graph.lengths_m, land.roads.halves_m() / 2
    for side in (-1.0, 0.0, 1.0):
        off_x, off_z = -(z1 - z0) / length * lane * side, (x1 - x0) / length * lane * side
        share, which = solids.first_hits(x0 + off_x, z0 + off_z, x1 + off_x, z1 + off_z, grow_m=1.0)
        assert (which == -1).all(), f"piece {int(np.argmin(share))}"


def test_a_path_through_the_town_is_not() -> None:
    land = land_of(World("harbour", 1, 4096))
    solids = Solids.of(land.props.everywhere(), land.size_m)
    share, which = solids.first_hits(one(1700.0), one(2200.0), one(2500.0), one(2205.0))
    assert which[0] >= 0
    assert 0.0 < share[0] < 1.0
    assert solids.shape[which[0]] in (BOX, CIRCLE)


EDGE_CASES = [
    ("silo", (90.0, 100.0, 97.0, 100.0), 1.0, "ends on the edge of a disc"),
    ("silo", (90.0, 100.0, 96.99, 100.0), NEVER, "ends just before it"),
    ("silo", (97.0, 100.0, 90.0, 100.0), 0.0, "starts on the edge and leaves"),
    ("boulder", (100.5, 100.0, 120.0, 100.0), 0.0, "starts inside"),
    ("boulder", (100.5, 100.0, 100.5, 100.0), 0.0, "stands still inside"),
    ("boulder", (97.0, 100.0, 97.0, 100.0), NEVER, "stands still outside"),
    ("boulder", (103.0, 100.0, 120.0, 100.0), NEVER, "drives away"),
    ("house", (80.0, 100.0, 120.0, 100.0), 0.375, "straight through a box 10 m wide"),
    ("house", (80.0, 104.0, 120.0, 104.0), 0.375, "along its front"),
    ("house", (80.0, 104.1, 120.0, 104.1), NEVER, "along its front, outside"),
    ("house", (101.0, 101.0, 102.0, 101.0), 0.0, "inside"),
    ("rail", (99.0, 101.0, 101.0, 101.0), 0.5, "across a wall"),
    ("rail", (99.0, 102.0, 101.0, 102.0), 0.5, "through its very end"),
    ("rail", (99.0, 102.01, 101.0, 102.01), NEVER, "past its end"),
    ("rail", (100.0, 90.0, 100.0, 110.0), 0.4, "along a wall"),
    ("rail", (100.1, 90.0, 100.1, 110.0), NEVER, "beside a wall"),
    ("rail", (99.0, 101.0, 99.9, 101.0), NEVER, "stops before it"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "segment", "share", "what"), EDGE_CASES, ids=[case[3] for case in EDGE_CASES])
def test_edges(kind: str, segment: tuple[float, float, float, float], share: float, what: str) -> None:
    solids = Solids.of(props([(kind, 100.0, 100.0, 0, 100)]), SIZE_M)
    assert touch(solids, 0, segment) == pytest.approx(share), what


def test_growing_gives_a_car_its_width() -> None:
    solids = Solids.of(props([("rail", 100.0, 100.0, 0, 100), ("pine", 120.0, 100.0, 0, 100)]), SIZE_M)
    assert touch(solids, 0, (100.9, 90.0, 100.9, 110.0)) == NEVER
    assert touch(solids, 0, (100.9, 90.0, 100.9, 110.0), grow_m=1.0) == pytest.approx(0.35)
    assert touch(solids, 1, (121.2, 90.0, 121.2, 110.0)) == NEVER
    assert touch(solids, 1, (121.2, 90.0, 121.2, 110.0), grow_m=1.0) < NEVER


def test_no_solids_no_hits() -> None:
    solids = Solids.of(PropTable.empty(), SIZE_M)
    share, which = solids.first_hits(one(1.0), one(1.0), one(9.0), one(9.0))
    assert (share[0], which[0]) == (NEVER, -1)
    assert len(solids) == 0


@settings(max_examples=200, deadline=None)
@given(
    boxes=st.lists(
        st.tuples(st.floats(-10, 10), st.floats(-10, 10), st.floats(0, 6.28), st.floats(0.5, 6), st.floats(0.5, 6)),
        min_size=2,
        max_size=2,
    )
)
def test_boxes_overlap_when_a_point_is_in_both(boxes: list[tuple[float, float, float, float, float]]) -> None:
    """Against a grid of points of the first box; touching within 10 cm may be told either way."""
    (x, z, yaw, half_w, half_d), (other_x, other_z, other_yaw, other_w, other_d) = boxes

    def box(x: float, z: float, yaw: float, half_w: float, half_d: float) -> list[F64]:
        return [one(each) for each in (x, z, math.sin(yaw), math.cos(yaw), half_w, half_d)]

    told = bool(boxes_overlap(*box(*boxes[0]), *box(*boxes[1]))[0])
    wide, deep = np.meshgrid(np.linspace(-half_w, half_w, 61), np.linspace(-half_d, half_d, 61))
    at_x = x + math.sin(yaw) * deep - math.cos(yaw) * wide - other_x
    at_z = z + math.cos(yaw) * deep + math.sin(yaw) * wide - other_z
    along = np.abs(at_x * math.sin(other_yaw) + at_z * math.cos(other_yaw))
    aside = np.abs(-at_x * math.cos(other_yaw) + at_z * math.sin(other_yaw))
    if ((along < other_d) & (aside < other_w)).any():
        assert told
    elif told:
        shrunk = [
            box(x, z, yaw, half_w - 0.2, half_d - 0.2),
            box(other_x, other_z, other_yaw, other_w - 0.2, other_d - 0.2),
        ]
        assert not boxes_overlap(*shrunk[0], *shrunk[1])[0]
