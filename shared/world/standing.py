"""The props that stand before anything grows: buildings, landmarks and rails, filed by place and by chunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from shared.constants import CHUNK_M
from shared.world.box_grid import BoxGrid, boxes_of
from shared.world.footprints import segment_in_box
from shared.world.prop_table import PropTable

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """A fixed set of props."""

    table: PropTable
    """Sorted by chunk, row by row from the north-west."""
    first: NDArray[np.intp]
    """``(chunks * chunks + 1,)``: where each chunk's props begin in ``table``."""
    chunks: int
    """Chunks per side of the world."""
    grid: BoxGrid

    @classmethod
    def of(cls, table: PropTable, size_m: int) -> Self:
        """These props in a world of ``size_m``."""
        chunks = size_m // CHUNK_M
        cx, cz = table.chunk()
        order = np.argsort(cz * np.int32(chunks) + cx, kind="stable")
        table = table.take(order)
        cx, cz = table.chunk()
        first = np.searchsorted(cz * np.int32(chunks) + cx, np.arange(chunks * chunks + 1))
        x, z = table.position_m()
        half_w, half_d = table.half_sizes_m()
        grid = BoxGrid.file(boxes_of(x, z, x, z, half_w + half_d), size_m, CHUNK_M)
        return cls(table, first, chunks, grid)

    def in_chunk(self, cx: int, cz: int) -> slice:
        """The rows of ``table`` that stand in a chunk."""
        number = cz * self.chunks + cx
        return slice(int(self.first[number]), int(self.first[number + 1]))

    def free_discs(self, x: F64, z: F64, radius_m: F64, margin_m: float) -> NDArray[np.bool_]:
        """Which discs (N,) keep ``margin_m`` off the boxes around all of these props."""
        free = np.ones(len(x), np.bool_)
        disc, prop = self.grid.near(boxes_of(x, z, x, z, radius_m + margin_m))
        close = self.table.take(prop)
        at_x, at_z = close.position_m()
        half_w, half_d = close.half_sizes_m()
        grow = radius_m[disc] + margin_m
        hit = segment_in_box(
            x[disc], z[disc], x[disc], z[disc], at_x, at_z, *close.heading(), half_w + grow, half_d + grow
        )
        free[disc[hit]] = False
        return free
