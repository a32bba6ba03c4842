"""Who drove through something: walls hold at any speed and rate, scraping along them costs nothing."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.player_state import F64
from shared.thresholds import DEFAULT
from tests.fakes.lot import Shape, box, disc, lot, solids, wall
from tests.zones import plain_judge
from tests.zones.one_driver import OneDriver
from zones.sweep import CORE_M, WALL_HALF_M, Obstacles, sweep

SIZE_M = 512


def column(*values: float) -> F64:
    return np.array(values, np.float64)


def enters(shapes: list[Shape], way: tuple[float, float, float, float], gap_s: float = 0.05) -> bool:
    x0, z0, x1, z1 = map(column, way)
    found = sweep(Obstacles.of(solids(shapes, SIZE_M)), x0, z0, x1, z1, column(gap_s), DEFAULT)
    return bool(found.depth_m[0] > 0.0)


# --- walls


@settings(max_examples=400, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    speed_mps=st.floats(0.5, 300.0),
    period_s=st.sampled_from([1 / 60, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 10.0]),
    turn=st.floats(0.0, 6.28),
)
def test_a_thin_wall_is_never_passed_at_any_speed_and_rate(
    seed: int, speed_mps: float, period_s: float, turn: float
) -> None:
    """A cheat heads for the middle half of a wall and goes on after each set-back, from wherever it may stand."""
    rng = np.random.default_rng(seed)
    half_m = float(rng.uniform(1.0, 40.0))
    ahead = math.sin(turn), math.cos(turn)
    middle = 256.0, 256.0
    ends = [middle[axis] + side * half_m * ahead[axis] for side in (-1, 1) for axis in (0, 1)]
    obstacles = Obstacles.of(solids([wall(ends[0], ends[1], ends[2], ends[3])], SIZE_M))

    def side(x: float, z: float) -> float:
        return (z - middle[1]) * ahead[0] - (x - middle[0]) * ahead[1]

    along = float(rng.uniform(-0.5, 0.5)) * half_m
    reach = float(rng.uniform(0.01, 60.0))
    x, z = (middle[0] + along * ahead[0] + reach * ahead[1], middle[1] + along * ahead[1] - reach * ahead[0])
    began = side(x, z)
    for _ in range(40):
        to_along = float(rng.uniform(-0.5, 0.5)) * half_m
        aim_x, aim_z = middle[0] + to_along * ahead[0], middle[1] + to_along * ahead[1]
        way = math.dist((x, z), (aim_x, aim_z))
        # up to the wall, close to it by a rounding error, or far through it
        share = rng.choice([speed_mps * period_s / max(way, 1e-9), 1.0 - 1e-15, 1.0 - 1e-9, 0.999, 1.0, 1.5])
        to = x + (aim_x - x) * share, z + (aim_z - z) * share
        found = sweep(obstacles, column(x), column(z), column(to[0]), column(to[1]), column(period_s), DEFAULT)
        if found.depth_m[0] == 0.0:
            x, z = to
        assert side(x, z) * began > 0.0, "it is on the other side"
        assert abs(side(x, z)) > WALL_HALF_M - CORE_M


@pytest.mark.parametrize("period_s", [0.05, 0.1, 0.25, 1.0, 1.25, 5.0])
def test_a_fence_has_no_slit_at_its_joints(period_s: float) -> None:
    """Posts are rounded to centimetres; the joints are no free ends, so long gaps open nothing there either."""
    posts = [(200.0 + 3.337 * number, 256.0 + math.sin(number / 3.0)) for number in range(30)]
    rounded = [(round(x, 2), round(z, 2)) for x, z in posts]
    fence = [wall(*a, *b) for a, b in pairwise(rounded)]
    obstacles = Obstacles.of(solids(fence, SIZE_M))
    xs = np.linspace(206.0, 290.0, 4000)
    every = np.ones_like(xs)
    found = sweep(obstacles, xs, 250.0 * every, xs, 262.0 * every, period_s * every, DEFAULT)
    assert (found.depth_m > 0.0).all()
    assert not obstacles.open_ahead[1:-1].any()
    assert not obstacles.open_behind[1:-1].any()
    assert (obstacles.open_behind[0], obstacles.open_ahead[-1]) == (True, True)


def test_an_end_that_leans_on_a_house_is_no_free_end() -> None:
    shapes = [wall(100.0, 100.0, 110.0, 100.0), box(113.0, 100.0, 2.0, 2.0)]
    obstacles = Obstacles.of(solids(shapes, SIZE_M))
    assert (obstacles.open_ahead[0], obstacles.open_behind[0]) == (False, True)


@pytest.mark.parametrize("period_s", [1 / 60, 0.05, 0.1, 0.25, 1.0])
def test_who_scrapes_along_a_wall_is_never_placed_back(period_s: float) -> None:
    """The middle of the car keeps half its width away, as the client's own physics has it; past the end it turns."""
    driver = OneDriver(lot([wall(100.0, 100.0, 160.0, 100.0), wall(160.0, 100.0, 160.0, 130.0)]), x=80.0, z=99.0)
    distance, ticks = 0.0, 0
    while distance < 170.0:
        ticks += 1
        distance += min(0.5 * 8.0 * (ticks * 0.05) ** 2, 15.0 * 0.05)
        x, z, heading = _around_the_corner(distance)
        if ticks % max(round(period_s / 0.05), 1) == 0:
            driver.sample(x, z, vx=15.0 * math.sin(heading), vz=15.0 * math.cos(heading))
        driver.tick()
    assert not driver.corrections
    assert driver.score < 1.0
    assert sum(outcome.pairs for outcome in driver.outcomes) > 0, "it was near enough to be looked at"


