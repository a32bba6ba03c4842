"""Whole servers under a herd: the server on one core, the herd on another, processor time taken from the kernel."""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from scripts.bots.herd import Herd, Totals
from scripts.mint_token import mint
from scripts.running_shard import RunningShard
from shared.constants import CELL_M

SERVER_CORE, HERD_CORE = 0, 1
IN_VIEW = 20
"""Players in the 3 x 3 cells around a player, on average, in the uniform world."""
WARM_UP_S = 3.0
SCENARIOS: dict[str, list[str]] = {
    "uniform": ["--view-radius", "64", "--row-budget", "0"],
    "tiers": [],
    "crowd": [],
}
"""Flags of the shard. uniform: the 3 x 3 squares of 64 m around each, all rows in every tick; tiers: the same world
with the default radius, some 110 in view; crowd: everybody within CROWD_RADIUS_M."""
CROWD_RADIUS_M = 50.0
CROWD_WORLD_M = 512
CONNECT_AT_ONCE = 50
PEER_PORT = 8766


@dataclass(frozen=True, slots=True)
class Work:
    """One whole-system run."""

    server: str
    """Either ``shard`` or ``peer``."""
    players: int
    zones: int = 1
    seconds: float = 10.0
    scenario: str = "uniform"
    """A key of SCENARIOS."""

    @property
    def edge_m(self) -> int:
        """Edge of the world in metres, whole chunks."""
        if self.scenario == "crowd":
            return CROWD_WORLD_M
        edge_m = math.sqrt(self.players / IN_VIEW) * 3 * CELL_M
        return max(round(edge_m / CELL_M), 4) * CELL_M


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it, per player-second where it says so."""

    server: str
    players: int
    zones: int
    scenario: str
    snapshots_per_s: float
    """Per player; the tick rate when all is well."""
    main_ms: float
    """Processor time of the main process per player-second."""
    zones_ms: float
    """Processor time of all zone processes together per player-second."""
    kilobytes: float
    """Received per player-second."""
    rows_kb: float
    """Of these, by the shares in what sampled clients received: rows of changed cells,"""
    who_kb: float
    """names of who came,"""
    full_kb: float
    """cells in full,"""
    envelope_kb: float
    """and everything around them."""
    seen_p50_ms: float
    """From a move to its row, between clients that are told of each other in every tick."""
    seen_p99_ms: float
    half_p99_ms: float
    """The same in every second tick; nan: there is no such pair."""
    quarter_p99_ms: float
    herd_late: float
    """Share of the herd's own steps that began late: above a few per cent, latencies are the herd's."""
    lost: int

    @property
    def holds(self) -> bool:
        """Whether everybody was served at full rate and in time."""
        return self.lost == 0 and self.snapshots_per_s >= 19.5 and self.seen_p99_ms < 150.0


def run(work: Work, scratch: Path) -> Outcome:
    """Start the server, drive the herd through it, end it. ``scratch`` is a directory for the throw-away key."""
    os.sched_setaffinity(0, {SERVER_CORE})  # inherited by the server's processes
    secret_file = scratch / "bench-secret"
    with _server(work, secret_file) as (address, main, zones):
        os.sched_setaffinity(0, {HERD_CORE})
        herd = Herd()
        try:
            secret = secret_file.read_text().strip()
            tokens = [mint(secret, str(uuid.UUID(int=number + 1)), time.time()) for number in range(work.players)]
            for first in range(0, work.players, CONNECT_AT_ONCE):
                herd.connect(address, tokens[first : first + CONNECT_AT_ONCE])
                herd.run(0.05)
            if work.scenario == "crowd":
                herd.gather(work.edge_m / 2, work.edge_m / 2, CROWD_RADIUS_M)
            herd.run(WARM_UP_S)
            before = _cpu_s(main), sum(map(_cpu_s, zones))
            totals = herd.run(work.seconds)
            used = _cpu_s(main) - before[0], sum(map(_cpu_s, zones)) - before[1]
        finally:
            herd.close()
            os.sched_setaffinity(0, range(os.cpu_count() or 1))
    return _outcome(work, totals, *used)


def _outcome(work: Work, totals: Totals, main_s: float, zones_s: float) -> Outcome:
    player_s = work.players * totals.seconds
    seen = sorted(totals.seen_ms[1]) or [float("nan")]
    kilobytes = totals.bytes_in / player_s / 1000
    share = {kind: kilobytes * size / max(totals.kinds.total(), 1) for kind, size in totals.kinds.items()}
    return Outcome(
        server=work.server,
        players=work.players,
        zones=work.zones if work.server == "shard" else 0,
        scenario=work.scenario,
        snapshots_per_s=totals.frames / player_s,
        main_ms=1000 * main_s / player_s,
        zones_ms=1000 * zones_s / player_s,
        kilobytes=kilobytes,
        rows_kb=share.get("at", 0.0),
        who_kb=share.get("who", 0.0),
        full_kb=share.get("full", 0.0),
        envelope_kb=share.get("envelope", 0.0),
        seen_p50_ms=statistics.median(seen),
        seen_p99_ms=seen[int(0.99 * len(seen))],
        half_p99_ms=_p99(totals.seen_ms[2]),
        quarter_p99_ms=_p99(totals.seen_ms[4]),
        herd_late=totals.late_sends / max(totals.steps, 1),
        lost=totals.lost,
    )


@contextmanager
def _server(work: Work, secret_file: Path) -> Iterator[tuple[tuple[str, int], psutil.Process, list[psutil.Process]]]:
    """A running server: its address, its main process, its zone processes."""
    if work.server == "shard":
        sizes = ["--max-players", str(max(work.players, 64)), "--world-size", str(work.edge_m)]
        flags = ["--zones", str(work.zones), *SCENARIOS[work.scenario], *sizes, "--dev-secret-file", str(secret_file)]
        with RunningShard(flags) as shard:
            host, port = shard.url.removeprefix("ws://").removesuffix("/ws").rsplit(":", 1)
            main = psutil.Process(shard.pid)
            yield (host, int(port)), main, main.children()
        return
    secret_file.write_text("a throw-away secret of the benchmark, long enough")
    command = [sys.executable, "-m", "scripts.benches.peer", "--port", str(PEER_PORT), "--world-size", str(work.edge_m)]
    with subprocess.Popen([*command, "--secret-file", str(secret_file)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "ready":
                raise RuntimeError("the peer did not start")
            yield ("127.0.0.1", PEER_PORT), psutil.Process(process.pid), []
        finally:
            process.kill()


def _p99(times_ms: list[float]) -> float:
    return sorted(times_ms)[int(0.99 * len(times_ms))] if times_ms else float("nan")


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def as_row(outcome: Outcome) -> dict[str, float | int | str]:
    """An outcome as plain data."""
    return asdict(outcome)
