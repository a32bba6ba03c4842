"""The race reducer: the life of a race step by step, every fate, and random orders that never leave the tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any

import pytest
from hypothesis import event as seen
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from shard.races import race as race_module
from shard.races.race import (
    ANNOUNCE_MS,
    COUNTDOWN_MS,
    FALSE_START_MS,
    PATIENCE_MS,
    RACER_TRANSITIONS,
    SETTLE_MS,
    STAGING_MS,
    TRANSITIONS,
    deadline_ms,
    due_ms,
    reduce,
)
from shard.races.race_events import (
    ArmRacer,
    Away,
    Back,
    CloseList,
    Command,
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
from shard.races.racers import ENDED, OVER, SECOND_MS, Race, RaceCard, Racer
from shard.races.standings import final

T0 = 1_700_000_000_000.0
CARD = RaceCard("r1-dash", 1, "dash", gates=3, laps=1, closed=False, racers_max=4, time_limit_ms=300 * SECOND_MS)
LAPS = replace(CARD, id="r1-round", closed=True, laps=2)


@dataclass
class Play:
    """A race that is played by hand; ``now_ms`` is what the test says it is."""

    card: RaceCard = CARD
    now_ms: float = T0
    commands: list[Command] = field(default_factory=list)
    """Of the last call."""
    lag_ms: float = 0.0
    """By how much zones are behind."""

    def __post_init__(self) -> None:
        self.race = Race(self.card, self.now_ms)

    def tell(self, *events: Event) -> list[Command]:
        self.commands = []
        for event in events:
            self.race, commands = reduce(self.race, event, self.now_ms)
            self.commands += commands
        return self.commands

    def wait(self, ms: float) -> list[Command]:
        """Tick by tick, 50 ms each, as the director does it: the race is asked only when something is due."""
        self.commands = []
        until_ms = self.now_ms + ms
        while self.now_ms < until_ms:
            self.now_ms = min(self.now_ms + 50.0, until_ms)
            if self.now_ms >= due_ms(self.race):
                self.race, commands = reduce(self.race, Committed(self.now_ms - self.lag_ms), self.now_ms)
                self.commands += commands
        return self.commands

    def phase(self) -> str:
        return self.race.phase

    def racer(self, player: str) -> Racer:
        return self.race.racers[player]

    @property
    def start_ms(self) -> float:
        assert self.race.start_ms is not None
        return self.race.start_ms

    def join(self, players: str) -> None:
        self.tell(*(Join(player, f"Driver {player}", "car") for player in players))

    def count_down(self, players: str = "ab") -> Play:
        """To the countdown."""
        self.join(players)
        self.tell(CloseList())
        self.tell(*(OnGrid(player) for player in players))
        assert self.race.phase == "countdown"
        return self

    def start(self, players: str = "ab") -> Play:
        """To the start."""
        self.count_down(players)
        self.wait(COUNTDOWN_MS)
        assert self.race.phase == "running"
        return self

    def drive(self, player: str, *splits: float, err_ms: float = 2.0) -> list[Command]:
        """Pass the next gates at these times from the start."""
        commands: list[Command] = []
        for split in splits:
            lap, gate = divmod(self.racer(player).passed, self.card.gates)
            commands += self.tell(Passed(player, lap, gate, self.start_ms + split, err_ms))
        return commands


# --- the life of a race


def test_a_race_from_its_opening_to_its_result() -> None:
    play = Play()
    play.join("ab")
    assert play.tell(CloseList()) == [PutOnGrid("a", 0), PutOnGrid("b", 1), TellState()]
    assert play.tell(OnGrid("a")) == []
    start_ms = play.now_ms + COUNTDOWN_MS
    assert play.tell(OnGrid("b")) == [
        PutOnGrid("a", 0),
        ArmRacer("a", start_ms),
        PutOnGrid("b", 1),
        ArmRacer("b", start_ms),
        TellState(),
    ]
    told = play.wait(COUNTDOWN_MS)
    assert told == [TellState()] * 5, "each second again, and the start"
    assert play.phase() == "running"
    assert play.drive("a", 1000.0) == [TellPassing("a")]
    play.drive("b", 1100.0, 5000.0)
    play.drive("a", 5100.0)
    play.wait(9000.0)
    assert play.drive("b", 9000.0) == [TellPassing("b"), DisarmRacer("b"), TellState()]
    assert play.phase() == "finishing"
    play.wait(500.0)
    play.drive("a", 9400.0)
    assert play.phase() == "finishing", "an earlier finish may be on its way"
    told = play.wait(1000.0)
    assert play.phase() == "finished"
    assert told == [TellState(), Conclude()]
    assert [(each.player, each.place, each.time_ms) for each in final(play.race)] == [
        ("b", 1, 9000.0),
        ("a", 2, 9400.0),
    ]
    assert play.tell(Leave("a"), Drain(), Join("c", "C", "car")) == [], "nothing happens to it any more"


def test_a_lap_ends_at_gate_nought_again() -> None:
    play = Play(LAPS).start("a")
    play.drive("a", 100.0, 200.0, 300.0, 400.0, 500.0, 600.0)
    assert play.phase() == "running"
    play.tell(Passed("a", 1, 0, play.start_ms + 700.0, 1.0))
    assert play.racer("a").status == "racing", "that gate is passed: the next is gate 0 with two laps done"
    play.tell(Passed("a", 2, 0, play.start_ms + 700.0, 1.0))
    assert play.racer("a").status == "finished"


def test_it_starts_as_soon_as_the_grid_is_full() -> None:
    play = Play()
    play.join("abcd")
    assert play.phase() == "staging"
    assert [each.grid_slot for each in play.race.racers.values()] == [0, 1, 2, 3]
    play.join("e")
    assert "e" not in play.race.racers


def test_joining_twice_is_joining_once() -> None:
    play = Play()
    play.join("a")
    before = play.race
    assert play.tell(Join("a", "Another", "kart")) == []
    assert play.race is before


def test_who_leaves_an_open_race_was_never_in_it_and_may_come_back() -> None:
    play = Play()
    play.join("ab")
    assert play.tell(Leave("a")) == [TellState()]
    assert list(play.race.racers) == ["b"]
    play.join("a")
    play.tell(CloseList())
    assert [(each.player, each.grid_slot) for each in play.race.racers.values()] == [("b", 0), ("a", 1)]


@pytest.mark.parametrize(("joined", "phase"), [("a", "cancelled"), ("ab", "staging")])
def test_at_the_deadline_there_are_enough_or_it_is_cancelled(joined: str, phase: str) -> None:
    play = Play(replace(CARD, racers_min=2))
    play.join(joined)
    play.wait(CARD.open_ms - 50.0)
    assert play.phase() == "open"
    play.wait(50.0)
    assert play.phase() == phase
    assert play.race.reason == ("too_few" if phase == "cancelled" else "")


def test_who_does_not_get_to_the_grid_is_out_and_the_others_start() -> None:
    play = Play()
    play.join("abc")
    play.tell(CloseList(), OnGrid("a"), OnGrid("c"))
    play.wait(STAGING_MS - 50.0)
    assert play.phase() == "staging"
    commands = play.wait(50.0)
    assert play.phase() == "countdown"
    assert (play.racer("b").status, play.racer("b").reason) == ("dnf", "not_on_grid")
    assert DisarmRacer("b") in commands
    assert not {PutOnGrid("b", 1), ArmRacer("b", play.start_ms)} & set(commands)


def test_too_few_on_the_grid_or_at_the_start_cancel_it() -> None:
    for leavers in ("staging", "countdown"):
        play = Play(replace(CARD, racers_min=2))
        play.join("ab")
        play.tell(CloseList())
        if leavers == "countdown":
            play.tell(OnGrid("a"), OnGrid("b"))
        play.tell(Leave("b"), OnGrid("a"))
        commands = play.wait(STAGING_MS)
        assert (play.phase(), play.race.reason) == ("cancelled", "too_few")
        assert DisarmRacer("a") in commands or leavers == "staging"


def test_everybody_is_told_the_same_start_each_second_with_the_same_rev() -> None:
    play = Play().count_down()
    start_ms, rev = play.start_ms, play.race.rev
    for _ in range(4):
        assert play.wait(ANNOUNCE_MS) == [TellState()]
        assert (play.start_ms, play.race.rev) == (start_ms, rev)
    play.wait(ANNOUNCE_MS - 50.0)
    assert play.phase() == "countdown"
    assert {each.status for each in play.race.racers.values()} == {"grid"}


# --- starts


def test_a_false_start_costs_five_seconds_once() -> None:
    play = Play().count_down()
    assert play.tell(LeftSlot("a", play.start_ms - 200.0)) == [TellFalseStart("a"), TellState()]
    assert play.tell(LeftSlot("a", play.start_ms - 100.0)) == []
    play.wait(COUNTDOWN_MS)
    assert play.tell(LeftSlot("b", play.start_ms - 60.0)) == [TellFalseStart("b"), TellState()], (
        "told late, judged by time"
    )
    assert play.tell(LeftSlot("b", play.start_ms + 60.0)) == []
    play.drive("a", 1000.0, 2000.0, 10_000.0)
    placing = final_of(play, "a")
    assert (placing.time_ms, placing.penalty_ms, placing.flags) == (15_000.0, FALSE_START_MS, ("false_start",))


def final_of(play: Play, player: str) -> Any:
    return next(each for each in final(play.race) if each.player == player)


def test_passing_the_line_early_counts_as_at_the_start_and_is_a_false_start() -> None:
    play = Play().count_down()
    play.tell(Passed("a", 0, 0, play.start_ms - 500.0, 2.0))
    racer = play.racer("a")
    assert (racer.passings[0].at_ms, racer.penalty_ms, racer.valid) == (play.start_ms, FALSE_START_MS, True)
    assert racer.status == "grid"
    play.tell(Passed("a", 0, 1, play.start_ms - 100.0, 2.0))
    assert not play.racer("a").valid
    assert play.racer("a").penalty_ms == FALSE_START_MS


def test_who_is_through_before_the_start_has_no_valid_result() -> None:
    play = Play().count_down()
    for gate in range(3):
        play.tell(Passed("a", 0, gate, play.start_ms - 500.0 + gate, 2.0))
    assert play.racer("a").status == "grid"
    play.wait(COUNTDOWN_MS)
    assert (play.racer("a").status, play.racer("a").valid) == ("finished", False)
    assert play.phase() == "running", "nobody's clock runs by it"


# --- ends


def test_whoever_leaves_is_out_at_once_and_for_good() -> None:
    play = Play().start("abc")
    assert play.tell(Leave("a")) == [DisarmRacer("a"), TellState()]
    assert (play.racer("a").status, play.racer("a").reason) == ("dnf", "left")
    assert play.drive("a", 1000.0) == []
    assert play.tell(Leave("a"), Removed("x"), Leave("x")) == []


def test_the_others_have_a_quarter_more_and_fifteen_seconds_after_the_winner() -> None:
    play = Play().start("abc")
    for player in "abc":
        play.drive(player, 1000.0, 50_000.0)
    play.now_ms = play.start_ms + 100_000.0
    play.drive("a", 100_000.0)
    assert deadline_ms(play.race) == play.start_ms + 100_000.0 + 40_000.0
    play.now_ms = play.start_ms + 140_100.0
    play.race = replace(play.race, card=replace(CARD, no_progress_ms=inf))
    play.drive("b", 140_000.0)
    assert play.racer("b").status == "finished"
    play.drive("c", 140_000.5)
    assert (play.racer("c").status, play.racer("c").reason) == ("dnf", "too_late")


def test_after_a_short_race_they_have_half_a_minute() -> None:
    play = Play().start()
    play.drive("b", 500.0)
    play.drive("a", 1000.0, 2000.0, 3000.0)
    play.wait(33_000.0 + SETTLE_MS - 50.0)
    assert play.racer("b").status == "racing"
    play.wait(50.0)
    assert (play.racer("b").status, play.racer("b").reason) == ("dnf", "too_late")
    play.wait(50.0)
    assert play.phase() == "finished"


def test_an_invalid_winner_starts_nobodys_clock() -> None:
    play = Play().start("abc")
    play.drive("a", 1000.0, 2000.0, 3000.0)
    assert deadline_ms(play.race) < play.start_ms + 40_000.0
    play.tell(Invalid("a", "split"))
    assert deadline_ms(play.race) == play.start_ms + CARD.time_limit_ms
    play.drive("b", 1000.0, 20_000.0, 40_000.0)
    play.drive("c", 1000.0, 20_000.0, 50_000.0)
    play.wait(60_000.0)
    assert [(each.player, each.place, each.status) for each in final(play.race)] == [
        ("b", 1, "finished"),
        ("c", 2, "finished"),
        ("a", 3, "invalidated"),
    ]


def test_a_minute_without_a_gate_is_the_end() -> None:
    play = Play().start()
    play.drive("a", 30_000.0)
    play.drive("b", 50_000.0)
    play.wait(90_000.0 + SETTLE_MS - 50.0)
    assert play.racer("a").status == "racing"
    play.wait(50.0)
    assert (play.racer("a").status, play.racer("a").reason) == ("dnf", "no_progress")
    assert play.racer("b").status == "racing"
    play.drive("b", 110_000.5)
    assert (play.racer("b").status, play.racer("b").reason) == ("dnf", "no_progress"), "told before it was judged"


def test_the_time_limit_ends_it_for_all() -> None:
    play = Play(replace(CARD, no_progress_ms=inf)).start()
    play.wait(CARD.time_limit_ms + SETTLE_MS)
    assert {each.reason for each in play.race.racers.values()} == {"time_limit"}
    assert play.phase() == "finished"
    assert [each.place for each in final(play.race)] == [1, 2]


def test_a_late_zone_costs_nobody_the_race() -> None:
    """Its players' gates are known late; what is judged by time waits for them, but not for ever."""
    play = Play(lag_ms=3000.0).start()
    play.drive("a", 1000.0, 2000.0, 3000.0)
    play.wait(33_000.0 + 3000.0)
    assert play.racer("b").status == "racing"
    play.drive("b", 1000.0, 2000.0, 32_999.0)
    assert play.racer("b").status == "finished"
    assert play.phase() == "finishing"
    play.lag_ms = inf
    play.wait(32_999.0 + PATIENCE_MS - (play.now_ms - play.start_ms) - 50.0)
    assert play.phase() == "finishing"
    play.wait(100.0)
    assert play.phase() == "finished"


