"""One race, from its opening to its result: ``reduce(race, event, now_ms) -> (race, commands)``. Nothing else decides.

Who takes part: players with a car, the zones that own them (by way of the director), and time. Events may come in any
order, late, or twice; what means nothing for a racer as it stands is dropped. Nobody waits for ever: every phase that
waits has an edge by time.

*open*        Players join and leave as they like. Ends when the grid is full, when the opener says so, or after
              ``open_ms``; with fewer than ``racers_min`` it is then cancelled.
*staging*     Everybody is put on the grid, by order of joining. Waits until all stand there. Edge: STAGING_MS; who does
              not stand there by then (its zone is down) is out, and fewer than ``racers_min`` cancel the race.
*countdown*   The start is one moment of server time, COUNTDOWN_MS ahead, told at once and again each ANNOUNCE_MS. The
              grid is set once more with it, so that nobody has crept forwards. Who leaves its slot early, judged by the
              time of its sample and not by its arrival, has FALSE_START_MS added, once; who is early at a gate behind
              the start line has no valid result. Passings before the start count as at the start. Edge: the start
              itself; fewer than ``racers_min`` cancel the race then.
*running*     Until the first valid finish, or until nobody is left in it.
*finishing*   The others have WINNER_SHARE of the winner's time and WINNER_MS more, at least WINNER_MIN_MS. When all
              have ended, the result waits until every zone that holds one of them has committed SETTLE_MS past the
              last finish: an earlier finish may still be on its way. Edge: PATIENCE_MS.
*finished*    The result is out, once. *cancelled*: there is none (too few racers, or the server ends).

How a racer ends, once and for good: it finishes; or *dnf*, for leaving, being disconnected longer than ``resume_ms``,
no gate for ``no_progress_ms``, too late after the winner, the time limit, or not reaching the grid; or *dsq*, when
anti-cheat removes it. Anti-cheat can also make its result invalid: it drives on, but nobody loses a place to it, and
its finish starts no clock. Whoever is removed after finishing has an invalid result. A disconnected car is still in the
race: the clock runs. A connection that replaces another is no disconnect. A server that ends cancels the races that
cannot finish.

Fates that depend on *when* something happened (too late after the winner, no gate for too long) are judged up to
``known_ms`` only: the time that all zones concerned have committed, less SETTLE_MS. So a late or restarted zone costs
nobody a place. The exception is a zone that stays away for PATIENCE_MS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from msgspec.structs import replace

from shard.races.race_events import (
    ArmRacer,
    Away,
    Back,
    CloseList,
    Command,
    Committed,
    Conclude,
    DisarmRacer,
    Drain,
    Event,
    Invalid,
    Join,
    Leave,
    LeftSlot,
    OnGrid,
    Passed,
    PutOnGrid,
    Removed,
    TellFalseStart,
    TellPassing,
    TellState,
)
from shard.races.racers import SECOND_MS, Passing, Phase, Race, Racer, Status

STAGING_MS: Final = 10 * SECOND_MS
COUNTDOWN_MS: Final = 5 * SECOND_MS
"""Long enough for clocks to be compared and for a slow page to show it; the shortest is 3 s."""
ANNOUNCE_MS: Final = SECOND_MS
FALSE_START_MS: Final = 5 * SECOND_MS
"""As much as can be gained by it: no start is announced further ahead."""
WINNER_SHARE: Final = 0.25
WINNER_MS: Final = 15 * SECOND_MS
WINNER_MIN_MS: Final = 30 * SECOND_MS
SETTLE_MS: Final = 500.0
"""A sample's own clock is believed so far back: SAMPLE_AGE_MAX_MS."""
PATIENCE_MS: Final = 20 * SECOND_MS
"""How long a race waits for a zone that does not answer: a warm spare takes over in less than a second."""

Step: TypeAlias = Literal["close", "go", "green", "flag", "settle", "cancel"]

TRANSITIONS: Final[dict[tuple[Phase, Step], Phase]] = {
    ("open", "close"): "staging",
    ("open", "cancel"): "cancelled",
    ("staging", "go"): "countdown",
    ("staging", "cancel"): "cancelled",
    ("countdown", "green"): "running",
    ("countdown", "cancel"): "cancelled",
    ("running", "flag"): "finishing",
    ("running", "cancel"): "cancelled",
    ("finishing", "settle"): "finished",
    ("finishing", "cancel"): "cancelled",
}
"""All transitions of a race; one that is not listed is a bug of ours."""

RacerStep: TypeAlias = Literal["place", "green", "finish", "dnf", "dsq"]

