"""Work in small helpings, so that a storm of it never delays a tick.

The event loop calls back everybody who has something to do, one pass after the other; a tick that is due waits for the
end of the pass. So what many can cause at once (accepting sockets, verifying tokens) goes through a ``Pacer``, which
does PASS_BUDGET_S worth of it per pass, and what one can cause alone (thousands of small messages in one read) is
limited by a ``Share`` to FRAMES_PER_PASS; what is left goes on in the next pass, after everybody else had a turn.

No clock and no event loop are imported: ``call_soon`` is the loop's, and runs a function in the next pass.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

PASS_BUDGET_S: Final = 0.002
"""Paced work per pass: 4 % of a tick at 20 Hz, twenty verifications."""

FRAMES_PER_PASS: Final = 64
"""Messages of one connection per pass: 0.3 ms, and 2 s of an honest client that was stalled."""

Work: TypeAlias = Callable[[], None]
CallSoon: TypeAlias = Callable[[Work], object]

log = logging.getLogger(__name__)


class Pacer:
    """Work in the order of its arrival, as much per pass as fits. ``now_s`` is a clock in seconds."""

    def __init__(self, call_soon: CallSoon, now_s: Callable[[], float], budget_s: float = PASS_BUDGET_S) -> None:
        self._call_soon = call_soon
        self._now_s = now_s
        self._budget_s = budget_s
        self._waiting: deque[Work] = deque()
        self._scheduled = False

    def __len__(self) -> int:
        """Pieces of work that wait."""
        return len(self._waiting)

    def add(self, work: Work) -> None:
        """Do ``work`` in the next pass or as soon as it is its turn; never before ``add`` returns.

        Work cannot be taken back: let it look whether it is still wanted. What it raises is logged and ends nothing.
        """
        self._waiting.append(work)
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(self._pass)

    def _pass(self) -> None:
        """At least one piece, then more until the budget is spent; what was added meanwhile waits for the next pass."""
        end_s = self._now_s() + self._budget_s
        for _ in range(len(self._waiting)):
            work = self._waiting.popleft()
            try:
                work()
            except Exception:
                log.exception("paced work failed")
            if self._now_s() >= end_s:
                break
        self._scheduled = bool(self._waiting)
        if self._scheduled:
            self._call_soon(self._pass)


class Passes:
    """Numbers the passes of the event loop. One for the shard."""

    def __init__(self, call_soon: CallSoon) -> None:
        self._call_soon = call_soon
        self._number = 0
        self._running = False

    def number(self) -> int:
        """The same within a pass, another one in the next. Costs the loop one call per pass in which it is asked."""
        if not self._running:
            self._running = True
            self._call_soon(self._next)
        return self._number

    def _next(self) -> None:
        self._number += 1
        self._running = False


class Share:
    """What one connection may have done in a pass. One per connection."""

    __slots__ = ("_left", "_most", "_pass", "_passes")

    def __init__(self, passes: Passes, most: int = FRAMES_PER_PASS) -> None:
        self._passes = passes
        self._most = most
        self._pass = -1
        self._left = 0

    def take(self) -> bool:
        """Whether one more message may be handled in this pass. False: keep it, read no more, go on in the next."""
        number = self._passes.number()
        if number != self._pass:
            self._pass = number
            self._left = self._most
        if self._left == 0:
            return False
        self._left -= 1
        return True
