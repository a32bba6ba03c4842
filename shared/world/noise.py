"""Bumps from a seed: integer hashing and value noise in 32-bit integer arithmetic only.

Every product below stays under 2^31 or is a hash product modulo 2^32, so that numpy's int32 and uint32 and JavaScript's
``Math.imul`` and ``| 0`` give the same numbers. Shifts of negative numbers round down in both. Arguments are whole
centimetres, scalars or arrays of any one shape; a value depends on its own arguments only.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

I32 = NDArray[np.int32]
U32 = NDArray[np.uint32]

OCTAVE_BITS: Final = (14, 13, 12, 11)
"""Edge of the lattice of each octave: 2^14 cm is 164 m, 2^11 cm is 20 m."""
OCTAVE_WEIGHTS: Final = (18, 8, 4, 1)
"""Falling with every octave, as in fractional Brownian motion. They add up to 31."""

_X: Final = np.uint32(0x9E3779B1)
_Z: Final = np.uint32(0x85EBCA77)
_M1: Final = np.uint32(0x85EBCA6B)
_M2: Final = np.uint32(0xC2B2AE35)
_OCTAVE_STEP: Final = 0x9E3779B9


def mix(value: U32) -> U32:
    """Spread every bit of (N,) words over all others: the finalizer of MurmurHash3."""
    value = (value ^ (value >> np.uint32(16))) * _M1
    value = (value ^ (value >> np.uint32(13))) * _M2
    return value ^ (value >> np.uint32(16))


def lattice_hash(seed: int, x: I32, z: I32) -> U32:
    """32 random bits for each lattice point (N,); ``x`` and ``z`` may be negative."""
    first = mix(np.uint32(seed & 0xFFFFFFFF) ^ (_words(x) * _X))
    return mix(first ^ (_words(z) * _Z))


def value_noise(seed: int, x_cm: I32, z_cm: I32, bits: int) -> I32:
    """Smooth noise in -32768 .. 32767 at (N,) points, whose lattice has an edge of ``2**bits`` cm."""
    x, z = x_cm >> np.int32(bits), z_cm >> np.int32(bits)
    mask, one = np.int32((1 << bits) - 1), np.int32(1)
    across, down = _ease(x_cm & mask, bits), _ease(z_cm & mask, bits)
    north = _between(_signed(seed, x, z), _signed(seed, x + one, z), across)
    south = _between(_signed(seed, x, z + one), _signed(seed, x + one, z + one), across)
    return _between(north, south, down)


def octave(seed: int, number: int, x_cm: I32, z_cm: I32) -> I32:
    """One octave of the bumps. Every other one has its lattice turned by 45 degrees, which hides the lattices."""
    x_cm, z_cm = np.asarray(x_cm, np.int32), np.asarray(z_cm, np.int32)
    if number % 2:
        x_cm, z_cm = x_cm + z_cm, x_cm - z_cm
    return value_noise((seed + number * _OCTAVE_STEP) & 0xFFFFFFFF, x_cm, z_cm, OCTAVE_BITS[number])


def bumps(seed: int, x_cm: I32, z_cm: I32) -> I32:
    """All octaves together, in -32768 .. 32767."""
    total = np.zeros(np.shape(x_cm), np.int32)
    for number, weight in enumerate(OCTAVE_WEIGHTS):
        total = total + octave(seed, number, x_cm, z_cm) * np.int32(weight)
    return (total * np.int32(33)) >> np.int32(10)  # 33 / 1024 is a little less than 1 / 31


def _words(value: I32) -> U32:
    return np.ascontiguousarray(value, np.int32).view(np.uint32)


def _signed(seed: int, x: I32, z: I32) -> I32:
    return (lattice_hash(seed, x, z) >> np.uint32(16)).astype(np.int32) - np.int32(32768)


def _ease(rest: I32, bits: int) -> I32:
    """f^2 (3 - 2 f) of the fraction ``rest / 2**bits``, both with 12 bits."""
    fraction = rest >> np.int32(bits - 12) if bits >= 12 else rest << np.int32(12 - bits)
    square = (fraction * fraction) >> np.int32(8)
    return (square * (np.int32(12288) - np.int32(2) * fraction)) >> np.int32(16)


def _between(start: I32, end: I32, share: I32) -> I32:
    return start + (((end - start) * share) >> np.int32(12))
