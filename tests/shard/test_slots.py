"""Slots: first freed, first given, each after a rest, each time with another generation."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shard.fleet.slots import SlotPool
from shared.constants import SLOT_REST_MS
from shared.ids import Slot


def test_a_new_pool_gives_every_slot_once_in_order() -> None:
    pool = SlotPool(4)
    assert [pool.take(0.0) for _ in range(4)] == [(0, 1), (1, 1), (2, 1), (3, 1)]
    assert pool.take(1e12) is None
    assert pool.used == 4


def test_a_slot_that_was_given_back_rests() -> None:
    pool = SlotPool(1)
    pool.take(0.0)
    pool.give_back(Slot(0), 1000.0)
    assert pool.used == 0
    assert pool.take(1000.0) is None
    assert pool.take(1000.0 + SLOT_REST_MS - 0.001) is None
    assert pool.take(1000.0 + SLOT_REST_MS) == (0, 2)


def test_fresh_slots_are_given_before_rested_ones() -> None:
    pool = SlotPool(3)
    pool.take(0.0)
    pool.give_back(Slot(0), 0.0)
    assert [pool.take(SLOT_REST_MS) for _ in range(3)] == [(1, 1), (2, 1), (0, 2)]


def test_a_slot_cannot_be_given_back_twice() -> None:
    pool = SlotPool(2)
    pool.take(0.0)
    pool.give_back(Slot(0), 0.0)
    with pytest.raises(KeyError):
        pool.give_back(Slot(0), 0.0)
    with pytest.raises(KeyError):
        pool.give_back(Slot(1), 0.0)


@settings(max_examples=120, deadline=None)
@given(
    slots=st.integers(1, 5),
    steps=st.lists(
        st.tuples(st.sampled_from(["take", "give"]), st.integers(0, 9), st.floats(0.0, 3000.0)), max_size=60
    ),
)
def test_the_pool_is_a_queue_of_rested_slots(slots: int, steps: list[tuple[str, int, float]]) -> None:
    """Nobody has a slot that another has, nor within its rest; generations of a slot count up by one."""
    pool = SlotPool(slots)
    free = [(0.0, slot) for slot in range(slots)]
    used: list[int] = []
    generation = [0] * slots
    now_ms = 0.0
    for kind, which, later_ms in steps:
        now_ms += later_ms
        if kind == "take":
            taken = pool.take(now_ms)
            if free and free[0][0] <= now_ms:
                _, slot = free.pop(0)
                generation[slot] += 1
                used.append(slot)
                assert taken == (slot, generation[slot])
            else:
                assert taken is None
        elif used:
            slot = used.pop(which % len(used))
            pool.give_back(Slot(slot), now_ms)
            free.append((now_ms + SLOT_REST_MS, slot))
        assert pool.used == len(used)


def test_a_claimed_slot_is_nobody_elses_and_its_generations_go_on() -> None:
    pool = SlotPool(4)
    assert pool.claim(2, 41) == (2, 41)
    assert pool.claim(2, 42) is None
    assert pool.claim(4, 1) is None
    assert pool.used == 1
    taken = [pool.take(0.0) for _ in range(4)]
    assert [seat and seat[0] for seat in taken] == [0, 1, 3, None]
    pool.give_back(Slot(2), 0.0)
    assert pool.take(1e9) == (2, 42)
