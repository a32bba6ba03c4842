"""Let cheats drive beside their twins and measure what each technique brings: the detection table's numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any, Final

import numpy as np

from ipc.control import Arm, Command, Place, PlacedAt, Resume, SetFlags
from ipc.layout import SAMPLE
from scripts.fair import circuit
from scripts.fair.line import F64, Line, Wire
from scripts.fair.server import GENERATION, PERIOD_MS, Happened, Server
from scripts.fair.techniques import RADIUS_M, BorderBlinker, Claim, Honest, Technique, Where
from scripts.fair.verdicts import GATE
from shared.constants import FLAG_AWAY, FLAG_GHOST, FLAG_RACING
from shared.messages import ClientFault, decode_client
from shared.vehicles import VEHICLES
from shared.world.ground_grid import GroundGrid
from shared.world.prop_kinds import PROP_INDEX
from shared.world.prop_table import PropTable
from shared.world.solids import Solids
from shared.world.static_world import StaticWorld

SIZE_M: Final = 4096
START_MS: Final = 1.75e12
WARM_UP_S: Final = 12.0
"""To reach top speed; the slowest class takes 7 s."""
CHEATING_S: Final = 120.0
DELAY_MS: Final = 40.0
JITTER_MS: Final = 10.0
AWAY_MS: Final = 500.0
EFFECT_M: Final = 3.0
"""Being ahead by less than this is no gain: jitter alone is worth a sample's way."""
CENTRES: Final[dict[Where, tuple[float, float]]] = {
    "open": (1024.0, 1024.0),
    "wall": (3072.0, 1024.0),
    "border": (2048.0, 3072.0),
}
"""Of the circles; borders between the four zones run through the middle of the world."""
WALL_TURN: Final = 1.2
"""Radians along the circle from the start to the wall: 960 m, beyond the warm-up of the fastest."""


@dataclass(slots=True)
class Case:
    """One cheat with one car."""

    slot: int
    twin: int
    client: Honest
    began_ms: float = math.nan
    deed_ms: float = math.nan
    """When the first sample was sent that an honest client would not have sent."""
    mitigated_ms: float = math.nan
    """From the first sample that cheats to the first thing that the server did, the way of the sample included."""
    removed_ms: float = math.nan
    invalidated: int = 0
    struck: float = 0.0
    set_backs: Counter[str] = field(default_factory=Counter)
    reproaches: Counter[str] = field(default_factory=Counter)
    late: int = 0
    gates: int = 0
    """Counted from the deed on."""
    told: Counter[str] = field(default_factory=Counter)
    """What the racer or main was told of gates since then."""
    twin_gates: int = 0
    twin_told: int = 0
    lead_m: float = -math.inf
    """Most that the car was ahead of its twin."""
    ahead_m: float = 0.0
    """How much it was at the end."""
    played_s: float = 0.0
    extra_m: float = 0.0
    """Height over the ground, or way beyond a wall: the most that was accepted."""


@dataclass(slots=True)
class Found:
    """One technique, summed up over its cases."""

    name: str
    cases: int
    mitigated: int
    mitigated_s: float | None
    """Median over the mitigated ones."""
    ignored: bool
    """No sample that cheats had an effect, so there was nothing to put right."""
    played_s: float
    """Mean, up to the removal."""
    gain_m: float
    """Mean way ahead of the twin at the end."""
    gain_s: float
    """The same as time at top speed."""
    lead_m: float
    """The most that any of them ever was ahead."""
    extra_m: float
    set_backs: Counter[str]
    reproaches: Counter[str]
    """Samples that gave strikes, by check."""
    late: int
    strikes: float
    """Mean per case."""
    removed: int
    removed_s: float | None
    note: str
    races: bool = False
    """On a route."""
    gates: int = 0
    """Counted from the deed on; ``told`` is what was told of gates, to main or to the racer."""
    told: Counter[str] = field(default_factory=Counter)
    twin_gates: int = 0
    twin_told: int = 0


def measure(techniques: Sequence[Technique], each: int, seed: int, cheating_s: float = CHEATING_S) -> list[Found]:
    """``each`` cases of every technique, over the vehicle classes in turn."""
    run = _Run(techniques, each, seed)
    for _ in range(round((WARM_UP_S + cheating_s) * 1000.0 / PERIOD_MS)):
        run.tick()
    return run.found()


