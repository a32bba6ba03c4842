"""From state to the integers that go over the wire: one row per player, as the contract's ``at`` rows have them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from shared.constants import FLAG_AIRBORNE, SEQ_MASK
from shared.player_state import F64, PlayerState

Rows = NDArray[np.int64]

SLOT, SEQ, X, Z, YAW, SPEED, FLAGS, Y = range(8)
"""Columns of a row: slot, seq modulo 65536, cm, cm, mrad 0..6283, cm/s along the heading, flag bits, cm."""

_MILLIRADIANS = 6284


def wire_rows(slots: NDArray[np.intp], state: PlayerState, shown_m: F64) -> Rows:
    """(N, 8) integers; ``shown_m`` is (N, 3) metres, where each player is shown at the tick's time."""
    rows = np.empty((len(slots), 8), np.int64)
    rows[:, SLOT] = slots
    rows[:, SEQ] = np.maximum(state.seq, 0) & SEQ_MASK
    rows[:, X] = np.rint(shown_m[:, 0] * 100.0)
    rows[:, Z] = np.rint(shown_m[:, 2] * 100.0)
    rows[:, Y] = np.rint(shown_m[:, 1] * 100.0)
    rows[:, YAW] = np.floor(np.mod(state.yaw, math.tau) * 1000.0).astype(np.int64) % _MILLIRADIANS
    along = state.vel[:, 0] * np.sin(state.yaw) + state.vel[:, 2] * np.cos(state.yaw)
    rows[:, SPEED] = np.rint(along * 100.0)
    rows[:, FLAGS] = state.flags
    return rows


def widths(rows: Rows) -> NDArray[np.int8]:
    """(N,) how many columns a row needs: 8 in the air, 7 with other flags, otherwise 6.

    Who does not fly stands on the ground, which clients know as well as we do.
    """
    flags = rows[:, FLAGS]
    return np.where(flags & FLAG_AIRBORNE, 8, np.where(flags != 0, 7, 6)).astype(np.int8)
