"""What one client may get of the world, in which order, and how everybody's share is handed out.

**Reach.** A driver gets the chunks at most REACH_CHUNKS from the one in which its car was last committed, whoever has
no car those at most as far from a spawn point (anywhere, in a world without spawn points). When the server moves the
car, what the client asked for before it knew that stays within reach for MOVED_S.

**Rate.** A square of (2 r + 1) x (2 r + 1) chunks around a car that drives at v gains 2 r + 1 chunks whenever the car
crosses a line of the grid, which on the diagonal happens sqrt(2) v / 64 m times per second. So whoever keeps all that
is in reach needs, with ``top_speed_mps`` of the world's fastest vehicle,

    per second = sqrt(2) * (2 * REACH_CHUNKS + 1) * top_speed_mps / CHUNK_M * MARGIN

25 per second at 70 m/s. Saved up are two whole squares, 338 chunks: a first sight, and another after a teleport. A
client that forgets nothing and obeys the speed limit can therefore not be refused, whatever it drives.

**Repeats.** A chunk that is on its way is not queued twice. One that was sent on this connection within REPEAT_S is not
sent again: its request is answered with ``chunks_same`` and costs nothing. So wobbling over a border sends nothing
twice, and a client that lost a chunk has it again REPEAT_S later, or at once on a new connection.

**Order.** Nearest to the car first, whatever the order in the message; without a car as asked.

**Slices.** Nothing is judged or sent when it is asked for. A pass of the event loop judges PASS_REQUESTS requests, all
of one client together. Clients with something to get stand in a line; a pass gives the front of it SLICE_CHUNKS each
until PASS_CHUNKS, PASS_BYTES or PASS_TURNS are out, or until one group of chunks had to be made; who wants more goes to
the end. So a pass takes about a millisecond (6 ms when chunks have to be made), however many ask at once. A socket that
has enough unsent bytes loses its turn until the next tick: what it was promised waits, QUEUE_MAX chunks at most.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, Self, TypeAlias

from shard.access.bucket import Bucket
from shard.access.wsframe import text_frame
from shard.land.chunk_stock import Stock, hash_of
from shared.constants import CHUNK_M
from shared.messages import (
    ChunksPayload,
    ChunksSame,
    ChunksSamePayload,
    Error,
    ErrorPayload,
    ServerMessage,
    encode,
)
from shared.vehicles import VEHICLES, VehicleClass
from shared.world import world_file
from shared.world.chunks import frame
from shared.world.world import World

REACH_CHUNKS: Final = 6
"""Sight of four chunks (256 m), and two more: at 70 m/s a lead of 1.8 s, which also covers that we see the car late."""
MARGIN: Final = 1.25
"""Cars that fall or slide downhill exceed their top speed, and clocks differ."""
MOVED_S: Final = 5.0
"""A request that was sent before the client learned of a server-made move has arrived by then."""
REPEAT_S: Final = 5.0
"""Longer than a border wobble, shorter than the 10 s after which our own client gives a chunk up."""
QUEUE_MAX: Final = 2 * (2 * REACH_CHUNKS + 1) ** 2
"""Chunks that one connection may have coming: as many as may be saved up."""
SLICE_CHUNKS: Final = 8
SLICE_BYTES: Final = 8 * 1024
"""Of one turn. Far below what a socket may have unsent."""
PASS_CHUNKS: Final = 64
PASS_BYTES: Final = 64 * 1024
PASS_TURNS: Final = 16
"""Of one pass of the event loop, whichever comes first: about 0.3 ms, most of it for the writes."""

PASS_REQUESTS: Final = 8
"""Half a millisecond for the longest. The last client of a pass may have more."""
WAITING_MAX: Final = 20
"""Requests of one connection that wait to be judged: as many as may come at once."""

Index: TypeAlias = tuple[int, int]
"""(cx, cz)."""
Place: TypeAlias = tuple[float, float] | None
"""(x, z) of the car, metres; None: no car."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What every client of a world is granted."""

    side: int
    """Chunks per side of the world."""
    per_s: float
    burst: int
    near_spawns: frozenset[Index] | None
    """What whoever has no car may get; None: everything."""

    @classmethod
    def of_world(cls, world: World) -> Self:
        """The terms of a world."""
        if world.content is None:
            return cls.of(world.size_m, _fastest_mps(VEHICLES), ())
        spawns = [entry.at for entry in world.content.spawns]
        return cls.of(world.size_m, _fastest_mps(world_file.vehicles(world.content)), spawns)

    @classmethod
    def of(cls, size_m: int, top_speed_mps: float, spawns: Iterable[tuple[float, float]]) -> Self:
        """The terms of a world with these spawn points, (x, z) in metres."""
        side = size_m // CHUNK_M
        across = 2 * REACH_CHUNKS + 1
        near = {
            (cx, cz)
            for x, z in spawns
            for cx in range(int(x // CHUNK_M) - REACH_CHUNKS, int(x // CHUNK_M) + REACH_CHUNKS + 1)
            for cz in range(int(z // CHUNK_M) - REACH_CHUNKS, int(z // CHUNK_M) + REACH_CHUNKS + 1)
        }
        per_s = math.sqrt(2.0) * across * top_speed_mps / CHUNK_M * MARGIN
        return cls(side, per_s, 2 * across * across, frozenset(near) or None)

    def covers(self, index: Index, place: Place) -> bool:
        """Whether a chunk is within reach of a place."""
        if place is None:
            return self.near_spawns is None or index in self.near_spawns
        return _steps(index, place) <= REACH_CHUNKS


class Wanted(NamedTuple):
    """A chunk that a client waits for."""

    chunk: Index
    re: int | None
    """The ``id`` of the request."""
    hash: str | None
    """Of the copy that the client has; None: it has none."""


class Request(NamedTuple):
    """A ``chunks`` message."""

    wish: ChunksPayload
    re: int | None


class Stream:
    """What one connection has asked for and was sent. Times are seconds that never go backwards."""

    def __init__(self, terms: Terms) -> None:
        self.queue: list[Wanted] = []
        """What is still to be sent, the next one last."""
        self.in_line = False
        self.requests: list[Request] = []
        """Those that have not been judged."""
        self._terms = terms
        self._bucket = Bucket(terms.per_s, terms.burst)
        self._coming: set[Index] = set()
        self._sent: dict[Index, float] = {}
        """When each chunk was sent last, oldest first; forgotten after REPEAT_S. Bounded by the rate."""
        self._place: Place = None
        self._before: tuple[Place, float] | None = None
        """Where the client was before the server moved it, and until when that counts."""

    def ask(self, wish: ChunksPayload, re: int | None, place: Place, now_s: float) -> ErrorPayload | list[Index]:
        """Queue what is asked for. A refusal, after which nothing has changed; or what the client has already."""
        self._follow(place, now_s)
        asked = [Wanted(chunk, re, None) for chunk in wish.want]
        asked += [Wanted((cx, cz), re, known) for cx, cz, known in wish.have]
        if refusal := self._out_of_reach(asked, len(wish.want), place, now_s):
            return refusal
        self._forget_old(now_s)
        same = list(dict.fromkeys(each.chunk for each in asked if each.chunk in self._sent))
        fresh = {each.chunk: each for each in asked if each.chunk not in self._sent and each.chunk not in self._coming}
        if not fresh:
            self._sort(place)
            return same
        if len(self.queue) + len(fresh) > QUEUE_MAX:
            return _too_many(1.0, f"{len(self.queue)} chunks are on their way to you: read them first")
        if wait_s := self._bucket.take(now_s, len(fresh)):
            return _too_many(wait_s, f"at most {self._terms.per_s:.0f} chunks per second, {self._terms.burst} at once")
        self._coming |= fresh.keys()
        self.queue[:0] = reversed(fresh.values())
        self._sort(place)
        return same

    def take(self, now_s: float) -> Wanted:
        """The next one, which counts as sent from now on."""
        wanted = self.queue.pop()
        self._coming.discard(wanted.chunk)
        self._sent.pop(wanted.chunk, None)
        self._sent[wanted.chunk] = now_s
        return wanted

    def _sort(self, place: Place) -> None:
        if place is not None:
            self.queue.sort(key=lambda wanted: _distance2(wanted.chunk, place), reverse=True)

    def _follow(self, place: Place, now_s: float) -> None:
        moved = self._place != place and (place is None or self._place is None or _far_apart(self._place, place))
        if moved:
            self._before = self._place, now_s + MOVED_S
        self._place = place

    def _out_of_reach(self, asked: list[Wanted], wants: int, place: Place, now_s: float) -> ErrorPayload | None:
        side, before = self._terms.side, self._before
        for number, (index, _, _) in enumerate(asked):
            name = f"want[{number}]" if number < wants else f"have[{number - wants}]"
            if not (0 <= index[0] < side and 0 <= index[1] < side):
                text = f"{name}: chunk {list(index)} is off the map: cx and cz are 0 to {side - 1}"
                return ErrorPayload("not_allowed", text)
            if self._terms.covers(index, place):
                continue
            if before is not None and now_s < before[1] and self._terms.covers(index, before[0]):
                continue
            where = "any spawn point" if place is None else f"your car, but {_steps(index, place)}"
            text = f"{name}: chunk {list(index)} is not within {REACH_CHUNKS} chunks of {where}"
            return ErrorPayload("not_allowed", text)
        return None

    def _forget_old(self, now_s: float) -> None:
        while self._sent:
            index = next(iter(self._sent))
            if now_s - self._sent[index] < REPEAT_S:
                return
            del self._sent[index]


class _Slice(NamedTuple):
    """What a connection gets in one turn."""

    frames: bytes
    """Of the socket, joined: one write."""
    chunks: int
    looked_at: int
    """Chunks that were sent or found to be the client's own."""
    made: bool
    """A group of chunks had to be made."""


class Outlet(Protocol):
    """A connection as the desk sees it."""

    def send(self, message: ServerMessage) -> None:
        """Send one message."""

    def has_room(self) -> bool:
        """Whether chunks may be written now: little is unsent."""

    @property
    def offer(self) -> Callable[[bytes], bool | None]:
        """Writes frames now; False: it does not, the connection is ending."""


class Desk:
    """Hands out chunks to all connections, in turns. One for the shard.

    ``call_soon`` runs a function in the next pass of the event loop, ``now_s`` is a clock in seconds.
    """

    def __init__(
        self, stock: Stock, terms: Terms, call_soon: Callable[[Callable[[], None]], object], now_s: Callable[[], float]
    ) -> None:
        self.terms = terms
        self.chunks_sent = 0
        self.bytes_sent = 0
        self.passes = 0
        self._stock = stock
        self._call_soon = call_soon
        self._now_s = now_s
        self._streams: dict[Outlet, Stream] = {}
        self._askers: deque[tuple[Outlet, Stream, Callable[[], Place]]] = deque()
        """Who has requests that wait to be judged."""
        self._line: deque[tuple[Outlet, Stream]] = deque()
        self._choked: list[tuple[Outlet, Stream]] = []
        """Whose sockets had no room; they come back with the next tick."""
        self._scheduled = False

    def ask(
        self, outlet: Outlet, wish: ChunksPayload, re: int | None, place: Callable[[], Place]
    ) -> ErrorPayload | None:
        """A connection asks: everything else follows by itself. A refusal when too many of its requests wait.

        ``place`` tells where the car is when the request's turn has come.
        """
        stream = self._streams.setdefault(outlet, Stream(self.terms))
        if len(stream.requests) >= WAITING_MAX:
            return _too_many(1.0, f"{WAITING_MAX} of your requests wait for their turn")
        stream.requests.append(Request(wish, re))
        if len(stream.requests) == 1:
            self._askers.append((outlet, stream, place))
            self._schedule()
        return None

    def ticked(self) -> None:
        """A tick's frames are out: look again at sockets that had no room."""
        if self._choked:
            self._line.extend(self._choked)
            self._choked.clear()
            self._schedule()

    def forget(self, outlet: Outlet) -> None:
        """The connection is over. Idempotent."""
        stream = self._streams.pop(outlet, None)
        if stream is not None:
            stream.queue.clear()
            stream.requests.clear()

    def _schedule(self) -> None:
        if (self._line or self._askers) and not self._scheduled:
            self._scheduled = True
            self._call_soon(self._pass)

    def _pass(self) -> None:
        """Judge the oldest requests, then serve the front of the line, within the budget of a pass."""
        self._scheduled = False
        self.passes += 1
        chunks = size = turns = judged = 0
        try:
            while self._askers and judged < PASS_REQUESTS:
                judged += self._judge(*self._askers.popleft())
            for _ in range(len(self._line)):
                if chunks >= PASS_CHUNKS or size >= PASS_BYTES or turns >= PASS_TURNS:
                    break
                outlet, stream = self._line.popleft()
                if stream.queue and not outlet.has_room():
                    self._choked.append((outlet, stream))
                    continue
                stream.in_line = False
                turn = self._slice(stream)
                if stream.queue:
                    stream.in_line = True
                    self._line.append((outlet, stream))
                if turn.frames and outlet.offer(turn.frames) is not False:
                    self.chunks_sent += turn.chunks
                    self.bytes_sent += len(turn.frames)
                turns += 1
                chunks += turn.looked_at
                size += len(turn.frames)
                if turn.made:
                    break
        finally:
            self._schedule()

    def _judge(self, outlet: Outlet, stream: Stream, place: Callable[[], Place]) -> int:
        """Judge all requests of one connection together, so that the nearest of all comes first; how many it were."""
        requests, stream.requests = stream.requests, []
        for wish, re in requests:
            answer = stream.ask(wish, re, place(), self._now_s())
            if isinstance(answer, ErrorPayload):
                outlet.send(Error(answer, re=re))
            elif answer:
                outlet.send(ChunksSame(ChunksSamePayload(answer), re=re))
        if stream.queue and not stream.in_line:
            stream.in_line = True
            self._line.append((outlet, stream))
        return len(requests)

    def _slice(self, stream: Stream) -> _Slice:
        """One turn of a connection."""
        frames: list[bytes] = []
        same: dict[int | None, list[Index]] = {}
        now_s, size, made, looked_at = self._now_s(), 0, False, 0
        while stream.queue and looked_at < SLICE_CHUNKS and size < SLICE_BYTES and not made:
            made = not self._stock.has(*stream.queue[-1].chunk)
            index, re, known = stream.take(now_s)
            looked_at += 1
            chunk = self._stock.get(*index)
            if known is not None and known == hash_of(chunk):
                same.setdefault(re, []).append(index)
            else:
                frames.append(text_frame([frame(chunk, re)]))
                size += len(frames[-1])
        chunks = len(frames)
        for re, indices in same.items():
            frames.append(text_frame([encode(ChunksSame(ChunksSamePayload(indices), re=re))]))
        return _Slice(b"".join(frames), chunks, looked_at, made)


def _fastest_mps(vehicles: Iterable[VehicleClass]) -> float:
    return max(vehicle.speed_cap_mps for vehicle in vehicles)


def _steps(index: Index, place: tuple[float, float]) -> int:
    """Chunks between a chunk and the one that holds a place, along the longer axis."""
    return max(abs(index[0] - int(place[0] // CHUNK_M)), abs(index[1] - int(place[1] // CHUNK_M)))


def _distance2(index: Index, place: tuple[float, float]) -> float:
    """From a place to the middle of a chunk, metres squared."""
    dx, dz = (index[0] + 0.5) * CHUNK_M - place[0], (index[1] + 0.5) * CHUNK_M - place[1]
    return dx * dx + dz * dz


def _far_apart(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether no car drives from one to the other between two requests that belong together."""
    return max(abs(one[0] - other[0]), abs(one[1] - other[1])) > 2 * CHUNK_M


def _too_many(wait_s: float, text: str) -> ErrorPayload:
    return ErrorPayload("rate_limited", text, math.ceil(wait_s * 1000.0))
