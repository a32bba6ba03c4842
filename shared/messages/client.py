"""What a client may send, and in which states of its session."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Final, Literal, TypeAlias, get_args

from msgspec import Meta

from shared.constants import NAME_CHARS_MAX, NAME_CHARS_MIN
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

Id: TypeAlias = Annotated[Uint31 | None, Meta(description="the client's number for this message")]

CHUNKS_MAX: Final = 32
"""Chunks that one message may ask for; ``welcome.limits.chunksPerMessage``."""

_AFTER_AUTH = frozenset({State.LOBBY, State.QUEUED, State.WORLD})
_WORLD = frozenset({State.WORLD})


class AuthPayload(Payload, frozen=True):
    """The Supabase access token; never logged."""

    token: Annotated[str, Meta(min_length=1, max_length=15000, description="a JWT in its compact form")]


class EnterPayload(Payload, frozen=True):
    """How the player wants to appear."""

    name: Name | None = None
    vehicle: Annotated[Key | None, Meta(description="vehicle class; left out: the first class")] = None
    spawn: Annotated[Key | None, Meta(description="spawn point; left out: the server chooses")] = None

    def __post_init__(self) -> None:
        if self.name is not None:
            check_name(self.name)


class MovePayload(Payload, frozen=True):
    """One sample of the client's own car. ``seq`` grows within a connection; ``y`` left out means on the ground."""

    epoch: Annotated[Uint32, Meta(description="`epoch` of the last `placed`; any other is ignored")]
    seq: Annotated[Uint32, Meta(description="grows with every `move` of a connection, from any start")]
    t: ClientMs
    x: Annotated[Metres, Meta(description="metres east of the north-west corner, inside the world")]
    z: Annotated[Metres, Meta(description="metres south of the north-west corner, inside the world")]
    yaw: Radians
    vx: Annotated[Speed, Meta(description="metres per second eastward")]
    vz: Annotated[Speed, Meta(description="metres per second southward")]
    y: Annotated[Height | None, Meta(description="metres above the datum; left out: on the ground")] = None
    vy: Annotated[Speed | None, Meta(description="metres per second upward")] = None


ChunkHash: TypeAlias = Annotated[str, Meta(min_length=1, max_length=16)]


class ChunksPayload(Payload, frozen=True):
    """Chunks to get, and chunks to compare: ``want`` and ``have`` together are 1 to 32, all within reach."""

    want: Annotated[
        list[tuple[ChunkIndex, ChunkIndex]],
        Meta(max_length=CHUNKS_MAX, description="`[cx, cz]` each: chunks that the client lacks"),
    ]
    have: Annotated[
        list[tuple[ChunkIndex, ChunkIndex, ChunkHash]],
        Meta(
            max_length=CHUNKS_MAX,
            description="`[cx, cz, hash]` each: chunks kept from an earlier world; sent only where the hash differs",
        ),
    ] = []

    def __post_init__(self) -> None:
        if not 1 <= len(self.want) + len(self.have) <= CHUNKS_MAX:
            raise ValueError(f"want and have together must name 1 to {CHUNKS_MAX} chunks")


class InteractPayload(Payload, frozen=True):
    """Use a kiosk within its radius."""

    kiosk: Annotated[Key, Meta(description="the kiosk's identifier, from its chunk")]
    action: Annotated[Key, Meta(description="what to do there; the kiosk's kind decides what exists")]
    args: Annotated[
        Annotated[dict[Key, Annotated[str, Meta(max_length=64)] | Uint31 | bool], Meta(max_length=8)] | None,
        Meta(description="what the action needs"),
    ] = None


class RacePayload(Payload, frozen=True):
    """The race to join or to leave."""

    race: Annotated[Key, Meta(description="the race's identifier, from `race_state` or a `race` kiosk")]


class WhoPayload(Payload, frozen=True):
    """A page of the presence list, ordered by player; ``after`` is the last player of the page before."""

    after: Annotated[
        PlayerKey | None, Meta(description="the last player of the page before; left out: from the start")
    ] = None
    limit: Annotated[int, Meta(ge=1, le=100, description="players per page")] = 50
    follow: Annotated[bool, Meta(description="from now on name those who come, leave and change, too")] = False


SignalKind: TypeAlias = Literal["horn", "wave", "lights"]


class SignalPayload(Payload, frozen=True):
    """A gesture towards those near."""

    kind: Annotated[SignalKind, Meta(description="which gesture")]


