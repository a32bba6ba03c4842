"""A checkpoint: what a shard's next life needs of this one, as bytes. Built and read here, written in ``state_dir.py``.

A file is a fixed head and one MessagePack body::

    magic, 8 bytes | format u32 | LAYOUT_VERSION u32 | length of the body u64 | SHA-256 of all else, 32 bytes | body

All numbers are little-endian; columns of PlayerState lie in the body as the raw bytes of their arrays. Whatever is not
exactly what this shard would write is refused as a whole, with a CheckpointFault that says why: half a world is worse
than a fresh one. The digest is against torn and rotten files; it is no signature.

Held are cars (their rows as committed), best times, strikes of players who left, and the races that run; see
``race_memory.py`` for those. Not held: samples that were not judged yet, the lobby, the queue, and whatever happened
after the last checkpoint, a second at most while the disk keeps up.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from ipc.layout import LAYOUT_VERSION
from shard.land.best_times import BestTime
from shard.races.race_memory import RaceMemory
from shared.constants import FLAG_AWAY, FLAG_FROZEN, FLAG_GHOST, FLAG_RACING
from shared.player_state import COLUMNS, PlayerState

FORMAT_VERSION: Final = 1
"""Grows with every change of the body's meaning; there are no conversions."""
MAGIC: Final = b"\x89shardCP"
BYTES_MAX: Final = 256 * 1024 * 1024
"""Longer files are none of ours: 65,536 players with long names take a quarter of this."""
AHEAD_MAX_MS: Final = 3_600_000.0
"""So far may a checkpoint be ahead of the host's clock: one that was stepped back, not one that is wrong."""
CARS_KEPT_MS: Final = 600_000.0
"""Cars of an older checkpoint are not put back: nobody holds a car longer than the longest --resume-seconds."""
LEAP_MS: Final = 2000.0
"""How long after its last checkpoint a shard may have told the time: twice the interval."""

_HEAD: Final = struct.Struct("<8sIIQ32s")
_DIGEST_AT: Final = _HEAD.size - 32
_SHAPES: Final = [[name, dtype, list(shape)] for name, dtype, shape, _ in COLUMNS]
_RACE_COLUMNS: Final = frozenset(
    {
        "race",
        "route",
        "gate",
        "lap",
        "told",
        "start_ms",
        "grid",
        "gate_ms",
        "gate_err_ms",
        "lap_ms",
        "lap_err_ms",
        "wrong_ms",
        "client_ms",
        "lateness_ms",
    }
)
RESET: Final = frozenset({"tail"})
"""Counters of the rings, which begin anew."""


class CheckpointFault(ValueError):
    """A file is not a checkpoint that this shard can start from. The text says why."""


class Body(Struct, frozen=True, array_like=True):
    """A player with a car."""

    player: str
    name: str
    vehicle: str
    spawn: str | None
    slot: int
    generation: int


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The state of a shard at the end of a tick. Nothing in it changes afterwards, so any thread may read it."""

    world: str
    """Hash of the world."""
    now_ms: float
    """Server time of the tick."""
    tick: int
    bodies: Sequence[Body]
    rows: PlayerState
    """The committed rows of ``bodies``, in their order."""
    sessions: dict[str, str] = field(default_factory=dict)
    """By player; for the log, as they survive a resume."""
    best: Mapping[str, Sequence[BestTime]] = field(default_factory=dict)
    """By route, best first."""
    strikes: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Of players who left: score, and server time at which they did; the oldest first."""
    races: RaceMemory = RaceMemory()


class _Content(Struct, frozen=True):
    """The body of the file."""

    world: str
    now_ms: float
    tick: int
    bodies: list[Body]
    shapes: list[tuple[str, str, list[int]]]
    columns: list[bytes]
    sessions: dict[str, str]
    best: dict[str, list[BestTime]]
    strikes: dict[str, tuple[float, float]]
    races: RaceMemory


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Content)


