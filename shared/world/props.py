"""Every prop of a chunk: what was built along the roads, then what grows between.

A prop belongs to the chunk in which it stands, also when it reaches into the next. What a chunk holds depends on the
world file, the seed and the chunk's index alone, never on which chunks were asked for before or along with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from shared.world import frontage
from shared.world.biome_map import BiomeMap
from shared.world.clearings import Clearings
from shared.world.entries import WorldFile
from shared.world.prop_table import PropTable
from shared.world.road_graph import RoadGraph
from shared.world.scatter import scatter
from shared.world.standing import Standing
from shared.world.terrain import Terrain

I32 = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Props:
    """Where all props of a world stand."""

    biomes: BiomeMap
    terrain: Terrain
    clearings: Clearings
    built: Standing
    """Landmarks, buildings and rails of the whole world."""

    @classmethod
    def of_file(
        cls, world: WorldFile, biomes: BiomeMap, graph: RoadGraph, terrain: Terrain, clearings: Clearings
    ) -> Self:
        """Build along the roads of a world."""
        landmarks = frontage.landmarks(world.landmarks, terrain)
        houses = frontage.buildings(world, biomes, graph, terrain, clearings, landmarks)
        rails = frontage.rails(graph, terrain, clearings)
        return cls(biomes, terrain, clearings, Standing.of(PropTable.joined([landmarks, houses, rails]), world.size_m))

    def place(self, chunks: I32) -> tuple[PropTable, NDArray[np.intp]]:
        """The props of chunks (N, 2) of cx, cz, and ``(N + 1,)`` where each chunk's begin. No chunk may come twice."""
        chunks = np.asarray(chunks, np.int32).reshape(-1, 2)
        grown = scatter(chunks, self.biomes, self.terrain, self.clearings, self.built)
        slices = [self.built.in_chunk(cx, cz) for cx, cz in chunks.tolist()]
        rows = np.concatenate([np.arange(part.start, part.stop) for part in slices] or [np.zeros(0, np.intp)])
        table = PropTable.joined([self.built.table.take(rows), grown])
        side = self.built.chunks
        asked = chunks[:, 1].astype(np.intp) * side + chunks[:, 0]
        by_number = np.argsort(asked)
        cx, cz = table.chunk()
        place = by_number[np.searchsorted(asked, cz.astype(np.intp) * side + cx, sorter=by_number)]
        order = np.argsort(place, kind="stable")
        return table.take(order), np.searchsorted(place[order], np.arange(len(chunks) + 1))

    def everywhere(self) -> PropTable:
        """All props of the world, chunk by chunk, row by row."""
        side = np.arange(self.built.chunks, dtype=np.int32)
        tables: list[PropTable] = []
        for row in side:
            chunks = np.stack([side, np.full_like(side, row)], axis=-1)
            tables.append(self.place(chunks)[0])
        return PropTable.joined(tables)
