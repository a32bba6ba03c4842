"""What the chaos run judges by: the plan of harms, what a freeze explains, and what the death of main may cost."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from itertools import islice
from subprocess import PIPE
from typing import Any

import pytest

from scripts.chaos.harms import disturbances, recovered
from scripts.chaos.verdict import Freeze, MainDeath, Outcome, freezes, outside

ZONE = {"message": "zone", "level": "info", "zone": 2, "x": "512..1024", "z": "0..512"}
LOST = {"message": "zone lost", "level": "warning", "zone": 2, "restart": 1, "tick": 100, "cause": "killed"}
BACK = {"message": "zone is back", "level": "info", "zone": 2, "restart": 1, "frozen_ms": 200.0}
STOPPED = {"message": "stopped", "level": "info"}
RECT = (512.0, 0.0, 1024.0, 512.0)
KILLED_S, LISTENING_S = 100.0, 102.0


def seen(kind: str, tick: int, x: float = 600.0, z: float = 100.0) -> dict[str, Any]:
    return {"kind": kind, "tick": tick, "evidence": {"x": x, "z": z}}


def back(player: str = "p", **changes: float) -> dict[str, Any]:
    """A car given back 0.5 s after the shard listened again, at a pose 0.7 s old."""
    return {"player": player, "cut_s": KILLED_S, "back_s": LISTENING_S + 0.5, "age_s": 0.7, "off_m": 0.0} | changes


def result(**changes: Any) -> dict[str, Any]:
    quiet = {"disconnects": {}, "violations": 0, "violationsKept": [], "violationsByKind": {}}
    return {**quiet, "cutsS": [KILLED_S + 0.01], "comebacks": [back()], **changes}


def outcome(log: list[dict[str, Any]] | None = None, code: int = 0, **changes: Any) -> Outcome:
    """One good bot, which was there when main died."""
    death = MainDeath(KILLED_S, LISTENING_S, (2, 3))
    found = Outcome({"good": 1}, log=[STOPPED] if log is None else log, death=death, exit_code=code)
    found.swarms["good"] = [result(**changes)]
    return found


def test_the_same_seed_gives_the_same_harms_and_the_first_is_a_kill() -> None:
    plan = list(islice(disturbances(3, 2.0), 200))
    assert plan == list(islice(disturbances(3, 2.0), 200))
    assert plan != list(islice(disturbances(4, 2.0), 200))
    assert plan[0].harm == "kill"
    assert {each.harm for each in plan} == {"kill", "hang", "stop", "slow"}
    assert 360.0 < plan[-1].at_s < 440.0


def test_a_zone_that_stands_still_has_not_recovered() -> None:
    title = "import setproctitle; setproctitle.setproctitle('shard: zone 0'); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", title], stdin=PIPE, stdout=PIPE) as zone:
        assert zone.stdout is not None
        zone.stdout.readline()

        async def waits(zones: int = 1) -> bool:
            try:
                await asyncio.wait_for(recovered(os.getpid(), zones), 0.5)
            except TimeoutError:
                return True
            return False

        try:
            assert not asyncio.run(waits())
            assert asyncio.run(waits(zones=2))
            zone.send_signal(signal.SIGSTOP)
            os.waitpid(zone.pid, os.WUNTRACED)  # until it has stopped
            assert asyncio.run(waits())
            zone.send_signal(signal.SIGCONT)
            assert not asyncio.run(waits())
        finally:
            zone.kill()


def test_a_freeze_lasts_from_the_last_commit_until_what_waited_is_judged() -> None:
    found = freezes([ZONE, LOST, BACK])
    assert found == [Freeze(2, "killed", 100, 200.0, RECT)]
    assert freezes([ZONE, LOST]) == []
    explained = [seen("misplaced", 100), seen("jump", 111)]
    rest = [seen("misplaced", 99), seen("misplaced", 112), seen("unacknowledged", 105), seen("player_twice", 105)]
    assert outside(explained + rest, found) == rest


def test_a_freeze_of_an_earlier_life_of_the_shard_keeps_its_tick() -> None:
    """A restarted shard counts the losses of its zones anew."""
    again = [ZONE, LOST | {"tick": 900}, BACK | {"frozen_ms": 60.0}]
    assert [freeze.first_tick for freeze in freezes([ZONE, LOST, BACK, *again])] == [100, 900]


def test_a_freeze_explains_nothing_of_another_zone() -> None:
    found = freezes([ZONE, LOST, BACK])
    beyond_m = found[0].beyond_m
    assert beyond_m == pytest.approx(8.0 + 70.0 * 0.4), "the band, and 0.4 s of the fastest car"
    assert Freeze(2, "hang", 100, 2000.0, RECT).beyond_m == pytest.approx(8.0 + 70.0 * 2.2)
    near = seen("misplaced", 105, x=512.0 - beyond_m)
    far = [seen("misplaced", 105, x=512.0 - beyond_m - 0.1), seen("jump", 105, z=512.0 + beyond_m + 0.1)]
    nowhere = {"kind": "misplaced", "tick": 105, "evidence": {}}
    assert outside([near, *far, nowhere], found) == [*far, nowhere]


def test_what_is_outside_of_any_freeze_is_told_with_the_last_one_before() -> None:
    late: dict[str, Any] = LOST | {"tick": 300, "restart": 2}
    log: list[dict[str, Any]] = [ZONE, LOST, BACK, late, BACK | {"restart": 2}, STOPPED]
    [fault] = outcome(log, violations=1, violationsKept=[seen("jump", 200)]).faults()
    assert "the last freeze before: Freeze(zone=2, cause='killed', first_tick=100" in fault


def test_only_a_long_freeze_explains_what_was_not_acknowledged() -> None:
    late = seen("unacknowledged", 120)
    assert outside([late], [Freeze(0, "hang", 100, 900.0, RECT)]) == [late]
    assert outside([late], [Freeze(0, "hang", 100, 2000.0, RECT)]) == []


@pytest.mark.parametrize(
    ("changes", "log", "code", "said"),
    [
        ({}, [STOPPED], 0, None),
        ({"disconnects": {"1013": 2}}, [STOPPED], 0, "2 sockets: 1013"),
        ({"violations": 1, "violationsKept": [seen("lost", 5)]}, [STOPPED], 0, "outside of any freeze"),
        ({"violations": 201}, [STOPPED], 0, "more than are kept"),
        ({"cutsS": [KILLED_S - 20.0, KILLED_S]}, [STOPPED], 0, "1 sockets were closed though main lived"),
        ({"cutsS": [KILLED_S, LISTENING_S + 1.0]}, [STOPPED], 0, "1 sockets were closed though main lived"),
        ({"comebacks": []}, [STOPPED], 0, "0 of 1 were given their cars back"),
        ({"comebacks": [back(cut_s=KILLED_S - 9.0)]}, [STOPPED], 0, "0 of 1 were given their cars back"),
        ({"comebacks": [back(back_s=LISTENING_S + 5.1)]}, [STOPPED], 0, "had its car back after 5.10 s"),
        ({"comebacks": [back(age_s=1.6)]}, [STOPPED], 0, "a pose 1.60 s old"),
        ({"comebacks": [back(off_m=0.2)]}, [STOPPED], 0, "0.20 m off its trail"),
        ({}, [STOPPED, {"message": "zone failed", "level": "error"}], 0, "zone failed"),
        ({}, [STOPPED], 1, "exit code 1"),
        ({}, [], 0, "did not say that it stopped"),
    ],
)
def test_what_should_not_have_been_is_named(
    changes: dict[str, Any], log: list[dict[str, Any]], code: int, said: str | None
) -> None:
    faults = outcome(log, code, **changes).faults()
    if said is None:
        assert faults == []
    else:
        assert len(faults) == 1
        assert said in faults[0]


def test_bad_lines_may_break_while_main_lives_and_have_their_cars_back_as_well() -> None:
    found = outcome()
    found.bots["bad"] = 1
    found.swarms["bad"] = [result(cutsS=[50.0, KILLED_S], comebacks=[back(cut_s=50.0, back_s=50.4), back()])]
    assert found.faults() == []
    found.swarms["bad"][0]["comebacks"].pop()
    assert found.faults() == ["bad: 0 of 1 were given their cars back after main was killed"]


def test_a_run_in_which_main_was_not_killed_amid_a_race_shows_nothing() -> None:
    found = outcome()
    found.bots["last race"] = 1
    found.swarms["last race"] = [result()]
    assert found.faults() == []
    found.death = MainDeath(KILLED_S, LISTENING_S, (0, 2))
    assert found.faults() == ["main was killed before everybody raced"]
    found.death = None
    assert "main was not killed" in found.faults()
