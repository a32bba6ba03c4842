"""The JSON forms of an encoded cell, put together as plainly as possible: what the fan-out must send."""

from __future__ import annotations

from typing import Any

import orjson

from shared.cells import FULL, TOLD, WINDOWS, EncodedCell, full_form

Json = dict[str, Any]
MEMBERSHIP = 0
"""The window of a tick in which a cell is not due: only who came and who went."""


def full_of(cell: EncodedCell) -> bytes:
    """For those who do not know the cell; empty: nobody is in it."""
    return full_form(cell.cell, cell.who, cell.rows) + b"]}" if cell.members else b""


def news_of(cell: EncodedCell, window: int = 1) -> bytes:
    """For those who know it, with the rows of so many ticks; empty: nothing changed."""
    if cell.flags & FULL:
        return full_form(cell.cell, cell.who, cell.rows) + b"]}"
    end = cell.came if window == MEMBERSHIP else cell.ends[WINDOWS.index(window)]
    return cell.head + cell.rows[:end] + b"]}" if cell.flags & TOLD or end else b""


def parsed(form: bytes) -> Json:
    """A form with its lists in the order of slots, rows in full width, and without lists that are empty."""
    if not form:
        return {}
    found: Json = orjson.loads(form)
    for key in ("who", "at", "gone"):
        if key in found:
            rows = [full_row(row) for row in found[key]] if key == "at" else found[key]
            assert len({str(row) for row in rows}) == len(rows), f"{key} says it twice"
            found[key] = sorted(rows)
            if not rows:
                del found[key]
    return found


def full_row(row: list[int]) -> list[int]:
    """All eight columns; what is missing is 0."""
    assert 6 <= len(row) <= 8
    return [*row, 0, 0][:8] if len(row) == 6 else [*row, 0][:8]


def plain_cell(
    cell: int,
    cars: list[int],
    moved: list[int] | None = None,
    came: list[int] | None = None,
    gone: list[int] | None = None,
    values: dict[int, int] | None = None,
) -> EncodedCell:
    """A cell with these cars; ``moved`` in this tick, all by default; of these, ``came``."""
    came = came or []
    moved = [car for car in (cars if moved is None else moved) if car not in came]
    ordered = [*came, *moved, *(car for car in cars if car not in moved and car not in came)]
    rows = [b"[%d,1,%d,3,4,5]" % (car, (values or {}).get(car, 1)) for car in ordered]
    ends = [len(b",".join(rows[:count])) for count in (len(came), len(came) + len(moved))]
    who = {car: b'[%d,"sub-%d","Car %d","car"]' % (car, car, car) for car in cars}
    head = b'{"c":%d,' % cell
    if came:
        head += b'"who":[%b],' % b",".join(who[car] for car in came)
    if gone:
        head += b'"gone":%b,' % orjson.dumps(gone)
    flags = TOLD if came or gone else 0
    return EncodedCell(
        cell, len(cars), b",".join(who.values()), head + b'"at":[', b",".join(rows), ends[0], (ends[1],) * 3, flags
    )
