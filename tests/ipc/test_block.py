"""Shared-memory blocks: who may attach, what is refused and how, and what of a dead shard is removed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from ipc import block
from ipc.block import SHM_DIR, Block, BlockFault, attach, block_name, create, remove_stale
from ipc.layout import HEADER, LAYOUT_VERSION, MAGIC, Geometry, arena_dtype, table_dtype

pytestmark = pytest.mark.skipif(not SHM_DIR.is_dir(), reason="blocks are files only on Linux")

PREFIX = "shtst-"
"""As long as the real one. A shard that starts meanwhile, in another test, must not tidy up what these tests leave."""
GEOMETRY = Geometry(slots=3, zones=2)
TABLE = table_dtype(GEOMETRY)
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def own_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block, "PREFIX", PREFIX)


@pytest.fixture
def instance(own_prefix: None) -> Iterator[str]:
    """A name of a shard that nobody else has; whatever the test leaves of it is an error, and is removed."""
    name = uuid4().hex[:8]
    yield name
    left = files_of(name)
    for path in left:
        path.unlink()
    assert not left, f"left in {SHM_DIR}: {[path.name for path in left]}"


@pytest.fixture
def table(instance: str) -> Iterator[Block]:
    opened = create(instance, "table", TABLE, GEOMETRY)
    yield opened
    opened.close()


def files_of(instance: str) -> list[Path]:
    return sorted(SHM_DIR.glob(f"*{instance}*"))


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``code`` in a process that has nothing to do with this one."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


PREAMBLE = f"""
import os, sys
from multiprocessing import resource_tracker
from ipc import block
block.PREFIX = {PREFIX!r}
from ipc.layout import Geometry, table_dtype
geometry = Geometry(slots=3, zones=2)
dtype = table_dtype(geometry)
instance = sys.argv[1]
"""


# --- create and attach


def test_a_new_block_is_zero_behind_a_header_that_says_whose_it_is(instance: str, table: Block) -> None:
    header = table.record["header"].copy()
    assert header["magic"] == MAGIC
    assert header["layout"] == LAYOUT_VERSION
    assert header["owner_pid"] == os.getpid()
    assert header["instance"] == instance.encode()
    assert header["kind"] == b"table"
    assert (header["slots"], header["zones"], header["bytes"]) == (3, 2, TABLE.itemsize)
    path = SHM_DIR / table.name
    assert path.stat().st_size == TABLE.itemsize
    assert not any(path.read_bytes()[HEADER.itemsize :])


def test_its_memory_is_reserved_when_it_is_created(instance: str) -> None:
    dtype = np.dtype([("header", HEADER), ("body", "u1", (1 << 20,))])
    opened = create(instance, "big", dtype, GEOMETRY)
    try:
        stat = (SHM_DIR / opened.name).stat()
        assert stat.st_blocks * 512 >= dtype.itemsize
    finally:
        opened.close()


def test_what_one_writes_the_other_reads(instance: str, table: Block) -> None:
    other = attach(instance, "table", TABLE, GEOMETRY)
    try:
        table.record["pos"][1, 2] = (1.0, 2.0, 3.0)
        assert other.record["pos"][1, 2].tolist() == [1.0, 2.0, 3.0]
        other.record["front"][1] = 1
        assert table.record["front"][1] == 1
    finally:
        other.close()


def test_only_its_creator_removes_it_and_only_once(instance: str) -> None:
    table = create(instance, "table", TABLE, GEOMETRY)
    other = attach(instance, "table", TABLE, GEOMETRY)
    other.close()
    other.close()
    assert [path.name for path in files_of(instance)] == [table.name]
    table.close()
    assert files_of(instance) == []
    table.close()


def test_a_second_creator_is_refused_and_harms_nothing(instance: str, table: Block) -> None:
    table.record["front"][0] = 1
    with pytest.raises(BlockFault, match="table"):
        create(instance, "table", TABLE, GEOMETRY)
    assert (SHM_DIR / table.name).exists()
    assert table.record["front"][0] == 1


def test_names_are_short_enough_for_every_system() -> None:
    assert block_name("deadbeef", "cells-63") == f"{PREFIX}deadbeef-cells-63"
    with pytest.raises(AssertionError, match="longer than 30"):
        block_name("an-instance-name", "cells-63")


# --- refusals


def test_a_block_that_is_not_there_is_a_shard_that_does_not_run(instance: str) -> None:
    with pytest.raises(BlockFault, match=f"no block {PREFIX}{instance}-table.*not running"):
        attach(instance, "table", TABLE, GEOMETRY)


@pytest.mark.parametrize(
    ("field", "found", "expected"),
    [
        ("magic", 12345, MAGIC),
        ("layout", 999, LAYOUT_VERSION),
        ("slots", 4, 3),
        ("zones", 7, 2),
        ("bytes", 64, TABLE.itemsize),
        ("kind", b"input", b"table"),
        ("instance", b"someone", None),
    ],
)
def test_a_block_that_was_not_meant_is_refused_with_both_values(
    instance: str, table: Block, field: str, found: Any, expected: Any
) -> None:
    table.record["header"][field] = found
    expected = instance.encode() if expected is None else expected
    with pytest.raises(BlockFault) as refusal:
        attach(instance, "table", TABLE, GEOMETRY)
    assert str(refusal.value) == f"block {table.name}: {field} is {found!r}, this program expects {expected!r}"


@pytest.mark.parametrize("geometry", [Geometry(4, 2), Geometry(3, 1)], ids=str)
def test_a_shard_of_another_size_is_refused_with_both_sizes(instance: str, table: Block, geometry: Geometry) -> None:
    with pytest.raises(BlockFault) as refusal:
        attach(instance, "table", table_dtype(geometry), geometry)
    field = "slots" if geometry.slots != GEOMETRY.slots else "zones"
    ours, theirs = getattr(GEOMETRY, field), getattr(geometry, field)
    assert str(refusal.value) == f"block {table.name}: {field} is {ours}, this program expects {theirs}"


def test_a_block_of_another_kind_under_the_right_name_is_refused(instance: str, table: Block) -> None:
    with pytest.raises(BlockFault, match=f"bytes is {TABLE.itemsize}, this program expects"):
        attach(instance, "table", arena_dtype(GEOMETRY), GEOMETRY)


def test_a_refused_block_is_neither_kept_open_nor_deleted(instance: str, table: Block) -> None:
    table.record["header"]["layout"] = 999
    for _ in range(3):
        with pytest.raises(BlockFault):
            attach(instance, "table", TABLE, GEOMETRY)
    maps = Path("/proc/self/maps").read_text()
    assert maps.count(table.name) == 1, "only the creator's own mapping is left"
    assert (SHM_DIR / table.name).exists()


def test_a_block_too_short_for_a_header_is_refused(instance: str) -> None:
    stub = shared_memory.SharedMemory(block_name(instance, "table"), create=True, size=16)
    try:
        with pytest.raises(BlockFault, match="shorter than its header"):
            attach(instance, "table", TABLE, GEOMETRY)
    finally:
        stub.close()
        stub.unlink()


# --- no memory


def no_room(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_small_shm_is_refused_with_size_and_flags_and_leaves_nothing(
    instance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", no_room)
    with pytest.raises(BlockFault) as refusal:
        create(instance, "table", TABLE, Geometry(3, 2))
    text = str(refusal.value)
    assert text.startswith("shared memory: table needs 0.0 MiB, /dev/shm has ")
    for fix in ("--max-players", "--zones", "remount", "--shm-size"):
        assert fix in text
    assert files_of(instance) == []


def test_memory_that_cannot_even_be_named_is_refused_alike(instance: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_memory, "SharedMemory", no_room)
    with pytest.raises(BlockFault, match=r"table needs .* MiB"):
        create(instance, "table", TABLE, GEOMETRY)


def test_another_failure_is_told_as_it_is(instance: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "posix_fallocate", forbidden)
    with pytest.raises(BlockFault, match=r"could not be created.*Permission denied") as refusal:
        create(instance, "table", TABLE, GEOMETRY)
    assert "--max-players" not in str(refusal.value)
    assert files_of(instance) == []


# --- other processes


def test_an_observer_reads_and_its_exit_deletes_nothing(instance: str, table: Block) -> None:
    table.record["generation"][2] = 77
    code = PREAMBLE + (
        "opened = block.attach_as_observer(instance, 'table', dtype, geometry)\n"
        "print(int(opened.record['generation'][2]))\n"
        "if sys.argv[2] == 'tidy':\n"
        "    opened.close()\n"
    )
    for manner in ("tidy", "untidy"):
        watched = run_python(code, instance, manner)
        assert (watched.returncode, watched.stdout.strip(), watched.stderr) == (0, "77", "")
        assert (SHM_DIR / table.name).exists(), "the observer's exit deleted the block"
    assert table.record["generation"][2] == 77


LEAVE_BEHIND = PREAMBLE + (
    "opened = block.create(instance, 'table', dtype, geometry)\n"
    "resource_tracker.unregister('/' + opened.name, 'shared_memory')\n"
    "os._exit(9)\n"
)
STAY = PREAMBLE + (
    "opened = block.create(instance, 'table', dtype, geometry)\nprint('ready', flush=True)\nsys.stdin.read()\n"
    "opened.close()\n"
)


def test_what_a_dead_shard_left_is_removed(instance: str) -> None:
    assert run_python(LEAVE_BEHIND, instance).returncode == 9
    name = block_name(instance, "table")
    assert [path.name for path in files_of(instance)] == [name], "the dead shard left its block"
    assert name in remove_stale()
    assert files_of(instance) == []
    assert name not in remove_stale()


def test_blocks_of_living_shards_stay(instance: str, table: Block) -> None:
    other = uuid4().hex[:8]
    with subprocess.Popen(
        [sys.executable, "-c", STAY, other], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as shard:
        assert shard.stdin is not None
        assert shard.stdout is not None
        assert shard.stdout.readline() == "ready\n"
        removed = remove_stale()
        assert table.name not in removed
        assert block_name(other, "table") not in removed
        assert len(files_of(instance)) == len(files_of(other)) == 1
        shard.stdin.close()
        assert shard.wait(30) == 0
    assert files_of(other) == []


def test_a_pid_that_is_somebody_elses_by_now_is_no_owner(instance: str) -> None:
    """The kernel gives numbers of dead processes to new ones: the owner's start must agree as well."""
    assert run_python(LEAVE_BEHIND, instance).returncode == 9
    [path] = files_of(instance)
    header = np.fromfile(path, HEADER, 1)
    header["owner_pid"] = os.getpid()  # alive, but it started at another time than the block's owner
    header["owner_started"] -= 3600.0
    with path.open("r+b") as file:
        file.write(header.tobytes())
    assert path.name in remove_stale()


def test_files_that_are_not_ours_and_blocks_without_a_header_yet_stay(instance: str) -> None:
    foreign = [
        SHM_DIR / f"other-{instance}",
        SHM_DIR / f"{PREFIX}{instance}-short",
        SHM_DIR / f"{PREFIX}{instance}-new",
    ]
    try:
        assert run_python(LEAVE_BEHIND, instance).returncode == 9
        [left] = files_of(instance)
        foreign[0].write_bytes(left.read_bytes())  # a dead shard's block, but not under a shard's name
        foreign[1].write_bytes(b"shard")
        foreign[2].write_bytes(bytes(HEADER.itemsize))
        removed = remove_stale()
        assert left.name in removed
        assert all(path.exists() for path in foreign)
    finally:
        for path in foreign:
            path.unlink(missing_ok=True)
