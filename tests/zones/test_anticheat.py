"""Which samples move their player: the protocol's own rules, each alone and all together."""

from __future__ import annotations

import math
from math import nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ipc.control import Tick
from ipc.layout import SAMPLE
from shared.player_state import COLUMNS, PlayerState, fresh
from shared.thresholds import DEFAULT
from shared.vehicles import VEHICLES
from shared.world.static_world import StaticWorld
from zones.anticheat import Judge, Rules, old_sequence, stale_epochs
from zones.checks import beyond_world_m as beyond_m
from zones.sweep import Obstacles

SIZE_M = 1024.0
ROW = np.array([0], np.intp)
EMPTY = StaticWorld.empty(1024)
OFF = Rules(DEFAULT, "off", VEHICLES, Obstacles.of(EMPTY.solids), EMPTY.ground, 1024)


def beyond_world_m(samples: Any, size_m: float) -> NDArray[np.float64]:
    return beyond_m(samples["x"], samples["z"], size_m)


def judge(state: PlayerState, who: NDArray[np.intp], samples: Any, size_m: float) -> NDArray[np.bool_]:
    """The protocol's own rules: what holds with the anti-cheat off."""
    assert size_m == OFF.size_m
    count = len(state)
    tick = Tick(1, 1e6, 0, 0, [], [], [], [])
    seats = np.arange(count), np.ones(count, np.uint32), np.zeros(count, np.uint8)
    return Judge(OFF, tick, *seats, state).judge(who, samples).good


def player(epoch: int = 0, seq: int = -1) -> PlayerState:
    state = fresh(1)
    state.epoch[0], state.seq[0] = epoch, seq
    return state


def sample(epoch: int = 0, seq: int = 0, x: float = 1.0, z: float = 1.0) -> NDArray[np.void]:
    record = np.zeros(1, SAMPLE)
    record["epoch"], record["seq"], record["x"], record["z"], record["y"] = epoch, seq, x, z, nan
    return record


@pytest.mark.parametrize(("stamp", "epoch"), [(0, 0), (7, 7), (2**32 - 1, 2**32 - 1)])
def test_samples_of_the_present_epoch_are_not_stale(stamp: int, epoch: int) -> None:
    assert not stale_epochs(player(epoch), ROW, sample(stamp)).any()


@pytest.mark.parametrize(("stamp", "epoch"), [(6, 7), (8, 7), (0, 2**32 - 1), (2**32 - 1, 0)])
def test_epochs_are_compared_for_equality_only(stamp: int, epoch: int) -> None:
    assert stale_epochs(player(epoch), ROW, sample(stamp)).all()
    assert not judge(player(epoch), ROW, sample(stamp), SIZE_M).any()


@pytest.mark.parametrize(
    ("seq", "last", "old"),
    [
        (0, -1, False),
        (2**32 - 1, -1, False),
        (5, 4, False),
        (900, 4, False),
        (4, 4, True),
        (3, 4, True),
        (0, 2**32 - 1, True),
        (2**31, 2**31 - 1, False),
    ],
)
def test_a_sequence_number_must_exceed_the_last_accepted(seq: int, last: int, old: bool) -> None:
    assert old_sequence(player(seq=last), ROW, sample(seq=seq)).tolist() == [old]
    assert judge(player(seq=last), ROW, sample(seq=seq), SIZE_M).tolist() == [not old]


LAST_M = math.nextafter(SIZE_M, 0.0)


@pytest.mark.parametrize("inside", [0.0, 1e-300, 512.0, LAST_M])
def test_the_world_reaches_from_zero_to_just_below_its_size(inside: float) -> None:
    for x, z in ((inside, 5.0), (5.0, inside), (inside, inside)):
        assert beyond_world_m(sample(x=x, z=z), SIZE_M).tolist() == [0.0]
        assert judge(player(), ROW, sample(x=x, z=z), SIZE_M).all()


@pytest.mark.parametrize(("outside", "excess"), [(SIZE_M, SIZE_M - LAST_M), (-0.5, 0.5), (1034.0, 10.0), (-1e-9, 1e-9)])
def test_whoever_is_beyond_the_world_is_so_by_the_worse_axis(outside: float, excess: float) -> None:
    for x, z in ((outside, 5.0), (5.0, outside), (outside, outside)):
        assert beyond_world_m(sample(x=x, z=z), SIZE_M)[0] == pytest.approx(excess, abs=1e-10)
        assert beyond_world_m(sample(x=x, z=z), SIZE_M)[0] > 0.0
        assert not judge(player(), ROW, sample(x=x, z=z), SIZE_M).any()
    assert beyond_world_m(sample(x=-3.0, z=SIZE_M + 7.0), SIZE_M)[0] == pytest.approx(7.0, abs=1e-6)


@settings(max_examples=80, deadline=None)
@given(
    count=st.integers(1, 12),
    seed=st.integers(0, 2**31),
)
def test_judging_many_is_judging_each_by_a_plain_rule(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    state = fresh(count + 3)
    state.epoch[:] = rng.integers(0, 3, len(state))
    state.seq[:] = rng.integers(-1, 4, len(state))
    who = rng.permutation(len(state))[:count].astype(np.intp)
    samples = np.zeros(count, SAMPLE)
    samples["epoch"] = rng.integers(0, 3, count)
    samples["seq"] = rng.integers(0, 5, count)
    for axis in ("x", "z"):
        samples[axis] = rng.choice([-1.0, 0.0, 500.0, LAST_M, SIZE_M], count)
    before = {name: getattr(state, name).tobytes() for name, *_ in COLUMNS}
    good = judge(state, who, samples, SIZE_M)
    for place, row in enumerate(who.tolist()):
        plain = (
            samples["epoch"][place] == state.epoch[row]
            and int(samples["seq"][place]) > int(state.seq[row])
            and 0.0 <= samples["x"][place] < SIZE_M
            and 0.0 <= samples["z"][place] < SIZE_M
        )
        assert bool(good[place]) == bool(plain)
    assert {name: getattr(state, name).tobytes() for name, *_ in COLUMNS} == before, "judging only reads"


def test_nobody_is_judged() -> None:
    nobody = np.empty(0, np.intp)
    assert judge(fresh(0), nobody, np.zeros(0, SAMPLE), SIZE_M).tolist() == []
