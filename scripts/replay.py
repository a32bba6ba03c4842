"""Do the ticks of a recording again, in this process alone, and compare: ``python -m scripts.replay DIR``.

Every Tick is given to a zone over private memory as it was given to the worker, take-overs included; each committed row
must come out the same to the last bit, and so must the events. Exit code 0: all are equal; 1: they are not, and the
first difference is printed with zone, tick, slot and column; 2: the recording cannot be used.

    python -m scripts.replay DIR --python python3.13       the same by another Python, with the same libraries
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ipc import layout
from ipc.block import PrivateBlock
from ipc.cell_arena import CellWriter
from ipc.control import Seat, Tick
from ipc.input_ring import InputReader
from ipc.record import (
    FORMAT,
    WORDS,
    Assumed,
    Committed,
    Dropped,
    Header,
    Key,
    Piece,
    RecordFault,
    Rows,
    Samples,
    Seated,
    Sent,
    columns_of,
    digest,
    events_crc,
    pack,
    pieces,
    unpack,
)
from ipc.world_table import ZoneTable
from scripts.other_python import ROOT, NoOtherPython, equip
from shard.fleet.recorder import segments
from shared.constants import RING_ENTRIES
from shared.world.static_world import StaticWorld
from shared.world.zone_map import ZoneMap
from zones.simulation import ZoneWorld
from zones.zone import Zone

SHOWN_MAX: Final = 8
"""Slots named of a difference."""
LIBRARIES: Final = ("numpy", "msgspec", "orjson", "psutil")
"""What a replay imports of others."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where a replay is not what was recorded."""

    zone: int
    tick: int
    slots: tuple[int, ...]
    columns: tuple[str, ...]
    detail: str

    def line(self) -> str:
        """For people."""
        slots = ", ".join(map(str, self.slots[:SHOWN_MAX])) + (", ..." if len(self.slots) > SHOWN_MAX else "")
        where = f"zone {self.zone}, tick {self.tick}"
        if self.slots:
            where += f", slot {slots}, column {', '.join(self.columns)}"
        return f"{where}: {self.detail}"


