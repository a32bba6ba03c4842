"""Flags of the command reach what they are for: one real shard, started with all the house rules at odd values."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect

from scripts.mint_token import mint
from scripts.running_shard import RunningShard
from shared.messages import (
    Auth,
    AuthPayload,
    Enter,
    EnterPayload,
    Error,
    Leave,
    Lobby,
    Placed,
    Queued,
    ServerMessage,
    Welcome,
    decode_server,
    encode,
)
from tests.socket_shard import player_id


async def next_of(socket: ClientConnection, *kinds: type[ServerMessage]) -> ServerMessage:
    """The next message of one of these kinds."""
    async with asyncio.timeout(10.0):
        while not isinstance(message := decode_server(await socket.recv(decode=False)), kinds):
            pass
    return message


@asynccontextmanager
async def player(shard: RunningShard, secret: str, number: int) -> AsyncIterator[ClientConnection]:
    """A player in the lobby who asks to go in."""
    async with connect(shard.url, proxy=None, compression=None) as socket:
        await socket.send(encode(Auth(AuthPayload(mint(secret, player_id(number), time.time())))), text=True)
        await next_of(socket, Lobby)
        await socket.send(encode(Enter(EnterPayload())), text=True)
        yield socket


def test_the_house_rules_are_those_of_the_flags(tmp_path: Path) -> None:
    secret_file = tmp_path / "secret"
    flags = ["--zones", "1", "--world-size", "512", "--dev-secret-file", str(secret_file), "--no-anonymous"]
    flags += ["--max-players", "1", "--max-queue", "2", "--resume-seconds", "1"]

    async def scenario(shard: RunningShard) -> None:
        secret = secret_file.read_text().strip()
        async with connect(shard.url, proxy=None) as socket:
            guest = mint(secret, player_id(9), time.time(), is_anonymous=True)
            await socket.send(encode(Auth(AuthPayload(guest))), text=True)
            refused = await next_of(socket, Error, Welcome)
            assert isinstance(refused, Error)
            assert refused.payload.code == "forbidden"
        async with AsyncExitStack() as stack:
            first = await stack.enter_async_context(player(shard, secret, 0))
            await next_of(first, Placed)
            second = await stack.enter_async_context(player(shard, secret, 1))
            third = await stack.enter_async_context(player(shard, secret, 2))
            assert [(await next_of(each, Queued)).payload.of for each in (second, third)] == [1, 2]  # type: ignore[union-attr]
            fourth = await stack.enter_async_context(player(shard, secret, 3))
            refused = await next_of(fourth, Error, Queued)
            assert isinstance(refused, Error)
            assert refused.payload.code == "world_full"
            await first.send(encode(Leave()), text=True)
            lobby = await next_of(first, Lobby)
            assert isinstance(lobby, Lobby)
            assert (lobby.payload.reason, lobby.payload.capacity) == ("left", 1)
            await next_of(second, Placed)
            second.transport.abort()
            began_s = time.monotonic()
            await next_of(third, Placed)
            assert 0.5 < time.monotonic() - began_s < 6.0, "the car was held for a second"

    with RunningShard(flags) as shard:
        asyncio.run(asyncio.wait_for(scenario(shard), 50.0))