def _around_the_corner(distance: float) -> tuple[float, float, float]:
    """East along the wall at 0.95 m, around its corner with a radius of 14 m, and back west beyond the far end."""
    line = 99.05
    if distance < 80.0:
        return 80.0 + distance, line, math.pi / 2
    turn = (distance - 80.0) / 14.0
    turn = min(turn, math.pi / 2)
    x, z = 160.95 - 0.95 + 14.0 * math.sin(turn), line - 0.0 + 14.0 * (1 - math.cos(turn))
    rest = max(distance - 80.0 - 14.0 * math.pi / 2, 0.0)
    return x, z + rest, math.pi / 2 - turn


@pytest.mark.parametrize(("period_s", "speed_mps"), [(0.05, 200.0), (0.05, 10.0), (0.25, 60.0), (1.0, 40.0)])
def test_over_the_whole_tick_a_wall_stops_a_cheat_for_good(period_s: float, speed_mps: float) -> None:
    driver = OneDriver(lot([wall(50.0, 110.0, 400.0, 110.0)]), x=200.0, z=100.0)
    driver.state.heard_ms[0] -= 5000.0
    for number in range(1, 800):
        if number % max(round(period_s / 0.05), 1) == 0:
            driver.drive(driver.x, driver.z + speed_mps * period_s, period_s)
        driver.tick()
        assert driver.at[1] < 110.0
    assert {event.check for event in driver.corrections} <= {"clip", "late", "teleport", "budget"}
    told = "clip" if period_s <= 0.25 else "late"
    assert told in {event.check for event in driver.corrections}


@pytest.mark.parametrize(("beyond_m", "struck"), [(1.0, False), (6.0, True)])
def test_who_may_have_driven_around_a_walls_end_is_stopped_without_a_strike(beyond_m: float, struck: bool) -> None:
    """3.5 m in a twentieth of a second reach around the end of a wall, when it is a metre away."""
    driver = OneDriver(lot([wall(100.0, 100.0, 160.0, 100.0)]), x=160.0 - beyond_m, z=98.8)
    for _ in range(20):
        driver.drive(driver.x, driver.z)
        driver.tick()
    driver.drive(driver.x, 100.7)
    driver.tick()
    assert [event.check for event in driver.corrections] == (["clip"] if struck else ["late"])
    assert (driver.score > 0.0) == struck
    assert driver.at == (160.0 - beyond_m, 98.8)


def test_the_joint_of_a_fence_is_no_way_around() -> None:
    fence = [wall(100.0, 100.0, 110.0, 100.0), wall(110.02, 100.0, 120.0, 100.0)]
    found = sweep(
        Obstacles.of(solids(fence, SIZE_M)),
        column(109.0),
        column(99.0),
        column(109.0),
        column(101.0),
        column(0.05),
        DEFAULT,
    )
    assert found.detour_m[0] == pytest.approx(2.0 * math.hypot(9.0, 1.0)), "only past the fence's other end"


# --- discs and boxes


@pytest.mark.parametrize(
    ("shape", "way", "hit"),
    [
        (disc(100, 100, 4), (90, 100, 110, 100), True),
        (disc(100, 100, 4), (90, 103.4, 110, 103.4), True),
        (disc(100, 100, 4), (90, 103.6, 110, 103.6), False),  # shrunk by half a metre
        (disc(100, 100, 0.3), (90, 100.1, 110, 100.1), True),  # a trunk keeps half its size
        (disc(100, 100, 0.3), (90, 100.2, 110, 100.2), False),
        (disc(100, 100, 4), (90, 100, 95, 100), False),
        (disc(100, 100, 4), (90, 100, 96.6, 100), True),  # it ends inside
        (disc(100, 100, 4), (98, 100, 110, 100), False),  # it starts inside: it may leave
        (box(100, 100, 5, 3), (100, 90, 100, 110), True),
        (box(100, 100, 5, 3), (90, 102.4, 110, 102.4), True),
        (box(100, 100, 5, 3), (90, 102.6, 110, 102.6), False),
        (box(100, 100, 5, 3, math.pi / 2), (104.8, 90, 104.8, 110), False),
        (box(100, 100, 5, 3, math.pi / 2), (90, 104.4, 110, 104.4), True),
        (box(100, 100, 5, 3), (100, 100, 100, 100.5), False),
    ],
)
def test_shapes_are_entered_where_their_shrunk_outlines_are(
    shape: Shape, way: tuple[float, float, float, float], hit: bool
) -> None:
    assert enters([shape], way) == hit


