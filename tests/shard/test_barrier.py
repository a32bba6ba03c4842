"""The barrier with zones that a test answers for: what each is sent, when, and what a Done commits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipc.cell_arena import CellWriter
from ipc.control import MESSAGES_PER_TICK_MAX, Crossing, Done, Event, Place, PlacedAt, Seat, Tick, encode
from ipc.layout import Geometry
from ipc.world_table import ZoneTable
from shard.fleet.barrier import Barrier, Committed, ZoneDesk
from shard.fleet.memory import Memory
from shared.cells import CellColumns, EncodedCell
from shared.constants import PIPE_MESSAGE_BYTES_MAX
from shared.ids import NO_ZONE
from shared.messages import MovePayload
from tests.cell_forms import plain_cell

PERIOD_MS = 50.0


class HandZone:
    """A zone whose Dones a test gives. It knows only what it was sent."""

    def __init__(self) -> None:
        self.sent: list[Tick] = []
        self.members: dict[int, int] = {}

    def send(self, tick: Tick) -> None:
        self.sent.append(tick)
        for slot, generation in tick.released:
            assert self.members.pop(slot) == generation
        for slot, generation in tick.adopted:
            assert slot not in self.members
            self.members[slot] = generation


class Shard:
    def __init__(self, zones: int = 2, slots: int = 8) -> None:
        self.memory = Memory(Geometry(slots, zones))
        blocks = self.memory.blocks
        self.table = ZoneTable(blocks["table"])
        self.arenas = [CellWriter(blocks[f"cells-{zone}"]) for zone in range(zones)]
        self.zones = [HandZone() for _ in range(zones)]
        desks = [ZoneDesk(zone, link, self.memory.arenas[zone]) for zone, link in enumerate(self.zones)]
        self.barrier = Barrier(self.memory.table, self.memory.ring, desks, PERIOD_MS)
        self.tick = 0
        self.generations = [0] * slots

    def begin(self) -> list[int]:
        self.tick += 1
        return self.barrier.begin(self.tick, self.tick * PERIOD_MS)

    def answer(self, zone: int, *events: Event, cells: Sequence[EncodedCell] = ()) -> Committed:
        """The zone's Done for its last Tick: rows are stamped with the tick, all samples are taken."""
        tick, members = self.zones[zone].sent[-1], self.zones[zone].members
        index = np.array(sorted(members), np.intp)
        state = self.table.read(index)
        state.tick[:] = tick.tick
        state.tail[:] = self.table.heads(index)
        self.table.write(index, state)
        self.arenas[zone].write(tick.half, CellColumns.of(cells))
        told: list[Event] = [
            PlacedAt(command.slot, command.generation, 1, 0.0, 0.0, 0.0, 0.0, command.reason)
            for command in tick.commands
            if isinstance(command, Place) and members.get(command.slot) == command.generation
        ]
        judged = 0
        done = Done(zone, tick.tick, 0, 0, tick.shown, len(index), judged, judged, 0, [*told, *events])
        return self.barrier.commit(done)

    def step(self, *late: int) -> list[int]:
        """A tick that all zones answer but ``late`` ones."""
        sent = self.begin()
        for zone in sent:
            if zone not in late:
                self.answer(zone)
        return sent

    def seat(self, slot: int) -> Seat:
        self.generations[slot] += 1
        generation = self.generations[slot]
        head = self.memory.ring.rewind(slot)
        self.memory.table.seat(slot, generation, f"sub-{slot}", f"Name {slot}", 0, head)
        return slot, generation

    def admit(self, slot: int, zone: int) -> Seat:
        seat = self.seat(slot)
        self.barrier.admit(seat, zone)
        return seat

    def sample(self, slot: int, count: int = 1) -> None:
        for _ in range(count):
            assert self.memory.ring.write(slot, 0.0, MovePayload(0, 0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0))

    def last(self, zone: int) -> Tick:
        return self.zones[zone].sent[-1]

    def owner(self, slot: int) -> int:
        return int(self.memory.table.owner[slot])

    def close(self) -> None:
        self.table.release()
        for arena in self.arenas:
            arena.release()
        self.memory.close()


@contextmanager
def opened(zones: int = 2, slots: int = 8) -> Iterator[Shard]:
    shard = Shard(zones, slots)
    try:
        yield shard
    finally:
        shard.close()


