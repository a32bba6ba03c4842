"""What a recording of ticks consists of: its pieces as bytes, and digests of rows that tell where two runs part.

A piece is framed by its length and CRC-32. A segment is a file: MAGIC, a Header, a Key, and then pieces in the order in
which main did them. Whoever begins at a Key needs nothing of what was before. Digests are sums of products of 64-bit
integers that wrap around: the same on every version of Python and numpy, and different when any one word differs.
"""

from __future__ import annotations

import functools
import struct
import zlib
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from ipc.control import Event, Seat, Tick
from shared.constants import PLAYERS_MAX
from shared.player_state import COLUMNS, PlayerState
from shared.thresholds import Mode, Thresholds
from shared.vehicles import VehicleClass

FORMAT: Final = 1
"""Grows with every change of the pieces below."""

MAGIC: Final = b"shardrec"

U64 = NDArray[np.uint64]


class RecordFault(Exception):
    """A recording cannot be used; the text says where and why."""


class _Piece(Struct, frozen=True, array_like=True, tag=True, gc=False):
    pass


class Header(_Piece, frozen=True):
    """What holds for the whole run."""

    format: int
    layout: int
    run: str
    """Instance name of the shard."""
    slots: int
    zones: int
    size_m: int
    rects_m: list[list[float]]
    zone_of_chunk: list[list[int]]
    preset: str
    seed: int
    world_hash: str
    static: str
    """Name of the file beside the segments that holds the static world's columns."""
    vehicles: list[VehicleClass]
    limits: Thresholds
    anticheat: Mode
    row_budget: int
    period_ms: float
    python: str
    numpy: str


class Seated(_Piece, frozen=True):
    """Main's columns of one slot."""

    slot: int
    generation: int
    player: bytes
    name: bytes
    vehicle: int


class Rows(_Piece, frozen=True):
    """Rows as they were committed: ``slots`` (N,) u4, ``words`` (N, WORDS) u8, ``heads`` (N,) u4."""

    slots: bytes
    words: bytes
    heads: bytes


class Samples(_Piece, frozen=True):
    """What became visible: ``slots`` (N,) u4, ``ends`` (N,) u4 new heads, ``counts`` (N,) u4, and the records."""

    slots: bytes
    ends: bytes
    counts: bytes
    records: bytes


class Sent(_Piece, frozen=True):
    """A Tick was sent."""

    zone: int
    tick: Tick
    seated: list[Seated]
    """Of players who are new to all zones, or known by another name."""
    rows: Rows
    """Of players who are new to all zones."""
    samples: Samples


class ZoneKey(_Piece, frozen=True):
    """A zone, as a worker would have to assume it."""

    zone: int
    members: list[Seat]
    tick: Tick | None
    """Sent, not answered."""


class Key(_Piece, frozen=True):
    """Everything, in the middle of tick ``tick``: its Ticks are sent, none is answered."""

    tick: int
    zones: list[ZoneKey]
    seated: list[Seated]
    rows: Rows
    samples: Samples


class Committed(_Piece, frozen=True):
    """A zone's Tick was answered, with these digests."""

    zone: int
    tick: int
    slots: bytes
    """(N,) u4, the members."""
    rows: bytes
    """(N,) u8, a digest per member."""
    words: bytes
    """(WORDS,) u8, a digest per word of a row over all members."""
    judged: int
    accepted: int
    events: int
    """CRC-32 of the events."""


class Assumed(_Piece, frozen=True):
    """Another worker is the zone from now on."""

    zone: int
    members: list[Seat]
    tick: Tick | None


class Dropped(_Piece, frozen=True):
    """The samples that waited for these slots are dropped: ``slots`` (N,) u4, ``heads`` (N,) u4."""

    slots: bytes
    heads: bytes


Piece: TypeAlias = Header | Key | Sent | Committed | Assumed | Dropped

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Piece] = msgspec.msgpack.Decoder(Piece)
_FRAME = struct.Struct("<II")


