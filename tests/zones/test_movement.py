"""Samples become motion: the client's clock is believed within bounds, and remote cars move evenly between samples."""

from __future__ import annotations

from dataclasses import fields
from math import nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ipc.layout import SAMPLE
from shared.constants import CARRY_FORWARD_MS, CLOCK_CREEP_MS_PER_S, SAMPLE_AGE_MAX_MS
from shared.player_state import COLUMNS, PlayerState, fresh
from shared.world.ground_grid import GroundGrid
from zones.movement import apply_samples, carried_forward

START_MS = 1_000_000.0
LEVEL = GroundGrid.level(1024)


def sample(recv_ms: float, t_ms: float, **values: float) -> NDArray[np.void]:
    """One sample; what is not given is 0, and the car is on the ground."""
    record = np.zeros(1, SAMPLE)
    record["recv_ms"], record["t_ms"], record["y"] = recv_ms, t_ms, nan
    for name, value in values.items():
        record[name] = value
    return record


def first(state: PlayerState, record: NDArray[np.void], ground_cm: int = 0) -> None:
    """Apply one sample to player 0."""
    apply_samples(state, np.array([0], np.intp), record, GroundGrid.level(1024, ground_cm))


def snapshot(state: PlayerState) -> dict[str, bytes]:
    return {name: getattr(state, name).tobytes() for name, *_ in COLUMNS}


# --- what a sample sets


def test_a_sample_sets_motion_and_sequence_of_its_player_and_nothing_else() -> None:
    state = fresh(4)
    before = snapshot(state)
    record = sample(2000.0, 100.0, x=1.0, y=2.0, z=3.0, yaw=4.0, vx=5.0, vy=6.0, vz=7.0, seq=8, epoch=9)
    apply_samples(state, np.array([2], np.intp), record, LEVEL)
    assert state.pos[2].tolist() == [1.0, 2.0, 3.0]
    assert state.vel[2].tolist() == [5.0, 6.0, 7.0]
    assert state.yaw[2] == 4.0
    assert state.seq[2] == 8
    assert (state.sample_ms[2], state.offset_ms[2]) == (2000.0, 1900.0)
    written = {"pos", "vel", "yaw", "seq", "sample_ms", "offset_ms", "flags"}
    after = snapshot(state)
    assert {name for name in before if before[name] != after[name]} == written
    others = fresh(3)
    for field in fields(PlayerState):
        assert np.delete(getattr(state, field.name), 2, axis=0).tobytes() == getattr(others, field.name).tobytes()


def test_a_sample_without_height_stands_on_the_ground() -> None:
    state = fresh(1)
    first(state, sample(1.0, 1.0, x=5.0, z=6.0), ground_cm=1250)
    assert state.pos[0].tolist() == [5.0, 12.5, 6.0]
    first(state, sample(2.0, 2.0, x=5.0, y=0.25, z=6.0), ground_cm=1250)
    assert state.pos[0].tolist() == [5.0, 0.25, 6.0]


def test_the_whole_range_of_sequence_numbers_is_kept() -> None:
    state = fresh(1)
    first(state, sample(1.0, 1.0, seq=2**32 - 1))
    assert state.seq[0] == 2**32 - 1


# --- the client's clock


@settings(max_examples=100, deadline=None)
@given(
    arrivals=st.lists(
        st.tuples(st.floats(0.0, 3000.0), st.floats(0.0, 1e9)),
        min_size=1,
        max_size=20,
    )
)
def test_a_sample_is_dated_between_its_receipt_and_half_a_second_before_whatever_its_clock_says(
    arrivals: list[tuple[float, float]],
) -> None:
    state = fresh(1)
    recv_ms = START_MS
    for later_ms, t_ms in arrivals:
        recv_ms += later_ms
        first(state, sample(recv_ms, t_ms))
        assert recv_ms - SAMPLE_AGE_MAX_MS <= state.sample_ms[0] <= recv_ms


def test_the_first_sample_of_a_connection_is_dated_as_received() -> None:
    state = fresh(1)
    first(state, sample(START_MS, 123.0))
    assert state.sample_ms[0] == START_MS


def test_a_stall_does_not_date_samples_later_than_they_were_taken() -> None:
    """Five samples taken every 50 ms arrive together: they lie 50 ms apart, not in one place."""
    state = fresh(1)
    first(state, sample(START_MS, 0.0))
    dated = []
    for number in range(1, 6):
        first(state, sample(START_MS + 250.0, 50.0 * number))
        dated.append(float(state.sample_ms[0]) - START_MS)
    assert dated == pytest.approx([50.0, 100.0, 150.0, 200.0, 250.0], abs=2.0)


def test_a_quicker_way_is_believed_at_once_and_a_slower_one_only_slowly() -> None:
    state = fresh(1)
    first(state, sample(START_MS + 100.0, 0.0))  # 100 ms under way
    first(state, sample(START_MS + 50.0 + 20.0, 50.0))  # the next took 20
    assert state.offset_ms[0] == START_MS + 20.0
    first(state, sample(START_MS + 100.0 + 100.0, 100.0))
    assert START_MS + 20.0 <= state.offset_ms[0] <= START_MS + 21.0


