"""From samples to motion: what an accepted sample does to its player, and where a player is shown between samples."""

from __future__ import annotations

from typing import Any

import numpy as np

from shared.constants import AIRBORNE_M, CARRY_FORWARD_MS, CLOCK_CREEP_MS_PER_S, FLAG_AIRBORNE, SAMPLE_AGE_MAX_MS
from shared.player_state import F64, PlayerState
from shared.world.ground_grid import GroundGrid

Index = np.ndarray[tuple[int], np.dtype[np.intp]]


def apply_samples(state: PlayerState, who: Index, samples: Any, ground: GroundGrid) -> None:
    """Move the players ``who`` (M,) to their accepted ``samples`` (M,) records of SAMPLE.

    Mutates pos, vel, yaw, seq, offset_ms, sample_ms, and the airborne flag: more than AIRBORNE_M above the ground.

    A client's clock is mapped to ours by the smallest recent difference between receiving and sampling, as in a
    minimum filter of round trips: queues and stalls only ever add to the difference. So that a drifting crystal does
    not leave us behind, the difference may creep up by CLOCK_CREEP_MS_PER_S. What the client can win by lying is
    bounded: a sample is never dated later than it was received, nor earlier than SAMPLE_AGE_MAX_MS before.
    """
    recv_ms, t_ms = samples["recv_ms"], samples["t_ms"]
    since_ms = np.maximum(t_ms + state.offset_ms[who] - state.sample_ms[who], 0.0)  # by the client's own clock
    crept = state.offset_ms[who] + since_ms * (CLOCK_CREEP_MS_PER_S / 1000.0)
    offset_ms = np.minimum(crept, recv_ms - t_ms)
    state.offset_ms[who] = offset_ms
    state.sample_ms[who] = np.clip(t_ms + offset_ms, recv_ms - SAMPLE_AGE_MAX_MS, recv_ms)
    state.seq[who] = samples["seq"]
    state.yaw[who] = samples["yaw"]
    ground_m = ground.height_m(samples["x"], samples["z"])
    height = np.where(np.isnan(samples["y"]), ground_m, samples["y"])
    state.pos[who] = np.column_stack((samples["x"], height, samples["z"]))
    airborne = np.where(height > ground_m + AIRBORNE_M, FLAG_AIRBORNE, 0)
    state.flags[who] = (state.flags[who] & (0xFF ^ FLAG_AIRBORNE)) | airborne
    state.vel[who] = np.column_stack((samples["vx"], samples["vy"], samples["vz"]))


def carried_forward(state: PlayerState, now_ms: float) -> F64:
    """Where every player is shown at ``now_ms``: (N, 3) metres, the last sample carried on by its velocity.

    Without this, remote cars stutter with the beat of the client's 20 Hz against ours. A tick's time lies on the
    schedule, so samples received while the tick was due can be younger than it: those are carried back a little.
    """
    age_s = np.clip(now_ms - state.sample_ms, -CARRY_FORWARD_MS, CARRY_FORWARD_MS) / 1000.0
    return state.pos + state.vel * age_s[:, None]
