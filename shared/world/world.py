"""The static world of one shard, as every process knows it: preset, seed, size, and where players appear."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field

from shared.constants import CHUNK_M

WORLD_SIZE_MIN_M = CHUNK_M
WORLD_SIZE_MAX_M = 65536
"""float64 positions stay exact to a nanometre there; cell ids stay below 2^20."""

PRESETS = ("open",)


class WorldFault(ValueError):
    """The world asked for cannot exist; the text names the field and the fix."""


@dataclass(frozen=True, slots=True)
class Pose:
    """Where something stands: metres and radians, in the frame of the wire contract."""

    x: float
    y: float
    z: float
    yaw: float


@dataclass(frozen=True, slots=True)
class World:
    """One world. Equal fields mean the same world to the last bit; ``hash`` names it."""

    preset: str
    seed: int
    """32 bits."""
    size_m: int
    """Edge of the square, a multiple of CHUNK_M metres."""
    hash: str = field(init=False)
    """16 hex digits over all other fields; ``welcome.world.hash``."""

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise WorldFault(f"world: no preset {self.preset!r}; use one of: {', '.join(PRESETS)}")
        if not 0 <= self.seed < 2**32:
            raise WorldFault(f"seed: must be 0 to {2**32 - 1}, not {self.seed}")
        if not WORLD_SIZE_MIN_M <= self.size_m <= WORLD_SIZE_MAX_M or self.size_m % CHUNK_M:
            raise WorldFault(
                f"world size: must be a multiple of {CHUNK_M} from {WORLD_SIZE_MIN_M} to {WORLD_SIZE_MAX_M} m, "
                f"not {self.size_m}"
            )
        text = json.dumps([self.preset, self.seed, self.size_m])
        object.__setattr__(self, "hash", hashlib.sha256(text.encode()).hexdigest()[:16])

    def spawn(self, number: int) -> Pose:
        """Where the ``number``-th arrival appears: scattered over the world, away from its edge, by the seed alone."""
        margin = min(32.0, self.size_m / 8)
        span = self.size_m - 2 * margin
        return Pose(
            x=margin + span * _unit(self.seed, 3 * number),
            y=0.0,
            z=margin + span * _unit(self.seed, 3 * number + 1),
            yaw=math.tau * _unit(self.seed, 3 * number + 2),
        )


def _unit(seed: int, counter: int) -> float:
    """A number in [0, 1) from 32-bit integer arithmetic alone (the finalizer of MurmurHash3)."""
    value = (seed ^ (counter * 0x9E3779B9)) & 0xFFFFFFFF
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        value = ((value ^ (value >> shift)) * factor) & 0xFFFFFFFF
    return float((value ^ (value >> 16)) / 2**32)
