"""The reference view: the documented order of a snapshot's parts, each by example, and all by random worlds."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.bots.world_view import GONE_GRACE_TICKS, LATE_HOLDS_TICKS, Changes, WorldView
from shared.messages import AtRow, Cell, SnapshotPayload, WhoRow


def who(slot: int, player: str | None = None) -> WhoRow:
    return WhoRow(slot, player or f"p{slot}", f"name-{slot}", "car")


def at(slot: int, x: int = 0, seq: int = 0) -> AtRow:
    return AtRow(slot, seq, x, 0, 0, 0)


def full(cell: int, *slots: int, x: int = 0) -> Cell:
    return Cell(cell, full=True, who=[who(slot) for slot in slots], at=[at(slot, x) for slot in slots])


class Shown:
    """A view and the tick of its next message."""

    def __init__(self) -> None:
        self.view = WorldView()
        self.tick = 0

    def tell(self, *cells: Cell, skip: int = 0, **parts: Any) -> Changes:
        self.tick += 1 + skip
        return self.view.apply(SnapshotPayload(self.tick, 50.0 * self.tick, list(cells), **parts))

    @property
    def places(self) -> dict[int, int]:
        return {slot: entity.cell for slot, entity in self.view.entities.items()}


@pytest.fixture
def shown() -> Shown:
    return Shown()


def test_a_full_cell_brings_its_members_with_all_that_is_known_of_them(shown: Shown) -> None:
    changes = shown.tell(full(7, 1, 2, x=150))
    entity = shown.view.entities[1]
    assert (entity.player, entity.name, entity.vehicle, entity.cell) == ("p1", "name-1", "car", 7)
    assert entity.row == at(1, 150)
    assert (entity.tick, entity.t_ms, entity.before) == (1, 50.0, None)
    assert sorted(changes.joined) == [1, 2]
    assert shown.view.find("p2") is shown.view.entities[2]
    assert shown.view.find("nobody") is None


def test_rows_replace_rows_and_keep_the_one_before(shown: Shown) -> None:
    shown.tell(full(7, 1, x=100))
    shown.tell()
    shown.tell(Cell(7, at=[at(1, 160)]))
    entity = shown.view.entities[1]
    assert entity.row is not None
    assert entity.before is not None
    assert (entity.row.x, entity.tick, entity.before.x, entity.before_t_ms) == (160, 3, 100, 50.0)


def test_full_replaces_the_members(shown: Shown) -> None:
    shown.tell(full(7, 1, 2))
    changes = shown.tell(full(7, 2, 3))
    assert shown.places == {2: 7, 3: 7}
    assert [entity.slot for entity in changes.left] == [1]


def test_who_moves_a_slot_to_the_cell_that_lists_it_last_and_it_stays_the_same_entity(shown: Shown) -> None:
    shown.tell(full(7, 1), full(8, 2))
    entity = shown.view.entities[1]
    changes = shown.tell(Cell(7, gone=[1]), Cell(8, who=[who(1)], at=[at(1)]))
    assert shown.view.entities[1] is entity
    assert shown.places == {1: 8, 2: 8}
    assert not changes.left
    assert not changes.joined


def test_gone_counts_only_from_the_current_cell(shown: Shown) -> None:
    shown.tell(full(7, 1), full(8, 2))
    shown.tell(Cell(8, who=[who(1)], at=[at(1)]))
    shown.tell(Cell(7, gone=[1]))
    assert shown.places == {1: 8, 2: 8}
    changes = shown.tell(Cell(8, gone=[1]))
    assert shown.places == {2: 8}
    assert [left.slot for left in changes.left] == [1]


def test_drop_comes_before_who_so_an_entity_survives_its_cell(shown: Shown) -> None:
    shown.tell(full(7, 1, 2))
    entity = shown.view.entities[1]
    shown.tell(full(8, 1), drop=[7])
    assert shown.places == {1: 8}
    assert shown.view.entities[1] is entity


def test_a_dropped_cell_may_come_back_in_the_same_message(shown: Shown) -> None:
    shown.tell(full(7, 1, 2))
    shown.tell(full(7, 2), drop=[7])
    assert shown.places == {2: 7}


def test_reset_forgets_all_cells_first(shown: Shown) -> None:
    shown.tell(full(7, 1), full(8, 2, 3))
    entity = shown.view.entities[3]
    changes = shown.tell(full(9, 3, 4), reset=True)
    assert shown.places == {3: 9, 4: 9}
    assert shown.view.entities[3] is entity
    assert sorted(left.slot for left in changes.left) == [1, 2]
    assert shown.view.cells == {9: {3, 4}}


def test_who_and_gone_of_one_cell_in_one_message_is_gone(shown: Shown) -> None:
    changes = shown.tell(Cell(7, who=[who(1)], at=[at(1)], gone=[1]))
    assert shown.places == {}
    assert not changes.joined


def test_two_listings_in_one_message_the_latter_wins(shown: Shown) -> None:
    shown.tell(full(7, 1), full(8, 1, x=5))
    assert shown.places == {1: 8}
    shown.tell(Cell(7, gone=[1]))
    assert shown.places == {1: 8}


def test_entries_of_cells_never_told_in_full_are_legal(shown: Shown) -> None:
    changes = shown.tell(Cell(7, who=[who(1)], at=[at(1)]))
    assert shown.places == {1: 7}
    assert not changes.without_row


def test_a_slot_with_another_player_is_another_entity(shown: Shown) -> None:
    shown.tell(full(7, 1))
    changes = shown.tell(Cell(7, who=[who(1, "other")], at=[at(1)]))
    assert [entity.player for entity in changes.renamed] == ["p1"]
    assert changes.joined == [1]
    assert shown.view.find("p1") is None
    assert shown.view.entities[1].player == "other"
    assert shown.view.entities[1].before is None


def test_a_player_in_two_slots_is_told_unless_the_old_one_left_with_the_same_message(shown: Shown) -> None:
    shown.tell(full(7, 1))
    assert shown.tell(Cell(7, who=[who(2, "p1")], at=[at(2)])).twice == [(1, 2)]
    assert not shown.tell(Cell(7, who=[who(3, "p1")], at=[at(3)], gone=[2, 1])).twice
    assert shown.places == {3: 7}


def test_what_the_contract_forbids_is_told(shown: Shown) -> None:
    changes = shown.tell(Cell(7, who=[who(1)], at=[at(5)]))
    assert changes.without_row == [1]
    assert changes.unknown_rows == [(7, 5)]
    assert shown.view.entities[1].row is None


def test_gone_of_somebody_never_named_is_told_once_the_cell_is_known_for_long(shown: Shown) -> None:
    shown.tell(full(7, 1), full(8, 2))
    assert not shown.tell(Cell(7, gone=[9])).unknown_gone
    shown.tell(Cell(8, gone=[2]))
    assert shown.tell(Cell(7, gone=[9]), skip=GONE_GRACE_TICKS).unknown_gone == [(7, 9)]
    assert not shown.tell(Cell(7, gone=[2])).unknown_gone, "it left the other cell before"


def test_late_lasts_until_the_cell_speaks_again_or_is_not_mentioned_for_long(shown: Shown) -> None:
    shown.tell(full(7, 1), full(8, 2), Cell(9, late=2))
    shown.tell(Cell(7, late=1), Cell(8, late=1))
    assert shown.view.is_late(shown.view.entities[1])
    shown.tell(Cell(7, at=[at(1)]))
    assert not shown.view.is_late(shown.view.entities[1])
    assert shown.view.is_late(shown.view.entities[2])
    shown.tell(skip=LATE_HOLDS_TICKS)
    assert not shown.view.late


def test_clear_forgets_everything_but_the_tick(shown: Shown) -> None:
    shown.tell(full(7, 1), Cell(8, late=1))
    shown.view.clear()
    view = shown.view
    assert [view.entities, view.cells, view.slot_of, view.late] == [{}, {}, {}, {}]
    assert shown.view.tick == 1


class RandomShard:
    """Slots wander between cells; one observer watches some of them. Tells only what the contract allows."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.cell_of: dict[int, int] = {}
        self.seq: dict[int, int] = {}
        self.watched: set[int] = set()
        self.told: dict[int, set[int]] = {}
        self.later: list[tuple[int, int, int]] = []  # due tick, cell, slot: `gone` that a handoff delays
        self.tick = 0
        self.skipped = False

    def step(self) -> SnapshotPayload | None:
        """One tick; None when the observer's socket skipped it."""
        rng = self.rng
        self.tick += 1
        for slot in range(12):
            if rng.random() < 0.15:
                if rng.random() < 0.3:
                    self.cell_of.pop(slot, None)
                else:
                    self.cell_of[slot] = rng.randrange(6)
            self.seq[slot] = self.tick
        before = set(self.watched)
        for cell in range(6):
            if rng.random() < 0.1:
                self.watched ^= {cell}
        if rng.random() < 0.1:
            self.skipped = True
            return None
        reset, self.skipped = self.skipped or rng.random() < 0.05, False
        drop = [] if reset else sorted(before - self.watched)
        if reset:
            self.told.clear()
            self.later.clear()
        cells = [self._cell(cell) for cell in sorted(self.watched, key=lambda _: rng.random())]
        self.told = {cell: self._members(cell) for cell in self.watched}
        return SnapshotPayload(self.tick, 50.0 * self.tick, cells, drop=drop, reset=reset)

    def _members(self, cell: int) -> set[int]:
        return {slot for slot, where in self.cell_of.items() if where == cell}

    def _cell(self, cell: int) -> Cell:
        rng, members, told = self.rng, self._members(cell), self.told.get(cell)
        if told is None or rng.random() < 0.1:
            self.later = [late for late in self.later if late[1] != cell]
            return Cell(cell, full=True, who=[who(slot) for slot in members], at=[self._row(slot) for slot in members])
        self.later = [late for late in self.later if late[1] != cell or late[2] not in members]
        gone = [slot for due, where, slot in self.later if where == cell and due <= self.tick]
        self.later = [late for late in self.later if late[1] != cell or late[0] > self.tick]
        for slot in told - members:
            if self.cell_of.get(slot) in self.watched and rng.random() < 0.5:
                self.later.append((self.tick + rng.randrange(1, 5), cell, slot))
            else:
                gone.append(slot)
        entered = members - told
        moved = {slot for slot in members if rng.random() < 0.5}
        return Cell(cell, who=[who(s) for s in entered], at=[self._row(s) for s in entered | moved], gone=gone)

    def _row(self, slot: int) -> AtRow:
        return at(slot, x=slot, seq=self.seq[slot])


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_whatever_a_shard_tells_in_order_the_view_shows_its_watched_cells(seed: int) -> None:
    shard, view = RandomShard(seed), WorldView()
    for _ in range(60):
        snapshot = shard.step()
        if snapshot is None:
            continue
        changes = view.apply(snapshot)
        expected = {slot: cell for slot, cell in shard.cell_of.items() if cell in shard.watched}
        assert {slot: entity.cell for slot, entity in view.entities.items()} == expected
        assert view.slot_of == {f"p{slot}": slot for slot in expected}
        listed: dict[int, set[int]] = {}
        for slot, cell in expected.items():
            listed.setdefault(cell, set()).add(slot)
        assert view.cells == listed
        assert [changes.without_row, changes.unknown_rows, changes.unknown_gone, changes.twice] == [[], [], [], []]
        for entity in view.entities.values():
            assert entity.row is not None
            assert entity.row.slot == entity.slot


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_message_however_wrong_breaks_the_view(data: st.DataObject) -> None:
    slots, cells = st.integers(0, 4), st.integers(0, 2)
    players = st.sampled_from(["a", "b", "c"])
    entry = st.builds(
        Cell,
        cells,
        full=st.booleans(),
        who=st.lists(st.builds(who, slots, players), max_size=3),
        at=st.lists(st.builds(at, slots), max_size=3),
        gone=st.lists(slots, max_size=3),
        late=st.integers(0, 1),
    )
    view = WorldView()
    for tick in range(1, 12):
        cells_told = data.draw(st.lists(entry, max_size=3))
        dropped = data.draw(st.lists(cells, max_size=2))
        view.apply(SnapshotPayload(tick, 50.0 * tick, cells_told, drop=dropped, reset=data.draw(st.booleans())))
        listed = [slot for members in view.cells.values() for slot in members]
        assert sorted(listed) == sorted(view.entities), "a slot is in one cell, and in the view, or in neither"
        assert all(slot in view.cells[entity.cell] for slot, entity in view.entities.items())
        assert all(view.entities[slot].player == player for player, slot in view.slot_of.items())
