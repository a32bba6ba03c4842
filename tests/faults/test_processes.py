"""Processes that die, stop, or are asked to end: a real shard with real zones, signalled by process id."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ipc import layout
from scripts.running_shard import RunningShard, ShardFailed
from shard.config import Config
from shard.fleet.memory import kinds

SHM = Path("/dev/shm")


def _title(process: psutil.Process) -> str:
    """What ps shows; the room of the old arguments that a title does not fill is blank."""
    return " ".join(process.cmdline()).strip()


def _zones(shard: RunningShard) -> list[psutil.Process]:
    """The zone processes of a shard, in the order of their numbers."""
    found = [child for child in psutil.Process(shard.pid).children() if _title(child).startswith("shard: zone")]
    return sorted(found, key=lambda child: int(_title(child).split()[-1]))


def _blocks(shard: RunningShard) -> list[str]:
    return sorted(path.name for path in SHM.glob(f"shard-{shard.instance}-*"))


def _gone(processes: list[psutil.Process], within_s: float) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=within_s)
    return not alive


@pytest.fixture
def shard(tmp_path: Path) -> Iterator[RunningShard]:
    running = RunningShard(["--zones", "3", "--debug", "--dev-secret-file", str(tmp_path / "secret")])
    try:
        yield running
    finally:
        running.kill()


def test_processes_are_titled(shard: RunningShard) -> None:
    assert _title(psutil.Process(shard.pid)) == "shard: main"
    assert [_title(zone) for zone in _zones(shard)] == [f"shard: zone {number}" for number in range(3)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_asked_end_is_clean_and_leaves_nothing(shard: RunningShard, number: int) -> None:
    zones, began = _zones(shard), time.monotonic()
    assert _blocks(shard)
    shard.signal(number)
    assert shard.wait() == 0
    assert time.monotonic() - began < 5.0
    assert not any(zone.is_running() for zone in zones)
    assert not _blocks(shard)
    loud = [record["message"] for record in shard.log if record["level"] in ("warning", "error")]
    assert set(loud) <= {"more zones than cores: each costs a share of a core"}, "which a small machine has to hear"


def test_ctrl_c_for_the_whole_group_is_as_clean(tmp_path: Path) -> None:
    """A terminal signals every process of the group; the workers leave the ending to main."""
    command = [sys.executable, "-m", "shard", "--dev", "--zones", "2", "--port", "0", "--log-format", "json"]
    with subprocess.Popen(
        [*command, "--dev-secret-file", str(tmp_path / "secret")],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        said = ""
        while '"message":"ready"' not in said:
            said = process.stderr.readline()
            assert said, "the shard did not start"
        os.killpg(process.pid, signal.SIGINT)
        rest = process.communicate(timeout=10)[1]
        assert process.returncode == 0, rest
        assert '"level":"error"' not in rest


def test_a_killed_main_leaves_no_orphan_and_the_next_start_removes_what_it_left(tmp_path: Path) -> None:
    flags = ["--zones", "3", "--dev-secret-file", str(tmp_path / "secret")]
    first = RunningShard(flags)
    family = psutil.Process(first.pid).children(recursive=True)
    for helper in family:  # the interpreter's own tracker would clean up, too; here it dies first, as in a power cut
        if "resource_tracker" in _title(helper):
            helper.kill()
    first.kill()
    assert _gone(family, within_s=2.0), "a worker outlived main"
    assert _blocks(first), "nothing was left, so the test would prove nothing"
    with RunningShard(flags) as second:
        assert not _blocks(first)
        assert any(record["message"] == "removed what a dead shard left" for record in second.log)


def test_blocks_of_a_living_shard_are_left_alone(shard: RunningShard, tmp_path: Path) -> None:
    with RunningShard(["--zones", "1", "--dev-secret-file", str(tmp_path / "secret")]):
        pass
    assert len(_blocks(shard)) == 7


def test_a_killed_zone_is_taken_over_by_a_spare(shard: RunningShard) -> None:
    victim = _zones(shard)[1]
    victim.kill()
    lost, back = shard.wait_for("zone lost"), shard.wait_for("zone is back")
    assert (lost["zone"], lost["pid"], lost["exit"], lost["cause"]) == (1, victim.pid, -9, "killed")
    assert (back["zone"], back["restart"]) == (1, 1)
    assert back["tick"] - lost["tick"] == 1, "it goes on with the tick that was not done"
    zones = _zones(shard)
    assert [_title(zone) for zone in zones] == [f"shard: zone {number}" for number in range(3)]
    assert shard.stop() == 0
    assert not any(zone.is_running() for zone in zones)
    assert not _blocks(shard)


def test_an_observer_that_exits_harms_nothing(shard: RunningShard) -> None:
    code = (
        "from ipc import layout\n"
        "from ipc.block import attach_as_observer\n"
        f"geometry = layout.Geometry({2048 + 2048 // 8 + 16}, 3)\n"
        f"block = attach_as_observer({shard.instance!r}, 'table', layout.table_dtype(geometry), geometry)\n"
        "assert int(block.record['header']['owner_pid']) > 0\n"
    )
    before = _blocks(shard)
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
    time.sleep(0.3)  # an interpreter's tracker removes what it thinks is leaked after its process has gone
    assert _blocks(shard) == before
    assert shard.stop() == 0


def test_a_taken_port_is_one_clear_line(shard: RunningShard, tmp_path: Path) -> None:
    port = shard.url.split(":")[2].split("/")[0]
    done = subprocess.run(
        [sys.executable, "-m", "shard", "--dev", "--port", port, "--dev-secret-file", str(tmp_path / "secret")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "--port" in done.stderr
    assert "use" in done.stderr


def _in_small_shm(flags: list[str]) -> list[str]:
    """The command line of a shard in a mount namespace of its own, whose /dev/shm has 64 MiB."""
    shard = " ".join([sys.executable, "-m", "shard", "--dev", "--port", "0", "--log-format", "json", *flags])
    return ["unshare", "--mount", "sh", "-c", f"mount -t tmpfs -o size=64m tmpfs /dev/shm && exec {shard}"]


def _may_mount() -> bool:
    try:
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", "mount -t tmpfs -o size=64m tmpfs /dev/shm"],
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        return False
    return done.returncode == 0


@pytest.mark.skipif(not _may_mount(), reason="needs the right to mount a small /dev/shm (root, and unshare)")
def test_a_small_shm_is_a_clear_error_at_start_or_a_shard_that_fits(tmp_path: Path) -> None:
    secret = ["--dev-secret-file", str(tmp_path / "secret")]
    done = subprocess.run(
        _in_small_shm(["--max-players", "8192", *secret]), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "MiB" in done.stderr
    assert "--max-players" in done.stderr
    assert "Traceback" not in done.stderr

    with subprocess.Popen(_in_small_shm(["--max-players", "2048", *secret]), stderr=subprocess.PIPE, text=True) as fits:
        assert fits.stderr is not None
        said = ""
        while '"message":"ready"' not in said:
            said = fits.stderr.readline()
            assert said, "a shard of 2048 players does not fit 64 MiB"
        fits.terminate()
        fits.communicate(timeout=10)
        assert fits.returncode == 0


def test_memory_is_what_the_readme_says() -> None:
    total = sum(dtype.itemsize for dtype in kinds(layout.Geometry(2048 + 2048 // 8 + 16, 8)).values())
    assert total < 64 * 2**20, "the default shard must fit the 64 MiB that containers give /dev/shm"
    assert Config.__dataclass_fields__["max_players"]


def test_a_shard_that_cannot_start_says_so_to_the_scripts(tmp_path: Path) -> None:
    with pytest.raises(ShardFailed, match="listening"):
        RunningShard(["--zones", "0", "--dev-secret-file", str(tmp_path / "secret")])