def test_a_drifting_crystal_does_not_leave_us_behind() -> None:
    """A client whose clock loses 500 ppm: after an hour its samples are still dated as received."""
    state = fresh(1)
    behind = []
    for number in range(0, 72_000, 40):
        recv_ms = START_MS + 50.0 * number
        first(state, sample(recv_ms, 50.0 * number * (1 - 500e-6)))
        behind.append(recv_ms - float(state.sample_ms[0]))
    assert max(behind) == pytest.approx(0.0, abs=0.01)


@settings(max_examples=60, deadline=None)
@given(
    delays_ms=st.lists(st.floats(0.0, 2000.0), min_size=1, max_size=60),
    period_ms=st.sampled_from([1000.0, 100.0, 50.0, 33.3]),
)
def test_the_offset_never_slides_faster_than_the_creep_whatever_the_delays(
    delays_ms: list[float], period_ms: float
) -> None:
    """Queues on the way delay samples; they arrive in order. The clock's offset may not follow them."""
    state = fresh(1)
    recv_ms = START_MS
    offset_ms = np.inf
    for number, delay_ms in enumerate(delays_ms):
        last_ms, last_offset_ms = recv_ms, offset_ms
        t_ms = period_ms * number
        recv_ms = max(recv_ms, START_MS + t_ms + delay_ms)
        first(state, sample(recv_ms, t_ms))
        offset_ms = float(state.offset_ms[0])
        elapsed_s = max(recv_ms - last_ms, period_ms) / 1000.0  # by either clock
        assert number == 0 or offset_ms - last_offset_ms <= elapsed_s * CLOCK_CREEP_MS_PER_S + 1e-6


def test_a_queue_that_stays_does_not_speed_the_creep_up() -> None:
    """Half a minute behind a queue of 400 ms: the offset slides by 30 ms at most, a millisecond per second."""
    state = fresh(1)
    first(state, sample(START_MS, 0.0))
    for number in range(1, 601):
        first(state, sample(START_MS + 50.0 * number + 400.0, 50.0 * number))
    assert float(state.offset_ms[0]) - START_MS <= 30.4 * CLOCK_CREEP_MS_PER_S + 1e-6


# --- between samples


@settings(max_examples=60, deadline=None)
@given(ages_ms=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=10), velocity=st.tuples(*[st.floats(-200, 200)] * 3))
def test_a_car_is_carried_by_its_velocity_and_150_ms_at_most(
    ages_ms: list[float], velocity: tuple[float, float, float]
) -> None:
    state = fresh(len(ages_ms))
    state.pos[:] = (10.0, 20.0, 30.0)
    state.vel[:] = velocity
    state.sample_ms[:] = START_MS - np.array(ages_ms)
    shown = carried_forward(state, START_MS)
    for row, age_ms in enumerate(ages_ms):
        age_s = min(max(age_ms, -CARRY_FORWARD_MS), CARRY_FORWARD_MS) / 1000.0
        expected = [10.0 + velocity[0] * age_s, 20.0 + velocity[1] * age_s, 30.0 + velocity[2] * age_s]
        assert shown[row].tolist() == pytest.approx(expected, abs=1e-6)


def test_carrying_forward_changes_no_state() -> None:
    state = fresh(2)
    state.vel[:] = 7.0
    before = snapshot(state)
    carried_forward(state, START_MS)
    assert snapshot(state) == before


@pytest.mark.parametrize("client_ms", [50.0, 49.7, 50.3, 48.0, 33.3], ids=str)
@pytest.mark.parametrize("jitter_ms", [0.0, 15.0], ids=str)
def test_a_car_at_constant_speed_moves_evenly_although_two_clocks_beat(client_ms: float, jitter_ms: float) -> None:
    """Samples come every ``client_ms``, ticks every 50: without the carrying some ticks see none, others two."""
    rng = np.random.default_rng(5)
    speed_mps, tick_ms = 25.0, 50.0
    state = fresh(1)
    waiting = [
        (START_MS + client_ms * number + 30.0 + float(rng.uniform(0.0, jitter_ms)), client_ms * number)
        for number in range(1500)
    ]
    shown = []
    for tick in range(1, 801):
        now_ms = START_MS + tick * tick_ms
        while waiting[0][0] <= now_ms:
            recv_ms, t_ms = waiting.pop(0)
            first(state, sample(recv_ms, t_ms, x=speed_mps * t_ms / 1000.0, vx=speed_mps))
        shown.append(float(carried_forward(state, now_ms)[0, 0]))
    steps = np.diff(shown)[100:]  # after the first samples and the filter's settling
    even = speed_mps * tick_ms / 1000.0
    assert np.abs(steps / even - 1.0).max() < 0.10
