"""The whole shard stepped by hand: the real Realm and real blocks, with zones in this process or in spawned ones."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Protocol, Self

import numpy as np

from ipc.cell_arena import CellWriter
from ipc.control import Done, Tick, ToMain, decode_to_main, encode
from ipc.input_ring import InputReader
from ipc.layout import Geometry
from ipc.world_table import ZoneTable
from shard.memory import Memory
from shard.realm import Entry, Occupant, Realm
from shard.watching import Watching
from shard.zone_handle import ZoneHandle
from shared.constants import CELL_M
from shared.messages import MovePayload, PlacedPayload, Snapshot, decode_server
from shared.player_state import BORDER_COLUMNS, COLUMNS
from shared.vehicles import VEHICLES
from shared.world.static_world import StaticWorld
from shared.world.world import Pose, World
from shared.world.zone_map import ZoneMap
from zones.simulation import ZoneWorld
from zones.worker import ZoneSpec
from zones.zone import Zone

PERIOD_MS = 50.0
START_MS = 1_000_000.0


class Link(Protocol):
    """A zone that answers, here or elsewhere."""

    def send(self, tick: Tick) -> None: ...
    def receive(self) -> list[ToMain]: ...
    def close(self) -> None: ...


class InlineZone:
    """A zone in this process. Messages pass the real codec, so nothing crosses that a pipe would not carry."""

    def __init__(self, memory: Memory, zone: int, zone_map: ZoneMap, row_budget: int = 0) -> None:
        blocks = memory.blocks
        self._views = ZoneTable(blocks["table"]), InputReader(blocks["input"]), CellWriter(blocks[f"cells-{zone}"])
        self._clock = 0
        world = ZoneWorld(zone, zone_map, StaticWorld.empty(zone_map.size_m))
        self.zone = Zone(world, *self._views, self._read_clock, row_budget)
        self._said: list[Done] = []
        self.held: list[Tick] | None = None
        """A list: the zone is late, and does its Ticks when ``release_held`` is called."""

    def _read_clock(self) -> int:
        self._clock += 1
        return self._clock

    def send(self, tick: Tick) -> None:
        if self.held is not None:
            self.held.append(tick)
        else:
            self._said.append(self.zone.tick(tick))

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
    """A zone in a process of its own, over a real pipe."""

    def __init__(self, memory: Memory, zone: int, zone_map: ZoneMap) -> None:
        self.handle = ZoneHandle(ZoneSpec(memory.instance, zone, memory.geometry, zone_map, VEHICLES, os.getpid()))

    def send(self, tick: Tick) -> None:
        self.handle.send(tick)

    def receive(self) -> list[ToMain]:
        select.select([self.handle.fileno()], [], [], 10.0)
        return self.handle.receive()

    def close(self) -> None:
        self.handle.ask_to_stop()
        if not self.handle.join(5.0):
            self.handle.kill()
        self.handle.close()


@dataclass
class Recorder:
    """A client that keeps what it is sent."""

    placements: list[PlacedPayload] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    ready: bool = True
    """False: the socket refuses frames."""
    keep: bool = True
    on_placed: Callable[[PlacedPayload], None] | None = None

    def placed(self, payload: PlacedPayload) -> None:
        self.placements.append(payload)
        if self.on_placed is not None:
            self.on_placed(payload)

    def offer(self, frame: bytes) -> bool:
        if self.ready and self.keep:
            message = decode_server(payload_of(frame))
            assert isinstance(message, Snapshot)
            self.snapshots.append(message)
        return self.ready


def payload_of(frame: bytes) -> bytes:
    """The payload of an unmasked text frame."""
    assert frame[0] == 0x81
    start = {126: 4, 127: 10}.get(frame[1], 2)
    return frame[start:]


class ShardStepper:
    """A shard without sockets and clock: ``step`` is one tick.

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
        view_radius_m: float = CELL_M,
        row_budget: int = 0,
    ) -> None:
        self.world = World("open", seed, size_m)
        self.zone_map = ZoneMap.split(size_m, zones)
        self.memory = Memory(Geometry(players + 16, zones))
        self.links: list[InlineZone | SpawnedZone] = []
        try:
            for zone in range(zones):
                if zones_in == "thread":
                    self.links.append(InlineZone(self.memory, zone, self.zone_map, row_budget))
                else:
                    self.links.append(SpawnedZone(self.memory, zone, self.zone_map))
            for link in self.links:
                if isinstance(link, SpawnedZone):
                    link.handle.wait_ready(20.0)
            watching = Watching(size_m // CELL_M, view_radius_m, row_budget)
            self.realm = Realm(
                self.world, self.zone_map, self.memory, self.links, PERIOD_MS, players, audit=audit, watching=watching
            )
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
        for link in self.links:
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
        return self.realm.sample(self.body(player), self.now_ms, payload)

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
        """Commit every Done that comes, waiting for zones that are not held."""
        for desk, link in zip(self.realm.barrier.desks, self.links, strict=True):
            while not desk.idle and not (isinstance(link, InlineZone) and link.held is not None):
                for message in link.receive():
                    assert isinstance(message, Done), message
                    self.realm.commit(message)

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