RACER_TRANSITIONS: Final[dict[tuple[Status, RacerStep], Status]] = {
    ("joined", "place"): "grid",
    ("joined", "dnf"): "dnf",
    ("joined", "dsq"): "dsq",
    ("grid", "green"): "racing",
    ("grid", "dnf"): "dnf",
    ("grid", "dsq"): "dsq",
    ("racing", "finish"): "finished",
    ("racing", "dnf"): "dnf",
    ("racing", "dsq"): "dsq",
}
"""All transitions of a racer."""


def reduce(race: Race, event: Event, now_ms: float) -> tuple[Race, list[Command]]:
    """The race after ``event``, and what is to be done. ``now_ms`` never goes back from call to call."""
    if race.over:
        return race, []
    draft = _Draft(race, now_ms)
    _HANDLERS[type(event)](draft, event)
    while not draft.settled and not draft.race.over and _time_edge(draft):
        pass
    if draft.changed:
        draft.race = replace(draft.race, rev=race.rev + 1)
    return draft.race, draft.commands


def deadline_ms(race: Race) -> float:
    """The latest valid finish: by the time limit, or by the first finish. inf before the start."""
    if race.start_ms is None:
        return inf
    limit_ms = race.start_ms + race.card.time_limit_ms
    finishes = [
        racer.passings[-1].at_ms for racer in race.racers.values() if racer.status == "finished" and racer.valid
    ]
    if not finishes:
        return limit_ms
    winner_ms = min(finishes)
    return min(limit_ms, winner_ms + max(WINNER_MIN_MS, WINNER_SHARE * (winner_ms - race.start_ms) + WINNER_MS))


def due_ms(race: Race) -> float:
    """No edge by time lies before this: until then ``Committed`` changes nothing that anybody is told."""
    if race.over:
        return inf
    if race.phase == "open":
        return race.since_ms + race.card.open_ms
    away = min((racer.away_ms for racer in race.racers.values() if not racer.ended), default=inf)
    due = away + race.card.resume_ms
    if race.phase == "staging":
        return min(due, race.since_ms + STAGING_MS)
    assert race.start_ms is not None, "from the countdown on a race has a start"
    if race.phase == "countdown":
        return min(due, race.start_ms, race.announced_ms + ANNOUNCE_MS)
    active = race.active()
    if not active:
        return race.since_ms  # it settles as soon as all is known
    return min(due, deadline_ms(race), *(_stalled_ms(race, racer) for racer in active))


class _Draft:
    """A race in the making."""

    def __init__(self, race: Race, now_ms: float) -> None:
        self.race = race
        self.now_ms = now_ms
        self.commands: list[Command] = []
        self.changed = False
        """Something that is told: ``rev`` grows."""
        self.settled = False
        """No edge by time can follow from this event: the most frequent one is spared the look."""

    def put(self, racer: Racer) -> None:
        """Have this racer in place of the one of the same player, or as a new one."""
        self.have({**self.race.racers, racer.player: racer})

    def have(self, racers: Mapping[str, Racer]) -> None:
        """Have exactly these."""
        self.race = replace(self.race, racers=MappingProxyType(racers))
        self.changed = True

    def step(self, racer: Racer, step: RacerStep) -> Racer:
        """Move a racer to its next status."""
        racer = replace(racer, status=RACER_TRANSITIONS[racer.status, step])
        self.put(racer)
        return racer

    def go(self, step: Step, **changes: Any) -> None:
        """Move the race to its next phase, and tell everybody."""
        self.race = replace(self.race, phase=TRANSITIONS[self.race.phase, step], since_ms=self.now_ms, **changes)
        self.changed = True
        self.tell()

    def tell(self) -> None:
        """Tell everybody, once, when the event is dealt with."""
        if TellState() not in self.commands:
            self.commands.append(TellState())

    def find(self, player: str) -> Racer | None:
        """The racer, unless its race is over or it is none."""
        racer = self.race.racers.get(player)
        return None if racer is None or racer.ended else racer

    def out(self, racer: Racer, step: Literal["dnf", "dsq"], reason: str, at_ms: float | None = None) -> None:
        """It has ended without finishing."""
        racer = self.step(racer, step)
        self.put(replace(racer, reason=reason, ended_ms=self.now_ms if at_ms is None else at_ms))
        self.commands.append(DisarmRacer(racer.player))
        self.tell()

    def cancel(self, reason: str) -> None:
        """There will be no result."""
        self.commands += [DisarmRacer(racer.player) for racer in self.race.active()]
        self.go("cancel", reason=reason)


# --- events


