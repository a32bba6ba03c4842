"""A zone over real blocks: who its members are, what it writes and where, and what its Done says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from ipc.block import create
from ipc.cell_arena import CellReader, CellWriter
from ipc.control import Command, Done, Place, PlacedAt, Seat, Tick
from ipc.input_ring import InputReader, InputWriter
from ipc.layout import Geometry, arena_dtype, input_dtype, table_dtype
from ipc.world_table import MainTable, ZoneTable
from shared.messages import MovePayload
from shared.player_state import COLUMNS
from shared.world.static_world import StaticWorld
from shared.world.zone_map import ZoneMap
from tests.cell_forms import full_of, news_of
from tests.watcher import Json
from zones.simulation import ZoneWorld
from zones.zone import Zone

SLOTS = 12
GEOMETRY = Geometry(SLOTS, 2)
START_MS = 1_000_000.0
ZONE = 1
WORLD = ZoneWorld(ZONE, ZoneMap.split(512, 2), StaticWorld.empty(512, 150))
"""Zone 1 is the eastern half, x from 256."""


class Stage:
    """One zone between main's side of its blocks and a test that plays main."""

    def __init__(self) -> None:
        instance = uuid4().hex[:8]
        self.blocks = [
            create(instance, "table", table_dtype(GEOMETRY), GEOMETRY),
            create(instance, "input", input_dtype(GEOMETRY), GEOMETRY),
            create(instance, f"cells-{ZONE}", arena_dtype(GEOMETRY), GEOMETRY),
        ]
        table, ring, arena = self.blocks
        self.table, self.ring, self.arena = MainTable(table), InputWriter(ring), CellReader(arena)
        self._views = ZoneTable(table), InputReader(ring), CellWriter(arena)
        clock = count(1000, 10)
        self.zone = Zone(WORLD, *self._views, lambda: next(clock))
        self.members: set[int] = set()
        self.number = 0
        self.shown = 0

    def seat(self, slot: int, generation: int = 1, x: float = 300.0, z: float = 100.0) -> Seat:
        """A row that is ready to be adopted; it stands somewhere in the zone."""
        self.table.seat(slot, generation, f"sub-{slot}", f"Name {slot}", 1, self.ring.rewind(slot))
        self.table.column("pos")[:, slot] = (x, 1.5, z)
        return slot, generation

    def sample(self, slot: int, seq: int, x: float, z: float, epoch: int = 0) -> None:
        now_ms = START_MS + 50.0 * self.number
        assert self.ring.write(slot, now_ms, MovePayload(epoch, seq, now_ms, x, z, 0.0, 0.0, 0.0))

    def tick(
        self,
        adopted: list[Seat] | None = None,
        released: list[Seat] | None = None,
        forget: list[Seat] | None = None,
        commands: list[Command] | None = None,
        shown: bool = True,
        commit: bool = True,
    ) -> Done:
        """One tick as main would drive it; ``shown``: its cells go out to watchers."""
        self.number += 1
        self.members |= {slot for slot, _ in adopted or []}
        self.members -= {slot for slot, _ in released or []}
        index = np.array(sorted(self.members), np.intp)
        self.table.head[index] = self.ring.heads[index]
        done = self.zone.tick(
            Tick(
                self.number,
                START_MS + 50.0 * self.number,
                self.number % 2,
                self.shown,
                adopted or [],
                released or [],
                forget or [],
                commands or [],
            )
        )
        if commit:
            self.table.commit(index)
        if shown:
            self.shown = self.number
        return done

    def cells(self) -> dict[int, tuple[Json, Json]]:
        """What the last tick wrote: full form and news of each cell."""
        return {
            each.cell: (json.loads(full_of(each) or b"{}"), json.loads(news_of(each) or b"{}"))
            for each in self.arena.read(self.number % 2).cells()
        }

    def committed(self, name: str, slot: int) -> Any:
        return self.table.committed(name)[slot].tolist()

    def close(self) -> None:
        for view in (self.table, self.ring, self.arena, *self._views):
            view.release()
        for block in self.blocks:
            block.close()


@pytest.fixture
def stage() -> Iterator[Stage]:
    opened = Stage()
    yield opened
    opened.close()


# --- members


def test_members_come_by_adoption_and_go_by_release_only(stage: Stage) -> None:
    assert stage.tick().members == 0
    one, other = stage.seat(3), stage.seat(7)
    assert stage.tick().members == 0, "a row in the table is no member"
    assert stage.tick(adopted=[one, other]).members == 2
    assert stage.tick().members == 2
    assert stage.tick(released=[one]).members == 1
    assert stage.tick(adopted=[one], released=[other]).members == 1


