"""Server time runs on, over restarts, too."""

from __future__ import annotations

import time

from shard.clock import ServerClock


def test_it_is_unix_time_at_the_start() -> None:
    before = time.time() * 1000.0
    assert before - 5.0 <= ServerClock().now_ms() <= time.time() * 1000.0 + 5.0


def test_it_does_not_go_back_behind_what_an_earlier_life_has_told() -> None:
    told_ms = time.time() * 1000.0 + 60_000.0
    assert ServerClock(told_ms).now_ms() >= told_ms - 0.001
    assert ServerClock(told_ms - 120_000.0).now_ms() < told_ms


def test_the_monotonic_clock_and_server_time_are_one() -> None:
    clock = ServerClock(2e12)
    assert abs(clock.monotonic_s(clock.now_ms()) - time.monotonic()) < 0.1