class PingPayload(Payload, frozen=True):
    """``t`` comes back unchanged in ``pong``."""

    t: Annotated[ClientMs, Meta(description="milliseconds of the client's own clock; comes back in `pong`")]


class Auth(ClientEnvelope, frozen=True, tag="auth"):
    """First message, within 5 s. Later on the same connection: a refresh of the same player's token."""

    payload: AuthPayload
    id: Id = None
    states = frozenset({State.CONNECTING}) | _AFTER_AUTH
    answers = ("welcome",)


class Enter(ClientEnvelope, frozen=True, tag="enter"):
    """Lobby to world; answered by ``placed``, or ``queued`` while the world is full."""

    payload: EnterPayload = EnterPayload()
    id: Id = None
    states = frozenset({State.LOBBY})
    answers = ("placed", "queued")


class Leave(ClientEnvelope, frozen=True, tag="leave"):
    """World or queue to lobby; answered by ``lobby``."""

    payload: Empty = Empty()
    id: Id = None
    states = frozenset({State.WORLD, State.QUEUED})
    answers = ("lobby",)


class Move(ClientEnvelope, frozen=True, tag="move"):
    """A sample of the own car at up to 30 Hz; acknowledged by ``seq`` in the own snapshot row."""

    payload: MovePayload
    id: Id = None
    states = _WORLD


class Respawn(ClientEnvelope, frozen=True, tag="respawn"):
    """Put my car on the nearest safe place; answered by ``placed``."""

    payload: Empty = Empty()
    id: Id = None
    states = _WORLD
    answers = ("placed",)


class Chunks(ClientEnvelope, frozen=True, tag="chunks"):
    """Ask for static world data; one ``chunk`` each, or ``chunks_same`` for what the client has."""

    payload: ChunksPayload
    id: Id = None
    states = _AFTER_AUTH
    answers = ("chunk", "chunks_same")


class Interact(ClientEnvelope, frozen=True, tag="interact"):
    """Use a kiosk; answered by ``kiosk``."""

    payload: InteractPayload
    id: Id = None
    states = _WORLD
    answers = ("kiosk",)


class RaceJoin(ClientEnvelope, frozen=True, tag="race_join"):
    """Join a race that is open; answered by ``race_state``."""

    payload: RacePayload
    id: Id = None
    states = _WORLD
    answers = ("race_state",)


class RaceLeave(ClientEnvelope, frozen=True, tag="race_leave"):
    """Leave a race, at once and for good; answered by ``race_state``."""

    payload: RacePayload
    id: Id = None
    states = _WORLD
    answers = ("race_state",)


class Who(ClientEnvelope, frozen=True, tag="who"):
    """A page of who is here; answered by ``presence``."""

    payload: WhoPayload = WhoPayload()
    id: Id = None
    states = _AFTER_AUTH
    answers = ("presence",)


class Signal(ClientEnvelope, frozen=True, tag="signal"):
    """Show a gesture to those near."""

    payload: SignalPayload
    id: Id = None
    states = _WORLD


class Ping(ClientEnvelope, frozen=True, tag="ping"):
    """Measure the round trip and the server's clock; answered by ``pong``."""

    payload: PingPayload
    id: Id = None
    states = _AFTER_AUTH
    answers = ("pong",)


ClientMessage: TypeAlias = (
    Auth | Enter | Leave | Move | Respawn | Chunks | Interact | RaceJoin | RaceLeave | Who | Signal | Ping
)
CLIENT_MESSAGES: Final[tuple[type[ClientMessage], ...]] = get_args(ClientMessage)


def check_name(name: str) -> None:
    """Raise ValueError unless ``name`` may be shown to others: NFC, no control, format or bidirectional characters."""
    if not NAME_CHARS_MIN <= len(name) <= NAME_CHARS_MAX:
        raise ValueError(f"name must have {NAME_CHARS_MIN} to {NAME_CHARS_MAX} characters")
    if unicodedata.normalize("NFC", name) != name:
        raise ValueError("name must be in Unicode normal form C")
    for char in name:
        if unicodedata.category(char)[0] == "C" or unicodedata.category(char) in ("Zl", "Zp"):
            raise ValueError(f"name must not contain U+{ord(char):04X}: no control or formatting characters")
    if name != name.strip() or "  " in name:
        raise ValueError("name must not begin or end with a space or contain two in a row")
