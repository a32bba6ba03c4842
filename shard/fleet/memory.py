"""All blocks of one shard, created together and removed together."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import ExitStack, closing
from typing import Any

import numpy as np

from ipc import block, layout, world_block
from ipc.cell_arena import CellReader
from ipc.gateway_table import GatewayTable
from ipc.input_ring import InputWriter
from ipc.world_table import MainTable
from shared.constants import CHUNK_M
from shared.world.static_world import StaticWorld


def kinds(geometry: layout.Geometry) -> dict[str, np.dtype[np.void]]:
    """Every block of a shard: its kind and its dtype."""
    arenas = {f"cells-{zone}": layout.arena_dtype(geometry) for zone in range(geometry.zones)}
    others = {"input": layout.input_dtype(geometry), "gateway": layout.gateway_dtype(geometry)}
    return {"table": layout.table_dtype(geometry)} | others | arenas


class Memory:
    """Main's views of its blocks. Close it to drop the views and remove the blocks."""

    def __init__(
        self, geometry: layout.Geometry, world: Mapping[str, Any] | None = None, size_m: int = CHUNK_M
    ) -> None:
        """Create and reserve every block under a new instance name. Raises BlockFault, leaving nothing behind.

        ``world`` are the columns of the static world, whose edge is ``size_m``; None: a level plain.
        """
        if world is None:
            world = world_block.columns_of(StaticWorld.empty(size_m), [])
        self.geometry = geometry
        self.instance = secrets.token_hex(4)
        with ExitStack() as stack:
            blocks = {
                kind: stack.enter_context(closing(block.create(self.instance, kind, dtype, geometry)))
                for kind, dtype in kinds(geometry).items()
            }
            self.blocks = blocks
            self.world_columns = world_block.describe(world)
            blocks[world_block.KIND] = stack.enter_context(closing(world_block.create(self.instance, world, geometry)))
            self.world = world_block.WorldReader(blocks[world_block.KIND], self.world_columns, size_m)
            self.table = MainTable(blocks["table"])
            self.ring = InputWriter(blocks["input"])
            self.gateway = GatewayTable(blocks["gateway"])
            self.arenas = [CellReader(blocks[f"cells-{zone}"]) for zone in range(geometry.zones)]
            self._stack = stack.pop_all()

    @property
    def total_bytes(self) -> int:
        """Shared memory of the whole shard."""
        return sum(opened.record.dtype.itemsize for opened in self.blocks.values())

    def close(self) -> None:
        """Drop all views and remove all blocks."""
        self.world.release()
        self.table.release()
        self.ring.release()
        self.gateway.release()
        for arena in self.arenas:
            arena.release()
        self._stack.close()
