"""The whole shard stepped by hand: the real Realm and real blocks, with zones in this process or in spawned ones."""

from __future__ import annotations

import functools
import os
import select
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np

from ipc.cell_arena import CellWriter
from ipc.control import Assume, Done, Tick, ToMain, ToZone, decode_to_main, decode_to_zone, encode
from ipc.input_ring import InputReader, Lane
from ipc.layout import Geometry
from ipc.world_block import columns_of
from ipc.world_table import ZoneTable
from shard.fleet.fleet import Fleet, Worker
from shard.fleet.memory import Memory
from shard.players.occupants import Entry, Occupant
from shard.realm import Realm
from shard.views.watching import Watching
from shared.constants import CELL_M
from shared.messages import Kiosk, MovePayload, PlacedPayload, ServerMessage, SignalHeard, Snapshot, decode_server
from shared.player_state import BORDER_COLUMNS, COLUMNS
from shared.thresholds import Mode
from shared.vehicles import VEHICLES, VehicleClass
from shared.world.land import land_of
from shared.world.static_world import StaticWorld
from shared.world.world import Pose, World
from shared.world.zone_map import ZoneMap
from zones.fault_point import FaultPoint
from zones.simulation import ZoneWorld
from zones.worker import ZoneSpec
from zones.zone import Zone

PERIOD_MS = 50.0
START_MS = 1_000_000.0


@functools.cache
def world_columns(world: World) -> dict[str, Any]:
    """The static world as blocks hold it, built once per world."""
    return columns_of(StaticWorld.of(land_of(world)), [])


Death = Literal["told", "written", "said"]
"""A zone dies with a Tick in its hands, with all of it done and nothing said, or with its last word."""


class InlineZone:
    """A zone in this process. Messages pass the real codec, so nothing crosses that a pipe would not carry."""

    def __init__(
        self,
        memory: Memory,
        zone: int,
        zone_map: ZoneMap,
        vehicles: tuple[VehicleClass, ...] = VEHICLES,
        anticheat: Mode = "off",
        row_budget: int = 0,
    ) -> None:
        blocks = memory.blocks
        self._views = ZoneTable(blocks["table"]), InputReader(blocks["input"]), CellWriter(blocks[f"cells-{zone}"])
        self._memory, self._number = memory, zone
        self._clock = 0
        world = ZoneWorld(zone, zone_map, memory.world.static, vehicles, anticheat=anticheat)
        self.zone = Zone(world, *self._views, self._read_clock, row_budget)
        self._said: list[Done] = []
        self.held: list[Tick] | None = None
        """A list: the zone is late, and does its Ticks when ``release_held`` is called."""
        self.dies: Death | None = None
        """What happens at the next Tick; then the zone is ``dead``."""
        self.dead = False

    def succeed(self, messages: list[ToZone]) -> None:
        """Be the successor of a zone that was lost."""
        for message in messages:
            told = decode_to_zone(encode(message))
            if isinstance(told, Assume):
                self.zone.assume(told.members)
            elif isinstance(told, Tick):
                self.send(told)

    def _read_clock(self) -> int:
        self._clock += 1
        return self._clock

    def send(self, tick: Tick) -> None:
        if self.dead or self.dies == "told":
            self.dead = True
        elif self.held is not None:
            self.held.append(tick)
        else:
            done = self.zone.tick(tick)
            self.dead = self.dies is not None
            if self.dies == "written":
                self._spoil(tick.half)
            else:
                self._said.append(done)

    def _spoil(self, half: int) -> None:
        """Nothing that was not committed may matter: there is nonsense in it."""
        record = self._memory.blocks["table"].record
        members = np.array(sorted(self.zone.members), np.intp)
        for name, *_ in COLUMNS:
            rows = record[name][1 - record["front"][members], members]
            rows.view(np.uint8)[:] = 0xA5
            record[name][1 - record["front"][members], members] = rows
        arena = self._memory.blocks[f"cells-{self._number}"].record
        for field_name in ("payload", "directory", "cells", "omitted"):
            arena[field_name][half : half + 1].view(np.uint8)[:] = 0xA5

    def release_held(self) -> None:
        """The zone wakes up and does what it was sent."""
        held, self.held = self.held or [], None
        for tick in held:
            self.send(tick)

    def receive(self) -> list[ToMain]:
        said, self._said = self._said, []
        return [decode_to_main(encode(done)) for done in said]

    def close(self) -> None:
        for view in self._views:
            view.release()


