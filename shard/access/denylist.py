"""The operators' ban list: a text file of players (``sub``), one per line, watched while the shard runs.

    0f8fad5b-d9cb-469f-a165-70867728950e   # ramming, 2026-11-22

Everything behind # is a comment. No file is an empty list, so it may be made later. The file is looked at once per
second and read when its time, size or inode has changed. A line that is no player is logged with its number and passed
over: a slip of the pen must neither let everybody in again nor stop the shard. A file that cannot be read leaves the
list as it was.
"""

from __future__ import annotations

import logging
import math
import os
import re
from pathlib import Path
from typing import Final

LOOK_EVERY_S: Final = 1.0

FILE_BYTES_MAX: Final = 4 * 1024 * 1024
"""A hundred thousand players. Reading that takes some 50 ms; anything larger is not a ban list."""

COMPLAINTS_MAX: Final = 10
"""Lines that are complained about one by one; a wrong file has thousands."""

_PLAYER: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_Signature = tuple[int, int, int]

log = logging.getLogger(__name__)


class DenyList:
    """Players who may not be here. ``path`` None: nobody is denied."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._players: frozenset[str] = frozenset()
        self._signature: _Signature | None = None
        """(mtime in ns, size, inode) of what was read last; None: there was no file."""
        self._looked_s = -math.inf
        self._fault: str | None = None
        """Why the file could not be read at the last look, logged once."""

    def __contains__(self, player: object) -> bool:
        return player in self._players

    def __len__(self) -> int:
        return len(self._players)

    def poll(self, now_s: float) -> frozenset[str]:
        """Look at the file, at most once per second; returns the players who are on the list since this call.

        Call it from the event loop at every tick: a look is one ``stat`` (some microseconds). ``now_s`` is any clock
        that never goes backwards.
        """
        if self._path is None or now_s - self._looked_s < LOOK_EVERY_S:
            return frozenset()
        self._looked_s = now_s
        try:
            fresh = self._read_if_changed(self._path)
        except OSError as fault:
            self._complain(fault.strerror or type(fault).__name__)
            return frozenset()
        self._fault = None
        if fresh is None:
            return frozenset()
        added, self._players = fresh - self._players, fresh
        log.info("deny list read", extra={"players": len(fresh), "added": len(added)})
        return added

    def _read_if_changed(self, path: Path) -> frozenset[str] | None:
        """What the file says, or None when it is the one that was read last. Raises OSError."""
        try:
            if _signature(os.stat(path)) == self._signature:
                return None
            with path.open("rb") as file:
                signature = _signature(os.fstat(file.fileno()))  # of what is read now; a later change differs
                content = file.read(FILE_BYTES_MAX + 1)
        except FileNotFoundError:
            gone, self._signature = self._signature is not None, None
            return frozenset() if gone else None
        self._signature = signature
        if len(content) > FILE_BYTES_MAX:
            self._complain(f"larger than {FILE_BYTES_MAX} bytes; list players only")
            return None
        return parse(content.decode("utf-8-sig", errors="replace"), str(path))

    def _complain(self, why: str) -> None:
        if why != self._fault:
            log.error("deny list cannot be read, the last one stays", extra={"path": str(self._path), "why": why})
            self._fault = why


def parse(text: str, origin: str) -> frozenset[str]:
    """The players in ``text``; other lines are logged with their number, ``origin`` names the file."""
    players = set()
    malformed = 0
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.partition("#")[0].strip().lower()
        if _PLAYER.fullmatch(entry):
            players.add(entry)
        elif entry:
            malformed += 1
            if malformed <= COMPLAINTS_MAX:
                log.warning("deny list: not a player's UUID", extra={"path": origin, "line": number})
    if malformed > COMPLAINTS_MAX:
        log.warning("deny list: more such lines", extra={"path": origin, "lines": malformed - COMPLAINTS_MAX})
    return frozenset(players)


def _signature(status: os.stat_result) -> _Signature:
    return status.st_mtime_ns, status.st_size, status.st_ino
