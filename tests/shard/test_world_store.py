"""A built world is kept and found again; a file that cannot be used is built anew, a disk that refuses is no end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from shard.land import world_store
from shared.world.chunks import encode, make_chunks
from shared.world.land import Land
from shared.world.world_file import parse
from tests.fakes.small_world import SMALL


@pytest.fixture(scope="module")
def land() -> Land:
    return Land.of_file(parse(SMALL, "small.toml"))


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with every world that is really built."""
    counted: list[int] = []
    build = world_store._build

    def counting(land: Land) -> object:
        counted.append(1)
        return build(land)

    monkeypatch.setattr(world_store, "_build", counting)
    return counted


def test_the_second_start_reads_what_the_first_has_built(land: Land, builds: list[int], tmp_path: Path) -> None:
    cache = tmp_path / "new" / "folder"
    first = world_store.prepare(land, "cafe", cache)
    second = world_store.prepare(land, "cafe", cache)
    assert len(builds) == 1
    assert first.keys() == second.keys()
    for name in first:
        assert np.array_equal(first[name], second[name]), name
        assert first[name].dtype == second[name].dtype
    assert [path.name for path in cache.iterdir()] == [f"world-cafe-{world_store.FORMAT}.npz"], "nothing half-written"


def test_the_chunks_are_in_rows_from_the_north_west(land: Land) -> None:
    columns = world_store.prepare(land, "cafe", None)
    ends = columns["chunk_ends"]
    assert len(ends) == land.chunks**2
    index = 3 * land.chunks + 5
    (chunk,) = make_chunks(land, [(5, 3)])
    assert columns["chunk_bytes"][ends[index - 1] : ends[index]].tobytes() == encode(chunk.payload())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[: len(path.read_bytes()) // 2]),
        lambda path: path.write_bytes(path.read_bytes()[:5000] + b"\0" * 64 + path.read_bytes()[5064:]),
        lambda path: path.write_bytes(b"no zip at all"),
    ],
    ids=["empty", "torn", "flipped", "foreign"],
)
def test_a_spoiled_file_is_built_anew(
    spoil: Callable[[Path], object], land: Land, builds: list[int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world_store.prepare(land, "cafe", tmp_path)
    (path,) = tmp_path.iterdir()
    spoil(path)
    with caplog.at_level(logging.WARNING):
        world_store.prepare(land, "cafe", tmp_path)
    assert "built anew" in caplog.text
    world_store.prepare(land, "cafe", tmp_path)
    assert len(builds) == 2, "the good file has replaced the bad one"


def test_a_disk_that_refuses_costs_a_warning(land: Land, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    with caplog.at_level(logging.WARNING):
        assert "shape" in world_store.prepare(land, "cafe", blocked / "below")
    assert "not cached" in caplog.text
