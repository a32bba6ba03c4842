"""What honest players have to put up with: one row of the false-positive table each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from scripts.fair.cars import BODY_M

Server: TypeAlias = Literal["steady", "borders", "zone late", "main late"]
"""``steady``: one zone. ``borders``: four, and everybody drives over their borders all the time. ``zone late``: four,
and one after the other stands still for 200 ms. ``main late``: one zone, and main itself stands still for 200 ms."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Milliseconds unless named otherwise; ``*_every_s`` is the mean time between two, 0: never."""

    name: str
    server: Server = "steady"
    delay_ms: float = 40.0
    jitter_ms: float = 10.0
    stall_every_s: float = 0.0
    stall_ms: float = 0.0
    swing_every_s: float = 0.0
    swing_ms: float = 0.0
    hz: int = 20
    hidden_every_s: float = 0.0
    hidden_s: float = 0.0
    skew_ppm: float = 50.0
    offset_ms: float = 0.0
    clock_step_every_s: float = 0.0
    clock_step_ms: float = 0.0
    grain_ms: float = 0.0
    hitch_every_s: float = 0.0
    hitch_ms: float = 0.0
    break_every_s: float = 0.0
    away_s: float = 3.0
    moved_every_s: float = 0.0
    """Server-made moves, up to MOVES_MOST in as many ticks."""
    body_m: float = BODY_M
    """How far the car's body keeps its centre off everything solid."""
    racing: float = 0.5
    """Share of the drivers who race, and so have the smaller bank."""
    promised: bool = True
    """False: shown, but not part of what is promised; see the note."""
    note: str = ""


MOVES_MOST: Final = 5

DAY_MS: Final = 86_400_000.0

SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario("delay 20 ms", delay_ms=20.0, jitter_ms=0.0),
    Scenario("delay 100 ms", delay_ms=100.0, jitter_ms=0.0),
    Scenario("delay 300 ms", delay_ms=300.0, jitter_ms=0.0),
    Scenario("delay 800 ms", delay_ms=800.0, jitter_ms=0.0),
    Scenario("jitter 0-200 ms", delay_ms=60.0, jitter_ms=200.0),
    Scenario("swings 0-2000-0 ms", swing_every_s=20.0, swing_ms=2000.0),
    Scenario("stalls of 0.2 s", stall_every_s=5.0, stall_ms=200.0),
    Scenario("stalls of 1 s", stall_every_s=15.0, stall_ms=1000.0),
    Scenario("stalls of 3 s", stall_every_s=30.0, stall_ms=3000.0),
    Scenario("stalls of 10 s", stall_every_s=60.0, stall_ms=10_000.0),
    Scenario("stalls of 10 s, 30 Hz", stall_every_s=60.0, stall_ms=10_000.0, hz=30),
    Scenario("30 Hz", hz=30),
    Scenario("10 Hz", hz=10),
    Scenario("10 Hz, centre 0.1 m off", hz=10, body_m=0.1),
    Scenario("1 Hz", hz=1, racing=0.0),
    Scenario("1 Hz, racing", hz=1, racing=1.0),
    Scenario("60 Hz, thinned", hz=60),
    Scenario("20 Hz, hidden tab 1 Hz", hidden_every_s=15.0, hidden_s=8.0, racing=0.0),
    Scenario("the same, racing", hidden_every_s=15.0, hidden_s=8.0, racing=1.0),
    Scenario("clock +500 ppm", skew_ppm=500.0),
    Scenario("clock -500 ppm, +24 h", skew_ppm=-500.0, offset_ms=DAY_MS),
    Scenario("clock stepped 1 s", clock_step_every_s=20.0, clock_step_ms=1000.0, offset_ms=DAY_MS),
    Scenario("clock of 100 ms grain", grain_ms=100.0),
    Scenario("frame hitches 0.3 s", hitch_every_s=4.0, hitch_ms=300.0),
    Scenario("frame hitches 0.8 s", hitch_every_s=12.0, hitch_ms=800.0),
    Scenario("centre 0.1 m off walls", body_m=0.1),
    Scenario("centre touches walls", body_m=0.0, promised=False, note="cars without a body"),
    Scenario("resume mid-corner", break_every_s=15.0),
    Scenario("resume, delay 300 ms", break_every_s=15.0, delay_ms=300.0, jitter_ms=100.0),
    Scenario("5 moves in flight, 800 ms", moved_every_s=12.0, delay_ms=800.0, jitter_ms=50.0),
    Scenario("moves in flight, stalls", moved_every_s=12.0, stall_every_s=8.0, stall_ms=1000.0),
    Scenario("zone borders", server="borders"),
    Scenario("zone borders, 10 Hz", server="borders", hz=10, jitter_ms=100.0),
    Scenario("zone borders, stalls of 1 s", server="borders", stall_every_s=10.0, stall_ms=1000.0),
    Scenario("zone borders, resume", server="borders", break_every_s=15.0),
    Scenario("zone late 200 ms", server="zone late"),
    Scenario("zone late, stalls of 0.2 s", server="zone late", stall_every_s=5.0, stall_ms=200.0),
    Scenario("main late 200 ms", server="main late"),
    Scenario("main late, jitter, 30 Hz", server="main late", jitter_ms=150.0, hz=30),
)

SERVERS: Final[tuple[Server, ...]] = ("steady", "borders", "zone late", "main late")
