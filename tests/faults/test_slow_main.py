"""A main process that is behind its own schedule."""

from __future__ import annotations

import asyncio
import contextlib
import time

from scripts.restarts.cycles import PERIOD_MS, Restarts
from shard.clock import ServerClock
from shard.fleet.supervisor import Supervisor
from shared.constants import LAST_CALL_FRACTION


def test_zones_have_as_long_for_a_tick_that_main_begins_late() -> None:
    """Frames without them would cost as much as others, and what they leave out as much again."""
    world = Restarts(zones=2, spares=0, players=4, seed=1)
    clock, ticks = ServerClock(), 0

    def ticked() -> None:
        """Frames take so long that the next tick begins when by the schedule the last call is over."""
        nonlocal ticks
        ticks += 1
        begin_ms = world.realm.now_ms + PERIOD_MS + (LAST_CALL_FRACTION + 0.05) * PERIOD_MS
        time.sleep(max(begin_ms - clock.now_ms(), 0.0) / 1000.0)

    async def run() -> Supervisor:
        supervisor = Supervisor(world.realm, world.fleet, clock, PERIOD_MS, ticked)
        running = asyncio.create_task(supervisor.run())
        while ticks < 30:
            await asyncio.sleep(0)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        return supervisor

    try:
        supervisor = asyncio.run(run())
        assert supervisor.lateness_ms(0.5) >= LAST_CALL_FRACTION * PERIOD_MS
        assert supervisor.late_ticks <= 6
    finally:
        world.close()
