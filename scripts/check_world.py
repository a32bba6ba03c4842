"""Check a world file and draw its map: ``python -m scripts.check_world FILE|PRESET [--zones N] [--svg OUT]``.

Prints every problem as one line, ``file: path.to.field: problem; fix``, and exits with 1 if there is any. Without
problems it prints what the world holds. The map is drawn in either case, as long as the file can be read: it shows
where the problems are. ``--zones N`` adds the rectangles of N zone processes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scripts.atlas.map_png import map_png
from scripts.atlas.map_svg import map_svg
from shared.constants import ZONES_MAX
from shared.world.entries import KIOSK_KINDS, WorldFile
from shared.world.faults import WorldFault
from shared.world.land import Land
from shared.world.survey import survey
from shared.world.world import World
from shared.world.world_file import FILE_PRESETS, load, load_preset
from shared.world.zone_map import TooManyZones, ZoneMap


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 a world to be served, 1 something is wrong with it, 2 wrong arguments."""
    options = _parser().parse_args(arguments)
    try:
        file = _read(options.world)
    except WorldFault as fault:
        print(fault, file=sys.stderr)
        return 1
    world = World.of_file(file, options.seed)
    land = Land.of(world)
    try:
        zones = ZoneMap.split(land.size_m, options.zones, land.load()) if options.zones else None
    except TooManyZones as fault:
        print(f"--zones: {fault}", file=sys.stderr)
        return 2
    findings = survey(land)
    for finding in findings:
        print(finding.line(options.world), file=sys.stderr)
    if options.svg:
        options.svg.write_text(map_svg(land, zones), encoding="utf-8")
    if options.png:
        options.png.write_bytes(map_png(land, zones))
    if findings:
        print(f"{len(findings)} problems", file=sys.stderr)
        return 1
    print("\n".join(_summary(world, land, zones)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="check_world", description="Check a world file and draw its map.")
    parser.add_argument("world", help=f"path of a world file, or a preset: {', '.join(FILE_PRESETS)}")
    parser.add_argument("--seed", type=_seed, help="another seed than the file's")
    parser.add_argument("--zones", type=_zones, metavar="N", help=f"draw the rectangles of N zones, 1 to {ZONES_MAX}")
    picture = parser.add_mutually_exclusive_group()
    picture.add_argument("--svg", type=Path, metavar="OUT", help="draw the map to this SVG file")
    picture.add_argument("--png", type=Path, metavar="OUT", help="draw the map to this PNG file, without words")
    return parser


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"must be 0 to {2**32 - 1}, not {text}")
    return int(text)


def _zones(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= ZONES_MAX:
        raise argparse.ArgumentTypeError(f"must be 1 to {ZONES_MAX}, not {text}")
    return int(text)


def _read(name: str) -> WorldFile:
    return load_preset(name) if name in FILE_PRESETS else load(Path(name))


def _summary(world: World, land: Land, zones: ZoneMap | None) -> list[str]:
    kiosks = ", ".join(f"{sum(kiosk.kind == kind for kiosk in land.kiosks)} {kind}" for kind in KIOSK_KINDS)
    steepest = 0.0
    if land.roads.pieces:
        rise = np.abs(np.diff(land.roads.post_y_cm[land.roads.piece_posts], axis=1)[:, 0]) / 100.0
        steepest = float((rise / land.graph.lengths_m).max())
    lines = [
        f"world   {world.preset}, seed {world.seed}, {world.size_m} m, {land.chunks**2} chunks, hash {world.hash}",
        f"roads   {len(land.roads.entries)}, {land.graph.lengths_m.sum() / 1000.0:.1f} km, up to {steepest:.0%} steep",
        f"props   {len(land.props.everywhere())}, of which built {len(land.props.built.table)}",
        f"spawns  {len(land.file.spawns)}; kiosks {kiosks}",
    ]
    for route in land.routes:
        crossed = "" if zones is None else f", through {_zones_of(route.course.points_m, zones)} zones"
        laps = f" x {route.laps}" if route.laps > 1 else ""
        lines.append(f"route   {route.id}: {route.lap_m:.0f} m{laps}, {len(route.gates_m)} gates{crossed}")
    return lines


def _zones_of(points: np.ndarray[tuple[int, ...], np.dtype[np.float64]], zones: ZoneMap) -> int:
    return len(np.unique(zones.zone_at(points[:, 0], points[:, 1])))


if __name__ == "__main__":
    sys.exit(main())
