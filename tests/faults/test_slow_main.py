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
    ticks = 0

    def ticked() -> None:
        nonlocal ticks
        ticks += 1
        time.sleep(1.2 * PERIOD_MS / 1000.0)  # frames that take longer than there is time

    async def run() -> Supervisor:
        supervisor = Supervisor(world.realm, world.fleet, ServerClock(), PERIOD_MS, ticked)
        running = asyncio.create_task(supervisor.run())
        while ticks < 30:
            await asyncio.sleep(0)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        return supervisor

    try:
        supervisor = asyncio.run(run())
        assert supervisor.lateness_ms(1.0) > LAST_CALL_FRACTION * PERIOD_MS, "by the schedule the last call is over"
        assert supervisor.late_ticks <= 3
    finally:
        world.close()
