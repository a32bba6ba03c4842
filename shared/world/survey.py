"""What is wrong with a built world: everything that the file's text alone does not show.

``survey`` is what an operator's check prints and what a shard runs before it serves a world file. A finding names the
path in the file, the problem with the place, and the fix, like the errors of ``world_file.py``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.world.box_grid import boxes_of
from shared.world.clearings import ACCESS_MAX_M
from shared.world.footprints import distance2_to_segment
from shared.world.land import Land
from shared.world.prop_table import PropTable
from shared.world.routes import Route, grid_length_m
from shared.world.solids import Solids

F64 = NDArray[np.float64]

STEEPEST: Final = 0.16
"""A road may climb by so much at most: a truck still gets up, and above it cars lose the ground on crests."""
GRID_EDGE_M: Final = 0.9
"""The middle of a car on the grid is at least so far inside the edge of the road: half a car."""


class Finding(NamedTuple):
    """One thing to put right."""

    path: str
    problem: str
    fix: str

    def line(self, file: str) -> str:
        """As it is shown."""
        return f"{file}: {self.path}: {self.problem}; {self.fix}"


def survey(land: Land) -> list[Finding]:
    """Everything that is wrong, in the order of the file; empty for a world that can be served."""
    solids = Solids.of(land.props.everywhere(), land.size_m)
    return [
        *_roads(land),
        *_crossings(land),
        *_spawns(land, solids),
        *_kiosks(land, solids),
        *_routes(land),
        *_landmarks(land),
    ]


def _at(x: float, z: float) -> str:
    return f"[{x:.0f}, {z:.0f}]"


def _roads(land: Land) -> Iterator[Finding]:
    roads = land.roads
    if not roads.pieces:
        return
    rise = np.abs(np.diff(roads.post_y_cm[roads.piece_posts], axis=1)[:, 0]) / 100.0
    steep = rise / land.graph.lengths_m
    for number, pieces in enumerate(roads.road_pieces):
        worst = pieces[int(np.argmax(steep[list(pieces)]))]
        if steep[worst] > STEEPEST:
            x, z = (roads.post_cm[roads.piece_posts[worst, 0]] / 100.0).tolist()
            yield Finding(
                f"roads[{number}]",
                f'"{roads.entries[number].id}" climbs {steep[worst]:.0%} at {_at(x, z)}',
                f"lead it round, or even out the relief there; {STEEPEST:.0%} is the most",
            )


def _crossings(land: Land) -> Iterator[Finding]:
    """Roads that cross without a common post: a junction that nobody can use."""
    roads = land.roads
    ends_cm = roads.post_cm[roads.piece_posts].reshape(-1, 4).astype(np.float64)  # products of these are exact
    boxes = boxes_of(*ends_cm.T)
    one, other = land.graph.near.near(boxes / 100.0)
    posts = roads.piece_posts
    apart = (one < other) & (posts[one][:, :, None] != posts[other][:, None, :]).all(axis=(1, 2))
    apart &= (boxes[one, :2] <= boxes[other, 2:]).all(axis=1) & (boxes[other, :2] <= boxes[one, 2:]).all(axis=1)
    one, other = one[apart], other[apart]
    crossing = _cross(ends_cm[one], ends_cm[other])
    told: set[tuple[int, int]] = set()
    for first, second in zip(one[crossing].tolist(), other[crossing].tolist(), strict=True):
        pair = (int(roads.piece_road[first]), int(roads.piece_road[second]))
        if pair in told:
            continue
        told.add(pair)
        names = [roads.entries[road].id for road in pair]
        x, z = (ends_cm[second, :2] / 100.0).tolist()
        yield Finding(
            f"roads[{pair[1]}].through",
            f'"{names[1]}" crosses "{names[0]}" near {_at(x, z)} without a node',
            "let both pass through a common node there, or move one",
        )


def _cross(one: F64, other: F64) -> NDArray[np.bool_]:
    """Whether segments (N, 4) cross: the ends of each lie on different sides of the other."""

    def side(line: F64, x: F64, z: F64) -> F64:
        return (line[:, 2] - line[:, 0]) * (z - line[:, 1]) - (line[:, 3] - line[:, 1]) * (x - line[:, 0])

    first = side(one, other[:, 0], other[:, 1]) * side(one, other[:, 2], other[:, 3]) <= 0.0
    return first & (side(other, one[:, 0], one[:, 1]) * side(other, one[:, 2], one[:, 3]) <= 0.0)


def _parts_of_spawns(land: Land) -> dict[str, int]:
    """The part of the road net that each spawn point belongs to."""
    parts: dict[str, int] = {}
    for spawn in land.file.spawns:
        road = land.graph.nearest(*spawn.at)
        if road is not None:
            parts[spawn.id] = int(land.graph.part[land.roads.piece_posts[road.piece, 0]])
    return parts


def _spawns(land: Land, solids: Solids) -> Iterator[Finding]:
    for index, spawn in enumerate(land.file.spawns):
        path = f'spawns[{index}] (id "{spawn.id}")'
        x, z = spawn.at
        if land.terrain.ground_m(np.array([x]), np.array([z]))[0] < 0.0:
            yield Finding(path, f"{_at(x, z)} is under water", "move it ashore")
        if not spawn.radius_m <= min(x, z) <= max(x, z) <= land.size_m - spawn.radius_m:
            yield Finding(path, f"{_at(x, z)} is too near the edge of the map", "move it inwards by radius_m")
        if _blocked(solids, x, z, x, z, spawn.radius_m):
            yield Finding(path, f"something solid stands within {spawn.radius_m:g} m", "move it or the landmark")
        yield from _way_to_road(land, solids, path, x, z, spawn.radius_m)


def _kiosks(land: Land, solids: Solids) -> Iterator[Finding]:
    parts = _parts_of_spawns(land)
    for index, kiosk in enumerate(land.kiosks):
        path = f'kiosks[{index}] (id "{kiosk.id}")'
        if kiosk.y < 0.0:
            yield Finding(path, f"{_at(kiosk.x, kiosk.z)} is under water", "move it ashore")
        road = land.graph.nearest(kiosk.x, kiosk.z)
        if road is not None:
            half_m = float(land.roads.halves_m()[road.piece])
            if road.distance_m < half_m:
                yield Finding(path, "stands on the road", "move it beside the road")
            part = int(land.graph.part[land.roads.piece_posts[road.piece, 0]])
            yield from _cut_off(path, part, parts)
        yield from _way_to_road(land, solids, path, kiosk.x, kiosk.z, kiosk.entry.radius_m)


def _way_to_road(land: Land, solids: Solids, path: str, x: float, z: float, radius_m: float) -> Iterator[Finding]:
    """A car on the nearest road can get within ``radius_m``: the place is near, and nothing is in between."""
    road = land.graph.nearest(x, z)
    if road is None:
        return
    half_m = float(land.roads.halves_m()[road.piece])
    if road.distance_m > max(half_m + radius_m, ACCESS_MAX_M):
        yield Finding(
            path, f"is {road.distance_m:.0f} m from the nearest road", "move it to a road, or bring one there"
        )
        return
    steps = np.linspace(0.0, 1.0, 9)
    way_x, way_z = x + (road.x - x) * steps, z + (road.z - z) * steps
    if (land.terrain.ground_m(way_x, way_z) < 0.0).any() or _blocked(solids, x, z, road.x, road.z, 1.0):
        yield Finding(
            path, f"water or something solid lies between it and the road at {_at(road.x, road.z)}", "move it"
        )


def _blocked(solids: Solids, x0: float, z0: float, x1: float, z1: float, grow_m: float) -> bool:
    ends = [np.array([end]) for end in (x0, z0, x1, z1)]
    return bool(solids.first_hits(ends[0], ends[1], ends[2], ends[3], grow_m)[1][0] >= 0)


def _cut_off(path: str, part: int, parts: dict[str, int]) -> Iterator[Finding]:
    lost = [spawn for spawn, home in parts.items() if home != part]
    if lost:
        yield Finding(path, f'cannot be reached by road from spawn point "{lost[0]}"', "join the roads at a node")


def _routes(land: Land) -> Iterator[Finding]:
    for index, fault in land.route_faults:
        yield Finding(f'routes[{index}] (id "{land.file.routes[index].id}").{fault.part}', fault.problem, fault.fix)
    parts = _parts_of_spawns(land)
    number_of = {route.id: number for number, route in enumerate(land.file.routes)}
    for route in land.routes:
        path = f'routes[{number_of[route.id]}] (id "{route.id}")'
        part = int(land.graph.part[land.roads.piece_posts[route.gate_piece[0], 0]])
        yield from _cut_off(path, part, parts)
        yield from _gates(land, route, path)
        yield from _grid(land, route, path)


def _gates(land: Land, route: Route, path: str) -> Iterator[Finding]:
    ends, halves = land.roads.ends_m(), land.roads.halves_m()
    for number, (ax, az, bx, bz) in enumerate(route.gates_m.tolist()):
        piece = route.gate_piece[number]
        line = np.array([[ax, az, bx, bz]])
        near = land.graph.near.near(boxes_of(*line.T))[1]
        same_road = near[land.roads.piece_road[near] == land.roads.piece_road[piece]]
        if not _cross(np.repeat(line, len(same_road), axis=0), ends[same_road]).any():
            yield Finding(
                f"{path}.gates[{number}]", f"is not across its road at {_at(ax, az)}", "move it onto the road"
            )
        inside = [
            math.sqrt(float(distance2_to_segment(x, z, *ends[same_road].T).min())) < halves[piece] - 0.01
            for x, z in ((np.array([ax]), np.array([az])), (np.array([bx]), np.array([bz])))
            if len(same_road)
        ]
        if any(inside):
            yield Finding(
                f"{path}.gates[{number}]",
                f"ends on the road at {_at(ax, az)}",
                "make it wider: both ends belong beyond the edges of the road",
            )
    if (np.diff(route.gate_at_m) < 5.0).any():
        number = int(np.argmin(np.diff(route.gate_at_m)))
        yield Finding(f"{path}.gates[{number + 1}]", "is less than 5 m after the gate before", "move it on")


def _grid(land: Land, route: Route, path: str) -> Iterator[Finding]:
    if route.gate_at_m[0] < grid_length_m(len(route.grid)) - 1.0:
        yield Finding(f"{path}.grid_slots", "leave no room before gate 0", "lower grid_slots or move the start on")
    for number, slot in enumerate(route.grid):
        road = land.graph.nearest(slot.x, slot.z)
        if road is None or road.distance_m > float(land.roads.halves_m()[road.piece]) - GRID_EDGE_M:
            yield Finding(
                f"{path}.grid_slots",
                f"slot {number} of {len(route.grid)} is not on the road at {_at(slot.x, slot.z)}",
                "start on a wider or straighter road, or lower grid_slots",
            )
            return


def _landmarks(land: Land) -> Iterator[Finding]:
    for index, entry in enumerate(land.file.landmarks):
        x, z = entry.at
        table = land.props.built.table
        here = np.flatnonzero((table.x_cm == round(x * 100)) & (table.z_cm == round(z * 100)))
        mark = table.take(here[:1]) if len(here) else PropTable.empty()
        if not len(mark):
            continue
        half_w, half_d = mark.half_sizes_m()
        if not land.props.clearings.free_boxes(*mark.position_m(), *mark.heading(), half_w, half_d, 0.0)[0]:
            path = f"landmarks[{index}]"
            yield Finding(
                path, f'"{entry.kind}" at {_at(x, z)} stands on a road, spawn point, kiosk or gate', "move it"
            )
