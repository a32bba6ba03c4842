"""Filing rectangles: every pair that shares a cell is found, once, and no pair that overlaps is missed."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.world.box_grid import BoxGrid, boxes_of

SIZE_M = 100.0
Boxes = NDArray[np.float64]


def boxes(draw: st.DrawFn) -> Boxes:
    ends = st.tuples(*[st.floats(-20, 130)] * 4)
    rows = draw(st.lists(ends, max_size=30))
    return boxes_of(*np.array(rows, np.float64).reshape(-1, 4).T)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), cell_m=st.sampled_from([7.0, 10.0, 33.0, 100.0, 1000.0]))
def test_pairs_are_those_of_a_plain_loop(data: st.DataObject, cell_m: float) -> None:
    filed, asked = data.draw(st.composite(boxes)()), data.draw(st.composite(boxes)())
    grid = BoxGrid.file(filed, SIZE_M, cell_m)
    query, item = grid.near(asked)
    found = list(zip(query.tolist(), item.tolist(), strict=True))
    assert len(set(found)) == len(found), "each pair once"
    assert (np.diff(query) >= 0).all(), "sorted by query"
    last = grid.cells - 1

    def cells(box: Boxes) -> set[tuple[int, int]]:
        x0, z0, x1, z1 = (min(max(int(edge // cell_m), 0), last) for edge in box.tolist())
        return {(column, row) for column in range(x0, x1 + 1) for row in range(z0, z1 + 1)}

    assert set(found) == {
        (one, two) for one in range(len(asked)) for two in range(len(filed)) if cells(asked[one]) & cells(filed[two])
    }
    overlap = {
        (one, two)
        for one in range(len(asked))
        for two in range(len(filed))
        if (asked[one, :2] <= filed[two, 2:]).all() and (filed[two, :2] <= asked[one, 2:]).all()
    }
    assert overlap <= set(found)


def test_rows_are_compressed_and_ascending() -> None:
    rng = np.random.default_rng(1)
    ends = rng.uniform(0, SIZE_M, (50, 4))
    grid = BoxGrid.file(boxes_of(*ends.T), SIZE_M, 10.0)
    assert grid.starts.dtype == grid.items.dtype == np.int32
    assert (grid.cells, len(grid.starts)) == (10, 101)
    assert grid.starts[0] == 0
    assert grid.starts[-1] == len(grid.items)
    for start, end in zip(grid.starts[:-1], grid.starts[1:], strict=True):
        assert (np.diff(grid.items[start:end]) > 0).all()


def test_an_empty_grid_answers() -> None:
    grid = BoxGrid.file(np.zeros((0, 4)), SIZE_M, 10.0)
    assert [len(part) for part in grid.near(np.array([[0.0, 0.0, 100.0, 100.0]]))] == [0, 0]
