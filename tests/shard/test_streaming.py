"""Streaming: what a client may ask for, in which order it comes, and that one pass of the loop never does much."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shard.land import streaming
from shard.land.chunk_stock import LazyStock, WholeStock, hash_of
from shard.land.streaming import (
    MOVED_S,
    PASS_BYTES,
    PASS_CHUNKS,
    PASS_REQUESTS,
    PASS_TURNS,
    QUEUE_MAX,
    REACH_CHUNKS,
    REPEAT_S,
    SLICE_BYTES,
    SLICE_CHUNKS,
    WAITING_MAX,
    Desk,
    Index,
    Place,
    Stream,
    Terms,
)
from shared.constants import CHUNK_M
from shared.messages import (
    CHUNKS_MAX,
    Chunk,
    ChunkPayload,
    ChunksPayload,
    ChunksSame,
    Error,
    ErrorPayload,
    ServerMessage,
    decode_server,
)
from shared.vehicles import VEHICLES
from shared.world.chunks import encode
from shared.world.land import land_of
from shared.world.world import World
from tests.stepper import payload_of

SIDE = 64
TOP_MPS = 70.0
TERMS = Terms.of(SIDE * CHUNK_M, TOP_MPS, [(100.0, 100.0), (3000.0, 700.0)])
ANYWHERE = Terms.of(SIDE * CHUNK_M, TOP_MPS, [])
MIDDLE = (32.5 * CHUNK_M, 32.5 * CHUNK_M)
INDICES = st.tuples(st.integers(0, SIDE - 1), st.integers(0, SIDE - 1))
IN_REACH = st.tuples(*[st.integers(32 - REACH_CHUNKS, 32 + REACH_CHUNKS)] * 2)


def at_middle() -> Place:
    return MIDDLE


def nowhere() -> Place:
    return None


def want(*indices: Index) -> ChunksPayload:
    return ChunksPayload(list(indices))


def around(place: tuple[float, float], radius: int) -> list[Index]:
    """The square of chunks around a place, those off the map left out."""
    cx, cz = int(place[0] // CHUNK_M), int(place[1] // CHUNK_M)
    return [
        (x, z)
        for x in range(max(0, cx - radius), min(SIDE, cx + radius + 1))
        for z in range(max(0, cz - radius), min(SIDE, cz + radius + 1))
    ]


def driving(place: tuple[float, float]) -> Stream:
    """The stream of a car that has been here for long."""
    stream = Stream(TERMS)
    stream.ask(want(*around(place, 0)), None, place, -2 * MOVED_S)
    drain(stream, -2 * MOVED_S)
    return stream


def drain(stream: Stream, now_s: float = 0.0) -> list[Index]:
    return [stream.take(now_s).chunk for _ in range(len(stream.queue))]


def refused(answer: ErrorPayload | list[Index]) -> ErrorPayload:
    assert isinstance(answer, ErrorPayload), answer
    return answer


def distance(index: Index, place: tuple[float, float]) -> float:
    return math.hypot((index[0] + 0.5) * CHUNK_M - place[0], (index[1] + 0.5) * CHUNK_M - place[1])


# --- reach


@pytest.mark.parametrize("index", [(SIDE, 0), (0, SIDE), (1023, 1023)])
def test_off_the_map_is_refused_with_the_bound(index: Index) -> None:
    error = refused(Stream(ANYWHERE).ask(want((0, 0), index), 1, None, 0.0))
    assert error.code == "not_allowed"
    assert "want[1]" in error.message
    assert "0 to 63" in error.message


@given(index=INDICES, x=st.floats(0, SIDE * CHUNK_M - 0.01), z=st.floats(0, SIDE * CHUNK_M - 0.01))
def test_a_driver_gets_what_is_within_reach_and_nothing_else(index: Index, x: float, z: float) -> None:
    stream = driving((x, z))
    answer = stream.ask(want(index), None, (x, z), 0.0)
    steps = max(abs(index[0] - int(x // 64)), abs(index[1] - int(z // 64)))
    if steps <= REACH_CHUNKS:
        assert answer == []
        assert drain(stream) == [index]
    else:
        error = refused(answer)
        assert error.code == "not_allowed"
        assert f"within {REACH_CHUNKS} chunks of your car" in error.message
        assert not stream.queue


@given(index=INDICES)
def test_without_a_car_it_is_what_is_around_spawn_points(index: Index) -> None:
    near = any(max(abs(index[0] - cx), abs(index[1] - cz)) <= REACH_CHUNKS for cx, cz in [(1, 1), (46, 10)])
    answer = Stream(TERMS).ask(want(index), None, None, 0.0)
    assert (answer == []) is near
    if not near:
        assert "spawn point" in refused(answer).message


def test_without_spawn_points_it_is_the_whole_map() -> None:
    for first in range(0, SIDE * SIDE, SIDE * 8):
        index = (first % SIDE, first // SIDE)
        assert Stream(ANYWHERE).ask(want(index), None, None, 0.0) == []


def test_one_chunk_out_of_reach_refuses_the_whole_message_and_changes_nothing() -> None:
    stream = driving(MIDDLE)
    payload = ChunksPayload([(32, 32)], [(33, 33, "aa"), (60, 32, "bb")])
    error = refused(stream.ask(payload, 1, MIDDLE, 0.0))
    assert "have[1]" in error.message
    assert not stream.queue
    for _ in range(20):
        refused(stream.ask(payload, 1, MIDDLE, 0.0))
    assert stream.ask(want(*around(MIDDLE, 2)), 1, MIDDLE, 0.0) == []
    assert len(stream.queue) == 25, "refused messages cost no tokens"


@pytest.mark.parametrize("after", [(3800.0, 300.0), None], ids=["a teleport", "leaving"])
def test_what_was_asked_for_before_the_car_was_moved_is_still_given(after: Place) -> None:
    stream = Stream(TERMS)
    assert stream.ask(want((32, 32)), 1, MIDDLE, 10.0) == []
    assert stream.ask(want((33, 32)), 2, after, 11.0) == []
    assert stream.ask(want((33, 33)), 2, after, 11.0 + MOVED_S - 0.1) == []
    assert "chunk [34, 33]" in refused(stream.ask(want((34, 33)), 3, after, 11.0 + MOVED_S)).message


def test_requests_of_the_lobby_may_arrive_after_entering() -> None:
    stream = Stream(TERMS)
    assert stream.ask(want((46, 10)), 1, None, 10.0) == []
    assert stream.ask(want((47, 10)), 2, (100.0, 100.0), 10.1) == []
    refused(stream.ask(want((48, 10)), 3, (101.0, 100.0), 20.0))


# --- rate


def test_the_rate_is_the_documented_formula() -> None:
    assert math.isclose(TERMS.per_s, math.sqrt(2) * 13 * 70.0 / 64 * 1.25)
    assert TERMS.burst == QUEUE_MAX == 338
    assert TERMS.burst >= CHUNKS_MAX


def test_the_terms_of_a_world_follow_its_spawns_and_its_fastest_vehicle() -> None:
    harbour = World("harbour", 1, 4096)
    assert harbour.content is not None
    terms = Terms.of_world(harbour)
    assert terms.side == 64
    assert terms.near_spawns is not None
    for spawn in harbour.content.spawns:
        assert (int(spawn.at[0] // 64), int(spawn.at[1] // 64)) in terms.near_spawns
    assert Terms.of_world(World("open", 1, 1024)).near_spawns is None
    fastest = max(vehicle.speed_cap_mps for vehicle in VEHICLES)
    assert Terms.of_world(World("open", 1, 1024)).per_s == Terms.of(1024, fastest, []).per_s


@settings(max_examples=40, deadline=None)
@given(
    sight=st.integers(1, REACH_CHUNKS - 1),
    turns=st.lists(st.floats(0, math.tau), min_size=1, max_size=20),
    start=st.tuples(st.floats(200, 3900), st.floats(200, 3900)),
    seen_late_s=st.floats(0, 0.5),
)
def test_a_car_at_top_speed_that_wants_all_it_sees_is_never_refused(
    sight: int, turns: list[float], start: tuple[float, float], seen_late_s: float
) -> None:
    """Any course, any sight, forgetting everything out of sight but not what was sent a moment ago."""
    stream = Stream(TERMS)
    x, z = start
    trail = [start]
    known: set[Index] = set()
    for tick in range(20 * 20):
        now_s = tick / 20
        yaw = turns[tick // 20 % len(turns)]
        x = min(max(x + math.sin(yaw) * TOP_MPS / 20, 0.0), SIDE * CHUNK_M - 0.01)
        z = min(max(z + math.cos(yaw) * TOP_MPS / 20, 0.0), SIDE * CHUNK_M - 0.01)
        trail.append((x, z))
        committed = trail[max(0, len(trail) - 1 - int(seen_late_s * 20))]
        lacking = [index for index in around((x, z), sight) if index not in known]
        for first in range(0, len(lacking), CHUNKS_MAX):
            answer = stream.ask(want(*lacking[first : first + CHUNKS_MAX]), tick, committed, now_s)
            assert isinstance(answer, list), answer
        known |= set(lacking)
        drain(stream, now_s)


def test_who_asks_for_more_is_told_when_there_is_more() -> None:
    stream = Stream(TERMS)
    everything = around(MIDDLE, REACH_CHUNKS)
    now_s = 0.0
    for _ in range(2):
        for first in range(0, len(everything), CHUNKS_MAX):
            assert isinstance(stream.ask(want(*everything[first : first + CHUNKS_MAX]), 1, MIDDLE, now_s), list)
        drain(stream, now_s)
        stream._sent.clear()
    error = refused(stream.ask(want(*everything[:CHUNKS_MAX]), 1, MIDDLE, now_s))
    assert error.code == "rate_limited"
    assert error.retry_after_ms is not None
    assert error.retry_after_ms == pytest.approx(1000 * CHUNKS_MAX / TERMS.per_s, rel=0.1)
    early = now_s + error.retry_after_ms / 1000 - 0.01
    assert isinstance(stream.ask(want(*everything[:CHUNKS_MAX]), 1, MIDDLE, early), ErrorPayload)
    assert stream.ask(want(*everything[:CHUNKS_MAX]), 1, MIDDLE, early + 0.01) == []


def test_what_waits_for_a_client_that_does_not_read_is_bounded() -> None:
    stream = Stream(ANYWHERE)
    rng = random.Random(3)
    now_s = 0.0
    for _ in range(500):
        now_s += 1.0
        indices = {(rng.randrange(SIDE), rng.randrange(SIDE)) for _ in range(CHUNKS_MAX)}
        stream.ask(want(*indices), 1, None, now_s)
        assert len(stream.queue) <= QUEUE_MAX
    assert len(stream.queue) > QUEUE_MAX - CHUNKS_MAX
    error = refused(stream.ask(want(*[(cx, 63) for cx in range(32)]), 1, None, now_s + 100))
    assert error.code == "rate_limited"
    assert "read" in error.message


# --- repeats


def test_a_repeat_is_answered_without_sending_and_after_a_while_sent_again() -> None:
    stream = Stream(TERMS)
    assert stream.ask(want((32, 32), (33, 33)), 1, MIDDLE, 0.0) == []
    assert drain(stream, 0.1) == [(32, 32), (33, 33)]
    for _ in range(1000):
        assert stream.ask(want((33, 33), (32, 32)), 2, MIDDLE, 0.1 + REPEAT_S - 0.01) == [(33, 33), (32, 32)]
    assert stream.ask(want((32, 32), (31, 32)), 3, MIDDLE, 1.0) == [(32, 32)]
    assert drain(stream, 1.0) == [(31, 32)]
    assert stream.ask(want((32, 32)), 4, MIDDLE, 0.1 + REPEAT_S) == []
    assert drain(stream) == [(32, 32)]


def test_a_chunk_on_its_way_is_not_queued_twice_and_keeps_its_number() -> None:
    stream = Stream(TERMS)
    assert stream.ask(want((32, 32), (32, 32)), 1, MIDDLE, 0.0) == []
    assert stream.ask(ChunksPayload([(32, 32)], [(32, 32, "aa")]), 2, MIDDLE, 0.0) == []
    assert [(wanted.chunk, wanted.re) for wanted in stream.queue] == [((32, 32), 1)]


def test_wobbling_over_a_border_sends_nothing_twice() -> None:
    """A client that forgets all that is out of sight, to and fro over the corner of four chunks."""
    stream = Stream(TERMS)
    sent: list[Index] = []
    known: set[Index] = set()
    for tick in range(20 * 4):
        place = (32 * CHUNK_M + 3 * math.sin(tick / 5), 32 * CHUNK_M + 3 * math.cos(tick / 7))
        sight = set(around(place, 3))
        lacking = sorted(sight - known)
        if lacking:
            assert isinstance(stream.ask(want(*lacking[:32]), tick, place, tick / 20), list)
        known = (known & sight) | set(lacking[:32])
        sent += drain(stream, tick / 20)
    assert len(sent) == len(set(sent))


# --- order


@settings(max_examples=60, deadline=None)
@given(requests=st.lists(st.lists(IN_REACH, min_size=1, max_size=CHUNKS_MAX), min_size=1, max_size=6), data=st.data())
def test_everything_asked_for_comes_once_and_nearest_first(requests: list[list[Index]], data: st.DataObject) -> None:
    stream = Stream(TERMS)
    place = MIDDLE
    for number, indices in enumerate(requests):
        place = (MIDDLE[0] + data.draw(st.floats(-20, 20)), MIDDLE[1] + data.draw(st.floats(-20, 20)))
        assert stream.ask(want(*indices), number, place, 0.0) == []
    order = drain(stream)
    assert sorted(order) == sorted({index for indices in requests for index in indices})
    far = [distance(index, place) for index in order]
    assert far == sorted(far)


def test_without_a_car_chunks_come_as_they_were_asked_for() -> None:
    stream = Stream(ANYWHERE)
    stream.ask(want((9, 9), (1, 1), (5, 5)), 1, None, 0.0)
    stream.ask(want((0, 0), (60, 60)), 2, None, 0.0)
    assert drain(stream) == [(9, 9), (1, 1), (5, 5), (0, 0), (60, 60)]


# --- the desk


@dataclass(eq=False)
class FakeOutlet:
    """A socket that takes ``room`` bytes and then no more."""

    room: float = math.inf
    open: bool = True
    writes: list[bytes] = field(default_factory=list)
    said: list[ServerMessage] = field(default_factory=list)
    """Errors and other answers that came at once."""

    def send(self, message: ServerMessage) -> None:
        self.said.append(message)

    def has_room(self) -> bool:
        return sum(map(len, self.writes)) < self.room

    def offer(self, frame: bytes) -> bool:
        if self.open:
            self.writes.append(frame)
        return self.open

    def messages(self) -> list[Chunk | ChunksSame]:
        found: list[Chunk | ChunksSame] = []
        data = b"".join(self.writes)
        while data:
            size = int.from_bytes(data[2:4]) + 4 if data[1] == 126 else data[1] + 2
            message = decode_server(payload_of(data[:size]))
            assert isinstance(message, Chunk | ChunksSame)
            found.append(message)
            data = data[size:]
        return found

    def indices(self) -> list[Index]:
        return [(m.payload.cx, m.payload.cz) for m in self.messages() if isinstance(m, Chunk)]


class Loop:
    """``call_soon`` by hand."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []
        self.now_s = 0.0

    def call_soon(self, work: Callable[[], None]) -> None:
        self.waiting.append(work)

    def run_pass(self) -> bool:
        waiting, self.waiting = self.waiting, []
        for work in waiting:
            work()
        return bool(waiting)


