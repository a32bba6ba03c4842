"""Rows on the wire: integers within the contract's ranges, equal to a plain loop over the players."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.player_state import PlayerState, fresh
from zones.rows import FLAGS, SEQ, SLOT, SPEED, YAW, X, Y, Z, widths, wire_rows

YAWS = (
    st.floats(-1e6, 1e6)
    | st.floats(-10.0, 10.0)
    | st.sampled_from([0.0, -0.0, -5e-324, -1e-17, math.tau, -math.tau, math.pi, 6.2829999, 100.0, -100.0, 1e9])
)


def one(yaw: float = 0.0, seq: int = 0, vx: float = 0.0, vz: float = 0.0, flags: int = 0) -> PlayerState:
    state = fresh(1)
    state.yaw[0], state.seq[0], state.flags[0] = yaw, seq, flags
    state.vel[0] = (vx, 0.0, vz)
    return state


def row_of(state: PlayerState, x: float = 0.0, y: float = 0.0, z: float = 0.0, slot: int = 0) -> list[int]:
    rows: list[list[int]] = wire_rows(np.array([slot], np.intp), state, np.array([[x, y, z]])).tolist()
    return rows[0]


@settings(max_examples=200, deadline=None)
@given(yaw=YAWS)
def test_a_yaw_of_any_turn_is_0_to_6283_milliradians_and_the_same_direction(yaw: float) -> None:
    wire = row_of(one(yaw))[YAW]
    assert 0 <= wire <= 6283
    away = abs((yaw - wire / 1000.0 + math.pi) % math.tau - math.pi)
    assert away <= 0.001 + 1e-6


@pytest.mark.parametrize(
    ("yaw", "wire"),
    [(0.0, 0), (0.0019, 1), (math.pi, 3141), (-0.0001, 6283), (6.2831, 6283), (math.tau, 0), (-math.pi / 2, 4712)],
)
def test_yaw_in_milliradians(yaw: float, wire: int) -> None:
    assert row_of(one(yaw))[YAW] == wire


@pytest.mark.parametrize(("seq", "wire"), [(-1, 0), (0, 0), (65535, 65535), (65536, 0), (65543, 7), (2**32 - 1, 65535)])
def test_seq_is_modulo_65536_and_0_before_the_first_sample(seq: int, wire: int) -> None:
    assert row_of(one(seq=seq))[SEQ] == wire


@pytest.mark.parametrize("yaw", [0.0, 1.0, -2.0, math.pi, 50.0])
def test_speed_is_along_the_heading_and_negative_backwards(yaw: float) -> None:
    heading = math.sin(yaw), math.cos(yaw)
    assert row_of(one(yaw, vx=12.34 * heading[0], vz=12.34 * heading[1]))[SPEED] == 1234
    assert row_of(one(yaw, vx=-3.0 * heading[0], vz=-3.0 * heading[1]))[SPEED] == -300
    assert row_of(one(yaw, vx=8.0 * heading[1], vz=-8.0 * heading[0]))[SPEED] == 0, "sideways"


def test_positions_are_centimetres_to_the_nearest() -> None:
    row = row_of(one(), x=123.456, y=-0.014, z=4095.999)
    assert (row[X], row[Y], row[Z]) == (12346, -1, 409600)


def test_slot_and_flags_are_as_they_are() -> None:
    row = row_of(one(flags=31), slot=8191)
    assert (row[SLOT], row[FLAGS]) == (8191, 31)


def plain_row(slot: int, state: PlayerState, row: int, shown: list[float]) -> list[int]:
    yaw = float(state.yaw[row])
    vx, _, vz = state.vel[row].tolist()
    turned = math.floor((yaw % math.tau) * 1000.0) % 6284
    return [
        slot,
        max(int(state.seq[row]), 0) % 65536,
        round(shown[0] * 100.0),
        round(shown[2] * 100.0),
        turned,
        round((vx * math.sin(yaw) + vz * math.cos(yaw)) * 100.0),
        int(state.flags[row]),
        round(shown[1] * 100.0),
    ]


@settings(max_examples=60, deadline=None)
@given(count=st.integers(0, 20), seed=st.integers(0, 2**32 - 1))
def test_rows_of_many_are_those_of_a_plain_loop(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    state = fresh(count)
    state.yaw[:] = rng.uniform(-20.0, 20.0, count)
    state.vel[:] = rng.uniform(-90.0, 90.0, (count, 3))
    state.seq[:] = rng.integers(-1, 2**32, count)
    state.flags[:] = rng.integers(0, 32, count)
    shown = rng.uniform(-5.0, 65536.0, (count, 3))
    slots = np.sort(rng.permutation(8192)[:count]).astype(np.intp)
    rows = wire_rows(slots, state, shown)
    assert rows.dtype == np.int64
    assert rows.tolist() == [
        plain_row(slot, state, row, shown[row].tolist()) for row, slot in enumerate(slots.tolist())
    ]


def test_making_rows_changes_no_state() -> None:
    state = one(yaw=-3.0, seq=70000, vx=4.0)
    before = (state.yaw.tobytes(), state.seq.tobytes(), state.vel.tobytes())
    row_of(state)
    assert (state.yaw.tobytes(), state.seq.tobytes(), state.vel.tobytes()) == before


def test_a_row_is_as_wide_as_it_has_something_to_say() -> None:
    rows = np.zeros((4, 8), np.int64)
    rows[:, Y] = (250, 251, 900, 900)
    rows[:, FLAGS] = (0, 4, 16, 20)
    assert widths(rows).tolist() == [6, 7, 8, 8]
