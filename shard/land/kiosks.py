"""Kiosks in the main process: what may be done at which, what players share there, and every request to its end.

A request is one ``interact``. Main checks what can be known without the car (kiosk, action, arguments); the player's
zone judges the car (``zones/kiosks.py``); main then carries the action out and answers. Three may be lost on the way:
the command, when its player changes zones or leaves just then; the verdict, with its zone; the asker. So a request
ends in one of four ways, whichever comes first, and what comes later finds nothing to end::

    asked ──> refused at once            a wrong action or argument, or another request of the same car under way
      └─────> under way ──> carried out, or refused by the zone's verdict or by what is shared
                 ├────────> refused      TIMEOUT_MS without a verdict
                 └────────> dropped      the asker left, lost its socket or came back on another: nobody to answer

Pure: returns effects that ``attendant.py`` carries out. Nothing is done without a verdict, and a verdict that
comes too late does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias

from ipc.control import KioskVerdict, UseKiosk
from shard.land.best_times import BestTimes
from shared.messages import ClientFault, InteractPayload, KioskPayload, check_name
from shared.world.entries import BoardKiosk, GarageKiosk, RaceKiosk, TravelKiosk
from shared.world.land import Kiosk

State: TypeAlias = dict[str, Any]

TIMEOUT_MS: Final = 3000.0
"""A verdict takes a tick or two; a zone that takes longer hangs, and its player is told so."""

STATE_EVERY_MS: Final = 500.0
"""A kiosk's state is pushed at most twice a second: in a crowd each of hundreds may use it, and hundreds are told."""

NOT_OPEN: Final = "closed: races are not open yet"
RACING: Final = "racing: finish or leave the race first"


@dataclass(frozen=True, slots=True)
class Action:
    """Something that can be done at a kind of kiosk."""

    cooldown_ms: float = 0.0
    """Least time since the player's last use of any kiosk; 0: it only looks."""
    argument: str | None = None
    """The one that it needs, a string; None: it takes none."""


ACTIONS: Final[Mapping[str, Mapping[str, Action]]] = MappingProxyType(
    {
        "race": {
            "show": Action(),
            "open": Action(1000.0, "route"),
            "join": Action(1000.0, "race"),
        },
        "travel": {
            "list": Action(),
            "go": Action(5000.0, "to"),  # it moves a car between crowds: all who watch either are told
        },
        "garage": {
            "vehicle": Action(2000.0, "vehicle"),  # everybody who watches is told anew who it is
            "name": Action(2000.0, "name"),
        },
        "board": {
            "show": Action(),
        },
    }
)
"""By kind of kiosk. The published page lists the same."""


@dataclass(frozen=True, slots=True)
class Refused:
    """No, and why: a word for programs, a colon, and what the player has to change."""

    reason: str


class RaceDesk(Protocol):
    """What race kiosks need of whoever runs the races. All calls come from the main process, between ticks.

    A player asks here after its zone found it connected, near, slow and in no race. Whatever changes the result of
    ``show`` is to be told by ``KioskDesk.races_changed``, so that those near the kiosks see it.
    """

    def show(self, routes: Sequence[str]) -> list[State]:
        """The races that are open or under way on these routes, for ``state.races``: JSON objects, oldest first."""

    def race_of(self, player: str) -> str | None:
        """The race that a player takes part in, from joining it to its end."""

    def open(self, asker: Asker, route: str, now_ms: float) -> State | Refused:
        """Open a race on a route, for the asker and others. The result goes into ``state``, ``race`` in it."""

    def join(self, asker: Asker, race: str, routes: Sequence[str], now_ms: float) -> State | Refused:
        """Have the asker take part in a race if it is on one of ``routes``. The result goes into ``state``."""


# --- effects


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asked, in which car, by which message."""

    player: str
    slot: int
    generation: int
    re: int | None = None


@dataclass(frozen=True, slots=True)
class Judge:
    """Have the zone judge a request."""

    command: UseKiosk


@dataclass(frozen=True, slots=True)
class Answer:
    """End a request: tell its asker."""

    asker: Asker
    payload: KioskPayload


@dataclass(frozen=True, slots=True)
class Unknown:
    """There is no such kiosk: an ``error`` for the asker."""

    asker: Asker
    message: str


@dataclass(frozen=True, slots=True)
class Travel:
    """Place the asker's car at another kiosk."""

    asker: Asker
    to: Kiosk


@dataclass(frozen=True, slots=True)
class Change:
    """Give the asker another name or vehicle; None: as it is."""

    asker: Asker
    name: str | None = None
    vehicle: str | None = None


Effect: TypeAlias = Judge | Answer | Unknown | Travel | Change


@dataclass(frozen=True, slots=True)
class _Request:
    number: int
    asker: Asker
    kiosk: Kiosk
    action: str
    argument: str
    until_ms: float


