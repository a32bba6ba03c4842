"""Zones die, hang, stop and stumble, lines stall and break, and races go on: ``python -m scripts.chaos --minutes 10``.

Starts a shard of its own with ``--debug`` and strict bots: most on good lines, some on bad ones, and racers in one race
after the other. Exit code 0: nobody was lost, doubled or disconnected, every race came to its end, and what was seen of
a fault lies within the freeze of the zone that died. 1: not so. 2: it could not be run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

import numpy as np
import psutil

from scripts.bots.rules import Kind
from scripts.fault_plan import Chaos
from scripts.fault_proxy import FaultProxy, Weather
from scripts.running_shard import RunningShard, ShardFailed

ROUTE: Final = "quay-sprint"
RACE_S: Final = 90.0
"""Bound of one race: the countdown, its time limit of 60 s, and the bots' ways."""
RAMP_S: Final = 5.0
BAD_LINE_SHARE: Final = 10
"""One of so many bots is behind the proxy."""
STOP_S: Final = 0.15
"""A zone that is stopped for so long is late, and nobody notices: two or three ticks."""
SLOW_S, SLOW_STEP_S = 1.0, 0.02
"""A slow zone runs for every second of these steps."""
FREEZE_KINDS: Final = frozenset({Kind.MISPLACED, Kind.JUMP})
"""Cars of a dead zone stand, and then make up for it."""
LONG_FREEZE_KINDS: Final = frozenset({Kind.UNACKNOWLEDGED, Kind.STALE_ROW})
"""What a zone owes that has stood still for longer than bots wait: it was hung, or the machine had no time for it."""
LONG_FREEZE_MS: Final = 1000.0
SETTLE_TICKS: Final = 4

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


@dataclass(frozen=True, slots=True)
class Freeze:
    """The players of a zone that died stood still."""

    zone: int
    cause: str
    first_tick: int
    """The zone's last committed one: there the freeze begins."""
    frozen_ms: float

    def explains(self, seen: dict[str, Any]) -> bool:
        """Whether a violation is only this freeze. What waited meanwhile is judged in no more ticks than it lasted."""
        kinds = FREEZE_KINDS | (LONG_FREEZE_KINDS if self.frozen_ms >= LONG_FREEZE_MS else frozenset())
        ticks = SETTLE_TICKS + round(self.frozen_ms / 25)
        return seen["kind"] in kinds and 0 <= seen["tick"] - self.first_tick < ticks


def freezes(log: Sequence[dict[str, Any]]) -> list[Freeze]:
    """All of them, by what the shard has logged."""
    lost = {(each["zone"], each["restart"]): each for each in log if each["message"] == "zone lost"}
    return [
        Freeze(back["zone"], gone["cause"], gone["tick"], back["frozen_ms"])
        for back in log
        if back["message"] == "zone is back" and (gone := lost.get((back["zone"], back["restart"])))
    ]


def outside(kept: Sequence[dict[str, Any]], allowed: Sequence[Freeze]) -> list[dict[str, Any]]:
    """The violations that no freeze explains."""
    return [seen for seen in kept if not any(freeze.explains(seen) for freeze in allowed)]


