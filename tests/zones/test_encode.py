"""The encoder against watchers in plain Python: what a watcher believes after each tick that it was shown is the truth.

A hand-driven zone adopts, moves, releases and forgets players at random; some ticks are not shown, some cells find no
room in the arena. Watchers of different sets of cells, some of whom come later, apply the JSON as the contract says.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from shared.cells import WINDOWS, EncodedCell
from shared.constants import FLAG_AIRBORNE, PROOF_OF_LIFE_MS
from tests.cell_forms import MEMBERSHIP, full_of, full_row, news_of, parsed
from tests.watcher import Json, Watcher
from zones.encode import CellEncoder, who_row
from zones.listing import Listing
from zones.rows import SEQ, Rows

SLOTS = 4
CELLS = 3
GROUND_CM = 0
TICK_MS = 50.0


class Doing(NamedTuple):
    """What happens in one tick. Slots that cannot do what is asked of them do not."""

    join: tuple[int, ...] = ()
    """Slots that are adopted, if free or left behind."""
    part: tuple[int, ...] = ()
    """Members that are released; they stay listed until forgotten."""
    forget: tuple[int, ...] = ()
    """Slots left behind that are forgotten."""
    quit: tuple[int, ...] = ()
    """Members that are released and forgotten at once: they left the world."""
    move: tuple[tuple[int, int], ...] = ()
    """(slot, cell): members that stand in that cell now."""
    drive: tuple[tuple[int, int, int], ...] = ()
    """(slot, flags, height cm): members whose row changes."""
    shown: bool = True
    """Whether watchers get this tick before the zone does the next."""
    late: bool = False
    """Not before the next, but afterwards, unless that one goes out in time."""
    omit: tuple[int, ...] = ()
    """Cells that find no room in the arena."""
    newcomer: bool = False
    """A watcher of all cells arrives."""
    ms: float = TICK_MS


class Truth(NamedTuple):
    """How things are at the end of a tick."""

    tick: int
    cell: dict[int, int]
    """Members and where they stand."""
    row: dict[int, list[int]]
    name: dict[int, bytes]
    left_behind: frozenset[int]


class HandZone:
    """A zone's listing and encoder, driven as the zone drives them, and the truth in plain dicts."""

    def __init__(self) -> None:
        self.listing = Listing(SLOTS)
        self.names: dict[int, bytes] = {}
        self.encoder = CellEncoder(self.names.__getitem__)
        self.cell: dict[int, int] = {}
        """Members and where they stand."""
        self.row: dict[int, list[int]] = {}
        self.generation = [0] * SLOTS
        self.left_behind: set[int] = set()
        self.told = Told()
        self.owed: set[int] = set()
        self.tick = 0
        self.shown = 0
        self.last = 0
        self.now_ms = 1e6

    def do(self, doing: Doing) -> list[EncodedCell]:
        """One tick up to the cells that reached main."""
        self.tick += 1
        self.now_ms += doing.ms
        self._members(doing)
        for slot, cell in doing.move:
            if slot in self.cell:
                self.cell[slot] = cell
        for slot in self.cell:
            self.row[slot][SEQ] += 1
        for slot, drawn, height_cm in doing.drive:
            flags = drawn | (FLAG_AIRBORNE if height_cm != GROUND_CM else 0)
            if slot in self.cell:
                self.row[slot][2] += 7
                self.row[slot][6:8] = [flags, height_cm]
        slots = np.array(sorted(self.cell), np.intp)
        cells = np.array([self.cell[slot] for slot in slots.tolist()], np.int32)
        rows: Rows = np.array([self.row[slot] for slot in slots.tolist()], np.int64).reshape(-1, 8)
        news = self.listing.update(slots, cells, rows, self.now_ms)
        in_full = self.shown != self.last
        naive = self.told.news(self)
        encoded = self.encoder.encode(slots, cells, rows, news, in_full).cells()
        if not in_full:
            check_news(encoded, naive, self.owed)
        self.last = self.tick
        omitted = [each.cell for each in encoded if each.cell in doing.omit]
        self.encoder.owe(omitted)
        self.owed = set(omitted)
        return [each for each in encoded if each.cell not in omitted]

    def truth(self) -> Truth:
        rows = {slot: list(row) for slot, row in self.row.items()}
        return Truth(self.tick, dict(self.cell), rows, dict(self.names), frozenset(self.left_behind))

    def _members(self, doing: Doing) -> None:
        adopted = [slot for slot in doing.join if slot not in self.cell]
        released = [slot for slot in dict.fromkeys(doing.part + doing.quit) if slot in self.cell]
        for slot in adopted:
            if slot not in self.left_behind:  # somebody else; otherwise the same player is back
                self.generation[slot] += 1
            self.told.part(slot)
            self.left_behind.discard(slot)
            generation = self.generation[slot]
            self.names[slot] = who_row(slot, f"sub-{slot}-{generation}", f"Näme {slot}", "car")
            self.cell[slot] = slot % CELLS
            self.row[slot] = [slot, 0, 100 * slot, 10 * generation, 0, 0, 0, GROUND_CM]
        self.listing.adopt([(slot, self.generation[slot]) for slot in adopted])
        self.listing.release([(slot, self.generation[slot]) for slot in released])
        for slot in released:
            self.left_behind.add(slot)
            del self.cell[slot]
        forgotten = [slot for slot in dict.fromkeys(doing.forget + doing.quit) if slot in self.left_behind]
        self.listing.forget([(slot, self.generation[slot]) for slot in forgotten])
        self.left_behind.difference_update(forgotten)
        for slot in forgotten:
            self.told.part(slot)


