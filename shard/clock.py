"""Server time: Unix milliseconds at the start plus monotonic time since, so that it is never stepped."""

from __future__ import annotations

import time


class ServerClock:
    """One per shard. NTP may step the host's clock as it likes; this one only runs."""

    def __init__(self, not_before_ms: float = 0.0) -> None:
        """``not_before_ms`` is the latest time that an earlier life of the shard may have told."""
        self._offset_ms = max(time.time() * 1000.0, not_before_ms) - time.monotonic() * 1000.0

    def now_ms(self) -> float:
        """Server time."""
        return time.monotonic() * 1000.0 + self._offset_ms

    def monotonic_s(self, server_ms: float) -> float:
        """The host's monotonic clock at a server time, seconds: what event loops and Dones are scheduled by."""
        return (server_ms - self._offset_ms) / 1000.0
