"""What main keeps of the zones' verdicts: counts, a log line where it matters, evidence where it is asked for."""

from __future__ import annotations

import logging
from collections import Counter

from ipc.control import Done, Sanction, Verdict
from shard.conduct.evidence import Case, EvidenceLog
from shard.conduct.leniency import Leniency
from shard.fleet.memory import Memory

log = logging.getLogger(__name__)


class Conduct:
    """How the players of one shard behaved. ``counts`` are samples that failed, by check, since the start."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.counts: Counter[str] = Counter()
        self.removals = 0
        self.evidence: EvidenceLog | None = None
        self._forgiven = 0

    def take(self, done: Done, verdicts: list[Verdict], leniency: Leniency) -> None:
        """A Done was committed. Copies the samples of each verdict; everything dear happens in another thread."""
        self.counts.update(done.counts)
        if leniency.forgiven > self._forgiven:
            self._forgiven = leniency.forgiven
            log.warning("strikes forgiven: our fault", extra={"reason": leniency.reason, "tick": done.tick})
        if self.evidence is None:
            return
        table = self._memory.table
        for verdict in verdicts:
            if int(table.generation[verdict.slot]) == verdict.generation:
                player = bytes(table.player[verdict.slot]).decode()
                samples = self._memory.ring.evidence(verdict.slot)
                self.evidence.add(Case(player, done.zone, done.tick, leniency.late_ms(done.zone), verdict, samples))

    def summary(self) -> dict[str, int]:
        """For the log at the end: failed samples by check, players removed, ticks forgiven."""
        failed = {f"anticheat_{check}": count for check, count in sorted(self.counts.items())}
        return {**failed, "anticheat_removals": self.removals, "anticheat_forgiven_ticks": self._forgiven}

    def sanctioned(self, sanction: Sanction, player: str) -> None:
        """A player passed a threshold of strikes."""
        if sanction.step == "removed" and not sanction.observed:
            return  # told in every Done until it is so; ``removed`` logs it once
        step = f"would be {sanction.step}" if sanction.observed else sanction.step
        extra = {"player": player, "score": round(sanction.score, 1), "step": step}
        log.warning("player flagged", extra=extra)

    def removed(self, player: str, score: float) -> None:
        """A player is about to be removed."""
        self.removals += 1
        log.warning("player removed by anti-cheat", extra={"player": player, "score": round(score, 1)})
