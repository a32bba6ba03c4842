"""Which samples are accepted. So far the protocol's own rules; movement checks take their place in ``judge``.

Every check returns an amount of excess per sample, zero for none; ``judge`` alone decides what an excess means.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.player_state import F64, PlayerState
from zones.movement import Index


def stale_epochs(state: PlayerState, who: Index, samples: Any) -> NDArray[np.bool_]:
    """(M,) samples stamped with another epoch than the player's: sent before the client learned of a server-made move.

    Equality only: an epoch is a name. Such samples are ignored without judgement, because the client could not know.
    """
    stale: NDArray[np.bool_] = samples["epoch"] != state.epoch[who]
    return stale


def old_sequence(state: PlayerState, who: Index, samples: Any) -> NDArray[np.bool_]:
    """(M,) samples whose ``seq`` does not exceed the last accepted one: repeats, which a resume can cause honestly."""
    old: NDArray[np.bool_] = samples["seq"].astype(np.int64) <= state.seq[who]
    return old


def beyond_world_m(samples: Any, size_m: float) -> F64:
    """(M,) metres by which a sample lies outside the world, which is ``0 <= x, z < size_m``."""
    last = np.nextafter(size_m, 0.0)
    x, z = samples["x"], samples["z"]
    excess: F64 = np.maximum(np.maximum(np.maximum(-x, x - last), np.maximum(-z, z - last)), 0.0)
    return excess


def judge(state: PlayerState, who: Index, samples: Any, size_m: float) -> NDArray[np.bool_]:
    """(M,) whether each sample moves its player. ``who`` are rows of ``state``, no row twice; reads only."""
    ignored = stale_epochs(state, who, samples) | old_sequence(state, who, samples)
    good: NDArray[np.bool_] = ~ignored & (beyond_world_m(samples, size_m) == 0.0)
    return good
