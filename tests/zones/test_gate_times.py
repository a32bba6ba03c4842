"""How well crossings are dated: drivers whose exact times are known, over lines that delay their samples.

The truth to which ``at_ms`` is compared is the exact time of the crossing plus the constant part of the line's delay:
that part cannot be told from a slow client, and shifts all gates alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from ipc.control import Arm, GatePassed, Implausible
from ipc.layout import SAMPLE
from shared.player_state import F64, fresh
from shared.vehicles import VEHICLES
from shared.world.ground_grid import GroundGrid
from tests.fakes.race_zone import PlainRoute, RaceZone, route_table
from zones import gates, movement
from zones.tracks import Tracks

DRIVERS = 32
GATES = 60
GATE_EVERY_M = 50.0
GRID_S = 5.0
"""From the announcement of the start to the start: what is known of a line by then, it was heard in this time."""
RACE_S = 25.0
GROUND = GroundGrid.level(8192, 0)


@dataclass(frozen=True)
class Line:
    """One setting: how often samples are taken and what the way to the server does to them."""

    hz: float
    jitter_ms: float
    stall_s: float = 0.0
    """Every ten seconds nothing arrives for so long, and then all at once."""
    uneven: float = 0.0
    """Samples are taken so much before or after their time, as a share of the period."""
    clock_step_ms: float = 0.0
    drift: float = 2e-4


class Drivers:
    """Cars that drive east with speeds that swell and sink, by up to 12 m/s2."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.mean_mps = rng.uniform(15.0, 42.0, DRIVERS)
        self.beat = rng.uniform(0.3, 1.2, DRIVERS)  # radians per second
        self.swell_mps = np.minimum(12.0 / self.beat, 0.6 * self.mean_mps)
        self.phase = rng.uniform(0.0, 6.28, DRIVERS)

    def x_m(self, at_s: F64) -> F64:
        """Where each car is; all wait at 50 m until 0 s."""
        at = np.maximum(at_s, 0.0)
        swell: F64 = self.swell_mps / self.beat * (np.cos(self.phase) - np.cos(self.beat * at + self.phase))
        return 50.0 + self.mean_mps * at + swell

    def reached_s(self, who: int, x_m: float) -> float:
        """When a car is at ``x_m``, by bisection."""
        low, high = 0.0, 2.0 * RACE_S
        for _ in range(60):
            middle = (low + high) / 2.0
            low, high = (middle, high) if self.x_m(np.full(DRIVERS, middle))[who] < x_m else (low, middle)
        return low