def test_the_chord_of_a_curve_may_cut_a_corner_by_what_the_car_can_bend() -> None:
    """At 1 Hz a path leaves its chord by up to 2.5 m; at 20 Hz by 6 mm."""
    house, way = box(100, 100, 6, 6), (100.0 - 8.0, 104.0, 108.0, 104.0)
    assert enters([house], way, 0.05)
    assert not enters([house], way, 1.0)
    assert enters([house], (92.0, 101.0, 108.0, 101.0), 1.0), "half of every shape stands whatever the gap"
    assert enters([house], (92.0, 104.0, 100.0, 104.0), 1.0), "and nobody ends inside"


def test_whoever_was_not_heard_for_a_second_may_have_driven_around_a_tree() -> None:
    tree, way = disc(100, 100, 1.5), (90.0, 100.0, 110.0, 100.0)
    for gap_s, hit in ((0.05, True), (0.25, True), (1.0, False)):
        assert enters([tree], way, gap_s) == hit
    assert enters([tree], (90.0, 100.0, 99.5, 100.0), 1.0), "nobody ends inside"
    assert enters([box(100, 100, 0.5, 20.0)], (90, 100, 110, 100), 1.0), "a long house is no tree"


def test_after_a_long_gap_nobody_can_creep_into_a_shape_from_a_smaller_outline() -> None:
    """End points are held to the full outline, so the next, shorter gap starts outside."""
    house = box(100, 100, 6, 6)
    x = 90.0
    for gap_s in (1.0, 0.05, 1.0, 0.1, 1.0, 0.05) * 20:
        if not enters([house], (x, 100.0, x + 0.3, 100.0), gap_s):
            x += 0.3
    assert x < 94.5 + 1e-9


# --- cost and plain loop


def test_players_with_nothing_near_pay_for_no_pair() -> None:
    shapes = [disc(20.0 + 2.0 * number, 20.0, 1.0) for number in range(100)]
    obstacles = Obstacles.of(solids(shapes, SIZE_M))
    far = np.full(500, 400.0) + np.arange(500) / 10.0
    found = sweep(obstacles, far, far, far + 3.0, far, np.full(500, 0.05), DEFAULT)
    assert found.pairs == 0
    near = np.concatenate((far, column(60.0)))
    found = sweep(obstacles, near, np.where(near < 100, 20.0, near), near + 3.0, near, np.full(501, 0.05), DEFAULT)
    assert 0 < found.pairs <= 60, "only the one among the discs is tested, against those in its cells"
    empty = sweep(Obstacles.of(solids([], SIZE_M)), far, far, far, far, np.full(500, 0.05), DEFAULT)
    assert empty.pairs == 0
    assert not empty.depth_m.any()


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_sweeping_many_is_following_each_past_every_shape(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shapes: list[Shape] = []
    for _ in range(int(rng.integers(1, 14))):
        x, z, size, more = (float(value) for value in rng.uniform((100, 100, 0.05, 0.05), (160, 160, 9, 9)))
        kind: Any = rng.choice(["disc", "box", "wall"])
        if kind == "disc":
            shapes.append(disc(x, z, size))
        elif kind == "box":
            shapes.append(box(x, z, size, more, float(rng.uniform(0, 6.3))))
        else:
            shapes.append(wall(x, z, x + 3 * size, z + 3 * more - 12))
    obstacles = Obstacles.of(solids(shapes, SIZE_M))
    count = 30
    x0, z0, x1, z1 = rng.uniform(95, 165, (4, count))
    near = rng.random(count) < 0.7
    x1, z1 = np.where(near, x0 + rng.uniform(-5, 5, count), x1), np.where(near, z0 + rng.uniform(-5, 5, count), z1)
    gap_s = rng.choice([0.0, 0.05, 0.25, 1.0, 3.0], count)
    found = sweep(obstacles, x0, z0, x1, z1, gap_s, DEFAULT)
    ends = list(zip(obstacles.open_ahead.tolist(), obstacles.open_behind.tolist(), strict=True))
    plain = plain_judge.PlainRules(DEFAULT, True, obstacles.solids, ends, ends, 0.0, SIZE_M)
    for row in range(count):
        way = tuple(float(values[row]) for values in (x0, z0, x1, z1, gap_s))
        assert bool(found.depth_m[row] > 0.0) == bool(plain_judge.entered(plain, *way)), way
        assert (found.solid[row] >= 0) == (found.depth_m[row] > 0.0)
