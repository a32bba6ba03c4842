"""What can happen to one race, and what a race can have done: the two ends of ``shard/races/race.py``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Join:
    """A player with a car wants to take part."""

    player: str
    name: str
    vehicle: str


@dataclass(frozen=True, slots=True)
class Leave:
    """It does not any more, or its car is gone from the world."""

    player: str


@dataclass(frozen=True, slots=True)
class CloseList:
    """Nobody may join any more: it starts now, or not at all."""


@dataclass(frozen=True, slots=True)
class OnGrid:
    """Its car stands on its grid slot."""

    player: str


@dataclass(frozen=True, slots=True)
class Passed:
    """It passed its next gate."""

    player: str
    lap: int
    gate: int
    at_ms: float
    err_ms: float


@dataclass(frozen=True, slots=True)
class LeftSlot:
    """It left its grid slot before the start."""

    player: str
    at_ms: float


@dataclass(frozen=True, slots=True)
class Invalid:
    """What it does is not possible: its result does not count."""

    player: str
    reason: str


@dataclass(frozen=True, slots=True)
class Away:
    """Its connection is lost; its car is held."""

    player: str


@dataclass(frozen=True, slots=True)
class Back:
    """It has a connection again."""

    player: str


@dataclass(frozen=True, slots=True)
class Removed:
    """Anti-cheat removed it."""

    player: str


@dataclass(frozen=True, slots=True)
class Drain:
    """The server ends."""


@dataclass(frozen=True, slots=True)
class Committed:
    """Time goes on. Every zone that holds a racer has committed a tick of this time or later."""

    watermark_ms: float


Event: TypeAlias = (
    Join | Leave | CloseList | OnGrid | Passed | LeftSlot | Invalid | Away | Back | Removed | Drain | Committed
)

# --- commands


@dataclass(frozen=True, slots=True)
class PutOnGrid:
    """Place its car on this slot of the grid."""

    player: str
    slot: int


@dataclass(frozen=True, slots=True)
class ArmRacer:
    """Have its zone watch its gates from the first on, and freeze it until the start."""

    player: str
    start_ms: float


@dataclass(frozen=True, slots=True)
class DisarmRacer:
    """Its race is over, in whatever way."""

    player: str


@dataclass(frozen=True, slots=True)
class TellState:
    """Tell everybody concerned the whole state."""


@dataclass(frozen=True, slots=True)
class TellPassing:
    """Tell everybody concerned that it passed a gate; the rest follows from the state."""

    player: str


@dataclass(frozen=True, slots=True)
class TellFalseStart:
    """Tell it that it was too early."""

    player: str


@dataclass(frozen=True, slots=True)
class Conclude:
    """The result is final: tell it, and hand out the receipts."""


Command: TypeAlias = PutOnGrid | ArmRacer | DisarmRacer | TellState | TellPassing | TellFalseStart | Conclude
