"""``scripts/supervise``: what ends well stays ended, what dies is started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SUPERVISE = str(Path(__file__).resolve().parents[2] / "scripts" / "supervise")


def lives(tmp_path: Path, *endings: str) -> tuple[subprocess.CompletedProcess[str], int]:
    """Supervise a command that ends like this, life after life; how often it was started."""
    script = tmp_path / "command.sh"
    cases = "\n".join(f"  {number}) {ending} ;;" for number, ending in enumerate(endings, start=1))
    script.write_text(f'echo >> "{tmp_path}/starts"\ncase $(wc -l < "{tmp_path}/starts") in\n{cases}\nesac\n')
    done = subprocess.run([SUPERVISE, "sh", str(script)], capture_output=True, text=True, timeout=20, check=False)
    return done, (tmp_path / "starts").read_text().count("\n")


@pytest.mark.parametrize("code", [0, 2])
def test_an_end_that_was_meant_is_the_end(tmp_path: Path, code: int) -> None:
    done, starts = lives(tmp_path, f"exit {code}")
    assert (done.returncode, starts, done.stderr) == (code, 1, "")


def test_a_death_is_followed_by_another_life_after_a_pause_that_doubles(tmp_path: Path) -> None:
    done, starts = lives(tmp_path, "exit 1", "kill -9 $$", "exit 0")
    assert (done.returncode, starts) == (0, 3)
    assert "exit code 1; again in 100 ms" in done.stderr
    assert "exit code 137; again in 200 ms" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_passed_on_once_and_ends_both(tmp_path: Path, number: int) -> None:
    code = (
        "import signal, sys, time\n"
        "got = []\n"
        "signal.signal(signal.SIGTERM, lambda *_: got.append(1))\n"
        "signal.signal(signal.SIGINT, lambda *_: got.append(1))\n"
        "print('up', flush=True)\n"
        "while not got: time.sleep(0.01)\n"
        "time.sleep(0.2)\n"
        "sys.exit(10 + len(got))\n"
    )
    with subprocess.Popen(
        [SUPERVISE, sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        os.killpg(process.pid, number)  # as a terminal does
        assert process.wait(10) == 11


def test_it_can_be_ended_while_it_pauses(tmp_path: Path) -> None:
    with subprocess.Popen([SUPERVISE, "sh", "-c", "exit 7"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for _ in range(5):
            said = process.stderr.readline()
        assert "1600 ms" in said
        process.terminate()
        assert process.wait(1.5) == 7


def test_nothing_to_run_is_a_clear_error() -> None:
    done = subprocess.run([SUPERVISE], capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 2
    assert "name a command" in done.stderr
