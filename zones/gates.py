"""Races inside a zone: who passes its next gate, when, and how sure that is. No gate belongs to a zone.

The owner of a racer tests each accepted sample's path, from the last position to the new one, against the racer's next
gate, wherever it lies. What counts:

- Only the next gate, and only forwards. Several gates within one path count in order, each behind the last one's
  crossing. Nothing un-counts. A server-made move is no path, so it passes nothing.
- Of a path that does not pass the next gate (or of what is left of it after the last one passed) two things are told:
  that a gate after it was passed, so this one is missed (once per gate, however many were left out in a row); and that
  the next gate or the one before was crossed backwards (``WRONG_WAY_EVERY_MS`` apart).
- The start line does not count before the start. Who leaves its grid slot by more than GRID_M more than
  START_GRACE_MS before it has started too early; that is told once.
- A gate reached sooner than a car of its class can get there along straight lines, from the last gate or since the lap
  began, and be the times off as far as they say, counts and is told as implausible: main voids the result.

**When.** ``at_ms`` is the point of the crossing between the sample times of the path's ends, which are server time: the
client's clock, mapped by the fastest of its recent samples (``movement.apply_samples``), never later than the sample
was received, never more than SAMPLE_AGE_MAX_MS earlier. So what is measured is *when a sample taken on the line would
have been received over the client's line at its fastest*. The constant part of the one-way latency stays in, alike for
all gates: a latency could be feigned, and is credited to nobody.

``err_ms`` bounds how far this may be off, as a sum of

1. the distance between ``at_ms`` and the same point dated by the client's clock under the newest mapping: the mapping
   got better within the path, or a bound of the sample time applied, or an earlier gate's time did;
2. half the smoothed lateness of samples: the fastest sample seen may still have been a slow one. This is statistics,
   not proof: with delays drawn evenly from 0 to 200 ms for each sample, delivered in order at 20 or 10 Hz, more than 99
   of 100 crossings lie within the bar (``tests/zones/test_gate_times.py`` holds the table). It begins at 500 ms with
   every connection and with every start that is announced, and is down to a tenth after 75 samples;
3. what a car can do between two samples with ACCEL_MPS2 along or against its way, and the centimetre of a position;
4. CLOCK_STEP_MS for a browser's coarse clock, and the drift that the mapping allows per path.

A car that hits a wall within the very path that passes a gate slows down by more than (3) allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ipc.control import (
    RACE_EVENTS_PER_TICK_MAX,
    Arm,
    FalseStart,
    GateMissed,
    GatePassed,
    Implausible,
    RaceEvent,
    WrongWay,
)
from shared.constants import CLOCK_CREEP_MS_PER_S, FLAG_FROZEN, FLAG_RACING, SAMPLE_AGE_MAX_MS
from shared.player_state import F64, U8, U32, PlayerState
from shared.vehicles import VehicleClass
from zones.movement import Index
from zones.segments import crossings, is_later, shares
from zones.tracks import GATES_AHEAD, NO_GATE, Tracks

GRID_M: Final = 1.5
"""How far a car may stir on its grid slot."""
START_GRACE_MS: Final = 50.0
"""A start this much early is none: the client's clock is synchronised no better."""
WRONG_WAY_EVERY_MS: Final = 2000.0
SPEED_SLACK: Final = 1.1
"""What anti-cheat lets a car exceed its cap by."""
ACCEL_MPS2: Final = 25.0
"""More than any class accelerates (14) or brakes on its tyres (about 15)."""
POSITION_STEP_M: Final = 0.01
CLOCK_STEP_MS: Final = 1.0
"""Browsers round ``performance.now()`` to a millisecond at worst, unless told to resist fingerprinting."""
LATENESS_SAMPLES: Final = 32.0
"""Lateness is smoothed over as many samples: long enough to be a mean, short enough to follow a line that changes."""
GATES_PER_PATH_MAX: Final = 16
"""More gates on one path do not count: at 40 m, the closest that routes set them, that is 640 m in one sample."""
_EVENTS_PER_SAMPLE_MAX: Final = 2 * GATES_PER_PATH_MAX + 3

