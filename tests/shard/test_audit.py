"""The auditor: an undisturbed shard passes, and every breach of the tick's invariants is caught and told."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import numpy as np
import pytest

from ipc.control import Done, Seat, Tick
from shard.fleet.audit import InvariantBroken
from shared.constants import ROUNDS_MAX
from tests.stepper import InlineZone, ShardStepper


@pytest.fixture
def shard() -> Iterator[ShardStepper]:
    """Two zones; anna drives in zone 0, ben in zone 1."""
    with ShardStepper(zones=2) as made:
        for player in ("anna", "ben"):
            made.enter(player)
        made.step()
        made.put("anna", 100.0, 100.0)
        made.put("ben", 900.0, 100.0)
        made.step(3)
        assert zone_of(made, "anna") == 0
        assert zone_of(made, "ben") == 1
        yield made


def zone_of(shard: ShardStepper, player: str) -> int:
    return int(shard.memory.table.owner[shard.body(player).slot])


def seat_of(shard: ShardStepper, player: str) -> Seat:
    body = shard.body(player)
    return int(body.slot), int(body.generation)


def zone(shard: ShardStepper, number: int) -> InlineZone:
    link = shard.links[number]
    assert isinstance(link, InlineZone)
    return link


def doctored(shard: ShardStepper, number: int, doctor: Callable[[Done], Done]) -> None:
    """Run a tick in which the Done of one zone passes through ``doctor`` before main takes it."""
    shard.begin()
    for link_number, link in enumerate(shard.links):
        for message in link.receive():
            assert isinstance(message, Done)
            shard.realm.commit(doctor(message) if link_number == number else message)


def rewrite(shard: ShardStepper, player: str, column: str, value: int) -> Callable[[Done], Done]:
    """The zone wrote ``value`` into the half that is about to be committed."""

    def doctor(done: Done) -> Done:
        slot = shard.body(player).slot
        half = 1 - int(shard.memory.table.front[slot])
        shard.memory.table.column(column)[half, slot] = value
        return done

    return doctor


def test_an_undisturbed_shard_passes_with_every_sample_counted(shard: ShardStepper) -> None:
    for number in range(12):
        for player in ("anna", "ben"):
            shard.move(player, 400.0 + 20.0 * number, 300.0)
        shard.step()
    assert zone_of(shard, "anna") == 1
    assert shard.realm.auditor is not None
    assert shard.realm.auditor.samples == 24
    assert shard.realm.barrier.ledger.count >= 1


def test_entering_leaving_and_coming_back_passes(shard: ShardStepper) -> None:
    for _ in range(3):
        shard.realm.leave("anna")
        shard.enter("anna")
        shard.step(3)
        shard.move("anna", 200.0, 200.0)
        shard.step(105)


def test_a_row_that_was_not_written_in_the_tick(shard: ShardStepper) -> None:
    with pytest.raises(InvariantBroken, match=r"slot .* was not written in the tick that is committed"):
        doctored(shard, 0, rewrite(shard, "anna", "tick", 1))


def test_a_row_that_is_committed_twice_for_one_tick(shard: ShardStepper) -> None:
    auditor = shard.realm.auditor
    assert auditor is not None
    shard.begin()
    [done] = [message for message in zone(shard, 0).receive() if isinstance(message, Done)]
    shard.realm.commit(done)
    desk = shard.realm.barrier.desks[0]
    with pytest.raises(InvariantBroken, match="is committed twice for one tick"):
        auditor.committed(desk, done)


def test_a_row_of_another_zone(shard: ShardStepper) -> None:
    def doctor(done: Done) -> Done:
        desk = shard.realm.barrier.desks[0]
        desk.index = np.append(desk.index, shard.body("ben").slot).astype(np.intp)
        return done

    with pytest.raises(InvariantBroken, match=r"zone 0 .* is committed by a zone that does not own it"):
        doctored(shard, 0, doctor)


def test_more_samples_than_a_tick_judges(shard: ShardStepper) -> None:
    for number in range(ROUNDS_MAX + 2):
        shard.move("anna", 101.0 + number, 100.0)
    tail = int(shard.memory.ring.heads[shard.body("anna").slot])
    with pytest.raises(InvariantBroken, match="had more samples judged than a tick judges"):
        doctored(shard, 0, rewrite(shard, "anna", "tail", tail))


def test_a_tail_beyond_the_head(shard: ShardStepper) -> None:
    tail = int(shard.memory.ring.heads[shard.body("anna").slot]) + 1
    with pytest.raises(InvariantBroken, match="has a tail beyond its head"):
        doctored(shard, 0, rewrite(shard, "anna", "tail", tail))


@pytest.mark.parametrize("claimed", [0, 1, 3])
def test_a_done_that_counts_other_samples_than_were_taken(shard: ShardStepper, claimed: int) -> None:
    shard.move("anna", 101.0, 100.0)
    shard.move("anna", 102.0, 100.0)
    with pytest.raises(InvariantBroken, match=f"zone 0 tick .*: 2 taken, {claimed} judged"):
        doctored(shard, 0, lambda done: msgspec.structs.replace(done, judged=claimed))


def test_a_sample_that_was_dropped_without_being_judged(shard: ShardStepper) -> None:
    shard.move("anna", 101.0, 100.0)
    slot = shard.body("anna").slot
    with pytest.raises(InvariantBroken, match="0 taken, 1 judged"):
        doctored(shard, 0, rewrite(shard, "anna", "tail", int(shard.memory.ring.heads[slot]) - 1))


# --- membership, in Ticks that main should never send


def audit(shard: ShardStepper, number: int, adopted: list[Seat], released: list[Seat]) -> None:
    auditor = shard.realm.auditor
    assert auditor is not None
    tick = Tick(shard.realm.tick + 1, 0.0, 0, 0, adopted, released, [], [])
    auditor.sent(number, tick)
    auditor.adopted(number, tick)


def test_an_adoption_of_whom_another_zone_owns(shard: ShardStepper) -> None:
    with pytest.raises(InvariantBroken, match="is adopted by 1, owned by another"):
        audit(shard, 1, adopted=[seat_of(shard, "anna")], released=[])


def test_a_release_by_a_zone_that_does_not_own(shard: ShardStepper) -> None:
    with pytest.raises(InvariantBroken, match="is released by zone 1, not its owner"):
        audit(shard, 1, adopted=[], released=[seat_of(shard, "anna")])


def test_a_release_of_a_slots_last_player(shard: ShardStepper) -> None:
    slot, generation = seat_of(shard, "anna")
    with pytest.raises(InvariantBroken, match="is released as another player"):
        audit(shard, 0, adopted=[], released=[(slot, generation + 1)])


def test_a_handoff_within_one_boundary_passes(shard: ShardStepper) -> None:
    auditor = shard.realm.auditor
    assert auditor is not None
    seat = seat_of(shard, "anna")
    out = Tick(shard.realm.tick + 1, 0.0, 0, 0, [], [seat], [], [])
    into = Tick(shard.realm.tick + 1, 0.0, 0, 0, [seat], [], [], [])
    for check in (auditor.sent, auditor.adopted):
        check(1, into)
        check(0, out)
