"""Homes, listings and the way over a border: nothing flickers on an edge, and every cell has one writer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.constants import BORDER_BAND_M, CELL_M, HOME_BAND_M
from shared.player_state import PlayerState, fresh
from shared.world.zone_map import ZoneMap
from zones.border import home_cells, listed_cells, note_leaving, outside_m

SIDE = 8
SIZE_M = float(SIDE * CELL_M)
RECT = np.array([128.0, 64.0, 320.0, 256.0])
"""Cells 2..4 by 1..3."""


def at(*points: tuple[float, float]) -> NDArray[np.float64]:
    return np.array([(x, 0.0, z) for x, z in points])


def homes(points: list[tuple[float, float]], old: list[int]) -> list[int]:
    cells: list[int] = home_cells(at(*points), np.array(old, np.int32), SIDE).tolist()
    return cells


def plain_home(x: float, z: float, old: int) -> int:
    if old >= 0:
        cz, cx = divmod(old, SIDE)
        if (
            cx * CELL_M - HOME_BAND_M <= x < (cx + 1) * CELL_M + HOME_BAND_M
            and cz * CELL_M - HOME_BAND_M <= z < (cz + 1) * CELL_M + HOME_BAND_M
        ):
            return old
    return min(int(z // CELL_M), SIDE - 1) * SIDE + min(int(x // CELL_M), SIDE - 1)


COORDINATES = st.floats(0.0, SIZE_M, exclude_max=True) | st.sampled_from(
    [line + offset for line in (64.0, 128.0, 448.0) for offset in (-4.0, -3.999, 0.0, 3.999, 4.0)]
)


# --- home


@settings(max_examples=100, deadline=None)
@given(players=st.lists(st.tuples(COORDINATES, COORDINATES, st.integers(-1, SIDE * SIDE - 1)), max_size=10))
def test_homes_of_many_are_those_of_each(players: list[tuple[float, float, int]]) -> None:
    expected = [plain_home(*player) for player in players]
    assert homes([(x, z) for x, z, _ in players], [old for *_, old in players]) == expected if players else True


def test_a_home_is_kept_within_the_band_and_given_up_beyond_it() -> None:
    inside_cell_9 = 1 * SIDE + 1  # x and z in 64..128
    for x, home in [
        (64.0 - HOME_BAND_M, 9),
        (64.0 - HOME_BAND_M - 0.001, 8),
        (128.0 + HOME_BAND_M - 0.001, 9),
        (128.0 + HOME_BAND_M, 10),
    ]:
        assert homes([(x, 100.0)], [inside_cell_9]) == [home]
        assert homes([(100.0, x)], [inside_cell_9]) == [{9: 9, 8: 1, 10: 17}[home]]


def test_a_new_player_is_at_home_where_it_stands() -> None:
    assert homes([(0.0, 0.0), (65.0, 0.0), (130.0, 511.9)], [-1, -1, -1]) == [0, 1, 58]


@settings(max_examples=60, deadline=None)
@given(
    line=st.sampled_from([64.0, 256.0, 448.0]),
    wobble=st.lists(st.floats(-HOME_BAND_M + 0.01, HOME_BAND_M - 0.01), min_size=2, max_size=20),
)
def test_a_wobble_on_a_line_moves_nobody_more_than_once(line: float, wobble: list[float]) -> None:
    home = [-1]
    changes = 0
    for offset in wobble:
        now = homes([(line + offset, 30.0)], home)
        changes += now != home
        home = now
    assert changes == 1


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.tuples(st.floats(-90, 90), st.floats(-90, 90)), max_size=30))
def test_nobody_is_further_from_home_than_the_band(steps: list[tuple[float, float]]) -> None:
    x, z, home = 256.0, 256.0, [-1]
    for dx, dz in steps:
        x, z = min(max(x + dx, 0.0), 511.9), min(max(z + dz, 0.0), 511.9)
        home = homes([(x, z)], home)
        cz, cx = divmod(home[0], SIDE)
        assert cx * CELL_M - HOME_BAND_M <= x <= (cx + 1) * CELL_M + HOME_BAND_M
        assert cz * CELL_M - HOME_BAND_M <= z <= (cz + 1) * CELL_M + HOME_BAND_M


# --- listing


def test_a_home_inside_the_rectangle_is_where_the_player_is_listed() -> None:
    inside = [cz * SIDE + cx for cz in (1, 2, 3) for cx in (2, 3, 4)]
    assert listed_cells(np.array(inside, np.int32), RECT, SIDE).tolist() == inside


def test_a_home_outside_is_listed_in_the_nearest_cell_of_the_rectangle() -> None:
    own = [(cx, cz) for cz in (1, 2, 3) for cx in (2, 3, 4)]
    for home in range(SIDE * SIDE):
        cz, cx = divmod(home, SIDE)
        nearest = min(own, key=lambda cell: math.dist(cell, (cx, cz)))
        [listed] = listed_cells(np.array([home], np.int32), RECT, SIDE).tolist()
        assert divmod(listed, SIDE) == (nearest[1], nearest[0])


def test_every_cell_has_one_zone_that_lists_in_it() -> None:
    zone_map = ZoneMap.split(512, 7)
    everywhere = np.arange(SIDE * SIDE, dtype=np.int32)
    writers = [set(listed_cells(everywhere, rect, SIDE).tolist()) for rect in zone_map.rects_m]
    assert sum(map(len, writers)) == SIDE * SIDE
    assert set().union(*writers) == set(everywhere.tolist())


# --- leaving


def member(x: float, z: float, vx: float = 0.0, vz: float = 0.0, sample_ms: float = 900.0) -> PlayerState:
    state = fresh(1)
    state.pos[0], state.vel[0], state.sample_ms[0] = (x, 0.0, z), (vx, 0.0, vz), sample_ms
    return state


def test_outside_is_measured_along_the_worse_axis() -> None:
    points = [(200.0, 100.0), (120.0, 100.0), (330.0, 100.0), (200.0, 60.0), (200.0, 276.0), (125.0, 266.0)]
    assert outside_m(at(*points), RECT)[1:].tolist() == [8.0, 10.0, 4.0, 20.0, 10.0]
    assert outside_m(at(*points), RECT)[0] < 0.0


@pytest.mark.parametrize("side", ["west", "east", "north", "south"])
def test_a_handoff_is_due_only_beyond_the_band(side: str) -> None:
    x0, z0, x1, z1 = RECT.tolist()

    def beyond(by_m: float) -> tuple[float, float]:
        ways = {"west": (x0 - by_m, 100.0), "east": (x1 + by_m, 100.0), "north": (200.0, z0 - by_m)}
        return ways.get(side, (200.0, z1 + by_m))

    for by_m, due in [(-1.0, False), (0.5, False), (BORDER_BAND_M, False), (BORDER_BAND_M + 0.001, True)]:
        assert note_leaving(member(*beyond(by_m)), RECT, 1000.0).tolist() == [due]


def test_the_time_of_leaving_is_that_of_the_line_not_of_the_sample() -> None:
    state = member(324.0, 100.0, vx=40.0)  # 4 m beyond the line at 40 m/s: crossed 100 ms before the sample
    note_leaving(state, RECT, 1000.0)
    assert state.left_ms[0] == pytest.approx(800.0)


def test_the_way_back_to_the_line_is_a_second_at_most() -> None:
    state = member(325.0, 100.0, vx=2.0, sample_ms=5000.0)  # 2.5 s at this speed
    note_leaving(state, RECT, 5000.0)
    assert state.left_ms[0] == pytest.approx(4000.0)


def test_whoever_was_placed_beyond_the_line_left_when_it_was_placed() -> None:
    state = member(400.0, 100.0)
    assert note_leaving(state, RECT, 1000.0).tolist() == [True]
    assert state.left_ms[0] == 900.0


def test_nobody_leaves_in_the_future() -> None:
    state = member(321.0, 100.0, sample_ms=1030.0)  # received while the tick was due
    note_leaving(state, RECT, 1000.0)
    assert state.left_ms[0] == 1000.0


def test_the_time_of_leaving_stands_until_the_player_is_back() -> None:
    state = member(322.0, 100.0)
    note_leaving(state, RECT, 1000.0)
    left_ms = float(state.left_ms[0])
    assert left_ms > 0.0
    for x, sample_ms in ((326.0, 950.0), (400.0, 1000.0), (321.0, 1050.0)):
        state.pos[0, 0], state.sample_ms[0] = x, sample_ms
        note_leaving(state, RECT, sample_ms)
        assert state.left_ms[0] == left_ms
    state.pos[0, 0] = 319.0
    assert note_leaving(state, RECT, 1100.0).tolist() == [False]
    assert state.left_ms[0] == 0.0


@settings(max_examples=60, deadline=None)
@given(
    players=st.lists(
        st.tuples(COORDINATES, COORDINATES, st.floats(-70, 70), st.floats(-70, 70), st.sampled_from([0.0, 512.5])),
        min_size=1,
        max_size=8,
    )
)
def test_leaving_of_many_is_that_of_each(players: list[tuple[float, float, float, float, float]]) -> None:
    def build(chosen: list[tuple[float, float, float, float, float]]) -> PlayerState:
        state = fresh(len(chosen))
        for row, (x, z, vx, vz, left_ms) in enumerate(chosen):
            state.pos[row], state.vel[row] = (x, 0.0, z), (vx, 0.0, vz)
            state.left_ms[row], state.sample_ms[row] = left_ms, 990.0
        return state

    together = build(players)
    due = note_leaving(together, RECT, 1000.0)
    for row, player in enumerate(players):
        alone = build([player])
        assert note_leaving(alone, RECT, 1000.0).tolist() == [due[row]]
        assert alone.left_ms[0] == together.left_ms[row]
        inside = RECT[0] <= player[0] <= RECT[2] and RECT[1] <= player[1] <= RECT[3]
        assert (together.left_ms[row] == 0.0) == inside
        assert together.left_ms[row] <= 1000.0
