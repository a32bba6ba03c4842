"""Who drove through something: the whole way from the last accepted sample to the next against everything solid.

The proof. Clients collide with the body of a car, the sweep follows its middle, so an honest middle stays ``body_m``
away from every shape. Between two samples only the chord is known; a car that accelerates by at most ``bend_mps2`` in
any direction leaves the chord by at most ``sag = bend * gap^2 / 8`` (2.5 m for a second, 16 cm for a quarter of one, 6
mm at 20 Hz), wherever it drove meanwhile. Bouncing off a shape bends a path away from it, which moves the chord to the
free side. So shapes that are shrunk by ``margin_m + sag`` are never touched by an honest chord; but shrinking stops at
half a shape's size, or trees would vanish. After a gap of more than ``gap_ms`` those that are no larger than the sag do
vanish, but for end points: whoever was not heard for a second has driven around a tree for all we know.

A wall is a line, and shrinking it would open a fence at every joint. It is never made thinner, and shorter only at ends
past which a car can drive, and only by ``sag - body_m``, which is nothing below half a second, and by a quarter of its
length at most. So no segment passes a wall, however fast and at whatever rate, but near a free end after a long
silence, where it could have driven around. Gaps beyond ``bend_gap_max_s`` shrink nothing further, and a car that hits
something bends its path more sharply than any tyre. So a chord is a proof up to ``gap_ms`` only, and only where the way
around the wall's end (``Sweep.detour_m``) is longer than a car can have driven: otherwise who seems to have passed a
wall is set back without a strike, as ``late``.

Only entering counts: who stands in a shape (put there by us, or by a world that changed) may leave it. "Stands in" is
asked of a slightly smaller shape, the core, and "enters" of the full one: a point that rounding puts on the wrong side
of an edge is in neither the one nor through the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from shared.player_state import F64, I32
from shared.thresholds import Thresholds
from shared.world.footprints import box_span
from shared.world.prop_table import CIRCLE, WALL
from shared.world.solids import NEVER, Solids

WALL_HALF_M: Final = 0.02
"""Half the thickness of a wall for the sweep: many times the rounding of positions in a world of 16 km."""
CORE_M: Final = 0.01
"""How much smaller the core of a shape is, on every side."""
JOINT_M: Final = 0.05
"""Walls reach this much further than they are: ends are rounded to centimetres and must not leave a slit."""
PASSAGE_M: Final = 1.8
"""An end of a wall with something solid nearer than a car is wide is no way around."""
SLIT_M: Final = 0.15
"""An end with something solid nearer than this is a joint: not even a client with physics of its own gets through."""


@dataclass(frozen=True, slots=True, eq=False)
class Obstacles:
    """The solids of a world, and at which ends of its walls a car can drive around."""

    solids: Solids
    open_ahead: NDArray[np.bool_]
    """``(solids,)``: the end of a wall in its direction is free; False for other shapes."""
    open_behind: NDArray[np.bool_]
    loose_ahead: NDArray[np.bool_]
    """``(solids,)``: the same end is no joint, however narrow the passage is."""
    loose_behind: NDArray[np.bool_]
    circles_m: F64
    """``(solids, 3)``: x and z of the middle, and the distance beyond which nothing of the shape lies. Most pairs
    need no more than this."""

    @classmethod
    def of(cls, solids: Solids) -> Self:
        """Find the free ends. Done once per world."""
        wall = np.flatnonzero(solids.shape == WALL)
        ends = []
        for room_m in (PASSAGE_M, SLIT_M):
            for sign in (1.0, -1.0):
                x = solids.x[wall] + sign * solids.ahead_x[wall] * solids.half_d[wall]
                z = solids.z[wall] + sign * solids.ahead_z[wall] * solids.half_d[wall]
                at, near = solids.candidates(x, z, x, z, room_m)
                touch = solids.first_touch(near, x[at], z[at], x[at], z[at], room_m)
                blocked = at[(near != wall[at]) & (touch < NEVER)]
                is_open = np.zeros(len(solids), np.bool_)
                is_open[wall] = True
                is_open[wall[blocked]] = False
                ends.append(is_open)
        reach_m = np.sqrt(solids.half_w * solids.half_w + solids.half_d * solids.half_d) + WALL_HALF_M + JOINT_M
        return cls(solids, ends[0], ends[1], ends[2], ends[3], np.column_stack((solids.x, solids.z, reach_m)))


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a round's segments met."""

    depth_m: F64
    """(M,) metres of the segment behind the point where it first entered something; 0: it entered nothing."""
    solid: I32
    """(M,) what it entered, -1: nothing."""
    detour_m: F64
    """(M,) metres of the way around what it entered, past the end of a wall; of several walls the longest way. inf:
    there is none, or what it entered is no wall."""
    pairs: int
    """Segment and shape tested against each other: what the sweep cost."""


