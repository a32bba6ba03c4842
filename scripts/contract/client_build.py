"""Builds the TypeScript client the way a game team does, in a directory of its own: what tests and CI run against.

``python -m scripts.contract.client_build DIR`` leaves two folders there: ``client``, a copy of ``shared/types`` with
its ``dist``, and ``app``, an empty Node project that has installed it by path.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from scripts.gen_types import TYPES

INSTALL_TIMEOUT_S = 180.0
"""The compiler is about 30 MB; a slow mirror needs a while."""


class NodeMissing(Exception):
    """Node or npm is not installed, or the compiler could not be fetched; the text says which."""


class ClientBroken(Exception):
    """The client does not compile or install; the text is what the tools printed."""


def build_client(into: Path) -> Path:
    """Compile and install the client below ``into``; returns the folder of the Node project that has it.

    Raises NodeMissing where that cannot be tried, ClientBroken where it fails.
    """
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            raise NodeMissing(f"{tool} is not installed")
    client, app = into / "client", into / "app"
    shutil.copytree(TYPES, client, ignore=shutil.ignore_patterns("node_modules", "dist"))
    fetched = _npm(client, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    if fetched.returncode:
        raise NodeMissing(f"the TypeScript compiler could not be fetched: {_tail(fetched)}")
    app.mkdir()
    (app / "package.json").write_text(json.dumps({"name": "app", "private": True, "type": "module"}))
    installed = _npm(
        app, "install", "--no-audit", "--no-fund", str(client)
    )  # runs the client's `prepare`: the compiler
    if installed.returncode:
        raise ClientBroken(_tail(installed))
    return app


def compile_strictly(app: Path, source: Path) -> str:
    """What the compiler says about one more file beside the client's sources, with its options; empty when content."""
    client = app.parent / "client"
    shutil.copy(source, client / source.name)
    done = _run([str(client / "node_modules" / ".bin" / "tsc"), "-p", ".", "--noEmit"], client)
    (client / source.name).unlink()
    return _tail(done) if done.returncode else ""


def _npm(cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return _run(["npm", *words], cwd)


def _run(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)


def _tail(done: subprocess.CompletedProcess[str]) -> str:
    return f"{done.stdout}\n{done.stderr}".strip()[-4000:]


if __name__ == "__main__":
    print(build_client(Path(sys.argv[1])))
