"""A race through several zones, driven by hand: what is told does not depend on how many zones there are, or where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import pytest

from ipc.control import Arm, Disarm, Done, GateMissed, GatePassed, RaceEvent, WrongWay
from tests.fakes.race_zone import PlainRoute, static_world
from tests.stepper import PERIOD_MS, Death, InlineZone, ShardStepper

SIZE_M = 1024
RACERS = 6
LAPS = 2
GRID_TICKS = 20
X0, Z0, X1, Z1 = 192, 432, 560, 576
LAP_M = 2 * (X1 - X0) + 2 * (Z1 - Z0)
"""The circuit is a rectangle, driven east, south, west, north. With 8 zones their borders are at x = 256 and 512 and
z = 512, with 2 at x = 512; cells end at every 64 m."""
FROM_M = 48
"""Where the grid is on the way round; gate 0 is at 64 m."""
GATES_AT_M = (64, 128, 193.37, 256, 320, 384, 448, 560, 671.99, 816, 944, 1008)
"""Gates on borders of zones, on borders of cells, and elsewhere."""


def place(way_cm: int) -> tuple[float, float]:
    """Where a car is that has gone so far around from the corner in the north-west."""
    way, width, depth = way_cm % (100 * LAP_M), 100 * (X1 - X0), 100 * (Z1 - Z0)
    if way < width:
        return (100 * X0 + way) / 100, float(Z0)
    if way < width + depth:
        return float(X1), (100 * Z0 + way - width) / 100
    if way < 2 * width + depth:
        return (100 * X1 - (way - width - depth)) / 100, float(Z1)
    return float(X0), (100 * Z1 - (way - 2 * width - depth)) / 100


def gate_at(way_m: float) -> tuple[float, float, float, float]:
    """A gate across the way, 12 m to each side, A at the left."""
    (x, z), (ahead_x, ahead_z) = place(round(100 * way_m)), place(round(100 * way_m) + 1)
    side_x, side_z = round(100 * (ahead_z - z)) * 12.0, round(100 * (x - ahead_x)) * 12.0
    return x + side_x, z + side_z, x - side_x, z - side_z


ROUTE = PlainRoute([gate_at(way_m) for way_m in GATES_AT_M], LAPS)
WORLD = static_world([ROUTE], SIZE_M)


def way_cm(number: int, ticks: int) -> int:
    """How far round racer ``number`` is so many ticks after it set off, at full speed: 64, 65, 64 ... 61 m/s."""
    if number == 5 and ticks > 92:  # it turns back beyond the gate at 320 m, and again before it
        ticks = max(184 - ticks, 80, ticks - 24)
    if number == 0:
        return 100 * FROM_M + 320 * ticks  # there is a sample on every gate that lies on a border
    return 100 * FROM_M - 150 * number + (330 - 5 * number) * ticks


@dataclass
class Story:
    """What came of a race."""

    told: dict[int, list[RaceEvent]]
    """Race events of each racer, in order."""
    handoffs: int
    telling: set[int]
    """Zones that had something to tell."""
    left_ms: float
    """Sample time at which everybody set off."""


Deaths = dict[int, tuple[int, Death]]
"""By tick: which zone dies in it, and how. Another takes over within the tick."""


def race(zones: int, zones_in: Literal["thread", "process"], deaths: Deaths | None = None) -> Story:
    """A race of RACERS, each in a race of its own number. Racer 4 leaves a gate out in its first lap, 5 turns back."""
    with (
        pytest.MonkeyPatch.context() as patch,
        ShardStepper(zones=zones, size_m=SIZE_M, players=RACERS, zones_in=zones_in, static=WORLD) as stepper,
    ):
        return _race(stepper, patch, deaths or {})


def _race(stepper: ShardStepper, patch: pytest.MonkeyPatch, deaths: Deaths) -> Story:
    told: dict[int, list[RaceEvent]] = {number: [] for number in range(RACERS)}
    telling: set[int] = set()
    commit = stepper.realm.commit

    def keep(done: Done) -> None:
        for event in done.events:
            if isinstance(event, RaceEvent):
                told[event.race].append(event)
                telling.add(done.zone)
        commit(done)

    patch.setattr(stepper.realm, "commit", keep)
    names = [f"racer-{number}" for number in range(RACERS)]
    for name in names:
        stepper.enter(name, keep=False)
    stepper.step(2)
    start_ms = stepper.now_ms + (GRID_TICKS - 1) * PERIOD_MS
    for number, name in enumerate(names):
        stepper.put(name, *place(way_cm(number, 0)))
        body = stepper.body(name)
        stepper.realm.barrier.command(Arm(body.slot, body.generation, number, 0, start_ms))
    stepper.step()
    left_ms = stepper.now_ms + GRID_TICKS * PERIOD_MS
    for tick in range(730):
        for number, name in enumerate(names):
            x, z = place(way_cm(number, max(tick - GRID_TICKS, 0)))
            if number == 4 and 300.0 < x < 340.0 and z == Z0 and tick < 200:
                z -= 20.0
            stepper.move(name, x, z)
        if tick in deaths:
            _step_with_a_death(stepper, *deaths[tick])
        else:
            stepper.step()
    for name in names:
        body = stepper.body(name)
        stepper.realm.barrier.command(Disarm(body.slot, body.generation))
    stepper.step(2)
    assert stepper.realm.barrier.unanswered == 0, "arming and disarming are not answered"
    assert {state["race"] for state in stepper.state().values()} == {-1}
    return Story(told, stepper.realm.barrier.ledger.count, telling, left_ms)


def _step_with_a_death(stepper: ShardStepper, zone: int, how: Death) -> None:
    link = stepper.links[zone]
    assert isinstance(link, InlineZone)
    link.dies = how
    stepper.begin()
    stepper.collect()
    stepper.replace(zone)
    stepper.collect()
    stepper.realm.end_tick()


@pytest.fixture(scope="module")
def alone() -> Story:
    return race(1, "thread")


EVERY_GATE = [(0, gate) for gate in range(len(GATES_AT_M))]
WHOLE_RACE = [*EVERY_GATE, (1, 0), *((1, gate) for _, gate in EVERY_GATE[1:]), (2, 0)]


def passes(events: list[RaceEvent]) -> list[tuple[int, int]]:
    return [(event.lap, event.gate) for event in events if isinstance(event, GatePassed)]


@pytest.mark.parametrize("number", [0, 1, 2, 3, 5])
def test_who_drives_the_route_passes_every_gate_of_every_lap_once(alone: Story, number: int) -> None:
    assert passes(alone.told[number]) == WHOLE_RACE
    others = [event for event in alone.told[number] if not isinstance(event, GatePassed)]
    assert [type(event) for event in others] == ([WrongWay] if number == 5 else [])


def test_who_leaves_a_gate_out_is_told_and_gets_no_further_until_it_passes(alone: Story) -> None:
    missed = [event for event in alone.told[4] if not isinstance(event, GatePassed)]
    assert [(type(event), getattr(event, "gate", None)) for event in missed] == [(GateMissed, 1)]
    assert passes(alone.told[4]) == [*EVERY_GATE, (1, 0), (1, 1)], (
        "a lap later it goes on with the gate that it left out"
    )


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_crossings_are_dated_within_the_tick(alone: Story, number: int) -> None:
    """The cars' speed is constant but at the corners of the rectangle, which no gate is near."""
    way_m = [LAP_M * lap + GATES_AT_M[gate] for lap in range(LAPS) for gate in range(len(GATES_AT_M))]
    way_m.append(LAP_M * LAPS + GATES_AT_M[0])
    events = [event for event in alone.told[number] if isinstance(event, GatePassed)]
    start_cm, step_cm = way_cm(number, 0), way_cm(number, 1) - way_cm(number, 0)
    for event, at_m in zip(events, way_m, strict=True):
        exact_ms = alone.left_ms + (100 * at_m - start_cm) / step_cm * PERIOD_MS
        assert abs(event.at_ms - exact_ms) < 1e-3
        assert abs(event.at_ms - exact_ms) <= event.err_ms
    if number == 0:
        on_border = [event for event in events if GATES_AT_M[event.gate] in (64, 320, 448, 560, 816, 944)]
        assert all(((event.at_ms - alone.left_ms) / PERIOD_MS).is_integer() for event in on_border)


@pytest.mark.parametrize(("zones", "zones_in"), [(2, "thread"), (8, "thread"), (2, "process"), (8, "process")], ids=str)
def test_the_same_is_told_whatever_the_zones(zones: int, zones_in: Literal["thread", "process"], alone: Story) -> None:
    story = race(zones, zones_in)
    assert story.handoffs >= RACERS * LAPS * (2 if zones == 2 else 6)
    assert len(story.telling) == (2 if zones == 2 else 6), "every zone on the way judges gates"
    assert story.told == alone.told


@pytest.mark.parametrize("how", get_args(Death))
def test_the_same_is_told_when_zones_die_and_others_take_over(how: Death, alone: Story) -> None:
    """On the grid, at the start, at gates, and among samples that nobody has judged yet: progress is in the rows."""
    ticks = [3, GRID_TICKS - 1, GRID_TICKS, GRID_TICKS + 1, *range(GRID_TICKS + 5, 700, 7)]
    deaths: Deaths = {tick: (number % 2, how) for number, tick in enumerate(ticks)}
    story = race(2, "thread", deaths)
    assert story.told == alone.told
