"""The ground as a picture: colours by height and landscape, shaded as if lit from the north-west; and PNG files of it.

Pictures are ``(height, width, 3)`` uint8, the north edge on top. Nothing but numpy and zlib is needed.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.world.terrain import Terrain

F64 = NDArray[np.float64]
Picture = NDArray[np.uint8]

_LAND: Final = np.array(
    [
        (0, 226, 219, 180),
        (3, 205, 213, 158),
        (12, 184, 205, 141),
        (40, 196, 203, 137),
        (75, 206, 190, 139),
        (110, 197, 171, 133),
        (150, 222, 212, 200),
    ],
    np.float64,
)
"""Metres above sea level, and red, green, blue there."""
_WATER: Final = np.array(
    [(-40, 86, 134, 176), (-12, 122, 170, 203), (-3, 157, 199, 222), (0, 186, 219, 232)], np.float64
)
_LIGHT: Final = (-0.53, 0.66, -0.53)
"""Towards the light: west, up, north."""
_EXAGGERATE: Final = 2.5
"""Slopes are drawn so much steeper; real ones hardly throw a shadow on a map."""


def ground_picture(terrain: Terrain, pixels: int) -> Picture:
    """The ground of a whole world, ``pixels`` wide and high."""
    heights = _heights(terrain, pixels)
    colour = np.where((heights < 0.0)[..., None], _ramp(_WATER, heights), _ramp(_LAND, heights))
    shade = np.where(heights < 0.0, 1.0, _shade(heights, terrain.relief.size_m / pixels))
    return np.clip(colour * shade[..., None] + 0.5, 0, 255).astype(np.uint8)


def tint(picture: Picture, where: NDArray[np.bool_], colour: tuple[int, int, int], share: float) -> None:
    """Mix ``colour`` into the pixels of a (height, width) mask. Mutates ``picture``."""
    mixed = picture[where] * (1.0 - share) + np.array(colour, np.float64) * share
    picture[where] = np.clip(mixed + 0.5, 0, 255).astype(np.uint8)


def png(picture: Picture) -> bytes:
    """The picture as a PNG file with all its colours."""
    height, width, _ = picture.shape
    rows = np.zeros((height, 1 + width * 3), np.uint8)
    rows[:, 1:] = picture.reshape(height, -1)
    return _png_file(width, height, 2, b"", rows)


def small_png(picture: Picture, colours: int = 128) -> bytes:
    """The picture as a PNG file with at most ``colours`` colours (up to 256): a quarter of the size."""
    palette, index = _palette(picture, colours)
    height, width = index.shape
    rows = np.zeros((height, 1 + width), np.uint8)
    rows[:, 1:] = index
    return _png_file(width, height, 3, _chunk(b"PLTE", palette.tobytes()), rows)


def _heights(terrain: Terrain, pixels: int) -> F64:
    """Heights in the middle of each pixel, metres."""
    middle = (np.arange(pixels) + 0.5) * (terrain.size_cm / pixels)
    at = middle.astype(np.int32)
    return terrain.ground_cm(at[None, :], at[:, None]) / 100.0


def _shade(heights: F64, pixel_m: float) -> F64:
    """Brightness of each pixel, about 1 on the flat."""
    down_z, down_x = np.gradient(heights * _EXAGGERATE, pixel_m)
    lit = -down_x * _LIGHT[0] + _LIGHT[1] - down_z * _LIGHT[2]
    lit = lit / np.sqrt(down_x * down_x + down_z * down_z + 1.0)
    return np.asarray(0.42 + 0.88 * np.clip(lit, 0.0, 1.0))


def _ramp(stops: F64, heights: F64) -> F64:
    channels = [np.interp(heights, stops[:, 0], stops[:, channel]) for channel in (1, 2, 3)]
    return np.stack(channels, axis=-1)


def _palette(picture: Picture, colours: int) -> tuple[Picture, NDArray[np.uint8]]:
    """(colours, 3) and the index of each pixel's colour: median cut over the colours in use, reduced to 5 bits each."""
    reduced = (picture >> 3).astype(np.int64)
    code = (reduced[..., 0] << 10) | (reduced[..., 1] << 5) | reduced[..., 2]
    used, inverse, count = np.unique(code, return_inverse=True, return_counts=True)
    points = np.stack([used >> 10, (used >> 5) & 31, used & 31], axis=-1) * 8.0 + 4.0
    boxes = [np.arange(len(used))]
    while len(boxes) < colours:
        spread = [float(np.ptp(points[box], axis=0).max()) * float(count[box].sum()) ** 0.5 for box in boxes]
        widest = int(np.argmax(spread))
        if spread[widest] == 0.0:
            break
        box = boxes.pop(widest)
        channel = int(np.argmax(np.ptp(points[box], axis=0)))
        box = box[np.argsort(points[box, channel], kind="stable")]
        half = int(np.searchsorted(np.cumsum(count[box]), count[box].sum() / 2.0)) + 1
        half = min(max(half, 1), len(box) - 1)
        boxes += [box[:half], box[half:]]
    palette = np.zeros((len(boxes), 3))
    index_of = np.zeros(len(used), np.uint8)
    for number, box in enumerate(boxes):
        palette[number] = np.average(points[box], axis=0, weights=count[box])
        index_of[box] = number
    return palette.astype(np.uint8), index_of[inverse].reshape(code.shape)


def _png_file(width: int, height: int, kind: int, palette: bytes, rows: NDArray[np.uint8]) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    body = zlib.compress(rows.tobytes(), 9)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + palette + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
