"""Who is before whom: the live order of a race, and the final one with its dead heats.

Live, a racer is before another with more gates passed, and with equally many if it passed the last of them earlier.
Who is out comes behind all who are not.

Final: valid finishers by time from the start, penalties included; then who did not finish, by gates and time; then
results that do not count; then the disqualified. Two finishers are in a *dead heat*, with one place, where their times
cannot be told apart: ``|t1 - t2| <= err1 + err2``. That is no equivalence: A may equal B and B equal C while A is
clearly before C, and a chain of such pairs would make one heat of a whole field. Hence the rule: from the front, a
finisher shares the place of the group before it only if it cannot be told apart from *every* one in it. So nobody
shares a place with somebody it was measurably slower than, and the next group's place counts all who are before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shard.races.racers import Race, Racer, Status

FIGHTING: Final[frozenset[Status]] = frozenset({"joined", "grid", "racing", "finished"})
"""Neither out nor disqualified."""


@dataclass(frozen=True, slots=True)
class Placing:
    """One line of a result. Times are milliseconds from the start."""

    player: str
    place: int
    """From 1; equal in a dead heat."""
    status: str
    time_ms: float | None
    """With penalties; None for who did not finish."""
    err_ms: float | None
    gap_ms: float | None
    """To the first; None without a time."""
    penalty_ms: float
    reason: str
    flags: tuple[str, ...]
    splits_ms: tuple[float, ...]
    """At each gate passed, the start line's first; without penalties."""


def live(race: Race) -> list[Racer]:
    """All racers, the first before the others; a total order at any time."""
    return sorted(race.racers.values(), key=_live_key)


def _live_key(racer: Racer) -> tuple[int, int, float, int]:
    return _group(racer), -racer.passed, racer.last_ms, racer.number


def _group(racer: Racer) -> int:
    """0 in the race or through, 1 out, 2 does not count, 3 disqualified."""
    if racer.status == "dsq":
        return 3
    if not racer.valid:
        return 2
    return int(racer.status == "dnf")


def place_of(race: Race, player: str) -> int:
    """The live place of a racer, from 1. Two at one moment in one place of the road still have two places."""
    racer = race.racers[player]
    passed, key, place = len(racer.passings), _live_key(racer), 1
    for other in race.racers.values():
        if other.status in FIGHTING and other.valid and key[0] == 0 and len(other.passings) != passed:
            place += len(other.passings) > passed  # most pairs are told apart by this alone
        else:
            place += _live_key(other) < key
    return place


def gap_ms(race: Race, player: str) -> float:
    """How long after the first car through it the racer passed its last gate, penalties counted; at least 0."""
    racer = race.racers[player]
    index = len(racer.passings) - 1
    first_ms = racer.last_ms
    for other in race.racers.values():
        if len(other.passings) > index and (other.valid or other is racer):
            first_ms = min(first_ms, other.passings[index].at_ms + other.penalty_ms)
    return racer.last_ms - first_ms


def final(race: Race) -> list[Placing]:
    """The result of a race whose racers have all ended, in order."""
    start_ms = race.start_ms
    assert start_ms is not None, "a race that never started has no result"
    order = live(race)
    through = [racer for racer in order if racer.status == "finished" and racer.valid]
    places = heats([(racer.last_ms - start_ms, racer.passings[-1].err_ms) for racer in through])
    places += range(len(through) + 1, len(order) + 1)
    best_ms = through[0].last_ms if through else None
    return [_placing(racer, place, start_ms, best_ms) for racer, place in zip(order, places, strict=True)]


def heats(times: Sequence[tuple[float, float]]) -> list[int]:
    """Places of ascending (time, error): the number of those before the group, and one."""
    places: list[int] = []
    latest: list[float] = []  # of each in the group: when it may have been at the latest
    for number, (at, err) in enumerate(times):
        if not latest or any(at - err > other for other in latest):
            latest, first = [], number + 1
        latest.append(at + err)
        places.append(first)
    return places


def _placing(racer: Racer, place: int, start_ms: float, best_ms: float | None) -> Placing:
    through = racer.status == "finished"
    return Placing(
        player=racer.player,
        place=place,
        status="invalidated" if through and not racer.valid else racer.status,
        time_ms=racer.last_ms - start_ms if through else None,
        err_ms=racer.passings[-1].err_ms if through else None,
        gap_ms=racer.last_ms - best_ms if through and racer.valid and best_ms is not None else None,
        penalty_ms=racer.penalty_ms,
        reason=racer.reason,
        flags=tuple(sorted(racer.flags)),
        splits_ms=tuple(passing.at_ms - start_ms for passing in racer.passings),
    )
