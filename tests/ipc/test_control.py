"""Control messages: each comes back as it went, and the largest that are ever sent stay below the pipe's bound."""

from __future__ import annotations

import math
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipc.control import (
    ASSUMED_MAX,
    MESSAGES_PER_TICK_MAX,
    Assume,
    Command,
    Crossing,
    Done,
    Event,
    Fault,
    Place,
    PlacedAt,
    Ready,
    Resume,
    Seat,
    SetFlags,
    Stop,
    Tick,
    ToMain,
    ToZone,
    decode_to_main,
    decode_to_zone,
    encode,
)
from shared.constants import PIPE_MESSAGE_BYTES_MAX, PLAYERS_MAX, ZONES_MAX
from shared.messages import PlacedReason

SLOTS = st.integers(0, PLAYERS_MAX - 1)
COUNTERS = st.integers(0, 2**32 - 1)
NUMBERS = st.floats(allow_nan=False)
REASONS = st.sampled_from(get_args(PlacedReason))
SEATS = st.lists(st.tuples(SLOTS, COUNTERS), max_size=4)
PLACES = st.builds(Place, SLOTS, COUNTERS, NUMBERS, NUMBERS, NUMBERS, REASONS, st.booleans())
BITS = st.integers(0, 255)
COMMANDS = PLACES | st.builds(SetFlags, SLOTS, COUNTERS, BITS, BITS) | st.builds(Resume, SLOTS, COUNTERS)
PLACED = st.builds(PlacedAt, SLOTS, COUNTERS, COUNTERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, REASONS, NUMBERS, NUMBERS)
CROSSINGS = st.builds(Crossing, SLOTS, COUNTERS, st.integers(0, ZONES_MAX - 1), NUMBERS)
TICKS = st.builds(
    Tick,
    COUNTERS,
    NUMBERS,
    st.integers(0, 1),
    COUNTERS,
    SEATS,
    SEATS,
    SEATS,
    st.lists(COMMANDS, max_size=4),
)
DONES = st.builds(
    Done,
    zone=st.integers(0, ZONES_MAX - 1),
    tick=COUNTERS,
    stamp_ns=st.integers(0, 2**63 - 1),
    body_ns=st.integers(0, 2**40),
    base=COUNTERS,
    members=SLOTS,
    judged=COUNTERS,
    accepted=COUNTERS,
    omitted=SLOTS,
    events=st.lists(PLACED | CROSSINGS, max_size=6),
)
READIES = st.builds(Ready, st.none() | st.integers(0, ZONES_MAX - 1), st.integers(1, 2**31))
FAULTS = st.builds(
    Fault, st.none() | st.integers(0, ZONES_MAX - 1), COUNTERS, st.text(max_size=30), st.text(max_size=200)
)


@settings(max_examples=80, deadline=None)
@given(message=TICKS | st.builds(Assume, st.integers(0, ZONES_MAX - 1), SEATS) | st.builds(Stop))
def test_what_main_says_arrives_as_it_was_said(message: ToZone) -> None:
    assert decode_to_zone(encode(message)) == message


@settings(max_examples=80, deadline=None)
@given(message=DONES | READIES | FAULTS)
def test_what_a_zone_says_arrives_as_it_was_said(message: ToMain) -> None:
    assert decode_to_main(encode(message)) == message


def test_every_command_and_event_is_tried_here() -> None:
    assert set(get_args(Command)) == {Place, SetFlags, Resume}
    assert set(get_args(Event)) == {PlacedAt, Crossing}
    assert set(get_args(ToZone)) == {Tick, Assume, Stop}
    assert set(get_args(ToMain)) == {Ready, Done, Fault}


def test_events_and_commands_keep_their_order() -> None:
    commands: list[Command] = [Place(slot, 1, 0.0, 0.0, 0.0, "respawn", fresh=slot % 2 == 0) for slot in (5, 1, 5, 3)]
    tick = decode_to_zone(encode(Tick(1, 50.0, 0, 0, [], [], [], commands)))
    assert isinstance(tick, Tick)
    assert tick.commands == commands


def test_numbers_cross_the_pipe_bit_for_bit() -> None:
    for value in (0.1 + 0.2, -0.0, 5e-324, 1.7976931348623157e308, math.pi * 1e6, math.inf):
        back = decode_to_zone(encode(Tick(1, value, 0, 0, [], [], [], [])))
        assert isinstance(back, Tick)
        assert back.now_ms.hex() == value.hex()


def largest_seats(count: int) -> list[Seat]:
    return [(PLAYERS_MAX - 1, 2**32 - 1)] * count


def test_the_largest_tick_fits_the_pipe() -> None:
    """What a boundary can hold at most: releases by departures and by handoffs, all forgets, all commands."""
    far = 65535.123456789
    place: Command = Place(PLAYERS_MAX - 1, 2**32 - 1, far, far, far, "correction", fresh=True)
    tick = Tick(
        tick=2**32 - 1,
        now_ms=1.7e12 + 0.1,
        half=1,
        shown=2**32 - 1,
        adopted=largest_seats(MESSAGES_PER_TICK_MAX),
        released=largest_seats(2 * MESSAGES_PER_TICK_MAX),
        forget=largest_seats(8 * MESSAGES_PER_TICK_MAX),
        commands=[place] * MESSAGES_PER_TICK_MAX,
    )
    assert len(encode(tick)) <= PIPE_MESSAGE_BYTES_MAX


@pytest.mark.parametrize(
    "event",
    [
        PlacedAt(PLAYERS_MAX - 1, 2**32 - 1, 2**32 - 1, 65535.1, 65535.1, 65535.1, 6.28, "correction", 1.1, 1.1),
        Crossing(PLAYERS_MAX - 1, 2**32 - 1, ZONES_MAX - 1, 1.7e12 + 0.1),
    ],
    ids=["placed", "crossing"],
)
def test_the_largest_done_fits_the_pipe(event: Event) -> None:
    big = 2**32 - 1
    done = Done(63, big, 2**63 - 1, 2**63 - 1, big, PLAYERS_MAX, big, big, big, [event] * MESSAGES_PER_TICK_MAX)
    assert len(encode(done)) <= PIPE_MESSAGE_BYTES_MAX


def test_the_last_words_of_a_worker_fit_the_pipe() -> None:
    assert len(encode(Fault(63, 2**32 - 1, "ZeroDivisionError", "ä" * 20_000))) <= PIPE_MESSAGE_BYTES_MAX


def test_a_message_above_the_bound_is_our_own_bug_and_says_what_to_do() -> None:
    with pytest.raises(AssertionError, match=f"Fault has .* bytes: send at most {MESSAGES_PER_TICK_MAX}"):
        encode(Fault(0, 1, "Kind", "x" * PIPE_MESSAGE_BYTES_MAX))


@pytest.mark.parametrize("data", [b"", b"\x00", b"\xc1", b"{}", b"\x93\x01\x02\x03", b"\xff" * 40, encode(Stop())])
def test_what_no_worker_says_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_to_main(data)


def test_a_message_for_the_other_side_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_to_zone(encode(Ready(0, 1)))


def test_the_largest_assumption_fits() -> None:
    encode(Assume(ZONES_MAX - 1, largest_seats(ASSUMED_MAX)))
