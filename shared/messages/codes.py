"""What the close codes and error codes mean, and what a client does about each: the tables of the published page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from shared.messages.envelope import CloseCode, ErrorCode

Reconnect: TypeAlias = Literal["never", "fresh_token", "soon", "spread", "later"]
"""What to do after a close; RECONNECT_NOTES says what each asks."""

RECONNECT_NOTES: Final[Mapping[Reconnect, str]] = MappingProxyType(
    {
        "never": "stay away until the player asks again",
        "fresh_token": "once, with a newly issued token; if that is refused too, as `never`",
        "soon": "back-off from 0.5 s: a random share of a limit that doubles with each failure up to 15 s",
        "spread": "the same from 2 s: everybody was cut at once, so spread out",
        "later": "the same from 5 s, and not before `retryAfterMs` of the `error` that came before",
    }
)


@dataclass(frozen=True, slots=True)
class CloseNote:
    """One line of the table of close codes."""

    meaning: str
    error: ErrorCode | None
    """The ``error`` message that comes before the close; None when there need not be one."""
    reconnect: Reconnect


CLOSE_NOTES: Final[Mapping[CloseCode, CloseNote]] = MappingProxyType(
    {
        CloseCode.NORMAL: CloseNote("ended as one side wished", None, "never"),
        CloseCode.UNSUPPORTED: CloseNote("a binary frame; all messages are text", None, "never"),
        CloseCode.TOO_BIG: CloseNote("a message above the size limit, or one in too many fragments", None, "never"),
        CloseCode.INTERNAL: CloseNote("a fault of the server", None, "soon"),
        CloseCode.RESTARTING: CloseNote("the server restarts", None, "spread"),
        CloseCode.OVERLOADED: CloseNote("the server has no room or cannot check tokens yet", None, "later"),
        CloseCode.MALFORMED: CloseNote("malformed messages, again and again", "malformed", "never"),
        CloseCode.AUTH_FAILED: CloseNote("the token was not accepted", "auth_failed", "fresh_token"),
        CloseCode.FORBIDDEN: CloseNote(
            "this player may not be here, or `auth` named another player than before", "forbidden", "never"
        ),
        CloseCode.AUTH_TIMEOUT: CloseNote("no `auth` within 5 s of connecting", "auth_timeout", "soon"),
        CloseCode.REPLACED: CloseNote("a newer connection of the same player took over", "replaced", "never"),
        CloseCode.TOKEN_EXPIRED: CloseNote("the token ran out and was not refreshed", "token_expired", "fresh_token"),
        CloseCode.REMOVED: CloseNote("removed by anti-cheat", "removed", "never"),
        CloseCode.RATE_LIMITED: CloseNote("too much for too long", "rate_limited", "later"),
    }
)

ERROR_NOTES: Final[Mapping[ErrorCode, str]] = MappingProxyType(
    {
        "malformed": "not UTF-8 JSON, or a field missing, unknown, of a wrong type or out of bounds; "
        "the text names the field and the bound, or the byte",
        "unknown_type": "`type` names no message that a client may send in this version",
        "not_allowed": "not in this state of the session, or not from where the player is",
        "auth_failed": "the token was not accepted: signature, issuer, audience, or a claim",
        "auth_timeout": "`auth` did not come within 5 s",
        "token_expired": "the token ran out",
        "not_ready": "the server cannot check tokens yet; try again",
        "forbidden": "this player, or this kind of token, may not be here",
        "replaced": "a newer connection of the same player took over",
        "world_full": "the world is full, and so is its queue",
        "unknown_vehicle": "no such vehicle class",
        "unknown_spawn": "no such spawn point",
        "unknown_kiosk": "no such kiosk",
        "unknown_race": "no such race, or it is over",
        "unsupported": "this shard does not offer that",
        "removed": "removed by anti-cheat",
        "rate_limited": "too often; again after `retryAfterMs`",
        "internal": "a fault of the server; the message was not carried out",
    }
)
