"""The roads as they are driven: the file's nodes and curves as short straight pieces between posts.

A road of the file becomes a chain of **pieces** of at most 32 m between **posts**, points in whole centimetres with a
height of their own. Roads meet where they share a post, which is where the file names a node. Curves are centripetal
Catmull-Rom splines (Barry and Goldman's pyramid); posts' heights are the ground's, kept above the water and evened out
along the roads. Only + - * / and sqrt, so that every platform has the same roads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from shared.constants import CHUNK_M
from shared.world.box_grid import BoxGrid, boxes_of
from shared.world.entries import Point, RoadEntry, WorldFile
from shared.world.relief import Relief

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

PIECE_M: Final = 32.0
"""Longest piece: 3,200 cm squared, and the position on it with 14 bits, stay below 2^31."""
VERGE_M: Final = 12.0
"""How far beyond its edge a road shapes the ground: cuts and banks up to 9 m high stay below 40 degrees."""
SAGITTA_M: Final = 0.12
"""How far a piece may leave its curve; less than anybody sees at the edge of a road."""
SAMPLE_M: Final = 4.0
ABOVE_WATER_CM: Final = 220
"""Roads run at least so high above the sea: over water on a causeway."""
EVENING_ROUNDS: Final = 24
"""Each takes the mean of a post and its neighbours: bumps shorter than about 60 m disappear."""


@dataclass(frozen=True, slots=True, eq=False)
class Roads:
    """All roads of a world as arrays. A piece runs from post ``[k, 0]`` to post ``[k, 1]``."""

    entries: tuple[RoadEntry, ...]
    post_cm: I32
    """``(posts, 2)``: x, z in centimetres."""
    post_y_cm: I32
    """``(posts,)``: height of the road, centimetres."""
    piece_posts: I32
    """``(pieces, 2)``; the pieces of a road are consecutive and in its order."""
    piece_road: I32
    """``(pieces,)``: index into ``entries``."""
    half_cm: I32
    """``(roads,)``: half the width, centimetres."""
    road_pieces: tuple[range, ...]
    """Pieces of each road."""
    node_post: dict[str, int]
    """Post of each node that a road passes through."""
    by_chunk: BoxGrid
    """Pieces by the chunks whose ground they shape: those that they reach into with their verge."""

    @classmethod
    def of_file(cls, world: WorldFile, relief: Relief) -> Self:
        """The roads of a world file, laid over its ground."""
        posts: list[tuple[int, int]] = []
        node_post: dict[str, int] = {}
        pieces: list[tuple[int, int]] = []
        piece_road: list[int] = []
        road_pieces: list[range] = []
        for number, road in enumerate(world.roads):
            first = len(pieces)
            last: int | None = None
            for name, (x_m, z_m) in _course(road, world.nodes):
                post = node_post.get(name) if name else None
                if post is None:
                    post = len(posts)
                    posts.append((math.floor(x_m * 100.0 + 0.5), math.floor(z_m * 100.0 + 0.5)))
                    if name:
                        node_post[name] = post
                if last is not None:
                    pieces.append((last, post))
                    piece_road.append(number)
                last = post
            road_pieces.append(range(first, len(pieces)))
        post_cm = np.array(posts, np.int32).reshape(-1, 2)
        np.clip(post_cm, 0, world.size_m * 100 - 1, out=post_cm)
        piece_posts = np.array(pieces, np.int32).reshape(-1, 2)
        half_cm = np.array([math.floor(road.width_m * 50.0 + 0.5) for road in world.roads], np.int32)
        of_road = np.array(piece_road, np.int32)
        ends = post_cm[piece_posts].astype(np.float64).reshape(-1, 4) / 100.0
        reach_m = half_cm[of_road] / 100.0 + VERGE_M + 0.01
        boxes = boxes_of(ends[:, 0], ends[:, 1], ends[:, 2], ends[:, 3], reach_m)
        return cls(
            entries=world.roads,
            post_cm=post_cm,
            post_y_cm=_heights(post_cm, piece_posts, relief),
            piece_posts=piece_posts,
            piece_road=of_road,
            half_cm=half_cm,
            road_pieces=tuple(road_pieces),
            node_post=node_post,
            by_chunk=BoxGrid.file(boxes, world.size_m, CHUNK_M),
        )

    @property
    def pieces(self) -> int:
        """Number of pieces."""
        return len(self.piece_posts)

    def ends_m(self) -> F64:
        """``(pieces, 4)``: x0, z0, x1, z1 of every piece, metres."""
        ends: F64 = self.post_cm[self.piece_posts].reshape(-1, 4) / 100.0
        return ends

    def halves_m(self) -> F64:
        """``(pieces,)``: half the width of every piece's road, metres."""
        halves: F64 = self.half_cm[self.piece_road] / 100.0
        return halves

    def lengths_m(self) -> F64:
        """``(pieces,)`` metres."""
        x0, z0, x1, z1 = self.ends_m().T
        lengths: F64 = np.sqrt((x1 - x0) * (x1 - x0) + (z1 - z0) * (z1 - z0))
        return lengths

    def chains(self, pieces: I32) -> list[tuple[list[int], int]]:
        """The polylines that ``pieces``, ascending, make up, as (posts, width in centimetres).

        Consecutive pieces of a road are joined.
        """
        chains: list[tuple[list[int], int]] = []
        last_piece = last_road = -2
        for piece in pieces.tolist():
            start, end = self.piece_posts[piece].tolist()
            road = int(self.piece_road[piece])
            if piece == last_piece + 1 and road == last_road:
                chains[-1][0].append(end)
            else:
                chains.append(([start, end], 2 * int(self.half_cm[road])))
            last_piece, last_road = piece, road
        return chains


