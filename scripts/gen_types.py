"""Writes what follows from the message structs: ``messages.ts``, ``schema.json`` and the tables of ``PROTOCOL.md``.

``python -m scripts.gen_types`` writes them to ``shared/types``; ``--check`` only says which are stale, exit code 1.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from scripts.contract.model import read_contract
from scripts.contract.page import page
from scripts.contract.schema import schema
from scripts.contract.typescript import typescript

TYPES = Path(__file__).resolve().parent.parent / "shared" / "types"


def generated(folder: Path = TYPES) -> dict[str, str]:
    """The text that each generated file of ``folder`` should have, by file name."""
    contract = read_contract()
    return {
        "messages.ts": typescript(contract),
        "schema.json": schema(),
        "PROTOCOL.md": page(contract, (folder / "PROTOCOL.md").read_text(encoding="utf-8")),
    }


def stale(folder: Path = TYPES) -> list[str]:
    """Names of the files of ``folder`` that differ from what the structs say."""
    return [name for name, text in generated(folder).items() if _text(folder / name) != text]


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def main() -> int:
    """Write or check; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    if parser.parse_args().check:
        names = stale()
        for name in names:
            print(f"shared/types/{name} is stale: run `python -m scripts.gen_types`", file=sys.stderr)
        return 1 if names else 0
    for name, text in generated().items():
        (TYPES / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
