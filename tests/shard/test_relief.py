"""A shard whose ticks are late for long gives up what it should, and is whole again when they are not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shard.fleet.shedding import Shed
from shard.races.director import Refusal
from shared.world.world import World
from shared.world.world_file import load_preset
from tests.stepper import InlineZone, ShardStepper

BUDGET = 40
ROUTE = "quay-sprint"


@pytest.fixture(scope="module")
def world() -> World:
    return World.of_file(load_preset("harbour"), None)


@pytest.fixture
def shard(world: World) -> Iterator[ShardStepper]:
    with ShardStepper(2, players=8, world=world, view_radius_m=192, row_budget=BUDGET) as made:
        for name in ("one", "two"):
            made.enter(name)
        made.step(3)
        yield made


def hold(shard: ShardStepper, zones: int) -> None:
    for link in shard.links[:zones]:
        assert isinstance(link, InlineZone)
        link.held = []


def release(shard: ShardStepper) -> None:
    for link in shard.links:
        assert isinstance(link, InlineZone)
        link.release_held()
    shard.collect()


def until(shard: ShardStepper, shed: Shed) -> int:
    """Ticks until so much is given up."""
    for ticks in range(2000):
        if shard.realm.relief.load.shed is shed:
            return ticks
        shard.step()
    raise AssertionError(f"{shed.name} does not come")


def test_late_ticks_cost_detail_then_entries_then_races_and_all_comes_back(shard: ShardStepper) -> None:
    realm = shard.realm
    watching = realm.fanout.watching
    hold(shard, 2)
    assert until(shard, Shed.DETAIL) > 100
    assert watching.row_budget == BUDGET // 2
    assert realm.has_room()
    until(shard, Shed.ENTRIES)
    assert not realm.has_room()
    assert not realm.races.overloaded
    until(shard, Shed.RACES)
    refused = realm.races.open(None, ROUTE, shard.now_ms)
    assert isinstance(refused, Refusal)
    assert refused.code == "rate_limited"
    assert [news.code for news in realm.relief.take_news()] == ["degraded"] * 3
    release(shard)
    until(shard, Shed.ENTRIES)
    assert not isinstance(realm.races.open(None, ROUTE, shard.now_ms), Refusal)
    assert not realm.has_room()
    until(shard, Shed.DETAIL)
    assert realm.has_room()
    assert watching.row_budget == BUDGET // 2
    until(shard, Shed.NOTHING)
    assert watching.row_budget == BUDGET
    assert [news.code for news in realm.relief.take_news()] == ["restored"]
    assert shard.state().keys() == {"one", "two"}, "who is in stays in"
    assert shard.state()["one"]["tick"] == realm.tick


def test_one_hung_zone_of_two_is_no_load(shard: ShardStepper) -> None:
    hold(shard, 1)
    shard.step(400)
    assert shard.realm.relief.load.late_share == 0.0
    release(shard)


def test_a_main_process_that_begins_its_ticks_late_is(shard: ShardStepper) -> None:
    for _ in range(300):
        shard.realm.relief.behind = True
        shard.step()
    assert shard.realm.relief.load.shed >= Shed.ENTRIES
    shard.step()
    assert not shard.realm.relief.behind


def test_another_budget_takes_effect_at_once_and_resets_nobody(shard: ShardStepper) -> None:
    one = shard.clients["one"]
    shard.step(5)
    assert shard.realm.relief.load.shed is Shed.NOTHING
    watching = shard.realm.fanout.watching
    computed = watching.computed
    seen = len(one.snapshots)
    watching.set_row_budget(BUDGET // 2)
    shard.step(30)  # a parked car has a row per second
    assert watching.computed > computed
    assert len(one.snapshots) > seen
    assert not any(snapshot.payload.reset for snapshot in one.snapshots[seen:])
