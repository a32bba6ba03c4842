"""The modelled network is TCP: nothing is lost, nothing overtakes. The modelled front thins and files as main does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipc.layout import SAMPLE
from scripts.fair.front import Front, thin
from scripts.fair.line import SWING_MS, Alarms, Line, Wire
from shard.access.bucket import Bucket
from shard.access.budget import RATES
from shared.constants import RING_PENDING_MAX, ROUNDS_MAX

START_MS = 1.75e12
NOBODY = np.empty(0, np.intp)


def line(
    count: int = 1,
    seed: int = 1,
    delay_ms: float = 40.0,
    jitter_ms: float = 0.0,
    stall_every_ms: float = 0.0,
    stall_ms: float = 0.0,
    swing_every_ms: float = 0.0,
    swing_ms: float = 0.0,
) -> Line:
    values = (delay_ms, jitter_ms, stall_every_ms, stall_ms, swing_every_ms, swing_ms)
    delay, jitter, stall_every, stall, swing_every, swing = (np.full(count, value) for value in values)
    return Line(delay, jitter, stall_every, stall, swing_every, swing, np.random.default_rng(seed), START_MS)


def numbered(numbers: np.ndarray[tuple[int], np.dtype[np.int64]]) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    samples = np.zeros(len(numbers), SAMPLE)
    samples["seq"] = numbers
    return samples


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    jitter_ms=st.sampled_from([0.0, 30.0, 300.0]),
    stall_ms=st.sampled_from([0.0, 200.0, 10_000.0]),
    swing_ms=st.sampled_from([0.0, 2000.0]),
)
def test_everything_arrives_once_and_in_order(seed: int, jitter_ms: float, stall_ms: float, swing_ms: float) -> None:
    count = 5
    rng = np.random.default_rng(seed)
    tcp = line(count, seed, 20.0, jitter_ms, 800.0 if stall_ms else 0.0, stall_ms, 900.0, swing_ms)
    wire = Wire(count)
    sent = np.zeros(count, np.int64)
    got: list[list[int]] = [[] for _ in range(count)]
    now_ms = START_MS
    for _ in range(300):
        now_ms += 50.0
        tcp.pass_time(now_ms)
        who = np.flatnonzero(rng.random(count) < 0.7)
        sent[who] += 1
        due_ms = tcp.arrivals_ms(who, np.full(len(who), now_ms))
        assert (due_ms >= now_ms + 20.0).all()
        wire.put(who, numbered(sent[who]), due_ms)
        for _ in range(2):
            here, counts = wire.arrived(now_ms)
            for slot, several in zip(here.tolist(), counts.tolist(), strict=True):
                samples, due = wire.look(np.full(several, slot), np.arange(several))
                assert (due <= now_ms).all()
                assert (np.diff(due) >= 0.0).all()
                got[slot] += samples["seq"].tolist()
            wire.drop(here, counts)
    here, counts = wire.arrived(now_ms + 1e9)
    for slot, several in zip(here.tolist(), counts.tolist(), strict=True):
        got[slot] += wire.look(np.full(several, slot), np.arange(several))[0]["seq"].tolist()
    assert got == [list(range(1, int(number) + 1)) for number in sent]


def test_nothing_arrives_during_a_stall_and_all_of_it_at_its_end() -> None:
    tcp = line(stall_every_ms=1000.0, stall_ms=3000.0)
    who = np.zeros(1, np.intp)
    due = [float(tcp.arrivals_ms(who, np.array([START_MS + at]))[0]) - START_MS for at in range(0, 20_000, 50)]
    gaps = np.diff(due)
    assert (gaps >= 0.0).all()
    silences = gaps[gaps > 60.0]
    assert len(silences) >= 2
    assert silences == pytest.approx(np.full(len(silences), 3000.0), abs=50.0)
    lumps = [due.count(at) for at in {*due} if due.count(at) > 1]
    assert min(lumps[:-1] or lumps) >= 55, "60 samples of 3 s come at once"


def test_a_line_that_swings_is_slow_for_a_while_and_then_delivers_at_once() -> None:
    tcp = line(delay_ms=0.0, swing_every_ms=5000.0, swing_ms=2000.0)
    who = np.zeros(1, np.intp)
    late = []
    for at in range(0, 20_000, 50):
        tcp.pass_time(START_MS + at)
        late.append(float(tcp.arrivals_ms(who, np.array([START_MS + at]))[0]) - START_MS - at)
    assert max(late) == pytest.approx(2000.0)
    assert min(late) == 0.0
    assert sum(each == pytest.approx(2000.0) for each in late) >= SWING_MS / 50.0


def test_alarms_ring_as_often_as_they_should_and_never_where_they_must_not() -> None:
    alarms = Alarms(np.array([1000.0, 0.0]), 0.0, np.random.default_rng(1))
    rings = np.concatenate([alarms.ring(float(now_ms)) for now_ms in range(0, 100_000, 10)])
    assert set(rings.tolist()) == {0}
    assert 80 <= len(rings) <= 120


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**31), players=st.integers(1, 4))
def test_samples_are_thinned_as_by_the_real_bucket(seed: int, players: int) -> None:
    rng = np.random.default_rng(seed)
    buckets = [Bucket(*RATES["move"]) for _ in range(players)]
    paid = np.full(players, -np.inf)
    now_ms = 1e6
    for _ in range(30):
        now_ms += float(rng.choice([50.37, 49.1, 401.9, 5003.3]))  # no multiple of the interval: rounding decides ties
        count = rng.choice([0, 1, 2, 3, 40, 90], players)
        owner = np.repeat(np.arange(players), count)
        offset = np.concatenate([np.arange(number) for number in count]).astype(np.int64)
        lump = rng.random(players) < 0.5
        recv = [
            np.full(number, now_ms) if lump[who] else np.sort(now_ms - rng.uniform(0.0, 50.0, number))
            for who, number in enumerate(count)
        ]
        recv_ms = np.concatenate(recv)
        taken, paid = thin(paid, recv_ms, owner, offset, count)
        wanted = [buckets[who].take(float(at) / 1000.0) == 0.0 for who, at in zip(owner.tolist(), recv_ms, strict=True)]
        assert taken.tolist() == wanted


def test_a_full_ring_makes_samples_wait_and_loses_none() -> None:
    """A zone that is late for 4 s: main stops reading at 64 that wait, and stamps the rest when it reads on."""
    front, wire = Front(1), Wire(1)
    tail, who = np.zeros(1, np.uint32), np.zeros(1, np.intp)
    judged: list[int] = []
    stamps: list[float] = []
    most = 0
    for tick in range(160):
        now_ms = START_MS + 50.0 * tick
        if tick < 100:
            wire.put(who, numbered(np.array([tick])), np.array([now_ms]))
        front.receive(wire, now_ms, tail)
        pending = int(front.heads[0] - tail[0])
        most = max(most, pending)
        for _ in range(min(pending, ROUNDS_MAX if tick >= 80 else 0)):
            entry = front.read(who, tail)
            judged.append(int(entry["seq"][0]))
            stamps.append(float(entry["recv_ms"][0]))
            tail += np.uint32(1)
    assert most == RING_PENDING_MAX
    assert judged == list(range(100)), "20 Hz is within the allowance: all are judged, in order"
    assert front.thinned[0] == 0
    assert stamps == sorted(stamps)
    sent_ms = [START_MS + 50.0 * number for number in range(100)]
    assert stamps[:65] == sent_ms[:65], "the one that found the ring full had been read"
    assert all(stamp > sent for stamp, sent in zip(stamps[65:81], sent_ms[65:81], strict=True)), "the socket waited"
    assert stamps[-5:] == sent_ms[-5:]


def test_a_lump_of_any_size_arrives_whole() -> None:
    wire, who = Wire(1), np.zeros(1, np.intp)
    for number in range(300):
        wire.put(who, numbered(np.array([number])), np.array([START_MS + (0.0 if number < 299 else 1.0)]))
    assert wire.arrived(START_MS)[1].tolist() == [299]
    assert wire.arrived(START_MS + 1.0)[1].tolist() == [300]


def test_what_comes_while_main_stands_still_is_stamped_when_it_wakes() -> None:
    front, wire = Front(1), Wire(1)
    who, tail = np.zeros(1, np.intp), np.zeros(1, np.uint32)
    for number in range(4):
        wire.put(who, numbered(np.array([number])), np.array([START_MS + 50.0 * number]))
    front.receive(wire, START_MS + 200.0, tail, stood_ms=START_MS + 200.0)
    entries = [front.read(who, np.array([position], np.uint32))["recv_ms"][0] for position in range(4)]
    assert entries == [START_MS + 200.0] * 4


def test_a_cut_connection_loses_what_was_under_way_only() -> None:
    wire = Wire(2)
    both = np.arange(2)
    wire.put(both, numbered(np.array([1, 1])), np.full(2, START_MS))
    wire.clear(np.array([0]))
    who, count = wire.arrived(START_MS)
    assert (who.tolist(), count.tolist()) == ([1], [1])
    wire.put(both, numbered(np.array([2, 2])), np.full(2, START_MS))
    who, count = wire.arrived(START_MS)
    assert (who.tolist(), count.tolist()) == ([0, 1], [1, 2])
    assert wire.arrived(START_MS - 1.0)[0].tolist() == NOBODY.tolist()
