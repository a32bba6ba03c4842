"""The record of verdicts: one JSON line each, with the samples around it and the obstacles near by.

The tick only copies samples and puts them into a bounded queue; a thread makes the line and writes it. When that does
not keep up, cases are dropped and counted, and the tick does not wait. A file that has grown to FILE_BYTES_MAX is
turned over to ``.1``, that to ``.2`` and so on; FILES_KEPT old ones remain. ``python -m scripts.evidence`` draws it.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from ipc.control import Verdict
from shared.thresholds import DEFAULT, Mode
from shared.world.solids import Solids

FILE_BYTES_MAX: Final = 16 * 1024 * 1024
"""Some 2,500 cases."""
FILES_KEPT: Final = 4
QUEUE_MAX: Final = 256
NEAR_M: Final = 40.0
"""Samples and obstacles further from the verdict than this explain nothing."""
OBSTACLES_MAX: Final = 64
COLUMNS: Final = ("recv_ms", "t_ms", "x", "y", "z", "yaw", "vx", "vy", "vz", "epoch", "seq")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Case:
    """One verdict and what the ring held of its player."""

    player: str
    zone: int
    tick: int
    late_ms: float
    """How late we were within the last second."""
    verdict: Verdict
    samples: Any
    """The last judged samples, 64 at most, oldest first; records of ``ipc.layout.SAMPLE``."""


class EvidenceLog:
    """Writes cases to ``path`` in a thread of its own. Raises OSError when the file cannot be opened."""

    def __init__(
        self, path: Path, mode: Mode, solids: Solids | None = None, file_bytes_max: int = FILE_BYTES_MAX
    ) -> None:
        """``solids`` are the obstacles of the world, if there are any."""
        self.solids = solids
        self.dropped = 0
        self.written = 0
        self._path = path
        self._mode = mode
        self._file_bytes_max = file_bytes_max
        self._file = path.open("ab")
        self._cases: queue.Queue[Case | None] = queue.Queue(QUEUE_MAX)
        self._thread = threading.Thread(target=self._write_all, name="evidence", daemon=True)
        self._thread.start()

    def add(self, case: Case) -> None:
        """Have one case recorded. Never waits."""
        try:
            self._cases.put_nowait(case)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Write what is queued, then end. Idempotent."""
        if self._thread.is_alive():
            self._cases.put(None)
            self._thread.join()
        self._file.close()
        if self.dropped:
            log.warning("evidence was dropped: too many cases at once", extra={"cases": self.dropped})

    def _write_all(self) -> None:
        while (case := self._cases.get()) is not None:
            try:
                self._write(case)
            except OSError as fault:
                self.dropped += 1
                log.error("evidence cannot be written", extra={"file": str(self._path), "fault": str(fault)})

    def _write(self, case: Case) -> None:
        self._file.write(line(case, self._mode, self.solids))
        self._file.flush()
        self.written += 1
        if self._file.tell() >= self._file_bytes_max:
            self._turn_over()

    def _turn_over(self) -> None:
        self._file.close()
        for age in range(FILES_KEPT, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{age}")
            newer = self._path if age == 1 else self._path.with_name(f"{self._path.name}.{age - 1}")
            if newer.exists():
                os.replace(newer, older)
        self._file = self._path.open("ab")


def line(case: Case, mode: Mode, solids: Solids | None) -> bytes:
    """One case as JSON, with its line end."""
    verdict = case.verdict
    samples = [[sample[name].item() for name in COLUMNS] for sample in case.samples]
    record = {
        "player": case.player,
        "check": verdict.check,
        "action": verdict.action,
        "mode": mode,
        "excess": verdict.excess,
        "allowed": verdict.allowed,
        "unit": verdict.unit,
        "strikes": verdict.strikes,
        "score": verdict.score,
        "thresholds": {name: getattr(DEFAULT, name) for name in ("log_at", "ghost_at", "remove_at")},
        "late_ms": case.late_ms,
        "zone": case.zone,
        "tick": case.tick,
        "slot": verdict.slot,
        "seq": verdict.seq,
        "from": [verdict.from_x, verdict.from_z],
        "to": [verdict.to_x, verdict.to_z],
        "columns": COLUMNS,
        "samples": samples,
        "obstacles": [] if solids is None else obstacles_near(solids, verdict),
    }
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


def obstacles_near(solids: Solids, verdict: Verdict) -> list[dict[str, Any]]:
    """The shapes around a verdict's step, nearest cells only: number, shape and pose of each."""
    ends = np.clip([[verdict.from_x], [verdict.from_z], [verdict.to_x], [verdict.to_z]], 0.0, 65536.0)
    _, near = solids.candidates(ends[0], ends[1], ends[2], ends[3], NEAR_M)
    return [
        {
            "id": number,
            "shape": ("none", "circle", "box", "wall")[int(solids.shape[number])],
            "x": float(solids.x[number]),
            "z": float(solids.z[number]),
            "ahead": [float(solids.ahead_x[number]), float(solids.ahead_z[number])],
            "half": [float(solids.half_w[number]), float(solids.half_d[number])],
        }
        for number in near[:OBSTACLES_MAX].tolist()
    ]
