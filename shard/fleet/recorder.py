"""Records what every zone is sent, tick by tick, and digests of what comes of it: ``scripts.replay`` does it all again.

Main copies what it has just published and puts the bytes into a bounded queue; a thread writes them. When the disk does
not keep up, pieces are dropped and counted, and the recording begins anew with a Key as soon as there is room. When a
segment is full, the next begins with a Key, too; so the oldest can be deleted, and the rest can be replayed.

A recording holds players' ids and names, and where they drove: treat it like the log of a proxy.
"""

from __future__ import annotations

import contextlib
import logging
import platform
import queue
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from ipc.control import Assume, Done, Reidentify, Seat, Tick, ToZone
from ipc.layout import LAYOUT_VERSION
from ipc.record import (
    FORMAT,
    MAGIC,
    Assumed,
    Committed,
    Dropped,
    Header,
    Key,
    Piece,
    Rows,
    Samples,
    Seated,
    Sent,
    ZoneKey,
    digest,
    events_crc,
    frame,
    pack,
)
from shard.fleet.barrier import ZoneDesk
from shard.fleet.memory import Memory
from shared.thresholds import DEFAULT, Mode, Thresholds
from shared.vehicles import VehicleClass
from shared.world.world import World
from shared.world.zone_map import ZoneMap

SEGMENT_BYTES: Final = 64 * 2**20
"""Some 40 seconds of a thousand players who send 20 samples per second."""
SEGMENTS_KEPT: Final = 8
QUEUE_BYTES_MAX: Final = 32 * 2**20
KEY_EVERY_TICKS: Final = 100
"""Not more often is a recording begun anew that has lost something."""
TURN_EVERY_TICKS: Final = 10
"""Time for the thread to begin the segment that it was told to."""

log = logging.getLogger(__name__)

Index = NDArray[np.intp]


def header_of(
    memory: Memory,
    world: World,
    zone_map: ZoneMap,
    vehicles: Sequence[VehicleClass],
    anticheat: Mode,
    row_budget: int,
    period_ms: float,
    limits: Thresholds = DEFAULT,
) -> Header:
    """What a replay has to know of a shard."""
    columns = memory.world.static.columns()
    crc = 0
    for name in sorted(columns):
        crc = zlib.crc32(np.ascontiguousarray(columns[name]).tobytes(), zlib.crc32(name.encode(), crc))
    return Header(
        format=FORMAT,
        layout=LAYOUT_VERSION,
        run=memory.instance,
        slots=memory.geometry.slots,
        zones=memory.geometry.zones,
        size_m=zone_map.size_m,
        rects_m=zone_map.rects_m.tolist(),
        zone_of_chunk=zone_map.zone_of_chunk.tolist(),
        preset=world.preset,
        seed=world.seed,
        world_hash=world.hash,
        static=f"static-{world.hash}-{crc:08x}.npz",
        vehicles=list(vehicles),
        limits=limits,
        anticheat=anticheat,
        row_budget=row_budget,
        period_ms=period_ms,
        python=platform.python_version(),
        numpy=np.__version__,
    )


