"""All bots of one process: connecting them over the ramp, stepping them evenly over each period, and judging pairs."""

from __future__ import annotations

import asyncio
import gc
import math
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from websockets.exceptions import InvalidHandshake

from scripts.bots.bot import TIME_ROWS_EVERY, Bot, Identity, Phase, RaceWish, Surroundings
from scripts.bots.cross_check import CrossCheck
from scripts.bots.driver import Driver
from scripts.bots.race_book import RaceBook
from scripts.bots.racer import Conduct, Racer
from scripts.bots.referee import LATENCY_UNITS_PER_S, Referee
from scripts.bots.road_driver import Local
from scripts.bots.rules import Findings, Kind, Rules, Violation
from scripts.bots.tally import Tally
from scripts.bots.truth import Track
from scripts.mint_token import mint
from shared.vehicles import VEHICLES, VehicleClass
from shared.world.routes import Route

PERIOD_S = 0.05
"""Samples are sent at 20 Hz, what a good client does."""
PHASES = 10
"""Steps into which a period is divided: each bot has its own, so that the shard's load is as smooth as in life."""
PROGRESS_S = 2.0
LAG_MEMORY_S = 1.0
"""For how long a late step counts as lag: what was sent late is seen late."""
ALL_ROWS_BELOW = 40
"""Swarms smaller than this take latencies from every snapshot."""
TOKEN_SPARE_S = 900.0
CLOSE_AT_ONCE = 100
CONNECT_TRIES = 5


@dataclass(frozen=True, slots=True)
class FleetSpec:
    """What one process is to do. Picklable."""

    url: str
    first: int
    """Number of the first bot; numbers are unique over all processes of a swarm."""
    bots: int
    seconds: float
    """How long to drive once the ramp is over."""
    ramp_s: float
    seed: int
    churn_per_minute: float
    secret: str = field(repr=False)
    issuer: str
    audience: str
    rules: Rules = Rules()
    churn_s: float = math.inf
    """Nobody leaves later than this."""
    violations_kept: int = 200
    come_back: bool = False
    """Connect again when a connection breaks, and expect the same car."""
    racers: tuple[Conduct, ...] = ()
    """How each racer behaves: the first bots race, the others roam."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How a fleet is doing, over the time since the last report."""

    elapsed_s: float
    connected: int
    in_world: int
    messages_per_s: float
    bytes_per_player_s: float
    violations: int

    def line(self) -> str:
        """For people."""
        return (
            f"{self.elapsed_s:6.1f} s  connected {self.connected}  in world {self.in_world}  "
            f"{self.messages_per_s:.0f} messages/s  {self.bytes_per_player_s / 1000:.1f} kB/s per player  "
            f"violations {self.violations}"
        )


class Lag:
    """The largest recent lateness of this process, seconds."""

    def __init__(self) -> None:
        self._worst_s = 0.0
        self._worst_at_s = 0.0

    def note(self, late_s: float, now_s: float) -> None:
        """A step was ``late_s`` late."""
        if late_s >= self._worst_s or now_s - self._worst_at_s > LAG_MEMORY_S:
            self._worst_s, self._worst_at_s = late_s, now_s

    def recent_s(self) -> float:
        """The worst of about the last LAG_MEMORY_S."""
        return self._worst_s