@dataclass
class Outcome:
    """What a run came to."""

    harms: Counter[str] = field(default_factory=Counter)
    swarms: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Results of ``scripts.swarm`` by what they were for: good lines, bad lines, races."""
    log: list[dict[str, Any]] = field(default_factory=list)
    exit_code: int = 0
    """Of the shard."""

    def faults(self) -> list[str]:
        """What should not have been, a line each; none: all is well."""
        found = []
        allowed = freezes(self.log)
        for name, results in self.swarms.items():
            for result in results:
                for text, count in result["disconnects"].items():
                    found.append(f"{name}: {count} sockets: {text}")
                if result["violations"] > len(result["violationsKept"]):
                    found.append(f"{name}: {result['violations']} violations, more than are kept: {_kinds(result)}")
                for each in outside(result["violationsKept"], allowed):
                    found.append(f"{name}: outside of any freeze: {json.dumps(each)}")
        found += [f"shard: {each['message']}" for each in self.log if each["level"] == "error"]
        if self.exit_code:
            found.append(f"shard: exit code {self.exit_code}")
        stopped = [each for each in self.log if each["message"] == "stopped"]
        if not stopped:
            found.append("shard: it did not say that it stopped")
        return found

    def summary(self) -> dict[str, Any]:
        """All numbers as one JSON object."""
        results = [result for each in self.swarms.values() for result in each]
        frozen = freezes(self.log)
        by_cause = {
            cause: _percentiles([freeze.frozen_ms for freeze in frozen if freeze.cause == cause])
            for cause in ("killed", "hang", "crash")
        }
        kinds = sum((Counter(result["violationsByKind"]) for result in results), Counter[str]())
        return {
            "bots": sum(result["connectedMost"] for name in ("good", "bad") for result in self.swarms.get(name, [])),
            "races": len(self.swarms.get("races", [])),
            "harms": dict(self.harms),
            "zonesLost": sum(each["message"] == "zone lost" for each in self.log),
            "frozenMs": by_cause,
            "cuts": sum(result["cuts"] for result in results),
            "resumed": sum(result["resumed"] for result in results),
            "handoffs": sum(result["handoffs"] for result in results),
            "violations": dict(kinds),
            "lostOrDoubled": sum(kinds[kind] for kind in (Kind.LOST, Kind.PLAYER_TWICE, Kind.GHOST, Kind.NOT_RESUMED)),
            "socketsClosed": sum(sum(result["disconnects"].values()) for result in results),
            "faults": self.faults(),
        }


def _kinds(result: dict[str, Any]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in result["violationsByKind"].items())


def _percentiles(values: list[float]) -> dict[str, float]:
    if not values:
        return {"count": 0}
    p50, p99 = np.percentile(np.array(values), [50, 99]).tolist()
    return {"count": len(values), "p50": round(p50, 1), "p99": round(p99, 1), "max": max(values)}


# --- the run


@dataclass(frozen=True, slots=True)
class Run:
    """What to do."""

    seconds: float
    bots: int
    zones: int
    racers: int
    seed: int
    every_s: float
    record: Path | None


async def drive(run: Run) -> Outcome:
    """Start everything, harm it, and collect what was seen. Raises ShardFailed."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as directory:
        secret = Path(directory) / "secret"
        flags = ["--zones", str(run.zones), "--debug", "--spares", "2", "--dev-secret-file", str(secret)]
        flags += ["--record", str(run.record)] if run.record is not None else []
        with RunningShard(flags) as shard:
            await _harmed(run, shard, secret, outcome)
            outcome.exit_code = await asyncio.to_thread(shard.stop)
        outcome.log = shard.log
    return outcome


async def _harmed(run: Run, shard: RunningShard, secret: Path, outcome: Outcome) -> None:
    host, port = urlsplit(shard.url).hostname, urlsplit(shard.url).port
    assert host is not None
    assert port is not None
    bad = run.bots // BAD_LINE_SHARE
    chaos = Chaos(seed=run.seed, stall_every_s=6.0, stall_s=(0.1, 0.5), reset_every_s=15.0)
    async with FaultProxy(host, port, Weather(latency_s=0.01), chaos) as proxy:
        swarms = [
            _swarm("good", shard.url, secret, outcome, run, "--bots", str(run.bots - bad), "--churn", "1"),
            _swarm("bad", f"ws://127.0.0.1:{proxy.port}/ws", secret, outcome, run, "--bots", str(bad), "--come-back"),
        ]
        driving = asyncio.gather(*swarms[: 2 if bad else 1], _races(run, shard.url, secret, outcome))
        if not bad:
            swarms[1].close()
        harming = asyncio.create_task(_harm(run, shard, outcome))
        try:
            await driving
        finally:
            harming.cancel()
            await asyncio.gather(harming, return_exceptions=True)


