"""The judging of one tick: every sample of every player, round by round, and what becomes of it.

    protocol (epoch, seq, world)  ->  budgets of clock and distance  ->  teleport, sweep, leash: set back or clamp
    ->  what is accepted: speed, acceleration, agreement, flight: strikes  ->  rows

The amounts come from ``zones/checks.py`` and ``zones/sweep.py``, their meaning from ``zones/verdicts.py``; this file
asks them in order, and ``zones/docket.py`` writes down what comes of it. All books are columns of the player's row and
travel with it: a border, a resume or a take-over resets nothing, and judging again gives the same.

Budgets are filled by the time between *receiving* samples (stamped by main when a socket's bytes came in) and moves by
our hand. So a zone that is late, or a player who changes zones, changes nothing for anybody: the same samples with the
same stamps are judged the same, only later. When main itself stood still its stamps are late as well: then
the Tick carries ``late_ms``, and for that second every bank holds so much more.

Two things end in a placement with the check ``late`` and never in a strike, because they prove nothing:

- More distance has come in than real time allows, and the client's clock, which is bounded by real time as well, says
  that the time was driven (``checks.unexplained_m``). That is a line that was slow and now is not: after a stall, or
  when its delay shrinks. A cheat can have the same look, and gains as little: it is put back.
- A step leads through something solid, and is long (``gap_ms``) or near enough to the end of a wall to have led around
  it. Where the car was meanwhile nobody knows, so it is no crime; but a wall that lets pass whoever sends seldom is
  none, so the car is put back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ipc.control import Tick
from shared.constants import AIRBORNE_M, FLAG_RACING
from shared.player_state import F64, U8, U32, PlayerState
from shared.thresholds import Mode, Thresholds
from shared.vehicles import VehicleClass
from shared.world.ground_grid import GroundGrid
from zones import checks, verdicts
from zones.checks import Mask
from zones.docket import Docket
from zones.movement import Index
from zones.sweep import Obstacles, sweep


def stale_epochs(state: PlayerState, who: Index, samples: Any) -> Mask:
    """(M,) samples stamped with another epoch than the player's: sent before the client learned of a server-made move.

    Equality only: an epoch is a name. Such samples are ignored without judgement, because the client could not know.
    """
    stale: Mask = samples["epoch"] != state.epoch[who]
    return stale


def old_sequence(state: PlayerState, who: Index, samples: Any) -> Mask:
    """(M,) samples whose ``seq`` does not exceed the last accepted one: repeats, which a resume can cause honestly."""
    old: Mask = samples["seq"].astype(np.int64) <= state.seq[who]
    return old


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """What judging depends on for the life of a zone."""

    limits: Thresholds
    mode: Mode
    vehicles: tuple[VehicleClass, ...]
    obstacles: Obstacles
    ground: GroundGrid
    size_m: float

    @property
    def enforce(self) -> bool:
        """Whether judging has consequences."""
        return self.mode == "enforce"


@dataclass(frozen=True, slots=True)
class Ruling:
    """A round, judged."""

    good: Mask
    """(M,) which samples move their players."""
    samples: Any
    """(M,) the samples as they are to be applied: clamped where need be."""


def moved_by_server(rules: Rules, state: PlayerState, index: int, class_: int, now_ms: float, fresh: bool) -> None:
    """Row ``index`` is moved by our hand, or gets another connection (``fresh``): no check looks across this.

    Budgets go on: they are filled up to now. Mutates columns of the anti-cheat only.
    """
    if rules.mode == "off":
        return
    row = slice(index, index + 1)
    cap_mps = rules.vehicles[class_].speed_cap_mps
    bank_s = _bank_s(rules.limits, state.flags[row])
    real_ms = np.maximum(now_ms - state.heard_ms[row], 0.0)
    full_m = checks.bank_m(np.array([cap_mps]), bank_s, rules.limits)
    grown_m = cap_mps * rules.limits.refill_least * real_ms / 1000.0
    state.budget_m[row] = np.minimum(state.budget_m[row] + grown_m, full_m)
    state.own_m[row] = np.inf
    state.clock_ms[row] = checks.clock_credit_ms(state.clock_ms[row], real_ms, rules.limits)
    state.heard_ms[row] = np.maximum(state.heard_ms[row], now_ms)
    state.air_ms[row], state.span_ms[row] = 0.0, np.inf
    state.placed_ms[row] = now_ms
    if fresh:
        state.t_ms[row], state.clock_ms[row] = np.inf, rules.limits.clock_lead_ms


def _bank_s(limits: Thresholds, flags: U8) -> F64:
    return np.where(flags & FLAG_RACING, limits.bank_racing_s, limits.bank_s)


class Judge:
    """Judges one tick. ``open`` once, ``judge`` for each round, then read what it has found."""

    def __init__(
        self, rules: Rules, tick: Tick, slots: NDArray[np.intp], generations: U32, classes: U8, state: PlayerState
    ) -> None:
        self._rules = rules
        self._tick = tick
        self._state = state
        self._cap_mps, self._accel_mps2 = checks.caps(rules.vehicles, classes)
        self._late_s = tick.late_ms / 1000.0
        self._bank_s = _bank_s(rules.limits, state.flags) + self._late_s
        self.docket = Docket(state, slots, generations, tick.now_ms, rules.mode)
        """What was found."""
        self.pairs = 0
        """Segments tested against shapes."""

    def open(self) -> verdicts.Sentence:
        """Count the strikes of the last tick."""
        rules, tick = self._rules, self._tick
        return verdicts.count_strikes(self._state, tick.now_ms, tick.forgive, rules.enforce, rules.limits)

    @property
    def flagged(self) -> int:
        """Players whom this tick gave strikes."""
        return int(np.count_nonzero(self._state.due))

    def judge(self, who: Index, samples: Any) -> Ruling:
        """One sample of each player ``who`` (M,), no row twice. Mutates columns of the anti-cheat and epochs."""
        state, rules = self._state, self._rules
        current = ~(stale_epochs(state, who, samples) | old_sequence(state, who, samples))
        beyond_m = checks.beyond_world_m(samples["x"], samples["z"], rules.size_m)
        good: Mask = current & (beyond_m == 0.0)
        if rules.mode == "off":
            return Ruling(good, samples)
        self._place_again(who, samples)
        out = current & (beyond_m > rules.limits.bounds_m)
        self.docket.set_back("bounds", out, who, samples, beyond_m, np.full(len(who), rules.limits.bounds_m))
        rows = np.flatnonzero(good)
        if not len(rows):
            return Ruling(good, samples)
        held, applied = self._judge_moves(who[rows], samples[rows])
        if not rules.enforce:
            return Ruling(good, samples)
        good[rows[held]] = False
        samples = samples.copy()
        samples[rows] = applied
        return Ruling(good, samples)

    def _place_again(self, who: Index, samples: Any) -> None:
        """Samples of another epoch, long after the player was told of its own: tell it again, with yet another.

        TCP loses no message, so this is for clients that act on the wrong one of two, and would be ignored for ever.
        The word and the answer may both have stalled on their way, which is no reason to be placed twice: hence the
        length of ``answer_ms``. Another epoch, not the same: moves that are on their way from a client that did hear
        must not be judged against the older pose.
        """
        if self._rules.enforce:
            allowed_ms = self._rules.limits.answer_ms
            waited_ms = samples["recv_ms"] - self._state.placed_ms[who]
            lost = stale_epochs(self._state, who, samples) & (waited_ms > allowed_ms)
            allowed = np.full(len(who), allowed_ms)
            self.docket.set_back("unanswered", lost, who, samples, waited_ms - allowed_ms, allowed)

    def _judge_moves(self, who: Index, samples: Any) -> tuple[Mask, Any]:
        """Samples within the world, of the right epoch and in order. Returns who is held, and the samples to apply."""
        state, limits, docket = self._state, self._rules.limits, self.docket
        cap_mps = self._cap_mps[who]
        x0, z0 = state.pos[who, 0], state.pos[who, 2]
        x1, z1 = samples["x"], samples["z"]
        dx, dz = x1 - x0, z1 - z0
        step_m = np.sqrt(dx * dx + dz * dz)

        # time, by both clocks
        recv_ms, t_ms = samples["recv_ms"], state.t_ms[who]
        real_ms = np.maximum(recv_ms - state.heard_ms[who], 0.0)
        claimed_ms = np.where(np.isinf(t_ms), 0.0, samples["t_ms"] - t_ms)
        credit_ms = checks.clock_credit_ms(state.clock_ms[who], real_ms, limits)
        ahead_ms, back_ms = checks.clock_ahead_ms(claimed_ms, credit_ms), checks.clock_back_ms(claimed_ms)
        client_ms = np.minimum(np.maximum(claimed_ms, 0.0), credit_ms)
        stepped = (ahead_ms > limits.clock_lead_ms) | (back_ms > 0.0)
        gap_s = np.maximum(client_ms, real_ms) / 1000.0

        # distance, by both clocks; a clock that was set says nothing, and the other counts for it
        full_m = checks.bank_m(cap_mps, self._bank_s[who], limits)
        budget_m = checks.budget_m(state.budget_m[who], full_m, step_m, cap_mps, real_ms, self._late_s, limits)
        short_m = checks.distance_short_m(step_m, budget_m)
        own_ms = np.where(np.isinf(t_ms) | (back_ms > 0.0), real_ms, client_ms)
        own_full_m = checks.bank_m(cap_mps, limits.own_bank_s, limits)
        own_m = np.minimum(state.own_m[who], own_full_m)
        own_grown_m = cap_mps * limits.refill * own_ms / 1000.0

        # what holds a car where it is
        jump_m = checks.teleport_m(step_m, cap_mps, gap_s, limits)
        swept = sweep(self._rules.obstacles, x0, z0, x1, z1, gap_s, limits)
        self.pairs += swept.pairs
        leash_m = np.maximum(limits.leash_s * cap_mps, limits.leash_least_m)
        jumped = jump_m > 0.0
        entered = ~jumped & (swept.depth_m > 0.0)
        around_m = cap_mps * limits.refill * gap_s + limits.bank_slack_m
        seen = (gap_s * 1000.0 <= limits.gap_ms) & (swept.detour_m > around_m)
        slack = ~jumped & ~entered & (short_m > leash_m)
        over = slack & (checks.unexplained_m(step_m, own_m, own_grown_m) > 0.0)
        held: Mask = jumped | entered | slack
        clamped = (short_m > 0.0) & ~held

        share = np.where(clamped, budget_m / np.where(clamped, step_m, 1.0), 1.0)
        stays = held if self._rules.enforce else np.zeros(len(who), np.bool_)
        driven_m = np.where(stays, 0.0, np.minimum(step_m, budget_m))
        state.heard_ms[who] = np.maximum(state.heard_ms[who], recv_ms)
        state.budget_m[who] = budget_m - driven_m
        part = share if self._rules.enforce else np.ones(len(who))
        left_m = np.minimum(np.maximum(own_m + own_grown_m * part - driven_m, 0.0), own_full_m)
        state.own_m[who] = np.where(over, 0.0, left_m)
        state.clock_ms[who] = credit_ms - client_ms * part
        state.t_ms[who] = samples["t_ms"]  # of those who are held as well: what is judged is past

        docket.flag("clock", who, samples, ahead_ms, credit_ms, gap_s)
        docket.flag("clock_back", who, samples, back_ms, np.zeros(len(who)), gap_s)
        if held.any():
            allowed_m = np.maximum(limits.teleport_least_m, limits.teleport_times * cap_mps * gap_s)
            docket.set_back("teleport", jumped, who, samples, jump_m, allowed_m)
            docket.set_back("clip", entered & seen, who, samples, swept.depth_m, step_m - swept.depth_m)
            docket.set_back("late", entered & ~seen, who, samples, swept.depth_m, step_m - swept.depth_m)
            docket.set_back("late", slack & ~over, who, samples, short_m, budget_m)
            docket.set_back("budget", over, who, samples, short_m, budget_m)
        if clamped.any():
            docket.counts["clamped"] += int(np.count_nonzero(clamped))

        # what remains is driven; in observe mode everything is
        at = np.flatnonzero(~stays)
        applied = samples.copy()
        if self._rules.enforce and clamped.any():
            _shorten(applied, np.flatnonzero(clamped), share, state, who, client_ms)
            state.t_ms[who] = np.where(clamped, applied["t_ms"], samples["t_ms"])
        times = real_ms[at], client_ms[at], gap_s[at]
        agreeing = ~clamped[at] & ~held[at]
        if not self._rules.enforce:
            driven_m = step_m
        self._judge_speeds(who[at], applied, at, driven_m[at], dx[at], dz[at], times, stepped[at], agreeing)
        self._judge_height(who[at], applied, at, gap_s[at])
        return held, applied

    def _judge_speeds(
        self,
        who: Index,
        samples: Any,
        at: Index,
        driven_m: F64,
        dx: F64,
        dz: F64,
        times: tuple[F64, F64, F64],
        stepped: Mask,
        agreeing: Mask,
    ) -> None:
        """Speed and acceleration over a span, and whether the claimed velocity is the one of the displacement.

        ``at`` are the places of the accepted among ``samples``, whose velocities are cut down to what is possible.
        """
        state, limits = self._state, self._rules.limits
        real_ms, client_ms, gap_s = times
        cap_mps = self._cap_mps[who]
        mine = samples[at]
        vx, vz = mine["vx"], mine["vz"]
        claimed_mps = np.sqrt(vx * vx + vz * vz)
        anew = np.isinf(state.span_ms[who]) | stepped
        span_ms = np.where(anew, 0.0, state.span_ms[who] + real_ms)
        span_client_ms = np.where(anew, 0.0, state.span_client_ms[who] + client_ms)
        span_m = np.where(anew, 0.0, state.span_m[who] + driven_m)
        span_s = np.maximum(span_ms, span_client_ms) / 1000.0
        full = ~anew & (span_s * 1000.0 >= limits.span_ms)
        done = np.flatnonzero(full)
        if len(done):
            who_done, span_done, cap_done = who[done], span_s[done], cap_mps[done]
            claim = claimed_mps[done]
            over = checks.speed_over_mps(span_m[done], span_done, claim, cap_done, limits)
            most = cap_done * limits.speed_times + limits.speed_slack_mps
            self.docket.flag("speed", who_done, mine, over, most, span_done, done)
            accel = self._accel_mps2[who_done]
            gained = claim - state.span_mps[who_done]
            over = checks.acceleration_over_mps(gained, span_done, accel, limits)
            self.docket.flag(
                "acceleration", who_done, mine, over, limits.accel_times * accel * span_done, span_done, done
            )
        state.span_ms[who] = np.where(full, 0.0, span_ms)
        state.span_client_ms[who] = np.where(full, 0.0, span_client_ms)
        state.span_m[who] = np.where(full, 0.0, span_m)
        state.span_mps[who] = np.where(full | anew, claimed_mps, state.span_mps[who])

        least_s, most_s = np.minimum(real_ms, client_ms) / 1000.0, gap_s
        mean_vx, mean_vz = (state.vel[who, 0] + vx) / 2.0, (state.vel[who, 2] + vz) / 2.0
        off_m = checks.disagreement_m(dx, dz, mean_vx, mean_vz, least_s, most_s, limits)
        off_m = np.where(agreeing & ~anew & (gap_s * 1000.0 <= limits.gap_ms), off_m, 0.0)
        self.docket.flag("agreement", who, mine, off_m, np.full(len(who), limits.agree_slack_m), gap_s)
        if self._rules.enforce:
            most = cap_mps * limits.speed_times + limits.speed_slack_mps
            if (claimed_mps > most).any():
                cut = np.minimum(most / np.maximum(claimed_mps, most), 1.0)
                samples["vx"][at], samples["vz"][at] = vx * cut, vz * cut

    def _judge_height(self, who: Index, samples: Any, at: Index, gap_s: F64) -> None:
        """Height above the ground and time in the air. Who flies as no car does is put on the ground."""
        state, limits = self._state, self._rules.limits
        y = samples["y"][at]
        if np.isnan(y).all():
            state.air_ms[who] = 0.0
            return
        above_m = y - self._rules.ground.height_m(samples["x"][at], samples["z"][at])
        flying = above_m > AIRBORNE_M  # a sample without a height is on the ground
        state.air_ms[who] = np.where(flying, state.air_ms[who] + 1000.0 * np.minimum(gap_s, 1.0), 0.0)
        flight_s = checks.flight_over_s(state.air_ms[who], limits)
        height_m, sunk_m = checks.height_over_m(above_m, limits), checks.sunk_m(above_m, limits)
        mine = samples[at]
        self.docket.flag("flight", who, mine, flight_s, np.full(len(who), limits.flight_max_s), gap_s)
        self.docket.flag("height", who, mine, height_m, np.full(len(who), limits.height_max_m), gap_s)
        self.docket.flag("sunk", who, mine, sunk_m, np.full(len(who), limits.sunk_max_m), gap_s)
        lowered = at[(flight_s > 0.0) | (height_m > 0.0) | (sunk_m > 0.0)]
        if self._rules.enforce and len(lowered):
            samples["y"][lowered], samples["vy"][lowered] = np.nan, 0.0


def _shorten(samples: Any, at: Index, share: F64, state: PlayerState, who: Index, client_ms: F64) -> None:
    """Move samples ``at`` back along their steps to the part that was affordable, and in time as well.

    The rest of the step belongs to the next sample: the car follows its driver on a leash.
    """
    part, row = share[at], who[at]
    for axis, column in ((0, "x"), (2, "z"), (1, "y")):
        start = state.pos[row, axis]
        samples[column][at] = start + (samples[column][at] - start) * part
    samples["t_ms"][at] -= (1.0 - part) * client_ms[at]
