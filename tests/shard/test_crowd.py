"""A random crowd under strict watchers: through splits and merges, changes of rate and of budget, borders, late zones
and sockets that refuse, everybody sees exactly whom he should, with rows no older than their cell's period.

The truth is what the zones' pages say, parsed; ``tests/zones/test_encode.py`` holds these to a naive encoder.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import zones.interest
from shard.players.occupants import Entry
from shard.views.watching import BLANK, IN_TURNS, SHORTENED, SLOWED, UNCUT
from tests.cell_forms import full_of, full_row
from tests.stepper import InlineZone, Recorder, ShardStepper, payload_of
from tests.watcher import Watcher
from zones.rows import SEQ

PLAYERS = 14
SIZE_M = 512


@pytest.fixture(autouse=True, scope="module")
def few_are_a_crowd() -> Iterator[None]:
    """A cell splits above 3 players, so that 14 of them do what hundreds do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zones.interest, "CELL_SPLIT_ABOVE", 3)
        patch.setattr(zones.interest, "CELL_MERGE_AT", 1)
        yield


@dataclass
class Viewer(Recorder):
    """Applies what it is sent, and keeps how much of it there was."""

    view: Watcher = field(default_factory=Watcher)
    payload: dict[str, Any] = field(default_factory=dict)
    """The last one."""

    def offer(self, frame: bytes) -> bool:
        if self.ready:
            self.payload = json.loads(payload_of(frame))["payload"]
            self.view.apply(self.payload)
        return self.ready


Row = list[int]


