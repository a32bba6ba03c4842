"""Ticks for nothing: they run what real ones run, and touch no shared memory."""

from __future__ import annotations

from multiprocessing.shared_memory import SharedMemory

import pytest

from ipc.control import Done, Tick
from shared.world.static_world import StaticWorld
from shared.world.zone_map import ZoneMap
from zones.simulation import ZoneWorld
from zones.warm_up import warm_up
from zones.zone import Zone


@pytest.mark.parametrize("zone", [0, 3])
def test_cars_drive_and_are_shown(zone: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dones: list[Done] = []
    tick = Zone.tick

    def watched(self: Zone, told: Tick) -> Done:
        dones.append(tick(self, told))
        return dones[-1]

    monkeypatch.setattr(Zone, "tick", watched)

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("a warm-up has no business with shared memory")

    monkeypatch.setattr(SharedMemory, "__init__", refused)
    ticks = warm_up(ZoneWorld(zone, ZoneMap.split(1024, 4), StaticWorld.empty(1024)))
    assert len(dones) == ticks
    assert sum(done.accepted for done in dones) > 4, "nobody drove"
    assert {done.base for done in dones} >= {0, 2}, "news were not encoded"
    assert dones[0].members == 2
    assert dones[-1].members == 1
    assert any(done.events for done in dones)
