"""Reading a world file: TOML text in, a checked ``WorldFile`` out, or one line that says what to change where.

``parse`` is pure. ``load`` and ``load_preset`` are the only functions of the world model that read a disk.
"""

from __future__ import annotations

import functools
import hashlib
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from shared.vehicles import VEHICLES, VehicleClass
from shared.world.entries import (
    PATTERN_WORDS,
    RELIEF_STEPS_M,
    BoardKiosk,
    GarageKiosk,
    GateEntry,
    Point,
    RaceKiosk,
    TravelKiosk,
    WorldFile,
)
from shared.world.faults import WorldFileFault
from shared.world.prop_kinds import NOTHING, names

FILE_PRESETS: Final = ("harbour",)
"""Presets that are world files of their own."""

GENERATION: Final = 1
"""Raised whenever the same file and seed come to mean another world, so that clients forget the chunks of the old."""

_PRESETS_FOLDER: Final = Path(__file__).parent / "presets"
_AT_PATH: Final = re.compile(r"^(?P<problem>.*?)(?: - at `(?P<key>key` in `)?\$\.?(?P<path>.*)`)?$", re.DOTALL)
_AT_LINE: Final = re.compile(r"^(?P<problem>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|.*)\)$")
_FIELD: Final = re.compile(r"field `(?P<name>[^`]*)`")
_INDEX: Final = re.compile(r"(?P<name>[^.\[\]]+)|\[(?P<index>\d+|\.\.\.)\]")


def parse(text: str, file: str) -> WorldFile:
    """The world that ``text`` describes. ``file`` is its name in errors. Raises WorldFileFault."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        match = _AT_LINE.match(str(fault))
        if match and match["line"]:
            raise WorldFileFault(
                file, f"line {match['line']}, column {match['column']}", match["problem"], "correct the TOML there"
            ) from None
        raise WorldFileFault(file, "", str(fault), "correct the TOML") from None
    try:
        world: WorldFile = msgspec.convert(raw, WorldFile)
    except msgspec.ValidationError as fault:
        raise _refusal(file, str(fault), raw) from None
    for path, problem, fix in _contradictions(world):
        raise WorldFileFault(file, path, problem, fix)
    return world


def load(path: Path) -> WorldFile:
    """Read the world file at ``path``. Raises WorldFileFault, also when it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as fault:
        raise WorldFileFault(str(path), "", f"cannot be read ({fault.strerror})", "give a readable file") from None
    except UnicodeDecodeError:
        raise WorldFileFault(str(path), "", "is not UTF-8 text", "save it as UTF-8") from None
    return parse(text, path.name)


@functools.cache
def load_preset(name: str) -> WorldFile:
    """The world file of a preset, one of FILE_PRESETS."""
    assert name in FILE_PRESETS, f"no preset {name!r}: use one of {FILE_PRESETS}"
    return load(_PRESETS_FOLDER / f"{name}.toml")


def digest(world: WorldFile) -> str:
    """64 hex digits over everything in the file but its layout and comments."""
    return hashlib.sha256(msgspec.json.encode(world, order="sorted")).hexdigest()


def vehicles(world: WorldFile) -> tuple[VehicleClass, ...]:
    """The vehicle classes of the world: its own, or the shard's when it names none."""
    own = tuple(VehicleClass(each.name, each.speed_cap_mps, each.accel_cap_mps2) for each in world.vehicles)
    return own or VEHICLES


def _refusal(file: str, text: str, raw: dict[str, Any]) -> WorldFileFault:
    """A type, bound or key that msgspec refused, in our words: with the value found, and the fix."""
    match = _AT_PATH.match(text)
    assert match, "the expression matches everything"
    problem, path = match["problem"], match["path"] or ""
    if match["key"] or "[...]" in path:
        path = _with_keys(text, path, raw)
    named = _FIELD.search(problem)
    if named:
        where = _readable(f"{path}.{named['name']}" if path else named["name"], raw)
        if "unknown field" in problem:
            return WorldFileFault(file, where, "is not a key of this table", "remove or correct it")
        return WorldFileFault(file, where, "is missing", "add it")
    value = _value_at(path, raw)
    found = f"is {value!r}" if value is not None and len(repr(value)) <= 40 else "does not fit"
    words = (words for pattern, words in PATTERN_WORDS.items() if repr(pattern) in problem)
    fix = next(words, problem[0].lower() + problem[1:].replace("`", ""))
    return WorldFileFault(file, _readable(path, raw), found, fix)


