"""Who may use a kiosk: every refusal with its number, and that a use is noted exactly when it is granted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipc.control import Command, KioskVerdict, Tick, UseKiosk
from shared.constants import FLAG_AIRBORNE, FLAG_AWAY, FLAG_GHOST, FLAG_RACING
from shared.player_state import PlayerState, fresh
from zones.kiosks import SPEED_MAX_MPS, verdicts

NOW_MS = 1_000_000.0
X, Z, RADIUS_M = 100.0, 200.0, 12.0


def players(count: int = 1) -> PlayerState:
    """Players who stand at the kiosk."""
    state = fresh(count)
    state.pos[:] = (X, 7.0, Z)
    return state


def use(slot: int = 3, generation: int = 1, request: int = 1, cooldown_ms: float = 5000.0) -> UseKiosk:
    return UseKiosk(slot, generation, request, X, Z, RADIUS_M, cooldown_ms)


def judge(state: PlayerState, *commands: Command, now_ms: float = NOW_MS) -> list[KioskVerdict]:
    """The verdicts on members whose slots are 3, 4, 5, ..., all of generation 1."""
    slots = np.arange(3, 3 + len(state), dtype=np.intp)
    tick = Tick(9, now_ms, 0, 8, [], [], [], list(commands))
    return verdicts(tick, slots, np.ones(len(state), np.uint32), state)


def reason(state: PlayerState, command: UseKiosk | None = None, now_ms: float = NOW_MS) -> str | None:
    [verdict] = judge(state, command or use(), now_ms=now_ms)
    return verdict.reason


def test_who_stands_there_may_and_its_cooldown_begins() -> None:
    state = players()
    assert judge(state, use(request=77)) == [KioskVerdict(3, 1, 77, None)]
    assert state.kiosk_ms.tolist() == [NOW_MS]


@pytest.mark.parametrize("height_m", [-50.0, 0.0, 300.0])
def test_the_circle_is_flat(height_m: float) -> None:
    state = players()
    state.pos[0] = (X, height_m, Z)
    assert reason(state) is None


def test_the_edge_of_the_circle_belongs_to_it() -> None:
    state = players()
    state.pos[0, 0] = X + RADIUS_M
    assert reason(state) is None
    state = players()
    state.pos[0, [0, 2]] = (X + 30.0, Z - 40.0)
    assert reason(state) == "too_far: 50.0 m away, come within 12 m"
    assert state.kiosk_ms.tolist() == [-np.inf]


def test_too_fast_says_the_limit_and_counts_every_direction() -> None:
    state = players()
    state.vel[0] = (0.0, 0.0, -SPEED_MAX_MPS)
    assert reason(state) is None
    for velocity in ((12.0, 0.0, 9.0), (0.0, -15.0, 0.0)):
        state = players()
        state.vel[0] = velocity
        assert reason(state) == "too_fast: 15.0 m/s, slow down to 3 m/s"


@pytest.mark.parametrize(("flag", "word"), [(FLAG_AWAY, "away"), (FLAG_RACING, "racing")])
def test_who_is_away_or_races_may_not(flag: int, word: str) -> None:
    state = players()
    state.flags[0] = flag | FLAG_GHOST
    assert str(reason(state)).startswith(f"{word}: ")
    state.flags[0] = FLAG_GHOST | FLAG_AIRBORNE
    assert reason(state) is None


def test_a_use_has_to_wait_for_the_one_before_wherever_that_was() -> None:
    state = players()
    state.kiosk_ms[0] = NOW_MS - 3800.0
    assert reason(state) == "cooldown: wait 1.2 s"
    assert state.kiosk_ms[0] == NOW_MS - 3800.0, "a refusal prolongs nothing"
    assert reason(state, use(cooldown_ms=3800.0)) is None


def test_to_look_neither_waits_nor_begins_a_wait() -> None:
    state = players()
    state.kiosk_ms[0] = NOW_MS - 1.0
    assert reason(state, use(cooldown_ms=0.0)) is None
    assert state.kiosk_ms[0] == NOW_MS - 1.0


def test_two_uses_in_one_tick_are_one_use() -> None:
    state = players()
    found = judge(state, use(request=1), use(request=2))
    assert [verdict.reason for verdict in found] == [None, "cooldown: wait 5.0 s"]


@pytest.mark.parametrize("command", [use(slot=9), use(slot=2), use(generation=2)])
def test_who_is_no_member_is_not_judged_here(command: UseKiosk) -> None:
    state = players(2)
    assert judge(state, command) == []
    assert (state.kiosk_ms == -np.inf).all()


@settings(max_examples=150, deadline=None)
@given(
    where=st.tuples(st.floats(-20, 20), st.floats(-20, 20)),
    speed=st.floats(0, 6),
    flags=st.integers(0, 31),
    last_ms=st.floats(0, 8000) | st.just(float("inf")),
    cooldown_ms=st.sampled_from([0.0, 2000.0, 5000.0]),
)
def test_a_use_is_granted_exactly_when_nothing_speaks_against_it(
    where: tuple[float, float], speed: float, flags: int, last_ms: float, cooldown_ms: float
) -> None:
    state = players(3)
    state.pos[1] = (X + where[0], 0.0, Z + where[1])
    state.vel[1, 0], state.flags[1], state.kiosk_ms[1] = speed, flags, NOW_MS - last_ms
    before = state.kiosk_ms.copy()
    granted = reason(state, use(slot=4, cooldown_ms=cooldown_ms)) is None
    near = (where[0] ** 2 + where[1] ** 2) ** 0.5 <= RADIUS_M
    rested = cooldown_ms == 0.0 or last_ms >= cooldown_ms
    assert granted == (near and speed <= SPEED_MAX_MPS and not flags & (FLAG_AWAY | FLAG_RACING) and rested)
    changed = (state.kiosk_ms != before).tolist()
    assert changed == [False, granted and cooldown_ms > 0.0 and before[1] != NOW_MS, False]
