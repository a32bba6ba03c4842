"""The project's benchmark: ``python -m scripts.bench`` prints medians with their spread, and what they were taken on.

``--micro`` times pieces, ``--system`` whole servers with a herd of clients: ours and the plain Python server that one
would write first, in turns, so that both see the same machine. ``--json FILE`` keeps everything as data.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from scripts.benches import micro, system
from scripts.benches.cost import Cost, Point, cost_of
from scripts.benches.system import Outcome, Work

ROUNDS = 5


def main(argv: Sequence[str]) -> int:
    """Run what was asked for, print tables; 0."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--micro", action="store_true", help="pieces only")
    parser.add_argument("--system", action="store_true", help="whole servers only")
    parser.add_argument(
        "--players",
        default="250,1000,2000,2700,1000x4",
        help="sizes of the herd, each with xZONES for a shard of more than one zone (default %(default)s)",
    )
    parser.add_argument("--peer-players", default="250,900", help="the same for the plain server (default %(default)s)")
    parser.add_argument(
        "--scenarios", default="uniform,tiers,crowd", help=f"of: {', '.join(system.SCENARIOS)} (default %(default)s)"
    )
    parser.add_argument("--tiers-players", default="1000", help="the same with default flags (default %(default)s)")
    parser.add_argument("--crowd-players", default="1000", help="the same for the crowd (default %(default)s)")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help="runs of each, of which the median (default %(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=8.0, help="of each whole-system run (default %(default)s)")
    parser.add_argument("--json", type=Path, help="write everything to this file")
    flags = parser.parse_args(argv)
    both = flags.micro == flags.system
    result: dict[str, Any] = {"host": host()}
    print(" ".join(f"{key}={value}" for key, value in result["host"].items()))
    if flags.micro or both:
        timings = micro.run()
        result["micro"] = [asdict(timing) for timing in timings]
        print(f"\n{'piece':<48}{'us':>12}{'quartiles':>24}")
        for timing in timings:
            print(f"{timing.piece:<48}{timing.us:>12.2f}{timing.low_us:>12.2f}{timing.high_us:>12.2f}")
    if flags.system or both:
        if (os.cpu_count() or 1) < 2:
            print("the whole-system runs need two cores: one for the server, one for the herd", file=sys.stderr)
            return 2
        sizes = {"uniform": flags.players, "tiers": flags.tiers_players, "crowd": flags.crowd_players}
        works = [
            *(
                Work("shard", players, zones, flags.seconds, scenario)
                for scenario in flags.scenarios.split(",")
                for players, zones in _sizes(sizes[scenario])
            ),
            *(Work("peer", players, 0, flags.seconds) for players, _ in _sizes(flags.peer_players)),
        ]
        result["system"] = _system(works, flags.rounds)
    if flags.json:
        flags.json.write_text(json.dumps(result, indent=1))
    return 0


def host() -> dict[str, str]:
    """What the figures were taken on."""
    return {
        "cores": str(os.cpu_count()),
        "memory_gib": str(round(psutil.virtual_memory().total / 2**30)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def _system(works: list[Work], rounds: int) -> list[dict[str, Any]]:
    outcomes: dict[Work, list[Outcome]] = {work: [] for work in works}
    print(f"\nserver on core {system.SERVER_CORE}, herd on core {system.HERD_CORE}; medians of {rounds}")
    columns = (
        "server",
        "scenario",
        "zones",
        "players",
        "Hz",
        "main ms/ps",
        "zones ms/ps",
        "kB/ps",
        "rows",
        "who",
        "full",
        "envelope",
        "p50 ms",
        "p99 ms",
        "p99 1/2",
        "p99 1/4",
        "herd late",
        "holds",
    )
    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(rounds):
            for work in works:
                outcomes[work].append(system.run(work, Path(scratch)))
    print("".join(f"{column:>12}" for column in columns))
    points: list[Point] = []
    for work, found in outcomes.items():
        middle = {
            name: statistics.median(getattr(outcome, name) for outcome in found)
            for name in (
                "snapshots_per_s",
                "main_ms",
                "zones_ms",
                "kilobytes",
                "rows_kb",
                "who_kb",
                "full_kb",
                "envelope_kb",
                "seen_p50_ms",
                "seen_p99_ms",
                "half_p99_ms",
                "quarter_p99_ms",
                "herd_late",
            )
        }
        if work.server == "shard" and work.scenario == "uniform":
            cpu_ms = (middle["main_ms"] + middle["zones_ms"]) * work.players
            points.append(Point(work.zones, work.players, cpu_ms))
        holds = f"{sum(outcome.holds for outcome in found)}/{rounds}"
        cells = [
            work.server,
            work.scenario,
            work.zones,
            work.players,
            *(f"{value:.3f}" for value in middle.values()),
            holds,
        ]
        print("".join(f"{cell:>12}" for cell in cells))
    if points:
        print(_cost_line(cost_of(points)))
    return [system.as_row(outcome) for found in outcomes.values() for outcome in found]


def _cost_line(cost: Cost) -> str:
    players = ", ".join(f"{each_ms:.3f} with {players}" for players, each_ms in cost.per_player_ms.items())
    zone = (
        "unknown: ask for several, as in --players 1000,1000x4"
        if math.isnan(cost.per_zone_ms)
        else f"{cost.per_zone_ms:.1f}"
    )
    return (
        f"\nuniform, ms of processor per second: per zone {zone}; per player {players} "
        f"(dearest over cheapest: {cost.spread:+.0%})"
    )


def _sizes(text: str) -> list[tuple[int, int]]:
    """``250,1000x4`` as (players, zones)."""
    parts = [part.partition("x") for part in text.split(",") if part]
    return [(int(players), int(zones or 1)) for players, _, zones in parts]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
