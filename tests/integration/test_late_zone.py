"""A zone that is late: what watchers see meanwhile and afterwards."""

from __future__ import annotations

from scripts.bots.world_view import WorldView
from tests.stepper import InlineZone, ShardStepper


def _hold(shard: ShardStepper, zone: int) -> InlineZone:
    link = shard.links[zone]
    assert isinstance(link, InlineZone)
    link.held = []
    return link


def _see(shard: ShardStepper, player: str, view: WorldView) -> None:
    """Apply all that the player was sent; nothing in it may be against the contract."""
    for snapshot in shard.clients[player].snapshots:
        changes = view.apply(snapshot.payload)
        assert not changes.unknown_rows, f"rows of nobody at tick {snapshot.payload.tick}"
        assert not changes.twice
        assert not changes.without_row
    shard.clients[player].snapshots.clear()


def test_who_begins_to_watch_a_late_zone_keeps_the_car_that_it_has_handed_off() -> None:
    """The late zone's last cell still lists the car; its new owner has shown it already."""
    with ShardStepper(zones=2, size_m=512) as shard:
        border = float(shard.zone_map.rects_m[0, 2])
        view = WorldView()
        shard.enter("traveller")
        shard.enter("onlooker")
        shard.step()
        shard.put("traveller", border - 5, 100)
        shard.put("onlooker", border + 64 + 20, 100)  # watches the border cell of zone 1, but not that of zone 0
        shard.step(3)
        _see(shard, "onlooker", view)
        for x in (2, 5, 9):  # over the line and beyond the band; zone 0 names it in this tick's Done
            shard.move("traveller", border + x, 100, 20)
            shard.step()
        late = _hold(shard, 0)
        for number in range(6):
            shard.move("traveller", border + 10 + number, 100, 20)
            if number == 2:
                shard.put("onlooker", border + 30, 100)  # now it watches that of the late zone, too
            shard.step()
            _see(shard, "onlooker", view)
        assert view.find("traveller") is not None
        late.release_held()
        for number in range(6):
            shard.move("traveller", border + 16 + number, 100, 20)
            shard.step()
            _see(shard, "onlooker", view)
            assert view.find("traveller") is not None, "its old owner's `gone` removed the car"


def test_a_late_zone_is_marked_and_comes_back_without_a_ghost() -> None:
    with ShardStepper(zones=2, size_m=512) as shard:
        view = WorldView()
        for player in ("watcher", "leaver", "stayer"):
            shard.enter(player)
        shard.step()
        for number, player in enumerate(shard.clients):
            shard.put(player, 100 + 5 * number, 100)
        shard.step(3)
        _see(shard, "watcher", view)
        assert view.slot_of.keys() == {"watcher", "leaver", "stayer"}
        late = _hold(shard, 0)
        shard.step(2)
        shard.realm.leave("leaver")
        shard.step(2)
        _see(shard, "watcher", view)
        assert view.late
        assert view.slot_of.keys() == {"watcher", "leaver", "stayer"}  # shown where they were
        late.release_held()
        shard.step(3)
        _see(shard, "watcher", view)
        assert not view.late
        assert view.slot_of.keys() == {"watcher", "stayer"}
        rows = [entity.row for entity in view.entities.values()]
        assert all(row is not None for row in rows)