class Told:
    """A naive listing: in which cell watchers were told of a slot, with which row, and when."""

    def __init__(self) -> None:
        self.cell: dict[int, int] = {}
        self.row: dict[int, list[int]] = {}
        self.sent_ms: dict[int, float] = {}
        self.parted: list[tuple[int, int]] = []
        """(slot, cell) of which watchers are told ``gone`` next."""

    def part(self, slot: int) -> None:
        if slot in self.cell:
            self.parted.append((slot, self.cell.pop(slot)))

    def news(self, zone: HandZone) -> dict[int, Json]:
        """What has to be told now, by cell; noted as told."""
        who: dict[int, list[int]] = {}
        at: dict[int, list[int]] = {}
        for slot, cell in sorted(zone.cell.items()):
            entered = self.cell.get(slot) != cell
            if entered:
                self.part(slot)
                who.setdefault(cell, []).append(slot)
            row = zone.row[slot]
            alike = not entered and [*row[:SEQ], *row[SEQ + 1 :]] == [
                *self.row[slot][:SEQ],
                *self.row[slot][SEQ + 1 :],
            ]
            if not alike or zone.now_ms - self.sent_ms[slot] >= PROOF_OF_LIFE_MS - 1.0:
                at.setdefault(cell, []).append(slot)
                self.sent_ms[slot] = zone.now_ms
            self.cell[slot], self.row[slot] = cell, list(row)
        parted, self.parted = self.parted, []
        gone: dict[int, set[int]] = {}
        for slot, cell in parted:
            if self.cell.get(slot) != cell:
                gone.setdefault(cell, set()).add(slot)
        return {
            cell: {"c": cell}
            | ({"who": [json.loads(zone.names[slot]) for slot in who[cell]]} if cell in who else {})
            | ({"at": [full_row(zone.row[slot]) for slot in sorted(at[cell])]} if cell in at else {})
            | ({"gone": sorted(gone[cell])} if cell in gone else {})
            for cell in who.keys() | at.keys() | gone.keys()
        }


def check_news(encoded: list[EncodedCell], naive: dict[int, Json], owed: set[int]) -> None:
    """News say exactly what changed, no more and no less; cells that were left out before go full."""
    for each in encoded:
        news = parsed(news_of(each))
        if each.cell in owed:
            assert news == (parsed(full_of(each)) or {"c": each.cell, "full": True})
        else:
            assert news == naive.get(each.cell, {})
            moved = naive.get(each.cell, {}).get("at", [])
            come = {who[0] for who in naive.get(each.cell, {}).get("who", [])}
            only_members = {key: value for key, value in news.items() if key != "at"}
            if come:
                only_members["at"] = [row for row in moved if row[0] in come]
            assert parsed(news_of(each, MEMBERSHIP)) == (only_members if only_members.keys() > {"c"} else {})
    assert naive.keys() | owed <= {each.cell for each in encoded}


