"""Drive a route at top speed with streaming on, and measure whether every chunk is there before it comes into sight.

    python -m scripts.drive_route                       starts a shard of its own, with the world harbour
    python -m scripts.drive_route -- --zones 8          what follows goes to that shard
    python -m scripts.drive_route --url ws://HOST/ws    drives in a running one

The car enters, waits for its first sight, drives to the start of the route by road, and then along it: 12 km of
``grand-tour`` take three minutes. It never brakes, so it is everywhere sooner than a player. Exit code 0: 99 % of the
chunks came before they were needed, none was refused, sent twice or missing. 1: otherwise. 2: it could not be driven.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from websockets.exceptions import InvalidHandshake

from scripts.bots.connection import BotConnection
from scripts.bots.sight import AHEAD_M, SIGHT_M, Index, Sight, quantile
from scripts.bots.trip import Trip, course_of, way_to_route
from scripts.mint_token import mint
from scripts.running_shard import RunningShard, ShardFailed
from shared.messages import (
    Auth,
    AuthPayload,
    Chunk,
    Chunks,
    ChunksPayload,
    ClientMessage,
    Enter,
    EnterPayload,
    Error,
    Lobby,
    Move,
    MovePayload,
    Placed,
    PlacedPayload,
    Welcome,
    WorldInfo,
    decode_server,
    encode,
)
from shared.world import world_file
from shared.world.land import Land, land_of
from shared.world.world import World, WorldFault

_News = TypeVar("_News", Welcome, Lobby, Placed)

STEP_S = 0.05
PATIENCE_S = 20.0
"""For every answer."""


class DriveFault(Exception):
    """The route cannot be driven; the text names the reason."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a drive."""

    route: str
    km: float
    seconds: float
    first_sight_chunks: int
    first_sight_ms: float
    """From ``placed`` until all of it was there."""
    chunks: int
    """That came into sight while driving."""
    late_p50_ms: float
    late_p99_ms: float
    """Have minus need; negative: early."""
    late_max_ms: float
    missing: int
    twice: int
    corrections: int
    errors: dict[str, int]
    chunk_bytes_per_km: float
    other_bytes_per_km: float
    """Snapshots and the rest."""

    @property
    def good(self) -> bool:
        """Always early, nothing refused, nothing twice."""
        return self.late_p99_ms < 0.0 and not (self.missing or self.twice or self.errors)


