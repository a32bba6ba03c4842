"""Encoded cells on their way from a zone to main: a directory and its bytes, double buffered by tick."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from ipc.block import Block
from shared.cells import CellColumns, CellEntry, CellPage
from shared.player_state import I32
from shared.quadtree import NONE


class CellWriter:
    """A zone's side."""

    def __init__(self, block: Block) -> None:
        self._record: Any = block.record
        self.capacity_bytes: int = self._record["payload"].shape[1]
        self.capacity_cells: int = self._record["directory"].shape[1]

    def release(self) -> None:
        """Drop all views, so that the block can be closed."""
        self._record = None

    def write(self, half: int, cells: CellColumns, nodes: I32 = NONE) -> list[int]:
        """Write all cells of a tick into ``half``; returns the ids of cells that did not fit and were left out.

        ``nodes`` are the ids of the cells that are split, ascending.
        """
        count = len(cells)
        parts = [b""] * (3 * count)
        parts[0::3], parts[1::3], parts[2::3] = cells.who, cells.head, cells.rows
        pieces = np.fromiter(map(len, parts), np.int64, len(parts)).reshape(-1, 3)
        ends = np.cumsum(pieces).reshape(-1, 3)
        if count > self.capacity_cells or (count and ends[-1, 2] > self.capacity_bytes):
            return self._write_what_fits(half, cells, nodes, pieces.sum(axis=1).tolist())
        payload = b"".join(parts)
        record = self._record
        record["payload"][half, : len(payload)] = np.frombuffer(payload, np.uint8)
        directory = record["directory"][half, :count]
        directory["cell"] = cells.cell
        directory["members"] = cells.members
        directory["flags"] = cells.flags
        directory["who_at"] = ends[:, 0] - pieces[:, 0]
        directory["who_end"] = directory["head_at"] = ends[:, 0]
        rows_at = directory["rows_at"] = ends[:, 1]
        directory["rows_end"] = ends[:, 2]
        for name, taken in zip(("came_end", "one_end", "two_end", "four_end"), cells.ends, strict=True):
            directory[name] = rows_at + taken
        record["nodes"][half, : len(nodes)] = nodes
        record["split"][half] = len(nodes)
        record["cells"][half] = count
        record["omitted"][half] = 0
        return []

    def _write_what_fits(self, half: int, cells: CellColumns, nodes: I32, sizes: list[int]) -> list[int]:
        used = 0
        kept: list[int] = []
        omitted: list[int] = []
        for index, size in enumerate(sizes):
            if used + size > self.capacity_bytes or len(kept) == self.capacity_cells:
                omitted.append(cells.cell[index])
            else:
                kept.append(index)
                used += size
        self.write(half, cells.take(kept), nodes)
        self._record["omitted"][half] = len(omitted)
        return omitted


class CellReader:
    """Main's side: reads the half that the zone's last committed Done wrote."""

    def __init__(self, block: Block) -> None:
        self._record: Any = block.record
        self._payload = [memoryview(self._record["payload"][half]) for half in (0, 1)]

    def release(self) -> None:
        """Drop all views, so that the block can be closed."""
        for view in self._payload:
            view.release()
        self._payload = []
        self._record = None

    def read(self, half: int) -> CellPage:
        """All cells of the half, copied out."""
        directory = self._record["directory"][half, : int(self._record["cells"][half])]
        used = int(directory["rows_end"].max(initial=0))
        nodes = self._record["nodes"][half, : int(self._record["split"][half])]
        return CellPage(
            bytes(self._payload[half][:used]),
            cast(list[CellEntry], directory.tolist()),  # plain tuples: main unpacks a thousand of them per tick
            tuple(nodes.tolist()),
        )
