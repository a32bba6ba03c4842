"""Which cells a zone's crowd is divided into: a pure function of where its members are and of how it was divided."""

from __future__ import annotations

import numpy as np

from shared.constants import CELL_MERGE_AT, CELL_SPLIT_ABOVE
from shared.player_state import F64, I32
from shared.quadtree import LEVELS, NONE, QuadTree, contains


def divide(tree: QuadTree, pos: F64, root: I32, nodes: I32, held: set[int]) -> I32:
    """The ids of all split nodes, ascending, after a tick.

    ``pos`` (N, 3) metres and ``root`` (N,) are of all members; ``nodes`` were split before. A square is split while it
    holds more than CELL_SPLIT_ABOVE, and stays so until it holds CELL_MERGE_AT or fewer. ``held`` cells list somebody
    who was released and is not forgotten: they neither split nor merge until then, or watchers would lose him.
    """
    forced = _above(tree, held)
    if not len(nodes) and not forced and (len(root) <= CELL_SPLIT_ABOVE or np.bincount(root).max() <= CELL_SPLIT_ABOVE):
        return NONE
    code = np.sort(tree.finest(pos[:, 0], pos[:, 2], root))
    pinned = np.array(sorted(held), np.int32)
    kept = np.array(sorted(forced), np.int32)
    split: list[I32] = [kept]
    for level in range(LEVELS):
        at = code >> 2 * (LEVELS - level)
        if not len(at):
            break
        starts = np.flatnonzero(np.append(True, at[1:] != at[:-1]))
        counts = np.diff(np.append(starts, len(at)))
        ids = (tree.bases[level] + at[starts]).astype(np.int32)
        most = np.where(contains(nodes, ids), CELL_MERGE_AT, CELL_SPLIT_ABOVE)
        divided = ((counts > most) & ~contains(pinned, ids)) | contains(kept, ids)
        split.append(ids[divided])
        code = code[np.repeat(divided, counts)]
    found: I32 = np.unique(np.concatenate(split)).astype(np.int32)
    return found


def _above(tree: QuadTree, held: set[int]) -> set[int]:
    """All nodes around these cells."""
    found = set()
    for cell in held:
        node = cell
        while node >= tree.roots:
            node = tree.parent(node)
            found.add(node)
    return found