def chunk_bytes(cx: int, cz: int, size: int = 600) -> bytes:
    chunk = encode(ChunkPayload(cx, cz, 1, "b" * max(1, size - 150), [], [], [0] * 11, [], [], f"{cx:08x}{cz:08x}"))
    assert hash_of(chunk) == f"{cx:08x}{cz:08x}"
    return chunk


def a_desk(loop: Loop, terms: Terms = ANYWHERE, size: int = 600) -> Desk:
    stock = WholeStock(SIDE, [chunk_bytes(cx, cz, size) for cz in range(SIDE) for cx in range(SIDE)])
    return Desk(stock, terms, loop.call_soon, lambda: loop.now_s)


def test_every_chunk_carries_the_number_of_its_request() -> None:
    loop = Loop()
    desk, outlet = a_desk(loop, TERMS), FakeOutlet()
    assert desk.ask(outlet, want((32, 32), (33, 32)), 7, at_middle) is None
    assert desk.ask(outlet, want((31, 32)), None, at_middle) is None
    assert desk.ask(outlet, want((60, 60)), 9, at_middle) is None
    assert not outlet.writes, "nothing is sent within the message that asks"
    while loop.run_pass():
        pass
    (refusal,) = outlet.said
    assert isinstance(refusal, Error)
    assert refusal.re == 9
    found = {(m.payload.cx, m.payload.cz): m.re for m in outlet.messages() if isinstance(m, Chunk)}
    assert found == {(32, 32): 7, (33, 32): 7, (31, 32): None}


