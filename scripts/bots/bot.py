"""One real client: a connection, a driver, a referee, and the little state machine between them.

The fleet calls ``step`` twenty times a second; everything else happens when a message comes. ``clock`` gives seconds
of this process and is the same for all its bots.
"""

from __future__ import annotations

import asyncio
import enum
import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from websockets.exceptions import InvalidHandshake

from scripts.bots.connection import BotConnection
from scripts.bots.cross_check import CrossCheck
from scripts.bots.driver import CarState, Driver
from scripts.bots.referee import LATENCY_UNITS_PER_S, Referee
from scripts.bots.road_driver import known_land
from scripts.bots.rules import Kind
from scripts.bots.tally import Tally
from scripts.bots.truth import BorderCrossings, Track
from shared.messages import (
    Auth,
    AuthPayload,
    ClientMessage,
    Enter,
    EnterPayload,
    Error,
    Leave,
    Lobby,
    Move,
    MovePayload,
    Ping,
    PingPayload,
    Placed,
    PlacedPayload,
    Pong,
    Queued,
    RaceJoin,
    RacePayload,
    ServerMessage,
    Snapshot,
    SnapshotPayload,
    Welcome,
    WelcomePayload,
    decode_server,
    encode,
)
from shared.world.world import Pose

PING_S = 2.0
ABNORMAL = 1006
"""How a connection ends that nobody closed."""
BACK_OFF_S = 0.5
BACK_OFF_MOST_S = 4.0
LOBBY_PAUSE_S = (1.0, 6.0)
"""How long a bot that left on its own stays away: shorter and longer than a slot rests."""
TIME_ROWS_EVERY = 7
"""Of a large swarm's snapshots every so many-th gives latencies; prime, so that no pattern of ticks is favoured."""


class Phase(enum.StrEnum):
    """Where a bot stands, as far as it knows."""

    CLOSED = "closed"
    AUTH_SENT = "auth sent"
    LOBBY = "lobby"
    ENTER_SENT = "enter sent"
    QUEUED = "queued"
    WORLD = "world"
    LEAVE_SENT = "leave sent"


