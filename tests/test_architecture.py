"""The house as it is meant: who may import whom, and what pure modules stay away from."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("shared", "ipc", "zones", "shard", "scripts")

MAY_IMPORT = {
    "shared": {"numpy", "msgspec"},
    "ipc": {"shared", "numpy", "msgspec", "psutil"},
    "zones": {"ipc", "shared", "numpy", "orjson", "setproctitle"},
    "shard": {
        "zones",  # its entry point only, see below
        "ipc",
        "shared",
        "numpy",
        "msgspec",  # checkpoints
        "orjson",
        "psutil",
        "setproctitle",
        "websockets",
        "jwt",
        "cryptography",  # the types of PyJWT's keys
        "uvloop",
    },
}
"""Besides the standard library and itself. ``scripts`` may import everything; nothing may import ``scripts``."""

PURE = {
    "shared": {"*"},
    "ipc": {"layout", "control", "record"},
    "zones": {
        "anticheat",
        "border",
        "checks",
        "docket",
        "encode",
        "gates",
        "interest",
        "kiosks",
        "listing",
        "movement",
        "rows",
        "segments",
        "simulation",
        "sweep",
        "tracks",
        "verdicts",
    },
    "shard": {
        "admission",
        "arrivals",
        "auth",
        "best_times",
        "bucket",
        "budget",
        "checkpoint",
        "chunk_stock",
        "config",
        "director",
        "fanout",
        "handoff",
        "kiosk_views",
        "kiosks",
        "leniency",
        "line",
        "meters",
        "options",
        "presence",
        "race",
        "race_events",
        "race_mail",
        "race_memory",
        "race_record",
        "racers",
        "receipts",
        "records",
        "restart",
        "session",
        "shedding",
        "signals",
        "slots",
        "standings",
        "streaming",
        "watching",
        "wsframe",
    },
}
"""No I/O, no clock, no logging, no asyncio; of ours: ``shared``, the pure part of ``ipc``, each other."""

IMPURE_LIBRARY = {
    "asyncio",
    "logging",
    "multiprocessing",
    "os",
    "select",
    "signal",
    "socket",
    "subprocess",
    "time",
    "threading",
}
FILE_LINES_MAX = 500

MODULES = {
    package: {path.stem for path in (ROOT / package).rglob("*.py")} - {"__init__"}
    for package in ("ipc", "zones", "shard")
}
"""Names of all modules, in whatever room of their package; no two of a package are called the same."""


def _modules() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def _imports(path: Path) -> set[str]:
    """Full names of all modules that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


def _is_pure(package: str, path: Path) -> bool:
    return "*" in PURE.get(package, set()) or path.stem in PURE.get(package, set())


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_dependencies_point_one_way(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    roots = {name.partition(".")[0] for name in _imports(path)} - {package, "__future__"}
    if package == "scripts":
        assert "tests" not in roots
        return
    foreign = roots - sys.stdlib_module_names - MAY_IMPORT[package]
    assert not foreign, f"{package} must not import {sorted(foreign)}"


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_pure_modules_stay_pure(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    if not _is_pure(package, path):
        return
    imports = _imports(path)
    roots = {name.partition(".")[0] for name in imports}
    assert not roots & IMPURE_LIBRARY
    for name in imports:
        parts = name.split(".")
        module = next((part for part in parts[1:] if part in MODULES[parts[0]]), None) if parts[0] in MODULES else None
        assert module is None or module in PURE[parts[0]], f"a pure module imports {name}, which is a shell"


def test_main_knows_of_zones_their_entry_point_only() -> None:
    for path in sorted((ROOT / "shard").rglob("*.py")):
        for name in _imports(path):
            if name.startswith("zones"):
                assert name == "zones.worker" or name.startswith("zones.worker."), f"{path.name} imports {name}"


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_hold_one_noun(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= FILE_LINES_MAX, "look for the second noun"
    assert path.stem not in {"utils", "common", "manager", "helpers", "handler"}


def test_no_two_modules_of_a_package_are_called_the_same() -> None:
    for package, names in MODULES.items():
        paths = [path for path in (ROOT / package).rglob("*.py") if path.stem != "__init__"]
        assert len(paths) == len(names), package


def test_pure_lists_name_real_files() -> None:
    for package, names in PURE.items():
        for name in names - {"*"}:
            assert name in MODULES[package], f"{package}: {name}.py"
