"""Writes the GatewayTable: once per second, how each watcher stands."""

from __future__ import annotations

from collections.abc import Callable

from shard.realm import Realm
from shard.views.watching import BLANK


def write_standing(realm: Realm, unsent_bytes: Callable[[int], int]) -> None:
    """``unsent_bytes`` is what main holds for the socket of a slot."""
    table, fanout, desks = realm.memory.gateway, realm.fanout, realm.barrier.desks
    watching = fanout.watching
    table.settings(realm.world.size_m, watching.view_radius_m, watching.row_budget)
    table.begin(realm.tick, [desk.half for desk in desks], [desk.committed for desk in desks])
    for watch, group in fanout.groups.items():
        slots = list(group)
        if slots:
            cells = len(watch.near), len(watch.middle), len(watch.far)
            sent_tick = None if watch is BLANK else watch.sent_tick  # who was cut off: as it was when it was not
            table.group(slots, watch.home, cells, watch.rows, watch.tier, sent_tick)
            table.sockets(slots, fanout.refused[slots].tolist(), [unsent_bytes(slot) for slot in slots])
