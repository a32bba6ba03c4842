"""The proxy is a connection: it passes the same echo suite as one without it. And its faults are what they say."""

from __future__ import annotations

import asyncio
import itertools
import random
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import pytest

from scripts.fault_plan import Chaos, Fault
from scripts.fault_proxy import HELD_BYTES_MAX, FaultProxy, Weather

PATIENCE_S = 20.0

ROUTES: dict[str, Weather | None] = {
    "direct": None,
    "calm": Weather(),
    "late": Weather(latency_s=0.005, jitter_s=0.01),
    "sliced": Weather(slice_bytes=40),
    "late and sliced": Weather(latency_s=0.002, jitter_s=0.005, slice_bytes=40),
}


class EchoServer:
    """Sends back what it receives, byte by byte the same; after "bye" it closes."""

    def __init__(self) -> None:
        self.endings: list[str] = []
        self.received = 0
        self.ended = asyncio.Event()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ending = "eof"
        try:
            while data := await reader.read(65536):
                self.received += len(data)
                writer.write(data)
                await writer.drain()
                if data.endswith(b"bye"):
                    ending = "bye"
                    break
        except ConnectionResetError:
            ending = "reset"
        self.endings.append(ending)
        self.ended.set()
        writer.close()


@asynccontextmanager
async def echo_server() -> AsyncIterator[EchoServer]:
    echo = EchoServer()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    echo.port = server.sockets[0].getsockname()[1]
    async with server:
        yield echo


async def connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port)


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()


async def echoed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> bytes:
    writer.write(data)
    return await reader.readexactly(len(data))


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


# --- the suite -----------------------------------------------------------------------------------------------------

Scenario: TypeAlias = Callable[[int, EchoServer], Awaitable[None]]


async def small_messages_come_back_in_order(port: int, echo: EchoServer) -> None:
    reader, writer = await connected(port)
    for number in range(5):
        message = f"message {number}".encode()
        assert await echoed(reader, writer, message) == message
    for number in range(100):
        writer.write(b"%03d" % number)
    assert await reader.readexactly(300) == b"".join(b"%03d" % number for number in range(100))
    await closed(writer)


async def a_large_message_comes_back_whole(port: int, echo: EchoServer) -> None:
    reader, writer = await connected(port)
    data = noise(100_000)
    assert await echoed(reader, writer, data) == data
    await closed(writer)


async def a_half_close_passes_and_the_other_way_stays_open(port: int, echo: EchoServer) -> None:
    reader, writer = await connected(port)
    writer.write(b"the last words")
    writer.write_eof()
    assert await reader.read() == b"the last words"
    assert echo.endings == ["eof"]
    await closed(writer)


async def the_server_closes(port: int, echo: EchoServer) -> None:
    reader, writer = await connected(port)
    writer.write(b"good bye")
    assert await reader.read() == b"good bye"
    assert echo.endings == ["bye"]
    await closed(writer)


async def the_client_closes(port: int, echo: EchoServer) -> None:
    reader, writer = await connected(port)
    assert await echoed(reader, writer, b"hello") == b"hello"
    await closed(writer)
    await echo.ended.wait()
    assert echo.endings == ["eof"]


async def the_client_resets(port: int, echo: EchoServer) -> None:
    reader, writer = await connected(port)
    assert await echoed(reader, writer, b"hello") == b"hello"
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    await echo.ended.wait()
    assert echo.endings == ["reset"]


async def twenty_at_once_do_not_mix(port: int, echo: EchoServer) -> None:
    async def one(number: int) -> None:
        reader, writer = await connected(port)
        data = noise(3000, number)
        assert await echoed(reader, writer, data) == data
        await closed(writer)

    await asyncio.gather(*map(one, range(20)))


SUITE: list[Scenario] = [
    small_messages_come_back_in_order,
    a_large_message_comes_back_whole,
    a_half_close_passes_and_the_other_way_stays_open,
    the_server_closes,
    the_client_closes,
    the_client_resets,
    twenty_at_once_do_not_mix,
]


@pytest.mark.parametrize("scenario", SUITE, ids=lambda scenario: str(scenario.__name__))
@pytest.mark.parametrize("route", ROUTES)
def test_echo(route: str, scenario: Scenario) -> None:
    async def run() -> None:
        weather = ROUTES[route]
        async with asyncio.timeout(PATIENCE_S), echo_server() as echo:
            if weather is None:
                await scenario(echo.port, echo)
                return
            async with FaultProxy("127.0.0.1", echo.port, weather) as proxy:
                await scenario(proxy.port, echo)
                assert proxy.accepted >= 1

    asyncio.run(run())


