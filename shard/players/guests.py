"""Players who are here, and their connections as the reception sees them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from shard.players.occupants import Client, Entry
from shard.players.session import Session
from shared.messages import CloseCode, ServerMessage


class Peer(Client, Protocol):
    """One connection, as the reception sees it."""

    session: Session

    def send(self, message: ServerMessage) -> None:
        """Send one message; nothing happens on a connection that is closing."""

    def deliver(self, frame: bytes) -> None:
        """Send a frame that many share and that must not be left out."""

    def hold(self) -> None:
        """Look at nothing further until ``go_on``; the socket is not read meanwhile."""

    def go_on(self) -> None:
        """Go on with what was held."""

    def take_held(self) -> bool:
        """Go on with messages that waited for room in a ring; True when none waits for room any more."""

    def has_room(self) -> bool:
        """Whether so little is unsent that chunks may be written."""

    def stuck(self) -> bool:
        """Whether the other end has not read for too long."""

    def abort(self) -> None:
        """End the connection without another word: its peer does not read."""

    def end(self, code: CloseCode, reason: str) -> None:
        """Close the connection. Idempotent."""


@dataclass(slots=True)
class Guest:
    """A player who is here, with or without a connection. Times are seconds of server time."""

    player: str
    session: str
    """For the log; survives a resume."""
    peer: Peer | None
    name: str
    entry: Entry | None = None
    """What it entered as, or waits to enter as."""
    away_until_s: float = math.inf
    """When the hold ends; inf while there is a connection."""
    warned: bool = False
    """``notice auth_expiring`` was sent for the present token."""
    owed: bool = False
    """It has lost its car by the shard's fault: in the queue it goes before those who have had none."""
    moved_s: float = 0.0
    stood: tuple[float, float] = (0.0, 0.0)
    """Where the car was when it last counted as moved."""
