"""From excess to strikes, from strikes to sanctions: the table, how scores fade, and what each threshold opens."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest

from shared.constants import FLAG_AWAY, FLAG_GHOST
from shared.player_state import F64, PlayerState, fresh
from shared.thresholds import DEFAULT, Thresholds
from zones.verdicts import REACTIONS, Check, count_strikes, faded, strikes_for


def column(*values: float) -> F64:
    return np.array(values, np.float64)


def scored(*strikes: float, due: float = 0.0) -> PlayerState:
    state = fresh(len(strikes))
    state.strikes[:], state.due[:], state.strikes_ms[:] = strikes, due, 1000.0
    return state


def test_every_check_has_a_reaction() -> None:
    assert set(REACTIONS) == set(get_args(Check))


@pytest.mark.parametrize("seconds", [0.05, 1.0, 30.0, 60.0, 120.0])
def test_strikes_halve_every_minute(seconds: float) -> None:
    left = faded(column(8.0), column(seconds * 1000.0), DEFAULT)
    assert left[0] == pytest.approx(8.0 * math.exp2(-seconds / 60.0), rel=0.015)


def test_fading_in_ticks_is_fading_at_once() -> None:
    strikes = column(8.0)
    for _ in range(1200):
        strikes = faded(strikes, column(50.0), DEFAULT)
    assert strikes[0] == pytest.approx(4.0, rel=1e-6)


def test_what_nobody_would_notice_is_dropped_and_time_does_not_run_backwards() -> None:
    assert faded(column(0.0009, 0.5), column(0.0, -5000.0), DEFAULT).tolist() == [0.0, 0.5]


@pytest.mark.parametrize(
    ("check", "excess", "span_s", "strikes"),
    [
        ("teleport", 0.1, 0.0, 3.0),
        ("teleport", 9e9, 0.0, 3.0),
        ("clip", 1.0, 0.0, 2.0),
        ("late", 50.0, 0.0, 0.0),
        ("speed", 7.0, 1.0, 1.0),
        ("speed", 7.0, 0.25, 0.25),
        ("speed", 1e6, 1.0, 3.0),
        ("clock", 2.5, 0.05, 0.0025),
        ("clock", 1e9, 0.05, 0.5),
        ("agreement", 100.0, 1.0, 0.1),
        ("flight", 5.0, 0.05, 0.05),
        ("sunk", 5.0, 1.0, 0.0),
        ("budget", 0.0, 1.0, 0.0),
        ("speed", 0.0, 1.0, 0.0),
    ],
)
def test_strikes_grow_as_the_table_says(check: Check, excess: float, span_s: float, strikes: float) -> None:
    assert strikes_for(check, column(excess), column(span_s))[0] == pytest.approx(strikes)


def test_due_strikes_count_in_the_next_tick_or_are_forgiven() -> None:
    for forgive, left in ((False, 5.0), (True, 2.0)):
        state = scored(2.0, due=3.0)
        count_strikes(state, 1000.0, forgive, True, DEFAULT)
        assert (state.strikes[0], state.due[0]) == (left, 0.0)


def test_each_threshold_is_told_once_and_removal_until_it_is_done() -> None:
    state = scored(4.0, 9.0, 19.0, 0.0, due=2.0)
    first = count_strikes(state, 1000.0, False, True, DEFAULT)
    assert (first.logged.tolist(), first.ghosted.tolist(), first.removed.tolist()) == ([0], [1], [2])
    second = count_strikes(state, 1050.0, False, True, DEFAULT)
    assert (second.logged.tolist(), second.ghosted.tolist(), second.removed.tolist()) == ([], [], [2])


def test_a_ghost_is_one_while_the_score_lasts() -> None:
    state = scored(9.5, 9.5, due=1.0)
    state.flags[1] = FLAG_AWAY
    count_strikes(state, 1000.0, False, True, DEFAULT)
    assert (state.flags & FLAG_GHOST).tolist() == [FLAG_GHOST, FLAG_GHOST]
    state.flags[0] &= 0xFF ^ FLAG_GHOST  # a resume, say
    count_strikes(state, 1050.0, False, True, DEFAULT)
    assert state.flags[0] == FLAG_GHOST
    count_strikes(state, 1050.0 + 10_000.0, False, True, DEFAULT)
    assert state.strikes[0] < DEFAULT.ghost_at
    assert (state.flags & FLAG_GHOST).tolist() == [0, FLAG_GHOST], "who is away stays a ghost"


def test_observing_counts_and_changes_no_flag() -> None:
    state = scored(19.0, due=5.0)
    assert count_strikes(state, 1000.0, False, False, DEFAULT).removed.tolist() == [0]
    assert count_strikes(state, 1050.0, False, False, DEFAULT).removed.tolist() == []
    assert state.flags[0] == 0


def test_who_has_no_strikes_is_not_written_to() -> None:
    state = scored(0.0)
    count_strikes(state, 99_000.0, False, True, DEFAULT)
    assert state.strikes_ms[0] == 1000.0


def test_thresholds_must_ascend() -> None:
    with pytest.raises(AssertionError, match="ascend"):
        Thresholds(ghost_at=30.0)
