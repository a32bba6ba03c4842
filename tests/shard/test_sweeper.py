"""Garbage is collected when asked, and what has been looked at once is not looked at again."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from shard.sweeper import Sweeper


@pytest.fixture
def sweeper() -> Iterator[Sweeper]:
    made = Sweeper(objects_max=2000)
    made.start()
    yield made
    made.stop()


class Thing:
    """Something that can be watched."""

    def __init__(self) -> None:
        self.other: object = None


def ring() -> tuple[Thing, weakref.ref[Thing]]:
    """Two things that keep each other alive."""
    one, other = Thing(), Thing()
    one.other, other.other = other, one
    return one, weakref.ref(one)


def test_nothing_is_collected_by_itself(sweeper: Sweeper) -> None:
    before = [generation["collections"] for generation in gc.get_stats()]
    kept = [[number] for number in range(50_000)]
    assert [generation["collections"] for generation in gc.get_stats()] == before
    assert len(kept) == 50_000


def test_little_is_left_for_later_and_much_is_frozen_with_the_rest(sweeper: Sweeper) -> None:
    frozen = gc.get_freeze_count()
    few = [[number] for number in range(100)]
    sweeper.tidy(empty=False)
    assert sweeper.sweeps == 0
    many = [[number] for number in range(5000)]
    sweeper.tidy(empty=False)
    assert sweeper.sweeps == 1
    assert gc.get_freeze_count() >= frozen + len(few) + len(many)
    assert gc.get_count()[0] < 2000
    sweeper.tidy(empty=False)
    assert sweeper.sweeps == 1, "there is nothing new"


def test_cycles_are_collected_and_frozen_ones_when_the_shard_is_empty(sweeper: Sweeper) -> None:
    thing, young = ring()
    del thing
    many = [[number] for number in range(5000)]
    sweeper.tidy(empty=False)
    assert young() is None
    thing, old = ring()
    more = [[number] for number in range(5000)]
    sweeper.tidy(empty=False)
    del thing
    yet_more = [[number] for number in range(5000)]
    sweeper.tidy(empty=False)
    assert old() is not None
    rest = [[number] for number in range(5000)]
    sweeper.tidy(empty=True)
    assert old() is None
    assert len(many) == len(more) == len(yet_more) == len(rest)