class Eye:
    """A watcher of some cells, fed as the fan-out would feed it: cells are due in every ``period``-th tick."""

    def __init__(self, cells: set[int], period: int = 1) -> None:
        self.cells = cells
        self.period = period
        self.view = Watcher()
        self.started = False
        self.turn = 0
        self.fresh: set[int] = set()
        """Cells whose rows are all as they are: they were due, or told in full."""
        self.blind: set[int] = set()
        """Cells of whose last tick nothing arrived for want of room."""

    def show(self, tick: int, arrived: list[EncodedCell], omitted: Sequence[int]) -> None:
        """One tick that is shown; the first is a reset with full cells."""
        self.turn += 1
        window = MEMBERSHIP if self.turn % self.period else self.period
        found = [
            news_of(each, window) if self.started else full_of(each) for each in arrived if each.cell in self.cells
        ]
        payload = json.loads(b'{"tick":%d,"cells":[%b]}' % (tick, b",".join(filter(None, found))))
        self.view.apply(payload | {"reset": not self.started})
        self.fresh = set(self.cells)
        if self.started and window == MEMBERSHIP:
            self.fresh = {cell["c"] for cell in payload["cells"] if cell.get("full")}
        self.started = True
        self.blind = {cell for cell in omitted if cell in self.cells}

    def check(self, truth: Truth) -> None:
        """The picture is the truth, but for cells that did not arrive and players left behind for their new owner."""
        listing = self.view.listing()
        for slot, cell in truth.cell.items():
            if cell in self.cells - self.blind:
                assert listing.get(slot) == cell, f"slot {slot} stands in {cell}, is seen in {listing.get(slot)}"
                assert self.view.cars[slot].who == json.loads(truth.name[slot])
                if cell not in self.fresh and self.view.cars[slot].tick != truth.tick:
                    continue
                assert_same_row(self.view.cars[slot].row, truth.row[slot])
        for slot, cell in listing.items():
            if cell not in self.blind and slot not in truth.left_behind:
                assert truth.cell.get(slot) == cell, f"a ghost: slot {slot} is seen in {cell}"


def assert_same_row(seen: list[int], true: list[int]) -> None:
    """Equal but for ``seq``, which may be a second old."""
    full = full_row(seen)
    assert [*full[:SEQ], *full[SEQ + 1 :]] == [*true[:SEQ], *true[SEQ + 1 :]]
    assert true[SEQ] - full[SEQ] <= PROOF_OF_LIFE_MS / TICK_MS


Show = tuple[Truth, list[EncodedCell], Sequence[int]]


def run(*doings: Doing) -> None:
    zone = HandZone()
    eyes = [
        Eye({0, 1, 2}),
        Eye({0}),
        Eye({1}),
        Eye({2}),
        Eye({0, 2}),
        Eye({0, 1, 2}, 2),
        Eye({0, 1, 2}, 4),
        Eye({1}, 4),
    ]
    waiting: Show | None = None
    """What is shown once the next tick is made, unless that one is there in time."""
    for doing in doings:
        arrived = zone.do(doing)
        check_cells(zone, arrived)
        this: Show = zone.truth(), arrived, doing.omit
        in_time = doing.shown and not doing.late
        show = this if in_time else waiting
        waiting = this if doing.late else None
        if doing.newcomer:
            eyes += [Eye({0, 1, 2}), Eye({0, 1, 2}, 4)]
        if show is not None:
            truth, cells, omitted = show
            zone.shown = truth.tick
            for eye in eyes:
                eye.show(truth.tick, cells, omitted)
                eye.check(truth)


def check_cells(zone: HandZone, arrived: list[EncodedCell]) -> None:
    """Cells ascend, empty ones last; ``full`` is as a naive encoder makes it, news are JSON of the contract's keys."""
    order = [(not each.members, each.cell) for each in arrived]
    assert order == sorted(set(order))
    for each in arrived:
        here = sorted(slot for slot, cell in zone.cell.items() if cell == each.cell)
        assert each.members == len(here)
        assert parsed(full_of(each)) == naive_full(zone, each.cell, here)
        widths = {len(row) for row in orjson.loads(full_of(each) or b"{}").get("at", ())}
        assert widths == ({max(map(needed_columns, (zone.row[slot] for slot in here)))} if here else set())
        for window in (MEMBERSHIP, *WINDOWS):
            if form := news_of(each, window):
                news = orjson.loads(form)
                assert set(news) <= {"c", "full", "who", "at", "gone"}
                assert news["c"] == each.cell
                assert {who[0] for who in news.get("who", ())} <= {row[0] for row in news.get("at", ())}
                assert len(parsed(form)) > 1, "a cell without news has none"


