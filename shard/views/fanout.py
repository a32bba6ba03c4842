"""From encoded cells to frames: what each watcher is sent for a tick, joined once per group of equals.

A group is everybody with the same history: they have been shown the same Watch (``watching.py``), and so they
share one frame, bytes and all. Who goes from one Watch to another, because it drove on or because the cells around it
changed, gets one frame that leads from the one to the other, shared by all who go the same way. Nothing here is done or
kept per watcher but to hand that frame to its socket.

A cell with period P is told in every P-th tick of its zone, with the rows that changed within P ticks. Cells take
turns, so that the load is even. A change of period begins with the longest window, so no row is lost to it; who comes
and who goes is told at once, whatever the period.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from shard.access.wsframe import text_frame
from shard.views.watching import BLANK, Watch, Watching
from shared.cells import FULL, CellEntry, CellPage, full_form
from shared.player_state import F64, I32

NOTHING = -1
"""Home of a watcher that has been shown nothing, or must forget it: its next frame carries ``reset``."""

_CLOSE = b"]},"
"""Ends a piece."""

Offer: TypeAlias = Callable[[bytes], bool | None]
"""Writes one frame now; False: refuses it because too much is unsent. A snapshot is replaceable, so none is queued."""


Group: TypeAlias = dict[int, Offer]
"""Watchers by slot, each with what its socket offers."""


class Socket(Protocol):
    """Where a watcher's frames go."""

    @property
    def offer(self) -> Offer:
        """As of now. The fan-out keeps it: one look less for every frame. ``Fanout.refresh`` when it is another."""


def phase(cell: int) -> int:
    """0 to 3: in which of four ticks a cell is due; spread over neighbours."""
    return (cell * 40503 >> 9) & 3


class _Page(NamedTuple):
    """A zone's cells, and how they are shown."""

    payload: bytes
    late_ticks: int
    fresh: bool
    elsewhere: Collection[int]


