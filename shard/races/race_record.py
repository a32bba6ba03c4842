"""A race as the director keeps it: the reducer's state, and who is told of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from ipc.control import Seat
from shard.races.racers import Race
from shared.messages import RacePlace
from shared.world.routes import Route


@dataclass(slots=True)
class Record:
    """A race and what only the director knows of it."""

    race: Race
    route: Route
    index: int
    """Of the route, in zones."""
    opener: str | None
    seats: dict[Seat, str] = field(default_factory=dict)
    """Of all who joined, while the race is not over: a late event may name somebody who is out already."""
    watchers: dict[str, None] = field(default_factory=dict)
    due_ms: float = inf
    over_ms: float = inf
    places: list[RacePlace] = field(default_factory=list)
    receipts: dict[str, str] = field(default_factory=dict)
    """By player; a finished race has one of each racer, maybe empty."""

    @property
    def audience(self) -> tuple[str, ...]:
        return tuple({**self.race.racers, **self.watchers})
