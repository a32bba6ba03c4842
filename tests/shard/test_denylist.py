"""The ban list as operators treat it: edited, replaced, emptied, broken, deleted, while the shard runs."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shard.access import denylist
from shard.access.denylist import COMPLAINTS_MAX, DenyList, parse

ANN = "0f8fad5b-d9cb-469f-a165-70867728950e"
BOB = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
CID = "11111111-2222-4333-8444-555555555555"


class Watched:
    """A deny list, its file, and the seconds that pass."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "deny.txt"
        self.list = DenyList(self.path)
        self.now_s = 0.0

    def write(self, text: str) -> None:
        self.path.write_text(text)

    def look(self) -> set[str]:
        """The next second's look."""
        self.now_s += 1.0
        return set(self.list.poll(self.now_s))


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def messages(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


def test_comments_blanks_and_capitals(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    watched.write(f"# the list\n\n  {ANN}  # ramming\n{BOB.upper()}\n#{CID}\n\t\n")
    assert watched.look() == {ANN, BOB}
    assert ANN in watched.list
    assert BOB in watched.list
    assert CID not in watched.list
    assert len(watched.list) == 2
    assert messages(caplog, logging.WARNING) == []


def test_only_newly_denied_players_are_returned(watched: Watched) -> None:
    watched.write(ANN)
    assert watched.look() == {ANN}
    assert watched.look() == set()
    watched.write(f"{ANN}\n{BOB}\n")
    assert watched.look() == {BOB}
    watched.write(f"{BOB}\n")
    assert watched.look() == set()
    assert ANN not in watched.list, "pardoned"
    watched.write(f"{BOB}\n{ANN}\n")
    assert watched.look() == {ANN}


def test_it_looks_once_per_second(watched: Watched) -> None:
    watched.look()
    watched.write(ANN)
    assert watched.list.poll(watched.now_s + 0.99) == frozenset()
    assert watched.list.poll(watched.now_s + 1.0) == {ANN}


def test_no_file_is_an_empty_list_until_there_is_one(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        assert watched.look() == set()
    assert messages(caplog, logging.ERROR) == []
    watched.write(ANN)
    assert watched.look() == {ANN}
    watched.path.unlink()
    assert watched.look() == set()
    assert ANN not in watched.list
    watched.write(ANN)
    assert watched.look() == {ANN}


def test_without_a_path_nobody_is_denied() -> None:
    nothing = DenyList(None)
    assert nothing.poll(0.0) == frozenset()
    assert ANN not in nothing


@pytest.mark.parametrize("what", ["time", "size", "inode"])
def test_a_change_of_any_one_property_is_seen(watched: Watched, what: str) -> None:
    watched.write(f"{ANN}\n")
    os.utime(watched.path, ns=(10**18, 10**18))
    watched.look()
    text, time_ns = f"{BOB}\n", 10**18
    if what == "inode":
        other = watched.path.with_name("other")
        other.write_text(text)
        os.utime(other, ns=(time_ns, time_ns))
        os.replace(other, watched.path)
    else:
        watched.write(text if what == "time" else text + "\n")
        time_ns += 1 if what == "time" else 0
        os.utime(watched.path, ns=(time_ns, time_ns))
    assert watched.look() == {BOB}


def test_an_unchanged_file_is_not_read(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    watched.write(ANN)
    watched.look()

    def never(*_: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(denylist, "parse", never)
    monkeypatch.setattr(Path, "open", never)
    assert watched.look() == set()


def test_malformed_lines_are_logged_with_their_number_and_passed_over(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.write(f"{ANN}\nsomebody\n{BOB} {CID}\n{CID}x\n{CID}\n")
    assert watched.look() == {ANN, CID}
    lines = [vars(record)["line"] for record in caplog.records if record.levelno == logging.WARNING]
    assert lines == [2, 3, 4]
    watched.look()
    assert len(messages(caplog, logging.WARNING)) == 3, "once per change of the file"


def test_a_wrong_file_does_not_flood_the_log(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    watched.write("no player\n" * 5000 + ANN)
    assert watched.look() == {ANN}
    assert len(messages(caplog, logging.WARNING)) == COMPLAINTS_MAX + 1
    assert vars(caplog.records[-1])["lines"] == 5000 - COMPLAINTS_MAX


def test_windows_editors(watched: Watched) -> None:
    watched.path.write_bytes(b"\xef\xbb\xbf" + f"{ANN}\r\n{BOB}\r\n".encode())
    assert watched.look() == {ANN, BOB}


def test_bytes_that_are_no_text(watched: Watched) -> None:
    watched.path.write_bytes(b"\xff\xfe\x00\n" + ANN.encode())
    assert watched.look() == {ANN}


def test_what_cannot_be_read_leaves_the_list_as_it_was(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    watched.write(ANN)
    watched.look()
    watched.path.unlink()
    watched.path.mkdir()
    for _ in range(3):
        assert watched.look() == set()
    assert ANN in watched.list
    assert len(messages(caplog, logging.ERROR)) == 1, "said once"
    watched.path.rmdir()
    watched.write(BOB)
    assert watched.look() == {BOB}
    assert ANN not in watched.list


def test_a_huge_file_leaves_the_list_as_it_was(
    watched: Watched, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(denylist, "FILE_BYTES_MAX", 100)
    watched.write(ANN)
    watched.look()
    watched.write(f"{BOB}\n" * 10)
    for _ in range(3):
        assert watched.look() == set()
    assert ANN in watched.list
    assert len(messages(caplog, logging.ERROR)) == 1


@given(st.binary(max_size=300))
def test_whatever_the_file_holds(content: bytes) -> None:
    text = content.decode("utf-8-sig", errors="replace")
    assert parse(f"{ANN}\n{text}\n{BOB}", "a file") >= {ANN, BOB}
