"""What passes from the zone that encodes a cell to the fan-out that sends it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WINDOWS = (1, 2, 4)
"""A cell is told in every tick, in every second or in every fourth: the rows that changed within so many."""

TOLD = 1
"""Flag of a cell: somebody came or went, so its news are for everybody who knows the cell, at whatever rate."""
FULL = 2
"""Flag of a cell: its news are its full form, because watchers missed something."""


class EncodedCell(NamedTuple):
    """One cell of one tick as JSON in pieces, from which every form of it can be cut without looking inside.

    Rows are ordered by age, so that those of every window are a prefix, ending where a row does: ``came`` of those who
    came into the cell in this tick, ``ends`` of those that changed within 1, 2 and 4 ticks. News are ``head``, a prefix
    of ``rows``, and the brackets ``]}``.
    """

    cell: int
    members: int
    who: bytes
    """The ``who`` entries of all members, without the outer brackets."""
    head: bytes
    """The beginning of the news, up to the bracket that opens ``at``."""
    rows: bytes
    """The rows of all members, without the outer brackets."""
    came: int
    ends: tuple[int, int, int]
    flags: int


@dataclass(frozen=True, slots=True)
class CellColumns:
    """All cells of one zone and tick, column by column: an object for each of a thousand cells costs more than it says.

    See EncodedCell.
    """

    cell: list[int]
    members: list[int]
    flags: list[int]
    who: list[bytes]
    head: list[bytes]
    rows: list[bytes]
    ends: NDArray[np.intp]
    """(4, C) bytes of ``rows``: of those who came, and of those that changed within 1, 2 and 4 ticks."""

    def __len__(self) -> int:
        return len(self.cell)

    def take(self, which: list[int]) -> CellColumns:
        """Some of the cells, by index."""
        cell, members, flags = ([column[index] for index in which] for column in (self.cell, self.members, self.flags))
        who, head, rows = ([column[index] for index in which] for column in (self.who, self.head, self.rows))
        return CellColumns(cell, members, flags, who, head, rows, self.ends[:, which])

    @classmethod
    def of(cls, cells: Sequence[EncodedCell]) -> CellColumns:
        """The columns of these cells."""
        return cls(
            [each.cell for each in cells],
            [each.members for each in cells],
            [each.flags for each in cells],
            [each.who for each in cells],
            [each.head for each in cells],
            [each.rows for each in cells],
            np.array([(each.came, *each.ends) for each in cells], np.intp).reshape(-1, 4).T,
        )

    def cells(self) -> list[EncodedCell]:
        """One by one."""
        came, *ends = self.ends.tolist()
        columns = (self.cell, self.members, self.who, self.head, self.rows, came, zip(*ends, strict=True), self.flags)
        return list(map(EncodedCell._make, zip(*columns, strict=True)))


class CellEntry(NamedTuple):
    """The same where it lies: places in the payload of a CellPage. ``head`` and ``rows`` follow each other."""

    cell: int
    members: int
    flags: int
    who_at: int
    who_end: int
    head_at: int
    rows_at: int
    came_end: int
    one_end: int
    two_end: int
    four_end: int
    rows_end: int


class CellPage(NamedTuple):
    """All cells of one zone as of one tick, in main's own memory."""

    payload: bytes
    entries: list[CellEntry]
    nodes: tuple[int, ...]
    """Ids of the cells that are split, ascending."""

    def cells(self) -> list[EncodedCell]:
        """The pieces, copied out."""
        payload = self.payload
        return [
            EncodedCell(
                each.cell,
                each.members,
                payload[each.who_at : each.who_end],
                payload[each.head_at : each.rows_at],
                payload[each.rows_at : each.rows_end],
                each.came_end - each.rows_at,
                (each.one_end - each.rows_at, each.two_end - each.rows_at, each.four_end - each.rows_at),
                each.flags,
            )
            for each in map(CellEntry._make, self.entries)
        ]

    def with_empty(self, cells: Iterable[int]) -> CellPage:
        """The same and these cells, of which watchers are told that nobody is in them."""
        empty = [CellEntry(cell, 0, FULL, *[0] * 9) for cell in cells]
        return CellPage(self.payload, sorted([*self.entries, *empty]), self.nodes)

    @classmethod
    def of(cls, cells: list[EncodedCell], nodes: tuple[int, ...] = ()) -> CellPage:
        """A page that holds these cells."""
        payload = b"".join(part for each in cells for part in (each.who, each.head, each.rows))
        entries, at = [], 0
        for each in cells:
            head_at = at + len(each.who)
            rows_at = head_at + len(each.head)
            ends = [rows_at + end for end in (each.came, *each.ends, len(each.rows))]
            entries.append(CellEntry(each.cell, each.members, each.flags, at, head_at, head_at, rows_at, *ends))
            at = ends[-1]
        return cls(payload, entries, nodes)


NO_CELLS = CellPage(b"", [], ())


def full_form(cell: int, who: bytes, rows: bytes) -> bytes:
    """The full form of a cell up to its last row; ``]}`` ends it."""
    if not rows:
        return b'{"c":%d,"full":true,"at":[' % cell
    return b'{"c":%d,"full":true,"who":[%b],"at":[%b' % (cell, who, rows)
