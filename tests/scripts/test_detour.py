"""Ways around a gate: off the road, past its end, and free of everything that stands."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from scripts.bots.detour import BEYOND_M, Detour, clear_detour
from scripts.bots.race_book import RaceEntry
from scripts.bots.racer import Conduct, Racer
from shared.thresholds import DEFAULT
from shared.world.land import Land
from shared.world.solids import Solids
from shared.world.static_world import StaticWorld
from shared.world.world import Pose
from shared.world.world_file import load_preset
from tests.fakes.small_world import small_land


def test_it_passes_the_gate_beyond_its_end() -> None:
    route = small_land().routes[1]
    for side in (1.0, -1.0):
        detour = Detour.around(route, 2, side)
        point = route.course.point(float(route.gate_at_m[2]))
        x, z = point.x - point.ahead_z * detour.off_m, point.z + point.ahead_x * detour.off_m
        ax, az, bx, bz = route.gates_m[2].tolist()
        near = (bx, bz) if side > 0 else (ax, az)
        assert math.dist((x, z), near) == pytest.approx(BEYOND_M, abs=0.05)
        middle = ((ax + bx) / 2.0, (az + bz) / 2.0)
        assert math.dist((x, z), middle) > math.dist(near, middle)


@pytest.fixture(scope="module")
def harbour() -> Land:
    return Land.of_file(load_preset("harbour"))


@pytest.fixture(scope="module")
def solids(harbour: Land) -> Solids:
    return StaticWorld.of(harbour).solids


class Drive:
    """A racer on its own on a route of the harbour, at 20 Hz."""

    def __init__(self, land: Land, name: str, conduct: Conduct) -> None:
        [self.route] = [each for each in land.routes if each.id == name]
        self.entry = RaceEntry("p", start_ms=0.0)
        self.now_ms = 0.0
        self.racer = Racer(random.Random(1), land.vehicles[0], self.route, self.entry, lambda: self.now_ms, conduct)
        self.racer.survey(float(land.size_m), [], land)
        slot = self.route.grid[0]
        self.racer.place(Pose(slot.x, 0.0, slot.z, slot.yaw), 0.0, 0.0)
        self.way = [(slot.x, slot.z)]

    def step(self) -> None:
        self.now_ms += 50.0
        car = self.racer.step(0.05)
        self.way.append((car.x, car.z))

    def touched(self, solids: Solids) -> bool:
        """Whether anything stood where its body was."""
        x, z = np.array(self.way).T
        share, _ = solids.first_hits(x[:-1], z[:-1], x[1:], z[1:], DEFAULT.body_m)
        return bool((share <= 1.0).any())


@pytest.mark.parametrize("name", ["quay-sprint", "grand-tour"])
def test_who_takes_it_misses_one_gate_and_touches_nothing(harbour: Land, solids: Solids, name: str) -> None:
    drive = Drive(harbour, name, Conduct.SKIP_GATE)
    detour = clear_detour(drive.route, harbour)
    while drive.racer.at_m < detour.to_m + 100.0 and drive.now_ms < 600_000.0:
        drive.step()
    assert not drive.touched(solids)
    assert len(drive.entry.truth_ms) == detour.gate


@pytest.mark.parametrize("name", ["quay-sprint", "grand-tour"])
def test_who_turns_back_turns_on_the_road(harbour: Land, solids: Solids, name: str) -> None:
    drive = Drive(harbour, name, Conduct.BACKWARDS)
    farthest_m = 0.0
    while drive.now_ms < 150_000.0:
        drive.step()
        farthest_m = max(farthest_m, drive.racer.at_m)
    assert not drive.touched(solids)
    assert drive.racer.at_m < farthest_m - 150.0
    assert len(drive.entry.truth_ms) == 2
