"""The clock that drives the zones: Tick out, Done in, frames out, on an absolute schedule, whoever is late or lost."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable

from shard.clock import ServerClock
from shard.fleet.fleet import Fleet, Worker
from shard.realm import Realm
from shared.constants import DEADLINE_FRACTION, LAST_CALL_FRACTION
from shared.garbage import Garbage

POLL_S = 0.002
"""While a process is dying: how often the kernel is asked whether it has ended."""

log = logging.getLogger(__name__)


class Supervisor:
    """Runs the ticks of one realm over its fleet."""

    def __init__(
        self, realm: Realm, fleet: Fleet, clock: ServerClock, period_ms: float, ticked: Callable[[], None]
    ) -> None:
        """``ticked`` is called after each tick's frames are out."""
        self._realm = realm
        self._fleet = fleet
        self._clock = clock
        self._period_ms = period_ms
        self._ticked = ticked
        self._all_in = asyncio.Event()
        self._failure: Exception | None = None
        self.garbage = Garbage(time.perf_counter)
        self._polling = False
        self._watched_s = 0.0
        """When late zones were last charged with the time that passed."""
        self.late_ticks = 0
        """Ticks whose frames went out without one zone or more."""
        self.lateness: Counter[int] = Counter()
        """How late ticks began, in whole milliseconds."""
        self.reanchored = 0
        """Times that the schedule was given up because main itself stood still."""

    async def run(self) -> None:
        """Tick until cancelled. Raises ZoneLost when no worker can be started, and whatever breaks an invariant."""
        fleet = self._fleet
        fleet.hired, fleet.dismissed = self._listen_to, self._stop_listening_to
        for worker in fleet.workers:
            self._listen_to(worker)
        self.garbage.begin()
        try:
            due_ms = self._clock.now_ms()
            while True:
                due_ms = self._next_due(due_ms)
                await self._sleep_until(due_ms)
                await self._wait_done(self._begin(due_ms))
                self._end()
                fleet.replenish()
                self.garbage.collect((due_ms + self._period_ms - self._clock.now_ms()) / 1000.0)
        finally:
            self.garbage.end()
            fleet.hired = fleet.dismissed = lambda worker: None
            for worker in fleet.workers:
                self._stop_listening_to(worker)

    def _next_due(self, last_ms: float) -> float:
        """The next tick's time: a period later; after an overrun one tick catches up, then the schedule starts anew."""
        due_ms = last_ms + self._period_ms
        if self._clock.now_ms() - due_ms <= self._period_ms:
            return due_ms
        self.reanchored += 1
        self._realm.relief.behind = True
        log.warning("main stood still", extra={"late_ms": round(self._clock.now_ms() - due_ms, 1)})
        return self._clock.now_ms()

    def lateness_ms(self, share: float) -> int:
        """The lateness that this share of ticks did not exceed."""
        left = share * self.lateness.total()
        for late_ms in sorted(self.lateness):
            left -= self.lateness[late_ms]
            if left <= 0:
                return late_ms
        return 0

    def _begin(self, due_ms: float) -> float:
        """Tell the zones the tick; returns when that was, or half a period late if it was later."""
        self._all_in.clear()
        late_ms = max(self._clock.now_ms() - due_ms, 0.0)
        self.lateness[int(late_ms)] += 1
        self._realm.relief.behind |= late_ms >= self._period_ms
        self._realm.begin_tick(due_ms)
        return min(self._clock.now_ms(), due_ms + self._period_ms / 2)

    async def _wait_done(self, told_ms: float) -> None:
        """Until every zone that was given this tick has answered, or the deadline; the later one if most have not.

        The deadline counts from when they were told: if main itself was late, frames without them would only make it
        later, for what they leave out follows in full. By half a period at most, or zones that are always late would
        put main ever further behind.
        """
        self._note_answers()
        for share in (DEADLINE_FRACTION, LAST_CALL_FRACTION):
            try:
                async with asyncio.timeout_at(self._loop_time(told_ms + self._period_ms * share)):
                    await self._all_in.wait()
            except TimeoutError:
                pass
            if self._realm.barrier.late():
                for worker in list(self._fleet.workers):  # a Done that is here already is not late
                    self._fleet.receive(worker)
            if not self._realm.barrier.mostly_late(self._realm.tick):
                break
        self._fleet.poll()
        self._charge_late()
        if self._failure is not None:
            raise self._failure
        if self._fleet.failure is not None:
            raise self._fleet.failure

    def _charge_late(self) -> None:
        """Whoever is late now has been so for at most a period since the last time: what is more, main has slept."""
        now_s = self._clock.monotonic_s(self._clock.now_ms())
        elapsed_s, self._watched_s = min(now_s - self._watched_s, self._period_ms / 1000.0), now_s
        if late := self._realm.barrier.late():
            self.late_ticks += 1
            self._fleet.note_late([desk.zone for desk in late], elapsed_s)
            self._poll_soon()

    def _end(self) -> None:
        self._realm.end_tick()
        self._ticked()

    # --- news of workers

    def _listen_to(self, worker: Worker) -> None:
        asyncio.get_running_loop().add_reader(worker.handle.fileno(), self._hear, worker)

    def _stop_listening_to(self, worker: Worker) -> None:
        asyncio.get_running_loop().remove_reader(worker.handle.fileno())

    def _hear(self, worker: Worker) -> None:
        """A worker has said something, or is gone."""
        try:
            self._fleet.receive(worker)
            self._fleet.poll()
        except Exception as bug:  # raised where the tick is awaited, not into the event loop
            self._failure = self._failure or bug
            self._all_in.set()
        self._note_answers()
        self._poll_soon()

    def _poll_soon(self) -> None:
        """See to it that whoever is dying is buried at once: its zone stands still until then."""
        if self._fleet.dying and not self._polling:
            self._polling = True
            asyncio.get_running_loop().call_later(POLL_S, self._poll)

    def _poll(self) -> None:
        self._polling = False
        try:
            self._fleet.poll()
        except Exception as bug:
            self._failure = self._failure or bug
            self._all_in.set()
        self._note_answers()
        self._poll_soon()

    def _note_answers(self) -> None:
        """Zones that were late before this tick began are not waited for: they would delay everybody's frames."""
        if not any(
            desk.outstanding.tick == self._realm.tick for desk in self._realm.barrier.late() if desk.outstanding
        ):
            self._all_in.set()

    async def _sleep_until(self, server_ms: float) -> None:
        await asyncio.sleep(max(self._clock.monotonic_s(server_ms) - self._clock.monotonic_s(self._clock.now_ms()), 0))

    def _loop_time(self, server_ms: float) -> float:
        """The event loop's own clock at a server time."""
        ahead_s = (server_ms - self._clock.now_ms()) / 1000.0
        return asyncio.get_running_loop().time() + ahead_s
