"""The main process is killed under strict bots and started again on its checkpoints: everybody gets its car back.

The whole number, by hand: ``MAIN_DEATH_BOTS=200 scripts/test tests/faults/test_main_death.py -s``
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

from scripts.bots.fleet import Fleet, FleetSpec, Progress
from scripts.bots.report import table
from scripts.bots.rules import Rules
from scripts.bots.tally import Tally
from scripts.chaos.verdict import BACK_WITHIN_S, FASTEST_MPS, OFF_TRAIL_MAX_M, POSE_AGE_MAX_S
from scripts.mint_token import LOCAL_ISSUER
from scripts.running_shard import RunningShard, lasting_port
from shard.access.auth import PLAYER_ROLE

ROOT = Path(__file__).resolve().parent.parent.parent
BOTS = int(os.environ.get("MAIN_DEATH_BOTS", "20"))


def _lives(process: psutil.Process) -> bool:
    """Whether it has not ended. Who is left without a parent stays a zombie until the system's init comes round."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@dataclass
class Run:
    """What came of it. Times are seconds of this process's monotonic clock."""

    tally: Tally
    cut_s: float
    listening_s: float


async def _drive(first: RunningShard, flags: list[str], secret: str) -> Run:
    spec = FleetSpec(
        url=first.url,
        first=0,
        bots=BOTS,
        seconds=90.0,
        ramp_s=1.0,
        seed=11,
        churn_per_minute=0.0,
        secret=secret,
        issuer=LOCAL_ISSUER,
        audience=PLAYER_ROLE,
        come_back=True,
        rules=Rules(resume_off_m=FASTEST_MPS * POSE_AGE_MAX_S),
    )
    fleet, stop = Fleet(spec), asyncio.Event()

    def ignore(_: Progress) -> None:
        pass

    driving = asyncio.create_task(fleet.run(stop, ignore))
    while fleet.tally.in_world_most < BOTS:
        assert not driving.done(), "the bots did not come in"
        await asyncio.sleep(0.05)
    await asyncio.sleep(4.0)
    workers = psutil.Process(first.pid).children(recursive=True)
    cut_s = time.monotonic()
    await asyncio.to_thread(first.strike)
    second = await asyncio.to_thread(RunningShard, flags)
    try:
        assert not [worker for worker in workers if _lives(worker)], "workers of the first outlived it"
        while len(fleet.tally.comebacks) < BOTS:
            assert time.monotonic() < second.listening_s + 15.0, "somebody did not come back"
            await asyncio.sleep(0.05)
        await asyncio.sleep(3.0)
        stop.set()
        tally = await driving
        assert await asyncio.to_thread(second.stop) == 0
    finally:
        second.kill()
    restored = next(record for record in second.log if record["message"] == "checkpoint restored")
    assert restored["players"] == BOTS
    assert second.log[-1]["checkpoints_failed"] == 0
    return Run(tally, cut_s, second.listening_s)


@pytest.mark.timeout(120)
def test_a_killed_main_costs_nobody_its_car(tmp_path: Path) -> None:
    secret, state = tmp_path / "secret", tmp_path / "state"
    flags = ["--zones", "2", "--world-size", "512", "--debug", "--dev-secret-file", str(secret)]
    flags += ["--state-dir", str(state), "--port", str(lasting_port())]
    first = RunningShard(flags)
    try:
        run = asyncio.run(_drive(first, flags, secret.read_text().strip()))
    finally:
        first.kill()
    assert len({comeback.player for comeback in run.tally.comebacks}) == BOTS
    assert max(comeback.off_m for comeback in run.tally.comebacks) <= OFF_TRAIL_MAX_M
    ages_s = sorted(comeback.age_s for comeback in run.tally.comebacks)
    backs_s = sorted(comeback.back_s - run.listening_s for comeback in run.tally.comebacks)
    print(
        f"{BOTS} bots: shard down {run.listening_s - run.cut_s:.2f} s; back after it listened {backs_s[0]:.2f} .. "
        f"{backs_s[-1]:.2f} s; poses {ages_s[0]:.2f} .. {ages_s[-1]:.2f} s old\n{table(run.tally)}"
    )
    assert not run.tally.findings.counts, table(run.tally)
    assert not run.tally.disconnects, table(run.tally)
    assert run.tally.resumed >= BOTS
    assert backs_s[-1] <= BACK_WITHIN_S
    assert ages_s[-1] <= POSE_AGE_MAX_S


