"""Why does one player see another, or not: ``python -m scripts.explain --viewer A --target B``.

A and B are slots, player ids or names. Reads the blocks of a running shard as an observer, and decides with the shard's
own code; what only the main process knows is up to a second old. Exit code 0: seen; 1: not seen; 2: it cannot be said.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipc import layout
from ipc.block import PREFIX, SHM_DIR, BlockFault, attach_as_observer
from ipc.cell_arena import CellReader
from shard.views.watching import IN_TURNS, SHORTENED, SLOWED, Watching
from shared.cells import CellPage
from shared.constants import CELL_M, FLAG_AWAY
from shared.ids import NO_ZONE

READS_MAX = 20
"""Tries to read a directory that its zone is not just writing."""
LATE_TICKS = 2
"""A zone further behind than this when main wrote its table was late, not only between two ticks."""

_CUT = {
    SLOWED: "farther cells come less often than their distance alone would have it",
    SHORTENED: "the farthest cells are not shown",
    IN_TURNS: "the rows of the home cell take turns, and other cells are not shown",
}


class ExplainFault(Exception):
    """It cannot be said; the text is one line."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the answer rests on."""

    viewer: str
    target: str
    distance_m: float
    gap_m: float
    """Between the viewer's home cell and the target's cell."""
    home: int
    cell: int
    view_radius_m: float
    row_budget: int
    tick: int
    """Of the GatewayTable."""
    watching: bool
    """A socket is sent snapshots for the viewer."""
    away: bool
    """The viewer's socket is lost, its car is held."""
    shown: bool
    """The viewer's client knows its cells."""
    period: int
    """Ticks between two tellings of the target's cell; 0: it is not watched."""
    tier: int
    rows: int
    sent_tick: int
    refused: int
    unsent_bytes: int
    zone: int
    behind_ticks: int
    """How far the target's zone was behind."""


def explain(facts: Facts) -> tuple[bool, list[str]]:
    """Whether the viewer sees the target, and why, as lines."""
    where = f"{facts.target} is in cell {facts.cell}, {facts.gap_m:.1f} m from {facts.viewer}'s home cell {facts.home}"
    cut = _CUT.get(facts.tier, "nothing is cut")
    lines = [
        f"distance   {facts.distance_m:.1f} m; {where}; the radius of view is {facts.view_radius_m:.0f} m",
        f"budget     {facts.row_budget or 'none'}; {facts.rows} players in view; tier {facts.tier}: {cut}",
        f"last sent  tick {facts.sent_tick} of {facts.tick}",
        f"socket     {facts.unsent_bytes} bytes unsent, {facts.refused} snapshots left out",
    ]
    if not facts.watching:
        why = "its socket is lost and its car is held" if facts.away else "it has no socket that is sent snapshots"
        return False, [f"{facts.viewer} sees nobody: {why}", *lines]
    if not facts.shown:
        why = (
            f"too much is unsent ({facts.unsent_bytes} bytes)" if facts.refused else "its first snapshot is on its way"
        )
        return False, [f"{facts.viewer} is shown nothing now: {why}; it will get a reset", *lines]
    if not facts.period:
        far = facts.gap_m >= facts.view_radius_m
        why = "it is too far away" if far else "the row budget cut it off: nearer cells hold too many"
        return False, [f"{facts.viewer} does not see {facts.target}: {why}", *lines]
    rate = "every tick" if facts.period == 1 else f"every {facts.period} ticks"
    verdict = f"{facts.viewer} sees {facts.target}: its cell is told in {rate}"
    if facts.tier == IN_TURNS:
        verdict += ", its rows in turns"
    if facts.behind_ticks > LATE_TICKS:
        verdict += f"; but zone {facts.zone} is {facts.behind_ticks} ticks late, and it stands where it was then"
    return True, [verdict, *lines]


