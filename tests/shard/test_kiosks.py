"""The desk: what can be asked of which kiosk, what follows a verdict, and that every request ends exactly once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ipc.control import KioskVerdict, UseKiosk
from shard.land.kiosks import (
    ACTIONS,
    NOT_OPEN,
    STATE_EVERY_MS,
    TIMEOUT_MS,
    Action,
    Answer,
    Asker,
    Change,
    Effect,
    Judge,
    KioskDesk,
    Refused,
    State,
    Travel,
    Unknown,
)
from shared.messages import InteractPayload, KioskPayload
from shared.world.entries import KIOSK_KINDS
from shared.world.land import land_of
from tests.fakes.kiosk_world import TRAVEL_A, kiosk_world

ROOT = Path(__file__).parents[2]
LAND = land_of(kiosk_world())
VEHICLES = [vehicle.name for vehicle in LAND.vehicles]
NOW_MS = 1_000_000.0
ANNA = Asker("anna", 3, 1, re=7)

GOOD: dict[tuple[str, str], dict[str, str | int | bool] | None] = {
    ("k-race", "show"): None,
    ("k-race", "open"): {"route": "dash"},
    ("k-race", "join"): {"race": "dash-1"},
    ("k-travel-a", "list"): None,
    ("k-travel-a", "go"): {"to": "k-travel-b"},
    ("k-garage", "vehicle"): {"vehicle": "kart"},
    ("k-garage", "name"): {"name": "Fast Anna"},
    ("k-board", "show"): None,
}


class Races:
    """A race desk that notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.racing: set[str] = set()

    def race_of(self, player: str) -> str | None:
        return "dash-1" if player in self.racing else None

    def show(self, routes: Sequence[str]) -> list[State]:
        return [{"race": "dash-1", "route": routes[0]}]

    def open(self, asker: Asker, route: str, now_ms: float) -> State | Refused:
        self.asked.append(("open", asker, route, now_ms))
        return {"race": f"{route}-2"}

    def join(self, asker: Asker, race: str, routes: Sequence[str], now_ms: float) -> State | Refused:
        self.asked.append(("join", asker, race, tuple(routes), now_ms))
        return Refused("full: all 8 places are taken")


def desk(races: Races | None = None) -> KioskDesk:
    return KioskDesk(LAND.kiosks, VEHICLES, races)


def ask(to: KioskDesk, kiosk: str, action: str, args: Any = None, asker: Asker = ANNA) -> list[Effect]:
    return to.ask(asker, InteractPayload(kiosk, action, args), NOW_MS)


def under_way(to: KioskDesk, kiosk: str, action: str, args: Any = None, asker: Asker = ANNA) -> UseKiosk:
    """Ask for something that the zone has to judge."""
    [effect] = ask(to, kiosk, action, args, asker)
    assert isinstance(effect, Judge), effect
    return effect.command


def granted(to: KioskDesk, command: UseKiosk, now_ms: float = NOW_MS + 50.0) -> list[Effect]:
    return to.judged(KioskVerdict(command.slot, command.generation, command.request, None), now_ms)


def changed(of: KioskDesk, now_ms: float = NOW_MS) -> list[str]:
    """The kiosks whose states are to be told; the clock of each test stands, so each is told once."""
    return [LAND.kiosks[index].id for index in of.take_changed(now_ms)]


def payload_of(effects: list[Effect]) -> KioskPayload:
    [answer] = [effect for effect in effects if isinstance(effect, Answer)]
    assert answer.asker == ANNA
    return answer.payload


def refusal(effects: list[Effect]) -> str:
    [effect] = effects
    payload = payload_of([effect])
    assert (payload.ok, payload.state) == (False, None)
    return str(payload.reason)


# --- what can be asked


