"""The book of a race: what the shard says is compared with what bots truly did, and nothing wrong gets through."""

from __future__ import annotations

import pytest

from scripts.bots.race_book import OWN_ERR_MS, RaceBook
from shared.messages import (
    Notice,
    NoticePayload,
    RaceGate,
    RaceGatePayload,
    RacePlace,
    RaceResult,
    RaceResultPayload,
    RaceState,
    RaceStatePayload,
)
from shared.messages import Racer as Row

START_MS = 1_700_000_000_000.0
FINISH = {"a": 9000.0, "b": 9100.0, "c": 12_000.0}
ERR_MS = 5.0


def state(rev: int, phase: str = "running") -> RaceState:
    rows = [Row(player, player, "racing", 0, 0) for player in FINISH]
    return RaceState(RaceStatePayload("r1-dash", rev, phase, "dash", rows, start_at_ms=START_MS))  # type: ignore[arg-type]


def gate(player: str, number: int, split_ms: float) -> RaceGate:
    return RaceGate(RaceGatePayload("r1-dash", 9, player, 0, number, START_MS + split_ms, ERR_MS, split_ms, 1))


def line(place: int, player: str, time_ms: float | None, **more: object) -> RacePlace:
    status = "dnf" if time_ms is None else "finished"
    return RacePlace(place, player, status, time_ms, None if time_ms is None else ERR_MS, **more)  # type: ignore[arg-type]


def raced(*lines: RacePlace, gate_off_ms: float = 0.0, receipt: str = "token") -> RaceBook:
    """Three bots on a route of two gates; what was told of them is right, but for what the test says."""
    book = RaceBook(gates=2)
    for player, finish_ms in FINISH.items():
        entry = book.enter(player, "honest")
        entry.clock_err_ms = 1.0
        book.hear(player, state(1))
        entry.truth_ms += [START_MS + 1000.0, START_MS + finish_ms]
        book.hear(player, gate(player, 0, 1000.0 + gate_off_ms))
        book.hear(player, gate(player, 1, finish_ms))
    for player in FINISH:
        book.hear(player, RaceResult(RaceResultPayload("r1-dash", list(lines), receipt)))
    return book


RIGHT = (line(1, "a", 9000.0), line(2, "b", 9100.0), line(3, "c", 12_000.0))


def found(book: RaceBook) -> set[tuple[str, str]]:
    return {(each.what, each.player) for each in book.differences()}


def test_a_right_result_is_right() -> None:
    assert found(raced(*RIGHT)) == set()
    assert found(raced(line(1, "a", 9006.0), line(2, "b", 9094.0), line(3, "c", 12_007.9))) == set()


def test_a_time_outside_its_bar_is_found() -> None:
    off_ms = ERR_MS + 1.0 + OWN_ERR_MS + 0.1
    assert found(raced(line(1, "a", 9000.0 + off_ms), *RIGHT[1:])) == {("time", "a")}
    assert found(raced(*RIGHT, gate_off_ms=off_ms)) == {("time", player) for player in FINISH}


def test_a_wrong_order_and_a_false_dead_heat_are_found() -> None:
    swapped = raced(line(1, "b", 9100.0), line(2, "a", 9000.0), RIGHT[2])
    assert ("order", "b") in found(swapped)
    assert ("order", "a") in found(raced(line(1, "a", 9000.0), line(1, "b", 9100.0), RIGHT[2]))


def test_a_gate_is_undone_by_the_death_of_main_only_and_only_if_it_was_passed_just_before() -> None:
    book = raced(*RIGHT)
    entry = book.entries["a"]
    entry.was_cut = True
    entry.go_back(1, gates=2)
    assert entry.truth_ms == [START_MS + 1000.0]
    assert ("undone", "a") in found(book)
    entry.truth_ms.append(START_MS + FINISH["a"])
    book.hear("a", gate("a", 1, FINISH["a"]))
    assert found(book) == {("undone", "a")}
    book.deaths_ms.append(START_MS + FINISH["a"] + 1400.0)
    assert found(book) == set()
    for off_ms in (-1.0, 1501.0):
        book.deaths_ms[:] = [START_MS + FINISH["a"] + off_ms]
        assert found(book) == {("undone", "a")}


