"""Who stands near which kiosk, so that a kiosk's state reaches those near and nobody else.

Near is the 3 x 3 cells of 64 m around a player's home cell, which has hysteresis already: a wobble on a cell's edge
tells nobody anything. Homes are compared as a whole once per tick; only players whose home changed are looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.constants import CELL_M
from shared.world.land import Kiosk

_NOWHERE = -1


@dataclass(frozen=True, slots=True)
class Showing:
    """Whom to show a kiosk's state."""

    kiosk: int
    """Index into the kiosks."""
    slots: list[int]


class KioskViews:
    """What each watching player has in view. ``slots`` is their capacity."""

    def __init__(self, kiosks: Sequence[Kiosk], slots: int, cells_per_side: int) -> None:
        self._home = np.full(slots, _NOWHERE, np.int32)
        """(slots,) home cell for which a player was told the states; -1: none yet."""
        self._watching = np.zeros(slots, np.bool_)
        self._near: dict[int, tuple[int, ...]] = {}
        """Cell to the kiosks that are in view from it."""
        self._from: list[NDArray[np.int32]] = []
        """Per kiosk the cells from which it is in view."""
        for index, kiosk in enumerate(kiosks):
            cx, cz = int(kiosk.x // CELL_M), int(kiosk.z // CELL_M)
            cells = [
                z * cells_per_side + x
                for z in range(max(cz - 1, 0), min(cz + 2, cells_per_side))
                for x in range(max(cx - 1, 0), min(cx + 2, cells_per_side))
            ]
            self._from.append(np.array(cells, np.int32))
            for cell in cells:
                self._near[cell] = (*self._near.get(cell, ()), index)
        self.looked_at = 0
        """Players looked at one by one so far."""

    def watch(self, slot: int) -> None:
        """Somebody looks at the world from this slot's car, and knows nothing yet."""
        self._watching[slot] = True
        self._home[slot] = _NOWHERE

    def unwatch(self, slot: int) -> None:
        """Nobody does any more. Harmless when nobody did."""
        self._watching[slot] = False

    def update(self, homes: NDArray[np.int32], changed: Collection[int]) -> list[Showing]:
        """Take over this tick's ``homes`` (slots,), and say who is to be shown what, each player each kiosk once.

        ``changed`` are the kiosks whose state changed since the last call.
        """
        moved = self._watching & (homes != self._home)
        shown: dict[int, list[int]] = {}
        for kiosk in changed:
            stays = self._watching & ~moved & np.isin(homes, self._from[kiosk])
            shown[kiosk] = np.flatnonzero(stays).tolist()
        for slot in np.flatnonzero(moved).tolist():
            self.looked_at += 1
            known = self._near.get(int(self._home[slot]), ())
            for kiosk in self._near.get(int(homes[slot]), ()):
                if kiosk not in known or kiosk in changed:
                    shown.setdefault(kiosk, []).append(slot)
        self._home[moved] = homes[moved]
        return [Showing(kiosk, slots) for kiosk, slots in sorted(shown.items()) if slots]
