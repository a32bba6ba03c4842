"""The referee and the checks between bots: silent on a correct stream, and each check fires on a doctored one."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.bots.cross_check import LAG_MOST_S, CrossCheck
from scripts.bots.driver import Roamer
from scripts.bots.referee import LATENCY_UNITS_PER_S, Referee
from scripts.bots.rules import Findings, Kind, Rules
from scripts.bots.truth import Track
from shared.constants import SEQ_MASK
from shared.messages import AtRow, Cell, SnapshotPayload, WhoRow
from shared.vehicles import VEHICLES
from shared.world.world import Pose

PERIOD_S = 0.05
WAY_S = 0.03
SIZE_M = 128
CELL = 5
Doctor = Callable[[SnapshotPayload, str], SnapshotPayload]
"""Turns the correct snapshot for an observer (by player) into what is told instead."""


class Scene:
    """A shard that tells everybody everything in one cell, bots that drive in it, and their referees."""

    def __init__(
        self, bots: int = 3, seed: int = 1, seq: int = 0, speed_mps: float | None = None, stall_s: float = 0.0
    ) -> None:
        self.findings = Findings()
        self.truth: dict[str, Track] = {}
        self.rules = Rules(stall_s=stall_s)
        self.cross_check = CrossCheck(self.truth, self.rules)
        self.players = [f"player-{number}" for number in range(bots)]
        self.referees: dict[str, Referee] = {}
        self.drivers: dict[str, Roamer] = {}
        self.slots = {player: 10 + number for number, player in enumerate(self.players)}
        self.told: dict[str, dict[str, AtRow]] = {player: {} for player in self.players}
        self.present = set(self.players)
        self.seq = dict.fromkeys(self.players, seq)
        self.tick, self.now_s, self.lag_s = 100, 1000.0, 0.0
        self.parked: set[str] = set()
        self.sent_s: dict[str, float] = {}
        for player in self.players:
            rng = random.Random(f"{seed}/{player}")
            track = self.truth[player] = Track(player, VEHICLES[0])
            driver = self.drivers[player] = Roamer(rng, VEHICLES[0])
            if speed_mps is not None:
                driver.top_speed_mps = speed_mps
            driver.survey(SIZE_M, [(0, 0, SIZE_M, SIZE_M)])
            driver.place(Pose(60.0 + rng.uniform(-10, 10), 0.0, 60.0 + rng.uniform(-10, 10), 0.0), 0.0, 0.0)
            referee = self.referees[player] = Referee(player, self.truth, self.findings, self.rules)
            self.cross_check.add(referee)
            track.placed(driver.car, self.now_s)
            referee.placed(self.slots[player], self.now_s)

    def run(self, ticks: int, doctor: Doctor | None = None) -> None:
        """Drive, send, be told what was sent WAY_S ago, judge; once per tick."""
        for _ in range(ticks):
            self.tick += 1
            for player in self.players:
                if player not in self.present:
                    continue
                self.seq[player] += 1
                if player not in self.parked:
                    self.drivers[player].step(PERIOD_S)
                self.truth[player].drove(self.drivers[player].car, self.seq[player], self.now_s)
                self.referees[player].sent(self.seq[player], self.now_s)
            self.now_s += WAY_S
            for player in self.players:
                if player in self.present:
                    told = self.snapshot(player)
                    if doctor is not None:
                        told = doctor(told, player)
                    self.referees[player].snapshot(told, self.now_s, self.lag_s)
                    self.cross_check.follow(self.referees[player], self.now_s, self.lag_s)
            self.cross_check.judge(self.now_s, self.lag_s)
            self.now_s += PERIOD_S - WAY_S

    def snapshot(self, observer: str) -> SnapshotPayload:
        """The correct news for one observer."""
        known, rows, who = self.told[observer], [], []
        for player in self.players:
            if player not in self.present:
                continue
            row = self.row(player)
            if player not in known:
                who.append(WhoRow(self.slots[player], player, f"name {player}", "car"))
            if player not in known or self._is_news(observer, player, row):
                known[player] = row
                self.sent_s[observer + player] = self.now_s
                rows.append(row)
        gone = [self.slots[player] for player in list(known) if player not in self.present and known.pop(player)]
        cell = Cell(CELL, full=len(who) == len(rows) == len(known), who=who, at=rows, gone=gone)
        return SnapshotPayload(self.tick, 1e12 + 1000 * self.now_s, [cell])

    def _is_news(self, observer: str, player: str, row: AtRow) -> bool:
        before = self.told[observer][player]
        moved = (before.x, before.z, before.yaw, before.speed) != (row.x, row.z, row.yaw, row.speed)
        return moved or self.now_s - self.sent_s[observer + player] > 0.99

    def row(self, player: str) -> AtRow:
        car, yaw = self.drivers[player].car, self.drivers[player].car.yaw
        speed = int(car.speed_mps * 100)
        return AtRow(
            self.slots[player], self.seq[player] & SEQ_MASK, int(car.x * 100), int(car.z * 100), int(yaw * 1000), speed
        )

    def kinds(self) -> set[str]:
        return set(self.findings.counts)


def edit(told: SnapshotPayload, change: Callable[[Cell], Cell]) -> SnapshotPayload:
    return SnapshotPayload(told.tick, told.t, [change(cell) for cell in told.cells], told.drop, told.reset)


def with_rows(cell: Cell, change: Callable[[AtRow], AtRow | None]) -> Cell:
    rows = [row for old in cell.at if (row := change(old)) is not None]
    return Cell(cell.c, cell.full, cell.who, rows, cell.gone, cell.late)


def moved(row: AtRow, dx_m: float = 0.0, seq: int | None = None) -> AtRow:
    return AtRow(
        row.slot, row.seq if seq is None else seq & SEQ_MASK, row.x + int(100 * dx_m), row.z, row.yaw, row.speed
    )


def first_only(change: Callable[[SnapshotPayload], SnapshotPayload]) -> Doctor:
    return lambda told, observer: change(told) if observer == "player-0" else told


def every(ticks: int) -> Doctor:
    """Rows of player 1 are told in every so many-th tick only."""

    def doctor(told: SnapshotPayload, observer: str) -> SnapshotPayload:
        due = observer != "player-0" or told.tick % ticks == 0
        return edit(told, lambda cell: with_rows(cell, lambda row: row if due or row.slot != 11 or cell.who else None))

    return doctor


def of_tier(told: SnapshotPayload, tier: int) -> SnapshotPayload:
    return SnapshotPayload(told.tick, told.t, told.cells, told.drop, told.reset, tier)


# --- silence ---------------------------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), seq=st.sampled_from([0, 65500, 131000]), bots=st.integers(1, 4))
def test_a_correct_stream_raises_nothing(seed: int, seq: int, bots: int) -> None:
    scene = Scene(bots, seed, seq)
    scene.run(120)
    assert not scene.findings.kept
    if bots > 1:
        assert scene.cross_check.pairs_judged > 0
        latencies = [counts for referee in scene.referees.values() for counts in referee.latency]
        assert set(latencies) <= {int(WAY_S * LATENCY_UNITS_PER_S) - 1, int(WAY_S * LATENCY_UNITS_PER_S)}
        assert latencies


def test_leaving_coming_back_and_standing_still_raise_nothing() -> None:
    scene = Scene()
    scene.run(40)
    leaver = "player-2"
    scene.truth[leaver].left(scene.now_s)
    scene.referees[leaver].left()
    scene.present.remove(leaver)
    scene.parked.add("player-1")
    scene.run(120)
    scene.slots[leaver] = 77
    scene.told[leaver].clear()
    scene.present.add(leaver)
    scene.truth[leaver].placed(scene.drivers[leaver].car, scene.now_s)
    scene.referees[leaver].placed(77, scene.now_s)
    scene.run(60)
    assert not scene.findings.kept
    assert scene.referees[leaver].ticks_missed == 0


def test_a_placed_car_may_jump() -> None:
    scene = Scene()
    scene.run(40)
    driver = scene.drivers["player-1"]
    driver.place(Pose(10.0, 0.0, 120.0, 0.0), 0.0, 0.0)
    scene.truth["player-1"].placed(driver.car, scene.now_s)
    scene.referees["player-1"].placed(scene.slots["player-1"], scene.now_s)
    scene.run(40)
    assert not scene.findings.kept


def test_late_cells_and_a_late_swarm_are_not_held_against_the_views() -> None:
    scene = Scene()
    scene.run(40)
    scene.run(60, lambda told, _: edit(told, lambda cell: Cell(cell.c, late=3)))
    assert not scene.findings.kept
    assert {(each.snapshots, each.snapshots_late) for each in scene.referees.values()} == {(100, 60)}
    scene.run(5, lambda told, _: edit(told, lambda cell: Cell(cell.c, late=3)))
    scene.lag_s = LAG_MOST_S + 0.01
    judged = scene.cross_check.pairs_judged
    scene.run(1)
    assert scene.cross_check.pairs_judged == judged
    assert scene.cross_check.calls_skipped == 1


def test_lines_that_stall_are_allowed_for_and_no_more_than_that() -> None:
    """Made by the test itself, half a second at most: rows are as much older, and then make up for it."""
    first: dict[float, list[float]] = {}
    for stall_s in (0.0, 0.5):
        scene = Scene(speed_mps=8.0, stall_s=stall_s)
        offset = waited = 0.0

        def drifting(told: SnapshotPayload, _: str) -> SnapshotPayload:
            return edit(told, lambda cell: with_rows(cell, lambda r: moved(r, offset) if r.slot == 11 else r))  # noqa: B023

        scene.run(60)
        while not scene.findings.kept:
            offset += 0.25
            scene.run(1, drifting)
        assert scene.findings.kept[0].kind is Kind.MISPLACED
        scene = Scene(stall_s=stall_s)
        scene.run(40)
        seq = scene.seq["player-0"]
        frozen = first_only(
            lambda told: edit(told, lambda cell: with_rows(cell, lambda r: moved(r, seq=seq) if r.slot == 10 else r))  # noqa: B023
        )
        while not scene.findings.kept:
            waited += 0.05
            scene.run(1, frozen)
        assert scene.findings.kept[0].kind is Kind.UNACKNOWLEDGED
        scene = Scene(stall_s=stall_s)
        scene.run(40)
        far = first_only(
            lambda told: edit(told, lambda cell: with_rows(cell, lambda r: moved(r, 80.0) if r.slot == 11 else r))
        )
        scene.run(1, far)
        jump, *_ = [found.evidence for found in scene.findings.kept if found.kind is Kind.JUMP]
        first[stall_s] = [offset, waited, float(jump["most_m"])]
    speed_cap_mps = VEHICLES[0].speed_cap_mps
    for index, (low, high) in enumerate(((3.0, 8.0), (0.45, 0.55), (0.49 * speed_cap_mps, 0.51 * speed_cap_mps))):
        assert low <= first[0.5][index] - first[0.0][index] <= high


def test_skipped_ticks_are_counted_not_blamed() -> None:
    scene = Scene()
    scene.run(10)
    scene.tick += 3
    scene.run(10)
    assert scene.referees["player-0"].ticks_missed == 3
    assert not scene.findings.kept


# --- one view --------------------------------------------------------------------------------------------------------


def only(scene: Scene, kind: Kind) -> None:
    assert scene.kinds() == {kind.value}
    found = scene.findings.kept[0]
    assert found.kind is kind
    assert found.observer == "player-0"
    assert found.evidence


def test_ticks_and_times_must_increase() -> None:
    scene = Scene()
    scene.run(5)
    scene.run(1, first_only(lambda told: SnapshotPayload(told.tick - 1, told.t, told.cells)))
    only(scene, Kind.TICK_ORDER)
    scene = Scene()
    scene.run(5)
    scene.run(1, first_only(lambda told: SnapshotPayload(told.tick, told.t - 60.0, told.cells)))
    only(scene, Kind.TIME_ORDER)


def test_a_player_under_two_slots_is_seen() -> None:
    scene = Scene()
    scene.run(5)

    def twice(cell: Cell) -> Cell:
        row = AtRow(99, 0, 6000, 6000, 0, 0)
        return Cell(cell.c, who=[*cell.who, WhoRow(99, "player-1", "name", "car")], at=[*cell.at, row])

    scene.run(1, first_only(lambda told: edit(told, twice)))
    only(scene, Kind.PLAYER_TWICE)
    assert scene.findings.kept[0].evidence["other_slot"] == 99


def shown_near(scene: Scene, player: str, within_m: float) -> None:
    """The evidence says where the car was shown, and that is near where it is."""
    evidence, car = scene.findings.kept[0].evidence, scene.drivers[player].car
    assert math.hypot(float(evidence["x"]) - car.x, float(evidence["z"]) - car.z) < within_m


def test_a_slot_needs_its_rest() -> None:
    stranger = WhoRow(50, "stranger", "name", "car"), AtRow(50, 0, 0, 0, 0, 0)
    other = WhoRow(50, "another", "name", "car"), AtRow(50, 0, 0, 0, 0, 0)

    def enters(who: WhoRow, row: AtRow) -> Doctor:
        return first_only(
            lambda told: edit(told, lambda cell: Cell(cell.c, who=[*cell.who, who], at=[*cell.at, row], gone=cell.gone))
        )

    parts = first_only(lambda told: edit(told, lambda cell: Cell(cell.c, cell.full, cell.who, cell.at, [50])))
    for rest_ticks, kinds in ((20, {Kind.SLOT_REUSED.value}), (110, set())):
        scene = Scene()
        scene.run(5)
        scene.run(1, enters(*stranger))
        scene.run(1, parts)
        scene.run(rest_ticks)
        scene.run(1, enters(*other))
        assert scene.kinds() == kinds
    scene = Scene()
    scene.run(5)
    scene.run(1, enters(*stranger))
    scene.run(1, enters(*other))
    only(scene, Kind.SLOT_REUSED)


def test_who_needs_its_row() -> None:
    scene = Scene()
    scene.run(
        1, first_only(lambda told: edit(told, lambda cell: with_rows(cell, lambda r: r if r.slot != 11 else None)))
    )
    only(scene, Kind.WHO_WITHOUT_ROW)
    assert scene.findings.kept[0].evidence["slot"] == 11


def test_rows_and_gone_of_unknown_slots() -> None:
    row = AtRow(99, 0, 0, 0, 0, 0)
    scene = Scene()
    scene.run(5)
    scene.run(1, first_only(lambda told: edit(told, lambda cell: Cell(cell.c, at=[*cell.at, row]))))
    only(scene, Kind.ROW_OF_UNKNOWN)
    scene = Scene()
    scene.run(50)
    scene.run(1, first_only(lambda told: edit(told, lambda cell: Cell(cell.c, at=cell.at, gone=[99]))))
    only(scene, Kind.GONE_OF_UNKNOWN)


def test_a_row_must_come_every_second_even_if_parked() -> None:
    scene = Scene()
    scene.parked.add("player-1")
    scene.run(10)
    scene.run(
        50, first_only(lambda told: edit(told, lambda cell: with_rows(cell, lambda r: r if r.slot != 11 else None)))
    )
    only(scene, Kind.STALE_ROW)
    assert scene.findings.counts[Kind.STALE_ROW] == 1, "said once"
    shown_near(scene, "player-1", 0.02)


def test_a_jump_of_a_bot_that_nobody_placed() -> None:
    scene = Scene()
    scene.run(40)
    far = first_only(
        lambda told: edit(told, lambda cell: with_rows(cell, lambda r: moved(r, 40.0) if r.slot == 11 else r))
    )
    scene.run(1, far)
    assert Kind.JUMP.value in scene.kinds()
    jump = scene.findings.kept[0].evidence
    assert jump["subject"] == "player-1"
    assert float(jump["moved_m"]) > float(jump["most_m"]) > 20.0
    shown_near(scene, "player-1", 3.0)  # from where it jumped


def test_a_jump_of_a_stranger_may_be_a_respawn() -> None:
    scene = Scene()

    def strange(x_m: float) -> Doctor:
        who = WhoRow(99, "stranger", "name", "car")
        row = AtRow(99, 0, int(100 * x_m), 0, 0, 0)
        return lambda told, _: edit(told, lambda cell: Cell(cell.c, who=[*cell.who, who], at=[*cell.at, row]))

    scene.run(40, strange(0.0))
    scene.run(1, strange(100.0))
    assert not scene.findings.kept


def test_samples_must_be_acknowledged() -> None:
    scene = Scene()
    scene.run(40)
    seq = scene.seq["player-0"]
    frozen = first_only(
        lambda told: edit(told, lambda cell: with_rows(cell, lambda r: moved(r, seq=seq) if r.slot == 10 else r))
    )
    scene.run(35, frozen)
    only(scene, Kind.UNACKNOWLEDGED)
    evidence = scene.findings.kept[0].evidence
    assert evidence["newest_seen"] == seq
    assert float(evidence["waited_s"]) > 1.5
    shown_near(scene, "player-0", 12.0)


@pytest.mark.parametrize("start", [0, 65400])
def test_acknowledgements_neither_lead_nor_go_back(start: int) -> None:
    for ahead, kind in ((+5, Kind.ACKNOWLEDGED_UNSENT), (-5, Kind.ACKNOWLEDGED_BACKWARDS)):
        scene = Scene(seq=start)
        scene.run(40)

        def shifted(cell: Cell, by: int = ahead) -> Cell:
            return with_rows(cell, lambda row: moved(row, seq=row.seq + by) if row.slot == 10 else row)

        def told_wrong(told: SnapshotPayload, change: Callable[[Cell], Cell] = shifted) -> SnapshotPayload:
            return edit(told, change)

        scene.run(1, first_only(told_wrong))
        only(scene, kind)


def test_silence_is_a_violation_while_in_the_world() -> None:
    scene = Scene(1)
    scene.run(10)
    scene.referees["player-0"].overdue(scene.now_s + 1.4, 0.0)
    assert not scene.findings.kept
    scene.referees["player-0"].overdue(scene.now_s + 2.0, 1.0)
    assert not scene.findings.kept, "the swarm itself was late"
    scene.referees["player-0"].overdue(scene.now_s + 2.0, 0.0)
    only(scene, Kind.SILENCE)
    scene.referees["player-0"].left()
    scene.referees["player-0"].overdue(scene.now_s + 20.0, 0.0)
    assert scene.findings.counts[Kind.SILENCE] == 1


# --- between bots ----------------------------------------------------------------------------------------------------


def lose(scene: Scene, observer: str, slot: int, ticks: int) -> None:
    """Say once that a slot is gone, and let it come back after ``ticks`` snapshots without it."""
    target = next(player for player, own in scene.slots.items() if own == slot)

    def doctor(told: SnapshotPayload, who: str) -> SnapshotPayload:
        if who != observer:
            return told
        return edit(told, lambda cell: with_gone(with_rows(cell, lambda r: r if r.slot != slot else None), slot))

    scene.run(ticks, doctor)
    del scene.told[observer][target]


def with_gone(cell: Cell, slot: int) -> Cell:
    return Cell(cell.c, who=cell.who, at=cell.at, gone=[*cell.gone, slot])


def test_two_lost_snapshots_are_forgiven_and_more_are_not() -> None:
    for ticks, kinds in ((2, set()), (4, {Kind.LOST.value})):
        scene = Scene(speed_mps=5.0)
        scene.run(40)
        lose(scene, "player-0", 11, ticks)
        scene.run(20)
        assert scene.kinds() == kinds
    lost = scene.findings.kept[0]
    assert (lost.observer, lost.evidence["subject"], lost.evidence["snapshots"]) == ("player-0", "player-1", 3)


def test_a_bot_out_of_sight_need_not_be_shown() -> None:
    scene = Scene(speed_mps=0.0)
    driver = scene.drivers["player-1"]
    driver.place(Pose(120.0, 0.0, 120.0, 0.0), 0.0, 0.0)
    scene.truth["player-1"].placed(driver.car, scene.now_s)
    scene.run(40)
    lose(scene, "player-0", 11, 10)
    assert not scene.findings.kept


def test_what_is_shown_must_be_where_it_is() -> None:
    scene = Scene(speed_mps=8.0)
    offset = 0.0

    def drifting(told: SnapshotPayload, _: str) -> SnapshotPayload:
        return edit(told, lambda cell: with_rows(cell, lambda r: moved(r, offset) if r.slot == 11 else r))

    while not scene.findings.kept and offset < 15.0:
        offset += 0.25
        scene.run(1, drifting)
    assert scene.kinds() == {Kind.MISPLACED.value}
    evidence = scene.findings.kept[0].evidence
    assert evidence["subject"] == "player-1"
    assert float(evidence["off_m"]) > float(evidence["most_m"])
    car = scene.drivers["player-1"].car
    assert float(evidence["x"]) == pytest.approx(car.x + offset, abs=0.5), "where it was shown, not where it is"
    assert float(evidence["z"]) == pytest.approx(car.z, abs=0.5)


@pytest.mark.parametrize(("how", "bound_s"), [("left", 1.0), ("disconnected", 35.0)])
def test_ghosts(how: str, bound_s: float) -> None:
    scene = Scene()
    scene.run(40)
    ghost = scene.truth["player-2"]
    if how == "left":
        ghost.left(scene.now_s)
    else:
        ghost.cut(scene.now_s)
    scene.players.remove("player-2")  # the shard forgets to say so
    for told in scene.told.values():
        told.pop("player-2")
    ticks = round(bound_s / PERIOD_S)
    scene.run(ticks - 2, lambda told, _: with_proof(told))
    assert not scene.findings.kept
    scene.run(6, lambda told, _: with_proof(told))
    assert scene.kinds() == {Kind.GHOST.value}
    assert scene.findings.counts[Kind.GHOST] == 2, "once for each of the others"
    assert scene.findings.kept[0].evidence["how"] == how


def with_proof(told: SnapshotPayload) -> SnapshotPayload:
    """The ghost's row goes on."""
    return edit(
        told, lambda cell: Cell(cell.c, who=cell.who, at=[*cell.at, AtRow(12, 0, 6000, 6000, 0, 0)], gone=cell.gone)
    )


