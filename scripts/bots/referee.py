"""Judges what one bot is shown: the strict checks of a single view, snapshot by snapshot.

Every check needs only the messages and the bot's own sending times, except that a jump is judged for players whose
truth is known: anybody else may have been placed. Checks between two bots are in ``cross_check``.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

from scripts.bots.rules import Findings, Kind, Rules, Violation
from scripts.bots.truth import Track
from scripts.bots.world_view import Changes, Entity, WorldView
from shared.cells import WINDOWS
from shared.constants import SEQ_MASK
from shared.messages import AtRow, SnapshotPayload
from shared.vehicles import VEHICLES

JUMP_OF_NOBODY_CM = int(100 * min(vehicle.speed_cap_mps for vehicle in VEHICLES) * 2 * Rules().carry_s)
"""No vehicle's bound is below this: most rows need no further look."""
JUMP_ROUNDING_M = 0.05
SEQ_HALF = (SEQ_MASK + 1) // 2
SEQ_GAP_MAX = 64
"""More samples between two rows than this: not one stream of samples, so no latency is taken from it."""
UNACKNOWLEDGED_MAX = 1024
"""More than a bot sends before silence is reported; a bound, so that a dead shard fills no memory."""
LATENCY_UNITS_PER_S = 10_000
"""Latencies are counted in tenths of a millisecond."""


