"""Encoded cells on their way from a zone to main: a directory and its bytes, double buffered by tick."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from ipc.block import Block
from shared.cells import CellEntry, CellPage, EncodedCell
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

    def write(self, half: int, cells: Sequence[EncodedCell], nodes: I32 = NONE) -> list[int]:
        """Write all cells of a tick into ``half``; returns the ids of cells that did not fit and were left out.

        ``nodes`` are the ids of the cells that are split, ascending.
        """
        count = len(cells)
        pieces = np.array([(len(cell.who), len(cell.head), len(cell.rows)) for cell in cells], np.int64).reshape(-1, 3)
        ends = np.cumsum(pieces).reshape(-1, 3)
        if count > self.capacity_cells or (count and ends[-1, 2] > self.capacity_bytes):
            return self._write_what_fits(half, cells, nodes, pieces.sum(axis=1).tolist())
        payload = b"".join([part for cell in cells for part in (cell.who, cell.head, cell.rows)])
        record = self._record
        record["payload"][half, : len(payload)] = np.frombuffer(payload, np.uint8)
        directory = record["directory"][half, :count]
        directory["cell"] = [cell.cell for cell in cells]
        directory["members"] = [cell.members for cell in cells]
        directory["flags"] = [cell.flags for cell in cells]
        directory["who_at"] = ends[:, 0] - pieces[:, 0]
        directory["who_end"] = directory["head_at"] = ends[:, 0]
        rows_at = directory["rows_at"] = ends[:, 1]
        directory["rows_end"] = ends[:, 2]
        prefixes = np.array([(cell.came, *cell.ends) for cell in cells], np.int64).reshape(-1, 4) + rows_at[:, None]
        for column, name in enumerate(("came_end", "one_end", "two_end", "four_end")):
            directory[name] = prefixes[:, column]
        record["nodes"][half, : len(nodes)] = nodes
        record["split"][half] = len(nodes)
        record["cells"][half] = count
        record["omitted"][half] = 0
        return []

    def _write_what_fits(self, half: int, cells: Sequence[EncodedCell], nodes: I32, sizes: list[int]) -> list[int]:
        used = 0
        kept: list[EncodedCell] = []
        omitted: list[int] = []
        for cell, size in zip(cells, sizes, strict=True):
            if used + size > self.capacity_bytes or len(kept) == self.capacity_cells:
                omitted.append(cell.cell)
            else:
                kept.append(cell)
                used += size
        self.write(half, kept, nodes)
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
