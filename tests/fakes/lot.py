"""A level lot with solids where a test wants them: discs, boxes and walls of any size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from shared.world.box_grid import BoxGrid
from shared.world.ground_grid import GroundGrid
from shared.world.prop_table import BOX, CIRCLE, WALL
from shared.world.route_table import RouteTable
from shared.world.solids import CELL_M, Solids
from shared.world.static_world import StaticWorld

Shape = tuple[int, float, float, float, float, float]
"""Kind, x, z, yaw, half width, half depth."""


def disc(x: float, z: float, radius: float) -> Shape:
    return CIRCLE, x, z, 0.0, radius, radius


def box(x: float, z: float, half_w: float, half_d: float, yaw: float = 0.0) -> Shape:
    return BOX, x, z, yaw, half_w, half_d


def wall(x0: float, z0: float, x1: float, z1: float) -> Shape:
    """A wall between two points."""
    yaw = math.atan2(x1 - x0, z1 - z0)
    return WALL, (x0 + x1) / 2, (z0 + z1) / 2, yaw, 0.0, math.dist((x0, z0), (x1, z1)) / 2


def solids(shapes: Sequence[Shape], size_m: int) -> Solids:
    """The shapes, filed as the world files them."""
    table = np.array(shapes, np.float64).reshape(-1, 6)
    kind, (x, z, yaw, half_w, half_d) = table[:, 0].astype(np.int8), table[:, 1:].T
    ahead_x, ahead_z = np.sin(yaw), np.cos(yaw)
    round_ = kind == CIRCLE
    wide = np.where(round_, half_w, half_w * np.abs(ahead_z) + half_d * np.abs(ahead_x))
    deep = np.where(round_, half_w, half_w * np.abs(ahead_x) + half_d * np.abs(ahead_z))
    boxes = np.stack([x - wide, z - deep, x + wide, z + deep], axis=-1)
    return Solids(kind, x, z, ahead_x, ahead_z, half_w, half_d, BoxGrid.file(boxes, size_m, CELL_M))


def lot(shapes: Sequence[Shape] = (), size_m: int = 512, height_cm: int = 0) -> StaticWorld:
    """A world of that."""
    return StaticWorld(size_m, solids(shapes, size_m), GroundGrid.level(size_m, height_cm), RouteTable.of(()))
