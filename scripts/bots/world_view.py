"""The world as one client is told: rebuilt from ``snapshot`` messages alone, in the documented order, nothing guessed.

This is the reference reading of the wire contract for tests and bots. A view never refuses a message; what a message
says that the contract forbids is returned in Changes, and it is for others to judge.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.messages import AtRow, SnapshotPayload

LATE_HOLDS_TICKS = 25
"""A mark ``late`` that is not repeated counts no longer than this: a cell that is never mentioned again is not late.
A little more than the second after which even a cell of parked cars shows up again."""

GONE_GRACE_TICKS = 40
"""Within this after a cell was told in full it may part with players who were not in it any more: a handoff keeps them
on the cell's list until their new owner shows them, and somebody may begin to watch the cell in between."""


@dataclass(slots=True)
class Entity:
    """One player as shown, under one slot. Lives as long as some watched cell lists the slot."""

    slot: int
    player: str
    name: str
    vehicle: str
    cell: int
    """The cell that listed the slot last."""
    tick: int = 0
    """Tick and server time (ms) of the message that brought ``row``; 0 before the first."""
    t_ms: float = 0.0
    row: AtRow | None = None
    """The newest row. None only if the server broke the contract: ``who`` without ``at``."""
    before: AtRow | None = None
    """The row before ``row``, and its time: what a client interpolates from."""
    before_t_ms: float = 0.0
    before_tick: int = 0


@dataclass(slots=True)
class Changes:
    """What one message did to the view, and what in it the contract forbids."""

    joined: list[int] = field(default_factory=list)
    """Slots that were not in the view before the message and are after it, or that name another player now."""
    left: list[Entity] = field(default_factory=list)
    """Entities that no cell lists any more."""
    renamed: list[Entity] = field(default_factory=list)
    """Entities of the last message whose slot names another player in this one."""
    twice: list[tuple[int, int]] = field(default_factory=list)
    """(older slot, newer slot) of one player, both in the view after the message."""
    without_row: list[int] = field(default_factory=list)
    """Slots with ``who`` but no ``at`` in the message."""
    unknown_rows: list[tuple[int, int]] = field(default_factory=list)
    """(cell, slot) with ``at``, of a slot that is not in the view."""
    unknown_gone: list[tuple[int, int]] = field(default_factory=list)
    """(cell, slot) of a slot that was never named to this view, and left a cell known for GONE_GRACE_TICKS."""


