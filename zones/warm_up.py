"""Ticks for nothing: a new process is slow at whatever it does first, and a zone that was lost has no time for that.

The first tick of a fresh interpreter takes ten to forty milliseconds, in libraries that load lazily and memory that is
touched for the first time; after a few in private memory, a spare's first real tick takes one or two.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from ipc import layout
from ipc.block import PrivateBlock
from ipc.cell_arena import CellWriter
from ipc.control import Command, Place, Resume, Seat, SetFlags, Tick
from ipc.input_ring import InputReader
from ipc.world_table import ZoneTable
from shared.constants import FLAG_GHOST
from shared.player_state import COLUMNS
from zones.simulation import ZoneWorld
from zones.zone import Zone

_SEATS: Final[list[Seat]] = [(0, 1), (1, 1)]
_PERIOD_MS: Final = 50.0


def warm_up(world: ZoneWorld) -> int:
    """Place two cars in ``world``, drive, change cells and leave, in private memory; returns the number of ticks."""
    world = replace(world, anticheat="observe")  # these cars jump from cell to cell
    geometry = layout.Geometry(len(_SEATS), 1)
    table, ring, arena = (
        PrivateBlock(dtype(geometry)) for dtype in (layout.table_dtype, layout.input_dtype, layout.arena_dtype)
    )
    for name, _, _, fresh in COLUMNS:
        table.record[name][:] = fresh
    zone = Zone(world, ZoneTable(table), InputReader(ring), CellWriter(arena), lambda: 0)
    x0, z0, x1, z1 = world.rect_m.tolist()
    x, z = (x0 + x1) / 2, (z0 + z1) / 2
    place: list[Command] = [Place(slot, 1, x, z, 0.0, "enter", fresh=True) for slot, _ in _SEATS]
    others: list[Command] = [SetFlags(0, 1, FLAG_GHOST, 0), Resume(0, 1)]
    commands = [place, [], [], others, [], []]
    for number, told in enumerate(commands, start=1):
        first, last = number == 1, number == len(commands)
        if not first:
            for slot, _ in _SEATS:
                sample = (_PERIOD_MS * number, _PERIOD_MS * number, x + 30 * number, np.nan, z, 0.0, 9.0, 0.0, 0.0, 1)
                ring.record["samples"][slot, table.record["head"][slot]] = (*sample, number)
            table.record["head"][:] += 1
        gone = [_SEATS[1]] if last else []
        shown = number - 1 if number > 2 else 0
        adopted = _SEATS if first else []
        zone.tick(Tick(number, _PERIOD_MS * number, number % 2, shown, adopted, gone, gone, told))
        table.record["front"][:] ^= 1
    return len(commands)
