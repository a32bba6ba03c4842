"""What passes from the zone that encodes a cell to the fan-out that sends it."""

from __future__ import annotations

from typing import NamedTuple


class EncodedCell(NamedTuple):
    """One cell of one tick as JSON, ready to stand in ``snapshot.cells``. Empty bytes: there is none."""

    cell: int
    members: int
    full: bytes
    """Replaces the members of the cell."""
    news: bytes
    """Changes them, as compared to the tick that was shown last."""
