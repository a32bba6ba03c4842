"""How to drive around a gate: over a verge on which nothing stands, so that the race's rules alone have a say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from shared.constants import CHUNK_M
from shared.world.land import Land
from shared.world.routes import Route
from shared.world.solids import Solids

BEYOND_M = 2.0
"""How far beyond the end of a gate the car passes it."""
SPAN_M = 18.0
"""From so far before the gate to as far behind it the car is beside the road."""
EASE_M = 30.0
"""It needs so much more to leave the road, and to come back."""
STEP_M = 5.0
LANES = 8
WIDTH_M = 1.5
"""On each side of the lines that are tried: a car, and how far it strays from its lane."""


@dataclass(frozen=True, slots=True)
class Detour:
    """Past one gate, off the road."""

    gate: int
    """The one that is missed."""
    off_m: float
    """To the right of the middle of the road; negative: to the left."""
    from_m: float
    """Along the course."""
    to_m: float

    @classmethod
    def around(cls, route: Route, gate: int, side: float) -> Self:
        """Around the right end (1.0) of a gate, or the left one (-1.0)."""
        ax, az, bx, bz = route.gates_m[gate].tolist()
        at_m = float(route.gate_at_m[gate])
        off_m = side * (math.hypot(bx - ax, bz - az) / 2.0 + BEYOND_M)
        return cls(gate, off_m, at_m - SPAN_M, at_m + SPAN_M)


def clear_detour(route: Route, land: Land) -> Detour:
    """The one nearest to the middle of the route that is free; in the middle if none is."""
    middle = len(route.gates_m) // 2
    for gate in sorted(range(1, len(route.gates_m) - 1), key=lambda each: abs(each - middle)):
        for side in (1.0, -1.0):
            detour = Detour.around(route, gate, side)
            if _is_clear(detour, route, land):
                return detour
    return Detour.around(route, middle, 1.0)


def _is_clear(detour: Detour, route: Route, land: Land) -> bool:
    """Whether nothing stands between the road and the far side of the detour."""
    course = route.course
    first_m, last_m = max(0.0, detour.from_m - EASE_M), min(course.length_m, detour.to_m + EASE_M)
    points = [course.point(at_m) for at_m in np.arange(first_m, last_m, STEP_M).tolist()]
    lanes = np.linspace(0.0, detour.off_m, LANES)
    x = np.array([[point.x - point.ahead_z * lane for point in points] for lane in lanes.tolist()])
    z = np.array([[point.z + point.ahead_x * lane for point in points] for lane in lanes.tolist()])
    if min(x.min(), z.min()) < CHUNK_M or max(x.max(), z.max()) > land.size_m - CHUNK_M:
        return False
    spots = np.floor(np.array([x.min(), x.max(), z.min(), z.max()]) / CHUNK_M).astype(np.int32).tolist()
    chunks = [(cx, cz) for cx in range(spots[0], spots[1] + 1) for cz in range(spots[2], spots[3] + 1)]
    solids = Solids.of(land.props.place(np.array(chunks, np.int32))[0], land.size_m)
    ways = (x[:, :-1].ravel(), z[:, :-1].ravel(), x[:, 1:].ravel(), z[:, 1:].ravel())
    return bool((solids.first_hits(*ways, grow_m=WIDTH_M)[0] > 1.0).all())
