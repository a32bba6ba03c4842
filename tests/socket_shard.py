"""A shard with real sockets whose ticks are made by hand: gateway, reception and realm on this loop, zones inline."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from websockets.asyncio.client import ClientConnection, connect

from scripts.mint_token import mint
from shard.access.auth import load_keys
from shard.access.denylist import DenyList
from shard.access.gateway import Gateway, listen, make_doors
from shard.access.keys import KeyStore
from shard.clock import ServerClock
from shard.config import parse_config
from shard.players.reception import HouseRules, Reception
from shard.players.rounds import Rounds
from shared.messages import (
    Auth,
    AuthPayload,
    ClientMessage,
    Enter,
    EnterPayload,
    Move,
    MovePayload,
    Placed,
    Presence,
    ServerMessage,
    decode_server,
    encode,
)
from shared.thresholds import Mode
from shared.world.world import World
from tests.stepper import PERIOD_MS, ShardStepper

CLOSE_TIMEOUT_S = 0.5
"""A client whose queue is full of what its test does not care for never hears the good-bye that it waits for."""
SECRET = "a secret for tests that is long enough"


def player_id(number: int) -> str:
    """A player's ``sub``."""
    return str(UUID(int=number + 1))


def token(number: int, lifetime_s: float = 3600) -> str:
    """A valid token of player ``number``."""
    return mint(SECRET, player_id(number), time.time(), lifetime_s)


class SocketShard(ShardStepper):
    """``tick`` runs one tick over whatever has arrived."""

    def __init__(
        self,
        zones: int = 2,
        size_m: int = 512,
        players: int = 64,
        flags: Sequence[str] = (),
        keys: KeyStore | None = None,
        rules: HouseRules | None = None,
        world: World | None = None,
        anticheat: Mode = "off",
    ) -> None:
        super().__init__(zones=zones, size_m=size_m, players=players, world=world, anticheat=anticheat)
        size_m = self.world.size_m
        self.clock = ServerClock()
        argv = ["--dev", "--port", "0", "--world-size", str(size_m), "--zones", str(zones), *flags]
        config = parse_config(argv, {})
        self.doors = make_doors(config, asyncio.get_running_loop())
        self.reception = Reception(
            self.realm,
            keys or KeyStore(load_keys({"SUPABASE_JWT_SECRET": SECRET})),
            1000.0 / PERIOD_MS,
            self.clock.now_ms,
            self.doors.pacer.add,
            rules,
            DenyList(config.deny_file),
        )
        self.realm.evacuated = self.reception.removed
        self.rounds = Rounds(self.reception)
        self._listener = listen(config)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}/ws"
        self.gateway = Gateway(config, self.reception, self.clock, self.doors, self._listener)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        zones: int = 2,
        size_m: int = 512,
        players: int = 64,
        flags: Sequence[str] = (),
        keys: KeyStore | None = None,
        rules: HouseRules | None = None,
        world: World | None = None,
        anticheat: Mode = "off",
    ) -> AsyncIterator[SocketShard]:
        """A shard that accepts connections."""
        with cls(zones, size_m, players, flags, keys, rules, world, anticheat) as shard:
            await shard.gateway.open()
            try:
                yield shard
            finally:
                await shard.gateway.close()

    def tick(self) -> None:
        """One tick at the present time."""
        self.realm.begin_tick(self.clock.now_ms())
        self.collect()
        self.realm.end_tick()
        self.rounds.ticked()


@dataclass
class SocketClient:
    """A plain WebSocket client of a SocketShard."""

    socket: ClientConnection
    player: str = ""
    epoch: int = 0
    seq: int = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(cls, shard: SocketShard) -> AsyncIterator[SocketClient]:
        """A connected client that has not said anything."""
        async with connect(
            shard.url, proxy=None, compression=None, ping_interval=None, close_timeout=CLOSE_TIMEOUT_S
        ) as socket:
            yield cls(socket)

    async def send(self, message: ClientMessage) -> None:
        """Send one message."""
        await self.socket.send(encode(message), text=True)

    async def receive(self, timeout_s: float = 5.0) -> ServerMessage:
        """The next message, presence pushes left out. Raises TimeoutError, or ConnectionClosed."""
        async with asyncio.timeout(timeout_s):
            while True:
                message = decode_server(await self.socket.recv(decode=False))
                if not isinstance(message, Presence) or message.payload.page is not None:
                    return message

    async def authenticate(self, number: int) -> None:
        """Authenticate as player ``number``; ends in the lobby."""
        self.player = player_id(number)
        await self.send(Auth(AuthPayload(token(number))))
        await self.receive()
        await self.receive()

    async def enter(self, shard: SocketShard) -> Placed:
        """Go into the world."""
        await self.send(Enter(EnterPayload()))
        while shard.realm.occupant(self.player) is None:
            await asyncio.sleep(0.001)
            shard.tick()
        while True:
            message = await self.receive()
            if isinstance(message, Placed):
                self.epoch = message.payload.epoch
                return message

    def move(self, x: float, z: float) -> bytes:
        """The next sample, encoded."""
        self.seq += 1
        return encode(Move(MovePayload(self.epoch, self.seq, time.monotonic() * 1000, x, z, 0.0, 0.0, 0.0)))
