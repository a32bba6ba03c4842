"""The static world, built once before the first tick and kept on disk by the world's hash: a restart is quick."""

from __future__ import annotations

import logging
import os
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from ipc import world_block
from shard.land.chunk_stock import WHOLE_MAX, encoded
from shared.world.chunks import CHUNKS_AT_ONCE
from shared.world.land import Land
from shared.world.static_world import StaticWorld

FORMAT: Final = 2
"""Raised when the columns or the encoding of chunks change: older files are then not found."""

PROGRESS_S: Final = 1.0
"""Between two lines of the log about a world that takes long."""

log = logging.getLogger(__name__)


def prepare(land: Land, world_hash: str, cache: Path | None) -> dict[str, Any]:
    """The WorldBlock's columns: from ``cache``, a directory, or built anew and put there. None: nothing is kept."""
    path = None if cache is None else cache / f"world-{world_hash}-{FORMAT}.npz"
    if path is not None and (found := _read(path)) is not None:
        log.info("world read from the cache", extra={"file": str(path)})
        return found
    columns = _build(land)
    if path is not None:
        _write(path, columns)
    return columns


def _build(land: Land) -> dict[str, Any]:
    began_s = told_s = time.monotonic()
    static = StaticWorld.of(land)
    everywhere = [(cx, cz) for cz in range(land.chunks) for cx in range(land.chunks)]
    if len(everywhere) > WHOLE_MAX:
        everywhere = []  # a chunk is made when it is asked for
    chunks: list[bytes] = []
    for first in range(0, len(everywhere), CHUNKS_AT_ONCE):
        chunks += encoded(land, everywhere[first : first + CHUNKS_AT_ONCE])
        if time.monotonic() - told_s > PROGRESS_S:
            told_s = time.monotonic()
            log.info("building the world", extra={"chunks": len(chunks), "of": len(everywhere)})
    took_ms = (time.monotonic() - began_s) * 1000.0
    log.info("world built", extra={"obstacles": len(static.solids), "chunks": len(chunks), "took_ms": round(took_ms)})
    return world_block.columns_of(static, chunks)


def _read(path: Path) -> dict[str, Any] | None:
    """The columns in a file, or None when there is none that can be used."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return dict(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as fault:
        log.warning("the cached world cannot be used and is built anew", extra={"file": str(path), "why": str(fault)})
        return None


def _write(path: Path, columns: dict[str, Any]) -> None:
    """Put the columns there, whole or not at all. A disk that refuses costs the next start a second, nothing else."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            try:
                np.savez(file, allow_pickle=False, **columns)
                file.close()
                os.replace(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise
    except OSError as fault:
        log.warning("the world is not cached", extra={"file": str(path), "why": str(fault)})