@dataclass(slots=True)
class CellNews:
    """All that the zones have to show at one tick, by cell id: pieces of JSON, entries of ``cells`` with a comma."""

    at_rates: bool = True
    """False: every cell is told in every tick, so ``second`` and ``fourth`` are not needed."""
    every: dict[int, bytes] = field(default_factory=dict)
    """What watchers are told who are told in every tick; absent: nothing changed."""
    second: dict[int, bytes] = field(default_factory=dict)
    """In every second tick. Absent also where it is not the cell's turn and nobody came or went."""
    fourth: dict[int, bytes] = field(default_factory=dict)
    _shown: dict[int, tuple[_Page, CellEntry]] = field(default_factory=dict)
    _full: dict[int, bytes | None] = field(default_factory=dict)

    def add(
        self, page: CellPage, turn: int, late_ticks: int = 0, fresh: bool = True, elsewhere: Collection[int] = ()
    ) -> None:
        """Take the cells of one zone. ``fresh``: not shown yet; otherwise the zone is late and its last cells stand.

        ``turn`` counts the ticks of the zone that were shown. ``late_ticks``: how much older than the frame the cells
        are. ``elsewhere``: slots that have left the zone since and that their new owner shows. The latest listing wins,
        so an older one must not list them again.
        """
        payload = page.payload
        place = _Page(payload, late_ticks, fresh, elsewhere)
        every, second, fourth, shown = self.every, self.second, self.fourth, self._shown
        if fresh and not self.at_rates:
            for entry in page.entries:
                cell, _, flags, _, _, head_at, rows_at, _, one, _, _, _ = entry
                shown[cell] = place, entry
                if flags:
                    every[cell] = _news(payload, entry, one)
                elif one > rows_at:
                    every[cell] = payload[head_at:one] + _CLOSE
        for entry in page.entries if self.at_rates or not fresh else ():
            cell, members, flags, _, _, head_at, rows_at, came, one, two, four, _ = entry
            shown[cell] = place, entry
            if not fresh:
                if members:
                    every[cell] = second[cell] = fourth[cell] = b'{"c":%d,"late":%d,"at":[]},' % (cell, late_ticks)
                continue
            if flags:
                due = turn + phase(cell)
                every[cell] = _news(payload, entry, one)
                second[cell] = _news(payload, entry, came if due & 1 else two)
                fourth[cell] = _news(payload, entry, came if due & 3 else four)
                continue
            if four == rows_at:
                continue
            due = turn + phase(cell)
            if one > rows_at:
                every[cell] = payload[head_at:one] + _CLOSE
            if not due & 1:
                if two > rows_at:
                    second[cell] = payload[head_at:two] + _CLOSE
                if not due & 3:
                    fourth[cell] = payload[head_at:four] + _CLOSE
        if fresh and (late_ticks or elsewhere):
            for pieces in (every, second, fourth):
                for entry in page.entries:
                    if (piece := pieces.get(entry[0])) is not None:
                        pieces[entry[0]] = _marked(_without(piece, elsewhere), late_ticks)

    def full(self, cell: int) -> bytes | None:
        """The cell for those who do not know it, as last committed; None: nobody is in it. Made when asked for."""
        if cell not in self._full:
            page, entry = self._shown.get(cell, (None, None))
            if page is None or entry is None or not entry[1]:
                self._full[cell] = None
            else:
                form = _full_form(page.payload, entry)
                self._full[cell] = _marked(_without(form, page.elsewhere), page.late_ticks)
        return self._full[cell]

    def window(self, cell: int) -> bytes | None:
        """The news of a cell with all rows that changed within four ticks: for those whose period changes."""
        page, entry = self._shown.get(cell, (None, None))
        if page is None or entry is None:
            return None
        _, _, flags, _, _, _, rows_at, _, _, _, four, _ = entry
        if page.fresh:
            if four == rows_at and not flags:
                return None
            piece = _news(page.payload, entry, four)
        else:  # who came or went at its last tick was told then
            piece = b'{"c":%d,"at":[%b]},' % (cell, page.payload[rows_at:four])
        return _marked(_without(piece, page.elsewhere), page.late_ticks)

    def news(self, cell: int, period: int) -> bytes | None:
        """What watchers of a cell with this period are told; None: nothing."""
        return (self.every if period == 1 else self.second if period == 2 else self.fourth).get(cell)


def _news(payload: bytes, entry: CellEntry, end: int) -> bytes:
    """What is told to those who know the cell, rows up to ``end``."""
    return _full_form(payload, entry) if entry[2] & FULL else payload[entry[5] : end] + _CLOSE


def _full_form(payload: bytes, entry: CellEntry) -> bytes:
    cell, _, _, who_at, who_end, _, rows_at, _, _, _, _, rows_end = entry
    return full_form(cell, payload[who_at:who_end], payload[rows_at:rows_end]) + _CLOSE


def _marked(piece: bytes, late_ticks: int) -> bytes:
    return b'{"late":%d,%b' % (late_ticks, piece[1:]) if late_ticks else piece


def _without(piece: bytes, slots: Collection[int]) -> bytes:
    """A cell that lists none of ``slots``. Parses JSON: for the rare tick in which a zone is late with releases."""
    if not slots:
        return piece
    parsed = orjson.loads(piece[:-1])
    rows = [row for row in parsed.pop("at") if row[0] not in slots]
    if "who" in parsed:
        parsed["who"] = [who for who in parsed["who"] if who[0] not in slots]
    return orjson.dumps({**parsed, "at": rows}) + b","


