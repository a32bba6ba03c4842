"""The fleet of zone processes and the clock that drives it: Tick out, Done in, frames out, on an absolute schedule."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Callable

from ipc.control import Done, Fault
from ipc.layout import Geometry
from shard.clock import ServerClock
from shard.realm import Realm
from shard.sweeper import Sweeper
from shard.zone_handle import ZoneHandle, ZoneLost
from shared.constants import DEADLINE_FRACTION
from shared.vehicles import VehicleClass
from shared.world.zone_map import ZoneMap
from zones.worker import ZoneSpec

READY_TIMEOUT_S = 30.0
"""For a worker to import and attach: 60 ms on an idle core, but 64 of them may start on two."""
STOP_TIMEOUT_S = 2.0

log = logging.getLogger(__name__)


class Fleet:
    """The zone processes of one shard."""

    def __init__(
        self,
        instance: str,
        geometry: Geometry,
        zone_map: ZoneMap,
        vehicles: tuple[VehicleClass, ...],
        row_budget: int = 0,
    ) -> None:
        """Spawn one worker per zone, all at once. Call in the main thread; ``wait_ready`` next, ``stop`` at last."""
        self.handles = [
            ZoneHandle(ZoneSpec(instance, zone, geometry, zone_map, vehicles, os.getpid(), row_budget))
            for zone in range(geometry.zones)
        ]

    def wait_ready(self) -> None:
        """Block until every worker has attached. Raises ZoneLost."""
        for handle in self.handles:
            handle.wait_ready(READY_TIMEOUT_S)

    def stop(self) -> None:
        """Ask all to end, wait, kill the rest, and reap them."""
        for handle in self.handles:
            handle.ask_to_stop()
        for handle in self.handles:
            if not handle.join(STOP_TIMEOUT_S):
                log.warning("zone did not stop, killing it", extra={"zone": handle.zone})
            handle.kill()
            handle.close()


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
        self._sweeper = Sweeper()
        self._all_in = asyncio.Event()
        self._failure: ZoneLost | None = None
        self.late_ticks = 0
        """Ticks whose frames went out without one zone or more."""
        self.lateness: Counter[int] = Counter()
        """How late ticks began, in whole milliseconds."""
        self.reanchored = 0
        """Times that the schedule was given up because main itself stood still."""

    async def run(self) -> None:
        """Tick until cancelled. Raises ZoneLost when a worker is gone."""
        loop = asyncio.get_running_loop()
        for handle in self._fleet.handles:
            loop.add_reader(handle.fileno(), self._drain, handle)
        self._sweeper.start()
        try:
            due_ms = self._clock.now_ms()
            while True:
                due_ms = self._next_due(due_ms)
                await self._sleep_until(due_ms)
                self._begin(due_ms)
                await self._wait_done(due_ms + self._period_ms * DEADLINE_FRACTION)
                self._end()
        finally:
            self._sweeper.stop()
            for handle in self._fleet.handles:
                loop.remove_reader(handle.fileno())

    def _next_due(self, last_ms: float) -> float:
        """The next tick's time: a period later; after an overrun one tick catches up, then the schedule starts anew."""
        due_ms = last_ms + self._period_ms
        if self._clock.now_ms() - due_ms <= self._period_ms:
            return due_ms
        self.reanchored += 1
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

    def _begin(self, due_ms: float) -> None:
        self._all_in.clear()
        self.lateness[int(max(self._clock.now_ms() - due_ms, 0.0))] += 1
        self._realm.begin_tick(due_ms)

    async def _wait_done(self, deadline_ms: float) -> None:
        """Until every zone's Done is in, or the deadline."""
        try:
            async with asyncio.timeout_at(self._loop_time(deadline_ms)):
                await self._all_in.wait()
        except TimeoutError:
            for handle in self._fleet.handles:  # a Done that is here already is not late
                self._drain(handle)
            if self._realm.barrier.late():
                self.late_ticks += 1
        if self._failure is not None:
            raise self._failure

    def _end(self) -> None:
        self._realm.end_tick()
        self._ticked()
        self._sweeper.tidy(empty=not self._realm.occupied)

    def _drain(self, handle: ZoneHandle) -> None:
        """Take what a worker has said. Called when its pipe is readable, and before anyone is called late."""
        try:
            for message in handle.receive():
                if isinstance(message, Done):
                    self._realm.commit(message)
                elif isinstance(message, Fault):
                    log.error("zone failed", extra={"zone": message.zone, "tick": message.tick, "kind": message.kind})
                    log.error(message.traceback)
            if not self._realm.barrier.late():
                self._all_in.set()
        except ZoneLost as lost:
            self._failure = self._failure or lost
            self._all_in.set()

    async def _sleep_until(self, server_ms: float) -> None:
        await asyncio.sleep(max(self._clock.monotonic_s(server_ms) - self._clock.monotonic_s(self._clock.now_ms()), 0))

    def _loop_time(self, server_ms: float) -> float:
        """The event loop's own clock at a server time."""
        ahead_s = (server_ms - self._clock.now_ms()) / 1000.0
        return asyncio.get_running_loop().time() + ahead_s
