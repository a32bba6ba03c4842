"""What becomes of samples in a tick: honest drivers pass, every cheat gains what its check allows and no more."""

from __future__ import annotations

import math
from math import inf, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipc.control import Place, PlacedAt, Tick, Verdict
from ipc.layout import SAMPLE
from shared.constants import FLAG_GHOST, FLAG_RACING
from shared.player_state import COLUMNS, PlayerState, fresh
from shared.thresholds import DEFAULT
from shared.vehicles import VEHICLES
from shared.world.zone_map import ZoneMap
from tests.fakes.lot import Shape, box, disc, lot, wall
from tests.zones import plain_judge
from tests.zones.one_driver import START_MS, OneDriver
from zones.anticheat import Judge
from zones.docket import CORRECTIONS_PER_TICK_MAX, VERDICTS_PER_TICK_MAX
from zones.simulation import ZoneWorld, step

CAP = VEHICLES[0].speed_cap_mps
FULL_M = CAP * 1.05 + 1.0
PLAIN = lot(size_m=4096)
BOOKS = {
    "budget_m", "clock_ms", "heard_ms", "t_ms", "own_m", "span_ms", "span_client_ms", "span_m", "span_mps", "air_ms",
    "due", "strikes", "strikes_ms", "placed_ms",
}  # fmt: skip


def warmed(**more: Any) -> OneDriver:
    """A driver who has stood still for two seconds, sending."""
    driver = OneDriver(PLAIN, **more)
    for _ in range(40):
        driver.drive(driver.x, driver.z)
        driver.tick()
    return driver


def gain_m(driver: OneDriver, seconds: float, factor: float) -> float:
    """Drive east at ``factor`` times the cap for ``seconds``; returns metres beyond what the cap allows."""
    began = driver.at[0]
    for _ in range(round(seconds * 20)):
        driver.drive(driver.x + factor * CAP * 0.05, driver.z)
        driver.tick()
    return driver.at[0] - began - seconds * CAP


def speed_up(driver: OneDriver, speed_mps: float) -> None:
    """Drive east, ever faster, until ``speed_mps`` and a second longer."""
    steps = math.ceil(speed_mps / (0.9 * VEHICLES[0].accel_cap_mps2 * 0.05))
    for number in range(1, steps + 20):
        driver.drive(driver.x + min(number / steps, 1.0) * speed_mps * 0.05, driver.z)
        driver.tick()


# --- honest


@pytest.mark.parametrize("vehicle", range(len(VEHICLES)))
@pytest.mark.parametrize("every", [1, 2, 4, 20])
def test_a_car_at_99_percent_of_its_cap_is_never_touched_at_any_rate(vehicle: int, every: int) -> None:
    driver = OneDriver(PLAIN, vehicle=vehicle)
    speed = 0.0
    for number in range(1, 600):
        speed = min(speed + 0.99 * VEHICLES[vehicle].accel_cap_mps2 * 0.05, 0.99 * VEHICLES[vehicle].speed_cap_mps)
        driver.x += speed * 0.05
        if number % every == 0:
            driver.sample(driver.x, driver.z, vx=speed)
        driver.tick()
    assert driver.checks() == set()
    assert driver.score == 0.0
    assert driver.at[0] == driver.x if 599 % every == 0 else driver.at[0] > driver.x - every * 4.0


def test_jitter_bunches_samples_and_nobody_minds() -> None:
    driver = OneDriver(PLAIN)
    rng = np.random.default_rng(5)
    waiting: list[tuple[float, float, float]] = []
    due_ms = 0.0
    for number in range(1, 1200):
        t_ms = number * 50.0
        due_ms = max(due_ms, t_ms + rng.uniform(0.0, 200.0))  # TCP keeps the order
        waiting.append((due_ms, t_ms, 100.0 + 0.99 * CAP * t_ms / 1000.0 * 0.7))
        while waiting and waiting[0][0] <= driver.now_ms + 50.0:
            recv_ms, sent_ms, x = waiting.pop(0)
            driver.sample(x, 100.0, t_ms=sent_ms, recv_ms=recv_ms, vx=0.99 * CAP * 0.7)
        driver.tick()
    assert driver.checks() == set()