async def _swarm(name: str, url: str, secret: Path, outcome: Outcome, run: Run, *flags: str, seed: int = 0) -> None:
    command = [sys.executable, "-m", "scripts.swarm", "--json", "--url", url, "--token-secret-file", str(secret)]
    number = 1000 * run.seed + 100 * ("good", "bad", "races").index(name) + seed
    common = ["--seconds", str(run.seconds), "--ramp", str(RAMP_S), "--seed", str(number)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, *common, *flags, stdout=pipe, stderr=pipe)
    try:
        out, told = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if not out.strip():
        raise ShardFailed(f"the swarm of {name} failed: {told.decode()[-500:]}")
    outcome.swarms.setdefault(name, []).append(json.loads(out.splitlines()[-1]))


async def _races(run: Run, url: str, secret: Path, outcome: Outcome) -> None:
    """One race after the other, as long as another can be expected to end in time; one in any case."""
    began_s, number = time.monotonic(), 0
    flags = ["--racers", str(run.racers), "--route", ROUTE]
    one = Run(RACE_S, run.bots, run.zones, run.racers, run.seed, run.every_s, None)
    while run.racers and (not number or time.monotonic() - began_s < run.seconds - RACE_S):
        await _swarm("races", url, secret, outcome, one, *flags, seed=number)
        number += 1


async def _harm(run: Run, shard: RunningShard, outcome: Outcome) -> None:
    """Harm zones, from when all bots are there until told to end."""
    await asyncio.sleep(RAMP_S + 1.0)
    began_s = time.monotonic()
    for each in disturbances(run.seed, run.every_s):
        await asyncio.sleep(max(0.0, began_s + each.at_s - time.monotonic()))
        while len(zones := _children(shard, "shard: zone")) < run.zones or not _children(shard, "shard: spare"):
            await asyncio.sleep(0.05)
        victim = zones[int(each.pick * len(zones))]
        outcome.harms[each.harm] += 1
        try:
            await _hurt(victim, each.harm)
        except psutil.NoSuchProcess:
            continue


async def _hurt(victim: psutil.Process, harm: Harm) -> None:
    if harm == "kill":
        victim.kill()
    elif harm == "hang":
        victim.send_signal(signal.SIGSTOP)
        while victim.is_running() and victim.status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.1)
    else:
        rounds, down_s = (1, STOP_S) if harm == "stop" else (round(SLOW_S / SLOW_STEP_S / 2), SLOW_STEP_S)
        for _ in range(rounds):
            victim.suspend()
            try:
                await asyncio.sleep(down_s)
            finally:
                victim.resume()
            await asyncio.sleep(down_s)


def _children(shard: RunningShard, title: str) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(shard.pid).children():
        try:
            shown = " ".join(child.cmdline()).strip()
        except psutil.Error:  # it ended in between
            continue
        if shown.startswith(title):
            found.append((shown, child))
    return [child for _, child in sorted(found, key=lambda pair: pair[0])]


def main(argv: Sequence[str] | None = None) -> int:
    """Run it, print what came of it, return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.chaos", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--minutes", type=float, default=10.0, metavar="M", help="time to drive after the ramp (default 10)")
    add("--bots", type=int, default=300, metavar="N", help="roaming bots, a tenth on bad lines (default 300)")
    add("--zones", type=int, default=8, metavar="N", help="zone processes (default 8)")
    add("--racers", type=int, default=8, metavar="N", help="further bots that race, 0 to 8 (default 8)")
    add("--seed", type=int, default=1, metavar="S", help="same seed: same harms at the same times (default 1)")
    add("--every", type=float, default=2.0, metavar="S", help="mean time between two harms (default 2)")
    add("--record", type=Path, metavar="DIR", help="have the shard record its ticks, for scripts.replay")
    add("--json", action="store_true", help="one JSON object on stdout")
    flags = parser.parse_args(argv)
    run = Run(60.0 * flags.minutes, flags.bots, flags.zones, flags.racers, flags.seed, flags.every, flags.record)
    try:
        outcome = asyncio.run(drive(run))
    except ShardFailed as fault:
        print(f"chaos: {fault}", file=sys.stderr)
        return 2
    summary = outcome.summary()
    if flags.json:
        print(json.dumps(summary))
    else:
        for key, value in summary.items():
            print(f"{key:14} {value}")
    return int(bool(summary["faults"]))


if __name__ == "__main__":
    sys.exit(main())
