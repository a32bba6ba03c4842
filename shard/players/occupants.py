"""Players with a body in the world, and what the realm knows of their other end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ipc.input_ring import Lane
from shard.views.fanout import Socket
from shared.ids import Generation, Slot
from shared.messages import PlacedPayload, ServerMessage


class Client(Socket, Protocol):
    """The player's end: frames and news of itself."""

    lane: Lane | None
    """Where the samples of the player's car go; None: it has none that it may drive."""

    def placed(self, payload: PlacedPayload) -> None:
        """The server moved the player's car."""

    def send(self, message: ServerMessage) -> None:
        """Send one message."""

    def deliver(self, frame: bytes) -> None:
        """Send a frame that many share and that must not be left out."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Who enters, and as what."""

    player: str
    name: str
    vehicle: str
    spawn: str | None = None
    """Name of a spawn point; None: any."""


@dataclass(slots=True)
class Occupant:
    """A player with a body in the world."""

    entry: Entry
    slot: Slot
    generation: Generation
    client: Client
    leaving: bool = False
    away: bool = False
    """The socket is lost, the body is held."""
    resumes: int = 0
    """Resumes on their way: placements from before the last of them are no news to its client."""


class Nobody:
    """The client of a body that is held."""

    def __init__(self) -> None:
        self.lane: Lane | None = None

    def offer(self, frame: bytes) -> bool:
        return False

    def placed(self, payload: PlacedPayload) -> None:
        pass

    def send(self, message: ServerMessage) -> None:
        pass

    def deliver(self, frame: bytes) -> None:
        pass
