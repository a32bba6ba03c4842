"""The throw-away secret: made once, whole, for its owner alone."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from shard.access import dev_secret
from shard.access.auth import SECRET_BYTES_MIN, KeyFault
from shard.access.dev_secret import read_or_create


def private_file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def test_the_first_call_makes_it_and_the_next_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    secret = read_or_create(path)
    assert len(secret.encode()) >= SECRET_BYTES_MIN
    assert read_or_create(path) == secret
    assert os.listdir(tmp_path) == ["secret"], "the temporary file is gone"


def test_each_file_has_its_own_secret(tmp_path: Path) -> None:
    assert read_or_create(tmp_path / "a") != read_or_create(tmp_path / "b")


def test_only_the_owner_may_read_it_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        read_or_create(tmp_path / "secret")
    finally:
        os.umask(before)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666, 0o644])
def test_a_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret"
    secret = read_or_create(path)
    path.chmod(mode)
    with pytest.raises(KeyFault, match=f"secret: mode {mode:04o} lets others read the secret; delete") as caught:
        read_or_create(path)
    assert secret not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "has 0 bytes"),
        (b"x" * 31, "has 31 bytes"),
        (b"\xff" * 40, "is not text"),
        (b"sb_secret_" + b"x" * 40, "is an API key"),
    ],
    ids=["empty", "short", "binary", "api key"],
)
def test_a_file_without_a_usable_secret_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = private_file(tmp_path / "secret", content)
    with pytest.raises(KeyFault, match=f"secret: {reason}.*delete the file"):
        read_or_create(path)
    assert path.read_bytes() == content, "never replaced"


def test_white_space_around_the_secret_does_not_count(tmp_path: Path) -> None:
    assert read_or_create(private_file(tmp_path / "secret", b" " + b"x" * 32 + b"\n")) == "x" * 32


def test_a_path_that_cannot_hold_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFault, match=r"missing/secret: No such file"):
        read_or_create(tmp_path / "missing" / "secret")
    with pytest.raises(KeyFault, match=r"Is a directory"):
        read_or_create(tmp_path)


def test_the_one_who_is_late_reads_the_secret_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between our look at the path and our creation, somebody else creates it."""
    path = tmp_path / "secret"
    create = dev_secret._create

    def late_create(target: Path) -> None:
        private_file(path, b"f" * 40)
        create(target)

    monkeypatch.setattr(dev_secret, "_create", late_create)
    assert read_or_create(path) == "f" * 40
    assert os.listdir(tmp_path) == ["secret"]


def test_many_at_once_agree(tmp_path: Path) -> None:
    together = threading.Barrier(8)
    found: list[str] = []

    def start() -> None:
        together.wait(timeout=10)
        found.append(read_or_create(tmp_path / "secret"))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert len(found) == 8
    assert len(set(found)) == 1
