"""Writes the GatewayTable: once per second, how each watcher stands."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from shard.realm import Realm
from shard.views.watching import BLANK, Watch


def write_standing(realm: Realm, unsent_bytes: Callable[[int], int]) -> None:
    """``unsent_bytes`` is what main holds for the socket of a slot."""
    table, fanout, desks = realm.memory.gateway, realm.fanout, realm.barrier.desks
    watching = fanout.watching
    table.settings(realm.world.size_m, watching.view_radius_m, watching.row_budget)
    table.begin(realm.tick, [desk.half for desk in desks], [desk.committed for desk in desks])
    groups = [(watch, group) for watch, group in fanout.groups.items() if group]
    slots = np.array([slot for _, group in groups for slot in group], np.intp)
    watches = [
        (watch.home, len(watch.near), len(watch.middle), len(watch.far), watch.rows, watch.tier, _sent_tick(watch))
        for watch, _ in groups
    ]
    members = [len(group) for _, group in groups]
    unsent = [unsent_bytes(slot) for slot in slots.tolist()]
    table.watchers(
        slots,
        np.array(watches, np.int64).reshape(-1, 7).repeat(members, axis=0),
        np.column_stack((fanout.refused[slots].astype(np.int64), np.array(unsent, np.int64))),
    )


def _sent_tick(watch: Watch) -> int:
    """-1: nothing. Who was cut off stands as it did when it was not."""
    return -1 if watch is BLANK else watch.sent_tick
