"""The queue for a full world: first come, first served, those who resume before all others.

A player has one place. Those who resume had a car a moment ago and lost it by no wish of their own (its slot could not
be held); among themselves they are in order, too. Everybody is told place and length when it joins and when they have
changed, each at most once per second: between two ticks nobody's place is news.

Joining, leaving and letting in cost O(1) whatever the length; telling costs O(length), at most once per second.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

TELL_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a player stands; the payload of ``queued``."""

    player: str
    position: int
    """From 1."""
    of: int
    """Length of the line."""


@dataclass(slots=True)
class _Told:
    """What a waiting player knows."""

    position: int
    of: int
    at_s: float


class Line:
    """Players who wait for a slot. ``now_s`` is any clock that never goes backwards."""

    def __init__(self, places_max: int) -> None:
        """``places_max``: a longer line than this is a promise that nobody keeps."""
        self._places_max = places_max
        self._resuming: OrderedDict[str, _Told] = OrderedDict()
        self._others: OrderedDict[str, _Told] = OrderedDict()
        self._changed = False
        """Somebody may not know its place."""
        self._news_s = -math.inf

    def __len__(self) -> int:
        return len(self._resuming) + len(self._others)

    def __contains__(self, player: object) -> bool:
        return player in self._resuming or player in self._others

    def join(self, player: str, now_s: float, resuming: bool = False) -> Place | None:
        """Join at the end, or behind those who resume; the place is to be told now. None: the line is full.

        A player who is in the line already stays where it is, but for one who now resumes.
        """
        told = self._others.get(player) or self._resuming.get(player)
        if told is None:
            if len(self) >= self._places_max:
                return None
            told = _Told(0, 0, now_s)
            self._changed = len(self) > 0
            (self._resuming if resuming else self._others)[player] = told
        elif resuming and player in self._others:
            self._resuming[player] = self._others.pop(player)
            self._changed = True
        told.position, told.of, told.at_s = self._position(player), len(self), now_s
        return Place(player, told.position, told.of)

    def leave(self, player: str) -> None:
        """Give the place up. Harmless for one who has none."""
        if (self._resuming.pop(player, None) or self._others.pop(player, None)) is not None:
            self._changed = True

    def take(self) -> str | None:
        """Whose turn it is; the player is out of the line. None when nobody waits."""
        for waiting in (self._resuming, self._others):
            if waiting:
                player, _ = waiting.popitem(last=False)
                self._changed = True
                return player
        return None

    def news(self, now_s: float) -> list[Place]:
        """Whom to tell what now. Call it as often as you like."""
        if not self._changed or now_s - self._news_s < TELL_EVERY_S:
            return []
        self._changed, self._news_s = False, now_s
        of = len(self)
        places = []
        for position, (player, told) in enumerate((*self._resuming.items(), *self._others.items()), 1):
            if (told.position, told.of) == (position, of):
                continue
            if now_s - told.at_s < TELL_EVERY_S:
                self._changed = True  # it was told in ``join`` just now: next time
                continue
            told.position, told.of, told.at_s = position, of, now_s
            places.append(Place(player, position, of))
        return places

    def _position(self, player: str) -> int:
        """The place of one who has just come in at an end, where it is counted and not searched."""
        if player in self._resuming:
            return len(self._resuming) if next(reversed(self._resuming)) == player else self._search(player)
        return len(self) if next(reversed(self._others)) == player else self._search(player)

    def _search(self, player: str) -> int:
        return [*self._resuming, *self._others].index(player) + 1
