"""One zone over its blocks: takes a Tick, writes rows and cells, answers with a Done. No process, no pipe, no clock."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
from numpy.typing import NDArray

from ipc.cell_arena import CellWriter
from ipc.control import Done, Reidentify, Seat, Tick
from ipc.input_ring import InputReader
from ipc.world_table import ZoneTable
from shared.quadtree import NONE, QuadTree
from zones.encode import CellEncoder, who_row
from zones.interest import divide
from zones.listing import Listing
from zones.simulation import ZoneWorld, step


class Zone:
    """The members of one zone and what it takes to simulate and show them."""

    def __init__(
        self,
        world: ZoneWorld,
        table: ZoneTable,
        ring: InputReader,
        arena: CellWriter,
        clock_ns: Callable[[], int],
        row_budget: int = 0,
    ) -> None:
        self._world = world
        self._table = table
        self._ring = ring
        self._arena = arena
        self._clock_ns = clock_ns
        self._members: dict[int, int] = {}
        """Slot to generation; changes only by ``adopted`` and ``released`` of a Tick."""
        self._slots: NDArray[np.intp] = np.empty(0, np.intp)
        self._generations: NDArray[np.uint32] = np.empty(0, np.uint32)
        self._vehicles: NDArray[np.uint8] = np.empty(0, np.uint8)
        self._listing = Listing(len(table.front), row_budget)
        self._tree = QuadTree(world.cells_per_side)
        self._nodes = NONE
        """Cells that are split into four."""
        self._who: dict[int, bytes] = {}
        self._encoder = CellEncoder(self._who.__getitem__)
        self._last_tick = 0
        self.collections: Callable[[], int] = lambda: 0
        """How many garbage collections have landed in ticks: whoever owns the process knows."""

    def assume(self, members: list[Seat]) -> None:
        """Take these members over from a worker that was lost, before the first tick.

        Nothing else of it is needed: rows are in the table, and the first cells go out full.
        """
        for slot, generation in members:
            self._join(slot, generation)
        self._count_members()

    @property
    def members(self) -> Collection[int]:
        """Slots that it simulates."""
        return self._members.keys()

    def tick(self, tick: Tick) -> Done:
        """Do one tick. Writes the members' rows into the uncommitted half and the arena's half that the Tick names."""
        began = self._clock_ns()
        self._change_members(tick)
        slots = self._slots
        state = self._table.read(slots)
        heads = self._table.heads(slots)
        listed = state.cell.copy()
        outcome = step(self._world, tick, slots, self._generations, self._vehicles, state, heads, self._ring.read)
        self._nodes = divide(self._tree, state.pos, state.cell, self._nodes, self._listing.held())
        state.cell[:] = self._tree.settle(state.pos[:, 0], state.pos[:, 2], state.cell, listed, self._nodes)
        self._table.write(slots, state)

        in_full = tick.shown != self._last_tick
        news = self._listing.update(slots, state.cell, outcome.rows, tick.now_ms)
        cells = self._encoder.encode(slots, state.cell, outcome.rows, news, in_full)
        omitted = self._arena.write(tick.half, cells, self._nodes)
        self._encoder.owe(omitted)
        self._last_tick = tick.tick
        ended = self._clock_ns()
        return Done(
            zone=self._world.zone,
            tick=tick.tick,
            stamp_ns=ended,
            body_ns=ended - began,
            base=0 if in_full else tick.shown,
            members=len(slots),
            judged=outcome.judged,
            accepted=outcome.accepted,
            omitted=len(omitted),
            events=outcome.events,
            flagged=outcome.flagged,
            counts=outcome.counts,
            collections=self.collections(),
        )

    def _change_members(self, tick: Tick) -> None:
        self._listing.adopt(tick.adopted)
        self._listing.release(tick.released)
        self._listing.forget(tick.forget)
        for slot, generation in tick.released:
            assert self._members.pop(slot, None) == generation, f"slot {slot} was released but is no member"
        for slot, generation in tick.adopted:
            assert slot not in self._members, f"slot {slot} was adopted twice"
            self._join(slot, generation)
        if tick.adopted or tick.released:
            self._count_members()
        for command in tick.commands:
            if isinstance(command, Reidentify) and self._members.get(command.slot) == command.generation:
                self._who[command.slot] = self._who_entry(command.slot)
                self._listing.reintroduce(command.slot)
                self._vehicles = self._table.vehicles(self._slots)

    def _join(self, slot: int, generation: int) -> None:
        self._members[slot] = generation
        self._who[slot] = self._who_entry(slot)

    def _count_members(self) -> None:
        self._slots = np.array(sorted(self._members), np.intp)
        self._generations = np.array([self._members[slot] for slot in self._slots.tolist()], np.uint32)
        self._vehicles = self._table.vehicles(self._slots)

    def _who_entry(self, slot: int) -> bytes:
        player, name, vehicle = self._table.identity(slot)
        return who_row(slot, player, name, self._world.vehicles[vehicle].name)
