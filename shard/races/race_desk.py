"""Races as race kiosks offer them: the director behind the kiosks' counter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from shard.land.kiosks import Asker, Refused, State
from shard.races.director import Director, MayJoin, Refusal
from shared.world.entries import RaceKiosk
from shared.world.land import Kiosk

NEAR_M = 10.0
"""Beyond a kiosk's radius: whoever asks by ``race_join`` may have rolled on since it saw the kiosk."""


class RaceCounter:
    """Opens and joins races for players at kiosks; the zone has found them near and slow."""

    def __init__(self, races: Director) -> None:
        self._races = races

    def show(self, routes: Sequence[str]) -> list[State]:
        """The races on these routes that are not over, oldest first."""
        return self._races.show(routes)

    def race_of(self, player: str) -> str | None:
        """The race that a player takes part in."""
        return self._races.race_of(player)

    def open(self, asker: Asker, route: str, now_ms: float) -> State | Refused:
        """Open a race for the asker and others."""
        return _result(self._races.open(asker.player, route, now_ms))

    def join(self, asker: Asker, race: str, routes: Sequence[str], now_ms: float) -> State | Refused:
        """Have the asker take part in a race on one of ``routes``."""
        if race not in {each["race"] for each in self._races.show(routes)}:
            return Refused(f"unknown_race: no race {race} is open here")
        return _result(self._races.join(asker.player, race, now_ms))


def _result(outcome: str | Refusal) -> State | Refused:
    return Refused(f"{outcome.code}: {outcome.text}") if isinstance(outcome, Refusal) else {"race": outcome}


def kiosk_rule(kiosks: Iterable[Kiosk], where: Callable[[str], tuple[float, float] | None]) -> MayJoin:
    """Who sends ``race_join`` must be at a race kiosk of the route; where a route has none, it may be anywhere.

    ``where`` is the committed place of a player's car.
    """
    by_route: dict[str, list[Kiosk]] = {}
    for kiosk in kiosks:
        if isinstance(kiosk.entry, RaceKiosk):
            for route in kiosk.entry.routes:
                by_route.setdefault(route, []).append(kiosk)

    def may_join(player: str, route: str) -> Refusal | None:
        at, near = where(player), by_route.get(route, [])
        if not near or (at is not None and any(_is_near(kiosk, *at) for kiosk in near)):
            return None
        names = ", ".join(kiosk.id for kiosk in near)
        return Refusal("not_allowed", f"drive to a race kiosk of {route} first: {names}")

    return may_join


def _is_near(kiosk: Kiosk, x: float, z: float) -> bool:
    reach_m = kiosk.entry.radius_m + NEAR_M
    return (x - kiosk.x) * (x - kiosk.x) + (z - kiosk.z) * (z - kiosk.z) <= reach_m * reach_m
