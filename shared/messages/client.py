"""What a client may send, and in which states of its session."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Final, Literal, TypeAlias, get_args

from msgspec import Meta

from shared.messages.envelope import (
    ChunkIndex,
    ClientEnvelope,
    ClientMs,
    Empty,
    Height,
    Key,
    Metres,
    Name,
    Payload,
    PlayerKey,
    Radians,
    Speed,
    State,
    Uint31,
    Uint32,
)

_AFTER_AUTH = frozenset({State.LOBBY, State.QUEUED, State.WORLD})
_WORLD = frozenset({State.WORLD})


class AuthPayload(Payload, frozen=True):
    """The Supabase access token; never logged."""

    token: Annotated[str, Meta(min_length=1, max_length=15000)]


class EnterPayload(Payload, frozen=True):
    """How the player wants to appear."""

    name: Name | None = None
    vehicle: Key | None = None
    spawn: Key | None = None

    def __post_init__(self) -> None:
        if self.name is not None:
            check_name(self.name)


class MovePayload(Payload, frozen=True):
    """One sample of the client's own car. ``seq`` grows within a connection; ``y`` left out means on the ground."""

    epoch: Uint32
    seq: Uint32
    t: ClientMs
    x: Metres
    z: Metres
    yaw: Radians
    vx: Speed
    vz: Speed
    y: Height | None = None
    vy: Speed | None = None


class ChunksPayload(Payload, frozen=True):
    """The chunks the client lacks, nearest first."""

    want: Annotated[list[tuple[ChunkIndex, ChunkIndex]], Meta(min_length=1, max_length=32)]


class InteractPayload(Payload, frozen=True):
    """Use a kiosk within its radius."""

    kiosk: Key
    action: Key
    args: Annotated[dict[Key, Annotated[str, Meta(max_length=64)] | Uint31 | bool], Meta(max_length=8)] | None = None


class RacePayload(Payload, frozen=True):
    """The race to join or to leave."""

    race: Key


class WhoPayload(Payload, frozen=True):
    """A page of the presence list, ordered by player; ``after`` is the last player of the page before."""

    after: PlayerKey | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 50
    follow: bool = False


SignalKind: TypeAlias = Literal["horn", "wave", "lights"]


class SignalPayload(Payload, frozen=True):
    """A gesture towards those near."""

    kind: SignalKind


class PingPayload(Payload, frozen=True):
    """``t`` comes back unchanged in ``pong``."""

    t: ClientMs


class Auth(ClientEnvelope, frozen=True, tag="auth"):
    """First message, within 5 s. Later on the same connection: a refresh of the same player's token."""

    payload: AuthPayload
    id: Uint31 | None = None
    states = frozenset({State.CONNECTING}) | _AFTER_AUTH


class Enter(ClientEnvelope, frozen=True, tag="enter"):
    """Lobby to world; answered by ``placed``, or ``queued`` while the world is full."""

    payload: EnterPayload = EnterPayload()
    id: Uint31 | None = None
    states = frozenset({State.LOBBY})


class Leave(ClientEnvelope, frozen=True, tag="leave"):
    """World or queue to lobby; answered by ``lobby``."""

    payload: Empty = Empty()
    id: Uint31 | None = None
    states = frozenset({State.WORLD, State.QUEUED})


class Move(ClientEnvelope, frozen=True, tag="move"):
    """A sample of the own car at up to 30 Hz; acknowledged by ``seq`` in the own snapshot row."""

    payload: MovePayload
    id: Uint31 | None = None
    states = _WORLD


class Respawn(ClientEnvelope, frozen=True, tag="respawn"):
    """Put my car on the nearest safe place; answered by ``placed``."""

    payload: Empty = Empty()
    id: Uint31 | None = None
    states = _WORLD


class Chunks(ClientEnvelope, frozen=True, tag="chunks"):
    """Ask for static world data; one ``chunk`` each."""

    payload: ChunksPayload
    id: Uint31 | None = None
    states = _AFTER_AUTH


class Interact(ClientEnvelope, frozen=True, tag="interact"):
    """Use a kiosk; answered by ``kiosk``."""

    payload: InteractPayload
    id: Uint31 | None = None
    states = _WORLD


class RaceJoin(ClientEnvelope, frozen=True, tag="race_join"):
    """Join a race that is open; answered by ``race_state``."""

    payload: RacePayload
    id: Uint31 | None = None
    states = _WORLD


class RaceLeave(ClientEnvelope, frozen=True, tag="race_leave"):
    """Leave a race, at once and for good; answered by ``race_state``."""

    payload: RacePayload
    id: Uint31 | None = None
    states = _WORLD


class Who(ClientEnvelope, frozen=True, tag="who"):
    """A page of who is here; answered by ``presence``."""

    payload: WhoPayload = WhoPayload()
    id: Uint31 | None = None
    states = _AFTER_AUTH


class Signal(ClientEnvelope, frozen=True, tag="signal"):
    """Show a gesture to those near."""

    payload: SignalPayload
    id: Uint31 | None = None
    states = _WORLD


class Ping(ClientEnvelope, frozen=True, tag="ping"):
    """Measure the round trip and the server's clock; answered by ``pong``."""

    payload: PingPayload
    id: Uint31 | None = None
    states = _AFTER_AUTH


ClientMessage: TypeAlias = (
    Auth | Enter | Leave | Move | Respawn | Chunks | Interact | RaceJoin | RaceLeave | Who | Signal | Ping
)
CLIENT_MESSAGES: Final[tuple[type[ClientMessage], ...]] = get_args(ClientMessage)


def check_name(name: str) -> None:
    """Raise ValueError unless ``name`` may be shown to others: NFC, no control, format or bidirectional characters."""
    if unicodedata.normalize("NFC", name) != name:
        raise ValueError("name must be in Unicode normal form C")
    for char in name:
        if unicodedata.category(char)[0] == "C" or unicodedata.category(char) in ("Zl", "Zp"):
            raise ValueError(f"name must not contain U+{ord(char):04X}: no control or formatting characters")
    if name != name.strip() or "  " in name:
        raise ValueError("name must not begin or end with a space or contain two in a row")
