"""The static world: what is refused, what its hash names, and where players appear."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.constants import CHUNK_M
from shared.world.world import PRESETS, WORLD_SIZE_MAX_M, World, WorldFault

HASH_OF_SEED_1 = "8bbfab267dece88e"
SPAWN_1_OF_SEED_1 = (686.9020215719938, 1948.441596403718, 0.4103414392480165)
SIZES_M = st.integers(1, WORLD_SIZE_MAX_M // CHUNK_M).map(lambda chunks: chunks * CHUNK_M)


@pytest.mark.parametrize(
    ("preset", "seed", "size_m", "says"),
    [
        ("atlantis", 1, 4096, ("world:", "'atlantis'", "use one of", "open")),
        ("open", -1, 4096, ("seed:", "0 to 4294967295", "-1")),
        ("open", 2**32, 4096, ("seed:", "0 to 4294967295", "4294967296")),
        ("open", 1, 0, ("world size:", "multiple of 64", "not 0")),
        ("open", 1, 100, ("world size:", "multiple of 64", "not 100")),
        ("open", 1, 65600, ("world size:", "64 to 65536", "not 65600")),
    ],
)
def test_a_world_that_cannot_exist_is_refused_by_field_and_fix(
    preset: str, seed: int, size_m: int, says: tuple[str, ...]
) -> None:
    with pytest.raises(WorldFault) as refusal:
        World(preset, seed, size_m)
    for part in says:
        assert part in str(refusal.value)


@pytest.mark.parametrize("size_m", [64, 65536])
@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_the_extremes_exist(seed: int, size_m: int) -> None:
    assert World("open", seed, size_m).size_m == size_m


def test_equal_worlds_have_equal_hashes_and_different_ones_do_not() -> None:
    worlds = [
        World(preset, seed, size_m) for preset in PRESETS for seed in (0, 1, 2**32 - 1) for size_m in (64, 128, 4096)
    ]
    assert len({world.hash for world in worlds}) == len(worlds)
    for world in worlds:
        assert World(world.preset, world.seed, world.size_m) == world
        assert World(world.preset, world.seed, world.size_m).hash == world.hash
        assert len(world.hash) == 16
        assert int(world.hash, 16) >= 0


def test_the_hash_and_the_spawns_of_a_seed_are_the_same_on_every_machine_and_for_good() -> None:
    """Clients keep chunks by this hash. A change of what the seed means must change the hash as well."""
    world = World("open", 1, 4096)
    assert world.hash == HASH_OF_SEED_1
    first = world.spawn(1)
    assert (first.x, first.z, first.yaw) == SPAWN_1_OF_SEED_1


def test_a_world_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        World("open", 1, 64).seed = 2  # type: ignore[misc]


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size_m=SIZES_M, number=st.integers(0, 2**40))
def test_everybody_appears_on_the_ground_inside_the_world_and_away_from_its_edge(
    seed: int, size_m: int, number: int
) -> None:
    pose = World("open", seed, size_m).spawn(number)
    margin_m = min(32.0, size_m / 8)
    assert margin_m <= pose.x <= size_m - margin_m
    assert margin_m <= pose.z <= size_m - margin_m
    assert pose.y == 0.0
    assert 0.0 <= pose.yaw < math.tau
    assert World("open", seed, size_m).spawn(number) == pose


def test_arrivals_are_scattered_over_the_whole_world() -> None:
    world = World("open", 7, 1024)
    poses = [world.spawn(number) for number in range(1, 1601)]
    per_field = [0] * 16
    for pose in poses:
        per_field[int(pose.x // 256) + 4 * int(pose.z // 256)] += 1
    assert min(per_field) > 50, "a sixteenth of the world is empty or nearly"
    assert max(per_field) < 150
    assert len({(pose.x, pose.z) for pose in poses}) == len(poses)
    assert len({round(pose.yaw, 1) for pose in poses}) > 50


def test_another_seed_scatters_otherwise() -> None:
    one, other = World("open", 1, 1024), World("open", 2, 1024)
    assert all(one.spawn(number) != other.spawn(number) for number in range(100))
