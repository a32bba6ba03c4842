"""Who may use a kiosk now: judged by the zone, because only it knows where the car is once this tick's samples count.

Judged is what the zone knows of one player: connected, not racing, near, slow, and not again at once. Whether the kiosk
exists, what may be done there, and what players share is main's affair (``shard/land/kiosks.py``).

Position and speed are those of the last accepted sample, after the samples of the tick: who has driven up and stopped
before it asked is judged where it stopped. Nothing is added for the way of the messages: within the limits a car moves
15 cm in a tick, and a kiosk's circle measures metres.
"""

from __future__ import annotations

from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ipc.control import KioskVerdict, Tick, UseKiosk
from shared.constants import FLAG_AWAY, FLAG_RACING
from shared.player_state import U32, PlayerState

SPEED_MAX_MPS: Final = 3.0
"""Walking pace: the car need not stand still to the millimetre, but nobody travels or changes cars in passing."""


def verdicts(tick: Tick, slots: NDArray[np.intp], generations: U32, state: PlayerState) -> list[KioskVerdict]:
    """Answer every UseKiosk of the tick whose player is a member; the others are main's to give up.

    ``slots`` (N,), ascending, ``generations`` (N,) and ``state`` (N,) are of all members. Mutates kiosk_ms of those
    who may.
    """
    found = []
    for command in tick.commands:
        if not isinstance(command, UseKiosk):
            continue
        index = int(np.searchsorted(slots, command.slot))
        if index == len(slots) or slots[index] != command.slot or generations[index] != command.generation:
            continue
        reason = refusal(command, index, state, tick.now_ms)
        if reason is None and command.cooldown_ms > 0.0:
            state.kiosk_ms[index] = tick.now_ms
        found.append(KioskVerdict(command.slot, command.generation, command.request, reason))
    return found


def refusal(command: UseKiosk, index: int, state: PlayerState, now_ms: float) -> str | None:
    """Why the member ``index`` may not, with the number that would have to change; None: it may."""
    flags = int(state.flags[index])
    if flags & FLAG_AWAY:
        return "away: come back first"
    if flags & FLAG_RACING:
        return "racing: finish or leave the race first"
    x, _, z = state.pos[index].tolist()
    away_m = sqrt((x - command.x) * (x - command.x) + (z - command.z) * (z - command.z))
    if not away_m <= command.radius_m:
        return f"too_far: {away_m:.1f} m away, come within {command.radius_m:g} m"
    vx, vy, vz = state.vel[index].tolist()
    speed_mps = sqrt(vx * vx + vy * vy + vz * vz)
    if not speed_mps <= SPEED_MAX_MPS:
        return f"too_fast: {speed_mps:.1f} m/s, slow down to {SPEED_MAX_MPS:g} m/s"
    wait_ms = float(state.kiosk_ms[index]) + command.cooldown_ms - now_ms
    if command.cooldown_ms > 0.0 and wait_ms > 0.0:
        return f"cooldown: wait {wait_ms / 1000.0:.1f} s"
    return None