class Fleet:
    """Use once: ``await Fleet(spec).run(...)``."""

    def __init__(
        self,
        spec: FleetSpec,
        driver_for: Callable[[random.Random, VehicleClass], Driver] = Local,
        route: Route | None = None,
    ) -> None:
        """``route`` is what the racers of ``spec`` race on."""
        assert route is not None or not spec.racers, "racers need a route"
        self.spec = spec
        self.route = route
        self.book = None if route is None else RaceBook(len(route.gates_m))
        self.tally = Tally(bots=spec.bots, findings=Findings(spec.violations_kept))
        self._lag = Lag()
        self._truth: dict[str, Track] = {}
        self._cross_check = CrossCheck(self._truth, spec.rules)
        self._started_s = time.monotonic()
        self._around = Surroundings(
            tally=self.tally,
            cross_check=self._cross_check,
            clock=self._clock,
            lag_s=self._lag.recent_s,
            time_rows_every=1 if spec.bots < ALL_ROWS_BELOW else TIME_ROWS_EVERY,
        )
        self._bots = [self._make(number, driver_for) for number in range(spec.first, spec.first + spec.bots)]
        self._connecting: set[asyncio.Task[None]] = set()

    @property
    def bots(self) -> list[Bot]:
        """All of them; the racers first."""
        return list(self._bots)

    async def run(self, stop: asyncio.Event, progress: Callable[[Progress], None]) -> Tally:
        """Drive until the time is over or ``stop`` is set; say good-bye; return what was counted."""
        self._started_s = time.monotonic()
        ramp = asyncio.create_task(self._ramp(stop))
        try:
            await self._pace(stop, progress)
        finally:
            ramp.cancel()
            for task in self._connecting:
                task.cancel()
            await asyncio.gather(ramp, *self._connecting, return_exceptions=True)
            await self._close()
        self._collect()
        return self.tally

    async def _ramp(self, stop: asyncio.Event) -> None:
        for index, bot in enumerate(self._bots):
            due_s = index * self.spec.ramp_s / len(self._bots)
            await asyncio.sleep(max(0.0, due_s - self._clock()))
            if stop.is_set():
                return
            task = asyncio.create_task(self._connect(bot))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)
        gc.freeze()  # the bots stay to the end: no collection need look at them again

    async def _connect(self, bot: Bot) -> None:
        """Connect a bot for the first time; one that comes back after a broken line bears broken handshakes, too."""
        for tries_left in range(CONNECT_TRIES if self.spec.come_back else 1, 0, -1):
            try:
                await bot.connect(self.spec.url)
                return
            except (OSError, TimeoutError, InvalidHandshake) as fault:
                if tries_left == 1:
                    self.tally.disconnects[f"not connected: {type(fault).__name__}: {fault}"] += 1

    async def _pace(self, stop: asyncio.Event, progress: Callable[[Progress], None]) -> None:
        """The one loop of the process: every bot once per PERIOD_S, a PHASES-th of them at a time."""
        spec, tally, clock = self.spec, self.tally, self._clock
        period_at_s = before_s = report_at_s = clock()
        last = (before_s, 0, 0, 0.0)
        while not stop.is_set() and clock() < spec.ramp_s + spec.seconds and not (self.book and self.book.over):
            for phase in range(PHASES):
                due_s = period_at_s + phase * PERIOD_S / PHASES
                await asyncio.sleep(max(0.0, due_s - clock()))
                late_s = clock() - due_s
                self._lag.note(late_s, due_s + late_s)
                tally.lag[int(max(0.0, late_s) * LATENCY_UNITS_PER_S)] += 1
                for bot in self._bots[phase::PHASES]:
                    bot.step()
            now_s = clock()
            self._cross_check.judge(now_s, self._lag.recent_s())
            connected = sum(bot.connected for bot in self._bots)
            in_world = sum(bot.phase is Phase.WORLD for bot in self._bots)
            tally.connected_most = max(tally.connected_most, connected)
            tally.in_world_most = max(tally.in_world_most, in_world)
            tally.player_s += in_world * (now_s - before_s)
            before_s = now_s
            if now_s - report_at_s >= PROGRESS_S:
                since_s, messages, size, player_s = last
                last = (now_s, tally.messages_in, tally.bytes_in, tally.player_s)
                progress(
                    Progress(
                        elapsed_s=now_s,
                        connected=connected,
                        in_world=in_world,
                        messages_per_s=(tally.messages_in - messages) / (now_s - since_s),
                        bytes_per_player_s=(tally.bytes_in - size) / max(tally.player_s - player_s, 1e-9),
                        violations=sum(tally.findings.counts.values()),
                    )
                )
                report_at_s = now_s
            period_at_s = max(period_at_s + PERIOD_S, now_s - PERIOD_S)  # behind by more: skip, samples come at 20 Hz
        tally.seconds = clock()

    async def _close(self) -> None:
        """Close all connections, some at a time."""
        for index in range(0, len(self._bots), CLOSE_AT_ONCE):
            closing = (bot.close() for bot in self._bots[index : index + CLOSE_AT_ONCE])
            await asyncio.gather(*closing, return_exceptions=True)

    def _collect(self) -> None:
        """Add what the referees counted on their own."""
        tally = self.tally
        tally.pairs_judged, tally.judgements_skipped = self._cross_check.pairs_judged, self._cross_check.calls_skipped
        for bot in self._bots:
            tally.snapshots += bot.referee.snapshots
            tally.snapshots_late += bot.referee.snapshots_late
            tally.ticks_missed += bot.referee.ticks_missed
            tally.resets += bot.referee.resets
            tally.latency.update(bot.referee.latency)
            every, second, fourth = bot.referee.latency_by_rate.values()
            tally.latency_every.update(every)
            tally.latency_second.update(second)
            tally.latency_fourth.update(fourth)
        zero_s = self._started_s
        tally.cuts_s = [zero_s + at_s for at_s in tally.cuts_s]
        tally.comebacks = [
            replace(each, cut_s=zero_s + each.cut_s, back_s=zero_s + each.back_s) for each in tally.comebacks
        ]
        if self.book is not None:
            for bot in self._bots[: len(self.spec.racers)]:
                entry = self.book.entries[bot.identity.player]
                entry.clock_err_ms, entry.was_cut = bot.clock_err_ms, bot.cuts > 0
            for found in self.book.differences():
                evidence = {"what": found.what} | found.evidence
                tally.findings.add(Violation(Kind.RACE, 0, self._clock(), found.player, evidence))

    def _make(self, number: int, driver_for: Callable[[random.Random, VehicleClass], Driver]) -> Bot:
        """Bot ``number``: the same seed and number give the same player, vehicle and journey."""
        spec = self.spec
        rng = random.Random(f"{spec.seed}/{number}")
        player = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        vehicle = rng.choices(VEHICLES, weights=[6, 2, 2])[0]
        index = number - spec.first
        if index < len(spec.racers) and self.route is not None:
            vehicle = next(each for each in VEHICLES if self.route.entry.vehicle in (None, each.name))
        lifetime_s = spec.ramp_s + spec.seconds + TOKEN_SPARE_S
        token = mint(spec.secret, player, time.time(), lifetime_s, iss=spec.issuer, aud=spec.audience)
        track = self._truth[player] = Track(player, vehicle)
        referee = Referee(player, self._truth, self.tally.findings, spec.rules)
        self._cross_check.add(referee)
        identity = Identity(number, player, token, f"bot-{number:04d}", vehicle.name)
        driver, race = driver_for(rng, vehicle), None
        if index < len(spec.racers) and self.route is not None and self.book is not None:
            entry = self.book.enter(player, spec.racers[index])
            driver = Racer(rng, vehicle, self.route, entry, lambda: self._server_ms(index), spec.racers[index])
            race = RaceWish(self.route.id, self.book.hear)
            track.will_be_moved = True
        churn = spec.churn_per_minute
        return Bot(
            identity, driver, track, referee, self._around, rng, churn, spec.come_back, race, churn_until_s=spec.churn_s
        )

    def server_ms(self) -> float:
        """Server time now, as the first bot estimates it; nan before its first pong."""
        return 1000.0 * self._clock() + self._bots[0].clock_offset_ms

    def _server_ms(self, index: int) -> float:
        """Server time of what one of the bots does now, as it estimates it; nan before its first pong."""
        return 1000.0 * self._bots[index].now_s + self._bots[index].clock_offset_ms

    def _clock(self) -> float:
        return time.monotonic() - self._started_s
