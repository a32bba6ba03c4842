"""Standings: a total order at any time, and dead heats exactly where times cannot be told apart."""

from __future__ import annotations

from fractions import Fraction
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shard.races.racers import Passing, Race, RaceCard, Racer, Status
from shard.races.standings import final, gap_ms, heats, live, place_of

START_MS = 1_700_000_000_000.0
CARD = RaceCard("r1-dash", 1, "dash", gates=4, laps=1, closed=False, racers_max=8)


def racer(
    number: int,
    *splits: float,
    status: Status = "racing",
    err_ms: float = 1.0,
    penalty_ms: float = 0.0,
    valid: bool = True,
) -> Racer:
    """A racer with these times at its gates, from the start."""
    flags = frozenset() if valid else frozenset({"invalidated"})
    passings = tuple(Passing(START_MS + split, err_ms) for split in splits)
    return Racer(f"p{number}", f"P {number}", "car", number, status, number, passings, penalty_ms, flags)


def race(*racers: Racer) -> Race:
    together = MappingProxyType({each.player: each for each in racers})
    return Race(CARD, 0.0, "running", racers=together, joined=len(racers), start_ms=START_MS)


def order(a_race: Race) -> list[str]:
    return [each.player for each in live(a_race)]


def test_more_gates_come_first_then_who_passed_the_last_of_them_earlier() -> None:
    a_race = race(racer(0, 100.0), racer(1, 90.0, 900.0), racer(2, 95.0, 800.0), racer(3))
    assert order(a_race) == ["p2", "p1", "p0", "p3"]
    assert [place_of(a_race, player) for player in ("p0", "p1", "p2", "p3")] == [3, 2, 1, 4]


def test_at_one_moment_the_order_of_joining_decides() -> None:
    assert order(race(racer(1, 100.0), racer(0, 100.0))) == ["p0", "p1"]


def test_penalties_count_at_every_gate() -> None:
    a_race = race(racer(0, 100.0, penalty_ms=5000.0), racer(1, 4000.0), racer(2, 6000.0))
    assert order(a_race) == ["p1", "p0", "p2"]
    assert (gap_ms(a_race, "p1"), gap_ms(a_race, "p0"), gap_ms(a_race, "p2")) == (0.0, 1100.0, 2000.0)


def test_who_is_out_comes_behind_all_who_are_not() -> None:
    a_race = race(
        racer(0, 10.0, 20.0, 30.0, status="dsq"),
        racer(1, 11.0, 21.0, status="dnf"),
        racer(2, 9.0, 12.0, valid=False),
        racer(3),
    )
    assert order(a_race) == ["p3", "p1", "p2", "p0"]


def test_the_gap_is_to_the_first_whose_result_counts() -> None:
    a_race = race(racer(0, 10.0, 500.0, valid=False), racer(1, 20.0, 900.0), racer(2, 30.0, 1000.0))
    assert gap_ms(a_race, "p2") == 100.0
    assert gap_ms(a_race, "p0") == 0.0


def test_the_result_has_times_gaps_splits_and_a_place_for_everybody() -> None:
    through = (10.0, 20.0, 30.0, 40.0)
    a_race = race(
        racer(0, *through[:3], 4000.0, status="finished", penalty_ms=5000.0),
        racer(1, *through[:3], 6000.0, status="finished"),
        racer(2, *through[:2], status="dnf"),
        racer(3, *through, status="finished", valid=False),
        racer(4, status="dsq"),
    )
    placings = final(a_race)
    assert [(each.player, each.place, each.status) for each in placings] == [
        ("p1", 1, "finished"),
        ("p0", 2, "finished"),
        ("p2", 3, "dnf"),
        ("p3", 4, "invalidated"),
        ("p4", 5, "dsq"),
    ]
    assert [(each.time_ms, each.gap_ms, each.penalty_ms) for each in placings] == [
        (6000.0, 0.0, 0.0),
        (9000.0, 3000.0, 5000.0),
        (None, None, 0.0),
        (40.0, None, 0.0),
        (None, None, 0.0),
    ]
    assert placings[1].splits_ms == (10.0, 20.0, 30.0, 4000.0), "splits are what was driven"


def test_a_penalty_is_no_error_bar() -> None:
    one = racer(0, 1.0, 2.0, 3.0, 1000.0, status="finished", penalty_ms=5000.0)
    other = racer(1, 1.0, 2.0, 3.0, 6001.0, status="finished")
    assert [(each.player, each.place) for each in final(race(one, other))] == [("p0", 1), ("p1", 1)]
    clear = replace(other, passings=(*other.passings[:-1], Passing(START_MS + 6002.5, 1.0)))
    assert [each.place for each in final(race(one, clear))] == [1, 2]


@pytest.mark.parametrize(
    ("times", "places"),
    [
        ([], []),
        ([(0, 1)], [1]),
        ([(0, 1), (2, 1)], [1, 1]),
        ([(0, 1), (2.5, 1)], [1, 2]),
        ([(0, 0), (0, 0)], [1, 1]),
        # a chain: each equals its neighbour, the ends are clearly apart
        ([(0, 1), (2, 1), (4, 1), (6, 1)], [1, 1, 3, 3]),
        # the leader's wide bar covers all, but the second and the third can be told apart
        ([(0, 10), (1, 0), (9, 0)], [1, 1, 3]),
        ([(0, 1), (2, 1), (3, 9), (20, 1)], [1, 1, 1, 4]),
    ],
)
def test_dead_heats(times: list[tuple[float, float]], places: list[int]) -> None:
    assert heats(times) == places


def plain_heats(times: list[tuple[int, int]]) -> list[int]:
    """Groups from the front, every pair of a group compared by exact arithmetic."""
    groups: list[list[int]] = []
    for number, (at, err) in enumerate(times):
        same = bool(groups) and all(
            abs(Fraction(at) - times[other][0]) <= Fraction(err) + times[other][1] for other in groups[-1]
        )
        if same:
            groups[-1].append(number)
        else:
            groups.append([number])
    places: list[int] = []
    for group in groups:
        place = len(places) + 1
        places += [place] * len(group)
    return places


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)), max_size=24))
def test_dead_heats_are_those_of_the_plain_oracle(times: list[tuple[int, int]]) -> None:
    times.sort(key=lambda each: each[0])
    places = heats(times)
    assert places == plain_heats(times)
    for one, (t1, e1) in enumerate(times):
        for other, (t2, e2) in enumerate(times):
            if places[one] == places[other]:
                assert abs(t1 - t2) <= e1 + e2, "nobody shares a place with somebody it was clearly behind"


@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(1, 3), max_size=4),
            st.sampled_from(["racing", "finished", "dnf", "dsq"]),
            st.booleans(),
            st.sampled_from([0.0, 2.0]),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_the_place_of_one_is_its_place_among_all(drawn: list[tuple[list[int], Status, bool, float]]) -> None:
    racers = [
        racer(number, *(float(sum(steps[: each + 1])) for each in range(len(steps))), status=status, valid=valid,
              penalty_ms=penalty_ms)
        for number, (steps, status, valid, penalty_ms) in enumerate(drawn)
    ]  # fmt: skip
    a_race = race(*racers)
    assert [place_of(a_race, player) for player in order(a_race)] == list(range(1, len(racers) + 1))