# --- faults --------------------------------------------------------------------------------------------------------


def through(work: Callable[[FaultProxy, EchoServer], Awaitable[None]], weather: Weather | None = None) -> None:
    """Run ``work`` with a proxy to an echo server."""

    async def run() -> None:
        async with asyncio.timeout(PATIENCE_S), echo_server() as echo:
            async with FaultProxy("127.0.0.1", echo.port, weather) as proxy:
                await work(proxy, echo)
            assert proxy.links == {}

    asyncio.run(run())


def test_latency_is_there_both_ways() -> None:
    async def work(proxy: FaultProxy, echo: EchoServer) -> None:
        reader, writer = await connected(proxy.port)
        loop = asyncio.get_running_loop()
        for latency_s in (0.05, 0.0):
            proxy.weather = Weather(latency_s=latency_s)
            begun_s = loop.time()
            assert await echoed(reader, writer, b"ping") == b"ping"
            assert loop.time() - begun_s >= 2 * latency_s - 0.002
        await closed(writer)

    through(work)


def test_nothing_passes_a_stall_and_everything_a_flush() -> None:
    async def work(proxy: FaultProxy, echo: EchoServer) -> None:
        reader, writer = await connected(proxy.port)
        assert await echoed(reader, writer, b"hello") == b"hello"
        link = await proxy.link(0)
        link.stall("up")
        for number in range(10):
            writer.write(b"%d" % number)
            await asyncio.sleep(0.002)
        assert (echo.received, link.held_bytes) == (5, 10)
        link.flush()
        assert await reader.readexactly(10) == b"0123456789"
        link.stall("down")
        writer.write(b"again")
        while link.held_bytes < 5:
            await asyncio.sleep(0.001)
        assert echo.received == 20, "only one way is stalled"
        link.flush("down")
        assert await reader.readexactly(5) == b"again"
        assert (link.bytes_up, link.bytes_down) == (20, 20)
        await closed(writer)

    through(work)


def test_a_stall_holds_up_the_end_too() -> None:
    async def work(proxy: FaultProxy, echo: EchoServer) -> None:
        reader, writer = await connected(proxy.port)
        link = await proxy.link(0)
        link.stall()
        writer.write(b"the last words")
        writer.write_eof()
        await asyncio.sleep(0.02)
        assert echo.endings == []
        link.flush()
        assert await reader.read() == b"the last words"
        await closed(writer)

    through(work)


def test_a_reset_is_seen_by_both_sides() -> None:
    async def work(proxy: FaultProxy, echo: EchoServer) -> None:
        reader, writer = await connected(proxy.port)
        other = await connected(proxy.port)
        assert await echoed(reader, writer, b"hello") == b"hello"
        link = await proxy.link(0)
        link.reset()
        link.reset()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        await echo.ended.wait()
        assert echo.endings == ["reset"]
        assert not link.is_open
        assert await echoed(*other, b"unharmed") == b"unharmed"
        await closed(other[1])

    through(work)


def test_slices_are_tiny_writes() -> None:
    async def work(proxy: FaultProxy, echo: EchoServer) -> None:
        sizes: list[int] = []
        reader, writer = await connected(proxy.port)
        writer.write(noise(400))
        while sum(sizes) < 400:
            sizes.append(len(await reader.read(65536)))
        assert len(sizes) >= 20, "the kernel may join a few"
        await closed(writer)

    through(work, Weather(slice_bytes=5))


def test_jitter_changes_the_gaps_and_not_the_order() -> None:
    async def work(proxy: FaultProxy, echo: EchoServer) -> None:
        reader, writer = await connected(proxy.port)
        for number in range(100):
            writer.write(b"%02d" % number)
            await asyncio.sleep(0)
        assert await reader.readexactly(200) == b"".join(b"%02d" % number for number in range(100))
        await closed(writer)

    through(work, Weather(jitter_s=0.03))


def test_a_reader_that_does_not_read_holds_up_the_writer() -> None:
    async def work(proxy: FaultProxy, echo: EchoServer) -> None:
        reader, writer = await connected(proxy.port)
        link = await proxy.link(0)
        link.stall("up")
        sent = 0

        async def write_without_end() -> None:
            nonlocal sent
            while sent < 100_000_000:
                writer.write(bytes(100_000))
                sent += 100_000
                async with asyncio.timeout(0.2):
                    await writer.drain()

        with pytest.raises(TimeoutError):
            await write_without_end()
        assert HELD_BYTES_MAX < link.held_bytes < 2 * HELD_BYTES_MAX
        link.flush()
        received = 0
        while received < sent:
            received += len(await reader.read(1_000_000))
        await closed(writer)

    through(work)


