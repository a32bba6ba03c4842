"""One race in which everything goes wrong: ``python -m scripts.race_trial``. Does everybody get what the rules say?

A shard of its own, real sockets, real zones, anti-cheat enforced. While the racers drive, a zone is held up for 300 ms
three times over, another is killed, two drivers' sockets are reset, and one is put on the operator's list; of the
racers, one starts too early, one drives around a gate, one turns back. What is then held against the bots' own truth:
every time at every gate within its error bar, order, places and dead heats, everybody's end, flags, reason and notices,
the splits in every receipt, whose signatures are verified; that no honest car was ever put back, nobody else was
disconnected, and the two cars were given back.

    python -m scripts.race_trial                                      24 racers, 12 km, 8 zones: 8 minutes
    python -m scripts.race_trial --route quay-sprint --racers 8 --zones 4      the same in one minute

Exit code 0: everybody did. 1: somebody did not. 2: it could not be run.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from scripts.bots.bot import Bot
from scripts.bots.fleet import Fleet, FleetSpec, Progress
from scripts.bots.race_book import KICKED, Difference
from scripts.bots.racer import Conduct, Racer
from scripts.bots.report import table
from scripts.bots.rules import Rules
from scripts.bots.tally import Tally
from scripts.mint_token import LOCAL_ISSUER
from scripts.running_shard import RunningShard, ShardFailed
from shard.access.auth import PLAYER_ROLE
from shard.races.receipts import Expected, ReceiptFault, VerifyingKey, verify
from shared.messages import CloseCode
from shared.world.land import Land
from shared.world.routes import Route
from shared.world.world_file import FILE_PRESETS, load_preset

SLOWEST_MPS: Final = 25.0
"""A generous guess at the field's mean speed, which says when the mischief is due."""
RAMP_S: Final = 3.0
SPARE_S: Final = 240.0
"""For joining, the countdown, and the patience that the rules have with those who do not arrive."""
LATE_S: Final = 0.3
MISCONDUCT: Final = (Conduct.FALSE_START, Conduct.SKIP_GATE, Conduct.BACKWARDS)
RESET, VICTIM = (0, 1), 2
"""The racers whose sockets are reset, and the one on the operator's list: by number, all of them honest."""
RECEIPT_DAYS: Final = 3
RECEIPT_SECRET: Final = "of a trial, thrown away: long enough"
SEES_FAULTS: Final = Rules(position_lag_s=3.0, ack_s=4.0, proof_s=4.0, proof_ticks=80, silence_s=4.0)
"""Cars of a zone that is dead or late stand: what else is wrong with that is for other tests to say."""


@dataclass(frozen=True, slots=True)
class Mischief:
    """Something that goes wrong at a share of the race."""

    share: float
    what: str
    number: int = -1
    """Of the racer."""


PLAN: Final = (
    Mischief(0.15, "late"),
    Mischief(0.22, "reset", RESET[0]),
    Mischief(0.30, "late"),
    Mischief(0.38, "kill"),
    Mischief(0.50, "reset", RESET[1]),
    Mischief(0.55, "kick", VICTIM),
    Mischief(0.62, "late"),
)


