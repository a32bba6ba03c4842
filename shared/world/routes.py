"""Race routes as they are driven: gates across the road, a start grid, and the way in between.

A gate is the directed segment A to B, A at the driver's left: a car moving by ``r`` crosses it forwards when
``r x (B - A) = r.x * (B - A).z - r.z * (B - A).x`` is positive. Gate 0 is the start; on a circuit it is the finish,
too, and a lap is gates 1, 2, ... and 0 again. Gate ends, like everything on the wire, are whole centimetres.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.world.course import Course, CoursePoint, end_post, start_post
from shared.world.entries import GateEntry, RouteEntry, WorldFile
from shared.world.headings import yaw_mrad
from shared.world.road_graph import Leg, RoadGraph

F64 = NDArray[np.float64]

GATE_MARGIN_M: Final = 4.0
"""A gate reaches so far beyond each edge of its road: who drives on the verge has not left the race."""
JUNCTION_CLEAR_M: Final = 20.0
"""Gates along a path keep this distance from junctions where the road between them is long enough."""
GRID_ROW_M: Final = 8.0
"""From row to row of the start grid: a car's length and as much again."""
GRID_STAGGER_M: Final = 4.0
GRID_GAP_M: Final = 8.0
"""From the start line to the first row."""
RUN_OUT_M: Final = 30.0
"""What is left of the path behind the finish of a route from point to point."""


class RouteFault(ValueError):
    """A route cannot be built. ``part`` is the field of the route that is wrong, the rest problem and fix."""

    def __init__(self, part: str, problem: str, fix: str) -> None:
        super().__init__(f"{part}: {problem}; {fix}")
        self.part, self.problem, self.fix = part, problem, fix


