"""One chaos run: a shard, its bots and races, the harm, and at the end the death of the main process."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from scripts.bots.fleet import Fleet, FleetSpec, Progress
from scripts.bots.racer import Conduct, Racer
from scripts.bots.rules import Kind, Rules
from scripts.chaos.harms import disturbances, harm_zones, recovered
from scripts.chaos.verdict import FASTEST_MPS, POSE_AGE_MAX_S, MainDeath, Outcome
from scripts.fault_plan import Chaos
from scripts.fault_proxy import FaultProxy, Weather
from scripts.mint_token import LOCAL_ISSUER
from scripts.running_shard import RunningShard, ShardFailed, lasting_port
from shard.access.auth import PLAYER_ROLE
from shared.world.land import land_of
from shared.world.world import World
from shared.world.world_file import FILE_PRESETS, load_preset

ROUTE: Final = "quay-sprint"
RACE_S: Final = 90.0
"""What a race takes at most, from when its racers are let in: the countdown, its time limit of 60 s, and their ways."""
PATIENCE_S: Final = 300.0
"""A shard that has too much to do lets nobody in for a while, racers neither: that is its right, and takes a while."""
LEAD_S: Final = 12.0
"""So long before the harm shall end the last race begins: joining, the grid, the countdown, the first gate."""
UNDER_WAY: Final = 2
"""Gates that everybody has passed in a race that is under way: the line, and one more."""
STALL_S: Final = (0.1, 0.5)
"""How long bad lines stall."""
BAD_LINE_SHARE: Final = 10
"""One of so many bots is behind the proxy."""
CHURN_ENDS_S: Final = 8.0
"""So long before the harm shall end nobody leaves any more: who is in the lobby has no car to be given back."""
SETTLE_S: Final = 3.0
"""Between the last harm and the death of main: poses are as old as its checkpoint makes them, not a hung zone."""
AFTER_S: Final = 8.0
"""How long everybody is watched after the restart at least: the time to come back, and some seconds of driving."""
TOLD_CHARS: Final = 6000
"""Of what a race tells people that went wrong: its table is at the end."""
KEEP_ALL: Final = 1_000_000
"""Violations kept: the verdict looks at each of them, and a single hang in a crowd explains hundreds."""


@dataclass(frozen=True, slots=True)
class Run:
    """What to do."""

    seconds: float
    """Of harm, after the ramp; the death of main comes afterwards."""
    bots: int
    zones: int
    racers: int
    seed: int
    every_s: float
    record: Path | None = None
    ramp_s: float = 5.0

    @property
    def bad(self) -> int:
        """How many of the bots are on bad lines."""
        return self.bots // BAD_LINE_SHARE

    @property
    def expected(self) -> dict[str, int]:
        """The bots that are there to the end, by what they are for."""
        every = {"good": self.bots - self.bad, "bad": self.bad, "last race": self.racers}
        return {name: count for name, count in every.items() if count}


async def drive(run: Run) -> Outcome:
    """Start everything, harm it, kill main, and collect what was seen. Raises ShardFailed."""
    with tempfile.TemporaryDirectory() as directory:
        secret = Path(directory) / "secret"
        flags = ["--zones", str(run.zones), "--debug", "--spares", "2", "--dev-secret-file", str(secret)]
        flags += ["--state-dir", f"{directory}/state", "--port", str(lasting_port())]
        flags += ["--record", str(run.record)] if run.record is not None else []
        with ExitStack() as stack:
            chaos = _Chaos(run, flags, secret, RunningShard(flags), stack)
            stack.callback(chaos.shard.kill)
            try:
                await chaos.run()
            finally:
                await chaos.abandon()
            chaos.outcome.exit_code = await asyncio.to_thread(chaos.shard.stop)
            chaos.outcome.log += chaos.shard.log
    return chaos.outcome


@dataclass
class _Swarm:
    """``scripts.swarm`` as a child process."""

    name: str
    process: asyncio.subprocess.Process
    told: str = ""
    """What it has told people."""

    async def result(self) -> dict[str, Any]:
        """When it has ended. Raises ShardFailed when there is none."""
        out, told = await self.process.communicate()
        self.told = told.decode()
        if not out.strip():
            raise ShardFailed(f"the swarm of {self.name} failed: {self.told[-500:]}")
        result: dict[str, Any] = json.loads(out.splitlines()[-1])
        return result

    async def end(self) -> dict[str, Any]:
        """Have it end now, and give its result."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGINT)
        return await self.result()


