"""From encoded cells to frames: what each watcher is sent for a tick, joined once per group of equals.

A watcher sees the 3 x 3 cells around its home cell. Watchers with the same last home and the same home share one frame,
bytes and all; nothing here is done per watcher but to hand that frame to its socket.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import orjson
from numpy.typing import NDArray

from shard.wsframe import text_frame
from shared.cells import EncodedCell

NOTHING = -1
"""Home as seen by a watcher that has been shown nothing, or must forget it: its next frame carries ``reset``."""


class Socket(Protocol):
    """Where a watcher's frames go."""

    def offer(self, frame: bytes) -> bool:
        """Write one frame now, or refuse it because too much is unsent: a snapshot is replaceable, none is queued."""


@dataclass(slots=True)
class CellNews:
    """All that the zones have to show at one tick, by cell id."""

    full: dict[int, bytes] = field(default_factory=dict)
    """Every occupied cell, also those of late zones, as last committed."""
    news: dict[int, bytes] = field(default_factory=dict)
    """What watchers of a cell are told; absent: nothing changed."""

    def add(self, cells: Iterable[EncodedCell], late_ticks: int, fresh: bool, elsewhere: Collection[int] = ()) -> None:
        """Take the cells of one zone. ``fresh``: not shown yet; otherwise the zone is late and its last cells stand.

        ``late_ticks``: how much older than the frame the cells are. ``elsewhere``: slots that have left the zone since
        and that their new owner shows. The latest listing wins, so an older one must not list them again.
        """
        for cell, _, full, news in cells:
            if full:
                self.full[cell] = _marked(_without(full, elsewhere) if elsewhere else full, late_ticks)
            if fresh and news:
                self.news[cell] = _marked(_without(news, elsewhere) if elsewhere else news, late_ticks)
            elif not fresh and full:
                self.news[cell] = b'{"c":%d,"late":%d}' % (cell, late_ticks)


def _marked(cell: bytes, late_ticks: int) -> bytes:
    return b'{"late":%d,%b' % (late_ticks, cell[1:]) if late_ticks else cell


def _without(cell: bytes, slots: Collection[int]) -> bytes:
    """A cell that lists none of ``slots``. Parses JSON: for the rare tick in which a zone is late with releases."""
    parsed = orjson.loads(cell)
    for key in ("who", "at"):
        if key in parsed:
            parsed[key] = [row for row in parsed[key] if row[0] not in slots]
    return orjson.dumps(parsed)


class Fanout:
    """Who watches what, and what each was shown last."""

    def __init__(self, slots: int, cells_per_side: int) -> None:
        self._side = cells_per_side
        self._around: dict[int, tuple[int, ...]] = {}
        self._seen = np.full(slots, NOTHING, np.int32)
        """(slots,) the home cell around which a watcher's client knows the cells."""
        self._groups: dict[int, dict[int, Socket]] = {}
        """Watchers' slots and sockets by the home that they have seen."""
        self._slots: NDArray[np.intp] = np.empty(0, np.intp)
        self._stale = False
        self.joins = 0
        """Frames joined so far."""
        self.writes = 0
        """Frames that sockets took."""
        self.skipped = 0
        """Frames that sockets refused."""

    def watch(self, slot: int, socket: Socket) -> None:
        """Begin to show the world around ``slot`` to ``socket``, with a reset."""
        self.unwatch(slot)
        self._groups.setdefault(NOTHING, {})[slot] = socket
        self._stale = True

    def unwatch(self, slot: int) -> None:
        """Stop. Harmless when nobody watches as ``slot``."""
        self._groups.get(int(self._seen[slot]), {}).pop(slot, None)
        self._seen[slot] = NOTHING
        self._stale = True

    def watched(self, home: int) -> tuple[int, ...]:
        """Ids of the cells around a home cell, itself included, those beyond the world left out; none for NOTHING."""
        around = self._around.get(home)
        if around is None:
            cz, cx = divmod(home, self._side)
            rows = range(max(cz - 1, 0), min(cz + 2, self._side))
            columns = range(max(cx - 1, 0), min(cx + 2, self._side))
            around = () if home == NOTHING else tuple(z * self._side + x for z in rows for x in columns)
            self._around[home] = around
        return around

    def publish(self, tick: int, t_ms: float, homes: NDArray[np.int32], cells: CellNews) -> None:
        """Write one frame to every watcher for whom there is anything to say.

        ``homes`` is (slots,): the committed home cell of each, -1 before its first tick.
        """
        head = b'{"type":"snapshot","payload":{"tick":%d,"t":%b,"cells":[' % (tick, orjson.dumps(round(t_ms, 3)))
        movers = self._take_movers(homes)
        for home, group in list(self._groups.items()):
            if home == NOTHING or not group:
                continue
            if parts := self._parts(home, home, cells):
                self._deliver(text_frame([head, *parts]), home, group, known=True)
        for (seen, home), group in movers.items():
            parts = self._parts(seen, home, cells)
            if parts:
                self._deliver(text_frame([head, *parts]), home, group, known=False)
            else:
                self._regroup(home, group)
        for home in [home for home, group in self._groups.items() if not group]:
            del self._groups[home]

    def tell(self, cell: int, frame: bytes) -> int:
        """Offer a frame to everybody who is shown ``cell``; returns how many sockets took it.

        Whoever is shown a cell has its home in that cell or beside it.
        """
        groups = [self._groups.get(home, {}) for home in self.watched(cell)]
        return sum(socket.offer(frame) for group in groups for socket in group.values())

    def _take_movers(self, homes: NDArray[np.int32]) -> dict[tuple[int, int], dict[int, Socket]]:
        """Take those whose home is not what they have seen out of their groups; by (seen, home)."""
        if self._stale:
            self._slots = np.array([slot for group in self._groups.values() for slot in group], np.intp)
            self._stale = False
        now, seen = homes[self._slots], self._seen[self._slots]
        moved = (now != seen) & (now != NOTHING)
        movers: dict[tuple[int, int], dict[int, Socket]] = {}
        for slot, before, home in zip(
            self._slots[moved].tolist(), seen[moved].tolist(), now[moved].tolist(), strict=True
        ):
            movers.setdefault((before, home), {})[slot] = self._groups[before].pop(slot)
        return movers

    def _parts(self, seen: int, home: int, cells: CellNews) -> list[bytes]:
        """The rest of the frame after its head, for watchers who know the cells around ``seen``; empty: no news."""
        known = self.watched(seen)
        around = self.watched(home)
        found = [
            cell
            for name in around
            if (cell := cells.news.get(name) if name in known else cells.full.get(name)) is not None
        ]
        dropped = [name for name in known if name not in around]
        if not found and not dropped and seen != NOTHING:
            return []
        end = b"]"
        if dropped:
            end += b',"drop":' + orjson.dumps(dropped)
        if seen == NOTHING:
            end += b',"reset":true'
        return [b",".join(found), end, b"}}"]

    def _deliver(self, frame: bytes, home: int, group: dict[int, Socket], known: bool) -> None:
        """Offer one frame to a whole group; who refuses it has seen nothing from now on."""
        self.joins += 1
        refused = {slot: socket for slot, socket in group.items() if not socket.offer(frame)}
        self.writes += len(group) - len(refused)
        self.skipped += len(refused)
        if refused:
            for slot in refused:
                del group[slot]
            self._regroup(NOTHING, refused)
        if not known:
            self._regroup(home, group)

    def _regroup(self, home: int, group: dict[int, Socket]) -> None:
        self._groups.setdefault(home, {}).update(group)
        self._seen[list(group)] = home