TOLD_FALSE_START: Final = 1
TOLD_MISSED: Final = 2
"""Of the gate that is next."""
RELEASED: Final = 4
"""The start has set the racer free. Once: who freezes it later has a reason."""


def arm(state: PlayerState, index: int, command: Arm, tracks: Tracks) -> None:
    """Put a racer on the grid: nothing passed, frozen until the start. Mutates all race columns and the flags."""
    assert 0 <= command.route < len(tracks.counts), f"the world has no route {command.route}"
    state.race[index] = command.race
    state.route[index] = command.route
    state.gate[index] = state.lap[index] = state.told[index] = 0
    state.start_ms[index] = state.gate_ms[index] = state.lap_ms[index] = command.start_ms
    state.gate_err_ms[index] = state.lap_err_ms[index] = 0.0
    state.wrong_ms[index] = -np.inf
    state.client_ms[index] = np.inf
    state.lateness_ms[index] = SAMPLE_AGE_MAX_MS
    state.grid[index] = state.pos[index, [0, 2]]
    state.flags[index] |= np.uint8(FLAG_RACING | FLAG_FROZEN)


def disarm(state: PlayerState, index: int) -> None:
    """The player races no more. Mutates all race columns and the flags."""
    state.race[index] = -1
    state.route[index] = state.gate[index] = state.lap[index] = state.told[index] = 0
    state.grid[index] = 0.0
    state.start_ms[index] = state.wrong_ms[index] = state.client_ms[index] = state.lateness_ms[index] = 0.0
    state.gate_ms[index] = state.gate_err_ms[index] = state.lap_ms[index] = state.lap_err_ms[index] = 0.0
    state.flags[index] &= np.uint8(0xFF ^ (FLAG_RACING | FLAG_FROZEN))


def put(state: PlayerState, index: int, now_ms: float) -> None:
    """The server has moved a player. Before the start, a racer waits where it stands now."""
    if state.race[index] < 0:
        return
    state.client_ms[index] = np.inf
    if now_ms < state.start_ms[index]:
        state.grid[index] = state.pos[index, [0, 2]]


@dataclass(frozen=True, slots=True, eq=False)
class Began:
    """Racers at the start of their paths; arrays over K racers."""

    which: Index
    """Their positions in ``who``."""
    rows: Index
    """Their rows of the state."""
    place: F64
    """(K, 2) metres."""
    sample_ms: F64
    offset_ms: F64


@dataclass(frozen=True, slots=True, eq=False)
class Passed:
    """Gates passed as the n-th of their paths, at most one per racer; arrays over the M who did."""

    which: Index
    """Positions in the arrays that were walked."""
    gate: NDArray[Any]
    lap: NDArray[Any]
    """Before."""
    then: NDArray[Any]
    """Next gate."""
    then_lap: NDArray[Any]
    index: NDArray[Any]
    """Of the gate in ``Tracks``."""

    def only(self, mask: NDArray[np.bool_]) -> Passed:
        """Those of them."""
        parts = (self.which, self.gate, self.lap, self.then, self.then_lap, self.index)
        return Passed(*(part[mask] for part in parts))


@dataclass(slots=True)
class Walk:
    """What paths have to do with gates, before anybody asks when."""

    passed: list[Passed]
    missed: Index
    """Who passed a gate after the next one instead."""
    against: Index
    """Who crossed the next gate or the one before backwards."""