def sweep(obstacles: Obstacles, x0: F64, z0: F64, x1: F64, z1: F64, gap_s: F64, limits: Thresholds) -> Sweep:
    """Follow segments (M,) in metres; ``gap_s`` (M,) is the time each may have taken."""
    depth_m, which, detour_m = np.zeros(len(x0)), np.full(len(x0), -1, np.int32), np.zeros(len(x0))
    solids = obstacles.solids
    if not len(solids) or not len(x0):
        return Sweep(depth_m, which, detour_m, 0)
    segment, solid = solids.candidates(x0, z0, x1, z1, WALL_HALF_M + JOINT_M)
    if not len(segment):
        return Sweep(depth_m, which, detour_m, 0)
    pairs = len(segment)
    close = np.flatnonzero(_within_reach(obstacles, segment, solid, x0, z0, x1, z1))
    if not len(close):
        return Sweep(depth_m, which, detour_m, pairs)
    segment, solid = segment[close], solid[close]
    open_s = np.minimum(gap_s[segment], limits.bend_gap_max_s)
    sag_m = limits.bend_mps2 * open_s * open_s / 8.0
    touch = _entries(obstacles, solid, x0[segment], z0[segment], x1[segment], z1[segment], sag_m, limits)
    hit = np.flatnonzero(touch < NEVER)
    if len(hit):
        order = hit[np.lexsort((solid[hit], touch[hit], segment[hit]))]
        first = order[np.concatenate(([True], segment[order][1:] != segment[order][:-1]))]
        dx, dz = (x1 - x0)[segment[first]], (z1 - z0)[segment[first]]
        behind_m = (1.0 - touch[first]) * np.sqrt(dx * dx + dz * dz)
        depth_m[segment[first]] = np.maximum(behind_m, CORE_M)
        which[segment[first]] = solid[first]
        at, around = segment[hit], solid[hit]
        np.maximum.at(detour_m, at, _way_around(obstacles, around, x0[at], z0[at], x1[at], z1[at]))
    return Sweep(depth_m, which, detour_m, pairs)


def _way_around(obstacles: Obstacles, solid: I32, x0: F64, z0: F64, x1: F64, z1: F64) -> F64:
    """(P,) metres from start to end past the nearer end of each wall that is no joint; inf: there is no such way."""
    solids, least_m = obstacles.solids, np.full(len(solid), np.inf)
    for sign, loose in ((1.0, obstacles.loose_ahead), (-1.0, obstacles.loose_behind)):
        x = solids.x[solid] + sign * solids.ahead_x[solid] * solids.half_d[solid]
        z = solids.z[solid] + sign * solids.ahead_z[solid] * solids.half_d[solid]
        there_x, there_z, on_x, on_z = x - x0, z - z0, x1 - x, z1 - z
        way_m = np.sqrt(there_x * there_x + there_z * there_z) + np.sqrt(on_x * on_x + on_z * on_z)
        least_m = np.where(loose[solid], np.minimum(least_m, way_m), least_m)
    return least_m


def _within_reach(
    obstacles: Obstacles, segment: NDArray[np.intp], solid: I32, x0: F64, z0: F64, x1: F64, z1: F64
) -> NDArray[np.bool_]:
    """(P,) whether the circles around segment and shape meet: cheap, and most pairs end here."""
    half_x, half_z = (x1 - x0) * 0.5, (z1 - z0) * 0.5
    half_m = np.sqrt(half_x * half_x + half_z * half_z)
    mine = np.column_stack((x0 + half_x, z0 + half_z, -half_m)).take(segment, axis=0)
    off_x, off_z, reach = (mine - obstacles.circles_m.take(solid, axis=0)).T
    near: NDArray[np.bool_] = off_x * off_x + off_z * off_z <= reach * reach * (1.0 + 1e-9)
    return near