class GridSlot(NamedTuple):
    """Where a racer waits for the start: metres, radians."""

    x: float
    z: float
    yaw: float


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One route of the world."""

    entry: RouteEntry
    closed: bool
    gates_m: F64
    """``(gates, 4)``: ax, az, bx, bz."""
    gate_at_m: F64
    """``(gates,)``: where on the course each gate is crossed, metres; ascending."""
    gate_piece: tuple[int, ...]
    """The piece of road that each gate spans."""
    grid: tuple[GridSlot, ...]
    """The best place first."""
    course: Course
    """The way from behind the grid to the finish, or once around to gate 0."""
    lap_m: float
    """From gate 0 once around, or to the last gate."""

    @property
    def id(self) -> str:
        """Name in messages and files."""
        return self.entry.id

    @property
    def laps(self) -> int:
        """How often ``lap_m`` is driven."""
        return self.entry.laps or 1

    @property
    def length_m(self) -> float:
        """Of the whole race, along the middle of the road."""
        return self.lap_m * self.laps


def build_routes(world: WorldFile, graph: RoadGraph) -> tuple[tuple[Route, ...], list[tuple[int, RouteFault]]]:
    """The routes that can be built, and (index in the file, what is wrong) of those that cannot."""
    built: list[Route] = []
    faults: list[tuple[int, RouteFault]] = []
    for index, entry in enumerate(world.routes):
        try:
            built.append(_by_path(entry, graph) if entry.path else _by_gates(entry, graph))
        except RouteFault as fault:
            faults.append((index, fault))
    return tuple(built), faults


def grid_length_m(slots: int) -> float:
    """From the start line to behind the last car."""
    return GRID_GAP_M + math.ceil(slots / 2) * GRID_ROW_M + GRID_STAGGER_M


def _by_path(entry: RouteEntry, graph: RoadGraph) -> Route:
    """Gates set along the shortest way through the nodes of ``path``; the grid stands behind the first node."""
    closed = entry.laps is not None
    legs = _legs_through(entry.path, closed, graph)
    once = Course.of(legs, graph)
    start_m = once.clear_of_junctions(grid_length_m(entry.grid_slots), JUNCTION_CLEAR_M, later_only=True)
    if closed:
        course, finish_m = Course.of(legs + legs[: once.leg_at(start_m) + 1], graph), start_m + once.length_m
    else:
        course, finish_m = once, once.length_m - RUN_OUT_M
    if finish_m < start_m + 100.0:
        raise RouteFault("path", f"is only {once.length_m:.0f} m long", f"make it {start_m + 130.0:.0f} m or longer")
    count = max(2 if closed else 1, round((finish_m - start_m) / entry.gate_every_m))
    step = (finish_m - start_m) / count
    at = [start_m]
    at += [course.clear_of_junctions(start_m + step * number, JUNCTION_CLEAR_M) for number in range(1, count)]
    if not closed:
        at.append(finish_m)
    spots = [_spot_at(course, position, graph) for position in at]
    return _route(entry, spots, at, course, finish_m, graph)


def _legs_through(path: tuple[str, ...], closed: bool, graph: RoadGraph) -> list[Leg]:
    names = [*path, path[0]] if closed and path[0] != path[-1] else list(path)
    legs: list[Leg] = []
    for number, (name, after) in enumerate(itertools.pairwise(names)):
        here, there = (graph.roads.node_post.get(each) for each in (name, after))
        if here is None or there is None:
            lost = name if here is None else after
            raise RouteFault(f"path[{number}]", f'"{lost}" lies on no road', "name a node that a road passes through")
        way = graph.shortest(here, there)
        if not way:
            raise RouteFault(f"path[{number}]", f'no road leads from "{name}" to "{after}"', "join them by road")
        if legs and way[0].piece == legs[-1].piece:
            raise RouteFault(f"path[{number}]", f'turns back at "{name}"', "leave this node out, or pass another first")
        legs += way
    if closed and legs[0].piece == legs[-1].piece:
        raise RouteFault("path", f'turns back at "{names[0]}"', "close the circuit along another road")
    return legs


def _by_gates(entry: RouteEntry, graph: RoadGraph) -> Route:
    """The gates one by one; between them the shortest way, before them the same road."""
    spots = [_given(f"gates[{number}]", gate, graph) for number, gate in enumerate(entry.gates)]
    legs = [*_legs_behind(spots[0], grid_length_m(entry.grid_slots), graph), spots[0].leg]
    placed = [(len(legs) - 1, spots[0].share)]
    for number, spot in enumerate(spots[1:] + (spots[:1] if entry.laps is not None else []), start=1):
        on_same_piece = spot.leg == legs[-1] and spot.share > placed[-1][1]
        if not on_same_piece:
            way = graph.shortest(end_post(legs[-1], graph), start_post(spot.leg, graph), but_not=legs[-1].piece)
            if way is None or any(leg.piece == spot.leg.piece for leg in way):
                part = f"gates[{number % len(spots)}]"
                raise RouteFault(part, "cannot be reached forwards from the gate before", "turn it round or move it")
            legs += [*way, spot.leg]
        placed.append((len(legs) - 1, spot.share))
    course = Course.of(legs, graph)
    at = [course.position(leg, share) for leg, share in placed]
    return _route(entry, spots, at[: len(spots)], course, at[-1], graph)


class _Spot(NamedTuple):
    """A gate and where it spans the road; ``share`` of the leg as it is driven."""

    leg: Leg
    share: float
    gate_cm: tuple[int, int, int, int]


def _spot_at(course: Course, at_m: float, graph: RoadGraph) -> _Spot:
    number = course.leg_at(at_m)
    leg = course.legs[number]
    length = float(course.at_m[number + 1] - course.at_m[number])
    width = 2.0 * (_half_m(leg.piece, graph) + GATE_MARGIN_M)
    return _Spot(leg, (at_m - float(course.at_m[number])) / length, _across(course.point(at_m), width))


def _given(part: str, gate: GateEntry, graph: RoadGraph) -> _Spot:
    """The gate that the file describes, by road and distance or by its ends."""
    if gate.road is not None and gate.at_m is not None:
        number = next(index for index, road in enumerate(graph.roads.entries) if road.id == gate.road)
        whole = Course.of([Leg(piece, True) for piece in graph.roads.road_pieces[number]], graph)
        if gate.at_m > whole.length_m:
            raise RouteFault(f"{part}.at_m", f"is beyond the road's end at {whole.length_m:.0f} m", "lower it")
        spot = _spot_at(whole, gate.at_m, graph)
        point = whole.point(gate.at_m)
        if gate.against:
            point = CoursePoint(point.x, point.z, -point.ahead_x, -point.ahead_z)
        width = gate.width_m or 2.0 * (_half_m(spot.leg.piece, graph) + GATE_MARGIN_M)
        share = 1.0 - spot.share if gate.against else spot.share
        return _Spot(Leg(spot.leg.piece, not gate.against), share, _across(point, width))
    assert gate.left is not None is not gate.right, "world_file.py refuses gates that are given neither way"
    (ax, az), (bx, bz) = gate.left, gate.right
    near = graph.near.near(np.array([[min(ax, bx), min(az, bz), max(ax, bx), max(az, bz)]]))[1]
    x0, z0, x1, z1 = graph.roads.ends_m()[near].T
    along, down = x1 - x0, z1 - z0
    slope = along * (bz - az) - down * (bx - ax)
    safe = np.where(slope == 0.0, 1.0, slope)
    on_piece = ((ax - x0) * (bz - az) - (az - z0) * (bx - ax)) / safe
    on_gate = ((ax - x0) * down - (az - z0) * along) / safe
    hit = (slope != 0.0) & (on_piece >= 0.0) & (on_piece <= 1.0) & (on_gate >= 0.0) & (on_gate <= 1.0)
    if not hit.any():
        raise RouteFault(part, "crosses the middle of no road", "move left and right to the two sides of a road")
    best = int(np.argmin(np.where(hit, np.abs(on_gate - 0.5), np.inf)))
    forward = bool(slope[best] > 0.0)
    share = float(on_piece[best]) if forward else 1.0 - float(on_piece[best])
    ends = (_cm(ax), _cm(az), _cm(bx), _cm(bz))
    return _Spot(Leg(int(near[best]), forward), share, ends)


def _legs_behind(spot: _Spot, length_m: float, graph: RoadGraph) -> list[Leg]:
    """The legs before the spot's own, on the same road, that make room for the start grid."""
    pieces = graph.roads.road_pieces[int(graph.roads.piece_road[spot.leg.piece])]
    step = -1 if spot.leg.forward else 1
    behind: list[Leg] = []
    room = spot.share * float(graph.lengths_m[spot.leg.piece])
    piece = spot.leg.piece + step
    closed = graph.roads.piece_posts[pieces[0], 0] == graph.roads.piece_posts[pieces[-1], 1]
    while room < length_m and len(behind) < len(pieces) - 1:
        if piece not in pieces:
            if not closed:
                raise RouteFault(
                    "gates[0]", f"leaves {room:.0f} m of road for a start grid of {length_m:.0f} m",
                    "move it along the road or lower grid_slots",
                )  # fmt: skip
            piece = pieces[-1] if step < 0 else pieces[0]
        behind.append(Leg(piece, spot.leg.forward))
        room += float(graph.lengths_m[piece])
        piece += step
    return behind[::-1]


