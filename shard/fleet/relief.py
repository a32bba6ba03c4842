"""Gives up what ``shedding`` says, and takes it back: watches, the door, races, and the news of it."""

from __future__ import annotations

import logging

from shard.fleet.shedding import TOLD, Load, Shed, after_tick, row_budget
from shard.races.director import Director
from shard.views.watching import Watching
from shared.messages import NoticePayload

BUDGET_LEAST = 20
"""Rows per frame that remain in any case."""

log = logging.getLogger(__name__)


class Relief:
    """The load of one shard. ``ticked`` at the end of each tick."""

    def __init__(self, watching: Watching, races: Director) -> None:
        self.load = Load()
        self.behind = False
        """The present tick began late: whoever keeps the time sets it."""
        self._watching = watching
        self._races = races
        self._whole_budget = watching.row_budget
        self._news: list[NoticePayload] = []

    @property
    def door_closed(self) -> bool:
        """Whether nobody new is let in."""
        return self.load.shed >= Shed.ENTRIES

    def ticked(self, now_ms: float, late_zones: int, zones: int) -> None:
        """A tick is over; so many of the zones had not answered by its deadline."""
        late = self.behind or 2 * late_zones > zones
        self.behind = False
        before, self.load = self.load.shed, after_tick(self.load, late, now_ms)
        now = self.load.shed
        if now == before:
            return
        self._watching.set_row_budget(row_budget(now, self._whole_budget, BUDGET_LEAST))
        self._races.overloaded = now >= Shed.RACES
        log.warning("load", extra={"shed": now.name.lower(), "late_share": round(self.load.late_share, 2)})
        if now > before:
            self._news.append(NoticePayload("degraded", TOLD[now]))
        elif now is Shed.NOTHING:
            self._news.append(NoticePayload("restored", "the server has room again: everything is as it was"))

    def take_news(self) -> list[NoticePayload]:
        """What all players are to be told now."""
        news, self._news = self._news, []
        return news
