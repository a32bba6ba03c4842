"""What main makes of verdicts: whom it blames, when it blames itself, and what it says of both."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import orjson
import pytest

from shard.conduct.evidence import EvidenceLog
from tests.stepper import ShardStepper

PLAYERS = 30


def _crowd(shard: ShardStepper) -> list[str]:
    """Players in a row, who have been there for a while."""
    names = [f"player-{number:02d}" for number in range(PLAYERS)]
    for name in names:
        shard.enter(name)
    shard.step(2)
    for number, name in enumerate(names):
        shard.put(name, 300.0, 30.0 + 30.0 * number)
    shard.step(2)
    return names


def _leap(shard: ShardStepper, names: list[str]) -> None:
    """All of them are elsewhere with the next sample."""
    for name in names:
        placed = shard.clients[name].placements[-1]
        shard.move(name, placed.x + 300.0, placed.z)
    shard.step(3)


def _strikes(shard: ShardStepper) -> dict[str, Any]:
    return {name: row["strikes"] for name, row in shard.state().items() if row["strikes"]}


@pytest.mark.parametrize(("leaping", "ours"), [(24, True), (7, False)])
def test_when_too_many_are_flagged_at_once_nobody_is_struck_and_everybody_is_put_back(
    leaping: int, ours: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with ShardStepper(zones=2, size_m=1024, players=64, anticheat="enforce") as shard, caplog.at_level(logging.WARNING):
        names = _crowd(shard)
        _leap(shard, names[:leaping])
        put_back = {name for name in names if shard.clients[name].placements[-1].reason == "correction"}
        assert put_back == set(names[:leaping]), "it is harmless, and may be needed"
        assert set(_strikes(shard)) == (set() if ours else set(names[:leaping]))
        assert shard.realm.conduct.counts["teleport"] == leaping
        assert shard.realm.conduct.summary()["anticheat_forgiven_ticks"] == int(ours)
    said = [record for record in caplog.records if record.getMessage() == "strikes forgiven: our fault"]
    assert [vars(record)["reason"] for record in said] == ["24 of 30 players flagged at once"] * ours


def test_in_observe_mode_it_is_said_what_would_be_and_nothing_is(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    path = tmp_path / "evidence.jsonl"
    with ShardStepper(size_m=1024, players=64, anticheat="observe") as shard, caplog.at_level(logging.WARNING):
        shard.realm.conduct.evidence = EvidenceLog(path, "observe")
        _crowd(shard)
        for number in range(14):
            x = shard.clients["player-03"].placements[-1].x + 300.0 * (number % 2 == 0)
            shard.move("player-03", x, 120.0)
            shard.step(2)
        shard.realm.conduct.evidence.close()
        assert shard.realm.removed == []
        assert shard.realm.conduct.removals == 0
        assert {placed.reason for placed in shard.clients["player-03"].placements} == {"enter", "respawn"}
    steps = [vars(record)["step"] for record in caplog.records if record.getMessage() == "player flagged"]
    assert steps == ["would be logged", "would be ghosted", "would be removed"]
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    assert {(line["player"], line["mode"], line["check"]) for line in lines} >= {("player-03", "observe", "teleport")}
    assert {line["player"] for line in lines} == {"player-03"}
