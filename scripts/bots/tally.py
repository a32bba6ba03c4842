"""What a swarm has counted: one Tally per process, merged into one result at the end. Plain data, picklable."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from scripts.bots.referee import LATENCY_UNITS_PER_S
from scripts.bots.rules import Findings
from scripts.bots.trail import Comeback


@dataclass(slots=True)
class Tally:
    """Counts of all bots of one process. Times in seconds, sizes in bytes of WebSocket payload."""

    bots: int = 0
    connected_most: int = 0
    in_world_most: int = 0
    player_s: float = 0.0
    """Seconds in the world, summed over the bots."""
    seconds: float = 0.0
    """Length of the run, ramp included."""
    messages_in: int = 0
    bytes_in: int = 0
    messages_out: int = 0
    bytes_out: int = 0
    moves_held: int = 0
    """Samples not sent because the shard did not read for a while."""
    snapshots: int = 0
    snapshots_late: int = 0
    """Of these, those in which a zone was late."""
    ticks_missed: int = 0
    """Ticks between two snapshots of a bot: skipped by the shard, or nothing to say."""
    resets: int = 0
    entered: int = 0
    left: int = 0
    cuts: int = 0
    """Connections that broke, in swarms that come back."""
    resumed: int = 0
    """Of these, the times that the same car was given back."""
    cuts_s: list[float] = field(default_factory=list)
    """When connections broke. This and the next are told on the host's monotonic clock, all else on the process's."""
    comebacks: list[Comeback] = field(default_factory=list)
    handoffs: int = 0
    """Border crossings by more than the border band, by the bots' true positions."""
    pairs_judged: int = 0
    judgements_skipped: int = 0
    """Rounds of the checks between bots left out because this process was too late itself."""
    latency: Counter[int] = field(default_factory=Counter)
    """Move-to-seen times, in 1 / LATENCY_UNITS_PER_S; the same unit for the next five."""
    latency_every: Counter[int] = field(default_factory=Counter)
    """Of these, those of rows that followed the one before at the next tick,"""
    latency_second: Counter[int] = field(default_factory=Counter)
    """at the second,"""
    latency_fourth: Counter[int] = field(default_factory=Counter)
    """or later."""
    round_trip: Counter[int] = field(default_factory=Counter)
    lag: Counter[int] = field(default_factory=Counter)
    """How late this process was for its own steps: it is part of every latency above."""
    errors: Counter[str] = field(default_factory=Counter)
    disconnects: Counter[str] = field(default_factory=Counter)
    """Unexpected ends by close code, and connections that could not be made."""
    findings: Findings = field(default_factory=Findings)

    def merge(self, other: Tally) -> None:
        """Add another process's counts. The run is as long as the longest; the peaks are taken as simultaneous."""
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(other, each.name)
            if each.name == "findings":
                mine.counts.update(theirs.counts)
                mine.kept = sorted([*mine.kept, *theirs.kept], key=lambda found: found.at_s)[: mine.kept_most]
            elif each.name == "seconds":
                self.seconds = max(mine, theirs)
            elif isinstance(mine, Counter):
                mine.update(theirs)
            elif isinstance(mine, list):
                mine.extend(theirs)
            else:
                setattr(self, each.name, mine + theirs)

    @property
    def failed(self) -> bool:
        """Whether anything happened that a good shard does not do."""
        return bool(self.findings.counts) or bool(self.disconnects)

    def result(self) -> dict[str, Any]:
        """Everything as one JSON object."""
        player_s, seconds = max(self.player_s, 1e-9), max(self.seconds, 1e-9)
        return {
            "bots": self.bots,
            "connectedMost": self.connected_most,
            "inWorldMost": self.in_world_most,
            "seconds": round(self.seconds, 3),
            "playerSeconds": round(self.player_s, 3),
            "messagesIn": self.messages_in,
            "messagesInPerS": round(self.messages_in / seconds, 1),
            "messagesOut": self.messages_out,
            "messagesOutPerS": round(self.messages_out / seconds, 1),
            "bytesIn": self.bytes_in,
            "bytesOut": self.bytes_out,
            "bytesInPerPlayerSecond": round(self.bytes_in / player_s, 1),
            "bytesOutPerPlayerSecond": round(self.bytes_out / player_s, 1),
            "movesHeld": self.moves_held,
            "snapshots": self.snapshots,
            "snapshotsPerPlayerSecond": round(self.snapshots / player_s, 3),
            "snapshotsLate": self.snapshots_late,
            "ticksMissed": self.ticks_missed,
            "resets": self.resets,
            "entered": self.entered,
            "left": self.left,
            "cuts": self.cuts,
            "resumed": self.resumed,
            "cutsS": [round(at_s, 3) for at_s in self.cuts_s],
            "comebacks": [asdict(each) for each in self.comebacks],
            "handoffs": self.handoffs,
            "pairsJudged": self.pairs_judged,
            "judgementsSkipped": self.judgements_skipped,
            "moveToSeenMs": percentiles_ms(self.latency),
            "moveToSeenEveryTickMs": percentiles_ms(self.latency_every),
            "moveToSeenSecondTickMs": percentiles_ms(self.latency_second),
            "moveToSeenFourthTickMs": percentiles_ms(self.latency_fourth),
            "roundTripMs": percentiles_ms(self.round_trip),
            "swarmLagMs": percentiles_ms(self.lag),
            "errors": dict(self.errors),
            "disconnects": dict(self.disconnects),
            "violations": sum(self.findings.counts.values()),
            "violationsByKind": dict(self.findings.counts),
            "violationsKept": [
                {
                    "kind": found.kind.value,
                    "tick": found.tick,
                    "atS": round(found.at_s, 3),
                    "observer": found.observer,
                    "evidence": dict(found.evidence),
                }
                for found in self.findings.kept
            ],
            "ok": not self.failed,
        }


def percentiles_ms(counts: Counter[int]) -> dict[str, float | int]:
    """p50, p95, p99 and maximum of counted times, milliseconds, and how many there are; zeros without any."""
    total = sum(counts.values())
    found: dict[str, float | int] = {"count": total}
    ordered = sorted(counts)
    for name, share in (("p50", 0.50), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)):
        rank, seen, value = share * total, 0, 0
        for value in ordered:
            seen += counts[value]
            if seen >= rank:
                break
        found[name] = round(1000 * value / LATENCY_UNITS_PER_S, 1)
    return found
