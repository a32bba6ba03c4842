"""A way over the roads with a milestone on every point: positions are metres from its start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from shared.world.road_graph import Leg, RoadGraph

F64 = NDArray[np.float64]


class CoursePoint(NamedTuple):
    """A point of the way and the unit vector along it."""

    x: float
    z: float
    ahead_x: float
    ahead_z: float


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """Pieces of road, one after the other, as they are driven."""

    legs: tuple[Leg, ...]
    points_m: F64
    """``(legs + 1, 2)``: x, z along the middle of the road."""
    at_m: F64
    """``(legs + 1,)``: metres from the start."""
    junctions_m: F64
    """Where other roads meet the way, metres from the start."""

    @classmethod
    def of(cls, legs: list[Leg], graph: RoadGraph) -> Self:
        """The way over ``legs``, each of which starts where the one before ends."""
        posts = [start_post(legs[0], graph), *(end_post(leg, graph) for leg in legs)]
        assert all(start_post(leg, graph) == post for leg, post in zip(legs, posts, strict=False)), "legs must connect"
        lengths = graph.lengths_m[[leg.piece for leg in legs]]
        at_m = np.concatenate(([0.0], np.cumsum(lengths)))
        junction = graph.degree()[posts] > 2
        return cls(tuple(legs), graph.roads.post_cm[posts] / 100.0, at_m, at_m[junction])

    @property
    def length_m(self) -> float:
        """From end to end."""
        return float(self.at_m[-1])

    def leg_at(self, at_m: float) -> int:
        """The leg that lies at a position; positions beyond the ends count as on the last leg."""
        return int(np.clip(np.searchsorted(self.at_m, at_m, side="right") - 1, 0, len(self.legs) - 1))

    def point(self, at_m: float) -> CoursePoint:
        """The place at a position."""
        leg = self.leg_at(at_m)
        (x, z), (to_x, to_z) = self.points_m[leg].tolist(), self.points_m[leg + 1].tolist()
        length = float(self.at_m[leg + 1] - self.at_m[leg])
        ahead_x, ahead_z = (to_x - x) / length, (to_z - z) / length
        beyond = at_m - float(self.at_m[leg])
        return CoursePoint(x + ahead_x * beyond, z + ahead_z * beyond, ahead_x, ahead_z)

    def position(self, leg: int, share: float) -> float:
        """The position of a share (0 to 1) of a leg, as it is driven."""
        return float(self.at_m[leg] + (self.at_m[leg + 1] - self.at_m[leg]) * share)

    def clear_of_junctions(self, at_m: float, clear_m: float, later_only: bool = False) -> float:
        """The position nearest to ``at_m`` that has no junction within ``clear_m``; ``at_m`` if none is near by.

        Looks at most 100 m to both sides, or ahead only.
        """
        for off in range(101):
            for moved in (at_m + off,) if later_only or not off else (at_m + off, at_m - off):
                inside = clear_m <= moved <= self.length_m - clear_m
                if inside and not np.any(np.abs(self.junctions_m - moved) < clear_m):
                    return moved
        return at_m


def start_post(leg: Leg, graph: RoadGraph) -> int:
    """Where a leg begins."""
    return int(graph.roads.piece_posts[leg.piece, 0 if leg.forward else 1])


def end_post(leg: Leg, graph: RoadGraph) -> int:
    """Where a leg ends."""
    return int(graph.roads.piece_posts[leg.piece, 1 if leg.forward else 0])
