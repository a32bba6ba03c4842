"""Limits over real sockets: admission, budgets, silent and slow peers, floods; in numbers that CI can afford."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
import sys
import termios
import time
from collections.abc import Awaitable, Callable
from unittest import mock

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from shard.access import connection as connection_module
from shard.access.connection import RELIABLE_BYTES_MAX, Connection
from shared.messages import (
    Auth,
    AuthPayload,
    CloseCode,
    Error,
    Notice,
    Ping,
    PingPayload,
    Snapshot,
    decode_server,
    encode,
)
from tests.socket_shard import SocketClient, SocketShard, token

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
"""A good handshake."""
FLOOD_READ_BYTES_MAX = 4 * 2**20
"""Of a flood until its end: the burst, and a read of 256 KiB after each pause."""
KERNEL_BYTES_MAX = 64 * 1024
"""Of one socket, as the README says."""


def run(scenario: Callable[[SocketShard], Awaitable[None]], *flags: str) -> None:
    """A scenario on a shard of its own."""

    async def main() -> None:
        async with SocketShard.open(flags=flags) as shard:
            await asyncio.wait_for(scenario(shard), 40.0)

    asyncio.run(main())


def masked(payload: bytes, opcode: Opcode = Opcode.TEXT) -> bytes:
    """A client's frame."""
    return Frame(opcode, payload).serialize(mask=True)


