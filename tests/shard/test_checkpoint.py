"""Checkpoints as bytes: they come back as they were, and nothing else comes back at all."""

from __future__ import annotations

import contextlib
import hashlib
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc.layout import LAYOUT_VERSION
from shard.land.best_times import BestTime
from shard.state import checkpoint
from shard.state.checkpoint import AHEAD_MAX_MS, FORMAT_VERSION, Body, CheckpointFault, Snapshot, decode, encode, held
from shared.constants import FLAG_AWAY, FLAG_FROZEN, FLAG_GHOST, FLAG_RACING
from shared.player_state import COLUMNS, PlayerState

WORLD = "a" * 64
NOW_MS = 1.7e12


def rows(count: int, seed: int = 1) -> PlayerState:
    """Rows full of anything, NaN and infinities among it."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {}
    for name, dtype, shape, _ in COLUMNS:
        size = (count, *shape)
        raw = rng.bytes(np.dtype(dtype).itemsize * int(np.prod(size)))
        columns[name] = np.frombuffer(raw, np.dtype(dtype)).reshape(size).copy()
    state = PlayerState(**columns)
    state.pos[:1] = np.inf
    return state


def snapshot(players: int = 5, world: str = WORLD, now_ms: float = NOW_MS) -> Snapshot:
    """A shard with that many players."""
    return Snapshot(
        world=world,
        now_ms=now_ms,
        tick=1234,
        bodies=tuple(
            Body(f"player-{n}", f"Zoë {n}", "car", "harbour" if n else None, 7 * n, n) for n in range(players)
        ),
        rows=rows(players),
        sessions={f"player-{n}": f"{n:016x}" for n in range(players)},
        best={"loop": (BestTime("player-1", "Ann", "car", 61_000.25), BestTime("gone", "Bo", "truck", 62_000.0))},
        strikes={"cheat": (5.5, NOW_MS - 1000.0)},
    )


DATA = encode(snapshot())


def reason(data: bytes, world: str = WORLD, wall_ms: float = NOW_MS) -> str:
    """Why it is refused."""
    with pytest.raises(CheckpointFault) as refused:
        decode(data, world, wall_ms)
    return str(refused.value)


def signed(data: bytes) -> bytes:
    """The same with a digest that is right: what another release, not a bad disk, would have written."""
    return data[:24] + hashlib.sha256(data[:24] + data[56:]).digest() + data[56:]


@pytest.mark.parametrize("players", [0, 1, 300])
def test_what_comes_back_is_what_was_there(players: int) -> None:
    before = snapshot(players)
    after = decode(encode(before), WORLD, NOW_MS)
    assert (after.world, after.now_ms, after.tick) == (before.world, before.now_ms, before.tick)
    assert after.bodies == before.bodies
    assert (after.sessions, after.best, after.strikes) == (before.sessions, before.best, before.strikes)
    for name, dtype, shape, _ in COLUMNS:
        column = getattr(after.rows, name)
        assert column.dtype == np.dtype(dtype)
        assert column.shape == (players, *shape)
        assert column.tobytes() == getattr(before.rows, name).tobytes(), name


def test_equal_states_are_equal_bytes() -> None:
    assert encode(snapshot()) == DATA


def test_every_truncation_is_refused() -> None:
    data = encode(snapshot(40))
    cuts = [*range(0, len(data), 512), *range(64), len(data) - 1]
    assert len(cuts) > 80
    for cut in cuts:
        assert "torn" in reason(data[:cut])


def test_more_than_a_checkpoint_is_refused() -> None:
    assert "torn" in reason(DATA + b"\0")


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_no_damaged_byte_goes_unseen(at: int, flip: int) -> None:
    damaged = bytearray(DATA)
    damaged[at] ^= flip
    assert reason(bytes(damaged))


@given(st.binary(max_size=400))
def test_no_bytes_crash_it(data: bytes) -> None:
    for made in (data, DATA[:24] + data, signed(DATA[:16] + struct.pack("<Q", len(data)) + bytes(32) + data)):
        assert reason(made)


@given(st.integers(56, len(DATA) - 1), st.binary(min_size=1, max_size=8))
def test_a_body_with_a_right_digest_crashes_nothing(at: int, put: bytes) -> None:
    made = bytearray(DATA)
    made[at : at + len(put)] = put
    made = made[: len(DATA)]
    with contextlib.suppress(CheckpointFault):
        decode(signed(bytes(made)), WORLD, NOW_MS)


def test_other_versions_are_named() -> None:
    for at, ours, what in ((8, FORMAT_VERSION, "format"), (12, LAYOUT_VERSION, "layout")):
        for version, age in ((ours - 1, "older"), (ours + 1, "future")):
            data = bytearray(DATA)
            data[at : at + 4] = struct.pack("<I", version)
            said = reason(signed(bytes(data)))
            assert f"{age} {what} version {version}" in said
            assert str(ours) in said


def test_other_columns_under_the_same_version_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = [*checkpoint._SHAPES[:-1], ["kiosk_ms", "f4", []]]
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "_SHAPES", changed)
        data = encode(snapshot())
    assert "layout" in reason(data)


def test_another_world_is_refused() -> None:
    assert "foreign" in reason(DATA, world="b" * 64)


def test_a_checkpoint_of_tomorrow_is_refused_and_one_of_a_clock_stepped_back_is_not() -> None:
    assert "future" in reason(DATA, wall_ms=NOW_MS - AHEAD_MAX_MS - 1.0)
    assert decode(DATA, WORLD, NOW_MS - AHEAD_MAX_MS).now_ms == NOW_MS


def test_nobody_is_there_twice() -> None:
    twice = snapshot(2)
    for bodies in (
        (twice.bodies[0], Body("player-0", "x", "car", None, 9, 1)),
        (twice.bodies[0], Body("other", "x", "car", None, twice.bodies[0].slot, 1)),
    ):
        data = encode(Snapshot(WORLD, NOW_MS, 1, bodies, twice.rows))
        assert "twice" in reason(data)


def test_rows_and_players_must_be_as_many() -> None:
    few = snapshot(3)
    assert "contradictory" in reason(encode(Snapshot(WORLD, NOW_MS, 1, few.bodies, rows(2))))


def test_who_is_held_is_away_and_who_does_not_race_has_no_race() -> None:
    before, state = rows(3), rows(3)
    held(state, np.array([False, True, False]))
    assert (state.flags & (FLAG_AWAY | FLAG_GHOST) == FLAG_AWAY | FLAG_GHOST).all()
    assert not (state.flags[[0, 2]] & (FLAG_RACING | FLAG_FROZEN)).any()
    assert state.flags[1] == before.flags[1] | FLAG_AWAY | FLAG_GHOST
    assert state.race.tolist() == [-1, before.race[1], -1]
    assert state.lap.tolist() == [0, before.lap[1], 0]
    for name in ("pos", "vel", "epoch", "strikes", "budget_m", "kiosk_ms"):
        assert getattr(state, name).tobytes() == getattr(before, name).tobytes(), name