def _join(draft: _Draft, event: Join) -> None:
    race = draft.race
    if race.phase != "open" or event.player in race.racers or len(race.racers) >= race.card.racers_max:
        return
    draft.put(Racer(event.player, event.name, event.vehicle, race.joined))
    draft.race = replace(draft.race, joined=race.joined + 1)
    draft.tell()


def _leave(draft: _Draft, event: Leave) -> None:
    racer = draft.find(event.player)
    if racer is None:
        return
    if draft.race.phase == "open":
        draft.have({player: other for player, other in draft.race.racers.items() if player != event.player})
        draft.tell()
    else:
        draft.out(racer, "dnf", "left" if racer.away_ms == inf else "disconnected")


def _close_list(draft: _Draft, _: CloseList) -> None:
    if draft.race.phase == "open":
        _close(draft)


def _on_grid(draft: _Draft, event: OnGrid) -> None:
    racer = draft.find(event.player)
    if racer is not None and racer.status == "joined" and draft.race.phase == "staging":
        draft.step(racer, "place")


def _passed(draft: _Draft, event: Passed) -> None:
    race, racer = draft.race, draft.find(event.player)
    if racer is None or race.start_ms is None or racer.passed > race.card.last:
        return
    if race.card.index(event.lap, event.gate) != racer.passed:
        return  # told already
    if event.at_ms < race.start_ms:
        _early(draft, racer, beyond_line=racer.passed > 0)
        racer = draft.race.racers[racer.player]
    if event.at_ms > deadline_ms(race):
        draft.out(racer, "dnf", _too_late(race), deadline_ms(race))
        return
    if event.at_ms > _stalled_ms(race, racer):
        draft.out(racer, "dnf", "no_progress", _stalled_ms(race, racer))
        return
    passing = Passing(max(event.at_ms, race.start_ms), event.err_ms)
    racer = replace(racer, passings=(*racer.passings, passing))
    draft.put(racer)
    draft.commands.append(TellPassing(racer.player))
    if racer.status == "racing" and racer.passed > race.card.last:
        _finish_if_through(draft, racer)
    else:
        draft.settled = True


def _finish_if_through(draft: _Draft, racer: Racer) -> None:
    if racer.passed > draft.race.card.last:
        racer = draft.step(racer, "finish")
        draft.put(replace(racer, ended_ms=racer.passings[-1].at_ms))
        draft.commands.append(DisarmRacer(racer.player))
        draft.tell()


def _left_slot(draft: _Draft, event: LeftSlot) -> None:
    racer = draft.find(event.player)
    start_ms = draft.race.start_ms
    if racer is not None and start_ms is not None and event.at_ms < start_ms:
        _early(draft, racer, beyond_line=False)


def _early(draft: _Draft, racer: Racer, beyond_line: bool) -> None:
    """A false start: penalised once. Who is at a gate behind the line before the start has no valid result."""
    flags = racer.flags | {"false_start"} | ({"invalidated"} if beyond_line else set())
    if flags == racer.flags:
        return
    if "false_start" not in racer.flags:
        racer = replace(racer, penalty_ms=racer.penalty_ms + FALSE_START_MS)
        draft.commands.append(TellFalseStart(racer.player))
    draft.put(replace(racer, flags=flags, reason=racer.reason or ("ahead of the start" if beyond_line else "")))
    draft.tell()


def _invalid(draft: _Draft, event: Invalid) -> None:
    racer = draft.race.racers.get(event.player)
    if racer is not None and racer.valid and draft.race.start_ms is not None:
        draft.put(replace(racer, flags=racer.flags | {"invalidated"}, reason=racer.reason or event.reason))
        draft.tell()


def _away(draft: _Draft, event: Away) -> None:
    racer = draft.find(event.player)
    if racer is not None and racer.away_ms == inf:
        draft.put(replace(racer, away_ms=draft.now_ms))
        draft.tell()


def _back(draft: _Draft, event: Back) -> None:
    racer = draft.find(event.player)
    if racer is not None and racer.away_ms != inf:
        draft.put(replace(racer, away_ms=inf))
        draft.tell()


def _removed(draft: _Draft, event: Removed) -> None:
    racer = draft.find(event.player)
    if racer is None:
        _invalid(draft, Invalid(event.player, "removed"))
    elif draft.race.phase == "open":
        _leave(draft, Leave(event.player))
    else:
        draft.out(racer, "dsq", "removed")


def _drain(draft: _Draft, _: Drain) -> None:
    if draft.race.phase == "finishing" and not draft.race.active():
        _settle(draft)  # all that is missing is certainty about the last tick
    else:
        draft.cancel("server_restart")