def needed_columns(row: list[int]) -> int:
    return 8 if row[6] & FLAG_AIRBORNE else 7 if row[6] else 6


def naive_full(zone: HandZone, cell: int, here: list[int]) -> Json:
    if not here:
        return {}
    return {
        "c": cell,
        "full": True,
        "who": [json.loads(zone.names[slot]) for slot in here],
        "at": [full_row(zone.row[slot]) for slot in here],
    }


Act = tuple[str, Any]
ACTS: list[Act] = [
    *((kind, slot) for kind in ("join", "join", "part", "part", "forget", "forget", "quit") for slot in range(SLOTS)),
    *(("move", (slot, cell)) for slot in range(SLOTS) for cell in range(CELLS)),
    *(("drive", (slot, flags, height_cm)) for slot in range(SLOTS) for flags, height_cm in ((0, 0), (4, 0), (4, 120))),
]
FATES = [
    *[Doing()] * 4,
    *[Doing(shown=False)] * 2,
    *[Doing(late=True)] * 4,
    *[Doing(omit=(cell,)) for cell in range(CELLS)],
    Doing(omit=(0, 1), shown=False),
    Doing(omit=(0,), late=True),
    Doing(newcomer=True),
    Doing(newcomer=True, omit=(1,)),
    Doing(ms=400.0),
    Doing(ms=1000.0),
]


def doing_of(acts: list[Act], fate: Doing) -> Doing:
    chosen: dict[str, Any] = {}
    for kind, what in acts:
        chosen[kind] = (*chosen.get(kind, ()), what)
    return fate._replace(**chosen)


TICKS = st.builds(doing_of, st.lists(st.sampled_from(ACTS), max_size=4, unique=True), st.sampled_from(FATES))


@settings(max_examples=300, deadline=None, phases=[phase for phase in Phase if phase is not Phase.explain])
@given(ticks=st.lists(TICKS, max_size=25))
def test_after_every_tick_shown_a_watchers_picture_is_the_truth(ticks: list[Doing]) -> None:
    run(*ticks)


def seen(zone: HandZone, doing: Doing) -> list[EncodedCell]:
    """A tick that watchers get in time."""
    cells = zone.do(doing)
    zone.shown = zone.tick
    return cells


IN_CELL_0 = Doing(join=(0,))
"""Slot 0 is adopted; it stands in cell 0."""


def test_a_car_whose_parting_was_not_shown_is_no_ghost_afterwards() -> None:
    """Handed off and forgotten, in a tick of which the zone was late: the next must say it again."""
    run(IN_CELL_0, Doing(part=(0,)), Doing(forget=(0,), shown=False), Doing(), Doing())


def test_a_car_forgotten_right_after_a_tick_that_was_not_shown_is_no_ghost() -> None:
    """Its cell has been empty for the zone since the release, but not for watchers."""
    run(IN_CELL_0, Doing(part=(0,)), Doing(shown=False), Doing(forget=(0,)), Doing())


def test_an_empty_cell_that_found_no_room_is_told_although_the_next_tick_is_not_shown() -> None:
    run(IN_CELL_0, Doing(move=((0, 1),), omit=(0,)), Doing(shown=False), Doing(), Doing())


def test_a_car_that_left_the_world_in_a_tick_not_shown_is_no_ghost() -> None:
    run(IN_CELL_0, Doing(quit=(0,), shown=False), Doing(shown=False), Doing())


def test_a_car_that_only_a_late_tick_showed_is_no_ghost_afterwards() -> None:
    """It came in a tick that was shown after the next was made, in which it was elsewhere already."""
    run(IN_CELL_0, Doing(move=((0, 1),), late=True), Doing(move=((0, 2),), shown=False), Doing(), Doing())


