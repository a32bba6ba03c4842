"""Work in small helpings: the budget, the order, and that nothing is lost or starved."""

from __future__ import annotations

import asyncio
import time
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shard.access.pacing import FRAMES_PER_PASS, PASS_BUDGET_S, Pacer, Passes, Share, Work


class Loop:
    """An event loop made of a list and a number."""

    def __init__(self) -> None:
        self.now_s = 50.0
        self.ready: list[Work] = []
        self.passes = 0

    def call_soon(self, work: Work) -> None:
        self.ready.append(work)

    def turn(self) -> None:
        """One pass; what is called soon meanwhile belongs to the next."""
        self.passes += 1
        ready, self.ready = self.ready, []
        for work in ready:
            work()

    def until_idle(self) -> None:
        while self.ready:
            self.turn()

    def pacer(self) -> Pacer:
        return Pacer(self.call_soon, lambda: self.now_s)


class Job:
    """Takes ``ms`` of the loop's clock and notes its name."""

    def __init__(self, loop: Loop, done: list[int], name: int, ms: float = 0.1) -> None:
        self._loop, self._done, self._name, self._ms = loop, done, name, ms

    def __call__(self) -> None:
        self._loop.now_s += self._ms / 1000.0
        self._done.append(self._name)


def test_two_milliseconds_per_pass_in_the_order_of_arrival() -> None:
    loop, done = Loop(), list[int]()
    pacer = loop.pacer()
    for name in range(100):
        pacer.add(Job(loop, done, name, ms=0.101))
    assert done == [], "never before `add` returns"
    loop.turn()
    assert done == list(range(20))
    assert len(pacer) == 80
    loop.until_idle()
    assert done == list(range(100))
    assert loop.passes == 5


def test_work_that_is_longer_than_the_budget_has_a_pass_to_itself() -> None:
    loop, done = Loop(), list[int]()
    pacer = loop.pacer()
    for name in range(3):
        pacer.add(Job(loop, done, name, ms=5.0))
    for name in range(3):
        loop.turn()
        assert done == list(range(name + 1))
    assert loop.ready == []


def test_work_that_makes_work_does_not_keep_the_loop() -> None:
    loop = Loop()
    pacer = loop.pacer()
    count = 0

    def again() -> None:
        nonlocal count
        count += 1
        if count < 5:
            pacer.add(again)

    pacer.add(again)
    for expected in range(1, 6):
        loop.turn()
        assert count == expected, "it takes no time by the clock, and yet gets one turn per pass"
    assert loop.ready == []


def test_an_idle_pacer_costs_the_loop_nothing_and_wakes_again() -> None:
    loop, done = Loop(), list[int]()
    pacer = loop.pacer()
    for name in range(3):
        pacer.add(Job(loop, done, name))
        loop.turn()
        assert loop.ready == []
    assert done == [0, 1, 2]


def test_it_is_scheduled_once_per_pass() -> None:
    loop, done = Loop(), list[int]()
    pacer = loop.pacer()
    for name in range(50):
        pacer.add(Job(loop, done, name))
    assert len(loop.ready) == 1


def test_failing_work_is_logged_and_the_rest_is_done(caplog: pytest.LogCaptureFixture) -> None:
    loop, done = Loop(), list[int]()
    pacer = loop.pacer()

    def fail() -> None:
        raise RuntimeError("a bug")

    pacer.add(fail)
    pacer.add(Job(loop, done, 1))
    loop.until_idle()
    assert done == [1]
    [record] = caplog.records
    assert record.exc_info


@given(st.lists(st.tuples(st.floats(0.0, 6.0), st.booleans()), max_size=80))
def test_nothing_is_lost_and_no_pass_is_longer_than_the_budget_and_one_piece(jobs: list[tuple[float, bool]]) -> None:
    loop, done = Loop(), list[int]()
    pacer = loop.pacer()
    for name, (ms, turn) in enumerate(jobs):
        pacer.add(Job(loop, done, name, ms))
        if turn:
            loop.turn()
    while loop.ready:
        begun_s, before = loop.now_s, len(done)
        loop.turn()
        worked = [jobs[name][0] / 1000.0 for name in done[before:]]
        assert sum(worked[:-1]) < PASS_BUDGET_S + 1e-9
        assert loop.now_s - begun_s == pytest.approx(sum(worked))
        assert worked
    assert done == list(range(len(jobs)))


def test_a_storm_in_a_real_loop_leaves_others_their_turn() -> None:
    async def storm() -> int:
        loop = asyncio.get_running_loop()
        pacer = Pacer(loop.call_soon, time.perf_counter)
        turns = 0
        for _ in range(40):
            pacer.add(partial(spin, 0.001))
        while len(pacer):
            await asyncio.sleep(0)
            turns += 1
        return turns

    def spin(seconds: float) -> None:
        end_s = time.perf_counter() + seconds
        while time.perf_counter() < end_s:
            pass

    assert asyncio.run(storm()) >= 20, "two pieces of 1 ms per pass"


# --- shares --------------------------------------------------------------------------------------------------------


def test_a_share_per_pass() -> None:
    loop = Loop()
    share = Share(Passes(loop.call_soon))
    for _ in range(3):
        taken = [share.take() for _ in range(200)]
        assert taken == [True] * FRAMES_PER_PASS + [False] * (200 - FRAMES_PER_PASS)
        loop.turn()
    assert FRAMES_PER_PASS == 64


def test_shares_are_their_own() -> None:
    loop = Loop()
    passes = Passes(loop.call_soon)
    one, other = Share(passes, most=2), Share(passes, most=2)
    assert [one.take(), one.take(), one.take(), other.take()] == [True, True, False, True]


def test_the_number_of_the_pass_costs_one_call_per_pass_that_asks() -> None:
    loop = Loop()
    passes = Passes(loop.call_soon)
    assert len({passes.number() for _ in range(100)}) == 1
    assert len(loop.ready) == 1
    first = passes.number()
    loop.turn()
    assert loop.ready == [], "nobody asked: nothing runs"
    assert passes.number() != first


def test_a_connection_with_a_thousand_frames_in_one_read() -> None:
    """How a share and a pacer go together: what is over the share goes on in the next pass."""
    loop = Loop()
    pacer, share = loop.pacer(), Share(Passes(loop.call_soon))
    frames, per_pass = list(range(1000)), list[int]()

    def go_on() -> None:
        count = 0
        while frames and share.take():
            frames.pop(0)
            count += 1
        per_pass.append(count)
        if frames:
            pacer.add(go_on)

    go_on()
    loop.until_idle()
    assert per_pass == [64] * 15 + [40]


def test_passes_of_a_real_loop() -> None:
    async def ask() -> list[int]:
        passes = Passes(asyncio.get_running_loop().call_soon)
        numbers = []
        for _ in range(4):
            numbers += [passes.number(), passes.number()]
            await asyncio.sleep(0)
        return numbers

    numbers = asyncio.run(ask())
    assert numbers[::2] == numbers[1::2]
    assert len(set(numbers)) == 4
