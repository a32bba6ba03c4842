"""The bare ground: a smooth sheet over the relief's numbers, with bumps from the seed. 32-bit integer arithmetic only.

The sheet is a uniform quadratic B-spline whose control points are the relief's numbers, one in the middle of each
square of ``step_m``: it passes near them, has no edges, and at any point depends on the 3 x 3 squares around alone. So
nine numbers, the step, the roughness and the seed tell a client the ground of a chunk. Bumps grow with the distance
from sea level: beaches are smooth, hills are not. All heights are whole centimetres above sea level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from shared.constants import CHUNK_M
from shared.world import noise
from shared.world.entries import RELIEF_STEPS_M, WorldFile

I32 = NDArray[np.int32]

BUMP_BASE_CM: Final = 60
"""Bumps of a place at sea level, give or take; one eighth of the height comes on top."""


@dataclass(frozen=True, slots=True, eq=False)
class Relief:
    """The ground of a world without roads."""

    seed: int
    size_m: int
    step_m: int
    roughness: int
    """Per cent."""
    controls_cm: I32
    """``(squares + 2, squares + 2)`` indexed ``[z, x]``: the relief in centimetres, its edge repeated once."""

    @classmethod
    def of_file(cls, world: WorldFile, seed: int) -> Self:
        """The ground that a world file and a seed describe."""
        heights = np.array(world.terrain.relief_m, np.float64)
        controls = np.pad(np.floor(heights * 100.0 + 0.5).astype(np.int32), 1, mode="edge")
        return cls(seed, world.size_m, world.terrain.step_m, world.terrain.roughness, controls)

    @classmethod
    def flat(cls, seed: int, size_m: int) -> Self:
        """A plain at sea level."""
        step_m = max(step for step in RELIEF_STEPS_M if size_m % step == 0)
        return cls(seed, size_m, step_m, 0, np.zeros((size_m // step_m + 2,) * 2, np.int32))

    def of_chunk(self, cx: int, cz: int) -> tuple[int, ...]:
        """What a client needs for the chunk's ground: step in metres, roughness, nine controls row by row."""
        column, row = cx * CHUNK_M // self.step_m, cz * CHUNK_M // self.step_m
        nine = self.controls_cm[row : row + 3, column : column + 3]
        return (self.step_m, self.roughness, *(int(each) for each in nine.ravel()))

    def sheet_cm(self, x_cm: I32, z_cm: I32) -> I32:
        """The smooth sheet at (N,) points, centimetres; 0 <= x, z <= size."""
        column, (west, middle, east) = self._weights(x_cm)
        row, (north, centre, south) = self._weights(z_cm)
        numbers, line = self.controls_cm.ravel(), np.int32(len(self.controls_cm))
        at = row * line + column

        def across(first: I32) -> I32:
            """Three controls of one row, blended; in sixteenths of a centimetre."""
            three: I32 = west * numbers[first] + middle * numbers[first + 1] + east * numbers[first + 2]
            return three >> np.int32(8)

        sheet: I32 = (north * across(at) + centre * across(at + line) + south * across(at + line + line)) >> np.int32(
            16
        )
        return sheet

    def bump_cm(self, sheet_cm: I32) -> I32:
        """How far bumps reach up and down where the sheet is at ``sheet_cm`` (N,)."""
        return np.int32(self.roughness) * (np.int32(BUMP_BASE_CM) + (np.abs(sheet_cm) >> np.int32(3))) // np.int32(100)

    def ground_cm(self, x_cm: I32, z_cm: I32) -> I32:
        """Heights at (N,) points, centimetres, as if there were no roads."""
        sheet = self.sheet_cm(x_cm, z_cm)
        return sheet + ((noise.bumps(self.seed, x_cm, z_cm) * self.bump_cm(sheet)) >> np.int32(15))

    def bed_cm(self, x_cm: I32, z_cm: I32) -> I32:
        """Where a road would run at (N,) points, centimetres: the sheet and the longest wave of the bumps."""
        sheet = self.sheet_cm(x_cm, z_cm)
        wave = noise.octave(self.seed, 0, x_cm, z_cm) >> np.int32(1)
        return sheet + ((wave * self.bump_cm(sheet)) >> np.int32(15))

    def _weights(self, at_cm: I32) -> tuple[I32, tuple[I32, I32, I32]]:
        """The square's number along one axis, and the weights of the controls before, in and after it, of 4096."""
        step_cm = np.int32(self.step_m * 100)
        last = np.int32(self.size_m // self.step_m - 1)
        square = np.minimum(np.asarray(at_cm, np.int32) // step_cm, last)
        t = ((at_cm - square * step_cm) << np.int32(12)) // step_cm
        rest = np.int32(4096) - t
        before, after = (rest * rest) >> np.int32(13), (t * t) >> np.int32(13)
        return square, (before, np.int32(4096) - before - after, after)
