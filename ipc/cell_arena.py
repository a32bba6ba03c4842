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
        used = 0
        parts: list[bytes] = []
        entries: list[tuple[int, int, int, int, int, int]] = []
        omitted: list[int] = []
        for cell, members, full, news in cells:
            size = len(full) + len(news)
            if used + size > self.capacity_bytes or len(entries) == self.capacity_cells:
                omitted.append(cell)
                continue
            entries.append((cell, members, used, len(full), used + len(full), len(news)))
            parts.append(full)
            parts.append(news)
            used += size
        record = self._record
        record["payload"][half, :used] = np.frombuffer(b"".join(parts), np.uint8)
        if entries:
            record["directory"][half, : len(entries)] = entries
        record["cells"][half] = len(entries)
        record["omitted"][half] = len(omitted)
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
        count = int(self._record["cells"][half])
        payload = self._payload[half]
        return [
            EncodedCell(cell, members, bytes(payload[full : full + full_len]), bytes(payload[news : news + news_len]))
            for cell, members, full, full_len, news, news_len in self._record["directory"][half, :count].tolist()
        ]