@pytest.fixture
def shard() -> Iterator[Shard]:
    with opened() as made:
        yield made


def crossing(seat: Seat, target: int, left_ms: float = 1.0) -> Crossing:
    return Crossing(*seat, target, left_ms)


def place(seat: Seat, x: float = 5.0) -> Place:
    return Place(*seat, x, 5.0, 0.0, "respawn", fresh=False)


def xs(tick: Tick) -> list[float]:
    return [command.x for command in tick.commands if isinstance(command, Place)]


# --- ticks


def test_every_idle_zone_gets_the_tick_and_a_late_one_none(shard: Shard) -> None:
    assert shard.begin() == [0, 1]
    shard.answer(0)
    assert [desk.zone for desk in shard.barrier.late()] == [1]
    assert shard.begin() == [0]
    assert len(shard.zones[1].sent) == 1
    shard.answer(1)
    assert shard.begin() == [1], "zone 0 has not answered the second"
    assert shard.last(1).tick == 3
    shard.answer(0)
    shard.answer(1)
    assert shard.barrier.late() == []


def test_most_zones_are_late_when_more_have_not_answered_this_tick_than_have() -> None:
    with opened(zones=4) as shard:
        assert shard.begin() == [0, 1, 2, 3]
        late = []
        for zone in range(4):
            late.append(shard.barrier.mostly_late(1))
            shard.answer(zone)
        assert late == [True, True, False, False]
        assert not shard.barrier.mostly_late(1)
        shard.begin()
        for zone in (0, 1, 2):
            shard.answer(zone)
        shard.begin()  # zone 3 still owes tick 2, and was not given this one
        late = []
        for zone in (0, 1, 2):
            late.append(shard.barrier.mostly_late(3))
            shard.answer(zone)
        assert late == [True, True, False]


def test_a_tick_carries_number_time_half_and_what_was_shown_last(shard: Shard) -> None:
    shard.step()
    shard.barrier.desks[0].shown = 1
    shard.begin()
    tick = shard.last(0)
    assert (tick.tick, tick.now_ms, tick.shown) == (2, 2 * PERIOD_MS, 1)
    assert shard.last(1).shown == 0
    halves = [sent.half for sent in shard.zones[0].sent]
    shard.answer(0)
    shard.answer(1)
    shard.step()
    halves.append(shard.last(0).half)
    assert halves in ([0, 1, 0], [1, 0, 1]), "the half that is not committed"


def test_a_done_nobody_asked_for_is_our_bug(shard: Shard) -> None:
    done = Done(0, 1, 0, 0, 0, 0, 0, 0, 0, [])
    with pytest.raises(AssertionError, match="zone 0 answered tick 1 unasked"):
        shard.barrier.commit(done)
    shard.begin()
    shard.begin()
    shard.answer(0)
    with pytest.raises(AssertionError, match="answered tick 2, was asked for 1"):
        shard.barrier.commit(Done(1, 2, 0, 0, 0, 0, 0, 0, 0, []))


def test_cells_come_from_the_half_that_the_answered_tick_named(shard: Shard) -> None:
    for number in range(1, 4):
        shard.begin()
        cells = [plain_cell(number, [3])]
        shard.answer(0, cells=cells)
        shard.answer(1)
        desk = shard.barrier.desks[0]
        assert (desk.cells.cells(), desk.half, desk.committed) == (cells, shard.last(0).half, number)
        assert shard.barrier.desks[1].cells.cells() == []


# --- membership


def test_a_player_joins_at_the_next_tick_of_an_idle_zone(shard: Shard) -> None:
    seat = shard.admit(3, zone=1)
    assert shard.owner(3) == NO_ZONE, "nothing happens before the boundary"
    shard.step()
    assert shard.last(1).adopted == [seat]
    assert shard.last(0).adopted == []
    assert shard.owner(3) == 1
    shard.step()
    assert shard.last(1).adopted == []


def test_a_player_waits_for_a_late_zone(shard: Shard) -> None:
    shard.step(1)
    seat = shard.admit(3, zone=1)
    shard.step(1)
    assert shard.owner(3) == NO_ZONE
    assert shard.barrier.desks[1].members == {}
    shard.answer(1)
    shard.step()
    assert shard.last(1).adopted == [seat]