def refusals(texts: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """(name, how it was refused) of numbers in a ``move`` that no zone may ever see."""
    found = []
    for name, text in texts:
        payload = f'"epoch":1,"seq":2,"t":3,"x":{text},"z":1,"yaw":0,"vx":0,"vz":0'
        try:
            decode_client(f'{{"type":"move","payload":{{{payload}}}}}'.encode())
            found.append((name, "NOT REFUSED"))
        except ClientFault as fault:
            found.append((name, f"{fault.code}: {fault.message}"))
    return found


class _Run:
    def __init__(self, techniques: Sequence[Technique], each: int, seed: int) -> None:
        self._techniques = techniques
        self._cases: list[list[Case]] = []
        self._clients: list[Honest] = []
        vehicle: list[int] = []
        racing: list[int] = []
        self._routes: list[tuple[int, int]] = []
        """(slot, route) of those who race on one."""
        for technique in techniques:
            cases = []
            for number in range(each):
                kind = number % len(VEHICLES)
                slot = len(self._clients)
                cheat, twin = technique.make(VEHICLES[kind]), technique.twin(VEHICLES[kind])
                self._clients += [cheat, twin]
                vehicle += [kind, kind]
                racing += [slot, slot + 1] if technique.races else []
                if technique.route is not None:
                    self._routes += [(slot, technique.route), (slot + 1, circuit.FAIR)]
                cases.append(Case(slot, slot + 1, cheat))
            self._cases.append(cases)
        count = len(self._clients)
        rng = self._rng = np.random.default_rng([seed, count])
        x, z = np.zeros(count), np.zeros(count)
        self._commands: list[Command] = []
        for cases in self._cases:
            turn = float(rng.uniform(0.0, 0.2))
            for case in cases:
                place = case.client.where
                for slot, where in ((case.slot, place), (case.twin, "open" if place == "wall" else place)):
                    x[slot], z[slot], yaw = _start(where, turn)
                    self._commands.append(
                        Place(slot, GENERATION, float(x[slot]), float(z[slot]), yaw, "enter", fresh=True)
                    )
                if isinstance(case.client, BorderBlinker):
                    case.client.border_x = CENTRES["border"][0]
        self._racing = np.array(racing, np.intp)
        self.server = Server(_land(), 4, np.array(vehicle, np.uint8), x, z)
        self.now_ms = START_MS
        self._up, self._down = (_line(count, seed, way) for way in range(2))
        self._wire = Wire(count, 128)
        self._mail: list[tuple[float, PlacedAt, int]] = []
        self._connection = [0] * count
        self._knows = [False] * count
        self._back_ms = [math.inf] * count
        self._next_break_ms = [math.inf] * count
        self._progress = np.zeros(count)
        self._before_m = np.column_stack((x, z))
        self._tick = 0

    def tick(self) -> None:
        self.now_ms += PERIOD_MS
        self._tick += 1
        self._break_and_resume()
        self._read_mail()
        if self._tick == round(WARM_UP_S * 500.0 / PERIOD_MS):
            self._commands += [SetFlags(slot, GENERATION, FLAG_RACING, 0) for slot in self._racing.tolist()]
            self._commands += [Arm(slot, GENERATION, 1, route, self.now_ms) for slot, route in self._routes]
        if self._tick == round(WARM_UP_S * 1000.0 / PERIOD_MS):
            for cases in self._cases:
                for case in cases:
                    case.client.begin()
                    self._clients[case.twin].begin()
                    self._before_m[case.slot] = self._before_m[case.twin] = np.nan
                    case.began_ms = self.now_ms
                    if case.client.reconnects_every_s:
                        self._next_break_ms[case.slot] = self.now_ms
        self._drive()
        tail = self.server.state.tail
        self.server.front.receive(self._wire, self.now_ms, tail)
        commands, self._commands = self._commands, []
        self._take(self.server.tick(self.now_ms, commands))
        self._compare()

    def found(self) -> list[Found]:
        return [_sum_up(technique, cases) for technique, cases in zip(self._techniques, self._cases, strict=True)]

    # --- the clients' side

    def _drive(self) -> None:
        sent: dict[int, list[Claim]] = {}
        for slot, client in enumerate(self._clients):
            if self._knows[slot]:
                claims = client.claims(self.now_ms - START_MS + 1e5, PERIOD_MS / 1000.0)
                if client.where == "wall" and claims and client.cheats and _beyond_wall_m(client.x, client.z) > 0.0:
                    client.deed()
                if claims:
                    sent[slot] = claims
        for cases in self._cases:
            for case in cases:
                if math.isnan(case.deed_ms) and not math.isnan(case.client.deed_s):
                    case.deed_ms = self.now_ms
        turn = 0
        while sent:
            who = np.array(list(sent), np.intp)
            samples: Any = np.zeros(len(who), SAMPLE)
            for row, slot in enumerate(who.tolist()):
                samples[row] = (0.0, *sent[slot][turn])
            self._wire.put(who, samples, self._up.arrivals_ms(who, np.full(len(who), self.now_ms)))
            turn += 1
            sent = {slot: claims for slot, claims in sent.items() if len(claims) > turn}

    def _read_mail(self) -> None:
        due = [each for each in self._mail if each[0] <= self.now_ms]
        self._mail = [each for each in self._mail if each[0] > self.now_ms]
        for _, placed, connection in sorted(due, key=lambda each: each[0]):
            slot = placed.slot
            if connection == self._connection[slot]:
                self._clients[slot].place(placed.x, placed.z, placed.yaw, placed.vx, placed.vz, placed.epoch)
                self._knows[slot] = True

    def _break_and_resume(self) -> None:
        for slot in range(len(self._clients)):
            if self.now_ms >= self._next_break_ms[slot] and self._knows[slot]:
                self._next_break_ms[slot] = self.now_ms + 1000.0 * self._clients[slot].reconnects_every_s
                self._knows[slot] = False
                self._connection[slot] += 1
                self._wire.clear(np.array([slot]))
                self._back_ms[slot] = self.now_ms + AWAY_MS
                self._commands.append(SetFlags(slot, GENERATION, FLAG_AWAY | FLAG_GHOST, 0))
            if self.now_ms >= self._back_ms[slot]:
                self._back_ms[slot] = math.inf
                self._clients[slot].resumed()
                self.server.front.connect(np.array([slot]))
                self._commands.append(Resume(slot, GENERATION))

    # --- the server's side

    def _take(self, happened: Happened) -> None:
        for placed in happened.placed:
            slot = placed.slot
            if self._knows[slot] or placed.reason in ("enter", "resume"):
                [due_ms] = self._down.arrivals_ms(np.array([slot]), np.array([self.now_ms])).tolist()
                self._mail.append((due_ms, placed, self._connection[slot]))
        by_slot = {case.slot: case for cases in self._cases for case in cases}
        for slot in np.flatnonzero(happened.struck).tolist():
            if slot in by_slot and not math.isnan(by_slot[slot].began_ms):
                by_slot[slot].struck += float(happened.struck[slot])
                self._act(by_slot[slot])
        for slot, what in happened.raced:
            case = by_slot.get(slot) or by_slot[slot - 1]
            mine = slot == case.slot
            if not mine:
                case.twin_gates += what == GATE
                case.twin_told += what != GATE
            elif what == GATE:
                case.gates += not math.isnan(case.deed_ms)
            elif not math.isnan(case.deed_ms):
                case.told[what] += 1
                self._act(case)
        for slot, check in happened.reproaches:
            if slot in by_slot and not math.isnan(by_slot[slot].began_ms):
                by_slot[slot].reproaches[check] += 1
                self._act(by_slot[slot])
        for verdict in happened.verdicts:
            cheat = by_slot.get(verdict.slot)
            if verdict.kind == "removed":
                self.server.remove(verdict.slot)
                self._knows[verdict.slot] = False
                self._connection[verdict.slot] += 1
                self._next_break_ms[verdict.slot] = self._back_ms[verdict.slot] = math.inf
            if cheat is None or math.isnan(cheat.began_ms):
                continue
            case = cheat
            self._act(case)
            if verdict.kind == "removed":
                case.removed_ms = self.now_ms - (case.began_ms if math.isnan(case.deed_ms) else case.deed_ms)
            elif verdict.kind == "invalidated":
                case.invalidated += 1
            elif verdict.kind == "late":
                case.late += 1
            else:
                case.set_backs[verdict.check] += 1

    def _act(self, case: Case) -> None:
        if math.isnan(case.mitigated_ms) and not math.isnan(case.deed_ms):
            case.mitigated_ms = self.now_ms - case.deed_ms

    def _compare(self) -> None:
        """How far everybody has come since the cheating began, along their headings, in positions of the server."""
        state = self.server.state
        at = state.pos[:, [0, 2]]
        step = np.nan_to_num(at - self._before_m)
        self._progress += step[:, 0] * np.sin(state.yaw) + step[:, 1] * np.cos(state.yaw)
        self._before_m = at.copy()
        if math.isnan(self._cases[0][0].began_ms):
            self._progress[:] = 0.0
            return
        [ground_m] = self.server.worlds[0].static.ground.height_m(np.zeros(1), np.zeros(1)).tolist()
        for cases in self._cases:
            for case in cases:
                if math.isnan(case.removed_ms):
                    case.played_s += PERIOD_MS / 1000.0
                    case.ahead_m = float(self._progress[case.slot] - self._progress[case.twin])
                    case.lead_m = max(case.lead_m, case.ahead_m)
                    case.extra_m = max(case.extra_m, float(state.pos[case.slot, 1]) - ground_m)
                    if case.client.where == "wall":
                        case.extra_m = max(case.extra_m, _beyond_wall_m(*at[case.slot].tolist()))


def _sum_up(technique: Technique, cases: Sequence[Case]) -> Found:
    mitigated = [case.mitigated_ms for case in cases if not math.isnan(case.mitigated_ms)]
    removed = [case.removed_ms for case in cases if not math.isnan(case.removed_ms)]
    gains_m = [case.ahead_m for case in cases]
    set_backs: Counter[str] = Counter()
    reproaches: Counter[str] = Counter()
    told: Counter[str] = Counter()
    for case in cases:
        told.update(case.told)
        set_backs.update(case.set_backs)
        reproaches.update(case.reproaches)
    lead_m = max(case.lead_m for case in cases)
    extra_m = max(case.extra_m for case in cases)
    return Found(
        name=technique.name,
        cases=len(cases),
        mitigated=len(mitigated),
        mitigated_s=median(mitigated) / 1000.0 if mitigated else None,
        ignored=not mitigated and max(lead_m, extra_m) < EFFECT_M,
        played_s=fmean(case.played_s for case in cases),
        gain_m=fmean(gains_m),
        gain_s=fmean(gain / case.client.top_mps for gain, case in zip(gains_m, cases, strict=True)),
        lead_m=lead_m,
        extra_m=extra_m,
        set_backs=set_backs,
        reproaches=reproaches,
        late=sum(case.late for case in cases),
        races=technique.route is not None,
        gates=sum(case.gates for case in cases),
        told=told,
        twin_gates=sum(case.twin_gates for case in cases),
        twin_told=sum(case.twin_told for case in cases),
        strikes=fmean(case.struck for case in cases),
        removed=len(removed),
        removed_s=median(removed) / 1000.0 if removed else None,
        note=technique.note,
    )


def _start(where: Where, turn: float) -> tuple[float, float, float]:
    """Pose on the circle: its driver turns to ever greater yaw, which is from south to east."""
    x, z = CENTRES[where]
    return x - RADIUS_M * math.cos(turn), z + RADIUS_M * math.sin(turn), math.remainder(turn, math.tau)


def _wall_turn() -> float:
    return 0.2 + WALL_TURN


def _beyond_wall_m(x: float, z: float) -> float:
    """How far a car is beyond the wall; not positive before it. Half a lap further on it counts as before it again."""
    centre_x, centre_z = CENTRES["wall"]
    turn = math.atan2(z - centre_z, centre_x - x)
    return max(math.remainder(turn - _wall_turn(), math.tau), -1.0) * RADIUS_M


def _line(count: int, seed: int, way: int) -> Line:
    def column(value: float) -> F64:
        return np.full(count, value)

    rng = np.random.default_rng([seed, way, 7])
    zero = column(0.0)
    return Line(column(DELAY_MS), column(JITTER_MS), zero, zero, zero, zero, rng, START_MS)


def _land() -> StaticWorld:
    """A plain with one long wall across one of the circles."""
    x, z, yaw = _start("wall", _wall_turn())
    across = (yaw + math.pi / 2.0) % math.tau
    row = [PROP_INDEX["barrier"], x * 100.0, 0.0, z * 100.0, across * 1000.0, 3000.0]
    props = PropTable(*(np.array([round(value)], np.int32) for value in row))
    return StaticWorld(SIZE_M, Solids.of(props, SIZE_M), GroundGrid.level(SIZE_M, 250), circuit.routes(CENTRES["open"]))
