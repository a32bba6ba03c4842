"""A TCP proxy that does to a connection what networks do: delay, jitter, stall and flush, tiny segments, reset.

Nothing is ever lost, doubled or reordered, for TCP does not either. Without faults it is transparent: half-closes and
resets pass, and a reader that does not read holds up the writer. Faults are set per connection (``Link``), for all
(``FaultProxy.weather``), or come by themselves from a seed (``Chaos``)::

    async with FaultProxy("127.0.0.1", shard_port, Weather(latency_s=0.05), Chaos(seed=1, reset_every_s=20.0)) as proxy:
        ...connect to 127.0.0.1:proxy.port...
        link = await proxy.link(0)
        link.stall()
        link.flush()
        link.reset()

It lives in the event loop that enters it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias, cast

from scripts.fault_plan import Chaos, Fault

HELD_BYTES_MAX: Final = 256 * 1024
"""Bytes of one direction that wait in the proxy; beyond, the sender is not read: a window, as TCP has one."""

_LINGER_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no seconds: closing sends a reset."""


@dataclass(frozen=True, slots=True)
class Weather:
    """What happens to all bytes of a connection, in both directions."""

    latency_s: float = 0.0
    """One way."""
    jitter_s: float = 0.0
    """Each chunk is later by a random part of this; chunks keep their order."""
    slice_bytes: int = 0
    """Write in pieces of 1 to so many bytes, one per pass of the event loop; 0: as it comes."""


Way: TypeAlias = Literal["up", "down", "both"]
"""``up``: from the client to the server."""