class Observer:
    """The blocks of a running shard, read from outside. Close it."""

    def __init__(self, instance: str | None = None) -> None:
        """``instance`` may be left out when there is one shard. Raises ExplainFault."""
        self.instance = instance or _only_instance()
        geometry = _geometry(self.instance)
        kinds = {"table": layout.table_dtype(geometry), "gateway": layout.gateway_dtype(geometry)}
        arenas = {f"cells-{zone}": layout.arena_dtype(geometry) for zone in range(geometry.zones)}
        with ExitStack() as stack:
            try:
                blocks = {
                    kind: attach_as_observer(self.instance, kind, dtype, geometry)
                    for kind, dtype in (kinds | arenas).items()
                }
            except BlockFault as fault:
                raise ExplainFault(str(fault)) from None
            for block in blocks.values():
                stack.callback(block.close)
            self._readers = [CellReader(blocks[kind]) for kind in arenas]
            self.table: Any = blocks["table"].record
            self.gateway: Any = blocks["gateway"].record
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Let go of the blocks; they stay."""
        self.table = self.gateway = None
        for reader in self._readers:
            reader.release()
        self._stack.close()

    def slot(self, wanted: str) -> int:
        """The slot of a player given by slot, id or name. Raises ExplainFault."""
        owner = self.table["owner"]
        here = [int(slot) for slot in np.flatnonzero(owner != NO_ZONE)]
        for column in ("player", "name"):
            found = [slot for slot in here if bytes(self.table[column][slot]) == wanted.encode()]
            if len(found) > 1:
                raise ExplainFault(f"{wanted}: the name of slots {found}; give one of these")
            if found:
                return found[0]
        if wanted.isdigit() and int(wanted) in here:
            return int(wanted)
        raise ExplainFault(f"{wanted}: is not in the world")

    def facts(self, viewer: int, target: int) -> Facts:
        """What the blocks say about two slots."""
        gateway = self.gateway
        if not int(gateway["tick"]):
            raise ExplainFault("the shard has not written its GatewayTable yet: wait a second")
        watching = Watching(
            int(gateway["size_m"]) // CELL_M, float(gateway["view_radius_m"]), int(gateway["row_budget"])
        )
        for zone, reader in enumerate(self._readers):
            watching.learn(zone, _read(reader, int(gateway["half"][zone])))
        watching.tick()
        home, cell = int(gateway["home"][viewer]), int(self._committed("cell", target))
        shown = home >= 0
        anchor = home if shown else int(self._committed("home", viewer))
        west, north, size = watching.tree.boxes(np.array([anchor, cell]))
        gaps = [max(edge[1] - edge[0] - size[0], edge[0] - edge[1] - size[1], 0.0) for edge in (west, north)]
        pos = [self._committed("pos", slot) for slot in (viewer, target)]
        zone = int(self.table["owner"][target])
        return Facts(
            viewer=self._name(viewer),
            target=self._name(target),
            distance_m=math.hypot(pos[0][0] - pos[1][0], pos[0][2] - pos[1][2]),
            gap_m=math.hypot(*gaps),
            home=anchor,
            cell=cell,
            view_radius_m=watching.view_radius_m,
            row_budget=watching.row_budget,
            tick=int(gateway["tick"]),
            watching=bool(gateway["watching"][viewer]),
            away=bool(int(self._committed("flags", viewer)) & FLAG_AWAY),
            shown=shown,
            period=watching.watch(anchor).periods.get(cell, 0),
            tier=int(gateway["tier"][viewer]),
            rows=int(gateway["rows"][viewer]),
            sent_tick=int(gateway["sent_tick"][viewer]),
            refused=int(gateway["refused"][viewer]),
            unsent_bytes=int(gateway["unsent_bytes"][viewer]),
            zone=zone,
            behind_ticks=int(gateway["tick"]) - int(gateway["committed"][zone]),
        )

    def _committed(self, column: str, slot: int) -> Any:
        """A committed value, read until ``front`` stands still around it."""
        for _ in range(READS_MAX):
            front = int(self.table["front"][slot])
            value = np.array(self.table[column][front, slot])
            if int(self.table["front"][slot]) == front:
                return value
        raise ExplainFault("the shard writes faster than it can be read")

    def _name(self, slot: int) -> str:
        return bytes(self.table["name"][slot]).decode() or str(slot)


def _read(reader: CellReader, half: int) -> CellPage:
    """A directory that is whole: its places follow each other. A zone may be writing this half just now."""
    for attempt in range(READS_MAX):
        page = reader.read(half ^ (attempt & 1))
        ends = [0, *(entry[-1] for entry in page.entries)]
        if all(entry[3] == end for entry, end in zip(page.entries, ends[:-1], strict=True)):
            return page
    raise ExplainFault("the shard writes faster than it can be read")


def _only_instance() -> str:
    found = [path.name[len(PREFIX) : -len("-table")] for path in sorted(SHM_DIR.glob(f"{PREFIX}*-table"))]
    if len(found) == 1:
        return found[0]
    if found:
        raise ExplainFault(f"--instance: there are several shards, give one of {', '.join(found)}")
    raise ExplainFault("no shard is running on this machine")


def _geometry(instance: str) -> layout.Geometry:
    try:
        with (SHM_DIR / f"{PREFIX}{instance}-table").open("rb") as file:
            header = np.frombuffer(file.read(layout.HEADER.itemsize), layout.HEADER, 1)[0]
    except (OSError, ValueError):
        raise ExplainFault(f"--instance: there is no shard {instance}") from None
    return layout.Geometry(int(header["slots"]), int(header["zones"]))


def main(argv: Sequence[str]) -> int:
    """Say it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.explain", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--viewer", required=True, metavar="A", help="slot, player id or name")
    parser.add_argument("--target", required=True, metavar="B", help="slot, player id or name")
    parser.add_argument("--instance", metavar="ID", help="of the shard, as its start prints it, if there are several")
    flags = parser.parse_args(argv)
    try:
        observer = Observer(flags.instance)
        try:
            seen, lines = explain(observer.facts(observer.slot(flags.viewer), observer.slot(flags.target)))
        finally:
            observer.close()
    except ExplainFault as fault:
        print(f"explain: {fault}", file=sys.stderr)
        return 2
    print("\n".join(lines))
    return 0 if seen else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