def test_penalties_are_part_of_the_truth() -> None:
    late = line(3, "a", 14_000.0, penalty_ms=5000.0, flags=["false_start"])
    book = raced(line(1, "b", 9100.0), line(2, "c", 12_000.0), late)
    assert found(book) == {("fate", "a")}, "an honest bot has no false start"
    book.entries["a"].conduct = "false_start"
    assert found(book) == {("fate", "a")}, "it was told nothing of it"
    book.hear("a", Notice(NoticePayload("false_start", "5 s")))
    assert found(book) == set()


@pytest.mark.parametrize(("conduct", "told"), [("skip_gate", "gate_missed"), ("backwards", "wrong_way")])
def test_everybody_gets_the_end_that_it_earned(conduct: str, told: str) -> None:
    book = raced(line(1, "a", 9000.0), line(2, "b", 9100.0), line(3, "c", None, reason="no_progress"))
    assert found(book) == {("fate", "c")}
    book.entries["c"].conduct = conduct
    book.hear("c", Notice(NoticePayload(told, "go back")))  # type: ignore[arg-type]
    assert found(book) == set()
    book.entries["c"].conduct = "kicked"
    assert found(book) == {("fate", "c")}, "it was not disqualified"


def test_who_is_kicked_is_disqualified_and_hears_no_more() -> None:
    kicked = RacePlace(3, "c", "dsq", None, None, reason="removed")
    book = raced(line(1, "a", 9000.0), line(2, "b", 9100.0), kicked)
    book.entries["c"].conduct = "kicked"
    book.entries["c"].result = None
    assert book.over
    assert found(book) == set()


def test_who_lost_its_line_may_have_missed_what_it_was_told() -> None:
    book = raced(*RIGHT)
    del book.entries["b"].told[0]
    assert ("order", "b") in found(book)
    book.entries["b"].was_cut = True
    assert found(book) == set()


def test_a_gate_that_nobody_was_told_of_is_found() -> None:
    book = raced(*RIGHT)
    book.entries["c"].told.pop()
    assert found(book) == {("missing", "c")}


def test_missing_results_and_receipts_are_found() -> None:
    book = raced(*RIGHT)
    book.entries["b"].result = None
    assert found(book) == {("missing", "b")}
    assert not book.over
    assert found(raced(*RIGHT, receipt="")) == {("receipt", player) for player in FINISH}


def test_a_gate_told_twice_or_never_crossed_is_found() -> None:
    book = raced(*RIGHT)
    book.hear("a", gate("a", 1, 9000.0))
    book.entries["b"].truth_ms.pop()
    assert {("order", "a"), ("time", "b")} <= found(book)


def test_gates_of_others_and_older_states_do_not_count() -> None:
    book = raced(*RIGHT)
    book.hear("a", gate("b", 0, 1.0))
    book.hear("a", state(0, "open"))
    assert book.state is not None
    assert (book.state.rev, len(book.entries["a"].told)) == (1, 2)
    book.hear("a", Notice(NoticePayload("wrong_way", "turn round")))
    assert book.entries["a"].notices == ["wrong_way"]


def test_who_was_moved_by_the_server_knows_no_truth() -> None:
    book = raced(line(1, "a", 9500.0), *RIGHT[1:])
    assert found(book) == {("time", "a")}
    book.entries["a"].disturbed = True
    assert found(book) == set()


def test_it_is_over_with_the_last_result_or_a_cancelled_race() -> None:
    book = raced(*RIGHT)
    assert book.over
    assert "1  a  finished  9.000 s +- 5.0 ms  own 9.000" in book.table()
    waiting = RaceBook(2)
    assert not waiting.over
    waiting.enter("a", "honest")
    waiting.hear("a", state(1))
    assert not waiting.over
    waiting.hear("a", state(2, "cancelled"))
    assert waiting.over
