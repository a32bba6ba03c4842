"""The racing driver: waits on its grid slot, starts at the announced time, and drives the course within its car's caps.

Some do not: ``Conduct`` says what a bot does wrong. A racer notes when it truly crossed each gate, by its own estimate
of server time; what the shard says is compared with it in ``race_book.py``.
"""

from __future__ import annotations

import enum
import math
import random
from collections import deque
from collections.abc import Callable, Sequence

from scripts.bots.detour import Detour, clear_detour
from scripts.bots.driver import STEP_MAX_S, CarState, Rect
from scripts.bots.race_book import RaceEntry
from scripts.bots.raceline import GateWatch, RaceLine
from shared.vehicles import VehicleClass
from shared.world.land import Land
from shared.world.routes import Route
from shared.world.world import Pose

PACE = (0.80, 0.92)
"""Share of the class's top speed that a bot drives at most; of its acceleration it uses ACCEL_SHARE."""
ACCEL_SHARE = 0.8
BRAKE_MPS2 = 7.0
STEER_RPS = 1.1
STEER_MPS2 = 8.0
REACTION_S = (0.10, 0.60)
LOOK_S, LOOK_MIN_M = 0.45, 7.0
"""It steers for the point of its lane this far ahead."""
LANE_M = 1.2
ON_SLOT_M = 0.5
EARLY_S = 1.0
"""How much too early a false start is."""
BACK_IN_LANE_M = 40.0
"""It goes slowly for so long behind the gate: whoever speeds up at once swings past the next gate, too."""
AROUND_MPS = 8.0
"""How fast one drives around a gate, or back."""
TURN_BACK_AT = 2
"""Gates after which somebody turns round."""
TURN_MPS = 3.0
"""At this speed a car turns within its lane."""
TRAIL_STEPS = 1200
"""How much of its way a racer remembers: a minute; a car is held for 30 s, and samples before may have been lost."""
SAME_PLACE_M = 0.01
STRAYED_M = 0.5
"""Who is so far back from where it was drives back: a car that brakes or begins to turn is not."""


class Conduct(enum.StrEnum):
    """How a racer behaves."""

    HONEST = "honest"
    FALSE_START = "false_start"
    SKIP_GATE = "skip_gate"
    BACKWARDS = "backwards"


