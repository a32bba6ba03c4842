"""What a zone lets pass, and from where on it reacts: every number of the anti-cheat, with its unit and its reason.

Caps per vehicle class are in ``shared/vehicles.py``; what is here is how far beyond them a sample may lie before it
counts. Tight enough that cheating is not worth it, wide enough that a bad line never hurts an honest driver.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Mode: TypeAlias = Literal["enforce", "observe", "off"]
"""``observe`` judges and reports, and changes nobody's car; ``off`` leaves the protocol's own rules only."""

MODES: Final[tuple[Mode, ...]] = ("enforce", "observe", "off")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """One shard's limits."""

    # --- distance: metres per second of the server's time
    refill: float = 1.05
    """Budgets grow by this share of the class's speed cap while a car drives so fast. What it does not drive of these
    5 % is not saved: a bank that was spent is filled again by driving below the cap, not by the tolerance."""
    refill_least: float = 1.001
    """... and by this share of the cap in any case: twice a bad crystal (500 ppm), so no clock empties a bank."""
    bank_s: float = 1.0
    """What an unused budget holds, in seconds at the cap: stalls of 0.2 to 1 s are ordinary on mobile lines. It is also
    all that a lag switch gains."""
    bank_racing_s: float = 0.5
    """The same while racing."""
    slow_s: float = 1.25
    """Time between two samples counts in full up to this, beside the bank: a hidden tab sends once per second, give or
    take. A longer silence is a stall."""
    bank_slack_m: float = 1.0
    own_bank_s: float = 0.25
    """What the budget by the client's own clock holds: clocks of browsers may be rounded to 0.1 s."""
    leash_s: float = 0.25
    """A car that is short of budget follows its driver on a leash this long, in seconds at the cap; beyond, it is set
    back."""
    leash_least_m: float = 5.0
    teleport_least_m: float = 25.0
    """No honest step at 10 Hz is longer than 9 m."""
    teleport_times: float = 3.0
    """... and none longer than this times what the cap allows in its time."""

    # --- the client's clock
    clock_lead_ms: float = 150.0
    """How far it may run ahead of ours; Grim allows 120 ms, Source a third of a second in all."""
    clock_bank_ms: float = 30_000.0
    """How much of a lag may be made good: a stall is followed by all its samples at once."""
    clock_rate: float = 1.001
    """How fast it may run: twice a bad crystal (500 ppm)."""

    # --- speed and acceleration, over at least ``span_ms``
    span_ms: float = 250.0
    """Clocks of browsers may be rounded, and positions are not exact: shorter spans measure noise."""
    speed_times: float = 1.10
    speed_slack_mps: float = 2.0
    accel_times: float = 1.3
    accel_slack_mps: float = 2.0
    agree_slack_m: float = 2.0
    agree_share: float = 0.25

    # --- obstacles
    gap_ms: float = 250.0
    """A longer gap between two samples leaves the path between them open: the sweep then sets back as ``late``."""
    bend_mps2: float = 20.0
    """Most that a car accelerates in any direction; a path bends off its chord by ``bend * gap^2 / 8`` at most."""
    bend_gap_max_s: float = 1.25
    """A hidden tab sends once per second, give or take; longer silences leave nothing more open than this."""
    margin_m: float = 0.5
    """Shapes are shrunk by this: clients collide with their own physics."""
    body_m: float = 0.9
    """Half a car's width: an honest car's middle stays this far away from everything solid."""

    # --- placements
    answer_ms: float = 20_000.0
    """A client whose moves still come with another epoch after this long is placed again: it has lost the word. An
    honest line may stall for 10 s on the way there and for 10 s on the way back."""

    # --- bounds, ground and flight
    bounds_m: float = 5.0
    """Nearer beyond the world's edge samples are ignored; further out the car is put back."""
    flight_max_s: float = 6.0
    """70 m/s up a ramp of 20 degrees is 5 s in the air."""
    height_max_m: float = 60.0
    """The same ramp lifts a car 30 m; and the land falls away below it."""
    sunk_max_m: float = 3.0
    """The ground as zones know it is off by up to 1.1 m on steep banks."""

    # --- strikes
    half_life_s: float = 60.0
    log_at: float = 5.0
    ghost_at: float = 10.0
    remove_at: float = 20.0

    def __post_init__(self) -> None:
        assert 0.0 < self.log_at <= self.ghost_at <= self.remove_at, "thresholds of strikes must ascend"
        assert self.bank_racing_s <= self.bank_s, "racing allows less, not more"
        assert 1.0 <= self.refill_least <= self.refill, "a car at its cap must not run dry"


DEFAULT: Final = Thresholds()
