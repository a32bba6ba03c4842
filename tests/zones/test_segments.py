"""Gate crossings against rational arithmetic, on paths that were laid out to make rounding decide."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from zones import segments
from zones.segments import crossings, distance_m, is_later, shares, turn

Point = tuple[float, float]
Gate = tuple[float, float, float, float]

CENTIMETRES = st.integers(0, 6_553_600).map(lambda cm: cm / 100.0)
BORDERS = st.integers(0, 1024).map(lambda chunk: 64.0 * chunk)
"""Cells and zones end here."""
PLACES = CENTIMETRES | BORDERS | st.floats(0.0, 65536.0)
POINTS = st.tuples(PLACES, PLACES)
GATES = st.tuples(CENTIMETRES, CENTIMETRES, CENTIMETRES, CENTIMETRES).filter(lambda gate: gate[:2] != gate[2:])
NUDGES = st.integers(-3, 3)
SHARES = st.sampled_from([-0.5, 0.0, 0.25, 1 / 3, 0.5, 0.7, 1.0, 1.5]) | st.floats(-1.0, 2.0)


def nudged(value: float, steps: int) -> float:
    """A few representable numbers further."""
    for _ in range(abs(steps)):
        value = math.nextafter(value, math.copysign(math.inf, steps))
    return max(value, 0.0)


@st.composite
def near_a_gate(draw: st.DrawFn, gate: Gate) -> Point:
    """A point that is hard to place: on the gate's line, at an end, a last bit beside it, or anywhere."""
    ax, az, bx, bz = gate
    kind = draw(st.sampled_from(["line", "end", "near", "anywhere"]))
    if kind == "anywhere":
        return draw(POINTS)
    if kind == "near":
        return max(ax + draw(st.floats(-3, 3)), 0.0), max(az + draw(st.floats(-3, 3)), 0.0)
    share = draw(SHARES) if kind == "line" else draw(st.sampled_from([0.0, 1.0]))
    x, z = (bx, bz) if share == 1.0 else (ax + share * (bx - ax), az + share * (bz - az))
    return nudged(max(x, 0.0), draw(NUDGES)), nudged(max(z, 0.0), draw(NUDGES))


@st.composite
def paths_by_a_gate(draw: st.DrawFn, points: int = 2) -> tuple[Gate, list[Point]]:
    gate = draw(GATES)
    return gate, [draw(near_a_gate(gate)) for _ in range(points)]


def exact_turn(o: Point, a: Point, b: Point) -> int:
    (ox, oz), (ax, az), (bx, bz) = ((Fraction(x), Fraction(z)) for x, z in (o, a, b))
    cross = (ax - ox) * (bz - oz) - (az - oz) * (bx - ox)
    return (cross > 0) - (cross < 0)


def exact_crossing(p: Point, q: Point, gate: Gate) -> tuple[int, Fraction]:
    """Direction and share of the path, by the textbook: p + t r = a + u s, with t in (0, 1] and u in [0, 1]."""
    (px, pz), (qx, qz) = ((Fraction(x), Fraction(z)) for x, z in (p, q))
    ax, az, bx, bz = (Fraction(value) for value in gate)
    rx, rz, sx, sz = qx - px, qz - pz, bx - ax, bz - az
    den = rx * sz - rz * sx
    if den == 0:
        return 0, Fraction(0)
    t = ((ax - px) * sz - (az - pz) * sx) / den
    u = ((ax - px) * rz - (az - pz) * rx) / den
    within = 0 < t <= 1 if den > 0 else 0 <= t < 1  # on the line is beyond it, so backwards it is left, not reached
    return (1 if den > 0 else -1) if within and 0 <= u <= 1 else 0, t


def arrays(*points: Point | Gate) -> list[np.ndarray]:
    return [np.array([point]) for point in points]


@settings(max_examples=400, deadline=None)
@given(case=paths_by_a_gate(3))
def test_the_side_of_a_point_is_exact(case: tuple[Gate, list[Point]]) -> None:
    gate, points = case
    for point in points:
        assert turn(*arrays(gate[:2], point, gate[2:]))[0] == exact_turn(gate[:2], point, gate[2:])
    assert turn(*arrays(*points))[0] == exact_turn(*points)


@settings(max_examples=600, deadline=None)
@given(case=paths_by_a_gate())
def test_a_crossing_is_that_of_rational_arithmetic(case: tuple[Gate, list[Point]]) -> None:
    gate, (p, q) = case
    way, share = exact_crossing(p, q, gate)
    assert crossings(*arrays(p, q, gate))[0] == way
    if way:
        told, ahead_m = shares(*arrays(p, q, gate))
        assert 0.0 <= told[0] <= 1.0
        assert ahead_m[0] >= 0.0
        if ahead_m[0] > 1e-3:
            assert abs(Fraction(told[0]) - share) < Fraction(1, 10**6)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), ends=st.lists(st.integers(0, 4000), min_size=4, max_size=4))
