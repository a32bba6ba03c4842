"""Judges what bots of one process are shown of each other: their true places are known to all, at any time.

Each call looks at the next few bots in turn, so that the cost does not grow with the square of the swarm. Whoever is
found missing from a view is then followed with every snapshot of that view.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scripts.bots.referee import Referee
from scripts.bots.rules import Kind, Rules
from scripts.bots.truth import Track
from scripts.bots.world_view import Entity

OBSERVERS_PER_CALL = 32
"""Views judged per call: at 20 calls per second each of 300 bots is judged twice a second."""
SIGHT_CUT, TURNS = 2, 3
"""Values of ``tier``: the farthest cells are not shown; rows take turns."""
DRIVING_S = 2.0
"""Who has driven for so long has had a new row in every period."""
LAG_MOST_S = 0.25
"""A swarm that is further behind than this knows too little about its own bots to judge the shard by them."""


@dataclass(slots=True)
class Absence:
    """A bot that should be in a view and is not."""

    snapshots: int
    """How many snapshots in a row lacked it."""
    since_tick: int


class CrossCheck:
    """All pairs of one process. Reads ``truth`` and the referees' views; reports through the observer's referee."""

    def __init__(self, truth: Mapping[str, Track], rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.pairs_judged = 0
        self.calls_skipped = 0
        """Calls in which the process itself was too late to judge anybody."""
        self._truth = truth
        self._referees: dict[str, Referee] = {}
        self._order: list[Referee] = []
        self._next = 0
        self._absent: dict[str, dict[str, Absence]] = {}
        self._slow: dict[tuple[str, int], int] = {}
        """Observer and slot of slow rows already reported, with the row's tick."""
        self._ghosts: set[tuple[str, str, int]] = set()
        """Observer, player, slot of ghosts already reported: one that stays is one violation."""

    def add(self, referee: Referee) -> None:
        """Take a bot into the checks."""
        self._referees[referee.player] = referee
        self._order.append(referee)

    def judge(self, now_s: float, lag_s: float, observers: int = OBSERVERS_PER_CALL) -> None:
        """Judge the next ``observers`` views. ``lag_s`` is by how much this process is behind its own schedule."""
        if lag_s > LAG_MOST_S:
            self.calls_skipped += 1
            self._absent.clear()
            return
        settled = [
            track for track in self._truth.values() if track.player in self._referees and self._is_settled(track, now_s)
        ]
        places = np.array([(track.car.x, track.car.z) for track in settled]).reshape(-1, 2)
        for _ in range(min(observers, len(self._order))):
            observer = self._order[self._next % len(self._order)]
            self._next += 1
            track = self._truth[observer.player]
            if not track.present or now_s - observer.last_snapshot_s > LAG_MOST_S:
                continue
            observer.overdue(now_s, lag_s)
            self._judge_shown(observer, now_s, lag_s)
            if self._is_settled(track, now_s):
                away = places - (track.car.x, track.car.z)
                near = np.flatnonzero((away * away).sum(axis=1) < self.rules.visible_m**2)
                self._judge_near(observer, track, [settled[index] for index in near], now_s)

    def follow(self, observer: Referee, now_s: float, lag_s: float) -> None:
        """Count absences on: call after every snapshot of ``observer``. Costs nothing while nobody is missing."""
        absent = self._absent.get(observer.player)
        if not absent:
            return
        if not observer.in_row or lag_s > LAG_MOST_S:
            del self._absent[observer.player]
            return
        track = self._truth[observer.player]
        for player in list(absent):
            other, absence = self._truth[player], absent[player]
            if observer.view.find(player) is not None or not self._must_see(observer, track, other, now_s):
                del absent[player]
                continue
            absence.snapshots += 1
            if absence.snapshots > self.rules.absent_snapshots_max:
                del absent[player]
                self._report_lost(observer, track, other, absence, now_s)

    def _judge_near(self, observer: Referee, track: Track, near: list[Track], now_s: float) -> None:
        absent = self._absent.setdefault(observer.player, {})
        for other in near:
            if other is track or not self._must_see(observer, track, other, now_s):
                continue
            self.pairs_judged += 1
            if observer.view.find(other.player) is None and other.player not in absent:
                absent[other.player] = Absence(1, observer.view.tick)

    def _must_see(self, observer: Referee, track: Track, other: Track, now_s: float) -> bool:
        """Whether ``other`` lies in the view for sure, wherever in the last ``position_lag_s`` the shard has both."""
        if not (self._is_settled(track, now_s) and self._is_settled(other, now_s)):
            return False
        if observer.view.tier >= SIGHT_CUT:
            return False
        if observer.view.late or self._referees[other.player].view.late:
            return False
        lag_s = self.rules.position_lag_s + self.rules.stall_s
        sure_m = min(self.rules.visible_m, self.rules.banded_m - track.reach_m(lag_s) - other.reach_m(lag_s))
        return math.hypot(track.car.x - other.car.x, track.car.z - other.car.z) < sure_m

    def _report_lost(self, observer: Referee, track: Track, other: Track, absence: Absence, now_s: float) -> None:
        observer.report(
            Kind.LOST,
            now_s,
            subject=other.player,
            since_tick=absence.since_tick,
            snapshots=absence.snapshots,
            distance_m=round(math.hypot(track.car.x - other.car.x, track.car.z - other.car.z), 2),
            observer_x=round(track.car.x, 2),
            observer_z=round(track.car.z, 2),
            subject_x=round(other.car.x, 2),
            subject_z=round(other.car.z, 2),
            in_view=len(observer.view.entities),
        )

    def _judge_shown(self, observer: Referee, now_s: float, lag_s: float) -> None:
        """Everybody of this process who is in the view: rightly, and at the right place?"""
        for entity in observer.view.entities.values():
            other = self._truth.get(entity.player)
            if other is None or observer.view.is_late(entity):
                continue
            if other.present:
                self._judge_place(observer, entity, other, now_s, lag_s)
                self._judge_rate(observer, entity, other, now_s, lag_s)
            else:
                self._judge_ghost(observer, entity, other, now_s, lag_s)

    def _judge_place(self, observer: Referee, entity: Entity, other: Track, now_s: float, lag_s: float) -> None:
        row = entity.row
        if row is None or not self._is_settled(other, now_s):
            return
        age_s = (observer.view.t_ms - entity.t_ms) / 1000 + now_s - observer.last_snapshot_s
        off_m = math.hypot(row.x / 100 - other.car.x, row.z / 100 - other.car.z)
        most_m = other.reach_m(self.rules.position_lag_s + self.rules.stall_s + age_s + lag_s)
        most_m += self.rules.misplaced_slack_m
        if off_m > most_m:
            observer.report(
                Kind.MISPLACED,
                now_s,
                subject=entity.player,
                slot=entity.slot,
                x=row.x / 100,
                z=row.z / 100,
                off_m=round(off_m, 2),
                most_m=round(most_m, 2),
                row_age_s=round(age_s, 3),
                speed_mps=round(other.car.speed_mps, 2),
            )

    def _judge_rate(self, observer: Referee, entity: Entity, other: Track, now_s: float, lag_s: float) -> None:
        """A car that drives has a new row within its cell's period. A period after a break is not over yet."""
        view = observer.view
        age_ticks = view.tick - entity.tick
        if age_ticks <= self.rules.period_ticks or view.tier >= TURNS or not observer.in_row:
            return
        if (
            now_s - other.stood_s < DRIVING_S + lag_s
            or lag_s > LAG_MOST_S / 5
            or self._referees[other.player].view.late
        ):
            return
        if entity.row is not None and self._slow.get((observer.player, entity.slot)) != entity.tick:
            self._slow[observer.player, entity.slot] = entity.tick
            observer.report(
                Kind.SLOW_ROW,
                now_s,
                subject=entity.player,
                slot=entity.slot,
                age_ticks=age_ticks,
                speed_mps=round(other.car.speed_mps, 2),
            )

    def _judge_ghost(self, observer: Referee, entity: Entity, other: Track, now_s: float, lag_s: float) -> None:
        for how, since_s, bound_s in (
            ("left", other.left_s, self.rules.left_s),
            ("disconnected", other.cut_s, self.rules.cut_s),
        ):
            ghost = (observer.player, entity.player, entity.slot)
            if since_s is not None and now_s - since_s > bound_s + lag_s and ghost not in self._ghosts:
                self._ghosts.add(ghost)
                observer.report(
                    Kind.GHOST,
                    now_s,
                    subject=entity.player,
                    slot=entity.slot,
                    how=how,
                    gone_for_s=round(now_s - since_s, 3),
                    bound_s=bound_s,
                )
                return

    def _is_settled(self, track: Track, now_s: float) -> bool:
        return track.settled(now_s, self.rules.settle_s)
