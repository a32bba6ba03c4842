"""The book of one race: what each racing bot truly did, what the shard said of it, and where the two differ.

A bot's own times have an error, too: half its shortest round trip, by which its estimate of server time may be off, and
the lag of its process. A shard's time is wrong when it is off by more than its own bar and that together.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from shared.messages import (
    Notice,
    RaceGate,
    RaceGatePayload,
    RacePlace,
    RaceResult,
    RaceResultPayload,
    RaceState,
    RaceStatePayload,
    ServerMessage,
)

OWN_ERR_MS = 2.0
"""What a bot's clock readings are off by in any case."""
FORGOTTEN_MOST_MS = 1500.0
"""Who is given its car back after the death of the main process lost so much of its race at most."""

KICKED = "kicked"
"""The conduct of who drives well until an operator's list names it: it is gone, and told nothing any more."""
OUT = ("no_progress", "too_late", "time_limit")


@dataclass(frozen=True, slots=True)
class Fate:
    """How a racer ends."""

    status: str
    flags: tuple[str, ...] = ()
    reasons: tuple[str | None, ...] = (None,)
    notices: frozenset[str] = frozenset()
    """What it is told on its way, all of it."""


FATES: Final[dict[str, Fate]] = {
    "honest": Fate("finished"),
    "false_start": Fate("finished", ("false_start",), notices=frozenset({"false_start"})),
    "skip_gate": Fate("dnf", (), OUT, frozenset({"gate_missed"})),
    "backwards": Fate("dnf", (), OUT, frozenset({"wrong_way"})),
    KICKED: Fate("dsq", (), ("removed",)),
}
"""What each conduct earns, on a road that leaves everybody time to finish."""
RACE_NOTICES: Final = frozenset({"false_start", "gate_missed", "wrong_way"})


@dataclass(slots=True)
class RaceEntry:
    """One racing bot. Times are server time as the bot estimates it, milliseconds."""

    player: str
    conduct: str = "honest"
    start_ms: float | None = None
    truth_ms: list[float] = field(default_factory=list)
    """When it crossed each gate, by index over all laps."""
    told: list[RaceGatePayload] = field(default_factory=list)
    """What was told of its own gates."""
    notices: list[str] = field(default_factory=list)
    result: RaceResultPayload | None = None
    disturbed: bool = False
    """Its car was moved by the server while it raced: its truth has a gap."""
    clock_err_ms: float = 0.0
    """By how much its estimate of server time may be off."""
    was_cut: bool = False
    """It lost its connection on the way: it may not have heard of every gate."""
    void: list[RaceGatePayload] = field(default_factory=list)
    """What was told of gates that it has to pass again: it was given back where it had been before them."""

    def go_back(self, passed: int, gates: int) -> None:
        """It is where it had passed so many gates of a lap's ``gates``: what came after that did not happen."""
        del self.truth_ms[passed:]
        self.void += [told for told in self.told if told.lap * gates + told.gate >= passed]
        self.told = [told for told in self.told if told.lap * gates + told.gate < passed]


@dataclass(frozen=True, slots=True)
class Difference:
    """Something the shard said that is not so."""

    what: str
    """time, order, fate, missing, undone or receipt."""
    player: str
    evidence: dict[str, float | str]