def test_nothing_of_a_late_zone_changes_until_it_has_answered(shard: Shard) -> None:
    stays, goes = shard.admit(2, zone=1), shard.admit(3, zone=1)
    shard.step()
    shard.step(1)
    desk, table = shard.barrier.desks[1], shard.memory.table
    before = (dict(desk.members), desk.index.tolist(), table.head.tolist(), table.owner.tolist(), table.front.tolist())
    shard.barrier.dismiss(goes)
    shard.admit(4, zone=1)
    shard.sample(2, 3)
    shard.barrier.command(place(stays))
    for _ in range(3):
        shard.step(1)
    after = (dict(desk.members), desk.index.tolist(), table.head.tolist(), table.owner.tolist(), table.front.tolist())
    assert after == before
    shard.answer(1)
    shard.begin()
    tick = shard.last(1)
    assert (tick.released, tick.adopted, xs(tick)) == ([goes], [(4, 1)], [5.0])
    assert int(table.head[2]) == 3


def test_heads_are_published_with_the_tick_and_not_after(shard: Shard) -> None:
    shard.admit(3, zone=0)
    shard.step()
    shard.sample(3, 2)
    shard.begin()
    shard.sample(3, 1)
    assert int(shard.memory.table.head[3]) == 2
    shard.answer(0)
    shard.answer(1)
    assert int(shard.memory.ring.tails[3]) == 2, "what the zone judged and main committed makes room"
    shard.step()
    assert int(shard.memory.table.head[3]) == 3
    assert shard.memory.ring.pending(3) == 0


def test_a_commit_flips_the_members_of_its_zone_only(shard: Shard) -> None:
    shard.admit(2, zone=0)
    shard.admit(3, zone=1)
    shard.begin()
    front = shard.memory.table.front
    before = front.tolist()
    shard.answer(0)
    assert front.tolist() == [half ^ (slot == 2) for slot, half in enumerate(before)]
    shard.answer(1)
    assert front.tolist() == [half ^ (slot in (2, 3)) for slot, half in enumerate(before)]
    assert shard.memory.table.committed("tick")[[2, 3]].tolist() == [1, 1]


def test_a_row_that_was_released_is_not_flipped_by_the_done_of_that_tick(shard: Shard) -> None:
    seat = shard.admit(2, zone=0)
    shard.step()
    before = shard.memory.table.front.tolist()
    shard.barrier.dismiss(seat)
    shard.step()
    assert shard.memory.table.front.tolist() == before
    assert shard.memory.table.committed("tick")[2] == 1


# --- departures


def test_a_slot_is_freed_by_the_done_of_the_tick_that_released_it(shard: Shard) -> None:
    seat = shard.admit(2, zone=0)
    shard.step()
    shard.barrier.dismiss(seat)
    shard.begin()
    assert (shard.last(0).released, shard.last(0).forget) == ([seat], [seat]), "released and forgotten at once"
    assert shard.owner(2) == NO_ZONE
    assert shard.answer(1).freed == []
    shard.begin()
    shard.answer(1)
    assert shard.answer(0).freed == [seat]
    shard.begin()
    assert shard.answer(0).freed == []
    assert shard.last(0).released == []


def test_a_slot_of_a_late_zone_is_not_freed_before_it_was_released(shard: Shard) -> None:
    seat = shard.admit(2, zone=0)
    shard.step()
    shard.begin()
    shard.answer(1)
    shard.barrier.dismiss(seat)
    shard.begin()
    assert shard.answer(1).freed == []
    assert shard.answer(0).freed == [], "this Done is of a Tick before the release"
    shard.begin()
    assert shard.last(0).released == [seat]
    assert shard.answer(0).freed == [seat]


def test_who_leaves_before_it_was_adopted_is_adopted_and_released(shard: Shard) -> None:
    """Its slot goes the way of every slot: nothing is freed that a zone may still touch."""
    shard.step(0)
    seat = shard.admit(2, zone=0)
    shard.barrier.dismiss(seat)
    shard.step(0)
    shard.answer(0)
    freed = []
    for _ in range(3):
        shard.begin()
        freed += shard.answer(0).freed
        shard.answer(1)
    assert freed == [seat]
    assert shard.zones[0].members == {}


# --- handoffs


