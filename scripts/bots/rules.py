"""What bots hold the shard to: the bounds of every check, and the record of a breach."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.cells import WINDOWS
from shared.constants import BORDER_BAND_M, CARRY_FORWARD_MS, HOME_BAND_M, SLOT_REST_MS, VIEW_RADIUS_M


class Kind(enum.StrEnum):
    """What can be wrong. The first group is seen in one view alone, the second needs the truth of several bots."""

    TICK_ORDER = "tick_order"
    TIME_ORDER = "time_order"
    PLAYER_TWICE = "player_twice"
    SLOT_REUSED = "slot_reused"
    WHO_WITHOUT_ROW = "who_without_row"
    ROW_OF_UNKNOWN = "row_of_unknown"
    GONE_OF_UNKNOWN = "gone_of_unknown"
    STALE_ROW = "stale_row"
    SLOW_ROW = "slow_row"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED_UNSENT = "acknowledged_unsent"
    ACKNOWLEDGED_BACKWARDS = "acknowledged_backwards"
    SILENCE = "silence"
    UNANSWERED = "unanswered"
    UNREADABLE = "unreadable"
    REFUSED = "refused"
    CORRECTED = "corrected"
    NOT_RESUMED = "not_resumed"

    JUMP = "jump"
    LOST = "lost"
    MISPLACED = "misplaced"
    GHOST = "ghost"
    RACE = "race"


@dataclass(frozen=True, slots=True)
class Rules:
    """The bounds. Seconds and metres; each says what it rests on."""

    position_lag_s: float = 0.4
    """How old a shown position may be: two client periods, a late zone's tick, the network, and as much in reserve."""
    carry_s: float = CARRY_FORWARD_MS / 1000
    """How far a row may be ahead of its sample, and how far the row before may have been."""
    ack_s: float = 1.5
    """A sample is acknowledged within this: the contract's one second for the own row, and half a second of way."""
    proof_s: float = 1.5
    """A listed entity has a row within this: one second of proof of life, a 4-tick window, and the way."""
    proof_ticks: int = 20
    """... and within this many ticks: a main process that stood still owes no rows for that time."""
    silence_s: float = 1.5
    """A bot in the world gets a snapshot within this."""
    answer_s: float = 10.0
    """``auth``, ``enter`` and ``leave`` are answered within this."""
    settle_s: float = 1.0
    """How long after ``placed`` a bot takes part in the checks between bots."""
    period_ticks: int = WINDOWS[-1] + 8
    """A car that drives has a row within this many ticks, however far it is: four, and as long as a late sample and the
    way take. In a snapshot whose ``tier`` says that rows take turns it may be more."""
    visible_m: float = 80.0
    """Two bots nearer than this see each other, unless their speed takes more of what the bands leave."""
    view_radius_m: float = VIEW_RADIUS_M
    """The shard's ``--view-radius``."""
    absent_snapshots_max: int = 2
    """A near bot may be missing from so many consecutive snapshots."""
    left_s: float = 1.0
    """After ``leave`` was answered a player is in no view from here on."""
    cut_s: float = 35.0
    """The same after a disconnect: the shard holds the car for 30 s."""
    resume_s: float = 25.0
    """Who is back within this after a disconnect is given its car: some seconds less than the shard holds it."""
    resume_off_m: float = 60.0
    """How far a car that is given back may be from where its driver last had it: samples that were on their way are
    lost, a second of them at the speed of the fastest roamer, more where the line had stalled before it broke."""
    slot_rest_ms: float = SLOT_REST_MS - 500.0
    """A slot names no other player within this; half a second is allowed for what the observer saw late."""
    stall_s: float = 0.0
    """For so long at most whoever made the lines holds up what is sent: a car on such a line is shown as much later,
    and then makes up for it. Counts on top of ``position_lag_s``, ``ack_s``, ``silence_s``, and jumps."""
    misplaced_slack_m: float = 2.0
    """Rounding to centimetres, and the turn within one period."""
    honest: bool = True
    """Whether the bot drives as a good client does: corrections and refusals are then the shard's mistakes."""

    @property
    def banded_m(self) -> float:
        """Nearer than this is surely in view when nobody moves: the bands of both at their worst, on both axes."""
        return self.view_radius_m - 1.5 * (2 * HOME_BAND_M + BORDER_BAND_M)


@dataclass(frozen=True, slots=True)
class Violation:
    """One breach, with the numbers that show it."""

    kind: Kind
    tick: int
    """Of the observer's last snapshot."""
    at_s: float
    """On the clock of the swarm's process."""
    observer: str
    """The player in whose view it was seen."""
    evidence: Mapping[str, float | int | str]


@dataclass(slots=True)
class Findings:
    """Breaches of one process: all are counted, the first are kept."""

    kept_most: int = 200
    counts: Counter[str] = field(default_factory=Counter)
    kept: list[Violation] = field(default_factory=list)

    def add(self, violation: Violation) -> None:
        """Count a breach, and keep it while there is room."""
        self.counts[violation.kind.value] += 1
        if len(self.kept) < self.kept_most:
            self.kept.append(violation)
