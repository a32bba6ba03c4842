"""Zones of a real shard that are killed and stopped under strict bots: nobody is disconnected, lost or doubled.

For longer: ``ZONE_DEATHS_SECONDS=60 ZONE_DEATHS_BOTS=300 scripts/test tests/faults/test_zone_deaths.py -s``
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from scripts.chaos.harms import children
from scripts.chaos.verdict import FREEZE_KINDS, freezes, outside
from scripts.replay import replay
from scripts.running_shard import RunningShard

BOTS = int(os.environ.get("ZONE_DEATHS_BOTS", "40"))
SECONDS = float(os.environ.get("ZONE_DEATHS_SECONDS", "12"))


def drive(shard: RunningShard, secret: Path, disturb: Callable[[float], None]) -> dict[str, Any]:
    """A swarm's result; ``disturb`` is called over and over while it drives, with the seconds since all are there."""
    command = [sys.executable, "-m", "scripts.swarm", "--url", shard.url, "--json", "--token-secret-file", str(secret)]
    flags = ["--bots", str(BOTS), "--seconds", str(SECONDS), "--ramp", "2", "--churn", "2", "--keep", "100000"]
    with secret.with_name("result").open("w+") as result_file:
        with subprocess.Popen([*command, *flags], stdout=result_file, stderr=subprocess.PIPE, text=True) as swarm:
            began = time.monotonic() + 3.0
            while swarm.poll() is None:
                time.sleep(0.05)
                if 0.0 < time.monotonic() - began < SECONDS - 2.0:
                    disturb(time.monotonic() - began)
            _, told = swarm.communicate()
        result_file.seek(0)
        out = result_file.read()
    print(told)
    result: dict[str, Any] = json.loads(out)
    return result


def said(shard: RunningShard, message: str) -> list[dict[str, Any]]:
    return [record for record in shard.log if record["message"] == message]


def print_freezes(shard: RunningShard) -> np.ndarray:
    """What the players of zones that died stood still for, in milliseconds."""
    frozen = np.array([record["frozen_ms"] for record in said(shard, "zone is back")])
    p50, p99 = np.percentile(frozen, [50, 99])
    print(f"\n{len(frozen)} takeovers; frozen p50 {p50:.0f} ms, p99 {p99:.0f} ms, max {frozen.max():.0f} ms")
    return frozen


def check_violations(shard: RunningShard, result: dict[str, Any]) -> None:
    """Cars of a dead zone stand, and then make up for it: seen as misplaced, then and there, and nothing else is."""
    assert result["violationsByKind"].keys() <= FREEZE_KINDS
    assert len(result["violationsKept"]) == result["violations"], "all are judged"
    assert not outside(result["violationsKept"], freezes(shard.log))


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    return ["--zones", "4", "--debug", "--world-size", "512", "--dev-secret-file", str(tmp_path / "secret")]


@pytest.mark.timeout(SECONDS + 120)
def test_killed_zones_cost_nobody_a_car_or_a_connection(flags: list[str], tmp_path: Path) -> None:
    rng = random.Random(4)
    killed: list[int] = []
    with RunningShard([*flags, "--spares", "2"]) as shard:

        def kill(at_s: float) -> None:
            zones = children(shard.pid, "shard: zone")
            if len(killed) < at_s / 0.8 and len(zones) == 4 and children(shard.pid, "shard: spare"):
                for victim in rng.sample(zones, 2 if len(killed) % 5 == 4 else 1):
                    victim.kill()
                    killed.append(victim.pid)

        result = drive(shard, tmp_path / "secret", kill)
        print_freezes(shard)
        assert len(children(shard.pid, "shard: zone")) == 4
        assert len(children(shard.pid, "shard:")) <= 6, "four zones and two spares, starting ones have no title"
        assert shard.stop() == 0
    assert len(killed) >= 3
    check_violations(shard, result)
    assert result["disconnects"] == {}
    assert result["errors"] == {}
    lost = said(shard, "zone lost")
    assert {record["pid"] for record in lost} == set(killed)
    assert len(said(shard, "zone is back")) >= len(killed) - 1
    assert {record["cause"] for record in lost} == {"killed"}
    assert not [record for record in shard.log if record["level"] == "error"]
    stopped = said(shard, "stopped")[0]
    assert stopped["zones_lost"] == len(killed)
    assert stopped["gc_in_ticks"] == stopped["gc_in_zone_ticks"] == 0
    assert stopped["gc_in_gaps"] > 0