class RaceBook:
    """All racing bots of one swarm, in one race."""

    def __init__(self, gates: int) -> None:
        self.entries: dict[str, RaceEntry] = {}
        self.race: str | None = None
        self.state: RaceStatePayload | None = None
        """The newest."""
        self.deaths_ms: list[float] = []
        """Server times at which the main process was killed: what it knew of the last moments is gone."""
        self.gates = gates

    def enter(self, player: str, conduct: str) -> RaceEntry:
        """A bot that will race."""
        entry = self.entries[player] = RaceEntry(player, conduct)
        return entry

    def hear(self, player: str, message: ServerMessage) -> None:
        """A message of the shard to one of the bots."""
        entry = self.entries[player]
        match message:
            case RaceState(payload):
                if any(row.player == player for row in payload.racers):
                    self.race = payload.race
                    entry.start_ms = payload.start_at_ms
                    if self.state is None or payload.rev >= self.state.rev:
                        self.state = payload
            case RaceGate(payload) if payload.player == player:
                entry.told.append(payload)
            case RaceResult(result):
                entry.result = result
            case Notice(notice):
                entry.notices.append(notice.code)

    @property
    def over(self) -> bool:
        """Whether every racer has its result, or the race was cancelled."""
        if self.state is not None and self.state.phase == "cancelled":
            return True
        expect = [entry for entry in self.entries.values() if entry.conduct != KICKED]
        return bool(expect) and all(entry.result is not None for entry in expect)

    @property
    def places(self) -> list[RacePlace]:
        """The result as told; empty without one."""
        results = [entry.result for entry in self.entries.values() if entry.result is not None]
        return results[0].places if results else []

    def differences(self, lag_ms: float = 0.0) -> list[Difference]:
        """Where the shard and the bots' own truth differ by more than both their errors."""
        found: list[Difference] = []
        for entry in self.entries.values():
            found += self._gate_times(entry, lag_ms)
            found += self._undone(entry)
            if entry.conduct == KICKED:
                continue
            if entry.result is None:
                found.append(Difference("missing", entry.player, {"what": "no result"}))
            elif not entry.result.receipt:
                found.append(Difference("receipt", entry.player, {"what": "empty"}))
        return [*found, *self._fates(), *self._finishes(lag_ms), *self._order(lag_ms)]

    def _fates(self) -> list[Difference]:
        """Racers whose end is not the one that their conduct earns."""
        found = []
        for line in self.places:
            entry = self.entries.get(line.player)
            if entry is None:
                continue
            fate = FATES[entry.conduct]
            notices = RACE_NOTICES & set(entry.notices)
            right = (line.status, tuple(line.flags), notices) == (fate.status, fate.flags, fate.notices)
            if not right or line.reason not in fate.reasons:
                told = " ".join([line.status, *line.flags, line.reason or "", *sorted(notices)])
                found.append(Difference("fate", line.player, {"conduct": entry.conduct, "told": told}))
        return found

    def _gate_times(self, entry: RaceEntry, lag_ms: float) -> list[Difference]:
        found, expected = [], 0
        for told in entry.told:
            index = told.lap * self.gates + told.gate
            number = max(expected, index) if entry.was_cut else expected
            expected = index + 1
            if index != number:
                found.append(Difference("order", entry.player, {"index": index, "expected": number}))
            elif index >= len(entry.truth_ms):
                found.append(Difference("time", entry.player, {"index": index, "what": "never crossed"}))
            else:
                allowed = told.err_ms + entry.clock_err_ms + OWN_ERR_MS + lag_ms
                off = told.at_ms - max(entry.truth_ms[index], entry.start_ms or -math.inf)
                if abs(off) > allowed and not entry.disturbed:
                    numbers: dict[str, float | str] = {"index": index, "off_ms": off, "allowed_ms": allowed}
                    found.append(Difference("time", entry.player, numbers))
        if expected != len(entry.truth_ms) and not entry.disturbed and entry.conduct != KICKED:
            found.append(Difference("missing", entry.player, {"told": expected, "crossed": len(entry.truth_ms)}))
        return found

    def _undone(self, entry: RaceEntry) -> list[Difference]:
        """Gates that count no more, though no death of the main process explains it."""
        return [
            Difference("undone", entry.player, {"lap": told.lap, "gate": told.gate})
            for told in entry.void
            if not any(0.0 <= died_ms - told.at_ms <= FORGOTTEN_MOST_MS for died_ms in self.deaths_ms)
        ]

    def _truth(self, line: RacePlace) -> tuple[float, float] | None:
        """True time of a finisher with the penalties that it was given, and how far the bot may be off."""
        entry = self.entries.get(line.player)
        if entry is None or entry.start_ms is None or entry.disturbed or line.time_ms is None or not entry.truth_ms:
            return None
        return entry.truth_ms[-1] - entry.start_ms + line.penalty_ms, entry.clock_err_ms + OWN_ERR_MS

    def _finishes(self, lag_ms: float) -> list[Difference]:
        found = []
        for line in self.places:
            truth = self._truth(line)
            if truth is None or line.time_ms is None:
                continue
            allowed = (line.err_ms or 0.0) + truth[1] + lag_ms
            if abs(line.time_ms - truth[0]) > allowed:
                off = line.time_ms - truth[0]
                found.append(Difference("time", line.player, {"what": "finish", "off_ms": off, "allowed_ms": allowed}))
        return found

    def _order(self, lag_ms: float) -> list[Difference]:
        """Finishers that stand the other way round than they came in, by more than all errors; and false dead heats."""
        found = []
        known = [(line, truth) for line in self.places if (truth := self._truth(line)) is not None]
        for (first, one), (second, other) in itertools.combinations(known, 2):
            bars = (first.err_ms or 0.0) + (second.err_ms or 0.0)
            allowed = bars + one[1] + other[1] + lag_ms
            ahead_ms = other[0] - one[0]
            wrong = ahead_ms < -allowed or (first.place == second.place and abs(ahead_ms) > bars + allowed)
            if wrong and "invalidated" not in (*first.flags, *second.flags):
                evidence: dict[str, float | str] = {"behind": second.player, "by_ms": ahead_ms, "allowed_ms": allowed}
                found.append(Difference("order", first.player, evidence))
        return found

    def table(self, name_of: Callable[[str], str] = str) -> str:
        """The result for people, each line beside the bot's own truth."""
        lines = [f"race {self.race or '-'}: {self.state.phase if self.state else 'not joined'}"]
        for line in self.places:
            entry, truth = self.entries.get(line.player), self._truth(line)
            own = "-" if truth is None else f"{truth[0] / 1000:.3f}"
            time = "-" if line.time_ms is None else f"{line.time_ms / 1000:.3f} s +- {line.err_ms or 0.0:.1f} ms"
            conduct = "" if entry is None or entry.conduct == "honest" else f"  ({entry.conduct})"
            reason = f" {line.reason}" if line.reason else ""
            lines.append(f"{line.place:>3}  {name_of(line.player)}  {line.status}{reason}  {time}  own {own}{conduct}")
        return "\n".join(lines)
