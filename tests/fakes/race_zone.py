"""One zone with racers, driven by hand through its real tick; and routes made of plain numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Any

import numpy as np

from ipc.control import Arm, Command, RaceEvent, Tick
from ipc.layout import SAMPLE
from shared.player_state import fresh
from shared.world.route_table import RouteTable
from shared.world.static_world import StaticWorld
from shared.world.zone_map import ZoneMap
from zones.simulation import Outcome, ZoneWorld, step

SIZE_M = 1024
START_MS = 1_000_000.0
Gate = tuple[float, float, float, float]


@dataclass(frozen=True)
class PlainRoute:
    """Gates as ax, az, bx, bz; ``laps`` 0: from point to point."""

    gates: Sequence[Gate]
    laps: int = 0


def route_table(routes: Iterable[PlainRoute]) -> RouteTable:
    """The table of these routes. Where on the course the gates lie matters to nobody here."""
    kept = list(routes)
    counts = [len(route.gates) for route in kept]
    return RouteTable(
        starts=np.concatenate(([0], np.cumsum(counts))).astype(np.int32),
        gates_m=np.array([gate for route in kept for gate in route.gates], np.float64).reshape(-1, 4),
        gate_at_m=np.zeros(sum(counts)),
        closed=np.array([route.laps > 0 for route in kept], np.bool_),
        laps=np.array([max(route.laps, 1) for route in kept], np.int32),
        lap_m=np.zeros(len(kept)),
    )


def static_world(routes: Iterable[PlainRoute], size_m: int = SIZE_M) -> StaticWorld:
    """A level plain with these routes."""
    empty = StaticWorld.empty(size_m)
    return StaticWorld(size_m, empty.solids, empty.ground, route_table(routes))


@dataclass
class RaceZone:
    """Members 0 .. count - 1, generation 1. Clients have the server's clock and no way to it."""

    routes: Sequence[PlainRoute]
    count: int = 1
    vehicle: int = 0
    """The class of everybody's car."""
    now_ms: float = START_MS
    tick: int = 0
    rings: dict[int, list[tuple[float, ...]]] = field(default_factory=dict)
    """Samples that are not judged yet."""

    def __post_init__(self) -> None:
        self.world = ZoneWorld(0, ZoneMap.split(SIZE_M, 1), static_world(self.routes), anticheat="off")
        self.state = fresh(self.count)
        self.state.offset_ms[:] = 0.0
        self.state.sample_ms[:] = self.now_ms
        self._seq = 0
        self.outcome: Outcome | None = None

    def stand(self, who: int, x: float, z: float) -> None:
        """Where a racer is, before anything else."""
        self.state.pos[who] = (x, 0.0, z)

    def arm(self, who: int = 0, route: int = 0, start_ms: float | None = None, race: int = 7) -> list[RaceEvent]:
        """Arm one racer; its start is now unless said otherwise."""
        return self.run(Arm(who, 1, race, route, self.now_ms if start_ms is None else start_ms))

    def sample(self, who: int, x: float, z: float, after_ms: float = 0.0, epoch: int | None = None) -> None:
        """Queue a sample, taken and received ``after_ms`` after the last tick."""
        self._seq += 1
        at_ms, epoch = self.now_ms + after_ms, int(self.state.epoch[who]) if epoch is None else epoch
        record = (at_ms, at_ms, x, nan, z, 0.0, 0.0, 0.0, 0.0, epoch, self._seq)
        self.rings.setdefault(who, []).append(record)

    def drive(self, who: int, *points: tuple[float, float], every_ms: float = 1000.0) -> list[RaceEvent]:
        """Drive through these points, one tick each."""
        events: list[RaceEvent] = []
        for x, z in points:
            self.sample(who, x, z, every_ms)
            events += self.run(after_ms=every_ms)
        return events

    def run(self, *commands: Command, after_ms: float = 0.0) -> list[RaceEvent]:
        """One tick over everything queued; the race events of its Done."""
        self.tick += 1
        self.now_ms += after_ms
        tick = Tick(self.tick, self.now_ms, 0, self.tick - 1, [], [], [], list(commands))
        slots = np.arange(self.count)
        tails = self.state.tail.copy()
        heads = (tails + [len(self.rings.get(who, ())) for who in range(self.count)]).astype(np.uint32)

        def read(asked: Any, positions: Any) -> Any:
            at = [self.rings[slot][int(place) - int(tails[slot])] for slot, place in zip(asked, positions, strict=True)]
            return np.array(at, SAMPLE)

        classes, generations = np.full(self.count, self.vehicle, np.uint8), np.ones(self.count, np.uint32)
        self.outcome = step(self.world, tick, slots, generations, classes, self.state, heads, read)
        for who, ring in self.rings.items():
            del ring[: int(self.state.tail[who] - tails[who])]
        return [event for event in self.outcome.events if isinstance(event, RaceEvent)]
