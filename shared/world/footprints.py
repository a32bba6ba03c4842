"""Exact tests between outlines on the ground, pair by pair: discs, oriented boxes and strips, as arrays.

A strip is everything within ``radius`` of a segment. Every argument of a pair test is (N,), metres.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]


def distance2_to_segment(x: F64, z: F64, x0: F64, z0: F64, x1: F64, z1: F64) -> F64:
    """Squared distance of points from segments."""
    dx, dz = x1 - x0, z1 - z0
    length2 = dx * dx + dz * dz
    along = np.clip((x - x0) * dx + (z - z0) * dz, 0.0, length2) / np.where(length2 == 0.0, 1.0, length2)
    off_x, off_z = x - x0 - dx * along, z - z0 - dz * along
    return off_x * off_x + off_z * off_z


def segment_in_box(
    x0: F64, z0: F64, x1: F64, z1: F64, x: F64, z: F64, ahead_x: F64, ahead_z: F64, half_w: F64, half_d: F64
) -> Mask:
    """Whether segments touch boxes at (x, z) that face (ahead_x, ahead_z), edges included."""
    enter, leave = box_span(x0, z0, x1, z1, x, z, ahead_x, ahead_z, half_w, half_d)
    return enter <= leave


def box_span(
    x0: F64, z0: F64, x1: F64, z1: F64, x: F64, z: F64, ahead_x: F64, ahead_z: F64, half_w: F64, half_d: F64
) -> tuple[F64, F64]:
    """The part of segments that lies in boxes, as shares of the segment in 0 .. 1; enter > leave when none does.

    The segment is turned into the box's frame and cut by its two pairs of edges (Kay and Kajiya's slabs).
    """
    enter, leave = np.zeros(np.broadcast(x0, x).shape), np.ones(np.broadcast(x0, x).shape)
    for axis_x, axis_z, half in ((ahead_x, ahead_z, half_d), (-ahead_z, ahead_x, half_w)):
        start = (x0 - x) * axis_x + (z0 - z) * axis_z
        step = (x1 - x0) * axis_x + (z1 - z0) * axis_z
        along = step == 0.0
        safe = np.where(along, 1.0, step)
        first, second = (-half - start) / safe, (half - start) / safe
        outside = along & (np.abs(start) > half)
        enter = np.maximum(enter, np.where(along, np.where(outside, 2.0, 0.0), np.minimum(first, second)))
        leave = np.minimum(leave, np.where(along, 1.0, np.maximum(first, second)))
    return enter, leave


def boxes_overlap(
    x: F64, z: F64, ahead_x: F64, ahead_z: F64, half_w: F64, half_d: F64,
    other_x: F64, other_z: F64, other_ahead_x: F64, other_ahead_z: F64, other_w: F64, other_d: F64,
) -> Mask:  # fmt: skip
    """Whether two oriented boxes overlap: no edge direction of either separates them (separating axes)."""
    gap_x, gap_z = other_x - x, other_z - z
    cosine = np.abs(ahead_x * other_ahead_x + ahead_z * other_ahead_z)
    sine = np.abs(ahead_x * other_ahead_z - ahead_z * other_ahead_x)
    apart = np.abs(gap_x * ahead_x + gap_z * ahead_z) > half_d + other_d * cosine + other_w * sine
    apart |= np.abs(-gap_x * ahead_z + gap_z * ahead_x) > half_w + other_w * cosine + other_d * sine
    apart |= np.abs(gap_x * other_ahead_x + gap_z * other_ahead_z) > other_d + half_d * cosine + half_w * sine
    apart |= np.abs(-gap_x * other_ahead_z + gap_z * other_ahead_x) > other_w + half_w * cosine + half_d * sine
    return ~apart