class Referee:
    """One bot's judge. Mutates its own view, ``findings`` and ``latency``; ``truth`` is shared by all of a process."""

    def __init__(self, player: str, truth: Mapping[str, Track], findings: Findings, rules: Rules | None = None) -> None:
        self.player = player
        self.view = WorldView()
        self.rules = rules or Rules()
        self.latency: Counter[int] = Counter()
        """Sent-to-seen times of other bots' samples, in 1 / LATENCY_UNITS_PER_S."""
        self.latency_by_rate: dict[int, Counter[int]] = {ticks: Counter() for ticks in WINDOWS}
        """The same, by the ticks that lie between the row and the one before: 1, 2, or more."""
        self.snapshots = self.snapshots_late = self.ticks_missed = self.resets = 0
        self.last_snapshot_s = 0.0
        self.in_row = False
        """Whether the last snapshot followed the one before without a gap or reset."""
        self._truth = truth
        self._findings = findings
        self._slot: int | None = None
        self._unacknowledged: deque[tuple[int, float]] = deque(maxlen=UNACKNOWLEDGED_MAX)
        self._acknowledged: int | None = None
        self._first_sent = 0
        self._newest_sent: int | None = None
        """First and newest sample since ``placed``."""
        self._fresh = True
        self._freed: dict[int, tuple[str, float]] = {}
        self._stale: dict[int, int] = {}

    def report(self, kind: Kind, now_s: float, **evidence: float | str) -> None:
        """Record a breach seen by this bot."""
        self._findings.add(Violation(kind, self.view.tick, now_s, self.player, evidence))

    # --- what the bot does ---------------------------------------------------------------------------------------

    def placed(self, slot: int, now_s: float) -> None:
        """The server moved the own car: samples on their way are void, and the acknowledgement starts anew."""
        if self._slot is None:
            self.last_snapshot_s = now_s
        self._slot = slot
        self._unacknowledged.clear()
        self._acknowledged = self._newest_sent = None

    def sent(self, seq: int, now_s: float) -> None:
        """Sample ``seq`` (not yet reduced modulo 65536) was sent."""
        if self._newest_sent is None:
            self._first_sent = seq
        self._newest_sent = seq
        self._unacknowledged.append((seq, now_s))

    def cut(self) -> None:
        """The connection broke: the next one starts with nothing shown."""
        self.left()

    def left(self) -> None:
        """The own player is in the lobby: nothing is shown any more, and ticks pass unseen."""
        self.view.clear()
        self._slot = None
        self._unacknowledged.clear()
        self._fresh = True

    # --- what the bot is shown -----------------------------------------------------------------------------------

    def snapshot(self, snapshot: SnapshotPayload, now_s: float, lag_s: float = 0.0, *, time_rows: bool = True) -> None:
        """Apply one snapshot to the view and judge it. ``time_rows``: also take latencies from its rows.

        ``lag_s`` is by how much this process itself may be behind; it is never held against the shard.
        """
        view = self.view
        ticks, since_ms, before_ms = snapshot.tick - view.tick, snapshot.t - view.t_ms, view.t_ms
        if view.tick and ticks <= 0:
            self.report(Kind.TICK_ORDER, now_s, before=view.tick, now=snapshot.tick)
        if view.tick and since_ms <= 0:
            self.report(Kind.TIME_ORDER, now_s, before_ms=view.t_ms, now_ms=snapshot.t)
        changes = view.apply(snapshot)
        self.snapshots += 1
        self.snapshots_late += view.tick in view.late.values()
        self.last_snapshot_s = now_s
        self.in_row = not self._fresh and ticks == 1 and not snapshot.reset
        if not self._fresh:
            self.ticks_missed += max(0, ticks - 1)
            self.resets += snapshot.reset
        self._fresh = False
        self._judge_structure(changes, before_ms, now_s)
        self._judge_rows(snapshot, now_s)
        self._judge_acknowledgement(now_s, lag_s)
        if time_rows:
            self._time_rows(snapshot, now_s)

    def _judge_structure(self, changes: Changes, before_ms: float, now_s: float) -> None:
        view = self.view
        for older, newer in changes.twice:
            one, other = view.entities[older], view.entities[newer]
            if not view.is_late(one) and not view.is_late(other):
                self.report(Kind.PLAYER_TWICE, now_s, subject=one.player, slot=older, other_slot=newer)
        for slot in changes.without_row:
            self.report(Kind.WHO_WITHOUT_ROW, now_s, slot=slot)
        for cell, slot in changes.unknown_rows:
            player, left_ms = self._freed.get(slot, ("", 0.0))
            known = {"left": player, "left_ms_ago": round(view.t_ms - left_ms, 1)} if player else {"left": "never seen"}
            self.report(Kind.ROW_OF_UNKNOWN, now_s, slot=slot, cell=cell, **known)
        for cell, slot in changes.unknown_gone:
            self.report(Kind.GONE_OF_UNKNOWN, now_s, slot=slot, cell=cell)
        for entity in changes.renamed:
            self._freed[entity.slot] = (entity.player, before_ms)
        for slot in changes.joined:
            player, freed_ms = self._freed.pop(slot, ("", 0.0))
            if player and player != view.entities[slot].player and view.t_ms - freed_ms < self.rules.slot_rest_ms:
                self.report(
                    Kind.SLOT_REUSED,
                    now_s,
                    slot=slot,
                    before=player,
                    now=view.entities[slot].player,
                    after_ms=view.t_ms - freed_ms,
                )
        for entity in changes.left:
            self._freed[entity.slot] = (entity.player, view.t_ms)

    def _judge_rows(self, snapshot: SnapshotPayload, now_s: float) -> None:
        """Jumps of others, and the own acknowledgement. The loop over all rows of all bots: kept short."""
        entities, own = self.view.entities, self._slot
        near = JUMP_OF_NOBODY_CM * JUMP_OF_NOBODY_CM
        for cell in snapshot.cells:
            for row in cell.at:
                entity = entities.get(row.slot)
                if entity is None:
                    continue
                if row.slot == own and entity.player == self.player:
                    self._acknowledge(row.seq, now_s)
                before = entity.before
                if before is not None and (row.x - before.x) ** 2 + (row.z - before.z) ** 2 > near:
                    self._judge_jump(entity, row, before, now_s)

    def _judge_jump(self, entity: Entity, row: AtRow, before: AtRow, now_s: float) -> None:
        track = self._truth.get(entity.player)
        if track is None or not track.settled(now_s, self.rules.settle_s):
            return
        moved_m = ((row.x - before.x) ** 2 + (row.z - before.z) ** 2) ** 0.5 / 100
        dt_s = (entity.t_ms - entity.before_t_ms) / 1000
        unseen_s = 2 * self.rules.carry_s + self.rules.stall_s
        most_m = track.speed_cap_mps * (max(0.0, dt_s) + unseen_s) + JUMP_ROUNDING_M
        if moved_m > most_m:
            self.report(
                Kind.JUMP,
                now_s,
                subject=entity.player,
                slot=entity.slot,
                x=before.x / 100,
                z=before.z / 100,
                moved_m=round(moved_m, 2),
                most_m=round(most_m, 2),
                dt_s=round(dt_s, 3),
            )

    def _acknowledge(self, seq: int, now_s: float) -> None:
        """The own row shows ``seq``. Until a sample sent since ``placed`` shows, the row's ``seq`` means nothing."""
        waiting, newest = self._unacknowledged, self._newest_sent
        if newest is None:
            return
        if self._acknowledged is None:
            if (newest - seq) & SEQ_MASK > newest - self._first_sent:
                return
        elif (seq - self._acknowledged) & SEQ_MASK >= SEQ_HALF:
            self.report(Kind.ACKNOWLEDGED_BACKWARDS, now_s, before=self._acknowledged & SEQ_MASK, now=seq)
            return
        elif (newest - seq) & SEQ_MASK >= SEQ_HALF:
            self.report(Kind.ACKNOWLEDGED_UNSENT, now_s, newest_sent=newest & SEQ_MASK, now=seq)
            return
        while waiting and (seq - waiting[0][0]) & SEQ_MASK < SEQ_HALF:
            waiting.popleft()
        self._acknowledged = seq

    def _judge_acknowledgement(self, now_s: float, lag_s: float) -> None:
        """Has the oldest sample waited too long? Called with every snapshot; silence is judged by ``overdue``."""
        if not self._unacknowledged:
            return
        seq, sent_s = self._unacknowledged[0]
        if now_s - sent_s <= self.rules.ack_s + self.rules.stall_s + lag_s:
            return
        if not self.view.late:
            own = self.view.find(self.player)
            shown = {} if own is None or own.row is None else {"x": own.row.x / 100, "z": own.row.z / 100}
            self.report(
                Kind.UNACKNOWLEDGED,
                now_s,
                seq=seq & SEQ_MASK,
                waited_s=round(now_s - sent_s, 3),
                newest_seen=-1 if self._acknowledged is None else self._acknowledged & SEQ_MASK,
                own_row_shown=int(own is not None),
                **shown,
            )
        self._unacknowledged.clear()  # say it once per ack_s, not once per snapshot

    def overdue(self, now_s: float, lag_s: float) -> None:
        """Judge what is missing: snapshots at all, and rows of entities. Called now and then while in the world."""
        silent_s = now_s - self.last_snapshot_s
        if self._slot is not None and silent_s > self.rules.silence_s + self.rules.stall_s + lag_s:
            self.report(Kind.SILENCE, now_s, silent_s=round(silent_s, 3))
            self.last_snapshot_s = now_s
        view, bound_ms = self.view, 1000 * self.rules.proof_s
        for entity in view.entities.values():
            if view.t_ms - entity.t_ms <= bound_ms or view.tick - entity.tick <= self.rules.proof_ticks:
                continue
            if entity.row is not None and not view.is_late(entity) and self._stale.get(entity.slot) != entity.tick:
                self._stale[entity.slot] = entity.tick
                age_s = round((view.t_ms - entity.t_ms) / 1000, 3)
                x, z = entity.row.x / 100, entity.row.z / 100
                self.report(Kind.STALE_ROW, now_s, subject=entity.player, slot=entity.slot, age_s=age_s, x=x, z=z)

    def _time_rows(self, snapshot: SnapshotPayload, now_s: float) -> None:
        """Count, for every sample that a row of another bot shows for the first time, how long it was on its way."""
        entities, truth, latency = self.view.entities, self._truth, self.latency
        for cell in snapshot.cells:
            for row in cell.at:
                entity = entities.get(row.slot)
                if entity is None or entity.before is None or entity.player == self.player:
                    continue
                track = truth.get(entity.player)
                if track is None:
                    continue
                last = entity.before.seq
                newer = (row.seq - last) & SEQ_MASK
                if newer > SEQ_GAP_MAX:
                    continue
                ticks = entity.tick - entity.before_tick
                of_rate = self.latency_by_rate[ticks if ticks in (1, 2) else WINDOWS[-1]]
                for step in range(1, newer + 1):
                    sent_s = track.sent_s(last + step)
                    if sent_s is not None:
                        units = int((now_s - sent_s) * LATENCY_UNITS_PER_S)
                        latency[units] += 1
                        of_rate[units] += 1
