"""What one connection may send: honest clients never notice, floods are held back and then cut off."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shard.access.bucket import Bucket
from shard.access.budget import (
    CALM_S,
    CLASS_OF,
    ENOUGH,
    OVER_MAX_S,
    PAUSE_MAX_S,
    RATES,
    Allowance,
    Class,
    Intake,
)
from shard.access.meters import INTAKE_BURST_S, INTAKE_BYTES_PER_S, INTAKE_FRAMES_PER_S, Meters
from shared.messages import (
    CLIENT_MESSAGES,
    Auth,
    AuthPayload,
    ClientMessage,
    Enter,
    Leave,
    Move,
    MovePayload,
    Ping,
    Signal,
    Who,
    encode,
)

MOVE = MovePayload(4294967295, 100000, 1e12 / 3, 1e4 / 3, 1e4 / 7, 3.1 / 3, -1e2 / 3, 1e2 / 7)
MOVE_BYTES = 6 + len(encode(Move(MOVE)))
"""A long ``move`` with the header of its frame."""
START_S = 1e6 / 3


def intake_of_one() -> Intake:
    """Of the only connection."""
    meters = Meters()
    return Intake(meters, meters.claim())


def mover() -> Callable[[float], bool]:
    """Asks the meters for the moves of the only connection."""
    meters = Meters()
    return partial(meters.move, meters.claim())


# --- before decoding -----------------------------------------------------------------------------------------------


def test_a_client_at_full_rate_for_an_hour_never_waits() -> None:
    intake = intake_of_one()
    for number in range(30 * 3600):
        assert intake.take(MOVE_BYTES, 1, START_S + number / 30.0) == 0.0


def test_the_largest_token_and_the_first_requests_never_wait() -> None:
    intake = intake_of_one()
    token_bytes = len(encode(Auth(AuthPayload("x" * 15000))))
    assert intake.take(token_bytes, 1, START_S) == 0.0
    for _ in range(20):
        assert intake.take(600, 1, START_S + 0.1) == 0.0


@pytest.mark.parametrize("stall_s", [1, 3, 10, 15])
@pytest.mark.parametrize("hz", [20, 30])
def test_what_a_stall_held_back_may_come_at_once(stall_s: int, hz: int) -> None:
    intake = intake_of_one()
    for number in range(hz * stall_s):
        assert intake.take(MOVE_BYTES, 1, START_S + stall_s) == 0.0, number
    for number in range(hz * 30):
        assert intake.take(MOVE_BYTES, 1, START_S + stall_s + number / hz) == 0.0


def test_stalls_again_and_again_are_honest() -> None:
    """Five seconds of nothing and everything at once, for ten minutes, at the highest rate there is."""
    intake = intake_of_one()
    for round_ in range(120):
        for _ in range(150):
            assert intake.take(MOVE_BYTES, 1, START_S + 5.0 * round_) == 0.0


def test_over_the_budget_in_bytes() -> None:
    intake = intake_of_one()
    burst = int(INTAKE_BURST_S * INTAKE_BYTES_PER_S)
    assert intake.take(burst, 0, START_S) == 0.0
    assert intake.take(INTAKE_BYTES_PER_S // 2, 0, START_S) == pytest.approx(0.5)
    assert intake.take(0, 0, START_S + 0.4) == pytest.approx(0.1)
    assert intake.take(0, 0, START_S + 0.5) == pytest.approx(0.0, abs=1e-6)


def test_over_the_budget_in_frames() -> None:
    intake = intake_of_one()
    assert intake.take(0, int(INTAKE_BURST_S * INTAKE_FRAMES_PER_S), START_S) == 0.0
    assert intake.take(6, 30, START_S) == pytest.approx(0.5)


def test_a_pause_is_short_enough_for_pongs() -> None:
    assert intake_of_one().take(10_000_000, 0, START_S) == PAUSE_MAX_S


def flood(intake: Intake, chunk: Callable[[], tuple[int, int]], start_s: float, length_s: float) -> tuple[float, int]:
    """Read what is always there, as often as allowed. Returns when ENOUGH was said, from the start, and bytes read."""
    now_s, read = start_s, 0
    while now_s - start_s < length_s:
        size, frames = chunk()
        read += size
        wait_s = intake.take(size, frames, now_s)
        if wait_s == ENOUGH:
            return now_s - start_s, read
        now_s += max(wait_s, 0.0005)
    return ENOUGH, read


@pytest.mark.parametrize(
    "chunk",
    [
        (256 * 1024, 1700),  # 100,000 messages per second: every read is full
        (64 * 1024, 1),
        (1460, 10),
        (MOVE_BYTES, 1),
        (6, 1),  # empty frames
    ],
)
def test_a_flood_is_cut_off_after_five_seconds_and_little_of_it_is_read(chunk: tuple[int, int]) -> None:
    after_s, read = flood(intake_of_one(), lambda: chunk, START_S, 60.0)
    assert OVER_MAX_S <= after_s <= INTAKE_BURST_S + OVER_MAX_S + PAUSE_MAX_S
    assert read <= 2 * INTAKE_BURST_S * INTAKE_BYTES_PER_S + 8 * chunk[0]


def test_a_flood_with_short_breaths_is_one_flood() -> None:
    intake = intake_of_one()
    now_s = START_S
    said = []
    for _ in range(40):
        wait_s = intake.take(256 * 1024, 1700, now_s)
        said.append(wait_s)
        now_s += min(wait_s, PAUSE_MAX_S) + 0.9 * CALM_S
    assert ENOUGH in said


def test_overruns_far_apart_are_forgiven() -> None:
    intake = intake_of_one()
    burst = int(INTAKE_BURST_S * INTAKE_BYTES_PER_S)
    for round_ in range(20):
        now_s = START_S + round_ * (INTAKE_BURST_S + 1.0)
        assert intake.take(burst, 0, now_s) == 0.0
        assert intake.take(INTAKE_BYTES_PER_S // 2, 0, now_s) == pytest.approx(0.5)


def test_silence_after_an_overrun_earns_no_verdict() -> None:
    intake = intake_of_one()
    intake.take(int((INTAKE_BURST_S + 1.0) * INTAKE_BYTES_PER_S), 0, START_S)
    assert intake.take(MOVE_BYTES, 1, START_S + 3600.0) == 0.0


@given(
    st.lists(st.tuples(st.integers(0, 300_000), st.integers(0, 2000), st.floats(0.0, 2.0)), max_size=100),
)
def test_reading_as_told_never_exceeds_the_budget(chunks: list[tuple[int, int, float]]) -> None:
    """Whatever comes: between two reads passes enough time that the rate holds, one chunk and the burst aside."""
    intake = intake_of_one()
    now_s, total, largest = START_S, 0, 0
    for size, frames, gap_s in chunks:
        wait_s = intake.take(size, frames, now_s)
        total += size
        largest = max(largest, size)
        assert wait_s >= 0.0
        if wait_s in (ENOUGH, PAUSE_MAX_S):
            break  # cut off, or in debt beyond one pause: the flood tests have those
        allowed = (now_s - START_S + INTAKE_BURST_S + wait_s) * INTAKE_BYTES_PER_S
        assert total <= allowed + 1.0
        now_s += wait_s + gap_s


def test_counting_leaves_nothing_behind() -> None:
    """It runs for every chunk of every connection: the garbage collector must not hear of it."""
    intake, allowance, move = intake_of_one(), Allowance(), mover()
    sizes = sys.getsizeof(intake), sys.getsizeof(allowance)
    gc.collect()
    gc.disable()
    try:
        before = gc.get_count()[0]
        for number in range(10_000):
            intake.take(150, 1, START_S + number / 30.0)
            move(START_S + number / 30.0)
        assert gc.get_count()[0] - before < 50
    finally:
        gc.enable()
    assert max(sizes) < 100, "no __dict__"


# --- after decoding ------------------------------------------------------------------------------------------------


def test_every_message_has_its_class_and_its_rate() -> None:
    assert set(CLASS_OF) == set(CLIENT_MESSAGES)
    assert set(CLASS_OF.values()) == set(RATES)
    assert dict(RATES) == {
        "move": (30.0, 60),
        "control": (5.0, 10),
        "auth": (0.2, 2),
        "ping": (2.0, 5),
        "signal": (1.0, 5),
        "chunks": (10.0, 20),
    }


def test_moves_are_thinned_without_end_and_without_a_word() -> None:
    move = mover()
    assert sum(move(START_S + number / 60.0) for number in range(60 * 60)) == pytest.approx(60 + 30 * 60, abs=2)


def test_a_client_at_its_rate_is_never_thinned() -> None:
    move = mover()
    assert all(move(START_S + number / 30.0) for number in range(30 * 600))
    assert all(move(START_S + 700.0) for _ in range(60)), "and two seconds of a stall come at once"


@given(st.lists(st.floats(0.0, 0.2), max_size=300))
def test_the_meters_thin_as_a_bucket_does(gaps_s: list[float]) -> None:
    bucket, move, now_s = Bucket(*RATES["move"]), mover(), START_S
    for gap_s in gaps_s:
        now_s += gap_s
        assert move(now_s) == (bucket.take(now_s) == 0.0)


def test_a_number_that_is_given_back_begins_anew_and_the_others_go_on() -> None:
    meters = Meters()
    first, second = meters.claim(), meters.claim()
    for number in (first, second):
        while meters.move(number, START_S):
            assert meters.read(number, 1000, 5, START_S) <= 0.0
    meters.give_back(first)
    again, third = meters.claim(), meters.claim()
    assert again == first
    assert len({again, second, third}) == 3
    assert meters.move(again, START_S)
    assert meters.move(third, START_S)
    assert not meters.move(second, START_S)
    burst_frames = int(INTAKE_BURST_S * INTAKE_FRAMES_PER_S)
    assert meters.read(again, 0, burst_frames, START_S) <= 0.0
    assert meters.read(second, 0, burst_frames, START_S) > 0.0


@pytest.mark.parametrize(("message", "kind"), [(Enter, "control"), (Auth, "auth"), (Ping, "ping"), (Signal, "signal")])
def test_a_burst_then_a_wait(message: type[ClientMessage], kind: Class) -> None:
    per_s, burst = RATES[kind]
    allowance = Allowance()
    assert [allowance.take(message, START_S) for _ in range(burst)] == [0.0] * burst
    wait_s = allowance.take(message, START_S)
    assert wait_s == pytest.approx(1.0 / per_s, abs=1e-4)
    assert allowance.take(message, START_S + wait_s) == 0.0


def test_classes_do_not_eat_each_others_budget_and_control_is_one_class() -> None:
    allowance = Allowance()
    control: list[type[ClientMessage]] = [Enter, Leave, Who]
    for number in range(10):
        assert allowance.take(control[number % 3], START_S) == 0.0
    assert allowance.take(Who, START_S) > 0.0
    assert allowance.take(Ping, START_S) == 0.0


def test_who_goes_on_regardless_is_cut_off() -> None:
    allowance = Allowance()
    said = [allowance.take(Ping, START_S + number / 100.0) for number in range(1000)]
    first = next(number for number, wait_s in enumerate(said) if wait_s)
    assert said.index(ENOUGH) == pytest.approx(first + 100 * OVER_MAX_S, abs=1)


def test_who_waits_as_told_is_not() -> None:
    allowance = Allowance()
    now_s = START_S
    for _ in range(200):
        wait_s = allowance.take(Who, now_s)
        assert wait_s < ENOUGH
        now_s += wait_s * 1.01


def test_a_refresh_every_five_seconds_is_fine() -> None:
    allowance = Allowance()
    assert all(allowance.take(Auth, START_S + 5.001 * number) == 0.0 for number in range(100))


def test_moves_are_not_asked_about_the_wrong_way() -> None:
    with pytest.raises(AssertionError, match="moves are thinned"):
        Allowance().take(Move, START_S)
