"""The chaos run, short: ``python -m scripts.chaos --minutes 10`` is the whole. What it recorded comes out again."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.chaos.run import Run, drive
from scripts.chaos.verdict import Outcome
from scripts.other_python import NoOtherPython, others
from scripts.replay import by_another, replay


@dataclass(frozen=True, slots=True)
class Recorded:
    """A chaos run and the recording that its shard has made, over both of its lives."""

    outcome: Outcome
    record: Path


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Zones are killed, hung, stopped and slowed, lines broken, and at last main is killed amid a race."""
    record = tmp_path_factory.mktemp("chaos") / "record"
    run = Run(seconds=8.0, bots=40, zones=4, racers=8, seed=2, every_s=1.5, record=record, ramp_s=2.0)
    return Recorded(asyncio.run(drive(run)), record)


@pytest.mark.timeout(240)
def test_chaos_costs_nobody_a_car_a_race_or_a_connection(recorded: Recorded) -> None:
    summary = recorded.outcome.summary()
    print(summary)
    assert summary["faults"] == []
    assert summary["lostOrDoubled"] == 0
    assert summary["socketsClosed"] == 0
    assert summary["races"] == 1
    assert summary["bots"] == 40
    assert summary["harms"]["kill"] >= 3
    assert summary["zonesLost"] >= summary["harms"]["kill"]
    assert summary["mainDeath"]["carsBack"] == 48


@pytest.mark.timeout(240)
def test_what_it_recorded_comes_out_equal(recorded: Recorded) -> None:
    told, difference = replay(recorded.record)
    assert difference is None
    assert f"{recorded.outcome.summary()['zonesLost']} take-overs" in told[0]
    assert "0 take-overs" in told[1], "the second life"


@pytest.mark.timeout(240)
def test_it_comes_out_equal_on_another_python(recorded: Recorded) -> None:
    """Skips where there is no other CPython 3.11 or newer, unless REQUIRE_OTHER_PYTHON=1."""
    try:
        if not (found := others()):
            raise NoOtherPython("no other CPython 3.11 or newer: install one, or name it in OTHER_PYTHON")
        done = by_another(found[0], recorded.record, capture=True)
    except NoOtherPython as reason:
        if os.environ.get("REQUIRE_OTHER_PYTHON") == "1":
            pytest.fail(f"REQUIRE_OTHER_PYTHON=1, but {reason}")
        pytest.skip(str(reason))
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": equal") == 2
