"""When faults befall a connection that nobody causes by hand: planned from a seed, so a bad run can be repeated."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Fault:
    """One planned fault, ``at_s`` seconds into the connection."""

    kind: Literal["stall", "reset"]
    at_s: float
    length_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Chaos:
    """Faults at random times. The same seed gives each connection, by its number, the same ones at the same times."""

    seed: int
    stall_every_s: float = 0.0
    """Mean time between the end of a stall and the next; 0: none."""
    stall_s: tuple[float, float] = (0.1, 1.0)
    """Shortest and longest."""
    reset_every_s: float = 0.0
    """Mean life of a connection; 0: nobody is reset."""

    def plan(self, number: int) -> Iterator[Fault]:
        """The faults of the connection with this number, in order; the last is a reset if there is any."""
        rng = random.Random(f"{self.seed}/{number}")
        now_s = 0.0
        reset_s = rng.expovariate(1.0 / self.reset_every_s) if self.reset_every_s else None
        while self.stall_every_s:
            now_s += rng.expovariate(1.0 / self.stall_every_s)
            length_s = rng.uniform(*self.stall_s)
            if reset_s is not None and now_s >= reset_s:
                break
            yield Fault("stall", now_s, length_s)
            now_s += length_s
        if reset_s is not None:
            yield Fault("reset", reset_s)
