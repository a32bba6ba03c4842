"""What only main knows of its sockets, for ``scripts.explain``: written once per second, nothing depends on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
        """Begin anew: nobody watches until ``watchers`` says so. ``halves`` and ``committed`` are of all zones."""
        self.record["tick"] = tick
        self.record["half"] = halves
        self.record["committed"] = committed
        self.record["watching"] = 0

    def watchers(self, slots: NDArray[np.intp], watches: NDArray[np.int64], sockets: NDArray[np.int64]) -> None:
        """Write how each of ``slots`` (N,) stands.

        ``watches`` (N, 7): home, cells told in every, in every second and in every fourth tick, rows in view, tier,
        tick of the last frame; a tick below 0 leaves it as it is. ``sockets`` (N, 2): frames refused, bytes unsent.
        """
        record = self.record
        record["watching"][slots] = 1
        for name, column in zip(("home", "near", "middle", "far", "rows", "tier"), watches[:, :6].T, strict=True):
            record[name][slots] = column
        sent = watches[:, 6] >= 0
        record["sent_tick"][slots[sent]] = watches[sent, 6]
        record["refused"][slots] = sockets[:, 0]
        record["unsent_bytes"][slots] = np.minimum(sockets[:, 1], 0xFFFFFFFF)
