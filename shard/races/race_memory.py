"""What a shard's next life knows of the races of this one.

A race that is open, running or finishing goes on: its racers are disconnected from the restart on, and its clock has
run all the while. Their progress is that of the checkpoint, in the race as in their rows, so a gate that was passed in
the last second before the crash is to be passed again. Races that were being staged or counted down are cancelled with
the reason ``server_restart``: what zones were told to do may have been lost. Not remembered are watchers, and races
that were over; so whoever was away when its race ended does not get its receipt after a restart.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from shard.races.racers import Phase, Race

LASTING: frozenset[Phase] = frozenset({"open", "running", "finishing"})
ON_THE_ROUTE: frozenset[Phase] = frozenset({"running", "finishing"})


class KeptRace(Struct, frozen=True):
    """A race that was not over."""

    race: Race
    opener: str | None
    seats: dict[str, tuple[int, int]]
    """Slot and generation with which each player joined."""


class RaceMemory(Struct, frozen=True):
    """All races that were not over."""

    opened: int = 0
    """The number of the last race."""
    races: list[KeptRace] = []

    def racing(self) -> dict[str, int]:
        """Who is on the route of a race that goes on, and its number."""
        return {
            racer.player: kept.race.card.number
            for kept in self.races
            if kept.race.phase in ON_THE_ROUTE
            for racer in kept.race.active()
        }


def kept(race: Race, opener: str | None, seats: dict[tuple[int, int], str]) -> KeptRace:
    """A race in plain types."""
    plain = replace(race, racers=dict(race.racers))
    return KeptRace(plain, opener, {player: seat for seat, player in seats.items()})
