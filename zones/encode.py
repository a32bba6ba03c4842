"""From rows to JSON: every occupied cell once per tick, each row once, whoever is watching and however often.

The bytes are pieces of the entries of ``snapshot.cells`` (see ``shared/cells.py``): main cuts and joins them into
frames without looking inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import orjson
from numpy.typing import NDArray

from shared.cells import FULL, TOLD, WINDOWS, CellColumns
from shared.player_state import I32
from zones.listing import News
from zones.rows import Rows, widths

_BRACKET = ord("]")


class CellEncoder:
    """Encodes a zone's cells; remembers the JSON of who stands in each, which changes much less often than where."""

    def __init__(self, who: Callable[[int], bytes]) -> None:
        """``who`` gives the ``who`` entry of a slot."""
        self._who = who
        self._who_of_cell: dict[int, bytes] = {}
        """Per occupied cell: its members' ``who`` entries."""
        self._heads: dict[int, bytes] = {}
        """Per occupied cell: the head of news that are nothing but rows."""
        self._listed: set[int] = set()
        """Cells that listed somebody at the end of the last tick."""
        self._believed: set[int] = set()
        """Cells in which a watcher may believe somebody to be: those listed at the last tick shown, and all since."""
        self._owed: set[int] = set()
        """Cells that were left out of an arena: the next time they go out full."""

    def owe(self, cells: Iterable[int]) -> None:
        """These cells of the last tick did not reach main."""
        self._owed.update(cells)

    def encode(self, slots: NDArray[np.intp], cell: I32, rows: Rows, news: News, in_full: bool) -> CellColumns:
        """All cells that are occupied, ascending, then those that are not and have news.

        ``slots`` (N,), ``cell`` (N,) and ``rows`` (N, 8) are of all members. ``in_full``: watchers missed the zone's
        last tick, so every cell's news is its full form.
        """
        if not in_full:
            self._believed = self._listed
        self._believed = self._believed | self._owed
        rank = np.where(news.entered, 0, 1 + np.searchsorted(WINDOWS, news.age, side="right"))
        order = np.argsort(cell.astype(np.int64) * 8 + rank, kind="stable")
        by_cell, where, rank = slots[order], cell[order], rank[order]
        starts = np.flatnonzero(np.append(len(order) > 0, where[1:] != where[:-1]))
        cells = where[starts].tolist()
        counts = np.diff(np.append(starts, len(order)))
        whos = self._whos(cells, by_cell, starts, news)
        prefixes = np.empty((4, len(cells)), np.intp)  # how many came, and how many rows changed within each window
        for most in range(4):
            prefixes[most] = np.add.reduceat(rank <= most, starts, dtype=np.intp) if cells else 0
        texts, ends = _row_texts(rows[order], counts, prefixes)

        heads = self._plain_heads(cells)
        flags = [FULL if in_full else 0] * len(cells)
        if not in_full:
            self._say(cells, heads, flags, slots[news.entered], cell[news.entered], news)
        emptied, said, flagged = self._say_emptied(set(cells), news, in_full)
        none, nothing = [b""] * len(emptied), np.zeros((4, len(emptied)), np.intp)
        out = CellColumns(
            cell=cells + emptied,
            members=counts.tolist() + [0] * len(emptied),
            flags=flags + flagged,
            who=whos + none,
            head=heads + said,
            rows=texts + none,
            ends=np.concatenate((ends, nothing), axis=1),
        )
        self._who_of_cell = dict(zip(cells, whos, strict=True))
        self._owed.clear()
        self._listed = news.held.union(cells)
        self._believed |= self._listed
        return out

    def _whos(self, cells: list[int], by_cell: NDArray[np.intp], starts: NDArray[np.intp], news: News) -> list[bytes]:
        """The ``who`` entries of each occupied cell, made anew where somebody came, left, or was released."""
        known = self._who_of_cell
        for cell in news.touched:
            known.pop(cell, None)
        whos = [known.get(cell) for cell in cells]
        ends = np.append(starts, len(by_cell))[1:]
        return [
            b",".join(map(self._who, sorted(by_cell[starts[index] : ends[index]].tolist()))) if who is None else who
            for index, who in enumerate(whos)
        ]

    def _plain_heads(self, cells: list[int]) -> list[bytes]:
        """The head of each cell's news, as it is when nobody came or went."""
        known = self._heads
        heads = [known.get(cell) or b'{"c":%d,"at":[' % cell for cell in cells]
        self._heads = dict(zip(cells, heads, strict=True))
        return heads

    def _say(
        self, cells: list[int], heads: list[bytes], flags: list[int], came: NDArray[np.intp], where: I32, news: News
    ) -> None:
        """Write over the heads and flags of the few cells into or out of which somebody came, or that are owed."""
        newcomers: dict[int, list[int]] = {}
        for slot, cell in zip(came.tolist(), where.tolist(), strict=True):
            newcomers.setdefault(cell, []).append(slot)
        index_of = {cell: index for index, cell in enumerate(cells)}
        for cell in (newcomers.keys() | news.gone.keys()) & index_of.keys():
            who = b",".join(map(self._who, newcomers.get(cell, ())))
            heads[index_of[cell]] = _head(cell, who, news.gone.get(cell, []))
            flags[index_of[cell]] = TOLD
        for cell in self._owed & index_of.keys():
            flags[index_of[cell]] = FULL

    def _say_emptied(self, occupied: set[int], news: News, in_full: bool) -> tuple[list[int], list[bytes], list[int]]:
        """Cells in which nobody is any more: their heads and flags."""
        emptied = sorted((self._believed if in_full else news.gone.keys() | self._owed) - occupied)
        anew = [in_full or cell in self._owed for cell in emptied]
        heads = [b"" if new else _head(cell, b"", news.gone[cell]) for cell, new in zip(emptied, anew, strict=True)]
        return emptied, heads, [FULL if new else TOLD for new in anew]


