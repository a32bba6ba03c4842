"""Routes: gates across the road and passed in order, a grid that fits, circuits that close, and what is refused."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from shared.world.land import Land, land_of
from shared.world.prop_table import WALL
from shared.world.road_graph import Leg
from shared.world.routes import GATE_MARGIN_M, JUNCTION_CLEAR_M, RUN_OUT_M, Route, grid_length_m
from shared.world.solids import Solids
from shared.world.survey import survey
from shared.world.world import World
from tests.fakes.small_world import small_land


@pytest.fixture(scope="module")
def harbour() -> Land:
    return land_of(World("harbour", 1, 4096))


@pytest.fixture(scope="module")
def small() -> Land:
    return small_land()


def route(land: Land, name: str) -> Route:
    return next(each for each in land.routes if each.id == name)


def crossings(path: list[list[float]], gate: list[float]) -> list[bool]:
    """For each time the path crosses the gate: whether forwards. By the rule in the head of routes.py."""
    ax, az, bx, bz = gate
    found = []
    for (px, pz), (qx, qz) in itertools.pairwise(path):
        rx, rz, sx, sz = qx - px, qz - pz, bx - ax, bz - az
        turn = rx * sz - rz * sx
        if turn == 0.0:
            continue
        t = ((ax - px) * sz - (az - pz) * sx) / turn
        u = ((ax - px) * rz - (az - pz) * rx) / turn
        if 0.0 < t <= 1.0 and 0.0 <= u <= 1.0:
            found.append(turn > 0.0)
    return found


def every_route() -> list[tuple[str, str]]:
    small = [("small", name) for name in ("dash", "round", "by-gates")]
    return small + [
        ("harbour", name) for name in ("quay-sprint", "old-town", "ring-road", "summit-climb", "grand-tour")
    ]


@pytest.mark.parametrize(("world", "name"), every_route())
def test_who_drives_the_course_passes_every_gate_forwards_and_in_order(
    world: str, name: str, small: Land, harbour: Land
) -> None:
    land = small if world == "small" else harbour
    driven = route(land, name)
    at_m = driven.gate_at_m
    assert (np.diff(at_m) > 5.0).all()
    for number, gate in enumerate(driven.gates_m.tolist()):
        near = np.arange(at_m[number] - 4.0, at_m[number] + 4.1, 0.5)
        points = [list(driven.course.point(float(at))[:2]) for at in near]
        assert crossings(points, gate) == [True], f"gate {number}"
        assert crossings(points[::-1], gate) == [False], "backwards"


@pytest.mark.parametrize(("world", "name"), every_route())
def test_gates_are_wider_than_the_road_and_across_it(world: str, name: str, small: Land, harbour: Land) -> None:
    land = small if world == "small" else harbour
    driven = route(land, name)
    assert (np.abs(driven.gates_m * 100 - np.round(driven.gates_m * 100)) < 1e-6).all(), "whole centimetres"
    for number, (ax, az, bx, bz) in enumerate(driven.gates_m.tolist()):
        point = driven.course.point(float(driven.gate_at_m[number]))
        width = 2 * float(land.roads.halves_m()[driven.gate_piece[number]])
        length = math.hypot(bx - ax, bz - az)
        assert length >= width + 2.0
        assert abs((bx - ax) * point.ahead_x + (bz - az) * point.ahead_z) / length < 0.2, "square to the road"
        assert (ax - point.x) * point.ahead_z - (az - point.z) * point.ahead_x > 0, "A is at the driver's left"


@pytest.mark.parametrize(("world", "name"), every_route())
def test_the_grid_stands_on_the_road_behind_the_start(world: str, name: str, small: Land, harbour: Land) -> None:
    land = small if world == "small" else harbour
    driven = route(land, name)
    assert len(driven.grid) == driven.entry.grid_slots
    start = driven.course.point(float(driven.gate_at_m[0]))
    for slot in driven.grid:
        road = land.graph.nearest(slot.x, slot.z)
        assert road is not None
        assert road.distance_m <= float(land.roads.halves_m()[road.piece]) - 0.9
        ahead = (math.sin(slot.yaw), math.cos(slot.yaw))
        assert ahead[0] * (start.x - slot.x) + ahead[1] * (start.z - slot.z) > 4.0, "looks at the start line"
        assert crossings([[slot.x, slot.z], [slot.x + ahead[0], slot.z + ahead[1]]], driven.gates_m[0].tolist()) == []
    for one, other in itertools.combinations(driven.grid, 2):
        assert math.hypot(one.x - other.x, one.z - other.z) > 2.9


def test_the_best_slot_is_in_front_on_the_left(small: Land) -> None:
    dash = route(small, "dash")
    first, second, third = dash.grid[:3]
    assert first.x > second.x > third.x, "eastwards"
    assert first.z < second.z, "left is north"
    assert first.x == pytest.approx(dash.gates_m[0, 0] - 8.0, abs=0.5)
    assert first.yaw == pytest.approx(math.pi / 2, abs=0.1)


def test_a_route_from_point_to_point(small: Land) -> None:
    dash = route(small, "dash")
    assert not dash.closed
    assert (dash.laps, dash.length_m) == (1, dash.lap_m)
    assert dash.gate_at_m[0] == grid_length_m(8)
    assert dash.gate_at_m[-1] == pytest.approx(dash.course.length_m - RUN_OUT_M)
    assert dash.lap_m == pytest.approx(dash.gate_at_m[-1] - dash.gate_at_m[0])
    assert len(dash.gates_m) == 6


def test_a_circuit_closes(small: Land) -> None:
    circuit = route(small, "round")
    assert circuit.closed
    assert circuit.laps == 3
    assert circuit.length_m == 3 * circuit.lap_m
    once = circuit.course.point(float(circuit.gate_at_m[0]))
    again = circuit.course.point(float(circuit.gate_at_m[0]) + circuit.lap_m)
    assert (once.x, once.z) == pytest.approx((again.x, again.z))
    around = [
        circuit.course.point(float(circuit.gate_at_m[0]) + at) for at in np.arange(-2.0, circuit.lap_m + 2.0, 1.0)
    ]
    path = [[point.x, point.z] for point in around]
    assert crossings(path, circuit.gates_m[0].tolist()) == [True, True], "start and finish are one line"
    for gate in circuit.gates_m[1:].tolist():
        assert crossings(path, gate) == [True]


def test_gates_keep_away_from_junctions(harbour: Land) -> None:
    for each in harbour.routes:
        apart = np.abs(each.gate_at_m[:, None] - each.course.junctions_m[None, :]).min(axis=1)
        assert (apart >= JUNCTION_CLEAR_M - 1e-6).mean() >= 0.9, each.id


def test_the_course_is_a_way_over_the_roads(harbour: Land) -> None:
    for each in harbour.routes:
        legs = each.course.legs
        posts = [
            (int(a), int(b)) if leg.forward else (int(b), int(a))
            for leg in legs
            for a, b in [harbour.roads.piece_posts[leg.piece]]
        ]
        assert all(one[1] == other[0] for one, other in itertools.pairwise(posts))
        assert all(one.piece != other.piece for one, other in itertools.pairwise(legs)), "no turning back"


def test_gates_given_one_by_one(small: Land) -> None:
    by_gates = route(small, "by-gates")
    assert not by_gates.closed
    assert by_gates.gate_at_m[-1] - by_gates.gate_at_m[0] == pytest.approx(630.0)
    (ax, az, bx, bz), given, wide = by_gates.gates_m.tolist()
    assert math.hypot(bx - ax, bz - az) == pytest.approx(12.0 + 2 * GATE_MARGIN_M, abs=0.02)
    assert given == [700.0, 520.0, 700.0, 542.0]
    assert math.hypot(wide[2] - wide[0], wide[3] - wide[1]) == pytest.approx(30.0, abs=0.02)


def test_gates_may_be_passed_against_the_order_of_the_road() -> None:
    gates = """gates = [
  { road = "wide", at_m = 150 },
  { left = [700, 520], right = [700, 542] },
  { road = "wide", at_m = 780, width_m = 30 },
]"""
    back = """gates = [
  { road = "wide", at_m = 700, against = true },
  { left = [600, 540], right = [600, 510] },
  { road = "wide", at_m = 100, against = true },
]"""
    driven = route(small_land((gates, back)), "by-gates")
    assert driven.lap_m == pytest.approx(600.0)
    assert all(not leg.forward for leg in driven.course.legs)
    x = [driven.course.point(float(at)).x for at in driven.gate_at_m]
    assert x == sorted(x, reverse=True)
    assert driven.grid[0].yaw == pytest.approx(3 * math.pi / 2, abs=0.1)
    assert [finding for finding in survey(small_land((gates, back))) if "routes" in finding.path] == []


def test_a_circuit_of_gates_closes() -> None:
    square = """grid_slots = 2