def test_what_a_returning_client_has_is_sent_only_where_it_differs() -> None:
    loop = Loop()
    desk, outlet = a_desk(loop), FakeOutlet()
    have = [(1, 1, "0000000100000001"), (2, 2, "old"), (3, 3, "0000000300000003")]
    assert desk.ask(outlet, ChunksPayload([(4, 4)], have), 5, nowhere) is None
    loop.run_pass()
    messages = outlet.messages()
    assert outlet.indices() == [(4, 4), (2, 2)]
    assert all(message.re == 5 for message in messages)
    (same,) = (message for message in messages if isinstance(message, ChunksSame))
    assert same.payload.chunks == [(1, 1), (3, 3)]
    desk.ask(outlet, want((2, 2), (1, 1)), 6, nowhere)
    loop.run_pass()
    (again,) = outlet.said
    assert again == ChunksSame(type(same.payload)([(2, 2), (1, 1)]), re=6)
    assert desk.chunks_sent == 2


@settings(max_examples=30, deadline=None)
@given(
    wishes=st.lists(st.lists(INDICES, min_size=1, max_size=CHUNKS_MAX, unique=True), min_size=1, max_size=20),
    size=st.integers(200, 8000),
)
def test_a_pass_is_bounded_nobody_is_forgotten_and_nobody_waits_for_another(
    wishes: list[list[Index]], size: int
) -> None:
    loop = Loop()
    desk = a_desk(loop, size=size)
    outlets = [FakeOutlet() for _ in wishes]
    for outlet, indices in zip(outlets, wishes, strict=True):
        assert desk.ask(outlet, want(*indices), None, nowhere) is None
    with mock.patch.object(streaming, "PASS_REQUESTS", 1000), mock.patch.object(streaming, "PASS_TURNS", 0):
        loop.run_pass()  # judges all, so that turns can be compared from the first one on
    before = [0, 0]
    per_frame = size + 100
    while loop.run_pass():
        did = [desk.chunks_sent - before[0], desk.bytes_sent - before[1]]
        before = [desk.chunks_sent, desk.bytes_sent]
        assert did[0] < PASS_CHUNKS + SLICE_CHUNKS
        assert did[1] < PASS_BYTES + SLICE_BYTES + per_frame
        turns = [len(outlet.writes) for outlet in outlets]
        pending = [
            turn for turn, outlet, wish in zip(turns, outlets, wishes, strict=True) if len(outlet.indices()) < len(wish)
        ]
        assert max(turns) - min(pending, default=max(turns)) <= 1, "turns are taken in turn"
    for outlet, indices in zip(outlets, wishes, strict=True):
        assert outlet.indices() == indices


