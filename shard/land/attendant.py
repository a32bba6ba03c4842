"""Serves players at kiosks: takes what they ask to the desk, and carries out in the realm what the desk decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ipc.control import KioskVerdict, Reidentify
from shard.access.wsframe import text_frame
from shard.fleet.barrier import Barrier
from shard.fleet.memory import Memory
from shard.land.arrivals import Arrivals
from shard.land.kiosk_views import KioskViews
from shard.land.kiosks import Answer, Asker, Change, Effect, Judge, KioskDesk, Travel, Unknown
from shard.players.occupants import Entry, Occupant
from shared.constants import CELL_M
from shared.ids import NO_ZONE
from shared.messages import Error, ErrorPayload, InteractPayload, Kiosk, KioskPayload, PlacedReason, encode
from shared.world.land import Land
from shared.world.world import Pose
from shared.world.zone_map import ZoneMap


class Place(Protocol):
    """The realm, as far as kiosks reach into it."""

    barrier: Barrier
    memory: Memory
    now_ms: float
    zone_map: ZoneMap

    def occupant_at(self, slot: int) -> Occupant | None:
        """The body in a slot, unless there is none or it is leaving."""

    def place(self, occupant: Occupant, pose: Pose, reason: PlacedReason) -> None:
        """Move a car by the server's hand."""


class Attendant:
    """All kiosks of a realm."""

    def __init__(self, realm: Place, land: Land) -> None:
        kiosks, vehicles = land.kiosks, land.vehicles
        self.desk = KioskDesk(kiosks, [vehicle.name for vehicle in vehicles])
        self.renamed: Callable[[Entry], None] = lambda entry: None
        """Told of every player who is called or drives something else from now on."""
        self._realm = realm
        self._vehicle_index = {vehicle.name: index for index, vehicle in enumerate(vehicles)}
        self._arrivals = Arrivals(land)
        self._views = KioskViews(kiosks, realm.memory.geometry.slots, realm.zone_map.size_m // CELL_M)
        self._verdicts: list[KioskVerdict] = []

    def use(self, occupant: Occupant, wish: InteractPayload, re: int | None) -> None:
        """A player wants something of a kiosk; its client is answered."""
        asker = Asker(occupant.entry.player, occupant.slot, occupant.generation, re)
        self._do(self.desk.ask(asker, wish, self._realm.now_ms))

    def watch(self, slot: int) -> None:
        """The player of a slot begins to see the world."""
        self._views.watch(slot)

    def unwatch(self, slot: int) -> None:
        """It does not any more, and waits for no answer. Harmless when it did not."""
        self._views.unwatch(slot)
        self.desk.drop(slot)

    def judged(self, verdicts: Iterable[KioskVerdict]) -> None:
        """Zones have answered; what follows waits for the end of the tick."""
        self._verdicts += verdicts

    def ticked(self, homes: NDArray[np.int32]) -> None:
        """The tick's state is committed: end requests, and show kiosks to those who came near or stand near.

        ``homes`` (slots,) are the committed home cells.
        """
        if not self.desk.kiosks:
            return
        now_ms = self._realm.now_ms
        verdicts, self._verdicts = self._verdicts, []
        for verdict in sorted(verdicts, key=_by_request):  # not in the order in which zones happened to answer
            self._do(self.desk.judged(verdict, now_ms))
        self._do(self.desk.expire(now_ms))
        for showing in self._views.update(homes, self.desk.take_changed(now_ms)):
            kiosk = self.desk.kiosks[showing.kiosk]
            payload = KioskPayload(kiosk.id, "state", True, state=self.desk.state(kiosk))
            frame = text_frame([encode(Kiosk(payload))])
            for slot in showing.slots:
                occupant = self._realm.occupant_at(slot)
                if occupant is not None:
                    occupant.client.deliver(frame)

    def _do(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Judge(command):
                    self._realm.barrier.command(command)
                case Answer(asker, payload):
                    self._occupant(asker).client.send(Kiosk(payload, re=asker.re))
                case Unknown(asker, message):
                    error = Error(ErrorPayload("unknown_kiosk", message), re=asker.re)
                    self._occupant(asker).client.send(error)
                case Travel(asker, to):
                    table = self._realm.memory.table
                    cars_m = table.committed("pos")[table.owner != NO_ZONE][:, [0, 2]]
                    pose = self._arrivals.place(to, cars_m, self._realm.now_ms)
                    self._realm.place(self._occupant(asker), pose, "kiosk")
                case Change():
                    self._change(effect)

    def _change(self, change: Change) -> None:
        occupant = self._occupant(change.asker)
        entry = occupant.entry
        name, vehicle = change.name or entry.name, change.vehicle or entry.vehicle
        if (name, vehicle) != (entry.name, entry.vehicle):
            occupant.entry = replace(entry, name=name, vehicle=vehicle)
            index = self._vehicle_index[vehicle]
            self._realm.barrier.command(Reidentify(occupant.slot, occupant.generation, name, index))
            self.renamed(occupant.entry)

    def _occupant(self, asker: Asker) -> Occupant:
        occupant = self._realm.occupant_at(asker.slot)
        assert occupant is not None, f"{asker.player} left, and its request was not dropped"
        assert occupant.generation == asker.generation, f"slot {asker.slot} has another player than {asker.player}"
        return occupant


def _by_request(verdict: KioskVerdict) -> int:
    return verdict.request
