"""What a car cannot drive through: the shapes of the same props that clients get, filed for fast questions.

Three shapes: a disc, an oriented box, and a wall, which is a line without thickness. All columns are flat arrays, so
that they can lie in shared memory as they are. Two questions are answered for many segments at once: which shapes are
near (``candidates``), and where a segment first touches a shape (``first_touch``). The second is exact for the point
that moves along the segment; whoever wants a car's width grows the shapes by ``grow_m``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from shared.world.box_grid import BoxGrid, boxes_of
from shared.world.footprints import box_span
from shared.world.prop_table import BOX, CIRCLE, NONE, WALL, PropTable

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

CELL_M: Final = 16.0
"""Edge of a cell: longer than what a car drives between two samples (70 m/s at 20 Hz is 3.5 m), so that a question
touches one cell or two; in a wood there are four trees in it."""
NEVER: Final = np.inf


@dataclass(frozen=True, slots=True, eq=False)
class Solids:
    """All solid shapes of a world."""

    shape: NDArray[np.int8]
    """``(solids,)``: CIRCLE, BOX or WALL of ``prop_table``."""
    x: F64
    """``(solids,)`` metres: the middle of the shape; so is ``z``."""
    z: F64
    ahead_x: F64
    """``(solids,)``: unit vector along a box's depth and along a wall; so is ``ahead_z``."""
    ahead_z: F64
    half_w: F64
    """``(solids,)`` metres: radius of a disc, half the width of a box, 0 for a wall."""
    half_d: F64
    """``(solids,)`` metres: half the depth of a box, half the length of a wall."""
    grid: BoxGrid

    @classmethod
    def of(cls, props: PropTable, size_m: int) -> Self:
        """The solid ones among the props of a world of ``size_m``."""
        solid = props.take(props.shape() != NONE)
        x, z = solid.position_m()
        ahead_x, ahead_z = solid.heading()
        half_w, half_d = solid.half_sizes_m()
        shape = solid.shape()
        half_w = np.where(shape == WALL, 0.0, half_w)
        half_d = np.where(shape == CIRCLE, half_w, half_d)
        disc = shape == CIRCLE
        wide = np.where(disc, half_w, half_w * np.abs(ahead_z) + half_d * np.abs(ahead_x))
        deep = np.where(disc, half_w, half_w * np.abs(ahead_x) + half_d * np.abs(ahead_z))
        boxes = np.stack([x - wide, z - deep, x + wide, z + deep], axis=-1)
        return cls(shape, x, z, ahead_x, ahead_z, half_w, half_d, BoxGrid.file(boxes, size_m, CELL_M))

    def __len__(self) -> int:
        return len(self.shape)

    def candidates(
        self, x0: F64, z0: F64, x1: F64, z1: F64, grow_m: F64 | float = 0.0
    ) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
        """Pairs (segment, solid) that may touch, each once, sorted by segment; segments are (N,) metres.

        No pair is missing that touches when shapes are grown by ``grow_m``.
        """
        return self.grid.near(boxes_of(x0, z0, x1, z1, grow_m))

    def first_touch(self, solid: I32, x0: F64, z0: F64, x1: F64, z1: F64, grow_m: F64 | float = 0.0) -> F64:
        """Where each segment (N,) first touches its ``solid`` (N,): a share 0 to 1 of the segment, or NEVER.

        A segment that starts inside touches at 0. ``grow_m`` widens discs and boxes on every side (boxes keep square
        corners) and makes a wall a box of that half thickness.
        """
        shape, x, z = self.shape[solid], self.x[solid], self.z[solid]
        ahead_x, ahead_z = self.ahead_x[solid], self.ahead_z[solid]
        half_w, half_d = self.half_w[solid] + grow_m, self.half_d[solid] + grow_m
        enter, leave = box_span(x0, z0, x1, z1, x, z, ahead_x, ahead_z, half_w, half_d)
        box = np.where(enter <= leave, enter, NEVER)
        return np.where(shape == CIRCLE, _touch_disc(x0, z0, x1, z1, x, z, half_w), box)

    def first_hits(self, x0: F64, z0: F64, x1: F64, z1: F64, grow_m: F64 | float = 0.0) -> tuple[F64, I32]:
        """For each segment (N,): the share at which it first touches anything, or NEVER; and which solid, or -1.

        ``grow_m`` is one for all, or one for each segment.
        """
        share, which = np.full(len(x0), NEVER), np.full(len(x0), -1, np.int32)
        segment, solid = self.candidates(x0, z0, x1, z1, grow_m)
        if len(segment):
            grown_m = grow_m[segment] if isinstance(grow_m, np.ndarray) else grow_m
            touch = self.first_touch(solid, x0[segment], z0[segment], x1[segment], z1[segment], grown_m)
            order = np.lexsort((solid, touch, segment))
            first = order[np.concatenate(([True], segment[order][1:] != segment[order][:-1]))]
            share[segment[first]] = touch[first]
            which[segment[first]] = np.where(touch[first] < NEVER, solid[first], -1)
        return share, which


def _touch_disc(x0: F64, z0: F64, x1: F64, z1: F64, x: F64, z: F64, radius: F64) -> F64:
    """The smaller root of |start + t * step|^2 = radius^2, when it lies in 0 .. 1; 0 when the start is inside."""
    start_x, start_z = x0 - x, z0 - z
    step_x, step_z = x1 - x0, z1 - z0
    square = step_x * step_x + step_z * step_z
    towards = start_x * step_x + start_z * step_z
    outside = start_x * start_x + start_z * start_z - radius * radius
    under = towards * towards - square * outside
    hit = (under >= 0.0) & (towards < 0.0) & (square > 0.0)
    # c / (-b + root) instead of (-b - root) / a: no cancellation when the start is close to the disc
    share = outside / np.where(hit, -towards + np.sqrt(np.maximum(under, 0.0)), 1.0)
    return np.where(outside <= 0.0, 0.0, np.where(hit & (share <= 1.0), share, NEVER))


assert (NONE, CIRCLE, BOX, WALL) == (0, 1, 2, 3), "the columns are read by processes that know only the numbers"