def test_an_earlier_finish_that_is_told_later_is_first() -> None:
    play = Play().start()
    play.drive("a", 1000.0, 2000.0, 3000.0)
    play.now_ms = play.start_ms + 3400.0
    play.drive("b", 1000.0, 2000.0, 2990.0, err_ms=1.0)
    play.wait(1000.0)
    assert [each.player for each in final(play.race)] == ["b", "a"]


def test_a_disconnected_racer_has_half_a_minute_to_come_back() -> None:
    play = Play().start("abc")
    play.tell(Away("a"), Away("b"))
    play.wait(29_000.0)
    play.tell(Back("a"))
    play.wait(950.0)
    assert play.racer("b").status == "racing"
    play.drive("b", 29_900.0)
    play.wait(50.0)
    assert (play.racer("a").status, play.racer("a").away_ms) == ("racing", inf)
    assert (play.racer("b").status, play.racer("b").reason) == ("dnf", "disconnected")
    play.tell(Away("c"), Leave("c"))
    assert play.racer("c").reason == "disconnected", "its hold was given up"


def test_a_takeover_is_no_disconnect() -> None:
    play = Play().start()
    before = play.race
    assert play.tell(Back("a")) == []
    assert play.race is before


def test_whoever_is_removed_is_disqualified_and_after_the_finish_invalid() -> None:
    play = Play().start("abc")
    play.drive("a", 1000.0, 2000.0, 3000.0)
    assert play.tell(Removed("b")) == [DisarmRacer("b"), TellState()]
    assert play.tell(Removed("a")) == [TellState()]
    play.drive("c", 1000.0, 2000.0, 4000.0)
    play.wait(5000.0)
    assert [(each.player, each.status) for each in final(play.race)] == [
        ("c", "finished"),
        ("a", "invalidated"),
        ("b", "dsq"),
    ]


