"""All race routes of a world as flat arrays, by the index of the route: what a zone needs to judge gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from shared.world.routes import Route

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class RouteTable:
    """Gates of route ``r`` are ``gates_m[starts[r] : starts[r + 1]]``."""

    starts: I32
    """``(routes + 1,)``."""
    gates_m: F64
    """``(gates, 4)``: ax, az, bx, bz; A is at the driver's left."""
    gate_at_m: F64
    """``(gates,)``: where on the course of its route each gate is crossed, metres."""
    closed: NDArray[np.bool_]
    """``(routes,)``: a circuit; gate 0 is the finish of a lap, too."""
    laps: I32
    """``(routes,)``."""
    lap_m: F64
    """``(routes,)``: from gate 0 once around, or to the last gate."""

    @classmethod
    def of(cls, routes: Sequence[Route]) -> Self:
        """The table of a world's routes, in their order."""
        counts = [len(route.gates_m) for route in routes]
        return cls(
            starts=np.concatenate(([0], np.cumsum(counts))).astype(np.int32),
            gates_m=np.concatenate([np.empty((0, 4)), *(route.gates_m for route in routes)]),
            gate_at_m=np.concatenate([np.empty(0), *(route.gate_at_m for route in routes)]),
            closed=np.array([route.closed for route in routes], np.bool_),
            laps=np.array([route.laps for route in routes], np.int32),
            lap_m=np.array([route.lap_m for route in routes], np.float64),
        )

    def __len__(self) -> int:
        return len(self.laps)