gates = [
  { road = "wide", at_m = 150 },
  { left = [700, 520], right = [700, 542] },
  { road = "wide", at_m = 780, width_m = 30 },
]"""
    around = """grid_slots = 2
laps = 2
gates = [
  { road = "wide", at_m = 250, against = true },
  { road = "loop", at_m = 300 },
  { road = "long", at_m = 100 },
]"""
    land = small_land((square, around))
    circuit = route(land, "by-gates")
    assert circuit.closed
    assert circuit.lap_m == pytest.approx(route(land, "round").lap_m, abs=0.01)
    assert [finding for finding in survey(land) if "routes" in finding.path] == []


REFUSED = [
    ('path = ["west", "cross", "east"]', 'path = ["west", "cross", "west"]', 'path[1]: turns back at "cross"'),
    ('path = ["cross", "west", "hill", "north"]', 'path = ["cross", "west"]', 'path[1]: turns back at "west"'),
    ("hill = [140, 140]", "hill = [140, 140]\nfar = [900, 100]", None),
    ("grid_slots = 8", "grid_slots = 64", None),
    ("at_m = 150 }", "at_m = 7000 }", "gates[0].at_m: is beyond the road's end at 791 m; lower it"),
    ("at_m = 150 }", "at_m = 5 }", "gates[0]: leaves 5 m of road for a start grid of 20 m; move it along the road or"),
    ("left = [700, 520], right", "left = [700, 560], right", "gates[1]: crosses the middle of no road; move left and"),
    (
        "left = [700, 520], right = [700, 542]",
        "left = [700, 542], right = [700, 520]",
        "gates[1]: cannot be reached forwards from the gate before; turn it round or move it",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "says"), REFUSED, ids=[case[1][:50] for case in REFUSED])
def test_routes_that_cannot_be_driven_are_refused_in_words(old: str, new: str, says: str | None) -> None:
    faults = [str(fault) for _, fault in small_land((old, new)).route_faults]
    if says is None:
        assert faults == []
    else:
        assert len(faults) == 1
        assert faults[0].startswith(says), faults


def test_a_node_on_no_road_and_a_road_that_is_cut_off() -> None:
    lost = small_land(
        ("hill = [140, 140]", "hill = [140, 140]\nfar = [900, 100]"), ('"cross", "east"]\ngate', '"far"]\ngate')
    )
    assert '"far" lies on no road' in str(lost.route_faults[0][1])
    island = (
        '[[roads]]\nid = "island"\nname = "i"\nwidth_m = 8\nthrough = ["far", [950, 200]]\n\n[[spawns]]\nid = "top"'
    )
    cut = small_land(
        ("hill = [140, 140]", "hill = [140, 140]\nfar = [900, 100]"),
        ('"cross", "east"]\ngate', '"far"]\ngate'),
        ('[[spawns]]\nid = "top"', island),
    )
    assert 'no road leads from "west" to "far"; join them by road' in str(cut.route_faults[0][1])


def test_a_path_that_is_too_short() -> None:
    short = small_land(
        ('path = ["west", "cross", "east"]', 'path = ["cross", "east"]'), ("grid_slots = 8", "grid_slots = 64")
    )
    assert "is only 389 m long; make it 398 m or longer" in str(short.route_faults[0][1])


def test_no_rail_stands_on_a_course(harbour: Land) -> None:
    solids = Solids.of(harbour.props.everywhere(), harbour.size_m)
    for each in harbour.routes:
        (x0, z0), (x1, z1) = each.course.points_m[:-1].T, each.course.points_m[1:].T
        _, which = solids.first_hits(x0, z0, x1, z1, grow_m=2.0)
        assert (which == -1).all()
    gates = np.concatenate([each.gates_m for each in harbour.routes])
    share, which = solids.first_hits(*gates.T)
    assert (which == -1).all(), "nothing solid stands in a gate"
    assert np.isinf(share).all()
    assert (solids.shape == WALL).sum() > 300


def test_five_routes_cross_many_zones(harbour: Land) -> None:
    lengths = {each.id: each.length_m for each in harbour.routes}
    assert len(lengths) == 5
    assert min(lengths.values()) >= 600.0
    assert 12_000.0 <= max(lengths.values()) < 12_300.0
    chunks = {
        each.id: len({(int(x // 64), int(z // 64)) for x, z in each.course.points_m.tolist()})
        for each in harbour.routes
    }
    assert chunks["grand-tour"] > 180
    assert isinstance(harbour.routes[0].course.legs[0], Leg)
