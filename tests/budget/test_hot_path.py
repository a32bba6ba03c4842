"""What the hot path of the main process does, counted: per move, per snapshot, per group."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from unittest import mock

import pytest
from websockets.frames import Frame, Opcode

from shard.access.connection import Connection
from shard.access.inlet import Inlet
from shard.access.meters import Meters
from shard.access.pacing import FRAMES_PER_PASS
from shared.constants import RING_PENDING_MAX
from shared.messages import Error, Leave, Ping, PingPayload, Pong, Presence, Snapshot, decode_server, encode
from tests.socket_shard import SocketClient, SocketShard
from tests.stepper import payload_of


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts what is put off for later: a task's wake-up and a queue's are both a ``call_soon``."""

    def __init__(self) -> None:
        super().__init__()
        self.put_off = 0

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:  # type: ignore[override]
        self.put_off += 1
        return super().call_soon(callback, *args, context=context)


def run(test: Callable[[CountingLoop], Coroutine[Any, Any, None]]) -> None:
    """Run a test on a counting loop."""
    loop = CountingLoop()
    try:
        loop.run_until_complete(test(loop))
    finally:
        loop.close()


def masked(payload: bytes) -> bytes:
    """A client's text frame."""
    return Frame(Opcode.TEXT, payload).serialize(mask=True)


def read_socket(loop: CountingLoop, connection: Connection) -> None:
    """Have the loop read what has arrived for ``connection``, and nothing else."""
    connection.transport._read_ready()  # type: ignore[attr-defined]


def server_side(shard: SocketShard, client: SocketClient) -> Connection:
    """The shard's end of a client's connection."""
    occupant = shard.realm.occupant(client.player)
    assert occupant is not None
    assert isinstance(occupant.client, Connection)
    return occupant.client


@asynccontextmanager
async def driving() -> AsyncIterator[tuple[SocketShard, SocketClient, int, socket.socket]]:
    """A shard, a driver in it, its slot, and the driver's bare socket."""
    async with SocketShard.open() as shard, SocketClient.connect(shard) as client:
        await client.authenticate(0)
        placed = await client.enter(shard)
        yield shard, client, placed.payload.slot, client.socket.transport.get_extra_info("socket")._sock


def test_a_move_is_in_the_ring_when_the_socket_callback_returns_and_wakes_nobody() -> None:
    async def test(loop: CountingLoop) -> None:
        async with driving() as (shard, client, slot, raw):
            connection = server_side(shard, client)
            for number in range(20):
                raw.send(masked(client.move(100.0, 100.0)))
                put_off = loop.put_off
                read_socket(loop, connection)
                assert shard.memory.ring.pending(slot) == number + 1
                assert loop.put_off == put_off

    run(test)


def test_only_while_nothing_else_is_to_be_done_the_socket_feeds_the_inlet() -> None:
    async def test(_: CountingLoop) -> None:
        async with SocketShard.open() as shard, SocketClient.connect(shard) as client:

            def fed() -> type:
                return type(transport.get_protocol())

            await client.authenticate(0)
            peer = shard.reception.guests[client.player].peer
            assert isinstance(peer, Connection)
            transport = peer.transport
            assert fed() is Connection, "in the lobby"
            await client.enter(shard)
            assert fed() is Inlet
            raw: socket.socket = client.socket.transport.get_extra_info("socket")._sock
            whole = masked(client.move(100.0, 100.0))
            raw.send(whole[:20])
            await asyncio.sleep(0.01)
            assert fed() is Connection, "amid a frame"
            raw.send(whole[20:])
            await asyncio.sleep(0.01)
            assert fed() is Inlet
            await client.socket.send([client.move(101.0, 100.0)[:30].decode(), "x"])
            await asyncio.sleep(0.01)
            assert fed() is Inlet, "a fragmented message is over, whatever it said"
            await client.send(Leave())
            await asyncio.sleep(0.01)
            assert fed() is Connection, "in the lobby again"

    run(test)


def test_the_inlet_passes_on_what_is_no_move() -> None:
    async def test(_: CountingLoop) -> None:
        async with driving() as (_shard, client, _slot, raw):
            raw.send(masked(encode(Ping(PingPayload(5.0)))))
            while not isinstance(message := await client.receive(), Pong):
                pass
            assert message.payload.t == 5.0
            raw.send(masked(b"{"))
            while not isinstance(fault := await client.receive(), Error):
                pass
            assert fault.payload.code == "malformed"

    run(test)


def test_moves_in_one_segment_or_in_slices_all_arrive_in_order() -> None:
    async def test(_: CountingLoop) -> None:
        async with driving() as (shard, client, slot, raw):
            raw.send(b"".join(masked(client.move(100.0 + number, 100.0)) for number in range(5)))
            for byte in masked(client.move(105.0, 100.0)):
                raw.send(bytes([byte]))
                await asyncio.sleep(0.0005)
            whole = masked(client.move(106.0, 100.0))
            raw.send(whole[:3])
            await asyncio.sleep(0.01)
            raw.send(whole[3:] + masked(client.move(107.0, 100.0)))  # looks like a whole frame at neither end
            await asyncio.sleep(0.02)
            assert shard.memory.ring.pending(slot) == 8
            shard.tick()
            assert shard.memory.table.committed("seq")[slot] == 8
            assert shard.memory.table.committed("pos")[slot][0] == 107.0

    run(test)


