"""What a zone process has to know of the land: obstacles, ground and gates, as arrays and nothing else.

Main builds it from the ``Land``; it goes through shared memory as it is, so a zone builds nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from shared.world.ground_grid import GroundGrid
from shared.world.land import Land
from shared.world.prop_table import PropTable
from shared.world.route_table import RouteTable
from shared.world.solids import Solids


@dataclass(frozen=True, slots=True, eq=False)
class StaticWorld:
    """The static world of one shard. Everything is read-only."""

    size_m: int
    solids: Solids
    ground: GroundGrid
    routes: RouteTable

    @classmethod
    def of(cls, land: Land) -> Self:
        """The obstacles, ground and gates of a land."""
        solids = Solids.of(land.props.everywhere(), land.size_m)
        return cls(land.size_m, solids, GroundGrid.of(land.terrain), RouteTable.of(land.routes))

    @classmethod
    def empty(cls, size_m: int, height_cm: int = 0) -> Self:
        """A level plain with nothing on it."""
        return cls(size_m, Solids.of(PropTable.empty(), size_m), GroundGrid.level(size_m, height_cm), RouteTable.of(()))
