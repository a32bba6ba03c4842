"""A flat world of 2,048 m: a long wall west of where players appear, and a straight road with a race in the north.

Who drives the circle of the cheating bots, which leads east, meets neither.
"""

from __future__ import annotations

from shared.world.entries import WorldFile
from shared.world.land import Land
from shared.world.world_file import parse

WALL_X = 440.0
WALL_Z = (256.0, 768.0)
"""From where to where it stands, without a gap."""
GRID_SLOTS = 3
"""With so many racers the race is closed and begins."""

_PIECE_M = 16.0
"""A barrier four times its size."""


def walled_text() -> str:
    """The world file."""
    pieces = int((WALL_Z[1] - WALL_Z[0]) / _PIECE_M)
    barriers = "".join(
        f'[[landmarks]]\nkind = "barrier"\nat = [{WALL_X}, {WALL_Z[0] + _PIECE_M * (number + 0.5)}]\n'
        "yaw_deg = 0\nscale = 4\n"
        for number in range(pieces)
    )
    return f"""
name = "walled"
seed = 1
size_m = 2048

[terrain]
step_m = 1024
relief_m = [[10, 10], [10, 10]]
biomes = ["pp", "pp"]
roughness = 0

[[biomes]]
name = "plain"
letter = "p"

[nodes]
west = [600, 100]
east = [818, 100]
south = [520, 600]

[[roads]]
id = "straight"
name = "The Straight"
width_m = 12
through = ["west", "east"]

[[roads]]
id = "avenue"
name = "The Avenue"
width_m = 12
through = ["west", [520, 300], "south"]

[[spawns]]
id = "avenue"
at = [520, 512]
yaw_deg = 0
radius_m = 40

[[routes]]
id = "straight"
name = "The Straight"
path = ["west", "east"]
gate_every_m = 40
grid_slots = {GRID_SLOTS}

{barriers}"""


def walled_file() -> WorldFile:
    """The same, read."""
    return parse(walled_text(), "walled.toml")


def walled_land() -> Land:
    """... and built."""
    return Land.of_file(walled_file())
