"""Where path segments cross gates, decided exactly: arrays in, arrays out, and no rounding error in any decision.

Positions and gate ends are float64 and taken as the exact numbers that they are. Every decision is the sign of one
cross product of differences. It is computed in float64; where the result is too near to nought to be sure of its sign,
it is computed again in rational numbers. So the side of a point of a gate depends on that point and that gate alone,
and two consecutive segments, which share a point bit by bit, always agree on it: no crossing is lost between them and
none counts twice.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from shared.player_state import F64

I8 = NDArray[np.int8]

_DOUBT = 4.0 * 2.0**-53
"""Rounding of ``a * b - c * d`` over four differences is below (3 + 2**-49) * 2**-53 * (|a * b| + |c * d|): Shewchuk,
Adaptive Precision Floating-Point Arithmetic and Fast Robust Geometric Predicates, 1997, error bound A of orient2d."""
_UNDERFLOW = 1e-300
"""Products below this have lost bits, which that bound leaves out."""


def turn(o: F64, a: F64, b: F64) -> I8:
    """(M,) exact sign of ``(a - o) x (b - o)``, where ``u x v = u.x * v.z - u.z * v.x``; all (M, 2).

    The rational computation takes some microseconds each. It is needed for points within about 1e-12 m of the line.
    """
    to_a, to_b = a - o, b - o
    one, other = to_a[:, 0] * to_b[:, 1], to_a[:, 1] * to_b[:, 0]
    cross = one - other
    signs: I8 = np.sign(cross).astype(np.int8)
    doubtful = np.abs(cross) <= _DOUBT * (np.abs(one) + np.abs(other)) + _UNDERFLOW
    doubtful &= ((to_a[:, 0] != 0.0) & (to_b[:, 1] != 0.0)) | ((to_a[:, 1] != 0.0) & (to_b[:, 0] != 0.0))
    for index in np.flatnonzero(doubtful):  # a difference is nought only if it is exactly so: those are sure
        exact = _cross(*(_exactly(point[index]) for point in (o, a, b)))
        signs[index] = (exact > 0) - (exact < 0)
    return signs


def crossings(p: F64, q: F64, gates: F64) -> I8:
    """(M,) whether the path p to q crosses its gate: 1 forwards, -1 backwards, 0 not. Points (M, 2), gates (M, 4).

    A point on the gate's line counts as beyond it: who stops on the line has crossed, who starts there has not. The
    gate's ends belong to the gate.
    """
    a, b = gates[:, :2], gates[:, 2:]
    out = np.zeros(len(p), np.int8)
    was_behind, is_behind = turn(a, p, b) < 0, turn(a, q, b) < 0
    over = np.flatnonzero(was_behind != is_behind)
    if len(over):
        p, q, a, b = p[over], q[over], a[over], b[over]
        way = np.where(was_behind[over], np.int8(1), np.int8(-1))
        within = (turn(p, q, a) * way <= 0) & (turn(p, q, b) * way >= 0)  # A at the driver's left, B at the right
        out[over] = np.where(within, way, 0)
    return out


def shares(p: F64, q: F64, gates: F64) -> tuple[F64, F64]:
    """For paths that cross the line of their gate: the share of the path before it, and metres ahead, each (M,).

    Metres are measured square to the gate and from p to q. These two are ordinary float64: they date what ``crossings``
    has decided.
    """
    ab = gates[:, 2:] - gates[:, :2]
    ap, aq = p - gates[:, :2], q - gates[:, :2]
    side_p = ap[:, 0] * ab[:, 1] - ap[:, 1] * ab[:, 0]
    side_q = aq[:, 0] * ab[:, 1] - aq[:, 1] * ab[:, 0]
    way = side_q - side_p
    share: F64 = np.clip(-side_p / np.where(way == 0.0, 1.0, way), 0.0, 1.0)
    metres: F64 = np.abs(way) / np.sqrt(np.square(ab[:, 0]) + np.square(ab[:, 1]))
    return share, metres


def is_later(p: F64, q: F64, gate: F64, last: F64) -> bool:
    """Whether the path p to q, (2,) each, crosses the line of ``gate`` after that of ``last``, (4,) each; exactly.

    It crosses both. At the same point is not after.
    """
    share, other = (_share(_exactly(p), _exactly(q), each) for each in (gate, last))
    return share > other


def distance_m(one: F64, other: F64) -> float:
    """The least distance between two gates, (4,) each: no path from one to the other is shorter."""
    (a, b), (c, d) = (one[:2], one[2:]), (other[:2], other[2:])
    signs = [int(turn(*(each[None] for each in points))[0]) for points in ((a, b, c), (a, b, d), (c, d, a), (c, d, b))]
    if signs[0] * signs[1] < 0 and signs[2] * signs[3] < 0:
        return 0.0
    return min(_to_segment_m(a, c, d), _to_segment_m(b, c, d), _to_segment_m(c, a, b), _to_segment_m(d, a, b))


def _to_segment_m(point: F64, a: F64, b: F64) -> float:
    (along, down), (over, under) = (b - a).tolist(), (point - a).tolist()
    length2 = along * along + down * down
    share = min(max((over * along + under * down) / length2, 0.0), 1.0) if length2 else 0.0
    dx, dz = over - share * along, under - share * down
    return math.sqrt(dx * dx + dz * dz)


_Point = tuple[Fraction, Fraction]


def _exactly(point: F64) -> _Point:
    x, z = point.tolist()
    return Fraction(x), Fraction(z)


def _cross(o: _Point, a: _Point, b: _Point) -> Fraction:
    return (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0])


def _share(p: _Point, q: _Point, gate: F64) -> Fraction:
    a, b = _exactly(gate[:2]), _exactly(gate[2:])
    side_p, side_q = _cross(a, p, b), _cross(a, q, b)
    return side_p / (side_p - side_q)
