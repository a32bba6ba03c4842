"""The arena of encoded cells: what a zone wrote into a half is what main reads from it; what does not fit is named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipc.block import Block, create
from ipc.cell_arena import CellReader, CellWriter
from ipc.layout import Geometry, arena_dtype
from shared.cells import CellColumns, CellPage, EncodedCell
from shared.player_state import I32
from shared.quadtree import NONE

GEOMETRY = Geometry(1, 1)
CAPACITY_BYTES = GEOMETRY.arena_bytes
CAPACITY_CELLS = GEOMETRY.arena_cells


class Arena:
    def __init__(self) -> None:
        self.block: Block = create(uuid4().hex[:8], "cells-0", arena_dtype(GEOMETRY), GEOMETRY)
        self.writer = CellWriter(self.block)
        self.reader = CellReader(self.block)

    def write(self, half: int, cells: Sequence[EncodedCell], nodes: I32 = NONE) -> list[int]:
        """As the writer's ``write``."""
        return self.writer.write(half, CellColumns.of(cells), nodes)

    def flagged(self, half: int) -> int:
        """Cells that the half says were left out."""
        return int(self.block.record["omitted"][half])

    def close(self) -> None:
        self.writer.release()
        self.reader.release()
        self.block.close()


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    opened = Arena()
    yield opened
    opened.close()


def cell(name: int, full: int = 30, news: int = 10) -> EncodedCell:
    """A cell with so many bytes, which tell its name."""
    rows = bytes([name % 241]) * news
    return EncodedCell(name, 1 if full else 0, bytes([name % 251]) * full, b"", rows, 0, (0, news // 2, news), 0)


CELLS = st.lists(
    st.builds(
        EncodedCell,
        st.integers(0, 2**20),
        st.integers(0, 8192),
        st.binary(max_size=40),
        st.binary(max_size=40),
        st.just(bytes(40)),
        st.integers(0, 40),
        st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40)),
        st.integers(0, 3),
    ),
    max_size=20,
)


@settings(max_examples=60, deadline=None)
@given(half=st.integers(0, 1), cells=CELLS)
def test_cells_arrive_as_they_were_written(arena: Arena, half: int, cells: list[EncodedCell]) -> None:
    assert arena.write(half, cells) == []
    assert arena.reader.read(half).cells() == cells
    assert arena.flagged(half) == 0


@settings(max_examples=60, deadline=None)
@given(
    half=st.integers(0, 1),
    sizes=st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 1500)), max_size=CAPACITY_CELLS + 30),
)
def test_cells_that_do_not_fit_are_left_out_named_and_counted(
    arena: Arena, half: int, sizes: list[tuple[int, int]]
) -> None:
    cells = [cell(name, full, news) for name, (full, news) in enumerate(sizes)]
    fitting: list[EncodedCell] = []
    omitted: list[int] = []
    used = 0
    for each in cells:
        size = len(each.who) + len(each.head) + len(each.rows)
        if used + size <= CAPACITY_BYTES and len(fitting) < CAPACITY_CELLS:
            fitting.append(each)
            used += size
        else:
            omitted.append(each.cell)
    assert arena.write(half, cells) == omitted
    assert arena.reader.read(half).cells() == fitting
    assert arena.flagged(half) == len(omitted)


def test_a_half_can_be_filled_to_its_last_byte_and_not_beyond(arena: Arena) -> None:
    exact = [cell(1, CAPACITY_BYTES - 7, 7)]
    assert arena.write(0, exact) == []
    assert arena.reader.read(0).cells() == exact
    assert arena.write(0, [cell(1, CAPACITY_BYTES - 7, 8)]) == [1]
    assert arena.reader.read(0).cells() == []


def test_what_fits_exactly_is_kept_although_more_does_not_fit(arena: Arena) -> None:
    exact = cell(1, CAPACITY_BYTES - 7, 7)
    assert arena.write(0, [exact, cell(2, 1, 0), cell(3, 0, 0)]) == [2]
    assert arena.reader.read(0).cells() == [exact, cell(3, 0, 0)]


def test_a_directory_can_be_filled_to_its_last_entry_and_not_beyond(arena: Arena) -> None:
    cells = [cell(name, 1, 1) for name in range(CAPACITY_CELLS + 2)]
    assert arena.write(1, cells) == [CAPACITY_CELLS, CAPACITY_CELLS + 1]
    assert arena.reader.read(1).cells() == cells[:CAPACITY_CELLS]


def test_the_split_cells_arrive_with_the_others(arena: Arena) -> None:
    arena.write(0, [cell(1)], np.array([3, 7], np.int32))
    arena.write(1, [], np.array([5], np.int32))
    assert arena.reader.read(0).nodes == (3, 7)
    assert arena.reader.read(1).nodes == (5,)
    arena.write(0, [cell(99, CAPACITY_BYTES, 0), cell(100)], np.array([4], np.int32))
    assert arena.reader.read(0).nodes == (4,), "whatever found no room"


def test_a_page_made_of_cells_is_what_the_arena_gives(arena: Arena) -> None:
    cells = [cell(1), cell(5, 0, 7), cell(9, 3, 0)]
    arena.write(0, cells, np.array([3], np.int32))
    assert CellPage.of(cells, (3,)) == arena.reader.read(0)


def test_the_halves_do_not_touch_each_other(arena: Arena) -> None:
    for half in (0, 1):
        crowd, few = [cell(name) for name in range(40)], [cell(7, 0, 25)]
        arena.write(half, crowd)
        arena.write(1 - half, few)
        assert arena.reader.read(half).cells() == crowd
        assert arena.reader.read(1 - half).cells() == few
        arena.write(1 - half, [cell(99, CAPACITY_BYTES, 0)])
        assert arena.reader.read(half).cells() == crowd


def test_nothing_of_an_earlier_tick_shows_through(arena: Arena) -> None:
    arena.write(0, [cell(name) for name in range(30)])
    arena.write(0, [])
    assert arena.reader.read(0).cells() == []
    assert arena.flagged(0) == 0


def test_what_main_has_read_stays_when_the_zone_writes_on(arena: Arena) -> None:
    arena.write(0, [cell(5)])
    read = arena.reader.read(0)
    arena.write(0, [cell(6)])
    assert read.cells() == [cell(5)]


def test_a_new_arena_is_empty() -> None:
    arena = Arena()
    try:
        assert arena.reader.read(0).cells() == arena.reader.read(1).cells() == []
    finally:
        arena.close()


def test_capacities_are_those_of_the_layout(arena: Arena) -> None:
    assert (arena.writer.capacity_bytes, arena.writer.capacity_cells) == (CAPACITY_BYTES, CAPACITY_CELLS)


def test_what_main_reads_is_plain_python(arena: Arena) -> None:
    """They go into JSON and dicts by the thousand: no numpy scalars."""
    arena.write(0, [cell(5)])
    [read] = arena.reader.read(0).cells()
    assert all(type(number) is int for number in (read.cell, read.members, read.came, *read.ends, read.flags))
    assert not isinstance(read.cell, np.generic)
