"""The map of a world as one PNG file, for where SVG is not shown: the same picture without words."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scripts.atlas.map_svg import KIOSK_COLOURS, ROUTE_COLOURS, ground_with_plants
from scripts.atlas.raster import Picture, png
from shared.world.land import Land
from shared.world.prop_kinds import PROP_KINDS
from shared.world.zone_map import ZoneMap

F64 = NDArray[np.float64]
Colour = tuple[int, int, int]

PIXELS: Final = 1600
_CASING: Final = (125, 116, 102)
_ROAD: Final = (255, 253, 246)
_HOUSE: Final = (141, 111, 100)
_ZONE: Final = (38, 34, 28)


def map_png(land: Land, zones: ZoneMap | None, pixels: int = PIXELS) -> bytes:
    """The whole map as a PNG file, ``pixels`` wide and high."""
    props = land.props.everywhere()
    picture = ground_with_plants(land, props, pixels)
    scale = pixels / land.size_m
    built = [index for index, kind in enumerate(PROP_KINDS) if kind.role in ("building", "landmark")]
    houses = props.take(np.isin(props.kind, built))
    columns = (*houses.position_m(), *houses.heading(), *houses.half_sizes_m())
    for x, z, face_x, face_z, wide, deep in np.stack(columns, axis=-1).tolist():
        _box(picture, x * scale, z * scale, face_x, face_z, wide * scale, deep * scale, _HOUSE)
    ends, widths = land.roads.ends_m() * scale, 2.0 * land.roads.halves_m() * scale
    for extra, colour in ((2.0, _CASING), (0.0, _ROAD)):
        for (x0, z0, x1, z1), width in zip(ends.tolist(), widths.tolist(), strict=True):
            _stroke(picture, x0, z0, x1, z1, max(width, 2.5) + extra, colour)
    for number, route in enumerate(land.routes):
        colour = _rgb(ROUTE_COLOURS[number % len(ROUTE_COLOURS)])
        for ax, az, bx, bz in (route.gates_m * scale).tolist():
            _stroke(picture, ax, az, bx, bz, 2.0, colour)
    for kiosk in land.kiosks:
        x, z = kiosk.x * scale, kiosk.z * scale
        _stroke(picture, x, z, x, z, 14.0 * pixels / PIXELS, _rgb(KIOSK_COLOURS[kiosk.kind]))
    for rect in [] if zones is None else zones.rects_m.tolist():
        x0, z0, x1, z1 = (edge * scale for edge in rect)
        _stroke(picture, x0, z0, x1, z0, 1.6, _ZONE)
        _stroke(picture, x0, z0, x0, z1, 1.6, _ZONE)
    return png(picture)


def _stroke(picture: Picture, x0: float, z0: float, x1: float, z1: float, width: float, colour: Colour) -> None:
    """Draw a line with round ends, in pixels, its edge smoothed over one pixel. Mutates ``picture``."""
    reach = width / 2.0 + 1.0
    area, x, z = _window(picture, min(x0, x1) - reach, min(z0, z1) - reach, max(x0, x1) + reach, max(z0, z1) + reach)
    dx, dz = x1 - x0, z1 - z0
    share = np.clip(((x - x0) * dx + (z - z0) * dz) / max(dx * dx + dz * dz, 1e-9), 0.0, 1.0)
    distance = np.sqrt((x - x0 - dx * share) ** 2 + (z - z0 - dz * share) ** 2)
    _cover(area, width / 2.0 - distance, colour)


def _box(
    picture: Picture, x: float, z: float, ahead_x: float, ahead_z: float, half_w: float, half_d: float, colour: Colour
) -> None:
    """Draw an oriented box, in pixels. Mutates ``picture``."""
    reach = half_w + half_d + 1.0
    area, at_x, at_z = _window(picture, x - reach, z - reach, x + reach, z + reach)
    along = np.abs((at_x - x) * ahead_x + (at_z - z) * ahead_z)
    aside = np.abs((at_z - z) * ahead_x - (at_x - x) * ahead_z)
    _cover(area, np.minimum(half_d - along, half_w - aside), colour)


def _window(picture: Picture, x0: float, z0: float, x1: float, z1: float) -> tuple[Picture, F64, F64]:
    """The part of the picture within these bounds, and the middles of its columns and rows."""
    height, width, _ = picture.shape
    left, top = max(int(x0), 0), max(int(z0), 0)
    right, bottom = max(min(int(x1) + 1, width), left), max(min(int(z1) + 1, height), top)
    x, z = np.arange(left, right)[None, :] + 0.5, np.arange(top, bottom)[:, None] + 0.5
    return picture[top:bottom, left:right], x, z


def _cover(area: Picture, inside: F64, colour: Colour) -> None:
    """Paint where ``inside``, the distance from the edge inwards in pixels, is positive; half at the edge itself."""
    share = np.clip(inside + 0.5, 0.0, 1.0)[..., None]
    area[:] = (area * (1.0 - share) + np.array(colour) * share + 0.5).astype(np.uint8)


def _rgb(name: str) -> Colour:
    return int(name[1:3], 16), int(name[3:5], 16), int(name[5:7], 16)