def _with_keys(text: str, path: str, raw: dict[str, Any]) -> str:
    """The path with the key of the table that msgspec leaves out: the key that is refused when it stands alone."""
    prefix, _, rest = path.partition("[...]")
    table: Any = raw
    for step in _INDEX.finditer(prefix):
        table = table[step["name"]] if step["name"] else table[int(step["index"])]
    whole = dict(table)
    for key, value in whole.items():
        table.clear()
        table[key] = value
        try:
            msgspec.convert(raw, WorldFile)
        except msgspec.ValidationError as fault:
            if str(fault) == text:
                prefix = f"{prefix}.{key}"
                break
    table.clear()
    table.update(whole)
    return prefix + rest


def _value_at(path: str, raw: object) -> object:
    for step in _INDEX.finditer(path):
        try:
            raw = raw[step["name"]] if step["name"] else raw[int(step["index"])]  # type: ignore[index]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return None if isinstance(raw, (dict, list)) else raw


def _readable(path: str, raw: object) -> str:
    """``roads[3].width_m`` as ``roads[3] (id "ring").width_m``, where the entry has an id or a name."""
    parts: list[str] = []
    for step in _INDEX.finditer(path):
        if step["name"]:
            parts.append(f".{step['name']}" if parts else step["name"])
        else:
            parts.append(f"[{step['index']}]")
        try:
            raw = raw[step["name"]] if step["name"] else raw[int(step["index"])]  # type: ignore[index]
        except (KeyError, IndexError, TypeError, ValueError):
            raw = None
        if step["index"] and isinstance(raw, dict):
            for key in ("id", "name"):
                if isinstance(raw.get(key), str):
                    parts.append(f' ({key} "{raw[key]}")')
                    break
    return "".join(parts)


Contradiction = tuple[str, str, str]
"""(path, problem, fix)."""


def _contradictions(world: WorldFile) -> Iterator[Contradiction]:
    """What fits table by table but not together."""
    yield from _biomes(world)
    yield from _terrain(world)
    yield from _points(world)
    yield from _roads(world)
    yield from _kiosks(world)
    yield from _routes(world)
    for index, landmark in enumerate(world.landmarks):
        yield from _known(f"landmarks[{index}].kind", landmark.kind, names("scatter", "building", "landmark"))


def _terrain(world: WorldFile) -> Iterator[Contradiction]:
    terrain = world.terrain
    if terrain.step_m not in RELIEF_STEPS_M or world.size_m % terrain.step_m:
        steps = ", ".join(str(step) for step in RELIEF_STEPS_M if world.size_m % step == 0)
        yield "terrain.step_m", f"{terrain.step_m} does not divide size_m = {world.size_m}", f"use one of {steps}"
        return
    squares = world.size_m // terrain.step_m
    letters = {biome.letter for biome in world.biomes}
    for name, rows in (("relief_m", terrain.relief_m), ("biomes", terrain.biomes)):
        if len(rows) != squares:
            yield f"terrain.{name}", f"has {len(rows)} rows", f"give {squares}: one per {terrain.step_m} m of size_m"
        for index, row in enumerate(rows):
            if len(row) != squares:
                yield f"terrain.{name}[{index}]", f"has {len(row)} entries", f"give {squares}"
    for index, line in enumerate(terrain.biomes):
        for column, letter in enumerate(line):
            if letter not in letters:
                yield (
                    f"terrain.biomes[{index}]",
                    f"has {letter!r} at {column}, which no biome has as its letter",
                    f"use one of {' '.join(sorted(letters))}",
                )


def _biomes(world: WorldFile) -> Iterator[Contradiction]:
    yield from _unique("biomes", "name", (biome.name for biome in world.biomes))
    yield from _unique("biomes", "letter", (biome.letter for biome in world.biomes))
    for index, biome in enumerate(world.biomes):
        for kind in biome.scatter:
            yield from _known(f"biomes[{index}].scatter", kind, names("scatter"))
        for kind in biome.frontage:
            yield from _known(f"biomes[{index}].frontage", kind, (*names("building"), NOTHING))
        if sum(biome.scatter.values()) > 156:
            yield f"biomes[{index}].scatter", "adds up to more than 156 per hectare", "lower the numbers"


def _points(world: WorldFile) -> Iterator[Contradiction]:
    where: list[tuple[str, Point]] = [(f"nodes.{name}", at) for name, at in world.nodes.items()]
    for index, road in enumerate(world.roads):
        where += [
            (f"roads[{index}].through[{at}]", step) for at, step in enumerate(road.through) if not isinstance(step, str)
        ]
    where += [(f"spawns[{index}].at", spawn.at) for index, spawn in enumerate(world.spawns)]
    where += [(f"kiosks[{index}].at", kiosk.at) for index, kiosk in enumerate(world.kiosks)]
    where += [(f"landmarks[{index}].at", each.at) for index, each in enumerate(world.landmarks)]
    where += [(f"places[{index}].at", each.at) for index, each in enumerate(world.places)]
    for path, (x, z) in where:
        if not (x < world.size_m and z < world.size_m):
            yield path, f"[{x:g}, {z:g}] is off the map", f"keep both below size_m = {world.size_m}"