@pytest.mark.parametrize("wrong", [(3, 2), (4, 1)], ids=["another generation", "no member"])
def test_a_release_of_whom_the_zone_does_not_have_is_our_bug(stage: Stage, wrong: Seat) -> None:
    stage.tick(adopted=[stage.seat(3)])
    with pytest.raises(AssertionError, match="was released but is no member"):
        stage.tick(released=[wrong])


def test_an_adoption_of_whom_the_zone_has_is_our_bug(stage: Stage) -> None:
    seat = stage.seat(3)
    stage.tick(adopted=[seat])
    with pytest.raises(AssertionError, match="adopted twice"):
        stage.tick(adopted=[seat])


# --- rows


def test_a_tick_writes_the_uncommitted_half_of_its_members_and_nothing_else(stage: Stage) -> None:
    seats = [stage.seat(slot) for slot in (2, 5, 9)]
    stage.seat(4)
    stage.tick(adopted=seats)
    table = stage.blocks[0].record
    before = {name: table[name].copy() for name in table.dtype.names}
    stage.sample(5, 1, 310.0, 110.0)
    stage.tick(commit=False)
    for name, *_ in COLUMNS:
        for slot in range(SLOTS):
            front = int(before["front"][slot])
            assert table[name][front, slot].tobytes() == before[name][front, slot].tobytes(), f"committed {name}"
            if slot not in (2, 5, 9):
                assert table[name][1 - front, slot].tobytes() == before[name][1 - front, slot].tobytes(), name
    for name in set(table.dtype.names) - {name for name, *_ in COLUMNS} - {"head"}:
        assert table[name].tobytes() == before[name].tobytes(), f"{name} is main's"
    written = {slot: table["tick"][1 - table["front"][slot], slot].item() for slot in (2, 5, 9)}
    assert written == dict.fromkeys((2, 5, 9), stage.number)
    del table


def test_what_is_not_committed_is_done_again_from_the_committed_rows(stage: Stage) -> None:
    """The zone keeps no state of a player between ticks: rows are read from the table at each."""
    stage.tick(adopted=[stage.seat(3)])
    stage.sample(3, 1, 310.0, 110.0)
    assert stage.tick(commit=False).accepted == 1
    assert stage.tick().accepted == 1, "the first was never committed: the sample is judged again"
    assert stage.committed("pos", 3) == [310.0, 1.5, 110.0]
    assert stage.tick().judged == 0


def test_only_samples_up_to_the_published_head_belong_to_a_tick(stage: Stage) -> None:
    stage.tick(adopted=[stage.seat(3)])
    stage.sample(3, 1, 310.0, 110.0)
    index = np.array([3], np.intp)
    stage.table.head[index] = stage.ring.heads[index]
    stage.sample(3, 2, 320.0, 120.0)  # main has received it, but this Tick does not know of it
    done = stage.zone.tick(Tick(stage.number + 1, START_MS, 0, stage.shown, [], [], [], []))
    assert (done.judged, done.accepted) == (1, 1)


def test_a_member_that_was_handed_over_goes_on_where_the_row_says(stage: Stage) -> None:
    seat = stage.seat(3)
    for half in (0, 1):
        stage.table.column("seq")[half, 3] = 41
        stage.table.column("epoch")[half, 3] = 6
    stage.tick(adopted=[seat])
    stage.sample(3, 41, 310.0, 110.0, epoch=6)
    stage.sample(3, 42, 320.0, 120.0, epoch=6)
    assert stage.tick().accepted == 1
    assert stage.committed("pos", 3) == [320.0, 1.5, 120.0]


# --- Done


def test_a_done_tells_tick_zone_times_and_counts(stage: Stage) -> None:
    seats = [stage.seat(3), stage.seat(4)]
    stage.tick(adopted=seats)
    stage.sample(3, 1, 310.0, 110.0)
    stage.sample(3, 1, 311.0, 111.0)
    stage.sample(4, 1, 312.0, 112.0)
    done = stage.tick()
    assert (done.zone, done.tick, done.members) == (ZONE, stage.number, 2)
    assert (done.judged, done.accepted, done.omitted) == (3, 2, 0)
    assert (done.body_ns, done.stamp_ns % 10) == (10, 0)
    assert done.stamp_ns == 1000 + 20 * stage.number - 10, "the clock when the body ended"


def test_a_placement_is_told_in_the_done_of_its_tick(stage: Stage) -> None:
    seat = stage.seat(3)
    place: Command = Place(*seat, 400.0, 200.0, 1.0, "enter", fresh=True)
    done = stage.tick(adopted=[seat], commands=[place])
    assert done.events == [PlacedAt(*seat, 1, 400.0, 1.5, 200.0, 1.0, "enter")]
    assert stage.committed("epoch", 3) == 1


