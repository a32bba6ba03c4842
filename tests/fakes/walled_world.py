"""The yard for cheats: a flat world of 2,048 m with a long wall, and a race on a straight road."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from scripts import fair
from shared.world.land import Land
from shared.world.world_file import load

YARD: Final = Path(fair.__file__).with_name("yard.toml")
WALL_X: Final = 440.0
WALL_Z: Final = (256.0, 768.0)
"""From where to where it stands, without a gap."""


def walled_land() -> Land:
    """The world, built."""
    return Land.of_file(load(YARD))