def test_a_server_that_is_not_there_is_a_reset() -> None:
    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed_:
            port = closed_.getsockname()[1]
        async with asyncio.timeout(PATIENCE_S), FaultProxy("127.0.0.1", port) as proxy:
            reader, writer = await connected(proxy.port)
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()

    asyncio.run(run())


def test_a_link_that_never_comes() -> None:
    async def work(proxy: FaultProxy, echo: EchoServer) -> None:
        with pytest.raises(TimeoutError):
            await proxy.link(7, timeout_s=0.02)

    through(work)


# --- chaos ---------------------------------------------------------------------------------------------------------


def test_the_same_seed_plans_the_same_faults() -> None:
    chaos = Chaos(seed=1, stall_every_s=5.0, stall_s=(0.2, 3.0), reset_every_s=60.0)
    for number in range(20):
        plan = list(chaos.plan(number))
        assert plan == list(chaos.plan(number))
        assert plan != list(chaos.plan(number + 1))
        assert plan != list(Chaos(2, 5.0, (0.2, 3.0), 60.0).plan(number))
        assert [fault.kind for fault in plan[:-1]] == ["stall"] * (len(plan) - 1)
        assert plan[-1].kind == "reset"
        assert all(0.2 <= fault.length_s <= 3.0 for fault in plan[:-1])
        for fault, following in itertools.pairwise(plan[:-1]):
            assert fault.at_s + fault.length_s <= following.at_s


def test_plans_have_the_rates_asked_for() -> None:
    lives = [list(Chaos(number, reset_every_s=20.0).plan(0)) for number in range(2000)]
    assert sum(plan[0].at_s for plan in lives) / 2000 == pytest.approx(20.0, rel=0.1)
    assert list(Chaos(1).plan(0)) == []
    endless = Chaos(1, stall_every_s=2.0).plan(0)
    assert all(next(endless).kind == "stall" for _ in range(100))


def test_planned_faults_happen() -> None:
    async def run() -> None:
        async with asyncio.timeout(PATIENCE_S), echo_server() as echo, FaultProxy("127.0.0.1", echo.port) as proxy:
            reader, writer = await connected(proxy.port)
            assert await echoed(reader, writer, b"hello") == b"hello"
            link = await proxy.link(0)
            loop = asyncio.get_running_loop()
            begun_s = loop.time()
            link.schedule(iter([Fault("stall", 0.0, 0.06), Fault("reset", 0.15)]))
            await asyncio.sleep(0.01)
            assert await echoed(reader, writer, b"late") == b"late"
            assert loop.time() - begun_s >= 0.06
            with pytest.raises(ConnectionResetError):
                await reader.read()

    asyncio.run(run())


def test_calm_ends_stalls_and_plans() -> None:
    async def play() -> None:
        chaos = Chaos(seed=1, stall_every_s=0.001, stall_s=(PATIENCE_S, PATIENCE_S))
        async with echo_server() as echo, FaultProxy("127.0.0.1", echo.port, chaos=chaos) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            link = await proxy.link(0)
            await asyncio.sleep(0.05)
            writer.write(b"held")
            await asyncio.sleep(0.05)
            assert link.held_bytes == 4
            proxy.calm()
            async with asyncio.timeout(PATIENCE_S / 2):
                assert await reader.readexactly(4) == b"held"
            later, second = await asyncio.open_connection("127.0.0.1", proxy.port)
            await asyncio.sleep(0.05)
            for line in (writer, second):
                line.write(b"free")
            async with asyncio.timeout(PATIENCE_S / 2):
                assert await reader.readexactly(4) == await later.readexactly(4) == b"free"
            for line in (writer, second):
                line.close()

    asyncio.run(play())


def test_chaos_resets_connections_by_itself() -> None:
    async def run() -> None:
        async with asyncio.timeout(PATIENCE_S), echo_server() as echo:
            chaos = Chaos(seed=3, stall_every_s=0.02, stall_s=(0.0, 0.02), reset_every_s=0.1)
            async with FaultProxy("127.0.0.1", echo.port, chaos=chaos) as proxy:

                async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                    while True:
                        assert await echoed(reader, writer, b"ping") == b"ping"
                        await asyncio.sleep(0.002)

                async def client() -> None:
                    reader, writer = await connected(proxy.port)
                    with pytest.raises(ConnectionError):  # an orderly end would be an IncompleteReadError
                        await talk(reader, writer)
                    writer.close()

                await asyncio.gather(*(client() for _ in range(10)))
                assert proxy.accepted == 10

    asyncio.run(run())
