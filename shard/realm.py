"""The world of one shard in the main process: its players, its zones, its ticks. No sockets, no processes, no clock.

Everything comes in by a method with the time as a parameter, and goes out through a player's Client or a zone's link,
so that the same realm runs under sockets and spawned zones, and in a test that steps it by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Protocol

from ipc.control import Done, Place, PlacedAt, Resume, Seat, SetFlags
from shard.audit import Auditor
from shard.barrier import Barrier, ZoneDesk, ZoneLink
from shard.fanout import CellNews, Fanout, Socket
from shard.memory import Memory
from shard.slots import SlotPool
from shard.watching import Watching
from shared.constants import CELL_M, FLAG_AWAY, FLAG_GHOST
from shared.ids import Generation, Slot
from shared.messages import MovePayload, PlacedPayload, PlacedReason
from shared.vehicles import VEHICLE_INDEX
from shared.world.world import Pose, World
from shared.world.zone_map import ZoneMap


class Client(Socket, Protocol):
    """The player's end: frames and news of itself."""

    def placed(self, payload: PlacedPayload) -> None:
        """The server moved the player's car."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Who enters, and as what."""

    player: str
    name: str
    vehicle: str


@dataclass(slots=True)
class Occupant:
    """A player with a body in the world."""

    entry: Entry
    slot: Slot
    generation: Generation
    client: Client
    leaving: bool = False
    away: bool = False
    """The socket is lost, the body is held."""
    resumes: int = 0
    """Resumes on their way: placements from before the last of them are no news to its client."""


class _Nobody:
    """The client of a body that is held."""

    def offer(self, frame: bytes) -> bool:
        return False

    def placed(self, payload: PlacedPayload) -> None:
        pass