def test_a_cell_left_out_goes_full_as_soon_as_there_is_room() -> None:
    run(
        Doing(join=(0, 3)),
        Doing(drive=((0, 0, 0),), omit=(0,)),
        Doing(omit=(0,)),
        Doing(join=(1,), move=((3, 1),), omit=(0, 1)),
        Doing(newcomer=True),
        Doing(),
    )


def test_rows_of_a_cell_have_one_width_whoever_needs_it() -> None:
    run(
        Doing(join=(0, 3), drive=((0, 0, 0),)),
        Doing(drive=((3, 4, 0),)),
        Doing(drive=((0, 0, 50), (3, 4, 0))),
        Doing(drive=((0, 0, 0), (3, 0, 0))),
        Doing(newcomer=True),
    )


def test_the_next_player_of_a_slot_is_told_by_name() -> None:
    run(IN_CELL_0, Doing(quit=(0,)), IN_CELL_0, Doing(newcomer=True))


def test_cells_ascend_and_those_that_are_empty_now_come_last() -> None:
    zone = HandZone()
    seen(zone, Doing(join=(0, 1)))
    encoded = seen(zone, Doing(move=((0, 1),)))
    assert [each.cell for each in encoded] == [1, 0]


def test_no_members_and_no_news_are_no_cells() -> None:
    zone = HandZone()
    assert seen(zone, Doing()) == []
    seen(zone, IN_CELL_0)
    seen(zone, Doing(quit=(0,)))
    assert seen(zone, Doing()) == []


def test_a_cell_without_news_says_nothing_but_can_be_shown_full() -> None:
    zone = HandZone()
    seen(zone, IN_CELL_0)
    [cell] = seen(zone, Doing())
    assert news_of(cell) == b""
    assert orjson.loads(full_of(cell))["at"] == [[0, 2, 0, 10, 0, 0]]


def test_the_bytes_are_compact_and_the_same_for_the_same_ticks() -> None:
    doings = [Doing(join=(0, 3)), Doing(drive=((3, 4, 0),)), Doing(move=((0, 2),)), Doing(quit=(3,))]
    one, other = HandZone(), HandZone()
    assert [seen(one, doing) for doing in doings] == [seen(other, doing) for doing in doings]
    [cell] = HandZone().do(IN_CELL_0)
    name = "Näme".encode()
    assert full_of(cell) == b'{"c":0,"full":true,"who":[[0,"sub-0-1","%b 0","car"]],"at":[[0,1,0,10,0,0]]}' % name
    assert news_of(cell) == b'{"c":0,"who":[[0,"sub-0-1","%b 0","car"]],"at":[[0,1,0,10,0,0]]}' % name


@pytest.mark.parametrize("text", ['"quoted"', "back\\slash", "\u2028", "漢字", "</script>"])
def test_names_are_json_whatever_is_in_them(text: str) -> None:
    assert json.loads(who_row(7, text, text, "car")) == [7, text, text, "car"]


def test_every_window_holds_the_rows_that_changed_within_it_and_every_row_is_encoded_once() -> None:
    zone = HandZone()
    for doing in (Doing(join=(0, 3)), *[Doing()] * 5, Doing(drive=((0, 0, 0),))):
        [cell] = seen(zone, doing)
    for age in range(6):
        moved = [{row[0] for row in parsed(news_of(cell, window)).get("at", ())} for window in WINDOWS]
        assert moved == [{0} if age < window else set() for window in WINDOWS]
        assert cell.rows.count(b"[") == cell.members == 2, "prefixes of one text"
        [cell] = seen(zone, Doing())


def test_as_many_cells_are_encoded_as_have_members_now_or_had_in_the_tick_before() -> None:
    zone = HandZone()
    seen(zone, Doing(join=(0, 1, 2, 3)))
    for doing in (Doing(), Doing(move=((0, 1),)), Doing(move=((3, 2),)), Doing(), Doing(quit=(1,)), Doing(quit=(0,))):
        before = set(zone.cell.values())
        encoded = seen(zone, doing)
        assert {each.cell for each in encoded} <= before | set(zone.cell.values())
        assert {each.cell for each in encoded} >= set(zone.cell.values())