@dataclass
class _Chaos:
    spec: Run
    flags: list[str]
    secret: Path
    shard: RunningShard
    """In its present life."""
    stack: ExitStack
    """Ends what is still there in any case."""
    outcome: Outcome = field(init=False)
    _swarms: list[_Swarm] = field(default_factory=list)
    _harming: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.outcome = Outcome(self.spec.expected)

    async def run(self) -> None:
        """Until everybody has driven on for a while after the death of main."""
        run, outcome, url = self.spec, self.outcome, self.shard.url
        address = urlsplit(url)
        assert address.hostname is not None
        assert address.port is not None
        race = self._last_race(url)  # made now: it takes a moment in which the proxy would stand still
        faults = Chaos(seed=run.seed, stall_every_s=6.0, stall_s=STALL_S, reset_every_s=15.0)
        async with FaultProxy(address.hostname, address.port, Weather(latency_s=0.01), faults) as proxy:
            lasting = await self._roamers(url, f"ws://127.0.0.1:{proxy.port}/ws")
            ends_s = time.monotonic() + run.ramp_s + run.seconds
            self._harming = asyncio.create_task(self._harm())
            await self._races(url, ends_s - LEAD_S)
            racing = asyncio.create_task(race.run(asyncio.Event(), _ignore)) if race is not None else None
            while time.monotonic() < ends_s or (race is not None and _passed(race)[0] < UNDER_WAY):
                if time.monotonic() > ends_s + PATIENCE_S or (racing is not None and racing.done()):
                    raise ShardFailed("the last race did not get under way")
                await asyncio.sleep(0.1)
            await self._end_harm()
            proxy.calm()
            async with asyncio.timeout(RACE_S):
                await recovered(self.shard.pid, run.zones)
            await asyncio.sleep(SETTLE_S)
            await self._kill_main(race)
            await asyncio.sleep(AFTER_S)
            if race is not None and racing is not None:
                async with asyncio.timeout(RACE_S):
                    tally = await racing
                outcome.swarms["last race"] = [tally.result()]
                assert race.book is not None, "it is a race"
                outcome.gates_again = sum(len(entry.void) for entry in race.book.entries.values())
            for swarm in lasting:
                outcome.swarms[swarm.name] = [await swarm.end()]

    async def abandon(self) -> None:
        """End whatever of this still runs. Harmless when nothing does."""
        await self._end_harm()
        for swarm in self._swarms:
            if swarm.process.returncode is None:
                swarm.process.kill()
                await swarm.process.wait()

    async def _roamers(self, url: str, bad_url: str) -> list[_Swarm]:
        run = self.spec
        common = ["--seconds", str(run.seconds + 3 * PATIENCE_S), "--ramp", str(run.ramp_s), "--come-back"]
        churn_s = max(0.0, run.ramp_s + run.seconds - CHURN_ENDS_S)
        stall = ["--line-stall", str(STALL_S[1])]
        churn = ["--churn", "1", "--churn-seconds", str(churn_s)]
        swarms = [await self._start("good", url, 0, "--bots", str(run.bots - run.bad), *common, *churn)]
        if run.bad:
            swarms.append(await self._start("bad", bad_url, 100, "--bots", str(run.bad), *common, *stall))
        return swarms

    async def _start(self, name: str, url: str, number: int, *flags: str) -> _Swarm:
        command = [sys.executable, "-m", "scripts.swarm", "--json", "--url", url, "--keep", str(KEEP_ALL)]
        command += ["--token-secret-file", str(self.secret), "--seed", str(1000 * self.spec.seed + number), *flags]
        pipe = asyncio.subprocess.PIPE
        swarm = _Swarm(name, await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe))
        self._swarms.append(swarm)
        return swarm

    async def _races(self, url: str, until_s: float) -> None:
        """One race after the other, as long as another can be expected to end in time; then wait until then."""
        run, number = self.spec, 200
        flags = ["--racers", str(run.racers), "--route", ROUTE, "--seconds", str(PATIENCE_S), "--ramp", str(run.ramp_s)]
        while run.racers and time.monotonic() < until_s - RACE_S:
            swarm = await self._start("races", url, number, *flags)
            result = await swarm.result()
            self.outcome.swarms.setdefault("races", []).append(result)
            if Kind.RACE in result["violationsByKind"]:
                print(swarm.told[-TOLD_CHARS:], file=sys.stderr, flush=True)
            number += 1
        await asyncio.sleep(max(0.0, until_s - time.monotonic()))

    def _last_race(self, url: str) -> Fleet | None:
        """The race in which main is killed; None: nobody races."""
        run = self.spec
        if not run.racers:
            return None
        file = load_preset(FILE_PRESETS[0])
        land = land_of(World(FILE_PRESETS[0], file.seed, file.size_m))  # kept: the bots ask for the same
        route = next(each for each in land.routes if each.id == ROUTE)
        spec = FleetSpec(
            url=url,
            first=0,
            bots=run.racers,
            seconds=run.seconds + 3 * PATIENCE_S,
            ramp_s=min(run.ramp_s, 1.0),
            seed=1000 * run.seed + 900,
            churn_per_minute=0.0,
            secret=self.secret.read_text().strip(),
            issuer=LOCAL_ISSUER,
            audience=PLAYER_ROLE,
            rules=Rules(resume_off_m=FASTEST_MPS * POSE_AGE_MAX_S),
            violations_kept=KEEP_ALL,
            come_back=True,
            racers=(Conduct.HONEST,) * run.racers,
        )
        return Fleet(spec, route=route)

    async def _harm(self) -> None:
        run = self.spec
        await asyncio.sleep(run.ramp_s + 1.0)
        await harm_zones(self.shard.pid, run.zones, disturbances(run.seed, run.every_s), self.outcome.harms)

    async def _end_harm(self) -> None:
        if self._harming is not None:
            self._harming.cancel()
            [fault] = await asyncio.gather(self._harming, return_exceptions=True)
            self._harming = None
            if isinstance(fault, Exception):
                raise fault

    async def _kill_main(self, race: Fleet | None) -> None:
        gates = (0, 0) if race is None else _passed(race)
        killed_s = time.monotonic()
        if race is not None and race.book is not None:
            race.book.deaths_ms.append(race.server_ms())
        self.outcome.log += self.shard.log  # what is written from now on is about its death
        await asyncio.to_thread(self.shard.strike)
        self.shard = await asyncio.to_thread(RunningShard, self.flags)
        self.stack.callback(self.shard.kill)
        self.outcome.death = MainDeath(killed_s, self.shard.listening_s, gates)


def _passed(race: Fleet) -> tuple[int, int]:
    """Gates that the last and the first of the racers have truly passed."""
    passed = [bot.driver.passed for bot in race.bots if isinstance(bot.driver, Racer)]
    return min(passed), max(passed)


def _ignore(_: Progress) -> None:
    pass
