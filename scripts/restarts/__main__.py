"""Kill workers over and over, have each taken over, and count what is left: ``python -m scripts.restarts --cycles N``.

A cycle is: a tick, a worker killed at a random moment of the next one (or a spare), the takeover, a tick. There are no
sockets and no clock: ticks follow each other as fast as they can. Before and after, everything is counted that could
leak: this process's memory, open descriptors, child processes and zombies, shared-memory blocks, entries of the fleet.
Exit code 0: nothing grew. 1: something did. Ctrl-C ends it after the present cycle, with the verdict on those so far.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from scripts.restarts.count import leaks
from scripts.restarts.cycles import Restarts

WARM_UP_CYCLES = 20
"""Before the first count: caches fill, libraries load what they load lazily."""
SHOW_EVERY = 500


def main(argv: Sequence[str] | None = None) -> int:
    """Run the cycles; 0 if nothing leaked."""
    parser = argparse.ArgumentParser(prog="python -m scripts.restarts", description=__doc__.partition("\n")[0])
    parser.add_argument("--cycles", type=int, default=200, metavar="N", help="kills and takeovers (default 200)")
    parser.add_argument("--zones", type=int, default=4, metavar="N", help="zone processes (default 4)")
    parser.add_argument("--spares", type=int, default=3, metavar="N", help="workers that start meanwhile (default 3)")
    parser.add_argument("--players", type=int, default=40, metavar="N", help="cars (default 40)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="what is killed when (default 1)")
    flags = parser.parse_args(argv)
    logging.getLogger("shard").setLevel(logging.CRITICAL)  # a line per kill is no news here
    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda _number, _frame: stop.set())
    restarts = Restarts(flags.zones, flags.spares, flags.players, flags.seed)
    done = 0
    try:
        for _ in range(WARM_UP_CYCLES):
            restarts.cycle()
        before, began_s = restarts.count(), time.monotonic()
        while done < flags.cycles and not stop.is_set():
            restarts.cycle()
            done += 1
            if done % SHOW_EVERY == 0:
                print(f"{done:6d} cycles  {time.monotonic() - began_s:7.0f} s  {restarts.count()}", flush=True)
        took_s = time.monotonic() - began_s
        after, wrong = restarts.count(), restarts.check()
        frozen = sorted(takeover.down_ms for takeover in restarts.fleet.takeovers)
    finally:
        restarts.close()
    left = [path.name for path in Path("/dev/shm").glob(f"shard-{restarts.memory.instance}-*")]
    wrong += leaks(before, after) + [f"block left: {name}" for name in left]
    print(f"before  {before}\nafter   {after}")
    print(f"{done} cycles in {took_s:.0f} s; killed {dict(restarts.fates)}; zones lost {restarts.fleet.lost}")
    if frozen:
        p50, p99 = frozen[len(frozen) // 2], frozen[int(0.99 * (len(frozen) - 1))]
        print(f"from noticed to back: p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {frozen[-1]:.1f} ms")
    print("\n".join(wrong) if wrong else "nothing leaked, nobody lost")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