class SpawnedZone:
    """A zone in a process of its own, over a real pipe; who that is may change."""

    def __init__(self, fleet: Fleet, zone: int) -> None:
        self.fleet = fleet
        self.zone = zone

    @property
    def worker(self) -> Worker:
        """Who is the zone now."""
        [worker] = [each for each in self.fleet.workers if each.zone == self.zone]
        return worker

    def send(self, tick: Tick) -> None:
        self.fleet.send(self.zone, tick)

    def receive(self) -> list[ToMain]:
        """What it has said, without anybody having heard it."""
        handle = self.worker.handle
        select.select([handle.fileno()], [], [], 10.0)
        return handle.receive()


@dataclass
class Recorder:
    """A client that keeps what it is sent."""

    placements: list[PlacedPayload] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    ready: bool = True
    """False: the socket refuses frames."""
    keep: bool = True
    sent: list[ServerMessage] = field(default_factory=list)
    """Everything that is neither a placement nor a snapshot."""
    on_placed: Callable[[PlacedPayload], None] | None = None
    lane: Lane | None = None

    def placed(self, payload: PlacedPayload) -> None:
        self.placements.append(payload)
        if self.on_placed is not None:
            self.on_placed(payload)

    def offer(self, frame: bytes) -> bool:
        if self.ready and self.keep:
            message = decode_server(payload_of(frame))
            if isinstance(message, SignalHeard):
                self.sent.append(message)
                return True
            assert isinstance(message, Snapshot)
            self.snapshots.append(message)
        return self.ready

    def send(self, message: ServerMessage) -> None:
        self.sent.append(message)

    def deliver(self, frame: bytes) -> None:
        self.sent.append(decode_server(payload_of(frame)))

    def kiosks(self, action: str) -> list[Kiosk]:
        """What kiosks have said about an action, or (``state``) unasked."""
        return [each for each in self.sent if isinstance(each, Kiosk) and each.payload.action == action]


def payload_of(frame: bytes) -> bytes:
    """The payload of an unmasked text frame."""
    assert frame[0] == 0x81
    start = {126: 4, 127: 10}.get(frame[1], 2)
    return frame[start:]