Step = tuple[str | None, tuple[float, float]]
"""A post to be: the node's name, where it has one, and x, z in metres."""


def _course(road: RoadEntry, nodes: dict[str, Point]) -> list[Step]:
    """The posts of one road in order."""
    names = [step if isinstance(step, str) else None for step in road.through]
    points = [nodes[step] if isinstance(step, str) else step for step in road.through]
    course: list[Step] = [(names[0], points[0])]
    for span in range(len(points) - 1):
        if road.smooth:
            inner = _curve(*_four(points, span, closed=names[0] is not None and names[0] == names[-1]))
        else:
            inner = _straight(points[span], points[span + 1])
        course += [(None, point) for point in inner]
        course.append((names[span + 1], points[span + 1]))
    return course


def _four(points: list[Point], span: int, closed: bool) -> tuple[Point, Point, Point, Point]:
    """The span's ends and the points before and after; beyond an end the span is prolonged in a straight line."""
    start, end = points[span], points[span + 1]
    before = points[span - 1] if span > 0 else points[-2] if closed else _beyond(end, start)
    last = span + 2 == len(points)
    after = (points[1] if closed else _beyond(start, end)) if last else points[span + 2]
    return before, start, end, after


def _beyond(start: Point, end: Point) -> Point:
    return 2.0 * end[0] - start[0], 2.0 * end[1] - start[1]


def _distance(a: Point, b: Point) -> float:
    x, z = b[0] - a[0], b[1] - a[1]
    return math.sqrt(x * x + z * z)


def _straight(start: Point, end: Point) -> list[Point]:
    count = math.ceil(_distance(start, end) / (PIECE_M - 0.1))
    return [
        (start[0] + (end[0] - start[0]) * (index / count), start[1] + (end[1] - start[1]) * (index / count))
        for index in range(1, count)
    ]


def _curve(before: Point, start: Point, end: Point, after: Point) -> list[Point]:
    """Points of the curve between ``start`` and ``end``, as few as SAGITTA_M and PIECE_M allow."""
    knots = [0.0]
    for a, b in ((before, start), (start, end), (end, after)):
        knots.append(knots[-1] + math.sqrt(max(_distance(a, b), 1.0)))
    count = max(2, math.ceil(_distance(start, end) / SAMPLE_M))
    samples = [start]
    for index in range(1, count):
        t = knots[1] + (knots[2] - knots[1]) * (index / count)
        samples.append(_pyramid((before, start, end, after), knots, t))
    samples.append(end)
    kept: list[Point] = []
    at = 0
    while at < len(samples) - 1:
        reach = at + 1
        while reach + 1 < len(samples) and _fits(samples[at : reach + 2]):
            reach += 1
        at = reach
        kept.append(samples[at])
    return kept[:-1]


_PYRAMID: Final = (((0, 1), (1, 2), (2, 3)), ((0, 2), (1, 3)), ((1, 2),))
"""The knots between which each blend of a level lies."""


def _pyramid(points: tuple[Point, Point, Point, Point], knots: list[float], t: float) -> Point:
    """The curve's point at ``t``, by Barry and Goldman: three levels of blends of neighbours."""
    level: list[Point] = list(points)
    for spans in _PYRAMID:
        level = [_blend(level[k], level[k + 1], knots[a], knots[b], t) for k, (a, b) in enumerate(spans)]
    return level[0]


def _blend(start: Point, end: Point, from_t: float, to_t: float, t: float) -> Point:
    first, second = (to_t - t) / (to_t - from_t), (t - from_t) / (to_t - from_t)
    return start[0] * first + end[0] * second, start[1] * first + end[1] * second


def _fits(run: list[Point]) -> bool:
    """Whether one piece may stand for this run of the curve."""
    start, end = run[0], run[-1]
    length = _distance(start, end)
    if length > PIECE_M - 0.1:
        return False
    x, z = (end[0] - start[0]) / length, (end[1] - start[1]) / length
    return all(abs((point[0] - start[0]) * z - (point[1] - start[1]) * x) <= SAGITTA_M for point in run[1:-1])


def _heights(post_cm: I32, piece_posts: I32, relief: Relief) -> I32:
    """Heights of the posts: the ground's, above the water, evened out along the roads."""
    if not len(post_cm):
        return np.zeros(0, np.int32)
    start, end = piece_posts[:, 0], piece_posts[:, 1]
    offset = (post_cm[end] - post_cm[start]).astype(np.float64)
    weight = 1.0 / np.sqrt(offset[:, 0] * offset[:, 0] + offset[:, 1] * offset[:, 1])
    posts = len(post_cm)
    total = np.bincount(start, weight, posts) + np.bincount(end, weight, posts)
    height = np.maximum(relief.bed_cm(post_cm[:, 0], post_cm[:, 1]), ABOVE_WATER_CM).astype(np.float64)
    for _ in range(EVENING_ROUNDS):
        around = np.bincount(start, weight * height[end], posts) + np.bincount(end, weight * height[start], posts)
        height = (height + around / total) / 2.0
    return np.maximum(np.floor(height + 0.5), ABOVE_WATER_CM).astype(np.int32)
