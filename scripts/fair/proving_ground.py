"""The land on which honest cars are judged: walls to scrape along, houses to cut the corners of, poles in the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from shared.world.ground_grid import GroundGrid
from shared.world.prop_kinds import PROP_INDEX
from shared.world.prop_table import PropTable
from shared.world.route_table import RouteTable
from shared.world.solids import Solids
from shared.world.static_world import StaticWorld

F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

SIZE_M: Final = 2048
"""Long enough that a car reaches 70 m/s, small enough that it meets something every few seconds."""
EDGE_M: Final = 4.0
"""Honest cars stop so far before the end of the world."""
WALLS, HOUSES, POLES = 110, 70, 130
HUG_M: Final = 1.2
"""How far beside a wall, and around a corner, the points lie that drivers like to aim at."""
NEAR_CELL_M: Final = 2.0
NEAR_M: Final = 2.2
"""A car nearer than this to a solid is looked at closely: a step at 70 m/s and 60 Hz, and half its width."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ProvingGround:
    """A square world with its solids, and what drivers need to know of it."""

    static: StaticWorld
    spots_x: F64
    """``(spots,)`` metres: points right beside walls and corners; so is ``spots_z``."""
    spots_z: F64
    near: Mask
    """``(cells, cells)`` indexed ``[z, x]``: squares of NEAR_CELL_M with a solid within NEAR_M."""

    @classmethod
    def build(
        cls, seed: int, size_m: int = SIZE_M, walls: int = WALLS, houses: int = HOUSES, poles: int = POLES
    ) -> Self:
        """The same seed gives the same ground. All solids may cross each other; pockets between them are part of it."""
        rng = np.random.default_rng(seed)
        kinds = ["barrier"] * walls + ["block"] * houses + ["silo"] * (poles // 2) + ["oak"] * (poles - poles // 2)
        count = len(kinds)
        scale = np.concatenate(
            [rng.integers(500, 3500, walls), rng.integers(60, 250, houses), rng.integers(60, 200, poles)]
        )
        at = rng.uniform(60.0, size_m - 60.0, (2, count))
        columns = [
            np.array([PROP_INDEX[kind] for kind in kinds]),
            np.round(at[0] * 100.0),
            np.zeros(count),
            np.round(at[1] * 100.0),
            rng.integers(0, 6284, count),
            scale,
        ]
        solids = Solids.of(PropTable(*(column.astype(np.int32) for column in columns)), size_m)
        static = StaticWorld(size_m, solids, GroundGrid.level(size_m, 250), RouteTable.of(()))
        spots_x, spots_z = _spots(solids, rng)
        inside = (np.minimum(spots_x, spots_z) > EDGE_M) & (np.maximum(spots_x, spots_z) < size_m - EDGE_M)
        return cls(static, spots_x[inside], spots_z[inside], _near_cells(solids, size_m))

    @property
    def size_m(self) -> int:
        """Edge of the square."""
        return self.static.size_m

    def is_near(self, x: F64, z: F64) -> Mask:
        """(N,) whether a solid may be within NEAR_M of points (N,)."""
        last = len(self.near) - 1
        column = np.clip(x / NEAR_CELL_M, 0, last).astype(np.intp)
        row = np.clip(z / NEAR_CELL_M, 0, last).astype(np.intp)
        near: Mask = self.near[row, column]
        return near

    def is_free(self, x: F64, z: F64, room_m: float) -> Mask:
        """(N,) whether there is nothing within ``room_m`` of points (N,)."""
        share, _ = self.static.solids.first_hits(x, z, x, z, room_m)
        free: Mask = ~(share <= 1.0)
        return free

    def free_points(self, count: int, room_m: float, rng: np.random.Generator) -> tuple[F64, F64]:
        """``count`` points with nothing within ``room_m``."""
        x, z = np.empty(0), np.empty(0)
        while len(x) < count:
            new_x, new_z = rng.uniform(2 * EDGE_M, self.size_m - 2 * EDGE_M, (2, 2 * count + 8))
            free = self.is_free(new_x, new_z, room_m)
            x, z = np.concatenate((x, new_x[free])), np.concatenate((z, new_z[free]))
        return x[:count], z[:count]


def _spots(solids: Solids, rng: np.random.Generator) -> tuple[F64, F64]:
    """Points HUG_M outside the sides and corners of every solid."""
    xs, zs = [], []
    for side in (-1.0, 1.0):
        for end in (-1.0, 1.0):
            across, along = side * (solids.half_w + HUG_M), end * (solids.half_d + HUG_M)
            share = rng.uniform(0.0, 1.0, len(solids))
            for depth in (along, along * share):
                xs.append(solids.x + solids.ahead_x * depth - solids.ahead_z * across)
                zs.append(solids.z + solids.ahead_z * depth + solids.ahead_x * across)
    return np.concatenate(xs), np.concatenate(zs)


def _near_cells(solids: Solids, size_m: int) -> Mask:
    cells = int(np.ceil(size_m / NEAR_CELL_M))
    middle = (np.arange(cells) + 0.5) * NEAR_CELL_M
    x, z = (grid.ravel() for grid in np.meshgrid(middle, middle))
    share, _ = solids.first_hits(x, z, x, z, NEAR_M + 0.71 * NEAR_CELL_M)
    return (share <= 1.0).reshape(cells, cells)
