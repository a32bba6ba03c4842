"""Encoded chunks of one world, ready to be sent.

A world of up to WHOLE_MAX chunks is made and encoded once at start: ``harbour`` takes 0.3 s and 2.6 MB. Of a larger one
the stock keeps what was asked for last, and makes what it lacks in blocks of GROUP x GROUP chunks: numpy needs about as
long for one chunk as for sixteen, and who asks for one will ask for its neighbours.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, Protocol, Self

from shared.world.chunks import encode, make_chunks
from shared.world.land import Land

WHOLE_MAX: Final = 128 * 128
"""Chunks of an 8 km square: about a second and 10 MB."""
KEPT_BYTES_MAX: Final = 64 * 1024 * 1024
"""Of a larger world: some eighty thousand chunks, what 480 players who are far apart can have in reach."""
GROUP: Final = 4
"""Edge of what is made in one go: 16 chunks take about 5 ms, one takes 3.5."""
_ENTRY_BYTES: Final = 200
"""What a kept chunk takes besides its payload."""


_HASH: Final = slice(-18, -2)
"""Where an encoded chunk has its hash: 16 hex digits, the last field."""


class Stock(Protocol):
    """Where encoded chunks come from: JSON of a ``ChunkPayload``. An index must be on the map."""

    def has(self, cx: int, cz: int) -> bool:
        """Whether ``get`` is a mere look-up."""

    def get(self, cx: int, cz: int) -> bytes:
        """The chunk; made now when it is not here, which takes milliseconds."""


class WholeStock:
    """All chunks of a world."""

    def __init__(self, side: int, chunks: Iterable[bytes]) -> None:
        """Encoded chunks in rows from the north-west, ``side`` per row."""
        self._side = side
        self._chunks = list(chunks)
        assert len(self._chunks) == side * side, f"{len(self._chunks)} chunks are not {side} rows of {side}"

    @classmethod
    def of(cls, land: Land) -> Self:
        """Make and encode everything."""
        return cls(land.chunks, encoded(land, [(cx, cz) for cz in range(land.chunks) for cx in range(land.chunks)]))

    def __len__(self) -> int:
        return len(self._chunks)

    @property
    def total_bytes(self) -> int:
        """Of all chunks."""
        return sum(map(len, self._chunks))

    def has(self, cx: int, cz: int) -> bool:
        """Always."""
        return True

    def get(self, cx: int, cz: int) -> bytes:
        """The chunk."""
        return self._chunks[cz * self._side + cx]


class LazyStock:
    """Chunks of a large world, made when asked for; those that were not asked for longest go first."""

    def __init__(self, land: Land, kept_bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._land = land
        self._kept_bytes_max = kept_bytes_max
        self._kept: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self.kept_bytes = 0
        self.groups_made = 0

    def __len__(self) -> int:
        return len(self._kept)

    def has(self, cx: int, cz: int) -> bool:
        """Whether the chunk is kept."""
        return (cx, cz) in self._kept

    def get(self, cx: int, cz: int) -> bytes:
        """The chunk, and with it whatever of its block is not kept."""
        chunk = self._kept.get((cx, cz))
        if chunk is None:
            self._make_group(cx, cz)
            chunk = self._kept[cx, cz]
        self._kept.move_to_end((cx, cz))
        return chunk

    def _make_group(self, cx: int, cz: int) -> None:
        west, north = cx - cx % GROUP, cz - cz % GROUP
        side = self._land.chunks
        block = [
            (x, z)
            for z in range(north, min(north + GROUP, side))
            for x in range(west, min(west + GROUP, side))
            if (x, z) not in self._kept and (x, z) != (cx, cz)
        ]
        block.append((cx, cz))  # last in is last out: the one that is wanted stays, however little fits
        self.groups_made += 1
        for index, chunk in zip(block, encoded(self._land, block), strict=True):
            self._kept[index] = chunk
            self.kept_bytes += len(chunk) + _ENTRY_BYTES
        while self.kept_bytes > self._kept_bytes_max and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self.kept_bytes -= len(dropped) + _ENTRY_BYTES


def stock_of(land: Land) -> Stock:
    """The stock that suits a land's size."""
    return WholeStock.of(land) if land.chunks * land.chunks <= WHOLE_MAX else LazyStock(land)


def encoded(land: Land, indices: list[tuple[int, int]]) -> list[bytes]:
    """Chunks made and encoded, in the order asked for."""
    return [encode(chunk.payload()) for chunk in make_chunks(land, indices)]


def hash_of(chunk: bytes) -> str:
    """The hash of an encoded chunk."""
    return chunk[_HASH].decode()