class WorldView:
    """Entities by slot. Mutated by ``apply`` and ``clear`` only; readers may keep no Entity across them."""

    def __init__(self) -> None:
        self.entities: dict[int, Entity] = {}
        self.slot_of: dict[str, int] = {}
        """Player to slot: the latest listing."""
        self.cells: dict[int, set[int]] = {}
        """Members of each watched cell that has any. A slot is in one cell at a time."""
        self.late: dict[int, int] = {}
        """Cells whose last entry was marked ``late``, and the tick of the message that said so."""
        self.tick = 0
        self.t_ms = 0.0
        """Tick and server time of the last message."""
        self.tier = 0
        """What the last message said that a crowd cost: 2 sight, 3 also turns."""
        self._named: set[int] = set()
        """Slots that any cell has ever listed."""
        self._full_tick: dict[int, int] = {}
        """Watched cells, and when each was last told in full, or mentioned first."""

    def find(self, player: str) -> Entity | None:
        """The entity of a player, if it is in the view."""
        slot = self.slot_of.get(player)
        return None if slot is None else self.entities.get(slot)

    def is_late(self, entity: Entity) -> bool:
        """Whether the server has told that the entity's cell stands still for now."""
        return entity.cell in self.late

    def clear(self) -> None:
        """Forget everything shown: the player went to the lobby. The tick of the last message stays."""
        self.entities.clear()
        self.slot_of.clear()
        self.cells.clear()
        self.late.clear()
        self._named.clear()
        self._full_tick.clear()

    def apply(self, snapshot: SnapshotPayload) -> Changes:
        """Apply one message: reset, drop, full cells cleared, all who, all at, all gone, then the unlisted removed."""
        changes = Changes()
        self.tick, self.t_ms, self.tier = snapshot.tick, snapshot.t, snapshot.tier
        unlisted: set[int] = set()
        if snapshot.reset:
            unlisted.update(self.entities)
            self.cells.clear()
            self.late.clear()
            self._full_tick.clear()
        for cell_id in snapshot.drop:
            unlisted |= self.cells.pop(cell_id, set())
            self.late.pop(cell_id, None)
            self._full_tick.pop(cell_id, None)
        for cell in snapshot.cells:
            if cell.full:
                unlisted |= self.cells.pop(cell.c, set())
            if cell.full or cell.c not in self._full_tick:
                self._full_tick[cell.c] = snapshot.tick
            if cell.late:
                self.late[cell.c] = snapshot.tick
            else:
                self.late.pop(cell.c, None)
        if self.late:
            self.late = {cell: tick for cell, tick in self.late.items() if snapshot.tick - tick <= LATE_HOLDS_TICKS}
        named = self._name(snapshot, changes)
        self._move(snapshot, changes)
        changes.without_row = [slot for slot in named if self.entities[slot].tick != snapshot.tick]
        self._part(snapshot, unlisted, changes)
        if unlisted:
            self._remove(unlisted, changes)
        if changes.twice:
            changes.twice = [pair for pair in changes.twice if self._same_player(*pair)]
        return changes

    def _name(self, snapshot: SnapshotPayload, changes: Changes) -> list[int]:
        """All ``who``: list each slot in the cell that says so and nowhere else. Returns the slots."""
        named: list[int] = []
        for cell in snapshot.cells:
            for who in cell.who:
                slot = who.slot
                named.append(slot)
                entity = self.entities.get(slot)
                if entity is None or entity.player != who.player:
                    if entity is not None:
                        self._forget_player(entity)
                        self._unlist(slot, entity.cell)
                        changes.renamed.append(entity)
                    if who.player in self.slot_of:
                        changes.twice.append((self.slot_of[who.player], slot))
                    if slot not in changes.joined:
                        changes.joined.append(slot)
                    self.slot_of[who.player] = slot
                    self.entities[slot] = Entity(slot, who.player, who.name, who.vehicle, cell.c)
                else:
                    if entity.cell != cell.c:
                        self._unlist(slot, entity.cell)
                    entity.cell, entity.name, entity.vehicle = cell.c, who.name, who.vehicle
                self.cells.setdefault(cell.c, set()).add(slot)
        self._named.update(named)
        return named

    def _move(self, snapshot: SnapshotPayload, changes: Changes) -> None:
        """All ``at``."""
        entities, tick, t_ms = self.entities, snapshot.tick, snapshot.t
        for cell in snapshot.cells:
            for row in cell.at:
                entity = entities.get(row.slot)
                if entity is None:
                    changes.unknown_rows.append((cell.c, row.slot))
                    continue
                entity.before, entity.before_t_ms, entity.before_tick = entity.row, entity.t_ms, entity.tick
                entity.row, entity.tick, entity.t_ms = row, tick, t_ms

    def _part(self, snapshot: SnapshotPayload, unlisted: set[int], changes: Changes) -> None:
        """All ``gone``; one counts only if the slot's current cell says so."""
        for cell in snapshot.cells:
            for slot in cell.gone:
                entity = self.entities.get(slot)
                if entity is None:
                    told_ticks = snapshot.tick - self._full_tick[cell.c]
                    if slot not in self._named and told_ticks > GONE_GRACE_TICKS:
                        changes.unknown_gone.append((cell.c, slot))
                elif entity.cell == cell.c:
                    self._unlist(slot, cell.c)
                    unlisted.add(slot)

    def _remove(self, unlisted: set[int], changes: Changes) -> None:
        """Remove those of ``unlisted`` that no cell lists now."""
        for slot in unlisted:
            entity = self.entities.get(slot)
            if entity is not None and slot not in self.cells.get(entity.cell, ()):
                del self.entities[slot]
                self._forget_player(entity)
                changes.left.append(entity)
                if slot in changes.joined:
                    changes.joined.remove(slot)

    def _unlist(self, slot: int, cell_id: int) -> None:
        """Take a slot off a cell's list, and the list away when it is empty."""
        members = self.cells.get(cell_id)
        if members is not None:
            members.discard(slot)
            if not members:
                del self.cells[cell_id]

    def _forget_player(self, entity: Entity) -> None:
        if self.slot_of.get(entity.player) == entity.slot:
            del self.slot_of[entity.player]

    def _same_player(self, one: int, other: int) -> bool:
        first, second = self.entities.get(one), self.entities.get(other)
        return first is not None and second is not None and first.player == second.player
