"""What is watched around a home cell, and how often: a Watch. Everybody with the same home shares it.

Every cell nearer to the home cell than the radius of view is watched, so whoever is nearer than that to a viewer is
seen. Its distance, from middle to middle, says how often: up to NEAR_M in every tick, up to MIDDLE_M in every second,
farther in every fourth. In a crowd a row budget bounds the rows per frame: their mean is kept well below it, so that
frames in which many cells are due, or newcomers are named, are within it, too. What is sacrificed to it, in this order,
is what ``Watch.tier`` tells:

1. rate: only the nearest cells, until they hold a fifth of the budget, keep every tick, and until they hold half of
   it every second; all others come in every fourth tick;
2. sight: the farthest cells are not watched, as many as it takes;
3. turns: when the home cell alone holds more than the budget, its zone tells its rows in turns (zones/listing.py).

The home cell is always watched, and who comes and who goes is always told. Without a budget (0) every cell within the
radius is told in every tick, and the radius counts from the home's square of CELL_M: 64 m without a budget are the
classic 3 x 3 squares.

A Watch is made anew when cells around it are split or merged, and about once per second where a crowd may have
exceeded the budget; one that would be the same stays the same object, by which the fan-out sees that nothing changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.cells import CellPage
from shared.constants import CELL_M, ROW_BUDGET, VIEW_RADIUS_M
from shared.player_state import F64, I32
from shared.quadtree import NONE, QuadTree

NEAR_M: Final = 32.0
"""Told in every tick: the own square of 64 m where few are, 30 m around in a crowd, where cells are small."""
MIDDLE_M: Final = 96.0
"""Told in every second tick: the eight squares around, whose middles are at 64 and 91 m."""
MEAN_SHARE: Final = 2.3
"""Part of the budget that rows take on average: 43 of 100. The rest is for frames in which more is due, and for names:
in a crowd that drives through cells of 8 m they are a third as many bytes as the rows."""
FULL_RATE_SHARE: Final = 5
HALF_RATE_SHARE: Final = 2
"""Parts of the budget that the nearest cells may hold at full and at half rate when rate is sacrificed: 20 and 50."""
RECOUNT_TICKS: Final = 20
"""Ticks between two looks at how many players the cells around a home hold."""

WATCHES_MAX: Final = 8192
"""Watches remembered, some 3 kB each; then all are made anew, which those who watch do not notice."""

UNCUT, SLOWED, SHORTENED, IN_TURNS = range(4)
"""Values of ``tier``."""


@dataclass(eq=False, slots=True)
class Watch:
    """What watchers with one home are told. Compared by identity."""

    home: int
    near: tuple[int, ...] = ()
    """Cells told in every tick, nearest first."""
    middle: tuple[int, ...] = ()
    """In every second."""
    far: tuple[int, ...] = ()
    """In every fourth."""
    tier: int = UNCUT
    rows: int = 0
    """Rows in view when it was made."""
    sent_tick: int = 0
    """Of the last frame that any of its watchers was offered."""
    topology: int = 0
    """Of the cells around it, when it was made."""
    valid_version: int = -1
    """Version of all cells as of which it was found good."""
    valid_before: float = 0.0
    """The turn from which it must be looked at again."""
    periods: dict[int, int] = field(init=False)
    """Cell to ticks between two tellings; nearest first."""
    tail: bytes = field(init=False)
    """The end of every snapshot, after the last cell's bracket."""

    def __post_init__(self) -> None:
        tiers = ((self.near, 1), (self.middle, 2), (self.far, 4))
        self.periods = {cell: period for cells, period in tiers for cell in cells}
        self.tail = b'],"tier":%d}}' % self.tier if self.tier else b"]}}"

    def same_as(self, other: Watch) -> bool:
        """Whether watchers would be told the same."""
        return self.periods == other.periods and self.tier == other.tier


BLANK: Final = Watch(-1)
"""What somebody watches who has been shown nothing, or must forget it: the next frame carries ``reset``."""


