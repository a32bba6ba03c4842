"""What main and a zone say to each other over their pipe: typed, small, one Tick outstanding per zone.

A Tick carries all that a tick depends on besides committed rows and samples; the recorder stores Ticks, and a spare is
given the same Tick again. A Done carries all that a tick had to say: a zone has no other side effects but its blocks.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from shared.constants import PIPE_MESSAGE_BYTES_MAX
from shared.messages import PlacedReason

Seat: TypeAlias = tuple[int, int]
"""(slot, generation)."""


class _Control(Struct, frozen=True, array_like=True, tag=True, gc=False):
    pass


# --- commands of a Tick, applied in order before the samples of the tick


class Place(_Control, frozen=True):
    """Put a player on the ground: metres and radians. The zone gives it a new epoch and answers with a PlacedAt."""

    slot: int
    generation: int
    x: float
    z: float
    yaw: float
    reason: PlacedReason
    fresh: bool
    """A new connection: its ``seq`` and its clock start anew."""


class SetFlags(_Control, frozen=True):
    """Change a player's flags: FLAG_* bits to set and to clear. It is not answered."""

    slot: int
    generation: int
    on: int
    off: int


class Resume(_Control, frozen=True):
    """A player is back on a new connection: it keeps pose and velocity, is not away any more, and gets a new epoch.

    Answered by a PlacedAt. The zone knows the pose best: samples of the last connection may be judged until then.
    """

    slot: int
    generation: int


class Reidentify(_Control, frozen=True):
    """A player is called and drives something else from this tick on: its watchers are told anew who it is.

    Main writes its columns at the boundary at which it sends this, for the owner has to be idle. It is not answered.
    """

    slot: int
    generation: int
    name: str
    vehicle: int
    """Index into the world's classes."""


class UseKiosk(_Control, frozen=True):
    """May this player use a kiosk at (x, z)? Answered by a KioskVerdict, after the samples of the tick."""

    slot: int
    generation: int
    request: int
    """Main's number for it; 32 bits."""
    x: float
    z: float
    radius_m: float
    cooldown_ms: float
    """How long the last use must be past; 0: it only looks, which neither waits nor begins a wait."""


class Arm(_Control, frozen=True):
    """A player is on the grid of a race: its progress is nought, it is racing, and frozen until ``start_ms``."""

    slot: int
    generation: int
    race: int
    """Number of the race."""
    route: int
    """Index into ``StaticWorld.routes``."""
    start_ms: float
    """Server time of the start."""


class Disarm(_Control, frozen=True):
    """A player races no more."""

    slot: int
    generation: int


Command: TypeAlias = Place | SetFlags | Resume | Reidentify | UseKiosk | Arm | Disarm
UNANSWERED = (SetFlags, Reidentify, Arm, Disarm)
"""Commands without an event of their own."""

# --- events of a Done


class PlacedAt(_Control, frozen=True):
    """A Place or Resume was done; the player's moves count once they carry ``epoch``."""

    slot: int
    generation: int
    epoch: int
    x: float
    y: float
    z: float
    yaw: float
    reason: PlacedReason
    vx: float = 0.0
    vz: float = 0.0
    seq: int | None = None
    """Of a correction: the first move that was not accepted; so is ``check``, which it failed."""
    check: str | None = None


class Verdict(_Control, frozen=True):
    """A sample failed a check. The 64 samples around it lie in the ring, behind the tail that this Done commits."""

    slot: int
    generation: int
    check: str
    action: str
    excess: float
    """In ``unit``, beyond ``allowed``."""
    allowed: float
    unit: str
    strikes: float
    """What it adds to the score, if the next Tick does not forgive it."""
    score: float
    seq: int
    from_x: float
    """The last accepted position, metres."""
    from_z: float
    to_x: float
    to_z: float


class Sanction(_Control, frozen=True):
    """A player's score passed a threshold: ``logged``, ``ghosted`` (its race result does not count) or ``removed``.

    ``removed`` is told in every Done until the player is released.
    """

    slot: int
    generation: int
    step: Literal["logged", "ghosted", "removed"]
    score: float
    observed: bool = False
    """Nothing is done about it."""


class Crossing(_Control, frozen=True):
    """A member stands beyond the border band. Told in every Done until the player is released or returns."""

    slot: int
    generation: int
    target: int
    left_ms: float
    """Server time at which it crossed the line."""


class KioskVerdict(_Control, frozen=True):
    """The answer to a UseKiosk."""

    slot: int
    generation: int
    request: int
    reason: str | None
    """Why not, for the player; None: it may, and its cooldown has begun."""


class GatePassed(_Control, frozen=True):
    """A racer passed its next gate. Gate 0 of lap 0 is the start line; on a circuit gate 0 ends a lap."""

    slot: int
    generation: int
    race: int
    lap: int
    """Laps completed, this one included when the gate ends it."""
    gate: int
    at_ms: float
    """Server time of the crossing."""
    err_ms: float
    """Give or take."""