@pytest.mark.parametrize("rounded_ms", [16.7, 100.0])
def test_a_browser_that_rounds_its_clock_is_not_a_cheat(rounded_ms: float) -> None:
    driver = warmed()
    for number in range(1, 400):
        t_ms = driver.now_ms + 49.0
        driver.drive(driver.x + min(0.03 * number, 0.99 * CAP * 0.05), 100.0, t_ms=t_ms // rounded_ms * rounded_ms)
        driver.tick()
    assert driver.score == 0.0
    assert not driver.corrections


@pytest.mark.parametrize("step_ms", [10_000.0, -10_000.0, 86_400_000.0])
def test_a_stepped_client_clock_costs_half_a_strike_and_moves_nobody(step_ms: float) -> None:
    driver = warmed()
    for number in range(400):
        driver.drive(driver.x + 0.7 * CAP * 0.05, 100.0, t_ms=driver.now_ms + 49.0 + (step_ms if number > 200 else 0.0))
        driver.tick()
    assert not driver.corrections
    assert driver.off_m() == 0.0
    assert driver.score < 0.7, "some of it is for the start from nothing"
    assert "speed" not in driver.checks()


@pytest.mark.parametrize("stall_s", [0.2, 0.5, 0.95])
def test_a_stall_within_the_bank_costs_nothing(stall_s: float) -> None:
    driver = warmed()
    _stall(driver, stall_s, 0.99)
    assert driver.checks() == set()
    assert driver.off_m() == 0.0


@pytest.mark.parametrize("stall_s", [3.0, 10.0])
def test_an_honest_return_after_a_longer_stall_is_put_back_once_without_a_strike(stall_s: float) -> None:
    driver = warmed()
    _stall(driver, stall_s, 0.99)
    assert [event.check for event in driver.corrections] == ["late"]
    assert driver.score == 0.0
    assert driver.checks() <= {"late", "clamped"}


@pytest.mark.parametrize("racing", [False, True])
def test_a_delay_that_shrinks_costs_no_strike(racing: bool) -> None:
    """0 to 2,000 to 0 ms: what was two seconds under way comes at once, long after the silence that began it."""
    driver = warmed()
    driver.state.flags[0] |= FLAG_RACING if racing else 0
    speed_up(driver, 0.99 * CAP)
    began_ms, x = driver.now_ms, driver.x
    for number in range(1, 160):
        for sent in range(1, 160):
            due_ms = max(sent * 50.0 + (2000.0 if sent < 100 else 0.0), 7000.0 if sent >= 100 else 0.0)
            if (number - 1) * 50.0 < due_ms <= number * 50.0 and not driver.corrections:
                place = x + 0.99 * CAP * 0.05 * sent
                driver.sample(place, 100.0, t_ms=began_ms + 50.0 * sent, recv_ms=began_ms + due_ms, vx=0.99 * CAP)
        driver.tick()
    assert {event.check for event in driver.corrections} <= {"late"}
    assert len(driver.corrections) <= 1
    assert driver.score == 0.0


def test_once_per_second_a_race_is_driven_as_fast_as_otherwise() -> None:
    driver = warmed()
    driver.state.flags[0] |= FLAG_RACING
    speed = 0.0
    for number in range(1, 1200):
        speed = min(speed + 0.99 * VEHICLES[0].accel_cap_mps2 * 0.05, 0.99 * CAP)
        driver.x += speed * 0.05
        if driver.x > 3900.0:
            driver.tick(Place(0, 1, 100.0, 100.0, 0.0, "kiosk", fresh=False))
        if number % 20 == 0:
            driver.sample(driver.x, 100.0, vx=speed)
        driver.tick()
    assert not driver.corrections
    assert driver.score == 0.0
    assert driver.checks() == set()


def test_who_is_held_for_long_by_a_wall_gets_no_strike_for_a_clock_that_is_right() -> None:
    driver = OneDriver(lot([wall(50.0, 110.0, 400.0, 110.0)]), x=200.0, z=100.0)
    for number in range(1, 20 * 60):
        if number % 20 == 0:
            driver.sample(200.0, 130.0, vz=30.0)
        driver.tick()
    assert driver.checks() == {"late"}
    assert driver.score == 0.0
    assert driver.at == (200.0, 100.0)


def test_a_slow_driver_may_stall_for_long() -> None:
    driver = warmed()
    _stall(driver, 6.0, 0.15)
    assert driver.checks() == set()


def _stall(driver: OneDriver, stall_s: float, factor: float) -> None:
    """Drive, lose the line for ``stall_s`` while driving on, get everything through at once, drive on."""
    speed_up(driver, factor * CAP)
    began_ms, x = driver.now_ms, driver.x
    for _ in range(round(stall_s * 20)):
        driver.tick()
    for number in range(1, round(stall_s * 20) + 1):
        driver.x = x
        driver.drive(x + factor * CAP * 0.05, 100.0, t_ms=began_ms + 50.0 * number - 1.0, recv_ms=driver.now_ms + 10.0)
        x = driver.x
    for _ in range(60):
        driver.drive(driver.x + factor * CAP * 0.05, 100.0)
        driver.tick()


def test_a_late_zone_charges_nobody() -> None:
    """Samples keep the stamps of their arrival: judged late, they are judged the same."""
    driver = warmed()
    speed_up(driver, 0.99 * CAP)
    for _ in range(8):
        for _ in range(60):
            driver.sample(driver.x + 0.99 * CAP * 0.05, 100.0, recv_ms=driver.now_ms + 49.0, vx=0.99 * CAP)
            driver.x += 0.99 * CAP * 0.05
            driver.now_ms += 50.0  # time passes, no tick comes
        while driver.ring:
            driver.tick(period_ms=0.0)
    assert driver.checks() == set()
    assert driver.off_m() == 0.0


def test_when_main_stood_still_its_stamps_are_late_and_banks_hold_more() -> None:
    told = {}
    for late_ms in (0.0, 4000.0):
        driver = warmed()
        for number in range(1, 81):
            t_ms = driver.now_ms + 50.0 * number
            driver.drive(driver.x + 0.99 * CAP * 0.05, 100.0, t_ms=t_ms, recv_ms=driver.now_ms + 4010.0)
        while driver.ring:
            driver.tick(late_ms=late_ms, period_ms=4050.0 if len(driver.ring) == 80 else 50.0)
        told[late_ms] = len(driver.corrections)
    assert told == {0.0: 1, 4000.0: 0}


def test_a_resume_resets_no_budget_and_opens_no_strike() -> None:
    driver = warmed()
    for _ in range(14):
        driver.drive(driver.x + 1.4 * CAP * 0.05, 100.0)
        driver.tick()
    driver.tick()
    left_m, score = float(driver.state.budget_m[0]), driver.score
    assert left_m < 0.9 * FULL_M
    driver.resume()
    assert driver.state.budget_m[0] == pytest.approx(left_m + CAP * 1.001 * 0.101)
    assert driver.score <= score
    assert driver.state.t_ms[0] == inf
    for _ in range(20):
        driver.drive(driver.x + 0.9 * CAP * 0.05, 100.0, t_ms=driver.now_ms - 5e6)
        driver.tick()
    assert driver.score <= score
    assert driver.off_m() == 0.0


def test_a_server_made_move_is_no_step_of_the_car() -> None:
    driver = warmed()
    for number in range(1, 20):
        driver.tick(Place(0, 1, 150.0 * number, 2000.0, 0.0, "kiosk", fresh=False))
        driver.drive(driver.x + 1.0, 2000.0)
        driver.tick()
    assert driver.checks() == set()


# --- cheats


def test_speed_within_the_tolerance_gains_five_percent_and_no_more() -> None:
    driver = warmed()
    assert gain_m(driver, 30.0, 1.05) == pytest.approx(30 * CAP * 0.05, rel=0.02)
    assert driver.checks() <= {"acceleration"}


@pytest.mark.parametrize(("factor", "within_s"), [(1.10, 30.0), (1.25, 8.0), (2.0, 3.0)])
def test_speeding_gains_the_bank_once_and_is_set_back(factor: float, within_s: float) -> None:
    driver = warmed()
    gained = gain_m(driver, within_s, factor)
    assert gained <= FULL_M + 0.05 * CAP * within_s + 1e-6
    assert "budget" in {event.check for event in driver.corrections}
    for event in driver.corrections:
        assert event.reason == "correction"
        assert event.seq is not None


def test_double_speed_is_removed_and_a_tenth_too_fast_is_not() -> None:
    for factor, removed in ((2.0, True), (1.10, False)):
        driver = warmed()
        steps = []
        for _ in range(20 * 40):
            if driver.x > 3900.0:
                driver.tick(Place(0, 1, 100.0, 100.0, 0.0, "kiosk", fresh=False))
            driver.drive(driver.x + factor * CAP * 0.05, driver.z)
            driver.tick()
            steps += [sanction.step for sanction in driver.sanctions]
            driver.sanctions.clear()
            if "removed" in steps:
                break
        assert ("removed" in steps) == removed
        if removed:
            assert list(dict.fromkeys(steps)) == ["logged", "ghosted", "removed"]
            assert driver.state.flags[0] & FLAG_GHOST


@pytest.mark.parametrize("blink_m", [30.0, 100.0, 2000.0])
def test_a_blink_is_set_back_at_once(blink_m: float) -> None:
    driver = warmed()
    driver.drive(driver.x + blink_m, 100.0)
    driver.tick()
    [event] = driver.corrections
    assert (event.check, event.x, event.z, event.seq) == ("teleport", 100.0, 100.0, driver.seq)
    assert driver.score == 3.0
    [verdict] = driver.verdicts
    assert (verdict.check, verdict.action, verdict.unit) == ("teleport", "set_back", "m")
    assert verdict.excess == pytest.approx(blink_m - 25.0)
    assert (verdict.from_x, verdict.to_x) == (100.0, 100.0 + blink_m)


@pytest.mark.parametrize(("racing", "bank_s"), [(False, 1.0), (True, 0.5)])
def test_a_lag_switch_gains_its_bank_and_no_more(racing: bool, bank_s: float) -> None:
    driver = warmed()
    driver.state.flags[0] |= FLAG_RACING if racing else 0
    began = driver.at[0]
    for _ in range(60):
        driver.tick()
    driver.drive(driver.x + 3.1 * CAP, 100.0)  # silent for three seconds, then all of it at once
    driver.tick()
    assert driver.at[0] - began == 0.0
    assert [event.check for event in driver.corrections] == ["late"]
    driver.drive(driver.x + bank_s * CAP, 100.0)
    driver.tick()
    assert driver.at[0] - began <= bank_s * CAP * 1.05 + 1.0


@pytest.mark.parametrize(("racing", "bank_s"), [(False, 1.0), (True, 0.5)])
@pytest.mark.parametrize("between", [0.99, 1.05])
def test_a_lag_switch_that_knows_its_budget_gains_the_bank_once(racing: bool, bank_s: float, between: float) -> None:
    """It leaps as far as is let pass after each silence, and never further; beside it one drives at the same pace."""
    driver = warmed()
    driver.state.flags[0] |= FLAG_RACING if racing else 0
    ahead_m = most_m = way_m = 0.0
    for number in range(20 * 60):
        pace_m = between * CAP * 0.05
        step_m = pace_m
        if number % 100 == 99:  # of five seconds the last, or the last half
            silent = round(bank_s * 20.0)
            for _ in range(silent - 1):
                driver.tick()
            # never below zero: the last sample left what it left, and silence is worth its time at 105 %
            step_m = min(float(driver.state.budget_m[0]), FULL_M if not racing else CAP * 0.525 + 1.0)
            step_m += silent * CAP * 1.05 * 0.05
            pace_m *= silent
        driver.drive(driver.x, driver.z + (step_m if way_m < 3500.0 else -step_m))
        driver.tick()
        way_m = (way_m + step_m) % 7000.0
        ahead_m += step_m - pace_m
        most_m = max(most_m, ahead_m)
    assert not driver.corrections
    bank_m = CAP * 1.05 * bank_s + 1.0
    silent_s = 12 * bank_s
    used_m = (1.05 - between) * CAP * silent_s  # of the tolerance, in the leaps: whoever drives may use it
    saved_m = max(1.001 - between, 0.0) * CAP * 60.0  # by driving below the cap
    assert most_m > 0.9 * bank_m, "the leaps are as long as they can be"
    assert most_m <= bank_m + used_m + saved_m + 0.1


def test_a_fast_clock_is_held_to_real_time() -> None:
    driver = warmed()
    for number in range(400):
        driver.drive(driver.x + 1.0, 100.0, t_ms=driver.now_ms + 50.0 + 0.25 * 50.0 * number)
        driver.tick()
    assert "clock" in driver.checks()
    assert float(driver.state.clock_ms[0]) < 1.0
    assert not driver.corrections


def test_time_that_runs_backwards_is_struck_and_gives_no_distance() -> None:
    driver = warmed()
    for number in range(20):
        driver.drive(driver.x + 0.5, 100.0, t_ms=5000.0 - 10.0 * number)
        driver.tick()
    assert "clock_back" in driver.checks()
    assert driver.score > 9.0


def test_an_engine_that_is_none_is_struck() -> None:
    driver = warmed()
    for _ in range(3):
        for _ in range(40):
            driver.drive(driver.x + 0.9 * CAP * 0.05, 100.0)
            driver.tick()
        for _ in range(20):
            driver.drive(driver.x, 100.0)
            driver.tick()
    assert "acceleration" in driver.checks()
    assert not driver.corrections


def test_velocities_that_are_not_those_of_the_path_are_telemetry() -> None:
    driver = warmed()
    for _ in range(20 * 60):
        driver.sample(driver.x + 2.9, 100.0, vx=0.0)
        driver.x += 2.9
        driver.tick()
    assert driver.checks() == {"agreement"}
    assert 0.0 < driver.score < DEFAULT.ghost_at
    assert not driver.corrections


def test_a_claimed_velocity_is_cut_to_what_the_car_can_do() -> None:
    driver = warmed()
    driver.sample(101.0, 100.0, vx=3000.0, vz=4000.0)
    driver.tick()
    assert np.sqrt((driver.state.vel[0] ** 2).sum()) == pytest.approx(CAP * 1.10 + 2.0)


def test_who_flies_longer_than_a_jump_is_put_on_the_ground_and_removed_in_the_end() -> None:
    driver = warmed()
    seen = []
    for _ in range(20 * 45):
        driver.drive(driver.x + 1.0, 100.0, y=20.0)
        driver.tick()
        seen.append(float(driver.state.pos[0, 1]))
    assert seen[: 5 * 20] == [20.0] * 100, "a jump may last"
    assert set(seen[7 * 20 :]) == {0.0}
    assert any(sanction.step == "removed" for sanction in driver.sanctions)


@pytest.mark.parametrize(("y", "check", "struck"), [(61.0, "height", True), (-4.0, "sunk", False)])
def test_heights_that_cannot_be_are_replaced_by_the_ground(y: float, check: str, struck: bool) -> None:
    driver = warmed()
    driver.drive(100.05, 100.0, y=y)
    driver.tick()
    assert driver.state.pos[0].tolist() == [100.05, 0.0, 100.0]
    assert driver.checks() == {check}
    assert (driver.score > 0.0) == struck


def test_beyond_the_edge_samples_are_ignored_and_further_out_the_car_is_put_back() -> None:
    driver = OneDriver(lot(size_m=512), x=510.0)
    driver.drive(512.5, 100.0)
    driver.tick()
    assert not driver.corrections
    assert driver.at == (510.0, 100.0)
    driver.drive(518.0, 100.0)
    driver.tick()
    assert [event.check for event in driver.corrections] == ["bounds"]
    assert driver.score == 0.0


def test_strikes_are_counted_one_tick_later_unless_that_tick_forgives() -> None:
    for forgive, counted in ((False, 3.0), (True, 0.0)):
        driver = warmed()
        driver.drive(200.0, 100.0)
        driver.tick()
        assert (driver.state.strikes[0], driver.state.due[0], driver.outcomes[-1].flagged) == (0.0, 3.0, 1)
        driver.tick(forgive=forgive)
        assert (driver.state.strikes[0], driver.state.due[0]) == (counted, 0.0)
        assert len(driver.corrections) == 1, "set-backs are not taken back"


def test_after_a_set_back_the_rest_of_the_lump_is_ignored() -> None:
    driver = warmed()
    for number in range(1, 6):
        driver.sample(100.0 + 60.0 * number, 100.0)
    outcome = driver.tick()
    assert outcome.judged == 5
    assert len(driver.corrections) == 1
    assert driver.score == 3.0, "the others were sent before the client could know"


# --- observe and off


def test_observing_changes_nothing_that_would_be_without_it() -> None:
    def journey(mode: Any) -> OneDriver:
        driver = OneDriver(lot([box(130.0, 100.0, 5.0, 5.0)]), mode=mode)
        rng = np.random.default_rng(3)
        for number in range(300):
            x = min(max(driver.x + float(rng.uniform(-4.0, 12.0)) * (20 if number % 50 == 0 else 1), -20.0), 500.0)
            driver.drive(x, 100.0, y=nan if number % 3 else 90.0, t_ms=driver.now_ms + float(rng.uniform(0, 400)))
            driver.tick()
        return driver

    observed, off = journey("observe"), journey("off")
    for name, *_ in COLUMNS:
        if name not in BOOKS:
            assert getattr(observed.state, name).tobytes() == getattr(off.state, name).tobytes(), name
    assert {"clip", "teleport"} <= observed.checks()
    assert off.checks() == set()
    assert observed.score > 20.0
    assert not observed.corrections
    assert not off.verdicts
    assert observed.verdicts


# --- bounds of a Done


def test_more_set_backs_than_a_done_holds_wait_and_nobody_moves_meanwhile() -> None:
    count = CORRECTIONS_PER_TICK_MAX + 40
    world = ZoneWorld(0, ZoneMap.split(4096, 1), PLAIN)
    state = fresh(count)
    state.pos[:] = (100.0, 0.0, 100.0)
    state.heard_ms[:] = START_MS
    samples = np.zeros(count, SAMPLE)
    samples["recv_ms"], samples["x"], samples["z"], samples["y"], samples["seq"] = START_MS + 40, 900.0, 100.0, nan, 1
    tick = Tick(1, START_MS + 50, 0, 0, [], [], [], [])
    seats = np.arange(count), np.ones(count, np.uint32), np.zeros(count, np.uint8)
    outcome = step(world, tick, *seats, state, np.ones(count, np.uint32), lambda slots, _: samples[slots])
    assert sum(isinstance(event, PlacedAt) for event in outcome.events) == CORRECTIONS_PER_TICK_MAX
    assert sum(isinstance(event, Verdict) for event in outcome.events) == VERDICTS_PER_TICK_MAX
    assert np.count_nonzero(state.epoch) == CORRECTIONS_PER_TICK_MAX
    assert (state.pos[:, 0] == 100.0).all()
    assert outcome.flagged == CORRECTIONS_PER_TICK_MAX


# --- the plain loop


def _random_case(seed: int, count: int, enforce: bool) -> tuple[ZoneWorld, PlayerState, Any, Any, float]:
    rng = np.random.default_rng(seed)
    shapes: list[Shape] = []
    for _ in range(int(rng.integers(0, 10))):
        x, z, yaw = rng.uniform(80, 160), rng.uniform(80, 160), rng.uniform(0, 6)
        kind = rng.integers(0, 3)
        if kind == 0:
            shapes.append(disc(x, z, float(rng.uniform(0.1, 6))))
        elif kind == 1:
            shapes.append(box(x, z, float(rng.uniform(0.1, 8)), float(rng.uniform(0.1, 8)), yaw))
        else:
            shapes.append(wall(x, z, x + float(rng.uniform(2, 30)), z + float(rng.uniform(-30, 30))))
    static = lot(shapes, 256, 250)
    world = ZoneWorld(0, ZoneMap.split(256, 1), static, anticheat="enforce" if enforce else "observe")
    state = fresh(count)
    state.pos[:] = np.column_stack(
        (rng.uniform(80, 160, count), rng.choice([2.5, 9.0], count), rng.uniform(80, 160, count))
    )
    state.vel[:] = rng.uniform(-60, 60, (count, 3)) * rng.integers(0, 2, (count, 1))
    state.epoch[:], state.seq[:] = rng.integers(0, 2, count), rng.integers(-1, 3, count)
    state.heard_ms[:] = START_MS - rng.choice([0.0, 50.0, 300.0, 4000.0], count)
    state.t_ms[:] = rng.choice([inf, 1000.0, 1500.0], count)
    state.budget_m[:] = rng.choice([inf, 0.0, 3.0, 40.0], count)
    state.clock_ms[:] = rng.choice([0.0, 150.0, 5000.0], count)
    state.own_m[:] = rng.choice([inf, 0.0, 6.0], count)
    state.span_ms[:], state.span_client_ms[:] = rng.choice([inf, 0.0, 220.0], count), rng.uniform(0, 260, count)
    state.span_m[:], state.span_mps[:] = rng.uniform(0, 30, count), rng.uniform(0, 70, count)
    state.placed_ms[:] = START_MS - rng.choice([0.0, 19_900.0, 25_000.0], count)
    state.air_ms[:] = rng.choice([0.0, 5980.0, 9000.0], count)
    state.flags[:] = rng.choice([0, FLAG_RACING], count)
    samples = np.zeros(count, SAMPLE)
    samples["recv_ms"] = START_MS + rng.uniform(0, 50, count)
    samples["t_ms"] = rng.choice([1000.0, 1050.0, 1300.0, 4000.0, 9e6], count)
    near = rng.random(count) < 0.8
    for axis, column in (("x", 0), ("z", 2)):
        samples[axis] = np.where(near, state.pos[:, column] + rng.uniform(-6, 6, count), rng.uniform(-20, 280, count))
    samples["y"] = rng.choice([nan, 2.5, 8.0, 90.0, -9.0], count)
    samples["vx"], samples["vz"] = rng.uniform(-90, 90, (2, count))
    samples["epoch"], samples["seq"] = rng.integers(0, 2, count), rng.integers(0, 5, count)
    classes = rng.integers(0, len(VEHICLES), count).astype(np.uint8)
    return world, state, samples, classes, float(rng.choice([0.0, 800.0]))


@settings(max_examples=250, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 14), enforce=st.booleans())
def test_judging_columns_is_judging_each_player_by_plain_numbers(seed: int, count: int, enforce: bool) -> None:
    world, state, samples, classes, late_ms = _random_case(seed, count, enforce)
    obstacles = world.rules.obstacles
    ends = list(zip(obstacles.open_ahead.tolist(), obstacles.open_behind.tolist(), strict=True))
    loose = list(zip(obstacles.loose_ahead.tolist(), obstacles.loose_behind.tolist(), strict=True))
    plain = plain_judge.PlainRules(DEFAULT, enforce, obstacles.solids, ends, loose, 2.5, 256.0, START_MS + 50.0)
    players = [{name: getattr(state, name)[row].tolist() for name, *_ in COLUMNS} for row in range(count)]
    wanted = []
    for row, player in enumerate(players):
        sample = {name: samples[name][row].item() for name in SAMPLE.names or ()}
        wanted.append(plain_judge.judge(plain, player, VEHICLES[classes[row]], sample, late_ms))
    tick = Tick(1, START_MS + 50.0, 0, 0, [], [], [], [], late_ms)
    judge = Judge(world.rules, tick, np.arange(count), np.ones(count, np.uint32), classes, state)
    ruling = judge.judge(np.arange(count), samples)
    for row, (player, applied) in enumerate(zip(players, wanted, strict=True)):
        assert bool(ruling.good[row]) == (applied is not None), row
        for name in BOOKS | {"epoch"}:
            assert getattr(state, name)[row] == pytest.approx(player[name], rel=1e-9, abs=1e-9), name
        if applied is not None:
            for name in SAMPLE.names or ():
                assert ruling.samples[name][row] == pytest.approx(applied[name], rel=1e-9, abs=1e-9, nan_ok=True), name


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 14))
def test_a_player_is_judged_the_same_alone_as_among_others(seed: int, count: int) -> None:
    world, state, samples, classes, late_ms = _random_case(seed, count, True)
    rows = [PlayerState(**{name: getattr(state, name)[[row]].copy() for name, *_ in COLUMNS}) for row in range(count)]
    tick = Tick(1, START_MS + 50.0, 0, 0, [], [], [], [], late_ms)
    Judge(world.rules, tick, np.arange(count), np.ones(count, np.uint32), classes, state).judge(
        np.arange(count), samples
    )
    for row, alone in enumerate(rows):
        one = np.array([row]), np.ones(1, np.uint32), classes[[row]]
        Judge(world.rules, tick, *one, alone).judge(np.array([0]), samples[[row]])
        for name in BOOKS | {"epoch"}:
            assert getattr(alone, name)[0].tobytes() == getattr(state, name)[row].tobytes(), name


def test_constants_fit_a_done() -> None:
    assert CORRECTIONS_PER_TICK_MAX + VERDICTS_PER_TICK_MAX < 256
    assert math.isclose(FULL_M, 74.5)
