"""The input ring against a plain list: every sample is read once, in order, and none is overwritten unread."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ipc.block import Block, create
from ipc.input_ring import InputReader, InputWriter
from ipc.layout import SAMPLE, Geometry, input_dtype
from shared.constants import RING_ENTRIES, RING_PENDING_MAX, ROUNDS_MAX
from shared.messages import MovePayload

SLOTS = 3
GEOMETRY = Geometry(SLOTS, 1)
DTYPE = input_dtype(GEOMETRY)
WRAP = 2**32

Sample = tuple[float, float, float, float, float, float, float, float, float, int, int]


class Ring:
    def __init__(self) -> None:
        self.block: Block = create(uuid4().hex[:8], "input", DTYPE, GEOMETRY)
        self.writer = InputWriter(self.block)
        self.reader = InputReader(self.block)

    def bytes(self) -> bytes:
        data: bytes = self.block.record.tobytes()
        return data

    def read(self, slot: int, position: int) -> Sample:
        [record] = self.reader.read(np.array([slot], np.intp), np.array([position], np.uint32))
        sample: Sample = record.item()
        return sample

    def counters(self, first: int) -> None:
        """All counters of both sides begin at ``first``."""
        self.writer.heads[:] = first
        self.writer.tails[:] = first

    def close(self) -> None:
        self.writer.release()
        self.reader.release()
        self.block.close()


@pytest.fixture(scope="module")
def ring() -> Iterator[Ring]:
    opened = Ring()
    yield opened
    opened.close()


def numbered(slot: int, number: int) -> Sample:
    """A sample whose every field tells slot and number."""
    at = float(1000 * slot + number)
    return (
        at,
        at + 0.01,
        at + 0.02,
        at + 0.03,
        at + 0.04,
        at + 0.05,
        at + 0.06,
        at + 0.07,
        at + 0.08,
        number % WRAP,
        slot,
    )


def as_move(sample: Sample) -> tuple[float, MovePayload]:
    """The sample as it comes from a client, behind its time of receipt."""
    recv_ms, t_ms, x, y, z, yaw, vx, vy, vz, epoch, seq = sample
    return recv_ms, MovePayload(epoch, seq, t_ms, x, z, yaw, vx, vz, y, vy)


class Model:
    """One slot's ring as plain lists: what was written, what the zone knows of, what it has judged."""

    def __init__(self, slot: int, first: int) -> None:
        self.slot = slot
        self.first = first
        self.written: list[Sample] = []
        self.published = 0
        self.judged = 0
        self.committed = 0

    def position(self, number: int) -> int:
        return (self.first + number) % WRAP


Step = tuple[Literal["write", "publish", "judge", "commit"], int, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "write", "publish", "judge", "judge", "commit"]),
        st.integers(0, SLOTS - 1),
        st.integers(1, 40),
    ),
    max_size=120,
)


def write(ring: Ring, model: Model, count: int) -> None:
    for _ in range(count):
        sample = numbered(model.slot, len(model.written))
        fits = len(model.written) - model.committed < RING_PENDING_MAX
        assert ring.writer.write(model.slot, *as_move(sample)) is fits
        if fits:
            model.written.append(sample)


def judge(ring: Ring, model: Model, count: int) -> None:
    """A zone takes samples from its tail up to the head that it was told, a few per tick."""
    for _ in range(min(count, ROUNDS_MAX, model.published - model.judged)):
        assert ring.read(model.slot, model.position(model.judged)) == model.written[model.judged]
        model.judged += 1


@settings(max_examples=60, deadline=None)
@given(first=st.sampled_from([0, 5, WRAP - 1, WRAP - 70, WRAP - 200, 2**31]), steps=STEPS)
def test_any_interleaving_of_writes_and_reads_is_a_plain_queue(ring: Ring, first: int, steps: list[Step]) -> None:
    ring.counters(first)
    models = [Model(slot, first) for slot in range(SLOTS)]
    for kind, slot, count in steps:
        model = models[slot]
        if kind == "write":
            write(ring, model, count)
        elif kind == "publish":
            model.published = len(model.written)
        elif kind == "judge":
            judge(ring, model, count)
        else:
            model.committed = model.judged
            ring.writer.tails[slot] = model.position(model.judged)
        for each in models:
            check(ring, each)


def check(ring: Ring, model: Model) -> None:
    """What waits and what was judged last lies there as it was written; counters tell how much."""
    assert int(ring.writer.heads[model.slot]) == model.position(len(model.written))
    assert ring.writer.pending(model.slot) == len(model.written) - model.committed
    for number in range(model.committed, len(model.written)):
        assert ring.read(model.slot, model.position(number)) == model.written[number]
    evidence = ring.reader.evidence(model.slot, model.position(model.committed))
    assert len(evidence) == RING_PENDING_MAX
    known = model.written[max(model.committed - RING_PENDING_MAX, 0) : model.committed]
    assert [record.item() for record in evidence[RING_PENDING_MAX - len(known) :]] == known


def test_the_steps_of_the_property_fill_the_ring_and_wrap_the_counters(ring: Ring) -> None:
    """A fixed run through every corner: full, drained by eights, full again, over the counters' end."""
    ring.counters(WRAP - 100)
    model = Model(1, WRAP - 100)
    for _ in range(12):
        write(ring, model, 40)
        model.published = len(model.written)
        for _ in range(4):
            judge(ring, model, ROUNDS_MAX)
        model.committed = model.judged
        ring.writer.tails[1] = model.position(model.judged)
        check(ring, model)
    assert len(model.written) > 100 + RING_ENTRIES
    assert int(ring.writer.heads[1]) < WRAP - 100, "the counter went over its end"


