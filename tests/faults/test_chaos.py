"""The chaos run, short: ``python -m scripts.chaos --minutes 10`` is the whole. What it recorded comes out again."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from scripts.chaos import Run, drive
from scripts.replay import replay


@pytest.mark.skipif("CHAOS" not in os.environ, reason="a minute on a quiet machine: set CHAOS=1")
@pytest.mark.timeout(240)
def test_chaos_costs_nobody_a_car_a_race_or_a_connection(tmp_path: Path) -> None:
    run = Run(seconds=16.0, bots=50, zones=4, racers=3, seed=2, every_s=2.0, record=tmp_path / "record")
    outcome = asyncio.run(drive(run))
    summary = outcome.summary()
    print(summary)
    assert summary["faults"] == []
    assert summary["lostOrDoubled"] == 0
    assert summary["socketsClosed"] == 0
    assert summary["races"] == 1
    assert summary["bots"] == 50
    assert summary["harms"]["kill"] >= 3
    assert summary["zonesLost"] >= summary["harms"]["kill"]
    told, difference = replay(tmp_path / "record")
    assert difference is None
    assert f"{summary['zonesLost']} take-overs" in told[0]