@pytest.mark.parametrize("phase", ["open", "staging", "countdown", "running"])
def test_a_server_that_ends_cancels_races(phase: str) -> None:
    play = Play()
    play.join("ab")
    if phase != "open":
        play.tell(CloseList())
    if phase in ("countdown", "running"):
        play.tell(OnGrid("a"), OnGrid("b"))
    if phase == "running":
        play.wait(COUNTDOWN_MS)
    assert play.phase() == phase
    assert play.tell(Drain()) == [DisarmRacer("a"), DisarmRacer("b"), TellState()]
    assert (play.phase(), play.race.reason) == ("cancelled", "server_restart")


def test_a_server_that_ends_still_gives_the_result_that_was_only_unsettled() -> None:
    play = Play().start("a")
    play.drive("a", 1000.0, 2000.0, 3000.0)
    assert play.phase() == "finishing"
    assert Conclude() in play.tell(Drain())
    assert play.phase() == "finished"


def test_all_gone_is_a_race_without_finishers() -> None:
    play = Play().start()
    play.drive("a", 1000.0)
    play.tell(Leave("b"), Leave("a"))
    assert play.phase() in ("finishing", "finished")
    play.wait(100.0)
    assert [(each.player, each.place, each.status) for each in final(play.race)] == [("a", 1, "dnf"), ("b", 2, "dnf")]


