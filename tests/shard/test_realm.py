"""The realm with zones in this process: bodies come and go one at a time, and watchers see cars without a gap."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from shard.players.occupants import Entry
from shared.constants import SLOT_REST_MS
from shared.messages import MovePayload
from tests.stepper import PERIOD_MS, InlineZone, Recorder, ShardStepper, payload_of
from tests.watcher import Watcher

REST_TICKS = int(SLOT_REST_MS / PERIOD_MS)


@dataclass
class Viewer(Recorder):
    """A client that looks at what it is sent, with nothing but the contract."""

    view: Watcher = field(default_factory=Watcher)
    frames: int = 0
    shows: list[set[str]] = field(default_factory=list)
    """Who was in the picture after each frame."""

    def offer(self, frame: bytes) -> bool:
        if self.ready:
            self.frames += 1
            self.view.apply(json.loads(payload_of(frame))["payload"])
            self.shows.append(self.view.players())
        return self.ready


def enter(shard: ShardStepper, player: str) -> Viewer:
    """Let a player in; the car is there after the next step."""
    viewer = Viewer()
    shard.clients[player] = viewer
    shard._seq[player] = 0
    shard.realm.enter(Entry(player, f"Driver {player}", "car"), viewer)
    return viewer


def join(shard: ShardStepper, player: str, x: float, z: float) -> Viewer:
    """Let a player in and stand it somewhere."""
    viewer = enter(shard, player)
    shard.step()
    shard.put(player, x, z)
    shard.step(4)  # placed, told to be abroad, handed over, forgotten
    return viewer


@pytest.fixture
def shard() -> Iterator[ShardStepper]:
    """Zone 0 is the western half, zone 1 the eastern; the border lies at x = 512."""
    with ShardStepper(zones=2, players=8) as made:
        yield made


def zone(shard: ShardStepper, number: int) -> InlineZone:
    link = shard.links[number]
    assert isinstance(link, InlineZone)
    return link


def hold(shard: ShardStepper, number: int) -> None:
    """From now on the zone is late."""
    if zone(shard, number).held is None:
        zone(shard, number).held = []


def wake(shard: ShardStepper, number: int) -> None:
    """The zone does what it was sent, and main takes its Done."""
    zone(shard, number).release_held()
    shard.collect()


def bodies(shard: ShardStepper, player: str) -> int:
    """Rows of the table that are owned and belong to the player."""
    table = shard.memory.table
    return int(np.count_nonzero((table.player == player.encode()) & (table.owner >= 0)))


# --- entering, leaving, coming back


def test_who_enters_is_placed_in_the_next_tick_and_sees_itself(shard: ShardStepper) -> None:
    viewer = enter(shard, "anna")
    assert shard.realm.occupant("anna") is None
    shard.step()
    [placed] = viewer.placements
    assert (placed.reason, placed.tick, placed.slot) == ("enter", 1, shard.body("anna").slot)
    assert placed.epoch == 1
    assert viewer.view.players() == {"anna"}
    x, z = viewer.view.car_of("anna").row[2:4]
    assert (x, z) == (round(100 * placed.x), round(100 * placed.z))
    assert viewer.view.car_of("anna").who == [placed.slot, "anna", "Driver anna", "car"]


def test_arrivals_appear_where_the_world_says(shard: ShardStepper) -> None:
    for number, player in enumerate(("anna", "ben", "cleo"), start=1):
        viewer = enter(shard, player)
        shard.step()
        pose = shard.world.spawn(number)
        assert (viewer.placements[0].x, viewer.placements[0].z) == (pose.x, pose.z)


def test_who_leaves_disappears_for_all_and_gets_no_more_frames(shard: ShardStepper) -> None:
    anna, ben = join(shard, "anna", 100.0, 100.0), join(shard, "ben", 110.0, 100.0)
    assert anna.view.players() == {"anna", "ben"}
    shard.realm.leave("anna")
    assert shard.realm.occupant("anna") is None
    frames = anna.frames
    shard.step()
    assert ben.view.players() == {"ben"}
    assert anna.frames == frames
    assert bodies(shard, "anna") == 0
    shard.realm.leave("anna")
    shard.step()


def test_who_leaves_before_it_was_seated_never_appears(shard: ShardStepper) -> None:
    viewer = enter(shard, "anna")
    shard.realm.leave("anna")
    shard.step(3)
    assert viewer.placements == []
    assert bodies(shard, "anna") == 0


def test_who_leaves_in_the_tick_of_its_arrival_is_not_placed_and_leaves_nothing(shard: ShardStepper) -> None:
    ben = join(shard, "ben", *_first_spawn(shard, 2))
    viewer = enter(shard, "anna")
    shard.begin()
    shard.realm.leave("anna")
    shard.collect()
    shard.realm.end_tick()
    shard.step(3)
    assert (viewer.placements, viewer.frames) == ([], 0)
    assert "anna" not in ben.view.players()
    assert bodies(shard, "anna") == 0


def _first_spawn(shard: ShardStepper, number: int) -> tuple[float, float]:
    pose = shard.world.spawn(number)
    return pose.x, pose.z


def test_who_comes_back_waits_until_the_last_body_is_gone(shard: ShardStepper) -> None:
    first = join(shard, "anna", 100.0, 100.0)
    ben = join(shard, "ben", 110.0, 100.0)
    hold(shard, 0)
    shard.step()
    shard.realm.leave("anna")
    second = enter(shard, "anna")
    for _ in range(5):
        shard.step()
        assert bodies(shard, "anna") == 1, "the zone still has the old one"
        assert second.placements == []
    wake(shard, 0)
    owned = []
    for _ in range(4):
        shard.step()
        owned.append(bodies(shard, "anna"))
        assert bodies(shard, "anna") <= 1
        ben.view.players()  # breaks off when somebody is seen twice
    assert owned[-1] == 1
    [placed] = second.placements
    assert placed.slot != first.placements[0].slot, "the old slot rests"
    assert len(first.placements) == 2, "the first connection hears nothing of the second body"


@settings(max_examples=40, deadline=None)
@given(
    doings=st.lists(
        st.tuples(
            st.sampled_from(["enter", "leave", "leave enter", "respawn", "wait"]),
            st.sampled_from(["anna", "ben"]),
            st.sampled_from([(), (), (0,), (1,), (0, 1)]),
        ),
        max_size=25,
    )
)
def test_nobody_ever_has_two_bodies(doings: list[tuple[str, str, tuple[int, ...]]]) -> None:
    with ShardStepper(zones=2, players=8) as shard:
        inside: set[str] = set()
        viewers: list[Viewer] = []
        for doing, player, late in doings:
            if "leave" in doing and player in inside:
                shard.realm.leave(player)
                inside.discard(player)
            if "enter" in doing and player not in inside:
                viewers.append(enter(shard, player))
                inside.add(player)
            if doing == "respawn":
                shard.realm.respawn(player)
            for number in (0, 1):
                if number in late:
                    hold(shard, number)
                elif zone(shard, number).held is not None:
                    wake(shard, number)
            shard.step()
            assert all(bodies(shard, each) <= 1 for each in ("anna", "ben"))
        for number in (0, 1):
            wake(shard, number)
        shard.step(4)
        for each in ("anna", "ben"):
            assert bodies(shard, each) == (each in inside)
            assert (shard.realm.occupant(each) is not None) == (each in inside)
        assert_pictures_are_true(shard, {player: shard.clients[player] for player in inside})


def test_a_slot_rests_before_the_next_player_gets_it() -> None:
    with ShardStepper(zones=1, players=1) as shard:
        slots = shard.memory.geometry.slots
        for number in range(slots):
            enter(shard, f"guest-{number}")
            shard.step()
            shard.realm.leave(f"guest-{number}")
            shard.step()
        late_guest = enter(shard, "late-guest")
        waited = 0
        while not late_guest.placements:
            shard.step()
            waited += 1
            assert waited <= REST_TICKS
        assert late_guest.placements[0].slot == 0, "first freed, first given"
        left_ago = (2 * slots + waited) - 2  # ticks since guest-0 left
        assert left_ago >= REST_TICKS
        assert shard.body("late-guest").generation == 2


def test_a_new_player_takes_nothing_over_from_the_slots_last_one() -> None:
    with ShardStepper(zones=1, players=1, size_m=256) as shard:
        slots = shard.memory.geometry.slots
        for number in range(slots):
            enter(shard, f"guest-{number}")
            shard.step()
            for _ in range(70):  # more than the ring holds: some of it is never judged
                shard.move(f"guest-{number}", 100.0, 100.0, vx=30.0)
            shard.realm.leave(f"guest-{number}")
            shard.step()
        shard.step(REST_TICKS)
        viewer = enter(shard, "anna")
        shard.step(3)
        row = viewer.view.car_of("anna").row
        placed = viewer.placements[0]
        assert row[2:4] == [round(100 * placed.x), round(100 * placed.z)]
        assert row[1] == row[5] == 0
        assert shard.memory.ring.pending(placed.slot) == 0
        assert placed.epoch == 2, "epochs of a slot go on: a sample of the last player cannot fit"


def test_room_counts_those_who_wait_and_not_those_who_leave(shard: ShardStepper) -> None:
    for number in range(7):
        enter(shard, f"guest-{number}")
    assert shard.realm.has_room()
    enter(shard, "guest-7")
    assert not shard.realm.has_room()
    shard.step()
    assert not shard.realm.has_room()
    shard.realm.leave("guest-3")
    assert shard.realm.has_room()


def test_who_is_inside_cannot_enter_again(shard: ShardStepper) -> None:
    join(shard, "anna", 100.0, 100.0)
    with pytest.raises(AssertionError, match="in the world already"):
        enter(shard, "anna")


# --- placements


def test_a_respawn_is_a_new_epoch_and_moves_of_the_old_one_are_ignored(shard: ShardStepper) -> None:
    viewer = join(shard, "anna", 100.0, 100.0)
    old = viewer.placements[-1].epoch
    shard.realm.respawn("anna")
    shard.sample("anna", MovePayload(old, 10, 0.0, 300.0, 300.0, 0.0, 0.0, 0.0))
    shard.step()
    placed = viewer.placements[-1]
    assert placed.reason == "respawn"
    assert placed.epoch != old
    shard.sample("anna", MovePayload(old, 11, 0.0, 300.0, 300.0, 0.0, 0.0, 0.0))
    shard.step()
    assert viewer.view.car_of("anna").row[2:4] == [round(100 * placed.x), round(100 * placed.z)]
    shard.sample("anna", MovePayload(placed.epoch, 12, 0.0, placed.x + 1.0, placed.z, 0.0, 0.0, 0.0))
    shard.step()
    assert viewer.view.car_of("anna").row[1:4] == [12, round(100 * (placed.x + 1.0)), round(100 * placed.z)]


def test_a_respawn_in_the_middle_of_a_handoff_is_obeyed_once_by_the_new_owner(shard: ShardStepper) -> None:
    viewer = join(shard, "anna", 500.0, 100.0)
    shard.move("anna", 525.0, 100.0)
    shard.step()
    placements = len(viewer.placements)
    shard.realm.respawn("anna")
    shard.step(3)
    assert len(viewer.placements) == placements + 1
    assert shard.realm.barrier.ledger.count >= 1
    assert shard.realm.barrier.unanswered == 0


def test_a_full_ring_refuses_a_sample_and_takes_it_after_the_next_commit(shard: ShardStepper) -> None:
    join(shard, "anna", 100.0, 100.0)
    taken = 0
    while shard.move("anna", 101.0, 100.0):
        taken += 1
    assert taken == 64
    assert not shard.move("anna", 101.0, 100.0)
    shard.step()
    assert shard.move("anna", 101.0, 100.0)


# --- what watchers see


def truth_of(shard: ShardStepper, player: str) -> set[str]:
    """Whom the player should see: everybody listed in a cell around its home, as committed."""
    table = shard.memory.table
    home = int(table.committed("home")[shard.body(player).slot])
    around = shard.realm.fanout.watching.watch(home).periods
    cells = table.committed("cell")
    everybody = [other for other in shard.clients if shard.realm.occupant(other) is not None]
    return {other for other in everybody if int(cells[shard.body(other).slot]) in around}


def assert_pictures_are_true(shard: ShardStepper, viewers: dict[str, Recorder]) -> None:
    """All zones have answered: every watcher sees whom it should and nobody else, where they are."""
    table = shard.memory.table
    for player, viewer in viewers.items():
        assert isinstance(viewer, Viewer)
        assert viewer.view.players() == truth_of(shard, player), f"seen by {player}"
        for other in viewer.view.players():
            slot = shard.body(other).slot
            car = viewer.view.car_of(other)
            x, _, z = table.committed("pos")[slot].tolist()
            assert car.cell == int(table.committed("cell")[slot])
            assert car.row[2:4] == [round(100 * x), round(100 * z)], f"{other} as seen by {player}"


def test_a_watcher_sees_the_cells_around_it_and_no_further(shard: ShardStepper) -> None:
    viewers: dict[str, Recorder] = {
        "anna": join(shard, "anna", 100.0, 100.0),
        "near": join(shard, "near", 180.0, 30.0),
        "far": join(shard, "far", 200.0, 100.0),
    }
    assert_pictures_are_true(shard, viewers)
    assert truth_of(shard, "anna") == {"anna", "near"}
    assert truth_of(shard, "near") == {"anna", "near", "far"}


def test_a_late_zone_is_shown_late_at_its_last_pose_and_without_ghosts_afterwards(shard: ShardStepper) -> None:
    west, east = join(shard, "west", 480.0, 100.0), join(shard, "east", 540.0, 100.0)
    leaver = join(shard, "leaver", 545.0, 100.0)
    assert west.view.players() == {"west", "east", "leaver"}
    hold(shard, 1)
    for number in range(1, 5):
        shard.move("east", 540.0 + number, 100.0)
        shard.move("west", 480.0 + number, 100.0)
        if number == 2:
            shard.realm.leave("leaver")
        shard.step()
        cell = west.view.car_of("east").cell
        assert cell is not None
        assert west.view.late == {cell: number}
        assert west.view.car_of("east").row[2] == 54000, "the last pose that was committed"
        assert west.view.car_of("west").row[2] == 48000 + 100 * number, "the other zone goes on"
    wake(shard, 1)
    shard.step(3)
    assert west.view.late == {}
    assert west.view.players() == {"west", "east"}
    assert_pictures_are_true(shard, {"west": west, "east": east})
    assert leaver.view.players() >= {"leaver"}


def test_a_zone_whose_done_comes_just_too_late_every_time_is_shown_a_tick_late(shard: ShardStepper) -> None:
    west, east = join(shard, "west", 480.0, 100.0), join(shard, "east", 540.0, 100.0)
    for number in range(1, 8):
        shard.move("east", 540.0 + number, 100.0)
        hold(shard, 1)
        shard.step()
        wake(shard, 1)  # after the frames are out, before the next tick
        assert west.view.car_of("east").row[2] == 54000 + 100 * (number - 1)
    shard.step(2)
    assert_pictures_are_true(shard, {"west": west, "east": east})


# --- over the border

WAYS = {"east": (1.0, 0), "west": (-1.0, 1)}
"""Direction of x, and the zone in which a drive over x = 512 begins."""


def drive_over(shard: ShardStepper, way: str, number: int) -> float:
    """Move the car 3 m further; returns where it is."""
    x = 512.0 + WAYS[way][0] * (3.0 * number - 15.0)
    assert shard.move("car", x, 100.0)
    return x


def stage_border(shard: ShardStepper, way: str) -> dict[str, Viewer]:
    """A car short of the border, and watchers deep enough on both sides to see the cells along it."""
    viewers = {
        "west": join(shard, "west", 470.0, 100.0),
        "east": join(shard, "east", 550.0, 100.0),
        "far-west": join(shard, "far-west", 400.0, 100.0),
        "far-east": join(shard, "far-east", 630.0, 100.0),
    }
    viewers["car"] = join(shard, "car", 512.0 - WAYS[way][0] * 15.0, 100.0)
    assert viewers["west"].view.players() >= {"west", "east", "car"}
    return viewers


@pytest.mark.parametrize("way", WAYS)
def test_no_watcher_loses_a_car_that_crosses_a_border(shard: ShardStepper, way: str) -> None:
    viewers = stage_border(shard, way)
    owner, ledger = shard.memory.table.owner, shard.realm.barrier.ledger
    count = ledger.count
    for number in range(14):
        x = drive_over(shard, way, number)
        before = int(owner[shard.body("car").slot])
        shard.step()
        for player in ("west", "east", "car"):
            assert "car" in viewers[player].view.players(), f"lost by {player} at {x}"
            assert viewers[player].view.car_of("car").row[2] == round(100 * x), "without a tick's delay"
        if owner[shard.body("car").slot] == before:  # the old owner lists it until the new one has shown it
            assert_pictures_are_true(shard, {**viewers})
    assert ledger.count == count + 1
    assert ledger.gaps == 0


@pytest.mark.parametrize("number_of_late_ticks", [1, 3])
@pytest.mark.parametrize("late_from", [8, 9, 10])
@pytest.mark.parametrize("late_zone", [0, 1])
@pytest.mark.parametrize("way", WAYS)
def test_a_late_zone_costs_no_watcher_a_car_at_the_border(
    shard: ShardStepper, way: str, late_zone: int, late_from: int, number_of_late_ticks: int
) -> None:
    viewers = stage_border(shard, way)
    for number in range(18):
        if number == late_from:
            hold(shard, late_zone)
        if number == late_from + number_of_late_ticks:
            wake(shard, late_zone)
        drive_over(shard, way, min(number, 12))
        shard.step()
        for player in ("west", "east", "car"):
            assert "car" in viewers[player].view.players(), f"lost by {player} in tick {number}"
    assert_pictures_are_true(shard, {**viewers})


@pytest.mark.parametrize("refused", [8, 9, 10])
@pytest.mark.parametrize("late_zone", [0, 1])
@pytest.mark.parametrize("way", WAYS)
def test_a_watcher_that_starts_anew_while_a_zone_is_late_sees_the_car_for_good(
    shard: ShardStepper, way: str, late_zone: int, refused: int
) -> None:
    """Full cells of a late zone are old: whom it has handed over since is shown by the new owner."""
    viewers = stage_border(shard, way)
    for number in range(18):
        for player in ("west", "east", "car"):
            viewers[player].ready = number != refused
        if number == refused:
            hold(shard, late_zone)
        if number == refused + 2:
            wake(shard, late_zone)
        drive_over(shard, way, min(number, 12))
        shard.step()
        if number > refused + 3:
            for player in ("west", "east", "car"):
                assert "car" in viewers[player].view.players(), f"lost by {player} in tick {number}"
    assert_pictures_are_true(shard, {**viewers})


@pytest.mark.parametrize("late_from", [0, 7, 9])
@pytest.mark.parametrize("late_zones", [(0,), (1,), (0, 1)], ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_a_zone_that_is_always_a_little_late_costs_no_watcher_a_car(
    shard: ShardStepper, way: str, late_zones: tuple[int, ...], late_from: int
) -> None:
    """Its Dones come after the frames are out and before the next tick: an overloaded zone."""
    viewers = stage_border(shard, way)
    for number in range(20):
        for late_zone in late_zones:
            if number >= late_from:
                hold(shard, late_zone)
        drive_over(shard, way, min(number, 12))
        shard.step()
        for player in ("west", "east", "car"):
            assert "car" in viewers[player].view.players(), f"lost by {player} in tick {number}"
        for late_zone in late_zones:
            wake(shard, late_zone)
    shard.step(2)
    assert_pictures_are_true(shard, {**viewers})


DRIVES = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 2), st.integers(-3, 3), st.integers(-1, 1)), max_size=3),
        st.sampled_from([(), (), (), (0,), (1,), (2,), (0, 3)]),
        st.sampled_from([(), (), (0,), (1,), (2,), (3,), (0, 1, 2, 3)]),
        st.sampled_from([None, None, None, None, 0, 1, 2]),
    ),
    max_size=20,
)


@settings(max_examples=30, deadline=None, phases=[phase for phase in Phase if phase is not Phase.explain])
@given(ticks=DRIVES)
def test_after_any_lateness_every_picture_is_true_again(
    ticks: list[tuple[list[tuple[int, int, int]], tuple[int, ...], tuple[int, ...], int | None]],
) -> None:
    """Three cars around the point where four zones meet; zones late for long or for a moment; sockets that refuse."""
    with ShardStepper(zones=4, players=8, size_m=512) as shard:
        viewers: dict[str, Recorder] = {}
        at = {"car-0": [250, 250], "car-1": [262, 262], "car-2": [190, 256]}
        for player, (x, z) in at.items():
            viewers[player] = join(shard, player, float(x), float(z))
        for moves, late, just_late, refuses in ticks:
            for car, dx, dz in moves:
                place = at[f"car-{car}"]
                place[0] = min(max(place[0] + 7 * dx, 100), 400)
                place[1] = min(max(place[1] + 9 * dz, 100), 400)
                shard.move(f"car-{car}", float(place[0]), float(place[1]))
            for number in range(4):
                if number in late or number in just_late:
                    hold(shard, number)
                elif zone(shard, number).held is not None:
                    wake(shard, number)
            for number, viewer in enumerate(viewers.values()):
                viewer.ready = number != refuses
            shard.step()
            for number in just_late:
                if number not in late:
                    wake(shard, number)
        for viewer in viewers.values():
            viewer.ready = True
        for number in range(4):
            wake(shard, number)
        shard.step(10)
        assert shard.realm.barrier.late() == []
        assert_pictures_are_true(shard, viewers)
