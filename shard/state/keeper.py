"""Carries a shard over the death of its main process: takes a snapshot every second, and gives one back at start.

A player who was in the world is *away* after the restart: its car stands where the checkpoint has it, as a ghost, for
as long as the house holds cars, counted from the restart. Back within that time it resumes like after any lost line.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import replace
from typing import Final

import numpy as np

from shard.players.guests import Guest
from shard.players.occupants import Entry
from shard.players.reception import Reception
from shard.realm import Realm
from shard.state.checkpoint import CARS_KEPT_MS, LEAP_MS, RESET, Body, Snapshot, held
from shard.state.state_dir import StateDir
from shared.player_state import COLUMNS, PlayerState

EVERY_S: Final = 1.0

log = logging.getLogger(__name__)


def take(realm: Realm, sessions: dict[str, str]) -> Snapshot:
    """Copy what the shard's next life needs: between two ticks, some 4 ms for 2,000 players."""
    occupants = realm.bodies()
    return Snapshot(
        world=realm.world.hash,
        now_ms=realm.now_ms,
        tick=realm.tick,
        bodies=[
            Body(entry.player, entry.name, entry.vehicle, entry.spawn, occupant.slot, occupant.generation)
            for occupant in occupants
            for entry in (occupant.entry,)
        ],
        rows=realm.memory.table.read(np.array([occupant.slot for occupant in occupants], np.intp)),
        sessions={occupant.entry.player: sessions.get(occupant.entry.player, "") for occupant in occupants},
        best=realm.attendant.desk.times.all(),
        strikes=realm.records.all(),
        races=realm.races.remember(),
    )


def restore(realm: Realm, snapshot: Snapshot, now_ms: float) -> list[Entry]:
    """Give the players of an earlier life their bodies back, held until they resume; returns who they are.

    Before the first tick. Whoever drives a vehicle that there is no more, or has no slot any more, is left out. Rows
    are as they were but for ``held`` and RESET.
    """
    for player, (score, left_ms) in snapshot.strikes.items():
        realm.records.left(player, score, left_ms)
    for route, lines in snapshot.best.items():
        for line in lines:
            realm.attendant.desk.times.record(route, line.player, line.name, line.vehicle, line.time_ms)
    indices, slots, entries = [], [], []
    for index in np.argsort([body.slot for body in snapshot.bodies], kind="stable").tolist()[: realm.players_max]:
        body = snapshot.bodies[index]
        entry = Entry(body.player, body.name, body.vehicle, body.spawn)
        x, _, z = snapshot.rows.pos[index].tolist()
        if occupant := realm.revive(entry, body.slot, body.generation, x, z):
            indices.append(index)
            slots.append(occupant.slot)
            entries.append(entry)
    kept = np.array(indices, np.intp)
    rows = PlayerState(**{name: getattr(snapshot.rows, name)[kept] for name, *_ in COLUMNS})
    racing = snapshot.races.racing()
    held(rows, np.array([racing.get(entry.player) for entry in entries]) == rows.race)
    realm.memory.table.restore(np.array(slots, np.intp), rows, [name for name, *_ in COLUMNS if name not in RESET])
    realm.races.recall(snapshot.races, now_ms)
    return entries


class Keeper:
    """Keeps the snapshots of one shard in its directory. ``ticked`` drives it."""

    def __init__(self, state: StateDir, realm: Realm, reception: Reception) -> None:
        self._state = state
        self._realm = realm
        self._reception = reception
        self._taken_s = -math.inf
        self._waiting = False
        """A snapshot is due and the disk is busy."""
        self.longest_copy_ms = 0.0
        """What a snapshot took of the gap between two ticks."""

    def bring_back(self, snapshot: Snapshot) -> None:
        """Before the first tick: put the world back as ``snapshot`` has it, everybody away."""
        reception, realm = self._reception, self._realm
        age_ms = reception.now_s * 1000.0 - snapshot.now_ms
        if age_ms > CARS_KEPT_MS or not reception.rules.resume_s:
            snapshot = replace(snapshot, bodies=[])
        now_ms = reception.now_s * 1000.0
        entries = restore(realm, snapshot, now_ms)
        realm.number_on(snapshot.tick + math.ceil(LEAP_MS / realm.period_ms), now_ms)
        for entry in entries:
            session = snapshot.sessions.get(entry.player, "")
            guest = Guest(entry.player, session, None, entry.name, entry)
            guest.away_until_s = reception.now_s + reception.rules.resume_s
            reception.guests[entry.player] = guest
            reception.note(guest)
        counts = {"players": len(entries), "of": len(snapshot.bodies), "strikes": len(snapshot.strikes)}
        log.info("checkpoint restored", extra={"tick": snapshot.tick, "age_s": round(age_ms / 1000.0, 2), **counts})

    def ticked(self, now_s: float) -> None:
        """A tick's frames are out: take a snapshot if one is due, as soon as the disk is done with the last."""
        if now_s - self._taken_s < EVERY_S:
            return
        if self._state.busy:
            self._state.late += not self._waiting
            self._waiting = True
            return
        self._taken_s, self._waiting = now_s, False
        began_s = time.perf_counter()
        self._state.save(self._take())
        self.longest_copy_ms = max(self.longest_copy_ms, 1000.0 * (time.perf_counter() - began_s))

    def close(self) -> None:
        """The ticks have ended: write the last snapshot, however long it takes."""
        self._state.close(self._take())

    def summary(self) -> dict[str, float]:
        """For the log at the end."""
        state = self._state
        return {
            "checkpoints": state.written,
            "checkpoints_late": state.late,
            "checkpoints_failed": state.failed,
            "checkpoint_copy_max_ms": round(self.longest_copy_ms, 2),
            "checkpoint_write_max_ms": round(state.longest_write_ms, 1),
        }

    def _take(self) -> Snapshot:
        return take(self._realm, {player: guest.session for player, guest in self._reception.guests.items()})
