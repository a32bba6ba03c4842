"""Presence over sockets: counts for all, names for those who follow, pages for those who ask."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from shared.messages import Presence, Who, WhoPayload, decode_server
from tests.socket_shard import SocketClient, SocketShard, player_id


def run(scenario: Callable[[SocketShard], Awaitable[None]]) -> None:
    """Play on a fresh shard."""

    async def main() -> None:
        async with SocketShard.open() as shard:
            await asyncio.wait_for(scenario(shard), 30.0)

    asyncio.run(main())


async def a_second_passes(shard: SocketShard) -> None:
    """Until what is due once per second has been sent."""
    await asyncio.sleep(1.05)
    for _ in range(3):
        shard.tick()
        await asyncio.sleep(0.001)


async def last_push(client: SocketClient) -> Presence:
    """The last presence that is here."""
    found = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            while True:
                message = decode_server(await client.socket.recv(decode=False))
                if isinstance(message, Presence) and message.payload.page is None:
                    found = message
    assert found is not None
    return found


async def follow(client: SocketClient) -> list[str]:
    """Ask for names from now on; returns who is here."""
    await client.send(Who(WhoPayload(follow=True), id=4))
    page = await client.receive()
    assert isinstance(page, Presence)
    assert page.re == 4
    return [row.player for row in page.payload.page or []]


def test_counts_go_to_all_names_to_followers_and_pages_to_those_who_ask() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(SocketClient.connect(shard)) for _ in range(3)]
            await clients[0].authenticate(0)
            await clients[1].authenticate(1)
            assert await follow(clients[0]) == [player_id(0), player_id(1)]
            await a_second_passes(shard)
            await clients[2].authenticate(2)
            await a_second_passes(shard)
            follower, other = [await last_push(client) for client in clients[:2]]
            assert [row.player for row in follower.payload.joined] == [player_id(2)]
            assert (other.payload.joined, other.payload.counts["lobby"]) == ([], 3)

    run(scenario)


def test_a_newer_connection_of_the_same_player_does_not_follow_because_the_older_did() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with contextlib.AsyncExitStack() as stack:
            older, newer, third = [await stack.enter_async_context(SocketClient.connect(shard)) for _ in range(3)]
            await older.authenticate(0)
            await follow(older)
            await newer.authenticate(0)
            await third.authenticate(1)
            await a_second_passes(shard)
            push = await last_push(newer)
            assert (push.payload.joined, push.payload.online) == ([], 2)
            assert await follow(newer) == [player_id(0), player_id(1)]

    run(scenario)
