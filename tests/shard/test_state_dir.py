"""The directory of checkpoints: whole files or none, one shard at a time, and a bad disk costs no tick."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from shard.state import state_dir
from shard.state.checkpoint import encode
from shard.state.state_dir import NAME, StateDir, StateDirFault
from tests.shard.test_checkpoint import DATA, NOW_MS, WORLD, snapshot


def write(state: StateDir, *players: int) -> None:
    """Have snapshots written, one after the other."""
    for count in players:
        assert state.save(snapshot(count))
        while state.busy:
            threading.Event().wait(0.001)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateDir]:
    with closing(StateDir(tmp_path / "state")) as opened:
        yield opened


def said(caplog: pytest.LogCaptureFixture, message: str) -> list[Any]:
    """The log records that begin like this."""
    return [record for record in caplog.records if record.getMessage().startswith(message)]


def test_an_empty_directory_is_a_fresh_start(state: StateDir, caplog: pytest.LogCaptureFixture) -> None:
    assert state.load(WORLD, NOW_MS) is None
    assert not caplog.records


def test_the_last_snapshot_comes_back(state: StateDir) -> None:
    write(state, 3, 5)
    found = state.load(WORLD, NOW_MS)
    assert found is not None
    assert encode(found) == DATA
    assert [path.name for path in state.path.iterdir()] == [NAME]
    assert (state.written, state.failed) == (2, 0)


def test_closing_writes_the_last_word(tmp_path: Path) -> None:
    opened = StateDir(tmp_path)
    opened.close(snapshot())
    opened.close()
    assert (tmp_path / NAME).read_bytes() == DATA


def test_the_file_is_for_its_owner_only(state: StateDir) -> None:
    write(state, 1)
    assert (state.path / NAME).stat().st_mode & 0o077 == 0


def test_a_refused_file_is_kept_aside_and_the_reason_is_logged(
    state: StateDir, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 2):
        (state.path / NAME).write_bytes(DATA[:-7])
        assert state.load(WORLD, NOW_MS) is None
        record = said(caplog, "checkpoint refused")[-1]
        assert record.levelname == "ERROR"
        assert "torn" in record.reason
        assert record.kept_as == f"refused-{number}"
        assert (state.path / record.kept_as).read_bytes() == DATA[:-7]
    assert not (state.path / NAME).exists()
    write(state, 5)
    assert state.load(WORLD, NOW_MS) is not None


def test_a_checkpoint_that_cannot_be_read_is_a_fresh_start(state: StateDir, caplog: pytest.LogCaptureFixture) -> None:
    (state.path / NAME).mkdir()
    assert state.load(WORLD, NOW_MS) is None
    assert "cannot be read" in said(caplog, "checkpoint refused")[0].reason


def test_a_busy_disk_takes_no_snapshot_and_nobody_waits(state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    flush = os.fsync

    def slow(descriptor: int) -> None:
        go_on.wait(10.0)
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    assert state.save(snapshot(1))
    assert not state.save(snapshot(2))
    assert not state.save(snapshot(3))
    go_on.set()
    state.close()
    found = StateDir(state.path)
    with closing(found):
        restored = found.load(WORLD, NOW_MS)
    assert restored is not None
    assert len(restored.bodies) == 1


def _full(*_: Any) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _half(descriptor: int, data: memoryview) -> int:
    """Part of it still fits."""
    if len(data) < 600:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return _WRITE(descriptor, data[:500])


_WRITE = os.write


def _read_only(*_: Any, **__: Any) -> int:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


@pytest.mark.parametrize(
    ("call", "failing", "cause"),
    [
        ("write", _full, "No space left"),
        ("write", _half, "No space left"),
        ("fsync", _full, "No space left"),
        ("open", _read_only, "Read-only"),
        ("replace", _read_only, "Read-only"),
    ],
)
def test_a_bad_disk_is_said_once_and_the_last_checkpoint_stays(
    state: StateDir,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    call: str,
    failing: Callable[..., int],
    cause: str,
) -> None:
    caplog.set_level("WARNING")
    write(state, 5)
    with monkeypatch.context() as patched:
        patched.setattr(os, call, failing)
        write(state, 2, 2, 2)
    [record] = said(caplog, "checkpoint cannot be written")
    assert cause in record.cause
    assert record.dir == str(state.path)
    assert (state.path / NAME).read_bytes() == DATA
    assert state.failed == 3
    write(state, 1)
    assert said(caplog, "checkpoints are written again")[0].failed == 3
    found = state.load(WORLD, NOW_MS)
    assert found is not None
    assert len(found.bodies) == 1


def test_a_bug_in_the_making_costs_no_thread(
    state: StateDir, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: object) -> bytes:
        raise TypeError("a bug")

    with monkeypatch.context() as patched:
        patched.setattr(state_dir, "encode", broken)
        write(state, 1)
    assert said(caplog, "checkpoint cannot be made")
    write(state, 5)
    assert (state.path / NAME).read_bytes() == DATA


def test_a_directory_has_one_shard(state: StateDir) -> None:
    with pytest.raises(StateDirFault, match="another shard"):
        StateDir(state.path)
    state.close()
    StateDir(state.path).close()


def test_what_is_no_directory_is_a_clear_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StateDirFault, match="name a directory"):
            StateDir(path)
