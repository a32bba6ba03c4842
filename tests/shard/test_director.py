"""The director: many races at once, who is in which, what zones and players are told, and that memory stays bounded."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ipc.control import Arm, Disarm, FalseStart, GateMissed, GatePassed, Implausible, Place, Seat, WrongWay
from shard.races import director as director_module
from shard.races.director import KEEP_MS, RACES_MAX, Director, Entrant, Refusal
from shard.races.race import COUNTDOWN_MS, SETTLE_MS
from shard.races.race_mail import Mail
from shard.races.receipts import Receipt
from shared.messages import Notice, RaceGate, RaceResult, RaceState, RaceStatePayload
from shared.world.land import Land
from tests.fakes.small_world import small_land

T0 = 1_700_000_000_000.0


@pytest.fixture(scope="module")
def land() -> Land:
    """Routes dash (from point to point, 8 on the grid), round (3 laps, cars only, 6), by-gates (2)."""
    return small_land()


@dataclass
class World:
    """Bodies by hand, best times and receipts noted, and a clock that the test moves."""

    land: Land
    now_ms: float = T0
    seats: dict[str, Seat] = field(default_factory=dict)
    vehicles: dict[str, str] = field(default_factory=dict)
    zone_lag_ms: float = 0.0
    slow: set[int] = field(default_factory=set)
    """Slots in zones that lag; empty: all do."""
    best: list[tuple[Any, ...]] = field(default_factory=list)
    signed: list[Receipt] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.director = Director(self.land.routes, self, "f" * 16, sign=self.sign, best=self)
        self._slot = 0

    def entrant(self, player: str) -> Entrant | None:
        seat = self.seats.get(player)
        return None if seat is None else Entrant(seat, f"Driver {player}", self.vehicles.get(player, "car"))

    def committed_ms(self, slot: int) -> float:
        return self.now_ms - (self.zone_lag_ms if slot in self.slow or not self.slow else 0.0)

    def record(self, route: str, player: str, name: str, vehicle: str, time_ms: float) -> None:
        self.best.append((route, player, name, vehicle, time_ms))

    def sign(self, receipt: Receipt, now_ms: float) -> str:
        self.signed.append(receipt)
        return f"token of {receipt.player} in {receipt.race}"

    def come(self, players: str) -> None:
        for player in players:
            self.seats[player] = (self._slot, 1)
            self._slot += 1

    def go(self, player: str) -> None:
        self.seats.pop(player, None)
        self.director.gone(player, self.now_ms)

    def open(self, player: str | None, route: str = "dash") -> str:
        opened = self.director.open(player, route, self.now_ms)
        assert isinstance(opened, str), opened
        return opened

    def join(self, players: str, race: str) -> None:
        for player in players:
            assert self.director.join(player, race, self.now_ms) == race

    def wait(self, ms: float) -> None:
        until_ms = self.now_ms + ms
        while self.now_ms < until_ms:
            self.now_ms = min(self.now_ms + 50.0, until_ms)
            self.director.step(self.now_ms)

    def start(self, race: str, players: str) -> float:
        """From open to running; returns the start."""
        self.director.close_list(race, self.now_ms)
        for player in players:
            self.director.on_grid(player, self.now_ms)
        self.wait(COUNTDOWN_MS)
        state = self.state(race)
        assert (state.phase, state.start_at_ms) == ("running", self.now_ms)
        return self.now_ms

    def state(self, race: str) -> RaceStatePayload:
        state = self.director.state(race)
        assert state is not None
        return state.payload

    def passes(self, player: str, race: int, lap: int, gate: int, at_ms: float, err_ms: float = 2.0) -> None:
        self.director.zone_event(GatePassed(*self.seats[player], race, lap, gate, at_ms, err_ms), self.now_ms)

    def drive(self, player: str, race: int, route: str, end_ms: float) -> None:
        """Through all gates, evenly, with the finish at ``end_ms``."""
        found = next(each for each in self.land.routes if each.id == route)
        gates = len(found.gates_m)
        last = gates * found.laps if found.closed else gates - 1
        begin_ms = next(
            state.payload.start_at_ms or 0.0 for state in [self.director.state(f"r{race}-{route}")] if state is not None
        )
        for index in range(last + 1):
            lap, gate = divmod(index, gates)
            self.passes(player, race, lap, gate, begin_ms + (end_ms - begin_ms) * (index + 1) / (last + 1))

    def mail(self, kind: type | None = None) -> list[Mail]:
        return [mail for mail in self.director.take_mail() if kind is None or isinstance(mail.message, kind)]


@pytest.fixture
def world(land: Land) -> World:
    return World(land)


def refusal(outcome: str | Refusal) -> str:
    assert isinstance(outcome, Refusal), outcome
    return f"{outcome.code}: {outcome.text}"


# --- a race from end to end


def test_zones_and_players_are_told_all_of_a_race(world: World) -> None:
    world.come("abx")
    race = world.open("a")
    assert race == "r1-dash"
    world.join("b", race)
    [first, second] = world.mail(RaceState)
    assert (first.players, second.players) == (("a",), ("a", "b"))
    world.director.close_list(race, world.now_ms)
    grid = world.land.routes[0].grid
    put = [Place(slot, 1, grid[slot].x, grid[slot].z, grid[slot].yaw, "grid", False) for slot in (0, 1)]
    assert world.director.take_orders() == put
    world.director.on_grid("a", world.now_ms)
    world.director.on_grid("b", world.now_ms)
    start_ms = world.now_ms + COUNTDOWN_MS
    assert world.director.take_orders() == [put[0], Arm(0, 1, 1, 0, start_ms), put[1], Arm(1, 1, 1, 0, start_ms)]
    world.join("x", race)  # too late to race: it watches
    world.wait(COUNTDOWN_MS)
    assert "x" not in {racer.player for racer in world.state(race).racers}
    world.mail()
    world.passes("b", 1, 0, 0, start_ms + 800.0, 3.5)
    [told] = world.mail()
    assert told.players == ("a", "b", "x")
    assert isinstance(told.message, RaceGate)
    gate = told.message.payload
    assert (gate.player, gate.lap, gate.gate, gate.at_ms, gate.err_ms) == ("b", 0, 0, start_ms + 800.0, 3.5)
    assert (gate.split_ms, gate.place, gate.gap_ms, gate.rev) == (800.0, 1, 0.0, world.state(race).rev)
    world.passes("a", 1, 0, 0, start_ms + 900.0)
    [told] = world.mail(RaceGate)
    assert isinstance(told.message, RaceGate)
    assert (told.message.payload.place, told.message.payload.gap_ms) == (2, 100.0)
    gates = len(world.land.routes[0].gates_m)
    for index in range(1, gates):
        world.wait(1000.0)
        world.passes("a", 1, 0, index, world.now_ms - 100.0)
        world.passes("b", 1, 0, index, world.now_ms - 50.0)
    assert world.director.take_orders() == [Disarm(0, 1), Disarm(1, 1)]
    world.mail()
    world.wait(SETTLE_MS)
    told_to = {mail.players: mail.message for mail in world.mail(RaceResult)}
    assert set(told_to) == {("a",), ("b",), ("x",)}
    receipts = {players: message.payload.receipt for players, message in told_to.items()}  # type: ignore[union-attr]
    assert receipts == {("a",): "token of a in r1-dash", ("b",): "token of b in r1-dash", ("x",): ""}
    places = told_to["a",].payload.places  # type: ignore[union-attr]
    time_ms = (gates - 1) * 1000.0 - 100.0
    assert [(line.place, line.player, line.status, line.time_ms) for line in places] == [
        (1, "a", "finished", time_ms),
        (2, "b", "finished", time_ms + 50.0),
    ]
    assert world.best == [
        ("dash", "a", "Driver a", "car", time_ms),
        ("dash", "b", "Driver b", "car", time_ms + 50.0),
    ]
    [receipt, _] = world.signed
    assert (receipt.world, receipt.place, receipt.of, receipt.start_ms) == ("f" * 16, 1, 2, start_ms)
    assert len(receipt.splits_ms) == gates
    assert world.director.race_of("a") is None


def test_laps_and_gates_are_shown_as_they_will_be_passed(world: World) -> None:
    world.come("a")
    race = world.open("a", "round")
    start_ms = world.start(race, "a")
    gates = len(world.land.routes[1].gates_m)
    shown = []
    for index in range(gates * 3 + 1):
        lap, gate = divmod(index, gates)
        [racer] = world.state(race).racers
        shown.append((racer.gate, racer.status))
        assert racer.gate == gate
        assert racer.lap == max(index - 1, 0) // gates
        world.passes("a", 1, lap, gate, start_ms + 100.0 * (index + 1))
    assert {status for _, status in shown} == {"racing"}
    assert world.state(race).racers[0].status == "finished"
    assert world.state(race).racers[0].lap == 3


def test_notices_go_to_the_one_they_concern(world: World) -> None:
    world.come("ab")
    race = world.open("a")
    world.join("b", race)
    start_ms = world.start(race, "ab")
    world.mail()
    seat = world.seats["a"]
    world.director.zone_event(GateMissed(*seat, 1, 3), world.now_ms)
    world.director.zone_event(WrongWay(*seat, 1), world.now_ms)
    world.director.zone_event(FalseStart(*seat, 1, start_ms - 300.0), world.now_ms)
    notices = world.mail(Notice)
    assert [mail.players for mail in notices] == [("a",)] * 3
    assert [mail.message.payload.code for mail in notices] == ["gate_missed", "wrong_way", "false_start"]  # type: ignore[union-attr]
    assert "gate 3" in notices[0].message.payload.message  # type: ignore[union-attr]
    world.director.zone_event(Implausible(*seat, 1, 2, "too fast"), world.now_ms)
    [first, second] = world.state(race).racers
    assert (first.player, second.player, second.flags, second.penalty_ms) == (
        "b",
        "a",
        ["false_start", "invalidated"],
        5000.0,
    )


def test_an_implausible_finish_told_behind_the_finish_still_counts(world: World) -> None:
    world.come("a")
    race = world.open("a")
    start_ms = world.start(race, "a")
    world.drive("a", 1, "dash", start_ms + 10.0)
    world.director.zone_event(Implausible(*world.seats["a"], 1, 4, "too fast"), world.now_ms)
    world.wait(1000.0)
    assert world.state(race).phase == "finished"
    assert world.state(race).racers[0].flags == ["invalidated"]
    assert world.best == []
    assert [receipt.status for receipt in world.signed] == ["invalidated"]


# --- joining and leaving


def test_wishes_that_cannot_be_granted_say_why(world: World) -> None:
    world.come("abt")
    world.vehicles["t"] = "truck"
    race = world.open("a")
    for outcome, reason in (
        (world.director.open("b", "nowhere", T0), "unknown_race: no route 'nowhere'; routes: dash, round, by-gates"),
        (world.director.open("nobody", "dash", T0), "not_allowed: you have no car yet"),
        (world.director.open("a", "dash", T0), "not_allowed: you are in a race: leave r1-dash first"),
        (world.director.open("t", "round", T0), "not_allowed: this route is driven in a car"),
        (world.director.join("b", "r9-dash", T0), "unknown_race: no such race"),
        (world.director.join("b", "dash", T0), "unknown_race: no such race"),
        (world.director.join("nobody", race, T0), "not_allowed: you have no car yet"),
        (world.director.leave("b", race, T0), "not_allowed: you are not in this race"),
        (world.director.leave("b", "r9", T0), "unknown_race: no such race"),
    ):
        assert refusal(outcome).startswith(reason)
    other = world.open("b")
    assert "leave r1-dash first" in refusal(world.director.join("a", other, T0))


def test_joining_again_is_harmless_and_leaving_an_open_race_is_not_for_good(world: World) -> None:
    world.come("ab")
    race = world.open("a")
    world.join("bb", race)
    assert [racer.player for racer in world.state(race).racers] == ["a", "b"]
    assert world.director.leave("b", race, T0) == race
    assert world.director.race_of("b") is None
    world.join("b", race)
    assert world.director.race_of("b") == race


def test_the_kiosk_rule_is_asked_before_anybody_joins(world: World) -> None:
    world.come("ab")
    asked = []

    def far_away(player: str, route: str) -> Refusal | None:
        asked.append((player, route))
        return Refusal("not_allowed", "drive to a race kiosk") if player == "b" else None

    world.director.may_join = far_away
    race = world.open("a")
    assert refusal(world.director.join("b", race, T0)) == "not_allowed: drive to a race kiosk"
    assert asked == [("a", "dash"), ("b", "dash")]


def test_developers_join_a_route_from_anywhere_and_others_do_not(world: World) -> None:
    world.come("abcd")
    assert "unknown_race" in refusal(world.director.join("a", "dash", T0))
    world.director.open_anywhere = True
    assert world.director.join("a", "dash", T0) == "r1-dash"
    assert world.director.join("b", "dash", T0) == "r1-dash"
    world.director.close_list("r1-dash", T0)
    assert world.director.join("c", "dash", T0) == "r2-dash", "that one is not open any more"
    assert world.director.join("d", "round", T0) == "r3-round"


def test_a_race_that_nobody_wants_any_more_ends_but_not_an_operators(world: World) -> None:
    world.come("ab")
    race, operators = world.open("a"), world.open(None)
    world.join("b", operators)
    for player, its in (("a", race), ("b", operators)):
        world.director.leave(player, its, T0)
    assert world.state(race).phase == "cancelled"
    assert world.state(operators).phase == "open"


def test_a_player_whose_race_is_over_for_it_joins_another_while_the_first_goes_on(world: World) -> None:
    world.come("ab")
    race = world.open("a")
    world.join("b", race)
    start_ms = world.start(race, "ab")
    world.drive("a", 1, "dash", start_ms + 9000.0)
    assert world.director.race_of("a") is None
    second = world.open("a", "by-gates")
    assert world.director.race_of("a") == second
    world.passes("a", 1, 0, 0, start_ms)  # an echo of the first
    assert world.state(second).racers[0].gate == 0
    world.wait(39_800.0)  # half a minute after the winner, and the second race waits for its grid
    assert world.state(race).phase == "finished"
    assert world.director.race_of("a") == second, "the end of the first frees nobody from the second"


def test_many_races_on_one_route_do_not_touch_each_other(world: World) -> None:
    world.come("abcd")
    first, second = world.open("a"), world.open("b")
    world.join("c", first)
    world.join("d", second)
    start_ms = world.start(first, "ac")
    world.passes("a", 1, 0, 0, start_ms + 1.0)
    world.passes("b", 1, 0, 0, start_ms + 1.0)
    assert world.director.strays == 1, "b does not race there"
    assert world.state(second).phase == "open"
    assert [(shown["race"], shown["phase"], shown["racers"]) for shown in world.director.show(["dash"])] == [
        (first, "running", 2),
        (second, "open", 2),
    ]
    assert world.director.show(["round"]) == []


def test_whoever_races_watches_no_other_race(world: World) -> None:
    world.come("abc")
    first, second = world.open("a"), world.open("b")
    world.start(first, "a")
    world.start(second, "b")
    refused = world.director.join("a", second, world.now_ms)
    assert isinstance(refused, Refusal)
    assert (refused.code, world.director.race_of("a")) == ("not_allowed", first)
    assert world.director.join("c", second, world.now_ms) == second


def test_kiosks_hear_of_changes_of_what_they_show(world: World) -> None:
    world.come("ab")
    race = world.open("a")
    assert world.director.take_changed() == ["dash"]
    world.join("b", race)
    assert world.director.take_changed() == ["dash"]
    start_ms = world.start(race, "ab")
    world.director.take_changed()
    world.passes("a", 1, 0, 0, start_ms + 5.0)
    assert world.director.take_changed() == []


# --- connections, bodies, the end


def test_who_leaves_the_world_is_out_and_its_next_car_is_not_in_the_race(world: World) -> None:
    world.come("ab")
    race = world.open("a")
    world.join("b", race)
    start_ms = world.start(race, "ab")
    world.director.take_orders()
    world.go("a")
    world.come("a")
    assert world.director.take_orders() == [], "there was no car left to disarm"
    world.passes("a", 1, 0, 0, start_ms + 5.0)
    assert world.director.strays == 1
    assert world.state(race).racers[-1].status == "dnf"


def test_whoever_comes_back_is_told_its_race_and_gets_its_receipts_again(world: World) -> None:
    world.come("ab")
    race = world.open("a")
    world.join("b", race)
    start_ms = world.start(race, "ab")
    world.director.away("a", world.now_ms)
    assert [racer.away for racer in world.state(race).racers] == [True, False]
    world.mail()
    world.director.back("a", world.now_ms)
    world.director.greet("a")
    mail = world.mail(RaceState)
    assert mail[-1].players == ("a",)
    assert not any(racer.away for racer in world.state(race).racers)
    for player in "ab":
        world.drive(player, 1, "dash", start_ms + 9000.0)
    world.wait(10_000.0)
    world.mail()
    world.director.greet("a")
    [again] = world.mail()
    assert again.players == ("a",)
    assert again.message.payload.receipt == "token of a in r1-dash"  # type: ignore[union-attr]
    assert len(world.signed) == 2, "signed once"
    assert world.director.join("b", race, world.now_ms) == race
    [asked] = world.mail()
    assert isinstance(asked.message, RaceResult)


def test_whoever_is_removed_is_disqualified(world: World) -> None:
    world.come("ab")
    race = world.open("a")
    world.join("b", race)
    world.start(race, "ab")
    world.director.removed("a", world.now_ms)
    world.go("a")
    assert [(racer.player, racer.status) for racer in world.state(race).racers] == [("b", "racing"), ("a", "dsq")]
    world.director.invalidate("b", "strikes", world.now_ms)
    assert [racer.player for racer in world.state(race).racers if "invalidated" in racer.flags] == ["b"]


def test_a_result_waits_for_the_zones_of_its_racers(world: World) -> None:
    world.come("a")
    race = world.open("a")
    start_ms = world.start(race, "a")
    world.zone_lag_ms = 5000.0
    world.wait(3000.0)
    world.drive("a", 1, "dash", start_ms + 2900.0)
    world.wait(2900.0 + 5000.0 + SETTLE_MS - 3000.0 - 50.0)
    assert world.state(race).phase == "finishing"
    world.wait(50.0)
    assert world.state(race).phase == "finished"


def test_a_result_does_not_wait_for_the_zone_of_a_car_that_is_gone(world: World) -> None:
    world.come("ab")
    race = world.open("a")
    world.join("b", race)
    start_ms = world.start(race, "ab")
    world.go("b")
    world.come("b")  # with another car
    world.zone_lag_ms, world.slow = 5000.0, {1}
    world.wait(3000.0)
    world.drive("a", 1, "dash", start_ms + 2900.0)
    world.wait(SETTLE_MS)
    assert world.state(race).phase == "finished"


def test_draining_cancels_all_and_says_why(world: World) -> None:
    world.come("ab")
    races = [world.open("a"), world.open("b", "round")]
    world.mail()
    world.director.drain(world.now_ms)
    assert [(world.state(race).phase, world.state(race).reason) for race in races] == [
        ("cancelled", "server_restart")
    ] * 2
    assert {mail.players for mail in world.mail(RaceState)} == {("a",), ("b",)}
    assert world.director.race_of("a") is None


def test_before_the_end_no_race_begins_and_who_drives_may_finish(world: World) -> None:
    world.come("abcd")
    running = world.open("a")
    start_ms = world.start(running, "a")
    counting = world.open("b", "round")
    world.director.close_list(counting, world.now_ms)
    world.director.on_grid("b", world.now_ms)
    opened = world.open("c")
    assert [world.state(race).phase for race in (running, counting, opened)] == ["running", "countdown", "open"]
    world.director.close(world.now_ms)
    ends = [(world.state(race).phase, world.state(race).reason) for race in (running, counting, opened)]
    assert ends == [("running", None), ("cancelled", "server_restart"), ("cancelled", "server_restart")]
    assert world.director.race_of("b") is world.director.race_of("c") is None
    assert "restarts" in refusal(world.director.open("d", "dash", world.now_ms))
    world.director.open_anywhere = True
    assert "restarts" in refusal(world.director.join("d", "dash", world.now_ms))
    assert world.director.join("d", running, world.now_ms) == running, "to watch is allowed"
    world.wait(3000.0)
    world.drive("a", 1, "dash", start_ms + 2900.0)
    world.wait(1000.0)
    assert world.state(running).phase == "finished"
    assert [receipt.status for receipt in world.signed] == ["finished"]
    world.director.drain(world.now_ms)
    assert world.state(running).phase == "finished"


def test_the_roster_learns_who_races(world: World) -> None:
    world.come("ab")
    race = world.open("a")
    world.join("b", race)
    assert world.director.take_moved() == ["a", "b"]
    assert world.director.take_moved() == []
    world.director.leave("b", race, T0)
    world.director.drain(T0)
    assert sorted(world.director.take_moved()) == ["a", "b"]


# --- bounds


def test_only_so_many_races_are_open_at_a_time(world: World) -> None:
    for _ in range(RACES_MAX):
        world.open(None)
    assert refusal(world.director.open(None, "dash", T0)).startswith("rate_limited: 128 races are on")
    world.wait(31_000.0)
    assert world.state("r1-dash").phase == "cancelled"
    world.open(None)


def test_races_that_are_over_are_forgotten_after_a_while(world: World) -> None:
    world.come("a")
    race = world.open("a")
    world.director.drain(T0)
    assert world.state(race).phase == "cancelled"
    world.wait(KEEP_MS - 50.0)
    assert world.director.state(race) is not None
    world.wait(100.0)
    assert world.director.state(race) is None
    assert "unknown_race" in refusal(world.director.join("a", race, world.now_ms))


def held(director: Director) -> int:
    """Entries of all collections of the director, races included."""
    own = [value for value in vars(director).values() if isinstance(value, dict | list)]
    inner = [
        getattr(record, name)
        for record in [*director._live.values(), *director._kept.values()]
        for name in ("seats", "watchers", "places", "receipts")
    ]
    return sum(len(each) for each in [*own, *inner])


def test_a_thousand_races_leave_nothing_behind(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(director_module, "KEPT_MAX", 20)
    sizes = []
    for number in range(1000):
        player = chr(ord("a") + number % 20)
        world.seats[player] = (number, 1)
        race = world.open(player, "by-gates")
        world.director.join("watcher", race, world.now_ms)
        start_ms = world.start(race, player)
        world.drive(player, number + 1, "by-gates", start_ms + 9000.0)
        if number % 3 == 0:
            world.go(player)
        world.now_ms += 20_000.0
        world.director.step(world.now_ms)
        world.director.take_mail()
        world.director.take_orders()
        world.director.take_moved()
        world.director.take_changed()
        if number % 100 == 99:
            sizes.append(held(world.director))
    assert max(sizes[1:]) <= sizes[1] + 2, sizes
    assert len(world.director._kept) <= 20
    gc.collect()


# --- random lives of players


class Lives(RuleBasedStateMachine):
    """Players come, race, lose connections and go in any order: everybody is in one race at most, and all agree."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(LAND)
        self.races: list[str] = []

    players = st.sampled_from("abcdef")

    @rule(player=players)
    def come(self, player: str) -> None:
        if player not in self.world.seats:
            self.world.come(player)

    @rule(player=players)
    def go(self, player: str) -> None:
        self.world.go(player)

    @rule(player=players, route=st.sampled_from(["dash", "round", "by-gates"]))
    def open(self, player: str, route: str) -> None:
        outcome = self.world.director.open(player, route, self.world.now_ms)
        if isinstance(outcome, str):
            self.races.append(outcome)

    @precondition(lambda self: self.races)
    @rule(player=players, which=st.integers(0, 9), how=st.sampled_from(["join", "join", "leave", "close"]))
    def wish(self, player: str, which: int, how: str) -> None:
        race, director = self.races[-1 - which % len(self.races)], self.world.director
        calls: dict[str, Callable[[], object]] = {
            "join": lambda: director.join(player, race, self.world.now_ms),
            "leave": lambda: director.leave(player, race, self.world.now_ms),
            "close": lambda: director.close_list(race, self.world.now_ms),
        }
        calls[how]()

    @rule(player=players, what=st.sampled_from(["grid", "away", "back", "removed", "gate", "gate", "gate"]))
    def happens(self, player: str, what: str) -> None:
        world, now_ms = self.world, self.world.now_ms
        if what == "gate":
            race = world.director.race_of(player)
            if race is None:
                return
            row = next(row for row in world.state(race).racers if row.player == player)
            number = int(race[1:].partition("-")[0])
            lap = row.lap + (row.gate == 0 and world.state(race).laps > 1 and row.status == "racing" and row.lap > 0)
            world.passes(player, number, lap, row.gate, now_ms - 20.0)
        else:
            getattr(world.director, {"grid": "on_grid"}.get(what, what))(player, now_ms)
            if what == "removed":
                world.go(player)

    @rule(ms=st.sampled_from([50.0, 1000.0, 5000.0, 31_000.0]))
    def wait(self, ms: float) -> None:
        self.world.now_ms += ms
        self.world.director.step(self.world.now_ms)

    @invariant()
    def everybody_is_in_one_race_and_all_agree(self) -> None:
        director = self.world.director
        in_races: dict[str, list[int]] = {}
        for number, record in director._live.items():
            assert not record.race.over
            for racer in record.race.racers.values():
                if not racer.ended:
                    in_races.setdefault(racer.player, []).append(number)
            assert set(record.watchers) <= set(director._watching)
        assert {player: [number] for player, number in director._racing.items()} == in_races
        assert not set(director._racing) & set(director._watching), "nobody races and watches"
        for player, number in director._watching.items():
            assert player in director._live[number].watchers
        assert set(director._by_id.values()) == {*director._live, *director._kept}
        assert all(record.race.over for record in director._kept.values())

    @invariant()
    def orders_name_cars_that_are_there(self) -> None:
        seats = set(self.world.seats.values())
        for order in self.world.director.take_orders():
            assert (order.slot, order.generation) in seats or not isinstance(order, Arm | Place)


LAND = small_land()
TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
