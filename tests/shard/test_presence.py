"""Who is here: counts for all, names for followers, pages for whoever asks; and a storm costs two encodings."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shard.players import presence
from shard.players.presence import NAMES_MAX, Doing, Roster
from shared.messages import Presence, PresencePayload, PresenceRow, decode_server

EMPTY = dict.fromkeys(get_args(Doing), 0)


def read(data: bytes | None) -> PresencePayload:
    assert data is not None
    message = decode_server(data)
    assert isinstance(message, Presence)
    return message.payload


def pushed(roster: Roster, now_s: float) -> tuple[PresencePayload, PresencePayload]:
    """What everybody and what followers are sent."""
    push = roster.push(now_s)
    assert push is not None
    return read(push.counts), read(push.names)


def with_follower(*players: str) -> Roster:
    """A roster whose only follower is "watcher", with everything told so far at second 0."""
    roster = Roster()
    for player in ("watcher", *players):
        roster.put(player, player.title(), "lobby")
    roster.follow("watcher")
    roster.push(0.0)
    return roster


# --- pushes --------------------------------------------------------------------------------------------------------


def test_everybody_gets_the_counts_and_followers_the_names() -> None:
    roster = with_follower("ann", "bob", "cid")
    roster.put("dee", "Dee", "queued")
    roster.put("ann", "Ann", "driving")
    roster.put("cid", "Cid the Second", "lobby")
    roster.remove("bob")
    counts, names = pushed(roster, 1.0)
    assert counts == PresencePayload(online=4, counts={**EMPTY, "lobby": 2, "queued": 1, "driving": 1})
    assert names == PresencePayload(
        online=4,
        counts=counts.counts,
        joined=[PresenceRow("dee", "Dee", "queued")],
        left=["bob"],
        changed=[PresenceRow("ann", "Ann", "driving"), PresenceRow("cid", "Cid the Second", "lobby")],
    )


def test_all_five_states_are_counted_and_all_are_online() -> None:
    roster = Roster()
    for number, doing in enumerate(get_args(Doing)):
        roster.put(f"player-{number}", "Name", doing)
    push = roster.push(0.0)
    assert push is not None
    assert read(push.counts) == PresencePayload(online=5, counts=dict.fromkeys(EMPTY, 1))
    assert push.names is None, "nobody follows"


def test_at_most_one_push_per_second() -> None:
    roster = with_follower()
    roster.put("ann", "Ann", "lobby")
    assert roster.push(0.95) is None
    assert pushed(roster, 1.0)[0].online == 2
    roster.put("bob", "Bob", "lobby")
    assert roster.push(1.5) is None
    assert roster.push(1.99) is None
    assert pushed(roster, 2.0)[0].online == 3
    assert roster.push(3.0) is None, "nothing has changed"
    roster.remove("bob")
    assert pushed(roster, 3.01)[0].online == 2


def test_what_cancels_out_is_not_mentioned_and_delays_nothing() -> None:
    roster = with_follower("ann", "bob")
    roster.put("ann", "Ann", "driving")
    roster.put("ann", "Ann", "lobby")
    roster.put("cid", "Cid", "lobby")
    roster.remove("cid")
    roster.remove("bob")
    roster.put("bob", "Bob", "lobby")
    assert roster.push(1.0) is None
    roster.put("dee", "Dee", "lobby")
    assert pushed(roster, 1.05)[1].joined == [PresenceRow("dee", "Dee", "lobby")]


def test_one_for_another_is_news_for_followers_only() -> None:
    roster = with_follower("ann")
    roster.remove("ann")
    roster.put("bob", "Bob", "lobby")
    push = roster.push(1.0)
    assert push is not None
    assert push.counts is None, "the counts are as they were"
    assert (read(push.names).left, read(push.names).joined) == (["ann"], [PresenceRow("bob", "Bob", "lobby")])


def test_who_left_and_came_back_as_another_has_changed() -> None:
    roster = with_follower("ann")
    roster.remove("ann")
    roster.put("ann", "Queen Ann", "queued")
    names = pushed(roster, 1.0)[1]
    assert (names.joined, names.left, names.changed) == ([], [], [PresenceRow("ann", "Queen Ann", "queued")])


def test_fifty_names_and_then_more() -> None:
    roster = with_follower(*(f"old-{number:04}" for number in range(30)))
    for number in range(30):
        roster.remove(f"old-{number:04}")
    for number in range(20):
        roster.put(f"new-{number:04}", "New", "lobby")
    names = pushed(roster, 1.0)[1]
    assert (len(names.left), len(names.joined), names.more) == (30, 20, False)
    for number in range(20, 71):
        roster.put(f"new-{number:04}", "New", "lobby")
    names = pushed(roster, 2.0)[1]
    assert (len(names.joined), names.more) == (NAMES_MAX, True)
    assert names.online == 72, "counts are never cut"
    assert roster.push(3.0) is None, "those behind `more` are read by `who`"


def test_a_storm_costs_two_encodings_whoever_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = []

    def encode(message: Presence) -> bytes:
        encoded.append(message)
        return b"encoded"

    monkeypatch.setattr(presence, "encode", encode)
    roster = Roster()
    for number in range(4000):
        roster.put(f"player-{number:04}", "Player", "lobby")
        roster.follow(f"player-{number:04}")
        roster.push(number / 4000.0)
    assert len(roster.followers) == 4000
    assert roster.push(1.0) == presence.Push(b"encoded", b"encoded")
    assert len(encoded) == 4, "the first join, and the rest a second later"
    assert sum(len(message.payload.joined) for message in encoded) == 1 + NAMES_MAX


def test_followers_follow_until_they_go() -> None:
    roster = with_follower("ann")
    roster.follow("ann")
    roster.follow("ann")
    roster.follow("nobody")
    assert roster.followers == ["watcher", "ann"]
    roster.unfollow("watcher")
    roster.unfollow("watcher")
    assert roster.followers == ["ann"]
    roster.remove("ann")
    assert roster.followers == []
    roster.put("ann", "Ann", "lobby")
    assert roster.followers == [], "another connection has to ask again"


def test_removing_nobody_changes_nothing() -> None:
    roster = with_follower()
    roster.remove("nobody")
    assert roster.push(1.0) is None
    assert len(roster) == 1


# --- pages ---------------------------------------------------------------------------------------------------------


def test_pages_are_ordered_by_player_and_end() -> None:
    roster = Roster()
    for player in ("cid", "ann", "eve", "bob", "dee"):
        roster.put(player, player.title(), "driving")
    first = roster.page(limit=2)
    assert first.page == [PresenceRow("ann", "Ann", "driving"), PresenceRow("bob", "Bob", "driving")]
    assert (first.more, first.online, first.counts) == (True, 5, {**EMPTY, "driving": 5})
    second = roster.page("bob", 2)
    assert ([row.player for row in second.page or []], second.more) == (["cid", "dee"], True)
    last = roster.page("dee", 2)
    assert ([row.player for row in last.page or []], last.more) == (["eve"], False)
    assert roster.page("cid", 2).more is False, "it ends with the page"
    assert (roster.page("eve").page, roster.page("eve").more) == ([], False)


def test_a_page_goes_on_behind_one_who_has_left() -> None:
    roster = Roster()
    for player in ("ann", "bob", "cid"):
        roster.put(player, player.title(), "lobby")
    roster.remove("bob")
    assert [row.player for row in roster.page("bob").page or []] == ["cid"]


def test_an_empty_page_is_a_page() -> None:
    page = Roster().page()
    assert (page.online, page.page, page.more) == (0, [], False)


def test_a_page_shows_the_present() -> None:
    roster = with_follower()
    roster.put("ann", "Ann", "lobby")
    roster.put("ann", "Ann", "racing")
    assert [row.state for row in roster.page(None, 1).page or []] == ["racing"]


def test_a_full_shard_comes_and_goes() -> None:
    roster = Roster()
    players = [f"{number * 2654435761 % 2**32:08x}" for number in range(8192)]
    for player in players:
        roster.put(player, "Name", "lobby")
    assert [row.player for row in roster.page(None, 8192).page or []] == sorted(players)
    for player in players:
        roster.remove(player)
    assert roster.page() == PresencePayload(online=0, counts=EMPTY, page=[])


class Rosters(RuleBasedStateMachine):
    """A follower who applies every push knows at all times what it was last told, and in the end everything."""

    PLAYERS = st.sampled_from([f"player-{number}" for number in range(8)])

    def __init__(self) -> None:
        super().__init__()
        self.roster = Roster()
        self.roster.put("watcher", "Watcher", "lobby")
        self.roster.follow("watcher")
        self.truth = {"watcher": ("Watcher", "lobby")}
        self.known: dict[str, tuple[str, str]] = {}
        self.counts: dict[str, int] | None = None
        self.now_s = 0.0

    @rule(player=PLAYERS, name=st.sampled_from(["Ann", "Bob"]), doing=st.sampled_from(get_args(Doing)))
    def put(self, player: str, name: str, doing: Doing) -> None:
        self.roster.put(player, name, doing)
        self.truth[player] = (name, doing)

    @rule(player=PLAYERS)
    def remove(self, player: str) -> None:
        self.roster.remove(player)
        self.truth.pop(player, None)

    @rule(quarters=st.integers(1, 6))
    def push(self, quarters: int) -> None:
        self.now_s += quarters / 4.0
        push = self.roster.push(self.now_s)
        if push is None:
            return
        if push.counts is not None:
            assert read(push.counts).counts != self.counts
            self.counts = read(push.counts).counts
        names = read(push.names)
        assert names.counts == self.counts
        for row in names.joined:
            assert row.player not in self.known
        for row in names.changed:
            assert self.known[row.player] != (row.name, row.state)
        for row in (*names.joined, *names.changed):
            self.known[row.player] = (row.name, row.state)
        for player in names.left:
            del self.known[player]
        assert self.known == self.truth

    @invariant()
    def pages_and_counts_tell_the_truth(self) -> None:
        rows: list[PresenceRow] = []
        while True:
            page = self.roster.page(rows[-1].player if rows else None, 3)
            assert page.page is not None
            rows += page.page
            if not page.more:
                break
        assert [row.player for row in rows] == sorted(self.truth)
        assert {row.player: (row.name, row.state) for row in rows} == self.truth
        assert sum(page.counts.values()) == page.online == len(self.roster) == len(self.truth)

    def teardown(self) -> None:
        self.push(8)
        assert self.known == self.truth


TestRosters = Rosters.TestCase
TestRosters.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