def test_told_twice_is_told_once() -> None:
    play = Play().start()
    play.drive("a", 1000.0)
    before = play.race
    assert play.tell(Passed("a", 0, 0, play.start_ms + 1000.0, 2.0)) == []
    assert play.tell(Passed("a", 0, 2, play.start_ms + 2000.0, 2.0)) == []
    assert play.race is before


# --- the tables


def test_every_way_ends_and_nothing_leaves_an_end() -> None:
    assert not {phase for phase, _ in TRANSITIONS} & OVER
    assert not {status for status, _ in RACER_TRANSITIONS} & ENDED
    reachable: set[str] = set()
    news: set[str] = {"open"}
    while news:
        reachable |= news
        news = {str(after) for (before, _), after in TRANSITIONS.items() if before in reachable} - reachable
    assert reachable == {"open", "staging", "countdown", "running", "finishing", "finished", "cancelled"}


# --- random orders

PLAYERS = st.sampled_from("abcd")
OFFSETS = st.sampled_from([-6000.0, -800.0, -100.0, -40.0, 0.0, 40.0, 900.0, 5000.0, 45_000.0])
STEPS: st.SearchStrategy[Callable[[Race, float], Event]] = st.one_of(
    st.builds(lambda player: lambda race, now: Join(player, f"Driver {player}", "car"), PLAYERS),
    st.builds(lambda player: lambda race, now: Leave(player), PLAYERS),
    st.builds(lambda player: lambda race, now: OnGrid(player), PLAYERS),
    st.builds(lambda player: lambda race, now: Away(player), PLAYERS),
    st.builds(lambda player: lambda race, now: Back(player), PLAYERS),
    st.builds(lambda player: lambda race, now: Removed(player), PLAYERS),
    st.builds(lambda player: lambda race, now: Invalid(player, "split"), PLAYERS),
    st.builds(lambda player, off: lambda race, now: LeftSlot(player, now + off), PLAYERS, OFFSETS),
    st.builds(
        lambda player, lap, gate, off: lambda race, now: Passed(player, lap, gate, now + off, 3.0),
        PLAYERS,
        st.integers(0, 2),
        st.integers(0, 2),
        OFFSETS,
    ),
    st.just(lambda race, now: CloseList()),
)
NEXT_GATES = st.builds(lambda player, off: lambda race, now: _next_gate(race, player, now + off), PLAYERS, OFFSETS)
WAITS = st.sampled_from([0.0, 50.0, 50.0, 1000.0, 5000.0, 31_000.0])
LAGS = st.sampled_from([0.0, 0.0, 50.0, 3000.0, inf])