def test_a_thousand_clients_at_once_cost_a_pass_no_more_than_one() -> None:
    loop = Loop()
    desk = a_desk(loop, TERMS)
    outlets = [FakeOutlet() for _ in range(1000)]
    sight = sorted(around(MIDDLE, 3), key=lambda index: distance(index, MIDDLE), reverse=True)
    for outlet in outlets:
        for first in range(0, len(sight), CHUNKS_MAX):
            desk.ask(outlet, want(*sight[first : first + CHUNKS_MAX]), None, at_middle)
    most_chunks = most_bytes = most_writes = 0
    before = (0, 0, 0)
    most_asks = asks = 0
    while loop.run_pass():
        waiting = sum(len(stream.requests) for stream in desk._streams.values())
        most_asks, asks = max(most_asks, asks - waiting if asks else 0), waiting
        now = desk.chunks_sent, desk.bytes_sent, sum(len(outlet.writes) for outlet in outlets)
        most_chunks = max(most_chunks, now[0] - before[0])
        most_bytes = max(most_bytes, now[1] - before[1])
        most_writes = max(most_writes, now[2] - before[2])
        before = now
    assert desk.chunks_sent == 49_000
    assert most_chunks < PASS_CHUNKS + SLICE_CHUNKS
    assert most_bytes <= PASS_BYTES + SLICE_BYTES
    assert most_writes <= PASS_TURNS
    assert 0 < most_asks <= PASS_REQUESTS + 1
    for outlet in outlets:
        far = [distance(index, MIDDLE) for index in outlet.indices()]
        assert far == sorted(far)


