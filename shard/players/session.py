"""What one connection may do next.

A connection begins CONNECTING, with one try to authenticate within AUTH_TIMEOUT_S. A good token moves the player to
the LOBBY, or into the WORLD when its car was held; ``enter`` moves it into the WORLD, or to the QUEUE of a full one;
``leave`` back, as does idling while others wait. Whoever is removed, replaced, or loses the socket is CLOSED, which
nothing leaves: AWAY is no state of a connection but of a player without one (``reception.py``). Messages are
handled in the order in which they arrive, each before the next is looked at; what a message demands of the rest of
main is returned as commands, so that this file decides and touches nothing.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from shared.messages import (
    TYPE_OF,
    Auth,
    Chunks,
    ChunksPayload,
    ClientFault,
    ClientMessage,
    CloseCode,
    Enter,
    EnterPayload,
    Error,
    ErrorCode,
    ErrorPayload,
    Interact,
    InteractPayload,
    Leave,
    Move,
    Ping,
    PlacedReason,
    Pong,
    PongPayload,
    RaceJoin,
    RaceLeave,
    Respawn,
    ServerMessage,
    Signal,
    SignalKind,
    State,
    Who,
    WhoPayload,
)

AUTH_TIMEOUT_S: Final = 5.0
"""A browser sends the token at once; a socket that does not is not a player."""

FAULTS_MAX: Final = 3
FAULTS_WINDOW_MS: Final = 10_000.0
"""Malformed messages within this window that end a connection: one is an accident, three are a program."""

Step: TypeAlias = Literal["authenticated", "resume", "enter", "queue", "leave", "closed"]

TRANSITIONS: Final[dict[tuple[State, Step], State]] = {
    (State.CONNECTING, "authenticated"): State.LOBBY,
    (State.CONNECTING, "closed"): State.CLOSED,  # refused, timed out, or gone
    (State.LOBBY, "enter"): State.WORLD,
    (State.LOBBY, "resume"): State.WORLD,  # in the same step as the token
    (State.LOBBY, "queue"): State.QUEUED,
    (State.LOBBY, "closed"): State.CLOSED,
    (State.QUEUED, "enter"): State.WORLD,
    (State.QUEUED, "leave"): State.LOBBY,
    (State.QUEUED, "closed"): State.CLOSED,
    (State.WORLD, "leave"): State.LOBBY,
    (State.WORLD, "closed"): State.CLOSED,
}
"""All transitions; one that is not listed is a bug of ours."""


@dataclass(frozen=True, slots=True)
class Verify:
    """Check a token; the verdict comes back through ``authenticated`` or ``refused``."""

    token: str


@dataclass(frozen=True, slots=True)
class GoIn:
    """Give the player a body."""

    wish: EnterPayload


@dataclass(frozen=True, slots=True)
class GoOut:
    """Take the body away and welcome the player back to the lobby."""


@dataclass(frozen=True, slots=True)
class PutBack:
    """Respawn."""


@dataclass(frozen=True, slots=True)
class Use:
    """Use a kiosk; it is answered when the zone has judged."""

    wish: InteractPayload


@dataclass(frozen=True, slots=True)
class Gesture:
    """Pass on a signal."""

    kind: SignalKind


@dataclass(frozen=True, slots=True)
class Page:
    """Answer with a page of who is here."""

    wish: WhoPayload


@dataclass(frozen=True, slots=True)
class Fetch:
    """Send chunks."""

    wish: ChunksPayload


@dataclass(frozen=True, slots=True)
class RaceIn:
    """Take part in a race, or watch it."""

    race: str


@dataclass(frozen=True, slots=True)
class RaceOut:
    """Take part in it no more."""

    race: str


@dataclass(frozen=True, slots=True)
class Say:
    """Send a message."""

    message: ServerMessage


@dataclass(frozen=True, slots=True)
class Close:
    """Send the error, then close with the code."""

    code: CloseCode
    error: ErrorCode
    message: str
    retry_after_ms: int | None = None


Command: TypeAlias = Verify | GoIn | GoOut | PutBack | Use | Gesture | Page | Fetch | RaceIn | RaceOut | Say | Close


class Session:
    """One connection's standing. Methods return what is to be done."""

    def __init__(self) -> None:
        self.state = State.CONNECTING
        self.player: str | None = None
        """The token's ``sub``, once verified."""
        self.expires_at_s = 0.0
        self._faults: deque[float] = deque(maxlen=FAULTS_MAX)
        self._asked: dict[PlacedReason, deque[int | None]] = defaultdict(deque)
        """``id`` of each ``enter`` and ``respawn`` that a ``placed`` will answer."""

    def receive(self, message: ClientMessage, now_ms: float) -> Command | None:
        """One whole message, in the order of arrival."""
        if self.state is State.CLOSED:
            return None
        if isinstance(message, Auth):
            return Verify(message.payload.token)
        if self.state is State.CONNECTING:
            return Close(CloseCode.AUTH_FAILED, "auth_failed", "the first message must be `auth`")
        kind = TYPE_OF[type(message)]
        if isinstance(message, Move):
            return None  # its car is not placed yet, or it has none any more and does not know: nobody's fault
        if self.state not in message.states:
            return self.refuse(
                "not_allowed", f"`{TYPE_OF[type(message)]}` is not allowed in the {self.state}", message.id
            )
        match message:
            case Enter():
                return GoIn(message.payload)
            case Leave():
                self._step("leave")
                self._asked.clear()
                return GoOut()
            case Respawn():
                return PutBack()
            case Interact():
                return Use(message.payload)
            case Signal():
                return Gesture(message.payload.kind)
            case Who():
                return Page(message.payload)
            case Chunks():
                return Fetch(message.payload)
            case RaceJoin():
                return RaceIn(message.payload.race)
            case RaceLeave():
                return RaceOut(message.payload.race)
            case Ping():
                return Say(Pong(PongPayload(message.payload.t, now_ms), re=message.id))
            case _:
                return self.refuse("unsupported", f"this shard has no `{kind}` yet", message.id)

    def fault(self, fault: ClientFault, now_ms: float) -> Command | None:
        """Bytes that are no message."""
        if self.state is State.CLOSED:
            return None
        self._faults.append(now_ms)
        full = len(self._faults) == FAULTS_MAX
        if self.state is State.CONNECTING or (full and now_ms - self._faults[0] < FAULTS_WINDOW_MS):
            return Close(CloseCode.MALFORMED, fault.code, fault.message)
        return self.refuse(fault.code, fault.message)

    def authenticated(self, player: str, expires_at_s: float) -> Literal["first", "refresh", "other"]:
        """The token was good. "other": a refresh with another player's token, which is no refresh."""
        if self.player is None:
            self._step("authenticated")
            self.player, self.expires_at_s = player, expires_at_s
            return "first"
        if player != self.player:
            return "other"
        self.expires_at_s = expires_at_s
        return "refresh"

    def refused(
        self, error: ErrorCode, message: str, re: int | None = None, retry_after_ms: int | None = None
    ) -> Command:
        """The token was not good: the end of a new connection, but an old token runs on."""
        if self.player is not None:
            return self.refuse(error, message, re, retry_after_ms)
        codes = {
            "token_expired": CloseCode.TOKEN_EXPIRED,
            "forbidden": CloseCode.FORBIDDEN,
            "not_ready": CloseCode.OVERLOADED,
        }
        return Close(codes.get(error, CloseCode.AUTH_FAILED), error, message, retry_after_ms)

    def timed_out(self) -> Command | None:
        """AUTH_TIMEOUT_S are over."""
        if self.state is not State.CONNECTING:
            return None
        return Close(CloseCode.AUTH_TIMEOUT, "auth_timeout", f"no `auth` within {AUTH_TIMEOUT_S:.0f} s")

    def entered(self, re: int | None) -> None:
        """A GoIn was carried out; a ``placed`` answers message ``re``."""
        self._step("enter")
        self.will_be_placed("enter", re)

    def resumed(self) -> None:
        """The player's car was held, and is given back; a ``placed`` follows that answers nothing."""
        self._step("resume")

    def queued(self) -> None:
        """The world is full: the player waits for its turn."""
        self._step("queue")

    def idled(self) -> None:
        """The player gives up its place for others."""
        self._step("leave")
        self._asked.clear()

    def will_be_placed(self, reason: PlacedReason, re: int | None) -> None:
        """A ``placed`` with this reason will answer message ``re``."""
        self._asked[reason].append(re)

    def answers(self, reason: PlacedReason) -> int | None:
        """The ``re`` of a ``placed`` that is sent now: each answers the oldest message that it can."""
        asked = self._asked[reason]
        return asked.popleft() if asked else None

    def closed(self) -> None:
        """The connection is over. Idempotent."""
        if self.state is not State.CLOSED:
            self._step("closed")

    def refuse(self, error: ErrorCode, message: str, re: int | None = None, retry_after_ms: int | None = None) -> Say:
        """The answer to a message that cannot be obeyed."""
        return Say(Error(ErrorPayload(error, message, retry_after_ms), re=re))

    def _step(self, step: Step) -> None:
        self.state = TRANSITIONS[self.state, step]
