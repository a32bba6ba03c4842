"""The chaos run, short: ``python -m scripts.chaos --minutes 10`` is the whole. What it recorded comes out again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from scripts.chaos.run import Run, drive
from scripts.replay import replay


@pytest.mark.timeout(240)
def test_chaos_costs_nobody_a_car_a_race_or_a_connection(tmp_path: Path) -> None:
    """Zones are killed, hung, stopped and slowed, lines broken, and at last main is killed amid a race."""
    record = tmp_path / "record"
    run = Run(seconds=8.0, bots=40, zones=4, racers=8, seed=2, every_s=1.5, record=record, ramp_s=2.0)
    outcome = asyncio.run(drive(run))
    summary = outcome.summary()
    print(summary)
    assert summary["faults"] == []
    assert summary["lostOrDoubled"] == 0
    assert summary["socketsClosed"] == 0
    assert summary["races"] == 1
    assert summary["bots"] == 40
    assert summary["harms"]["kill"] >= 3
    assert summary["zonesLost"] >= summary["harms"]["kill"]
    assert summary["mainDeath"]["carsBack"] == 48
    told, difference = replay(record)
    assert difference is None
    assert f"{summary['zonesLost']} take-overs" in told[0]
    assert "0 take-overs" in told[1], "the second life"