class RouteDrive:
    """One client on its way. It listens to its connection; ``drive`` is the whole of it."""

    def __init__(self, token: str, route: str, ahead_m: float = AHEAD_M, metres_max: float = float("inf")) -> None:
        self._token = token
        self._route = route
        self._ahead_m = ahead_m
        self._metres_max = metres_max
        self._news: asyncio.Queue[Welcome | Lobby | Placed | str] = asyncio.Queue()
        self._connection: BotConnection | None = None
        self._sight = Sight(0)
        self._placed: PlacedPayload | None = None
        self._seq = 0
        self._number = 0
        self._corrections = 0
        self._errors: Counter[str] = Counter()
        self._chunk_bytes = 0
        self._other_bytes = 0

    async def drive(self, url: str) -> Outcome:
        """Connect, enter, drive. Raises DriveFault."""
        try:
            self._connection = await BotConnection.open(url)
        except (OSError, TimeoutError, InvalidHandshake) as fault:
            raise DriveFault(f"{url}: {fault}") from None
        self._connection.listen(self)
        try:
            return await self._drive()
        finally:
            await self._connection.close()

    async def _drive(self) -> Outcome:
        self._send(Auth(AuthPayload(self._token)))
        welcome = await self._next(Welcome)
        land = _land_of(welcome.payload.world)
        route = next((each for each in land.routes if each.id == self._route), None)
        if route is None:
            names = ", ".join(each.id for each in land.routes) or "none"
            raise DriveFault(f"the shard's world {welcome.payload.world.preset} has the routes {names}")
        self._sight = Sight(land.chunks, self._ahead_m)
        await self._next(Lobby)
        vehicle = max(land.vehicles, key=lambda each: each.speed_cap_mps)
        self._send(Enter(EnterPayload("Route driver", vehicle.name)))
        placed = (await self._next(Placed)).payload
        first, first_ms = await self._first_sight(placed)
        points = way_to_route(land, placed.x, placed.z, route) + course_of(route)
        trip = Trip(points, vehicle.speed_cap_mps, vehicle.accel_cap_mps2)
        began_s = time.monotonic()
        bytes_before = self._chunk_bytes, self._other_bytes
        await self._along(trip)
        await asyncio.sleep(1.0)  # what was asked for last
        late = [1000.0 * each_s for each_s in self._sight.late_s(but_not=first)]
        km = trip.driven_m / 1000.0
        return Outcome(
            route=self._route,
            km=km,
            seconds=time.monotonic() - began_s,
            first_sight_chunks=len(first),
            first_sight_ms=first_ms,
            chunks=len(late),
            late_p50_ms=quantile(late, 0.5),
            late_p99_ms=quantile(late, 0.99),
            late_max_ms=quantile(late, 1.0),
            missing=sum(each == float("inf") for each in late),
            twice=self._sight.twice,
            corrections=self._corrections,
            errors=dict(self._errors),
            chunk_bytes_per_km=(self._chunk_bytes - bytes_before[0]) / km,
            other_bytes_per_km=(self._other_bytes - bytes_before[1]) / km,
        )

    async def _first_sight(self, placed: PlacedPayload) -> tuple[set[Index], float]:
        """Ask for what is around, and wait for all that is in sight; those chunks, and the milliseconds it took."""
        began_s = time.monotonic()
        self._ask(placed.x, placed.z, began_s)
        first = set(self._sight.needed_s)
        while not first <= self._sight.had_s.keys():
            if time.monotonic() - began_s > PATIENCE_S:
                missing = len(first - self._sight.had_s.keys())
                raise DriveFault(f"{missing} of {len(first)} chunks of the first sight did not come: {self._errors}")
            await asyncio.sleep(STEP_S / 10)
        return first, 1000.0 * (max(self._sight.had_s[index] for index in first) - began_s)

    async def _along(self, trip: Trip) -> None:
        due_s = before_s = time.monotonic()
        while not trip.arrived and trip.driven_m < self._metres_max:
            due_s += STEP_S
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            now_s = time.monotonic()
            car = trip.step(now_s - before_s)
            assert self._placed is not None, "whoever drives was placed"
            self._seq += 1
            move = MovePayload(self._placed.epoch, self._seq, now_s * 1000, car.x, car.z, car.yaw, car.vx, car.vz)
            self._send(Move(move))
            self._ask(car.x, car.z, before_s)
            before_s = now_s
            if not self._news.empty() and isinstance(ended := self._news.get_nowait(), str):
                raise DriveFault(ended)

    def _ask(self, x: float, z: float, before_s: float) -> None:
        for want in self._sight.drove(x, z, before_s):
            self._number += 1
            self._send(Chunks(ChunksPayload(want), id=self._number))

    def _send(self, message: ClientMessage) -> None:
        if self._connection is not None:
            self._connection.send_now(encode(message))

    async def _next(self, kind: type[_News]) -> _News:
        try:
            message = await asyncio.wait_for(self._news.get(), PATIENCE_S)
        except TimeoutError:
            raise DriveFault(f"no `{kind.__name__.lower()}` came; errors: {dict(self._errors)}") from None
        if not isinstance(message, kind):
            raise DriveFault(f"instead of `{kind.__name__.lower()}` came: {message}")
        return message

    def received(self, message: bytes, *, is_text: bool) -> None:
        """A message of the shard."""
        parsed = decode_server(message)
        if isinstance(parsed, Chunk):
            self._chunk_bytes += len(message)
            self._sight.received((parsed.payload.cx, parsed.payload.cz), time.monotonic())
            return
        self._other_bytes += len(message)
        if isinstance(parsed, Placed):
            self._corrections += parsed.payload.reason == "correction"
            first, self._placed = self._placed is None, parsed.payload
            if first:
                self._news.put_nowait(parsed)
        elif isinstance(parsed, Welcome | Lobby):
            self._news.put_nowait(parsed)
        elif isinstance(parsed, Error):
            self._errors[f"{parsed.payload.code}: {parsed.payload.message}"] += 1

    def ended(self, code: int, reason: str) -> None:
        """The connection is over."""
        self._news.put_nowait(f"the connection ended with {code} {reason}")


