"""Race gates in a zone's tick: what counts, what is told, what never is; against a plain reference per racer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipc.control import (
    MESSAGES_PER_TICK_MAX,
    RACE_EVENTS_PER_TICK_MAX,
    Arm,
    Crossing,
    Disarm,
    FalseStart,
    GateMissed,
    GatePassed,
    Implausible,
    Place,
    RaceEvent,
    Resume,
    SetFlags,
    WrongWay,
)
from shared.constants import FLAG_AWAY, FLAG_FROZEN, FLAG_GHOST, FLAG_RACING, ROUNDS_MAX
from shared.player_state import COLUMNS, fresh
from shared.vehicles import VEHICLES
from shared.world.zone_map import ZoneMap
from tests.fakes.race_zone import SIZE_M, START_MS, PlainRoute, RaceZone, static_world
from zones import gates
from zones.gates import GATES_PER_PATH_MAX, GRID_M, START_GRACE_MS, WRONG_WAY_EVERY_MS
from zones.simulation import ZoneWorld
from zones.tracks import GATES_AHEAD, NO_GATE


def across(x: float, z0: float = 100.0, z1: float = 120.0) -> tuple[float, float, float, float]:
    """A gate for cars that drive east: A, at the left, is in the north."""
    return (x, z0, x, z1)


SPRINT = PlainRoute([across(100.0), across(200.0), across(300.0), across(400.0)])
CIRCUIT = PlainRoute(
    [(200.0, 100.0, 200.0, 120.0), (300.0, 200.0, 280.0, 200.0),
     (200.0, 300.0, 200.0, 280.0), (100.0, 200.0, 120.0, 200.0)],
    laps=2,
)  # fmt: skip
ROUND = [(250.0, 110.0), (290.0, 190.0), (290.0, 250.0), (250.0, 290.0),
         (150.0, 290.0), (110.0, 250.0), (110.0, 150.0), (150.0, 110.0)]  # fmt: skip
"""Once around the circuit, from beyond the start to before it."""


def sprinter(route: PlainRoute = SPRINT, x: float = 90.0, start_ms: float | None = None) -> RaceZone:
    """One racer in front of the start line."""
    zone = RaceZone([route])
    zone.stand(0, x, 110.0)
    zone.arm(start_ms=start_ms)
    return zone


def brief(events: list[RaceEvent]) -> list[tuple[object, ...]]:
    """Events without seats and times."""
    out: list[tuple[object, ...]] = []
    for event in events:
        match event:
            case GatePassed():
                out.append(("passed", event.lap, event.gate))
            case GateMissed() | Implausible():
                out.append(("missed" if isinstance(event, GateMissed) else "implausible", event.gate))
            case WrongWay():
                out.append(("wrong way",))
            case FalseStart():
                out.append(("false start",))
    return out


# --- order


def test_a_sprint_counts_gate_by_gate_and_then_nothing_more() -> None:
    zone = sprinter()
    events = zone.drive(0, (150.0, 110.0), (250.0, 110.0), (350.0, 110.0), (450.0, 110.0), every_ms=5000.0)
    assert brief(events) == [("passed", 0, 0), ("passed", 0, 1), ("passed", 0, 2), ("passed", 0, 3)]
    assert all((event.slot, event.generation, event.race) == (0, 1, 7) for event in events)
    assert zone.state.gate[0] == NO_GATE
    back_and_forth = [(390.0, 110.0), (410.0, 110.0), (90.0, 110.0), (110.0, 110.0)]
    assert zone.drive(0, *back_and_forth, every_ms=9000.0) == []


def test_a_circuit_counts_laps_at_its_start_line() -> None:
    zone = sprinter(CIRCUIT, x=190.0)
    events = zone.drive(0, (210.0, 110.0), *ROUND, *ROUND, (250.0, 110.0), (290.0, 250.0), every_ms=5000.0)
    laps = [
        ("passed", lap, gate) for lap, gate in ((0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (1, 3), (2, 0))
    ]
    assert brief(events) == laps
    assert (zone.state.gate[0], zone.state.lap[0]) == (NO_GATE, 2)


def test_only_forwards_and_within_the_gate_counts() -> None:
    zone = sprinter()
    around = [(95.0, 130.0), (105.0, 130.0), (105.0, 110.0), (95.0, 110.0), (99.0, 110.0)]
    assert [event for event in zone.drive(0, *around) if not isinstance(event, WrongWay)] == []
    assert brief(zone.drive(0, (101.0, 110.0))) == [("passed", 0, 0)]


def test_a_missed_gate_is_told_once_and_counts_once_it_is_passed() -> None:
    zone = sprinter()
    zone.drive(0, (150.0, 110.0))
    past = [(190.0, 130.0), (210.0, 130.0), (290.0, 110.0), (310.0, 110.0)]
    assert brief(zone.drive(0, *past, every_ms=5000.0)) == [("missed", 1)]
    again = [(290.0, 110.0), (310.0, 110.0)]
    assert brief(zone.drive(0, *again, every_ms=5000.0)) == [], "it was told"
    home = [
        (290.0, 130.0),
        (150.0, 130.0),
        (150.0, 110.0),
        (210.0, 110.0),
        (210.0, 130.0),
        (390.0, 130.0),
        (390.0, 110.0),
        (410.0, 110.0),
    ]
    told = [each for each in brief(zone.drive(0, *home, every_ms=5000.0)) if each != ("wrong way",)]
    assert told == [("passed", 0, 1), ("missed", 2)], "the next gate is missed and told on its own account"


@pytest.mark.parametrize("left_out", [1, 2, GATES_AHEAD])
def test_gates_missed_in_a_row_are_told_at_the_first_that_is_passed_and_one_by_one_on_the_way_back(
    left_out: int,
) -> None:
    zone = sprinter(PlainRoute([across(100.0 * number) for number in range(1, GATES_AHEAD + 4)]))
    zone.drive(0, (150.0, 110.0))
    beyond_m = 100.0 * (left_out + 2) + 50.0
    around = [(150.0, 130.0), (beyond_m - 100.0, 130.0), (beyond_m - 100.0, 110.0)]
    assert brief(zone.drive(0, *around, every_ms=9000.0)) == []
    assert brief(zone.drive(0, (beyond_m, 110.0), every_ms=9000.0)) == [("missed", 1)]
    back = [(beyond_m, 130.0), (150.0, 130.0), (150.0, 110.0), (beyond_m, 110.0)]
    told = brief(zone.drive(0, *back, every_ms=60_000.0))
    assert told == [("passed", 0, gate) for gate in range(1, left_out + 2)]


def test_a_short_cut_past_more_gates_than_are_looked_at_is_told_once_one_of_them_is_passed() -> None:
    zone = sprinter(PlainRoute([across(100.0 * number) for number in range(1, GATES_AHEAD + 4)]))
    last_m = 100.0 * (GATES_AHEAD + 3)
    cut = [(150.0, 110.0), (150.0, 130.0), (last_m - 50.0, 130.0), (last_m - 50.0, 110.0), (last_m + 50.0, 110.0)]
    assert brief(zone.drive(0, *cut, every_ms=9000.0)) == [("passed", 0, 0)]
    back = [(last_m + 50.0, 130.0), (last_m - 150.0, 130.0), (last_m - 150.0, 110.0), (last_m - 50.0, 110.0)]
    assert brief(zone.drive(0, *back, every_ms=9000.0)) == [("missed", 1)]


def test_on_a_circuit_who_turns_back_over_gates_it_has_passed_has_missed_none() -> None:
    eight = [(100.0 + 50.0 * number, 100.0, 100.0 + 50.0 * number, 120.0) for number in range(8)]
    zone = sprinter(PlainRoute(eight, laps=2))
    zone.drive(0, (290.0, 110.0), every_ms=30_000.0)
    assert zone.state.gate[0] == 4
    told = brief(zone.drive(0, (290.0, 130.0), (90.0, 130.0), (90.0, 110.0), (290.0, 110.0), every_ms=30_000.0))
    assert told == []
    assert brief(zone.drive(0, (290.0, 130.0), (390.0, 130.0), (390.0, 110.0), (440.0, 110.0))) == [("missed", 4)]


def test_on_a_circuit_of_two_gates_nobody_can_tell_a_missed_gate_from_a_second_look() -> None:
    zone = sprinter(PlainRoute([across(100.0), across(200.0)], laps=3))
    zone.drive(0, (150.0, 110.0))
    assert brief(zone.drive(0, (90.0, 110.0), (150.0, 110.0), every_ms=100.0)) == [("wrong way",)]


@pytest.mark.parametrize("x", [90.0, 190.0], ids=["the last gate", "the next gate"])
def test_wrong_way_is_told_at_most_every_two_seconds_and_takes_nothing_away(x: float) -> None:
    zone = sprinter()
    zone.drive(0, (150.0, 110.0))
    if x == 190.0:
        zone.drive(0, (190.0, 130.0), (210.0, 130.0), (210.0, 110.0))
    before = zone.state.gate.tolist(), zone.state.lap.tolist(), zone.state.gate_ms.tolist()
    passes = [(x, 110.0), (x, 130.0), (x + 20.0, 130.0), (x + 20.0, 110.0)]
    told = [sum(event == WrongWay(0, 1, 7) for event in zone.drive(0, *passes, every_ms=250.0)) for _ in range(6)]
    assert WRONG_WAY_EVERY_MS == 2000.0
    assert told == [1, 0, 1, 0, 1, 0]
    assert (zone.state.gate.tolist(), zone.state.lap.tolist(), zone.state.gate_ms.tolist()) == before


def test_several_gates_of_one_step_count_in_order_each_at_its_time() -> None:
    zone = sprinter()
    events = zone.drive(0, (390.0, 110.0), every_ms=30_000.0)
    assert brief(events) == [("passed", 0, 0), ("passed", 0, 1), ("passed", 0, 2)]
    times = [event.at_ms - START_MS for event in events if isinstance(event, GatePassed)]
    assert times == pytest.approx([1000.0, 11_000.0, 21_000.0])


def test_gates_of_one_step_in_the_wrong_order_do_not_count_twice() -> None:
    zone = sprinter(PlainRoute([across(100.0), across(300.0), across(200.0), across(400.0)]))
    assert brief(zone.drive(0, (390.0, 110.0), every_ms=30_000.0)) == [("passed", 0, 0), ("passed", 0, 1)]
    assert zone.state.gate[0] == 2


def test_more_gates_than_a_path_may_have_wait_for_the_next() -> None:
    zone = sprinter(PlainRoute([across(100.0 + number) for number in range(GATES_PER_PATH_MAX + 4)]))
    events = zone.drive(0, (200.0, 110.0), every_ms=60_000.0)
    assert brief(events) == [("passed", 0, gate) for gate in range(GATES_PER_PATH_MAX)]


def test_a_point_on_the_line_is_beyond_it() -> None:
    zone = sprinter()
    assert brief(zone.drive(0, (100.0, 110.0))) == [("passed", 0, 0)]
    assert brief(zone.drive(0, (100.0, 111.0), (110.0, 111.0))) == []
    onto = sprinter()
    assert brief(onto.drive(0, (100.0, 100.0))) == [("passed", 0, 0)], "the end belongs to the gate"
    along = sprinter()
    assert brief(along.drive(0, (100.0, 130.0), (100.0, 110.0), (110.0, 110.0))) == [], "it came round the end"


# --- what is no path


def test_a_placement_passes_nothing_and_the_next_path_begins_there() -> None:
    zone = sprinter()
    zone.drive(0, (150.0, 110.0))
    assert zone.run(Place(0, 1, 250.0, 110.0, 0.0, "respawn", fresh=False), after_ms=50.0) == []
    assert zone.state.gate[0] == 1
    assert brief(zone.drive(0, (350.0, 110.0), every_ms=9000.0)) == [("missed", 1)]


def test_samples_that_are_not_accepted_pass_nothing() -> None:
    zone = sprinter()
    zone.sample(0, 150.0, 110.0, 50.0, epoch=99)
    assert zone.run(after_ms=50.0) == []
    assert zone.state.gate[0] == 0


def test_ghosts_and_drivers_who_are_away_count_as_well() -> None:
    zone = sprinter()
    zone.run(SetFlags(0, 1, FLAG_GHOST | FLAG_AWAY, 0))
    assert brief(zone.drive(0, (150.0, 110.0))) == [("passed", 0, 0)]


def test_a_driver_who_comes_back_goes_on_where_it_was() -> None:
    zone = sprinter()
    zone.drive(0, (150.0, 110.0))
    zone.run(SetFlags(0, 1, FLAG_GHOST | FLAG_AWAY, 0), Resume(0, 1), after_ms=20_000.0)
    assert brief(zone.drive(0, (210.0, 110.0), every_ms=2000.0)) == [("passed", 0, 1)]


# --- arming and the start


def test_arming_freezes_until_the_start_and_disarming_leaves_no_trace() -> None:
    zone = sprinter(start_ms=START_MS + 5000.0)
    assert zone.state.flags[0] == FLAG_RACING | FLAG_FROZEN
    zone.run(after_ms=4999.0)
    assert zone.state.flags[0] == FLAG_RACING | FLAG_FROZEN
    zone.run(after_ms=1.0)
    assert zone.state.flags[0] == FLAG_RACING
    zone.run(SetFlags(0, 1, FLAG_FROZEN, 0), after_ms=50.0)
    assert zone.state.flags[0] == FLAG_RACING | FLAG_FROZEN, "frozen for another reason: not set free again"
    zone.drive(0, (150.0, 110.0))
    zone.run(Disarm(0, 1))
    assert zone.state.flags[0] == 0
    clean = fresh(1)
    names = [name for name, *_ in COLUMNS]
    race = names[names.index("race") :]
    assert {"race", "route", "gate", "lap", "told", "gate_ms", "client_ms", "lateness_ms"} <= set(race)
    for name in race:
        assert (getattr(zone.state, name) == getattr(clean, name)).all(), name
    assert zone.drive(0, (250.0, 110.0)) == []


def test_arming_anew_begins_anew() -> None:
    zone = sprinter()
    zone.drive(0, (250.0, 110.0), every_ms=9000.0)
    zone.run(Place(0, 1, 80.0, 110.0, 0.0, "grid", fresh=False))
    zone.arm(start_ms=zone.now_ms + 1000.0, race=8)
    events = zone.drive(0, (80.0, 110.0), (150.0, 110.0), every_ms=2000.0)
    assert [(event.race, event.gate) for event in events if isinstance(event, GatePassed)] == [(8, 0)]


def test_the_start_line_does_not_count_before_the_start() -> None:
    zone = sprinter(start_ms=START_MS + 5000.0)
    assert brief(zone.drive(0, (110.0, 110.0))) == [("false start",)]
    assert brief(zone.drive(0, (90.0, 110.0), (95.0, 110.0), every_ms=3000.0)) == [], "backwards neither, and told once"
    assert brief(zone.drive(0, (110.0, 110.0))) == [("passed", 0, 0)]


def test_a_path_over_the_start_counts_if_the_line_was_reached_after_it() -> None:
    for start_after_ms, passes in ((400.0, True), (600.0, False)):
        zone = sprinter(start_ms=START_MS + start_after_ms)
        events = zone.drive(0, (110.0, 110.0))  # the line lies half way, 500 ms from now
        assert any(isinstance(event, GatePassed) for event in events) is passes


@pytest.mark.parametrize(
    ("metres", "before_ms", "told"),
    [
        (GRID_M + 0.01, START_GRACE_MS + 1.0, True),
        (GRID_M, START_GRACE_MS + 1.0, False),
        (GRID_M + 0.01, START_GRACE_MS, False),
        (-GRID_M - 0.01, 3000.0, True),
    ],
)
def test_a_false_start_is_a_car_off_its_slot_too_early(metres: float, before_ms: float, told: bool) -> None:
    assert (GRID_M, START_GRACE_MS) == (1.5, 50.0), "as the published page says"
    zone = sprinter(start_ms=START_MS + 5000.0)
    events = zone.drive(0, (90.0 + metres, 110.0), every_ms=5000.0 - before_ms)
    assert events == ([FalseStart(0, 1, 7, START_MS + 5000.0 - before_ms)] if told else [])


def test_whom_the_server_puts_elsewhere_on_the_grid_waits_there() -> None:
    zone = sprinter(start_ms=START_MS + 5000.0)
    zone.run(Place(0, 1, 60.0, 112.0, 0.0, "grid", fresh=False), after_ms=100.0)
    assert zone.drive(0, (60.5, 112.0), (60.0, 113.0)) == []
    assert brief(zone.drive(0, (62.0, 112.0))) == [("false start",)]


def test_a_route_that_the_world_does_not_have_is_our_own_bug() -> None:
    zone = RaceZone([SPRINT])
    with pytest.raises(AssertionError, match="no route 1"):
        zone.run(Arm(0, 1, 7, 1, START_MS))


# --- plausibility


def at_speed(zone: RaceZone, speed_mps: float, metres: float) -> list[RaceEvent]:
    """Wait until the clock is known, then drive east without any acceleration, at 20 Hz."""
    zone.arm(start_ms=zone.now_ms + 20_000.0)
    x, z = float(zone.state.pos[0, 0]), float(zone.state.pos[0, 2])
    zone.drive(0, *[(x, z)] * 400, every_ms=50.0)
    step_m = speed_mps * 0.05
    return zone.drive(0, *[(x + step_m * (number + 1), z) for number in range(int(metres / step_m))], every_ms=50.0)


@pytest.mark.parametrize(("vehicle", "cap_mps"), [(0, 70.0), (1, 40.0), (2, 35.0)], ids=["car", "kart", "truck"])
def test_a_gate_reached_faster_than_the_car_goes_is_told_and_still_counts(vehicle: int, cap_mps: float) -> None:
    assert VEHICLES[vehicle].speed_cap_mps == cap_mps
    for hurry, implausible in ((0.99, False), (1.01, True)):
        zone = RaceZone([SPRINT], vehicle=vehicle)
        zone.stand(0, 90.0, 110.0)
        events = at_speed(zone, cap_mps * 1.1 * hurry, 350.0)
        told = brief(events)
        assert [each for each in told if each[0] == "passed"] == [("passed", 0, gate) for gate in range(4)]
        too_fast = [("implausible", gate) for gate in (1, 2, 3)]
        assert [each for each in told if each[0] != "passed"] == (too_fast if implausible else [])
        if implausible:
            [first, *_] = [event for event in events if isinstance(event, Implausible)]
            assert first.reason.startswith("split of ")
            assert f"needs {100_000.0 / (cap_mps * 1.1):.0f} ms" in first.reason


def test_splits_that_are_each_within_their_bars_can_be_too_fast_together() -> None:
    zone = RaceZone([PlainRoute([across(100.0 + 40.0 * number) for number in range(20)])])
    zone.stand(0, 90.0, 110.0)
    events = at_speed(zone, 77.2, 800.0)  # 1.3 ms per split too fast, which no bar of a split excludes
    told = [event for event in events if isinstance(event, Implausible)]
    assert all(event.reason.startswith("lap of ") for event in told)
    assert 2 <= told[0].gate <= 5
    assert [event.gate for event in told] == list(range(told[0].gate, 20))


def test_who_was_heard_late_is_not_taken_for_who_was_too_fast() -> None:
    """A stall of 3 s right at a gate: its samples are dated half a second before they came, 2.5 s too late."""
    zone = RaceZone([SPRINT])
    zone.stand(0, 90.0, 110.0)
    zone.arm(start_ms=zone.now_ms)
    for number in range(100):
        t_ms = START_MS + 50.0 * (number + 1)
        recv_ms = max(t_ms, START_MS + 3200.0)
        zone.rings.setdefault(0, []).append(
            (recv_ms, t_ms, 90.0 + 3.4 * (number + 1), math.nan, 110.0, *[0.0] * 4, 0, number)
        )
    events: list[RaceEvent] = []
    while zone.rings[0]:
        events += zone.run(after_ms=50.0)
    assert brief(events) == [("passed", 0, gate) for gate in range(4)]
    for event, x in zip(events, (100.0, 200.0, 300.0, 400.0), strict=True):
        assert isinstance(event, GatePassed)
        assert abs(event.at_ms - (START_MS + (x - 90.0) / 0.068)) <= event.err_ms


# --- room


def test_no_race_event_is_dropped_however_many_there_are_at_once() -> None:
    """Samples whose events do not fit wait; every racer is told of with the time at which it crossed."""
    count = 1000
    zone = RaceZone([SPRINT], count)
    zone.state.pos[:] = (99.0, 0.0, 110.0)
    zone.run(*(Arm(who, 1, 7, 0, START_MS - 9000.0) for who in range(count)))
    for who in range(count):
        zone.sample(who, 101.0, 110.0, 20.0 + who / 100.0)
        if who % 3 == 0:
            zone.sample(who, 102.0, 110.0, 50.0)
    told: list[RaceEvent] = []
    sizes = []
    while zone.rings[0] or any(zone.rings.values()):
        events = zone.run(after_ms=50.0)
        sizes.append(len(events))
        assert len(events) <= RACE_EVENTS_PER_TICK_MAX
        assert zone.outcome is not None
        told += events
    assert sizes == [384, 384, 232]
    assert [event.slot for event in told] == list(range(count))
    times = [event.at_ms - START_MS for event in told if isinstance(event, GatePassed)]
    assert times == pytest.approx([(20.0 + who / 100.0) / 2.0 for who in range(count)])
    assert (zone.state.tail == np.where(np.arange(count) % 3 == 0, 2, 1)).all()


def test_who_has_nothing_to_tell_does_not_wait_for_those_who_have() -> None:
    zone = RaceZone([SPRINT], 600)
    zone.state.pos[:] = (99.0, 0.0, 110.0)
    zone.run(*(Arm(who, 1, 7, 0, START_MS - 9000.0) for who in range(500)))
    for who in range(600):
        zone.sample(who, 101.0 if who < 450 else 98.0, 110.0, 20.0)
    events = zone.run(after_ms=50.0)
    assert len(events) == RACE_EVENTS_PER_TICK_MAX
    assert zone.state.tail[450:].tolist() == [1] * 150
    assert zone.state.tail.sum() == RACE_EVENTS_PER_TICK_MAX + 150


def test_every_round_of_a_lump_is_looked_at() -> None:
    zone = sprinter()
    for number in range(ROUNDS_MAX):
        zone.sample(0, 95.0 + 10.0 * number, 110.0, 1000.0 * (number + 1))
    assert brief(zone.run(after_ms=9000.0)) == [("passed", 0, 0)]
    assert zone.state.pos[0, 0] == 165.0


def test_with_nobody_racing_nothing_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("nobody races")

    monkeypatch.setattr(gates.Referee, "_walk", refused)
    zone = RaceZone([SPRINT], 3)
    zone.stand(1, 90.0, 110.0)
    assert zone.drive(1, (450.0, 110.0)) == []


# --- the plain reference


@dataclass
class PlainRacer:
    """One racer as one would write it, in rational numbers; times in ms since its start."""

    route: PlainRoute
    place: tuple[float, float]
    gate: int = 0
    lap: int = 0
    missed: bool = False
    wrong_ms: float = -1e9

    def next_after(self, gate: int, lap: int) -> tuple[int, int]:
        count = len(self.route.gates)
        if not self.route.laps:
            return (gate + 1 if gate + 1 < count else NO_GATE), lap
        if gate == count:
            return (1 if lap + 1 < self.route.laps else NO_GATE), lap + 1
        return gate + 1, lap

    def cross(self, to: tuple[float, float], gate: int, last: Fraction) -> tuple[int, Fraction]:
        """Direction and share of a crossing behind ``last``; 0: none. ``gate`` is a number of the lap."""
        if gate < 0:
            return 0, last
        (px, pz), (qx, qz) = ((Fraction(x), Fraction(z)) for x, z in (self.place, to))
        ax, az, bx, bz = (Fraction(value) for value in self.route.gates[gate % len(self.route.gates)])
        rx, rz, sx, sz = qx - px, qz - pz, bx - ax, bz - az
        den = rx * sz - rz * sx
        if den == 0:
            return 0, last
        t = ((ax - px) * sz - (az - pz) * sx) / den
        u = ((ax - px) * rz - (az - pz) * rx) / den
        half_open = 0 < t <= 1 if den > 0 else 0 <= t < 1
        return (1 if den > 0 else -1) if half_open and 0 <= u <= 1 and t > last else 0, t

    def instead(self, before: int) -> list[int]:
        """Gates whose passing shows that the next one was missed."""
        found, count, (gate, lap) = [], len(self.route.gates), (self.gate, self.lap)
        for ahead in range(1, GATES_AHEAD + 1):
            gate, lap = self.next_after(gate, lap)
            if gate == NO_GATE:
                break
            behind = count - ahead  # the other way round
            if self.route.laps and ahead > 1 and ahead >= behind:
                break
            if gate % count not in (self.gate % count, before % count if before >= 0 else None):
                found.append(gate)
        return found

    def drive(self, to: tuple[float, float], at_ms: float) -> list[tuple[object, ...]]:
        told: list[tuple[object, ...]] = []
        last = Fraction(-1)
        while self.gate != NO_GATE and self.place != to:
            way, share = self.cross(to, self.gate, last)
            count = len(self.route.gates)
            if way == 1:
                gate, last = self.gate, share
                self.gate, self.lap = self.next_after(self.gate, self.lap)
                self.missed = False
                told.append(("passed", self.lap, gate % count))
                continue
            before = self.gate - 1
            if not self.missed and any(self.cross(to, after, last)[0] == 1 for after in self.instead(before)):
                self.missed = True
                told.append(("missed", self.gate % count))
            backwards = way == -1 or self.cross(to, before, last)[0] == -1
            if backwards and at_ms - self.wrong_ms >= WRONG_WAY_EVERY_MS:
                self.wrong_ms = at_ms
                told.append(("wrong way",))
            break
        self.place = to
        return told


GRID_NUMBERS = st.integers(0, 6).map(lambda number: 64.0 + number * 0.1) | st.sampled_from([64.0, 64.05, 64.2500001])
"""Around a corner of four cells, where zones may end."""
PLACES = st.tuples(GRID_NUMBERS, GRID_NUMBERS)
GATES = st.tuples(GRID_NUMBERS, GRID_NUMBERS, GRID_NUMBERS, GRID_NUMBERS).filter(lambda gate: gate[:2] != gate[2:])
ROUTES = st.builds(PlainRoute, st.lists(GATES, min_size=2, max_size=5), st.integers(0, 3))


@settings(max_examples=300, deadline=None)
@given(
    routes=st.lists(ROUTES, min_size=1, max_size=2),
    tours=st.lists(st.lists(PLACES, min_size=6, max_size=30), min_size=1, max_size=4),
)
def test_what_is_told_is_what_a_plain_referee_tells(
    routes: list[PlainRoute], tours: list[list[tuple[float, float]]]
) -> None:
    zone = RaceZone(routes, len(tours))
    racers = []
    for who, tour in enumerate(tours):
        route = who % len(routes)
        racers.append(PlainRacer(routes[route], tour[0]))
        zone.stand(who, *tour[0])
        zone.arm(who, route, race=who)
    expected: dict[int, list[tuple[object, ...]]] = {who: [] for who in range(len(tours))}
    told: dict[int, list[RaceEvent]] = {who: [] for who in range(len(tours))}
    for number in range(1, max(map(len, tours))):
        for who, tour in enumerate(tours):
            if number < len(tour):
                expected[who] += racers[who].drive(tour[number], 700.0 * number)
                zone.sample(who, *tour[number], 700.0)
        for event in zone.run(after_ms=700.0):
            assert event.slot == event.race
            told[event.slot].append(event)
    for who, events in told.items():
        assert brief([event for event in events if not isinstance(event, Implausible)]) == expected[who]
        times = [event.at_ms for event in events if isinstance(event, GatePassed)]
        assert times == sorted(times)
        assert all(event.err_ms > 0.0 for event in events if isinstance(event, GatePassed))


def test_all_race_events_are_known_here() -> None:
    assert set(get_args(RaceEvent)) == {GatePassed, GateMissed, WrongWay, FalseStart, Implausible}


def test_race_events_take_no_room_from_handoffs() -> None:
    """Everybody is beyond the border and passes a gate: as many are handed off as without a race."""
    count = MESSAGES_PER_TICK_MAX + 20
    zone = RaceZone([PlainRoute([across(700.0, 0.0, 1000.0), across(800.0, 0.0, 1000.0)])], count)
    zone.world = ZoneWorld(0, ZoneMap.split(SIZE_M, 2), static_world(zone.routes), anticheat="off")
    assert zone.world.rect_m[2] < 600.0
    for who in range(count):
        zone.stand(who, 690.0, 1.0 + who)
    zone.run(*(Arm(who, 1, 7, 0, zone.now_ms) for who in range(count)))
    for who in range(count):
        zone.sample(who, 710.0, 1.0 + who, 1000.0)
    assert brief(zone.run(after_ms=1000.0)) == [("passed", 0, 0)] * count
    assert zone.outcome is not None
    assert sum(isinstance(event, Crossing) for event in zone.outcome.events) == MESSAGES_PER_TICK_MAX