def _roads(world: WorldFile) -> Iterator[Contradiction]:
    yield from _unique("roads", "id", (road.id for road in world.roads))
    for index, road in enumerate(world.roads):
        for step in road.through:
            if isinstance(step, str):
                yield from _known(f"roads[{index}].through", step, world.nodes)
        places = [world.nodes.get(step, (0.0, 0.0)) if isinstance(step, str) else step for step in road.through]
        for at in range(1, len(places)):
            (ax, az), (bx, bz) = places[at - 1], places[at]
            if (bx - ax) ** 2 + (bz - az) ** 2 < 16.0:
                yield f"roads[{index}].through[{at}]", "is less than 4 m from the one before", "remove one of them"


def _kiosks(world: WorldFile) -> Iterator[Contradiction]:
    yield from _unique("spawns", "id", (spawn.id for spawn in world.spawns))
    yield from _unique("kiosks", "id", (kiosk.id for kiosk in world.kiosks))
    routes = [route.id for route in world.routes]
    travel = [kiosk.id for kiosk in world.kiosks if isinstance(kiosk, TravelKiosk)]
    classes = [vehicle.name for vehicle in vehicles(world)]
    for index, kiosk in enumerate(world.kiosks):
        match kiosk:
            case RaceKiosk():
                for route in kiosk.routes:
                    yield from _known(f"kiosks[{index}].routes", route, routes)
            case TravelKiosk():
                for other in kiosk.to:
                    yield from _known(f"kiosks[{index}].to", other, travel)
                if kiosk.id in kiosk.to:
                    yield f"kiosks[{index}].to", "leads to the kiosk itself", "remove it"
            case GarageKiosk():
                for vehicle in kiosk.vehicles:
                    yield from _known(f"kiosks[{index}].vehicles", vehicle, classes)
            case BoardKiosk():
                yield from _known(f"kiosks[{index}].route", kiosk.route, routes)


def _routes(world: WorldFile) -> Iterator[Contradiction]:
    yield from _unique("vehicles", "name", (vehicle.name for vehicle in world.vehicles))
    yield from _unique("routes", "id", (route.id for route in world.routes))
    for index, route in enumerate(world.routes):
        path = f"routes[{index}]"
        if bool(route.path) == bool(route.gates):
            yield path, "needs either path or gates", "give nodes to pass in path, or gates one by one"
        if route.path and len(route.path) < 2:
            yield f"{path}.path", "has one node only", "name at least two"
        if len(route.gates) == 1:
            yield f"{path}.gates", "is one gate only", "give at least two"
        for node in route.path:
            yield from _known(f"{path}.path", node, world.nodes)
        for number, gate in enumerate(route.gates):
            yield from _gate(f"{path}.gates[{number}]", gate, [road.id for road in world.roads])
        if route.vehicle is not None:
            yield from _known(f"{path}.vehicle", route.vehicle, [vehicle.name for vehicle in vehicles(world)])
        most = route.limits.racers_max or route.grid_slots
        if not route.limits.racers_min <= most <= route.grid_slots:
            yield (
                f"{path}.limits",
                f"racers_min {route.limits.racers_min} to racers_max {most} does not fit {route.grid_slots} grid_slots",
                "lower them or add slots",
            )


def _gate(path: str, gate: GateEntry, roads: list[str]) -> Iterator[Contradiction]:
    by_ends = gate.left is not None and gate.right is not None
    by_road = gate.road is not None and gate.at_m is not None
    mixed = (gate.left or gate.right) and (gate.road or gate.at_m is not None or gate.width_m or gate.against)
    if by_ends == by_road or mixed:
        yield path, "is given neither by its ends nor by a road", "give left and right, or road and at_m"
    if gate.road is not None:
        yield from _known(f"{path}.road", gate.road, roads)


def _unique(table: str, key: str, values: Iterable[str]) -> Iterator[Contradiction]:
    seen: set[str] = set()
    for index, value in enumerate(values):
        if value in seen:
            yield f"{table}[{index}].{key}", f'"{value}" is there twice', "choose another"
        seen.add(value)


def _known(path: str, name: str, known: Iterable[str]) -> Iterator[Contradiction]:
    options = list(known)
    if name not in options:
        near = ", ".join(options[:8]) + (", ..." if len(options) > 8 else "") if options else "none are defined"
        yield path, f'names "{name}", which does not exist', f"use one of: {near}"
