"""The heap keeps what was freed: no page faults for arrays of a tick's size."""

from __future__ import annotations

import subprocess
import sys

import pytest

TICKS = 50
PROGRAM = f"""
import resource
import numpy as np
from shared.heap import keep_memory
kept = keep_memory() if {{keep}} else True
def tick():
    return [np.ones(size) for size in range(10_000, 100_000, 10_000)]
tick()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({TICKS}):
    tick()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep: bool) -> int:
    """Page faults of some ticks in a process of its own."""
    command = [sys.executable, "-c", PROGRAM.format(keep=keep)]
    kept, count = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()
    if kept != "True":
        pytest.skip("the C library is not glibc")
    return int(count)


def test_arrays_of_a_tick_are_not_faulted_in_again() -> None:
    assert faults(keep=True) < TICKS
    assert faults(keep=False) > 10 * TICKS, "otherwise this test shows nothing"