def test_the_published_page_lists_the_actions_and_the_words_of_refusals() -> None:
    page = (ROOT / "shared" / "types" / "PROTOCOL.md").read_text()
    section = page[page.index("## Kiosks\n") : page.index("## Signals\n")]
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (?:-|`(\w+)`) \| .* \| (?:-|(\d+) s) \|$", section, re.MULTILINE)
    listed = {
        (kind, action): Action(1000.0 * float(wait or 0), argument or None) for kind, action, argument, wait in rows
    }
    assert listed == {(kind, action): each for kind, actions in ACTIONS.items() for action, each in actions.items()}
    source = "".join((ROOT / file).read_text() for file in ("shard/land/kiosks.py", "zones/kiosks.py"))
    words = set(re.findall(r"\"(\w+): [^\"]", source))
    assert set(re.findall(r"^\| `(\w+)` \| [^`|]*[^|]*\|$", section, re.MULTILINE)) >= words
    assert {"too_far", "too_fast", "cooldown", "racing", "away", "closed", "busy", "no_answer", "bad_args"} <= words


def test_the_examples_are_every_action_of_every_kind() -> None:
    kinds = {kiosk.id: kiosk.kind for kiosk in LAND.kiosks}
    assert {(kinds[kiosk], action) for kiosk, action in GOOD} == {
        (kind, action) for kind, actions in ACTIONS.items() for action in actions
    }
    assert set(ACTIONS) == set(KIOSK_KINDS)


@pytest.mark.parametrize(("kiosk", "action"), GOOD)
def test_a_good_wish_is_for_the_zone_to_judge_with_the_kiosks_circle(kiosk: str, action: str) -> None:
    command = under_way(desk(), kiosk, action, GOOD[kiosk, action])
    [stands] = [each for each in LAND.kiosks if each.id == kiosk]
    assert command == UseKiosk(3, 1, 1, stands.x, stands.z, 12.0, ACTIONS[stands.kind][action].cooldown_ms)
    looks = action in ("show", "list")
    assert (command.cooldown_ms == 0.0) == looks


def test_an_unknown_kiosk_is_an_error() -> None:
    assert ask(desk(), "nowhere", "go") == [
        Unknown(ANNA, "no kiosk `nowhere` in this world: take its name from a chunk")
    ]
    [effect] = ask(desk(), "\u202e\U0001f697" * 32, "go")
    assert isinstance(effect, Unknown)
    assert effect.message.isprintable()
    assert isinstance(ask(KioskDesk((), ()), "k-race", "show")[0], Unknown)


@pytest.mark.parametrize(
    ("kiosk", "action", "args", "reason"),
    [
        ("k-travel-a", "fly", None, "unknown_action: a travel kiosk has list, go"),
        ("k-board", "go", {"to": "k-travel-b"}, "unknown_action: a board kiosk has show"),
        ("k-race", "state", None, "unknown_action: a race kiosk has show, open, join"),
        ("k-board", "show", {"route": "dash"}, "bad_args: show takes none, leave args out"),
        ("k-travel-a", "go", None, 'bad_args: go takes {"to": a string} and nothing else'),
        ("k-travel-a", "go", {"to": 3}, 'bad_args: go takes {"to": a string} and nothing else'),
        ("k-travel-a", "go", {"to": True}, 'bad_args: go takes {"to": a string} and nothing else'),
        ("k-travel-a", "go", {"to": "k-travel-b", "x": 1}, 'bad_args: go takes {"to": a string} and nothing else'),
        ("k-travel-a", "go", {"to": "k-travel-a"}, "bad_args: to is one of k-travel-b"),
        ("k-travel-a", "go", {"to": "k-garage"}, "bad_args: to is one of k-travel-b"),
        ("k-travel-b", "go", {"to": "k-travel-b"}, "bad_args: to is one of k-travel-a"),
        ("k-garage", "vehicle", {"vehicle": "truck"}, "bad_args: vehicle is one of car, kart"),
        ("k-garage", "name", {"name": "ab"}, "bad_args: name must have 3 to 20 characters"),
        ("k-garage", "name", {"name": "x" * 21}, "bad_args: name must have 3 to 20 characters"),
        ("k-garage", "name", {"name": " Anna"}, "bad_args: name must not begin or end with a space"),
        ("k-garage", "name", {"name": "An\u202ena"}, "bad_args: name must not contain U+202E"),
        ("k-race", "open", {"route": "by-gates"}, "bad_args: route is one of dash, round"),
    ],
)
def test_what_cannot_be_asked_is_refused_at_once_with_what_can(kiosk: str, action: str, args: Any, reason: str) -> None:
    to = desk()
    assert refusal(ask(to, kiosk, action, args)).startswith(reason)
    assert to.under_way == 0


