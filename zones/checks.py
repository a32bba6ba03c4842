"""One function per check: how far each sample is beyond what a car can do, and the proof that an honest one is not.

Every function takes columns of equal length (M,), one row per sample of a round, and returns an amount of excess in the
unit of its name, zero for none. None decides anything: what an excess means is the table in ``zones/verdicts.py``.

Two clocks are at hand. ``real_ms`` is the server's time between receiving two samples: nobody can forge it, but a
network bunches samples, so it may be zero between two honest ones. ``client_ms`` is the client's, held to a budget
(``clock_ahead_ms``): it may lie, but only by what the budget holds. Checks that ask "how far in how long" over single
steps take the larger of the two, which an honest sample never exceeds; checks that bound what a cheat can gain take
real time alone, summed up.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.player_state import F64, U8
from shared.thresholds import Thresholds
from shared.vehicles import VehicleClass

Mask = NDArray[np.bool_]


def caps(vehicles: tuple[VehicleClass, ...], classes: U8) -> tuple[F64, F64]:
    """(M,) speed caps in m/s and (M,) acceleration caps in m/s^2 of rows with these classes."""
    speed = np.array([vehicle.speed_cap_mps for vehicle in vehicles])
    accel = np.array([vehicle.accel_cap_mps2 for vehicle in vehicles])
    return speed[classes], accel[classes]


def beyond_world_m(x: F64, z: F64, size_m: float) -> F64:
    """(M,) metres by which a point lies outside the world, which is ``0 <= x, z < size_m``."""
    last = np.nextafter(size_m, 0.0)
    excess: F64 = np.maximum(np.maximum(np.maximum(-x, x - last), np.maximum(-z, z - last)), 0.0)
    return excess


def clock_credit_ms(left_ms: F64, real_ms: F64, limits: Thresholds) -> F64:
    """(M,) how far the client's clock may advance now: what was left, and the time that really passed.

    A connection starts with the lead. Samples that a stall held back arrive together, each with its own client time:
    their sum is the stall, and that is what the credit has grown by meanwhile; so credit is kept for as long as a car
    is held for its driver. Saving it (a clock that runs slow) buys little: distance is bounded by real time alone.
    """
    return np.minimum(left_ms + real_ms * limits.clock_rate, limits.clock_bank_ms)


def clock_ahead_ms(client_ms: F64, credit_ms: F64) -> F64:
    """(M,) ms by which the client's clock runs ahead of what real time allows.

    Client time that has passed is at most real time that has passed, times the rate of two clocks, plus what the
    network's delay shrank by since; the delay is what the credit has been saving. Lag only ever adds credit. An honest
    clock exceeds it when it is stepped, once per step.
    """
    return np.maximum(client_ms - credit_ms, 0.0)


def clock_back_ms(client_ms: F64) -> F64:
    """(M,) ms by which the client's clock went back between two samples of one connection.

    TCP keeps the order, so no network does this. A clock that is set back does, once.
    """
    return np.maximum(-client_ms, 0.0)


def bank_m(cap_mps: F64, bank_s: F64 | float, limits: Thresholds) -> F64:
    """(M,) the most that a distance budget holds."""
    return cap_mps * limits.refill * bank_s + limits.bank_slack_m


def budget_m(
    left_m: F64, full_m: F64, step_m: F64, cap_mps: F64, real_ms: F64, late_s: float, limits: Thresholds
) -> F64:
    """(M,) metres that a player may travel by now: what was left, at most the bank, and the time since then.

    The tolerance is for driving and not for saving: the budget grows by what the step needs, between ``refill_least``
    and ``refill`` times the cap. So who drives below the cap fills its bank by the difference, who drives above it
    within the tolerance neither fills nor spends it, and who has spent it by a leap cannot get it back at its cap.

    The time since the last sample counts beside the bank and not into it, up to ``slow_s``: who sends once per second
    drives a second's way with each sample, however small the bank is. What a silence brought beyond the bank stays for
    the samples that come in one lump after it, and is gone after as much time again. The sum of all steps since before
    the silence is bounded by ``bank + refill * cap * t`` all the same, because every second of real time counts once.
    """
    real_s = real_ms / 1000.0
    counted_m = cap_mps * np.minimum(real_s, limits.slow_s + late_s)
    grown_m = np.minimum(np.maximum(step_m, counted_m * limits.refill_least), counted_m * limits.refill)
    beyond_m = np.where(np.isinf(left_m), 0.0, left_m - full_m)
    return np.minimum(left_m, full_m) + np.maximum(beyond_m - cap_mps * limits.refill * real_s, 0.0) + grown_m


def distance_short_m(step_m: F64, budget_m: F64) -> F64:
    """(M,) metres by which a step is longer than what the player may travel: the token bucket.

    The budget grows by at least ``cap`` per second of real time and holds ``bank_m``. An honest car drives at most
    ``cap * t`` in t, so its budget never sinks while samples come as they are sent; a sample that is delayed by d finds
    d more in the budget, up to the bank. So neither jitter nor a stall within the bank ever makes it short: the budget
    lacks what the delay has been longer within the bank's memory than it is now, and gets it back when the delay grows
    again or the car brakes. The sum of all steps is bounded by ``bank + refill * cap * t`` whatever a client says and
    however it bunches its samples; beyond ``bank + refill_least * cap * t`` a car gets only by samples that each lead
    further than their time at the cap. Chords are shorter than paths, so thinning and slow rates only help.
    """
    return np.maximum(step_m - budget_m, 0.0)


def unexplained_m(step_m: F64, own_m: F64, own_grown_m: F64) -> F64:
    """(M,) metres that not even the client's own clock explains: the same token bucket in the client's time.

    An honest car drives at most ``cap * t`` in t of its own time, whatever the network does to its samples, so this
    bucket never runs dry; it holds ``own_bank_s`` because clocks may be coarse. It alone is no limit, as its clock may
    have been slow for a while to be fast now. It tells a delayed path, which all came at once, from one that nobody
    could have driven: who drives faster than a car can, by a clock that is right, empties it.
    """
    return np.maximum(step_m - (own_m + own_grown_m), 0.0)


def teleport_m(step_m: F64, cap_mps: F64, gap_s: F64, limits: Thresholds) -> F64:
    """(M,) metres by which one step is longer than any car makes in its time, whatever the budget holds.

    ``gap_s`` is the larger of both clocks: an honest step is at most ``cap * gap``. Where the client's clock says
    nothing (set back, rounded to nothing) and samples are bunched, a step is still one period's at most: 7 m at 10 Hz.
    """
    return np.maximum(step_m - np.maximum(limits.teleport_least_m, limits.teleport_times * cap_mps * gap_s), 0.0)


def speed_over_mps(span_m: F64, span_s: F64, claimed_mps: F64, cap_mps: F64, limits: Thresholds) -> F64:
    """(M,) m/s by which the mean speed over a span, or the claimed speed, is beyond the cap and its tolerance.

    ``span_s`` is the larger of both clocks, at least ``limits.span_ms``. Bunched samples have their client time,
    rounded or stepped clocks have real time, so the quotient never overstates an honest car.
    """
    most = cap_mps * limits.speed_times + limits.speed_slack_mps
    mean = span_m / np.where(span_s > 0.0, span_s, 1.0)
    return np.maximum(np.maximum(mean, claimed_mps) - most, 0.0)


def acceleration_over_mps(gain_mps: F64, span_s: F64, accel_mps2: F64, limits: Thresholds) -> F64:
    """(M,) m/s that a car gained over a span beyond what its engine gives: only gains count.

    Brakes and walls stop a car as fast as they like. Gravity on a slope of 20 degrees adds 3.4 m/s^2, which is within
    the tolerance of a car. ``span_s`` as in ``speed_over_mps``; the speeds are the client's claims, which
    ``disagreement_m`` ties to its displacement.
    """
    return np.maximum(gain_mps - limits.accel_times * accel_mps2 * span_s - limits.accel_slack_mps, 0.0)


def disagreement_m(dx: F64, dz: F64, mean_vx: F64, mean_vz: F64, least_s: F64, most_s: F64, limits: Thresholds) -> F64:
    """(M,) metres between where a step led and where the claimed velocity leads, for the kinder of the two clocks.

    The velocity is the mean of the claims before and after, so an accelerating car agrees exactly, a turning one
    within ``bend * t^2 / 8``.
    """
    square = mean_vx * mean_vx + mean_vz * mean_vz
    best_s = np.clip((dx * mean_vx + dz * mean_vz) / np.where(square > 0.0, square, 1.0), least_s, most_s)
    off_x, off_z = dx - mean_vx * best_s, dz - mean_vz * best_s
    off_m = np.sqrt(off_x * off_x + off_z * off_z)
    return np.maximum(off_m - limits.agree_slack_m - limits.agree_share * np.sqrt(square) * best_s, 0.0)


def flight_over_s(air_ms: F64, limits: Thresholds) -> F64:
    """(M,) seconds in the air beyond the longest jump: what goes up at ``v`` is down again after ``2 v / g``."""
    return np.maximum(air_ms / 1000.0 - limits.flight_max_s, 0.0)


def height_over_m(above_m: F64, limits: Thresholds) -> F64:
    """(M,) metres above the ground beyond any jump; ``above_m`` is NaN for samples without a height."""
    return np.nan_to_num(np.maximum(above_m - limits.height_max_m, 0.0), nan=0.0)


def sunk_m(above_m: F64, limits: Thresholds) -> F64:
    """(M,) metres below the ground, beyond what the zone's coarse knowledge of it explains."""
    return np.nan_to_num(np.maximum(-above_m - limits.sunk_max_m, 0.0), nan=0.0)
