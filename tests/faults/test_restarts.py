"""Workers that are killed and replaced over and over leave nothing behind.

As often as you like: ``python -m scripts.restarts --cycles 10000``, or RESTARTS_CYCLES here. CI runs 200.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from scripts.restarts.count import MEMORY_SLACK_MIB, Count, leaks

CYCLES = int(os.environ.get("RESTARTS_CYCLES", "200"))


@pytest.mark.timeout(120 + 3 * CYCLES)
def test_kills_and_takeovers_leak_nothing_and_lose_nobody() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.restarts", "--cycles", str(CYCLES)],
        capture_output=True,
        text=True,
        timeout=100 + 3 * CYCLES,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing leaked, nobody lost" in done.stdout


BEFORE = Count(memory_mib=40.0, descriptors=30, children=5, zombies=0, blocks=6, workers=5)


def test_less_and_a_little_more_memory_are_no_leak() -> None:
    assert leaks(BEFORE, BEFORE) == []
    assert leaks(BEFORE, replace(BEFORE, memory_mib=40.0 + MEMORY_SLACK_MIB, descriptors=29)) == []


@pytest.mark.parametrize("name", ["memory_mib", "descriptors", "children", "zombies", "blocks", "workers"])
def test_more_of_anything_is_a_leak(name: str) -> None:
    after = replace(BEFORE, **{name: getattr(BEFORE, name) + 1 + MEMORY_SLACK_MIB * (name == "memory_mib")})
    assert [found.split(":")[0] for found in leaks(BEFORE, after)] == [name]