def _head(cell: int, who: bytes, gone: list[int]) -> bytes:
    parts = [b'{"c":%d' % cell]
    if who:
        parts.append(b',"who":[%b]' % who)
    if gone:
        parts.append(b',"gone":%b' % orjson.dumps(gone))
    parts.append(b',"at":[')
    return b"".join(parts)


def _row_texts(
    rows: Rows, counts: NDArray[np.intp], prefixes: NDArray[np.intp]
) -> tuple[list[bytes], NDArray[np.intp]]:
    """The JSON of each cell's rows, without the outer brackets, and how many bytes of it each prefix takes.

    ``rows`` are sorted by cell, ``counts`` (C,) of each, ``prefixes`` (P, C) numbers of rows. All rows are serialised
    at once and the text is cut where cells begin: a call per cell costs three times as much. Cells are taken together
    by the number of columns that their widest row needs.
    """
    texts = [b""] * len(counts)
    ends = np.zeros(prefixes.shape, np.intp)
    if not len(counts):
        return texts, ends
    width = np.maximum.reduceat(widths(rows), np.cumsum(counts) - counts)
    for columns in np.unique(width).tolist():
        which = width == columns
        chosen = rows[np.repeat(which, counts), :columns]
        blob = orjson.dumps(np.ascontiguousarray(chosen), option=orjson.OPT_SERIALIZE_NUMPY)
        closing = np.flatnonzero(np.frombuffer(blob, np.uint8) == _BRACKET)  # of each row, and of all
        last = np.cumsum(counts[which])
        first = last - counts[which]
        begins = np.append(1, closing[last[:-1] - 1] + 2)
        taken = prefixes[:, which]
        ends[:, which] = np.where(taken > 0, closing[np.maximum(first + taken - 1, 0)] + 1 - begins, 0)
        for index, begin, end in zip(
            np.flatnonzero(which).tolist(), begins.tolist(), closing[last - 1].tolist(), strict=True
        ):
            texts[index] = blob[begin : end + 1]
    return texts, ends


def who_row(slot: int, player: str, name: str, vehicle: str) -> bytes:
    """The ``who`` entry of one player."""
    return orjson.dumps([slot, player, name, vehicle])
