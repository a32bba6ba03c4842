"""What a zone's tick did to its players, read from its events: the only file that knows how the judge tells.

Whoever changes events, columns or fields of the Tick adapts this file and nothing else of the harness.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ipc.control import Command, Crossing, GateMissed, GatePassed, Implausible, PlacedAt, Seat, Tick, WrongWay
from shared.player_state import PlayerState

Kind: TypeAlias = Literal["set back", "late", "invalidated", "removed"]

LATE_CHECK: Final = "late"
"""Check of a correction that is no reproach: an honest return after a stall beyond the bank."""


GATE: Final = "gate"


class Verdict(NamedTuple):
    """Something happened to the player in ``slot``. ``invalidated`` means ghosted: a race result would not count."""

    slot: int
    kind: Kind
    check: str


def make_tick(
    number: int,
    now_ms: float,
    adopted: list[Seat],
    released: list[Seat],
    commands: list[Command],
    late_ms: float,
    forgive: bool,
) -> Tick:
    """The Tick of a zone. ``late_ms``: by how much the server itself was late within the last second.

    ``forgive``: strikes of the last tick are the server's own fault.
    """
    told: dict[str, Any] = {"late_ms": late_ms, "forgive": forgive}
    known = {name: value for name, value in told.items() if name in Tick.__struct_fields__}
    return Tick(number, now_ms, 0, number - 1, adopted, released, [], commands, **known)


def placements(events: Sequence[Any]) -> list[PlacedAt]:
    """All server-made moves; the client has to adopt each."""
    return [event for event in events if isinstance(event, PlacedAt)]


def crossings(events: Sequence[Any]) -> list[Crossing]:
    """Who is due for a handoff."""
    return [event for event in events if isinstance(event, Crossing)]


def verdicts(events: Sequence[Any]) -> list[Verdict]:
    """What the judge did. Events of kinds that are not known here are no verdicts."""
    found: list[Verdict] = []
    for event in events:
        if isinstance(event, PlacedAt):
            if event.reason == "correction":
                check = str(getattr(event, "check", None) or "unnamed")
                found.append(Verdict(event.slot, "late" if check == LATE_CHECK else "set back", check))
            continue
        step = str(getattr(event, "step", ""))
        if step == "removed":
            found.append(Verdict(event.slot, "removed", ""))
        elif step == "ghosted":
            found.append(Verdict(event.slot, "invalidated", ""))
    return found


def reproaches(events: Sequence[Any]) -> list[tuple[int, str]]:
    """(slot, check) of samples that gave strikes, as far as the zone tells: it leaves some out when there are many."""
    return [
        (int(event.slot), str(event.check))
        for event in events
        if not isinstance(event, PlacedAt) and getattr(event, "check", None) and getattr(event, "strikes", 0.0) > 0.0
    ]


def raced(events: Sequence[Any]) -> list[tuple[int, str]]:
    """(slot, what) of gates: GATE for one that counted, otherwise what the racer or main is told."""
    names: dict[type, str] = {
        GatePassed: GATE,
        GateMissed: "missed gate",
        WrongWay: "wrong way",
        Implausible: "implausible",
    }
    return [(int(event.slot), names[type(event)]) for event in events if type(event) in names]


def strikes(state: PlayerState) -> NDArray[np.float64]:
    """(N,) the score as it stands in the column, for the counting of what is added."""
    return state.strikes.copy()


def flagged(state: PlayerState) -> int:
    """Players whom the last tick gave strikes that do not count yet."""
    due = getattr(state, "due", None)
    return 0 if due is None else int(np.count_nonzero(due))
