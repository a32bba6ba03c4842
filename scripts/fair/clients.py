"""Many honest clients at once: clocks, frames, sending, and what they do with what the server tells them.

A client runs frames of 1/60 s, moves its car in each, and sends a sample in every so many-th. It adopts every
``placed`` as it comes and stamps the epoch from then on. What real clients suffer from is here, too: clocks that run
wrong, are set, or tick in coarse steps; frames that take half a second; tabs that go to the background; connections
that break and come back.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ipc.control import PlacedAt
from ipc.layout import SAMPLE
from scripts.fair.cars import STEP_S, Cars
from scripts.fair.line import Alarms, Line, Wire

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

FRAME_MS: Final = 1000.0 * STEP_S
STAMP_MS: Final = 3.0
"""A client reads its clock up to so long after the frame that its sample shows."""
GRAVITY_MPS2: Final = 9.81
HOP_MPS: Final = 6.0
"""How fast a car leaves a ramp: 1.8 m high, 1.2 s long."""
NEVER_MS: Final = -1e15
ONE_HZ: Final = 60
"""Frames per sample of a hidden tab."""


@dataclass(frozen=True, slots=True, eq=False)
class Habits:
    """How N clients behave; columns (N,)."""

    frames_per_sample: I64
    hidden_every_ms: F64
    """Tabs that go to the background, where they send once per second."""
    hidden_ms: F64
    skew_ppm: F64
    offset_ms: F64
    clock_step_every_ms: F64
    clock_step_ms: F64
    """Forwards or backwards."""
    grain_ms: F64
    """0: as fine as it gets."""
    hitch_every_ms: F64
    hitch_ms: F64
    hitch_waits: Mask
    """The car waits while frames stand still; else it has moved on by the next."""
    break_every_ms: F64
    away_ms: F64
    hop_every_ms: F64


class Clients:
    """N clients with their cars and lines. ``up`` and ``down`` are the two directions; ``wire`` what is under way."""

    def __init__(
        self, cars: Cars, habits: Habits, up: Line, down: Line, ground_m: float, now_ms: float, rng: np.random.Generator
    ) -> None:
        count = len(cars)
        self.cars, self.up, self.down = cars, up, down
        self.wire = Wire(count)
        self.sent = np.zeros(count, np.int64)
        self.connected = np.ones(count, np.bool_)
        self._habits, self._ground_m, self._rng = habits, ground_m, rng
        self._zero_ms = now_ms
        self._phase_ms = rng.uniform(0.0, FRAME_MS, count)
        self._turn = rng.integers(0, 60, count)
        self._offset_ms = habits.offset_ms.copy()
        self._seq = rng.integers(0, 100_000, count)
        self._epoch = np.zeros(count, np.int64)
        self._knows = np.zeros(count, np.bool_)
        """Has been told where it is, on this connection."""
        self._connection = np.zeros(count, np.int64)
        self._back_ms = np.full(count, np.inf)
        self._hitch_until_ms = np.full(count, -np.inf)
        self._hidden_until_ms = np.full(count, -np.inf)
        self._hop_from_ms = np.full(count, NEVER_MS)
        every = [habits.clock_step_every_ms, habits.hitch_every_ms, habits.hidden_every_ms, habits.break_every_ms]
        self._clock_steps, self._hitches, self._hiding, self._breaks, self._hops = (
            Alarms(each, now_ms, rng) for each in [*every, habits.hop_every_ms]
        )
        self._mail: list[tuple[float, int, int, PlacedAt]] = []
        """(due, order, connection, message) of all clients, a heap."""
        self._mailed = 0

    def tell(self, placed: PlacedAt, now_ms: float) -> None:
        """The server sends a ``placed``; whoever is not connected gets a later one."""
        slot = placed.slot
        if not self.connected[slot]:
            return
        if not self._knows[slot] and placed.reason not in ("enter", "resume"):
            return  # placements from before the resume are no news to this connection
        [due_ms] = self.down.arrivals_ms(np.array([slot]), np.array([now_ms])).tolist()
        self._mailed += 1
        heapq.heappush(self._mail, (due_ms, self._mailed, int(self._connection[slot]), placed))

    def frame(self, now_ms: float) -> None:
        """One frame of everybody: mail, cars, samples."""
        habits = self._habits
        self._read_mail(now_ms)
        self.up.pass_time(now_ms)
        self.down.pass_time(now_ms)
        steps = self._clock_steps.ring(now_ms)
        self._offset_ms[steps] += habits.clock_step_ms[steps] * self._rng.choice([-1.0, 1.0], len(steps))
        hitches = self._hitches.ring(now_ms)
        self._hitch_until_ms[hitches] = now_ms + habits.hitch_ms[hitches]
        hiding = self._hiding.ring(now_ms)
        self._hidden_until_ms[hiding] = now_ms + habits.hidden_ms[hiding]
        hops = self._hops.ring(now_ms)
        self._hop_from_ms[hops] = now_ms
        stands = now_ms < self._hitch_until_ms
        self.cars.step(self._knows & ~(stands & habits.hitch_waits))
        frames = np.where(now_ms < self._hidden_until_ms, ONE_HZ, habits.frames_per_sample)
        self._turn += 1
        ready = self._knows & self.connected & ~stands & (self._turn >= frames)
        who = np.flatnonzero(ready)
        self._turn[who] = 0
        if len(who):
            self._send(who, now_ms + self._phase_ms[who])

    def broken(self, now_ms: float) -> Index:
        """Whose connections break now: what was under way is lost with them."""
        who = self._breaks.ring(now_ms)
        who = who[self.connected[who] & self._knows[who]]
        self.connected[who] = False
        self._knows[who] = False
        self._back_ms[who] = now_ms + self._habits.away_ms[who] * self._rng.uniform(0.2, 1.0, len(who))
        self._connection[who] += 1
        self.wire.clear(who)
        return who

    def returned(self, now_ms: float) -> Index:
        """Who is back on a new connection: their numbers and their clocks begin anew."""
        who = np.flatnonzero(self._back_ms <= now_ms)
        self._back_ms[who] = np.inf
        self.connected[who] = True
        self._seq[who] = self._rng.integers(0, 100_000, len(who))
        self._offset_ms[who] = self._rng.uniform(0.0, 1e6, len(who))
        self.up.cut(who, now_ms)
        self.down.cut(who, now_ms)
        return who

    def end(self, slot: int) -> None:
        """The server has closed the connection for good."""
        self.connected[slot] = self._knows[slot] = False
        self._back_ms[slot] = np.inf
        self._connection[slot] += 1
        self.wire.clear(np.array([slot]))

    def _read_mail(self, now_ms: float) -> None:
        mail = self._mail
        while mail and mail[0][0] <= now_ms:
            _, _, connection, placed = heapq.heappop(mail)
            slot = placed.slot
            if connection == self._connection[slot]:
                self.cars.place(slot, placed.x, placed.z, placed.vx, placed.vz)
                self._epoch[slot] = placed.epoch
                self._knows[slot] = True
                self._hop_from_ms[slot] = NEVER_MS

    def _send(self, who: Index, at_ms: F64) -> None:
        cars, habits = self.cars, self._habits
        self._seq[who] += 1
        self.sent[who] += 1
        up_s = (at_ms - self._hop_from_ms[who]) / 1000.0
        height = HOP_MPS * up_s - 0.5 * GRAVITY_MPS2 * up_s * up_s
        flies = (height > 0.0) & (up_s < 2.0)
        ran_ms = (at_ms - self._zero_ms) * (1.0 + 1e-6 * habits.skew_ppm[who])
        stamp_ms = np.maximum(self._offset_ms[who] + ran_ms + self._rng.uniform(0.0, STAMP_MS, len(who)), 0.0)
        grain = habits.grain_ms[who]
        coarse = np.floor(stamp_ms / np.where(grain > 0.0, grain, 1.0)) * grain
        samples: Any = np.zeros(len(who), SAMPLE)
        samples["t_ms"] = np.where(grain > 0.0, coarse, stamp_ms)
        samples["x"], samples["z"] = cars.x[who], cars.z[who]
        samples["y"] = np.where(flies, self._ground_m + height, np.nan)
        samples["yaw"] = cars.yaw[who]
        samples["vx"], samples["vz"] = cars.vx[who], cars.vz[who]
        samples["vy"] = np.where(flies, HOP_MPS - GRAVITY_MPS2 * up_s, 0.0)
        samples["epoch"], samples["seq"] = self._epoch[who], self._seq[who]
        self.wire.put(who, samples, self.up.arrivals_ms(who, at_ms))
