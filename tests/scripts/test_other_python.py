"""Which other Pythons are found, and that one without a library that is there is a clear fault."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from scripts.other_python import NoOtherPython, equip, others, version_of


def fake(path: Path, told: str, code: int = 0) -> str:
    """A program that says it is a Python of some version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {told}\nexit {code}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One without any Python."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.delenv("OTHER_PYTHON", raising=False)
    return tmp_path


def test_this_one_is_what_it_is() -> None:
    assert version_of(sys.executable) == sys.version_info[:2]


def test_one_of_each_other_version_is_found_newest_first(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert others() == []
    monkeypatch.setenv("PATH", f"{machine / 'bin'}:/bin:/usr/bin")  # the fakes need their `sh`
    monkeypatch.setattr(shutil, "which", lambda name: str(machine / "bin" / name))
    same = ".".join(map(str, sys.version_info[:2]))
    fake(machine / "bin" / f"python{same}", same.replace(".", " "))
    fake(machine / "bin" / "python3.19", "3 19")
    fake(machine / "bin" / "python3.18", "3 18", code=1)
    fake(machine / "pyenv" / "versions" / "3.19.2" / "bin" / "python", "3 19")
    newer = fake(machine / "pyenv" / "versions" / "3.20.1" / "bin" / "python", "3 20")
    fake(machine / "pyenv" / "versions" / "3.10.9" / "bin" / "python", "3 10")
    fake(machine / "pyenv" / "versions" / "3.20-dev" / "bin" / "python", "4 0")
    assert others() == [newer, str(machine / "bin" / "python3.19")]


def test_one_that_is_named_is_the_only_one(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.defpath)
    fake(machine / "pyenv" / "versions" / "3.20.1" / "bin" / "python", "3 20")
    monkeypatch.setenv("OTHER_PYTHON", fake(machine / "mine", "3 17"))
    assert others() == [str(machine / "mine")]


def test_what_cannot_be_equipped_is_said(tmp_path: Path) -> None:
    with pytest.raises(NoOtherPython, match="-m venv"):
        equip(str(tmp_path / "nothing"), tmp_path / "venv", ["numpy"])
    with pytest.raises(NoOtherPython, match="it broke"):
        equip(fake(tmp_path / "broken", "it broke >&2", code=3), tmp_path / "venv", ["numpy"])