WAITING = (Phase.AUTH_SENT, Phase.ENTER_SENT, Phase.LEAVE_SENT)
"""Phases that the shard has to end with an answer."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a bot is."""

    number: int
    player: str
    token: str
    name: str
    vehicle: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all bots of a process share."""

    tally: Tally
    cross_check: CrossCheck
    clock: Callable[[], float]
    lag_s: Callable[[], float]
    """By how much the process is behind its own schedule."""
    time_rows_every: int = 1


@dataclass(frozen=True, slots=True)
class RaceWish:
    """A bot that races: on which route, and who is told what it hears of it."""

    route: str
    hear: Callable[[str, ServerMessage], None]


class Bot:
    """Authenticates, enters, drives, and now and then leaves and comes back.

    One connection in its life, unless ``comes_back``: then a connection that breaks is followed by another, and the
    shard has to give back the same car.
    """

    def __init__(
        self,
        identity: Identity,
        driver: Driver,
        track: Track,
        referee: Referee,
        around: Surroundings,
        rng: random.Random,
        churn_per_minute: float = 0.0,
        comes_back: bool = False,
        race: RaceWish | None = None,
        churn_until_s: float = math.inf,
    ) -> None:
        self.identity = identity
        self.phase = Phase.CLOSED
        self.driver = driver
        self.track = track
        self.referee = referee
        self.clock_offset_ms = math.nan
        """Server time minus this process's clock, from the ping with the shortest way."""
        self.now_s = around.clock()
        """The time of what it does now: a sample, and what its driver knows of it, are of one moment."""
        self.cuts = 0
        """Connections that broke and are to be followed by another."""
        self._around = around
        self._rng = rng
        self._churn_per_minute, self._churn_until_s = churn_per_minute, churn_until_s
        self._comes_back = comes_back
        self._race = race
        self._url = ""
        self._coming_back: asyncio.Task[None] | None = None
        self._lost: tuple[int, float] | None = None
        """Slot and time of the car that a broken connection left behind."""
        self._slot = -1
        self._connection: BotConnection | None = None
        self._closing = False
        self._phase_s = 0.0
        self._enter_at_s = 0.0
        self._leave_at_s = math.inf
        self._ping_at_s = math.inf
        self._shortest_s = math.inf
        """The shortest way there and back of this connection, and the longest that any before it had to do with."""
        self._shortest_before_s = 0.0
        self._stepped_s = 0.0
        self._epoch = 0
        self._seq = rng.randrange(0, 1 << 17)
        """Any start is legal; half of the bots pass 65536 or 131072 within an hour, some at once."""
        self._client_zero_s = around.clock() - rng.uniform(0.0, 1000.0)
        self._crossings = BorderCrossings(())

    # --- life ----------------------------------------------------------------------------------------------------

    async def connect(self, url: str) -> None:
        """Open the connection and send ``auth``; the rest happens by itself. Raises what BotConnection.open raises."""
        self._url = url
        connection = await BotConnection.open(url)
        self._connection = connection
        self._enter_phase(Phase.AUTH_SENT)
        self._ping_at_s = self._around.clock() + self._rng.uniform(0.5, PING_S)
        connection.listen(self)
        self._send(Auth(AuthPayload(self.identity.token)))

    async def close(self) -> None:
        """Say good-bye and wait for the end of the connection."""
        self._closing = True
        if self._coming_back is not None:
            self._coming_back.cancel()
        if self._connection is not None:
            await self._connection.close()

    def reset(self) -> None:
        """Cut the connection with a TCP reset, as a network that fails does. Harmless without one."""
        if self._connection is not None:
            self._connection.reset()

    @property
    def clock_err_ms(self) -> float:
        """By how much ``clock_offset_ms`` may be off: half the shortest way there and back."""
        return 500.0 * max(self._shortest_s, self._shortest_before_s)

    @property
    def connected(self) -> bool:
        """Whether the connection is open."""
        return self.phase is not Phase.CLOSED

    def step(self) -> None:
        """Do what is due: drive and send a sample, ping, enter, leave. Called at 20 Hz."""
        if self.phase is Phase.CLOSED or self._closing:
            return
        now_s = self.now_s = self._around.clock()
        if self.phase is Phase.WORLD:
            self._drive(now_s)
            if now_s >= self._leave_at_s:
                self.track.leaving()
                self._enter_phase(Phase.LEAVE_SENT)
                self._send(Leave())
        elif self.phase is Phase.LOBBY:
            if now_s >= self._enter_at_s:
                self._enter_phase(Phase.ENTER_SENT)
                self._send(Enter(EnterPayload(self.identity.name, self.identity.vehicle)))
        elif self.phase in WAITING and now_s - self._phase_s > self.referee.rules.answer_s:
            waited_s = round(now_s - self._phase_s, 3)
            self.referee.report(Kind.UNANSWERED, now_s, phase=self.phase.value, waited_s=waited_s)
            self._phase_s = now_s
        if now_s >= self._ping_at_s and self.phase is not Phase.AUTH_SENT:
            self._ping(now_s)

    def _ping(self, now_s: float) -> None:
        self._ping_at_s = now_s + PING_S
        self._send(Ping(PingPayload(self._client_ms(now_s))))

    def _drive(self, now_s: float) -> None:
        car = self.driver.step(now_s - self._stepped_s)
        self._stepped_s = now_s
        if self._crossings.drove(car.x, car.z):
            self._around.tally.handoffs += 1
        move = Move(
            MovePayload(self._epoch, self._seq + 1, self._client_ms(now_s), car.x, car.z, car.yaw, car.vx, car.vz)
        )
        if self._send(move):
            self._seq += 1
            self.track.drove(car, self._seq, now_s)
            self.referee.sent(self._seq, now_s)
        else:
            self._around.tally.moves_held += 1

    # --- messages ------------------------------------------------------------------------------------------------

    def received(self, message: bytes, *, is_text: bool) -> None:
        """One message of the shard, from the connection."""
        tally = self._around.tally
        tally.messages_in += 1
        tally.bytes_in += len(message)
        now_s = self.now_s = self._around.clock()
        try:
            parsed = decode_server(message)
        except msgspec.DecodeError as fault:
            self.referee.report(
                Kind.UNREADABLE, now_s, fault=str(fault), message=message[:200].decode("utf-8", "replace")
            )
            return
        if not is_text:
            self.referee.report(Kind.UNREADABLE, now_s, fault="binary frame")
        if type(parsed) is Snapshot:
            self._snapshot(parsed.payload, now_s)
        elif type(parsed) is Placed:
            self._placed(parsed.payload, now_s)
        elif type(parsed) is Pong:
            self._pong(parsed.payload.t, parsed.payload.server_time_ms, now_s)
        elif type(parsed) is Welcome:
            self._welcome(parsed.payload, now_s)
        elif type(parsed) is Lobby:
            self._lobby(now_s)
        elif type(parsed) is Queued:
            self._enter_phase(Phase.QUEUED)
        elif type(parsed) is Error:
            tally.errors[parsed.payload.code] += 1
            if self.referee.rules.honest:
                self.referee.report(Kind.REFUSED, now_s, code=parsed.payload.code, message=parsed.payload.message)
        elif self._race is not None:
            self._race.hear(self.identity.player, parsed)

    def ended(self, code: int, reason: str) -> None:
        """The connection is over."""
        now_s = self._around.clock()
        was, self.phase = self.phase, Phase.CLOSED
        self.track.cut(now_s)
        if self._comes_back and code == ABNORMAL and not self._closing:
            self._around.tally.cuts += 1
            self._around.tally.cuts_s.append(now_s)
            self.cuts += 1
            self.referee.cut()
            if was is Phase.WORLD:
                self._lost = self._slot, now_s
            elif was is not Phase.AUTH_SENT:
                self._lost = None
            if self._coming_back is None or self._coming_back.done():
                self._coming_back = asyncio.get_running_loop().create_task(self._come_back())
        elif not self._closing:
            self._around.tally.disconnects[f"{code} {reason}".strip()] += 1

    async def _come_back(self) -> None:
        """Connect again, as the contract asks: after a random share of a limit that doubles with each failure."""
        limit_s = BACK_OFF_S
        while not self._closing and self.phase is Phase.CLOSED:
            await asyncio.sleep(self._rng.uniform(0.0, limit_s))
            limit_s = min(2 * limit_s, BACK_OFF_MOST_S)
            try:
                await self.connect(self._url)
            except (OSError, TimeoutError, InvalidHandshake):
                self._around.tally.cuts += 1

    def _snapshot(self, snapshot: SnapshotPayload, now_s: float) -> None:
        around, referee = self._around, self.referee
        lag_s = around.lag_s()
        time_rows = (snapshot.tick + self.identity.number) % around.time_rows_every == 0
        referee.snapshot(snapshot, now_s, lag_s, time_rows=time_rows)
        around.cross_check.follow(referee, now_s, lag_s)

    def _placed(self, placed: PlacedPayload, now_s: float) -> None:
        self._epoch = placed.epoch
        self._slot = placed.slot
        if placed.reason == "resume":
            self._resumed(placed, now_s)
        self.driver.place(Pose(placed.x, placed.y, placed.z, placed.yaw), placed.vx, placed.vz)
        self._stepped_s = now_s
        self._crossings.placed(placed.x, placed.z)
        along = placed.vx * math.sin(placed.yaw) + placed.vz * math.cos(placed.yaw)
        if placed.reason == "grid":
            self.track.will_be_moved = False
        self.track.placed(CarState(placed.x, placed.z, placed.yaw, along), now_s)
        self.referee.placed(placed.slot, now_s)
        if placed.reason == "correction" and self.referee.rules.honest:
            seq, check = -1 if placed.seq is None else placed.seq, placed.check or ""
            self.referee.report(Kind.CORRECTED, now_s, seq=seq, check=check, x=placed.x, z=placed.z)
        if self.phase in (Phase.WORLD, Phase.LEAVE_SENT):
            if self.phase is Phase.LEAVE_SENT:
                self.track.leaving()
            return
        self._around.tally.entered += 1
        self._enter_phase(Phase.WORLD)
        if self._race is not None and placed.reason == "enter":
            self._send(RaceJoin(RacePayload(self._race.route)))
        self._leave_at_s = math.inf
        if self._churn_per_minute > 0.0:
            leave_at_s = now_s + self._rng.expovariate(self._churn_per_minute / 60.0)
            self._leave_at_s = leave_at_s if leave_at_s < self._churn_until_s else math.inf

    def _pong(self, sent_ms: float, server_ms: float, now_s: float) -> None:
        way_s = now_s - (self._client_zero_s + sent_ms / 1000)
        self._around.tally.round_trip[int(way_s * LATENCY_UNITS_PER_S)] += 1
        if way_s <= self._shortest_s:
            self._shortest_s = way_s
            self.clock_offset_ms = server_ms - 1000 * (now_s - way_s / 2)

    def _begin_clock(self, now_s: float) -> None:
        """Ask for the time anew, as the published client does: it may be another life of the shard."""
        if self._shortest_s < math.inf:
            self._shortest_before_s = max(self._shortest_before_s, self._shortest_s)
        self._shortest_s, self.clock_offset_ms = math.inf, math.nan
        self._ping(now_s)

    def _resumed(self, placed: PlacedPayload, now_s: float) -> None:
        """The car is given back: is it the same, and where it was?"""
        lost, self._lost = self._lost, None
        self._around.tally.resumed += 1
        off_m = math.hypot(placed.x - self.track.car.x, placed.z - self.track.car.z)
        if lost is not None:
            comeback = self.track.trail.comeback(self.identity.player, placed.x, placed.z, lost[1], now_s)
            self._around.tally.comebacks.append(comeback)
        if lost is not None and (placed.slot != lost[0] or off_m > self.referee.rules.resume_off_m):
            self.referee.report(Kind.NOT_RESUMED, now_s, slot_before=lost[0], slot=placed.slot, off_m=round(off_m, 2))

    def _welcome(self, welcome: WelcomePayload, now_s: float) -> None:
        if self._lost is not None and not welcome.resumed:
            away_s = now_s - self._lost[1]
            self._lost = None
            if away_s < self.referee.rules.resume_s:
                self.referee.report(Kind.NOT_RESUMED, now_s, away_s=round(away_s, 3))
        self.driver.survey(float(welcome.world.size_m), welcome.zones, known_land(welcome.world))
        self._crossings = BorderCrossings(welcome.zones)
        if self.cuts:
            self._begin_clock(now_s)

    def _lobby(self, now_s: float) -> None:
        if self.phase is Phase.LEAVE_SENT:
            self._around.tally.left += 1
            self._enter_at_s = now_s + self._rng.uniform(*LOBBY_PAUSE_S)
        self.track.left(now_s)
        self.referee.left()
        self._enter_phase(Phase.LOBBY)

    # --- small things --------------------------------------------------------------------------------------------

    def _send(self, message: ClientMessage) -> bool:
        data = encode(message)
        if self._connection is None or not self._connection.send_now(data):
            return False
        self._around.tally.messages_out += 1
        self._around.tally.bytes_out += len(data)
        return True

    def _enter_phase(self, phase: Phase) -> None:
        self.phase = phase
        self._phase_s = self._around.clock()

    def _client_ms(self, now_s: float) -> float:
        return 1000.0 * (now_s - self._client_zero_s)