@pytest.mark.parametrize("first", [0, WRAP - 64, WRAP - 1])
def test_a_full_ring_says_so_and_writes_nothing(ring: Ring, first: int) -> None:
    ring.counters(first)
    for number in range(RING_PENDING_MAX):
        assert ring.writer.write(0, *as_move(numbered(0, number)))
    before, heads = ring.bytes(), ring.writer.heads.tolist()
    assert not ring.writer.write(0, *as_move(numbered(0, 99)))
    assert ring.bytes() == before
    assert ring.writer.heads.tolist() == heads
    assert ring.writer.write(1, *as_move(numbered(1, 0))), "another slot has room of its own"
    ring.writer.tails[0] = (first + 1) % WRAP
    assert ring.writer.write(0, *as_move(numbered(0, 99)))
    assert not ring.writer.write(0, *as_move(numbered(0, 100)))


def test_judged_samples_that_are_not_committed_yet_take_room(ring: Ring) -> None:
    """If the zone dies before its Done is taken, its successor judges them again."""
    ring.counters(0)
    for number in range(RING_PENDING_MAX):
        ring.writer.write(2, *as_move(numbered(2, number)))
    for number in range(10):  # the zone reads ten; nobody has taken its Done
        assert ring.read(2, number) == numbered(2, number)
    assert not ring.writer.write(2, *as_move(numbered(2, 64)))
    assert [ring.read(2, number) for number in range(10)] == [numbered(2, number) for number in range(10)]


def test_a_write_touches_one_entry_only(ring: Ring) -> None:
    ring.counters(WRAP - 1)
    for slot in range(SLOTS):
        before = np.frombuffer(ring.bytes(), np.uint8)
        assert ring.writer.write(slot, *as_move(numbered(slot, 7)))
        changed = np.flatnonzero(np.frombuffer(ring.bytes(), np.uint8) != before)
        start = DTYPE["header"].itemsize + (slot * RING_ENTRIES + RING_ENTRIES - 1) * SAMPLE.itemsize
        assert start <= changed.min()
        assert changed.max() < start + SAMPLE.itemsize


@settings(max_examples=60, deadline=None)
@given(
    numbers=st.tuples(*[st.floats(allow_nan=True, allow_infinity=True)] * 9),
    epoch=st.integers(0, WRAP - 1),
    seq=st.integers(0, WRAP - 1),
)
def test_every_field_arrives_to_the_last_bit(ring: Ring, numbers: tuple[float, ...], epoch: int, seq: int) -> None:
    ring.counters(3)
    recv_ms, t_ms, x, y, z, yaw, vx, vy, vz = numbers
    assert ring.writer.write(1, recv_ms, MovePayload(epoch, seq, t_ms, x, z, yaw, vx, vz, y, vy))
    [record] = ring.reader.read(np.array([1], np.intp), np.array([3], np.uint32))
    assert np.array(list(record.item())[:9]).tobytes() == np.array(numbers).tobytes()
    assert (int(record["epoch"]), int(record["seq"])) == (epoch, seq)


def test_the_fields_go_where_their_names_say(ring: Ring) -> None:
    ring.counters(0)
    move = MovePayload(epoch=10, seq=11, t=2.0, x=3.0, z=5.0, yaw=6.0, vx=7.0, vz=9.0, y=None, vy=8.0)
    assert ring.writer.write(0, 1.0, move)
    [record] = ring.reader.read(np.array([0], np.intp), np.array([0], np.uint32))
    assert np.isnan(record["y"])
    told = {name: float(record[name]) for name in SAMPLE.names or () if name != "y"}
    assert told == {
        "recv_ms": 1.0,
        "t_ms": 2.0,
        "x": 3.0,
        "z": 5.0,
        "yaw": 6.0,
        "vx": 7.0,
        "vy": 8.0,
        "vz": 9.0,
        "epoch": 10.0,
        "seq": 11.0,
    }


def test_many_slots_are_read_at_once_each_at_its_own_position(ring: Ring) -> None:
    ring.counters(0)
    for slot in range(SLOTS):
        for number in range(slot + 1):
            ring.writer.write(slot, *as_move(numbered(slot, number)))
    slots: NDArray[np.intp] = np.array([2, 0, 1], np.intp)
    records = ring.reader.read(slots, np.array([2, 0, 1], np.uint32))
    assert [record.item() for record in records] == [numbered(2, 2), numbered(0, 0), numbered(1, 1)]


def test_what_was_read_is_a_copy(ring: Ring) -> None:
    ring.counters(0)
    ring.writer.write(0, *as_move(numbered(0, 0)))
    records = ring.reader.read(np.array([0], np.intp), np.array([0], np.uint32))
    records["x"] = -1.0
    assert ring.read(0, 0) == numbered(0, 0)


@pytest.mark.parametrize("first", [0, WRAP - 2])
def test_a_new_player_starts_behind_what_the_last_one_left(ring: Ring, first: int) -> None:
    ring.counters(first)
    for number in range(5):
        ring.writer.write(1, *as_move(numbered(1, number)))
    ring.writer.write(0, *as_move(numbered(0, 0)))
    assert ring.writer.rewind(1) == (first + 5) % WRAP
    assert ring.writer.pending(1) == 0
    assert ring.writer.pending(0) == 1, "other slots keep what they have"
    assert ring.writer.write(1, *as_move(numbered(1, 77)))
    assert ring.read(1, (first + 5) % WRAP) == numbered(1, 77)