def test_news_are_told_against_the_tick_that_was_shown_last(stage: Stage) -> None:
    stage.tick(adopted=[stage.seat(3)])
    assert stage.tick().base == 1
    assert stage.tick(shown=False).base == 2
    assert stage.tick().base == 0, "nobody has seen tick 3: all goes out full"
    assert stage.tick().base == 4


# --- cells


def test_a_member_is_listed_with_name_and_vehicle_in_the_cell_it_stands_in(stage: Stage) -> None:
    stage.tick(adopted=[stage.seat(3, x=300.0, z=100.0)])
    cell = 1 * 8 + 4
    full, news = stage.cells()[cell]
    assert full["who"] == news["who"] == [[3, "sub-3", "Name 3", "kart"]]
    assert full["at"] == news["at"] == [[3, 0, 30000, 10000, 0, 0]]
    assert full["full"]
    assert "full" not in news


def test_after_a_tick_that_nobody_saw_every_cell_goes_full(stage: Stage) -> None:
    stage.tick(adopted=[stage.seat(3, x=300.0), stage.seat(4, x=500.0)])
    stage.tick()
    assert all(news == {} for _, news in stage.cells().values())
    stage.tick(shown=False)
    stage.tick()
    assert all(news == full for full, news in stage.cells().values())
    stage.tick()
    assert all(news == {} for _, news in stage.cells().values())


def test_the_arena_half_is_the_one_that_the_tick_names(stage: Stage) -> None:
    stage.tick(adopted=[stage.seat(3)])
    half = stage.number % 2
    before = stage.arena.read(half)
    stage.tick(released=[(3, 1)], forget=[(3, 1)])
    assert stage.arena.read(half) == before
    assert stage.arena.read(1 - half) != before


def test_cells_that_found_no_room_go_full_as_soon_as_there_is_some(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.tick(adopted=[stage.seat(3, x=300.0), stage.seat(4, x=500.0)])
    monkeypatch.setattr(stage._views[2], "capacity_bytes", 60)
    stage.sample(4, 1, 501.0, 100.0)
    done = stage.tick()
    assert done.omitted == 2
    assert stage.cells() == {}
    monkeypatch.undo()
    assert stage.tick().omitted == 0
    assert {cell: news for cell, (_, news) in stage.cells().items()} == {
        cell: full for cell, (full, _) in stage.cells().items()
    }
    stage.tick()
    assert all(news == {} for _, news in stage.cells().values())


def test_who_left_the_world_is_gone_at_once_and_who_was_handed_off_when_forgotten(stage: Stage) -> None:
    quits, moves = stage.seat(3), stage.seat(4)
    stage.tick(adopted=[quits, moves])
    stage.tick(released=[quits, moves], forget=[quits])
    [(_, news)] = stage.cells().values()
    assert news["gone"] == [3]
    stage.tick()
    assert stage.cells() == {}
    stage.tick(forget=[moves])
    [(_, news)] = stage.cells().values()
    assert news["gone"] == [4]


def test_a_slots_next_player_is_shown_under_its_own_name(stage: Stage) -> None:
    stage.tick(adopted=[stage.seat(3)])
    stage.tick(released=[(3, 1)], forget=[(3, 1)])
    stage.table.seat(3, 2, "somebody-else", "Other", 2, stage.ring.rewind(3))
    stage.table.column("pos")[:, 3] = (300.0, 1.5, 100.0)
    stage.tick(adopted=[(3, 2)])
    [(full, news)] = stage.cells().values()
    assert full["who"] == news["who"] == [[3, "somebody-else", "Other", "truck"]]


def test_a_cell_that_lists_somebody_released_splits_only_when_he_is_forgotten(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Watchers see him there until his new owner shows him; a split would take the cell from under him."""
    monkeypatch.setattr("zones.interest.CELL_SPLIT_ABOVE", 2)
    leaver = stage.seat(9, x=300.0, z=100.0)
    stage.tick(adopted=[leaver, stage.seat(1, x=301.0), stage.seat(2, x=302.0)], commands=[])
    nodes = stage.arena.read(stage.number % 2).nodes
    assert nodes, "three are a crowd"
    stage.tick(released=[leaver])
    assert stage.arena.read(stage.number % 2).nodes == nodes
    stage.tick(released=[(1, 1), (2, 1)], forget=[(1, 1), (2, 1)])
    assert stage.arena.read(stage.number % 2).nodes == nodes, "nobody else is there, but he is"
    stage.tick(forget=[leaver])
    assert stage.arena.read(stage.number % 2).nodes == ()
