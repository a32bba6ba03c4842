"""What the chaos run judges by: the plan of harms, and which violations a freeze explains."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

from scripts.chaos import Freeze, Outcome, disturbances, freezes, outside

LOST = {"message": "zone lost", "level": "warning", "zone": 2, "restart": 1, "tick": 100, "cause": "killed"}
BACK = {"message": "zone is back", "level": "info", "zone": 2, "restart": 1, "frozen_ms": 200.0}
STOPPED = {"message": "stopped", "level": "info"}


def seen(kind: str, tick: int) -> dict[str, Any]:
    return {"kind": kind, "tick": tick}


def result(**changes: Any) -> dict[str, Any]:
    return {"disconnects": {}, "violations": 0, "violationsKept": [], "violationsByKind": {}, **changes}


def test_the_same_seed_gives_the_same_harms_and_the_first_is_a_kill() -> None:
    plan = list(islice(disturbances(3, 2.0), 200))
    assert plan == list(islice(disturbances(3, 2.0), 200))
    assert plan != list(islice(disturbances(4, 2.0), 200))
    assert plan[0].harm == "kill"
    assert {each.harm for each in plan} == {"kill", "hang", "stop", "slow"}
    assert 360.0 < plan[-1].at_s < 440.0


def test_a_freeze_lasts_from_the_last_commit_until_what_waited_is_judged() -> None:
    assert freezes([LOST, BACK]) == [Freeze(2, "killed", 100, 200.0)]
    assert freezes([LOST]) == []
    explained = [seen("misplaced", 100), seen("jump", 111)]
    rest = [seen("misplaced", 99), seen("misplaced", 112), seen("unacknowledged", 105), seen("player_twice", 105)]
    assert outside(explained + rest, freezes([LOST, BACK])) == rest


def test_only_a_long_freeze_explains_what_was_not_acknowledged() -> None:
    late = seen("unacknowledged", 120)
    assert outside([late], [Freeze(0, "hang", 100, 900.0)]) == [late]
    assert outside([late], [Freeze(0, "hang", 100, 2000.0)]) == []


@pytest.mark.parametrize(
    ("swarm", "log", "code", "said"),
    [
        (result(), [STOPPED], 0, None),
        (result(disconnects={"1006": 2}), [STOPPED], 0, "2 sockets: 1006"),
        (result(violations=1, violationsKept=[seen("lost", 5)]), [STOPPED], 0, "outside of any freeze"),
        (result(violations=201), [STOPPED], 0, "more than are kept"),
        (result(), [STOPPED, {"message": "zone failed", "level": "error"}], 0, "zone failed"),
        (result(), [STOPPED], 1, "exit code 1"),
        (result(), [], 0, "did not say that it stopped"),
    ],
)
def test_what_should_not_have_been_is_named(
    swarm: dict[str, Any], log: list[dict[str, Any]], code: int, said: str | None
) -> None:
    faults = Outcome(swarms={"good": [swarm]}, log=log, exit_code=code).faults()
    if said is None:
        assert faults == []
    else:
        assert len(faults) == 1
        assert said in faults[0]
