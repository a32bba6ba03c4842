"""A world file of 1,024 m with one of everything, for tests to bend; and worlds drawn at random."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from shared.world.entries import WorldFile
from shared.world.land import Land
from shared.world.world_file import parse

SMALL = """
name = "small"
seed = 7
size_m = 1024

[terrain]
step_m = 128
relief_m = [
  [ 60,  50,  40,  30,  24,  20,  16,  12],
  [ 50,  44,  36,  28,  22,  18,  14,  10],
  [ 40,  36,  30,  24,  20,  16,  12,   9],
  [ 30,  28,  24,  20,  16,  13,  10,   8],
  [ 22,  20,  18,  15,  12,  10,   8,   6],
  [ 14,  13,  12,  10,   8,   7,   5,   3],
  [  6,   6,   5,   4,   3,   2,   0,  -3],
  [  0,  -1,  -2,  -3,  -4,  -5,  -6,  -8],
]
biomes = [
  "wwwwwwff",
  "wwwwffff",
  "wwffffff",
  "wfttttff",
  "ffttttff",
  "ffttttff",
  "ffffffff",
  "ffffffff",
]

[[biomes]]
name = "field"
letter = "f"
scatter = { oak = 6, rock = 3, bush = 4, reed = 10 }

[[biomes]]
name = "wood"
letter = "w"
scatter = { pine = 90, birch = 20, boulder = 4 }
clumping = 30

[[biomes]]
name = "town"
letter = "t"
frontage = { house = 3, block = 1, silo = 1, nothing = 1 }
plot_m = 20

[nodes]
cross = [512, 520]
north = [500, 120]
south = [530, 780]
west = [110, 500]
east = [900, 540]
hill = [140, 140]

[[roads]]
id = "long"
name = "Long Road"
width_m = 10
through = ["north", [540, 320], "cross", [500, 650], "south"]

[[roads]]
id = "wide"
name = "Wide Street"
width_m = 12
smooth = false
through = ["west", "cross", "east"]

[[roads]]
id = "loop"
name = "The Loop"
width_m = 7
through = ["west", "hill", [320, 90], "north"]

[[spawns]]
id = "square"
at = [600, 505]
yaw_deg = 90

[[spawns]]
id = "top"
at = [118, 180]
yaw_deg = 0

[[kiosks]]
id = "k-race"
kind = "race"
at = [512, 400]
yaw_deg = 90
routes = ["dash", "round"]

[[kiosks]]
id = "k-travel-a"
kind = "travel"
at = [700, 512]
yaw_deg = 0
to = ["k-travel-b"]

[[kiosks]]
id = "k-travel-b"
kind = "travel"
at = [300, 490]
yaw_deg = 0

[[kiosks]]
id = "k-garage"
kind = "garage"
at = [555, 700]
yaw_deg = 270
vehicles = ["car"]

[[kiosks]]
id = "k-board"
kind = "board"
at = [800, 518]
yaw_deg = 0
route = "dash"

[[routes]]
id = "dash"
name = "Dash"
path = ["west", "cross", "east"]
gate_every_m = 150
grid_slots = 8

[[routes]]
id = "round"
name = "Round"
path = ["cross", "west", "hill", "north"]
gate_every_m = 200
grid_slots = 6
laps = 3
vehicle = "car"

[[routes]]
id = "by-gates"
name = "By Gates"
grid_slots = 2
gates = [
  { road = "wide", at_m = 150 },
  { left = [700, 520], right = [700, 542] },
  { road = "wide", at_m = 780, width_m = 30 },
]

[[vehicles]]
name = "car"
speed_cap_mps = 60
accel_cap_mps2 = 10

[[landmarks]]
kind = "church"
at = [560, 600]
yaw_deg = 90

[[places]]
name = "Small Town"
at = [512, 480]
"""


def small_file(*changes: tuple[str, str]) -> WorldFile:
    """The small world with (old, new) texts replaced; each old text must be there once."""
    return parse(small_text(*changes), "small.toml")


def small_text(*changes: tuple[str, str]) -> str:
    """As ``small_file``, not yet read."""
    text = SMALL
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} is in the small world {text.count(old)} times"
        text = text.replace(old, new)
    return text


def small_land(*changes: tuple[str, str], seed: int | None = None) -> Land:
    """The small world, built."""
    return Land.of_file(small_file(*changes), seed)


@st.composite
def lands(draw: st.DrawFn) -> Land:
    """Worlds of 512 m: any relief, three or four crooked roads through common nodes, any seed."""
    heights = draw(st.lists(st.integers(-20, 60), min_size=16, max_size=16))
    relief = [heights[first : first + 4] for first in range(0, 16, 4)]
    letters = draw(st.text("fwt", min_size=16, max_size=16))
    node = st.tuples(st.integers(20, 490), st.integers(20, 490))
    nodes = draw(st.lists(node, min_size=3, max_size=5, unique=True).filter(_far_apart))
    smooth = draw(st.sampled_from(["true", "false"]))
    ways = draw(st.lists(st.permutations(range(len(nodes))), min_size=1, max_size=3))
    roads = [
        f'[[roads]]\nid = "r{number}"\nname = "r"\nwidth_m = {draw(st.integers(4, 16))}\nsmooth = {smooth}\n'
        f"through = {[f'n{index}' for index in way]}\n"
        for number, way in enumerate(ways)
    ]
    kinds = SMALL[SMALL.index("[[biomes]]") : SMALL.index("[nodes]")]
    text = (
        f'name = "random"\nseed = {draw(st.integers(0, 2**32 - 1))}\nsize_m = 512\n[terrain]\nstep_m = 128\n'
        f"relief_m = {relief}\nbiomes = {[letters[first : first + 4] for first in range(0, 16, 4)]}\n{kinds}\n[nodes]\n"
        + "".join(f"n{index} = [{x}, {z}]\n" for index, (x, z) in enumerate(nodes))
        + "\n".join(roads)
        + f'\n[[spawns]]\nid = "s"\nat = [{nodes[0][0]}, {nodes[0][1]}]\nyaw_deg = 0\nradius_m = 8\n'
    )
    return Land.of_file(parse(text, "random.toml"))


def _far_apart(nodes: list[tuple[int, int]]) -> bool:
    return all(math.dist(one, other) > 40 for i, one in enumerate(nodes) for other in nodes[:i])