@pytest.mark.timeout(SECONDS + 120)
def test_a_stopped_zone_is_replaced_and_the_rest_stays_on_schedule(flags: list[str], tmp_path: Path) -> None:
    stopped: list[psutil.Process] = []
    with RunningShard([*flags, "--zone-timeout", "2"]) as shard:

        def stop(at_s: float) -> None:
            if len(stopped) < at_s / 4.0:
                victim = children(shard.pid, "shard: zone")[len(stopped) % 4]
                victim.send_signal(signal.SIGSTOP)
                stopped.append(victim)

        result = drive(shard, tmp_path / "secret", stop)
        frozen = print_freezes(shard)
        assert shard.stop() == 0
    assert len(stopped) >= 2
    assert not any(victim.is_running() for victim in stopped)
    assert result["disconnects"] == {}
    check_violations(shard, result)
    assert result["errors"] == {}
    lost = said(shard, "zone lost")
    assert {record["pid"] for record in lost} == {victim.pid for victim in stopped}
    assert {record["cause"] for record in lost} == {"hang"}
    assert (frozen >= 2000.0).all()
    assert said(shard, "stopped")[0]["late_ticks"] >= 25 * len(stopped), "the others did not tick meanwhile"


def test_time_in_which_main_itself_stood_still_is_not_held_against_its_zones(flags: list[str]) -> None:
    with RunningShard([*flags, "--zone-timeout", "1"]) as shard:
        zone = children(shard.pid, "shard: zone")[1]
        for _ in range(3):
            zone.suspend()
            time.sleep(0.1)  # it owes a Done by now
            shard.signal(signal.SIGSTOP)
            time.sleep(1.5)
            shard.signal(signal.SIGCONT)
            time.sleep(0.2)
            zone.resume()
            time.sleep(0.3)
        assert said(shard, "main stood still")
        assert shard.stop() == 0
    assert not said(shard, "zone lost")


def test_a_shard_without_spares_gets_its_zones_back_as_well(flags: list[str]) -> None:
    with RunningShard([*flags, "--spares", "0"]) as shard:
        assert len(children(shard.pid, "shard:")) == 4
        for victim in children(shard.pid, "shard: zone"):
            victim.kill()
        for _ in range(4):
            shard.wait_for("zone is back")
        assert shard.stop() == 0
    assert len(said(shard, "zone lost")) == 4


@pytest.mark.timeout(SECONDS + 120)
def test_a_recording_of_killed_zones_comes_out_equal(flags: list[str], tmp_path: Path) -> None:
    killed = 0
    with RunningShard([*flags, "--spares", "2", "--record", str(tmp_path / "record")]) as shard:

        def kill(at_s: float) -> None:
            nonlocal killed
            zones = children(shard.pid, "shard: zone")
            if killed < at_s / 1.5 and len(zones) == 4 and children(shard.pid, "shard: spare"):
                zones[killed % 4].kill()
                killed += 1

        result = drive(shard, tmp_path / "secret", kill)
        assert shard.stop() == 0
        assert not said(shard, "the recording has gaps: the disk did not keep up")
    assert killed >= 3
    assert result["disconnects"] == {}
    told, difference = replay(tmp_path / "record")
    print(told, difference)
    assert difference is None
    assert f"{killed} take-overs" in told[0]
