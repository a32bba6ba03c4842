"""A bot that joins a race in the running shard and cheats at its gates: around one of them, or back over the last."""

from __future__ import annotations

import math
import random
import time
from typing import Final

from scripts.bots.cheat import CheatBot
from scripts.bots.race_book import RaceBook
from scripts.bots.racer import Conduct, Racer
from scripts.fair.techniques import Claim, Honest, Technique
from shared.messages import (
    Notice,
    Ping,
    PingPayload,
    PlacedPayload,
    Pong,
    RaceGate,
    RaceJoin,
    RacePayload,
    RaceState,
    ServerMessage,
    WelcomePayload,
    encode,
)
from shared.vehicles import VehicleClass
from shared.world.land import Land
from shared.world.routes import Route
from shared.world.world import Pose

PING_S: Final = 1.0

GATE_CHEATS: Final = {
    "honest, racing": Conduct.HONEST,
    "gate skip": Conduct.SKIP_GATE,
    "reverse gates": Conduct.BACKWARDS,
}
"""Technique to what its racer does; the first is to compare with."""


class RacingClient(Honest):
    """A racer as the other cheats are clients. Without a race it is parked."""

    racer: Racer | None = None

    def place(self, x: float, z: float, yaw: float, vx: float, vz: float, epoch: int) -> None:
        super().place(x, z, yaw, vx, vz, epoch)
        if self.racer is not None:
            self.racer.place(Pose(x, 0.0, z, yaw), vx, vz)

    def claims(self, now_ms: float, dt_s: float) -> list[Claim]:
        self.speed_mps = 0.0
        if self.racer is not None:
            car = self.racer.step(dt_s)
            self.x, self.z, self.yaw, self.speed_mps = car.x, car.z, car.yaw, car.speed_mps
            if self.racer.has_strayed:
                self.deed()
        return [self.claim(now_ms)]


class GateCheatBot(CheatBot):
    """Races on the route that is named, else on the shortest. The shard runs with ``--dev``: it joins anywhere."""

    client: RacingClient

    def __init__(
        self,
        name: str,
        vehicle: VehicleClass,
        token: str,
        car_name: str,
        player: str,
        rng: random.Random,
        land: Land | None = None,
        route: str | None = None,
    ) -> None:
        """``name`` is one of GATE_CHEATS."""
        super().__init__(Technique(name, RacingClient), vehicle, token, car_name, player, land)
        self._conduct, self._rng, self._wanted = GATE_CHEATS[name], rng, route
        self._route: Route | None = None
        self._book: RaceBook | None = None
        self._now_s = self._ping_at_s = 0.0
        self._shortest_s = self._offset_ms = math.inf
        """To be added to this client's clock for server time; inf before it is known."""

    def _step(self, now_s: float, dt_s: float) -> None:
        self._now_s = now_s
        if now_s >= self._ping_at_s:
            self._ping_at_s = now_s + PING_S
            self.send_raw(encode(Ping(PingPayload(1000.0 * now_s))))
        super()._step(now_s, dt_s)

    def _steer(self) -> None:
        """The racer does."""

    def _choose_target(self) -> None:
        """The race is."""

    def _server_ms(self) -> float:
        return 1000.0 * self._now_s + self._offset_ms

    def _welcomed(self, welcome: WelcomePayload) -> None:
        first = not self._size_m
        super()._welcomed(welcome)
        land = self._land(welcome.world)
        route = None if land is None else chosen(land, self._wanted)
        if not first or land is None or route is None:
            self.outcome.note = self.outcome.note or ("no such route in this world" if first else "")
            return
        fit = [each for each in land.vehicles if route.entry.vehicle in (None, each.name)]
        self._vehicle = next((each for each in fit if each.name == self._vehicle.name), fit[0])
        self.outcome.vehicle = self._vehicle.name
        self._route, self._book = route, RaceBook(len(route.gates_m))
        entry = self._book.enter(self.outcome.player, self._conduct)
        racer = Racer(self._rng, self._vehicle, route, entry, self._server_ms, self._conduct)
        racer.survey(self._size_m, welcome.zones, land)
        self.client.racer = racer

    def _was_placed(self, placed: PlacedPayload) -> None:
        super()._was_placed(placed)
        if placed.reason == "enter" and self._route is not None:
            self.send_raw(encode(RaceJoin(RacePayload(self._route.id))))

    def _heard(self, message: ServerMessage) -> None:
        if type(message) is Pong:
            way_s = time.perf_counter() - message.payload.t / 1000.0
            if way_s <= self._shortest_s:
                self._shortest_s = way_s
                self._offset_ms = message.payload.server_time_ms - message.payload.t - 500.0 * way_s
        if self._book is None:
            return
        self._book.hear(self.outcome.player, message)
        if type(message) is Notice:
            self.outcome.notices[message.payload.code] += 1
            self._reacted()
        elif type(message) is RaceGate and message.payload.player == self.outcome.player:
            if math.isnan(self._deed_s):
                self.outcome.gates += 1
            else:
                self.outcome.gates_after += 1
        elif type(message) is RaceState and message.payload.phase == "cancelled":
            self.outcome.note = "the race was cancelled"


def chosen(land: Land, wanted: str | None) -> Route | None:
    """The route that is named, else the shortest; None when there is none."""
    routes = [route for route in land.routes if wanted in (None, route.id)]
    return min(routes, key=lambda route: route.length_m, default=None)
