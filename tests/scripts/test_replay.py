"""What was recorded comes out again, tick by tick; what was tampered with is found where it was."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import numpy as np
import pytest

from ipc.control import Reidentify
from ipc.layout import SAMPLE
from ipc.record import MAGIC, Committed, Header, Key, Piece, RecordFault, Sent, frame, pieces
from scripts import replay as program
from scripts.replay import replay
from shard.fleet.recorder import Recorder, header_of, segments
from shared.thresholds import Mode
from tests.stepper import PERIOD_MS, Death, InlineZone, ShardStepper

SIZE_M = 256
NAMES = [f"player-{number}" for number in range(8)]


def record(shard: ShardStepper, directory: Path, anticheat: Mode = "off", **limits: int) -> Recorder:
    header = header_of(
        shard.memory,
        shard.world,
        shard.zone_map,
        shard.realm.land.vehicles,
        anticheat,
        0,
        PERIOD_MS,
    )
    shard.realm.recorder = Recorder(directory, header, shard.memory, **limits)
    return shard.realm.recorder


def drive(shard: ShardStepper, ticks: int, rng: random.Random) -> None:
    """Around the border of two zones."""
    for _ in range(ticks):
        for name in NAMES:
            if shard.realm.occupant(name) is None or not shard.clients[name].placements:
                continue
            x, z = SIZE_M / 2 + rng.uniform(-25, 25), SIZE_M / 2 + rng.uniform(-25, 25)
            for _ in range(rng.randrange(3)):
                shard.move(name, x, z, 3.0)
            if rng.random() < 0.1:
                shard.put(name, x, z)
        shard.step()


def inline(shard: ShardStepper, zone: int) -> InlineZone:
    link = shard.links[zone]
    assert isinstance(link, InlineZone)
    return link


def play(directory: Path, ticks: int = 40, anticheat: Mode = "off", **limits: int) -> None:
    """A recorded run: players come, drive, are handed off, leave and come again, and one zone is late."""
    rng = random.Random(3)
    with ShardStepper(2, SIZE_M, 8, anticheat=anticheat) as shard:
        recorder = record(shard, directory, anticheat, **limits)
        for name in NAMES:
            shard.enter(name)
        drive(shard, ticks // 2, rng)
        shard.realm.leave(NAMES[0])
        shard.realm.hold(NAMES[1])
        inline(shard, 1).held = []
        drive(shard, 3, rng)
        inline(shard, 1).release_held()
        shard.collect()
        drive(shard, 5, rng)
        shard.enter(NAMES[0])
        drive(shard, ticks // 2, rng)
        assert shard.realm.barrier.ledger.count > 5
        recorder.close()
        assert recorder.dropped == 0


def all_of(directory: Path) -> list[Piece]:
    [path] = segments(directory)
    return list(pieces(path.read_bytes(), path.name))


def rewrite(directory: Path, whole: list[Piece]) -> None:
    [path] = segments(directory)
    path.write_bytes(MAGIC + b"".join(map(frame, whole)))


def test_a_recorded_run_comes_out_equal(tmp_path: Path) -> None:
    play(tmp_path)
    told, difference = replay(tmp_path)
    assert difference is None
    commits = sum(isinstance(piece, Committed) for piece in all_of(tmp_path))
    assert commits > 80
    assert f"1 segments, {commits} ticks of zones, 0 take-overs: equal" in told[0]


def test_judgements_come_out_equal(tmp_path: Path) -> None:
    play(tmp_path, anticheat="enforce")
    assert replay(tmp_path)[1] is None
    whole = all_of(tmp_path)
    header = whole[0]
    assert isinstance(header, Header)
    rewrite(tmp_path, [msgspec.structs.replace(header, anticheat="off"), *whole[1:]])
    assert replay(tmp_path)[1] is not None, "without the judge it is another run"


def test_a_changed_sample_is_found_at_its_tick_and_slot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play(tmp_path)
    whole = all_of(tmp_path)
    at = next(
        at for at, piece in enumerate(whole) if isinstance(piece, Sent) and piece.tick.tick > 20 and piece.samples.slots
    )
    sent = whole[at]
    assert isinstance(sent, Sent)
    slots = np.frombuffer(sent.samples.slots, "u4")
    counts = np.frombuffer(sent.samples.counts, "u4")
    samples = np.frombuffer(sent.samples.records, SAMPLE).copy()
    last = int(counts[0]) - 1
    samples["x"][last] = np.nextafter(samples["x"][last], np.inf)
    whole[at] = msgspec.structs.replace(sent, samples=msgspec.structs.replace(sent.samples, records=samples.tobytes()))
    rewrite(tmp_path, whole)
    _, difference = replay(tmp_path)
    assert difference is not None
    assert (difference.zone, difference.tick) == (sent.zone, sent.tick.tick)
    assert difference.slots == (slots[0],)
    assert "pos" in difference.columns
    assert program.main([str(tmp_path)]) == 1
    shown = capsys.readouterr().out
    assert f"zone {sent.zone}, tick {sent.tick.tick}, slot {slots[0]}, column pos" in shown


def test_a_changed_digest_and_a_changed_event_are_found(tmp_path: Path) -> None:
    play(tmp_path)
    whole = all_of(tmp_path)
    at, commit = next(
        (at, piece) for at, piece in enumerate(whole) if isinstance(piece, Committed) and piece.tick == 30
    )
    for changed in (
        msgspec.structs.replace(commit, rows=bytes(len(commit.rows))),
        msgspec.structs.replace(commit, events=commit.events ^ 1),
        msgspec.structs.replace(commit, judged=commit.judged + 1),
        msgspec.structs.replace(commit, slots=commit.slots[4:]),
    ):
        rewrite(tmp_path, [*whole[:at], changed, *whole[at + 1 :]])
        _, difference = replay(tmp_path)
        assert difference is not None
        assert (difference.zone, difference.tick) == (commit.zone, 30)


def test_a_takeover_is_replayed_as_well(tmp_path: Path) -> None:
    rng = random.Random(7)
    with ShardStepper(2, SIZE_M, 8) as shard:
        recorder = record(shard, tmp_path)
        for name in NAMES:
            shard.enter(name)
        deaths: tuple[Death, ...] = ("told", "written", "said")
        for death in deaths:
            drive(shard, 8, rng)
            inline(shard, 1).dies = death
            drive(shard, 2, rng)
            shard.replace(1)
            shard.collect()
        drive(shard, 8, rng)
        recorder.close()
    told, difference = replay(tmp_path)
    assert difference is None
    assert "3 take-overs" in told[0]


def test_another_car_and_name_are_recorded_with_the_tick_that_tells_the_zone(tmp_path: Path) -> None:
    with ShardStepper(2, SIZE_M, 8) as shard:
        recorder = record(shard, tmp_path)
        shard.enter(NAMES[0])
        shard.step(3)
        body = shard.body(NAMES[0])
        shard.realm.barrier.command(Reidentify(body.slot, body.generation, "other", 2))
        shard.step(3)
        recorder.close()
    [sent] = [
        piece for piece in all_of(tmp_path) if isinstance(piece, Sent) and piece.tick.commands and piece.tick.tick > 3
    ]
    assert [(each.slot, each.name, each.vehicle) for each in sent.seated] == [(body.slot, b"other", 2)]
    assert replay(tmp_path)[1] is None


def test_each_sample_is_recorded_once(tmp_path: Path) -> None:
    with ShardStepper(2, SIZE_M, 8) as shard:
        recorder = record(shard, tmp_path)
        shard.enter(NAMES[0])
        shard.step(3)
        for number in range(20):
            shard.move(NAMES[0], 100.0 + number, 100.0)
            shard.step(number % 3)
        shard.step()
        recorder.close()
    records = b"".join(piece.samples.records for piece in all_of(tmp_path) if isinstance(piece, Sent | Key))
    assert np.frombuffer(records, SAMPLE)["seq"].tolist() == list(range(1, 21))


def test_dropped_samples_and_an_evacuation_are_replayed(tmp_path: Path) -> None:
    rng = random.Random(9)
    with ShardStepper(2, SIZE_M, 8) as shard:
        recorder = record(shard, tmp_path)
        for name in NAMES:
            shard.enter(name)
        drive(shard, 10, rng)
        for sacrifice in (shard.realm.drop_samples, shard.realm.evacuate):
            inline(shard, 0).dies = "told"
            drive(shard, 2, rng)
            assert sacrifice(0) > 0
            shard.replace(0)
            shard.collect()
            drive(shard, 6, rng)
        recorder.close()
    told, difference = replay(tmp_path)
    assert difference is None
    assert "2 take-overs" in told[0]


def test_the_oldest_segments_go_and_the_rest_can_be_replayed(tmp_path: Path) -> None:
    play(tmp_path, ticks=200, segment_bytes=20_000, segments_kept=3)
    kept = segments(tmp_path)
    assert len(kept) == 3
    assert kept[0].name > "segment-000001.rec"
    assert all(path.stat().st_size < 100_000 for path in kept)
    told, difference = replay(tmp_path)
    assert difference is None
    assert "3 segments" in told[0]
    for path in kept[:-1]:
        path.unlink()
    assert replay(tmp_path)[1] is None, "each segment stands for itself"


def test_a_full_queue_costs_pieces_that_are_counted_and_then_it_begins_anew(tmp_path: Path) -> None:
    rng = random.Random(3)
    with ShardStepper(2, SIZE_M, 8) as shard:
        recorder = record(shard, tmp_path)
        for name in NAMES:
            shard.enter(name)
        drive(shard, 10, rng)
        recorder._queue_bytes_max = 0
        drive(shard, 5, rng)
        recorder._queue_bytes_max = 2**20
        assert recorder.dropped > 0
        drive(shard, 110, rng)
        recorder.close()
    _, difference = replay(tmp_path)
    assert difference is None
    assert len(segments(tmp_path)) == 2


def test_a_disk_that_refuses_stops_no_tick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ShardStepper(2, SIZE_M, 8) as shard:
        recorder = record(shard, tmp_path / "there")
        (tmp_path / "there").chmod(0o500)
        monkeypatch.setattr(recorder._segments, "_directory", tmp_path / "gone")
        shard.enter(NAMES[0])
        shard.step(5)
        recorder.close()
        assert recorder._segments.dropped > 0
        assert shard.state()[NAMES[0]]["tick"] == 5
        (tmp_path / "there").chmod(0o700)


def test_a_torn_end_is_the_end_and_damage_is_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play(tmp_path)
    [path] = segments(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[:-7])
    assert replay(tmp_path)[1] is None
    spoilt = bytearray(data)
    spoilt[len(data) // 2] ^= 1
    path.write_bytes(spoilt)
    with pytest.raises(RecordFault, match="damaged at byte"):
        replay(tmp_path)
    assert program.main([str(tmp_path)]) == 2
    assert program.main([str(tmp_path / "nothing")]) == 2
    assert "holds no recording" in capsys.readouterr().err


def test_a_recording_of_another_layout_is_refused(tmp_path: Path) -> None:
    play(tmp_path)
    header, *rest = all_of(tmp_path)
    assert isinstance(header, Header)
    assert isinstance(rest[0], Key)
    rewrite(tmp_path, [msgspec.structs.replace(header, layout=header.layout + 1), *rest])
    with pytest.raises(RecordFault, match="use the version that recorded it"):
        replay(tmp_path)