def test_a_pass_of_the_loop_handles_sixty_four_messages_of_one_connection_and_goes_on_with_the_rest() -> None:
    async def test(_: CountingLoop) -> None:
        async with SocketShard.open() as shard, SocketClient.connect(shard) as client:
            await client.authenticate(0)
            await client.enter(shard)
            connection, per_pass = server_side(shard, client), list[int]()
            with mock.patch.object(Connection, "_take", return_value=True) as take:
                connection.data_received(masked(client.move(100.0, 100.0)) * 200)
                while take.call_count < 200:
                    per_pass.append(take.call_count - sum(per_pass))
                    assert not connection.transport.is_reading()
                    await asyncio.sleep(0)
                assert take.call_count == 200
            assert max(per_pass) <= FRAMES_PER_PASS

    run(test)


@pytest.mark.parametrize("before", [b"", b"x"])  # nothing: the parser has taken the header, and its buffer is empty
def test_a_frame_inside_a_frame_is_not_taken_for_one(before: bytes) -> None:
    """The second chunk is, by itself, a whole frame with a move; in truth it is the rest of a message's payload."""

    async def test(_: CountingLoop) -> None:
        async with driving() as (shard, client, slot, raw):
            inner = masked(client.move(100.0, 100.0))
            length = len(before) + len(inner)
            raw.send(struct.pack("!BBH4s", 0x81, 0x80 | 126, length, bytes(4)) + before)  # zeros mask nothing
            await asyncio.sleep(0.02)
            raw.send(inner)
            await asyncio.sleep(0.02)
            assert shard.memory.ring.pending(slot) == 0
            while not isinstance(message := await client.receive(), Error):
                pass
            assert message.payload.code == "malformed"

    run(test)


def test_a_full_ring_stops_the_reading_and_loses_nothing() -> None:
    async def test(_: CountingLoop) -> None:
        async with AsyncExitStack() as stack:
            shard = await stack.enter_async_context(SocketShard.open())
            client = await stack.enter_async_context(SocketClient.connect(shard))
            await client.authenticate(0)
            placed = await client.enter(shard)
            slot, sent = placed.payload.slot, RING_PENDING_MAX + 40
            stack.enter_context(mock.patch.object(Meters, "move", return_value=True))  # thinning is another matter
            for _number in range(sent):
                await client.socket.send(client.move(100.0, 100.0), text=True)
            for _turn in range(20):
                await asyncio.sleep(0.005)
                assert shard.memory.ring.pending(slot) <= RING_PENDING_MAX
            assert shard.memory.ring.pending(slot) == RING_PENDING_MAX
            assert shard.reception.waiting
            assert not server_side(shard, client).transport.is_reading()
            for _turn in range(sent // 8 + 2):
                shard.tick()
                await asyncio.sleep(0.002)
            assert shard.memory.table.committed("seq")[slot] == sent
            assert not shard.reception.waiting
            assert server_side(shard, client).transport.is_reading()

    run(test)


def test_a_full_ring_stops_the_inlet_and_the_move_that_found_no_room_is_not_lost() -> None:
    async def test(loop: CountingLoop) -> None:
        async with driving() as (shard, client, slot, raw):
            connection = server_side(shard, client)
            with mock.patch.object(Meters, "move", return_value=True):
                for _number in range(RING_PENDING_MAX + 1):
                    assert type(connection.transport.get_protocol()) is Inlet
                    raw.send(masked(client.move(100.0, 100.0)))
                    read_socket(loop, connection)
                assert shard.memory.ring.pending(slot) == RING_PENDING_MAX
                assert not connection.transport.is_reading()
                for _turn in range(RING_PENDING_MAX // 8 + 2):
                    shard.tick()
            assert shard.memory.table.committed("seq")[slot] == RING_PENDING_MAX + 1
            assert type(connection.transport.get_protocol()) is Inlet

    run(test)


class CountingTransport:
    """Stands in front of a connection's transport and keeps what is written."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.written: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Note and pass on."""
        self.written.append(data)
        self._transport.write(data)


def snapshots(transport: CountingTransport) -> list[bytes]:
    """The snapshots that were written."""
    return [data for data in transport.written if isinstance(decode_server(payload_of(data)), Snapshot)]


def test_a_snapshot_is_one_write_per_socket_and_one_join_per_group() -> None:
    async def test(_: CountingLoop) -> None:
        async with AsyncExitStack() as stack:
            shard = await stack.enter_async_context(SocketShard.open(zones=2, size_m=512))
            clients = [await stack.enter_async_context(SocketClient.connect(shard)) for _ in range(9)]
            homes = [(100.0, 100.0), (300.0, 100.0), (300.0, 300.0)]
            for number, client in enumerate(clients):
                await client.authenticate(number)
                await client.enter(shard)
                shard.put(client.player, *homes[number % 3])
            for _settle in range(5):
                shard.tick()
            transports = []
            for client in clients:
                connection = server_side(shard, client)
                connection.transport = counting = CountingTransport(connection.transport)  # type: ignore[assignment]
                connection._mute(False)
                transports.append(counting)
            for tick in range(3):
                joins = shard.realm.fanout.joins
                for number, client in enumerate(clients):  # everybody moves within its home cell
                    x, z = homes[number % 3]
                    shard.put(client.player, x + 1 + tick, z)
                shard.tick()
                assert shard.realm.fanout.joins - joins == len(homes)
            for transport in transports:
                kinds = [type(decode_server(payload_of(data))) for data in transport.written]
                kinds = [kind for kind in kinds if kind is not Presence]  # once per second
                assert kinds.count(Snapshot) == 3
                assert len(kinds) == 6  # and the three `placed` that the server's moves cost
            shared = {id(snapshots(transport)[-1]) for transport in transports}
            assert len(shared) == len(homes), "those who see the same were written the same bytes object"

    run(test)