class GateMissed(_Control, frozen=True):
    """A racer drove past the gate that it still has to pass. Told once per gate missed."""

    slot: int
    generation: int
    race: int
    gate: int


class WrongWay(_Control, frozen=True):
    """A racer drives against the route."""

    slot: int
    generation: int
    race: int


class FalseStart(_Control, frozen=True):
    """A racer left its grid slot before the start. Told once per start."""

    slot: int
    generation: int
    race: int
    at_ms: float


class Implausible(_Control, frozen=True):
    """A racer reached a gate faster than its car can: its result is not valid."""

    slot: int
    generation: int
    race: int
    gate: int
    reason: str


RaceEvent: TypeAlias = GatePassed | GateMissed | WrongWay | FalseStart | Implausible

Event: TypeAlias = PlacedAt | Verdict | Sanction | Crossing | KioskVerdict | RaceEvent

# --- main to zone


class Tick(_Control, frozen=True):
    """Do one tick."""

    tick: int
    now_ms: float
    half: int
    """Half of the CellArena to write."""
    shown: int
    """The zone's last tick whose cells went out to watchers; news are encoded against it. 0: none."""
    adopted: list[Seat]
    """Players that the zone simulates from this tick on."""
    released: list[Seat]
    """Players that it no longer simulates; they stay listed until they are forgotten."""
    forget: list[Seat]
    """Released players that their new owner shows by now, or who left the world: say ``gone``."""
    commands: list[Command]
    late_ms: float = 0.0
    """How late we were within the last second: longer silences than usual are our fault, and banks hold more."""
    forgive: bool = False
    """The strikes of the last tick do not count: they are our fault."""


class Assume(_Control, frozen=True):
    """Be this zone from now on: its last worker is lost. Many members come in several of these, before any Tick."""

    zone: int
    members: list[Seat]
    """Whom the zone simulated in its last committed tick; at most ASSUMED_MAX."""


class Stop(_Control, frozen=True):
    """End: close the blocks and exit with 0."""


# --- zone to main


class Ready(_Control, frozen=True):
    """The worker has attached its blocks and waits for its first Tick, or for a zone to assume."""

    zone: int | None
    """None: a spare."""
    pid: int


class Done(_Control, frozen=True):
    """One tick is done: rows and cells are written, to be committed by main."""

    zone: int
    tick: int
    stamp_ns: int
    """Monotonic clock of the host when the body ended."""
    body_ns: int
    base: int
    """The tick against which the cells' news are encoded; 0: all cells went out full."""
    members: int
    judged: int
    """Samples taken from the rings."""
    accepted: int
    """Of these, samples that moved their player."""
    omitted: int
    """Cells left out because the arena was full."""
    events: list[Event]
    flagged: int = 0
    """Players to whom this tick gave strikes, which are due in the next one."""
    counts: dict[str, int] = {}
    """Samples that failed, by check."""
    collections: int = 0
    """Garbage collections of this worker that did not wait for a gap, since it began."""


class Fault(_Control, frozen=True):
    """Last words of a worker that met its own bug."""

    zone: int | None
    """None: it was a spare."""
    tick: int
    kind: str
    traceback: str


ToZone: TypeAlias = Tick | Assume | Stop
ToMain: TypeAlias = Ready | Done | Fault

_encoder = msgspec.msgpack.Encoder()
_to_zone: msgspec.msgpack.Decoder[ToZone] = msgspec.msgpack.Decoder(ToZone)
_to_main: msgspec.msgpack.Decoder[ToMain] = msgspec.msgpack.Decoder(ToMain)

Nonsense = msgspec.DecodeError
"""Raised for bytes that no process of ours sends."""

ASSUMED_MAX = 4096
"""Members per Assume: 36 KiB at most."""

MESSAGES_PER_TICK_MAX = 256
"""Adoptions, releases and commands per Tick, and answers and crossings per Done. Set-backs, verdicts, sanctions and
race events have room of their own; the worst mix just fits PIPE_MESSAGE_BYTES_MAX (``tests/ipc/test_control.py``)."""

RACE_EVENTS_PER_TICK_MAX = 384
"""Race events per Done: at most 25 KiB, next to 39 KiB of the others. A zone lets samples wait rather than drop one."""


def encode(message: ToZone | ToMain) -> bytes:
    """One control message as bytes, at most PIPE_MESSAGE_BYTES_MAX."""
    data = _encoder.encode(message)
    assert len(data) <= PIPE_MESSAGE_BYTES_MAX, (
        f"{type(message).__name__} has {len(data)} bytes: send at most {MESSAGES_PER_TICK_MAX} of a kind per tick"
    )
    return data


def decode_to_zone(data: bytes) -> ToZone:
    """Read a message of main."""
    return _to_zone.decode(data)


def decode_to_main(data: bytes) -> ToMain:
    """Read a message of a zone. Raises Nonsense for bytes that no worker of ours sends."""
    return _to_main.decode(data)