def test_a_socket_without_room_loses_its_turn_until_the_next_tick_and_then_goes_on() -> None:
    loop = Loop()
    desk = a_desk(loop)
    slow, quick = FakeOutlet(room=5_000), FakeOutlet()
    indices = [(cx, cz) for cz in range(2) for cx in range(16)]
    for outlet in (slow, quick):
        desk.ask(outlet, want(*indices), None, nowhere)
    while loop.run_pass():
        pass
    assert quick.indices() == indices
    assert 0 < len(slow.indices()) < len(indices)
    assert sum(map(len, slow.writes)) < 5_000 + SLICE_BYTES + 1000
    desk.ask(slow, want((40, 40)), None, nowhere)
    desk.ticked()
    assert loop.run_pass()
    assert not loop.run_pass(), "a socket that stays full is looked at once per tick"
    slow.room = math.inf
    desk.ticked()
    while loop.run_pass():
        pass
    assert slow.indices() == [*indices, (40, 40)]


def test_a_connection_that_ended_is_forgotten_with_all_it_asked_for() -> None:
    loop = Loop()
    desk = a_desk(loop)
    gone, ending, choked, here = FakeOutlet(), FakeOutlet(open=False), FakeOutlet(room=0), FakeOutlet()
    for outlet in (gone, ending, choked, here):
        desk.ask(outlet, want((1, 1), (2, 2)), None, nowhere)
    desk.forget(gone)
    desk.forget(gone)
    loop.run_pass()
    desk.forget(choked)
    choked.room = math.inf
    desk.ticked()
    while loop.run_pass():
        pass
    assert not gone.writes
    assert not ending.writes
    assert not choked.writes
    assert here.indices() == [(1, 1), (2, 2)]
    assert desk.chunks_sent == 2
    assert list(desk._streams) == [ending, here]


