"""The fan-out: who is sent what, joined once per group of equals, and never wrong after a frame was refused."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shard.views import watching as watching_module
from shard.views.fanout import NOTHING, CellNews, Fanout, Offer
from shard.views.watching import RECOUNT_TICKS, Watching
from shared.cells import CellPage, EncodedCell
from shared.constants import CELL_M
from shared.messages import Snapshot, SnapshotPayload, decode_server
from tests.cell_forms import plain_cell
from tests.stepper import payload_of
from tests.watcher import Watcher

SIDE = 4
SLOTS = 6


@dataclass
class Socket:
    """Keeps the frames that it takes."""

    ready: bool = True
    frames: list[bytes] = field(default_factory=list)

    def offer(self, frame: bytes) -> bool:
        if self.ready:
            self.frames.append(frame)
        return self.ready

    def last(self) -> SnapshotPayload:
        message = decode_server(payload_of(self.frames[-1]))
        assert isinstance(message, Snapshot)
        return message.payload


def encoded(cell: int, news: bool = True) -> EncodedCell:
    """A cell with one car, slot 100 + cell."""
    return plain_cell(cell, [100 + cell], moved=None if news else [])


def told(*cells: EncodedCell, late_ticks: int = 0, fresh: bool = True) -> CellNews:
    news = CellNews()
    news.add(CellPage.of([*cells]), 0, late_ticks, fresh)
    return news


class Hall:
    """A fan-out with watchers whose homes a test sets."""

    def __init__(self, side: int = SIDE) -> None:
        self.fanout = Fanout(SLOTS, Watching(side, CELL_M, 0))
        self.homes = np.full(SLOTS, NOTHING, np.int32)
        self.tick = 0

    def watch(self, slot: int, home: int) -> Socket:
        socket = Socket()
        self.homes[slot] = home
        self.fanout.watch(slot, socket)
        return socket

    def publish(self, cells: CellNews | None = None) -> int:
        """One tick; returns how many frames were joined."""
        self.tick += 1
        before = self.fanout.joins
        pos = np.zeros((SLOTS, 3))
        self.fanout.publish(self.tick, 50.0 * self.tick, self.homes, pos, cells or CellNews())
        return self.fanout.joins - before

    def watched(self, home: int) -> list[int]:
        """Cells around a home, ascending."""
        return sorted(() if home == NOTHING else self.fanout.watching.watch(home).periods)


@pytest.fixture
def hall() -> Hall:
    return Hall()


def names(payload: SnapshotPayload) -> list[int]:
    return [cell.c for cell in payload.cells]


# --- what is watched


@pytest.mark.parametrize(
    ("home", "around"),
    [(0, (0, 1, 4, 5)), (5, (0, 1, 2, 4, 5, 6, 8, 9, 10)), (7, (2, 3, 6, 7, 10, 11)), (15, (10, 11, 14, 15))],
)
def test_a_watcher_sees_the_cells_around_its_home_inside_the_world(
    hall: Hall, home: int, around: tuple[int, ...]
) -> None:
    assert tuple(hall.watched(home)) == around


def test_the_first_frame_is_a_reset_with_every_cell_full(hall: Hall) -> None:
    socket = hall.watch(0, home=0)
    hall.publish(told(encoded(0), encoded(5, news=False), encoded(10), encoded(3)))
    payload = socket.last()
    assert payload.reset
    assert sorted(names(payload)) == [0, 5]
    assert all(cell.full for cell in payload.cells)
    assert (payload.tick, payload.t, payload.drop, payload.tier) == (1, 50.0, [], 0)


def test_the_first_frame_comes_even_into_an_empty_world(hall: Hall) -> None:
    socket = hall.watch(0, home=0)
    hall.publish()
    assert (socket.last().reset, socket.last().cells) == (True, [])
    hall.publish()
    assert len(socket.frames) == 1


def test_nobody_is_shown_anything_before_its_first_tick(hall: Hall) -> None:
    socket = hall.watch(0, home=NOTHING)
    assert hall.publish(told(encoded(0))) == 0
    assert socket.frames == []
    hall.homes[0] = 0
    hall.publish(told(encoded(0)))
    assert socket.last().reset


def test_afterwards_only_news_of_watched_cells_are_told(hall: Hall) -> None:
    socket = hall.watch(0, home=0)
    hall.publish(told(encoded(0), encoded(5)))
    hall.publish(told(encoded(0, news=False), encoded(5), encoded(10)))
    assert names(socket.last()) == [5]
    assert not socket.last().cells[0].full
    assert not socket.last().reset
    assert hall.publish(told(encoded(0, news=False), encoded(10))) == 0
    assert len(socket.frames) == 2


def test_an_emptied_cell_is_told_to_who_knows_it_and_not_to_who_comes(hall: Hall) -> None:
    knows = hall.watch(0, home=0)
    hall.publish(told(encoded(1)))
    comes = hall.watch(1, home=0)
    hall.publish(told(plain_cell(1, [], gone=[101])))
    assert knows.last().cells[0].gone == [101]
    assert comes.last().cells == []


def test_a_move_brings_full_cells_and_drops_those_behind(hall: Hall) -> None:
    socket = hall.watch(0, home=4)
    world = [encoded(cell, news=cell % 2 == 1) for cell in range(16)]
    hall.publish(told(*world))
    hall.homes[0] = 6
    hall.publish(told(*world))
    payload = socket.last()
    assert sorted(payload.drop) == [0, 4, 8]
    known, new = (1, 5, 9), (2, 3, 6, 7, 10, 11)
    assert {cell.c: cell.full for cell in payload.cells} == dict.fromkeys(known, False) | dict.fromkeys(new, True)
    assert not payload.reset
    hall.publish(told(*world))
    assert sorted(names(socket.last())) == [1, 3, 5, 7, 9, 11]


def test_a_move_into_emptiness_still_drops(hall: Hall) -> None:
    socket = hall.watch(0, home=0)
    hall.publish()
    hall.homes[0] = 15
    hall.publish()
    assert (socket.last().cells, sorted(socket.last().drop)) == ([], [0, 1, 4, 5])


def test_a_move_within_a_small_world_says_nothing_when_nothing_changes() -> None:
    hall = Hall(side=2)
    socket = hall.watch(0, home=0)
    hall.publish(told(encoded(0)))
    hall.homes[0] = 3
    assert hall.publish(told(encoded(0, news=False))) == 0
    hall.publish(told(encoded(0)))
    assert names(socket.last()) == [0]


# --- groups


def test_equals_share_one_frame_to_the_byte(hall: Hall) -> None:
    sockets = [hall.watch(slot, home=0) for slot in range(3)]
    far = hall.watch(3, home=15)
    assert hall.publish(told(encoded(0), encoded(15))) == 2
    assert hall.publish(told(encoded(0), encoded(15))) == 2
    for number in (0, 1):
        assert len({id(socket.frames[number]) for socket in sockets}) == 1
    assert far.frames[1] != sockets[0].frames[1]
    assert hall.fanout.writes == 8


def test_groups_without_news_cost_nothing(hall: Hall) -> None:
    hall.watch(0, home=0)
    hall.watch(1, home=15)
    hall.publish(told(encoded(0), encoded(15)))
    assert hall.publish(told(encoded(15))) == 1
    assert hall.publish(told(encoded(0, news=False), encoded(15, news=False))) == 0


def test_those_who_came_from_elsewhere_are_a_group_of_their_own_for_one_tick(hall: Hall) -> None:
    for slot, home in ((0, 5), (1, 5), (2, 6), (3, 6)):
        hall.watch(slot, home)
    world = told(*map(encoded, range(16)))
    assert hall.publish(world) == 2
    hall.homes[[2, 3]] = 5
    assert hall.publish(world) == 2
    assert hall.publish(world) == 1


# --- refusals


def test_who_refused_a_frame_gets_a_reset_later(hall: Hall) -> None:
    slow, quick = hall.watch(0, home=0), hall.watch(1, home=0)
    hall.publish(told(encoded(0)))
    slow.ready = False
    hall.publish(told(encoded(0)))
    hall.publish(told(encoded(0)))
    assert (len(slow.frames), len(quick.frames)) == (1, 3)
    assert hall.fanout.skipped == 2
    slow.ready = True
    hall.publish(told(encoded(0, news=False)))
    assert slow.last().reset
    assert slow.last().cells[0].full
    assert len(quick.frames) == 3
    assert hall.publish(told(encoded(0))) == 1, "equals again"


def test_a_socket_may_change_what_it_offers(hall: Hall) -> None:
    @dataclass
    class Changing:
        offer: Offer

    kept, socket = Socket(), Changing(lambda frame: False)
    hall.homes[0] = 5
    hall.fanout.watch(0, socket)
    hall.publish(told(encoded(5)))
    assert (hall.fanout.writes, hall.fanout.skipped) == (0, 1)
    socket.offer = kept.offer
    hall.publish(told(encoded(5)))
    assert hall.fanout.skipped == 2, "it has not said so"
    hall.fanout.refresh(0)
    hall.fanout.refresh(3)  # watches nothing
    hall.publish(told(encoded(5)))
    assert (hall.fanout.writes, hall.fanout.skipped) == (1, 2)
    assert kept.last().reset


def test_who_refused_its_first_frame_gets_it_later(hall: Hall) -> None:
    socket = hall.watch(0, home=0)
    socket.ready = False
    hall.publish(told(encoded(0)))
    socket.ready = True
    hall.publish(told(encoded(0, news=False)))
    assert socket.last().reset


def test_who_refused_while_moving_starts_anew_where_it_is(hall: Hall) -> None:
    socket = hall.watch(0, home=0)
    hall.publish(told(encoded(0), encoded(15)))
    socket.ready = False
    hall.homes[0] = 15
    hall.publish(told(encoded(0), encoded(15)))
    socket.ready = True
    hall.publish(told(encoded(0), encoded(15)))
    assert (socket.last().reset, names(socket.last()), socket.last().drop) == (True, [15], [])


def test_two_who_came_to_one_home_before_and_after_all_watches_were_forgotten_are_one_group(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching_module, "WATCHES_MAX", 2)
    hall.fanout = Fanout(SLOTS, Watching(SIDE, CELL_M, 100))
    first, second, _ = hall.watch(0, 5), hall.watch(1, 0), hall.watch(2, 15)
    for _ in range(RECOUNT_TICKS + 1):
        hall.fanout.watching.tick()
        hall.publish(told(encoded(5)))
    hall.homes[1] = 5
    hall.publish(told(encoded(5)))
    assert hall.publish(told(encoded(5))) == 1, "for both: the third is too far away"
    assert first.frames[-1] is second.frames[-1]
    hall.fanout.unwatch(0)
    hall.homes[0] = NOTHING
    counts = len(first.frames), len(second.frames)
    hall.publish(told(encoded(5)))
    assert (len(first.frames), len(second.frames)) == (counts[0], counts[1] + 1)


def test_who_does_not_watch_any_more_gets_nothing(hall: Hall) -> None:
    socket = hall.watch(0, home=0)
    hall.publish(told(encoded(0)))
    hall.fanout.unwatch(0)
    hall.fanout.unwatch(0)
    assert hall.publish(told(encoded(0))) == 0
    assert len(socket.frames) == 1


def test_a_new_socket_of_the_same_slot_replaces_the_old_one(hall: Hall) -> None:
    old = hall.watch(0, home=0)
    hall.publish(told(encoded(0)))
    new = hall.watch(0, home=0)
    hall.publish(told(encoded(0)))
    assert (len(old.frames), len(new.frames)) == (1, 1)
    assert new.last().reset


# --- late zones


def test_a_late_cell_says_by_how_much_and_nothing_else(hall: Hall) -> None:
    socket = hall.watch(0, home=0)
    hall.publish(told(encoded(0)))
    hall.publish(told(encoded(0), late_ticks=1, fresh=False))
    [cell] = socket.last().cells
    assert (cell.c, cell.late, cell.full, cell.who, cell.at, cell.gone) == (0, 1, False, [], [], [])


def test_who_comes_while_a_zone_is_late_sees_it_as_it_was_and_that_it_is_late(hall: Hall) -> None:
    hall.publish(told(encoded(0)))
    socket = hall.watch(0, home=0)
    hall.publish(told(encoded(0), late_ticks=3, fresh=False))
    [cell] = socket.last().cells
    assert (cell.full, cell.late, len(cell.who)) == (True, 3, 1)


def test_news_that_come_late_are_told_once_and_marked(hall: Hall) -> None:
    socket = hall.watch(0, home=0)
    hall.publish(told(encoded(0)))
    hall.publish(told(encoded(0), late_ticks=1, fresh=True))
    [cell] = socket.last().cells
    assert cell.late == 1
    assert len(cell.at) == 1


def test_an_empty_cell_of_a_late_zone_is_not_mentioned(hall: Hall) -> None:
    socket = hall.watch(0, home=0)
    gone = plain_cell(1, [], gone=[101])
    hall.publish(told(encoded(0), gone))
    hall.publish(told(encoded(0), gone, late_ticks=1, fresh=False))
    assert names(socket.last()) == [0]


def test_a_late_full_cell_does_not_list_whom_its_zone_was_told_to_release(hall: Hall) -> None:
    socket = hall.watch(0, home=0)
    cells = CellNews()
    cells.add(CellPage.of([plain_cell(1, [7, 8])]), 0, late_ticks=1, fresh=False, elsewhere={7})
    hall.publish(cells)
    [cell] = socket.last().cells
    assert [who.slot for who in cell.who] == [8]
    assert [row.slot for row in cell.at] == [8]
    assert cell.late == 1


# --- all of it at random, against watchers in plain Python


class Country:
    """Two zones, the northern and the southern half of the grid, with cars that stay in their zone."""

    def __init__(self) -> None:
        self.cells: list[dict[int, int]] = [{}, {}]
        """Per zone: car to cell, as last committed."""
        self.turn: dict[int, int] = {}
        """Car to a number that its row carries."""
        self.told: list[dict[int, tuple[int, int]]] = [{}, {}]
        """Per zone: car to cell and turn as told last."""
        self.encoded: list[list[EncodedCell]] = [[], []]
        self.late = [0, 0]

    def tick(self, zone: int, drives: list[tuple[int, int]]) -> None:
        for car, cell in drives:
            self.cells[zone][car] = 8 * zone + cell % 8
            self.turn[car] = self.turn.get(car, 0) + 1
        now = {car: (cell, self.turn[car]) for car, cell in self.cells[zone].items()}
        before = self.told[zone]
        out = []
        for cell in sorted({cell for cell, _ in (*now.values(), *before.values())}):
            here = sorted(car for car, (where, _) in now.items() if where == cell)
            entered = [car for car in here if before.get(car, (None, 0))[0] != cell]
            moved = [car for car in here if before.get(car) != now[car]]
            gone = sorted(car for car, (where, _) in before.items() if where == cell and now[car][0] != cell)
            values = {car: self.turn[car] for car in here}
            out.append(plain_cell(cell, here, moved, entered, gone, values))
        self.told[zone], self.encoded[zone] = now, out

    def truth(self, around: list[int]) -> dict[int, tuple[int, int]]:
        """What somebody who watches these cells should see: car to cell and turn."""
        everywhere = self.told[0] | self.told[1]
        return {car: seen for car, seen in everywhere.items() if seen[0] in around}


DRIVES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 7)), max_size=3)
WATCHER_SLOTS = st.sets(st.integers(0, SLOTS - 1), max_size=3)
TICKS = st.lists(
    st.tuples(
        st.tuples(DRIVES, DRIVES),
        st.sampled_from([(), (), (), (0,), (1,), (0, 1)]),
        st.lists(st.tuples(st.integers(0, SLOTS - 1), st.integers(0, 15)), max_size=3),
        WATCHER_SLOTS,
        st.lists(st.tuples(st.sampled_from(["watch", "watch", "unwatch"]), st.integers(0, SLOTS - 1)), max_size=2),
    ),
    max_size=20,
)
Ticks = list[
    tuple[
        tuple[list[tuple[int, int]], list[tuple[int, int]]],
        tuple[int, ...],
        list[tuple[int, int]],
        set[int],
        list[tuple[str, int]],
    ]
]


@settings(max_examples=120, deadline=None)
@given(ticks=TICKS)
def test_every_watchers_picture_is_the_truth_whatever_it_refused_and_wherever_it_drove(ticks: Ticks) -> None:
    hall, country = Hall(), Country()
    sockets: dict[int, Socket] = {}
    views: dict[int, Watcher] = {}
    seen: dict[int, int] = {}
    for drives, late, homes, busy, doings in ticks:
        for kind, slot in doings:
            hall.fanout.unwatch(slot)
            sockets.pop(slot, None)
            if kind == "watch":
                sockets[slot] = hall.watch(slot, int(hall.homes[slot]))
                views[slot], seen[slot] = Watcher(), NOTHING
        for slot, home in homes:
            hall.homes[slot] = home
        cells = CellNews()
        for zone in (0, 1):
            country.late[zone] = country.late[zone] + 1 if zone in late else 0
            if zone not in late:
                country.tick(zone, [(2 * car + zone, cell) for car, cell in drives[zone]])
            cells.add(CellPage.of(country.encoded[zone]), 0, country.late[zone], fresh=zone not in late)
        for slot, socket in sockets.items():
            socket.ready = slot not in busy
        expected = expected_groups(hall, cells, sockets, seen)
        counts = hall.fanout.joins, hall.fanout.writes, hall.fanout.skipped
        hall.publish(cells)
        told_slots = [slot for group in expected.values() for slot in group]
        accepted = [slot for slot in told_slots if sockets[slot].ready]
        assert hall.fanout.joins - counts[0] == len(expected)
        assert hall.fanout.writes - counts[1] == len(accepted)
        assert hall.fanout.skipped - counts[2] == len(told_slots) - len(accepted)
        for slot, socket in sockets.items():
            frames, socket.frames = socket.frames, []
            assert len(frames) == (slot in accepted)
            for frame in frames:
                assert isinstance(decode_server(payload_of(frame)), Snapshot)
                views[slot].apply(json.loads(payload_of(frame))["payload"])
            home = int(hall.homes[slot])
            if home != NOTHING:
                seen[slot] = NOTHING if slot in told_slots and slot not in accepted else home
            check_picture(country, hall, views[slot], seen[slot])


def expected_groups(
    hall: Hall, cells: CellNews, sockets: dict[int, Socket], seen: dict[int, int]
) -> dict[tuple[int, int], list[int]]:
    """Watchers for whom there is anything to say, by what they have seen and where they are."""
    groups: dict[tuple[int, int], list[int]] = {}
    for slot in sockets:
        home = int(hall.homes[slot])
        if home == NOTHING:
            continue
        known, around = hall.watched(seen[slot]), hall.watched(home)
        anything = any(cells.every.get(name) if name in known else cells.full(name) for name in around)
        if anything or set(known) - set(around) or seen[slot] == NOTHING:
            groups.setdefault((seen[slot], home), []).append(slot)
    return groups


def check_picture(country: Country, hall: Hall, view: Watcher, seen: int) -> None:
    if seen == NOTHING:
        return
    around = hall.watched(seen)
    assert {slot: (car.cell, car.row[2]) for slot, car in view.cars.items()} == country.truth(around)
