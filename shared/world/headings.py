"""Headings to vectors and back, the same to the last bit on every platform: only + - * / and sqrt.

``math.sin`` and numpy's ``sin`` come from the platform and differ in the last bit between machines. Here both are
polynomials whose terms are added in a fixed order; their error is below 1e-15. A yaw's heading vector is
``(sin yaw, cos yaw)`` in (x, z); its right-hand side is ``(-cos yaw, sin yaw)``.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

FULL_TURN_MRAD: Final = 6283
"""Yaws are kept in whole milliradians, 0 to this, as on the wire."""

_SIN: Final = tuple((-1.0) ** index / math.factorial(2 * index + 1) for index in range(9))
_COS: Final = tuple((-1.0) ** index / math.factorial(2 * index) for index in range(9))
"""Taylor series about 0; on an eighth of a turn the first term left out is below 1e-17."""
_ATAN_TERMS: Final = 9
"""Of the arctangent's series: on tan(pi/32) the next term is below 1e-20."""


def heading(yaw_rad: F64) -> tuple[F64, F64]:
    """(x, z) of the unit vectors that yaws of (N,) radians point along; for yaws within a few turns."""
    yaw = np.asarray(yaw_rad, np.float64)
    quarter = np.floor(yaw * (2.0 / math.pi) + 0.5)
    rest = yaw - quarter * (math.pi / 2)
    square = rest * rest
    sine, cosine = _series(_SIN, square) * rest, _series(_COS, square)
    turn = quarter.astype(np.int64) & 3
    x = np.where(turn & 1, cosine, sine)
    z = np.where(turn & 1, sine, cosine)
    return np.where(turn >= 2, -x, x), np.where((turn == 1) | (turn == 2), -z, z)


def yaw_mrad(x: F64, z: F64) -> I32:
    """The yaw, in milliradians 0 to 6283, of heading vectors (N,); their length does not matter, 0 gives 0."""
    x, z = np.asarray(x, np.float64), np.asarray(z, np.float64)
    wide, deep = np.abs(x), np.abs(z)
    longer = np.maximum(wide, deep)
    ratio = np.minimum(wide, deep) / np.where(longer == 0.0, 1.0, longer)
    for _ in range(3):  # atan(r) = 2 atan(r / (1 + sqrt(1 + r^2)))
        ratio = ratio / (1.0 + np.sqrt(1.0 + ratio * ratio))
    square = ratio * ratio
    terms = tuple((1.0 if index % 2 == 0 else -1.0) / (2 * index + 1) for index in range(_ATAN_TERMS))
    angle = _series(terms, square) * ratio * 8.0
    angle = np.where(wide > deep, math.pi / 2 - angle, angle)
    angle = np.where(z < 0, math.pi - angle, angle)
    angle = np.where(x < 0, 2 * math.pi - angle, angle)
    whole = np.floor(angle * 1000.0 + 0.5).astype(np.int32)
    return np.where(whole > FULL_TURN_MRAD, 0, whole).astype(np.int32)


def mrad_of_degrees(degrees: float) -> int:
    """Degrees of the world file, 0 to 360, as milliradians."""
    whole = int(degrees * (math.pi * 1000.0 / 180.0) + 0.5)
    return 0 if whole > FULL_TURN_MRAD else whole


def _series(terms: tuple[float, ...], square: F64) -> F64:
    total = np.full_like(square, terms[-1])
    for term in reversed(terms[:-1]):
        total = total * square + term
    return total
