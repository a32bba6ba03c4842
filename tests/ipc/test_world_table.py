"""The table by role: a zone writes the uncommitted half of its own rows and nothing else, main's flip commits it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ipc.block import Block, create
from ipc.layout import Geometry, table_dtype
from ipc.world_table import MainTable, ZoneTable
from shared.ids import NO_ZONE
from shared.player_state import COLUMNS, PlayerState, fresh

SLOTS = 9
GEOMETRY = Geometry(SLOTS, 2)
DTYPE = table_dtype(GEOMETRY)
MAPS = Path("/proc/self/maps")


class Table:
    """A table with both roles, and its bytes."""

    def __init__(self) -> None:
        self.block: Block = create(uuid4().hex[:8], "table", DTYPE, GEOMETRY)
        self.main = MainTable(self.block)
        self.zone = ZoneTable(self.block)

    def bytes(self) -> NDArray[np.uint8]:
        """A copy of every byte of the block, padding included."""
        return self.block.record.reshape(1).view(np.uint8).copy()  # type: ignore[no-any-return]

    def scramble(self, seed: int) -> None:
        """Every byte of the table behind its header becomes something; fronts become halves."""
        body = self.block.record.reshape(1).view(np.uint8)[DTYPE["header"].itemsize :]
        body[:] = np.random.default_rng(seed).integers(0, 256, len(body), np.uint8)
        self.block.record["front"] &= 1
        self.block.record["owner"] = NO_ZONE

    def close(self) -> None:
        self.main.release()
        self.zone.release()
        self.block.close()


@pytest.fixture
def table() -> Iterator[Table]:
    opened = Table()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def shared_table() -> Iterator[Table]:
    """One table for all examples of a property: every example scrambles it first."""
    opened = Table()
    yield opened
    opened.close()


def index(*slots: int) -> NDArray[np.intp]:
    return np.array(slots, np.intp)


def as_record(data: NDArray[np.uint8]) -> Any:
    return data.view(DTYPE).reshape(())


def some_state(count: int, seed: int) -> PlayerState:
    """Columns of arbitrary bits, NaNs included."""
    rng = np.random.default_rng(seed)
    return PlayerState(
        **{
            name: np.frombuffer(rng.bytes(count * int(np.prod(shape)) * np.dtype(dtype).itemsize), dtype).reshape(
                count, *shape
            )
            for name, dtype, shape, _ in COLUMNS
        }
    )


def equal_bits(one: PlayerState, other: PlayerState) -> bool:
    return all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name, *_ in COLUMNS)


def test_at_first_no_zone_owns_a_row(table: Table) -> None:
    assert (table.main.owner == NO_ZONE).all()
    assert not table.main.front.any()


def test_what_a_zone_writes_shows_only_after_the_commit(table: Table) -> None:
    members, state = index(1, 4, 5), some_state(3, 1)
    before = table.zone.read(members)
    table.zone.write(members, state)
    assert equal_bits(table.zone.read(members), before)
    assert equal_bits(table.main.read(members), before)
    table.main.commit(members)
    assert equal_bits(table.main.read(members), state)
    assert equal_bits(table.zone.read(members), state)


def test_the_last_tick_stays_whole_while_the_next_is_written(table: Table) -> None:
    members = index(0, 8)
    for tick in range(1, 6):
        state = some_state(2, tick)
        last = table.main.read(members)
        table.zone.write(members, state)
        assert equal_bits(table.main.read(members), last)
        table.main.commit(members)
        assert equal_bits(table.main.read(members), state)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), members=st.sets(st.integers(0, SLOTS - 1)).map(sorted))
def test_a_write_touches_the_uncommitted_half_of_its_slots_and_no_other_byte(
    shared_table: Table, seed: int, members: list[int]
) -> None:
    shared_table.scramble(seed)
    expected = shared_table.bytes()
    record = as_record(expected)
    state = some_state(len(members), seed + 1)
    for row, slot in enumerate(members):
        for name, *_ in COLUMNS:
            record[name][1 - record["front"][slot], slot] = getattr(state, name)[row]
    shared_table.zone.write(index(*members), state)
    assert shared_table.bytes().tobytes() == expected.tobytes()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), members=st.sets(st.integers(0, SLOTS - 1)).map(sorted))
def test_a_commit_flips_the_front_of_its_slots_and_no_other_byte(
    shared_table: Table, seed: int, members: list[int]
) -> None:
    shared_table.scramble(seed)
    expected = shared_table.bytes()
    record = as_record(expected)
    for slot in members:
        record["front"][slot] = 1 - record["front"][slot]
    shared_table.main.commit(index(*members))
    assert shared_table.bytes().tobytes() == expected.tobytes()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), members=st.sets(st.integers(0, SLOTS - 1)).map(sorted))
def test_reading_takes_the_half_that_front_names_and_changes_nothing(
    shared_table: Table, seed: int, members: list[int]
) -> None:
    shared_table.scramble(seed)
    before = shared_table.bytes()
    record = as_record(before)
    for role in (shared_table.main, shared_table.zone):
        state = role.read(index(*members))
        for row, slot in enumerate(members):
            for name, *_ in COLUMNS:
                assert getattr(state, name)[row].tobytes() == record[name][record["front"][slot], slot].tobytes()
        for name, *_ in COLUMNS:
            getattr(state, name)[...] = 0  # a copy: nobody else may see this
    for name, *_ in COLUMNS:
        committed = shared_table.main.committed(name)
        for slot in range(SLOTS):
            assert committed[slot].tobytes() == record[name][record["front"][slot], slot].tobytes()
        committed[...] = 0
    assert shared_table.bytes().tobytes() == before.tobytes()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), slot=st.integers(0, SLOTS - 1), head=st.integers(0, 2**32 - 1))
def test_seating_a_player_leaves_nothing_of_the_last_one_but_counters(
    shared_table: Table, seed: int, slot: int, head: int
) -> None:
    shared_table.scramble(seed)
    expected = shared_table.bytes()
    record = as_record(expected)
    front = int(record["front"][slot])
    epoch = int(record["epoch"][front, slot])
    for half in (0, 1):
        for name, _, _, value in COLUMNS:
            record[name][half, slot] = value
        record["epoch"][half, slot] = epoch
        record["tail"][half, slot] = head
    record["head"][slot] = head
    record["generation"][slot] = 6
    record["player"][slot] = b"sub-1"
    record["name"][slot] = "Zoë".encode()
    record["vehicle"][slot] = 2
    shared_table.main.seat(slot, 6, "sub-1", "Zoë", 2, head)
    assert shared_table.bytes().tobytes() == expected.tobytes()


def test_a_row_that_a_zone_owns_cannot_be_seated(table: Table) -> None:
    table.main.owner[3] = 1
    before = table.bytes()
    with pytest.raises(AssertionError, match="slot 3 still belongs to zone 1"):
        table.main.seat(3, 1, "sub", "Name", 0, 0)
    assert table.bytes().tobytes() == before.tobytes()


def test_a_new_players_row_is_a_fresh_state(table: Table) -> None:
    table.main.seat(2, 1, "sub", "Name", 0, 0)
    assert equal_bits(table.zone.read(index(2)), fresh(1))


@pytest.mark.parametrize(
    ("player", "name"),
    [
        ("0b6f3cbe-29f3-4a1c-8d55-000000000001", "Driver 0b6f3c"),
        ("x" * 64, "\N{RACING CAR}" * 20),
        ("é" * 32, "Ωmega"),
    ],
)
def test_a_zone_reads_who_a_member_is(table: Table, player: str, name: str) -> None:
    table.main.seat(0, 1, player, name, 2, 0)
    assert table.zone.identity(0) == (player, name, 2)


def test_a_zone_sees_heads_as_main_publishes_them(table: Table) -> None:
    table.main.head[index(2, 7)] = (5, 2**32 - 1)
    assert table.zone.heads(index(7, 2, 0)).tolist() == [2**32 - 1, 5, 0]


def test_nobody_can_be_read_written_and_committed(table: Table) -> None:
    before = table.bytes()
    table.zone.write(index(), table.zone.read(index()))
    table.main.commit(index())
    assert table.bytes().tobytes() == before.tobytes()


@pytest.mark.skipif(not MAPS.exists(), reason="only Linux tells what a process has mapped")
def test_released_views_let_the_block_be_unmapped() -> None:
    table = Table()
    name = table.block.name
    table.close()
    assert name not in MAPS.read_text()