def test_the_bounds_are_parameters() -> None:
    rules = replace(Rules(), cut_s=30.0)
    assert rules.cut_s == 30.0
    assert Rules().cut_s == 35.0


def test_reach_covers_the_hardest_braking() -> None:
    track = Track("p", VEHICLES[0])
    driver = Roamer(random.Random(3), VEHICLES[0])
    driver.survey(1024, [(0, 0, 512, 1024), (512, 0, 1024, 1024)])
    driver.place(Pose(500.0, 0.0, 500.0, 0.0), 0.0, 0.0)
    places = []
    for seq in range(2000):
        car = driver.step(PERIOD_S)
        track.drove(car, seq, seq * PERIOD_S)
        places.append((car.x, car.z))
        for ago in (2, 8, 20):
            if seq >= ago:
                assert math.dist(places[-1], places[-1 - ago]) <= track.reach_m(ago * PERIOD_S) + 1e-6


# --- rates and budget


def test_rows_in_every_fourth_tick_are_as_good_as_in_every_one() -> None:
    scene = Scene()
    scene.run(200, every(4))
    assert not scene.findings.kept
    one, two, four = scene.referees["player-0"].latency_by_rate.values()
    assert one, "of player 2"
    assert not two
    longest_ms = 1000 * max(four) / LATENCY_UNITS_PER_S
    assert 3 * 50 < longest_ms < 4 * 50, "the oldest of four samples"