def test_one_pass_makes_at_most_one_group_of_a_large_world() -> None:
    loop = Loop()
    stock = LazyStock(land_of(World("open", 1, 64 * 64)))
    desk = Desk(stock, ANYWHERE, loop.call_soon, lambda: 0.0)
    outlets = [FakeOutlet() for _ in range(4)]
    for number, outlet in enumerate(outlets):
        desk.ask(outlet, want(*[(cx, 8 * number) for cx in range(0, 32, 2)]), None, nowhere)
    made = 0
    while loop.run_pass():
        assert stock.groups_made - made <= 1
        made = stock.groups_made
    assert made == 4 * 8
    assert all(len(outlet.indices()) == 16 for outlet in outlets)


def test_a_fault_of_the_stock_stops_nobody_else() -> None:
    class Broken(WholeStock):
        def get(self, cx: int, cz: int) -> bytes:
            if (cx, cz) == (1, 1):
                raise MemoryError
            return super().get(cx, cz)

    loop = Loop()
    broken = Broken(SIDE, [chunk_bytes(cx, cz) for cz in range(SIDE) for cx in range(SIDE)])
    desk = Desk(broken, ANYWHERE, loop.call_soon, lambda: 0.0)
    unlucky, other = FakeOutlet(), FakeOutlet()
    desk.ask(unlucky, want((1, 1), (2, 2)), None, nowhere)
    desk.ask(other, want((3, 3)), None, nowhere)
    with pytest.raises(MemoryError):
        loop.run_pass()
    while loop.run_pass():
        pass
    assert other.indices() == [(3, 3)]
    desk.ask(unlucky, want((4, 4)), None, nowhere)
    while loop.run_pass():
        pass
    assert unlucky.indices() == [(2, 2), (4, 4)]


