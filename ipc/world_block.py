"""The WorldBlock: the static world as main built it, for every worker to read and for nobody to write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ipc import block, layout
from ipc.block import Block
from shared.world.static_world import StaticWorld

KIND = "world"

_CHUNK_ENDS, _CHUNK_BYTES = "chunk_ends", "chunk_bytes"


def columns_of(static: StaticWorld, chunks: list[bytes]) -> dict[str, Any]:
    """The block's columns. ``chunks`` are the encoded chunks row by row from the north-west corner, or none."""
    ends = np.cumsum([len(chunk) for chunk in chunks], dtype=np.int64) if chunks else np.empty(0, np.int64)
    payload = np.frombuffer(b"".join(chunks), np.uint8)
    return {**static.columns(), _CHUNK_ENDS: ends, _CHUNK_BYTES: payload}


def describe(columns: Mapping[str, NDArray[Any]]) -> layout.Columns:
    """What a worker must know to attach."""
    return tuple((name, column.dtype.str, column.shape) for name, column in columns.items())


def create(instance: str, columns: Mapping[str, Any], geometry: layout.Geometry) -> Block:
    """Create and fill the block. Raises BlockFault when the memory is not there."""
    made = block.create(instance, KIND, layout.world_dtype(describe(columns)), geometry)
    for name, column in columns.items():
        made.record[name][...] = column
    return made


class WorldReader:
    """A process's view of the static world; every array refuses to be written."""

    def __init__(self, opened: Block, columns: layout.Columns, size_m: int) -> None:
        views = {name: opened.record[name] for name, *_ in columns}
        for view in views.values():
            view.flags.writeable = False
        self.static: StaticWorld = StaticWorld.of_columns(size_m, views)
        self._ends = views[_CHUNK_ENDS]
        self._bytes = views[_CHUNK_BYTES]

    def chunk(self, index: int) -> bytes:
        """The encoded chunk number ``cz * chunks per side + cx``; a copy."""
        begin = int(self._ends[index - 1]) if index else 0
        return bytes(self._bytes[begin : int(self._ends[index])])

    @property
    def chunks(self) -> int:
        """How many chunks the block holds: all, or none where they would not fit."""
        return len(self._ends)

    def release(self) -> None:
        """Drop all views, so that the block can be closed."""
        del self.static, self._ends, self._bytes


def attach(instance: str, columns: layout.Columns, geometry: layout.Geometry) -> Block:
    """Attach the block as a worker. Raises BlockFault when it is not the block that was meant."""
    return block.attach(instance, KIND, layout.world_dtype(columns), geometry)