def hand_off(shard: Shard) -> Seat:
    """Slot 2 is a member of zone 0, which has just told that it belongs to zone 1."""
    seat = shard.admit(2, zone=0)
    shard.step()
    shard.begin()
    shard.answer(0, crossing(seat, 1, left_ms=60.0))
    shard.answer(1)
    return seat


def test_a_handoff_is_one_release_and_one_adoption_in_the_same_tick(shard: Shard) -> None:
    seat = hand_off(shard)
    assert shard.owner(2) == 0, "until the boundary the source keeps the player"
    shard.begin()
    assert (shard.last(0).released, shard.last(0).adopted, shard.last(0).forget) == ([seat], [], [])
    assert (shard.last(1).released, shard.last(1).adopted) == ([], [seat])
    assert shard.owner(2) == 1
    shard.answer(0)
    shard.answer(1)
    shard.step()
    [done] = shard.barrier.ledger.recent()
    assert (done.source, done.target, done.last_tick, done.first_tick, done.gap) == (0, 1, 2, 3, 0)
    assert done.ms == 3 * PERIOD_MS - 60.0


@pytest.mark.parametrize("late", [0, 1], ids=["source", "target"])
def test_a_handoff_waits_until_both_zones_are_idle(shard: Shard, late: int) -> None:
    seat = shard.admit(2, zone=0)
    shard.step()
    shard.begin()
    if late == 1:  # the target is late already when the source tells of the crossing
        shard.answer(0, crossing(seat, 1))
        for _ in range(3):
            shard.begin()
            assert shard.last(0).released == []
            assert shard.owner(2) == 0
            shard.answer(0, crossing(seat, 1))
    else:  # the source tells of it late
        shard.answer(1)
        for _ in range(3):
            shard.begin()
            assert shard.last(1).adopted == []
            shard.answer(1)
        shard.answer(0, crossing(seat, 1))
    if late == 1:
        shard.answer(1)
    shard.begin()
    assert shard.last(0).released == [seat]
    assert shard.last(1).adopted == [seat]


def test_the_source_forgets_only_after_the_first_done_of_the_new_owner(shard: Shard) -> None:
    seat = hand_off(shard)
    shard.begin()
    shard.answer(0)
    for _ in range(3):  # zone 1 is late with its first tick of the player
        shard.begin()
        assert shard.last(0).forget == []
        shard.answer(0)
    assert shard.barrier.ledger.count == 0
    shard.answer(1)
    assert shard.barrier.ledger.count == 1
    shard.begin()
    assert shard.last(0).forget == [seat]
    assert shard.last(1).forget == []
    shard.answer(0)
    shard.answer(1)
    shard.step()
    assert shard.last(0).forget == []


def test_the_forget_waits_for_a_late_source(shard: Shard) -> None:
    seat = hand_off(shard)
    shard.begin()
    shard.answer(1)
    shard.step(1)
    shard.answer(0)
    shard.begin()
    assert shard.last(0).forget == [seat]


def test_a_crossing_of_whom_the_zone_has_no_more_is_nothing(shard: Shard) -> None:
    seat = hand_off(shard)
    shard.begin()
    shard.answer(0, crossing(seat, 1), crossing((5, 1), 1), crossing((2, 9), 1))
    shard.answer(1)
    shard.begin()
    assert (shard.last(0).released, shard.last(1).adopted) == ([], [])
    assert shard.owner(2) == 1


def test_who_turned_back_is_not_handed_off(shard: Shard) -> None:
    seat = shard.admit(2, zone=0)
    shard.step()
    shard.begin()
    shard.answer(0, crossing(seat, 1))
    shard.begin()  # zone 1 is late, the player stays
    shard.answer(0)  # and is back inside by now
    shard.answer(1)
    shard.begin()
    assert shard.last(0).released == []
    assert shard.owner(2) == 0


def test_who_leaves_the_world_is_not_handed_off_as_well(shard: Shard) -> None:
    seat = hand_off(shard)
    shard.barrier.dismiss(seat)
    shard.begin()
    assert shard.last(0).released == [seat]
    assert shard.last(1).adopted == []
    assert shard.answer(0).freed == [seat]
    assert shard.barrier.ledger.count == 0