def test_requests_are_judged_where_the_car_is_then_and_so_many_wait() -> None:
    loop = Loop()
    desk, outlet = a_desk(loop, TERMS), FakeOutlet()
    where = [MIDDLE]
    for number in range(WAITING_MAX):
        assert desk.ask(outlet, want((60, 60)), number, lambda: where[0]) is None
    refusal = desk.ask(outlet, want((60, 60)), 99, lambda: where[0])
    assert refusal is not None
    assert (refusal.code, refusal.retry_after_ms) == ("rate_limited", 1000)
    where[0] = (60.5 * CHUNK_M, 60.5 * CHUNK_M)
    while loop.run_pass():
        pass
    assert outlet.indices() == [(60, 60)]
    assert not outlet.said
    assert desk.ask(outlet, want((61, 60)), 100, lambda: where[0]) is None


def test_all_that_a_client_has_asked_for_is_judged_together() -> None:
    loop = Loop()
    desk, outlet, others = a_desk(loop, TERMS), FakeOutlet(), [FakeOutlet() for _ in range(2 * PASS_REQUESTS)]
    for other in others:
        desk.ask(other, want((32, 32)), None, at_middle)
    farthest_first = sorted(around(MIDDLE, 4), key=lambda index: -distance(index, MIDDLE))
    for first in range(0, len(farthest_first), 16):
        desk.ask(outlet, want(*farthest_first[first : first + 16]), None, at_middle)
    while loop.run_pass():
        pass
    far = [distance(index, MIDDLE) for index in outlet.indices()]
    assert len(far) == 81
    assert far == sorted(far)


def test_requests_of_a_connection_that_ended_are_dropped() -> None:
    loop = Loop()
    desk, outlet = a_desk(loop), FakeOutlet()
    desk.ask(outlet, want((1, 1)), None, nowhere)
    desk.forget(outlet)
    while loop.run_pass():
        pass
    assert not outlet.writes
    assert not outlet.said
