"""The world of one shard in the main process: its players, its zones, its ticks. No sockets, no processes, no clock.

Everything comes in by a method with the time as a parameter, and goes out through a player's Client or a zone's link,
so that the same realm runs under sockets and spawned zones, and in a test that steps it by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ipc.control import Done, Place, PlacedAt, Resume, Sanction, Seat, SetFlags, ToZone
from shard.conduct.conduct import Conduct
from shard.conduct.records import Records
from shard.fleet.audit import Auditor
from shard.fleet.barrier import Barrier, ZoneDesk, ZoneLink
from shard.fleet.memory import Memory
from shard.fleet.recorder import Recorder
from shard.fleet.relief import Relief
from shard.fleet.slots import SlotPool
from shard.land.attendant import Attendant
from shard.land.signals import Signals
from shard.players.occupants import Client, Entry, Nobody, Occupant
from shard.races.director import Director, Entrant
from shard.races.race_desk import RaceCounter, kiosk_rule
from shard.views.fanout import CellNews, Fanout
from shard.views.watching import Watching
from shared.constants import CELL_M, FLAG_AWAY, FLAG_FROZEN, FLAG_GHOST
from shared.ids import NO_ZONE
from shared.messages import PlacedPayload, PlacedReason, SignalKind
from shared.world.land import Land, land_of
from shared.world.world import Pose, World
from shared.world.zone_map import ZoneMap


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
        land: Land | None = None,
        watching: Watching | None = None,
    ) -> None:
        self.world = world
        self.land = land or land_of(world)
        self.vehicles = {vehicle.name: index for index, vehicle in enumerate(self.land.vehicles)}
        """Vehicle classes of this world, by name; the first is the default."""
        self.zone_map = zone_map
        self.period_ms = period_ms
        self.players_max = players_max
        self.memory = memory
        self.tick = 0
        self.now_ms = 0.0
        """Time of the current tick, on the schedule."""
        slots = memory.geometry.slots
        desks = [ZoneDesk(zone, link, memory.arenas[zone]) for zone, link in enumerate(links)]
        self.barrier = Barrier(memory.table, memory.ring, desks, period_ms)
        self.fanout = Fanout(slots, watching or Watching(zone_map.size_m // CELL_M))
        self.signals = Signals(self.fanout)
        self.attendant = Attendant(self, self.land)
        self.auditor = Auditor(memory.table) if audit else None
        self.recorder: Recorder | None = None
        self.races = Director(self.land.routes, self, world.hash, vehicles=self.land.vehicles, best=self.attendant.desk)
        self.races.may_join = kiosk_rule(self.land.kiosks, self.where)
        self.attendant.desk.races = RaceCounter(self.races)
        self.relief = Relief(self.fanout.watching, self.races)
        self._committed_ms = [0.0] * len(links)
        """Time of each zone's last committed tick."""
        self._pool = SlotPool(slots)
        self._by_player: dict[str, Occupant] = {}
        self._by_slot: dict[int, Occupant] = {}
        self._waiting: dict[str, tuple[Entry, Client]] = {}
        """Players who will enter as soon as a slot is rested and their last body is gone: nobody has two."""
        self.conduct = Conduct(memory)
        self.records = Records()
        self.removed: list[str] = []
        """Players whom the anti-cheat removes: whoever runs the sessions takes them from here after each tick."""
        self._freed: list[Seat] = []
        self._spawned = 0
        self.evacuated: Callable[[str], None] = lambda player: None
        """Told of each player whose zone could not be kept up with it."""

    # --- players

    def bodies(self) -> list[Occupant]:
        """Whoever has a body that has ticked and is not leaving."""
        ticks = self.memory.table.committed("tick")
        return [each for each in self._by_player.values() if not each.leaving and ticks[each.slot]]

    def revive(self, entry: Entry, slot: int, generation: int, x: float, z: float) -> Occupant | None:
        """Before the first tick: a player of the shard's last life has its body back, held; its row is fresh.

        None: its slot or its vehicle is no more.
        """
        assert self.tick == 0, "nobody is revived in a world that runs"
        if entry.vehicle not in self.vehicles or (seat := self._pool.claim(slot, generation)) is None:
            return None
        head, vehicle = self.memory.ring.rewind(slot), self.vehicles[entry.vehicle]
        self.memory.table.seat(slot, generation, entry.player, entry.name, vehicle, head)
        occupant = Occupant(entry, *seat, Nobody(), away=True)
        self._by_player[entry.player] = self._by_slot[slot] = occupant
        self.barrier.admit(seat, self.zone_map.zone_of_point(x, z))
        return occupant

    def number_on(self, tick: int, now_ms: float) -> None:
        """Before the first tick: it is the one after ``tick``; to clients a restart is a gap in one row of numbers."""
        assert self.tick == 0, "ticks are numbered already"
        self.tick, self.now_ms = tick, now_ms
        for desk in self.barrier.desks:
            desk.committed = desk.shown = tick

    def has_room(self) -> bool:
        """Whether one more player may enter."""
        if self.relief.door_closed:
            return False
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
            self._unwatch(occupant)
            self.barrier.dismiss((occupant.slot, occupant.generation))
        self.races.gone(player, self.now_ms)

    def hold(self, player: str) -> bool:
        """The player's socket is lost: keep its body where it is, for all to see that it is away.

        False: there is no body to keep; a wish for one is dropped.
        """
        self._waiting.pop(player, None)
        occupant = self.occupant(player)
        if occupant is not None and not occupant.away:
            occupant.away = True
            self._unwatch(occupant)
            occupant.client = Nobody()
            self.barrier.command(SetFlags(occupant.slot, occupant.generation, FLAG_AWAY | FLAG_GHOST, 0))
            self.races.away(player, self.now_ms)
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
        self._unwatch(occupant)
        occupant.away = False
        occupant.client = client
        occupant.resumes += 1
        self.barrier.command(Resume(occupant.slot, occupant.generation))
        self.races.back(player, self.now_ms)
        return True

    def respawn(self, player: str) -> bool:
        """Put the player's car on the nearest road, or on its wheels where there is none; False: it has no body."""
        occupant = self.occupant(player)
        if occupant is not None:
            table, slot = self.memory.table, occupant.slot
            half = table.front[slot]
            x, _, z = table.column("pos")[half, slot].tolist()
            self.place(occupant, self.land.respawn(x, z, float(table.column("yaw")[half, slot])), "respawn")
        return occupant is not None

    def frozen(self, player: str) -> bool:
        """Whether the player waits on the grid of a race."""
        occupant = self.occupant(player)
        if occupant is None:
            return False
        table, slot = self.memory.table, occupant.slot
        return bool(table.column("flags")[table.front[slot], slot] & FLAG_FROZEN)

    def place(self, occupant: Occupant, pose: Pose, reason: PlacedReason, fresh: bool = False) -> None:
        """Move a car by the server's hand; ``client.placed`` tells when it is done."""
        self.barrier.command(Place(occupant.slot, occupant.generation, pose.x, pose.z, pose.yaw, reason, fresh))

    def occupant(self, player: str | None) -> Occupant | None:
        """The player's body, unless it has none or it is leaving."""
        occupant = None if player is None else self._by_player.get(player)
        return None if occupant is None or occupant.leaving else occupant

    def occupant_at(self, slot: int) -> Occupant | None:
        """The body in a slot, unless there is none or it is leaving."""
        occupant = self._by_slot.get(slot)
        return None if occupant is None or occupant.leaving else occupant

    def signal(self, occupant: Occupant, kind: SignalKind, now_s: float) -> float:
        """Pass a gesture on to those who see the car; or return after how many seconds to try again."""
        table, slot = self.memory.table, occupant.slot
        return self.signals.make(slot, int(table.column("cell")[table.front[slot], slot]), kind, now_s)

    def _unwatch(self, occupant: Occupant) -> None:
        """Show its client nothing more, and take no more samples from it."""
        occupant.client.lane = None
        self.fanout.unwatch(occupant.slot)
        self.attendant.unwatch(occupant.slot)

    def where(self, player: str | None) -> tuple[float, float] | None:
        """Where the player's car was committed last, (x, z) in metres; None: no body, or before its first tick."""
        occupant = self.occupant(player)
        if occupant is None:
            return None
        table, slot = self.memory.table, occupant.slot
        half = int(table.front[slot])
        if not table.column("tick")[half, slot]:
            return None
        x, _, z = table.column("pos")[half, slot].tolist()
        return x, z

    def entrant(self, player: str) -> Entrant | None:
        """The player as one who may race; None without a body."""
        occupant = self.occupant(player)
        if occupant is None:
            return None
        return Entrant((occupant.slot, occupant.generation), occupant.entry.name, occupant.entry.vehicle)

    def committed_ms(self, slot: int) -> float:
        """Time of the last committed tick of the zone that owns the slot."""
        zone = int(self.memory.table.owner[slot])
        return self.now_ms if zone == NO_ZONE else self._committed_ms[zone]

    def client(self, slot: int) -> Client:
        """The client of a body."""
        return self._by_slot[slot].client

    # --- the tick

    def begin_tick(self, now_ms: float) -> None:
        """Start the next tick, whose time is ``now_ms`` on the schedule."""
        self.tick += 1
        self.now_ms = now_ms
        if self.recorder is not None:
            self.recorder.settle()
        self._seat_waiting()
        for order in self.races.take_orders():
            self.barrier.command(order)
        sent = self.barrier.begin(self.tick, now_ms)
        if self.recorder is not None:
            self.recorder.begun(self.tick, self.barrier.desks, sent)
        if self.auditor is not None:
            ticks = [(desk.zone, desk.outstanding) for desk in self.barrier.desks if desk.zone in sent]
            for audit in (self.auditor.sent, self.auditor.adopted):
                for zone, tick in ticks:
                    if tick is not None:
                        audit(zone, tick)

    def commit(self, done: Done) -> None:
        """Take the Done of a zone."""
        sent = self.barrier.desks[done.zone].outstanding
        committed = self.barrier.commit(done)
        assert sent is not None, "the barrier takes no Done unasked"
        self._committed_ms[done.zone] = sent.now_ms
        if self.recorder is not None:
            self.recorder.committed(self.barrier.desks[done.zone], done)
        if self.auditor is not None:
            self.auditor.committed(self.barrier.desks[done.zone], done)
        for placed in committed.placed:
            self._placed(placed, done.tick)
        self.attendant.judged(committed.kiosk_verdicts)
        for event in committed.races:
            self.races.zone_event(event, self.now_ms)
        self._freed += committed.freed
        self.conduct.take(done, committed.verdicts, self.barrier.leniency)
        for sanction in committed.sanctions:
            self._sanctioned(sanction)

    # --- zones whose worker is lost

    def successor(self, zone: int) -> list[ToZone]:
        """What makes a new worker the zone; see Barrier."""
        messages = self.barrier.successor(zone)
        if self.recorder is not None:
            self.recorder.assumed(zone, messages)
        return messages

    def drop_samples(self, zone: int) -> int:
        """Drop what waits to be judged for the zone's players; returns how many samples that were."""
        if self.recorder is not None:
            self.recorder.settle()
        dropped = self.barrier.drop_samples(zone)
        if self.recorder is not None:
            self.recorder.dropped_samples(self.barrier.desks[zone].index)
        if self.auditor is not None:
            self.auditor.dropped(self.barrier.desks[zone].index)
        return dropped

    def evacuate(self, zone: int) -> int:
        """Take the zone's players out of the world, without its worker; returns how many. ``evacuated`` is told."""
        if self.recorder is not None:
            self.recorder.settle()
        freed = self.barrier.abandon(zone)
        if self.auditor is not None:
            self.auditor.abandoned(freed)
        self._freed += freed
        leaving = [self._by_slot[slot] for slot, _ in freed]
        players = [occupant.entry.player for occupant in leaving if not occupant.leaving]
        for occupant in leaving:
            occupant.leaving = True
            self._unwatch(occupant)
        for player in players:
            self.races.gone(player, self.now_ms)
            self.evacuated(player)
        return len(players)

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
        homes = table.committed("home")
        pos = table.committed("pos") if watching.split else None
        self.fanout.publish(self.tick, self.now_ms, homes, pos, cells)
        self.attendant.ticked(homes)
        for slot, _ in sorted(self._freed):  # in an order that does not depend on which zone answered first
            occupant = self._by_slot.pop(slot)
            del self._by_player[occupant.entry.player]
            half, strikes = self.memory.table.front[slot], self.memory.table.column("strikes")
            self.records.left(occupant.entry.player, float(strikes[half, slot]), self.now_ms)
            self._pool.give_back(occupant.slot, self.now_ms)
        self._freed.clear()
        self.races.step(self.now_ms)
        for route in self.races.take_changed():
            self.attendant.desk.races_changed(route)
        self.relief.ticked(self.now_ms, len(self.barrier.late()), len(self.barrier.desks))

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
            vehicle = self.vehicles[entry.vehicle]
            self.memory.table.seat(slot, generation, entry.player, entry.name, vehicle, head)
            self.memory.table.column("strikes")[:, slot] = self.records.entered(entry.player, self.now_ms)
            self.memory.table.column("strikes_ms")[:, slot] = self.now_ms
            occupant = Occupant(entry, slot, generation, client)
            self._by_player[player] = self._by_slot[slot] = occupant
            self._spawned += 1
            pose = self.world.spawn(self._spawned, entry.spawn)
            self.barrier.admit(seat, self.zone_map.zone_of_point(pose.x, pose.z))
            self.place(occupant, pose, "enter", fresh=True)

    def _placed(self, event: PlacedAt, tick: int) -> None:
        occupant = self._by_slot.get(event.slot)
        if occupant is None or occupant.generation != event.generation or occupant.leaving:
            return
        if event.reason == "grid":
            self.races.on_grid(occupant.entry.player, self.now_ms)
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
                seq=event.seq,
                check=event.check,
            )
        )
        if event.reason in ("enter", "resume"):
            occupant.client.lane = self.memory.ring.lane(event.slot)
            self.fanout.watch(event.slot, occupant.client)
            self.attendant.watch(event.slot)

    def _sanctioned(self, sanction: Sanction) -> None:
        occupant = self._by_slot.get(sanction.slot)
        if occupant is None or occupant.generation != sanction.generation or occupant.leaving:
            return
        self.conduct.sanctioned(sanction, occupant.entry.player)
        if sanction.step == "ghosted" and not sanction.observed:
            self.races.invalidate(occupant.entry.player, "anti-cheat", self.now_ms)
        if sanction.step == "removed" and not sanction.observed and occupant.entry.player not in self.removed:
            self.removed.append(occupant.entry.player)
            self.conduct.removed(occupant.entry.player, sanction.score)