def race(line: Line, seed: int = 1) -> tuple[F64, F64, list[Any]]:
    """All crossings: error in ms and bar in ms, each (crossings,); and the other events."""
    rng = np.random.default_rng(seed)
    drivers = Drivers(rng)
    route = PlainRoute([(60.0 + GATE_EVERY_M * gate, 0.0, 60.0 + GATE_EVERY_M * gate, 400.0) for gate in range(GATES)])
    tracks = Tracks.of(route_table([route]))
    state = fresh(DRIVERS)
    state.pos[:] = (50.0, 0.0, 200.0)
    for who in range(DRIVERS):
        gates.arm(state, who, Arm(who, 1, 1, 0, 0.0), tracks)
    delay_ms, drift = rng.uniform(20.0, 150.0, DRIVERS), rng.uniform(-line.drift, line.drift, DRIVERS)
    start_clock_ms, phase = rng.uniform(-1e6, 1e6, DRIVERS), rng.uniform(0.0, 1.0, DRIVERS)
    everybody, ones = np.arange(DRIVERS), np.ones(DRIVERS, np.uint32)
    heard_ms = np.full(DRIVERS, -np.inf)
    passed: list[GatePassed] = []
    others: list[Any] = []
    for number in range(int((GRID_S + RACE_S) * line.hz)):
        at_s = (number + phase + rng.uniform(-line.uneven, line.uneven, DRIVERS)) / line.hz - GRID_S
        recv_ms = 1000.0 * at_s + delay_ms + rng.uniform(0.0, 1.0, DRIVERS) * line.jitter_ms
        if line.stall_s:
            into_s = np.mod(recv_ms / 1000.0, 10.0)
            recv_ms = np.where(into_s < line.stall_s, recv_ms + 1000.0 * (line.stall_s - into_s), recv_ms)
        recv_ms = heard_ms = np.maximum(heard_ms, recv_ms)  # a stream keeps the order
        client_ms = 1000.0 * at_s * (1.0 + drift) + start_clock_ms
        if line.clock_step_ms:
            client_ms = np.floor(client_ms / line.clock_step_ms) * line.clock_step_ms
        samples = np.zeros(DRIVERS, SAMPLE)
        samples["recv_ms"], samples["t_ms"], samples["seq"], samples["y"] = recv_ms, client_ms, number, np.nan
        samples["x"], samples["z"] = np.round(drivers.x_m(at_s), 2), 200.0
        referee = gates.Referee(tracks, VEHICLES, everybody, ones, np.zeros(DRIVERS, np.uint8), state)
        began = referee.begin(everybody)
        movement.apply_samples(state, everybody, samples, GROUND)
        referee.end(began, samples)
        for event in referee.events:
            if isinstance(event, GatePassed):
                passed.append(event)
            else:
                others.append(event)
    truth_ms = [1000.0 * drivers.reached_s(event.slot, float(route.gates[event.gate][0])) for event in passed]
    errors = [event.at_ms - true - delay_ms[event.slot] for event, true in zip(passed, truth_ms, strict=True)]
    return np.array(errors), np.array([event.err_ms for event in passed]), others


LINES = {
    Line(20, 0): (2.0, 1.000),
    Line(10, 0): (5.0, 1.000),
    Line(5, 0): (30.0, 1.000),
    Line(20, 20): (7.0, 0.995),
    Line(20, 50): (15.0, 0.995),
    Line(10, 50): (16.0, 0.995),
    Line(20, 100): (30.0, 0.995),
    Line(10, 100): (30.0, 0.995),
    Line(20, 200): (62.0, 0.990),
    Line(10, 200): (60.0, 0.990),
    Line(10, 200, uneven=0.4): (62.0, 0.990),
    Line(20, 50, clock_step_ms=1.0): (16.0, 0.995),
    Line(20, 50, drift=5e-4): (15.0, 0.995),
    Line(20, 20, stall_s=0.4): (20.0, 0.990),
    Line(20, 20, stall_s=2.0): (45.0, 0.990),
}
"""Setting to: largest median bar in ms, least share of crossings inside their bars."""


@pytest.mark.parametrize(("line", "median_ms", "share"), [(line, *least) for line, least in LINES.items()], ids=str)
def test_crossings_lie_within_their_bars_and_bars_are_no_wider_than_need_be(
    line: Line, median_ms: float, share: float
) -> None:
    errors, bars, others = race(line)
    assert len(errors) > 200
    inside = np.abs(errors) <= bars
    told = f"{inside.mean():.4f} inside, bars {np.median(bars):.1f} ms, errors to {np.abs(errors).max():.1f} ms"
    assert inside.mean() >= share, told
    assert np.median(bars) <= median_ms, told
    assert not [event for event in others if isinstance(event, Implausible)], "nobody was too fast"
    print(f"{line}: {told}")


def test_the_order_of_close_crossings_is_right_where_the_bars_do_not_overlap() -> None:
    errors, bars, _ = race(Line(20, 50), seed=2)
    rng = np.random.default_rng(1)
    one, other = rng.permutation(len(errors)), rng.permutation(len(errors))
    gap_ms = rng.uniform(0.0, 60.0, len(errors))  # two cars so far apart in truth
    seen_ms = gap_ms + errors[one] - errors[other]
    apart = np.abs(seen_ms) > bars[one] + bars[other]
    assert apart.any()
    assert (seen_ms[apart] > 0.0).all()


