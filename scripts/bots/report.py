"""The result of a swarm as text for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scripts.bots.tally import Tally

VIOLATIONS_PRINTED = 20
LATE_SHARE = 0.02
"""Zones that are late more often than this have not the processor that they need, or die."""


def table(tally: Tally) -> str:
    """Two columns, then each kind of violation, then the first violations in full."""
    result = tally.result()
    rows = [
        (
            "bots",
            f"{result['bots']} ({result['connectedMost']} connected, {result['inWorldMost']} in the world at most)",
        ),
        ("time", f"{result['seconds']:.1f} s, {result['playerSeconds']:.0f} player-seconds in the world"),
        ("received", f"{result['messagesInPerS']:.0f} messages/s, {_kb(result['bytesInPerPlayerSecond'])} per player"),
        ("sent", f"{result['messagesOutPerS']:.0f} messages/s, {_kb(result['bytesOutPerPlayerSecond'])} per player"),
        ("snapshots", f"{result['snapshots']} ({result['snapshotsPerPlayerSecond']:.2f}/s per player)"),
        ("ticks missed", f"{result['ticksMissed']} (and {result['resets']} resets)"),
        ("zones late", _late(result)),
        ("entered, left", f"{result['entered']}, {result['left']}"),
        ("cut, resumed", f"{result['cuts']}, {result['resumed']}"),
        ("handoffs seen", str(result["handoffs"])),
        ("move to seen", _times(result["moveToSeenMs"])),
        ("  every tick", _times(result["moveToSeenEveryTickMs"])),
        ("  second tick", _times(result["moveToSeenSecondTickMs"])),
        ("  fourth tick", _times(result["moveToSeenFourthTickMs"])),
        ("round trip", _times(result["roundTripMs"])),
        ("swarm's own lag", _times(result["swarmLagMs"])),
        ("pairs judged", _judged(result)),
        ("samples held", str(result["movesHeld"])),
        ("errors", _counts(result["errors"])),
        ("disconnects", _counts(result["disconnects"])),
        ("violations", _counts(result["violationsByKind"])),
    ]
    lines = [f"{name:<16} {value}" for name, value in rows]
    for found in result["violationsKept"][:VIOLATIONS_PRINTED]:
        evidence = "  ".join(f"{name}={value}" for name, value in found["evidence"].items())
        lines.append(f"  {found['kind']}  tick {found['tick']}  at {found['atS']} s  in view of {found['observer']}")
        lines.append(f"      {evidence}")
    more = result["violations"] - VIOLATIONS_PRINTED
    if more > 0:
        lines.append(f"  ... and {more} more")
    lines.append("all well" if result["ok"] else "NOT well: see violations and disconnects")
    return "\n".join(lines)


def _kb(bytes_per_s: float) -> str:
    return f"{bytes_per_s / 1000:.1f} kB/s"


def _times(found: Mapping[str, Any]) -> str:
    if not found["count"]:
        return "not measured"
    return f"p50 {found['p50']} ms, p95 {found['p95']} ms, p99 {found['p99']} ms, max {found['max']} ms"


def _late(result: Mapping[str, Any]) -> str:
    share = result["snapshotsLate"] / max(1, result["snapshots"])
    note = ": the shard's machine is overloaded, or zones died; cars then lag" if share > LATE_SHARE else ""
    return f"in {100 * share:.1f} % of the snapshots{note}"


def _judged(result: Mapping[str, Any]) -> str:
    skipped = result["judgementsSkipped"]
    note = f"; {skipped} rounds left out: this process is overloaded, use more --processes" if skipped else ""
    return f"{result['pairsJudged']}{note}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in sorted(counts.items())) or "none"
