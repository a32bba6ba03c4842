"""Which landscape is where: the file's letters, with borders that wander instead of following the squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from shared.world import noise
from shared.world.entries import BiomeEntry, WorldFile

I32 = NDArray[np.int32]

WANDER_CM: Final = 9000
"""How far a border may leave the edge of its square."""
_WANDER_BITS: Final = (14, 12)
"""One slow wave of three quarters of the way, and a quicker one."""
_SALT_X, _SALT_Z = 0x51ED270B, 0x2545F491


@dataclass(frozen=True, slots=True, eq=False)
class BiomeMap:
    """The landscape at every point of a world."""

    seed: int
    step_cm: int
    entries: tuple[BiomeEntry, ...]
    index: NDArray[np.int8]
    """``(squares, squares)`` indexed ``[z, x]``: index into ``entries``."""

    @classmethod
    def of_file(cls, world: WorldFile, seed: int) -> Self:
        """The landscapes of a world file."""
        number = {biome.letter: index for index, biome in enumerate(world.biomes)}
        rows = [[number[letter] for letter in row] for row in world.terrain.biomes]
        return cls(seed, world.terrain.step_m * 100, world.biomes, np.array(rows, np.int8))

    def at(self, x_cm: I32, z_cm: I32) -> NDArray[np.int8]:
        """Index into ``entries`` at points (N,), centimetres."""
        last = np.int32(len(self.index) - 1)
        column = np.clip((x_cm + self._wander(_SALT_X, x_cm, z_cm)) // np.int32(self.step_cm), 0, last)
        row = np.clip((z_cm + self._wander(_SALT_Z, x_cm, z_cm)) // np.int32(self.step_cm), 0, last)
        found: NDArray[np.int8] = self.index[row, column]
        return found

    def _wander(self, salt: int, x_cm: I32, z_cm: I32) -> I32:
        seed = (self.seed ^ salt) & 0xFFFFFFFF
        slow, quick = (noise.value_noise(seed, x_cm, z_cm, bits) for bits in _WANDER_BITS)
        waves = (slow * np.int32(3) + quick) >> np.int32(2)
        return (waves * np.int32(WANDER_CM)) >> np.int32(15)
