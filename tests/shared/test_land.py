"""A built world: what it knows about itself, and that building it twice, or in another process, changes nothing."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from shared.vehicles import VEHICLES
from shared.world.chunks import make_chunks
from shared.world.land import Land, land_of
from shared.world.world import World
from shared.world.zone_map import ZoneMap
from tests.fakes.small_world import small_land


@pytest.fixture(scope="module")
def harbour() -> Land:
    return land_of(World("harbour", 1, 4096))


def test_it_is_built_once_per_process() -> None:
    assert land_of(World("harbour", 1, 4096)) is land_of(World("harbour", 1, 4096))


def test_kiosks_stand_on_the_ground_with_their_kind(harbour: Land) -> None:
    for kiosk, entry in zip(harbour.kiosks, harbour.file.kiosks, strict=True):
        assert (kiosk.id, kiosk.x, kiosk.z) == (entry.id, *entry.at)
        assert kiosk.kind in kiosk.id
        assert kiosk.y * 100 == pytest.approx(
            float(harbour.terrain.ground_m(np.array([kiosk.x]), np.array([kiosk.z]))[0]) * 100
        )
        assert abs(kiosk.yaw - np.radians(entry.yaw_deg)) <= 0.0005 + 1e-9


def test_a_kiosk_faces_a_road(harbour: Land) -> None:
    for kiosk in harbour.kiosks:
        ahead = [
            harbour.graph.nearest(kiosk.x + np.sin(kiosk.yaw) * at, kiosk.z + np.cos(kiosk.yaw) * at)
            for at in range(25)
        ]
        assert any(road and road.distance_m < 2.0 for road in ahead), kiosk.id


def test_a_pose_over_water_is_on_the_water(harbour: Land) -> None:
    assert harbour.on_ground(2100.0, 3000.0, 1.0).y == 0.0
    assert harbour.on_ground(2490.0, 500.0, 1.0).y > 100.0


def test_vehicles(harbour: Land) -> None:
    assert harbour.vehicles == VEHICLES
    assert [vehicle.name for vehicle in small_land().vehicles] == ["car"]


def test_load_follows_roads_and_gives_zones_of_about_equal_load(harbour: Land) -> None:
    load = harbour.load()
    assert load.shape == (64, 64)
    assert load.min() == 4.0
    assert load.sum() == pytest.approx(4096 * 4.0 + harbour.graph.lengths_m.sum() + 100.0 * (8 + 32))
    town, sea = load[2300 // 64, 2100 // 64], load[3900 // 64, 300 // 64]
    assert town > 20 * sea
    zones = ZoneMap.split(4096, 8, load)
    shares = [load[zones.zone_of_chunk == zone].sum() / load.sum() for zone in range(8)]
    assert max(shares) < 2 * min(shares)


def test_another_process_makes_the_same_chunks(harbour: Land) -> None:
    """Hash seeds, import order and caches differ there; the world does not."""
    index = [(20, 38), (33, 36), (39, 8), (47, 55)]
    code = (
        "from shared.world.world import World; from shared.world.land import Land; "
        "from shared.world.chunks import make_chunks; "
        f"print(*(c.hash for c in make_chunks(Land.of(World('harbour', 1, 4096)), {index})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == [chunk.hash for chunk in make_chunks(harbour, index)]
