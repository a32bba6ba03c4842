"""Ids of cells: every square has one, small enough for JSON and int32, and geometry can be read back from it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.constants import CELL_M, CELL_MIN_M, HOME_BAND_M
from shared.player_state import I32
from shared.quadtree import LEVELS, NONE, QuadTree, contains
from shared.world.world import WORLD_SIZE_MAX_M

SIDE = 5
TREE = QuadTree(SIDE)
CELLS = st.integers(0, TREE.bases[-1] - 1)


def ids(*cells: int) -> I32:
    return np.array(cells, np.int32)


def test_roots_are_numbered_row_by_row_and_the_largest_world_fits_int32() -> None:
    x, z, size = TREE.boxes(np.arange(SIDE * SIDE))
    assert (x[7], z[7], size[7]) == (2 * CELL_M, CELL_M, CELL_M)
    assert QuadTree(WORLD_SIZE_MAX_M // CELL_M).bases[-1] < 2**31


@given(cell=CELLS)
def test_quarters_tile_their_square_and_know_it(cell: int) -> None:
    (west,), (north,), (size,) = TREE.boxes(ids(cell))
    if size == CELL_MIN_M:
        return
    quarters = [*TREE.quarters(cell)]
    x, z, edge = TREE.boxes(ids(*quarters))
    half = size / 2
    assert set(zip(x.tolist(), z.tolist(), strict=True)) == {
        (west + dx, north + dz) for dx in (0.0, half) for dz in (0.0, half)
    }
    assert set(edge.tolist()) == {half}
    assert {TREE.parent(quarter) for quarter in quarters} == {cell}
    assert {TREE.root(quarter) for quarter in quarters} == {TREE.root(cell)}
    assert TREE.roots_of(ids(*quarters)).tolist() == [TREE.root(cell)] * 4


def test_ids_of_all_squares_differ() -> None:
    found = {*range(TREE.roots)}
    for cell in range(TREE.bases[LEVELS]):
        found |= {*TREE.quarters(cell)}
    assert found == {*range(TREE.bases[-1])}
    with pytest.raises(ValueError, match="is a root"):
        TREE.parent(3)


def nodes_of(draw: list[int]) -> I32:
    """A sound set of split cells that holds those drawn, where they can be split."""
    found = set()
    for cell in draw:
        node = cell
        if node < TREE.bases[LEVELS]:
            found.add(node)
        while node >= TREE.roots:
            node = TREE.parent(node)
            found.add(node)
    return ids(*sorted(found))


@given(
    draw=st.lists(CELLS, max_size=4),
    x=st.floats(-20.0, SIDE * CELL_M + 20.0),
    z=st.floats(-20.0, SIDE * CELL_M + 20.0),
    root=st.integers(0, TREE.roots - 1),
    old=st.one_of(st.just(-1), CELLS),
)
def test_everybody_settles_in_a_leaf_of_its_root(draw: list[int], x: float, z: float, root: int, old: int) -> None:
    nodes = nodes_of(draw)
    [leaf] = TREE.settle(np.array([x]), np.array([z]), ids(root), ids(old), nodes).tolist()
    leaves = TREE.leaves(root, set(nodes.tolist()))
    assert leaf in leaves
    (west,), (north,), (size,) = TREE.boxes(ids(leaf))
    band = min(size / 4, HOME_BAND_M)
    cz, cx = divmod(root, SIDE)
    at_x = min(max(x, cx * CELL_M), (cx + 1) * CELL_M - 1e-9)
    at_z = min(max(z, cz * CELL_M), (cz + 1) * CELL_M - 1e-9)
    slack = band if leaf == old else 0.0
    assert west - slack <= at_x <= west + size + slack
    assert north - slack <= at_z <= north + size + slack
    if old in leaves and old >= TREE.roots:
        (west,), (north,), (size,) = TREE.boxes(ids(old))
        band = min(size / 4, HOME_BAND_M)
        if west - band <= x < west + size + band and north - band <= z < north + size + band:
            assert leaf == old, "a wobble on the edge"


def test_the_leaves_of_a_root_tile_it() -> None:
    nodes = {7, *list(TREE.quarters(7))[:2]}
    leaves = TREE.leaves(7, nodes)
    assert len(leaves) == 2 + 8
    _, _, size = TREE.boxes(ids(*leaves))
    assert (size * size).sum() == CELL_M * CELL_M
    assert TREE.leaves(8, nodes) == [8]


def test_without_split_cells_the_root_is_the_cell() -> None:
    roots = ids(3, 4)
    assert TREE.settle(np.zeros(2), np.zeros(2), roots, ids(-1, 200), NONE) is roots
    assert contains(NONE, roots).tolist() == [False, False]
    assert contains(ids(4, 9), ids(3, 4, 9, 10)).tolist() == [False, True, True, False]