def test_there_and_back_again_are_two_handoffs(shard: Shard) -> None:
    seat = hand_off(shard)
    shard.begin()
    shard.answer(0)
    shard.answer(1, crossing(seat, 0))
    shard.begin()
    assert shard.last(0).adopted == [seat]
    assert shard.last(0).forget == [seat], "meant for the time before: the zone lists it anew"
    shard.answer(0)
    shard.answer(1)
    shard.step()
    assert shard.barrier.ledger.count == 2
    assert shard.barrier.ledger.gaps == 0


# --- commands


def test_commands_go_to_the_owner_in_order(shard: Shard) -> None:
    one, other = shard.admit(2, zone=0), shard.admit(3, zone=1)
    for x, seat in ((1.0, one), (2.0, other), (3.0, one), (4.0, one)):
        shard.barrier.command(place(seat, x))
    shard.step()
    assert xs(shard.last(0)) == [1.0, 3.0, 4.0]
    assert xs(shard.last(1)) == [2.0]
    shard.step()
    assert xs(shard.last(0)) == xs(shard.last(1)) == []
    assert shard.barrier.unanswered == 0


def test_commands_follow_the_player_over_the_border(shard: Shard) -> None:
    seat = hand_off(shard)
    shard.barrier.command(place(seat, 7.0))
    shard.begin()
    assert xs(shard.last(0)) == []
    assert xs(shard.last(1)) == [7.0]


def test_commands_wait_for_a_late_zone_and_for_the_adoption(shard: Shard) -> None:
    seat = shard.admit(2, zone=0)
    shard.step()
    shard.step(0)
    newcomer = shard.admit(3, zone=0)
    for x, whom in ((1.0, seat), (2.0, newcomer), (3.0, seat)):
        shard.barrier.command(place(whom, x))
    shard.step(0)
    shard.answer(0)
    shard.step()
    assert xs(shard.last(0)) == [1.0, 2.0, 3.0]
    assert shard.barrier.unanswered == 0


def test_a_command_for_a_slots_last_player_is_dropped_and_counted(shard: Shard) -> None:
    old = shard.admit(2, zone=0)
    shard.step()
    shard.barrier.dismiss(old)
    shard.step()
    new = shard.admit(2, zone=0)
    shard.barrier.command(place(old, 1.0))
    shard.barrier.command(place(new, 2.0))
    shard.step()
    assert xs(shard.last(0)) == [2.0]
    assert shard.barrier.unanswered == 1


def test_a_command_for_who_has_left_is_dropped_and_counted(shard: Shard) -> None:
    seat = shard.admit(2, zone=0)
    shard.step()
    shard.barrier.dismiss(seat)
    shard.barrier.command(place(seat))
    shard.step()
    assert xs(shard.last(0)) == []
    assert shard.barrier.unanswered == 1
    shard.step()
    assert shard.barrier.unanswered == 1


def test_a_done_hands_on_what_was_placed(shard: Shard) -> None:
    seat = shard.admit(2, zone=0)
    shard.barrier.command(place(seat))
    shard.begin()
    committed = shard.answer(0)
    assert committed.zone == 0
    assert committed.tick == 1
    assert [(event.slot, event.generation) for event in committed.placed] == [seat]
    assert shard.answer(1).placed == []


# --- limits


def test_more_than_a_tick_holds_goes_out_with_the_next_in_order() -> None:
    count = MESSAGES_PER_TICK_MAX + 40
    with opened(zones=1, slots=count) as shard:
        seats = [shard.admit(slot, zone=0) for slot in range(count)]
        for number, seat in enumerate(seats):
            shard.barrier.command(place(seat, float(number)))
        shard.step()
        assert shard.last(0).adopted == seats[:MESSAGES_PER_TICK_MAX]
        assert xs(shard.last(0)) == [float(number) for number in range(MESSAGES_PER_TICK_MAX)]
        shard.step()
        assert shard.last(0).adopted == seats[MESSAGES_PER_TICK_MAX:]
        assert xs(shard.last(0)) == [float(number) for number in range(MESSAGES_PER_TICK_MAX, count)]
        for seat in seats:
            shard.barrier.dismiss(seat)
        freed = []
        for _ in range(2):
            shard.begin()
            freed += shard.answer(0).freed
            assert len(shard.last(0).released) <= MESSAGES_PER_TICK_MAX
        assert freed == seats