def _land_of(info: WorldInfo) -> Land:
    """The shard's world, built here. Raises DriveFault for another."""
    try:
        world = World(info.preset, info.seed, info.size_m)
    except WorldFault:
        raise DriveFault(
            f"the shard's world {info.preset} is no preset: {', '.join(world_file.FILE_PRESETS)}"
        ) from None
    if world.hash != info.hash:
        raise DriveFault(f"the shard's {info.preset} is {info.hash}, here it is {world.hash}: use the same version")
    return land_of(world)


def table(outcome: Outcome) -> str:
    """The outcome for people."""
    p50, p99, worst = outcome.late_p50_ms, outcome.late_p99_ms, outcome.late_max_ms
    rows = [
        ("route", f"{outcome.route}, {outcome.km:.1f} km with the way there, {outcome.seconds:.0f} s"),
        ("first sight", f"{outcome.first_sight_chunks} chunks within {outcome.first_sight_ms:.0f} ms"),
        ("chunks that came into sight", f"{outcome.chunks}, of which {outcome.missing} did not come"),
        ("have minus need", f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, worst {worst:.0f} ms (negative: early)"),
        ("sent twice", str(outcome.twice)),
        ("refused", str(outcome.errors or "none")),
        ("corrections", str(outcome.corrections)),
        ("chunks", f"{outcome.chunk_bytes_per_km / 1000:.1f} kB per km"),
        ("everything else", f"{outcome.other_bytes_per_km / 1000:.1f} kB per km"),
    ]
    return "\n".join(f"{name:<30} {value}" for name, value in rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Drive, print, return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    at = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(prog="python -m scripts.drive_route", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--url", help="of a running shard; without it one is started")
    parser.add_argument(
        "--secret-file", type=Path, default=Path(".dev-secret"), help="with --url: to mint a token with"
    )
    parser.add_argument("--route", default="grand-tour", help="name of a route of the world (default %(default)s)")
    parser.add_argument(
        "--ahead", type=float, default=AHEAD_M, metavar="M", help=f"ask from this far; {SIGHT_M:.0f} is in sight"
    )
    parser.add_argument("--metres", type=float, default=float("inf"), metavar="M", help="drive no further")
    parser.add_argument("--json", action="store_true", help="one object instead of a table")
    flags = parser.parse_args(words[:at])
    shard_flags = words[at + 1 :]
    try:
        with ExitStack() as stack:
            if flags.url:
                url, secret = flags.url, flags.secret_file.read_text().strip()
            else:
                secret = secrets.token_hex(32)
                world = [] if "--world" in shard_flags else ["--world", "harbour"]
                url = stack.enter_context(RunningShard([*world, *shard_flags], {"SUPABASE_JWT_SECRET": secret})).url
            token = mint(secret, str(uuid.uuid4()), time.time())
            outcome = asyncio.run(RouteDrive(token, flags.route, flags.ahead, flags.metres).drive(url))
    except (DriveFault, ShardFailed, OSError, ValueError) as fault:
        print(f"drive_route: {fault}", file=sys.stderr)
        return 2
    print(json.dumps(asdict(outcome)) if flags.json else table(outcome))
    return int(not outcome.good)


if __name__ == "__main__":
    sys.exit(main())
