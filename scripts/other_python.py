"""Another version of Python on this machine, with the same libraries: what must not depend on it is done there, too."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

OLDEST: Final = (3, 11)
NEWEST: Final = (3, 20)
"""Names up to this one are looked for."""
ROOT: Final = Path(__file__).resolve().parent.parent
TIMEOUT_S: Final = 300.0


class NoOtherPython(Exception):
    """There is none that can do it. The text says what was looked for, or what went wrong."""


def version_of(python: str) -> tuple[int, int] | None:
    """What an interpreter says that it is; None: it does not run, or is no CPython."""
    told = "import sys; print(*sys.version_info[:2]) if sys.implementation.name == 'cpython' else exit(1)"
    try:
        done = subprocess.run([python, "-c", told], capture_output=True, text=True, timeout=20.0, check=True)
        major, minor = done.stdout.split()
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return int(major), int(minor)


def others() -> list[str]:
    """Interpreters of other minor versions than this one, one of each, newest first.

    ``OTHER_PYTHON`` names one; else those on the PATH are taken, and those that pyenv has installed.
    """
    named = [os.environ["OTHER_PYTHON"]] if "OTHER_PYTHON" in os.environ else []
    on_path = [shutil.which(f"python3.{minor}") for minor in range(OLDEST[1], NEWEST[1] + 1)]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    installed = [str(path) for path in pyenv.glob("3.*/bin/python") if re.fullmatch(r"3\.\d+\.\d+", path.parts[-3])]
    found: dict[tuple[int, int], str] = {}
    for python in named or [*(each for each in on_path if each is not None), *sorted(installed)]:
        version = version_of(python)
        if version is not None and version >= OLDEST and version != sys.version_info[:2]:
            found.setdefault(version, python)
    return [found[version] for version in sorted(found, reverse=True)]


def equip(python: str, folder: Path, libraries: Sequence[str]) -> str:
    """Make a virtual environment of ``python`` in ``folder``, with this one's versions of ``libraries``.

    Returns its interpreter. Needs a package index. Raises NoOtherPython.
    """
    wanted = [f"{name}=={importlib.metadata.version(name)}" for name in libraries]
    own = str(folder / "bin" / "python")
    for command in (
        [python, "-m", "venv", str(folder)],
        [own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted],
    ):
        try:
            subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
        except subprocess.CalledProcessError as fault:
            raise NoOtherPython(f"{' '.join(command)}: {fault.stderr.strip()[-300:]}") from None
        except (OSError, subprocess.SubprocessError) as fault:
            raise NoOtherPython(f"{' '.join(command)}: {fault}") from None
    return own
