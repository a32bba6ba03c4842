"""A token bucket kept as one number: the moment until which all that was taken is paid for.

Taking one moves that moment ahead by the interval between two; the bucket is empty when it lies a whole burst ahead of
now, and full when it is past. So a bucket needs no refilling, and an address or a socket costs one float.
"""

from __future__ import annotations

_ROUNDING_S = 1e-6
"""A sum of many intervals is off by some billionths of a second: that must not cost the last of a burst."""


class Bucket:
    """``per_s`` tokens per second, at most ``burst`` saved up; full at first. Times may not go backwards."""

    __slots__ = ("_depth_s", "_interval_s", "_paid_until_s")

    def __init__(self, per_s: float, burst: int) -> None:
        assert min(per_s, burst) > 0, "a bucket that never gives a token: leave it out"
        self._interval_s = 1.0 / per_s
        self._depth_s = (burst - 1) * self._interval_s + _ROUNDING_S
        self._paid_until_s = float("-inf")

    def take(self, now_s: float, count: int = 1) -> float:
        """Take ``count`` and return 0.0; or take nothing and return the seconds after which there certainly are.

        There never are more than a burst.
        """
        paid_until_s = self._paid_until_s if self._paid_until_s > now_s else now_s
        wait_s = paid_until_s - now_s - self._depth_s + (count - 1) * self._interval_s
        if wait_s > 0.0:
            return wait_s + _ROUNDING_S
        self._paid_until_s = paid_until_s + count * self._interval_s
        return 0.0

    @property
    def full_at_s(self) -> float:
        """From when on the bucket is full, and its past forgotten."""
        return self._paid_until_s