class Crowd:
    """A stepped shard, its viewers, and the truth of every frame."""

    def __init__(self, shard: ShardStepper, players: int = PLAYERS) -> None:
        self.shard = shard
        self.viewers: dict[str, Viewer] = {}
        self.seen: dict[str, tuple[int, set[int]]] = {}
        """Per viewer: the home that it was shown last, and whom it saw."""
        self.names = [f"car-{number:02d}" for number in range(players)]
        self.truth: list[dict[int, tuple[int, Row, int]]] = []
        """Per frame: slot to its cell, its row, and the turn of its zone."""
        self.at_home: set[int] = set()
        for name in self.names:
            self.enter(name)
        self.step()

    def enter(self, name: str) -> None:
        self.viewers[name] = Viewer()
        self.shard.clients[name] = self.viewers[name]
        self.shard._seq[name] = 0
        self.shard.realm.enter(Entry(name, f"Driver {name}", "car"), self.viewers[name])

    def put(self, number: int, x: float, z: float) -> None:
        """Place a car, if it is in the world."""
        name = self.names[number % len(self.names)]
        if self.shard.realm.occupant(name) is not None:
            self.shard.put(name, min(max(x, 1.0), SIZE_M - 1.0), min(max(z, 1.0), SIZE_M - 1.0))

    def step(self, ticks: int = 1) -> None:
        """Run ticks; after each, judge every picture."""
        for _ in range(ticks):
            for viewer in self.viewers.values():
                viewer.payload = {}
            self.shard.step()
            self.truth.append(self._pages())
            self.at_home = self._at_home()
            for name in list(self.viewers):
                self.judge(name)

    def _pages(self) -> dict[int, tuple[int, Row, int]]:
        found: dict[int, tuple[int, Row, int]] = {}
        for desk in self.shard.realm.barrier.desks:
            elsewhere = self.shard.realm.barrier.shown_elsewhere(desk)
            for cell in desk.cells.cells():
                for row in json.loads(full_of(cell) or b"{}").get("at", ()):
                    if row[0] not in elsewhere:
                        known = found.get(row[0])
                        if known is None or desk.idle:
                            found[row[0]] = cell.cell, full_row(row), desk.turn
        return found

    def judge(self, name: str) -> None:
        """Is the picture of one player the truth?"""
        occupant = self.shard.realm.occupant(name)
        if occupant is None:
            return
        watch = self.shard.realm.fanout.shown(occupant.slot)
        viewer = self.viewers[name]
        viewer.view.players()
        if watch is BLANK:
            return
        now = self.truth[-1]
        for slot, (cell, row, _) in now.items():
            if cell in watch.periods:
                car = viewer.view.cars.get(slot)
                assert car is not None, f"{name} has lost slot {slot} in cell {cell}"
                if not self.late():
                    assert car.cell == cell, f"{name} sees slot {slot} in {car.cell} instead of {cell}"
                self.judge_age(name, slot, full_row(car.row), row, watch.periods[cell])
        self.judge_sight(name, occupant.slot)
        for slot, car in viewer.view.cars.items():
            if slot in now and not self.held(slot):
                assert now[slot][0] in watch.periods, f"{name} still sees slot {slot}, which is in {now[slot][0]}"
            elif slot not in now:
                assert self.held(slot), f"{name} sees a ghost: slot {slot} in {car.cell}"

    def judge_sight(self, name: str, own: int) -> None:
        """Unless the budget cut the view: whoever is near is seen, and whoever changes its zone never vanishes."""
        now, viewer = self.truth[-1], self.viewers[name]
        watch = self.shard.realm.fanout.shown(own)
        seen = set(viewer.view.cars)
        if watch.tier < SHORTENED and not self.late():
            for slot in self.at_home if own in self.at_home else ():
                far_m = away_m(now[own][1], now[slot][1])
                assert slot in seen or far_m > SURELY_M, f"{name} does not see slot {slot}, {far_m} m away"
            if self.seen.get(name, (None,))[0] == watch.home:
                for slot in self.seen[name][1] - seen:
                    assert slot in now or not self.held(slot), f"{name} has lost slot {slot} on its way"
        self.seen[name] = watch.home, seen

    def _at_home(self) -> set[int]:
        """Slots listed where they stand, not abroad after the server placed them far away."""
        now = self.truth[-1]
        cells = np.array([cell for cell, _, _ in now.values()], np.int64)
        x, z = (np.array([row[column] / 100 for _, row, _ in now.values()]) for column in (2, 3))
        west, north, size = self.shard.realm.fanout.watching.tree.boxes(cells)
        inside = (west - 13 < x) & (x < west + size + 13) & (north - 13 < z) & (z < north + size + 13)
        return {slot for slot, good in zip(now, inside.tolist(), strict=True) if good}

    def judge_age(self, name: str, slot: int, seen: Row, true: Row, period: int) -> None:
        """A row that is not the true one has not been so for the cell's period, in turns of its zone."""
        if without_seq(seen) == without_seq(true):
            return
        turns: set[int] = set()
        for frame in reversed(self.truth):
            if slot not in frame or without_seq(frame[slot][1]) == without_seq(seen):
                break
            turns.add(frame[slot][2])
        else:
            raise AssertionError(f"{name} was shown a row of slot {slot} that never was: {seen}")
        assert len(turns) < self.most_turns(slot, period), (
            f"{name} sees {seen} of slot {slot} for {len(turns)} turns: {true}"
        )

    def most_turns(self, slot: int, period: int) -> int:
        """In how many turns the present row has been told for sure."""
        budget = self.shard.realm.fanout.watching.row_budget
        here = sum(cell == self.truth[-1][slot][0] for cell, _, _ in self.truth[-1].values())
        return period + (-(-len(self.names) // budget) if budget and here > budget else 0)

    def held(self, slot: int) -> bool:
        """Released by a zone and not forgotten yet, or told to be."""
        return any(
            slot in {seat[0] for seat in (*desk.forget, *(desk.outstanding.released if desk.outstanding else ()))}
            for desk in self.shard.realm.barrier.desks
        ) or any(slot in link.zone._listing._left_behind for link in self.shard.links if isinstance(link, InlineZone))

    def late(self) -> list[int]:
        return [desk.zone for desk in self.shard.realm.barrier.late()]


SURELY_M = 150.0
"""Nearer than this are cells that are watched at 192 m, bands and all."""


def away_m(one: Row, other: Row) -> float:
    return math.hypot(one[2] - other[2], one[3] - other[3]) / 100


def without_seq(row: Row) -> Row:
    return [*row[:SEQ], *row[SEQ + 1 :]]


SPOTS = [(256.0, 256.0), (120.0, 120.0), (262.0, 130.0), (40.0, 470.0), (258.0, 250.0)]
"""The corner where four zones meet, the middle of a zone, a border, a corner of the world, and a step off the first."""

DOINGS = st.lists(
    st.tuples(
        st.sampled_from(["gather", "gather", "scatter", "creep", "wait", "leave", "enter", "late", "refuse"]),
        st.integers(0, PLAYERS - 1),  # the first car of those who do it
        st.integers(1, PLAYERS),  # how many
        st.sampled_from(SPOTS),
        st.sampled_from([2.0, 6.0, 20.0, 60.0]),  # spread, metres
        st.integers(1, 5),  # ticks
    ),
    max_size=8,
)
Doing = tuple[str, int, int, tuple[float, float], float, int]


def play(crowd: Crowd, doings: list[Doing]) -> None:
    shard = crowd.shard
    where: dict[int, tuple[float, float]] = {}
    for kind, first, count, (x, z), spread, ticks in doings:
        cars = [(first + step) % PLAYERS for step in range(count)]
        if kind == "gather":
            for car in cars:  # on a grid around the spot
                where[car] = x + spread * ((car * 7) % 5 - 2) / 2, z + spread * ((car * 3) % 5 - 2) / 2
        elif kind == "scatter":
            for car in cars:
                where[car] = (x + car * 97.0) % SIZE_M, (z + car * 61.0) % SIZE_M
        elif kind == "leave":
            shard.realm.leave(crowd.names[first])
        elif kind == "enter" and crowd.names[first] not in shard.realm._by_player:
            crowd.enter(crowd.names[first])
        link = shard.links[first % len(shard.links)]
        assert isinstance(link, InlineZone)
        if kind == "late":
            link.held = []
        for tick in range(ticks):
            for car in cars:
                if kind == "creep" and car in where:
                    where[car] = where[car][0] + spread / 4, where[car][1]
                if kind == "creep" or (kind in ("gather", "scatter") and tick == 0):
                    crowd.put(car, *where.get(car, (x, z)))
            for number, name in enumerate(crowd.names):
                crowd.viewers[name].ready = not (kind == "refuse" and number in cars and tick < 2)
            crowd.step()
        if kind == "late":
            link.release_held()
            shard.collect()


def assert_final(crowd: Crowd) -> None:
    """Everybody has every final row of the cells that it watches."""
    for name, viewer in crowd.viewers.items():
        occupant = crowd.shard.realm.occupant(name)
        if occupant is not None:
            watch = crowd.shard.realm.fanout.shown(occupant.slot)
            for slot, (cell, row, _) in crowd.truth[-1].items():
                if cell in watch.periods:
                    assert without_seq(full_row(viewer.view.cars[slot].row)) == without_seq(row)


def settle(crowd: Crowd) -> None:
    """Nothing moves any more: nobody is lost or stale then, nor later."""
    for viewer in crowd.viewers.values():
        viewer.ready = True
    crowd.step(8)  # handoffs end, who was late has caught up
    for _ in range(6):
        crowd.step()
        assert_final(crowd)


@settings(
    max_examples=30,
    deadline=None,
    phases=[phase for phase in Phase if phase is not Phase.explain],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(doings=DOINGS, zones_count=st.sampled_from([1, 4]), budget=st.sampled_from([0, 5, 9, 100]))
def test_whatever_a_crowd_does_every_picture_is_the_truth(doings: list[Doing], zones_count: int, budget: int) -> None:
    with ShardStepper(
        zones=zones_count, players=PLAYERS + 2, size_m=SIZE_M, view_radius_m=192.0, row_budget=budget
    ) as shard:
        crowd = Crowd(shard)
        play(crowd, doings)
        settle(crowd)


@pytest.mark.parametrize("spread", [0.0, 2.0, 10.0, 40.0])
def test_a_crowd_gathers_and_leaves_again(spread: float) -> None:
    """The same without chance: cells split down to the smallest, and merge."""
    with ShardStepper(zones=4, players=PLAYERS, size_m=SIZE_M, view_radius_m=192.0, row_budget=9) as shard:
        crowd = Crowd(shard)
        play(crowd, [("gather", 0, PLAYERS, (256.0, 256.0), spread, 12)])
        split = {node for desk in shard.realm.barrier.desks for node in desk.cells.nodes}
        assert split
        tiers = {shard.realm.fanout.shown(shard.body(name).slot).tier for name in crowd.names}
        assert tiers <= {SLOWED, SHORTENED, IN_TURNS, UNCUT}
        assert tiers != {UNCUT}
        play(crowd, [("creep", 0, PLAYERS, (0.0, 0.0), 8.0, 20), ("scatter", 0, PLAYERS, (3.0, 5.0), 0.0, 8)])
        settle(crowd)
        assert {node for desk in shard.realm.barrier.desks for node in desk.cells.nodes} < split or not split


@pytest.mark.parametrize("budget", [6, 100])
@pytest.mark.parametrize("seed", range(3))
def test_everybody_drives_about_at_random(seed: int, budget: int) -> None:
    """Short stops and long steps: rows change just before their cell's rate does."""
    rng = random.Random(seed)
    with ShardStepper(
        zones=4, players=PLAYERS, size_m=SIZE_M, view_radius_m=192.0, row_budget=budget, seed=seed
    ) as shard:
        crowd = Crowd(shard)
        where = {car: (rng.uniform(150.0, 400.0), rng.uniform(150.0, 400.0)) for car in range(PLAYERS)}
        for _ in range(100):
            for car, (x, z) in where.items():
                if rng.random() < 0.25:
                    far_m = rng.choice([1.0, 8.0, 40.0])
                    where[car] = x + rng.uniform(-far_m, far_m), z + rng.uniform(-far_m, far_m)
                    crowd.put(car, *where[car])
            crowd.step()
        crowd.step(4)
        assert_final(crowd)  # no final state is lost to a rate
        settle(crowd)


def test_in_a_cell_over_budget_every_final_row_arrives() -> None:
    """All in one cell of 8 m, all moving, then none."""
    with ShardStepper(zones=1, players=PLAYERS, size_m=SIZE_M, view_radius_m=192.0, row_budget=5) as shard:
        crowd = Crowd(shard)
        for tick in range(30):
            for car in range(PLAYERS):
                crowd.put(car, 260.0 + (tick + car) % 3, 261.0 + (tick * car) % 4)
            crowd.step()
            assert tick < 4 or all(viewer.payload["tier"] == IN_TURNS for viewer in crowd.viewers.values())
            if tick > 24:
                rows = [
                    sum(len(cell.get("at", ())) for cell in viewer.payload["cells"])
                    for viewer in crowd.viewers.values()
                ]
                assert rows == [5] * PLAYERS
        crowd.step(4)
        settled = crowd.truth[-1]
        for viewer in crowd.viewers.values():
            for slot, seen in viewer.view.cars.items():
                assert without_seq(full_row(seen.row)) == without_seq(settled[slot][1])


@pytest.mark.parametrize("late_from", range(4))
def test_a_crowd_that_changes_its_zone_while_cells_split_is_never_lost(late_from: int) -> None:
    """Cars follow each other over a border, closely enough to split cells on both sides; the new owner is late."""
    with ShardStepper(zones=4, players=PLAYERS, size_m=SIZE_M, view_radius_m=192.0, row_budget=100) as shard:
        crowd = Crowd(shard)
        crowd.step(4)
        link = shard.links[crowd.shard.zone_map.zone_of_point(300.0, 100.0)]
        assert isinstance(link, InlineZone)
        for tick in range(45):
            for car in range(PLAYERS):
                x = 232.0 + 1.5 * tick - (3.0 * (car % 7)) if car < 12 else 256.0 + 12.0 * (car - 12.5)
                crowd.put(car, x, 100.0 + car)
            if tick % 5 == late_from:
                link.held = []
            crowd.step()
            if link.held is not None and tick % 5 == (late_from + 2) % 5:
                link.release_held()
                shard.collect()
        link.release_held()
        shard.collect()
        assert shard.realm.barrier.ledger.count >= 10
        settle(crowd)
