"""What grows and lies about: trees, rocks and reeds, from the seed and the chunk alone.

The world is a grid of squares of 8 m, 64 to a chunk. Each may hold one prop, at a hashed place inside it: so a prop
belongs to one chunk and no two stand closer than 2 m. Whether there is one, and of which kind, is a roll against the
landscape's numbers per hectare, thinned and thickened by slow noise.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.constants import CHUNK_M
from shared.world import noise
from shared.world.biome_map import BiomeMap
from shared.world.clearings import Clearings
from shared.world.prop_kinds import PROP_INDEX
from shared.world.prop_table import HALF_WIDTH_M, PropTable
from shared.world.standing import Standing
from shared.world.terrain import Terrain

I32 = NDArray[np.int32]

SQUARE_M: Final = 8
SQUARES: Final = CHUNK_M // SQUARE_M
MARGIN_M: Final = 1.5
"""Between a prop and any road, kiosk, gate or building; more than the shoulder and its rail."""
SHORE_CM: Final = 60
"""Nothing grows lower above the sea, but reed, which grows at the water's edge and in the shallows."""
REED_CM: Final = (-40, 80)
_SALT_KIND, _SALT_PLACE, _SALT_CLUMP = 0x1B873593, 0x3C6EF372, 0x7F4A7C15
_CLUMP_BITS: Final = 13
_CLUMP_PCT_MAX: Final = 300
_REED: Final = PROP_INDEX["reed"]


class _Table(NamedTuple):
    """For each biome (row) the kinds in order, and where the roll of 16 bits must lie below for each."""

    kinds: NDArray[np.int32]
    below: NDArray[np.int64]


def scatter(chunks: I32, biomes: BiomeMap, terrain: Terrain, clearings: Clearings, standing: Standing) -> PropTable:
    """What is scattered over the chunks (N, 2) of cx, cz; sorted by chunk as given."""
    x_cm, z_cm, hashed = _places(chunks, biomes.seed)
    kind = _kinds(x_cm, z_cm, hashed, biomes)
    some = np.flatnonzero(kind >= 0)
    x_cm, z_cm, kind, hashed = x_cm[some], z_cm[some], kind[some], hashed[some]
    scale = np.int32(70) + ((hashed >> np.uint32(16)) & np.uint32(63)).astype(np.int32)
    yaw = ((hashed >> np.uint32(22)).astype(np.int32) * np.int32(6283)) >> np.int32(10)
    y_cm = terrain.ground_cm(x_cm, z_cm)
    dry = np.where(kind == _REED, (y_cm >= REED_CM[0]) & (y_cm <= REED_CM[1]), y_cm >= SHORE_CM)
    table = PropTable(kind, x_cm, y_cm, z_cm, yaw, scale).take(dry)
    x, z = table.position_m()
    radius = table.half_sizes_m()[0]
    free = clearings.free_discs(x, z, radius, MARGIN_M)
    free &= standing.free_discs(x, z, radius, MARGIN_M)
    return table.take(free)


def _places(chunks: I32, seed: int) -> tuple[I32, I32, NDArray[np.uint32]]:
    """Position of the prop of every square of the chunks, and 32 random bits for what it is."""
    column = (chunks[:, :1] * SQUARES + np.tile(np.arange(SQUARES, dtype=np.int32), SQUARES)).reshape(-1)
    row = (chunks[:, 1:] * SQUARES + np.repeat(np.arange(SQUARES, dtype=np.int32), SQUARES)).reshape(-1)
    place = noise.lattice_hash((seed ^ _SALT_PLACE) & 0xFFFFFFFF, column, row)
    inner = np.uint32(SQUARE_M * 100 - 200)
    off_x = ((place & np.uint32(0xFFFF)) * inner >> np.uint32(16)).astype(np.int32)
    off_z = ((place >> np.uint32(16)) * inner >> np.uint32(16)).astype(np.int32)
    x_cm = column * np.int32(SQUARE_M * 100) + np.int32(100) + off_x
    z_cm = row * np.int32(SQUARE_M * 100) + np.int32(100) + off_z
    return x_cm, z_cm, noise.lattice_hash((seed ^ _SALT_KIND) & 0xFFFFFFFF, column, row)


def _kinds(x_cm: I32, z_cm: I32, hashed: NDArray[np.uint32], biomes: BiomeMap) -> I32:
    """Kind of the prop at each place (N,), -1 for none."""
    table = _thresholds(biomes)
    if not table.kinds.shape[1]:
        return np.full(len(x_cm), -1, np.int32)
    biome = biomes.at(x_cm, z_cm)
    clumping = np.array([entry.clumping for entry in biomes.entries], np.int32)[biome]
    waves = noise.value_noise((biomes.seed ^ _SALT_CLUMP) & 0xFFFFFFFF, x_cm, z_cm, _CLUMP_BITS)
    density = np.clip(100 + ((clumping * waves * np.int32(3)) >> np.int32(15)), 1, _CLUMP_PCT_MAX)
    roll = (hashed & np.uint32(0xFFFF)).astype(np.int64) * 100 // density
    number = (roll[:, None] >= table.below[biome]).sum(axis=1)
    found = number < table.kinds.shape[1]
    kind = np.full(len(x_cm), -1, np.int32)
    kind[found] = table.kinds[biome[found], number[found]]
    return kind


def _thresholds(biomes: BiomeMap) -> _Table:
    most = max((len(entry.scatter) for entry in biomes.entries), default=0)
    kinds = np.full((len(biomes.entries), most), -1, np.int32)
    below = np.zeros((len(biomes.entries), most), np.int64)
    for row, entry in enumerate(biomes.entries):
        total = 0.0
        for column, (name, per_hectare) in enumerate(entry.scatter.items()):
            total += per_hectare
            kinds[row, column] = PROP_INDEX[name]
            below[row, column] = int(total * (SQUARE_M * SQUARE_M / 10000.0) * 65536.0)
        below[row, len(entry.scatter) :] = below[row, len(entry.scatter) - 1] if entry.scatter else 0
    return _Table(kinds, below)


assert HALF_WIDTH_M.max() < 32.0, "a prop must not reach beyond the chunks next to its own"