class ShardStepper:
    """A shard without sockets and clock: ``step`` is one tick.

    ``anticheat`` is off where cars are moved about as a test needs them.
    ``zones_in``: "thread" runs zones in this process, "process" spawns them; the same scenario gives the same ticks.
    Everybody sees the 3 x 3 squares around it in every tick, unless a radius and a budget are given.
    """

    def __init__(
        self,
        zones: int = 1,
        size_m: int = 1024,
        players: int = 64,
        zones_in: Literal["thread", "process"] = "thread",
        seed: int = 1,
        audit: bool = True,
        world: World | None = None,
        static: StaticWorld | None = None,
        anticheat: Mode = "off",
        spares: int = 0,
        fault: FaultPoint | None = None,
        view_radius_m: float = CELL_M,
        row_budget: int = 0,
    ) -> None:
        """``static`` stands for what the world's own land would give: obstacles and routes made for a test."""
        self.world = world or World("open", seed, size_m)
        land = land_of(self.world)
        self.zone_map = ZoneMap.split(land.size_m, zones, land.load())
        columns = world_columns(self.world) if static is None else columns_of(static, [])
        self.memory = Memory(Geometry(players + 16, zones), columns, land.size_m)
        self.links: list[InlineZone | SpawnedZone] = []
        self.fleet: Fleet | None = None
        self._rules = land.vehicles, anticheat
        try:
            if zones_in == "thread":
                self.links = [
                    InlineZone(self.memory, zone, self.zone_map, land.vehicles, anticheat, row_budget)
                    for zone in range(zones)
                ]
            else:
                spec = ZoneSpec(
                    instance=self.memory.instance,
                    zone=None,
                    geometry=self.memory.geometry,
                    zone_map=self.zone_map,
                    vehicles=land.vehicles,
                    world_columns=self.memory.world_columns,
                    main_pid=os.getpid(),
                    anticheat=anticheat,
                    row_budget=row_budget,
                    fault=fault,
                )
                self.fleet = Fleet(spec, spares)
                self.fleet.wait_ready()
                self.links = [SpawnedZone(self.fleet, zone) for zone in range(zones)]
            self.realm = Realm(
                self.world,
                self.zone_map,
                self.memory,
                self.links,
                PERIOD_MS,
                players,
                audit=audit,
                land=land,
                watching=Watching(land.size_m // CELL_M, view_radius_m, row_budget),
            )
            if self.fleet is not None:
                self.fleet.serve(self.realm)
        except BaseException:
            self.close()
            raise
        self.clients: dict[str, Recorder] = {}
        self._seq: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self.fleet is not None:
            self.fleet.stop()
        else:
            for link in self.links:
                if isinstance(link, InlineZone):
                    link.close()
        self.memory.close()

    @property
    def now_ms(self) -> float:
        """Time of the current tick."""
        return START_MS + self.realm.tick * PERIOD_MS

    # --- players

    def enter(self, player: str, keep: bool = True) -> Recorder:
        """Let a player in; it has a body after the next ``step``."""
        client = self.clients[player] = Recorder(keep=keep)
        self._seq[player] = 0
        self.realm.enter(Entry(player, player[:20].ljust(3, "_"), "car"), client)
        return client

    def put(self, player: str, x: float, z: float, yaw: float = 0.0) -> None:
        """Place a car by the server's hand; it stands there after the next ``step``."""
        self.realm.place(self.body(player), Pose(x, 0.0, z, yaw), "respawn")

    def body(self, player: str) -> Occupant:
        """The player's body."""
        occupant = self.realm.occupant(player)
        assert occupant is not None, f"{player} is not in the world"
        return occupant

    def move(self, player: str, x: float, z: float, vx: float = 0.0, vz: float = 0.0, yaw: float = 0.0) -> bool:
        """Write one sample, stamped with the epoch of the last placement, received just now."""
        self._seq[player] += 1
        epoch = self.clients[player].placements[-1].epoch
        payload = MovePayload(epoch, self._seq[player], self.now_ms, x, z, yaw, vx, vz)
        return self.sample(player, payload)

    def sample(self, player: str, payload: MovePayload) -> bool:
        """Write one sample as it is; False when the ring is full."""
        return self.memory.ring.write(self.body(player).slot, self.now_ms, payload)

    # --- ticks

    def step(self, ticks: int = 1) -> None:
        """Run whole ticks. Zones that are held back stay late."""
        for _ in range(ticks):
            self.begin()
            self.collect()
            self.realm.end_tick()

    def begin(self) -> None:
        """Send the next Tick."""
        self.realm.begin_tick(START_MS + (self.realm.tick + 1) * PERIOD_MS)

    def collect(self) -> None:
        """Commit every Done that comes, waiting for zones that are not held; processes are replaced if lost."""
        if self.fleet is not None:
            while self.realm.barrier.late():
                self.fleet.turn(1.0)
                if self.fleet.failure is not None:
                    raise self.fleet.failure
            return
        for desk, link in zip(self.realm.barrier.desks, self.links, strict=True):
            assert isinstance(link, InlineZone)
            while not desk.idle and link.held is None:
                said = link.receive()
                if link.dead and not said:
                    break
                for message in said:
                    assert isinstance(message, Done), message
                    self.realm.commit(message)

    def replace(self, zone: int) -> InlineZone:
        """Have another zone take over from one that is dead."""
        dead = self.links[zone]
        assert isinstance(dead, InlineZone)
        assert dead.dead
        dead.close()
        link = self.links[zone] = InlineZone(self.memory, zone, self.zone_map, *self._rules)
        self.realm.barrier.desks[zone].link = link
        link.succeed(self.realm.successor(zone))
        return link

    def state(self) -> dict[str, dict[str, object]]:
        """The committed state of every player, columns that depend on the zone map left out."""
        out: dict[str, dict[str, object]] = {}
        for player in self.clients:
            occupant = self.realm.occupant(player)
            if occupant is not None:
                row = self.memory.table.read(np.array([occupant.slot]))
                out[player] = {
                    name: getattr(row, name)[0].tolist() for name, *_ in COLUMNS if name not in BORDER_COLUMNS
                }
        return out
