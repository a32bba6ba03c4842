"""The road graph: shortest ways, parts of the net, the nearest road, and safe places; and harbour hangs together."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.world.course import end_post, start_post
from shared.world.land import Land, land_of
from shared.world.road_graph import RoadGraph
from shared.world.solids import Solids
from shared.world.world import World
from tests.fakes.small_world import lands, small_land


@pytest.fixture(scope="module")
def harbour() -> Land:
    return land_of(World("harbour", 1, 4096))


def all_distances(graph: RoadGraph, start: int) -> dict[int, float]:
    """Distances from one post by Bellman and Ford: round after round over all pieces until nothing changes."""
    distance = {start: 0.0}
    changed = True
    while changed:
        changed = False
        for (a, b), length in zip(graph.roads.piece_posts.tolist(), graph.lengths_m.tolist(), strict=True):
            for here, there in ((a, b), (b, a)):
                far = distance.get(here, math.inf) + length
                if far < distance.get(there, math.inf) - 1e-9:
                    distance[there] = far
                    changed = True
    return distance


@settings(max_examples=25, deadline=None)
@given(land=lands(), data=st.data())
def test_the_shortest_way_is_the_shortest(land: Land, data: st.DataObject) -> None:
    graph = land.graph
    post = st.integers(0, len(land.roads.post_cm) - 1)
    start, goal = data.draw(post), data.draw(post)
    want = all_distances(graph, start)
    way = graph.shortest(start, goal)
    assert way is not None
    assert sum(float(graph.lengths_m[leg.piece]) for leg in way) == pytest.approx(want[goal])
    posts = [start]
    for leg in way:
        assert start_post(leg, graph) == posts[-1]
        posts.append(end_post(leg, graph))
    assert posts[-1] == goal
    assert len(set(posts)) == len(posts)


def test_a_way_around_a_closed_piece() -> None:
    graph = small_land().graph
    west, cross = graph.roads.node_post["west"], graph.roads.node_post["cross"]
    straight = graph.shortest(west, cross)
    assert straight
    around = graph.shortest(west, cross, but_not=straight[0].piece)
    assert around
    assert len(around) > len(straight)
    assert straight[0].piece not in {leg.piece for leg in around}
    assert graph.shortest(west, west) == []


ISLAND = '[[roads]]\nid = "x"\nname = "x"\nwidth_m = 8\nthrough = ["far", [950, 200]]\n\n'
CUT = (
    ("hill = [140, 140]", "hill = [140, 140]\nfar = [900, 100]"),
    ('[[spawns]]\nid = "top"', f'{ISLAND}[[spawns]]\nid = "top"'),
)


def test_parts_of_the_net() -> None:
    whole = small_land().graph
    assert set(whole.part.tolist()) == {0}
    graph = small_land(*CUT).graph
    assert set(graph.part.tolist()) == {0, 1}
    far, cross = graph.roads.node_post["far"], graph.roads.node_post["cross"]
    assert graph.part[far] != graph.part[cross]
    assert graph.shortest(far, cross) is None
    assert (graph.degree()[[graph.roads.node_post[name] for name in ("cross", "west", "east")]] == [4, 2, 1]).all()


@settings(max_examples=40, deadline=None)
@given(land=lands(), points=st.lists(st.tuples(st.floats(-100, 700), st.floats(-100, 700)), min_size=1, max_size=10))
def test_the_nearest_road_is_the_nearest(land: Land, points: list[tuple[float, float]]) -> None:
    x0, z0, x1, z1 = land.roads.ends_m().T
    for x, z in points:
        found = land.graph.nearest(x, z)
        assert found is not None
        share = np.clip(((x - x0) * (x1 - x0) + (z - z0) * (z1 - z0)) / ((x1 - x0) ** 2 + (z1 - z0) ** 2), 0, 1)
        distance = np.hypot(x - x0 - (x1 - x0) * share, z - z0 - (z1 - z0) * share)
        assert found.distance_m == pytest.approx(float(distance.min()), abs=1e-6)
        assert math.hypot(x - found.x, z - found.z) == pytest.approx(found.distance_m, abs=1e-6)


def test_no_roads_no_answers() -> None:
    land = Land.of(World("open", 1, 1024))
    assert land.graph.nearest(5.0, 5.0) is None
    assert land.graph.safe_pose(5.0, 5.0) is None
    pose = land.respawn(5.0, 6.0, 1.5)
    assert (pose.x, pose.y, pose.z, pose.yaw) == (5.0, 0.0, 6.0, 1.5)


def test_a_lost_car_comes_back_on_the_right_hand_lane_of_the_nearest_road() -> None:
    land = small_land()
    pose = land.graph.safe_pose(700.0, 480.0)  # north of the wide street, which runs east
    assert pose is not None
    assert math.sin(pose.yaw) > 0.99
    road = land.graph.nearest(pose.x, pose.z)
    assert road is not None
    assert road.distance_m == pytest.approx(3.0, abs=0.01), "half of the half width of 12 m"
    assert pose.z > road.z, "south is right of east"
    back = land.graph.safe_pose(700.0, 480.0, yaw=4.0)
    assert back is not None
    assert math.sin(back.yaw) < -0.99
    other = land.graph.nearest(back.x, back.z)
    assert other is not None
    assert back.z < other.z
    for yaw in (1.0, 1.0 + math.tau, 1.0 - math.tau):
        assert land.graph.safe_pose(700.0, 480.0, yaw) == pose


def test_nobody_is_put_at_the_very_end_of_a_road() -> None:
    land = small_land()
    pose = land.graph.safe_pose(1000.0, 545.0)
    assert pose is not None
    assert 893.0 < pose.x < 894.5, "6 m before the end at 900"


@pytest.fixture(scope="module")
def solids(harbour: Land) -> Solids:
    return Solids.of(harbour.props.everywhere(), harbour.size_m)


@settings(max_examples=100, deadline=None)
@given(x=st.floats(-50, 4150), z=st.floats(-50, 4150), yaw=st.none() | st.floats(-7, 7))
def test_a_respawn_is_safe_anywhere(harbour: Land, solids: Solids, x: float, z: float, yaw: float | None) -> None:
    land = harbour
    pose = land.respawn(x, z, yaw)
    assert 0.0 <= pose.x < 4096.0
    assert 0.0 <= pose.z < 4096.0
    assert pose.y > 2.0, "above the water"
    road = land.graph.nearest(pose.x, pose.z)
    assert road is not None
    assert road.distance_m < float(land.roads.halves_m()[road.piece])
    ends = [np.array([end]) for end in (pose.x, pose.z, pose.x, pose.z)]
    assert solids.first_hits(ends[0], ends[1], ends[2], ends[3], 1.2)[1][0] == -1
    if yaw is not None:
        assert math.cos(pose.yaw - yaw) > -0.01


def test_every_gate_and_kiosk_of_harbour_is_reached_by_road_from_every_spawn_point(harbour: Land) -> None:
    """By an own search over the posts, not by the labels that survey uses."""
    graph = harbour.graph
    goals = {}
    for kiosk in harbour.kiosks:
        road = graph.nearest(kiosk.x, kiosk.z)
        assert road is not None
        assert road.distance_m <= float(harbour.roads.halves_m()[road.piece]) + kiosk.entry.radius_m
        goals[kiosk.id] = int(harbour.roads.piece_posts[road.piece, 0])
    for route in harbour.routes:
        for number, piece in enumerate(route.gate_piece):
            goals[f"{route.id} {number}"] = int(harbour.roads.piece_posts[piece, 0])
    assert len(goals) > 120
    neighbours: dict[int, set[int]] = {}
    for one, other in harbour.roads.piece_posts.tolist():
        neighbours.setdefault(one, set()).add(other)
        neighbours.setdefault(other, set()).add(one)
    for spawn in harbour.file.spawns:
        road = graph.nearest(*spawn.at)
        assert road is not None
        seen = {int(harbour.roads.piece_posts[road.piece, 0])}
        front = list(seen)
        while front:
            front = [post for here in front for post in neighbours[here] if post not in seen]
            seen.update(front)
        assert {name for name, post in goals.items() if post not in seen} == set()


def test_roads_meet_at_their_nodes(harbour: Land) -> None:
    for name, post in harbour.roads.node_post.items():
        x, z = harbour.file.nodes[name]
        assert (harbour.roads.post_cm[post] == [math.floor(x * 100 + 0.5), math.floor(z * 100 + 0.5)]).all()
    for number, entry in enumerate(harbour.roads.entries):
        posts = set(harbour.roads.piece_posts[list(harbour.roads.road_pieces[number])].ravel().tolist())
        assert {harbour.roads.node_post[step] for step in entry.through if isinstance(step, str)} <= posts


def test_curves_are_smooth(harbour: Land) -> None:
    """Within a road the direction changes by less than a quarter turn from piece to piece, and mostly by little."""
    turns = []
    for number, entry in enumerate(harbour.roads.entries):
        pieces = harbour.roads.road_pieces[number]
        ends = harbour.roads.ends_m()[list(pieces)]
        angle = np.unwrap(np.arctan2(ends[:, 2] - ends[:, 0], ends[:, 3] - ends[:, 1]))
        if entry.smooth:
            turns += np.abs(np.diff(angle)).tolist()
    assert max(turns) < math.pi / 2
    assert np.quantile(turns, 0.95) < 0.35


def test_the_same_file_has_the_same_roads_and_every_road_its_pieces(harbour: Land) -> None:
    again = Land.of_file(harbour.file, 1)
    assert (again.roads.post_cm == harbour.roads.post_cm).all()
    assert (again.roads.post_y_cm == harbour.roads.post_y_cm).all()
    pieces = list(itertools.chain.from_iterable(harbour.roads.road_pieces))
    assert pieces == list(range(harbour.roads.pieces))
