"""Where the bots of one process truly are: written by the bots themselves, read by the referees."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scripts.bots.driver import BRAKE_MPS2, CarState, Rect
from scripts.bots.trail import Trail
from shared.constants import BORDER_BAND_M, SEQ_MASK
from shared.vehicles import VehicleClass

SENT_KEPT = 128
"""Samples whose sending time is remembered: six seconds at 20 Hz. A power of two."""
MOVING_MPS = 0.5
"""Below this a row may stay the same from tick to tick, and says nothing about latency."""

STOOD_M = 0.03
"""Less than this between two samples is standing."""


class Track:
    """The truth about one bot. Times are seconds on the clock of the bot's process."""

    def __init__(self, player: str, vehicle: VehicleClass) -> None:
        self.player = player
        self.speed_cap_mps = vehicle.speed_cap_mps
        self.car = CarState(0.0, 0.0, 0.0, 0.0)
        self.trail = Trail()
        self.placed_s = -math.inf
        """When the server moved the car last: entering, respawn, correction."""
        self.present = False
        """In the world and not about to leave it."""
        self.will_be_moved = False
        """The server is going to put it on a grid; others may see it there before it is told."""
        self.left_s: float | None = None
        """When ``leave`` was answered."""
        self.cut_s: float | None = None
        """When the connection ended."""
        self.stood_s = -math.inf
        """When it stood last, or was moved by the server: it has been driving ever since."""
        self._sent_seq = [-1] * SENT_KEPT
        self._sent_s = [0.0] * SENT_KEPT

    def placed(self, car: CarState, now_s: float) -> None:
        """The server put the car here; it is in the world."""
        self.car, self.placed_s, self.present = car, now_s, True
        self.trail.add(car.x, car.z, now_s)
        self.stood_s = now_s
        self.left_s = self.cut_s = None

    def drove(self, car: CarState, seq: int, now_s: float) -> None:
        """Sample ``seq`` was sent with this state."""
        if abs(car.x - self.car.x) + abs(car.z - self.car.z) < STOOD_M:
            self.stood_s = now_s
        self.car = car
        self.trail.add(car.x, car.z, now_s)
        index = seq % SENT_KEPT
        self._sent_seq[index] = seq & SEQ_MASK if car.speed_mps > MOVING_MPS else -1
        self._sent_s[index] = now_s

    def leaving(self) -> None:
        """``leave`` was sent: others need not see the car any more."""
        self.present = False

    def left(self, now_s: float) -> None:
        """``leave`` was answered."""
        self.present, self.left_s = False, now_s

    def cut(self, now_s: float) -> None:
        """The connection ended."""
        self.present = False
        if self.left_s is None:
            self.cut_s = now_s

    def sent_s(self, seq: int) -> float | None:
        """When the sample with this ``seq`` (modulo 65536) was sent; None if unknown or sent while standing."""
        index = seq % SENT_KEPT
        return self._sent_s[index] if self._sent_seq[index] == seq & SEQ_MASK else None

    def settled(self, now_s: float, settle_s: float) -> bool:
        """In the world, and long enough since the server moved it."""
        return self.present and not self.will_be_moved and now_s - self.placed_s > settle_s

    def reach_m(self, past_s: float) -> float:
        """How far away the car can have been ``past_s`` ago: it was no faster than braking explains."""
        return self.car.speed_mps * past_s + 0.5 * BRAKE_MPS2 * past_s * past_s


class BorderCrossings:
    """Counts how often one car changes zones by its true position, with the band within which nothing happens."""

    def __init__(self, zones: Sequence[Rect], band_m: float = BORDER_BAND_M) -> None:
        self._zones = zones
        self._band_m = band_m
        self._home: Rect | None = None
        self.count = 0

    def placed(self, x: float, z: float) -> None:
        """The server moved the car: whatever border lay between is not driven across."""
        self._home = self._zone_at(x, z)

    def drove(self, x: float, z: float) -> bool:
        """Whether the car has now left its zone by more than the band."""
        if self._home is None:
            return False
        x0, z0, x1, z1 = self._home
        if max(x0 - x, x - x1, z0 - z, z - z1) <= self._band_m:
            return False
        self._home = self._zone_at(x, z)
        self.count += 1
        return True

    def _zone_at(self, x: float, z: float) -> Rect | None:
        return next((zone for zone in self._zones if zone[0] <= x < zone[2] and zone[1] <= z < zone[3]), None)