def frame(piece: Piece) -> bytes:
    """One piece as it lies in a file."""
    data = _encoder.encode(piece)
    return _FRAME.pack(len(data), zlib.crc32(data)) + data


def pieces(data: bytes, name: str) -> Iterator[Piece]:
    """The pieces of a segment, up to one that was not written to its end. Raises RecordFault for one that is damaged.

    ``name`` is that of the file, for the text.
    """
    if data[: len(MAGIC)] != MAGIC:
        raise RecordFault(f"{name} is not a recording")
    at = len(MAGIC)
    while at + _FRAME.size <= len(data):
        size, crc = _FRAME.unpack_from(data, at)
        body = data[at + _FRAME.size : at + _FRAME.size + size]
        if len(body) < size:
            return
        if zlib.crc32(body) != crc:
            raise RecordFault(f"{name} is damaged at byte {at}")
        try:
            yield _decoder.decode(body)
        except msgspec.DecodeError as fault:
            raise RecordFault(f"{name}: byte {at} holds nothing that this program knows: {fault}") from None
        at += _FRAME.size + size


def events_crc(events: list[Event]) -> int:
    """CRC-32 of what a tick had to say."""
    return zlib.crc32(_encoder.encode(events))


# --- rows as words


def _layout() -> tuple[tuple[str, int, int], ...]:
    """(column, first word, bytes) of every column; each begins with a word of its own."""
    places, at = [], 0
    for name, dtype, shape, _ in COLUMNS:
        size = np.dtype((dtype, shape)).itemsize
        places.append((name, at, size))
        at += -(-size // 8)
    return tuple(places)


_PLACES: Final = _layout()
WORDS: Final = sum(-(-size // 8) for _, _, size in _PLACES)
"""Of a row."""

NOT_COMPARED: Final = frozenset({"cell"})
"""How a cell was split depends on what the zone remembers; a recording may begin in the middle."""


@functools.cache
def _odd(count: int) -> U64:
    """Fixed odd factors: splitmix64 of 1, 2, 3, ..."""
    mixed = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return (mixed ^ (mixed >> np.uint64(31))) | np.uint64(1)


_OF_WORD: Final = _odd(WORDS).copy()
for _name, _at, _size in _PLACES:
    if _name in NOT_COMPARED:
        _OF_WORD[_at : _at - (-_size // 8)] = 0
_COMPARED: Final = (_OF_WORD != 0).astype(np.uint64)


def pack(state: PlayerState) -> U64:
    """(N, WORDS): all columns, side by side; what fills a column's last word is nought."""
    words = np.zeros((len(state), WORDS), np.uint64)
    if len(state):
        octets = words.view(np.uint8)
        for name, at, size in _PLACES:
            column = np.ascontiguousarray(getattr(state, name))
            octets[:, 8 * at : 8 * at + size] = column.view(np.uint8).reshape(len(state), size)
    return words


def unpack(words: U64) -> dict[str, Any]:
    """The columns of packed rows, by name."""
    count, octets = len(words), np.ascontiguousarray(words).view(np.uint8)
    columns = {}
    for (name, at, size), (_, dtype, shape, _) in zip(_PLACES, COLUMNS, strict=True):
        part = np.ascontiguousarray(octets[:, 8 * at : 8 * at + size])
        columns[name] = part.reshape(-1).view(dtype).reshape(count, *shape)
    return columns


def digest(words: U64, slots: NDArray[np.intp]) -> tuple[U64, U64]:
    """A digest per row (N,), and one per word over all rows (WORDS,)."""
    of_slot = _odd(PLAYERS_MAX * 2)[slots]
    rows = (words * _OF_WORD).sum(axis=1, dtype=np.uint64)
    return rows, (words * of_slot[:, None]).sum(axis=0, dtype=np.uint64) * _COMPARED


def columns_of(differ: NDArray[np.bool_]) -> list[str]:
    """The columns in which a word differs; (WORDS,)."""
    return [name for name, at, size in _PLACES if differ[at : at - (-size // 8)].any()]
