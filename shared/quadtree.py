"""The ids of cells: squares of CELL_M, and the smaller ones into which a crowded one is split, down to CELL_MIN_M.

Outside this file a cell id is an opaque number. A world of R roots (its squares of CELL_M, row by row) has::

    id in [0, R)            the roots themselves
    id in [R, 5 R)          their quarters, 32 m: R + 4 root + quarter
    id in [5 R, 21 R)       16 m
    id in [21 R, 85 R)      8 m

A quarter is numbered by its bits: 1 for the eastern half, 2 for the southern half. Which nodes are split is not written
here: it is a sorted array of their ids, ``nodes``; every node's parent is a node, too. A cell is a leaf: it is no node,
and it is a root or its parent is a node.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.constants import CELL_M, CELL_MIN_M, HOME_BAND_M
from shared.player_state import F64, I32

I64 = NDArray[np.int64]

LEVELS: Final = 3
"""Times that a root can be split."""
_FINE: Final = 1 << LEVELS
"""Smallest cells along the edge of a root."""
NONE: Final[I32] = np.empty(0, np.int32)

_spread = np.array([sum((number >> bit & 1) << 2 * bit for bit in range(LEVELS)) for number in range(_FINE)])
"""Bits of a number with a gap after each."""


def contains(nodes: I32, ids: I64 | I32) -> NDArray[np.bool_]:
    """(N,) which of ``ids`` are in the sorted array ``nodes``."""
    if not len(nodes):
        return np.zeros(len(ids), np.bool_)
    found: NDArray[np.bool_] = nodes[np.minimum(nodes.searchsorted(ids), len(nodes) - 1)] == ids
    return found


class QuadTree:
    """The geometry of ids in a world of ``side`` x ``side`` roots."""

    def __init__(self, side: int) -> None:
        self.side = side
        self.roots = side * side
        self.bases = tuple(self.roots * ((1 << 2 * level) - 1) // 3 for level in range(LEVELS + 2))
        """First id of each level, and the number of all ids."""
        self._bases = np.array(self.bases[: LEVELS + 1], np.int64)

    def level(self, ids: I64 | I32) -> NDArray[np.intp]:
        """(N,) 0 for roots, up to LEVELS."""
        levels: NDArray[np.intp] = self._bases.searchsorted(ids, side="right") - 1
        return levels

    def parent(self, cell: int) -> int:
        """The node of which a cell is a quarter. Raises ValueError for a root."""
        for level in range(LEVELS, 0, -1):
            if cell >= self.bases[level]:
                return self.bases[level - 1] + (cell - self.bases[level] >> 2)
        raise ValueError(f"{cell} is a root")

    def quarters(self, cell: int) -> range:
        """The four cells into which a cell above the smallest splits."""
        level = next(level for level in range(LEVELS, -1, -1) if cell >= self.bases[level])
        first = self.bases[level + 1] + 4 * (cell - self.bases[level])
        return range(first, first + 4)

    def root(self, cell: int) -> int:
        """The root in which a cell lies."""
        level = next(level for level in range(LEVELS, -1, -1) if cell >= self.bases[level])
        return cell - self.bases[level] >> 2 * level

    def roots_of(self, ids: I64 | I32) -> I64:
        """(N,) the same for many."""
        level = self.level(ids)
        found: I64 = (np.asarray(ids, np.int64) - self._bases[level]) >> 2 * level
        return found

    def boxes(self, ids: I64 | I32) -> tuple[F64, F64, F64]:
        """(N,) each: western edge, northern edge and length of an edge, metres."""
        level = self.level(ids)
        code = np.asarray(ids, np.int64) - self._bases[level]
        size = CELL_M / (1 << level)
        cz, cx = np.divmod(code >> 2 * level, self.side)
        x, z = cx * float(CELL_M), cz * float(CELL_M)
        for step in range(1, LEVELS + 1):
            quarter = np.where(step <= level, code >> 2 * np.maximum(level - step, 0) & 3, 0)
            edge = CELL_M / (1 << step)
            x += (quarter & 1) * edge
            z += (quarter >> 1) * edge
        return x, z, size

    def finest(self, x: F64, z: F64, root: I64 | I32) -> I64:
        """(N,) codes of the smallest squares of ``root`` in which points lie; who stands outside is on its edge.

        The code shifted right by 2 per level is that of the larger square around it.
        """
        cz, cx = np.divmod(root, self.side)
        fx = np.clip(np.floor_divide(x - cx * CELL_M, CELL_MIN_M), 0, _FINE - 1).astype(np.intp)
        fz = np.clip(np.floor_divide(z - cz * CELL_M, CELL_MIN_M), 0, _FINE - 1).astype(np.intp)
        codes: I64 = np.asarray(root, np.int64) * _FINE * _FINE + _spread[fx] + 2 * _spread[fz]
        return codes

    def settle(self, x: F64, z: F64, root: I32, old: I32, nodes: I32) -> I32:
        """(N,) the leaf of ``root`` in which each stands: the old one while it is a leaf and near enough.

        Near enough is within a quarter of its edge, HOME_BAND_M at most: a wobble on an edge moves nobody.
        """
        split = contains(nodes, root)
        if not split.any():
            return root
        leaf = np.asarray(root, np.int64).copy()
        which = np.flatnonzero(split)
        x, z, root, old = x[which], z[which], root[which], old[which]
        code = self.finest(x, z, root)
        found = np.asarray(root, np.int64)
        for level in range(LEVELS):
            inside = contains(nodes, found)
            found = np.where(inside, self.bases[level + 1] + (code >> 2 * (LEVELS - level - 1)), found)
        leaf[which] = np.where(self._stays(x, z, root, old, nodes), old, found)
        return leaf.astype(np.int32)

    def _stays(self, x: F64, z: F64, root: I32, old: I32, nodes: I32) -> NDArray[np.bool_]:
        known = np.maximum(old, 0)
        level = self.level(known)
        up = np.maximum(level - 1, 0)
        parent = self._bases[up] + (known - self._bases[level] >> 2)
        west, north, size = self.boxes(known)
        band = np.minimum(size / 4, HOME_BAND_M)
        near_x = (x >= west - band) & (x < west + size + band)
        near_z = (z >= north - band) & (z < north + size + band)
        is_leaf = (level > 0) & contains(nodes, parent) & ~contains(nodes, known)
        stays: NDArray[np.bool_] = (old >= 0) & is_leaf & (self.roots_of(known) == root) & near_x & near_z
        return stays

    def leaves(self, root: int, nodes: frozenset[int] | set[int]) -> list[int]:
        """All leaves of one root, ascending by level, empty ones as well."""
        found, pending = [], [root]
        while pending:
            cell = pending.pop()
            if cell in nodes:
                pending.extend(self.quarters(cell))
            else:
                found.append(cell)
        return sorted(found)