def _route(
    entry: RouteEntry, spots: list[_Spot], at: list[float], course: Course, finish_m: float, graph: RoadGraph
) -> Route:
    gates_m = np.array([spot.gate_cm for spot in spots], np.float64) / 100.0
    grid = tuple(_slot(course, at[0], number, graph) for number in range(entry.grid_slots))
    pieces = tuple(spot.leg.piece for spot in spots)
    return Route(entry, entry.laps is not None, gates_m, np.array(at), pieces, grid, course, finish_m - at[0])


def _slot(course: Course, start_m: float, number: int, graph: RoadGraph) -> GridSlot:
    """Two columns, the left one in front: whole centimetres, whole milliradians."""
    row, right = divmod(number, 2)
    at_m = start_m - GRID_GAP_M - row * GRID_ROW_M - right * GRID_STAGGER_M
    point = course.point(at_m)
    side = _half_m(course.legs[course.leg_at(at_m)].piece, graph) / 2.0 * (1.0 if right else -1.0)
    yaw = int(yaw_mrad(np.array([point.ahead_x]), np.array([point.ahead_z]))[0])
    return GridSlot(
        _cm(point.x - point.ahead_z * side) / 100.0, _cm(point.z + point.ahead_x * side) / 100.0, yaw / 1000.0
    )


def _across(point: CoursePoint, width_m: float) -> tuple[int, int, int, int]:
    """A gate of this width across the way, left end first, centimetres."""
    off_x, off_z = -point.ahead_z * (width_m / 2.0), point.ahead_x * (width_m / 2.0)
    return _cm(point.x - off_x), _cm(point.z - off_z), _cm(point.x + off_x), _cm(point.z + off_z)


def _half_m(piece: int, graph: RoadGraph) -> float:
    return float(graph.roads.half_cm[graph.roads.piece_road[piece]]) / 100.0


def _cm(metres: float) -> int:
    return math.floor(metres * 100.0 + 0.5)
