"""Why one player sees another, or not: every reason by itself, and all of it against a shard in shared memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ipc.block import SHM_DIR
from scripts.explain import Facts, explain
from shard.views.standing import write_standing
from shard.views.watching import IN_TURNS, SHORTENED, SLOWED
from tests.stepper import Recorder, ShardStepper

SEEN = Facts(
    viewer="Anna",
    target="Ben",
    distance_m=70.0,
    gap_m=12.0,
    home=4,
    cell=9,
    view_radius_m=192.0,
    row_budget=100,
    tick=500,
    watching=True,
    away=False,
    shown=True,
    period=2,
    tier=0,
    rows=30,
    sent_tick=499,
    refused=0,
    unsent_bytes=0,
    zone=1,
    behind_ticks=0,
)


@pytest.mark.parametrize(
    ("facts", "seen", "said"),
    [
        (SEEN, True, "Anna sees Ben: its cell is told in every 2 ticks"),
        (replace(SEEN, period=1), True, "told in every tick"),
        (replace(SEEN, period=4, tier=SLOWED), True, "told in every 4 ticks"),
        (replace(SEEN, tier=IN_TURNS), True, "its rows in turns"),
        (replace(SEEN, behind_ticks=12), True, "zone 1 is 12 ticks late"),
        (replace(SEEN, watching=False, away=True), False, "Anna sees nobody: its socket is lost and its car is held"),
        (replace(SEEN, watching=False), False, "no socket"),
        (replace(SEEN, shown=False, refused=3, unsent_bytes=70_000), False, "too much is unsent (70000 bytes)"),
        (replace(SEEN, shown=False), False, "its first snapshot is on its way"),
        (replace(SEEN, period=0, gap_m=192.0), False, "Anna does not see Ben: it is too far away"),
        (replace(SEEN, period=0, tier=SHORTENED), False, "the row budget cut it off"),
    ],
)
def test_every_reason_has_its_words(facts: Facts, seen: bool, said: str) -> None:
    answer, lines = explain(facts)
    assert answer is seen
    assert said in lines[0]
    assert "70.0 m" in lines[1]
    assert [line.split()[0] for line in lines[1:]] == ["distance", "budget", "last", "socket"]


pytestmark = pytest.mark.skipif(not SHM_DIR.is_dir(), reason="blocks are files only on Linux")


@pytest.fixture(scope="module")
def shard() -> Iterator[ShardStepper]:
    with ShardStepper(zones=2, players=40, size_m=1024, view_radius_m=192.0, row_budget=10) as made:
        for player, x in (("anna", 300.0), ("ben", 330.0), ("cleo", 900.0), ("dora", 420.0)):
            made.enter(player)
            made.step()
            made.put(player, x, 300.0)
        for number in range(24):
            made.enter(f"fan-{number:02d}")
        made.step()
        for number in range(24):
            made.put(f"fan-{number:02d}", 301.0 + number % 5, 296.0 + number // 5)
        made.step(30)
        made.clients["cleo"].ready = False
        made.put("cleo", 905.0, 300.0)
        made.step()
        made.realm.hold("dora")
        made.step()
        write_standing(made.realm, lambda slot: 1000 + slot)
        yield made


def ask(shard: ShardStepper, viewer: str, target: str) -> tuple[int, str]:
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "scripts.explain",
            "--viewer",
            viewer,
            "--target",
            target,
            f"--instance={shard.memory.instance}",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in run.stderr
    return run.returncode, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("viewer", "target", "code", "said"),
    [
        ("anna", "fan-00", 0, "sees fan-00: its cell is told in every"),
        ("anna", "cleo", 1, "it is too far away"),
        ("anna", "ben", 1, "the row budget cut it off"),
        ("cleo", "anna", 1, "too much is unsent"),
        ("dora", "anna", 1, "its socket is lost and its car is held"),
        ("nobody", "anna", 2, "explain: nobody: is not in the world"),
    ],
)
def test_a_shard_in_memory_is_explained(shard: ShardStepper, viewer: str, target: str, code: int, said: str) -> None:
    result, text = ask(shard, viewer, target)
    assert said in text
    assert result == code


def test_the_shard_keeps_its_blocks_and_slots_and_names_are_players_too(shard: ShardStepper) -> None:
    slot = shard.body("anna").slot
    code, text = ask(shard, str(slot), "fan-01")
    assert code == 0
    assert f"socket     {1000 + slot} bytes unsent" in text
    assert (SHM_DIR / f"shard-{shard.memory.instance}-table").exists()
    assert isinstance(shard.clients["anna"], Recorder)


def test_no_shard_is_said_in_one_line() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "scripts.explain", "--viewer", "1", "--target", "2", "--instance", "nosuch"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stderr.strip()) == (2, "explain: --instance: there is no shard nosuch")
