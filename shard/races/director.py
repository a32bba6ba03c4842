"""All races of the shard: who is in which, what zones are told, what players hear. No sockets, no zones, no clock.

A player is in one race at a time; a race whose racer it was before it left, finished or was put out goes on without it.
Races are named ``r17-grand-tour`` to players and 17 to zones; a number is never used again. What the director has to
say is collected: ``take_orders`` for the zones, ``take_mail`` for players, ``take_moved`` for the roster.

Memory is bounded: RACES_MAX races at a time; of those that are over the last KEPT_MAX, for KEEP_MS, so that whoever
comes late is told the state, and whoever was away gets its receipt. A player watches at most one race.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from ipc.control import Arm, Disarm, FalseStart, GateMissed, GatePassed, Implausible, Place, RaceEvent, Seat, WrongWay
from ipc.control import Command as Order
from shard.races import standings
from shard.races.race import FALSE_START_MS, due_ms, reduce
from shard.races.race_events import (
    ArmRacer,
    Away,
    Back,
    CloseList,
    Committed,
    Conclude,
    DisarmRacer,
    Drain,
    Event,
    Invalid,
    Join,
    Leave,
    LeftSlot,
    OnGrid,
    Passed,
    PutOnGrid,
    Removed,
    TellFalseStart,
    TellPassing,
    TellState,
)
from shard.races.race_mail import Mail, passing_of, places_of, receipt_of, result_of, state_of
from shard.races.race_memory import LASTING, RaceMemory, kept
from shard.races.race_record import Record
from shard.races.racers import BEFORE_START, MINUTE_MS, RACE_ID_CHARS, SECOND_MS, Race, RaceCard
from shard.races.receipts import Receipt
from shared.messages import ErrorCode, Notice, NoticePayload, RaceState
from shared.vehicles import VEHICLES, VehicleClass
from shared.world.routes import Route

RACES_MAX: Final = 128
"""At a time. A race costs main some microseconds per gate; this bounds what a crowd at the kiosks can ask for."""
KEEP_MS: Final = 10 * MINUTE_MS
KEPT_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class Entrant:
    """A player with a car."""

    seat: Seat
    name: str
    vehicle: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a wish is not granted: an error code and what to change."""

    code: ErrorCode
    text: str


class Bodies(Protocol):
    """What the director asks of the world."""

    def entrant(self, player: str) -> Entrant | None:
        """The player's car; None when it has none, or is about to lose it."""

    def committed_ms(self, slot: int) -> float:
        """Time of the last committed tick of the zone that owns the slot."""


class BestTimes(Protocol):
    """The best times of each route for the life of the shard."""

    def record(self, route: str, player: str, name: str, vehicle: str, time_ms: float) -> object:
        """A valid finish."""


Sign: TypeAlias = Callable[[Receipt, float], str]
"""(receipt, server time in ms) -> token."""
MayJoin: TypeAlias = Callable[[str, str], Refusal | None]
"""(player, route) -> why it may not join from where it is. The rule of race kiosks is put in here."""


