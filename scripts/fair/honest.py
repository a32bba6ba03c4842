"""Drive honest cars through scenarios and count what the judge does to them: the false-positive table's numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from ipc.control import Command, Place, Resume, SetFlags
from scripts.fair.cars import BODY_M, Cars
from scripts.fair.clients import FRAME_MS, Clients, Habits
from scripts.fair.line import Alarms, Line
from scripts.fair.proving_ground import ProvingGround
from scripts.fair.scenarios import MOVES_MOST, Scenario
from scripts.fair.server import GENERATION, PERIOD_MS, Happened, Server
from shared.constants import FLAG_AWAY, FLAG_GHOST, FLAG_RACING

START_MS: Final = 1.75e12
"""Server time is Unix time: as coarse in floating point here as in life."""
FRAMES_PER_TICK: Final = 3
LATE_EVERY_S: Final = 7.0
LATE_TICKS: Final = 4
"""200 ms."""
VEHICLE_SHARES: Final = (0.6, 0.2, 0.2)
FLIERS: Final = 0.3
"""Share of the cars that leave the ground now and then."""
ENTERED_MS: Final = 2000.0
"""By then everybody is in the world; races begin."""


@dataclass(slots=True)
class Row:
    """What became of the players of one scenario."""

    name: str
    player_minutes: float = 0.0
    samples: int = 0
    thinned: int = 0
    removals: int = 0
    invalidated: int = 0
    set_backs: Counter[str] = field(default_factory=Counter)
    """By check; ``late`` is not among them."""
    late: int = 0
    """Placed after a stall beyond the bank, without reproach."""
    strikes: float = 0.0
    """Sum of all that were given."""
    reproaches: Counter[str] = field(default_factory=Counter)
    """Samples that gave them, by check."""
    moved: int = 0
    """Server-made moves that the harness asked for: resumes and placements."""
    handoffs: int = 0
    promised: bool = True
    note: str = ""


def drive(
    scenarios: Sequence[Scenario],
    cars_each: int,
    minutes: float,
    seed: int,
    progress: Callable[[float], None] = lambda share: None,
) -> list[Row]:
    """Run scenarios with the same kind of server side by side: ``cars_each`` players each, for ``minutes``."""
    run = _Run(scenarios, cars_each, seed)
    ticks = round(minutes * 60_000.0 / PERIOD_MS)
    while run.ticks < ticks:
        run.tick()
        if run.ticks % 200 == 0:
            progress(run.ticks / ticks)
    return run.rows()


class _Run:
    def __init__(self, scenarios: Sequence[Scenario], cars_each: int, seed: int) -> None:
        [self._kind] = {scenario.server for scenario in scenarios}
        rng = self._rng = np.random.default_rng([seed, len(scenarios), cars_each])
        count = len(scenarios) * cars_each
        self._of = np.repeat(np.arange(len(scenarios)), cars_each)

        def column(name: str, scale: float = 1.0) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
            return np.array([float(getattr(scenario, name)) for scenario in scenarios])[self._of] * scale

        ground = ProvingGround.build(seed)
        vehicle = rng.choice(len(VEHICLE_SHARES), count, p=VEHICLE_SHARES).astype(np.uint8)
        cars = Cars.make(ground, vehicle, rng, column("body_m"), across=self._kind in ("borders", "zone late"))
        self._ground, self._cars = ground, cars
        self.now_ms = START_MS
        habits = Habits(
            frames_per_sample=np.round(60.0 / column("hz")).astype(np.int64),
            hidden_every_ms=column("hidden_every_s", 1000.0),
            hidden_ms=column("hidden_s", 1000.0),
            skew_ppm=column("skew_ppm"),
            offset_ms=column("offset_ms") + rng.uniform(0.0, 1e6, count),
            clock_step_every_ms=column("clock_step_every_s", 1000.0),
            clock_step_ms=column("clock_step_ms"),
            grain_ms=column("grain_ms"),
            hitch_every_ms=column("hitch_every_s", 1000.0),
            hitch_ms=column("hitch_ms"),
            hitch_waits=rng.random(count) < 0.5,
            break_every_ms=column("break_every_s", 1000.0),
            away_ms=column("away_s", 1000.0),
            hop_every_ms=np.where(rng.random(count) < FLIERS, 15_000.0, 0.0),
        )
        up, down = (
            Line(
                delay_ms=column("delay_ms"),
                jitter_ms=column("jitter_ms"),
                stall_every_ms=column("stall_every_s", 1000.0),
                stall_ms=column("stall_ms"),
                swing_every_ms=column("swing_every_s", 1000.0),
                swing_ms=column("swing_ms"),
                rng=np.random.default_rng([seed, way]),
                now_ms=self.now_ms,
            )
            for way in range(2)
        )
        [ground_m] = ground.static.ground.height_m(np.zeros(1), np.zeros(1)).tolist()
        self.clients = Clients(cars, habits, up, down, ground_m, self.now_ms, rng)
        zones = 4 if self._kind in ("borders", "zone late") else 1
        self.server = Server(ground.static, zones, vehicle, cars.x, cars.z)
        self._moves = Alarms(column("moved_every_s", 1000.0), self.now_ms + ENTERED_MS, rng)
        self._moves_due: list[tuple[int, int]] = []
        """(tick, slot)."""
        self.ticks = 0
        self._next_late = round(LATE_EVERY_S * 1000.0 / PERIOD_MS)
        self._late_zone = -1
        self._late_until = 0
        self._rows = [Row(each.name, promised=each.promised, note=each.note) for each in scenarios]
        self._playing_ticks = np.zeros(count, np.int64)
        yaw = cars.yaw
        self._commands: list[Command] = [
            Place(slot, GENERATION, float(cars.x[slot]), float(cars.z[slot]), float(yaw[slot]), "enter", fresh=True)
            for slot in range(count)
        ]
        self._racing = np.flatnonzero(rng.random(count) < column("racing"))

    def tick(self) -> None:
        """Frames of one period and the tick at its end; or, when main is late, of several."""
        stands = self._kind == "main late" and self.ticks == self._next_late
        due_ms = self._frames(1)
        if stands:
            self._next_late += round(LATE_EVERY_S * 1000.0 / PERIOD_MS)
            self.server.front.receive(self.clients.wire, due_ms, self.server.state.tail)
            woke_ms = self._frames(LATE_TICKS)
            self.server.front.receive(self.clients.wire, woke_ms, self.server.state.tail, stood_ms=woke_ms)
            self._judge(due_ms, woke_ms)  # what was due at first, then the schedule begins anew
            self._judge(woke_ms, woke_ms)
        else:
            self.server.front.receive(self.clients.wire, due_ms, self.server.state.tail)
            self._judge(due_ms, due_ms)

    def rows(self) -> list[Row]:
        """The counts so far."""
        minutes = np.bincount(self._of, self._playing_ticks, len(self._rows)) * PERIOD_MS / 60_000.0
        front = self.server.front
        for number, row in enumerate(self._rows):
            row.player_minutes = float(minutes[number])
            row.samples = int(front.filed[self._of == number].sum())
            row.thinned = int(front.thinned[self._of == number].sum())
        return self._rows

    def _frames(self, ticks: int) -> float:
        for _ in range(ticks):
            for frame in range(FRAMES_PER_TICK):
                self.clients.frame(self.now_ms + frame * FRAME_MS)
            self.now_ms += PERIOD_MS
            self.ticks += 1
            self._playing_ticks += self.server.zone >= 0
            self._disturb()
        return self.now_ms

    def _disturb(self) -> None:
        """What the harness has main do: hold and resume, move, start races."""
        now_ms, rows = self.now_ms, self._rows
        for slot in self.clients.broken(now_ms).tolist():
            self._commands.append(SetFlags(slot, GENERATION, FLAG_AWAY | FLAG_GHOST, 0))
        back = self.clients.returned(now_ms)
        self.server.front.connect(back)
        for slot in back.tolist():
            self._commands.append(Resume(slot, GENERATION))
            rows[self._of[slot]].moved += 1
        for slot in self._moves.ring(now_ms).tolist():
            most = int(self._rng.integers(1, MOVES_MOST + 1))
            self._moves_due += [(self.ticks + number, slot) for number in range(most)]
        due = [slot for tick, slot in self._moves_due if tick <= self.ticks and self.clients.connected[slot]]
        self._moves_due = [each for each in self._moves_due if each[0] > self.ticks]
        if due:
            x, z = self._ground.free_points(len(due), BODY_M + 0.5, self._rng)
            for slot, to_x, to_z in zip(due, x.tolist(), z.tolist(), strict=True):
                self._commands.append(Place(slot, GENERATION, to_x, to_z, 0.0, "respawn", fresh=False))
                rows[self._of[slot]].moved += 1
        if self.ticks == round(ENTERED_MS / PERIOD_MS):
            self._commands += [SetFlags(slot, GENERATION, FLAG_RACING, 0) for slot in self._racing.tolist()]

    def _judge(self, tick_ms: float, sent_ms: float) -> None:
        late = set()
        if self._kind == "zone late":
            if self.ticks == self._next_late:
                self._next_late += round(LATE_EVERY_S * 1000.0 / PERIOD_MS)
                self._late_zone = (self._late_zone + 1) % len(self.server.worlds)
                self._late_until = self.ticks + LATE_TICKS
            if self.ticks < self._late_until:
                late = {self._late_zone}
        commands, self._commands = self._commands, []
        self._take(self.server.tick(tick_ms, commands, late), sent_ms)

    def _take(self, happened: Happened, now_ms: float) -> None:
        rows = self._rows
        for verdict in happened.verdicts:
            row = rows[self._of[verdict.slot]]
            if verdict.kind == "removed":
                row.removals += 1
                self.server.remove(verdict.slot)
                self.clients.end(verdict.slot)
            elif verdict.kind == "invalidated":
                row.invalidated += 1
            elif verdict.kind == "late":
                row.late += 1
            else:
                row.set_backs[verdict.check] += 1
        for slot, check in happened.reproaches:
            rows[self._of[slot]].reproaches[check] += 1
        for placed in happened.placed:
            self.clients.tell(placed, now_ms)
        if happened.struck.any():
            struck = np.bincount(self._of, happened.struck, len(rows))
            for number in np.flatnonzero(struck).tolist():
                rows[number].strikes += float(struck[number])
        for slot in happened.handed_off:
            rows[self._of[slot]].handoffs += 1
