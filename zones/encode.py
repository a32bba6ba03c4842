"""From rows to JSON: every occupied cell once per tick, as ``full`` and as news, whoever is watching.

The bytes are the entries of ``snapshot.cells``; main joins them into frames without looking inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import orjson
from numpy.typing import NDArray

from shared.cells import EncodedCell
from shared.player_state import I32
from zones.listing import News
from zones.rows import Rows, widths

_NUMPY = orjson.OPT_SERIALIZE_NUMPY


class CellEncoder:
    """Encodes a zone's cells; remembers the JSON of who stands in each, which changes much less often than where."""

    def __init__(self, who: Callable[[int], bytes]) -> None:
        """``who`` gives the ``who`` entry of a slot."""
        self._who = who
        self._who_of_cell: dict[int, tuple[bytes, bytes]] = {}
        """Per occupied cell: its slots, and their ``who`` entries."""
        self._occupied: set[int] = set()
        self._believed: set[int] = set()
        """Cells in which a watcher may believe somebody to be: occupied at the last tick shown, or since."""
        self._owed: set[int] = set()
        """Cells that were left out of an arena: the next time they go out full."""

    def owe(self, cells: Iterable[int]) -> None:
        """These cells of the last tick did not reach main."""
        self._owed.update(cells)

    def encode(
        self, slots: NDArray[np.intp], cell: I32, rows: Rows, news: News, ground_cm: int, in_full: bool
    ) -> list[EncodedCell]:
        """All cells that are occupied or have news, ascending.

        ``slots`` (N,), ``cell`` (N,) and ``rows`` (N, 8) are of all members. ``in_full``: watchers missed the zone's
        last tick, so every cell's news is its full form.
        """
        if not in_full:
            self._believed = self._occupied
        order = np.lexsort((slots, cell))
        cells, starts = np.unique(cell[order], return_index=True)
        ends = np.append(starts, len(order))[1:]
        everybody = _Runs(rows[order], starts, ground_cm)
        changed = news.changed[order]
        counts = np.add.reduceat(changed, starts, dtype=np.int64) if len(starts) else starts
        movers = _Runs(rows[order][changed], np.cumsum(counts) - counts, ground_cm)
        newcomers = _by_cell(slots[news.entered], cell[news.entered])

        out: list[EncodedCell] = []
        who_of_cell: dict[int, tuple[bytes, bytes]] = {}
        for index, (name, start, end, moved) in enumerate(
            zip(cells.tolist(), starts.tolist(), ends.tolist(), counts.tolist(), strict=True)
        ):
            here = slots[order[start:end]]
            members, who = self._who_of_cell.get(name, (b"", b""))
            if name in newcomers or members != here.tobytes():
                members, who = here.tobytes(), b",".join(map(self._who, here.tolist()))
            who_of_cell[name] = members, who
            at = everybody.json(index, end - start)
            full = b'{"c":%d,"full":true,"who":[%b],"at":[%b]}' % (name, who, at)
            if in_full or name in self._owed:
                said = full
            else:
                told = at if moved == end - start else movers.json(index, moved)
                said = self._news(name, newcomers.get(name, ()), told, news.gone.get(name, ()))
            out.append(EncodedCell(name, end - start, full, said))

        occupied = set(who_of_cell)
        for name in sorted((self._believed if in_full else news.gone.keys() | self._owed) - occupied):
            if in_full or name in self._owed:
                said = b'{"c":%d,"full":true}' % name
            else:
                said = self._news(name, (), b"", news.gone[name])
            out.append(EncodedCell(name, 0, b"", said))
        self._who_of_cell = who_of_cell
        self._owed.clear()
        self._occupied = occupied
        self._believed = self._believed | occupied
        return out

    def _news(self, cell: int, entered: Sequence[int], at: bytes, gone: Sequence[int]) -> bytes:
        parts = [b'{"c":%d' % cell]
        if entered:
            parts.append(b',"who":[%b]' % b",".join(map(self._who, entered)))
        if at:
            parts.append(b',"at":[%b]' % at)
        if gone:
            parts.append(b',"gone":%b' % orjson.dumps(gone))
        if len(parts) == 1:
            return b""
        parts.append(b"}")
        return b"".join(parts)


class _Runs:
    """Rows sorted by cell, ready to be cut into the JSON of each cell."""

    def __init__(self, rows: Rows, starts: NDArray[np.intp], ground_cm: int) -> None:
        self._starts = starts.tolist()
        width = widths(rows, ground_cm)
        self._uniform = int(width.max(initial=6)) == 6
        self._by_width = {6: np.ascontiguousarray(rows[:, :6])}
        self._width = width
        if not self._uniform:
            self._by_width |= {7: np.ascontiguousarray(rows[:, :7]), 8: np.ascontiguousarray(rows)}

    def json(self, index: int, count: int) -> bytes:
        """The ``count`` rows of the cell at ``index`` without the outer brackets; a cell's rows have one width."""
        if not count:
            return b""
        start = self._starts[index]
        end = start + count
        width = 6 if self._uniform else int(self._width[start:end].max())
        return orjson.dumps(self._by_width[width][start:end], option=_NUMPY)[1:-1]


def who_row(slot: int, player: str, name: str, vehicle: str) -> bytes:
    """The ``who`` entry of one player."""
    return orjson.dumps([slot, player, name, vehicle])


def _by_cell(slots: NDArray[np.intp], cell: I32) -> dict[int, list[int]]:
    out: dict[int, list[int]] = {}
    for slot, name in zip(slots.tolist(), cell.tolist(), strict=True):
        out.setdefault(name, []).append(slot)
    return out
