"""From rows to JSON: every occupied cell once per tick, as ``full`` and as news, whoever is watching.

The bytes are the entries of ``snapshot.cells``; main joins them into frames without looking inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import orjson
from numpy.typing import NDArray

from shared.cells import EncodedCell
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
        self._listed: set[int] = set()
        """Cells that listed somebody at the end of the last tick."""
        self._believed: set[int] = set()
        """Cells in which a watcher may believe somebody to be: those listed at the last tick shown, and all since."""
        self._owed: set[int] = set()
        """Cells that were left out of an arena: the next time they go out full."""

    def owe(self, cells: Iterable[int]) -> None:
        """These cells of the last tick did not reach main."""
        self._owed.update(cells)

    def encode(self, slots: NDArray[np.intp], cell: I32, rows: Rows, news: News, in_full: bool) -> list[EncodedCell]:
        """All cells that are occupied or have news, ascending.

        ``slots`` (N,), ``cell`` (N,) and ``rows`` (N, 8) are of all members. ``in_full``: watchers missed the zone's
        last tick, so every cell's news is its full form.
        """
        if not in_full:
            self._believed = self._listed
        self._believed = self._believed | self._owed
        order = np.lexsort((slots, cell))
        by_cell, changed = slots[order], news.changed[order]
        ids, starts = np.unique(cell[order], return_index=True)
        counts = np.diff(np.append(starts, len(order)))
        cells = ids.tolist()
        whos = self._whos(cells, by_cell, starts, news)
        every = _row_texts(rows[order], counts)
        if changed.all():
            moved = every
        else:
            moves = np.add.reduceat(changed, starts, dtype=np.intp)
            moved = _row_texts(rows[order][changed], moves)

        fulls = [b'{"c":%d,"full":true,"who":[%b],"at":[%b]}' % each for each in zip(cells, whos, every, strict=True)]
        came = slots[news.entered], cell[news.entered]
        said = fulls if in_full else self._say(cells, moved, fulls, *came, news)
        out = [EncodedCell(*each) for each in zip(cells, counts.tolist(), fulls, said, strict=True)]
        out += self._say_emptied(set(cells), news, in_full)
        out.sort(key=_by_id)

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
            b",".join(map(self._who, by_cell[starts[index] : ends[index]].tolist())) if who is None else who
            for index, who in enumerate(whos)
        ]

    def _say(
        self, cells: list[int], moved: list[bytes], fulls: list[bytes], came: NDArray[np.intp], where: I32, news: News
    ) -> list[bytes]:
        """The news of each occupied cell. Most have nothing but rows; the few others are written over."""
        said = [b'{"c":%d,"at":[%b]}' % each if each[1] else b"" for each in zip(cells, moved, strict=True)]
        newcomers: dict[int, list[int]] = {}
        for slot, cell in zip(came.tolist(), where.tolist(), strict=True):
            newcomers.setdefault(cell, []).append(slot)
        index_of = {cell: index for index, cell in enumerate(cells)}
        for cell in (newcomers.keys() | news.gone.keys()) & index_of.keys():
            index = index_of[cell]
            who = b",".join(map(self._who, newcomers.get(cell, ())))
            said[index] = _news(cell, who, moved[index], news.gone.get(cell, []))
        for cell in self._owed & index_of.keys():
            said[index_of[cell]] = fulls[index_of[cell]]
        return said

    def _say_emptied(self, occupied: set[int], news: News, in_full: bool) -> list[EncodedCell]:
        """The news of cells in which nobody is any more."""
        out = []
        for cell in (self._believed if in_full else news.gone.keys() | self._owed) - occupied:
            if in_full or cell in self._owed:
                said = b'{"c":%d,"full":true}' % cell
            else:
                said = _news(cell, b"", b"", news.gone[cell])
            out.append(EncodedCell(cell, 0, b"", said))
        return out


def _news(cell: int, who: bytes, at: bytes, gone: list[int]) -> bytes:
    parts = [b'{"c":%d' % cell]
    if who:
        parts.append(b',"who":[%b]' % who)
    if at:
        parts.append(b',"at":[%b]' % at)
    if gone:
        parts.append(b',"gone":%b' % orjson.dumps(gone))
    return b"".join((*parts, b"}"))


def _row_texts(rows: Rows, counts: NDArray[np.intp]) -> list[bytes]:
    """The JSON of each cell's rows, without the outer brackets; ``rows`` are sorted by cell, ``counts`` of each.

    All rows are serialised at once and the text is cut where cells begin: a call per cell costs three times as much.
    Cells are taken together by the number of columns that their widest row needs.
    """
    texts = [b""] * len(counts)
    filled = np.flatnonzero(counts)
    if not len(filled):
        return texts
    lengths = counts[filled]
    width = np.maximum.reduceat(widths(rows), np.cumsum(lengths) - lengths)
    for columns in np.unique(width).tolist():
        which = width == columns
        chosen = rows[np.repeat(which, lengths), :columns]
        blob = orjson.dumps(np.ascontiguousarray(chosen), option=orjson.OPT_SERIALIZE_NUMPY)
        closing = np.flatnonzero(np.frombuffer(blob, np.uint8) == _BRACKET)  # of each row, and of all
        last = np.cumsum(lengths[which])
        begins = np.append(1, closing[last[:-1] - 1] + 2)
        for index, begin, end in zip(filled[which].tolist(), begins.tolist(), closing[last - 1].tolist(), strict=True):
            texts[index] = blob[begin : end + 1]
    return texts


def _by_id(cell: EncodedCell) -> int:
    return cell.cell


def who_row(slot: int, player: str, name: str, vehicle: str) -> bytes:
    """The ``who`` entry of one player."""
    return orjson.dumps([slot, player, name, vehicle])
