"""When the collector runs, and that it runs at no other time."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from shared.garbage import LAST_RESORT, OLDER_EVERY, YOUNG, Garbage


class Clock:
    """A clock that moves while a collection of ``cost_s`` runs."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.cost_s = 0.0

    def __call__(self) -> float:
        self.now_s += self.cost_s
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def garbage(clock: Clock) -> Iterator[Garbage]:
    made = Garbage(clock)
    made.begin()
    yield made
    made.end()


@pytest.fixture
def generations(garbage: Garbage) -> Iterator[list[int]]:
    """What generation each collection looked at."""
    seen: list[int] = []

    def note(phase: str, info: dict[str, Any]) -> None:
        if phase == "stop":
            seen.append(info["generation"])

    gc.callbacks.append(note)
    yield seen
    gc.callbacks.remove(note)


def allocate(count: int) -> list[list[int]]:
    """Objects that the collector counts; they live as long as the result."""
    return [[] for _ in range(count)]


def test_nothing_is_collected_without_a_gap(garbage: Garbage, generations: list[int]) -> None:
    kept = allocate(20 * YOUNG)
    assert generations == []
    garbage.collect(1.0)
    assert generations == [0]
    assert (garbage.in_gaps.count, garbage.in_ticks.count) == (1, 0)
    del kept


def test_a_gap_without_anything_new_is_left_alone(garbage: Garbage, generations: list[int]) -> None:
    garbage.collect(1.0)
    garbage.collect(1.0)
    assert len(generations) <= 1


def test_older_generations_follow_every_tenth_time(garbage: Garbage, generations: list[int]) -> None:
    for _ in range(3 * OLDER_EVERY):
        kept = allocate(2 * YOUNG)
        garbage.collect(1.0)
        del kept
    assert generations.count(1) == 3
    assert generations[:OLDER_EVERY] == [0] * (OLDER_EVERY - 1) + [1]


def test_a_collection_that_did_not_fit_last_time_waits_for_a_longer_gap(
    garbage: Garbage, generations: list[int], clock: Clock
) -> None:
    for number in range(4 * OLDER_EVERY):
        clock.cost_s = 0.030 if (number + 1) % OLDER_EVERY == 0 else 0.0
        kept = allocate(2 * YOUNG)
        garbage.collect(0.040)
        del kept
    assert generations.count(1) == 1, "30 ms do not fit into 40 with a margin"
    clock.cost_s = 0.0
    kept = allocate(2 * YOUNG)
    garbage.collect(0.070)
    assert generations[-1] == 1
    assert garbage.in_gaps.longest_ms == pytest.approx(30.0)
    del kept


def test_the_last_resort_is_counted_apart(garbage: Garbage) -> None:
    kept = allocate(LAST_RESORT + YOUNG)
    assert garbage.in_ticks.count >= 1
    del kept


def test_the_end_gives_the_collector_back() -> None:
    before = gc.get_threshold(), list(gc.callbacks)
    garbage = Garbage(lambda: 0.0)
    garbage.begin()
    assert gc.get_threshold() != before[0]
    garbage.end()
    garbage.end()
    assert (gc.get_threshold(), list(gc.callbacks)) == before