def _entries(
    obstacles: Obstacles, solid: I32, x0: F64, z0: F64, x1: F64, z1: F64, sag_m: F64, limits: Thresholds
) -> F64:
    """Where each segment enters its shape: a share of the segment, or NEVER. All are pairs (P,).

    Three outlines of a shape: *edge* is where no sample may lie, *chord* (edge less the sag) where no chord may pass,
    and *core* is the edge less CORE_M. Who starts within the core is let go; who starts between core and edge, where
    only rounding puts a car, must not get into the core.
    """
    solids = obstacles.solids
    ahead_x, ahead_z = solids.ahead_x[solid], solids.ahead_z[solid]
    off_x, off_z = x0 - solids.x[solid], z0 - solids.z[solid]
    along, across = off_x * ahead_x + off_z * ahead_z, off_z * ahead_x - off_x * ahead_z
    step_along, step_across = (x1 - x0) * ahead_x + (z1 - z0) * ahead_z, (z1 - z0) * ahead_x - (x1 - x0) * ahead_z
    half_w, half_d = solids.half_w[solid], solids.half_d[solid]
    disc, wall = solids.shape[solid] == CIRCLE, solids.shape[solid] == WALL

    # a wall keeps its thickness, and loses length at open ends only; its middle moves with what it loses at one end
    cut = np.minimum(np.maximum(sag_m - limits.body_m, 0.0), 0.5 * half_d)
    ahead_m = half_d - np.where(obstacles.open_ahead[solid], cut, -JOINT_M)
    behind_m = half_d - np.where(obstacles.open_behind[solid], cut, -JOINT_M)
    middle = np.where(wall, 0.5 * (ahead_m - behind_m), 0.0)
    edge_w = np.where(wall, WALL_HALF_M, np.maximum(half_w - limits.margin_m, 0.5 * half_w))
    edge_d = np.where(wall, 0.5 * (ahead_m + behind_m), np.maximum(half_d - limits.margin_m, 0.5 * half_d))
    along = along - middle

    in_core = _within(disc, along, across, edge_d - CORE_M, edge_w - CORE_M)
    on_edge = _within(disc, along, across, edge_d, edge_w) & ~in_core
    less = np.where(on_edge, CORE_M, 0.0)
    ends_in = _within(disc, along + step_along, across + step_across, edge_d - less, edge_w - less)
    gap_s = limits.gap_ms / 1000.0
    avoidable = (sag_m > limits.bend_mps2 * gap_s * gap_s / 8.0) & (np.maximum(edge_w, edge_d) <= sag_m)
    least = np.where(avoidable, -1.0, 0.5)
    chord_w = np.where(on_edge | wall, edge_w - less, np.maximum(edge_w - sag_m, least * half_w))
    chord_d = np.where(on_edge | wall, edge_d - less, np.maximum(edge_d - sag_m, least * half_d))
    zero, one = np.zeros(len(along)), np.ones(len(along))
    ends = along + step_along, across + step_across
    enter, leave = box_span(along, across, *ends, zero, zero, one, zero, chord_w, chord_d)
    touch = np.where(enter <= leave, enter, NEVER)
    touch = np.where(disc, _touch_disc(along, across, step_along, step_across, chord_w), touch)
    touch = np.where((chord_w < 0.0) | (chord_d < 0.0), NEVER, touch)
    return np.where(in_core, NEVER, np.where(ends_in, np.minimum(touch, 1.0), touch))


def _within(disc: NDArray[np.bool_], along: F64, across: F64, deep: F64, wide: F64) -> NDArray[np.bool_]:
    """Whether points lie in a disc of radius ``wide``, or a box of these half sizes, edges included."""
    round_: NDArray[np.bool_] = (along * along + across * across <= wide * wide) & (wide >= 0.0)
    square = (np.abs(along) <= deep) & (np.abs(across) <= wide)
    return np.where(disc, round_, square)


def _touch_disc(start_x: F64, start_z: F64, step_x: F64, step_z: F64, radius: F64) -> F64:
    """Where a segment first touches a disc around 0: the smaller root of |start + t * step|^2 = radius^2, or NEVER."""
    square = step_x * step_x + step_z * step_z
    towards = start_x * step_x + start_z * step_z
    outside = start_x * start_x + start_z * start_z - radius * radius
    under = towards * towards - square * outside
    hit = (under >= 0.0) & (towards < 0.0) & (square > 0.0)
    share = outside / np.where(hit, -towards + np.sqrt(np.maximum(under, 0.0)), 1.0)
    return np.where(outside <= 0.0, 0.0, np.where(hit & (share <= 1.0), share, NEVER))