class KioskDesk:
    """All kiosks of a land. ``vehicles`` are the names of the world's classes."""

    def __init__(self, kiosks: Sequence[Kiosk], vehicles: Sequence[str], races: RaceDesk | None = None) -> None:
        self.kiosks = tuple(kiosks)
        self.times = BestTimes()
        self.races = races
        """Who runs the races; None: nobody does yet."""
        self._vehicles = tuple(vehicles)
        self._by_id = {kiosk.id: index for index, kiosk in enumerate(self.kiosks)}
        self._last_use: dict[str, State] = {}
        self._changed: dict[int, None] = {}
        """Kiosks whose state is other than those near were told."""
        self._told_ms = [float("-inf")] * len(self.kiosks)
        self._requests: dict[int, _Request] = {}
        """Under way, by number; in the order of their ends by timeout."""
        self._of_slot: dict[int, int] = {}
        """Slot to the number of its request: a car has one at a time."""
        self._asked = 0

    # --- requests

    @property
    def under_way(self) -> int:
        """Requests that wait for their zone."""
        return len(self._requests)

    def ask(self, asker: Asker, wish: InteractPayload, now_ms: float) -> list[Effect]:
        """One ``interact`` of a player with a car."""
        index = self._by_id.get(wish.kiosk)
        if index is None:
            text = f"no kiosk `{wish.kiosk}` in this world: take its name from a chunk"
            return [Unknown(asker, ClientFault.quoting("unknown_kiosk", text).message)]
        kiosk = self.kiosks[index]
        argument = self._read(kiosk, wish)
        if isinstance(argument, Refused):
            return [_refusal(asker, kiosk, wish.action, argument.reason)]
        if self._bound(asker, kiosk, wish.action):
            return [_refusal(asker, kiosk, wish.action, RACING)]
        if asker.slot in self._of_slot:
            return [_refusal(asker, kiosk, wish.action, "busy: wait for the answer to your last request")]
        self._asked = number = (self._asked + 1) & 0xFFFFFFFF
        self._requests[number] = _Request(number, asker, kiosk, wish.action, argument, now_ms + TIMEOUT_MS)
        self._of_slot[asker.slot] = number
        cooldown_ms = ACTIONS[kiosk.kind][wish.action].cooldown_ms
        where = kiosk.x, kiosk.z, float(kiosk.entry.radius_m)
        return [Judge(UseKiosk(asker.slot, asker.generation, number, *where, cooldown_ms))]

    def judged(self, verdict: KioskVerdict, now_ms: float) -> list[Effect]:
        """The zone has judged. Nothing happens when the request has ended already."""
        request = self._requests.get(verdict.request)
        if request is None or (request.asker.slot, request.asker.generation) != (verdict.slot, verdict.generation):
            return []
        self._end(request)
        if verdict.reason is not None:
            return [_refusal(request.asker, request.kiosk, request.action, verdict.reason)]
        return self._carry_out(request, now_ms)

    def expire(self, now_ms: float) -> list[Effect]:
        """Give up requests whose time is over."""
        over: list[Effect] = []
        for request in list(self._requests.values()):
            if request.until_ms > now_ms:
                break  # those behind it were asked later
            self._end(request)
            reason = "no_answer: your zone did not answer in time, try again"
            over.append(_refusal(request.asker, request.kiosk, request.action, reason))
        return over

    def drop(self, slot: int) -> None:
        """The asker of this slot is gone: its request ends without an answer. Harmless without one."""
        number = self._of_slot.get(slot)
        if number is not None:
            self._end(self._requests[number])

    def _bound(self, asker: Asker, kiosk: Kiosk, action: str) -> bool:
        """Whether the asker has joined a race, and would drive elsewhere, or something else, when it starts.

        Zones refuse everything to who is on the grid; this begins with joining.
        """
        changes = kiosk.kind in ("travel", "garage") and ACTIONS[kiosk.kind][action].argument is not None
        return changes and self.races is not None and self.races.race_of(asker.player) is not None

    def _end(self, request: _Request) -> None:
        del self._requests[request.number]
        del self._of_slot[request.asker.slot]

    # --- what can be said without the car

    def _read(self, kiosk: Kiosk, wish: InteractPayload) -> str | Refused:
        """The argument of the action, "" where it takes none; or why it cannot be asked for."""
        actions = ACTIONS[kiosk.kind]
        action = actions.get(wish.action)
        if action is None:
            return Refused(f"unknown_action: a {kiosk.kind} kiosk has {', '.join(actions)}")
        args = wish.args or {}
        if action.argument is None:
            return Refused(f"bad_args: {wish.action} takes none, leave args out") if args else ""
        value = args.get(action.argument)
        if len(args) != 1 or not isinstance(value, str):
            return Refused(f'bad_args: {wish.action} takes {{"{action.argument}": a string}} and nothing else')
        return self._checked(kiosk, wish.action, value)

    def _checked(self, kiosk: Kiosk, action: str, value: str) -> str | Refused:
        match kiosk.entry, action:
            case TravelKiosk(), _:
                return _one_of("to", value, [each.id for each in self._targets(kiosk)])
            case GarageKiosk(), "vehicle":
                return _one_of("vehicle", value, self._offered(kiosk.entry))
            case GarageKiosk(), _:
                return _as_name(value)
            case RaceKiosk(), "open":
                return _one_of("route", value, kiosk.entry.routes)
        return value

    def _targets(self, kiosk: Kiosk) -> list[Kiosk]:
        """Where a travel kiosk leads."""
        entry = kiosk.entry
        assert isinstance(entry, TravelKiosk), f"{kiosk.id} is no travel kiosk"
        return [
            each
            for each in self.kiosks
            if each.kind == "travel" and each.id != kiosk.id and (not entry.to or each.id in entry.to)
        ]

    def _offered(self, entry: GarageKiosk) -> tuple[str, ...]:
        return entry.vehicles or self._vehicles

    # --- what the zone has allowed

    def _carry_out(self, request: _Request, now_ms: float) -> list[Effect]:
        asker, kiosk, argument = request.asker, request.kiosk, request.argument
        if self._bound(asker, kiosk, request.action):
            return [_refusal(asker, kiosk, request.action, RACING)]
        match kiosk.entry, request.action:
            case TravelKiosk(), "list":
                to = [{"kiosk": each.id, "x": each.x, "z": each.z} for each in self._targets(kiosk)]
                return [_answer(request, {"to": to})]
            case TravelKiosk(), _:
                self._used(request, now_ms)
                return [_answer(request, {"to": argument}), Travel(asker, self.kiosks[self._by_id[argument]])]
            case GarageKiosk(), "vehicle":
                self._used(request, now_ms)
                return [Change(asker, vehicle=argument), _answer(request, {"vehicle": argument})]
            case GarageKiosk(), _:
                self._used(request, now_ms)
                return [Change(asker, name=argument), _answer(request, {"name": argument})]
            case RaceKiosk(), "open" | "join":
                return [self._race(request, kiosk.entry.routes, now_ms)]
        return [_answer(request, self.state(kiosk))]

    def _race(self, request: _Request, routes: Sequence[str], now_ms: float) -> Answer:
        asker = request.asker
        if self.races is None:
            result: State | Refused = Refused(NOT_OPEN)
        elif request.action == "open":
            result = self.races.open(asker, request.argument, now_ms)
        else:
            result = self.races.join(asker, request.argument, routes, now_ms)
        if isinstance(result, Refused):
            return _refusal(request.asker, request.kiosk, request.action, result.reason)
        return _answer(request, result)

    def _used(self, request: _Request, now_ms: float) -> None:
        use = {"slot": request.asker.slot, "action": request.action, "atMs": now_ms}
        self._last_use[request.kiosk.id] = use
        self._changed[self._by_id[request.kiosk.id]] = None

    # --- what is shared

    def state(self, kiosk: Kiosk) -> State:
        """What those near are shown of a kiosk."""
        entry = kiosk.entry
        if isinstance(entry, RaceKiosk):
            races = [] if self.races is None else self.races.show(entry.routes)
            return {"routes": list(entry.routes), "races": races}
        if isinstance(entry, BoardKiosk):
            times = [
                {"player": line.player, "name": line.name, "vehicle": line.vehicle, "timeMs": line.time_ms}
                for line in self.times.of(entry.route)
            ]
            return {"route": entry.route, "times": times}
        state: State = {"vehicles": list(self._offered(entry))} if isinstance(entry, GarageKiosk) else {}
        if last := self._last_use.get(kiosk.id):
            state["lastUse"] = last
        return state

    def record(self, route: str, player: str, name: str, vehicle: str, time_ms: float) -> None:
        """Somebody finished a route in ``time_ms``: for its boards."""
        if self.times.record(route, player, name, vehicle, time_ms):
            self._mark(lambda entry: isinstance(entry, BoardKiosk) and entry.route == route)

    def races_changed(self, route: str) -> None:
        """Races on a route are others than before: for its race kiosks."""
        self._mark(lambda entry: isinstance(entry, RaceKiosk) and route in entry.routes)

    def take_changed(self, now_ms: float) -> list[int]:
        """Indices of the kiosks whose state is to be told to those near, now that all answers of a tick are given."""
        due = [index for index in self._changed if now_ms - self._told_ms[index] >= STATE_EVERY_MS]
        for index in due:
            del self._changed[index]
            self._told_ms[index] = now_ms
        return due

    def _mark(self, concerns: Callable[[Any], bool]) -> None:
        self._changed |= {index: None for index, kiosk in enumerate(self.kiosks) if concerns(kiosk.entry)}


def _one_of(argument: str, value: str, choices: Iterable[str]) -> str | Refused:
    known = list(choices)
    if value in known:
        return value
    return Refused(f"bad_args: {argument} is one of {', '.join(known)}" if known else f"bad_args: no {argument} here")


def _as_name(value: str) -> str | Refused:
    """By the same rules as the name of ``enter``."""
    try:
        check_name(value)
    except ValueError as fault:
        return Refused(f"bad_args: {fault}")
    return value


def _answer(request: _Request, state: State) -> Answer:
    return Answer(request.asker, KioskPayload(request.kiosk.id, request.action, True, state=state))


def _refusal(asker: Asker, kiosk: Kiosk, action: str, reason: str) -> Answer:
    return Answer(asker, KioskPayload(kiosk.id, action, False, reason))