class Recorder:
    """The recording of one shard. Raises OSError when ``directory`` cannot be written."""

    def __init__(
        self,
        directory: Path,
        header: Header,
        memory: Memory,
        segment_bytes: int = SEGMENT_BYTES,
        segments_kept: int = SEGMENTS_KEPT,
        queue_bytes_max: int = QUEUE_BYTES_MAX,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        static = directory / header.static
        if not static.exists():
            unfinished = static.with_suffix(".tmp")
            with unfinished.open("wb") as file:
                np.savez(file, allow_pickle=False, **memory.world.static.columns())
            unfinished.replace(static)
        self.dropped = 0
        """Pieces that are not in the recording."""
        self._table, self._ring = memory.table, memory.ring
        slots = memory.geometry.slots
        self._known = np.full(slots, -1, np.int64)
        """(slots,) generation whose row is recorded."""
        self._heads = np.zeros(slots, np.uint32)
        """(slots,) up to which samples are recorded."""
        self._due: list[tuple[Done, Index]] = []
        """Commits whose rows are not copied yet. They stay as they are until the next Tick is sent."""
        self._broken = True
        """Nothing more is worth recording before a Key."""
        self._key_tick = -KEY_EVERY_TICKS
        self._queue_bytes_max = queue_bytes_max
        self._put_bytes = 0
        self._segments = _Segments(directory, header, segment_bytes, segments_kept)

    # --- what main does, in its order

    def settle(self) -> None:
        """Copy what was committed. Call before anything is sent or changed at a boundary."""
        due, self._due = self._due, []
        if self._broken or not due:
            return
        words = pack(self._table.read(np.concatenate([index for _, index in due])))
        at = 0
        for done, index in due:
            rows, over_all = digest(words[at : at + len(index)], index)
            at += len(index)
            piece = Committed(
                zone=done.zone,
                tick=done.tick,
                slots=index.astype(np.uint32).tobytes(),
                rows=rows.tobytes(),
                words=over_all.tobytes(),
                judged=done.judged,
                accepted=done.accepted,
                events=events_crc(done.events),
            )
            self._put(piece)

    def begun(self, tick: int, desks: Sequence[ZoneDesk], sent: Sequence[int]) -> None:
        """The Ticks of a boundary are sent, to the zones ``sent``."""
        lost = self._broken or self._segments.failed
        since = tick - self._key_tick
        if since >= KEY_EVERY_TICKS if lost else self._segments.full and since >= TURN_EVERY_TICKS:
            self._begin_anew(tick, desks)
            return
        if self._broken:
            return
        for zone in sent:
            desk = desks[zone]
            assert desk.outstanding is not None, "it has just been sent"
            self._put(self._sent(desk, desk.outstanding))

    def committed(self, desk: ZoneDesk, done: Done) -> None:
        """A zone's Done is taken."""
        self._due.append((done, desk.index))

    def assumed(self, zone: int, messages: Sequence[ToZone]) -> None:
        """Another worker is made the zone, by these messages."""
        self.settle()
        members = [seat for message in messages if isinstance(message, Assume) for seat in message.members]
        ticks = [message for message in messages if isinstance(message, Tick)]
        self._put(Assumed(zone, members, ticks[0] if ticks else None))

    def dropped_samples(self, index: Index) -> None:
        """What waited for these slots is dropped."""
        heads = self._heads[index] = self._table.head[index]
        self._put(Dropped(index.astype(np.uint32).tobytes(), heads.tobytes()))

    def close(self) -> None:
        """Record what is committed, write what is queued, and end. Idempotent."""
        self.settle()
        self._segments.close()
        if self.dropped or self._segments.dropped:
            lost = self.dropped + self._segments.dropped
            log.warning("the recording has gaps: the disk did not keep up", extra={"pieces": lost})

    # --- inside

    def _put(self, piece: Piece, new_segment: bool = False) -> None:
        if self._broken:
            self.dropped += 1
            return
        data = frame(piece)
        if self._put_bytes - self._segments.taken_bytes + len(data) > self._queue_bytes_max:
            self._broken = True
            self.dropped += 1
            return
        self._put_bytes += len(data)
        self._segments.put(data, new_segment)

    def _begin_anew(self, tick: int, desks: Sequence[ZoneDesk]) -> None:
        """A new segment, which begins with everything."""
        self._broken, self._key_tick = False, tick
        zones: list[ZoneKey] = []
        slots: set[int] = set()
        for desk in desks:
            members = dict(desk.members)
            slots |= members.keys()
            if (outstanding := desk.outstanding) is not None:
                for slot, _ in outstanding.adopted:
                    del members[slot]
                members.update(outstanding.released)
                slots |= members.keys()
            zones.append(ZoneKey(desk.zone, sorted(members.items()), outstanding))
        index = np.array(sorted(slots), np.intp)
        rows = self._rows(index)  # from here on all below its tail is recorded
        seated = [self._seated((slot, int(self._table.generation[slot]))) for slot in index.tolist()]
        self._put(Key(tick, zones, seated, rows, self._samples(index)), new_segment=True)

    def _sent(self, desk: ZoneDesk, tick: Tick) -> Sent:
        fresh = [seat for seat in tick.adopted if self._known[seat[0]] != seat[1]]
        renamed = [(each.slot, each.generation) for each in tick.commands if isinstance(each, Reidentify)]
        rows = self._rows(np.array(sorted(slot for slot, _ in fresh), np.intp))
        seated = [self._seated(seat) for seat in dict.fromkeys(fresh + renamed)]
        return Sent(desk.zone, tick, seated, rows, self._samples(desk.index))

    def _seated(self, seat: Seat) -> Seated:
        slot, generation = seat
        table = self._table
        self._known[slot] = generation
        return Seated(slot, generation, bytes(table.player[slot]), bytes(table.name[slot]), int(table.vehicle[slot]))

    def _rows(self, index: Index) -> Rows:
        state = self._table.read(index)
        self._heads[index] = state.tail
        return Rows(index.astype(np.uint32).tobytes(), pack(state).tobytes(), state.tail.tobytes())

    def _samples(self, index: Index) -> Samples:
        ends = self._table.head[index]
        counts = ends - self._heads[index]
        index, ends, counts = (each[counts != 0] for each in (index, ends, counts))
        self._heads[index] = ends
        records = self._ring.between(index, ends, counts)
        parts = (index.astype(np.uint32), ends, counts, records)
        return Samples(*(part.tobytes() for part in parts))


class _Segments:
    """The files, and the thread that writes them."""

    def __init__(self, directory: Path, header: Header, segment_bytes: int, kept: int) -> None:
        self.full = False
        """The next piece should begin a segment."""
        self.failed = False
        """Pieces get lost until one begins a segment."""
        self.taken_bytes = 0
        self.dropped = 0
        self._directory = directory
        self._header = frame(header)
        self._segment_bytes = segment_bytes
        self._kept = kept
        found = [int(path.stem.removeprefix("segment-")) for path in segments(directory)]
        self._number = max(found, default=0)
        self._file: BinaryIO | None = None
        self._queue: queue.SimpleQueue[tuple[bytes, bool] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_all, name="recorder", daemon=True)
        self._thread.start()

    def put(self, data: bytes, new_segment: bool) -> None:
        """Have a piece written. Never waits."""
        self._queue.put((data, new_segment))

    def close(self) -> None:
        """Write what is queued, then end."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write_all(self) -> None:
        while (item := self._queue.get()) is not None:
            data, new_segment = item
            try:
                if new_segment:
                    self._open_next()
                if self._file is None:
                    self.dropped += 1
                else:
                    self._file.write(data)
                    self.full = self._file.tell() >= self._segment_bytes
                    if self._queue.empty():
                        self._file.flush()  # whoever reads after a crash finds all but the last moments
            except OSError as fault:
                self.dropped += 1
                self._give_up(fault)
            self.taken_bytes += len(data)

    def _open_next(self) -> None:
        if self._file is not None:
            self._file.close()
        self._number += 1
        for path in segments(self._directory)[: -(self._kept - 1) or None]:
            path.unlink()
        self._file = (self._directory / f"segment-{self._number:06}.rec").open("wb")
        self._file.write(MAGIC + self._header)
        self.failed = self.full = False

    def _give_up(self, fault: OSError) -> None:
        log.error("the recording cannot be written", extra={"directory": str(self._directory), "fault": str(fault)})
        broken: Any = self._file
        self._file, self.failed = None, True
        if broken is not None:
            with contextlib.suppress(OSError):
                broken.close()


def segments(directory: Path) -> list[Path]:
    """The segments in a directory, oldest first."""
    return sorted(directory.glob("segment-[0-9][0-9][0-9][0-9][0-9][0-9].rec"))