class Fanout:
    """Who watches what, and what each was shown last."""

    def __init__(self, slots: int, watching: Watching) -> None:
        self.watching = watching
        self._home = np.full(slots, NOTHING, np.int32)
        """(slots,) the home of the Watch that a watcher has been shown."""
        self._groups: dict[Watch, Group] = {BLANK: {}}
        """Watchers by the Watch that they have been shown."""
        self._watch_of: dict[int, Watch] = {}
        """Home to the Watch of those who have it: all of one home have been shown the same."""
        self._sockets: dict[int, Socket] = {}
        """Slot to socket of all watchers."""
        self._renewed: set[int] = set()
        """Slots whose socket has another ``offer`` than the one that is kept."""
        self._slots: NDArray[np.intp] = np.empty(0, np.intp)
        self._stale = False
        self.joins = 0
        """Frames joined so far."""
        self.writes = 0
        """Frames that sockets took."""
        self.skipped = 0
        """Frames that sockets refused."""
        self.refused = np.zeros(slots, np.uint32)
        """(slots,) of these, those of the socket that watches as each slot."""

    def watch(self, slot: int, socket: Socket) -> None:
        """Begin to show the world around ``slot`` to ``socket``, with a reset."""
        self.unwatch(slot)
        self._sockets[slot] = socket
        self._groups[BLANK][slot] = socket.offer
        self.refused[slot] = 0
        self._stale = True

    def unwatch(self, slot: int) -> None:
        """Stop. Harmless when nobody watches as ``slot``."""
        self._groups[self.shown(slot)].pop(slot, None)
        self._sockets.pop(slot, None)
        self._home[slot] = NOTHING
        self._stale = True

    def refresh(self, slot: int) -> None:
        """The socket that watches as ``slot`` has another ``offer`` now. Harmless when none does."""
        self._renewed.add(slot)

    def shown(self, slot: int) -> Watch:
        """What the client of a slot has been shown; BLANK for one that has been shown nothing."""
        return self._shown(int(self._home[slot]))

    @property
    def groups(self) -> Mapping[Watch, Collection[int]]:
        """Watchers' slots by what they have been shown."""
        return self._groups

    def _shown(self, home: int) -> Watch:
        return BLANK if home == NOTHING else self._watch_of[home]

    def publish(self, tick: int, t_ms: float, roots: I32, pos: F64 | None, cells: CellNews) -> None:
        """Write one frame to every watcher for whom there is anything to say.

        ``roots`` is (slots,): the committed square of CELL_M of each, -1 before its first tick; ``pos`` (slots, 3)
        metres, needed only when ``watching.split``. The zones' cells have been learnt by ``watching``.
        """
        head = b'{"type":"snapshot","payload":{"tick":%d,"t":%b,"cells":[' % (tick, orjson.dumps(round(t_ms, 3)))
        frames: list[tuple[bytes, Watch, Group]] = []
        self._take_offers()
        movers = self._take_movers(roots, pos)
        version, turn = self.watching.version, self.watching.turn
        for watch, group in list(self._groups.items()):
            if watch is BLANK or not group:
                continue
            stands = watch.valid_version == version and turn < watch.valid_before
            if stands or (now := self.watching.watch(watch.home)) is watch:
                if news := _news_of(watch, cells):
                    frames.append((_frame(head, news, watch.tail), watch, group))
            else:
                del self._groups[watch]
                assert now not in self._groups, f"two groups live in {now.home}"
                self._groups[now] = group
                self._watch_of[now.home] = now
                if frame := _passage(head, watch, now, cells):
                    frames.append((frame, now, group))
        for (seen, home), group in movers.items():
            now = self._enter(home)
            if frame := _passage(head, seen, now, cells):
                frames.append((frame, now, group))
        self._write(frames, tick)
        for (_, home), group in movers.items():
            self._regroup(self._watch_of[home], group)
        for watch in [watch for watch, group in self._groups.items() if not group and watch is not BLANK]:
            del self._groups[watch]
            if self._watch_of[watch.home] is watch:
                del self._watch_of[watch.home]

    def tell(self, cell: int, frame: bytes) -> int:
        """Offer a frame to everybody who is shown ``cell``; returns how many sockets took it."""
        groups = [group for watch, group in self._groups.items() if cell in watch.periods]
        return sum(self._sockets[slot].offer(frame) is not False for group in groups for slot in group)

    def _enter(self, home: int) -> Watch:
        """The Watch of those whose home this is now. Groups that were there have been brought up to it."""
        watch = self.watching.watch(home)
        self._watch_of[home] = watch
        self._groups.setdefault(watch, {})
        return watch

    def _take_offers(self) -> None:
        for slot in self._renewed & self._sockets.keys():
            self._groups[self.shown(slot)][slot] = self._sockets[slot].offer
        self._renewed.clear()

    def _take_movers(self, roots: I32, pos: F64 | None) -> dict[tuple[Watch, int], Group]:
        """Take those whose home is not what they have been shown out of their groups; by (shown, home)."""
        if self._stale:
            self._slots = np.array([slot for group in self._groups.values() for slot in group], np.intp)
            self._stale = False
        now, seen = roots[self._slots], self._home[self._slots]
        if self.watching.split:
            assert pos is not None, "a home is more than a square now: say where everybody stands"
            now = self.watching.homes(now, pos[self._slots], seen)
        moved = (now != seen) & (roots[self._slots] != NOTHING)
        movers: dict[tuple[Watch, int], Group] = {}
        for slot, before, home in zip(
            self._slots[moved].tolist(), seen[moved].tolist(), now[moved].tolist(), strict=True
        ):
            watch = self._shown(before)
            movers.setdefault((watch, home), {})[slot] = self._groups[watch].pop(slot)
        return movers

    def _write(self, frames: list[tuple[bytes, Watch, Group]], tick: int) -> None:
        """Offer each frame to its whole group; who refuses it has been shown nothing from now on.

        All frames are made before the first is written: the kernel takes most of the time of a write and leaves
        nothing of ours in the processor's cache.
        """
        for frame, watch, group in frames:
            taken = [offer(frame) for offer in group.values()]
            watch.sent_tick = tick
            self.joins += 1
            self.writes += len(taken)
            if False in taken:
                refused = [slot for slot, took in zip(group, taken, strict=True) if took is False]
                self.writes -= len(refused)
                self.skipped += len(refused)
                self.refused[refused] += np.uint32(1)
                self._regroup(BLANK, {slot: group.pop(slot) for slot in refused})

    def _regroup(self, watch: Watch, group: Group) -> None:
        self._groups[watch].update(group)
        self._home[list(group)] = watch.home


