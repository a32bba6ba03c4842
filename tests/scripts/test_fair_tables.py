"""The arithmetic of both tables on numbers made by hand, and what breaks the promise."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest

from scripts.fair.dishonest import Found
from scripts.fair.honest import Row
from scripts.fair.tables import (
    as_json,
    detection_table,
    faults,
    honest_table,
    merged,
    per_thousand,
    total,
)


def row(name: str, minutes: float, set_backs: int = 0, **other: int | bool | str) -> Row:
    made = Row(name, minutes, set_backs=Counter(speed=set_backs))
    for key, value in other.items():
        setattr(made, key, value)
    return made


FOUND = Found(
    name="blink 30 m",
    cases=6,
    mitigated=6,
    mitigated_s=0.05,
    ignored=False,
    played_s=120.0,
    gain_m=-41.0,
    gain_s=-0.8,
    lead_m=2.0,
    extra_m=0.0,
    set_backs=Counter(teleport=54),
    reproaches=Counter(teleport=54),
    late=3,
    strikes=26.9,
    removed=3,
    removed_s=40.2,
    note="a note",
)


def test_set_backs_are_counted_per_thousand_player_minutes() -> None:
    assert per_thousand(row("a", 4000.0, 2)) == 0.5
    assert per_thousand(row("a", 0.0, 2)) == 0.0
    assert per_thousand(row("a", 1000.0, 0, late=50)) == 0.0, "late is no reproach"


def test_the_total_leaves_out_what_is_not_promised() -> None:
    rows = [row("a", 1000.0, 1, late=2), row("b", 3000.0, 3, removals=1), row("c", 500.0, 99, promised=False)]
    summed = total(rows)
    assert (summed.player_minutes, summed.set_backs, summed.late, summed.removals) == (4000.0, Counter(speed=4), 2, 1)
    assert per_thousand(summed) == 1.0


def test_parts_of_a_scenario_become_one_row() -> None:
    parts = [row("a", 10.0, 1, late=1), row("b", 5.0), row("a", 20.0, 2, note="said")]
    parts[0].reproaches["clip"] = 2
    parts[2].reproaches["clip"] = 1
    one, other = merged(parts)
    assert (one.name, one.player_minutes, one.set_backs["speed"], one.late, one.reproaches["clip"]) == (
        "a",
        30,
        3,
        1,
        3,
    )
    assert (other.name, other.player_minutes) == ("b", 5.0)
    assert parts[0].set_backs["speed"] == 1, "the parts are as they were"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([row("a", 100_000.0, 99)], []),
        ([row("a", 100_000.0, 100)], ["1.00 set-backs"]),
        ([row("a", 100_000.0, removals=1)], ["a: 1 removed, 0 races"]),
        ([row("a", 100_000.0, invalidated=2)], ["a: 0 removed, 2 races"]),
        ([row("a", 1000.0), row("b", 10.0, 500, removals=3, promised=False)], []),
    ],
)
def test_a_removal_a_lost_race_or_a_set_back_too_many_break_the_promise(rows: list[Row], words: list[str]) -> None:
    found = faults(rows)
    assert len(found) == len(words)
    assert all(word in line for word, line in zip(words, found, strict=True))


def test_the_honest_table_has_a_line_per_scenario_and_the_sum_before_what_is_not_promised() -> None:
    table = honest_table([row("a", 2000.0, 1), row("b", 10.0, promised=False, note="why"), row("c", 2000.0)])
    assert [cells[0] for cells in table.rows] == ["a", "c", "all of these", "(b: why, not promised)"]
    assert table.rows[2][1:6] == ("4,000", "0", "0", "1", "0.25")
    assert table.rows[0][6] == "speed 1"


def test_the_detection_table_tells_reaction_gain_and_removal() -> None:
    late = replace(FOUND, name="slow", mitigated=4, mitigated_s=12.5, removed=0, removed_s=None, played_s=30.0)
    ignored = replace(FOUND, name="replay", mitigated=0, mitigated_s=None, ignored=True, set_backs=Counter(), late=0)
    missed = replace(ignored, name="missed", ignored=False, reproaches=Counter(), extra_m=40.0)
    told = Counter({"missed gate": 6})
    skipped = replace(ignored, name="gate skip", note="", races=True, told=told, reproaches=Counter())
    table = detection_table([FOUND, late, ignored, missed, skipped], [("NaN", "malformed: no")])
    by_name = {cells[0]: dict(zip(table.head, cells, strict=True)) for cells in table.rows}
    first = by_name["blink 30 m (a note)"]
    assert first["first reaction"] == "0.05 s"
    assert first["by"] == "teleport 54, late 3; strikes for teleport"
    assert first["removed"] == "40.2 s (3 of 6)"
    assert (first["gain at the end"], first["as time"], first["per minute"]) == ("-41 m", "-0.8 s", "-20 m")
    assert by_name["slow (a note)"]["first reaction"] == "12.50 s (4 of 6)"
    assert by_name["slow (a note)"]["per minute"] == "-", "no rate from half a minute"
    assert by_name["replay (a note)"]["first reaction"] == "ignored at once"
    assert by_name["missed (a note)"]["first reaction"] == "none"
    assert by_name["missed (a note)"]["height, depth"] == "40 m"
    assert by_name["NaN as a coordinate"]["by"] == "malformed: no"
    assert by_name["gate skip"]["by"] == "told missed gate 6; 0 gates counted from then on"


def test_text_lines_up_and_markdown_is_a_table() -> None:
    table = honest_table([row("a | b", 2000.0, 1), row("c", 1.0)])
    lines = table.text().splitlines()
    assert len({len(line) for line in lines[1:]}) == 1
    marked = table.markdown().splitlines()
    assert marked[0].startswith("| honest driver")
    assert marked[1].startswith("|---|---:|")
    assert "a \\| b" in marked[2]
    assert len(marked) == 2 + 3


def test_everything_is_plain_data() -> None:
    told = json.loads(json.dumps(as_json([row("a", 1000.0, 1)], [FOUND], [("NaN", "no")])))
    assert told["honest"][0]["set_backs_per_1000_minutes"] == 1.0
    assert told["total"]["player_minutes"] == 1000.0
    assert told["cheats"][0]["set_backs"] == {"teleport": 54}
    assert told["refused"] == {"NaN": "no"}
    assert len(told["faults"]) == 1