class Replay:
    """One shard's zones over private memory. Feed it the pieces of a run in their order."""

    def __init__(self, header: Header, static: StaticWorld) -> None:
        geometry = layout.Geometry(header.slots, header.zones)
        zone_map = ZoneMap(header.size_m, np.array(header.rects_m), np.array(header.zone_of_chunk, np.int16))
        self.ticks = 0
        """Compared."""
        self.takeovers = 0
        self._header = header
        self._table = PrivateBlock(layout.table_dtype(geometry))
        self._ring = PrivateBlock(layout.input_dtype(geometry))
        self._arenas = [PrivateBlock(layout.arena_dtype(geometry)) for _ in range(header.zones)]
        self._worlds = [
            ZoneWorld(zone, zone_map, static, tuple(header.vehicles), header.limits, header.anticheat)
            for zone in range(header.zones)
        ]
        self._zones: list[Zone] = []
        self._sent: dict[int, Tick] = {}
        """Ticks that are not answered, by zone."""

    @property
    def versions(self) -> str:
        """Of what recorded, and of what replays."""
        header = self._header
        return (
            f"recorded by Python {header.python} with numpy {header.numpy}, "
            f"replayed by {platform.python_version()} with {np.__version__}"
        )

    def take(self, piece: Piece) -> Difference | None:
        """Do what main did. Raises RecordFault for what does not fit the pieces before."""
        match piece:
            case Key():
                self._begin(piece)
            case Sent():
                self._seat(piece.seated)
                self._write_rows(piece.rows)
                self._write_samples(piece.samples)
                self._sent[piece.zone] = piece.tick
            case Assumed():
                self.takeovers += 1
                self._assume(piece.zone, piece.members, piece.tick)
            case Dropped():
                slots, heads = np.frombuffer(piece.slots, "u4"), np.frombuffer(piece.heads, "u4")
                record = self._table.record
                record["head"][slots] = record["tail"][record["front"][slots], slots] = heads
            case Committed():
                return self._commit(piece)
        return None

    def _begin(self, key: Key) -> None:
        self._sent.clear()
        self._zones = [self._zone(zone) for zone in range(self._header.zones)]
        self._table.record["front"][:] = 0
        self._seat(key.seated)
        self._write_rows(key.rows)
        self._write_samples(key.samples)
        for each in key.zones:
            self._assume(each.zone, each.members, each.tick)

    def _assume(self, zone: int, members: list[Seat], tick: Tick | None) -> None:
        self._zones[zone] = self._zone(zone)
        self._zones[zone].assume(members)
        self._sent.pop(zone, None)
        if tick is not None:
            self._sent[zone] = tick

    def _zone(self, zone: int) -> Zone:
        views = ZoneTable(self._table), InputReader(self._ring), CellWriter(self._arenas[zone])
        return Zone(self._worlds[zone], *views, lambda: 0, self._header.row_budget)

    def _seat(self, seated: list[Seated]) -> None:
        record = self._table.record
        for each in seated:
            record["generation"][each.slot] = each.generation
            record["player"][each.slot], record["name"][each.slot] = each.player, each.name
            record["vehicle"][each.slot] = each.vehicle

    def _write_rows(self, rows: Rows) -> None:
        slots, record = np.frombuffer(rows.slots, "u4"), self._table.record
        for name, column in unpack(np.frombuffer(rows.words, "u8").reshape(-1, WORDS)).items():
            record[name][:, slots] = column
        record["head"][slots] = np.frombuffer(rows.heads, "u4")

    def _write_samples(self, samples: Samples) -> None:
        slots, ends, counts = (np.frombuffer(each, "u4") for each in (samples.slots, samples.ends, samples.counts))
        which = np.repeat(np.arange(len(slots)), counts)
        before = np.cumsum(counts) - counts
        positions = (ends - counts)[which] + (np.arange(len(which)) - before[which]).astype(np.uint32)
        records = np.frombuffer(samples.records, layout.SAMPLE)
        self._ring.record["samples"][slots[which], positions & (RING_ENTRIES - 1)] = records
        self._table.record["head"][slots] = ends

    def _commit(self, piece: Committed) -> Difference | None:
        tick = self._sent.pop(piece.zone, None)
        if tick is None or tick.tick != piece.tick:
            raise RecordFault(f"zone {piece.zone} commits tick {piece.tick}, which it was not sent")
        zone = self._zones[piece.zone]
        try:
            done = zone.tick(tick)
        except Exception as bug:  # whatever it is, the worker did not meet it
            return Difference(piece.zone, piece.tick, (), (), f"the replay fails: {type(bug).__name__}: {bug}")
        self.ticks += 1
        slots = np.array(sorted(zone.members), np.intp)
        recorded = np.frombuffer(piece.slots, "u4").astype(np.intp)
        if slots.tolist() != recorded.tolist():
            return Difference(piece.zone, piece.tick, (), (), f"members {slots.tolist()}, not {recorded.tolist()}")
        self._table.record["front"][slots] ^= 1
        state = ZoneTable(self._table).read(slots)
        rows, words = digest(pack(state), slots)
        if rows.tobytes() != piece.rows or words.tobytes() != piece.words:
            return self._named(piece, slots, state, rows, words)
        told = events_crc(done.events)
        if (done.judged, done.accepted, told) != (piece.judged, piece.accepted, piece.events):
            detail = f"{done.judged} samples judged, {done.accepted} accepted, events {told:08x}; recorded: "
            detail += f"{piece.judged}, {piece.accepted}, {piece.events:08x}"
            return Difference(piece.zone, piece.tick, (), (), detail)
        return None

    @staticmethod
    def _named(
        piece: Committed, slots: NDArray[np.intp], state: Any, rows: NDArray[np.uint64], words: NDArray[np.uint64]
    ) -> Difference:
        where = np.flatnonzero(rows != np.frombuffer(piece.rows, "u8"))
        columns = columns_of(words != np.frombuffer(piece.words, "u8"))
        detail = "another state than recorded"
        if len(where) and columns:
            detail += f"; the replay has {columns[0]} {getattr(state, columns[0])[where[0]].tolist()}"
        return Difference(piece.zone, piece.tick, tuple(slots[where].tolist()), tuple(columns), detail)