class Racer:
    """A Driver. ``server_ms`` estimates server time; ``entry.start_ms`` is set by whoever hears of it."""

    def __init__(
        self,
        rng: random.Random,
        vehicle: VehicleClass,
        route: Route,
        entry: RaceEntry,
        server_ms: Callable[[], float],
        conduct: Conduct = Conduct.HONEST,
    ) -> None:
        self.top_mps = vehicle.speed_cap_mps * rng.uniform(*PACE)
        self.accel_mps2 = ACCEL_SHARE * vehicle.accel_cap_mps2
        self.conduct = conduct
        self.car = CarState(0.0, 0.0, 0.0, 0.0)
        self.at_m = 0.0
        self._route = route
        self._line = RaceLine(route, self.top_mps)
        self._watch = GateWatch(route)
        self._entry = entry
        self._server_ms = server_ms
        self._before_ms = math.nan
        self._reaction_ms = 1000.0 * (-EARLY_S if conduct is Conduct.FALSE_START else rng.uniform(*REACTION_S))
        self._lane_m = rng.uniform(-LANE_M, LANE_M)
        self._on_grid = False
        self._back = False
        self._furthest_m = -math.inf
        self._detour = Detour.around(route, len(route.gates_m) // 2, 1.0)
        self._trail: deque[tuple[float, float, int]] = deque(maxlen=TRAIL_STEPS)
        """Where it was, and how many gates it had passed by then."""
        self.zones: tuple[Rect, ...] = ()

    @property
    def passed(self) -> int:
        """Gates that it has truly passed, over all laps."""
        return self._watch.passed

    def survey(self, size_m: float, zones: Sequence[Rect], land: Land | None = None) -> None:
        """A racer knows its route already; who goes around a gate looks for a verge with nothing on it."""
        self.zones = tuple(zones)
        if land is not None and self.conduct is Conduct.SKIP_GATE and self._watch.passed == 0:
            self._detour = clear_detour(self._route, land)

    @property
    def has_strayed(self) -> bool:
        """Whether the gate that it drives around is behind it, or it is on its way back."""
        if self.conduct is Conduct.SKIP_GATE:
            return self.at_m > float(self._route.gate_at_m[self._detour.gate])
        return self._back and self.at_m < self._furthest_m - STRAYED_M

    def place(self, pose: Pose, vx: float, vz: float) -> None:
        """Adopts the pose. On a grid slot it waits for the start; elsewhere it parks, or drives on if it is racing.

        A racer that is put where it has been itself goes on from there: what it passed since then does not count.
        """
        along = vx * math.sin(pose.yaw) + vz * math.cos(pose.yaw)
        self.car = CarState(pose.x, pose.z, pose.yaw, max(0.0, min(along, self.top_mps)))
        slots = self._route.grid
        number = min(range(len(slots)), key=lambda each: math.hypot(slots[each].x - pose.x, slots[each].z - pose.z))
        near_m = math.hypot(slots[number].x - pose.x, slots[number].z - pose.z)
        if self._watch.passed == 0 and near_m < ON_SLOT_M:
            self._on_grid = True
            self.at_m = self._line.at(pose.x, pose.z, float(self._route.gate_at_m[0]) - 8.0 - 8.0 * (number // 2))
        elif self._on_grid:
            self.at_m = self._line.at(pose.x, pose.z, self.at_m)
            self._go_back_to(pose)
        self._before_ms = self._server_ms()

    def _go_back_to(self, pose: Pose) -> None:
        """Know no more than it did when it was there; somewhere else, and its own times mean nothing any more."""
        while self._trail:
            x, z, passed = self._trail[-1]
            if math.hypot(x - pose.x, z - pose.z) < SAME_PLACE_M:
                self._watch.passed = passed
                self._entry.go_back(passed, len(self._route.gates_m))
                return
            self._trail.pop()
        self._entry.disturbed = True

    def step(self, dt_s: float) -> CarState:
        """Steer, speed up or brake, roll straight ahead. Nobody moves before its start."""
        now_ms = self._server_ms()
        start_ms = self._entry.start_ms
        off = self._on_grid and start_ms is not None and now_ms >= start_ms + self._reaction_ms
        if off and not math.isnan(self._before_ms):  # it does not drive while it does not know the time
            before = self.car
            self._drive(min(dt_s, STEP_MAX_S))
            self._note(before, now_ms)
        self._before_ms = now_ms
        self._trail.append((self.car.x, self.car.z, self._watch.passed))
        return self.car

    def _drive(self, dt_s: float) -> None:
        car = self.car
        self.at_m = self._line.at(car.x, car.z, self.at_m)
        self._furthest_m = max(self._furthest_m, self.at_m)
        if self._turning and car.speed_mps <= TURN_MPS:
            self._back = True
        ahead_m = max(LOOK_MIN_M, LOOK_S * car.speed_mps)
        target = self._line.point(max(0.0, self.at_m + (-ahead_m if self._back else ahead_m)))
        lane_m = self._lane(self.at_m + ahead_m)
        bearing = math.atan2(target.x - target.ahead_z * lane_m - car.x, target.z + target.ahead_x * lane_m - car.z)
        turn = (bearing - car.yaw + math.pi) % math.tau - math.pi
        most = min(STEER_RPS, STEER_MPS2 / max(car.speed_mps, 1.0)) * dt_s
        yaw = (car.yaw + max(-most, min(most, turn))) % math.tau
        wanted = self._wanted_mps(turn, dt_s)
        speed = max(car.speed_mps - BRAKE_MPS2 * dt_s, min(wanted, car.speed_mps + self.accel_mps2 * dt_s), 0.0)
        way = 0.5 * (car.speed_mps + speed) * dt_s
        self.car = CarState(car.x + math.sin(yaw) * way, car.z + math.cos(yaw) * way, yaw, speed)

    @property
    def _turning(self) -> bool:
        """Whether it has had enough: it brakes on the road, and turns when it is slow enough to stay there."""
        return self.conduct is Conduct.BACKWARDS and self._watch.passed >= TURN_BACK_AT and not self._back

    def _wanted_mps(self, turn: float, dt_s: float) -> float:
        if self._watch.passed > self._watch.last:
            return 0.0
        if abs(turn) > 1.0 or self._turning:
            return TURN_MPS
        wanted = self._line.speed_mps(self.at_m + self.car.speed_mps * dt_s)
        if self.conduct is Conduct.SKIP_GATE:
            to_go_m = self._detour.from_m - self.at_m
            if self.at_m < self._detour.to_m + BACK_IN_LANE_M:
                wanted = min(wanted, math.sqrt(AROUND_MPS**2 + BRAKE_MPS2 * max(0.0, to_go_m)))
        return min(wanted, AROUND_MPS) if self._back else wanted

    def _lane(self, at_m: float) -> float:
        """How far to the right of the middle to drive."""
        if self.conduct is Conduct.SKIP_GATE and self._detour.from_m < at_m < self._detour.to_m:
            return self._detour.off_m
        return self._lane_m

    def _note(self, before: CarState, now_ms: float) -> None:
        """Write down the gates of this step, with the time between the two samples that enclose it."""
        for crossed in self._watch.drove(before.x, before.z, self.car.x, self.car.z):
            self._entry.truth_ms.append(self._before_ms + crossed.share * (now_ms - self._before_ms))
