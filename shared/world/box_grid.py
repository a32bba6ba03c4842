"""Which things are near which: rectangles filed in a uniform grid, as flat arrays that shared memory can hold.

The items of cell ``c`` are ``items[starts[c] : starts[c + 1]]`` (compressed sparse rows), cells counted row by row from
the north-west corner. An item is filed in every cell that its rectangle touches; a pair is found once nevertheless.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class BoxGrid:
    """Rectangles by cell. What lies off the map counts as in the nearest cell."""

    cell_m: float
    cells: int
    """Cells per side of the square grid."""
    starts: I32
    """``(cells * cells + 1,)``."""
    items: I32
    """``(filed,)``: numbers of items; ascending within a cell."""
    corner: I32
    """``(items, 2)``: the north-westernmost cell (column, row) of each item."""

    @classmethod
    def file(cls, boxes: F64, size_m: float, cell_m: float) -> Self:
        """File ``boxes`` (N, 4): x0, z0, x1, z1 in metres, edges included, in a square of ``size_m``."""
        cells = cls.cells_per_side(size_m, cell_m)
        low, high = _span(boxes, cells, cell_m)
        item, cell = _cells_of(low, high, cells)
        order = np.lexsort((item, cell))
        starts = np.searchsorted(cell[order], np.arange(cells * cells + 1)).astype(np.int32)
        return cls(cell_m, cells, starts, item[order].astype(np.int32), low)

    @staticmethod
    def cells_per_side(size_m: float, cell_m: float) -> int:
        """How many cells of ``cell_m`` it takes to cover ``size_m``."""
        return max(1, int(-(-size_m // cell_m)))

    def of_cells(self, cell: NDArray[np.intp]) -> tuple[NDArray[np.intp], I32]:
        """All (query, item) of the cells (M,), each by its number; sorted by query, then by item."""
        first = self.starts[cell].astype(np.intp)
        query, offset = _ragged(self.starts[cell + 1] - first)
        return query, self.items[first[query] + offset]

    def near(self, boxes: F64) -> tuple[NDArray[np.intp], I32]:
        """All (query, item) that share a cell, each pair once, for query rectangles (M, 4); sorted by query."""
        low, high = _span(boxes, self.cells, self.cell_m)
        asked, cell = _cells_of(low, high, self.cells)
        at, item = self.of_cells(cell)
        query = asked[at]
        several = np.flatnonzero((low != high).any(axis=1)[query])
        if not len(several):
            return query, item
        asker, near = query[several], item[several]
        column, row = cell[at[several]] % self.cells, cell[at[several]] // self.cells
        first = np.ones(len(item), np.bool_)
        first[several] = (column == np.maximum(low[asker, 0], self.corner[near, 0])) & (
            row == np.maximum(low[asker, 1], self.corner[near, 1])
        )  # of the cells that both touch, the north-westernmost
        return query[first], item[first]


def boxes_of(x0: F64, z0: F64, x1: F64, z1: F64, grow_m: F64 | float = 0.0) -> F64:
    """Rectangles (N, 4) around segments (x0, z0)-(x1, z1), grown by ``grow_m`` on every side."""
    return np.stack(
        [
            np.minimum(x0, x1) - grow_m,
            np.minimum(z0, z1) - grow_m,
            np.maximum(x0, x1) + grow_m,
            np.maximum(z0, z1) + grow_m,
        ],
        axis=-1,
    )


def _span(boxes: F64, cells: int, cell_m: float) -> tuple[I32, I32]:
    index = np.clip(np.floor(boxes / cell_m), 0, cells - 1).astype(np.int32).reshape(-1, 4)
    return index[:, :2], index[:, 2:]


def _cells_of(low: I32, high: I32, cells: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Every (item, cell) of rectangles of cells, sorted by item."""
    wide, deep = high[:, 0] - low[:, 0] + 1, high[:, 1] - low[:, 1] + 1
    item, offset = _ragged(wide * deep)
    column = low[item, 0] + offset % wide[item]
    row = low[item, 1] + offset // wide[item]
    return item, (row.astype(np.intp) * cells + column)


def _ragged(counts: NDArray[np.integer]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """For counts 2, 0, 3: (0 0 2 2 2) and (0 1 0 1 2)."""
    counts = counts.astype(np.intp)
    owner = np.repeat(np.arange(len(counts)), counts)
    starts = np.cumsum(counts) - counts
    return owner, np.arange(len(owner)) - starts[owner]