class Trial:
    """One race on one running shard."""

    def __init__(self, shard: RunningShard, fleet: Fleet, deny: Path) -> None:
        assert fleet.book is not None, "a trial is a race"
        assert fleet.route is not None, "on a route"
        self.book = fleet.book
        self.killed: list[int] = []
        self._shard = shard
        self._fleet = fleet
        self._deny = deny
        self._lasts_s = fleet.route.length_m / SLOWEST_MPS
        self.book.entries[fleet.bots[VICTIM].identity.player].conduct = KICKED

    async def run(self) -> Tally:
        """The whole race, with all its mischief."""
        stop = asyncio.Event()
        working = asyncio.create_task(self._work())
        tally = await self._fleet.run(stop, _show)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        return tally

    async def _work(self) -> None:
        while self.book.state is None or self.book.state.phase != "running":
            await asyncio.sleep(0.05)
        began_s = time.monotonic()
        for deed in PLAN:
            await asyncio.sleep(max(0.0, began_s + deed.share * self._lasts_s - time.monotonic()))
            told = await self._do(deed)
            print(f"trial: {time.monotonic() - began_s:.1f} s into the race: {told}", file=sys.stderr, flush=True)

    async def _do(self, deed: Mischief) -> str:
        if deed.what == "reset":
            self._fleet.bots[deed.number].reset()
            return f"the socket of racer {deed.number} is reset"
        if deed.what == "kick":
            player = self._fleet.bots[deed.number].identity.player
            await asyncio.to_thread(self._deny.write_text, f"{player}\n")
            return f"racer {deed.number} is on the operator's list"
        zone, racers = self._busiest()
        process = self._process(zone)
        if deed.what == "kill":
            os.kill(process, signal.SIGKILL)
            self.killed.append(process)
            return f"zone {zone} with {racers} racers is killed"
        os.kill(process, signal.SIGSTOP)
        await asyncio.sleep(LATE_S)
        os.kill(process, signal.SIGCONT)
        return f"zone {zone} with {racers} racers was {1000 * LATE_S:.0f} ms late"

    def _busiest(self) -> tuple[int, int]:
        """The zone in which most racers are, and how many."""
        counts = Counter(zone for bot in self._fleet.bots if (zone := _zone_of(bot)) is not None)
        return counts.most_common(1)[0]

    def _process(self, zone: int) -> int:
        """Process id of the worker that is this zone now."""
        for child in psutil.Process(self._shard.pid).children():
            if " ".join(child.cmdline()).strip() == f"shard: zone {zone}":
                return child.pid
        raise ShardFailed(f"no process is zone {zone}")

    def faults(self, tally: Tally) -> list[str]:
        """What was not as it should be, a line each; takes what was meant to happen out of the tally."""
        ends = tally.disconnects
        found = []
        forbidden = next((end for end in ends if end.startswith(str(int(CloseCode.FORBIDDEN)))), None)
        if forbidden is None or ends.pop(forbidden) != 1 or tally.errors.pop("forbidden", 0) != 1:
            found.append("the one on the operator's list was not sent away, or others were")
        if tally.findings.counts.get("refused") == 1:
            del tally.findings.counts["refused"]  # the same, as its referee saw it
            tally.findings.kept = [kept for kept in tally.findings.kept if kept.kind != "refused"]
        if (tally.cuts, tally.resumed) != (len(RESET), len(RESET)):
            found.append(f"{tally.cuts} lines broke and {tally.resumed} cars were given back, not {len(RESET)}")
        found += [f"{end}: {count} times" for end, count in ends.items()]
        found += [f"receipt of {fault.player}: {fault.evidence}" for fault in self._receipts()]
        return found

    def _receipts(self) -> list[Difference]:
        """Receipts that are not good, or whose splits are not the racer's own within the bars it was told."""
        found = []
        for player, entry in self.book.entries.items():
            if entry.result is None:
                continue
            key, line = VerifyingKey("HS256", RECEIPT_SECRET), next(p for p in self.book.places if p.player == player)
            try:
                claims = verify(entry.result.receipt, key, time.time(), Expected(player, self.book.race))
            except ReceiptFault as fault:
                found.append(Difference("receipt", player, {"refused": str(fault)}))
                continue
            told = (claims["place"], claims["status"], claims["of"], claims["exp"] - claims["iat"])
            if told != (line.place, line.status, len(self.book.entries), RECEIPT_DAYS * 86400):
                found.append(Difference("receipt", player, {"claims": str(told)}))
            bars = {told.lap * self.book.gates + told.gate: told.err_ms for told in entry.told}
            worst_ms = max(bars.values(), default=0.0)
            assert entry.start_ms is not None, "a race with a result has started"
            own = [max(0.0, at_ms - entry.start_ms) for at_ms in entry.truth_ms]
            off = [
                abs(split - mine) - bars.get(index, worst_ms) - entry.clock_err_ms - 3.0
                for index, (split, mine) in enumerate(zip(claims["splits_ms"], own, strict=False))
            ]
            if len(claims["splits_ms"]) != len(own) or max(off, default=0.0) > 0.0:
                found.append(Difference("receipt", player, {"splits": len(claims["splits_ms"]), "own": len(own)}))
        return found


