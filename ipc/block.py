"""One named shared-memory block: create, attach, check, close, unlink; and the removal of what a dead shard left.

The creator owns the block and unlinks it; everybody else only closes. Memory is reserved at creation, so that a
``/dev/shm`` that is too small is an error at start and not a SIGBUS in a tick.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from multiprocessing import resource_tracker, shared_memory
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from ipc.layout import HEADER, LAYOUT_VERSION, MAGIC, Geometry

PREFIX = "shard-"
SHM_DIR = Path("/dev/shm")


class BlockFault(Exception):
    """A block cannot be created or must not be used; the text says why and what to change."""


class Block:
    """A block in this process. ``record`` is a zero-dimensional record array; its fields are views, not copies.

    Drop every view before ``close``: the memory cannot be unmapped under them.
    """

    def __init__(self, memory: shared_memory.SharedMemory, dtype: np.dtype[np.void], owned: bool) -> None:
        self._memory = memory
        self._owned = owned
        self.name = memory.name
        self.record: Any = np.ndarray((), dtype=dtype, buffer=memory.buf)

    def close(self) -> None:
        """Unmap the block; its creator also removes the name. Idempotent."""
        self.record = None
        with contextlib.suppress(BufferError):  # a view is still held: the process's end will unmap it
            self._memory.close()
        if self._owned:
            self._owned = False
            with contextlib.suppress(FileNotFoundError):
                self._memory.unlink()


class PrivateBlock(Block):
    """A zeroed block of this process alone, without a name or a header: to try things out."""

    def __init__(self, dtype: np.dtype[np.void]) -> None:
        self.name = ""
        self._owned = False
        self.record = np.zeros((), dtype)

    def close(self) -> None:
        self.record = None


def block_name(instance: str, kind: str) -> str:
    """Name of a block; at most 30 characters, which every POSIX system takes."""
    name = f"{PREFIX}{instance}-{kind}"
    assert len(name) <= 30, f"block name {name!r} is longer than 30 characters: shorten instance or kind"
    return name


def create(instance: str, kind: str, dtype: np.dtype[np.void], geometry: Geometry) -> Block:
    """Create and reserve one zeroed block. Raises BlockFault when the memory is not there."""
    size = dtype.itemsize
    try:
        memory = shared_memory.SharedMemory(block_name(instance, kind), create=True, size=size)
    except OSError as fault:
        raise _no_space(kind, size, fault) from fault
    try:
        _reserve(memory.name, size)
    except OSError as fault:
        memory.close()
        memory.unlink()
        raise _no_space(kind, size, fault) from fault
    block = Block(memory, dtype, owned=True)
    header = block.record["header"]
    header["layout"] = LAYOUT_VERSION
    header["owner_pid"] = os.getpid()
    header["owner_started"] = psutil.Process().create_time()
    header["instance"] = instance.encode()
    header["kind"] = kind.encode()
    header["slots"] = geometry.slots
    header["zones"] = geometry.zones
    header["bytes"] = size
    header["magic"] = MAGIC  # last: a block without it is unfinished
    return block


def attach(instance: str, kind: str, dtype: np.dtype[np.void], geometry: Geometry) -> Block:
    """Attach a block as a worker of the same shard. Raises BlockFault when it is not the block that was meant."""
    memory = _open(block_name(instance, kind))
    return _checked(memory, dtype, {"instance": instance, "kind": kind}, geometry)


def attach_as_observer(instance: str, kind: str, dtype: np.dtype[np.void], geometry: Geometry) -> Block:
    """Attach from outside the shard's process tree.

    Before CPython 3.13 an attached block is registered with the observer's own resource tracker, which deletes it when
    the observer exits; so the registration is taken back. (A worker must not do this: it shares its parent's tracker.)
    """
    name = block_name(instance, kind)
    memory = _open(name, track=False)
    return _checked(memory, dtype, {"instance": instance, "kind": kind}, geometry)


def remove_stale() -> list[str]:
    """Remove blocks whose shard is dead; returns their names. Blocks of living shards and of others stay."""
    removed = []
    for path in sorted(SHM_DIR.glob(f"{PREFIX}*")) if SHM_DIR.is_dir() else []:
        try:
            with path.open("rb") as file:
                header = np.frombuffer(file.read(HEADER.itemsize), HEADER, 1)[0]
        except (OSError, ValueError):
            continue
        if header["magic"] == MAGIC and not _alive(int(header["owner_pid"]), float(header["owner_started"])):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            removed.append(path.name)
    return removed


def _alive(pid: int, started: float) -> bool:
    try:
        return bool(abs(psutil.Process(pid).create_time() - started) < 1.0)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def _open(name: str, track: bool = True) -> shared_memory.SharedMemory:
    try:
        if sys.version_info >= (3, 13):
            return shared_memory.SharedMemory(name, track=track)
        memory = shared_memory.SharedMemory(name)
        if not track:
            resource_tracker.unregister(f"/{name}", "shared_memory")
        return memory
    except FileNotFoundError:
        raise BlockFault(f"no block {name}: the shard is not running, or runs as another instance") from None


def _checked(
    memory: shared_memory.SharedMemory, dtype: np.dtype[np.void], names: dict[str, str], geometry: Geometry
) -> Block:
    """The block, if its header says what we expect. Raises BlockFault with both values."""
    if memory.size < HEADER.itemsize:
        raise BlockFault(f"block {memory.name} is shorter than its header")
    header = np.ndarray((), HEADER, memory.buf)
    expected: dict[str, Any] = {
        "magic": MAGIC,
        "layout": LAYOUT_VERSION,
        "instance": names["instance"].encode(),
        "kind": names["kind"].encode(),
        "slots": geometry.slots,
        "zones": geometry.zones,
        "bytes": dtype.itemsize,
    }
    found = {key: header[key].item() for key in expected}
    del header
    for key, value in expected.items():
        if found[key] != value:
            name = memory.name
            memory.close()
            raise BlockFault(f"block {name}: {key} is {found[key]!r}, this program expects {value!r}")
    return Block(memory, dtype, owned=False)


def _reserve(name: str, size: int) -> None:
    """Make the kernel set the pages aside now. Raises OSError ENOSPC when it cannot."""
    path = SHM_DIR / name
    if not (hasattr(os, "posix_fallocate") and path.exists()):
        return  # not Linux: the platform has no such promise to give
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.posix_fallocate(descriptor, 0, size)
    finally:
        os.close(descriptor)


def _no_space(kind: str, size: int, fault: OSError) -> BlockFault:
    if fault.errno not in (errno.ENOSPC, errno.ENOMEM):
        return BlockFault(f"shared memory for {kind} ({size} bytes) could not be created: {fault}")
    stat = os.statvfs(SHM_DIR)
    free = stat.f_bavail * stat.f_frsize
    return BlockFault(
        f"shared memory: {kind} needs {size / 2**20:.1f} MiB, {SHM_DIR} has {free / 2**20:.1f} MiB left; "
        f"lower --max-players or --zones, or enlarge it (mount -o remount,size=256M {SHM_DIR}; "
        "in a container --shm-size 256m)"
    )
