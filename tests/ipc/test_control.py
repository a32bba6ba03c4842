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
    RACE_EVENTS_PER_TICK_MAX,
    Arm,
    Assume,
    Command,
    Crossing,
    Disarm,
    Done,
    Event,
    FalseStart,
    Fault,
    GateMissed,
    GatePassed,
    Implausible,
    KioskVerdict,
    Place,
    PlacedAt,
    Ready,
    Reidentify,
    Resume,
    Sanction,
    Seat,
    SetFlags,
    Stop,
    Tick,
    ToMain,
    ToZone,
    UseKiosk,
    Verdict,
    WrongWay,
    decode_to_main,
    decode_to_zone,
    encode,
)
from shared.constants import NAME_CHARS_MAX, PIPE_MESSAGE_BYTES_MAX, PLAYERS_MAX, ZONES_MAX
from shared.messages import PlacedReason
from zones.docket import CORRECTIONS_PER_TICK_MAX, VERDICTS_PER_TICK_MAX
from zones.simulation import SANCTIONS_PER_TICK_MAX
from zones.verdicts import REACTIONS

SLOTS = st.integers(0, PLAYERS_MAX - 1)
COUNTERS = st.integers(0, 2**32 - 1)
NUMBERS = st.floats(allow_nan=False)
REASONS = st.sampled_from(get_args(PlacedReason))
SEATS = st.lists(st.tuples(SLOTS, COUNTERS), max_size=4)
PLACES = st.builds(Place, SLOTS, COUNTERS, NUMBERS, NUMBERS, NUMBERS, REASONS, st.booleans())
BITS = st.integers(0, 255)
NAMES = st.text(max_size=NAME_CHARS_MAX)
RACES, SMALL = st.integers(0, 2**31 - 1), st.integers(0, 2**15 - 1)
COMMANDS = (
    PLACES
    | st.builds(SetFlags, SLOTS, COUNTERS, BITS, BITS)
    | st.builds(Resume, SLOTS, COUNTERS)
    | st.builds(Reidentify, SLOTS, COUNTERS, NAMES, BITS)
    | st.builds(UseKiosk, SLOTS, COUNTERS, COUNTERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS)
    | st.builds(Arm, SLOTS, COUNTERS, RACES, SMALL, NUMBERS)
    | st.builds(Disarm, SLOTS, COUNTERS)
)
RACE_EVENTS = (
    st.builds(GatePassed, SLOTS, COUNTERS, RACES, SMALL, SMALL, NUMBERS, NUMBERS)
    | st.builds(GateMissed, SLOTS, COUNTERS, RACES, SMALL)
    | st.builds(WrongWay, SLOTS, COUNTERS, RACES)
    | st.builds(FalseStart, SLOTS, COUNTERS, RACES, NUMBERS)
    | st.builds(Implausible, SLOTS, COUNTERS, RACES, SMALL, st.text(max_size=60))
)
PLACED = st.builds(
    PlacedAt,
    *(SLOTS, COUNTERS, COUNTERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, REASONS, NUMBERS, NUMBERS),
    seq=st.none() | COUNTERS,
    check=st.none() | st.just("teleport"),
)
VERDICTS = st.builds(
    Verdict,
    *(SLOTS, COUNTERS, st.text(max_size=12), st.text(max_size=8), NUMBERS, NUMBERS, st.just("m/s"), NUMBERS, NUMBERS),
    *(COUNTERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS),
)
SANCTIONS = st.builds(Sanction, SLOTS, COUNTERS, st.sampled_from(["logged", "ghosted", "removed"]), NUMBERS)
CROSSINGS = st.builds(Crossing, SLOTS, COUNTERS, st.integers(0, ZONES_MAX - 1), NUMBERS)
KIOSK_VERDICTS = st.builds(KioskVerdict, SLOTS, COUNTERS, COUNTERS, st.none() | st.text(max_size=60))
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
    NUMBERS,
    st.booleans(),
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
    events=st.lists(PLACED | CROSSINGS | KIOSK_VERDICTS | RACE_EVENTS | VERDICTS | SANCTIONS, max_size=6),
    flagged=SLOTS,
    counts=st.dictionaries(st.text(max_size=9), COUNTERS, max_size=3),
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
    assert set(get_args(Command)) == {Place, SetFlags, Resume, Reidentify, UseKiosk, Arm, Disarm}
    assert set(get_args(Event)) == {
        PlacedAt,
        Crossing,
        KioskVerdict,
        Verdict,
        Sanction,
        GatePassed,
        GateMissed,
        WrongWay,
        FalseStart,
        Implausible,
    }
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


FAR = 65535.123456789


@pytest.mark.parametrize(
    "command",
    [
        Place(PLAYERS_MAX - 1, 2**32 - 1, FAR, FAR, FAR, "correction", fresh=True),
        Reidentify(PLAYERS_MAX - 1, 2**32 - 1, "\N{GRINNING FACE}" * NAME_CHARS_MAX, 255),
        UseKiosk(PLAYERS_MAX - 1, 2**32 - 1, 2**32 - 1, FAR, FAR, 30.1, 5000.1),
    ],
    ids=["place", "reidentify", "kiosk"],
)
def test_the_largest_tick_fits_the_pipe(command: Command) -> None:
    """What a boundary can hold at most: releases by departures and by handoffs, all forgets, all commands."""
    tick = Tick(
        tick=2**32 - 1,
        now_ms=1.7e12 + 0.1,
        half=1,
        shown=2**32 - 1,
        adopted=largest_seats(MESSAGES_PER_TICK_MAX),
        released=largest_seats(2 * MESSAGES_PER_TICK_MAX),
        forget=largest_seats(8 * MESSAGES_PER_TICK_MAX),
        commands=[command] * MESSAGES_PER_TICK_MAX,
    )
    assert len(encode(tick)) <= PIPE_MESSAGE_BYTES_MAX


