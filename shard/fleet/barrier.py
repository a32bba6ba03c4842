"""The tick as a barrier, seen from main: who belongs to which zone, what each is sent, what is committed.

Main's whole dealing with zones is here, without processes, sockets or a clock; the supervisor drives it with real ones
and the tests step it by hand. The rules that the rest relies on:

- a zone's membership, main's columns and published heads change only while the zone is idle, in ``begin``;
- ``commit`` flips ``front`` for the members of exactly the Tick that the zone answers, and hands on its events;
- a released slot is free only after the Done of the Tick that released it;
- a zone whose worker is lost is a late zone: its Tick stays outstanding, word for word, until another worker has done
  it (``successor``). What main does about late zones is therefore all that it does about dead ones.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ipc.cell_arena import CellReader
from ipc.control import (
    ASSUMED_MAX,
    MESSAGES_PER_TICK_MAX,
    UNANSWERED,
    Assume,
    Command,
    Crossing,
    Done,
    KioskVerdict,
    PlacedAt,
    RaceEvent,
    Reidentify,
    Sanction,
    Seat,
    Tick,
    ToZone,
    Verdict,
)
from ipc.input_ring import InputWriter
from ipc.world_table import MainTable
from shard.conduct.leniency import Leniency
from shard.fleet.handoff import Ledger, Request, decide
from shared.cells import NO_CELLS, CellPage
from shared.ids import NO_ZONE

_FORGET_MAX = 8 * MESSAGES_PER_TICK_MAX
"""Forgets per Tick: 2,048 pairs are 24 KiB of its 64."""


class ZoneLink(Protocol):
    """The way to one zone."""

    def send(self, tick: Tick) -> None:
        """Hand the Tick over without waiting."""


@dataclass(slots=True)
class ZoneDesk:
    """What main knows of one zone."""

    zone: int
    link: ZoneLink
    arena: CellReader
    members: dict[int, int] = field(default_factory=dict)
    """Slot to generation, as of the last Tick sent."""
    index: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))
    """The members' slots as an array."""
    outstanding: Tick | None = None
    """The Tick that is not answered yet; None: the zone is idle."""
    committed: int = 0
    half: int = 1
    """Arena half of the last committed tick."""
    cells: CellPage = NO_CELLS
    """Cells of the last committed tick."""
    base: int = 0
    """The tick that their news are told against; 0: they are full."""
    shown: int = 0
    """The last tick whose cells went out to watchers."""
    turn: int = 0
    """Ticks whose cells went out so far."""
    crossings: list[Crossing] = field(default_factory=list)
    forget: list[Seat] = field(default_factory=list)
    leaving: list[Seat] = field(default_factory=list)
    """Players who left the world with the outstanding Tick."""
    held: set[int] = field(default_factory=set)
    """Slots that were released and may still be listed here: their ``forget`` is not committed."""
    listed: set[int] = field(default_factory=set)
    """Cells in which a watcher may believe somebody of this zone to be."""
    emptied: set[int] = field(default_factory=set)
    """Those of a worker that is lost: its successor knows nothing of them, so main says if they are empty now."""
    emptied_since: int = 0
    """The first committed tick that said so; 0: none has."""

    @property
    def idle(self) -> bool:
        """Whether the zone may be given a Tick."""
        return self.outstanding is None


@dataclass(frozen=True, slots=True)
class Committed:
    """What a Done brought, for the rest of main."""

    zone: int
    tick: int
    placed: list[PlacedAt]
    kiosk_verdicts: list[KioskVerdict]
    freed: list[Seat]
    """Slots whose players are gone for good from now on."""
    verdicts: list[Verdict]
    sanctions: list[Sanction]
    races: list[RaceEvent] = field(default_factory=list)