def _next_gate(race: Race, player: str, at_ms: float) -> Event:
    """The event that a correct zone would send next."""
    racer = race.racers.get(player)
    lap, gate = divmod(racer.passed if racer else 0, race.card.gates)
    return Passed(player, lap, gate, at_ms, 3.0)


@settings(max_examples=250, deadline=None)
@given(
    card=st.sampled_from([CARD, LAPS, replace(CARD, racers_min=3)]),
    script=st.lists(st.tuples(st.one_of(STEPS, NEXT_GATES, NEXT_GATES), WAITS, LAGS), max_size=60),
    prologue=st.booleans(),
)
def test_no_order_of_events_leaves_the_tables(card: RaceCard, script: list[Any], prologue: bool) -> None:
    """Unlisted transitions raise KeyError; what must hold of every state is asserted after each event."""
    play = Checked(card)
    if prologue:  # most random scripts do not get as far as the start by themselves
        play.tell(
            *(Join(player, player, "car") for player in "abc"), CloseList(), *(OnGrid(player) for player in "abc")
        )
        play.step(COUNTDOWN_MS, 0.0)
    for make, wait_ms, lag_ms in script:
        play.tell(make(play.race, play.now_ms))
        play.step(wait_ms, lag_ms)
    seen(play.race.phase)
    for _ in range(40):  # time alone ends it
        play.step(20_000.0, inf)
    assert play.race.over
    play.check_result()