def _zone_of(bot: Bot) -> int | None:
    """The zone in whose rectangle a racing bot is."""
    if not isinstance(bot.driver, Racer) or not bot.connected:
        return None
    x, z = bot.driver.car.x, bot.driver.car.z
    inside = (n for n, (x0, z0, x1, z1) in enumerate(bot.driver.zones) if x0 <= x < x1 and z0 <= z < z1)
    return next(inside, None)


def _show(progress: Progress) -> None:
    print(progress.line(), file=sys.stderr, flush=True)


def hold(route: Route, racers: int, zones: int, seed: int, folder: Path, flags: Sequence[str] = ()) -> list[str]:
    """Have the trial; returns what went otherwise than it should, a line each. Raises ShardFailed."""
    deny, secret = folder / "deny", folder / "secret"
    shard_flags = ["--zones", str(zones), "--deny-file", str(deny), "--dev-secret-file", str(secret)]
    shard_flags += ["--receipt-days", str(RECEIPT_DAYS), *flags]
    with RunningShard(shard_flags, {"SHARD_RECEIPT_SECRET": RECEIPT_SECRET}) as shard:
        spec = FleetSpec(
            url=shard.url,
            first=0,
            bots=racers,
            seconds=2.0 * route.length_m / SLOWEST_MPS + SPARE_S,
            ramp_s=RAMP_S,
            seed=seed,
            churn_per_minute=0.0,
            secret=secret.read_text().strip(),
            issuer=LOCAL_ISSUER,
            audience=PLAYER_ROLE,
            rules=SEES_FAULTS,
            come_back=True,
            racers=(Conduct.HONEST,) * (racers - len(MISCONDUCT)) + MISCONDUCT,
        )
        trial = Trial(shard, Fleet(spec, route=route), deny)
        tally = asyncio.run(trial.run())
        found = trial.faults(tally)
        code = shard.stop()
    print(f"{trial.book.table()}\n{table(tally)}")
    [stopped] = [record for record in shard.log if record["message"] == "stopped"]
    back = [record for record in shard.log if record["message"] == "zone is back"]
    for record in [*back, stopped]:
        print("shard:", " ".join(f"{name}={value}" for name, value in record.items() if name != "time"))
    found += [f"{each.kind} {each.observer} {dict(each.evidence)}" for each in tally.findings.kept]
    found += [] if code == 0 else [f"the shard ended with exit code {code}"]
    if not (len(trial.killed) == len(back) == stopped["zones_lost"] == 1):
        found.append(f"{len(trial.killed)} zones were killed, {stopped['zones_lost']} lost, {len(back)} came back")
    if stopped["late_ticks"] < 3:
        found.append(f"zones were late in {stopped['late_ticks']} ticks only")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run the trial; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.race_trial", description=__doc__.partition("\n")[0])
    parser.add_argument("--route", default="grand-tour", metavar="NAME", help="of --world (default %(default)s)")
    parser.add_argument("--world", default=FILE_PRESETS[0], choices=FILE_PRESETS, help="default %(default)s")
    parser.add_argument("--racers", type=int, default=24, metavar="N", help="at least 8 (default %(default)s)")
    parser.add_argument("--zones", type=int, default=8, metavar="N", help="default %(default)s")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="default %(default)s")
    flags = parser.parse_args(argv)
    routes = {route.id: route for route in Land.of_file(load_preset(flags.world)).routes}
    if flags.route not in routes:
        parser.error(f"--route: must be one of {', '.join(routes)}, not {flags.route!r}")
    route = routes[flags.route]
    if not 8 <= flags.racers <= len(route.grid):
        parser.error(f"--racers: must be 8 to {len(route.grid)} on {route.id}, not {flags.racers}")
    try:
        with tempfile.TemporaryDirectory() as folder:
            world = ["--world", flags.world]
            found = hold(route, flags.racers, flags.zones, flags.seed, Path(folder), world)
    except ShardFailed as fault:
        print(f"race_trial: {fault}", file=sys.stderr)
        return 2
    print("\n".join(found) if found else "everybody got what the rules say, and nobody else was touched")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
