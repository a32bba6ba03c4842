"""What is built along the roads: buildings on plots, landmarks where the file puts them, guard rails above slopes.

Plots follow each road on both sides, as long as the landscape there says; which building stands on a plot, and how
big, is hashed from the plot's position. Of two buildings that would overlap the one with the smaller hash stays away.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.world import noise
from shared.world.biome_map import BiomeMap
from shared.world.box_grid import BoxGrid, boxes_of
from shared.world.clearings import Clearings
from shared.world.course import Course
from shared.world.entries import LandmarkEntry, WorldFile
from shared.world.footprints import boxes_overlap
from shared.world.headings import heading, mrad_of_degrees, yaw_mrad
from shared.world.prop_kinds import NOTHING, PROP_INDEX, PROP_KINDS
from shared.world.prop_table import HALF_DEPTH_M, PropTable
from shared.world.road_graph import Leg, RoadGraph
from shared.world.roads import VERGE_M
from shared.world.terrain import Terrain

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

SETBACK_M: Final = 3.5
"""From the edge of the road to the front of a building: a pavement and a step."""
SETBACK_SPREAD_CM: Final = 250
BUILDING_MARGIN_M: Final = 2.5
"""Between a building and any road, kiosk or gate."""
DRY_CM: Final = 100
"""Nothing is built lower above the sea."""
STEEPEST_CM: Final = 300
"""Nothing is built where the ground under it falls by more."""
RAIL_M: Final = 4.0
RAIL_OFF_M: Final = 0.8
"""From the edge of the road to its guard rail, within the level shoulder."""
RAIL_DROP_CM: Final = 350
"""A rail stands where the ground beyond the verge lies so much lower than the road, or under water."""
_SALT: Final = 0x68E31DA4
_SAMPLE_M: Final = 4.0


def landmarks(entries: tuple[LandmarkEntry, ...], terrain: Terrain) -> PropTable:
    """The props that the file places one by one."""
    if not entries:
        return PropTable.empty()
    at = np.array([entry.at for entry in entries])
    kind = np.array([PROP_INDEX[entry.kind] for entry in entries], np.int32)
    yaw = np.array([mrad_of_degrees(entry.yaw_deg) for entry in entries], np.int32)
    scale = np.array([int(entry.scale * 100.0 + 0.5) for entry in entries], np.int32)
    return grounded(kind, _cm(at[:, 0]), _cm(at[:, 1]), yaw, scale, terrain)


def grounded(kind: I32, x_cm: I32, z_cm: I32, yaw: I32, scale: I32, terrain: Terrain) -> PropTable:
    """Props on the ground: as high as its lowest point under their four corners and their middle."""
    table = PropTable(kind, x_cm, np.zeros(len(kind), np.int32), z_cm, yaw, scale)
    low = _corner_heights(table, terrain).min(axis=0)
    return PropTable(kind, x_cm, low.astype(np.int32), z_cm, yaw, scale)


def buildings(
    world: WorldFile, biomes: BiomeMap, graph: RoadGraph, terrain: Terrain, clearings: Clearings, taken: PropTable
) -> PropTable:
    """All buildings along all roads, clear of roads, clearings and the props that stand already."""
    plots = _plots(biomes, graph)
    if not len(plots):
        return PropTable.empty()
    x, z, road_x, road_z, half_m, biome = plots.T
    x_cm, z_cm = _cm(x), _cm(z)
    roll = noise.lattice_hash(biomes.seed ^ _SALT, x_cm, z_cm)
    kind = _kinds(world, biome.astype(np.intp), (roll & np.uint32(0xFFFF)).astype(np.int64))
    stand = np.flatnonzero(kind >= 0)
    kind, roll = kind[stand], roll[stand]
    scale = np.int32(90) + ((roll >> np.uint32(16)) & np.uint32(31)).astype(np.int32)
    spread = ((roll >> np.uint32(21)) & np.uint32(255)).astype(np.int64) * SETBACK_SPREAD_CM / 25500.0
    off = half_m[stand] + SETBACK_M + spread + HALF_DEPTH_M[kind] * (scale / 100.0)
    yaw = yaw_mrad(-road_x[stand], -road_z[stand])
    table = grounded(
        kind, _cm(x[stand] + road_x[stand] * off), _cm(z[stand] + road_z[stand] * off), yaw, scale, terrain
    )
    return _without_conflicts(table, roll, terrain, clearings, taken)


def rails(graph: RoadGraph, terrain: Terrain, clearings: Clearings) -> PropTable:
    """Guard rails of RAIL_M along the edges of roads above slopes and water."""
    roads = graph.roads
    guarded = np.array([road.rails for road in roads.entries], np.bool_)[roads.piece_road] if roads.pieces else None
    if guarded is None or not guarded.any():
        return PropTable.empty()
    count = np.where(guarded, np.floor(graph.lengths_m / RAIL_M).astype(np.intp), 0)
    piece = np.repeat(np.arange(roads.pieces), count)
    number = np.arange(len(piece)) - (np.cumsum(count) - count)[piece]
    x0, z0, x1, z1 = roads.ends_m()[piece].T
    share = (number + 0.5) / count[piece]
    length = graph.lengths_m[piece]
    ahead_x, ahead_z = (x1 - x0) / length, (z1 - z0) / length
    x, z = x0 + (x1 - x0) * share, z0 + (z1 - z0) * share
    road_cm = terrain.ground_cm(_cm(x), _cm(z))
    sides: list[PropTable] = []
    for side in (1.0, -1.0):
        right_x, right_z = -ahead_z * side, ahead_x * side
        edge = roads.halves_m()[piece]
        beyond = edge + VERGE_M + 1.0
        beyond_cm = terrain.ground_cm(_cm(x + right_x * beyond), _cm(z + right_z * beyond))
        needed = (road_cm - beyond_cm > RAIL_DROP_CM) | (beyond_cm < 0)
        off = edge + RAIL_OFF_M
        at_x, at_z = (x + right_x * off)[needed], (z + right_z * off)[needed]
        inside = (np.minimum(at_x, at_z) >= 0.0) & (np.maximum(at_x, at_z) < terrain.relief.size_m)
        at_x, at_z, along_x, along_z = at_x[inside], at_z[inside], ahead_x[needed][inside], ahead_z[needed][inside]
        kind = np.full(len(at_x), PROP_INDEX["rail"], np.int32)
        scale = np.full(len(at_x), 100, np.int32)
        sides.append(grounded(kind, _cm(at_x), _cm(at_z), yaw_mrad(along_x, along_z), scale, terrain))
    table = PropTable.joined(sides)
    half_w, half_d = table.half_sizes_m()
    return table.take(clearings.free_boxes(*table.position_m(), *table.heading(), half_w, half_d, 0.3))


def _plots(biomes: BiomeMap, graph: RoadGraph) -> F64:
    """(N, 6): x, z on the road, unit vector to the plot's side, half the road's width, biome."""
    plots: list[tuple[float, float, float, float, float, float]] = []
    roads = graph.roads
    plot_m = [biome.plot_m if biome.frontage else 0.0 for biome in biomes.entries]
    for number, pieces in enumerate(roads.road_pieces):
        course = Course.of([Leg(piece, True) for piece in pieces], graph)
        samples = np.arange(0.0, course.length_m, _SAMPLE_M)
        points = [course.point(float(at)) for at in samples]
        x_cm, z_cm = _cm(np.array([point.x for point in points])), _cm(np.array([point.z for point in points]))
        biome = biomes.at(x_cm, z_cm).tolist()
        half_m = float(roads.half_cm[number]) / 100.0
        for side in (1.0, -1.0):
            at_m = 0.0
            while at_m < course.length_m:
                here = biome[min(int(at_m / _SAMPLE_M), len(biome) - 1)]
                if plot_m[here] == 0.0:
                    at_m += _SAMPLE_M
                    continue
                point = course.point(min(at_m + plot_m[here] / 2.0, course.length_m))
                plots.append((point.x, point.z, -point.ahead_z * side, point.ahead_x * side, half_m, here))
                at_m += plot_m[here]
    return np.array(plots, np.float64).reshape(-1, 6)


def _kinds(world: WorldFile, biome: NDArray[np.intp], roll: NDArray[np.int64]) -> I32:
    """The kind of building for each plot (N,), -1 for none; ``roll`` is 16 random bits."""
    kind = np.full(len(biome), -1, np.int32)
    for number, entry in enumerate(world.biomes):
        total, low = sum(entry.frontage.values()), 0
        for name, weight in entry.frontage.items():
            high = low + weight
            mine = (biome == number) & (roll * total >= low * 65536) & (roll * total < high * 65536)
            kind[mine] = -1 if name == NOTHING else PROP_INDEX[name]
            low = high
    return kind


def _without_conflicts(
    table: PropTable, roll: NDArray[np.uint32], terrain: Terrain, clearings: Clearings, taken: PropTable
) -> PropTable:
    heights = _corner_heights(table, terrain)
    fits = (heights.min(axis=0) >= DRY_CM) & (np.ptp(heights, axis=0) <= STEEPEST_CM)
    size_cm = terrain.size_cm
    fits &= (np.minimum(table.x_cm, table.z_cm) >= 0) & (np.maximum(table.x_cm, table.z_cm) < size_cm)
    half_w, half_d = table.half_sizes_m()
    fits &= clearings.free_boxes(*table.position_m(), *table.heading(), half_w, half_d, BUILDING_MARGIN_M)
    order = np.flatnonzero(fits)
    order = order[np.lexsort((table.z_cm[order], table.x_cm[order], roll[order]))[::-1]]
    both = PropTable.joined([taken, table.take(order)])
    x, z = both.position_m()
    half_w, half_d = both.half_sizes_m()
    ahead_x, ahead_z = both.heading()
    grid = BoxGrid.file(boxes_of(x, z, x, z, half_w + half_d), terrain.relief.size_m, 64.0)
    later, earlier = grid.near(boxes_of(x, z, x, z, half_w + half_d))
    pairs = earlier < later
    later, earlier = later[pairs], earlier[pairs]
    columns = (x, z, ahead_x, ahead_z, half_w, half_d)
    hit = boxes_overlap(*(column[later] for column in columns), *(column[earlier] for column in columns))
    gone = np.zeros(len(both), np.bool_)
    for one, other in sorted(zip(later[hit].tolist(), earlier[hit].tolist(), strict=True)):
        if one >= len(taken) and not gone[other]:
            gone[one] = True
    return both.take(np.flatnonzero(~gone)[len(taken) :])


def _corner_heights(table: PropTable, terrain: Terrain) -> I32:
    """(5, N): ground under the middle and the corners, centimetres."""
    half_w, half_d = table.half_sizes_m()
    ahead_x, ahead_z = heading(table.yaw_mrad / 1000.0)
    x, z = table.position_m()
    heights = [terrain.ground_cm(table.x_cm, table.z_cm)]
    for wide, deep in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        corner_x = x + ahead_x * half_d * deep - ahead_z * half_w * wide
        corner_z = z + ahead_z * half_d * deep + ahead_x * half_w * wide
        heights.append(terrain.ground_cm(_cm(corner_x), _cm(corner_z)))
    return np.stack(heights)


def _cm(metres: F64) -> I32:
    return np.floor(np.asarray(metres, np.float64) * 100.0 + 0.5).astype(np.int32)


assert all(kind.shape in ("box", "circle") for kind in PROP_KINDS if kind.role == "building")
