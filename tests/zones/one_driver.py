"""One driver over the real ``step``: samples go into a ring and are judged tick by tick."""

from __future__ import annotations

import math
from math import nan
from typing import Any

import numpy as np

from ipc.control import Command, Place, PlacedAt, Resume, Sanction, Tick, Verdict
from ipc.layout import SAMPLE
from shared.player_state import fresh
from shared.thresholds import DEFAULT, Mode, Thresholds
from shared.world.static_world import StaticWorld
from shared.world.zone_map import ZoneMap
from zones.simulation import Outcome, ZoneWorld, step

PERIOD_MS = 50.0
START_MS = 1_000_000.0
CLIENT_AHEAD_MS = 123_456.0
"""The client's clock is another one."""


class OneDriver:
    """A car of class ``vehicle`` that was placed at (x, z). Times are server milliseconds since the placement."""

    def __init__(
        self,
        static: StaticWorld,
        x: float = 100.0,
        z: float = 100.0,
        vehicle: int = 0,
        mode: Mode = "enforce",
        limits: Thresholds = DEFAULT,
    ) -> None:
        self.world = ZoneWorld(0, ZoneMap.split(static.size_m, 1), static, limits=limits, anticheat=mode)
        self.state = fresh(1)
        self.vehicle = vehicle
        self.ring: list[Any] = []
        self.tick_number = 0
        self.now_ms = 0.0
        self.seq = 0
        self.epoch = 0
        self.x, self.z = x, z
        self.corrections: list[PlacedAt] = []
        self.verdicts: list[Verdict] = []
        self.sanctions: list[Sanction] = []
        self.outcomes: list[Outcome] = []
        self.tick(Place(0, 1, x, z, 0.0, "enter", fresh=True))

    def sample(
        self,
        x: float,
        z: float,
        t_ms: float | None = None,
        recv_ms: float | None = None,
        vx: float = 0.0,
        vz: float = 0.0,
        y: float = nan,
        epoch: int | None = None,
        seq: int | None = None,
    ) -> None:
        """Queue one sample; by default received and made just before the next tick."""
        self.seq += 1
        recv_ms = self.now_ms + PERIOD_MS - 1.0 if recv_ms is None else recv_ms
        t_ms = recv_ms if t_ms is None else t_ms
        record = np.zeros(1, SAMPLE)
        stamp = self.epoch if epoch is None else epoch
        number = self.seq if seq is None else seq
        record[0] = (START_MS + recv_ms, CLIENT_AHEAD_MS + t_ms, x, y, z, 0.0, vx, 0.0, vz, stamp, number)
        self.ring.append(record[0])

    def drive(self, x: float, z: float, dt_s: float = 0.05, **more: Any) -> None:
        """Queue a sample at (x, z) whose velocity is that of the way from the last one."""
        self.sample(x, z, vx=(x - self.x) / dt_s, vz=(z - self.z) / dt_s, **more)
        self.x, self.z = x, z

    def tick(
        self, *commands: Command, forgive: bool = False, late_ms: float = 0.0, period_ms: float = PERIOD_MS
    ) -> Outcome:
        """One tick over what was queued. The client adopts every placement at once."""
        self.tick_number += 1
        self.now_ms += period_ms if self.tick_number > 1 else 0.0
        tail = int(self.state.tail[0])
        ring = self.ring

        def read(slots: Any, positions: Any) -> Any:
            return np.array([ring[int(position) - tail] for position in positions], SAMPLE)

        tick = Tick(
            self.tick_number,
            START_MS + self.now_ms,
            0,
            self.tick_number - 1,
            [],
            [],
            [],
            list(commands),
            late_ms,
            forgive,
        )
        heads = self.state.tail + np.uint32(len(ring))
        seats = np.array([0]), np.ones(1, np.uint32), np.array([self.vehicle], np.uint8)
        outcome = step(self.world, tick, *seats, self.state, heads, read)
        self.ring = ring[int(self.state.tail[0]) - tail :]
        for event in outcome.events:
            if isinstance(event, PlacedAt):
                self.epoch, self.x, self.z = event.epoch, event.x, event.z
                if event.reason == "correction":
                    self.corrections.append(event)
            elif isinstance(event, Verdict):
                self.verdicts.append(event)
            elif isinstance(event, Sanction):
                self.sanctions.append(event)
        self.outcomes.append(outcome)
        return outcome

    def resume(self) -> None:
        """A new connection: another clock, other numbers."""
        self.seq = 0
        self.tick(Resume(0, 1))

    @property
    def at(self) -> tuple[float, float]:
        """Where the server has the car."""
        return float(self.state.pos[0, 0]), float(self.state.pos[0, 2])

    @property
    def score(self) -> float:
        """Strikes, counted and due."""
        return float(self.state.strikes[0] + self.state.due[0])

    def checks(self) -> set[str]:
        """All checks that failed so far."""
        return {check for outcome in self.outcomes for check in outcome.counts}

    def off_m(self) -> float:
        """How far the client is from where the server has it."""
        return math.dist(self.at, (self.x, self.z))
