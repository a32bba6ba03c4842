"""The gates of all routes as the tick asks for them: which comes next, before and after, and how far apart they are.

A racer's next gate is a number of the lap: 0 is the start line, ``1 .. gates - 1`` follow, and on a circuit ``gates``
is gate 0 once more, as the end of the lap. Otherwise the start of the first lap and its end would look alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from shared.player_state import F64
from shared.world.route_table import RouteTable
from zones.segments import distance_m

Ints = NDArray[Any]

NO_GATE: Final = -1
"""Next gate of who has finished, and the index of a gate that there is not."""
GATES_AHEAD: Final = 6
"""So many gates after the next one are looked at to tell whether that was missed. Few, because a route may use a road
twice: who drives there before its next gate has missed none. A short cut past more is told once one of these is passed.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """Gates of route ``r`` have the indices ``starts[r] .. starts[r] + counts[r] - 1``."""

    starts: Ints
    """``(routes,)``."""
    counts: Ints
    """``(routes,)`` gates."""
    closed: NDArray[np.bool_]
    """``(routes,)``."""
    laps: Ints
    """``(routes,)``."""
    gates_m: F64
    """``(gates, 4)``: ax, az, bx, bz."""
    apart_m: F64
    """``(gates,)``: least distance from the gate before on the route; on a circuit gate 0 follows the last."""
    reach_m: F64
    """``(gates,)``: the sum of these from gate 0 on."""
    lap_m: F64
    """``(routes,)``: their sum once around; for a route from point to point that to the last gate."""
    nearby_at: Ints
    """``(routes,)``: row of a route's start line in ``nearby_m``; those of the other numbers of the lap follow."""
    nearby_m: F64
    """``(4, rows, 2 + GATES_AHEAD)``: least x and z, largest x and z of the gate before, the gate, and those after it;
    NaN: none."""

    @classmethod
    def of(cls, routes: RouteTable) -> Self:
        """Derive all from a world's routes; keeps no view of them."""
        starts, counts = routes.starts[:-1].astype(np.intp), np.diff(routes.starts).astype(np.intp)
        a, b = routes.gates_m[:, :2], routes.gates_m[:, 2:]
        boxes = np.concatenate((np.minimum(a, b), np.maximum(a, b)), axis=1)
        apart, reach, laps = np.zeros(len(a)), np.zeros(len(a)), np.zeros(len(starts))
        for route, (start, count) in enumerate(zip(starts.tolist(), counts.tolist(), strict=True)):
            gates = routes.gates_m[start : start + count]
            for number in range(1, count):
                apart[start + number] = distance_m(gates[number - 1], gates[number])
                reach[start + number] = reach[start + number - 1] + apart[start + number]
            laps[route] = reach[start + count - 1]
            if routes.closed[route]:
                apart[start] = distance_m(gates[-1], gates[0])
                laps[route] += apart[start]
        closed, times, gates_m = routes.closed.copy(), routes.laps.copy(), routes.gates_m.copy()
        nearby_at, nearby = _nearby(starts, counts, closed, boxes)
        return cls(starts, counts, closed, times, gates_m, apart, reach, laps, nearby_at, nearby)

    def index(self, route: Ints, gate: Ints) -> Ints:
        """(M,) index of the gate with this number of the lap; NO_GATE stays NO_GATE."""
        index: Ints = np.where(gate < 0, NO_GATE, self.starts[route] + gate % self.counts[route])
        return index

    def after(self, route: Ints, gate: Ints, lap: Ints) -> tuple[Ints, Ints]:
        """(M,) what comes once this gate is passed: next gate, and laps completed then."""
        ends_lap = self.closed[route] & (gate == self.counts[route])
        laps = lap + ends_lap
        last = np.where(self.closed[route], self.counts[route], self.counts[route] - 1)
        onward = np.where(gate < last, gate + 1, NO_GATE)
        return np.where(ends_lap & (laps < self.laps[route]), 1, onward), laps

    def neighbours(self, route: Ints, gate: Ints, lap: Ints) -> tuple[Ints, Ints]:
        """Indices of the gate before this one, (M,), and of those after it, (M, GATES_AHEAD), as the racer drives.

        NO_GATE where there is none. On a circuit a gate counts as after this one only where it is nearer that way round
        than the other, but for the very next; and that does not where it is the one before, too: on a circuit of two
        gates one cannot tell who drives over it once more from who missed a gate.
        """
        before = self.index(route, gate - 1)  # of the start line: none
        count, closed = self.counts[route][:, None], self.closed[route][:, None]
        steps = np.arange(1, GATES_AHEAD + 1)
        left = np.where(closed, self.laps[route][:, None] * count, count - 1) - gate[:, None]
        left = left - np.where(closed, lap[:, None] * count, 0)
        after = self.starts[route][:, None] + (gate[:, None] + steps) % count
        none = (steps > left) | (closed & (steps > 1) & (2 * steps >= count))
        none |= (after == before[:, None]) | (after == self.index(route, gate)[:, None])
        return before, np.where(none, NO_GATE, after)

    def near(self, route: Ints, gate: Ints, p: F64, q: F64) -> NDArray[np.bool_]:
        """(M,) whether the box of the path p to q, (M, 2) each, touches that of this gate or of a neighbour.

        Who is near none of them passes nothing. Comparing numbers is exact, so nobody is left out by rounding.
        """
        rows = self.nearby_at[route] + gate
        near: NDArray[np.bool_] = np.ones((len(rows), self.nearby_m.shape[2]), np.bool_)
        for axis in (0, 1):
            near &= np.minimum(p[:, axis], q[:, axis])[:, None] <= self.nearby_m[axis + 2][rows]
            near &= np.maximum(p[:, axis], q[:, axis])[:, None] >= self.nearby_m[axis][rows]
        return np.asarray(near.any(axis=1))

    def straight_m(self, route: Ints, gate: Ints) -> tuple[F64, F64]:
        """(M,) metres driven at least by who passes this gate: since the one before, and since the lap began."""
        here = self.index(route, gate)
        split = np.where(gate == 0, 0.0, self.apart_m[here])
        return split, np.where(gate == self.counts[route], self.lap_m[route], self.reach_m[here])


def _nearby(starts: Ints, counts: Ints, closed: NDArray[np.bool_], boxes_m: F64) -> tuple[Ints, F64]:
    """``nearby_at`` and ``nearby_m`` of ``Tracks``; on a circuit gate 1 follows the end of a lap."""
    beside = np.arange(-1, GATES_AHEAD + 1)
    rows = [np.full((0, len(beside), 4), np.nan)]
    for start, count, ring in zip(starts.tolist(), counts.tolist(), closed.tolist(), strict=True):
        numbers = np.arange(count + 1)[:, None] + beside
        boxes = boxes_m[start + numbers % count]
        boxes[(numbers < 0) | ((numbers >= count) & (not ring))] = np.nan
        rows.append(boxes)
    begins = np.cumsum([0, *(counts + 1).tolist()])[:-1]
    return begins.astype(np.intp), np.ascontiguousarray(np.moveaxis(np.concatenate(rows), 2, 0))