@pytest.mark.parametrize(
    "event",
    [
        PlacedAt(PLAYERS_MAX - 1, 2**32 - 1, 2**32 - 1, 65535.1, 65535.1, 65535.1, 6.28, "correction", 1.1, 1.1),
        Crossing(PLAYERS_MAX - 1, 2**32 - 1, ZONES_MAX - 1, 1.7e12 + 0.1),
        KioskVerdict(PLAYERS_MAX - 1, 2**32 - 1, 2**32 - 1, "too_far: 65536.1 m away, come within 12.12345 m" * 2),
    ],
    ids=["placed", "crossing", "verdict"],
)
def test_the_largest_done_fits_the_pipe(event: Event) -> None:
    """Race events have room of their own; the longest that go together are a gate passed and that it was too soon."""
    big = 2**32 - 1
    seat, race, lap = (PLAYERS_MAX - 1, big), 2**31 - 1, 2**15 - 1
    passed = GatePassed(*seat, race, lap, lap, 1.7e12 + 0.1, 1e4 + 0.1)
    reason = "split of -100000000 ms, this car needs 100000000 ms"
    events = [event] * MESSAGES_PER_TICK_MAX + [passed, Implausible(*seat, race, lap, reason)] * (
        RACE_EVENTS_PER_TICK_MAX // 2
    )
    done = Done(63, big, 2**63 - 1, 2**63 - 1, big, PLAYERS_MAX, big, big, big, events)
    assert len(encode(done)) <= PIPE_MESSAGE_BYTES_MAX


def test_a_done_full_of_answers_corrections_and_verdicts_fits_the_pipe() -> None:
    far, big = 65535.123456789, 2**32 - 1
    seat = PLAYERS_MAX - 1, big
    answer = PlacedAt(*seat, big, far, far, far, 6.28, "correction", far, far)
    correction = PlacedAt(*seat, big, far, far, far, 6.28, "correction", far, far, big, "acceleration")
    verdict = Verdict(*seat, "acceleration", "set_back", far, far, "m/s", far, far, big, far, far, far, far)
    sanction = Sanction(*seat, "ghosted", far)
    events = [answer] * MESSAGES_PER_TICK_MAX + [correction] * CORRECTIONS_PER_TICK_MAX
    done = Done(
        63, big, 2**63 - 1, 2**63 - 1, big, PLAYERS_MAX, big, big, big,
        [*events, *[verdict] * VERDICTS_PER_TICK_MAX, *[sanction] * 3 * SANCTIONS_PER_TICK_MAX],
        PLAYERS_MAX, dict.fromkeys(REACTIONS, big),
    )  # fmt: skip
    assert len(encode(done)) <= PIPE_MESSAGE_BYTES_MAX


def test_the_worst_mix_of_all_kinds_of_events_fits_the_pipe() -> None:
    """Every command answered, everybody set back, the worst reported and sanctioned, and the longest race events.

    Crossings take what answers leave of MESSAGES_PER_TICK_MAX, and are shorter than they.
    """
    far, big = 65535.123456789, 2**32 - 1
    seat, race, lap = (PLAYERS_MAX - 1, big), 2**31 - 1, 2**15 - 1
    answers: list[Event] = [
        PlacedAt(*seat, big, far, far, far, 6.28, "respawn", far, far),
        KioskVerdict(*seat, big, "too_far: 92681.9 m away, come within 12.1235 m"),
        Crossing(*seat, ZONES_MAX - 1, 1.7e12 + 0.1),
    ]
    longest = max(answers, key=lambda each: len(msgspec.msgpack.encode(each)))
    reason = "split of -100000000 ms, this car needs 100000000 ms"
    soon: list[Event] = [
        GatePassed(*seat, race, lap, lap, 1.7e12 + 0.1, 1e4 + 0.1), Implausible(*seat, race, lap, reason)
    ]  # fmt: skip
    events: list[Event] = [
        *[longest] * MESSAGES_PER_TICK_MAX,
        *[PlacedAt(*seat, big, far, far, far, 6.28, "correction", far, far, big, "acceleration")]
        * CORRECTIONS_PER_TICK_MAX,
        *[Verdict(*seat, "acceleration", "set_back", far, far, "m/s", far, far, big, far, far, far, far)]
        * VERDICTS_PER_TICK_MAX,
        *[Sanction(*seat, "ghosted", far)] * 3 * SANCTIONS_PER_TICK_MAX,
        *soon * (RACE_EVENTS_PER_TICK_MAX // 2),
    ]
    done = Done(
        63, big, 2**63 - 1, 2**63 - 1, big, PLAYERS_MAX, big, big, big, events,
        PLAYERS_MAX, dict.fromkeys(REACTIONS, big),
    )  # fmt: skip
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
