"""A whole world, built: what the world file and the seed mean, ready to be asked.

``Land.of`` does all work that concerns the world as a whole (roads, routes, buildings); chunks and heights are
computed when asked for. One process builds it, or each its own: the result is the same to the last bit.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from shared.constants import CHUNK_M
from shared.vehicles import VehicleClass
from shared.world import world_file
from shared.world.biome_map import BiomeMap
from shared.world.clearings import ACCESS_HALF_M, ACCESS_MAX_M, GATE_CLEAR_M, Clearings
from shared.world.entries import AnyKiosk, BiomeEntry, SpawnEntry, TerrainEntry, WorldFile
from shared.world.footprints import segment_in_box
from shared.world.headings import mrad_of_degrees
from shared.world.props import Props
from shared.world.relief import Relief
from shared.world.road_graph import RoadGraph
from shared.world.roads import Roads
from shared.world.routes import Route, RouteFault, build_routes
from shared.world.terrain import Terrain
from shared.world.world import Pose, World

F64 = NDArray[np.float64]

OPEN_BIOME: Final = "plain"


@dataclass(frozen=True, slots=True)
class Kiosk:
    """A kiosk as it stands: metres, radians as whole milliradians."""

    entry: AnyKiosk
    x: float
    y: float
    z: float
    yaw: float

    @property
    def id(self) -> str:
        """Name in messages and files."""
        return self.entry.id

    @property
    def kind(self) -> str:
        """race, travel, garage or board."""
        return str(self.entry.__struct_config__.tag)


@dataclass(frozen=True, slots=True, eq=False)
class Land:
    """Everything static about one world."""

    file: WorldFile
    seed: int
    vehicles: tuple[VehicleClass, ...]
    biomes: BiomeMap
    terrain: Terrain
    roads: Roads
    graph: RoadGraph
    routes: tuple[Route, ...]
    route_faults: tuple[tuple[int, RouteFault], ...]
    """(index in the file, what is wrong) of routes that could not be built; a checked world has none."""
    kiosks: tuple[Kiosk, ...]
    kiosks_by_chunk: dict[tuple[int, int], tuple[Kiosk, ...]]
    gates_by_chunk: dict[tuple[int, int], tuple[tuple[int, int], ...]]
    """(index into ``routes``, number of the gate) of the gates that touch a chunk, by (cx, cz)."""
    props: Props

    @classmethod
    def of(cls, world: World) -> Self:
        """The land of a world."""
        return cls.of_file(world.content or _open_file(world), world.seed)

    @classmethod
    def of_file(cls, world: WorldFile, seed: int | None = None) -> Self:
        """The land of a world file, from its own seed or another."""
        seed = world.seed if seed is None else seed
        relief = Relief.of_file(world, seed)
        roads = Roads.of_file(world, relief)
        terrain = Terrain(relief, roads)
        graph = RoadGraph.of(roads, world.size_m)
        routes, faults = build_routes(world, graph)
        biomes = BiomeMap.of_file(world, seed)
        clearings = _clearings(world, graph, routes)
        props = Props.of_file(world, biomes, graph, terrain, clearings)
        kiosks = tuple(_kiosk(entry, terrain) for entry in world.kiosks)
        return cls(
            file=world,
            seed=seed,
            vehicles=world_file.vehicles(world),
            biomes=biomes,
            terrain=terrain,
            roads=roads,
            graph=graph,
            routes=routes,
            route_faults=tuple(faults),
            kiosks=kiosks,
            kiosks_by_chunk=_by_chunk(((kiosk.x, kiosk.z, kiosk.x, kiosk.z), kiosk) for kiosk in kiosks),
            gates_by_chunk=_by_chunk(
                (tuple(gate), (route, number))
                for route, each in enumerate(routes)
                for number, gate in enumerate(each.gates_m.tolist())
            ),
            props=props,
        )

    def __repr__(self) -> str:
        """One line: the arrays of a world would fill pages of a report about a failing test."""
        return f"Land({self.file.name!r}, seed={self.seed}, size_m={self.size_m})"

    @property
    def size_m(self) -> int:
        """Edge of the square world."""
        return self.file.size_m

    @property
    def chunks(self) -> int:
        """Chunks per side."""
        return self.file.size_m // CHUNK_M

    def respawn(self, x: float, z: float, yaw: float | None = None) -> Pose:
        """Where a car that is lost at (x, z) is put: on the nearest road, else where it is."""
        found = self.graph.safe_pose(x, z, yaw)
        if found is None:
            return self.on_ground(x, z, yaw or 0.0)
        return self.on_ground(found.x, found.z, found.yaw)

    def on_ground(self, x: float, z: float, yaw: float) -> Pose:
        """The pose at (x, z) on the ground or the water."""
        height = float(self.terrain.ground_m(np.array([x]), np.array([z]))[0])
        return Pose(x, max(height, 0.0), z, yaw)

    def load(self) -> F64:
        """Players to expect per chunk, indexed ``[cz, cx]``, in any unit: what ``ZoneMap.split`` divides evenly.

        A car meets others on roads: a metre of road counts 1, a spawn point or kiosk 100, open ground 4 per chunk.
        Without roads players are anywhere.
        """
        if not self.roads.pieces:
            return np.ones((self.chunks, self.chunks))
        load = np.full((self.chunks, self.chunks), 4.0)
        x0, z0, x1, z1 = self.roads.ends_m().T
        cx = np.minimum((x0 + x1) / 2.0 // CHUNK_M, self.chunks - 1).astype(np.intp)
        cz = np.minimum((z0 + z1) / 2.0 // CHUNK_M, self.chunks - 1).astype(np.intp)
        np.add.at(load, (cz, cx), self.graph.lengths_m)
        for x, z in [entry.at for entry in (*self.file.spawns, *self.file.kiosks)]:
            load[int(z // CHUNK_M), int(x // CHUNK_M)] += 100.0
        return load


@functools.lru_cache(maxsize=2)
def land_of(world: World) -> Land:
    """The land of a world, built once per process."""
    return Land.of(world)


def _open_file(world: World) -> WorldFile:
    """The preset ``open`` as a world file: a plain with nothing on it."""
    step_m = math.gcd(world.size_m, 1024)
    squares = world.size_m // step_m
    return WorldFile(
        name=world.preset,
        seed=world.seed,
        size_m=world.size_m,
        terrain=TerrainEntry(step_m, ((0.0,) * squares,) * squares, ("." * squares,) * squares, roughness=0),
        biomes=(BiomeEntry(OPEN_BIOME, "."),),
        spawns=(SpawnEntry("middle", (world.size_m / 2.0, world.size_m / 2.0), 0.0),),
    )


def _kiosk(entry: AnyKiosk, terrain: Terrain) -> Kiosk:
    x, z = (math.floor(each * 100.0 + 0.5) / 100.0 for each in entry.at)
    y = float(terrain.ground_m(np.array([x]), np.array([z]))[0])
    return Kiosk(entry, x, y, z, mrad_of_degrees(entry.yaw_deg) / 1000.0)


T = TypeVar("T")


def _by_chunk(things: Iterable[tuple[tuple[float, ...], T]]) -> dict[tuple[int, int], tuple[T, ...]]:
    """Things by the chunks that their segment (x0, z0, x1, z1) touches."""
    found: dict[tuple[int, int], tuple[T, ...]] = {}
    for (x0, z0, x1, z1), thing in things:
        for cx in range(int(min(x0, x1) // CHUNK_M), int(max(x0, x1) // CHUNK_M) + 1):
            for cz in range(int(min(z0, z1) // CHUNK_M), int(max(z0, z1) // CHUNK_M) + 1):
                middle_x, middle_z, half = (cx + 0.5) * CHUNK_M, (cz + 0.5) * CHUNK_M, CHUNK_M / 2
                numbers = (x0, z0, x1, z1, middle_x, middle_z, 0.0, 1.0, half, half)
                if segment_in_box(*np.array(numbers)[:, None])[0]:
                    found[cx, cz] = (*found.get((cx, cz), ()), thing)
    return found


def _clearings(world: WorldFile, graph: RoadGraph, routes: tuple[Route, ...]) -> Clearings:
    strips: list[tuple[float, float, float, float, float]] = []
    for entry in (*world.spawns, *world.kiosks):
        x, z = entry.at
        strips.append((x, z, x, z, entry.radius_m))
        road = graph.nearest(x, z)
        if road is not None and road.distance_m < ACCESS_MAX_M:
            strips.append((x, z, road.x, road.z, ACCESS_HALF_M))
    for route in routes:
        strips += [(*gate, GATE_CLEAR_M) for gate in route.gates_m.tolist()]
    places = np.array(strips, np.float64).reshape(-1, 5)
    ends = np.concatenate([graph.roads.ends_m(), places[:, :4]])
    radius = np.concatenate([graph.roads.halves_m(), places[:, 4]])
    return Clearings.of(ends, radius, world.size_m)