class Referee:
    """Watches the racers of a zone during one tick. With nobody racing it costs one look at one column."""

    def __init__(
        self,
        tracks: Tracks,
        vehicles: tuple[VehicleClass, ...],
        slots: NDArray[np.intp],
        generations: U32,
        classes: U8,
        state: PlayerState,
        room: int = RACE_EVENTS_PER_TICK_MAX,
    ) -> None:
        """Members as in ``simulation.step``; ``room`` is how many events the tick may tell."""
        self._tracks = tracks
        self._vehicles = vehicles
        self._slots, self._generations, self._classes = slots, generations, classes
        self._state = state
        self._room = room
        self._busy = bool((state.race >= 0).any())
        self.events: list[RaceEvent] = []

    def admit(self, who: Index, samples: Any) -> NDArray[np.bool_]:
        """(M,) whose sample may be judged in this tick: there is room for all that it can have to say.

        ``who`` (M,) are rows with one sample each. The others keep theirs for the next tick, and stay in order.
        """
        admitted = np.ones(len(who), np.bool_)
        if not self._busy:
            return admitted
        state = self._state
        room = self._room - len(self.events)
        racing = np.flatnonzero((state.race[who] >= 0) & (state.gate[who] != NO_GATE))
        if len(racing) * _EVENTS_PER_SAMPLE_MAX <= room:
            return admitted
        rows, asked = who[racing], samples[racing]
        place = np.column_stack((asked["x"], asked["z"]))
        early_ms = asked["recv_ms"] - SAMPLE_AGE_MAX_MS  # no sample is dated earlier
        early = self._off_grid(rows, place, early_ms)
        walk = self._walk(rows, _places(state, rows), place)
        counts = np.zeros(len(rows), np.intp)
        for passed in walk.passed:
            counts[passed.which] += np.where(passed.gate == 0, 1, 2)
        for told in (walk.missed, walk.against, early):
            counts[told] += 1
        admitted[racing] = (counts == 0) | (np.cumsum(counts) <= room)
        return admitted

    def begin(self, who: Index) -> Began | None:
        """Note where the racers among ``who`` (M,) are, before their samples move them. None: nobody races."""
        if not self._busy:
            return None
        state = self._state
        which = np.flatnonzero((state.race[who] >= 0) & (state.gate[who] != NO_GATE))
        rows = who[which]
        return Began(which, rows, _places(state, rows), state.sample_ms[rows], state.offset_ms[rows])

    def end(self, began: Began | None, samples: Any) -> None:
        """Judge the paths of those who began, to where ``samples`` (M,) of the same ``who`` have moved them.

        Mutates the race columns.
        """
        if began is None or not len(began.rows):
            return
        state, rows = self._state, began.rows
        samples = samples[began.which]
        place = _places(state, rows)
        self._follow_lateness(began, samples)
        self._tell_false_starts(rows, place)
        walk = self._walk(rows, began.place, place)
        lost = np.zeros(len(rows), np.bool_)  # a start line that did not count ends the path
        for passed in walk.passed:
            self._pass(began, place, samples["t_ms"], passed, lost)
        for index in rows[walk.missed[~lost[walk.missed]]].tolist():
            state.told[index] |= TOLD_MISSED
            gate = int(state.gate[index] % self._tracks.counts[state.route[index]])
            self.events.append(GateMissed(*self._seat(index), int(state.race[index]), gate))
        against = rows[walk.against]
        due = state.sample_ms[against] - state.wrong_ms[against] >= WRONG_WAY_EVERY_MS
        for index in against[due & (state.sample_ms[against] >= state.start_ms[against])].tolist():
            state.wrong_ms[index] = state.sample_ms[index]
            self.events.append(WrongWay(*self._seat(index), int(state.race[index])))
        state.client_ms[rows] = samples["t_ms"]

    def release(self, now_ms: float) -> None:
        """Thaw the racers whose start has come. Mutates flags and told."""
        if self._busy:
            state = self._state
            free = (state.race >= 0) & (state.start_ms <= now_ms) & (state.told & RELEASED == 0)
            state.told[free] |= RELEASED
            state.flags[free] &= np.uint8(0xFF ^ FLAG_FROZEN)

    # --- where

    def _walk(self, rows: Index, p: F64, q: F64) -> Walk:
        """What the paths p to q (K, 2) of ``rows`` (K,) pass, as if every start line counted. Reads only."""
        tracks, state = self._tracks, self._state
        route = state.route[rows].astype(np.intp)
        gate, lap = state.gate[rows].astype(np.intp), state.lap[rows].astype(np.intp)
        deaf = (state.told[rows] & TOLD_MISSED) != 0
        last = np.full(len(rows), NO_GATE, np.intp)
        paths = _Paths(tracks, p, q, last)
        passed: list[Passed] = []
        missed, against = [np.empty(0, np.intp)], [np.empty(0, np.intp)]
        moved = (p[:, 0] != q[:, 0]) | (p[:, 1] != q[:, 1])
        todo = np.flatnonzero(tracks.near(route, gate, p, q) & moved)
        for _ in range(GATES_PER_PATH_MAX):
            if not len(todo):
                break
            here = tracks.index(route[todo], gate[todo])
            ways = paths.cross(todo, here)
            over = ways > 0
            left = todo[~over]
            before, after = tracks.neighbours(route[left], gate[left], lap[left])
            instead = paths.cross(np.repeat(left, GATES_AHEAD), after.ravel()).reshape(-1, GATES_AHEAD) > 0
            missed.append(left[instead.any(axis=1) & ~deaf[left]])
            against.append(left[(ways[~over] < 0) | (paths.cross(left, before) < 0)])
            todo = todo[over]
            then, then_lap = tracks.after(route[todo], gate[todo], lap[todo])
            passed.append(Passed(todo, gate[todo], lap[todo], then, then_lap, here[over]))
            gate[todo], lap[todo], last[todo], deaf[todo] = then, then_lap, here[over], False
            todo = todo[then != NO_GATE]
        return Walk(passed, np.concatenate(missed), np.concatenate(against))

    # --- when

    def _follow_lateness(self, began: Began, samples: Any) -> None:
        state, rows = self._state, began.rows
        offset_ms = state.offset_ms[rows]
        late_ms = np.minimum(samples["recv_ms"] - samples["t_ms"] - offset_ms, SAMPLE_AGE_MAX_MS)
        smooth_ms = state.lateness_ms[rows]
        smooth_ms += (late_ms - smooth_ms) / LATENESS_SAMPLES
        state.lateness_ms[rows] = np.where(np.isinf(began.offset_ms), SAMPLE_AGE_MAX_MS, smooth_ms)

    def _pass(self, began: Began, place: F64, t_ms: F64, passed: Passed, lost: NDArray[np.bool_]) -> None:
        """Date the crossings of one round of gates, count and tell them. Marks as lost who started too early."""
        tracks, state = self._tracks, self._state
        passed = passed.only(~lost[passed.which])
        at_ms, err_ms = self._date(began, place, t_ms, passed)
        early = (passed.gate == 0) & (at_ms < state.start_ms[began.rows[passed.which]])
        lost[passed.which[early]] = True
        passed = passed.only(~early)
        at_ms, err_ms = at_ms[~early], err_ms[~early]
        if not len(at_ms):
            return
        rows = began.rows[passed.which]
        split_ms, lap_ms = at_ms - state.gate_ms[rows], at_ms - state.lap_ms[rows]
        caps_mps = np.array([vehicle.speed_cap_mps for vehicle in self._vehicles]) * SPEED_SLACK
        split_m, lap_m = tracks.straight_m(state.route[rows].astype(np.intp), passed.gate)
        per_ms = 1000.0 / caps_mps[self._classes[rows]]
        least_split_ms, least_lap_ms = split_m * per_ms, lap_m * per_ms
        quick = split_ms + err_ms + state.gate_err_ms[rows] < least_split_ms
        soon = lap_ms + err_ms + state.lap_err_ms[rows] < least_lap_ms
        state.gate[rows], state.lap[rows] = passed.then, passed.then_lap
        state.gate_ms[rows], state.gate_err_ms[rows] = at_ms, err_ms
        gates = passed.index - tracks.starts[state.route[rows]]
        state.lap_ms[rows] = np.where(gates == 0, at_ms, state.lap_ms[rows])
        state.lap_err_ms[rows] = np.where(gates == 0, err_ms, state.lap_err_ms[rows])
        state.told[rows] &= 0xFF ^ TOLD_MISSED
        for number, (index, gate) in enumerate(zip(rows.tolist(), gates.tolist(), strict=True)):
            seat, race = self._seat(index), int(state.race[index])
            self.events.append(
                GatePassed(*seat, race, int(passed.then_lap[number]), gate, float(at_ms[number]), float(err_ms[number]))
            )
            if quick[number] or soon[number]:
                told = ("split", split_ms, least_split_ms) if quick[number] else ("lap", lap_ms, least_lap_ms)
                reason = f"{told[0]} of {told[1][number]:.0f} ms, this car needs {told[2][number]:.0f} ms"
                self.events.append(Implausible(*seat, race, gate, reason))

    def _date(self, began: Began, place: F64, t_ms: F64, passed: Passed) -> tuple[F64, F64]:
        """(M,) server time of each crossing, and how far it may be off; the module says how."""
        state, which = self._state, passed.which
        rows = began.rows[which]
        share, ahead_m = shares(began.place[which], place[which], self._tracks.gates_m[passed.index])
        from_ms, to_ms = began.sample_ms[which], state.sample_ms[rows]
        at_ms = from_ms + share * (to_ms - from_ms)
        at_ms = np.where(passed.gate == 0, at_ms, np.maximum(at_ms, state.gate_ms[rows]))

        known = np.isfinite(state.client_ms[rows]) & np.isfinite(began.offset_ms[which])
        took_ms = np.where(known, t_ms[which] - state.client_ms[rows], np.abs(to_ms - from_ms))
        took_ms = np.maximum(took_ms, 0.0)
        best_ms = np.where(known, t_ms[which] + state.offset_ms[rows] - (1.0 - share) * took_ms, at_ms)
        took_s = took_ms / 1000.0
        bend_m = 0.5 * ACCEL_MPS2 * share * (1.0 - share) * np.square(took_s) + POSITION_STEP_M
        least_m = ahead_m - 0.5 * ACCEL_MPS2 * np.square(took_s)  # what is left of it at the least speed
        whole_ms = np.maximum(share, 1.0 - share) * took_ms  # it was between the two samples, that much is sure
        bent_ms = np.where(least_m > 0.0, bend_m * took_ms / np.where(least_m > 0.0, least_m, 1.0), whole_ms)
        motion_ms = np.where(known, np.minimum(bent_ms, whole_ms), whole_ms)
        steps_ms = CLOCK_STEP_MS + CLOCK_CREEP_MS_PER_S * took_s
        return at_ms, np.abs(at_ms - best_ms) + 0.5 * state.lateness_ms[rows] + motion_ms + steps_ms

    # --- the start

    def _off_grid(self, rows: Index, place: F64, sample_ms: F64) -> Index:
        """Which of ``rows`` wait for the start, are not told off yet, and are not where they should be by then."""
        state = self._state
        waits = (state.gate[rows] == 0) & (sample_ms < state.start_ms[rows] - START_GRACE_MS)
        which = np.flatnonzero(waits & (state.told[rows] & TOLD_FALSE_START == 0))
        off = place[which] - state.grid[rows[which]]
        stirred = np.square(off[:, 0]) + np.square(off[:, 1]) > GRID_M * GRID_M
        return which[stirred]

    def _tell_false_starts(self, rows: Index, place: F64) -> None:
        state = self._state
        for index in rows[self._off_grid(rows, place, state.sample_ms[rows])].tolist():
            state.told[index] |= TOLD_FALSE_START
            self.events.append(FalseStart(*self._seat(index), int(state.race[index]), float(state.sample_ms[index])))

    def _seat(self, index: int) -> tuple[int, int]:
        return int(self._slots[index]), int(self._generations[index])


def _places(state: PlayerState, rows: Index) -> F64:
    """(K, 2) x and z, metres; a copy."""
    places: F64 = state.pos[rows][:, ::2]
    return places


@dataclass(frozen=True, slots=True, eq=False)
class _Paths:
    """Paths p to q (K, 2) and, for each, the index of the last gate that it passed."""

    tracks: Tracks
    p: F64
    q: F64
    last: NDArray[Any]

    def cross(self, which: Index, gates: NDArray[Any]) -> NDArray[np.int8]:
        """(M,) how the paths ``which`` cross these gates, by index, behind their last one: 1, -1 or 0."""
        ways = np.zeros(len(which), np.int8)
        there = np.flatnonzero((gates != NO_GATE) & (gates != self.last[which]))
        if len(there):
            p, q, gates_m = self.p[which], self.q[which], self.tracks.gates_m
            ways[there] = crossings(p[there], q[there], gates_m[gates[there]])
            second = (self.last[which] != NO_GATE) & (ways != 0)
            for one in np.flatnonzero(second).tolist():  # rare: two gates in one path
                if not is_later(p[one], q[one], gates_m[gates[one]], gates_m[self.last[which[one]]]):
                    ways[one] = 0
        return ways
