"""What befalls the zones of a running shard: which of them is killed, hung, stopped or slowed, and when."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import psutil

STOP_S: Final = 0.15
"""A zone that is stopped for so long is late, and nobody notices: two or three ticks."""
SLOW_S, SLOW_STEP_S = 1.0, 0.02
"""A slow zone runs for every second of these steps."""
LOOK_EVERY_S: Final = 0.1
"""While something is awaited of processes: to list them costs some milliseconds."""

Harm: TypeAlias = Literal["kill", "hang", "stop", "slow"]


@dataclass(frozen=True, slots=True)
class Disturbance:
    """One zone is harmed, ``at_s`` seconds after all bots are there."""

    at_s: float
    harm: Harm
    pick: float
    """Which zone, as a share of all."""


def disturbances(seed: int, every_s: float) -> Iterator[Disturbance]:
    """What befalls the zones, in order, without end; the first is a kill."""
    rng = random.Random(seed)
    at_s = 0.0
    harms: tuple[Harm, ...] = ("kill", "hang", "stop", "slow")
    harm: Harm = "kill"
    while True:
        at_s += rng.uniform(0.5, 1.5) * every_s
        yield Disturbance(at_s, harm, rng.random())
        [harm] = rng.choices(harms, weights=(12, 2, 3, 3))


async def harm_zones(main_pid: int, zones: int, plan: Iterator[Disturbance], done: Counter[str]) -> None:
    """Carry out a plan until cancelled; a harm waits until all zones and a spare are there. Counts in ``done``."""
    began_s = time.monotonic()
    for each in plan:
        await asyncio.sleep(max(0.0, began_s + each.at_s - time.monotonic()))
        while len(serving := children(main_pid, "shard: zone")) < zones or not children(main_pid, "shard: spare"):
            await asyncio.sleep(LOOK_EVERY_S)
        done[each.harm] += 1
        try:
            await _hurt(serving[int(each.pick * len(serving))], each.harm)
        except psutil.NoSuchProcess:
            continue


async def _hurt(victim: psutil.Process, harm: Harm) -> None:
    if harm == "kill":
        victim.kill()
    elif harm == "hang":
        victim.send_signal(signal.SIGSTOP)
        while victim.is_running() and victim.status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(LOOK_EVERY_S)
    else:
        rounds, down_s = (1, STOP_S) if harm == "stop" else (round(SLOW_S / SLOW_STEP_S / 2), SLOW_STEP_S)
        for _ in range(rounds):
            victim.suspend()
            try:
                await asyncio.sleep(down_s)
            finally:
                victim.resume()
            await asyncio.sleep(down_s)


async def recovered(main_pid: int, zones: int) -> None:
    """Wait until every zone has a process that is not stopped: a hung one may still have to be given up."""
    while True:
        serving = children(main_pid, "shard: zone")
        with contextlib.suppress(psutil.NoSuchProcess):
            if len(serving) >= zones and all(each.status() != psutil.STATUS_STOPPED for each in serving):
                return
        await asyncio.sleep(LOOK_EVERY_S)


def children(main_pid: int, title: str) -> list[psutil.Process]:
    """Main's children of this title, by it."""
    found = []
    for child in psutil.Process(main_pid).children():
        try:
            shown = " ".join(child.cmdline()).strip()
        except psutil.Error:  # it ended in between
            continue
        if shown.startswith(title):
            found.append((shown, child))
    return [child for _, child in sorted(found, key=lambda pair: pair[0])]