def _news_of(watch: Watch, cells: CellNews) -> bytes:
    """What is new in the cells of a Watch, for those who know them."""
    news = b"".join(filter(None, map(cells.every.get, watch.near)))
    if watch.middle:
        news += b"".join(filter(None, map(cells.second.get, watch.middle)))
    if watch.far:
        news += b"".join(filter(None, map(cells.fourth.get, watch.far)))
    return news


def _passage(head: bytes, seen: Watch, now: Watch, cells: CellNews) -> bytes:
    """The frame that leads from one Watch to another; empty: there is nothing to say."""
    known = seen.periods
    found = []
    for cell, period in now.periods.items():
        before = known.get(cell)
        if before == period:
            piece = cells.news(cell, period)
        else:
            piece = cells.full(cell) if before is None else cells.window(cell)
        if piece:
            found.append(piece)
    dropped = [cell for cell in known if cell not in now.periods]
    if not found and not dropped and seen is not BLANK:
        return b""
    tail = now.tail[1:]
    if seen is BLANK:
        tail = b',"reset":true' + tail
    if dropped:
        tail = b',"drop":' + orjson.dumps(dropped) + tail
    return _frame(head, b"".join(found), b"]" + tail)


def _frame(head: bytes, pieces: bytes, tail: bytes) -> bytes:
    return text_frame([head, pieces[:-1], tail])