def test_a_car_has_one_request_at_a_time() -> None:
    to = desk()
    command = under_way(to, "k-board", "show")
    assert refusal(ask(to, "k-board", "show")).startswith("busy: ")
    under_way(to, "k-board", "show", asker=Asker("ben", 4, 1))
    granted(to, command)
    under_way(to, "k-board", "show")


# --- what follows a verdict


def test_what_the_zone_refuses_is_refused_in_its_words() -> None:
    to = desk()
    command = under_way(to, "k-travel-a", "go", {"to": "k-travel-b"})
    effects = to.judged(KioskVerdict(3, 1, command.request, "racing: finish first"), NOW_MS)
    assert refusal(effects) == "racing: finish first"
    assert changed(to) == []


def test_travel_answers_and_places_the_car() -> None:
    to = desk()
    effects = granted(to, under_way(to, "k-travel-a", "go", {"to": "k-travel-b"}))
    assert payload_of(effects) == KioskPayload("k-travel-a", "go", True, state={"to": "k-travel-b"})
    [travel] = [effect for effect in effects if isinstance(effect, Travel)]
    assert (travel.asker, travel.to.id) == (ANNA, "k-travel-b")


def test_a_list_names_where_a_travel_kiosk_leads() -> None:
    to = desk()
    state = payload_of(granted(to, under_way(to, "k-travel-b", "list"))).state
    assert state == {"to": [{"kiosk": "k-travel-a", "x": TRAVEL_A[0], "z": TRAVEL_A[1]}]}


def test_a_garage_changes_vehicle_or_name() -> None:
    to = desk()
    effects = granted(to, under_way(to, "k-garage", "vehicle", {"vehicle": "kart"}))
    assert effects[0] == Change(ANNA, vehicle="kart")
    assert payload_of(effects) == KioskPayload("k-garage", "vehicle", True, state={"vehicle": "kart"})
    effects = granted(to, under_way(to, "k-garage", "name", {"name": "Fast Anna"}))
    assert effects[0] == Change(ANNA, name="Fast Anna")
    assert payload_of(effects).state == {"name": "Fast Anna"}


def test_the_last_use_of_a_garage_is_its_state() -> None:
    to = desk()
    [garage] = [kiosk for kiosk in LAND.kiosks if kiosk.id == "k-garage"]
    assert to.state(garage) == {"vehicles": ["car", "kart"]}
    granted(to, under_way(to, "k-garage", "vehicle", {"vehicle": "kart"}))
    last = {"slot": 3, "action": "vehicle", "atMs": NOW_MS + 50.0}
    assert to.state(garage) == {"vehicles": ["car", "kart"], "lastUse": last}
    assert changed(to) == ["k-garage"]
    assert changed(to) == []


def test_a_board_shows_the_best_times_of_its_route() -> None:
    to = desk()
    to.record("round", "ben", "Ben", "car", 9000.0)
    assert changed(to) == [], "no board shows this route"
    to.record("dash", "ben", "Ben", "car", 9000.0)
    assert changed(to) == ["k-board"]
    [board] = [kiosk for kiosk in LAND.kiosks if kiosk.id == "k-board"]
    to.record("dash", "ben", "Ben", "car", 9500.0)
    assert changed(to) == []
    shown = payload_of(granted(to, under_way(to, "k-board", "show"))).state
    times = [{"player": "ben", "name": "Ben", "vehicle": "car", "timeMs": 9000.0}]
    assert shown == to.state(board) == {"route": "dash", "times": times}


