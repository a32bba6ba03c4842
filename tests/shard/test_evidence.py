"""The record of verdicts: what a line holds, that the tick never waits for it, and that files stay bounded."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import orjson
import pytest

from ipc.control import Verdict
from ipc.layout import SAMPLE
from scripts import evidence as drawing
from shard.conduct import evidence
from shard.conduct.evidence import Case, EvidenceLog
from tests.fakes.lot import box, disc, solids, wall
from tests.stepper import ShardStepper

SOLIDS = solids([disc(105, 100, 2), box(400, 400, 3, 3), wall(90, 90, 120, 90)], 512)


def case(number: int = 0) -> Case:
    samples = np.zeros(64, SAMPLE)
    samples["x"], samples["z"], samples["t_ms"] = 40.0 + np.arange(64.0), 100.0, 1.0
    samples["y"], samples["seq"] = np.nan, np.arange(64)
    verdict = Verdict(3, 1, "clip", "set_back", 3.5, 0.5, "m", 2.0, 4.0, number, 103.0, 100.0, 107.0, 100.0)
    return Case("0f8f", 2, 77, 0.0, verdict, samples)


def lines(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def test_a_line_says_who_failed_what_by_how_much_and_what_was_near(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    log = EvidenceLog(path, "observe", SOLIDS)
    log.add(case())
    log.close()
    [line] = lines(path)
    assert (line["player"], line["check"], line["excess"], line["unit"], line["mode"]) == (
        "0f8f", "clip", 3.5, "m", "observe",
    )  # fmt: skip
    assert (line["from"], line["to"]) == ([103.0, 100.0], [107.0, 100.0])
    assert {shape["id"] for shape in line["obstacles"]} == {0, 2}
    assert len(line["samples"]) == 64
    assert line["samples"][5][line["columns"].index("x")] == 45.0
    assert line["samples"][5][line["columns"].index("y")] is None


def test_files_are_turned_over_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    log = EvidenceLog(path, "enforce", file_bytes_max=1)
    for number in range(9):
        log.add(case(number))
    log.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "evidence.jsonl", *(f"evidence.jsonl.{age}" for age in range(1, 5)),
    ]  # fmt: skip
    assert [lines(tmp_path / f"evidence.jsonl.{age}")[0]["seq"] for age in range(1, 5)] == [8, 7, 6, 5]


def test_a_full_queue_drops_and_counts_and_never_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EvidenceLog, "_write_all", lambda self: None)  # a disk that takes nothing
    log = EvidenceLog(tmp_path / "evidence.jsonl", "enforce")
    for number in range(evidence.QUEUE_MAX + 5):
        log.add(case(number))
    assert log.dropped == 5
    log.close()


def test_a_verdict_in_a_tick_ends_in_the_file_with_the_samples_of_its_player(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    with ShardStepper(anticheat="enforce") as shard:
        shard.realm.conduct.evidence = EvidenceLog(path, "enforce")
        shard.enter("cheat")
        shard.step(2)
        x, z = shard.clients["cheat"].placements[-1].x, shard.clients["cheat"].placements[-1].z
        for _ in range(4):
            shard.move("cheat", x, z)
            shard.step()
        shard.move("cheat", x + 300.0 if x < 512 else x - 300.0, z)
        shard.step(2)
        assert shard.realm.conduct.counts["teleport"] == 1
        shard.realm.conduct.evidence.close()
    [line] = lines(path)
    assert (line["player"], line["check"], line["seq"]) == ("cheat", "teleport", 5)
    assert [sample[-1] for sample in line["samples"]] == [1, 2, 3, 4, 5], "nothing of who had the slot before"


def test_the_drawing_is_svg_with_path_obstacles_and_reason(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    log = EvidenceLog(path, "enforce", SOLIDS)
    log.add(case(1))
    log.add(case(2))
    log.close()
    assert drawing.main([str(path), "--line", "1"]) == 0
    text = (tmp_path / "evidence.jsonl-1.svg").read_text()
    root = ElementTree.fromstring(text)
    tags = [element.tag.rpartition("}")[2] for element in root.iter()]
    assert tags.count("polyline") == 1
    assert tags.count("circle") == 64 + 2 + 1
    assert "clip: 3.50 m beyond 0.50" in text
    assert drawing.main([str(path), "--line", "3"]) == 2
    assert drawing.main([str(tmp_path / "none")]) == 2
