"""The parts that messages are made of: the envelope, bounds used by several fields, session states, and codes."""

from __future__ import annotations

import enum
from typing import Annotated, ClassVar, Final, Literal, TypeAlias, get_args

from msgspec import Meta, Struct

from shared.constants import NAME_CHARS_MAX, NAME_CHARS_MIN, PLAYER_ID_BYTES_MAX

# --- bounds --------------------------------------------------------------------------------------------------------
# Each has a description for the published page; a field may say more by a Meta of its own, which wins.

Metres: TypeAlias = Annotated[float, Meta(ge=0, le=65536, description="metres from the north-west corner")]
Height: TypeAlias = Annotated[float, Meta(ge=-1000, le=10000, description="metres above the datum")]
Radians: TypeAlias = Annotated[float, Meta(ge=-100, le=100, description="radians; heading (sin yaw, 0, cos yaw)")]
Speed: TypeAlias = Annotated[float, Meta(ge=-200, le=200, description="metres per second")]
ClientMs: TypeAlias = Annotated[float, Meta(ge=0, le=1e15, description="milliseconds of the client's own clock")]
ServerMs: TypeAlias = Annotated[float, Meta(ge=0, description="server time, Unix milliseconds")]
Uint31: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Uint32: TypeAlias = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Key: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64, description="an identifier of the world file")]
PlayerKey: TypeAlias = Annotated[str, Meta(min_length=1, max_length=PLAYER_ID_BYTES_MAX, description="the JWT `sub`")]
Name: TypeAlias = Annotated[
    str,
    Meta(
        min_length=NAME_CHARS_MIN,
        max_length=NAME_CHARS_MAX,
        description="shown to others; code points in Unicode form NFC, none of them a control, formatting or "
        "bidirectional character; no space at either end, no two in a row",
    ),
]
ChunkIndex: TypeAlias = Annotated[int, Meta(ge=0, le=1023, description="floor(metres / 64)")]


class State(enum.StrEnum):
    """Where a session stands. ``shard/players/session.py`` holds the transitions."""

    CONNECTING = "connecting"
    LOBBY = "lobby"
    QUEUED = "queued"
    WORLD = "world"
    AWAY = "away"
    CLOSED = "closed"


class CloseCode(enum.IntEnum):
    """Why a connection ended. A 44xx is preceded by an ``error`` message with the reason; more in CLOSE_NOTES."""

    NORMAL = 1000
    UNSUPPORTED = 1003
    TOO_BIG = 1009
    INTERNAL = 1011
    RESTARTING = 1012
    OVERLOADED = 1013
    MALFORMED = 4400
    AUTH_FAILED = 4401
    FORBIDDEN = 4403
    AUTH_TIMEOUT = 4408
    REPLACED = 4409
    TOKEN_EXPIRED = 4419
    REMOVED = 4428
    RATE_LIMITED = 4429


ErrorCode: TypeAlias = Literal[
    "malformed",
    "unknown_type",
    "not_allowed",
    "auth_failed",
    "auth_timeout",
    "token_expired",
    "not_ready",
    "forbidden",
    "replaced",
    "world_full",
    "unknown_vehicle",
    "unknown_spawn",
    "unknown_kiosk",
    "unknown_race",
    "unsupported",
    "removed",
    "rate_limited",
    "internal",
]
ERROR_CODES: Final[tuple[str, ...]] = get_args(ErrorCode)

# --- envelope ------------------------------------------------------------------------------------------------------


class Payload(Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """What a message says. Immutable; keys are camelCase on the wire; fields at their default are left out."""


class Row(Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """A record sent as a JSON array, in the order of its fields; trailing fields at their default may be missing.

    msgspec reads rows without their tail but always writes it; the zones' own encoder leaves it out.
    """


class Empty(Payload, frozen=True):
    """The payload of a message without content."""


class ClientEnvelope(Struct, frozen=True, tag_field="type", forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """A message from a client: ``type`` chooses the payload; the first answer carries ``re`` equal to ``id``."""

    states: ClassVar[frozenset[State]]
    """The session states in which the message is allowed; in any other the answer is ``error not_allowed``."""
    answers: ClassVar[tuple[str, ...]] = ()
    """Wire types of which one is the direct reply; empty when only a refusal is answered."""


class ServerEnvelope(Struct, frozen=True, tag_field="type", forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """A message from the shard. Clients ignore keys that they do not know."""
