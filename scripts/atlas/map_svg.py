"""The map of a world as one SVG file: ground, woods, roads, houses, kiosks, routes, zones and a legend.

The picture is in metres, so that a place on it is its [x, z] in the world file; the ground is embedded as a PNG.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from typing import Final
from xml.sax.saxutils import escape

import numpy as np

from scripts.atlas.raster import Picture, ground_picture, small_png, tint
from shared.world.headings import heading
from shared.world.land import Land
from shared.world.prop_kinds import PROP_KINDS
from shared.world.prop_table import BOX, CIRCLE, PropTable
from shared.world.routes import Route
from shared.world.world import World
from shared.world.zone_map import ZoneMap

PIXELS: Final = 900
"""Edge of the embedded picture of the ground; with 64 colours it stays below 300 kB."""
COLOURS: Final = 64
KIOSK_COLOURS: Final = {"race": "#c8322b", "travel": "#2b62b8", "garage": "#d18a13", "board": "#5b3f99"}
ROUTE_COLOURS: Final = ("#d6336c", "#7048e8", "#1c7ed6", "#e8590c", "#0b7a75", "#5c940d", "#862e9c", "#a61e4d")
_TREES: Final = {"pine": (58, 102, 64), "oak": (82, 124, 66), "birch": (104, 142, 80), "bush": (128, 156, 98)}
_STONES: Final = {"rock": (140, 134, 124), "boulder": (112, 106, 98), "reed": (142, 150, 88)}
_PANEL: Final = 0.24
"""Width of the legend, as a share of the map's."""


def map_svg(land: Land, zones: ZoneMap | None) -> str:
    """The whole map as SVG text; with the rectangles of ``zones`` when given."""
    size = land.size_m
    unit = size / 4096.0
    width = _n(size * (1 + _PANEL))
    props = land.props.everywhere()
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {size}" font-family="DejaVu Sans, sans-serif">',
        f"<title>{escape(land.file.name)}, {stamp(land)}</title>",
        f'<rect width="{width}" height="{size}" fill="#f6f3ea"/>',
        f'<clipPath id="map"><rect width="{size}" height="{size}"/></clipPath>',
        '<g clip-path="url(#map)">',
        _ground(land, props),
        *_roads(land, unit),
        _buildings(props),
        *_routes(land, unit),
        *([] if zones is None else _zones(zones, unit)),
        *_kiosks(land, unit),
        *_places(land, unit),
        "</g>",
        f'<rect width="{size}" height="{size}" fill="none" stroke="#55514a" stroke-width="{_n(6 * unit)}"/>',
        *_legend(land, zones, unit),
        "</svg>",
    ]
    return "\n".join(body) + "\n"


def stamp(land: Land) -> str:
    """Which world is drawn: 16 hex digits that change with the file and the seed."""
    return World.of_file(land.file, land.seed).hash


