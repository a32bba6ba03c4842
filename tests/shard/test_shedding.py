"""What is given up under load, in which order, and when it comes back."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shard.fleet.shedding import (
    CALM_SHARE,
    GIVE_UP_EVERY_S,
    LATE_SHARE,
    TAKE_BACK_EVERY_S,
    TOLD,
    Load,
    Shed,
    after_tick,
    row_budget,
)

PERIOD_MS = 50.0


def run(load: Load, late: list[bool]) -> list[Load]:
    """The load after each tick."""
    history = []
    for each in late:
        load = after_tick(load, each, max(load.tick_ms, 0.0) + PERIOD_MS)
        history.append(load)
    return history


def steps(history: list[Load]) -> list[tuple[Shed, float]]:
    """(what is given up, for how many seconds), in order."""
    found: list[tuple[Shed, float]] = []
    for load in history:
        if not found or found[-1][0] is not load.shed:
            found.append((load.shed, 0.0))
        found[-1] = load.shed, round(found[-1][1] + PERIOD_MS / 1000.0, 3)
    return found


def test_it_gives_up_detail_then_entries_then_races_and_takes_them_back_in_the_reverse_order() -> None:
    up = run(Load(), [True] * 600)
    assert [shed for shed, _ in steps(up)] == [Shed.NOTHING, Shed.DETAIL, Shed.ENTRIES, Shed.RACES]
    assert 5.0 < steps(up)[0][1] < 8.0, "not for a hitch"
    assert [seconds for _, seconds in steps(up)][1:3] == [GIVE_UP_EVERY_S, GIVE_UP_EVERY_S]
    down = run(up[-1], [False] * 2000)
    assert [shed for shed, _ in steps(down)] == [Shed.RACES, Shed.ENTRIES, Shed.DETAIL, Shed.NOTHING]
    assert steps(down)[0][1] > 25.0, "the memory of it has to fade first"
    assert [seconds for _, seconds in steps(down)][1:3] == [TAKE_BACK_EVERY_S, TAKE_BACK_EVERY_S]


def test_a_hitch_of_four_seconds_costs_nothing() -> None:
    assert steps(run(Load(), [True] * 80 + [False] * 400))[-1][0] is Shed.NOTHING
    assert {load.shed for load in run(Load(), [True] * 80 + [False] * 400)} == {Shed.NOTHING}


def test_between_the_two_marks_nothing_changes() -> None:
    """One tick of four late: too much to take anything back, too little to give anything up."""
    load = Load(Shed.DETAIL, 0.25, 0.0, 0.0)
    assert {each.shed for each in run(load, [True, False, False, False] * 500)} == {Shed.DETAIL}


def test_a_gap_in_which_nothing_ran_counts_little() -> None:
    assert after_tick(Load(tick_ms=0.0), True, 3_600_000.0).late_share == 0.1


def test_detail_is_half_the_budget_and_never_less_than_the_least() -> None:
    assert row_budget(Shed.NOTHING, 100, 20) == 100
    assert [row_budget(shed, 100, 20) for shed in (Shed.DETAIL, Shed.ENTRIES, Shed.RACES)] == [50, 50, 50]
    assert row_budget(Shed.DETAIL, 30, 20) == 20
    assert row_budget(Shed.DETAIL, 10, 20) == 10
    assert row_budget(Shed.DETAIL, 0, 20) == 0


def test_every_step_has_its_words() -> None:
    assert TOLD.keys() == set(Shed) - {Shed.NOTHING}


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 200)), max_size=30))
def test_steps_are_single_spaced_and_justified(spans: list[tuple[bool, int]]) -> None:
    history = [Load(), *run(Load(), [late for late, ticks in spans for _ in range(ticks)])]
    for before, now in pairwise(history):
        assert 0.0 <= now.late_share <= 1.0
        if now.shed is before.shed:
            continue
        assert abs(now.shed - before.shed) == 1
        assert now.changed_ms == now.tick_ms
        waited_s = (now.changed_ms - before.changed_ms) / 1000.0
        if now.shed > before.shed:
            assert now.late_share >= LATE_SHARE
            assert waited_s >= GIVE_UP_EVERY_S
        else:
            assert now.late_share <= CALM_SHARE
            assert waited_s >= TAKE_BACK_EVERY_S
