"""What a zone process has to know of the land: obstacles, ground and gates, as arrays and nothing else.

Main builds it from the ``Land``; it goes through shared memory as it is, so a zone builds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np

from shared.world.box_grid import BoxGrid
from shared.world.ground_grid import GroundGrid
from shared.world.land import Land
from shared.world.prop_table import PropTable
from shared.world.route_table import RouteTable
from shared.world.solids import CELL_M, Solids


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

    def columns(self) -> dict[str, Any]:
        """All of it as named arrays; ``of_columns`` is the way back."""
        solids = {name: getattr(self.solids, name) for name in _SOLIDS}
        grid = {f"grid_{name}": getattr(self.solids.grid, name) for name in _GRID}
        routes = {f"route_{name}": getattr(self.routes, name) for name in _ROUTES}
        ground = {"ground_step_m": np.array([self.ground.step_m], np.int32), "ground_posts_cm": self.ground.posts_cm}
        return {**solids, **grid, **ground, **routes}

    @classmethod
    def of_columns(cls, size_m: int, columns: Mapping[str, Any]) -> Self:
        """The world whose ``columns`` these are; they are used as they lie, not copied."""
        cells = BoxGrid.cells_per_side(size_m, CELL_M)
        grid = BoxGrid(CELL_M, cells, *(columns[f"grid_{name}"] for name in _GRID))
        return cls(
            size_m,
            Solids(**{name: columns[name] for name in _SOLIDS}, grid=grid),
            GroundGrid(int(columns["ground_step_m"][0]), columns["ground_posts_cm"]),
            RouteTable(*(columns[f"route_{name}"] for name in _ROUTES)),
        )


_SOLIDS = tuple(field.name for field in fields(Solids) if field.name != "grid")
_GRID = ("starts", "items", "corner")
_ROUTES = tuple(field.name for field in fields(RouteTable))
