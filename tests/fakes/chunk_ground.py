"""The ground of one chunk from what the chunk holds, in plain Python and whole numbers: the oracle for both twins.

Slow and obvious. Every intermediate result is checked to fit 32 bits, which numpy and JavaScript rely on.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from shared.messages import ChunkPayload

OCTAVES = ((14, 18), (13, 8), (12, 4), (11, 1))
U32 = 0xFFFFFFFF


def fits(value: int) -> int:
    """The value, if it is a signed 32-bit number."""
    assert -(2**31) <= value < 2**31, f"{value} does not fit 32 bits"
    return value


def mix(value: int) -> int:
    value = ((value ^ (value >> 16)) * 0x85EBCA6B) & U32
    value = ((value ^ (value >> 13)) * 0xC2B2AE35) & U32
    return value ^ (value >> 16)


def lattice(seed: int, x: int, z: int) -> int:
    first = mix((seed ^ (x * 0x9E3779B1)) & U32)
    return (mix((first ^ (z * 0x85EBCA77)) & U32) >> 16) - 32768


def value_noise(seed: int, x_cm: int, z_cm: int, bits: int) -> int:
    x, z = x_cm >> bits, z_cm >> bits

    def ease(at: int) -> int:
        rest = at & ((1 << bits) - 1)
        part = rest >> (bits - 12) if bits >= 12 else rest << (12 - bits)
        return fits((part * part >> 8) * (12288 - 2 * part)) >> 16

    def between(start: int, end: int, share: int) -> int:
        return start + (fits((end - start) * share) >> 12)

    across, down = ease(x_cm), ease(z_cm)
    north = between(lattice(seed, x, z), lattice(seed, x + 1, z), across)
    south = between(lattice(seed, x, z + 1), lattice(seed, x + 1, z + 1), across)
    return between(north, south, down)


def bumps(seed: int, x_cm: int, z_cm: int) -> int:
    total = 0
    for number, (bits, weight) in enumerate(OCTAVES):
        x, z = (x_cm + z_cm, x_cm - z_cm) if number % 2 else (x_cm, z_cm)
        total += value_noise((seed + number * 0x9E3779B9) & U32, x, z, bits) * weight
    return fits(total * 33) >> 10


def sheet(cx: int, cz: int, ground: Sequence[int], x_cm: int, z_cm: int) -> int:
    step_cm = ground[0] * 100

    def weights(at: int, chunk: int) -> tuple[int, int, int]:
        off = at - chunk * 6400 // step_cm * step_cm
        t = fits(off << 12) // step_cm
        before, after = (4096 - t) ** 2 >> 13, t * t >> 13
        return before, 4096 - before - after, after

    def blend(weight: tuple[int, int, int], numbers: Sequence[int]) -> int:
        return fits(sum(fits(one * other) for one, other in zip(weight, numbers, strict=True)))

    across, down = weights(x_cm, cx), weights(z_cm, cz)
    rows = [blend(across, ground[first : first + 3]) >> 8 for first in (2, 5, 8)]
    return blend(down, rows) >> 16


def height_cm(chunk: ChunkPayload, x_cm: int, z_cm: int) -> int:
    """The height at a point of the chunk, from what a client is sent of it."""
    cx, cz, seed, ground, roads = chunk.cx, chunk.cz, chunk.seed, chunk.ground, chunk.roads
    assert cx * 6400 <= x_cm <= cx * 6400 + 6400, "x must be on the chunk"
    assert cz * 6400 <= z_cm <= cz * 6400 + 6400, "z must be on the chunk"
    smooth = sheet(cx, cz, ground, x_cm, z_cm)
    reach = ground[1] * (60 + (abs(smooth) >> 3)) // 100
    base = smooth + (fits(bumps(seed, x_cm, z_cm) * reach) >> 15)
    found = []
    for road in roads:
        posts = [tuple(round(number * 100) for number in post) for post in road]
        for start, end in itertools.pairwise(posts):
            near = near_piece(start, end, x_cm, z_cm)
            if near[2] > 0:
                found.append(near)
    if not found:
        return base
    nearest = min(distance2 for distance2, _, _ in found)
    band = (nearest >> 1) + 1
    weights = [
        (max(fits((nearest + band - distance2) << 8) // band, 0) * cover + 1023) >> 10 for distance2, _, cover in found
    ]
    total = sum(weight * road_cm for weight, (_, road_cm, _) in zip(weights, found, strict=True))
    cover = max(cover for _, _, cover in found)
    share = fits((cover * cover >> 4) * (3072 - 2 * cover)) >> 16
    return base + (fits((total // sum(weights) - base) * share) >> 10)


def near_piece(start: tuple[int, ...], end: tuple[int, ...], x_cm: int, z_cm: int) -> tuple[int, int, int]:
    """Distance squared, height of the road, and how much it counts (0 to 1024), for one piece of road."""
    (ax, az, width, ya), (bx, bz, _, yb) = start, end
    dx, dz, px, pz = bx - ax, bz - az, x_cm - ax, z_cm - az
    length2 = fits(dx * dx + dz * dz)
    along = min(max(fits(px * dx + pz * dz), 0), length2)
    first, rest = divmod(fits(along << 7), length2)
    share = (first << 7) + fits(rest << 7) // length2
    off_x, off_z = px - (fits(dx * share) >> 14), pz - (fits(dz * share) >> 14)
    distance2 = fits(off_x * off_x + off_z * off_z)
    inner, outer = width // 2 + 100, width // 2 + 1200
    inner2, outer2 = fits(inner * inner) >> 4, fits(outer * outer) >> 4
    left = min(max(outer2 - (distance2 >> 4), 0), outer2 - inner2)
    return distance2, ya + (fits((yb - ya) * share) >> 14), fits(left << 10) // (outer2 - inner2)