def test_bars_are_wide_until_a_line_is_known_and_after_every_new_connection() -> None:
    state = fresh(1)
    tracks = Tracks.of(route_table([PlainRoute([(10.0, 0.0, 10.0, 9.0), (20.0, 0.0, 20.0, 9.0)])]))
    gates.arm(state, 0, Arm(0, 1, 1, 0, 0.0), tracks)

    def hear(count: int, since_ms: float) -> float:
        for number in range(count):
            samples = np.zeros(1, SAMPLE)
            samples["recv_ms"] = samples["t_ms"] = since_ms + 50.0 * (number + 1)
            referee = gates.Referee(tracks, VEHICLES, np.arange(1), np.ones(1, np.uint32), np.zeros(1, np.uint8), state)
            began = referee.begin(np.arange(1))
            movement.apply_samples(state, np.arange(1), samples, GROUND)
            referee.end(began, samples)
        return float(state.lateness_ms[0])

    assert hear(1, 0.0) == 500.0
    assert hear(75, 50.0) < 50.0
    assert hear(200, 4000.0) < 0.1
    state.offset_ms[0] = np.inf  # what a Resume does
    assert hear(1, 20_000.0) == 500.0


def test_a_sample_time_that_goes_back_never_puts_a_later_gate_before_an_earlier_one() -> None:
    """The mapping gets better by 80 ms between two gates that lie 30 ms apart."""
    tracks = Tracks.of(route_table([PlainRoute([(10.0, 0.0, 10.0, 9.0), (12.0, 0.0, 12.0, 9.0)])]))
    state = fresh(1)
    state.pos[0] = (0.0, 0.0, 5.0)
    gates.arm(state, 0, Arm(0, 1, 1, 0, 0.0), tracks)
    events: list[Any] = []
    for t_ms, late_ms, x in ((1000.0, 100.0, 5.0), (1050.0, 100.0, 11.0), (1080.0, 20.0, 13.0)):
        samples = np.zeros(1, SAMPLE)
        samples["recv_ms"], samples["t_ms"], samples["x"], samples["z"] = t_ms + late_ms, t_ms, x, 5.0
        referee = gates.Referee(tracks, VEHICLES, np.arange(1), np.ones(1, np.uint32), np.zeros(1, np.uint8), state)
        began = referee.begin(np.arange(1))
        movement.apply_samples(state, np.arange(1), samples, GROUND)
        referee.end(began, samples)
        events += referee.events
    first, second = (event for event in events if isinstance(event, GatePassed))
    assert second.at_ms >= first.at_ms
    assert abs(second.at_ms - (1065.0 + 20.0)) <= second.err_ms
    assert abs(first.at_ms - (1041.7 + 20.0)) <= first.err_ms


@pytest.mark.parametrize("accel_mps2", [20.0, -20.0])
def test_what_a_car_can_do_between_two_samples_is_in_the_bar(accel_mps2: float) -> None:
    """Few samples of a perfect line: all that is not known is how the car drove between them."""
    period_s, from_mps = 0.2, 14.0
    way_m = from_mps * period_s + 0.5 * accel_mps2 * period_s * period_s
    gate_m = 90.0 + 0.5 * way_m
    zone = RaceZone([PlainRoute([(gate_m, 100.0, gate_m, 120.0), (900.0, 100.0, 900.0, 120.0)])])
    zone.stand(0, 90.0, 110.0)
    zone.arm()
    zone.drive(0, (90.0, 110.0), every_ms=1000.0 * period_s)
    zone.state.lateness_ms[0] = 0.0
    began_ms = zone.now_ms
    [event] = zone.drive(0, (90.0 + way_m, 110.0), every_ms=1000.0 * period_s)
    assert isinstance(event, GatePassed)
    root = np.sqrt(from_mps * from_mps + 2.0 * accel_mps2 * 0.5 * way_m)
    exact_ms = began_ms + 1000.0 * (root - from_mps) / accel_mps2
    assert 3.0 < abs(event.at_ms - exact_ms) <= event.err_ms < 30.0
