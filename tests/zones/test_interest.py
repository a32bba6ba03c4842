"""When cells split and merge."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shared.constants import CELL_M, CELL_MERGE_AT, CELL_MIN_M, CELL_SPLIT_ABOVE
from shared.player_state import F64, I32
from shared.quadtree import NONE, QuadTree
from zones.interest import divide

SIDE = 4
TREE = QuadTree(SIDE)


def crowd(count: int, x: float, z: float, spread: float = 0.0) -> F64:
    """``count`` cars in a square around a point."""
    side = int(np.ceil(np.sqrt(max(count, 1))))
    steps = (np.arange(count) % side, np.arange(count) // side)
    at = [start + spread * (step / max(side - 1, 1) - 0.5) for start, step in zip((x, z), steps, strict=True)]
    return np.column_stack([at[0], np.zeros(count), at[1]]) if count else np.zeros((0, 3))


def roots(pos: F64) -> I32:
    return (pos[:, 2] // CELL_M * SIDE + pos[:, 0] // CELL_M).astype(np.int32)


def divided(pos: F64, nodes: I32 = NONE, held: set[int] | None = None) -> list[int]:
    found: list[int] = divide(TREE, pos, roots(pos), nodes, held or set()).tolist()
    return found


def test_a_cell_splits_above_the_number_and_not_at_it() -> None:
    assert divided(crowd(CELL_SPLIT_ABOVE, 96.0, 96.0, 40.0)) == []
    assert divided(crowd(CELL_SPLIT_ABOVE + 1, 96.0, 96.0, 40.0)) == [SIDE + 1]


def test_a_crowd_in_one_spot_splits_its_cells_down_to_the_smallest() -> None:
    nodes = divided(crowd(50, 70.0, 70.0))
    assert [int(size) for size in TREE.boxes(np.array(nodes))[2]] == [64, 32, 16]
    assert divided(crowd(5000, 70.0, 70.0)) == nodes, "8 m are the end"


def test_cells_merge_at_half_the_number() -> None:
    nodes = np.array(divided(crowd(CELL_SPLIT_ABOVE + 1, 96.0, 96.0, 40.0)), np.int32)
    for count in range(CELL_SPLIT_ABOVE, CELL_MERGE_AT, -1):
        assert divided(crowd(count, 96.0, 96.0, 40.0), nodes) == nodes.tolist()
    assert divided(crowd(CELL_MERGE_AT, 96.0, 96.0, 40.0), nodes) == []
    assert divided(crowd(0, 96.0, 96.0), nodes) == []


def test_a_held_cell_does_not_split_and_its_square_does_not_merge() -> None:
    many = crowd(50, 70.0, 70.0)
    root = int(roots(many)[0])
    assert divided(many, held={root}) == []
    nodes = np.array(divided(many), np.int32)
    smallest = TREE.quarters(int(nodes[-1]))[0]
    assert divided(crowd(0, 0.0, 0.0), nodes, held={smallest}) == nodes.tolist()
    far = TREE.quarters(root)[3]
    assert divided(crowd(0, 0.0, 0.0), nodes, held={far}) == [root]


@given(
    points=st.lists(st.tuples(st.floats(0.0, 255.9), st.floats(0.0, 255.9), st.integers(1, 30)), max_size=6),
    before=st.lists(st.tuples(st.floats(0.0, 255.9), st.floats(0.0, 255.9), st.integers(1, 30)), max_size=6),
)
def test_split_cells_are_those_that_a_plain_loop_splits(
    points: list[tuple[float, float, int]], before: list[tuple[float, float, int]]
) -> None:
    def pos(drawn: list[tuple[float, float, int]]) -> F64:
        return np.concatenate([crowd(0, 0, 0), *(crowd(count, x, z) for x, z, count in drawn)])

    old = divided(pos(before))
    assert divided(pos(points), np.array(old, np.int32)) == plain(pos(points), set(old))


def plain(pos: F64, old: set[int]) -> list[int]:
    found: list[int] = []
    pending = list(range(SIDE * SIDE))
    while pending:
        cell = pending.pop()
        (west,), (north,), (size,) = TREE.boxes(np.array([cell]))
        inside = [x for x, _, z in pos.tolist() if west <= x < west + size and north <= z < north + size]
        if size > CELL_MIN_M and len(inside) > (CELL_MERGE_AT if cell in old else CELL_SPLIT_ABOVE):
            found.append(cell)
            pending += TREE.quarters(cell)
    return sorted(found)
