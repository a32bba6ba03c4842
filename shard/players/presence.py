"""Who is here and what they do: counts for everybody, names for followers, pages for whoever asks.

Joins and leaves only note themselves; once per second ``push`` turns what has changed since the last one into at most
two encoded messages, one for all and one for all followers. So a storm of thousands of joins costs as many dictionary
entries and two encodings. Whoever came and went within the second, or changed and changed back, is not mentioned.

A follower is told 50 names per push and then ``more``; it reads the rest by ``who``. A page shows the present, which
the next push may repeat: clients take `joined` of a player they know as a change.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from shared.messages import Presence, PresencePayload, PresenceRow, encode

Doing: TypeAlias = Literal["lobby", "queued", "driving", "racing", "away"]
"""``away``: the socket is lost, the car is held. Everybody in the roster is online."""

PUSH_EVERY_S: Final = 1.0
NAMES_MAX: Final = 50
"""Names in one push: some 3 KiB, for each follower each second."""

_DOINGS: Final = get_args(Doing)


@dataclass(frozen=True, slots=True)
class Push:
    """What changed, encoded once for all who get it. Followers get ``names`` alone: the counts are in it."""

    counts: bytes | None
    """For everybody but the followers; None: the counts are as they were."""
    names: bytes | None
    """For the followers; None: there is none."""


class Roster:
    """Everybody who is online."""

    def __init__(self) -> None:
        self._rows: dict[str, PresenceRow] = {}
        self._order: list[str] = []
        """Players, sorted."""
        self._counts: dict[str, int] = dict.fromkeys(_DOINGS, 0)
        self._counts_told = dict(self._counts)
        self._before: dict[str, PresenceRow | None] = {}
        """Whoever changed since the last push, as it was told then."""
        self._pushed_s = -math.inf
        self._followers: dict[str, None] = {}

    def __len__(self) -> int:
        """Players online."""
        return len(self._rows)

    def put(self, player: str, name: str, doing: Doing) -> None:
        """The player is here, by this name, doing this. Costs nothing when that is known."""
        old = self._rows.get(player)
        new = PresenceRow(player, name, doing)
        if new == old:
            return
        self._before.setdefault(player, old)
        self._rows[player] = new
        self._counts[doing] += 1
        if old is None:
            insort(self._order, player)
        else:
            self._counts[old.state] -= 1

    def remove(self, player: str) -> None:
        """The player is gone, and does not follow any more. Harmless when it was not here."""
        old = self._rows.pop(player, None)
        self._followers.pop(player, None)
        if old is not None:
            self._before.setdefault(player, old)
            self._counts[old.state] -= 1
            del self._order[bisect_left(self._order, player)]

    def follow(self, player: str) -> None:
        """Name to this player those who come, change and go, from the next push on."""
        if player in self._rows:
            self._followers[player] = None

    def unfollow(self, player: str) -> None:
        """Name them no more: its connection is lost. Harmless when it does not follow."""
        self._followers.pop(player, None)

    @property
    def followers(self) -> list[str]:
        """Who gets the names."""
        return list(self._followers)

    def push(self, now_s: float) -> Push | None:
        """What to send now: at most once per second, and None while nothing has changed. Call it as often as you like.

        ``now_s`` is any clock that never goes backwards.
        """
        if not self._before or now_s - self._pushed_s < PUSH_EVERY_S:
            return None
        names = self._names()
        recount = self._counts != self._counts_told
        self._before = {}
        if names is None:
            return None
        self._pushed_s = now_s
        self._counts_told = dict(self._counts)
        return Push(
            counts=encode(Presence(self._payload())) if recount else None,
            names=encode(Presence(names)) if self._followers else None,
        )

    def page(self, after: str | None = None, limit: int = 50) -> PresencePayload:
        """Up to ``limit`` players in order, those behind ``after`` (who need not be here any more), and the counts."""
        start = 0 if after is None else bisect_right(self._order, after)
        rows = [self._rows[player] for player in self._order[start : start + limit]]
        return self._payload(page=rows, more=start + limit < len(self._order))

    def _names(self) -> PresencePayload | None:
        """The net changes since the last push, the first NAMES_MAX of them; None: there is none."""
        joined: list[PresenceRow] = []
        left: list[str] = []
        changed: list[PresenceRow] = []
        more = False
        for player, before in self._before.items():
            now = self._rows.get(player)
            if now == before:
                continue
            if len(joined) + len(left) + len(changed) == NAMES_MAX:
                more = True
                break
            if now is None:
                left.append(player)
            elif before is None:
                joined.append(now)
            else:
                changed.append(now)
        return self._payload(joined, left, changed, more=more) if joined or left or changed else None

    def _payload(
        self,
        joined: list[PresenceRow] | None = None,
        left: list[str] | None = None,
        changed: list[PresenceRow] | None = None,
        more: bool = False,
        page: list[PresenceRow] | None = None,
    ) -> PresencePayload:
        return PresencePayload(
            online=len(self._rows),
            counts=dict(self._counts),
            joined=joined or [],
            left=left or [],
            changed=changed or [],
            more=more,
            page=page,
        )