class Watching:
    """All watches of a shard. ``learn`` what the zones show, then ask for ``watch`` of a home."""

    def __init__(self, cells_per_side: int, view_radius_m: float = VIEW_RADIUS_M, row_budget: int = ROW_BUDGET) -> None:
        """``row_budget`` 0: none."""
        self.tree = QuadTree(cells_per_side)
        self.view_radius_m = view_radius_m
        self.row_budget = row_budget
        self._in_turns_above = row_budget
        """Rows of one cell that its zone tells at once: the budget that zones were started with."""
        self.computed = 0
        """Watches made so far."""
        self._reach = -int(-view_radius_m // CELL_M)
        """Roots within the radius along one axis."""
        self._nodes: dict[int, tuple[int, ...]] = {}
        """Per zone: cells that are split."""
        self._split = NONE
        """Of all zones, ascending."""
        self._leaves: dict[int, list[int]] = {}
        """Per split root: its leaves."""
        self._members: dict[int, int] = {}
        """Cell to players, of all occupied cells as shown last."""
        self._pages: dict[int, CellPage] = {}
        self._watches: dict[int, Watch] = {}
        self.version = 0
        """Grows whenever any watch may have become invalid."""
        self._names: dict[int, int] = {}
        """One object for each number of a cell: nine watches look at the same ones, which stay in the cache so."""
        side = cells_per_side
        self._topology = np.zeros((side, side), np.int64)
        """Per root: grows whenever a root within reach is split or merged anywhere."""
        self._crowded = np.zeros((side, side), np.bool_)
        """Per root: cells within reach are split or hold more than the budget, so counts matter."""
        self.turn = 0
        self._recounted = 0

    def set_row_budget(self, rows: int) -> None:
        """Have another budget from now on; not 0, and not where there was none. All watches are made anew."""
        if rows != self.row_budget:
            assert rows, "zones tell rows at rates, or they do not"
            assert self.row_budget, "zones tell rows at rates, or they do not"
            self.row_budget = rows
            self._recounted = self.turn - RECOUNT_TICKS
            self._forget()

    # --- what zones show

    def learn(self, zone: int, page: CellPage) -> None:
        """A zone's cells as they are shown from now on."""
        self._pages[zone] = page
        if page.nodes != self._nodes.get(zone, ()):
            self._divide(zone, page.nodes)

    def tick(self) -> None:
        """Another tick, after ``learn`` of all zones that have something new."""
        self.turn += 1
        self._members = {}
        if self.row_budget and (self.turn == 1 or self.turn - self._recounted >= RECOUNT_TICKS):
            self._recounted = self.turn
            if len(self._watches) > WATCHES_MAX:
                self._forget()
            self._recount()

    def _forget(self) -> None:
        """Have all watches made anew."""
        self._watches.clear()
        self._names.clear()
        self.version += 1

    def _divide(self, zone: int, nodes: tuple[int, ...]) -> None:
        changed = set(nodes) ^ set(self._nodes.get(zone, ()))
        self._nodes[zone] = nodes
        self._split = np.array(sorted(node for each in self._nodes.values() for node in each), np.int32)
        split = frozenset(nodes)
        for root in {self.tree.root(node) for node in changed}:
            for leaf in self._leaves.pop(root, ()):
                self._watches.pop(leaf, None)
            if root in split:
                self._leaves[root] = self.tree.leaves(root, split)
                self._watches.pop(root, None)
            self._around(self._topology, root)[:] += 1
            self._around(self._crowded, root)[:] = True
        self.version += 1

    def _around(self, grid: Any, root: int) -> Any:
        """The roots from which ``root`` is within reach, as a view of ``grid``."""
        cz, cx = divmod(root, self.tree.side)
        reach = self._reach
        return grid[max(cz - reach, 0) : cz + reach + 1, max(cx - reach, 0) : cx + reach + 1]

    def _recount(self) -> None:
        """Where might a watch by distance alone exceed the budget? Counted from above: corners count as seen."""
        side, reach = self.tree.side, self._reach
        held = np.zeros((side, side), np.int64)
        for page in self._pages.values():
            if page.entries:
                cells, members = np.array(page.entries, np.int64)[:, :2].T
                np.add.at(held.reshape(-1), self.tree.roots_of(cells), members)
        box, ring = _box_sums(held, reach), _box_sums(held, 1)
        crowded = held + (ring - held) / 2 + (box - ring) / 4 > self.row_budget / MEAN_SHARE
        for root in self._leaves:
            self._around(crowded, root)[:] = True
        if (crowded & ~self._crowded).any():
            self.version += 1
        self._crowded = crowded

    # --- what watchers watch

    @property
    def split(self) -> bool:
        """Whether any cell is split, so that a home is more than a square of CELL_M."""
        return bool(self._leaves) and self.row_budget > 0

    def homes(self, roots: I32, pos: F64, old: I32) -> I32:
        """(N,) home cells of players in squares ``roots`` at ``pos`` (N, 3) metres, whose homes were ``old``."""
        return self.tree.settle(pos[:, 0], pos[:, 2], roots, old, self._split)

    def watch(self, home: int) -> Watch:
        """The watch of a home as of this tick."""
        known = self._watches.get(home)
        if known is not None and known.valid_version == self.version and self.turn < known.valid_before:
            return known
        cz, cx = divmod(self.tree.root(home), self.tree.side)
        topology = int(self._topology[cz, cx])
        crowded = bool(self._crowded[cz, cx]) and self.row_budget > 0
        again = inf if known is None else known.valid_before
        unlooked = crowded and again == inf
        if known is None or known.topology != topology or unlooked or self.turn >= again:
            found = self._compute(home)
            if known is None or not known.same_as(found):
                self._watches[home] = known = found
            known.topology = topology
            again = self.turn + RECOUNT_TICKS - home % (RECOUNT_TICKS // 2)  # not all in the same tick
        known.valid_version = self.version
        known.valid_before = again if crowded or known.tier else inf
        return known

    def _compute(self, home: int) -> Watch:
        self.computed += 1
        tree = self.tree
        anchor = home if self.row_budget else tree.root(home)
        cz, cx = divmod(tree.root(home), tree.side)
        reach = self._reach
        found: list[int] = []
        for z in range(max(cz - reach, 0), min(cz + reach + 1, tree.side)):
            for x in range(max(cx - reach, 0), min(cx + reach + 1, tree.side)):
                root = z * tree.side + x
                leaves = self._leaves.get(root)
                if leaves is None:
                    found.append(root)
                else:
                    found += leaves
        cells = np.array(found, np.int64)
        west, north, size = tree.boxes(cells)
        (home_west,), (home_north,), (home_size,) = tree.boxes(np.array([anchor]))
        gap_x = np.maximum(np.maximum(west - home_west - home_size, home_west - west - size), 0.0)
        gap_z = np.maximum(np.maximum(north - home_north - home_size, home_north - north - size), 0.0)
        seen = gap_x * gap_x + gap_z * gap_z < self.view_radius_m**2
        away_x, away_z = west - home_west + (size - home_size) / 2, north - home_north + (size - home_size) / 2
        away = np.where(cells == home, -1.0, np.sqrt(away_x * away_x + away_z * away_z))
        order = np.flatnonzero(seen)[np.lexsort((cells[seen], away[seen]))]
        cells, away = cells[order], away[order]
        if not self.row_budget:
            return Watch(home, self._tuple(cells))
        return self._within_budget(home, cells, away)

    def _within_budget(self, home: int, cells: NDArray[np.int64], away: F64) -> Watch:
        """``cells`` (C,) nearest first, ``away`` (C,) metres from middle to middle."""
        budget, mean = self.row_budget, self.row_budget / MEAN_SHARE
        members = self._counts(cells)
        period = np.where(away <= NEAR_M, 1, np.where(away <= MIDDLE_M, 2, 4))
        tier = UNCUT
        if (members / period).sum() > mean:
            tier = SLOWED
            before = np.cumsum(members) - members
            period = np.where(before < budget / FULL_RATE_SHARE, 1, np.where(before < budget / HALF_RATE_SHARE, 2, 4))
            period = np.maximum(period, np.where(away <= NEAR_M, 1, np.where(away <= MIDDLE_M, 2, 4)))
            period[0] = 1
            cost = np.cumsum(np.minimum(members, budget * period) / period)
            if cost[-1] > mean:
                tier = SHORTENED
                kept = max(int(np.searchsorted(cost, mean, side="right")), 1)
                cells, members, period = cells[:kept], members[:kept], period[:kept]
            if members[0] > self._in_turns_above:
                tier = IN_TURNS
        near, middle, far = (self._tuple(cells[period == ticks]) for ticks in (1, 2, 4))
        return Watch(home, near, middle, far, tier, int(members.sum()))

    def _tuple(self, cells: NDArray[np.int64]) -> tuple[int, ...]:
        plain = cells.tolist()
        return tuple(map(self._names.setdefault, plain, plain))

    def _counts(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        if not self._members:
            self._members = {entry[0]: entry[1] for page in self._pages.values() for entry in page.entries}
        return np.array([self._members.get(cell, 0) for cell in cells.tolist()], np.int64)

    def members(self, cells: Iterable[int]) -> int:
        """Players in these cells, as shown last."""
        return int(self._counts(np.array(list(cells), np.int64)).sum())


def _box_sums(grid: NDArray[np.int64], reach: int) -> NDArray[np.int64]:
    """Per element the sum of the square around it, ``reach`` to each side, as far as there is a grid."""
    side = len(grid)
    total = np.zeros((side + 1, side + 1), np.int64)
    total[1:, 1:] = grid.cumsum(axis=0).cumsum(axis=1)
    low = np.maximum(np.arange(side) - reach, 0)
    high = np.minimum(np.arange(side) + reach + 1, side)
    sums: NDArray[np.int64] = (
        total[np.ix_(high, high)] - total[np.ix_(low, high)] - total[np.ix_(high, low)] + total[np.ix_(low, low)]
    )
    return sums