class Barrier:
    """All zones of the shard, tick by tick."""

    def __init__(self, table: MainTable, ring: InputWriter, desks: Sequence[ZoneDesk], period_ms: float) -> None:
        self.table = table
        self.ring = ring
        self.desks = desks
        self.ledger = Ledger(period_ms)
        self.leniency = Leniency(period_ms)
        self.unanswered = 0
        """Commands dropped because their player was gone."""
        self._arrivals: deque[tuple[Seat, int]] = deque()
        self._departures: dict[int, int] = {}
        self._commands: list[Command] = []

    # --- requests of the rest of main; they take effect at the next boundary at which the zone is idle

    def admit(self, seat: Seat, zone: int) -> None:
        """A player whose row is prepared joins ``zone``."""
        self._arrivals.append((seat, zone))

    def dismiss(self, seat: Seat) -> None:
        """A player leaves the world. ``freed`` of a later commit says when its slot is free."""
        self._departures[seat[0]] = seat[1]

    def command(self, command: Command) -> None:
        """Have the owner of the player obey, before the samples of its next tick."""
        self._commands.append(command)

    # --- the tick

    def begin(self, tick: int, now_ms: float) -> list[int]:
        """Send Tick ``tick`` to every idle zone; returns those zones."""
        idle = [desk for desk in self.desks if desk.idle]
        self.leniency.begin(now_ms, [desk.zone for desk in idle], sum(len(desk.members) for desk in self.desks))
        names = {desk.zone for desk in idle}
        adopted: dict[int, list[Seat]] = defaultdict(list)
        released: dict[int, list[Seat]] = defaultdict(list)
        self._depart(names, released)
        self._hand_off(names, adopted, released)
        self._arrive(names, adopted)
        commands = self._route(names)
        for desk in idle:
            zone = desk.zone
            if adopted[zone] or released[zone]:
                desk.index = np.array(sorted(desk.members), np.intp)
            self.table.head[desk.index] = self.ring.heads[desk.index]
            forget, desk.forget = desk.forget[:_FORGET_MAX], desk.forget[_FORGET_MAX:]
            desk.outstanding = Tick(
                tick=tick,
                now_ms=now_ms,
                half=desk.half ^ 1,
                shown=desk.shown,
                adopted=adopted[zone],
                released=released[zone],
                forget=forget,
                commands=commands[zone],
                late_ms=self.leniency.late_ms(zone),
                forgive=self.leniency.forgive,
            )
            desk.link.send(desk.outstanding)
        return [desk.zone for desk in idle]

    def commit(self, done: Done) -> Committed:
        """Take a zone's Done: its rows, cells and events become the truth in this one step."""
        desk = self.desks[done.zone]
        sent = desk.outstanding
        assert sent is not None, f"zone {done.zone} answered tick {done.tick} unasked"
        assert sent.tick == done.tick, f"zone {done.zone} answered tick {done.tick}, was asked for {sent.tick}"
        self.table.commit(desk.index)
        self.ring.tails[desk.index] = self.table.column("tail")[self.table.front[desk.index], desk.index]
        desk.outstanding = None
        last, desk.committed = desk.committed, done.tick
        desk.half = sent.half
        desk.held.difference_update(slot for slot, _ in sent.forget)
        self._take_cells(desk, done, last)
        for slot, _ in sent.adopted:
            if move := self.ledger.complete(slot, done.tick, sent.now_ms):
                self.desks[move.source].forget.append((move.slot, move.generation))
        desk.crossings = [event for event in done.events if isinstance(event, Crossing)]
        placed = [event for event in done.events if isinstance(event, PlacedAt)]
        uses = [event for event in done.events if isinstance(event, KioskVerdict)]
        asked = sum(not isinstance(command, UNANSWERED) for command in sent.commands)
        answers = len(uses) + sum(event.reason != "correction" for event in placed)
        self.unanswered += asked - answers
        self.leniency.flagged(done.flagged)
        freed, desk.leaving = desk.leaving, []
        verdicts = [event for event in done.events if isinstance(event, Verdict)]
        sanctions = [event for event in done.events if isinstance(event, Sanction)]
        races = [event for event in done.events if isinstance(event, RaceEvent)]
        return Committed(done.zone, done.tick, placed, uses, freed, verdicts, sanctions, races)

    def late(self) -> list[ZoneDesk]:
        """Zones whose Done is not in."""
        return [desk for desk in self.desks if not desk.idle]

    def mostly_late(self, tick: int) -> bool:
        """Whether most of the zones that were given this tick have not answered it."""
        late = sum(desk.outstanding is not None and desk.outstanding.tick == tick for desk in self.desks)
        return late > sum(desk.committed == tick for desk in self.desks)

    def shown_elsewhere(self, desk: ZoneDesk) -> set[int]:
        """Slots that a late zone has been told to release and that its last cells must not claim any more.

        Those whose new owner has not answered yet are not among them: nobody else shows them.
        """
        released = desk.outstanding.released if desk.outstanding else ()
        return {slot for slot, _ in released if not self.ledger.under_way(slot)}

    # --- workers that are lost; call these only for a zone whose worker is dead and whose last words are committed

    def successor(self, zone: int) -> list[ToZone]:
        """What makes a new worker the zone: its members as last committed, then the Tick that was not answered."""
        desk = self.desks[zone]
        members = dict(desk.members)
        unanswered: list[ToZone] = []
        if desk.outstanding is not None:
            unanswered.append(desk.outstanding)
            for slot, _ in desk.outstanding.adopted:
                del members[slot]
            members.update(desk.outstanding.released)
        desk.held = {slot for slot, _ in desk.outstanding.released} if desk.outstanding is not None else set()
        desk.emptied |= desk.listed
        desk.emptied_since = 0
        seats = sorted(members.items())
        parts = range(0, max(len(seats), 1), ASSUMED_MAX)
        return [*(Assume(zone, seats[at : at + ASSUMED_MAX]) for at in parts), *unanswered]

    def drop_samples(self, zone: int) -> int:
        """Have the zone's members begin behind all samples that wait for them; returns how many those are.

        Main writes a column of the zone here, which is in order because there is no zone.
        """
        desk = self.desks[zone]
        index, half = desk.index, self.table.front[desk.index]
        heads, tails = self.ring.heads[index], self.table.column("tail")
        dropped = int((heads - tails[half, index]).astype(np.int64).sum())
        tails[half, index] = self.table.head[index] = self.ring.tails[index] = heads
        return dropped

    def abandon(self, zone: int) -> list[Seat]:
        """Take every member out of the world at once, with the Tick that was not answered; returns the freed slots."""
        desk = self.desks[zone]
        freed = [*desk.members.items(), *desk.leaving]
        for slot, generation in desk.members.items():
            self.table.owner[slot] = NO_ZONE
            self._departures.pop(slot, None)
            if move := self.ledger.cancel(slot):  # it was coming: its old zone still lists it
                self.desks[move.source].forget.append((slot, generation))
        if desk.outstanding is not None:
            self.unanswered += sum(not isinstance(command, UNANSWERED) for command in desk.outstanding.commands)
        desk.outstanding = None
        desk.members.clear()
        desk.index = np.empty(0, np.intp)
        desk.crossings, desk.leaving = [], []
        return freed

    def _take_cells(self, desk: ZoneDesk, done: Done, last: int) -> None:
        """Read the cells of the tick that is committed now; ``last`` is the committed tick before it."""
        desk.cells = desk.arena.read(desk.half)
        desk.base = done.base
        told = {entry[0] for entry in desk.cells.entries}
        if done.omitted or desk.held or desk.shown != last:
            desk.listed |= told  # not all that is listed is told, or not all that was told was shown
        else:
            desk.listed = told
        if desk.emptied_since and desk.shown >= desk.emptied_since:
            desk.emptied.clear()
        if desk.emptied:
            desk.emptied_since = desk.emptied_since or done.tick
            desk.cells = desk.cells.with_empty(desk.emptied - told)

    # --- the steps of ``begin``

    def _depart(self, idle: set[int], released: dict[int, list[Seat]]) -> None:
        for slot, generation in list(self._departures.items()):
            zone = int(self.table.owner[slot])
            if zone == NO_ZONE or zone not in idle or len(released[zone]) >= MESSAGES_PER_TICK_MAX:
                continue  # not adopted yet, or its zone is late: later
            del self._departures[slot]
            seat = (slot, generation)
            desk = self.desks[zone]
            del desk.members[slot]
            self.table.owner[slot] = NO_ZONE
            released[zone].append(seat)
            desk.forget.append(seat)
            desk.leaving.append(seat)
            desk.held.add(slot)

    def _hand_off(self, idle: set[int], adopted: dict[int, list[Seat]], released: dict[int, list[Seat]]) -> None:
        requests = [
            Request(event.slot, event.generation, zone, event.target, event.left_ms)
            for zone in idle
            for event in self.desks[zone].crossings
            if self.desks[zone].members.get(event.slot) == event.generation
        ]
        for move in decide(requests, idle, MESSAGES_PER_TICK_MAX):
            source, target = self.desks[move.source], self.desks[move.target]
            seat = (move.slot, move.generation)
            del source.members[move.slot]
            source.held.add(move.slot)
            target.members[move.slot] = move.generation
            self.table.owner[move.slot] = move.target
            released[move.source].append(seat)
            adopted[move.target].append(seat)
            self.ledger.begin(move, source.committed)

    def _arrive(self, idle: set[int], adopted: dict[int, list[Seat]]) -> None:
        waiting: deque[tuple[Seat, int]] = deque()
        while self._arrivals:
            seat, zone = self._arrivals.popleft()
            if zone not in idle or len(adopted[zone]) >= MESSAGES_PER_TICK_MAX:
                waiting.append((seat, zone))
                continue
            self.desks[zone].members[seat[0]] = seat[1]
            self.table.owner[seat[0]] = zone
            adopted[zone].append(seat)
        self._arrivals = waiting

    def _route(self, idle: set[int]) -> dict[int, list[Command]]:
        """Commands in order, each to the owner of its player as of this tick."""
        routed: dict[int, list[Command]] = defaultdict(list)
        kept: list[Command] = []
        for command in self._commands:
            zone = int(self.table.owner[command.slot])
            if int(self.table.generation[command.slot]) != command.generation:
                self.unanswered += 1
            elif zone != NO_ZONE and zone in idle and len(routed[zone]) < MESSAGES_PER_TICK_MAX:
                routed[zone].append(command)
                if isinstance(command, Reidentify):
                    self.table.rename(command.slot, command.name, command.vehicle)
            elif zone == NO_ZONE and command.slot not in {seat[0] for seat, _ in self._arrivals}:
                self.unanswered += 1  # it has left
            else:
                kept.append(command)
        self._commands = kept
        return routed
