"""Where players stand in the grid and towards the zone's border: home cells, listed cells, crossings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.constants import BORDER_BAND_M, CELL_M, HOME_BAND_M
from shared.player_state import F64, I32, PlayerState


def home_cells(pos: F64, home: I32, cells_per_side: int) -> I32:
    """(N,) index ``cz * cells_per_side + cx`` of each player's home cell; the old one within HOME_BAND_M of it.

    ``pos`` is (N, 3) metres, ``home`` the old index or -1.
    """
    x, z = pos[:, 0], pos[:, 2]
    last = cells_per_side - 1
    cx = np.clip(np.floor_divide(x, CELL_M), 0, last).astype(np.int32)
    cz = np.clip(np.floor_divide(z, CELL_M), 0, last).astype(np.int32)
    old_cz, old_cx = np.divmod(home, np.int32(cells_per_side))
    near_x = (x >= old_cx * CELL_M - HOME_BAND_M) & (x < (old_cx + 1) * CELL_M + HOME_BAND_M)
    near_z = (z >= old_cz * CELL_M - HOME_BAND_M) & (z < (old_cz + 1) * CELL_M + HOME_BAND_M)
    stays = (home >= 0) & near_x & near_z
    cells: I32 = np.where(stays, home, cz * np.int32(cells_per_side) + cx).astype(np.int32)
    return cells


def listed_cells(home: I32, rect_m: F64, cells_per_side: int) -> I32:
    """(N,) index of the cell that lists each player: its home cell, clamped to the cells of the zone's rectangle.

    So each cell has one writer, and a player within the bands of a border is listed in the cell nearest to it.
    """
    x0, z0, x1, z1 = (int(edge) // CELL_M for edge in rect_m)
    cz, cx = np.divmod(home, np.int32(cells_per_side))
    cells: I32 = (np.clip(cz, z0, z1 - 1) * np.int32(cells_per_side) + np.clip(cx, x0, x1 - 1)).astype(np.int32)
    return cells


def outside_m(pos: F64, rect_m: F64) -> F64:
    """(N,) how far each player is beyond the rectangle, along the worse axis; not positive: inside."""
    x, z = pos[:, 0], pos[:, 2]
    x0, z0, x1, z1 = rect_m
    beyond: F64 = np.maximum(np.maximum(x0 - x, x - x1), np.maximum(z0 - z, z - z1))
    return beyond


def note_leaving(state: PlayerState, rect_m: F64, now_ms: float) -> NDArray[np.bool_]:
    """Keep ``left_ms`` true and return (N,) who is due for a handoff: beyond the rectangle by more than the band.

    Mutates left_ms: when the line was crossed, taken back from the sample by its speed, by a second at most.
    """
    beyond_m = outside_m(state.pos, rect_m)
    leaving = (beyond_m > 0.0) & (state.left_ms == 0.0)
    speed_mps = np.sqrt(np.square(state.vel[:, 0]) + np.square(state.vel[:, 2]))
    since_ms = np.where(speed_mps > 1.0, 1000.0 * beyond_m / np.maximum(speed_mps, 1.0), 0.0)  # placed there: no time
    state.left_ms[leaving] = (np.minimum(state.sample_ms, now_ms) - np.minimum(since_ms, 1000.0))[leaving]
    state.left_ms[beyond_m <= 0.0] = 0.0
    due: NDArray[np.bool_] = beyond_m > BORDER_BAND_M
    return due
