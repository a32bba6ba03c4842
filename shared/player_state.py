"""The simulated state of players, as columns: what a zone reads at the start of a tick and writes at its end.

Each field is one column over the N members of a zone; the WorldTable holds the same columns over all slots, twice
(see ``ipc/layout.py``, which derives its dtype from these fields: this file is the one truth about them). Every column
here is written by the zone that owns the row, valid from that zone's Done; times are server time in Unix milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
I32 = NDArray[np.int32]
U32 = NDArray[np.uint32]
I16 = NDArray[np.int16]
U8 = NDArray[np.uint8]


def _column(dtype: str, shape: tuple[int, ...] = (), fresh: float = 0, border: bool = False) -> Any:
    """A column of ``dtype`` with a row shape; ``fresh`` is its value for a new player.

    ``border`` marks what depends on where zones are cut, and is left out when runs with different N are compared.
    """
    return field(metadata={"dtype": dtype, "shape": shape, "fresh": fresh, "border": border})


@dataclass(slots=True)
class PlayerState:
    """Columns over N players."""

    # --- motion: the last accepted sample or placement
    pos: F64 = _column("f8", (3,))
    """(N, 3) metres: x east, y up, z south."""
    vel: F64 = _column("f8", (3,))
    """(N, 3) metres per second, as the client claims it."""
    yaw: F64 = _column("f8")
    """(N,) radians, any turn; the heading is (sin yaw, 0, cos yaw)."""
    sample_ms: F64 = _column("f8")
    """(N,) server time of the sample: the client's clock mapped by ``offset_ms``."""
    offset_ms: F64 = _column("f8", fresh=np.inf)
    """(N,) smallest recent (receive time - client clock); inf before the first sample of a connection."""
    flags: U8 = _column("u1")
    """(N,) FLAG_* bits of ``shared/constants.py``."""

    # --- protocol
    epoch: U32 = _column("u4")
    """(N,) of the last server-made move; only the owning zone increments it."""
    seq: I64 = _column("i8", fresh=-1)
    """(N,) of the last accepted sample; -1 before the first of a connection."""
    tail: U32 = _column("u4")
    """(N,) samples judged since the slot's first player; wraps; ``head - tail`` are pending."""
    tick: U32 = _column("u4")
    """(N,) the tick that wrote the row."""

    # --- interest and borders
    home: I32 = _column("i4", fresh=-1)
    """(N,) index of the square of CELL_M in which the player stands, with hysteresis; -1 before the first tick. Main
    narrows it down to the part around which the player watches: only main knows how other zones' cells are split."""
    cell: I32 = _column("i4", fresh=-1, border=True)
    """(N,) id of the cell that lists the player: the home cell clamped to the owner's rectangle, or a part of it."""
    left_ms: F64 = _column("f8", border=True)
    """(N,) server time at which the player left the owner's rectangle; 0 while inside."""

    # --- anti-cheat: travels with the player, so that a border or a crash is no reset
    budget_m: F64 = _column("f8", fresh=np.inf)
    """(N,) metres that the player may still travel; inf: as much as the bank holds. More than that after a silence."""
    clock_ms: F64 = _column("f8")
    """(N,) milliseconds by which the client's clock may still advance."""
    heard_ms: F64 = _column("f8")
    """(N,) server time up to which the two budgets are filled: the last judged sample, or the last server-made move."""
    t_ms: F64 = _column("f8", fresh=np.inf)
    """(N,) client clock at the last judged sample; inf: not known on this connection."""
    own_m: F64 = _column("f8", fresh=np.inf)
    """(N,) metres that the player may still travel by its own clock; inf: as much as that bank holds."""
    span_ms: F64 = _column("f8", fresh=np.inf)
    """(N,) real time since speeds were measured last; inf: they are measured anew from the next sample on."""
    span_client_ms: F64 = _column("f8")
    """(N,) the same by the client's clock, held to its budget."""
    span_m: F64 = _column("f8")
    """(N,) metres driven meanwhile."""
    span_mps: F64 = _column("f8")
    """(N,) speed that the client claimed then."""
    air_ms: F64 = _column("f8")
    """(N,) how long the car has been in the air."""
    placed_ms: F64 = _column("f8")
    """(N,) server time at which the player was last told of another epoch."""
    due: F64 = _column("f8")
    """(N,) strikes of the last tick, counted in the next one unless main says that it was our fault."""
    strikes: F64 = _column("f8")
    """(N,) decayed score of violations as of ``strikes_ms``."""
    strikes_ms: F64 = _column("f8")
    """(N,) server time at which ``strikes`` was last brought up to date."""

    # --- race progress: travels with the player as well, so that neither a border nor a crash costs anyone a lap
    race: I32 = _column("i4", fresh=-1)
    """(N,) number of the race; -1 outside races. The columns below mean something only inside one."""
    route: I16 = _column("i2")
    """(N,) index into the world's routes."""
    gate: I16 = _column("i2")
    """(N,) next gate of the lap; on a circuit the number of gates stands for gate 0 as the end of the lap; -1: none."""
    lap: I16 = _column("i2")
    """(N,) laps completed."""
    told: U8 = _column("u1")
    """(N,) TOLD_* bits of ``zones/gates.py``: what is told once."""
    start_ms: F64 = _column("f8")
    """(N,) server time of the start."""
    grid: F64 = _column("f8", (2,))
    """(N, 2) metres: x and z where the racer waits for the start."""
    gate_ms: F64 = _column("f8")
    """(N,) server time of the last gate; of the start before the first."""
    gate_err_ms: F64 = _column("f8")
    """(N,) how far ``gate_ms`` may be off."""
    lap_ms: F64 = _column("f8")
    """(N,) ``gate_ms`` of gate 0, when the lap began."""
    lap_err_ms: F64 = _column("f8")
    """(N,) how far ``lap_ms`` may be off."""
    wrong_ms: F64 = _column("f8")
    """(N,) sample time at which wrong way was told last; -inf: not yet."""
    client_ms: F64 = _column("f8")
    """(N,) client's clock at ``pos``, of racers only; inf after a server-made move."""
    lateness_ms: F64 = _column("f8")
    """(N,) smoothed lateness of a racer's samples against the fastest recent ones: how sure ``offset_ms`` is."""

    # --- kiosks: travels with the player as well
    kiosk_ms: F64 = _column("f8", fresh=-np.inf)
    """(N,) server time of the last accepted use of a kiosk; -inf before the first."""

    def __len__(self) -> int:
        return len(self.tick)


COLUMNS: tuple[tuple[str, str, tuple[int, ...], float], ...] = tuple(
    (column.name, column.metadata["dtype"], column.metadata["shape"], column.metadata["fresh"])
    for column in fields(PlayerState)
)
"""(name, numpy dtype, shape of one row, value for a new player) of every column, in the order of the class."""

BORDER_COLUMNS: frozenset[str] = frozenset(column.name for column in fields(PlayerState) if column.metadata["border"])
"""Columns that differ between runs with different zone maps."""


def fresh(count: int) -> PlayerState:
    """The state of ``count`` players who have just been given their slots."""
    return PlayerState(
        **{name: np.full((count, *shape), value, np.dtype(dtype)) for name, dtype, shape, value in COLUMNS}
    )
