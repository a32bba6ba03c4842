"""The books of one tick's judging: whom it places back, which strikes are due, and what is worth telling main.

Amounts of excess come in (``zones/checks.py``), the table of reactions says what they mean (``zones/verdicts.py``);
this file writes it down, in the players' rows and as events of the Done.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ipc.control import PlacedAt, Verdict
from shared.player_state import F64, U32, PlayerState
from shared.thresholds import Mode
from zones import verdicts
from zones.checks import Mask
from zones.movement import Index
from zones.verdicts import REACTIONS, Action, Check

CORRECTIONS_PER_TICK_MAX: Final = 128
"""Set-backs that a Done has room for beside answers and crossings; who comes after is held until the next tick."""
VERDICTS_PER_TICK_MAX: Final = 16


class Docket:
    """What one tick has found. Mutates ``due`` of the rows; with a set-back the epoch, ``placed_ms`` and spans."""

    def __init__(
        self, state: PlayerState, slots: NDArray[np.intp], generations: U32, now_ms: float, mode: Mode
    ) -> None:
        self._state = state
        self._slots, self._generations = slots, generations
        self._now_ms = now_ms
        self._enforce = mode == "enforce"
        self.corrections: list[PlacedAt] = []
        self.counts: Counter[str] = Counter()
        """Samples by the check that they failed, and ``clamped``."""
        self._found: list[tuple[bool, float, Verdict]] = []

    def verdicts(self) -> list[Verdict]:
        """What is worth telling, set-backs first, then what weighs most."""
        worst = sorted(self._found, key=lambda found: (not found[0], -found[1]))
        return [verdict for *_, verdict in worst[:VERDICTS_PER_TICK_MAX]]

    def set_back(self, check: Check, mask: Mask, who: Index, samples: Any, excess: F64, allowed: F64) -> None:
        """Put those with the ``mask`` (M,) back to their last accepted samples: another epoch, a PlacedAt for each."""
        at = np.flatnonzero(mask)
        if self._enforce:
            at = at[: CORRECTIONS_PER_TICK_MAX - len(self.corrections)]
        if not len(at):
            return
        who, samples, excess, allowed = who[at], samples[at], excess[at], allowed[at]
        if self._enforce:
            self._correct(check, who, samples)
        self._note(check, who, samples, excess, allowed, verdicts.strikes_for(check, excess, np.zeros(len(who))))

    def flag(
        self,
        check: Check,
        who: Index,
        samples: Any,
        excess: F64,
        allowed: F64,
        span_s: F64,
        at: Index | None = None,
    ) -> None:
        """Note those with an excess; ``at`` are their places in ``samples``, in order when None."""
        bad = np.flatnonzero(excess > 0.0)
        if len(bad):
            struck = verdicts.strikes_for(check, excess[bad], span_s[bad])
            chosen = samples[bad if at is None else at[bad]]
            self._note(check, who[bad], chosen, excess[bad], allowed[bad], struck)

    def _correct(self, check: Check, who: Index, samples: Any) -> None:
        state = self._state
        state.epoch[who] += np.uint32(1)
        state.sample_ms[who] = state.placed_ms[who] = self._now_ms
        state.span_ms[who] = np.inf
        for index, seq in zip(who.tolist(), samples["seq"].tolist(), strict=True):
            x, y, z = state.pos[index].tolist()
            vx, _, vz = state.vel[index].tolist()
            seat = int(self._slots[index]), int(self._generations[index])
            epoch, yaw = int(state.epoch[index]), float(state.yaw[index])
            self.corrections.append(PlacedAt(*seat, epoch, x, y, z, yaw, "correction", vx, vz, seq, check))

    def _note(self, check: Check, who: Index, samples: Any, excess: F64, allowed: F64, struck: F64) -> None:
        """Put strikes on the account of the tick, and remember what is worth telling.

        A set-back is told; other checks are told when they bring the score past a whole number, not at every sample.
        """
        state, action = self._state, REACTIONS[check].action
        self.counts[check] += len(who)
        before = state.strikes[who] + state.due[who]
        state.due[who] += struck
        told = np.flatnonzero((action == "set_back") | (np.floor(before + struck) > np.floor(before)))
        for place in told[:VERDICTS_PER_TICK_MAX].tolist():
            verdict = self._verdict(
                check, action, int(who[place]), samples[place], excess[place], allowed[place], struck[place]
            )
            self._found.append((action == "set_back", float(struck[place]), verdict))

    def _verdict(
        self, check: Check, action: Action, index: int, sample: Any, excess: F64, allowed: F64, struck: F64
    ) -> Verdict:
        state = self._state
        return Verdict(
            slot=int(self._slots[index]),
            generation=int(self._generations[index]),
            check=check,
            action=action,
            excess=float(excess),
            allowed=float(allowed),
            unit=REACTIONS[check].unit,
            strikes=float(struck),
            score=float(state.strikes[index] + state.due[index]),
            seq=int(sample["seq"]),
            from_x=float(state.pos[index, 0]),
            from_z=float(state.pos[index, 2]),
            to_x=float(sample["x"]),
            to_z=float(sample["z"]),
        )
