"""Where cars are put that travel to a kiosk: on the road beside it, one behind the other, in both lanes."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.world.headings import heading
from shared.world.land import Kiosk, Land
from shared.world.world import Pose

SPACING_M: Final = 8.0
"""From car to car: a length and as much again."""
APART_M: Final = 4.5
"""Nearer than this two cars would stand in each other."""
PLACES_MAX: Final = 16
PROMISED_MS: Final = 2000.0
"""How long a place that was given counts as taken although no car is seen there yet: placing takes a tick or two."""


def places(land: Land, kiosk: Kiosk) -> tuple[Pose, ...]:
    """Up to PLACES_MAX poses at a kiosk, at least one; the first is beside it, each is APART_M from every other."""
    first = land.respawn(kiosk.x, kiosk.z, kiosk.yaw)
    (ahead_x,), (ahead_z,) = (part.tolist() for part in heading(np.array([first.yaw])))
    found = [first]
    on_road = land.graph.nearest(kiosk.x, kiosk.z) is not None
    for step in (0, *(way * number for number in range(1, PLACES_MAX) for way in (1, -1))):
        x, z = first.x + ahead_x * SPACING_M * step, first.z + ahead_z * SPACING_M * step
        if not (0.0 <= x < land.size_m and 0.0 <= z < land.size_m):
            continue
        if not on_road and _apart_m(x, z, kiosk.x, kiosk.z) > kiosk.entry.radius_m:
            continue  # without a road only the kiosk's own circle is known to be free
        for yaw in (first.yaw, first.yaw + np.pi):
            pose = land.respawn(x, z, yaw)
            if len(found) < PLACES_MAX and all(_apart_m(pose.x, pose.z, each.x, each.z) >= APART_M for each in found):
                found.append(pose)
    return tuple(found)


class Arrivals:
    """Hands out places at kiosks. One for the shard."""

    def __init__(self, land: Land) -> None:
        self._land = land
        self._places: dict[str, tuple[Pose, ...]] = {}
        self._promised: list[tuple[float, Pose]] = []
        """(until, server time) places whose cars are on their way."""

    def place(self, kiosk: Kiosk, cars_m: NDArray[np.float64], now_ms: float) -> Pose:
        """A free pose at ``kiosk``; where all are taken the one with the most room.

        ``cars_m`` is (N, 2), x and z of all cars in the world.
        """
        if kiosk.id not in self._places:
            self._places[kiosk.id] = places(self._land, kiosk)
        self._promised = [each for each in self._promised if each[0] > now_ms]
        taken = np.concatenate((cars_m, np.array([(pose.x, pose.z) for _, pose in self._promised]).reshape(-1, 2)))
        best, best_room_m = self._places[kiosk.id][0], -1.0
        for pose in self._places[kiosk.id]:
            dx, dz = taken[:, 0] - pose.x, taken[:, 1] - pose.z
            room_m = float(np.sqrt(np.min(dx * dx + dz * dz))) if len(taken) else APART_M
            if room_m >= APART_M:
                best = pose
                break
            if room_m > best_room_m:
                best, best_room_m = pose, room_m
        self._promised.append((now_ms + PROMISED_MS, best))
        return best


def _apart_m(x: float, z: float, other_x: float, other_z: float) -> float:
    return float(np.sqrt((x - other_x) * (x - other_x) + (z - other_z) * (z - other_z)))
