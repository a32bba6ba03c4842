"""Cheats over real sockets on bad lines, while a zone is killed and another stands still: they are caught all the same.

The honest half of it, strict bots for whom every correction is a violation, is in test_bad_lines and test_zone_deaths;
one honest driver is among the cheats here, on the same line and in the same zones.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from urllib.parse import urlsplit

import psutil
import pytest

from scripts.bots.cheat import Outcome
from scripts.bots.cheats import cheat_all
from scripts.fault_plan import Chaos
from scripts.fault_proxy import FaultProxy, Weather
from scripts.mint_token import LOCAL_ISSUER
from scripts.running_shard import RunningShard
from shard.access.auth import PLAYER_ROLE

SECRET = "a secret for tests that is long enough"
SECONDS = 16.0
STANDSTILL_S = 0.3
LINE = Weather(latency_s=0.02, jitter_s=0.02, slice_bytes=700)
STALLS = Chaos(seed=5, stall_every_s=5.0, stall_s=(0.1, 0.4))

SET_BACK = ("speed x1.25", "speed x2", "blink 30 m", "blink 100 m", "denied corrections", "teleport after resume")
REMOVED = ("speed x2", "time reversal", "denied corrections")


def _zone(shard: RunningShard, number: int) -> psutil.Process:
    [zone] = [
        child
        for child in psutil.Process(shard.pid).children()
        if " ".join(child.cmdline()).strip() == f"shard: zone {number}"
    ]
    return zone


async def _disturb(shard: RunningShard) -> None:
    """One zone dies, another is late."""
    await asyncio.sleep(SECONDS / 3)
    _zone(shard, 0).kill()
    await asyncio.sleep(SECONDS / 6)
    late = _zone(shard, 1)
    os.kill(late.pid, signal.SIGSTOP)
    await asyncio.sleep(STANDSTILL_S)
    os.kill(late.pid, signal.SIGCONT)


async def _cheat(shard: RunningShard) -> list[Outcome]:
    parts = urlsplit(shard.url)
    assert parts.hostname is not None
    assert parts.port is not None
    async with FaultProxy(parts.hostname, parts.port, LINE, STALLS) as proxy:
        url = f"ws://127.0.0.1:{proxy.port}/ws"
        disturbing = asyncio.create_task(_disturb(shard))
        outcomes = await cheat_all(url, SECRET, LOCAL_ISSUER, PLAYER_ROLE, SECONDS, 3)
        await disturbing
        return outcomes


@pytest.mark.timeout(120)
def test_cheats_are_caught_and_the_honest_left_alone() -> None:
    began = time.monotonic()
    with RunningShard(["--zones", "3", "--world-size", "1024"], {"SUPABASE_JWT_SECRET": SECRET}) as shard:
        outcomes = {outcome.name: outcome for outcome in asyncio.run(_cheat(shard))}
        assert shard.stop() == 0
        assert [record["message"] for record in shard.log].count("zone is back") >= 1
    for outcome in outcomes.values():
        print(outcome.name, dict(outcome.corrections), outcome.closed, round(outcome.first_s, 2))
    print(f"{time.monotonic() - began:.0f} s")
    honest = outcomes["honest"]
    assert not set(honest.corrections) - {"late"}, honest.corrections
    assert not honest.closed
    for name in SET_BACK:
        assert set(outcomes[name].corrections) - {"late"}, f"{name} was never set back"
    for name in REMOVED:
        assert outcomes[name].closed.startswith("4428"), f"{name} was not removed: {outcomes[name]}"
