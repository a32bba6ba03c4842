"""The two tables as text, Markdown and JSON, and what they have to show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from scripts.fair.dishonest import Found
from scripts.fair.honest import Row

SET_BACKS_MOST: Final = 1.0
"""Per 1,000 player-minutes: less than this."""


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as text; the first column is a name, all others are numbers as far as they look."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def text(self) -> str:
        """For a terminal."""
        widths = [max(map(len, column)) for column in zip(self.head, *self.rows, strict=True)]
        lines = [self.title, _aligned(self.head, widths), "  ".join("-" * width for width in widths)]
        return "\n".join([*lines, *(_aligned(row, widths) for row in self.rows)])

    def markdown(self) -> str:
        """For a page."""
        rule = "|" + "|".join(["---", *["---:"] * (len(self.head) - 1)]) + "|"
        return "\n".join([_piped(self.head), rule, *map(_piped, self.rows)])


def per_thousand(row: Row) -> float:
    """Set-backs per 1,000 player-minutes, those without reproach left out."""
    return 1000.0 * sum(row.set_backs.values()) / row.player_minutes if row.player_minutes else 0.0


def total(rows: Sequence[Row]) -> Row:
    """The sum of all rows that are promised."""
    summed = Row("all of these")
    for row in rows:
        if row.promised:
            for each in fields(Row):
                if each.name not in ("name", "promised", "note"):
                    setattr(summed, each.name, getattr(summed, each.name) + getattr(row, each.name))
    return summed


def merged(parts: Sequence[Row]) -> list[Row]:
    """Rows of the same name as one, in the order of their first."""
    found: dict[str, Row] = {}
    for part in parts:
        if part.name not in found:
            found[part.name] = Row(part.name, promised=part.promised, note=part.note)
        row = found[part.name]
        for each in fields(Row):
            if each.name not in ("name", "promised", "note"):
                setattr(row, each.name, getattr(row, each.name) + getattr(part, each.name))
    return list(found.values())


def faults(rows: Sequence[Row]) -> list[str]:
    """What breaks the promise to honest players: one line each, none when all is well."""
    lines = []
    for row in rows:
        if row.promised and (row.removals or row.invalidated):
            lines.append(f"{row.name}: {row.removals} removed, {row.invalidated} races invalidated")
    summed = total(rows)
    if per_thousand(summed) >= SET_BACKS_MOST:
        worst = ", ".join(f"{row.name} {per_thousand(row):.2f}" for row in _worst(rows))
        lines.append(f"{per_thousand(summed):.2f} set-backs per 1,000 player-minutes; worst: {worst}")
    return lines


def honest_table(rows: Sequence[Row]) -> Table:
    """What honest players suffer."""
    head = (
        "honest driver, on a line with",
        "player-minutes",
        "removed",
        "races invalidated",
        "set-backs",
        "per 1,000 min",
        "by check",
        "late",
        "strikes",
        "for",
    )
    summed = total(rows)
    ordered = [row for row in rows if row.promised] + [summed] + [row for row in rows if not row.promised]
    return Table("Honest drivers", head, tuple(map(_honest_row, ordered)))


def detection_table(found: Sequence[Found], refused: Sequence[tuple[str, str]]) -> Table:
    """What cheats gain."""
    head = (
        "technique",
        "first reaction",
        "by",
        "removed",
        "strikes",
        "gain at the end",
        "as time",
        "per minute",
        "most ever ahead",
        "height, depth",
    )
    rows = [_found_row(each) for each in found]
    dashes = ("-",) * (len(head) - 3)
    rows += [(f"{name} as a coordinate", "refused", reason, *dashes) for name, reason in refused]
    return Table("Cheats, beside an honest twin", head, tuple(rows))


def as_json(rows: Sequence[Row], found: Sequence[Found], refused: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Everything as plain data."""
    return {
        "honest": [{**_plain(row), "set_backs_per_1000_minutes": per_thousand(row)} for row in rows],
        "total": {**_plain(total(rows)), "set_backs_per_1000_minutes": per_thousand(total(rows))},
        "cheats": [_plain(each) for each in found],
        "refused": dict(refused),
        "faults": faults(rows),
    }


def _plain(record: Row | Found) -> dict[str, Any]:
    """Fields as JSON knows them: ``asdict`` would rebuild a Counter from its pairs, and count those."""
    values = {each.name: getattr(record, each.name) for each in fields(record)}
    return {name: dict(value) if isinstance(value, Counter) else value for name, value in values.items()}


def _worst(rows: Sequence[Row]) -> list[Row]:
    return sorted((row for row in rows if row.promised), key=per_thousand, reverse=True)[:3]


def _honest_row(row: Row) -> tuple[str, ...]:
    name = row.name if row.promised else f"({row.name}: {row.note}, not promised)"
    return (
        name,
        f"{row.player_minutes:,.0f}",
        str(row.removals),
        str(row.invalidated),
        str(sum(row.set_backs.values())),
        f"{per_thousand(row):.2f}",
        _counts(row.set_backs) or "-",
        str(row.late),
        f"{row.strikes:.1f}",
        _counts(row.reproaches) or "-",
    )


def _found_row(found: Found) -> tuple[str, ...]:
    if found.mitigated_s is not None:
        reaction = f"{found.mitigated_s:.2f} s"
        if found.mitigated < found.cases:
            reaction += f" ({found.mitigated} of {found.cases})"
    else:
        reaction = "ignored at once" if found.ignored else "none"
    struck = "strikes for " + _names(found.reproaches) if found.reproaches else ""
    told = "told " + _counts(found.told) if found.told else ""
    counted = f"{found.gates} gates counted from then on" if found.races and not found.gates else ""
    parts = (told, counted, _counts(found.set_backs + Counter(late=found.late)), struck)
    by = "; ".join(filter(None, parts)) or "-"
    removed = "-"
    if found.removed_s is not None:
        removed = f"{found.removed_s:.1f} s"
        if found.removed < found.cases:
            removed += f" ({found.removed} of {found.cases})"
    rate = f"{60.0 * found.gain_m / found.played_s:.0f} m" if found.played_s >= 60.0 else "-"
    return (
        found.name + (f" ({found.note})" if found.note else ""),
        reaction,
        by,
        removed,
        f"{found.strikes:.1f}",
        f"{found.gain_m:.0f} m",
        f"{found.gain_s:.1f} s",
        rate,
        f"{max(found.lead_m, 0.0):.0f} m",
        f"{found.extra_m:.0f} m" if found.extra_m >= 1.0 else "-",
    )


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common() if count)


def _names(counts: Counter[str]) -> str:
    return ", ".join(name for name, _ in counts.most_common())


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0].ljust(widths[0])
    return "  ".join([first, *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))])


def _piped(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
