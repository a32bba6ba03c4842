"""Is the anti-cheat fair to honest drivers, and what do cheats gain? ``python -m scripts.fairness`` prints both tables.

Honest cars, at 99 % of every cap and along walls, send their samples over bad lines to zones that judge them
(``scripts/fair``); the zones run the real step of ``zones/simulation.py``, main's part is modelled. Then every cheating
technique drives beside an honest twin. Nothing is random but what ``--seed`` gives.

Exit code 0: nobody was removed, no race was invalidated, and there was less than one set-back per 1,000 player-minutes.
1: an honest player was wronged more than that. 2: bad arguments.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from scripts.fair.dishonest import CHEATING_S, Found, measure, refusals
from scripts.fair.honest import Row, drive
from scripts.fair.scenarios import SCENARIOS, SERVERS, Scenario
from scripts.fair.tables import as_json, detection_table, faults, honest_table, merged
from scripts.fair.techniques import GATE_TECHNIQUES, TECHNIQUES, TOLERANCE_TECHNIQUES, UNSPEAKABLE

MINUTES = 105_000.0
"""The promise is made for 100,000; of the rows some are for comparison and not promised."""
MINUTES_LEAST = 10.0
CARS_MOST = 6000
"""Side by side in one run: as many as pay for the fixed cost of an array; each takes 55 kB."""
DRIVE_LEAST_MIN = 1.0
"""So long drives everybody: a stall of 10 s and what comes after has to fit in."""
DRIVE_MOST_MIN = 15.0
"""Longer drives are cut in parts, so that processes share them evenly and each part has another land."""
CASES_EACH = 6


@dataclass(frozen=True, slots=True)
class Part:
    """Some scenarios side by side in one process. Picklable."""

    scenarios: tuple[Scenario, ...]
    cars_each: int
    minutes: float
    seed: int

    def run(self) -> list[Row]:
        """Drive them."""
        return drive(self.scenarios, self.cars_each, self.minutes, self.seed)


def parts(minutes: float, seed: int) -> Iterator[Part]:
    """Divide player-minutes among all scenarios, equally."""
    each_min = minutes / len(SCENARIOS)
    for server in SERVERS:
        group = tuple(scenario for scenario in SCENARIOS if scenario.server == server)
        cars = max(1, min(CARS_MOST // len(group), round(each_min / DRIVE_LEAST_MIN)))
        drive_min = each_min / cars
        pieces = max(1, round(drive_min / DRIVE_MOST_MIN))
        for piece in range(pieces):
            yield Part(group, cars, drive_min / pieces, seed + 1000 * piece)


def honest_rows(minutes: float, seed: int, processes: int) -> list[Row]:
    """Drive honest cars for so many player-minutes; in the scenarios' order."""
    todo = sorted(parts(minutes, seed), key=lambda part: -part.minutes * part.cars_each * len(part.scenarios))
    started_s = time.monotonic()
    found: list[Row] = []
    if processes == 1:
        done = map(Part.run, todo)
        for number, rows in enumerate(done, 1):
            found += rows
            _say(number, len(todo), started_s)
    else:
        with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
            for number, rows in enumerate(pool.map(Part.run, todo), 1):
                found += rows
                _say(number, len(todo), started_s)
    order = {scenario.name: number for number, scenario in enumerate(SCENARIOS)}
    return sorted(merged(found), key=lambda row: order[row.name])


def main(argv: Sequence[str] | None = None) -> int:
    """Run both, print both, return the exit code. ``argv`` is without the program's name."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.fairness", description=(__doc__ or "").splitlines()[0], allow_abbrev=False
    )
    add = parser.add_argument
    add("--minutes", type=float, default=MINUTES, metavar="N", help="honest player-minutes in all (default 105,000)")
    add("--seed", type=int, default=1, metavar="S", help="same seed: same tables (default 1)")
    add("--processes", type=int, default=1, metavar="N", help="cores to use (default 1)")
    add("--markdown", metavar="PATH", help="write the tables as Markdown, too")
    add("--json", metavar="PATH", help="write everything as JSON, too")
    flags = parser.parse_args(sys.argv[1:] if argv is None else argv)
    if not MINUTES_LEAST <= flags.minutes <= 1e8:
        parser.error(f"--minutes: must be {MINUTES_LEAST:.0f} to 100,000,000, not {flags.minutes}")
    if not 1 <= flags.processes <= (os.cpu_count() or 1):
        parser.error(f"--processes: must be 1 to {os.cpu_count()}, not {flags.processes}")
    if not 0 <= flags.seed < 2**31:
        parser.error(f"--seed: must be 0 to {2**31 - 1}, not {flags.seed}")
    rows = honest_rows(flags.minutes, flags.seed, flags.processes)
    found: list[Found] = measure((*TECHNIQUES, *TOLERANCE_TECHNIQUES, *GATE_TECHNIQUES), CASES_EACH, flags.seed)
    refused = refusals(UNSPEAKABLE)
    tables = honest_table(rows), detection_table(found, refused)
    print("\n\n".join(table.text() for table in tables))
    print(f"\nEvery cheat drove {CHEATING_S:.0f} s after a warm-up, {CASES_EACH} times, all vehicle classes in turn.")
    wrongs = faults(rows)
    print("all well: no honest driver was wronged" if not wrongs else "NOT well:\n  " + "\n  ".join(wrongs))
    if flags.markdown:
        Path(flags.markdown).write_text("\n\n".join(table.markdown() for table in tables) + "\n")
    if flags.json:
        Path(flags.json).write_text(json.dumps(as_json(rows, found, refused), indent=1) + "\n")
    return int(bool(wrongs))


def _say(number: int, count: int, started_s: float) -> None:
    print(f"part {number} of {count} done after {time.monotonic() - started_s:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
