"""The world file as its author writes it: one frozen struct per table, with the bounds of every number.

Units are in the names: metres (``_m``), degrees (``_deg``), seconds (``_s``), metres per second (``_mps``). Points are
``[x, z]`` in metres, x east and z south of the north-west corner. What a point, a heading or a gate means is the same
as on the wire. Cross-references between tables are checked in ``world_file.py``; what needs the built world (is a gate
on a road, does the start grid fit) in ``survey.py``.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from msgspec import Meta, Struct

from shared.constants import CHUNK_M

WORLD_SIZE_MIN_M: Final = CHUNK_M
WORLD_SIZE_MAX_M: Final = 65536
"""float64 positions stay exact to a nanometre there; cell ids stay below 2^20."""

RELIEF_STEPS_M: Final = (64, 128, 256, 512, 1024)
"""Whole chunks, so that a chunk lies within one square of the relief and nine numbers tell its shape."""
RELIEF_MIN_M, RELIEF_MAX_M = -100.0, 160.0
"""Below 2^14 cm: the product with a 12-bit weight, twice, stays below 2^31."""
ROAD_WIDTH_MAX_M: Final = 16.0
"""With the verge 20 m: its square in square centimetres, shifted by 9 bits, stays below 2^31."""

ID_PATTERN: Final = r"^[a-z0-9]+([-_][a-z0-9]+)*\Z"
LETTER_PATTERN: Final = r"^[!-~]\Z"
PATTERN_WORDS: Final = {
    ID_PATTERN: "use lower-case letters and digits, with single - or _ between them",
    LETTER_PATTERN: "use one printable character",
}

Id: TypeAlias = Annotated[str, Meta(pattern=ID_PATTERN, max_length=64)]
Title: TypeAlias = Annotated[str, Meta(min_length=1, max_length=60)]
Coordinate: TypeAlias = Annotated[float, Meta(ge=0, le=WORLD_SIZE_MAX_M)]
Point: TypeAlias = tuple[Coordinate, Coordinate]
Degrees: TypeAlias = Annotated[float, Meta(ge=0, lt=360)]
ReliefHeight: TypeAlias = Annotated[float, Meta(ge=RELIEF_MIN_M, le=RELIEF_MAX_M)]
PerHectare: TypeAlias = Annotated[float, Meta(ge=0, le=156)]
Share: TypeAlias = Annotated[float, Meta(ge=0, le=1)]


class Entry(Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the world file; unknown keys are refused."""


class TerrainEntry(Entry, frozen=True):
    """The shape of the ground and what grows where: two matrices of one entry per square of ``step_m``.

    The first row is the north edge, the first entry of a row the west. Sea level is 0: what lies below is water.
    """

    step_m: int
    relief_m: tuple[tuple[ReliefHeight, ...], ...]
    """Metres above sea level. The ground passes near these heights, not through them: it is a smooth sheet."""
    biomes: tuple[str, ...]
    """One letter per square, see ``letter`` of the biomes."""
    roughness: Annotated[int, Meta(ge=0, le=300)] = 100
    """Per cent of the usual bumps; 0: the bare sheet."""


class BiomeEntry(Entry, frozen=True):
    """A kind of landscape: what is scattered over it, and what is built along its roads."""

    name: Id
    letter: Annotated[str, Meta(pattern=LETTER_PATTERN)]
    scatter: dict[str, PerHectare] = {}
    """Kind of prop to number per hectare; at most 156 in all."""
    clumping: Annotated[int, Meta(ge=0, le=100)] = 50
    """How uneven the scatter is, per cent."""
    frontage: dict[str, Annotated[int, Meta(ge=0, le=1000)]] = {}
    """Kind of building to weight, along roads; ``nothing`` is a kind, too: a gap."""
    plot_m: Annotated[float, Meta(ge=8, le=200)] = 24.0
    """Metres of road per building on each side."""


class VehicleEntry(Entry, frozen=True):
    """A class of vehicle that may be driven here."""

    name: Id
    speed_cap_mps: Annotated[float, Meta(gt=0, le=150)]
    accel_cap_mps2: Annotated[float, Meta(gt=0, le=100)]


class RoadEntry(Entry, frozen=True):
    """A road through named nodes (where roads may meet) and points of its own."""

    id: Id
    name: Title
    width_m: Annotated[float, Meta(ge=4, le=ROAD_WIDTH_MAX_M)]
    through: Annotated[tuple[str | Point, ...], Meta(min_length=2)]
    """Names of nodes and points ``[x, z]``, in order. First and last the same node: a closed road."""
    smooth: bool = True
    """A curve through the points (centripetal Catmull-Rom); false: straight lines."""
    rails: bool = True
    """Guard rails where the ground falls away."""