def encode(snapshot: Snapshot) -> bytes:
    """A whole file."""
    content = {
        "world": snapshot.world,
        "now_ms": snapshot.now_ms,
        "tick": snapshot.tick,
        "bodies": snapshot.bodies,
        "shapes": _SHAPES,
        "columns": [getattr(snapshot.rows, name).tobytes() for name, *_ in COLUMNS],
        "sessions": snapshot.sessions,
        "best": snapshot.best,
        "strikes": snapshot.strikes,
        "races": snapshot.races,
    }
    body = _encoder.encode(content)
    head = _HEAD.pack(MAGIC, FORMAT_VERSION, LAYOUT_VERSION, len(body), bytes(32))[:_DIGEST_AT]
    return head + hashlib.sha256(head + body).digest() + body


def decode(data: bytes, world: str, wall_ms: float) -> Snapshot:
    """Read a file of a shard that served the world with this hash; ``wall_ms`` is the host's clock, Unix milliseconds.

    Raises CheckpointFault.
    """
    if len(data) < _HEAD.size:
        raise CheckpointFault(f"torn: {len(data)} bytes are less than the head of a checkpoint")
    magic, version, layout, length, digest = _HEAD.unpack_from(data)
    if magic != MAGIC:
        raise CheckpointFault("no checkpoint: it begins with other bytes")
    for what, found, ours in (("format", version, FORMAT_VERSION), ("layout", layout, LAYOUT_VERSION)):
        if found != ours:
            age = "older" if found < ours else "future"
            raise CheckpointFault(f"{age} {what} version {found}: this release reads {ours} only")
    if len(data) - _HEAD.size != length:
        raise CheckpointFault(f"torn: {len(data) - _HEAD.size} of {length} bytes")
    if hashlib.sha256(data[:_DIGEST_AT] + data[_HEAD.size :]).digest() != digest:
        raise CheckpointFault("damaged: its digest is another")
    try:
        content = _decoder.decode(memoryview(data)[_HEAD.size :])
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise CheckpointFault(f"unreadable: {fault}") from None
    if content.world != world:
        raise CheckpointFault(f"foreign: of the world {content.world[:16]}, this is {world[:16]}")
    if not content.now_ms <= wall_ms + AHEAD_MAX_MS:
        ahead_s = (content.now_ms - wall_ms) / 1000.0
        raise CheckpointFault(f"from the future, {ahead_s:.0f} s ahead of this host's clock: set the clock")
    return Snapshot(
        world=content.world,
        now_ms=content.now_ms,
        tick=content.tick,
        bodies=tuple(content.bodies),
        rows=_rows(content),
        sessions=content.sessions,
        best={route: tuple(lines) for route, lines in content.best.items()},
        strikes=content.strikes,
        races=content.races,
    )


def _rows(content: _Content) -> PlayerState:
    """The columns as arrays. Raises CheckpointFault."""
    shapes = [[name, dtype, shape] for name, dtype, shape in content.shapes]
    if shapes != _SHAPES or len(content.columns) != len(COLUMNS):
        raise CheckpointFault("of another layout: its columns are others")
    count = len(content.bodies)
    if len({body.slot for body in content.bodies}) != count or len({body.player for body in content.bodies}) != count:
        raise CheckpointFault("contradictory: a player or a slot is there twice")
    columns: dict[str, NDArray[Any]] = {}
    for (name, dtype, shape, _), raw in zip(COLUMNS, content.columns, strict=True):
        of_row = np.dtype(dtype).itemsize * int(np.prod(shape, dtype=np.int64))
        if len(raw) != count * of_row:
            raise CheckpointFault(f"contradictory: {len(raw)} bytes of column {name} for {count} players")
        columns[name] = np.frombuffer(raw, np.dtype(dtype)).reshape((count, *shape)).copy()
    return PlayerState(**columns)


def held(rows: PlayerState, racing: NDArray[np.bool_]) -> PlayerState:
    """The rows (N,) as the next life begins with: away, and only ``racing`` (N,) in a race. Mutates ``rows``."""
    idle = ~racing
    for name, dtype, shape, fresh in COLUMNS:
        if name in _RACE_COLUMNS:
            getattr(rows, name)[idle] = np.full(shape, fresh, np.dtype(dtype))
    rows.flags[idle] &= np.uint8(0xFF ^ (FLAG_RACING | FLAG_FROZEN))
    rows.flags |= np.uint8(FLAG_AWAY | FLAG_GHOST)
    return rows