def test_races_are_not_open_until_somebody_runs_them() -> None:
    to = desk()
    for action in ("open", "join"):
        assert refusal(granted(to, under_way(to, "k-race", action, GOOD["k-race", action]))) == NOT_OPEN
    assert payload_of(granted(to, under_way(to, "k-race", "show"))).state == {"routes": ["dash", "round"], "races": []}


def test_whoever_runs_the_races_opens_joins_and_shows_them() -> None:
    races = Races()
    to = desk(races)
    effects = granted(to, under_way(to, "k-race", "open", {"route": "dash"}), NOW_MS)
    assert payload_of(effects).state == {"race": "dash-2"}
    effects = granted(to, under_way(to, "k-race", "join", {"race": "dash-1"}), NOW_MS)
    assert refusal(effects) == "full: all 8 places are taken"
    assert races.asked == [("open", ANNA, "dash", NOW_MS), ("join", ANNA, "dash-1", ("dash", "round"), NOW_MS)]
    shown = payload_of(granted(to, under_way(to, "k-race", "show"))).state
    assert shown == {"routes": ["dash", "round"], "races": [{"race": "dash-1", "route": "dash"}]}
    to.races_changed("round")
    to.races_changed("dash")
    assert changed(to) == ["k-race"]
    to.races_changed("by-gates")
    assert changed(to) == []


def test_a_state_is_told_twice_a_second_at_most_and_the_last_change_is_not_forgotten() -> None:
    to = desk()
    to.races_changed("dash")
    assert changed(to) == ["k-race"]
    to.races_changed("dash")
    to.record("dash", "ben", "Ben", "car", 9000.0)
    assert changed(to, NOW_MS + STATE_EVERY_MS - 1.0) == ["k-board"]
    assert changed(to, NOW_MS + STATE_EVERY_MS) == ["k-race"]
    assert changed(to, NOW_MS + 10 * STATE_EVERY_MS) == []


# --- ends


def test_without_a_verdict_a_request_ends_by_itself_and_a_late_verdict_does_nothing() -> None:
    to = desk()
    command = under_way(to, "k-travel-a", "go", {"to": "k-travel-b"})
    assert to.expire(NOW_MS + TIMEOUT_MS - 1.0) == []
    assert refusal(to.expire(NOW_MS + TIMEOUT_MS)).startswith("no_answer: ")
    assert granted(to, command) == []
    assert changed(to) == []


@pytest.mark.parametrize(
    "verdict", [KioskVerdict(3, 2, 1, None), KioskVerdict(4, 1, 1, None), KioskVerdict(3, 1, 2, None)]
)
def test_a_verdict_on_somebody_else_does_nothing(verdict: KioskVerdict) -> None:
    to = desk()
    under_way(to, "k-travel-a", "go", {"to": "k-travel-b"})
    assert to.judged(verdict, NOW_MS) == []
    assert to.under_way == 1


def test_who_is_gone_gets_no_answer_and_nothing_is_done() -> None:
    to = desk()
    command = under_way(to, "k-garage", "vehicle", {"vehicle": "kart"})
    to.drop(3)
    to.drop(3)
    assert granted(to, command) == []
    assert to.expire(NOW_MS + 2 * TIMEOUT_MS) == []


