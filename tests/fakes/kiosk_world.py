"""The small world with a choice of vehicles: two travel kiosks in two zones, a garage, a board, a race kiosk."""

from __future__ import annotations

from shared.world.world import World
from tests.fakes.small_world import small_file

_VEHICLES = """
[[vehicles]]
name = "kart"
speed_cap_mps = 40
accel_cap_mps2 = 14

[[vehicles]]
name = "truck"
speed_cap_mps = 35
accel_cap_mps2 = 5

[[landmarks]]
"""

TRAVEL_A = (700.0, 512.0)
"""In the eastern half."""
TRAVEL_B = (300.0, 490.0)
"""In the western half."""
GARAGE = (555.0, 700.0)
BOARD = (800.0, 518.0)
RACE = (512.0, 400.0)


def kiosk_world() -> World:
    """1,024 m; two zones are cut at x = 512."""
    return World.of_file(
        small_file(('vehicles = ["car"]', 'vehicles = ["car", "kart"]'), ("\n[[landmarks]]\n", _VEHICLES))
    )
