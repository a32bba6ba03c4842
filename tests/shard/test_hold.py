"""Bodies that wait for their driver: held, given back, taken over; always one, in its zone's hands."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.constants import FLAG_AWAY, FLAG_GHOST
from tests.stepper import Recorder, ShardStepper


@pytest.fixture
def shard() -> Iterator[ShardStepper]:
    """Zone 0 is the western half, zone 1 the eastern; the border lies at x = 512."""
    with ShardStepper(zones=2, players=8) as made:
        yield made


def bodies(shard: ShardStepper, player: str) -> int:
    """Rows of the table that are owned and belong to the player."""
    table = shard.memory.table
    return int(np.count_nonzero((table.player == player.encode()) & (table.owner >= 0)))


def column(shard: ShardStepper, name: str, player: str) -> object:
    return shard.memory.table.committed(name)[shard.body(player).slot].tolist()


def test_a_held_body_stays_and_shows_that_it_is_away(shard: ShardStepper) -> None:
    first = shard.enter("anna")
    shard.step()
    assert shard.realm.hold("anna")
    shard.step(2)
    assert column(shard, "flags", "anna") == FLAG_AWAY | FLAG_GHOST
    frames = len(first.snapshots)
    shard.step(25)
    assert len(first.snapshots) == frames, "nobody is there to be shown anything"
    assert shard.realm.barrier.unanswered == 0


def test_what_was_sent_before_the_loss_is_judged_and_given_back(shard: ShardStepper) -> None:
    shard.enter("anna")
    shard.step()
    shard.put("anna", 100.0, 100.0)
    shard.step()
    for number in range(12):  # more than a tick judges
        shard.move("anna", 101.0 + number, 100.0, vx=20.0)
    shard.realm.hold("anna")
    shard.step(3)
    assert column(shard, "pos", "anna") == [112.0, 0.0, 100.0]
    again = shard.clients["anna"] = Recorder()
    assert shard.realm.resume("anna", again)
    shard.step()
    [placed] = again.placements
    assert (placed.reason, placed.x, placed.vx) == ("resume", 112.0, 20.0)
    assert (column(shard, "flags", "anna"), column(shard, "seq", "anna")) == (0, -1)
    assert again.snapshots[0].payload.reset
    shard.move("anna", 113.0, 100.0)
    shard.step()
    assert column(shard, "pos", "anna") == [113.0, 0.0, 100.0]


def test_whoever_resumes_is_told_its_last_placement_only(shard: ShardStepper) -> None:
    shard.enter("anna")
    shard.step()
    shard.realm.respawn("anna")
    clients = [Recorder() for _ in range(3)]
    for client in clients:
        assert shard.realm.resume("anna", client)
    shard.step()
    assert [len(client.placements) for client in clients] == [0, 0, 1]
    assert clients[2].placements[0].epoch == column(shard, "epoch", "anna")


def test_a_wish_to_enter_is_taken_over_and_a_lost_one_is_dropped(shard: ShardStepper) -> None:
    shard.enter("anna")
    newer = Recorder()
    assert shard.realm.resume("anna", newer)
    shard.step()
    assert [placed.reason for placed in newer.placements] == ["enter"]
    shard.enter("bert")
    assert not shard.realm.hold("bert")
    shard.step(2)
    assert bodies(shard, "bert") == 0


def test_nothing_is_given_back_once_the_release_is_under_way(shard: ShardStepper) -> None:
    shard.enter("anna")
    shard.step()
    shard.realm.leave("anna")
    assert not shard.realm.resume("anna", Recorder())
    assert not shard.realm.hold("anna")
    shard.step(2)
    assert bodies(shard, "anna") == 0


DOINGS = st.lists(st.sampled_from(["hold", "resume", "leave", "enter", "east", "west", "step", "step"]), max_size=30)


@settings(max_examples=40, deadline=None)
@given(doings=DOINGS)
def test_whatever_happens_there_is_one_body_and_the_newest_client_has_it(doings: list[str]) -> None:
    with ShardStepper(zones=2, players=4) as shard:
        newest = shard.enter("anna")
        inside = True
        for doing in doings:
            if doing == "hold":
                inside = shard.realm.hold("anna") and inside
            elif doing == "resume":
                client = Recorder()
                if shard.realm.resume("anna", client):
                    newest = client
            elif doing == "leave":
                shard.realm.leave("anna")
                inside = False
            elif doing == "enter" and not inside:
                newest, inside = shard.enter("anna"), True
            elif doing in ("east", "west") and shard.realm.occupant("anna"):
                shard.put("anna", 600.0 if doing == "east" else 400.0, 100.0)
            elif doing == "step":
                shard.step()
            assert bodies(shard, "anna") <= 1
        shard.step(4)
        occupant = shard.realm.occupant("anna")
        if occupant is not None and not occupant.away:
            assert newest.placements[-1].epoch == column(shard, "epoch", "anna")
            assert newest.snapshots