def test_a_path_in_pieces_crosses_the_line_as_often_as_its_points_change_sides(
    data: st.DataObject, ends: list[int]
) -> None:
    """Nothing is lost between two pieces and nothing counts twice: forwards and backwards take turns."""
    ax, az, bx, bz = (end / 4.0 for end in ends)  # quarters of a metre: the longer gate below is exact
    gate = ax, az, bx, bz
    assume(gate[:2] != gate[2:])
    points = [data.draw(near_a_gate(gate)) for _ in range(8)]
    wide = (ax - 1e6 * (bx - ax), az - 1e6 * (bz - az), bx + 1e6 * (bx - ax), bz + 1e6 * (bz - az))
    assert exact_turn(gate[:2], wide[:2], gate[2:]) == 0 == exact_turn(gate[:2], wide[2:], gate[2:])
    p, q = np.array(points[:-1]), np.array(points[1:])
    ways = crossings(p, q, np.array([wide] * len(p))).tolist()
    told = [way for way in ways if way]
    assert all(one == -other for one, other in itertools.pairwise(told))
    beyond = [exact_turn(gate[:2], point, gate[2:]) >= 0 for point in points]
    assert sum(ways) == beyond[-1] - beyond[0]


SMALL = st.integers(0, 5).map(lambda number: number * 0.1)
SMALL_GATES = st.tuples(SMALL, SMALL, SMALL, SMALL).filter(lambda gate: gate[:2] != gate[2:])


@settings(max_examples=1500, deadline=None)
@given(p=st.tuples(SMALL, SMALL), q=st.tuples(SMALL, SMALL), gate=SMALL_GATES, other=SMALL_GATES)
def test_which_of_two_gates_comes_first_is_exact(p: Point, q: Point, gate: Gate, other: Gate) -> None:
    """On a grid of a few points, where many paths pass two gates at one point, or at all but one."""
    (way, share), (another_way, another) = exact_crossing(p, q, gate), exact_crossing(p, q, other)
    if way and another_way:
        assert is_later(np.array(p), np.array(q), np.array(gate), np.array(other)) == (share > another)


def test_many_paths_at_once_are_each_judged_by_itself() -> None:
    rng = np.random.default_rng(3)
    p, q, gates = rng.uniform(0, 20, (500, 2)), rng.uniform(0, 20, (500, 2)), rng.integers(0, 2000, (500, 4)) / 100.0
    ways = crossings(p, q, gates).tolist()
    one_by_one = [
        exact_crossing(*map(tuple, each))[0] for each in zip(p.tolist(), q.tolist(), gates.tolist(), strict=True)
    ]
    assert ways == one_by_one
    assert {-1, 0, 1} == set(ways)


def test_ordinary_paths_are_settled_without_rational_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(point: object) -> None:
        raise AssertionError(f"{point} was in doubt")

    monkeypatch.setattr(segments, "_exactly", refused)
    rng = np.random.default_rng(4)
    p = rng.uniform(0, 16384, (20_000, 2))
    q = p + rng.uniform(-5, 5, p.shape)
    a = np.round(p + rng.uniform(-12, 12, p.shape), 2)
    b = np.round(a + rng.uniform(-12, 12, p.shape), 2)
    assert np.count_nonzero(crossings(p, q, np.concatenate((a, b), axis=1))) > 500
    for place in ([64.0, 7.0], [64.0, 128.0]):  # exactly on a gate along a border
        assert turn(np.array([[64.0, 0.0]]), np.array([place]), np.array([[64.0, 20.0]]))[0] == 0


def test_distances_between_gates() -> None:
    def apart(one: Gate, other: Gate) -> float:
        return distance_m(np.array(one), np.array(other))

    assert apart((0, 0, 0, 10), (30, 0, 30, 10)) == 30.0
    assert apart((0, 0, 0, 10), (3, 14, 10, 14)) == 5.0
    assert apart((0, 5, 10, 5), (5, 0, 5, 10)) == 0.0, "they cross"
    assert apart((0, 0, 10, 0), (10, 0, 10, 10)) == 0.0, "they touch"
    assert apart((0, 0, 10, 0), (4, 2, 6, 8)) == 2.0
    assert apart((0, 0, 10, 0), (12, 0, 20, 0)) == 2.0