def _committed(draft: _Draft, event: Committed) -> None:
    known_ms = max(min(event.watermark_ms, draft.now_ms) - SETTLE_MS, draft.now_ms - PATIENCE_MS)
    draft.race = replace(draft.race, known_ms=max(draft.race.known_ms, known_ms))


_HANDLERS: Final[dict[type[Any], Callable[[_Draft, Any], None]]] = {
    Join: _join,
    Leave: _leave,
    CloseList: _close_list,
    OnGrid: _on_grid,
    Passed: _passed,
    LeftSlot: _left_slot,
    Invalid: _invalid,
    Away: _away,
    Back: _back,
    Removed: _removed,
    Drain: _drain,
    Committed: _committed,
}

# --- edges by time; each function makes at most one, and says whether it did


def _time_edge(draft: _Draft) -> bool:
    race, now_ms = draft.race, draft.now_ms
    if race.phase == "open":
        return _open_edge(draft)
    for racer in race.active():
        if now_ms >= racer.away_ms + race.card.resume_ms:
            draft.out(racer, "dnf", "disconnected")
            return True
    return _EDGES[race.phase](draft)


def _open_edge(draft: _Draft) -> bool:
    race = draft.race
    full = len(race.racers) >= race.card.racers_max
    if not full and draft.now_ms < race.since_ms + race.card.open_ms:
        return False
    _close(draft)
    return True


def _close(draft: _Draft) -> None:
    if len(draft.race.racers) < draft.race.card.racers_min:
        draft.cancel("too_few")
        return
    for slot, racer in enumerate(draft.race.active()):
        draft.put(replace(racer, grid_slot=slot))
        draft.commands.append(PutOnGrid(racer.player, slot))
    draft.go("close")


def _staging_edge(draft: _Draft) -> bool:
    race = draft.race
    waiting = [racer for racer in race.active() if racer.status == "joined"]
    if waiting and draft.now_ms < race.since_ms + STAGING_MS:
        return False
    for racer in waiting:
        draft.out(racer, "dnf", "not_on_grid")
    active = draft.race.active()
    if len(active) < race.card.racers_min:
        draft.cancel("too_few")
        return True
    start_ms = draft.now_ms + COUNTDOWN_MS
    for racer in active:
        draft.commands += [PutOnGrid(racer.player, racer.grid_slot), ArmRacer(racer.player, start_ms)]
    draft.go("go", start_ms=start_ms, announced_ms=draft.now_ms)
    return True


def _countdown_edge(draft: _Draft) -> bool:
    race = draft.race
    assert race.start_ms is not None, "a countdown leads to a start"
    if draft.now_ms < race.start_ms:
        if draft.now_ms >= race.announced_ms + ANNOUNCE_MS:
            draft.race = replace(race, announced_ms=draft.now_ms)
            draft.tell()
        return False
    active = race.active()
    if len(active) < race.card.racers_min:
        draft.cancel("too_few")
        return True
    draft.go("green")
    for racer in active:
        _finish_if_through(draft, draft.step(racer, "green"))
    return True


def _racing_edge(draft: _Draft) -> bool:
    race = draft.race
    active = race.active()
    latest_ms = deadline_ms(race)
    for racer in active:
        stalled_ms = _stalled_ms(race, racer)
        if race.known_ms >= min(latest_ms, stalled_ms):
            reason = "no_progress" if stalled_ms < latest_ms else _too_late(race)
            draft.out(racer, "dnf", reason, min(latest_ms, stalled_ms))
            return True
    finishes = [racer for racer in race.racers.values() if racer.status == "finished"]
    if race.phase == "running":
        if active and not any(racer.valid for racer in finishes):
            return False
        draft.go("flag")
        return True
    if active or race.known_ms < max((racer.ended_ms for racer in finishes), default=-inf):
        return False
    _settle(draft)
    return True


def _settle(draft: _Draft) -> None:
    draft.go("settle")
    draft.commands.append(Conclude())


def _stalled_ms(race: Race, racer: Racer) -> float:
    """When a racer that passes no gate until then is out."""
    assert race.start_ms is not None, "nobody stands still before the start"
    last_ms = racer.passings[-1].at_ms if racer.passings else race.start_ms
    return last_ms + race.card.no_progress_ms


def _too_late(race: Race) -> str:
    assert race.start_ms is not None, "nobody is too late before the start"
    return "time_limit" if deadline_ms(race) == race.start_ms + race.card.time_limit_ms else "too_late"


_EDGES: Final[dict[Phase, Callable[[_Draft], bool]]] = {
    "staging": _staging_edge,
    "countdown": _countdown_edge,
    "running": _racing_edge,
    "finishing": _racing_edge,
}
