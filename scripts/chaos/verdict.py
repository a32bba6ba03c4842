"""What a chaos run is judged by: which violations a freeze explains, and what the death of main may cost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from scripts.bots.rules import Kind
from shared.constants import BORDER_BAND_M
from shared.vehicles import VEHICLES

FREEZE_KINDS: Final = frozenset({Kind.MISPLACED, Kind.JUMP})
"""Cars of a dead zone stand, and then make up for it."""
LONG_FREEZE_KINDS: Final = frozenset({Kind.UNACKNOWLEDGED, Kind.STALE_ROW})
"""What a zone owes that has stood still for longer than bots wait: it was hung, or the machine had no time for it."""
LONG_FREEZE_MS: Final = 1000.0
SETTLE_TICKS: Final = 4
TICK_S: Final = 0.05
FASTEST_MPS: Final = max(vehicle.speed_cap_mps for vehicle in VEHICLES)
BACK_WITHIN_S: Final = 5.0
POSE_AGE_MAX_S: Final = 1.5
OFF_TRAIL_MAX_M: Final = 0.05
"""A car is given back at a sample of its own, but for rounding."""
NOTICED_S: Final = 0.05
"""A bot's end of a connection may be noted so much before the kill: clocks are read one after the other."""

SHOWN: Final = (
    "ticks",
    "tick_late_p99_ms",
    "tick_late_max_ms",
    "gc_in_ticks",
    "gc_in_zone_ticks",
    "checkpoint_copy_max_ms",
    "checkpoint_write_max_ms",
)
"""Of what the shard says at its end."""

Rect = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Freeze:
    """The players of a zone that died stood still."""

    zone: int
    cause: str
    first_tick: int
    """The zone's last committed one: there the freeze begins."""
    frozen_ms: float
    rect: Rect

    def explains(self, seen: dict[str, Any]) -> bool:
        """Whether a violation is only this freeze: of its kind, in its time, and of a car that the zone had.

        What waited meanwhile is judged in no more ticks than the freeze lasted.
        """
        kinds = FREEZE_KINDS | (LONG_FREEZE_KINDS if self.frozen_ms >= LONG_FREEZE_MS else frozenset())
        ticks = SETTLE_TICKS + round(self.frozen_ms / 25)
        in_time = 0 <= seen["tick"] - self.first_tick < ticks
        return seen["kind"] in kinds and in_time and self._had(seen["evidence"])

    @property
    def beyond_m(self) -> float:
        """How far outside the zone's rectangle a car may be that was the zone's when it froze.

        The band, and what it has driven since: that is judged in the first ticks, by a neighbour if it has got so far.
        """
        return BORDER_BAND_M + FASTEST_MPS * (self.frozen_ms / 1000 + SETTLE_TICKS * TICK_S)

    def _had(self, evidence: dict[str, Any]) -> bool:
        if "x" not in evidence:
            return False
        x0, z0, x1, z1 = self.rect
        x, z = float(evidence["x"]), float(evidence["z"])
        return max(x0 - x, x - x1, z0 - z, z - z1) <= self.beyond_m


def freezes(log: Sequence[dict[str, Any]]) -> list[Freeze]:
    """All of them, by what the shard has logged."""
    rects = {each["zone"]: _rect(each) for each in log if each["message"] == "zone"}
    lost: dict[tuple[int, int], dict[str, Any]] = {}
    found = []
    for each in log:
        if each["message"] == "zone lost":
            lost[each["zone"], each["restart"]] = each
        elif each["message"] == "zone is back" and (gone := lost.get((each["zone"], each["restart"]))):
            found.append(Freeze(each["zone"], gone["cause"], gone["tick"], each["frozen_ms"], rects[each["zone"]]))
    return found


def _rect(record: dict[str, Any]) -> Rect:
    (x0, x1), (z0, z1) = (record[axis].split("..") for axis in ("x", "z"))
    return float(x0), float(z0), float(x1), float(z1)


def outside(kept: Sequence[dict[str, Any]], allowed: Sequence[Freeze]) -> list[dict[str, Any]]:
    """The violations that no freeze explains."""
    return [seen for seen in kept if not any(freeze.explains(seen) for freeze in allowed)]


@dataclass(frozen=True, slots=True)
class MainDeath:
    """The main process was killed and started again. Times are the host's monotonic clock."""

    killed_s: float
    listening_s: float
    gates: tuple[int, int]
    """Gates that the racers had passed by then: the last of them, and the first."""


