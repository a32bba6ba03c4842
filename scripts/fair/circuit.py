"""Routes around the circle that cheats and their twins drive: gates right across it, or not where they should be.

Where a driver is on the circle is its yaw: it starts southwards at the western edge and turns to ever greater yaw.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from scripts.fair.techniques import MISPLACED_TURN, RADIUS_M
from shared.world.route_table import RouteTable

FAIR, BESIDE, BACKWARDS = 0, 1, 2
"""Routes: of gates across the circle; the same with one gate beside it; the same with gates that face backwards."""
GATES: Final = 84
"""One per 60 m: a silence of half a second leads over more than one, at twice a car's speed."""
FIRST_TURN: Final = 0.55
"""Radians from the start to gate 0, the start line; everybody is armed by then."""
HALF_M: Final = 30.0
BESIDE_M: Final = 120.0
"""How far outside the circle the gate stands that its drivers miss."""
MISPLACED: Final = math.ceil((MISPLACED_TURN - FIRST_TURN) / (math.tau / GATES))
"""The gate that stands beside the circle, and the first that faces backwards."""


def routes(centre_m: tuple[float, float]) -> RouteTable:
    """FAIR, BESIDE and BACKWARDS around ``centre_m``, one lap and point to point."""
    turn = FIRST_TURN + np.arange(GATES) * (math.tau / GATES)
    number = np.arange(GATES)
    gates = []
    for kind in (FAIR, BESIDE, BACKWARDS):
        middle_m = RADIUS_M + np.where((kind == BESIDE) & (number == MISPLACED), BESIDE_M, 0.0)
        side = np.where((kind == BACKWARDS) & (number >= MISPLACED), -1.0, 1.0)
        ends = []
        for end in (-side, side):  # A is at the driver's left, which is towards the middle of the circle
            radius_m = middle_m + end * HALF_M
            ends += [centre_m[0] - radius_m * np.cos(turn), centre_m[1] + radius_m * np.sin(turn)]
        gates.append(np.column_stack(ends))
    count = len(gates)
    at_m = np.tile(number * (math.tau / GATES) * RADIUS_M, count)
    return RouteTable(
        starts=(np.arange(count + 1) * GATES).astype(np.int32),
        gates_m=np.concatenate(gates),
        gate_at_m=at_m,
        closed=np.zeros(count, np.bool_),
        laps=np.ones(count, np.int32),
        lap_m=np.full(count, at_m[GATES - 1]),
    )