class Checked:
    """Plays a race and holds every step against what must always be true."""

    def __init__(self, card: RaceCard) -> None:
        self.now_ms = T0
        self.race = Race(card, T0)
        self.disarmed: list[str] = []
        self.concluded = 0

    def tell(self, *events: Event) -> None:
        for event in events:
            before = self.race
            self.race, commands = reduce(before, event, self.now_ms)
            self._check(before, commands)

    def step(self, wait_ms: float, lag_ms: float) -> None:
        self.now_ms += wait_ms
        self.tell(Committed(self.now_ms - lag_ms))

    def _check(self, before: Race, commands: list[Command]) -> None:
        race, now_ms = self.race, self.now_ms
        shown = (race.phase, race.racers, race.start_ms, race.reason)
        if shown != (before.phase, before.racers, before.start_ms, before.reason):
            assert race.rev == before.rev + 1, "rev grows with every change"
        else:
            assert race.rev == before.rev
        if before.start_ms is not None:
            assert race.start_ms == before.start_ms, "one start"
        for player, racer in race.racers.items():
            was = before.racers.get(player)
            if was is not None and was.ended:
                assert (racer.status, racer.ended_ms, racer.passings) == (was.status, was.ended_ms, was.passings)
            assert racer.passed <= race.card.last + 1
            assert not (racer.status == "racing" and (race.start_ms is None or now_ms < race.start_ms)), "before T"
            assert all(race.start_ms is not None and each.at_ms >= race.start_ms for each in racer.passings)
            assert racer.penalty_ms in (0.0, FALSE_START_MS)
        if race.phase in ("staging", "countdown", "running", "finishing"):
            assert set(before.racers) <= set(race.racers) or before.phase == "open", "nobody vanishes"
        slots = [each.grid_slot for each in race.racers.values() if each.grid_slot >= 0]
        assert len(slots) == len(set(slots))
        assert max(slots, default=0) < race.card.racers_max
        self.disarmed += [command.player for command in commands if isinstance(command, DisarmRacer)]
        assert len(self.disarmed) == len(set(self.disarmed)), "every racer ends exactly once"
        self.concluded += commands.count(Conclude())
        if not race.over:
            assert due_ms(race) > -inf

    def check_result(self) -> None:
        race = self.race
        assert self.concluded == (race.phase == "finished")
        if race.phase == "cancelled":
            return
        assert set(self.disarmed) == set(race.racers)
        assert all(racer.ended for racer in race.racers.values())
        placings = final(race)
        assert sorted(each.player for each in placings) == sorted(race.racers)
        places = [each.place for each in placings]
        assert places == sorted(places)
        assert all(place in (number, places[number - 2]) for number, place in enumerate(places, start=1))
        times = [each.time_ms for each in placings if each.status == "finished" and each.time_ms is not None]
        assert times == sorted(times)
        assert all(time >= 0.0 for time in times)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.one_of(STEPS, NEXT_GATES, NEXT_GATES), WAITS), max_size=40))
def test_before_it_is_due_time_changes_nothing(script: list[Any]) -> None:
    """The director relies on ``due_ms``: until then it does not even ask."""
    play = Checked(CARD)
    play.tell(*(Join(player, player, "car") for player in "abc"))
    for make, wait_ms in script:
        play.tell(make(play.race, play.now_ms))
        before, due = play.race, due_ms(play.race)
        if not before.over and play.now_ms + 10.0 < due:
            after, commands = reduce(before, Committed(inf), min(due - 1.0, play.now_ms + wait_ms))
            assert commands == []
            assert replace(after, known_ms=before.known_ms) == before
        play.step(wait_ms, 0.0)


def test_a_transition_that_is_not_listed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(race_module.TRANSITIONS, ("open", "close"))
    play = Play()
    play.join("a")
    with pytest.raises(KeyError):
        play.tell(CloseList())