class SpawnEntry(Entry, frozen=True):
    """Where players appear: an empty place beside or on a road."""

    id: Id
    at: Point
    yaw_deg: Degrees
    radius_m: Annotated[float, Meta(ge=6, le=40)] = 12.0
    """Kept free of props; arrivals stand within it."""


class KioskEntry(Entry, frozen=True, kw_only=True, tag_field="kind"):
    """A place to stop at. The fields that only some kinds have are in the classes below."""

    id: Id
    at: Point
    yaw_deg: Degrees
    radius_m: Annotated[float, Meta(ge=4, le=30)] = 12.0
    """From how far it can be used; the same circle is kept free of props."""


class RaceKiosk(KioskEntry, frozen=True, kw_only=True, tag="race"):
    """Opens, joins and shows races on its routes."""

    routes: Annotated[tuple[str, ...], Meta(min_length=1)]


class TravelKiosk(KioskEntry, frozen=True, kw_only=True, tag="travel"):
    """Takes the player to other travel kiosks."""

    to: tuple[str, ...] = ()
    """Ids of travel kiosks; none given: every other one."""


class GarageKiosk(KioskEntry, frozen=True, kw_only=True, tag="garage"):
    """Changes vehicle class and name."""

    vehicles: tuple[str, ...] = ()
    """Classes offered; none given: all."""


class BoardKiosk(KioskEntry, frozen=True, kw_only=True, tag="board"):
    """Shows the best times of a route."""

    route: str


AnyKiosk: TypeAlias = RaceKiosk | TravelKiosk | GarageKiosk | BoardKiosk
KIOSK_KINDS: Final = ("race", "travel", "garage", "board")


class GateEntry(Entry, frozen=True):
    """A gate: ``left`` and ``right`` as the driver sees its ends, or a position on a road."""

    left: Point | None = None
    right: Point | None = None
    road: str | None = None
    at_m: Annotated[float, Meta(ge=0)] | None = None
    """Metres along the road from its first point."""
    against: bool = False
    """Passed against the order of the road's points."""
    width_m: Annotated[float, Meta(ge=6, le=60)] | None = None
    """Left out: the road and 4 m on each side."""


class LimitsEntry(Entry, frozen=True):
    """Who may race, and for how long."""

    racers_min: Annotated[int, Meta(ge=1, le=64)] = 1
    racers_max: Annotated[int, Meta(ge=1, le=64)] | None = None
    """Left out: the slots of the grid."""
    time_limit_s: Annotated[float, Meta(ge=10, le=7200)] = 1800.0


class RouteEntry(Entry, frozen=True):
    """A race route: a path through nodes with gates set along it, or gates one by one."""

    id: Id
    name: Title
    path: tuple[str, ...] = ()
    """Nodes in the order in which they are passed, joined by the shortest way on roads."""
    gate_every_m: Annotated[float, Meta(ge=40, le=2000)] = 250.0
    """How far the gates along ``path`` stand apart; they keep away from junctions."""
    gates: tuple[GateEntry, ...] = ()
    laps: Annotated[int, Meta(ge=1, le=50)] | None = None
    """Laps of a circuit; left out: from the first gate to the last, once."""
    vehicle: str | None = None
    """The class it is driven in; left out: any."""
    grid_slots: Annotated[int, Meta(ge=1, le=64)] = 16
    limits: LimitsEntry = LimitsEntry()


class LandmarkEntry(Entry, frozen=True):
    """One prop placed by hand."""

    kind: str
    at: Point
    yaw_deg: Degrees = 0.0
    scale: Annotated[float, Meta(ge=0.25, le=4)] = 1.0


class PlaceEntry(Entry, frozen=True):
    """A name on the map."""

    name: Title
    at: Point


class WorldFile(Entry, frozen=True, kw_only=True):
    """A whole world file."""

    name: Id
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)]
    size_m: Annotated[int, Meta(ge=WORLD_SIZE_MIN_M, le=WORLD_SIZE_MAX_M, multiple_of=CHUNK_M)]
    terrain: TerrainEntry
    biomes: Annotated[tuple[BiomeEntry, ...], Meta(min_length=1)]
    nodes: dict[Id, Point] = {}
    roads: tuple[RoadEntry, ...] = ()
    spawns: Annotated[tuple[SpawnEntry, ...], Meta(min_length=1)]
    kiosks: tuple[AnyKiosk, ...] = ()
    routes: tuple[RouteEntry, ...] = ()
    vehicles: tuple[VehicleEntry, ...] = ()
    """Left out: the shard's own classes."""
    landmarks: tuple[LandmarkEntry, ...] = ()
    places: tuple[PlaceEntry, ...] = ()
