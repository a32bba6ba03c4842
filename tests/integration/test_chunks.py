"""Chunks over real sockets, from the world ``harbour``: what is sent, what is refused, and what a slow reader costs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Awaitable, Callable

import pytest
from websockets.asyncio.client import connect

from ipc.input_ring import Lane
from shard.access.connection import CHUNKS_UNSENT_BYTES_MAX, Connection
from shard.land.streaming import REACH_CHUNKS, SLICE_BYTES
from shared.messages import (
    Auth,
    AuthPayload,
    Chunk,
    Chunks,
    ChunksPayload,
    ChunksSame,
    Error,
    Kiosk,
    ServerMessage,
    Snapshot,
    Welcome,
)
from shared.world.chunks import make_chunks
from shared.world.land import land_of
from shared.world.world import World
from tests.socket_shard import SocketClient, SocketShard, token

HARBOUR = World("harbour", 1, 4096)
MARKET = (32, 36)
"""The chunk of a spawn point."""
Index = tuple[int, int]


def run(scenario: Callable[[SocketShard, SocketClient], Awaitable[None]], world: World | None = HARBOUR) -> None:
    """A scenario with one client in the lobby."""

    async def main() -> None:
        async with SocketShard.open(world=world) as shard, SocketClient.connect(shard) as client:
            await client.authenticate(0)
            await asyncio.wait_for(scenario(shard, client), 30.0)

    asyncio.run(main())


async def answers(client: SocketClient, count: int) -> list[ServerMessage]:
    """The next so many messages that are no snapshots."""
    found: list[ServerMessage] = []
    while len(found) < count:
        message = await client.receive()
        if not isinstance(message, Snapshot | Kiosk):  # kiosks in view tell their state
            found.append(message)
    return found


async def ask(
    client: SocketClient, want: list[Index], number: int | None = 7, have: list[tuple[int, int, str]] | None = None
) -> None:
    await client.send(Chunks(ChunksPayload(want, have or []), id=number))


async def error_of(client: SocketClient) -> Error:
    (message,) = await answers(client, 1)
    assert isinstance(message, Error), message
    return message


def square(middle: Index, radius: int) -> list[Index]:
    return [
        (cx, cz)
        for cx in range(middle[0] - radius, middle[0] + radius + 1)
        for cz in range(middle[1] - radius, middle[1] + radius + 1)
    ]


def index_of(message: ServerMessage) -> Index:
    assert isinstance(message, Chunk), message
    return message.payload.cx, message.payload.cz


async def put(shard: SocketShard, client: SocketClient, x: float, z: float) -> None:
    """Into the world, and there."""
    await client.enter(shard)
    shard.put(client.player, x, z)
    shard.tick()
    await answers(client, 1)


def test_the_welcome_names_the_limits() -> None:
    async def main() -> None:
        async with SocketShard.open(world=HARBOUR) as shard, SocketClient.connect(shard) as client:
            await client.send(Auth(AuthPayload(token(0))))
            welcome = await client.receive()
            assert isinstance(welcome, Welcome)
            limits = welcome.payload.limits
            assert (limits.chunks_per_message, limits.chunks_per_second, limits.chunks_reach) == (32, 25, 6)
            assert welcome.payload.world.hash == HARBOUR.hash

    asyncio.run(main())


def test_one_chunk_each_with_the_number_of_the_request_as_the_generator_makes_it() -> None:
    async def scenario(_: SocketShard, client: SocketClient) -> None:
        asked = square(MARKET, 2)
        await ask(client, asked, number=41)
        found = await answers(client, len(asked))
        assert [index_of(message) for message in found] == asked
        assert all(isinstance(message, Chunk) and message.re == 41 for message in found)
        expected = [chunk.payload() for chunk in make_chunks(land_of(HARBOUR), asked)]
        assert [message.payload for message in found if isinstance(message, Chunk)] == expected
        assert any(payload.kiosks for payload in expected)

    run(scenario)


def test_a_driver_gets_the_nearest_first() -> None:
    async def scenario(shard: SocketShard, client: SocketClient) -> None:
        await put(shard, client, 2000.0, 1000.0)
        asked = square((31, 15), 2)
        await ask(client, asked, number=None)
        found = await answers(client, len(asked))
        assert all(isinstance(message, Chunk) and message.re is None for message in found)
        far = [((cx + 0.5) * 64 - 2000) ** 2 + ((cz + 0.5) * 64 - 1000) ** 2 for cx, cz in map(index_of, found)]
        assert far == sorted(far)
        assert sorted(map(index_of, found)) == sorted(asked)

    run(scenario)


def test_the_preset_open_has_chunks_too_everywhere() -> None:
    async def scenario(_: SocketShard, client: SocketClient) -> None:
        await ask(client, [(0, 0), (7, 7)])
        first, second = await answers(client, 2)
        assert [index_of(first), index_of(second)] == [(0, 0), (7, 7)]
        assert isinstance(second, Chunk)
        assert (second.payload.biome, second.payload.props, second.payload.roads) == ("plain", [], [])
        assert second.payload.ground[1:] == [0] * 10

    run(scenario, world=None)


@pytest.mark.parametrize(
    ("want", "code", "text"),
    [
        ([(64, 0)], "not_allowed", "0 to 63"),
        ([(32, 36), (0, 0)], "not_allowed", "spawn point"),
    ],
)
def test_in_the_lobby_only_spawn_points_are_in_reach(want: list[Index], code: str, text: str) -> None:
    async def scenario(_: SocketShard, client: SocketClient) -> None:
        await ask(client, want, number=9)
        error = await error_of(client)
        assert (error.payload.code, error.re) == (code, 9)
        assert text in error.payload.message
        await ask(client, [MARKET], number=10)
        (found,) = await answers(client, 1)
        assert isinstance(found, Chunk)
        assert found.re == 10, "the chunk that was within reach was not sent with the refused ones"

    run(scenario)


def test_too_far_from_the_car_is_refused_with_the_distance() -> None:
    async def scenario(shard: SocketShard, client: SocketClient) -> None:
        await put(shard, client, 2000.0, 1000.0)
        await ask(client, [(31, 15), (31 + REACH_CHUNKS + 1, 15)])
        error = await error_of(client)
        assert (error.payload.code, error.re) == ("not_allowed", 7)
        assert "within 6 chunks of your car, but 7" in error.payload.message
        await ask(client, [(31 + REACH_CHUNKS, 15 - REACH_CHUNKS)])
        (found,) = await answers(client, 1)
        assert index_of(found) == (37, 9)

    run(scenario)


def test_more_than_the_contract_allows_in_a_message_is_malformed() -> None:
    async def scenario(_: SocketShard, client: SocketClient) -> None:
        await client.socket.send(json.dumps({"type": "chunks", "payload": {"want": [[32, 36]] * 33}}), text=True)
        assert (await error_of(client)).payload.code == "malformed"
        await client.socket.send(json.dumps({"type": "chunks", "payload": {"want": [[1024, 0]]}}), text=True)
        assert "1023" in (await error_of(client)).payload.message

    run(scenario)


def test_a_repeat_is_answered_and_not_sent() -> None:
    async def scenario(shard: SocketShard, client: SocketClient) -> None:
        await ask(client, [MARKET, (33, 36)], number=1)
        await answers(client, 2)
        sent = shard.reception.desk.bytes_sent
        for number in range(2, 6):
            await ask(client, [MARKET], number=number)
            (same,) = await answers(client, 1)
            assert isinstance(same, ChunksSame)
            assert (same.payload.chunks, same.re) == ([MARKET], number)
        assert shard.reception.desk.bytes_sent == sent

    run(scenario)


def test_a_new_connection_gets_everything_again_and_says_what_it_has() -> None:
    async def scenario(shard: SocketShard, client: SocketClient) -> None:
        asked = square(MARKET, 1)
        await ask(client, asked)
        kept = [message.payload for message in await answers(client, 9) if isinstance(message, Chunk)]
        async with SocketClient.connect(shard) as again:
            await again.authenticate(1)
            have = [(payload.cx, payload.cz, payload.hash) for payload in kept]
            have[4] = (*have[4][:2], "0" * 16)
            await ask(again, [(30, 36)], number=3, have=have)
            found = await answers(again, 4)
            chunks = [index_of(message) for message in found if isinstance(message, Chunk)]
            same = [pair for message in found if isinstance(message, ChunksSame) for pair in message.payload.chunks]
            assert chunks == [(30, 36), have[4][:2]]
            assert sorted(same) == sorted(set(asked) - {have[4][:2]})
            assert {message.re for message in found} == {3}  # type: ignore[union-attr]

    run(scenario)


def test_over_the_rate_is_refused_with_the_time_to_wait() -> None:
    async def scenario(shard: SocketShard, client: SocketClient) -> None:
        assert HARBOUR.content is not None
        reach = sorted(shard.reception.desk.terms.near_spawns or ())
        number = 0
        error: Error | None = None
        while error is None:
            await ask(client, reach[32 * number : 32 * number + 32], number=number)
            for message in await answers(client, 1):
                error = message if isinstance(message, Error) else None
            if error is None:
                await answers(client, 31)
            number += 1
            assert number < 20
            await asyncio.sleep(0.06)  # ten messages per second are allowed
        assert error.payload.code == "rate_limited"
        assert error.re == number - 1
        assert error.payload.retry_after_ms
        assert 10 <= number <= 16, "338 at once, 25 per second on top"

    run(scenario)


def test_a_client_that_does_not_read_costs_a_bounded_amount_and_gets_all_when_it_reads() -> None:
    async def main() -> None:
        async with SocketShard.open(world=HARBOUR) as shard:
            raw = socket.socket()
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.connect(("127.0.0.1", shard.port))
            async with connect(shard.url, sock=raw, proxy=None, compression=None, ping_interval=None) as peer:
                client = SocketClient(peer)
                await client.authenticate(0)
                [connection] = shard.gateway._server.connections  # type: ignore[union-attr]
                assert isinstance(connection, Connection)
                connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
                peer.transport.pause_reading()
                asked = square(MARKET, 6)
                for first in range(0, len(asked), 32):
                    await ask(client, asked[first : first + 32], number=first)
                worst = 0
                for _ in range(40):
                    await asyncio.sleep(0.002)
                    shard.tick()
                    worst = max(worst, connection.transport.get_write_buffer_size())
                assert shard.reception.desk.chunks_sent < len(asked), "it does not read: not all of it can be out"
                assert 0 < worst <= CHUNKS_UNSENT_BYTES_MAX + SLICE_BYTES + 4096
                assert not connection.paused, "chunks leave room for snapshots"
                peer.transport.resume_reading()

                async def tick() -> None:
                    while True:
                        await asyncio.sleep(0.005)
                        shard.tick()

                ticking = asyncio.create_task(tick())
                found = [index_of(message) for message in await answers(client, len(asked))]
                ticking.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await ticking
                assert found == asked

    asyncio.run(asyncio.wait_for(main(), 30.0))


@pytest.mark.timeout(120)
def test_many_at_once_each_get_their_sight_and_no_pass_does_much() -> None:
    """Sixty sockets here, a thousand without sockets in tests/shard/test_streaming.py."""

    async def main() -> None:
        async with SocketShard.open(world=HARBOUR, players=256) as shard, contextlib.AsyncExitStack() as stack:
            desk = shard.reception.desk
            clients = []
            for number in range(60):
                client = await stack.enter_async_context(SocketClient.connect(shard))
                await client.authenticate(number)
                clients.append(client)
            asked = square(MARKET, 2)
            most = [0, 0]
            served, before = desk._pass, [0, 0]

            def counted() -> None:
                before[:] = desk.chunks_sent, desk.bytes_sent
                served()
                most[0] = max(most[0], desk.chunks_sent - before[0])
                most[1] = max(most[1], desk.bytes_sent - before[1])

            desk._pass = counted  # type: ignore[method-assign]
            for client in clients:
                await ask(client, asked)
            for client in clients:
                assert [index_of(message) for message in await answers(client, 25)] == asked
            assert desk.chunks_sent == 25 * 60
            assert most[0] <= 64 + 8
            assert most[1] <= 64 * 1024 + SLICE_BYTES + 4096
            assert desk.passes >= 25 * 60 / 72

    asyncio.run(main())


def test_where_the_car_is_counts_only_once_it_has_been_placed() -> None:
    async def scenario(shard: SocketShard, client: SocketClient) -> None:
        await client.enter(shard)
        assert shard.realm.where(client.player) is not None
        async with SocketClient.connect(shard) as second:
            await second.authenticate(1)
            assert shard.realm.where(second.player) is None
            shard.realm.enter(type(shard.body(client.player).entry)(second.player, "Second", "car"), _Deaf())
            shard.begin()
            assert shard.realm.occupant(second.player) is not None
            assert shard.realm.where(second.player) is None, "a seat is no place"
            shard.collect()
            x, z = shard.realm.where(second.player) or (0.0, 0.0)
            assert (x, z) != (0.0, 0.0)
            shard.realm.end_tick()

    run(scenario)


class _Deaf:
    lane: Lane | None = None

    def offer(self, frame: bytes) -> bool:
        return False

    def placed(self, payload: object) -> None:
        pass

    def send(self, message: object) -> None:
        pass

    def deliver(self, frame: bytes) -> None:
        pass


def test_who_left_is_forgotten() -> None:
    async def scenario(shard: SocketShard, client: SocketClient) -> None:
        await ask(client, [MARKET])
        await answers(client, 1)
        assert len(shard.reception.desk._streams) == 1
        await client.socket.close()
        await asyncio.sleep(0.05)
        assert not shard.reception.desk._streams

    run(scenario)


def test_a_connection_that_ends_with_chunks_on_their_way_stops_nobody() -> None:
    async def scenario(shard: SocketShard, client: SocketClient) -> None:
        async with SocketClient.connect(shard) as other:
            await other.authenticate(1)
            [connection] = [
                each
                for each in shard.gateway._server.connections  # type: ignore[union-attr]
                if isinstance(each, Connection) and each.session.player == other.player
            ]
            for first in range(0, 128, 32):
                shard.reception.desk.ask(
                    connection, ChunksPayload(square(MARKET, 6)[first : first + 32]), None, lambda: None
                )
            await asyncio.sleep(0)
            connection.abort()
            assert connection.has_room()
            await ask(client, [MARKET])
            (found,) = await answers(client, 1)
            assert index_of(found) == MARKET

    run(scenario)