@pytest.mark.parametrize(("ticks", "tier", "kinds"), [(18, 0, {"slow_row"}), (18, 2, {"slow_row"}), (18, 3, set())])
def test_a_car_that_drives_and_is_told_too_seldom_is_reported_unless_rows_take_turns(
    ticks: int, tier: int, kinds: set[str]
) -> None:
    scene = Scene(speed_mps=12.0)
    seldom = every(ticks)
    scene.run(200, lambda told, observer: of_tier(seldom(told, observer), tier))
    assert scene.kinds() == kinds
    assert all(int(found.evidence["age_ticks"]) > 12 for found in scene.findings.kept)


@pytest.mark.parametrize(("tier", "kinds"), [(0, {"lost"}), (1, {"lost"}), (2, set()), (3, set())])
def test_whom_the_budget_hides_nobody_misses(tier: int, kinds: set[str]) -> None:
    scene = Scene(bots=2, speed_mps=3.0)

    def hide(told: SnapshotPayload, observer: str) -> SnapshotPayload:
        def without(cell: Cell) -> Cell:
            kept = with_rows(cell, lambda row: None if row.slot == 11 else row)
            return Cell(kept.c, kept.full, [who for who in kept.who if who.slot != 11], kept.at, [], 0)

        return of_tier(edit(told, without), tier) if observer == "player-0" else told

    scene.run(80, hide)
    assert scene.kinds() == kinds
