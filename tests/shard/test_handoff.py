"""Handoffs: which requests are carried out at a boundary, and what the ledger says of those that were."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shard.fleet.handoff import LEDGER_ENTRIES, Ledger, Request, decide

ZONES = 4
PERIOD_MS = 50.0
REQUESTS = st.lists(
    st.builds(
        Request,
        slot=st.integers(0, 40),
        generation=st.just(1),
        source=st.integers(0, ZONES - 1),
        target=st.integers(0, ZONES - 1),
        left_ms=st.sampled_from([0.0, 100.0, 200.0, 300.0]) | st.floats(0, 1e6),
    ),
    max_size=30,
    unique_by=lambda request: request.slot,
)
IDLE = st.sets(st.integers(0, ZONES - 1))


def request(slot: int, source: int = 0, target: int = 1, left_ms: float = 100.0) -> Request:
    return Request(slot, 1, source, target, left_ms)


# --- decisions


@settings(max_examples=200, deadline=None)
@given(requests=REQUESTS, idle=IDLE, room=st.integers(0, 4))
def test_a_player_moves_only_between_two_idle_zones_and_once(
    requests: list[Request], idle: set[int], room: int
) -> None:
    moves = decide(requests, idle, room)
    assert all(move.source in idle and move.target in idle for move in moves)
    assert all(move.source != move.target for move in moves)
    assert len({move.slot for move in moves}) == len(moves)
    assert set(moves) <= set(requests)


@settings(max_examples=200, deadline=None)
@given(requests=REQUESTS, idle=IDLE, room=st.integers(0, 4))
def test_no_zone_gives_or_takes_more_than_there_is_room(requests: list[Request], idle: set[int], room: int) -> None:
    moves = decide(requests, idle, room)
    for zone in range(ZONES):
        assert sum(move.source == zone for move in moves) <= room
        assert sum(move.target == zone for move in moves) <= room


@settings(max_examples=200, deadline=None)
@given(requests=REQUESTS, idle=IDLE, room=st.integers(0, 4))
def test_who_waits_longest_goes_first_and_nobody_waits_without_need(
    requests: list[Request], idle: set[int], room: int
) -> None:
    """Whoever is not moved although its zones are idle stands behind a full room of older ones."""
    moves = decide(requests, idle, room)
    assert [(move.left_ms, move.slot) for move in moves] == sorted((move.left_ms, move.slot) for move in moves)
    for waiting in set(requests) - set(moves):
        if waiting.source in idle and waiting.target in idle and waiting.source != waiting.target:
            older = [move for move in moves if (move.left_ms, move.slot) < (waiting.left_ms, waiting.slot)]
            given_out = sum(move.source == waiting.source for move in older)
            taken_in = sum(move.target == waiting.target for move in older)
            assert room in (given_out, taken_in)


@settings(max_examples=60, deadline=None)
@given(requests=REQUESTS, idle=IDLE, room=st.integers(0, 4), order=st.randoms(use_true_random=False))
def test_the_order_in_which_zones_ask_does_not_matter(
    requests: list[Request], idle: set[int], room: int, order: random.Random
) -> None:
    shuffled = list(requests)
    order.shuffle(shuffled)
    assert decide(shuffled, idle, room) == decide(requests, idle, room)


def test_a_full_room_of_one_direction_leaves_the_others_open() -> None:
    requests = [
        request(1, 0, 1, 1.0),
        request(2, 0, 1, 2.0),
        request(3, 1, 0, 3.0),
        request(4, 0, 2, 4.0),
        request(5, 2, 1, 5.0),
    ]
    assert [move.slot for move in decide(requests, {0, 1, 2}, room=1)] == [1, 3]
    assert [move.slot for move in decide(requests, {0, 1, 2}, room=2)] == [1, 2, 3]
    assert [move.slot for move in decide(requests, {0, 1, 2}, room=3)] == [1, 2, 3, 4, 5]


def test_nobody_asks_and_nobody_moves() -> None:
    assert decide([], {0, 1}, 5) == []


# --- the ledger


def test_a_handoff_is_recorded_with_ticks_and_milliseconds() -> None:
    ledger = Ledger(PERIOD_MS)
    move = request(3, left_ms=1000.0)
    ledger.begin(move, last_tick=20)
    assert ledger.complete(3, tick=21, now_ms=1210.0) == move
    [done] = ledger.recent()
    assert (done.slot, done.generation, done.source, done.target) == (3, 1, 0, 1)
    assert (done.last_tick, done.first_tick, done.gap) == (20, 21, 0)
    assert (done.ms, done.ticks) == (210.0, 5)
    assert (ledger.count, ledger.gaps) == (1, 0)


@pytest.mark.parametrize(("ms", "ticks"), [(0.0, 0), (0.1, 1), (50.0, 1), (50.1, 2), (500.0, 10), (-3.0, 0)])
def test_begun_ticks_are_counted_and_time_never_runs_backwards(ms: float, ticks: int) -> None:
    ledger = Ledger(PERIOD_MS)
    ledger.begin(request(3, left_ms=1000.0), last_tick=1)
    ledger.complete(3, tick=2, now_ms=1000.0 + ms)
    [done] = ledger.recent()
    assert done.ms == pytest.approx(max(ms, 0.0))
    assert done.ticks == ticks


def test_ticks_that_nobody_simulated_are_the_gap() -> None:
    ledger = Ledger(PERIOD_MS)
    for slot, last, first in ((1, 10, 11), (2, 10, 14), (3, 20, 22)):
        ledger.begin(request(slot), last)
        ledger.complete(slot, first, 1000.0)
    assert [done.gap for done in ledger.recent()] == [0, 3, 1]
    assert (ledger.count, ledger.gaps) == (3, 4)
    assert ledger.summary()["gap_ticks"] == 4


def test_a_commit_of_whom_nobody_moved_ends_nothing() -> None:
    ledger = Ledger(PERIOD_MS)
    assert ledger.complete(5, 3, 100.0) is None
    ledger.begin(request(4), 2)
    assert ledger.complete(5, 3, 100.0) is None
    assert ledger.complete(4, 3, 100.0) is not None
    assert ledger.complete(4, 4, 150.0) is None, "only the first tick of the new owner ends it"
    assert ledger.count == 1


def test_a_player_cannot_be_under_way_twice() -> None:
    ledger = Ledger(PERIOD_MS)
    ledger.begin(request(4), 2)
    with pytest.raises(AssertionError, match="slot 4 is handed off twice"):
        ledger.begin(request(4), 3)


def test_the_summary_has_percentiles_of_the_recent_ones() -> None:
    ledger = Ledger(PERIOD_MS)
    assert ledger.summary() == {"count": 0, "gap_ticks": 0}
    for number in range(1, 101):
        ledger.begin(request(number, left_ms=0.0), 1)
        ledger.complete(number, 2, now_ms=10.0 * number)
    summary = ledger.summary()
    assert summary["count"] == 100
    assert summary["p50_ms"] == pytest.approx(505.0)
    assert summary["p99_ms"] == pytest.approx(990.1)
    assert summary["p999_ms"] == pytest.approx(999.01)
    assert summary["p50_ticks"] == pytest.approx(10.5)
    assert summary["p99_ms"] >= summary["p50_ms"]


def test_the_ledger_forgets_the_oldest_but_counts_all() -> None:
    ledger = Ledger(PERIOD_MS)
    for number in range(LEDGER_ENTRIES + 5):
        ledger.begin(request(0), number)
        ledger.complete(0, number + 1, 100.0)
    assert len(ledger.recent()) == LEDGER_ENTRIES
    assert ledger.recent()[0].last_tick == 5
    assert ledger.count == LEDGER_ENTRIES + 5
