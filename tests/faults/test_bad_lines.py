"""Strict bots whose lines break, stall and slice: whoever comes back is given its car, and nobody sees anyone twice.

The whole number, by hand: ``BAD_LINES_BOTS=100 BAD_LINES_SECONDS=60 scripts/test tests/faults/test_bad_lines.py -s``
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from scripts.bots.fleet import Fleet, FleetSpec, Progress
from scripts.bots.report import table
from scripts.bots.rules import Rules
from scripts.bots.tally import Tally
from scripts.fault_plan import Chaos
from scripts.fault_proxy import FaultProxy, Weather
from scripts.mint_token import LOCAL_ISSUER
from scripts.running_shard import RunningShard
from shard.access.auth import PLAYER_ROLE

BOTS = int(os.environ.get("BAD_LINES_BOTS", "30"))
SECONDS = float(os.environ.get("BAD_LINES_SECONDS", "12"))


@dataclass(frozen=True)
class Line:
    """What is wrong with it."""

    weather: Weather
    chaos: Chaos


LINES = {
    "resets": Line(Weather(latency_s=0.02), Chaos(seed=1, reset_every_s=5.0)),
    "jitter and slices": Line(Weather(latency_s=0.02, jitter_s=0.02, slice_bytes=700), Chaos(seed=2)),
    "stalls and resets": Line(
        Weather(latency_s=0.01), Chaos(seed=3, stall_every_s=4.0, stall_s=(0.1, 0.5), reset_every_s=8.0)
    ),
}


async def _drive(url: str, secret: str, line: Line) -> Tally:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    async with FaultProxy(parts.hostname, parts.port, line.weather, line.chaos) as proxy:
        spec = FleetSpec(
            url=f"ws://127.0.0.1:{proxy.port}/ws",
            first=0,
            bots=BOTS,
            seconds=SECONDS,
            ramp_s=2.0,
            seed=4,
            churn_per_minute=0.0,
            secret=secret,
            issuer=LOCAL_ISSUER,
            audience=PLAYER_ROLE,
            come_back=True,
            rules=Rules(stall_s=line.chaos.stall_s[1] if line.chaos.stall_every_s else 0.0),
        )

        def ignore(_: Progress) -> None:
            pass

        return await Fleet(spec).run(asyncio.Event(), ignore)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", LINES)
def test_bad_lines_cost_nobody_a_car(name: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    flags = ["--zones", "3", "--world-size", "512", "--debug", "--dev-secret-file", str(secret)]
    with RunningShard(flags) as shard:
        tally = asyncio.run(_drive(shard.url, secret.read_text().strip(), LINES[name]))
        assert shard.stop() == 0
    print(table(tally))
    assert not tally.findings.counts, table(tally)
    assert not tally.disconnects, table(tally)
    if LINES[name].chaos.reset_every_s:
        assert tally.cuts > BOTS / 3
        assert tally.resumed > tally.cuts / 2