def test_a_stampede_over_a_border_stays_within_the_pipes_bound() -> None:
    count = 3 * MESSAGES_PER_TICK_MAX
    with opened(zones=2, slots=count) as shard:
        seats = [shard.admit(slot, zone=slot % 2) for slot in range(count)]
        for _ in range(2):
            shard.step()
        for _ in range(3):
            shard.begin()
            for zone in (0, 1):
                mine = [seat for seat in seats if shard.zones[zone].members.get(seat[0]) == seat[1]]
                shard.answer(zone, *[crossing(seat, 1 - zone) for seat in mine[:MESSAGES_PER_TICK_MAX]])
            for seat in seats[::3]:
                shard.barrier.dismiss(seat)
            for seat in seats:
                shard.barrier.command(place(seat))
        largest = max(len(encode(tick)) for zone in shard.zones for tick in zone.sent)
        assert largest <= PIPE_MESSAGE_BYTES_MAX
        assert max(len(tick.released) for zone in shard.zones for tick in zone.sent) > MESSAGES_PER_TICK_MAX


# --- all of it at random

ZONES = 3
SLOTS = 5
MOVES = st.lists(
    st.tuples(
        st.sampled_from(["admit", "admit", "dismiss", "cross", "cross", "cross", "command"]),
        st.integers(0, SLOTS - 1),
        st.integers(0, ZONES - 1),
    ),
    max_size=4,
)
ROUNDS = st.lists(st.tuples(MOVES, st.sets(st.integers(0, ZONES - 1), max_size=2)), max_size=25)


@settings(max_examples=80, deadline=None)
@given(rounds=ROUNDS)
def test_whatever_happens_everybody_has_one_owner_and_every_slot_is_freed_once(
    rounds: list[tuple[list[tuple[str, int, int]], set[int]]],
) -> None:
    with opened(ZONES, SLOTS) as shard:
        alive: dict[int, Seat] = {}
        leaving: set[int] = set()
        freed: list[Seat] = []
        crossings: dict[int, int] = {}
        commanded = answered = 0
        last_tick = [0] * SLOTS

        def answer(zone: int) -> None:
            nonlocal answered
            members = shard.zones[zone].members
            events = [
                crossing((slot, members[slot]), target)
                for slot, target in crossings.items()
                if slot in members and target != zone
            ]
            committed = shard.answer(zone, *events)
            answered += len(committed.placed)
            for slot, _ in committed.freed:
                freed.append(alive.pop(slot))
                leaving.discard(slot)
            for slot in members:
                tick = int(shard.memory.table.committed("tick")[slot])
                assert tick == committed.tick
                assert tick > last_tick[slot], "no player has a tick twice"
                last_tick[slot] = tick

        for moves, late in rounds:
            for kind, slot, zone in moves:
                if kind == "admit" and slot not in alive:
                    alive[slot] = shard.admit(slot, zone)
                    last_tick[slot] = 0
                elif kind == "dismiss" and slot in alive and slot not in leaving:
                    shard.barrier.dismiss(alive[slot])
                    leaving.add(slot)
                elif kind == "cross":
                    crossings[slot] = zone
                elif kind == "command" and slot in alive:
                    shard.barrier.command(place(alive[slot]))
                    commanded += 1
            shard.begin()
            check_owners(shard, alive)
            for desk in shard.barrier.late():
                if desk.zone not in late:
                    answer(desk.zone)
        for slot, seat in alive.items():
            if slot not in leaving:
                shard.barrier.dismiss(seat)
        for _ in range(4):
            for desk in shard.barrier.late():
                answer(desk.zone)
            shard.begin()
        for desk in shard.barrier.late():
            answer(desk.zone)
        assert not alive
        assert len(set(freed)) == len(freed)
        assert all(zone.members == {} for zone in shard.zones)
        assert answered + shard.barrier.unanswered == commanded
        assert (shard.memory.table.owner == NO_ZONE).all()


def check_owners(shard: Shard, alive: dict[int, Seat]) -> None:
    """Nobody is simulated by two zones; main, the table and the zones agree on who simulates whom."""
    for slot, owner in enumerate(shard.memory.table.owner.tolist()):
        having = [zone for zone, each in enumerate(shard.zones) if slot in each.members]
        assert having == ([] if owner == NO_ZONE else [owner])
        assert slot in alive or not having
    for desk, zone in zip(shard.barrier.desks, shard.zones, strict=True):
        assert desk.members == zone.members
        assert desk.index.tolist() == sorted(zone.members)
