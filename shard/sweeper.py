"""When main collects garbage: in the gap after a tick's frames, never by itself.

A collection looks at everything that is alive and not frozen. Two thousand connections are a million objects: left to
itself the interpreter once stood still for a second over them. So automatic collection is off; when enough objects have
gathered, the few new ones are looked at and frozen with the rest. What is frozen is still freed when nobody refers to
it, as closed connections are; only a cycle among frozen objects stays until the shard is empty.
"""

from __future__ import annotations

import gc
from typing import Final

OBJECTS_MAX: Final = 20_000
"""New objects that set off a collection: about 2 ms of work, a few dozen connections."""


class Sweeper:
    """One per process. ``start`` before the first tick, ``tidy`` in every gap, ``stop`` at the end."""

    def __init__(self, objects_max: int = OBJECTS_MAX) -> None:
        self._objects_max = objects_max
        self.sweeps = 0

    def start(self) -> None:
        """What is here now stays: no collection need look at it again, and none begins by itself."""
        gc.disable()
        gc.collect()
        gc.freeze()

    def tidy(self, empty: bool) -> None:
        """Collect if enough has gathered. ``empty``: nobody is here, so even the frozen are looked at."""
        if gc.get_count()[0] < self._objects_max:
            return
        if empty:
            gc.unfreeze()
        gc.collect()
        gc.freeze()
        self.sweeps += 1

    def stop(self) -> None:
        """As it was before ``start``."""
        gc.unfreeze()
        gc.enable()
