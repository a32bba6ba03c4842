"""The judging of samples as one would write it for one player, with plain numbers: what the columns must equal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from shared.constants import AIRBORNE_M, FLAG_RACING
from shared.thresholds import Thresholds
from shared.vehicles import VehicleClass
from shared.world.prop_table import CIRCLE, WALL
from shared.world.solids import Solids

Player = dict[str, Any]
"""A row of PlayerState by column, as Python values."""


@dataclass
class PlainRules:
    limits: Thresholds
    enforce: bool
    solids: Solids
    open_ends: list[tuple[bool, bool]]
    loose_ends: list[tuple[bool, bool]]
    ground_m: float
    size_m: float
    now_ms: float = 0.0


def judge(rules: PlainRules, player: Player, vehicle: VehicleClass, sample: Player, late_ms: float) -> Player | None:
    """Judge one sample. Returns what is to be applied, or None; changes the books in ``player``."""
    limits = rules.limits
    if sample["epoch"] != player["epoch"]:
        if rules.enforce and sample["recv_ms"] - player["placed_ms"] > limits.answer_ms:
            _set_back(rules, player, 0.0)
        return None
    if sample["seq"] <= player["seq"]:
        return None
    x, z = sample["x"], sample["z"]
    last = math.nextafter(rules.size_m, 0.0)
    beyond = max(-x, x - last, -z, z - last, 0.0)
    if beyond > 0.0:
        if beyond > limits.bounds_m:
            _set_back(rules, player, 0.0)
        return None

    cap = vehicle.speed_cap_mps
    bank_s = (limits.bank_racing_s if player["flags"] & FLAG_RACING else limits.bank_s) + late_ms / 1000.0
    dx, dz = x - player["pos"][0], z - player["pos"][2]
    step = math.sqrt(dx * dx + dz * dz)
    real = max(sample["recv_ms"] - player["heard_ms"], 0.0)
    claimed = 0.0 if math.isinf(player["t_ms"]) else sample["t_ms"] - player["t_ms"]
    credit = min(player["clock_ms"] + real * limits.clock_rate, limits.clock_bank_ms)
    client = min(max(claimed, 0.0), credit)
    ahead, back = max(claimed - credit, 0.0), max(-claimed, 0.0)
    gap_s = max(client, real) / 1000.0

    full = cap * limits.refill * bank_s + limits.bank_slack_m
    rate = cap * limits.refill / 1000.0
    beyond = 0.0 if math.isinf(player["budget_m"]) else max(player["budget_m"] - full - rate * real, 0.0)
    counted = cap * min(real, 1000.0 * limits.slow_s + late_ms) / 1000.0
    budget = min(player["budget_m"], full) + beyond
    budget += min(max(step, counted * limits.refill_least), counted * limits.refill)
    short = max(step - budget, 0.0)
    own_full = cap * limits.refill * limits.own_bank_s + limits.bank_slack_m
    own_s = (real if math.isinf(player["t_ms"]) or back > 0.0 else client) / 1000.0
    own, own_grown = min(player["own_m"], own_full), cap * limits.refill * own_s

    jump = max(step - max(limits.teleport_least_m, limits.teleport_times * cap * gap_s), 0.0)
    solids = entered(rules, player["pos"][0], player["pos"][2], x, z, gap_s)
    clip = bool(solids)
    around = cap * limits.refill * gap_s + limits.bank_slack_m
    seen = any(_detour(rules, number, player["pos"][0], player["pos"][2], x, z) > around for number in solids)
    slack = jump == 0.0 and not clip and short > max(limits.leash_s * cap, limits.leash_least_m)
    held = jump > 0.0 or clip or slack
    clamped = short > 0.0 and not held
    share = budget / step if clamped else 1.0
    stays = held and rules.enforce

    player["heard_ms"] = max(player["heard_ms"], sample["recv_ms"])
    driven = 0.0 if stays else min(step, budget)
    part = share if rules.enforce else 1.0
    over = slack and step > own + own_grown
    player["budget_m"] = budget - driven
    player["own_m"] = 0.0 if over else min(max(own + own_grown * part - driven, 0.0), own_full)
    player["clock_ms"] = credit - client * part
    player["t_ms"] = sample["t_ms"]
    player["due"] += min(ahead / 1000.0, 0.5) + (0.5 if back > 0.0 else 0.0)
    if jump > 0.0:
        _set_back(rules, player, 3.0)
    elif clip:
        _set_back(rules, player, 2.0 if seen and gap_s * 1000.0 <= limits.gap_ms else 0.0)
    elif slack:
        _set_back(rules, player, 1.0 if over else 0.0)
    if stays:
        return None

    applied = dict(sample)
    if clamped and rules.enforce:
        start = player["pos"]
        applied["x"] = start[0] + (x - start[0]) * share
        applied["z"] = start[2] + (z - start[2]) * share
        applied["y"] = start[1] + (sample["y"] - start[1]) * share
        applied["t_ms"] = sample["t_ms"] - (1.0 - share) * client
    player["t_ms"] = applied["t_ms"]
    anew = math.isinf(player["span_ms"]) or ahead > limits.clock_lead_ms or back > 0.0
    driven = min(step, budget) if rules.enforce else step
    agreeing = not clamped and not held and not anew and gap_s * 1000.0 <= limits.gap_ms
    _speeds(rules, player, vehicle, applied, driven, (dx, dz), (real, client, gap_s), anew, agreeing)
    _height(rules, player, applied, gap_s)
    return applied


def _speeds(
    rules: PlainRules,
    player: Player,
    vehicle: VehicleClass,
    sample: Player,
    driven: float,
    step: tuple[float, float],
    times: tuple[float, float, float],
    anew: bool,
    agreeing: bool,
) -> None:
    limits, (real, client, gap_s) = rules.limits, times
    vx, vz = sample["vx"], sample["vz"]
    claim = math.sqrt(vx * vx + vz * vz)
    most = vehicle.speed_cap_mps * limits.speed_times + limits.speed_slack_mps
    for name, value in (("span_ms", real), ("span_client_ms", client), ("span_m", driven)):
        player[name] = 0.0 if anew else player[name] + value
    span_s = max(player["span_ms"], player["span_client_ms"]) / 1000.0
    full = not anew and span_s * 1000.0 >= limits.span_ms
    if full:
        over = max(max(player["span_m"] / span_s, claim) - most, 0.0)
        player["due"] += min(over / 7.0, 3.0) * span_s
        gain = claim - player["span_mps"]
        over = max(gain - limits.accel_times * vehicle.accel_cap_mps2 * span_s - limits.accel_slack_mps, 0.0)
        player["due"] += min(over / 5.0, 2.0) * span_s * 0.5
        player.update(span_ms=0.0, span_client_ms=0.0, span_m=0.0)
    if full or anew:
        player["span_mps"] = claim
    if agreeing:
        mx, mz = (player["vel"][0] + vx) / 2.0, (player["vel"][2] + vz) / 2.0
        square = mx * mx + mz * mz
        best = (step[0] * mx + step[1] * mz) / square if square > 0.0 else 0.0
        best = min(max(best, min(real, client) / 1000.0), gap_s)
        ex, ez = step[0] - mx * best, step[1] - mz * best
        off = math.sqrt(ex * ex + ez * ez) - limits.agree_slack_m - limits.agree_share * math.sqrt(square) * best
        player["due"] += min(max(off, 0.0), 1.0) * gap_s * 0.1
    if rules.enforce and claim > most:
        sample["vx"], sample["vz"] = vx * (most / claim), vz * (most / claim)


def _height(rules: PlainRules, player: Player, sample: Player, gap_s: float) -> None:
    limits = rules.limits
    if math.isnan(sample["y"]):
        player["air_ms"] = 0.0
        return
    above = sample["y"] - rules.ground_m
    player["air_ms"] = player["air_ms"] + 1000.0 * min(gap_s, 1.0) if above > AIRBORNE_M else 0.0
    flight = player["air_ms"] / 1000.0 - limits.flight_max_s
    high, low = above - limits.height_max_m, -above - limits.sunk_max_m
    if flight > 0.0:
        player["due"] += min(flight / 0.001, 1.0) * gap_s
    if high > 0.0:
        player["due"] += min(high / 0.001, 1.0) * gap_s
    if rules.enforce and max(flight, high, low) > 0.0:
        sample["y"], sample["vy"] = math.nan, 0.0


def _set_back(rules: PlainRules, player: Player, strikes: float) -> None:
    player["due"] += strikes
    if rules.enforce:
        player["epoch"] += 1
        player["span_ms"] = math.inf
        player["placed_ms"] = rules.now_ms


def _detour(rules: PlainRules, number: int, x0: float, z0: float, x1: float, z1: float) -> float:
    """The way past the nearer end of a wall that is no joint."""
    solids, ways = rules.solids, [math.inf]
    for sign, loose in zip((1.0, -1.0), rules.loose_ends[number], strict=True):
        reach = sign * float(solids.half_d[number])
        x = float(solids.x[number]) + reach * float(solids.ahead_x[number])
        z = float(solids.z[number]) + reach * float(solids.ahead_z[number])
        if loose:
            ways.append(math.dist((x0, z0), (x, z)) + math.dist((x, z), (x1, z1)))
    return min(ways)


def entered(rules: PlainRules, x0: float, z0: float, x1: float, z1: float, gap_s: float) -> list[int]:
    """Which solids a step enters: every shape is looked at, one point of the step after the other.

    The outline is computed as documented, the crossing by cutting the step in its own way (Liang and Barsky for boxes,
    the nearest point for discs).
    """
    solids, limits = rules.solids, rules.limits
    found = []
    sag = limits.bend_mps2 * min(gap_s, limits.bend_gap_max_s) ** 2 / 8.0
    for number in range(len(solids)):
        ax, az = float(solids.ahead_x[number]), float(solids.ahead_z[number])
        half_w, half_d = float(solids.half_w[number]), float(solids.half_d[number])
        middle = 0.0
        if solids.shape[number] == WALL:
            cut = min(max(sag - limits.body_m, 0.0), 0.5 * half_d)
            ahead, behind = (half_d - cut if free else half_d + 0.05 for free in rules.open_ends[number])
            middle = (ahead - behind) / 2
            edge = chord = ((ahead + behind) / 2, 0.02)
        else:
            edge = max(half_d - limits.margin_m, half_d / 2), max(half_w - limits.margin_m, half_w / 2)
            chord = max(edge[0] - sag, half_d / 2), max(edge[1] - sag, half_w / 2)
            if gap_s > limits.gap_ms / 1000.0 and max(edge) <= sag:
                chord = -1.0, -1.0
        core = edge[0] - 0.01, edge[1] - 0.01

        start, end = (
            (ox * ax + oz * az - middle, oz * ax - ox * az)
            for ox, oz in ((x - float(solids.x[number]), z - float(solids.z[number])) for x, z in ((x0, z0), (x1, z1)))
        )
        disc = bool(solids.shape[number] == CIRCLE)
        if _inside(disc, start, core):
            continue
        if _inside(disc, start, edge):
            edge = chord = core
        if _inside(disc, end, edge) or _passes(disc, start, end, chord):
            found.append(number)
    return found


def _inside(disc: bool, point: tuple[float, float], half: tuple[float, float]) -> bool:
    if min(half) < 0.0:
        return False
    if disc:
        return math.hypot(*point) <= half[1]
    return abs(point[0]) <= half[0] and abs(point[1]) <= half[1]


def _passes(disc: bool, start: tuple[float, float], end: tuple[float, float], half: tuple[float, float]) -> bool:
    if min(half) < 0.0:
        return False
    step = end[0] - start[0], end[1] - start[1]
    if disc:
        square = step[0] ** 2 + step[1] ** 2
        share = -(start[0] * step[0] + start[1] * step[1]) / square if square else 0.0
        share = min(max(share, 0.0), 1.0)
        return math.hypot(start[0] + share * step[0], start[1] + share * step[1]) <= half[1]
    low, high = 0.0, 1.0
    for position, way, size in zip(start, step, half, strict=True):
        if way == 0.0:
            if abs(position) > size:
                return False
            continue
        shares = sorted(((-size - position) / way, (size - position) / way))
        low, high = max(low, shares[0]), min(high, shares[1])
    return low <= high
