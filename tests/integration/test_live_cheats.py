"""Cheats and honest drivers over real sockets and a slow line in one spawned shard, and the evidence that it keeps.

All of them at once, for as long as it takes to cheat at a gate: the countdown of a race is five seconds, and who drives
around a gate does so slowly. What came of it is looked at test by test.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import orjson
import pytest

from scripts.bots import cheat
from scripts.bots.cheat import Outcome
from scripts.bots.cheats import cheat_all
from scripts.bots.gate_cheat import GATE_CHEATS
from scripts.explain import ExplainFault, Observer
from scripts.fair.techniques import TECHNIQUES, UNSPEAKABLE
from scripts.fault_proxy import FaultProxy, Weather
from scripts.mint_token import LOCAL_ISSUER
from scripts.running_shard import RunningShard
from shard.access.auth import PLAYER_ROLE
from shard.access.budget import RATES
from shard.conduct.evidence import FILE_BYTES_MAX
from shared.thresholds import DEFAULT
from tests.fakes.walled_world import WALL_X, WALL_Z, YARD, walled_land
from tests.live_driver import LiveDriver, Post, Seen, seen
from zones.sweep import WALL_HALF_M

SECRET = "a secret for tests that is long enough"
WARM_UP_S = 2.0
SECONDS = 22.0
LINE = Weather(latency_s=0.02, jitter_s=0.02, slice_bytes=900)
ALONG_THE_WALL = (Post(WALL_X + 0.5, 585.0, 20.0), Post(WALL_X + 0.5, WALL_Z[1] - 10.0, 40.0))
EASTWARDS = (Post(1050.0, 540.0, 55.0),)
"""Over the border between the zones."""
NAMES = {
    technique.name: f"cheat-{number:02d}" for number, technique in enumerate(TECHNIQUES, 1) if "wall" in technique.name
}
"""Technique to the name of its car, of those who drive at the wall."""
OLD_LINE = b'{"of":"another day"}\n'


@dataclass
class Live:
    """What came of it."""

    outcomes: dict[str, Outcome]
    scraper: LiveDriver
    fast: LiveDriver
    seen: dict[str, Seen]
    """Of ``scraper`` and ``fast``, before they left."""
    least_x: dict[str, float]
    """Of those who drive at the wall: how far west they ever were, as the shard had it."""
    evidence: Path
    lines: list[dict[str, Any]] = field(default_factory=list)
    """All of the evidence, oldest first."""

    def of(self, player: str) -> list[dict[str, Any]]:
        """The evidence about a player."""
        return [line for line in self.lines if line["player"] == player]


async def _watch(shard: RunningShard, least_x: dict[str, float]) -> None:
    """Look at those in ``least_x`` ten times a second, as long as they are in the world."""
    observer = Observer(shard.instance)
    try:
        while True:
            await asyncio.sleep(0.1)
            for name, before in least_x.items():
                with contextlib.suppress(ExplainFault):  # it was removed, or is not there yet
                    least_x[name] = min(before, seen(observer, NAMES[name]).x)
    finally:
        observer.close()


async def _drive(
    shard: RunningShard, least_x: dict[str, float]
) -> tuple[list[Outcome], list[LiveDriver], dict[str, Seen]]:
    parts = urlsplit(shard.url)
    assert parts.hostname is not None
    assert parts.port is not None
    drivers = [LiveDriver("scraper", SECRET, ALONG_THE_WALL, 20), LiveDriver("fast", SECRET, EASTWARDS, 60)]
    rows: dict[str, Seen] = {}
    async with FaultProxy(parts.hostname, parts.port, LINE) as proxy:
        url = f"ws://127.0.0.1:{proxy.port}/ws"
        until_s = time.perf_counter() + WARM_UP_S + SECONDS
        keys = SECRET, LOCAL_ISSUER, PLAYER_ROLE
        cheating = asyncio.create_task(cheat_all(url, *keys, SECONDS, 3, walled_land()))
        watching = asyncio.create_task(_watch(shard, least_x))
        await asyncio.gather(*(driver.run(url, until_s - 1.0) for driver in drivers))
        observer = Observer(shard.instance)
        try:
            for name, driver in zip(("scraper", "fast"), drivers, strict=True):
                with contextlib.suppress(ExplainFault):  # it was removed, which is for the tests to say
                    rows[name] = seen(observer, driver.player)
        finally:
            observer.close()
        outcomes = await cheating
        watching.cancel()
        await asyncio.gather(watching, *(driver.close() for driver in drivers), return_exceptions=True)
    return outcomes, drivers, rows


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Live:
    evidence = tmp_path_factory.mktemp("live") / "evidence.jsonl"
    evidence.write_bytes(OLD_LINE * (FILE_BYTES_MAX // len(OLD_LINE)))  # the next line fills it
    flags = ["--zones", "2", "--world", str(YARD), "--world-cache", "off", "--evidence", str(evidence)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cheat, "WARM_UP_S", WARM_UP_S)
        with RunningShard(flags, {"SUPABASE_JWT_SECRET": SECRET}) as shard:
            least_x = dict.fromkeys(NAMES, math.inf)
            outcomes, [scraper, fast], rows = asyncio.run(_drive(shard, least_x))
            assert shard.stop() == 0
    by_name = {each.name: each for each in outcomes}
    found = Live(by_name, scraper, fast, rows, least_x, evidence)
    for file in (evidence.with_name("evidence.jsonl.1"), evidence):
        if file.exists():
            text = file.read_bytes().replace(OLD_LINE, b"")
            found.lines += [orjson.loads(line) for line in text.splitlines()]
    return found


# --- who is who


def test_there_is_one_of_each_technique_and_all_were_in_the_world(live: Live) -> None:
    unspeakable = [name for name, _ in UNSPEAKABLE]
    assert list(live.outcomes) == ["honest", *(each.name for each in TECHNIQUES), *unspeakable, *GATE_CHEATS]
    for outcome in live.outcomes.values():
        assert outcome.moves >= 20, outcome
        assert outcome.note == "", outcome
    assert len({outcome.player for outcome in live.outcomes.values()}) == len(live.outcomes)


@pytest.mark.parametrize("name", ["honest", "honest, racing"])
def test_the_honest_are_left_alone(live: Live, name: str) -> None:
    outcome = live.outcomes[name]
    assert (outcome.corrections, outcome.errors, outcome.notices, outcome.closed) == ({}, {}, {}, "")
    assert live.of(outcome.player) == []


# --- gates


def test_a_racer_who_drives_around_a_gate_is_told_and_no_gate_counts_from_then_on(live: Live) -> None:
    outcome = live.outcomes["gate skip"]
    assert set(outcome.notices) == {"gate_missed"}
    assert (outcome.gates, outcome.gates_after) == (2, 0)
    assert outcome.first_s > 0.0
    assert live.outcomes["honest, racing"].gates == 5, "all there are"


def test_a_racer_who_drives_back_is_told_and_no_gate_counts_from_then_on(live: Live) -> None:
    outcome = live.outcomes["reverse gates"]
    assert set(outcome.notices) == {"wrong_way"}
    assert 2 <= outcome.gates <= 4, "it overshoots"
    assert outcome.gates_after == 0
    assert outcome.first_s > 0.0


# --- walls


@pytest.mark.parametrize("name", ["wall pass", "wall pass, 1 Hz"])
def test_who_drives_through_a_wall_is_put_back_before_it(live: Live, name: str) -> None:
    outcome = live.outcomes[name]
    assert outcome.corrections["clip"] + outcome.corrections["late"] >= 3
    through = [line for line in live.of(outcome.player) if line["check"] in ("clip", "late")]
    assert len(through) >= 3
    for line in through:
        (x0, _), (x1, _) = line["from"], line["to"]
        assert x1 < WALL_X + WALL_HALF_M < x0
    assert WALL_X < live.least_x[name] < WALL_X + 60.0, "it was there, and was never let through"


def test_an_honest_driver_scrapes_along_the_same_wall_and_is_never_put_back(live: Live) -> None:
    scraper = live.scraper
    assert scraper.contacts > 40, "two seconds of it"
    assert (scraper.corrections, scraper.errors, scraper.ends) == ([], [], [])
    row = live.seen["scraper"]
    assert live.of(scraper.player) == []
    assert row.strikes == 0.0
    assert (row.x, row.z) == scraper.sent[row.seq]


# --- too many moves


def test_at_60_hz_moves_are_thinned_without_a_word_and_the_car_is_where_it_was_driven(live: Live) -> None:
    fast, row = live.fast, live.seen["fast"]
    per_s, burst = RATES["move"]
    assert len(fast.sent) > 60 * (SECONDS - 5.0) * 0.9
    drove_s = len(fast.sent) / 60.0
    assert 0.9 * per_s * drove_s < row.taken < per_s * (drove_s + 1.5) + burst
    assert row.taken < 0.75 * len(fast.sent), "the others were dropped"
    assert (fast.corrections, fast.errors, fast.ends) == ([], [], [])
    assert live.of(fast.player) == []
    assert row.strikes == 0.0
    assert (row.x, row.z) == fast.sent[row.seq], "not a centimetre off"
    assert len(fast.sent) - row.seq < 60, "and that is a sample of the last second"
    assert row.x > 900.0


# --- evidence


def test_each_verdict_is_a_line_that_says_who_failed_what_by_how_much_and_what_was_sent_around_it(live: Live) -> None:
    units = {"teleport": "m", "budget": "m", "clip": "m", "late": "m", "speed": "m/s", "clock_back": "ms"}
    players = {outcome.player for outcome in live.outcomes.values()}
    assert len(live.lines) > 20
    assert set(units) <= {line["check"] for line in live.lines}
    for line in live.lines:
        assert line["player"] in players
        assert line["unit"] == units.get(line["check"], line["unit"])
        assert line["excess"] > 0.0
        assert line["allowed"] >= 0.0
        assert line["late_ms"] >= 0.0
        assert line["thresholds"] == {"log_at": 5.0, "ghost_at": 10.0, "remove_at": 20.0}
        assert 1 <= len(line["samples"]) <= 64
        columns = line["columns"]
        sent = [sample[columns.index("x")] for sample in line["samples"] if sample[columns.index("seq")] == line["seq"]]
        assert sent
        if line["action"] == "set_back":
            assert line["to"][0] in sent, "it is the sample as it came; others may have been cut to what was affordable"


def test_evidence_says_what_the_technique_is(live: Live) -> None:
    for name, step_m in (("blink 30 m", 30.0), ("blink 100 m", 100.0)):
        lines = [line for line in live.of(live.outcomes[name].player) if line["check"] == "teleport"]
        assert len(lines) == live.outcomes[name].corrections["teleport"] >= 2
        for line in lines:
            assert line["allowed"] == DEFAULT.teleport_least_m
            assert line["excess"] == pytest.approx(math.dist(line["from"], line["to"]) - line["allowed"])
            assert step_m - 1.0 < math.dist(line["from"], line["to"]) < step_m + 8.0
    removed = [line for line in live.lines if line["score"] >= DEFAULT.remove_at]
    assert live.outcomes["wall pass"].player in {line["player"] for line in removed}
    walls = [shape for line in live.of(live.outcomes["wall pass"].player) for shape in line["obstacles"]]
    assert {shape["shape"] for shape in walls} == {"wall"}
    assert {shape["x"] for shape in walls} == {WALL_X}


def test_a_full_file_is_turned_over_and_the_record_goes_on(live: Live) -> None:
    old = live.evidence.with_name("evidence.jsonl.1").read_bytes()
    assert old.startswith(OLD_LINE)
    assert FILE_BYTES_MAX <= len(old) < FILE_BYTES_MAX + 65536
    assert orjson.loads(old.splitlines()[-1]) == live.lines[0]
    assert len(live.evidence.read_bytes().splitlines()) == len(live.lines) - 1


def test_the_command_draws_a_verdict_with_path_obstacles_place_and_reason(live: Live) -> None:
    lines = [orjson.loads(line) for line in live.evidence.read_bytes().splitlines()]
    number, line = next((number, line) for number, line in enumerate(lines, 1) if line["check"] == "clip")
    command = [sys.executable, "-m", "scripts.evidence", str(live.evidence), "--line", str(number)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    root = ElementTree.parse(done.stdout.strip()).getroot()
    found = [(element.tag.rpartition("}")[2], element.attrib, element.text) for element in root.iter()]
    assert sum(tag == "polyline" for tag, _, _ in found) == 1, "the path"
    assert sum(tag == "title" and (text or "").startswith("wall ") for tag, _, text in found) == len(line["obstacles"])
    [where] = [attributes for tag, attributes, _ in found if tag == "line"]
    ends = [float(where[name]) for name in ("x1", "y1", "x2", "y2")]
    assert ends == pytest.approx([*line["from"], *line["to"]], abs=1e-3)
    said = " ".join(text for tag, _, text in found if tag == "text" and text)
    assert f"clip: {line['excess']:.2f} m beyond {line['allowed']:.2f}" in said
    assert line["player"] in said
    assert "server late by" in said
    assert f"score {line['score']:.2f}" in said