# --- the directory


def runs(directory: Path) -> Iterator[tuple[str, list[Path]]]:
    """(run, its segments, oldest first) in the order in which they were recorded. Raises RecordFault."""
    found: dict[str, list[Path]] = {}
    for path in segments(directory):
        header = next(read(path), None)
        if header is None:
            continue  # it was about to begin
        if not isinstance(header, Header):
            raise RecordFault(f"{path} does not begin with a header")
        found.setdefault(header.run, []).append(path)
    yield from found.items()


def read(path: Path) -> Iterator[Piece]:
    """The pieces of a segment. Raises RecordFault."""
    try:
        return pieces(path.read_bytes(), str(path))
    except OSError as fault:
        raise RecordFault(f"{path}: {fault.strerror}") from None


def replay_of(header: Header, directory: Path) -> Replay:
    """An empty replay. Raises RecordFault when this program cannot do what was recorded."""
    if (header.format, header.layout) != (FORMAT, layout.LAYOUT_VERSION):
        raise RecordFault(
            f"recorded as format {header.format}, layout {header.layout}; this program replays "
            f"{FORMAT}, {layout.LAYOUT_VERSION}: use the version that recorded it"
        )
    try:
        with np.load(directory / header.static, allow_pickle=False) as file:
            static = StaticWorld.of_columns(header.size_m, dict(file))
    except (OSError, ValueError, KeyError) as fault:
        raise RecordFault(f"{directory / header.static}: {fault}") from None
    return Replay(header, static)


def replay(directory: Path) -> tuple[list[str], Difference | None]:
    """A line per run of a directory, and the first difference of all. Raises RecordFault."""
    told: list[str] = []
    for run, paths in runs(directory):
        current: Replay | None = None
        for path in paths:
            for piece in read(path):
                if isinstance(piece, Header):
                    current = current or replay_of(piece, directory)
                elif current is not None and (difference := current.take(piece)) is not None:
                    return told, difference
        if current is not None:
            ticks, takeovers = current.ticks, current.takeovers
            what = f"run {run}: {len(paths)} segments, {ticks} ticks of zones, {takeovers} take-overs: equal"
            told.append(f"{what}; {current.versions}")
    if not told:
        raise RecordFault(f"{directory} holds no recording")
    return told, None


def by_another(python: str, directory: Path, capture: bool = False) -> subprocess.CompletedProcess[str]:
    """Replay with another interpreter, in an environment made for it. Raises NoOtherPython."""
    with tempfile.TemporaryDirectory() as folder:
        own = equip(python, Path(folder), LIBRARIES)
        command = [own, "-m", "scripts.replay", str(directory.resolve())]
        return subprocess.run(command, cwd=ROOT, capture_output=capture, text=True, check=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Replay a directory and print what came of it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.replay", description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path, metavar="DIR", help="what the shard was given as --record")
    parser.add_argument("--python", metavar="NAME", help="another interpreter, which is given the same libraries")
    flags = parser.parse_args(argv)
    try:
        if flags.python is not None:
            return by_another(flags.python, flags.directory).returncode
        told, difference = replay(flags.directory)
    except (RecordFault, NoOtherPython) as fault:
        print(f"replay: {fault}", file=sys.stderr)
        return 2
    for line in told:
        print(line)
    if difference is not None:
        print(f"DIFFERENT: {difference.line()}")
    return int(difference is not None)


if __name__ == "__main__":
    sys.exit(main())
