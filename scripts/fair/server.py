"""The zones of a shard over plain arrays: membership, ticks, handoffs. What main's barrier does, without processes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ipc.control import Command, PlacedAt, Seat, Tick
from scripts.fair import verdicts
from scripts.fair.front import Front
from scripts.fair.verdicts import Verdict
from shard.conduct.leniency import Leniency
from shared.player_state import F64, U8, PlayerState, fresh
from shared.vehicles import VEHICLES, VehicleClass
from shared.world.static_world import StaticWorld
from shared.world.zone_map import ZoneMap
from zones.simulation import ZoneWorld, step

PERIOD_MS: Final = 50.0
GENERATION: Final = 1


@dataclass(slots=True)
class Happened:
    """Of one tick of all zones."""

    placed: list[PlacedAt] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    reproaches: list[tuple[int, str]] = field(default_factory=list)
    """(slot, check) of what gave strikes."""
    raced: list[tuple[int, str]] = field(default_factory=list)
    """(slot, what) of gates."""
    struck: F64 = field(default_factory=lambda: np.empty(0))
    """(N,) strikes added."""
    handed_off: list[int] = field(default_factory=list)
    """Slots."""


class Server:
    """N players in slots 0 .. N-1, and the zones that judge them."""

    def __init__(
        self,
        static: StaticWorld,
        zones: int,
        vehicle: U8,
        x: F64,
        z: F64,
        vehicles: tuple[VehicleClass, ...] = VEHICLES,
    ) -> None:
        zone_map = ZoneMap.split(static.size_m, zones)
        self.worlds = [ZoneWorld(zone, zone_map, static, vehicles) for zone in range(zones)]
        self.front = Front(len(vehicle))
        self.state = fresh(len(vehicle))
        self.zone = zone_map.zone_at(x, z).astype(np.int64)
        """(N,) whose member each is; -1: removed."""
        self._vehicle = vehicle
        self._slots = np.arange(len(vehicle), dtype=np.intp)
        self._generations = np.full(len(vehicle), GENERATION, np.uint32)
        self._requests: dict[int, int] = {}
        self._kept: list[Command] = []
        """Commands for players whose zone is late."""
        self._leniency = Leniency(PERIOD_MS)
        self.number = 0

    def remove(self, slot: int) -> None:
        """The player's connection was closed for good."""
        self.zone[slot] = -1

    def tick(self, now_ms: float, commands: Iterable[Command], late: Iterable[int] = ()) -> Happened:
        """One tick of all zones but those that are ``late``, which go on later."""
        self.number += 1
        happened = Happened()
        before = verdicts.strikes(self.state)
        idle = set(range(len(self.worlds))) - set(late)
        self._leniency.begin(now_ms, idle, int(np.count_nonzero(self.zone >= 0)))
        adopted, released = self._hand_off(idle)
        happened.handed_off = [slot for seats in adopted.values() for slot, _ in seats]
        routed: dict[int, list[Command]] = defaultdict(list)
        kept: list[Command] = []
        for command in [*self._kept, *commands]:
            zone = int(self.zone[command.slot])
            if zone in idle:
                routed[zone].append(command)
            elif zone >= 0:
                kept.append(command)
        self._kept = kept
        for zone in range(len(self.worlds)):
            if zone not in idle:
                continue
            tick = verdicts.make_tick(
                self.number,
                now_ms,
                adopted[zone],
                released[zone],
                routed[zone],
                self._leniency.late_ms(zone),
                self._leniency.forgive,
            )
            events = self._step(zone, tick)
            happened.placed += verdicts.placements(events)
            happened.verdicts += verdicts.verdicts(events)
            happened.reproaches += verdicts.reproaches(events)
            happened.raced += verdicts.raced(events)
            for crossing in verdicts.crossings(events):
                self._requests[crossing.slot] = crossing.target
        self._leniency.flagged(verdicts.flagged(self.state))
        happened.struck = np.maximum(verdicts.strikes(self.state) - before, 0.0)
        return happened

    def _hand_off(self, idle: set[int]) -> tuple[dict[int, list[Seat]], dict[int, list[Seat]]]:
        adopted: dict[int, list[Seat]] = defaultdict(list)
        released: dict[int, list[Seat]] = defaultdict(list)
        for slot, target in list(self._requests.items()):
            source = int(self.zone[slot])
            if source >= 0 and not {source, target} <= idle:
                continue  # at a boundary where both are idle
            del self._requests[slot]
            if source >= 0 and source != target:
                released[source].append((slot, GENERATION))
                adopted[target].append((slot, GENERATION))
                self.zone[slot] = target
        return adopted, released

    def _step(self, zone: int, tick: Tick) -> list[object]:
        members = np.flatnonzero(self.zone == zone)
        rows = rows_of(self.state, members)
        outcome = step(
            self.worlds[zone],
            tick,
            self._slots[members],
            self._generations[members],
            self._vehicle[members],
            rows,
            self.front.heads[members],
            self.front.read,
        )
        for column in fields(PlayerState):
            getattr(self.state, column.name)[members] = getattr(rows, column.name)
        return list(outcome.events)


def rows_of(state: PlayerState, members: NDArray[np.intp]) -> PlayerState:
    """A copy of the rows ``members`` (M,)."""
    return PlayerState(**{column.name: getattr(state, column.name)[members] for column in fields(PlayerState)})