def _n(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


def _points(pairs: Iterable[Iterable[float]]) -> str:
    return " ".join(",".join(_n(each) for each in pair) for pair in pairs)


def ground_with_plants(land: Land, props: PropTable, pixels: int) -> Picture:
    """The shaded ground with a dot for every tree and stone."""
    picture = ground_picture(land.terrain, pixels)
    column = np.minimum(props.x_cm * pixels // land.terrain.size_cm, pixels - 1)
    row = np.minimum(props.z_cm.astype(np.int64) * pixels // land.terrain.size_cm, pixels - 1)
    for name, colour in (*_STONES.items(), *_TREES.items()):
        mine = props.kind == next(index for index, kind in enumerate(PROP_KINDS) if kind.name == name)
        where = np.zeros(picture.shape[:2], np.bool_)
        where[row[mine], column[mine]] = True
        if name in ("pine", "oak"):
            where[row[mine], np.minimum(column[mine] + 1, pixels - 1)] = True
        tint(picture, where, colour, 0.75)
    return picture


def _ground(land: Land, props: PropTable) -> str:
    data = base64.b64encode(small_png(ground_with_plants(land, props, PIXELS), COLOURS)).decode()
    return f'<image width="{land.size_m}" height="{land.size_m}" href="data:image/png;base64,{data}"/>'


def _roads(land: Land, unit: float) -> Iterator[str]:
    lines = []
    for number, pieces in enumerate(land.roads.road_pieces):
        ((posts, width_cm),) = land.roads.chains(np.array(pieces, np.int32))
        colour = "#fff3c9" if width_cm >= 1000 else "#fffdf6"
        lines.append((number, _points((land.roads.post_cm[posts] / 100.0).tolist()), width_cm / 100.0, colour))
    yield '<g fill="none" stroke-linecap="round" stroke-linejoin="round">'
    for _, points, width, _colour in lines:
        yield f'<polyline points="{points}" stroke="#7d7466" stroke-width="{_n(max(width + 5, 12 * unit))}"/>'
    for _, points, width, colour in lines:
        yield f'<polyline points="{points}" stroke="{colour}" stroke-width="{_n(max(width, 7 * unit))}"/>'
    yield "</g>"


def _buildings(props: PropTable) -> str:
    built = props.take(
        np.isin(props.kind, [i for i, kind in enumerate(PROP_KINDS) if kind.role in ("building", "landmark")])
    )
    x, z = built.position_m()
    half_w, half_d = built.half_sizes_m()
    ahead_x, ahead_z = heading(built.yaw_mrad / 1000.0)
    corners = []
    for wide, deep in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        corner_x = x + ahead_x * half_d * deep - ahead_z * half_w * wide
        corner_z = z + ahead_z * half_d * deep + ahead_x * half_w * wide
        corners.append(np.stack([corner_x, corner_z], axis=-1))
    outline = np.stack(corners, axis=1)
    outline = outline[np.isin(built.shape(), (BOX, CIRCLE))]
    path = "".join(f"M{_points(box)}z" for box in np.round(outline).astype(int).tolist())
    return f'<path d="{path}" fill="#8d6f64" stroke="#5d4a44" stroke-width="1"/>'


def _routes(land: Land, unit: float) -> Iterator[str]:
    for number, route in enumerate(land.routes):
        colour = ROUTE_COLOURS[number % len(ROUTE_COLOURS)]
        yield (
            f'<g fill="none" stroke="{colour}" stroke-linecap="round" stroke-linejoin="round">'
            f'<polyline points="{_points(_between_gates(route))}" stroke-width="{_n(8 * unit)}" stroke-opacity=".8" '
            f'stroke-dasharray="{_n(26 * unit)} {_n((14 + 5 * number) * unit)}"/>'
        )
        for gate, (ax, az, bx, bz) in enumerate(route.gates_m.tolist()):
            width = 14 if gate == 0 else 6
            yield f'<line x1="{_n(ax)}" y1="{_n(az)}" x2="{_n(bx)}" y2="{_n(bz)}" stroke-width="{_n(width * unit)}"/>'
        yield "</g>"


def _between_gates(route: Route) -> list[list[float]]:
    start, finish = float(route.gate_at_m[0]), float(route.gate_at_m[0]) + route.lap_m
    inner = (route.course.at_m > start) & (route.course.at_m < finish)
    ends = [route.course.point(at) for at in (start, finish)]
    return [[ends[0].x, ends[0].z], *route.course.points_m[inner].tolist(), [ends[1].x, ends[1].z]]


def _zones(zones: ZoneMap, unit: float) -> Iterator[str]:
    dashes = f"{_n(22 * unit)} {_n(14 * unit)}"
    yield f'<g fill="none" stroke="#26221c" stroke-width="{_n(4 * unit)}" stroke-dasharray="{dashes}">'
    for x0, z0, x1, z1 in zones.rects_m.tolist():
        inset = 3 * unit  # two dashed lines on one another would be a full one
        yield (
            f'<rect x="{_n(x0 + inset)}" y="{_n(z0 + inset)}" width="{_n(x1 - x0 - 2 * inset)}" '
            f'height="{_n(z1 - z0 - 2 * inset)}"/>'
        )
    yield f'</g><g font-size="{_n(52 * unit)}" fill="#26221c" fill-opacity=".75">'
    for number, (x0, z0, _x1, _z1) in enumerate(zones.rects_m.tolist()):
        yield f'<text x="{_n(x0 + 18 * unit)}" y="{_n(z0 + 60 * unit)}">zone {number}</text>'
    yield "</g>"


def _kiosks(land: Land, unit: float) -> Iterator[str]:
    yield f'<g stroke="#fff" stroke-width="{_n(4 * unit)}">'
    for kiosk in land.kiosks:
        yield f'<circle cx="{_n(kiosk.x)}" cy="{_n(kiosk.z)}" r="{_n(17 * unit)}" fill="{KIOSK_COLOURS[kiosk.kind]}"/>'
    for spawn in land.file.spawns:
        x, z = spawn.at
        r = 22 * unit
        corners = _points([(x, z - r), (x + r, z + r * 0.8), (x - r, z + r * 0.8)])
        yield f'<polygon points="{corners}" fill="#1d1d1b"/>'
    yield "</g>"


def _places(land: Land, unit: float) -> Iterator[str]:
    """Names twice, their halo first: not every viewer knows ``paint-order``."""
    halo = f'stroke="#fffdf4" stroke-opacity=".8" stroke-width="{_n(12 * unit)}" stroke-linejoin="round"'
    for paint in (halo, 'fill-opacity="1"'):
        yield f'<g font-size="{_n(62 * unit)}" font-style="italic" fill="#2d2a26" text-anchor="middle" {paint}>'
        for place in land.file.places:
            x, z = place.at
            yield f'<text x="{_n(x)}" y="{_n(z)}">{escape(place.name)}</text>'
        yield "</g>"


def _legend(land: Land, zones: ZoneMap | None, unit: float) -> Iterator[str]:
    left, line = land.size_m + 60 * unit, 74 * unit
    y = 130 * unit
    ink = 'fill="#2d2a26"'
    text = f'{ink} font-size="{_n(46 * unit)}"'
    km = land.size_m / 1000.0
    yield f'<text x="{_n(left)}" y="{_n(y)}" {ink} font-size="{_n(96 * unit)}">{escape(land.file.name)}</text>'
    zones_text = f", {zones.zones} zones" if zones else ""
    for row in (
        f"{km:.1f} km square, seed {land.seed}{zones_text}",
        f"{land.graph.lengths_m.sum() / 1000:.0f} km of road",
    ):
        y += line
        yield f'<text x="{_n(left)}" y="{_n(y)}" {text}>{row}</text>'
    y += line * 1.6
    for kind, colour in KIOSK_COLOURS.items():
        count = sum(kiosk.kind == kind for kiosk in land.kiosks)
        yield f'<circle cx="{_n(left + 24 * unit)}" cy="{_n(y - 16 * unit)}" r="{_n(20 * unit)}" fill="{colour}"/>'
        yield f'<text x="{_n(left + 70 * unit)}" y="{_n(y)}" {text}>{kind} kiosk, {count}</text>'
        y += line
    r = 24 * unit
    corners = _points([(left + r, y - 2 * r), (left + 2 * r, y), (left, y)])
    yield f'<polygon points="{corners}" fill="#1d1d1b"/>'
    yield f'<text x="{_n(left + 70 * unit)}" y="{_n(y)}" {text}>spawn point, {len(land.file.spawns)}</text>'
    y += line * 1.6
    for number, route in enumerate(land.routes):
        colour = ROUTE_COLOURS[number % len(ROUTE_COLOURS)]
        laps = f" x {route.laps}" if route.laps > 1 else ""
        yield (
            f'<line x1="{_n(left)}" y1="{_n(y - 16 * unit)}" x2="{_n(left + 54 * unit)}" y2="{_n(y - 16 * unit)}" '
            f'stroke="{colour}" stroke-width="{_n(12 * unit)}"/>'
            f'<text x="{_n(left + 70 * unit)}" y="{_n(y)}" {text}>{escape(route.entry.name)}</text>'
            f'<text x="{_n(left + 70 * unit)}" y="{_n(y + line * 0.7)}" {text} fill-opacity=".7">'
            f"{route.lap_m / 1000:.2f} km{laps}, {len(route.gates_m)} gates</text>"
        )
        y += line * 1.9
    y += line * 0.4
    yield (
        f'<path d="M{_n(left)},{_n(y)}v{_n(20 * unit)}h{_n(500.0)}v{_n(-20 * unit)}" fill="none" stroke="#2d2a26" '
        f'stroke-width="{_n(5 * unit)}"/><text x="{_n(left)}" y="{_n(y + line)}" {text}>500 m, north is up</text>'
    )