def test_a_supervised_shard_that_is_killed_is_back_with_its_world(tmp_path: Path) -> None:
    flags = f"--dev --zones 1 --spares 0 --world-size 512 --log-format json --port {lasting_port()}".split()
    flags += ["--state-dir", str(tmp_path / "state"), "--dev-secret-file", str(tmp_path / "secret")]
    command = [str(ROOT / "scripts" / "supervise"), sys.executable, "-m", "shard", *flags]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stderr is not None
        try:
            said = _until_ready(supervisor.stderr)
            time.sleep(1.5)  # a checkpoint
            [main] = [each for each in psutil.Process(supervisor.pid).children() if each.name().startswith("shard")]
            main.kill()
            said = _until_ready(supervisor.stderr)
            assert "checkpoint restored" in [record["message"] for record in said]
            supervisor.terminate()
            rest = supervisor.stderr.read()
            assert supervisor.wait(10) == 0
        finally:
            if supervisor.poll() is None:
                for left in psutil.Process(supervisor.pid).children():
                    left.kill()
                supervisor.kill()
    assert '"stopped"' in rest
    assert not main.is_running()


def _until_ready(stderr: IO[str]) -> list[dict[str, Any]]:
    """What a shard says until it is ready."""
    said: list[dict[str, Any]] = []
    for line in stderr:
        if line.startswith("{"):
            said.append(json.loads(line))
            if said[-1]["message"] == "ready":
                return said
    pytest.fail(f"it ended instead: {said}")


def _may_mount() -> bool:
    try:
        mount = "mount -t tmpfs -o size=64k tmpfs /mnt"
        done = subprocess.run(["unshare", "--mount", "sh", "-c", mount], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0


@pytest.mark.skipif(not _may_mount(), reason="needs the right to mount a small file system (root, and unshare)")
@pytest.mark.parametrize(("options", "cause"), [("size=4k,nr_inodes=2", "No space left"), ("ro", "Read-only")])
def test_a_full_or_read_only_disk_is_said_and_the_ticks_go_on(tmp_path: Path, options: str, cause: str) -> None:
    state = tmp_path / "state"
    state.mkdir()
    flags = f"--dev --port 0 --zones 1 --spares 0 --world-size 512 --log-format json --state-dir {state}"
    shard = f"{sys.executable} -m shard {flags} --dev-secret-file {tmp_path}/secret"
    command = f"mount -t tmpfs -o {options} tmpfs {state} && {{ echo x > {state}/x; exec {shard}; }}"
    if "size" in options:
        command = command.replace("echo x", "head -c 4096 /dev/zero")
    with subprocess.Popen(["unshare", "--mount", "sh", "-c", command], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            said: list[dict[str, Any]] = []
            for line in process.stderr:
                if line.startswith("{"):
                    said.append(json.loads(line))
                    if said[-1]["message"].startswith("checkpoint cannot be written"):
                        break
            assert cause in said[-1]["cause"]
            assert said[-1]["dir"] == str(state)
            time.sleep(2.5)
            process.terminate()
            said += [json.loads(line) for line in process.stderr if line.startswith("{")]
            assert process.wait(10) == 0
        finally:
            process.kill()
    assert sum(record["level"] == "error" for record in said) == 1, "it is said once, not every second"
    assert said[-1]["message"] == "stopped"
    assert said[-1]["checkpoints_failed"] >= 3
    assert said[-1]["checkpoints"] == 0
    assert said[-1]["ticks"] > 40


def test_a_directory_that_cannot_be_one_keeps_the_shard_from_starting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    flags = ["--dev", "--port", "0", "--dev-secret-file", str(tmp_path / "secret")]
    done = subprocess.run(
        [sys.executable, "-m", "shard", *flags, "--state-dir", str(tmp_path / "file")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "--state-dir" in done.stderr


def test_a_drained_shard_leaves_its_world_and_a_bad_file_is_a_fresh_start(tmp_path: Path) -> None:
    state = tmp_path / "state"
    flags = ["--zones", "1", "--spares", "0", "--world-size", "512", "--dev-secret-file", str(tmp_path / "secret")]
    flags += ["--state-dir", str(state)]
    with RunningShard(flags) as shard:
        assert shard.stop() == 0
    last_tick = shard.log[-1]["ticks"]
    with RunningShard(flags) as shard:
        assert shard.stop() == 0
    [restored] = [record for record in shard.log if record["message"] == "checkpoint restored"]
    assert restored["tick"] == last_tick
    assert shard.log[-1]["ticks"] > last_tick
    file = state / "checkpoint"
    file.write_bytes(file.read_bytes()[:-100])
    torn = file.read_bytes()
    with RunningShard(flags) as shard:
        assert shard.stop() == 0
    [refused] = [record for record in shard.log if record["level"] == "error"]
    assert "torn" in refused["reason"]
    assert (state / refused["kept_as"]).read_bytes() == torn
    assert file.exists()
