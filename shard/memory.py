"""All blocks of one shard, created together and removed together."""

from __future__ import annotations

import secrets
from contextlib import ExitStack, closing

import numpy as np

from ipc import block, layout
from ipc.cell_arena import CellReader
from ipc.gateway_table import GatewayTable
from ipc.input_ring import InputWriter
from ipc.world_table import MainTable


def kinds(geometry: layout.Geometry) -> dict[str, np.dtype[np.void]]:
    """Every block of a shard: its kind and its dtype."""
    arenas = {f"cells-{zone}": layout.arena_dtype(geometry) for zone in range(geometry.zones)}
    others = {"input": layout.input_dtype(geometry), "gateway": layout.gateway_dtype(geometry)}
    return {"table": layout.table_dtype(geometry)} | others | arenas


class Memory:
    """Main's views of its blocks. Close it to drop the views and remove the blocks."""

    def __init__(self, geometry: layout.Geometry) -> None:
        """Create and reserve every block under a new instance name. Raises BlockFault, leaving nothing behind."""
        self.geometry = geometry
        self.instance = secrets.token_hex(4)
        with ExitStack() as stack:
            blocks = {
                kind: stack.enter_context(closing(block.create(self.instance, kind, dtype, geometry)))
                for kind, dtype in kinds(geometry).items()
            }
            self.blocks = blocks
            self.table = MainTable(blocks["table"])
            self.ring = InputWriter(blocks["input"])
            self.gateway = GatewayTable(blocks["gateway"])
            self.arenas = [CellReader(blocks[f"cells-{zone}"]) for zone in range(geometry.zones)]
            self._stack = stack.pop_all()

    @property
    def total_bytes(self) -> int:
        """Shared memory of the whole shard."""
        return sum(dtype.itemsize for dtype in kinds(self.geometry).values())

    def close(self) -> None:
        """Drop all views and remove all blocks."""
        self.table.release()
        self.ring.release()
        self.gateway.release()
        for arena in self.arenas:
            arena.release()
        self._stack.close()
