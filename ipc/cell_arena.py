"""Encoded cells on their way from a zone to main: a directory and its bytes, double buffered by tick."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ipc.block import Block
from shared.cells import EncodedCell


class CellWriter:
    """A zone's side."""

    def __init__(self, block: Block) -> None:
        self._record: Any = block.record
        self.capacity_bytes: int = self._record["payload"].shape[1]
        self.capacity_cells: int = self._record["directory"].shape[1]

    def release(self) -> None:
        """Drop all views, so that the block can be closed."""
        self._record = None

    def write(self, half: int, cells: Sequence[EncodedCell]) -> list[int]:
        """Write all cells of a tick into ``half``; returns the ids of cells that did not fit and were left out."""
        sizes = np.array([(len(cell.full), len(cell.news)) for cell in cells], np.int64).reshape(-1, 2)
        ends = np.cumsum(sizes.sum(axis=1))
        if len(cells) > self.capacity_cells or (len(cells) and ends[-1] > self.capacity_bytes):
            return self._write_what_fits(half, cells, sizes.sum(axis=1).tolist())
        payload = b"".join([part for cell in cells for part in (cell.full, cell.news)])
        record = self._record
        record["payload"][half, : len(payload)] = np.frombuffer(payload, np.uint8)
        directory = record["directory"][half, : len(cells)]
        directory["cell"] = [cell.cell for cell in cells]
        directory["members"] = [cell.members for cell in cells]
        directory["full_len"], directory["news_len"] = sizes.T
        directory["news_at"] = ends - sizes[:, 1]
        directory["full_at"] = directory["news_at"] - sizes[:, 0]
        record["cells"][half] = len(cells)
        record["omitted"][half] = 0
        return []

    def _write_what_fits(self, half: int, cells: Sequence[EncodedCell], sizes: list[int]) -> list[int]:
        used = 0
        kept: list[EncodedCell] = []
        omitted: list[int] = []
        for cell, size in zip(cells, sizes, strict=True):
            if used + size > self.capacity_bytes or len(kept) == self.capacity_cells:
                omitted.append(cell.cell)
            else:
                kept.append(cell)
                used += size
        self.write(half, kept)
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

    def read(self, half: int) -> list[EncodedCell]:
        """All cells of the half, copied out."""
        directory = self._record["directory"][half, : int(self._record["cells"][half])]
        used = int((directory["news_at"] + directory["news_len"]).max(initial=0))
        payload = bytes(self._payload[half][:used])
        return [
            EncodedCell(cell, members, payload[full : full + full_len], payload[news : news + news_len])
            for cell, members, full, full_len, news, news_len in directory.tolist()
        ]