class Realm:
    """One shard's world. ``links`` are the ways to its zones, in their order."""

    def __init__(
        self,
        world: World,
        zone_map: ZoneMap,
        memory: Memory,
        links: Sequence[ZoneLink],
        period_ms: float,
        players_max: int,
        audit: bool = False,
        watching: Watching | None = None,
    ) -> None:
        self.world = world
        self.zone_map = zone_map
        self.players_max = players_max
        self.memory = memory
        self.tick = 0
        self.now_ms = 0.0
        """Time of the current tick, on the schedule."""
        slots = memory.geometry.slots
        desks = [ZoneDesk(zone, link, memory.arenas[zone]) for zone, link in enumerate(links)]
        self.barrier = Barrier(memory.table, memory.ring, desks, period_ms)
        self.fanout = Fanout(slots, watching or Watching(zone_map.size_m // CELL_M))
        self.auditor = Auditor(memory.table) if audit else None
        self._pool = SlotPool(slots)
        self._by_player: dict[str, Occupant] = {}
        self._by_slot: dict[int, Occupant] = {}
        self._waiting: dict[str, tuple[Entry, Client]] = {}
        """Players who will enter as soon as a slot is rested and their last body is gone: nobody has two."""
        self._freed: list[Seat] = []
        self._spawned = 0

    # --- players

    def has_room(self) -> bool:
        """Whether one more player may enter."""
        here = sum(not occupant.leaving for occupant in self._by_player.values())
        return here + len(self._waiting) < self.players_max

    @property
    def occupied(self) -> bool:
        """Whether anybody has a body."""
        return bool(self._by_player)

    def enter(self, entry: Entry, client: Client) -> None:
        """Give the player a body. ``client.placed`` follows within a tick or two."""
        last = self._by_player.get(entry.player)
        assert last is None or last.leaving, f"player {entry.player} is in the world already"
        self._waiting[entry.player] = entry, client

    def leave(self, player: str) -> None:
        """Take the player's body away, or the wish for one. Harmless without either."""
        self._waiting.pop(player, None)
        occupant = self._by_player.get(player)
        if occupant is not None and not occupant.leaving:
            occupant.leaving = True
            self.fanout.unwatch(occupant.slot)
            self.barrier.dismiss((occupant.slot, occupant.generation))

    def hold(self, player: str) -> bool:
        """The player's socket is lost: keep its body where it is, for all to see that it is away.

        False: there is no body to keep; a wish for one is dropped.
        """
        self._waiting.pop(player, None)
        occupant = self.occupant(player)
        if occupant is not None and not occupant.away:
            occupant.away = True
            occupant.client = _Nobody()
            self.fanout.unwatch(occupant.slot)
            self.barrier.command(SetFlags(occupant.slot, occupant.generation, FLAG_AWAY | FLAG_GHOST, 0))
        return occupant is not None

    def resume(self, player: str, client: Client) -> bool:
        """Give the player's body, or the wish for one, to another connection. ``client.placed`` follows.

        False: there is none, or its release is under way; then the player has to enter anew.
        """
        if player in self._waiting:
            self._waiting[player] = self._waiting[player][0], client
            return True
        occupant = self.occupant(player)
        if occupant is None:
            return False
        occupant.away = False
        occupant.client = client
        occupant.resumes += 1
        self.fanout.unwatch(occupant.slot)
        self.barrier.command(Resume(occupant.slot, occupant.generation))
        return True

    def respawn(self, player: str) -> bool:
        """Put the player's car where new ones appear; False when it has no body."""
        occupant = self.occupant(player)
        if occupant is not None:
            self.place(occupant, self._next_spawn(), "respawn")
        return occupant is not None

    def place(self, occupant: Occupant, pose: Pose, reason: PlacedReason, fresh: bool = False) -> None:
        """Move a car by the server's hand; ``client.placed`` tells when it is done."""
        self.barrier.command(Place(occupant.slot, occupant.generation, pose.x, pose.z, pose.yaw, reason, fresh))

    def occupant(self, player: str | None) -> Occupant | None:
        """The player's body, unless it has none or it is leaving."""
        occupant = None if player is None else self._by_player.get(player)
        return None if occupant is None or occupant.leaving else occupant

    def client(self, slot: int) -> Client:
        """The client of a body."""
        return self._by_slot[slot].client

    def sample(self, occupant: Occupant, recv_ms: float, move: MovePayload) -> bool:
        """Queue one sample of a car for its zone; False, and nothing is lost, when 64 are waiting.

        This is the hot path of a ``move``. ``recv_ms`` is server time when its bytes were received.
        """
        y, vy = move.y, move.vy
        return self.memory.ring.write(
            occupant.slot,
            recv_ms,
            move.t,
            move.x,
            nan if y is None else y,
            move.z,
            move.yaw,
            move.vx,
            0.0 if vy is None else vy,
            move.vz,
            move.epoch,
            move.seq,
        )

    # --- the tick

    def begin_tick(self, now_ms: float) -> None:
        """Start the next tick, whose time is ``now_ms`` on the schedule."""
        self.tick += 1
        self.now_ms = now_ms
        self._seat_waiting()
        sent = self.barrier.begin(self.tick, now_ms)
        if self.auditor is not None:
            ticks = [(desk.zone, desk.outstanding) for desk in self.barrier.desks if desk.zone in sent]
            for audit in (self.auditor.sent, self.auditor.adopted):
                for zone, tick in ticks:
                    if tick is not None:
                        audit(zone, tick)

    def commit(self, done: Done) -> None:
        """Take the Done of a zone."""
        committed = self.barrier.commit(done)
        if self.auditor is not None:
            self.auditor.committed(self.barrier.desks[done.zone], done)
        for placed in committed.placed:
            self._placed(placed, done.tick)
        self._freed += committed.freed

    def end_tick(self) -> None:
        """Show the tick to everybody. Zones that are still late are shown as they were."""
        watching, table = self.fanout.watching, self.memory.table
        cells = CellNews(at_rates=watching.row_budget > 0)
        for desk in self.barrier.desks:
            fresh = desk.committed != desk.shown
            assert not fresh or desk.base in (0, desk.shown), f"zone {desk.zone}: news against an unseen tick"
            if fresh:
                desk.turn += 1
                watching.learn(desk.zone, desk.cells)
            late_ticks = self.tick - desk.committed
            cells.add(desk.cells, desk.turn, late_ticks, fresh, self.barrier.shown_elsewhere(desk))
            desk.shown = desk.committed
        watching.tick()
        pos = table.committed("pos") if watching.split else None
        self.fanout.publish(self.tick, self.now_ms, table.committed("home"), pos, cells)
        for slot, _ in sorted(self._freed):  # in an order that does not depend on which zone answered first
            occupant = self._by_slot.pop(slot)
            del self._by_player[occupant.entry.player]
            self._pool.give_back(occupant.slot, self.now_ms)
        self._freed.clear()

    def _seat_waiting(self) -> None:
        for player, (entry, client) in list(self._waiting.items()):
            if player in self._by_player:
                continue  # the last body is still leaving
            seat = self._pool.take(self.now_ms)
            if seat is None:
                break
            del self._waiting[player]
            slot, generation = seat
            head = self.memory.ring.rewind(slot)
            vehicle = VEHICLE_INDEX[entry.vehicle]
            self.memory.table.seat(slot, generation, entry.player, entry.name, vehicle, head)
            occupant = Occupant(entry, slot, generation, client)
            self._by_player[player] = self._by_slot[slot] = occupant
            pose = self._next_spawn()
            self.barrier.admit(seat, self.zone_map.zone_of_point(pose.x, pose.z))
            self.place(occupant, pose, "enter", fresh=True)

    def _placed(self, event: PlacedAt, tick: int) -> None:
        occupant = self._by_slot.get(event.slot)
        if occupant is None or occupant.generation != event.generation or occupant.leaving:
            return
        occupant.resumes -= event.reason == "resume"
        if occupant.resumes or occupant.away:
            return  # a later placement answers the connection that is here now, or will be
        occupant.client.placed(
            PlacedPayload(
                epoch=event.epoch,
                slot=event.slot,
                x=event.x,
                y=event.y,
                z=event.z,
                yaw=event.yaw,
                tick=tick,
                reason=event.reason,
                vx=event.vx,
                vz=event.vz,
            )
        )
        if event.reason in ("enter", "resume"):
            self.fanout.watch(event.slot, occupant.client)

    def _next_spawn(self) -> Pose:
        self._spawned += 1
        return self.world.spawn(self._spawned)
