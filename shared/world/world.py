"""The static world of one shard, as every process knows it: preset, seed, size, and where players appear."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np

from shared.constants import CHUNK_M
from shared.world import world_file
from shared.world.entries import WORLD_SIZE_MAX_M, WORLD_SIZE_MIN_M, WorldFile
from shared.world.faults import WorldFault
from shared.world.headings import heading, mrad_of_degrees

__all__ = ["PRESETS", "WORLD_SIZE_MAX_M", "WORLD_SIZE_MIN_M", "Pose", "World", "WorldFault"]

PRESETS: Final = ("open",)
"""Presets that exist in every size; ``world_file.FILE_PRESETS`` are those with a size of their own."""
SPAWN_SPACING_M: Final = 5.0
"""Between arrivals at the same spawn point: a car's length and a door."""


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
    content: WorldFile | None = field(default=None, repr=False, compare=False)
    """The world file, where there is one; ``hash`` covers it. Filled in for presets that are files."""
    hash: str = field(init=False)
    """16 hex digits over all other fields; ``welcome.world.hash``."""

    def __post_init__(self) -> None:
        if self.content is None and self.preset in world_file.FILE_PRESETS:
            object.__setattr__(self, "content", world_file.load_preset(self.preset))
        if self.content is None and self.preset not in PRESETS:
            names = ", ".join((*PRESETS, *world_file.FILE_PRESETS))
            raise WorldFault(f"world: no preset {self.preset!r}; use one of: {names}")
        if not 0 <= self.seed < 2**32:
            raise WorldFault(f"seed: must be 0 to {2**32 - 1}, not {self.seed}")
        if not WORLD_SIZE_MIN_M <= self.size_m <= WORLD_SIZE_MAX_M or self.size_m % CHUNK_M:
            raise WorldFault(
                f"world size: must be a multiple of {CHUNK_M} from {WORLD_SIZE_MIN_M} to {WORLD_SIZE_MAX_M} m, "
                f"not {self.size_m}"
            )
        if self.content is not None and self.content.size_m != self.size_m:
            raise WorldFault(
                f"world size: {self.preset} is {self.content.size_m} m, not {self.size_m}; leave the size out"
            )
        named: list[str | int] = [self.preset, self.seed, self.size_m]
        if self.content is not None:
            named += [world_file.GENERATION, world_file.digest(self.content)]
        object.__setattr__(self, "hash", hashlib.sha256(json.dumps(named).encode()).hexdigest()[:16])

    @classmethod
    def of_file(cls, content: WorldFile, seed: int | None = None) -> Self:
        """The world of a file, from its own seed or another."""
        return cls(content.name, content.seed if seed is None else seed, content.size_m, content)

    @property
    def spawns(self) -> tuple[str, ...]:
        """Names of the spawn points; none in a world without a file."""
        return () if self.content is None else tuple(spawn.id for spawn in self.content.spawns)

    def spawn(self, number: int, point: str | None = None) -> Pose:
        """Where the ``number``-th arrival appears.

        In a world from a file: at its spawn points in turn, or at the one named ``point``, ``SPAWN_SPACING_M`` apart;
        ``y`` is 0 for the zone to put right. Else scattered over the world, away from its edge, by the seed alone.
        """
        if self.content is not None:
            return self._at_spawn_point(self.content, number, point)
        margin = min(32.0, self.size_m / 8)
        span = self.size_m - 2 * margin
        return Pose(
            x=margin + span * _unit(self.seed, 3 * number),
            y=0.0,
            z=margin + span * _unit(self.seed, 3 * number + 1),
            yaw=math.tau * _unit(self.seed, 3 * number + 2),
        )

    @staticmethod
    def _at_spawn_point(content: WorldFile, number: int, point: str | None) -> Pose:
        lap, turn = divmod(number, len(content.spawns))
        named = {spawn.id: spawn for spawn in content.spawns}
        spawn = content.spawns[turn] if point is None else named[point]
        side = max(1, int(spawn.radius_m * 1.4 / SPAWN_SPACING_M))  # the square of places within the circle
        row, column = divmod(lap % (side * side), side)
        yaw = mrad_of_degrees(spawn.yaw_deg) / 1000.0
        (ahead_x,), (ahead_z,) = (part.tolist() for part in heading(np.array([yaw])))
        right_m, back_m = ((place - (side - 1) / 2.0) * SPAWN_SPACING_M for place in (column, row))
        x = spawn.at[0] - ahead_z * right_m - ahead_x * back_m
        z = spawn.at[1] + ahead_x * right_m - ahead_z * back_m
        return Pose(x=x, y=0.0, z=z, yaw=yaw)


def _unit(seed: int, counter: int) -> float:
    """A number in [0, 1) from 32-bit integer arithmetic alone (the finalizer of MurmurHash3)."""
    value = (seed ^ (counter * 0x9E3779B9)) & 0xFFFFFFFF
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        value = ((value ^ (value >> shift)) * factor) & 0xFFFFFFFF
    return float((value ^ (value >> 16)) / 2**32)
