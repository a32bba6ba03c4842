"""The directory of ``--state-dir``: checkpoints are written here by a thread, and read once at start.

``checkpoint`` is always a whole file: a new one is written beside it, flushed to the disk, and renamed over it.
Whatever goes wrong with the disk is logged, and tried again a second later; nobody waits for it. A file that is refused
at start is renamed to ``refused-N``, for somebody to look at. One shard uses a directory at a time: it holds a lock on
it, which the kernel gives back however the process ends.
"""

from __future__ import annotations

import fcntl
import logging
import os
import queue
import threading
import time
from pathlib import Path
from typing import Final

from shard.state.checkpoint import BYTES_MAX, CheckpointFault, Snapshot, decode, encode

NAME: Final = "checkpoint"
DRAFT: Final = "checkpoint.new"
REFUSED_MAX: Final = 1000
REPEAT_EVERY: Final = 60
"""Of failures in a row the first is logged, then one of so many: a minute's."""

log = logging.getLogger(__name__)


class StateDirFault(Exception):
    """The directory cannot be used. The text names the cause and the fix."""


class StateDir:
    """One directory, locked. Raises StateDirFault."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written = 0
        self.late = 0
        """Snapshots that were due while the last one was still being written."""
        self.failed = 0
        self.longest_write_ms = 0.0
        self._failing = 0
        self._busy = False
        self._folder = _lock(path)
        self._jobs: queue.SimpleQueue[Snapshot | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_all, name="checkpoints", daemon=True)
        self._thread.start()

    def load(self, world: str, wall_ms: float) -> Snapshot | None:
        """The last checkpoint; None: there is none, or it was refused, and the shard starts fresh.

        ``world`` is the hash of the world served, ``wall_ms`` the host's clock in Unix milliseconds.
        """
        file = self.path / NAME
        try:
            with file.open("rb") as opened:
                data = opened.read(BYTES_MAX + 1)
            if len(data) > BYTES_MAX:
                raise CheckpointFault(f"no checkpoint: longer than {BYTES_MAX} bytes")
            return decode(data, world, wall_ms)
        except FileNotFoundError:
            return None
        except OSError as fault:
            reason = f"cannot be read: {fault.strerror}"
        except CheckpointFault as fault:
            reason = str(fault)
        extra = {"file": str(file), "reason": reason, "kept_as": self._set_aside(file)}
        log.error("checkpoint refused, the shard starts fresh", extra=extra)
        return None

    def save(self, snapshot: Snapshot) -> bool:
        """Have it written. Never waits: False, when the last one is still being written."""
        if self._busy:
            return False
        self._busy = True
        self._jobs.put(snapshot)
        return True

    @property
    def busy(self) -> bool:
        """Whether a write is going on."""
        return self._busy

    def close(self, last: Snapshot | None = None) -> None:
        """Wait for what is being written, write ``last``, and unlock. Idempotent."""
        if self._folder < 0:
            return
        if last is not None:
            self._jobs.put(last)
        self._jobs.put(None)
        self._thread.join()
        os.close(self._folder)
        self._folder = -1

    def _set_aside(self, file: Path) -> str:
        for number in range(1, REFUSED_MAX + 1):
            aside = self.path / f"refused-{number}"
            if not aside.exists():
                try:
                    file.rename(aside)
                except OSError as fault:
                    return f"nothing, it will be written over: {fault.strerror}"
                return aside.name
        return f"nothing, it will be written over: {REFUSED_MAX} refused files are there, remove some"

    def _write_all(self) -> None:
        while (snapshot := self._jobs.get()) is not None:
            began_s = time.monotonic()
            try:
                self._write(encode(snapshot))
            except OSError as fault:
                self._note_failure(fault.strerror or str(fault))
            except Exception:  # a bug of ours costs checkpoints, not the shard
                log.exception("checkpoint cannot be made")
                self.failed += 1
            else:
                self._note_success(began_s)
            self._busy = False

    def _write(self, data: bytes) -> None:
        draft = os.open(DRAFT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600, dir_fd=self._folder)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(draft, rest) :]
            os.fsync(draft)
        finally:
            os.close(draft)
        os.replace(DRAFT, NAME, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        os.fsync(self._folder)

    def _note_failure(self, cause: str) -> None:
        self.failed += 1
        if self._failing % REPEAT_EVERY == 0:
            text = "checkpoint cannot be written: after a crash players would get no cars, or those of the last one"
            log.error(text, extra={"dir": str(self.path), "cause": cause, "failed": self._failing + 1})
        self._failing += 1

    def _note_success(self, began_s: float) -> None:
        self.written += 1
        self.longest_write_ms = max(self.longest_write_ms, 1000.0 * (time.monotonic() - began_s))
        if self._failing:
            log.warning("checkpoints are written again", extra={"dir": str(self.path), "failed": self._failing})
        self._failing = 0


def _lock(path: Path) -> int:
    """Make the directory if need be and lock it; returns its descriptor. Raises StateDirFault."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as fault:
        raise StateDirFault(f"{path}: {fault.strerror}; name a directory that can be made or written") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(folder)
        raise StateDirFault(f"{path}: another shard uses it; give each its own") from None
    return folder
