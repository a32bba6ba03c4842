"""What a race is made of: its card (what never changes), its racers, their passings of gates, its phase.

All are replaced, never changed: at each gate of each racer. Hence structs, whose replacement costs a tenth of a
dataclass's.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from math import inf
from types import MappingProxyType
from typing import Final, Literal, Self, TypeAlias

from msgspec import Struct, field

from shared.vehicles import VehicleClass
from shared.world.routes import Route

Phase: TypeAlias = Literal["open", "staging", "countdown", "running", "finishing", "finished", "cancelled"]
"""As on the wire."""

Status: TypeAlias = Literal["joined", "grid", "racing", "finished", "dnf", "dsq"]
"""What a racer does, or how it ended: the last three are ends, and nothing leaves them."""

ENDED: Final[frozenset[Status]] = frozenset({"finished", "dnf", "dsq"})
BEFORE_START: Final[frozenset[Phase]] = frozenset({"open", "staging", "countdown"})
OVER: Final[frozenset[Phase]] = frozenset({"finished", "cancelled"})

SECOND_MS: Final = 1000.0
MINUTE_MS: Final = 60 * SECOND_MS
RACE_ID_CHARS: Final = 64
"""What the wire allows; the number comes first, so that an id cut short is still unique."""
STALL_SHARE: Final = 4.0
"""A gate must come within a minute, or within so many times what the slowest class needs for the longest gap."""


class RaceCard(Struct, frozen=True):
    """What is settled when a race is opened. Times are milliseconds."""

    id: str
    """On the wire."""
    number: int
    """In zones."""
    route: str
    gates: int
    """Of one lap."""
    laps: int
    closed: bool
    """A circuit: gate 0 is the finish of each lap, too."""
    racers_max: int
    racers_min: int = 1
    vehicle: str | None = None
    """The class it is driven in; None: any."""
    time_limit_ms: float = 30 * MINUTE_MS
    no_progress_ms: float = MINUTE_MS
    open_ms: float = 30 * SECOND_MS
    """How long it can be joined, unless it is full before."""
    resume_ms: float = 30 * SECOND_MS
    """How long a racer may be disconnected."""

    @classmethod
    def of(cls, route: Route, number: int, vehicles: Sequence[VehicleClass], resume_ms: float) -> Self:
        """The card of race ``number`` on a route of a world with these classes of vehicle."""
        entry, limits = route.entry, route.entry.limits
        gaps = [later - earlier for earlier, later in itertools.pairwise(route.gate_at_m.tolist())]
        if route.closed:
            gaps.append(route.lap_m - sum(gaps))
        slowest_mps = min(each.speed_cap_mps for each in vehicles if entry.vehicle in (None, each.name))
        return cls(
            id=f"r{number}-{route.id}"[:RACE_ID_CHARS],
            number=number,
            route=route.id,
            gates=len(route.gates_m),
            laps=route.laps,
            closed=route.closed,
            racers_max=min(limits.racers_max or entry.grid_slots, entry.grid_slots),
            racers_min=min(limits.racers_min, entry.grid_slots),
            vehicle=entry.vehicle,
            time_limit_ms=limits.time_limit_s * SECOND_MS,
            no_progress_ms=max(MINUTE_MS, STALL_SHARE * SECOND_MS * max(gaps, default=0.0) / slowest_mps),
            resume_ms=resume_ms,
        )

    @property
    def last(self) -> int:
        """Index of the passing that finishes the race; that of the start line is 0."""
        return self.gates * self.laps if self.closed else self.gates - 1

    def index(self, lap: int, gate: int) -> int:
        """Which passing it is to pass ``gate`` with ``lap`` laps completed."""
        return lap * self.gates + gate


class Passing(Struct, frozen=True):
    """A gate was passed: server time, milliseconds, give or take ``err_ms``."""

    at_ms: float
    err_ms: float


class Racer(Struct, frozen=True):
    """One who takes part."""

    player: str
    name: str
    vehicle: str
    number: int
    """Order of joining; decides the grid slot, and between equals."""
    status: Status = "joined"
    grid_slot: int = -1
    """Index into the route's grid; -1 before staging."""
    passings: tuple[Passing, ...] = ()
    """Of all gates so far; the first is the start line."""
    penalty_ms: float = 0.0
    flags: frozenset[str] = frozenset()
    """``false_start``, ``invalidated``."""
    away_ms: float = inf
    """Since when it is disconnected."""
    reason: str = ""
    """Why it did not finish or was disqualified."""
    ended_ms: float = inf

    @property
    def ended(self) -> bool:
        """Whether its race is over."""
        return self.status in ENDED

    @property
    def passed(self) -> int:
        """Gates passed, over all laps."""
        return len(self.passings)

    @property
    def valid(self) -> bool:
        """Whether its result counts."""
        return "invalidated" not in self.flags

    @property
    def last_ms(self) -> float:
        """Time of its last gate, its penalties counted; inf before the first."""
        return self.passings[-1].at_ms + self.penalty_ms if self.passings else inf


def _nobody() -> Mapping[str, Racer]:
    return MappingProxyType({})


class Race(Struct, frozen=True):
    """The whole state of one race. Never changed in place."""

    card: RaceCard
    since_ms: float
    """When the phase began."""
    phase: Phase = "open"
    rev: int = 1
    """Grows with every change."""
    racers: Mapping[str, Racer] = field(default_factory=_nobody)
    """By player, in the order of joining."""
    joined: int = 0
    """How many ever joined."""
    start_ms: float | None = None
    """The start: server time."""
    announced_ms: float = -inf
    """When the start was told last."""
    known_ms: float = -inf
    """Everything that happened up to this time is known: all zones concerned are past it."""
    reason: str = ""
    """Why it was cancelled."""

    @property
    def over(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self.phase in OVER

    def active(self) -> list[Racer]:
        """Racers whose race is not over, in the order of joining."""
        return [racer for racer in self.racers.values() if not racer.ended]
