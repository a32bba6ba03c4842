"""What all connections of a shard share beside the game: who may come in, fair turns of the event loop, meters."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from shard.access.admission import Admission, Refusal, Ticket
from shard.access.meters import Meters
from shard.access.pacing import Pacer, Passes


class Visitor(Protocol):
    """A socket that was let in."""

    def give_way(self) -> None:
        """Make room for another: this one has not spoken yet."""


class Doors:
    """One for the shard. Call in the thread of ``loop``."""

    def __init__(self, loop: asyncio.AbstractEventLoop, admission: Admission) -> None:
        self.admission = admission
        self.pacer = Pacer(loop.call_soon, time.monotonic)
        self.passes = Passes(loop.call_soon)
        self.meters = Meters()
        self._visitors: dict[Ticket, Visitor] = {}

    def arrive(self, visitor: Visitor, peer: str) -> Ticket | Refusal:
        """A socket was accepted from ``peer``."""
        found = self.admission.arrive(peer, time.monotonic())
        if isinstance(found, Refusal):
            return found
        if found.drop is not None and (oldest := self._visitors.pop(found.drop, None)):
            oldest.give_way()
        self._visitors[found.ticket] = visitor
        return found.ticket

    def identify(self, ticket: Ticket, forwarded_for: list[str]) -> Refusal | None:
        """The socket's request is here, with its X-Forwarded-For headers."""
        return self.admission.identify(ticket, forwarded_for, time.monotonic())

    def leave(self, ticket: Ticket) -> None:
        """The socket is gone."""
        self.admission.leave(ticket)
        self._visitors.pop(ticket, None)