def unsent_in_kernel(connection: Connection) -> int:
    """Bytes that the kernel holds for a reader that does not take them."""
    file = connection.transport.get_extra_info("socket").fileno()
    return int.from_bytes(fcntl.ioctl(file, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def sizes_of_reads(connection: Connection) -> list[int]:
    """Sizes of what is read from a connection's socket from now on."""
    sizes: list[int] = []
    receive = connection.data_received

    def noting(data: bytes) -> None:
        sizes.append(len(data))
        receive(data)

    connection.data_received = noting  # type: ignore[method-assign]
    return sizes


async def last_error(client: SocketClient) -> tuple[list[str], int]:
    """All errors, and the close code."""
    errors: list[str] = []
    try:
        while True:
            message = decode_server(await client.socket.recv(decode=False))
            if isinstance(message, Error):
                errors.append(message.payload.code)
    except ConnectionClosed as closed:
        return errors, closed.rcvd.code if closed.rcvd else 1006


# --- admission


def test_an_address_has_so_many_silent_sockets_and_no_more() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(8):
                await stack.enter_async_context(SocketClient.connect(shard))
            with pytest.raises(InvalidStatus) as refused:
                await connect(shard.url, proxy=None)
            assert refused.value.response.status_code == 429
            assert int(refused.value.response.headers["Retry-After"]) > 0

    run(scenario, "--no-exempt-loopback")


def test_who_has_presented_a_token_is_not_silent_any_more() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with contextlib.AsyncExitStack() as stack:
            for number in range(12):
                client = await stack.enter_async_context(SocketClient.connect(shard))
                await client.authenticate(number)

    run(scenario, "--no-exempt-loopback")


def test_of_too_many_silent_sockets_in_all_the_oldest_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shard.access.gateway.SILENT_MAX", 3)

    async def scenario(shard: SocketShard) -> None:
        async with contextlib.AsyncExitStack() as stack:
            speaker, oldest, *others = [await stack.enter_async_context(SocketClient.connect(shard)) for _ in range(3)]
            await speaker.authenticate(0)
            others += [await stack.enter_async_context(SocketClient.connect(shard)) for _ in range(2)]
            assert (await last_error(oldest))[1] == CloseCode.OVERLOADED
            for number, client in enumerate(others):
                await client.authenticate(number + 1)

    run(scenario)


def test_a_thousand_connections_of_one_address_are_refused_but_for_its_share() -> None:
    async def scenario(shard: SocketShard) -> None:
        codes: list[int] = []

        async def knock() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", shard.port)
            held.append(writer)
            writer.write(UPGRADE)
            codes.append(int((await reader.readline()).split()[1]))

        held: list[asyncio.StreamWriter] = []
        for _ in range(20):
            await asyncio.gather(*(knock() for _ in range(50)))
        assert len(codes) == 1000
        assert 1 <= codes.count(101) <= 8, "silent sockets of one address"
        assert codes.count(429) == 1000 - codes.count(101)
        assert shard.doors.admission.connections == codes.count(101)
        for writer in held:
            writer.close()

    run(scenario, "--no-exempt-loopback")


def test_behind_a_trusted_proxy_the_client_counts_and_not_the_proxy() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with contextlib.AsyncExitStack() as stack:

            async def come(forwarded_for: str) -> None:
                headers = {"X-Forwarded-For": forwarded_for}
                await stack.enter_async_context(connect(shard.url, proxy=None, additional_headers=headers))

            for number in range(12):
                await come(f"203.0.113.{number}")
            for _ in range(8):
                await come("6.6.6.6, 198.51.100.7")
            with pytest.raises(InvalidStatus) as refused:
                await come("7.7.7.7, 198.51.100.7")  # what the client invents in front changes nothing
            assert refused.value.response.status_code == 429

    run(scenario, "--no-exempt-loopback", "--trusted-proxy", "127.0.0.1")


def test_a_full_shard_answers_503() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with SocketClient.connect(shard), SocketClient.connect(shard) as second:
            await second.authenticate(0)
            with pytest.raises(InvalidStatus) as refused:
                await connect(shard.url, proxy=None)
            assert refused.value.response.status_code == 503
            assert int(refused.value.response.headers["Retry-After"]) > 0

    run(scenario, "--max-connections", "2")


@pytest.mark.parametrize(
    ("path", "status"), [("/ws", 101), ("/", 101), ("/ws?v=1", 101), ("/wss", 404), ("/healthz", 404)]
)
def test_there_is_nothing_but_the_socket(path: str, status: int) -> None:
    async def scenario(shard: SocketShard) -> None:
        found = 101
        try:
            async with connect(shard.url.removesuffix("/ws") + path, proxy=None):
                pass
        except InvalidStatus as refused:
            found = refused.response.status_code
        assert found == status

    run(scenario)


@pytest.mark.parametrize(
    ("origin", "admitted"),
    [("https://play.example.com", True), (None, True), ("https://evil.example", False), ("null", False)],
)
def test_the_origin_list_is_compared_exactly(origin: str | None, admitted: bool) -> None:
    async def scenario(shard: SocketShard) -> None:
        status = 101
        try:
            async with connect(shard.url, proxy=None, origin=origin):  # type: ignore[arg-type]
                pass
        except InvalidStatus as refused:
            status = refused.response.status_code
        assert status == (101 if admitted else 403)

    run(scenario, "--origin", "https://play.example.com")


def test_who_says_nothing_is_closed_and_half_a_handshake_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "AUTH_TIMEOUT_S", 0.3)
    monkeypatch.setattr("shard.access.gateway.OPEN_TIMEOUT_S", 0.3)

    async def scenario(shard: SocketShard) -> None:
        half = []
        for _ in range(500):
            _, writer = await asyncio.open_connection("127.0.0.1", shard.port)
            writer.write(b"GET /ws HTTP/1.1\r\nHost: x\r\n")
            half.append(writer)
        async with SocketClient.connect(shard) as client:
            assert shard.doors.admission.connections > 1, "half handshakes count"
            assert await last_error(client) == (["auth_timeout"], CloseCode.AUTH_TIMEOUT)
        await asyncio.sleep(0.8)
        assert shard.doors.admission.connections == 0
        for each in half:
            each.close()

    run(scenario)


# --- budgets


def test_control_messages_beyond_their_rate_are_refused_with_the_time_to_wait() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with SocketClient.connect(shard) as client:
            await client.authenticate(0)
            for number in range(8):
                await client.send(Ping(PingPayload(1.0), id=number))
            answers = [await client.receive() for _ in range(8)]
            refused = [each for each in answers if isinstance(each, Error)]
            assert 2 <= len(refused) <= 3
            assert all(each.payload.code == "rate_limited" and each.payload.retry_after_ms for each in refused)
            assert all(each.re is not None for each in refused)

    run(scenario)


def test_a_stalled_client_that_delivers_everything_at_once_loses_nothing_but_what_is_thinned() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with SocketClient.connect(shard) as client:
            await client.authenticate(0)
            await client.enter(shard)
            slot = shard.body(client.player).slot
            for _ in range(60):
                await client.socket.send(client.move(100.0, 100.0), text=True)
            for _ in range(12):
                await asyncio.sleep(0.005)
                shard.tick()
            assert shard.memory.table.committed("seq")[slot] == 60

    run(scenario)


@pytest.mark.parametrize("what", ["moves", "pings", "pings of the contract"])
def test_a_flood_ends_with_4429_and_costs_the_loop_little(what: str) -> None:
    frames = {
        "moves": masked(b'{"type":"move","payload":{"epoch":1,"seq":1,"t":1,"x":1,"z":1,"yaw":0,"vx":0,"vz":0}}'),
        "pings": masked(b"", Opcode.PING),
        "pings of the contract": masked(b'{"type":"ping","payload":{"t":1}}'),
    }

    async def scenario(shard: SocketShard) -> None:
        async with SocketClient.connect(shard) as client:
            await client.authenticate(0)
            stop = asyncio.Event()
            worst_s = 0.0
            [connection] = shard.gateway._server.connections  # type: ignore[union-attr]
            assert isinstance(connection, Connection)
            reads = sizes_of_reads(connection)

            async def watch_the_loop() -> None:
                nonlocal worst_s
                while not stop.is_set():
                    before_s = time.thread_time()  # its own: what others do on this machine does not count
                    await asyncio.sleep(0.001)
                    worst_s = max(worst_s, time.thread_time() - before_s)

            watching = asyncio.create_task(watch_the_loop())
            raw = client.socket.transport
            flood = frames[what] * 2000

            async def pour() -> None:
                while not raw.is_closing():
                    if raw.get_write_buffer_size() < 1 << 20:
                        raw.write(flood)
                    await asyncio.sleep(0.01)

            pouring = asyncio.create_task(pour())
            errors, code = await asyncio.wait_for(last_error(client), 20.0)
            stop.set()
            await asyncio.gather(watching, pouring)
            assert code in (CloseCode.RATE_LIMITED, 1006), (errors, code)
            assert "rate_limited" in errors
            assert worst_s < 0.25, "a pass took too long: others were not served"
            assert sum(reads) < FLOOD_READ_BYTES_MAX, "it was read while it was over its budget"

    run(scenario)


# --- who does not read


def test_a_socket_that_never_reads_is_cut_off_and_its_memory_is_bounded() -> None:
    async def scenario(shard: SocketShard) -> None:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", shard.port))
        how = connect(shard.url, sock=raw, proxy=None, compression=None, ping_interval=None, close_timeout=0.5)
        async with how as client:
            await client.send(encode(Auth(AuthPayload(token(0)))), text=True)
            await asyncio.sleep(0.1)
            [connection] = shard.gateway._server.connections  # type: ignore[union-attr]
            assert isinstance(connection, Connection)
            client.transport.pause_reading()
            frame = b"\x81\x7e\x10\x00" + b"x" * 4096
            for _ in range(100):
                connection.offer(frame)
            assert connection.transport.get_write_buffer_size() <= connection_module.UNSENT_BYTES_MAX + len(frame)
            assert unsent_in_kernel(connection) <= KERNEL_BYTES_MAX
            for _ in range(RELIABLE_BYTES_MAX // len(frame) + 2):
                connection.deliver(frame)
            assert KERNEL_BYTES_MAX + connection_module.UNSENT_BYTES_MAX + RELIABLE_BYTES_MAX <= 384 * 1024, (
                "the README"
            )
            await asyncio.sleep(0.1)
            assert connection.transport.is_closing()
            assert shard.doors.admission.connections == 0

    run(scenario)


def test_who_stays_stuck_is_cut_off_and_who_reads_again_is_told() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with SocketClient.connect(shard) as client:
            await client.authenticate(0)
            [connection] = shard.gateway._server.connections  # type: ignore[union-attr]
            assert isinstance(connection, Connection)
            connection.pause_writing()
            assert not connection.offer(b"x")
            connection.resume_writing()
            notice = await client.receive()
            assert isinstance(notice, Notice)
            assert notice.payload.code == "degraded"
            connection.pause_writing()
            with mock.patch.object(connection_module, "STUCK_S", 0.0):
                await asyncio.sleep(1.05)
                shard.tick()
            await asyncio.sleep(0.02)
            assert connection.transport.is_closing()

    run(scenario)


def test_a_driver_who_reads_too_slowly_is_left_out_of_ticks_and_begins_anew_when_it_reads_again() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with SocketClient.connect(shard) as client:
            await client.authenticate(0)
            await client.enter(shard)
            [connection] = shard.gateway._server.connections  # type: ignore[union-attr]
            assert isinstance(connection, Connection)
            fanout = shard.realm.fanout
            shard.tick()
            for pause in (True, False):
                (connection.pause_writing if pause else connection.resume_writing)()
                counts = fanout.skipped, fanout.writes
                await client.socket.send(client.move(100.0 + 5.0 * pause, 100.0), text=True)
                await asyncio.sleep(0.02)
                shard.tick()
                assert (fanout.skipped - counts[0], fanout.writes - counts[1]) == ((1, 0) if pause else (0, 1))
            last = shard.realm.tick
            while not (isinstance(message := await client.receive(), Snapshot) and message.payload.tick == last):
                pass
            assert message.payload.reset

    run(scenario)


# --- all at once


@pytest.mark.timeout(60)
def test_while_others_misbehave_honest_clients_are_served() -> None:
    """Fifty that say nothing and ten that send garbage, while others drive: the large numbers are in scripts.abuse."""

    async def scenario(shard: SocketShard) -> None:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(50):
                await stack.enter_async_context(SocketClient.connect(shard))
            for _ in range(10):
                bad = await stack.enter_async_context(SocketClient.connect(shard))
                bad.socket.transport.write(b"\xff\xfe garbage")
            honest = []
            for number in range(5):
                client = await stack.enter_async_context(SocketClient.connect(shard))
                await client.authenticate(number)
                await client.enter(shard)
                honest.append(client)
            for _ in range(10):
                for client in honest:
                    await client.socket.send(client.move(100.0, 100.0), text=True)
                await asyncio.sleep(0.01)
                shard.tick()
            await asyncio.sleep(0.05)
            shard.tick()
            for client in honest:
                assert shard.memory.table.committed("seq")[shard.body(client.player).slot] == 10

    run(scenario)
