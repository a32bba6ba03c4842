"""Zones die, hang, stop and stumble, lines stall and break, races go on, and in the end the main process is killed.

Starts a shard of its own with ``--debug`` and strict bots: most on good lines, some on bad ones, and racers in one race
after the other. When the time is over and the last race is under way, main is killed with ``kill -9`` and started again
on its checkpoints. Exit code 0: nobody was lost, doubled or disconnected by the death of a zone, every race came to its
end, what was seen of a fault lies within the freeze of the zone that died, and everybody was back in its car in time.
1: not so. 2: it could not be run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.chaos.run import Run, drive
from scripts.running_shard import ShardFailed


def main(argv: Sequence[str] | None = None) -> int:
    """Run it, print what came of it, return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.chaos", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--minutes", type=float, default=10.0, metavar="M", help="time of harm after the ramp (default 10)")
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
