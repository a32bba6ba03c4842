"""The kinds of props: what stands on the ground beside the roads, and how solid it is. Clients know the same table.

A prop's own frame: its heading (``yaw``) is forward, and a prop of kind K and scale s takes up

    circle   a disc of ``half_width_m * s`` around its position
    box      ``half_width_m * s`` to the left and right of its position, ``half_depth_m * s`` before and behind it
    wall     a line of ``half_depth_m * s`` before and behind it, without thickness
    none     nothing: it can be driven through; it still keeps ``half_width_m * s`` off the roads
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Shape: TypeAlias = Literal["none", "circle", "box", "wall"]


@dataclass(frozen=True, slots=True)
class PropKind:
    """One kind of prop, in metres at scale 1."""

    name: str
    shape: Shape
    half_width_m: float
    half_depth_m: float
    height_m: float
    role: Literal["scatter", "building", "rail", "landmark"]
    """Who may place it: ``scatter`` and ``frontage`` of a biome, the roads' guard rails, or landmarks only."""


PROP_KINDS: Final[tuple[PropKind, ...]] = (
    PropKind("pine", "circle", 0.35, 0.35, 14.0, "scatter"),
    PropKind("oak", "circle", 0.5, 0.5, 11.0, "scatter"),
    PropKind("birch", "circle", 0.25, 0.25, 10.0, "scatter"),
    PropKind("rock", "circle", 1.0, 1.0, 1.4, "scatter"),
    PropKind("boulder", "circle", 2.2, 2.2, 3.0, "scatter"),
    PropKind("bush", "none", 0.8, 0.8, 1.2, "scatter"),
    PropKind("reed", "none", 0.5, 0.5, 1.6, "scatter"),
    PropKind("house", "box", 5.0, 4.0, 7.0, "building"),
    PropKind("terrace", "box", 8.0, 5.0, 9.0, "building"),
    PropKind("block", "box", 10.0, 7.0, 18.0, "building"),
    PropKind("tower", "box", 9.0, 9.0, 40.0, "building"),
    PropKind("shop", "box", 7.0, 5.0, 5.0, "building"),
    PropKind("warehouse", "box", 17.0, 10.0, 10.0, "building"),
    PropKind("barn", "box", 8.0, 5.0, 8.0, "building"),
    PropKind("silo", "circle", 3.0, 3.0, 14.0, "building"),
    PropKind("rail", "wall", 0.2, 2.0, 0.8, "rail"),
    PropKind("barrier", "wall", 0.3, 2.0, 1.0, "landmark"),
    PropKind("lighthouse", "circle", 4.0, 4.0, 28.0, "landmark"),
    PropKind("church", "box", 6.0, 14.0, 32.0, "landmark"),
    PropKind("crane", "box", 6.0, 6.0, 45.0, "landmark"),
    PropKind("mast", "circle", 1.5, 1.5, 60.0, "landmark"),
    PropKind("windmill", "circle", 3.0, 3.0, 22.0, "landmark"),
    PropKind("stack", "box", 6.1, 2.5, 7.8, "landmark"),
)
"""PropTables hold the index into this tuple; the wire has the name."""

PROP_INDEX: Final[dict[str, int]] = {kind.name: index for index, kind in enumerate(PROP_KINDS)}
NOTHING: Final = "nothing"
"""In ``frontage``: an empty plot."""


def names(*roles: str) -> tuple[str, ...]:
    """The kinds that one of ``roles`` may place."""
    return tuple(kind.name for kind in PROP_KINDS if kind.role in roles)
