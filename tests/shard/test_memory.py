"""All blocks of a shard: created together, removed together, and none left behind when one cannot be had."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ipc.block import SHM_DIR, BlockFault, block_name
from ipc.layout import Geometry
from shard.fleet.memory import Memory, kinds

pytestmark = pytest.mark.skipif(not SHM_DIR.is_dir(), reason="blocks are files only on Linux")

GEOMETRY = Geometry(slots=4, zones=3)


def files_of(instance: str) -> set[str]:
    return {path.name for path in SHM_DIR.glob(f"*{instance}*")}


def test_every_zone_has_an_arena_beside_the_table_and_the_ring() -> None:
    assert list(kinds(GEOMETRY)) == ["table", "input", "gateway", "cells-0", "cells-1", "cells-2"]


def test_blocks_live_as_long_as_the_memory() -> None:
    memory = Memory(GEOMETRY)
    names = {block_name(memory.instance, kind) for kind in (*kinds(GEOMETRY), "world")}
    assert files_of(memory.instance) == names
    assert memory.total_bytes == sum((SHM_DIR / name).stat().st_size for name in names)
    assert len(memory.arenas) == 3
    memory.close()
    assert files_of(memory.instance) == set()
    assert not any(name in Path("/proc/self/maps").read_text() for name in names)


def test_two_shards_share_nothing() -> None:
    one, other = Memory(GEOMETRY), Memory(GEOMETRY)
    try:
        assert one.instance != other.instance
        one.table.owner[0] = 2
        assert other.table.owner[0] == -1
    finally:
        one.close()
        other.close()


@pytest.mark.parametrize("fitting", range(6))
def test_a_shard_that_does_not_fit_leaves_nothing_behind(fitting: int, monkeypatch: pytest.MonkeyPatch) -> None:
    reserve = os.posix_fallocate
    instance = f"only{fitting}"
    left = fitting

    def small(descriptor: int, offset: int, size: int) -> None:
        nonlocal left
        if left == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        left -= 1
        reserve(descriptor, offset, size)

    monkeypatch.setattr(os, "posix_fallocate", small)
    monkeypatch.setattr("secrets.token_hex", lambda _: instance)
    with pytest.raises(BlockFault, match="--max-players"):
        Memory(GEOMETRY)
    assert files_of(instance) == set()