class Ends(RuleBasedStateMachine):
    """Anything in any order: each request gets one answer, or none because its asker is gone; nothing else happens."""

    @initialize()
    def begin(self) -> None:
        self.desk = desk(Races())
        self.now_ms = NOW_MS
        self.asked = 0
        self.waiting: dict[int, tuple[UseKiosk, float]] = {}
        """By ``re``: what the zone was asked, and when."""
        self.sent: list[tuple[int, UseKiosk]] = []
        """Every question to a zone so far, also of requests that ended."""
        self.answers: Counter[int] = Counter()
        self.dropped: set[int] = set()
        self.generations = [1] * 3

    def take(self, effects: list[Effect], granted: int | None = None) -> None:
        for effect in effects:
            if isinstance(effect, Answer | Unknown):
                assert effect.asker.re is not None
                self.answers[effect.asker.re] += 1
                self.waiting.pop(effect.asker.re, None)
            elif isinstance(effect, Travel | Change):
                assert effect.asker.re == granted, "an action without its verdict"

    @rule(slot=st.integers(0, 2), wish=st.sampled_from([*GOOD, ("nowhere", "go"), ("k-board", "fly")]))
    def ask(self, slot: int, wish: tuple[str, str]) -> None:
        self.asked += 1
        asker = Asker(f"p{slot}", slot, self.generations[slot], self.asked)
        effects = self.desk.ask(asker, InteractPayload(*wish, GOOD.get(wish)), self.now_ms)
        assert len(effects) == 1
        if isinstance(effects[0], Judge):
            command = effects[0].command
            self.waiting[self.asked] = command, self.now_ms
            self.sent.append((self.asked, command))
        self.take(effects)

    @rule(pick=st.integers(0, 50), refuse=st.booleans(), stranger=st.integers(0, 5))
    def verdict(self, pick: int, refuse: bool, stranger: int) -> None:
        if not self.sent:
            return
        re, command = self.sent[-1 - pick % len(self.sent)]
        generation = command.generation + (stranger == 0)
        verdict = KioskVerdict(command.slot, generation, command.request, "too_far: no" if refuse else None)
        counts = re in self.waiting and stranger != 0
        effects = self.desk.judged(verdict, self.now_ms)
        assert bool(effects) == counts
        self.take(effects, None if refuse else re)

    @rule(ms=st.sampled_from([50.0, 1000.0, TIMEOUT_MS]))
    def time_passes(self, ms: float) -> None:
        self.now_ms += ms
        self.take(self.desk.expire(self.now_ms))
        assert all(self.now_ms - since_ms < TIMEOUT_MS for _, since_ms in self.waiting.values())

    @rule(slot=st.integers(0, 2), leaves=st.booleans())
    def asker_is_gone(self, slot: int, leaves: bool) -> None:
        self.desk.drop(slot)
        self.generations[slot] += leaves
        gone = {re for re, (command, _) in self.waiting.items() if command.slot == slot}
        self.dropped |= gone
        self.waiting = {re: each for re, each in self.waiting.items() if re not in gone}

    @invariant()
    def every_request_has_ended_once_or_is_under_way(self) -> None:
        assert self.desk.under_way == len(self.waiting)
        for number in range(1, self.asked + 1):
            assert self.answers[number] + (number in self.dropped) + (number in self.waiting) == 1


TestEnds = Ends.TestCase
TestEnds.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize(("kiosk", "action"), [key for key in GOOD if key[0] in ("k-travel-a", "k-garage")])
@pytest.mark.parametrize("joined", ["before", "meanwhile"])
def test_who_has_joined_a_race_neither_travels_nor_changes_its_car(kiosk: str, action: str, joined: str) -> None:
    races = Races()
    counter = desk(races)
    if joined == "before":
        races.racing.add("anna")
        effects = ask(counter, kiosk, action, GOOD[kiosk, action])
    else:
        command = under_way(counter, kiosk, action, GOOD[kiosk, action])
        races.racing.add("anna")
        effects = granted(counter, command)
    if action == "list":
        assert not [effect for effect in effects if isinstance(effect, Answer) and not effect.payload.ok]
        return
    assert refusal(effects) == "racing: finish or leave the race first"
    assert changed(counter) == []
    races.racing.clear()
    assert not isinstance(ask(counter, kiosk, action, GOOD[kiosk, action])[0], Answer)