@dataclass
class Outcome:
    """What a run came to."""

    bots: dict[str, int]
    """How many there were to the end, by what they were for: good lines, bad lines, the last race."""
    harms: Counter[str] = field(default_factory=Counter)
    swarms: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Results of ``scripts.swarm`` by what they were for; of the races before the last one, too."""
    log: list[dict[str, Any]] = field(default_factory=list)
    death: MainDeath | None = None
    gates_again: int = 0
    """Gates that racers had to pass a second time, as the checkpoint did not know them yet."""
    exit_code: int = 0
    """Of the shard."""

    def faults(self) -> list[str]:
        """What should not have been, a line each; none: all is well."""
        found = []
        allowed = freezes(self.log)
        for name, results in self.swarms.items():
            for result in results:
                for text, count in result["disconnects"].items():
                    found.append(f"{name}: {count} sockets: {text}")
                if result["violations"] > len(result["violationsKept"]):
                    found.append(f"{name}: {result['violations']} violations, more than are kept: {_kinds(result)}")
                for each in outside(result["violationsKept"], allowed):
                    found.append(f"{name}: outside of any freeze: {json.dumps(each)}{_nearest(each, allowed)}")
                if name != "bad" and (unasked := [at_s for at_s in result["cutsS"] if not self._while_down(at_s)]):
                    found.append(f"{name}: {len(unasked)} sockets were closed though main lived")
        found += self._without_car() if self.death is not None else ["main was not killed"]
        found += [f"shard: {each['message']}" for each in self.log if each["level"] == "error"]
        if self.exit_code:
            found.append(f"shard: exit code {self.exit_code}")
        if not self._stopped():
            found.append("shard: it did not say that it stopped")
        return found

    def _while_down(self, at_s: float) -> bool:
        death = self.death
        return death is not None and death.killed_s - NOTICED_S <= at_s <= death.listening_s

    def _comebacks(self, name: str) -> list[dict[str, Any]]:
        """Cars that were given back after the death of main."""
        assert self.death is not None, "main was killed"
        since_s = self.death.killed_s - NOTICED_S
        return [
            each for result in self.swarms.get(name, []) for each in result["comebacks"] if each["cut_s"] >= since_s
        ]

    def _without_car(self) -> list[str]:
        """Who was not given its car back after the death of main, too late, or elsewhere."""
        assert self.death is not None, "main was killed"
        found = []
        for name, bots in self.bots.items():
            back = self._comebacks(name)
            if (players := len({each["player"] for each in back})) != bots:
                found.append(f"{name}: {players} of {bots} were given their cars back after main was killed")
            for each in back:
                waited_s = each["back_s"] - self.death.listening_s
                if waited_s > BACK_WITHIN_S:
                    found.append(f"{name}: {each['player']} had its car back after {waited_s:.2f} s")
                if each["age_s"] > POSE_AGE_MAX_S or each["off_m"] > OFF_TRAIL_MAX_M:
                    where = f"{each['age_s']:.2f} s old, {each['off_m']:.2f} m off its trail"
                    found.append(f"{name}: {each['player']} had its car back at a pose {where}")
        if self.bots.get("last race") and self.death.gates[0] < 1:
            found.append("main was killed before everybody raced")
        return found

    def summary(self) -> dict[str, Any]:
        """All numbers as one JSON object."""
        results = [result for each in self.swarms.values() for result in each]
        frozen = freezes(self.log)
        by_cause = {
            cause: percentiles([freeze.frozen_ms for freeze in frozen if freeze.cause == cause])
            for cause in ("killed", "hang", "crash")
        }
        kinds = sum((Counter(result["violationsByKind"]) for result in results), Counter[str]())
        return {
            "bots": sum(result["connectedMost"] for name in ("good", "bad") for result in self.swarms.get(name, [])),
            "races": sum(len(self.swarms.get(name, [])) for name in ("races", "last race")),
            "racesTookS": [
                round(result["seconds"]) for name in ("races", "last race") for result in self.swarms.get(name, [])
            ],
            "harms": dict(self.harms),
            "zonesLost": sum(each["message"] == "zone lost" for each in self.log),
            "frozenMs": by_cause,
            "shed": dict(Counter(each["shed"] for each in self.log if each["message"] == "load")),
            "cuts": sum(result["cuts"] for result in results),
            "resumed": sum(result["resumed"] for result in results),
            "handoffs": sum(result["handoffs"] for result in results),
            "violations": dict(kinds),
            "lostOrDoubled": sum(kinds[kind] for kind in (Kind.LOST, Kind.PLAYER_TWICE, Kind.GHOST, Kind.NOT_RESUMED)),
            "socketsClosed": sum(sum(result["disconnects"].values()) for result in results),
            "mainDeath": self._death(),
            "secondLife": {name: each[name] for each in self._stopped() for name in SHOWN if name in each},
            "faults": self.faults(),
        }

    def _stopped(self) -> list[dict[str, Any]]:
        """What the shard said at its end; of its first life it could say nothing."""
        return [each for each in self.log if each["message"] == "stopped"]

    def _death(self) -> dict[str, Any]:
        death = self.death
        if death is None:
            return {}
        back = [each for name in self.bots for each in self._comebacks(name)]
        return {
            "downS": round(death.listening_s - death.killed_s, 2),
            "carsBack": len(back),
            "backAfterListeningS": percentiles([each["back_s"] - death.listening_s for each in back]),
            "backAfterKillS": percentiles([each["back_s"] - death.killed_s for each in back]),
            "poseAgeS": percentiles([each["age_s"] for each in back]),
            "gatesPassed": list(death.gates),
            "gatesAgain": self.gates_again,
        }


def _nearest(seen: dict[str, Any], allowed: Sequence[Freeze]) -> str:
    """The last freeze before a violation, for whoever looks for its cause."""
    before = [freeze for freeze in allowed if freeze.first_tick <= seen["tick"]]
    return f"; the last freeze before: {max(before, key=lambda freeze: freeze.first_tick)}" if before else ""


def _kinds(result: dict[str, Any]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in result["violationsByKind"].items())


def percentiles(values: list[float]) -> dict[str, float]:
    """p50, p99 and the maximum, and of how many."""
    if not values:
        return {"count": 0}
    p50, p99, most = np.percentile(np.array(values), [50, 99, 100]).tolist()
    return {"count": len(values), "p50": round(p50, 2), "p99": round(p99, 2), "max": round(most, 2)}
