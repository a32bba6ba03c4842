"""What only main knows of its sockets, for ``scripts.explain``: written once per second, nothing depends on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ipc.block import Block


class GatewayTable:
    """The one writer, or a reader."""

    def __init__(self, block: Block) -> None:
        self.record: Any = block.record

    def release(self) -> None:
        """Drop all views, so that the block can be closed."""
        self.record = None

    def settings(self, size_m: int, view_radius_m: float, row_budget: int) -> None:
        """Write what does not change."""
        self.record["size_m"] = size_m
        self.record["view_radius_m"] = view_radius_m
        self.record["row_budget"] = row_budget

    def begin(self, tick: int, halves: Sequence[int], committed: Sequence[int]) -> None:
        """Begin anew: nobody watches until ``group`` says so. ``halves`` and ``committed`` are of all zones."""
        self.record["tick"] = tick
        self.record["half"] = halves
        self.record["committed"] = committed
        self.record["watching"] = 0

    def group(
        self, slots: list[int], home: int, cells: tuple[int, int, int], rows: int, tier: int, sent_tick: int | None
    ) -> None:
        """Write the rows of all who have been shown the same. ``sent_tick`` None: leave it as it is."""
        record = self.record
        record["watching"][slots] = 1
        record["home"][slots] = home
        record["near"][slots], record["middle"][slots], record["far"][slots] = cells
        record["rows"][slots] = rows
        record["tier"][slots] = tier
        if sent_tick is not None:
            record["sent_tick"][slots] = sent_tick

    def sockets(self, slots: list[int], refused: list[int], unsent_bytes: list[int]) -> None:
        """Write what is known of each socket."""
        self.record["refused"][slots] = refused
        self.record["unsent_bytes"][slots] = np.minimum(unsent_bytes, 0xFFFFFFFF)
