"""One piece and how long it takes."""

from __future__ import annotations

import statistics
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """One piece: median and spread of microseconds per call."""

    piece: str
    us: float
    low_us: float
    high_us: float
    """Quartiles."""


def spread(piece: str, runs_us: list[float]) -> Timing:
    """The median and quartiles of runs."""
    low, middle, high = statistics.quantiles(runs_us, n=4)
    return Timing(piece, middle, low, high)
