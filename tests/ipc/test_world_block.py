"""What main puts into the WorldBlock is what a worker reads, and no worker can write it."""

from __future__ import annotations

from uuid import uuid4

import numpy as np
import pytest

from ipc import world_block
from ipc.block import BlockFault
from ipc.layout import Geometry
from shared.world.land import Land
from shared.world.static_world import StaticWorld
from shared.world.world_file import parse
from tests.fakes.small_world import SMALL

GEOMETRY = Geometry(4, 1)


@pytest.fixture(scope="module")
def static() -> StaticWorld:
    return StaticWorld.of(Land.of_file(parse(SMALL, "small.toml")))


def test_a_worker_reads_the_same_world_and_the_same_chunks(static: StaticWorld) -> None:
    instance = uuid4().hex[:8]
    columns = world_block.columns_of(static, [b"north-west", b"", b"\xc3\xa4"])
    made = world_block.create(instance, columns, GEOMETRY)
    described = world_block.describe(columns)
    opened = world_block.attach(instance, described, GEOMETRY)
    reader = world_block.WorldReader(opened, described, static.size_m)
    for name, column in static.columns().items():
        assert np.array_equal(reader.static.columns()[name], column), name
    assert [reader.chunk(index) for index in range(reader.chunks)] == [b"north-west", b"", b"\xc3\xa4"]
    with pytest.raises(ValueError, match="read-only"):
        reader.static.solids.x[0] = 1.0
    reader.release()
    opened.close()
    made.close()


def test_a_block_of_another_world_is_refused(static: StaticWorld) -> None:
    instance = uuid4().hex[:8]
    made = world_block.create(instance, world_block.columns_of(static, []), GEOMETRY)
    other = world_block.describe(world_block.columns_of(StaticWorld.empty(512), []))
    with pytest.raises(BlockFault, match="bytes is"):
        world_block.attach(instance, other, GEOMETRY)
    made.close()


def test_a_world_without_encoded_chunks_says_so(static: StaticWorld) -> None:
    columns = world_block.columns_of(static, [])
    made = world_block.create(uuid4().hex[:8], columns, GEOMETRY)
    reader = world_block.WorldReader(made, world_block.describe(columns), static.size_m)
    assert reader.chunks == 0
    reader.release()
    made.close()