class Link:
    """One connection through the proxy."""

    def __init__(self, number: int, weather: Weather, rng: random.Random, ended: Callable[[Link], None]) -> None:
        self.number = number
        """In the order of arrival, from 0."""
        self.weather = weather
        self.is_open = True
        self._rng = rng
        self._ended = ended
        self._timers: list[asyncio.TimerHandle] = []
        self.client = _End(self)
        self.server = _End(self)
        self._up = _Pipe(self, self.client, self.server)
        self._down = _Pipe(self, self.server, self.client)
        self.client.pipe, self.server.pipe = self._up, self._down
        self.client.feeder, self.server.feeder = self._down, self._up

    @property
    def bytes_up(self) -> int:
        """Bytes delivered to the server."""
        return self._up.delivered

    @property
    def bytes_down(self) -> int:
        """Bytes delivered to the client."""
        return self._down.delivered

    @property
    def held_bytes(self) -> int:
        """Bytes that wait in the proxy, both ways."""
        return self._up.held + self._down.held

    def stall(self, way: Way = "both") -> None:
        """Deliver nothing from now on; what arrives is kept."""
        self._set_stalled(True, way)

    def flush(self, way: Way = "both") -> None:
        """End a stall: everything kept is delivered at once."""
        self._set_stalled(False, way)

    def reset(self) -> None:
        """Cut the connection on both sides with a TCP reset; what was kept is lost. Harmless when it is over."""
        for end in (self.client, self.server):
            end.reset()
        self.end()

    def calm(self) -> None:
        """Nothing more happens by itself; a stall that is on ends."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self.flush()

    def schedule(self, plan: Iterator[Fault]) -> None:
        """Let the faults of ``plan`` happen, counted from now."""
        loop = asyncio.get_running_loop()
        begun_s = loop.time()

        def next_fault() -> None:
            fault = next(plan, None)
            if fault is not None and self.is_open:
                self._timers = [loop.call_at(begun_s + fault.at_s, happen, fault)]

        def happen(fault: Fault) -> None:
            if fault.kind == "reset":
                self.reset()
                return
            self.stall()
            self._timers = [loop.call_later(fault.length_s, flush)]

        def flush() -> None:
            self.flush()
            next_fault()

        next_fault()

    def delay_s(self) -> float:
        """How long the next chunk takes."""
        return self.weather.latency_s + self._rng.uniform(0.0, self.weather.jitter_s)

    def piece_bytes(self) -> int | None:
        """Size of the next write; None: all."""
        return self._rng.randint(1, self.weather.slice_bytes) if self.weather.slice_bytes else None

    def pumped(self) -> None:
        """A pipe has delivered an end: when both have, the connection is over."""
        if self._up.is_done and self._down.is_done:
            self.client.close()
            self.server.close()
            self.end()

    def end(self) -> None:
        """Forget the connection. Idempotent."""
        if self.is_open:
            self.is_open = False
            for timer in self._timers:
                timer.cancel()
            self._up.drop()
            self._down.drop()
            self._ended(self)

    def _set_stalled(self, stalled: bool, way: Way) -> None:
        for name, pipe in (("up", self._up), ("down", self._down)):
            if way in (name, "both"):
                pipe.stalled = stalled
                pipe.pump()


class _Pipe:
    """One direction: what was received from one end and is not yet written to the other."""

    def __init__(self, link: Link, source: _End, sink: _End) -> None:
        self._link = link
        self._source = source
        self._sink = sink
        self._queue: deque[tuple[float, bytes | None]] = deque()
        """(when it is due, bytes); None is the end of the stream. In order: what is due sooner waits for its turn."""
        self._wake: asyncio.Handle | None = None
        self._paused = False
        self.held = 0
        self.delivered = 0
        self.stalled = False
        self.is_done = False
        """The end of the stream was delivered."""

    def feed(self, data: bytes | None) -> None:
        """Take a chunk, or the end of the stream."""
        due_s = asyncio.get_running_loop().time() + self._link.delay_s()
        self._queue.append((due_s, data))
        self.held += len(data or b"")
        self.pump()
        self._mind_the_window()

    def pump(self) -> None:
        """Deliver what is due, unless that is being kept back."""
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        loop = asyncio.get_running_loop()
        while self._queue and not self.stalled and self._sink.can_write:
            due_s, data = self._queue[0]
            if due_s > loop.time():
                self._wake = loop.call_at(due_s, self.pump)
                break
            self._queue.popleft()
            if data is None:
                self.is_done = True
                self._sink.write_eof()
                self._link.pumped()
                return
            size = self._link.piece_bytes() or len(data)
            self._sink.write(data[:size])
            self.held -= len(data[:size])
            self.delivered += len(data[:size])
            if size < len(data):
                self._queue.appendleft((due_s, data[size:]))
                self._wake = loop.call_soon(self.pump)
                break
        self._mind_the_window()

    def drop(self) -> None:
        """Forget everything."""
        self._queue.clear()
        self.held = 0
        if self._wake is not None:
            self._wake.cancel()

    def _mind_the_window(self) -> None:
        full = self.held > HELD_BYTES_MAX
        if full != self._paused:
            self._paused = full
            self._source.set_reading(not full)


class _End(asyncio.Protocol):
    """One socket of a link: the client's or the server's."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.pipe: _Pipe
        """Where its bytes go."""
        self.feeder: _Pipe
        """Where bytes for it come from."""
        self._transport: asyncio.Transport | None = None
        self._writable = True
        self._reading = True

    @property
    def can_write(self) -> bool:
        return self._transport is not None and self._writable

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._transport.set_write_buffer_limits(high=HELD_BYTES_MAX)
        self.feeder.pump()

    def data_received(self, data: bytes) -> None:
        if self._link.is_open:
            self.pipe.feed(data)

    def eof_received(self) -> bool:
        if self._link.is_open:
            self.pipe.feed(None)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._link.is_open:
            self._link.reset()

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self.feeder.pump()

    def set_reading(self, reading: bool) -> None:
        if self._transport is not None and not self._transport.is_closing() and reading != self._reading:
            self._reading = reading
            (self._transport.resume_reading if reading else self._transport.pause_reading)()

    def write(self, data: bytes) -> None:
        assert self._transport is not None, "ask `can_write`"
        self._transport.write(data)

    def write_eof(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            with contextlib.suppress(OSError):  # the other end has reset the connection in the meantime
                self._transport.write_eof()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        if self._transport is not None:
            sock: socket.socket = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
            self._transport.abort()
            self._transport = None


class FaultProxy:
    """The proxy to one server. Use it as an asynchronous context manager; leaving it resets what is still open."""

    def __init__(self, host: str, port: int, weather: Weather | None = None, chaos: Chaos | None = None) -> None:
        self._target = host, port
        self._weather = weather or Weather()
        self._chaos = chaos
        self._numbers = itertools.count()
        self._server: asyncio.Server | None = None
        self._connecting: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()
        self.links: dict[int, Link] = {}
        """Open connections by number."""
        self.accepted = 0
        """Connections so far."""

    @property
    def port(self) -> int:
        """Where clients connect."""
        assert self._server is not None, "enter the proxy first"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def weather(self) -> Weather:
        """Of all connections, present and future; a Link may have its own until this is set again."""
        return self._weather

    @weather.setter
    def weather(self, weather: Weather) -> None:
        self._weather = weather
        for link in self.links.values():
            link.weather = weather

    def calm(self) -> None:
        """Nothing befalls anybody by itself from now on; stalls that are on end."""
        self._chaos = None
        for link in list(self.links.values()):
            link.calm()

    async def link(self, number: int, timeout_s: float = 5.0) -> Link:
        """The connection with this number, when it is there. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: number in self.links)
        return self.links[number]

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, "127.0.0.1", 0, backlog=1024)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._connecting:
            task.cancel()
        for link in list(self.links.values()):
            link.reset()
        await self._server.wait_closed()
        await asyncio.sleep(0)  # aborted transports close their sockets in the next pass

    def _accept(self) -> asyncio.Protocol:
        number = next(self._numbers)
        seed = self._chaos.seed if self._chaos else 0
        link = Link(number, self._weather, random.Random(f"{seed}/{number}/traffic"), self._ended)
        self.links[number] = link
        self.accepted += 1
        task = asyncio.get_running_loop().create_task(self._connect(link))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        return link.client

    async def _connect(self, link: Link) -> None:
        """Connect to the server; bytes of the client wait meanwhile. A server that refuses is a reset."""
        try:
            await asyncio.get_running_loop().create_connection(lambda: link.server, *self._target)
        except OSError:
            link.reset()
            return
        if not link.is_open:
            link.server.reset()
            return
        if self._chaos is not None:
            link.schedule(self._chaos.plan(link.number))
        async with self._changed:
            self._changed.notify_all()

    def _ended(self, link: Link) -> None:
        self.links.pop(link.number, None)
