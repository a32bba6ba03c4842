"""A bucket that is one number behaves as one that is refilled."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shard.access.bucket import Bucket


def test_a_burst_and_then_the_rate() -> None:
    bucket = Bucket(per_s=5.0, burst=20)
    assert [bucket.take(1e5) for _ in range(20)] == [0.0] * 20
    wait_s = bucket.take(1e5)
    assert wait_s == pytest.approx(0.2, abs=1e-5)
    assert bucket.take(1e5 + wait_s / 2) > 0.0, "asking costs nothing and earns nothing"
    assert bucket.take(1e5 + wait_s) == 0.0
    assert bucket.take(1e5 + wait_s) > 0.0


def test_silence_fills_it_up_to_the_burst() -> None:
    bucket = Bucket(per_s=5.0, burst=3)
    for start_s in (0.0, 1000.0):
        assert [bucket.take(start_s) == 0.0 for _ in range(5)] == [True] * 3 + [False] * 2
    assert bucket.full_at_s == pytest.approx(1000.6)


def test_a_burst_of_one() -> None:
    bucket = Bucket(per_s=0.2, burst=1)
    assert bucket.take(0.0) == 0.0
    assert bucket.take(4.9) == pytest.approx(0.1, abs=1e-5)
    assert bucket.take(5.0) == 0.0


@given(
    per_s=st.sampled_from([0.2, 1.0, 5.0, 30.0]),
    burst=st.integers(1, 60),
    gaps_ms=st.lists(st.one_of(st.integers(0, 50), st.integers(0, 20_000)), max_size=200),
)
def test_it_equals_a_bucket_that_is_refilled(per_s: float, burst: int, gaps_ms: list[int]) -> None:
    bucket = Bucket(per_s, burst)
    tokens, now_s = float(burst), 1e6 / 3
    for gap_ms in gaps_ms:
        now_s += gap_ms / 1000.0
        tokens = min(tokens + gap_ms / 1000.0 * per_s, burst)
        wait_s = bucket.take(now_s)
        if abs(tokens - 1.0) < 1e-3:  # on the edge rounding decides: follow it
            tokens += 0.0 if wait_s else -1.0
            continue
        assert (wait_s == 0.0) == (tokens > 1.0)
        if tokens > 1.0:
            tokens -= 1.0
        else:
            assert wait_s == pytest.approx((1.0 - tokens) / per_s, abs=1e-4)
            assert Bucket.take(copy.copy(bucket), now_s + wait_s) == 0.0, "waiting that long is enough"
