"""The boards: the ten best, one line per player, equal times in the order in which they were driven."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shard.land.best_times import BEST_MAX, BestTime, BestTimes


def put(times: BestTimes, player: str, time_ms: float, route: str = "dash") -> bool:
    return times.record(route, player, f"Driver {player}", "car", time_ms)


def players(times: BestTimes, route: str = "dash") -> list[str]:
    return [line.player for line in times.of(route)]


def test_routes_have_boards_of_their_own_and_begin_empty() -> None:
    times = BestTimes()
    assert put(times, "anna", 1000.0)
    assert times.of("dash") == (BestTime("anna", "Driver anna", "car", 1000.0),)
    assert times.of("round") == ()


def test_a_player_has_one_line_its_best() -> None:
    times = BestTimes()
    put(times, "anna", 1000.0)
    put(times, "ben", 900.0)
    assert not put(times, "anna", 1000.0)
    assert not put(times, "anna", 1200.0)
    assert put(times, "anna", 800.0)
    assert [(line.player, line.time_ms) for line in times.of("dash")] == [("anna", 800.0), ("ben", 900.0)]


def test_of_equal_times_the_earlier_stands_above() -> None:
    times = BestTimes()
    for player in ("anna", "ben", "cleo"):
        put(times, player, 1000.0)
    assert players(times) == ["anna", "ben", "cleo"]


def test_a_full_board_takes_only_what_beats_its_last() -> None:
    times = BestTimes()
    for number in range(BEST_MAX):
        put(times, f"p{number}", 1000.0 + number)
    assert not put(times, "late", 1000.0 + BEST_MAX - 1)
    assert put(times, "late", 999.0)
    assert players(times) == ["late", *(f"p{number}" for number in range(BEST_MAX - 1))]


@given(st.lists(st.tuples(st.sampled_from("abcdefghijklmnop"), st.integers(1, 30)), max_size=60))
def test_the_board_is_what_sorting_everybodys_best_gives(drives: list[tuple[str, int]]) -> None:
    times = BestTimes()
    best: dict[str, tuple[int, int]] = {}
    for number, (player, time_ms) in enumerate(drives):
        changed = put(times, player, float(time_ms))
        before = sorted((*best[each], each) for each in best)[:BEST_MAX]
        if player not in best or time_ms < best[player][0]:
            best[player] = (time_ms, number)
        after = sorted((*best[each], each) for each in best)[:BEST_MAX]
        assert changed == (before != after)
        assert [(line.time_ms, line.player) for line in times.of("dash")] == [(each[0], each[2]) for each in after]
