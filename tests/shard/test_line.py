"""The queue for a full world."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shard.players.line import Line, Place


def joined(line: Line, *players: str, now_s: float = 0.0) -> None:
    for player in players:
        assert line.join(player, now_s) is not None


def test_first_come_first_served() -> None:
    line = Line(10)
    joined(line, "a", "b", "c")
    assert [line.take() for _ in range(4)] == ["a", "b", "c", None]
    assert len(line) == 0


def test_joining_tells_the_place() -> None:
    line = Line(10)
    assert line.join("a", 0.0) == Place("a", 1, 1)
    assert line.join("b", 0.0) == Place("b", 2, 2)
    assert line.join("c", 0.0, resuming=True) == Place("c", 1, 3)
    assert line.join("d", 0.0, resuming=True) == Place("d", 2, 4)


def test_those_who_resume_go_first_in_their_order() -> None:
    line = Line(10)
    joined(line, "a", "b")
    line.join("x", 0.0, resuming=True)
    line.join("y", 0.0, resuming=True)
    assert [line.take() for _ in range(4)] == ["x", "y", "a", "b"]


def test_a_full_line_takes_nobody_but_keeps_those_who_are_in_it() -> None:
    line = Line(2)
    joined(line, "a", "b")
    assert line.join("c", 0.0) is None
    assert line.join("c", 0.0, resuming=True) is None
    assert line.join("a", 0.0) == Place("a", 1, 2)
    line.leave("a")
    assert line.join("c", 0.0) == Place("c", 2, 2)


def test_joining_again_moves_nobody() -> None:
    line = Line(10)
    joined(line, "a", "b", "c")
    assert line.join("b", 0.0) == Place("b", 2, 3)
    assert [line.take() for _ in range(3)] == ["a", "b", "c"]


def test_one_who_waits_may_become_one_who_resumes_and_not_back() -> None:
    line = Line(10)
    joined(line, "a", "b", "c")
    assert line.join("b", 0.0, resuming=True) == Place("b", 1, 3)
    assert line.join("b", 0.0) == Place("b", 1, 3)
    assert [line.take() for _ in range(3)] == ["b", "a", "c"]


def test_leaving_twice_is_leaving_once() -> None:
    line = Line(10)
    joined(line, "a", "b")
    assert "a" in line
    for _ in range(2):
        line.leave("a")
        assert "a" not in line
        assert len(line) == 1


def test_news_is_for_those_whose_place_or_length_changed() -> None:
    line = Line(10)
    joined(line, "a", "b", "c", now_s=0.0)
    assert line.news(1.0) == [Place("a", 1, 3), Place("b", 2, 3)], "the last was told everything when it joined"
    assert line.news(2.0) == []
    line.leave("b")
    assert line.news(3.0) == [Place("a", 1, 2), Place("c", 2, 2)]
    assert line.take() == "a"
    assert line.news(4.0) == [Place("c", 1, 1)]
    assert line.news(5.0) == []


def test_nobody_is_told_twice_in_a_second() -> None:
    line = Line(10)
    joined(line, "a", now_s=0.0)
    joined(line, "b", now_s=0.5)
    assert line.news(0.75) == [], "a was told less than a second ago"
    assert line.news(1.0) == [], "and there is one look per second"
    assert line.news(1.75) == [Place("a", 1, 2)]
    joined(line, "c", now_s=2.0)
    assert line.news(2.5) == []
    assert line.news(2.75) == [Place("a", 1, 3), Place("b", 2, 3)]


def test_a_change_that_was_undone_is_no_news() -> None:
    line = Line(10)
    joined(line, "a")
    joined(line, "b")
    line.news(1.0)
    joined(line, "c", now_s=1.5)
    line.leave("c")
    assert line.news(2.5) == []


def test_an_empty_line_has_no_news() -> None:
    line = Line(10)
    assert line.news(0.0) == []
    joined(line, "a")
    line.leave("a")
    assert line.news(5.0) == []
    assert line.take() is None


def test_a_long_line_is_quick() -> None:
    """Ten thousand join, half of them leave from the middle, the rest is let in: no step looks at the others."""
    line = Line(10_000)
    players = [f"player-{number}" for number in range(10_000)]
    for number, player in enumerate(players):
        assert line.join(player, 0.0) == Place(player, number + 1, number + 1)
    for player in players[::2]:
        line.leave(player)
    assert [line.take() for _ in range(5000)] == players[1::2]


class Lines(RuleBasedStateMachine):
    """Random events against two plain lists."""

    PLACES = 6
    PLAYERS = st.sampled_from("abcdefghij")

    def __init__(self) -> None:
        super().__init__()
        self.line = Line(self.PLACES)
        self.now_s = 0.0
        self.resuming: list[str] = []
        self.others: list[str] = []
        self.told: dict[str, tuple[int, int, float]] = {}

    @property
    def order(self) -> list[str]:
        return self.resuming + self.others

    def tell(self, place: Place) -> None:
        assert place == Place(place.player, self.order.index(place.player) + 1, len(self.order))
        self.told[place.player] = (place.position, place.of, self.now_s)

    @rule(player=PLAYERS, resuming=st.booleans())
    def join(self, player: str, resuming: bool) -> None:
        place = self.line.join(player, self.now_s, resuming)
        if player not in self.order and len(self.order) == self.PLACES:
            assert place is None
            return
        if player not in self.resuming and (resuming or player not in self.others):
            if player in self.others:
                self.others.remove(player)
            (self.resuming if resuming else self.others).append(player)
        assert place is not None
        self.tell(place)

    @rule(player=PLAYERS)
    def leave(self, player: str) -> None:
        self.line.leave(player)
        for players in (self.resuming, self.others):
            if player in players:
                players.remove(player)

    @rule()
    def take(self) -> None:
        expected = self.order[0] if self.order else None
        assert self.line.take() == expected
        for players in (self.resuming, self.others):
            if expected in players:
                players.remove(expected)

    @rule(quarters=st.integers(1, 12))
    def look(self, quarters: int) -> None:
        self.now_s += quarters / 4.0
        for place in self.line.news(self.now_s):
            position, of, at_s = self.told[place.player]
            assert self.now_s - at_s >= 1.0
            assert (position, of) != (place.position, place.of)
            self.tell(place)

    @rule()
    def in_the_end_everybody_knows(self) -> None:
        for _ in range(3):
            self.look(8)
        for position, player in enumerate(self.order, 1):
            assert self.told[player][:2] == (position, len(self.order))

    @invariant()
    def it_has_who_is_in_it(self) -> None:
        assert len(self.line) == len(self.order)
        assert all(player in self.line for player in self.order)
        if not self.order:
            self.told.clear()


TestLines = Lines.TestCase
TestLines.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)
