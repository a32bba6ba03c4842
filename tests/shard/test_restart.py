"""The restart policy, step by step."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shard.fleet.restart import (
    AT_ONCE,
    FAILED_STARTS_MAX,
    FIRST_PAUSE_S,
    PAUSE_MAX_S,
    STEADY_S,
    Cause,
    Exit,
    GiveUp,
    Restart,
    Sacrifice,
    after_exit,
    after_failed_starts,
)


def stuck(*causes: Cause, times: int = 1) -> list[Exit]:
    """Exits without a committed tick in between."""
    return [Exit(100.0 + number, 0.0, cause, 7) for number, cause in enumerate(causes * times)]


def test_the_first_successor_comes_at_once_and_is_given_everything() -> None:
    for cause in get_args(Cause):
        assert after_exit(stuck(cause)) == Restart(100.0, Sacrifice.NOTHING)


@pytest.mark.parametrize("cause", ["crash", "hang"])
def test_the_same_input_again_costs_the_samples_and_then_the_players(cause: Cause) -> None:
    plans = [after_exit(stuck(cause, times=count)).sacrifice for count in range(1, 6)]
    assert plans == [Sacrifice.NOTHING, Sacrifice.SAMPLES, *[Sacrifice.PLAYERS] * 3]


def test_a_committed_tick_clears_the_input_of_blame() -> None:
    exits = [*stuck("crash", "crash"), Exit(110.0, 5.0, "crash", 8)]
    assert after_exit(exits).sacrifice is Sacrifice.NOTHING


def test_three_kills_by_others_count_as_one_failure() -> None:
    assert after_exit(stuck("killed", times=5)).sacrifice is Sacrifice.NOTHING
    assert after_exit(stuck("killed", times=6)).sacrifice is Sacrifice.SAMPLES
    assert after_exit(stuck("crash", "killed", "killed")).sacrifice is Sacrifice.NOTHING
    assert after_exit(stuck("crash", "killed", "killed", "killed")).sacrifice is Sacrifice.SAMPLES


def test_pauses_double_up_to_a_bound_for_those_who_die_of_being_started() -> None:
    pauses = []
    for count in range(1, 14):
        exits = stuck("crash", times=count)
        pauses.append(after_exit(exits).at_s - exits[-1].at_s)
    assert pauses[:AT_ONCE] == [0.0] * AT_ONCE
    assert pauses[AT_ONCE : AT_ONCE + 3] == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]
    assert pauses[-1] == PAUSE_MAX_S


def test_who_lived_for_a_while_is_followed_at_once() -> None:
    exits = [*stuck("crash", times=10), Exit(200.0, STEADY_S, "crash", 9)]
    assert after_exit(exits).at_s == 200.0


def test_who_was_killed_by_others_after_it_had_ticked_is_followed_at_once_however_often() -> None:
    exits = [Exit(100.0 + number / 10, 0.1, "killed", number) for number in range(12)]
    assert after_exit(exits) == Restart(exits[-1].at_s, Sacrifice.NOTHING)
    stuck_now = [*exits, *[Exit(102.0, 0.1, "killed", 11)] * (AT_ONCE + 1)]
    assert after_exit(stuck_now).at_s > 102.0


EXITS = st.lists(
    st.builds(
        Exit,
        st.floats(0.0, 1e6),
        st.floats(0.0, 1e4),
        st.sampled_from(["crash", "hang", "killed"]),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=40,
)


@given(exits=EXITS)
def test_every_zone_is_always_restarted_within_the_longest_pause(exits: list[Exit]) -> None:
    plan = after_exit(exits)
    assert exits[-1].at_s <= plan.at_s <= exits[-1].at_s + PAUSE_MAX_S


@given(exits=EXITS)
def test_an_exit_more_on_the_same_input_never_takes_less(exits: list[Exit]) -> None:
    again = [*exits, Exit(exits[-1].at_s, 0.0, "crash", exits[-1].tick)]
    assert after_exit(again).sacrifice >= after_exit(exits).sacrifice


def test_when_nothing_can_be_started_the_shard_gives_up() -> None:
    plans = [after_failed_starts(count, 50.0) for count in range(FAILED_STARTS_MAX + 1)]
    assert plans[:3] == [Restart(50.0 + pause, Sacrifice.NOTHING) for pause in (0.0, FIRST_PAUSE_S, 2 * FIRST_PAUSE_S)]
    assert plans[-1] == GiveUp()
    assert all(isinstance(plan, Restart) for plan in plans[:-1])