class Director:
    """``now_ms`` is server time everywhere, and never goes back."""

    def __init__(
        self,
        routes: Sequence[Route],
        bodies: Bodies,
        world_hash: str = "",
        vehicles: Sequence[VehicleClass] = VEHICLES,
        sign: Sign | None = None,
        best: BestTimes | None = None,
        resume_ms: float = 30 * SECOND_MS,
        open_anywhere: bool = False,
    ) -> None:
        """``open_anywhere``: who joins a *route* joins, or opens, a race on it; for developers and bots."""
        self.best = best
        self.sign = sign
        self.resume_ms = resume_ms
        self.open_anywhere = open_anywhere
        self.may_join: MayJoin = lambda _player, _route: None
        self.overloaded = False
        """No race is opened for now: the shard is overloaded."""
        self.strays = 0
        """Events of zones about races or racers that are not here any more."""
        self._routes = {route.id: (index, route) for index, route in enumerate(routes)}
        self._bodies = bodies
        self._world = world_hash
        self._vehicles = tuple(vehicles)
        self._opened = 0
        self._closed = False
        """The server drains."""
        self._live: dict[int, Record] = {}
        self._kept: dict[int, Record] = {}
        """In the order in which they ended."""
        self._by_id: dict[str, int] = {}
        self._racing: dict[str, int] = {}
        self._watching: dict[str, int] = {}
        self._orders: list[Order] = []
        self._mail: list[Mail] = []
        self._moved: dict[str, None] = {}
        self._changed: dict[str, None] = {}

    # --- what players and kiosks want

    def open(self, player: str | None, route_id: str, now_ms: float) -> str | Refusal:
        """Open a race and have the player join it; None: an operator opens it. Returns its id."""
        if route_id not in self._routes:
            return Refusal("unknown_race", f"no route {route_id[:RACE_ID_CHARS]!r}; routes: {', '.join(self._routes)}")
        if self._closed:
            return Refusal("not_allowed", "the server restarts soon: no race begins any more")
        if self.overloaded:
            return Refusal("rate_limited", "the server is overloaded: no races are opened for now, join one or wait")
        if len(self._live) >= RACES_MAX:
            return Refusal("rate_limited", f"{RACES_MAX} races are on: join one of them, or wait")
        index, route = self._routes[route_id]
        if player is not None and (refusal := self._unfit(player, route)):
            return refusal
        self._opened += 1
        race = Race(RaceCard.of(route, self._opened, self._vehicles, self.resume_ms), now_ms)
        record = self._live[self._opened] = Record(race, route, index, player, due_ms=due_ms(race))
        self._by_id[race.card.id] = self._opened
        self._changed[route.id] = None
        if player is not None:
            self._enlist(record, player, now_ms)
        return race.card.id

    def join(self, player: str, race_id: str, now_ms: float) -> str | Refusal:
        """Have the player take part in a race that is open; a race that is not open any more it watches.

        Returns the id of the race. To join again changes nothing.
        """
        if self.open_anywhere and race_id in self._routes:
            joinable = next((card.id for card in self._open_cards() if card.route == race_id), None)
            if joinable is None:
                return self.open(player, race_id, now_ms)
            race_id = joinable
        record = self._find(race_id)
        if record is None:
            return Refusal("unknown_race", "no such race, or it has been over for a while")
        race = record.race
        if race.over and player in record.receipts:
            self._mail.append(Mail((player,), result_of(race, record.places, record.receipts[player])))
        if race.over or player in race.racers:
            return race_id
        if race.phase != "open":
            if player in self._racing:
                return Refusal("not_allowed", f"you are in a race: leave {self.race_of(player)} before you watch one")
            self._watch(player, record)
            return race_id
        if refusal := self._unfit(player, record.route):
            return refusal
        self._enlist(record, player, now_ms)
        return race_id

    def leave(self, player: str, race_id: str, now_ms: float) -> str | Refusal:
        """Have the player race or watch no more. Returns the id of the race."""
        record = self._find(race_id)
        if record is None:
            return Refusal("unknown_race", "no such race, or it has been over for a while")
        number = record.race.card.number
        if self._watching.get(player) == number:
            self._unwatch(player)
        elif self._racing.get(player) == number:
            self._leave(record, player, now_ms)
        elif player not in record.race.racers:
            return Refusal("not_allowed", "you are not in this race")
        return race_id

    def state(self, race_id: str, re: int | None = None) -> RaceState | None:
        """The whole state of a race, in answer to message ``re``; None: it is not known."""
        record = self._find(race_id)
        return None if record is None else state_of(record.race, re)

    def show(self, routes: Sequence[str]) -> list[dict[str, Any]]:
        """The races on these routes that are not over, as a kiosk shows them; the oldest first."""
        return [
            {
                "race": race.card.id,
                "route": race.card.route,
                "phase": race.phase,
                "racers": len(race.racers),
                "racersMax": race.card.racers_max,
                "closesAtMs": race.since_ms + race.card.open_ms if race.phase == "open" else None,
                "startAtMs": race.start_ms,
            }
            for race in (record.race for record in self._live.values())
            if race.card.route in routes
        ]

    def close_list(self, race_id: str, now_ms: float) -> None:
        """An operator, or the opener, wants the race to start now."""
        record = self._find(race_id)
        if record is not None:
            self._apply(record, CloseList(), now_ms)

    def race_of(self, player: str) -> str | None:
        """The race that the player takes part in: its car belongs on the route, not on the way elsewhere."""
        number = self._racing.get(player)
        return None if number is None else self._live[number].race.card.id

    # --- what becomes of players

    def gone(self, player: str, now_ms: float) -> None:
        """The player's car leaves the world, or the player the shard. Harmless for whoever has no part."""
        self._unwatch(player)
        if player in self._racing:
            self._leave(self._live[self._racing[player]], player, now_ms)

    def away(self, player: str, now_ms: float) -> None:
        """Its connection is lost, its car held."""
        self._tell_race(player, Away(player), now_ms)

    def back(self, player: str, now_ms: float) -> None:
        """Its car is given to another connection, after a loss or without one."""
        self._tell_race(player, Back(player), now_ms)

    def greet(self, player: str) -> None:
        """A new connection of the player: it is told the race that it is in or watches, and the results it may lack."""
        number = self._racing.get(player, self._watching.get(player))
        if number is not None:
            self._mail.append(Mail((player,), state_of(self._live[number].race)))
        for record in self._kept.values():
            if player in record.receipts:
                self._mail.append(Mail((player,), result_of(record.race, record.places, record.receipts[player])))

    def removed(self, player: str, now_ms: float) -> None:
        """Anti-cheat removes it: disqualified, and what it has just finished does not count. Before ``gone``."""
        for record in [record for record in self._live.values() if player in record.race.racers]:
            self._apply(record, Removed(player), now_ms)

    def invalidate(self, player: str, reason: str, now_ms: float) -> None:
        """What it does in its race does not count from now on."""
        self._tell_race(player, Invalid(player, reason), now_ms)

    def close(self, now_ms: float) -> None:
        """The server will end: no race begins any more, those whose start was not yet are cancelled."""
        self._closed = True
        for record in [record for record in self._live.values() if record.race.phase in BEFORE_START]:
            self._apply(record, Drain(), now_ms)

    def drain(self, now_ms: float) -> None:
        """The server ends: races that have not finished are cancelled."""
        for record in list(self._live.values()):
            self._apply(record, Drain(), now_ms)

    # --- what zones tell

    def on_grid(self, player: str, now_ms: float) -> None:
        """The player's car was placed for the reason ``grid``."""
        self._tell_race(player, OnGrid(player), now_ms)

    def zone_event(self, event: RaceEvent, now_ms: float) -> None:
        """One event of a Done."""
        record = self._live.get(event.race)
        player = None if record is None else record.seats.get((event.slot, event.generation))
        if record is None or player is None:
            self.strays += 1
            return
        match event:
            case GatePassed():
                passed = Passed(player, event.lap, event.gate, event.at_ms, event.err_ms)
                self._apply(record, passed, now_ms)
            case FalseStart():
                self._apply(record, LeftSlot(player, event.at_ms), now_ms)
            case Implausible():
                self._apply(record, Invalid(player, event.reason), now_ms)
            case GateMissed():
                self._notice(player, "gate_missed", f"you missed gate {event.gate}: go back and pass it")
            case WrongWay():
                self._notice(player, "wrong_way", "wrong way: turn round")

    def step(self, now_ms: float) -> None:
        """A tick has ended: whatever is due by time happens."""
        for record in [record for record in self._live.values() if now_ms >= record.due_ms]:
            self._apply(record, Committed(self._watermark_ms(record, now_ms)), now_ms)
        while self._kept:
            number, record = next(iter(self._kept.items()))
            if len(self._kept) <= KEPT_MAX and now_ms - record.over_ms < KEEP_MS:
                break
            del self._kept[number], self._by_id[record.race.card.id]

    # --- over the death of the main process

    def remember(self) -> RaceMemory:
        """What the shard's next life needs."""
        races = [kept(record.race, record.opener, record.seats) for record in self._live.values()]
        return RaceMemory(self._opened, races)

    def recall(self, memory: RaceMemory, now_ms: float) -> None:
        """Before the first tick, with the players' cars back: go on, or cancel, as ``race_memory.py`` says."""
        self._opened = memory.opened + RACES_MAX  # some may have been opened since, and told to players
        for each in memory.races:
            race, number = each.race, each.race.card.number
            index, route = self._routes[race.card.route]
            seats = {seat: player for player, seat in each.seats.items()}
            record = self._live[number] = Record(race, route, index, each.opener, seats, due_ms=due_ms(race))
            self._by_id[race.card.id] = number
            self._racing |= {racer.player: number for racer in race.active()}
            if race.phase not in LASTING:
                self._apply(record, Drain(), now_ms)
            for racer in record.race.active() if not record.race.over else ():
                if self._seat(racer.player, record):
                    self._apply(record, Away(racer.player), now_ms)
                else:
                    self._leave(record, racer.player, now_ms)

    # --- what is to be carried out

    def take_orders(self) -> list[Order]:
        """Commands for zones, in order; each is given once."""
        orders, self._orders = self._orders, []
        return orders

    def take_mail(self) -> list[Mail]:
        """Messages for players, in order; each is given once."""
        mail, self._mail = self._mail, []
        return mail

    def take_moved(self) -> list[str]:
        """Players who have begun or ceased to race since the last call."""
        moved, self._moved = self._moved, {}
        return list(moved)

    def take_changed(self) -> list[str]:
        """Routes for which ``show`` says something else than at the last call."""
        changed, self._changed = self._changed, {}
        return list(changed)

    # --- inside

    def _open_cards(self) -> list[RaceCard]:
        return [record.race.card for record in self._live.values() if record.race.phase == "open"]

    def _find(self, race_id: str) -> Record | None:
        number = self._by_id.get(race_id)
        return None if number is None else self._live.get(number) or self._kept[number]

    def _unfit(self, player: str, route: Route) -> Refusal | None:
        entrant = self._bodies.entrant(player)
        if entrant is None:
            return Refusal("not_allowed", "you have no car yet: wait for `placed`")
        if player in self._racing:
            return Refusal("not_allowed", f"you are in a race: leave {self.race_of(player)} first")
        if route.entry.vehicle not in (None, entrant.vehicle):
            return Refusal("not_allowed", f"this route is driven in a {route.entry.vehicle}: change vehicle first")
        return None if self.open_anywhere else self.may_join(player, route.id)

    def _enlist(self, record: Record, player: str, now_ms: float) -> None:
        entrant = self._bodies.entrant(player)
        assert entrant is not None, "only who has a car is enlisted"
        number = record.race.card.number
        self._unwatch(player)
        self._racing[player] = number
        self._moved[player] = None
        record.seats[entrant.seat] = player
        self._apply(record, Join(player, entrant.name, entrant.vehicle), now_ms)

    def _leave(self, record: Record, player: str, now_ms: float) -> None:
        self._apply(record, Leave(player), now_ms)
        self._free(player, record)
        race = record.race
        if race.phase == "open" and not race.racers and record.opener is not None:
            self._apply(record, CloseList(), now_ms)  # nobody is left of those who wanted it

    def _free(self, player: str, record: Record) -> None:
        """The player may join another race."""
        if self._racing.get(player) == record.race.card.number:
            del self._racing[player]
            self._moved[player] = None

    def _watch(self, player: str, record: Record) -> None:
        self._unwatch(player)
        self._watching[player] = record.race.card.number
        record.watchers[player] = None

    def _unwatch(self, player: str) -> None:
        number = self._watching.pop(player, None)
        if number is not None:
            self._live[number].watchers.pop(player, None)

    def _tell_race(self, player: str, event: Event, now_ms: float) -> None:
        number = self._racing.get(player)
        if number is not None:
            self._apply(self._live[number], event, now_ms)

    def _watermark_ms(self, record: Record, now_ms: float) -> float:
        """The earliest of the last committed ticks of all zones that hold one of its racers."""
        entrants = ((self._bodies.entrant(player), seat) for seat, player in record.seats.items())
        slots = [seat[0] for entrant, seat in entrants if entrant is not None and entrant.seat == seat]
        return min((self._bodies.committed_ms(slot) for slot in slots), default=now_ms)

    def _apply(self, record: Record, event: Event, now_ms: float) -> None:
        race, commands = reduce(record.race, event, now_ms)
        record.race = race
        if len(commands) != 1 or not isinstance(commands[0], TellPassing):
            record.due_ms = due_ms(race)  # to pass a gate brings nothing nearer
        for command in commands:
            match command:
                case TellState():
                    self._changed[race.card.route] = None
                    self._mail.append(Mail(record.audience, state_of(race)))
                case TellPassing(player):
                    self._mail.append(Mail(record.audience, passing_of(race, player)))
                case TellFalseStart(player):
                    text = f"false start: {FALSE_START_MS / SECOND_MS:.0f} s are added to your time"
                    self._notice(player, "false_start", text)
                case PutOnGrid(player, slot):
                    if seat := self._seat(player, record):
                        grid = record.route.grid[slot]
                        self._orders.append(Place(*seat, grid.x, grid.z, grid.yaw, "grid", False))
                case ArmRacer(player, start_ms):
                    if seat := self._seat(player, record):
                        self._orders.append(Arm(*seat, race.card.number, record.index, start_ms))
                case DisarmRacer(player):
                    if seat := self._seat(player, record):
                        self._orders.append(Disarm(*seat))
                    self._free(player, record)
                case Conclude():
                    self._conclude(record, now_ms)
        if race.over:
            self._shelve(record, now_ms)

    def _seat(self, player: str, record: Record) -> Seat | None:
        """The car with which the player joined, if it still has it."""
        entrant = self._bodies.entrant(player)
        return entrant.seat if entrant is not None and record.seats.get(entrant.seat) == player else None

    def _conclude(self, record: Record, now_ms: float) -> None:
        race = record.race
        placings = standings.final(race)
        record.places = places_of(placings)
        for placing in placings:
            racer = race.racers[placing.player]
            if self.best is not None and placing.status == "finished" and placing.time_ms:
                self.best.record(race.card.route, racer.player, racer.name, racer.vehicle, placing.time_ms)
            receipt = "" if self.sign is None else self.sign(receipt_of(race, placing, self._world), now_ms)
            record.receipts[placing.player] = receipt
            self._mail.append(Mail((placing.player,), result_of(race, record.places, receipt)))
        watchers = tuple(player for player in record.watchers if player not in record.receipts)
        if watchers:
            self._mail.append(Mail(watchers, result_of(race, record.places, "")))

    def _shelve(self, record: Record, now_ms: float) -> None:
        number = record.race.card.number
        if number not in self._live:
            return
        for player in list(record.watchers):
            self._unwatch(player)
        for player in record.race.racers:
            self._free(player, record)
        record.seats.clear()
        record.over_ms = now_ms
        del self._live[number]
        self._kept[number] = record

    def _notice(self, player: str, code: Any, text: str) -> None:
        self._mail.append(Mail((player,), Notice(NoticePayload(code, text))))
