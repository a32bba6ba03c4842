"""How cheats cheat: one small class per technique, each a client that says where it is twenty times a second.

The same classes run against a zone's step (``dishonest.py``) and over real sockets (``scripts/bots/cheat.py``). All of
them drive a wide circle at 99 % of their caps until they are told to ``begin``; ``Honest`` never cheats, and is what
the others' gain is measured against. They adopt every ``placed``, because nothing else that they say counts before
that, and go on cheating at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from shared.vehicles import VehicleClass

RADIUS_M: Final = 800.0
"""Of the circle: 6 m/s2 sideways at 70 m/s, so that nobody is at the limit of grip by that alone."""
SHARE: Final = 0.99
MISPLACED_TURN: Final = 2.0
"""Radians of the circle after which those who cheat with gates do so: 1.6 km, beyond the warm-up of the fastest."""

Where: TypeAlias = Literal["open", "wall", "border"]
"""What the circle has to lead over for the technique to make sense."""


class Claim(NamedTuple):
    """One sample as a cheat sends it; the fields of ``move``. ``y`` is NaN on the ground."""

    t_ms: float
    x: float
    y: float
    z: float
    yaw: float
    vx: float
    vy: float
    vz: float
    epoch: int
    seq: int


class Honest:
    """Drives its circle, and is the base of all who do not."""

    where: Where = "open"
    reconnects_every_s = 0.0
    """How often the cheat breaks its own connection and comes back; 0: never."""

    def __init__(self, vehicle: VehicleClass, radius_m: float = RADIUS_M) -> None:
        self.top_mps = SHARE * vehicle.speed_cap_mps
        self.accel_mps2 = SHARE * vehicle.accel_cap_mps2
        self.radius_m = radius_m
        """Positive: the yaw grows."""
        self.x = self.z = self.yaw = self.speed_mps = 0.0
        self.epoch = 0
        self.seq = 0
        self.cheats = False
        self.since_s = 0.0
        """Since the cheating began."""
        self.deed_s = math.nan
        """``since_s`` of the first sample that an honest client would not have sent."""

    def place(self, x: float, z: float, yaw: float, vx: float, vz: float, epoch: int) -> None:
        """The server put the car here."""
        self.x, self.z, self.yaw, self.epoch = x, z, yaw, epoch
        self.speed_mps = max(0.0, vx * math.sin(yaw) + vz * math.cos(yaw))

    def resumed(self) -> None:
        """The next ``place`` is that of a new connection."""

    def begin(self) -> None:
        """From now on, cheat."""
        self.cheats = True

    def deed(self) -> None:
        """The sample at hand is the first that an honest client would not send, or a later one of those."""
        if math.isnan(self.deed_s):
            self.deed_s = self.since_s

    def claims(self, now_ms: float, dt_s: float) -> list[Claim]:
        """What to send ``dt_s`` after the last call; ``now_ms`` is the client's own, correct clock."""
        if not self.cheats:
            self.drive(dt_s)
            return [self.claim(now_ms)]
        claims = self.cheat(now_ms, dt_s)
        self.since_s += dt_s
        return claims

    def cheat(self, now_ms: float, dt_s: float) -> list[Claim]:
        """The technique itself."""
        self.drive(dt_s)
        return [self.claim(now_ms)]

    def drive(self, dt_s: float, factor: float = 1.0) -> None:
        """As an honest car whose caps are ``factor`` times what they should be."""
        before = self.speed_mps
        self.speed_mps = min(before + factor * self.accel_mps2 * dt_s, factor * self.top_mps)
        self.advance(0.5 * (before + self.speed_mps) * dt_s)

    def advance(self, metres: float) -> None:
        """So far along the circle."""
        turn = metres / self.radius_m
        chord = 2.0 * self.radius_m * math.sin(0.5 * turn)
        self.x += chord * math.sin(self.yaw + 0.5 * turn)
        self.z += chord * math.cos(self.yaw + 0.5 * turn)
        self.yaw = math.remainder(self.yaw + turn, math.tau)

    def claim(self, t_ms: float, ahead: int = 1) -> Claim:
        """The state as a sample with the next number."""
        self.seq += ahead
        vx, vz = self.speed_mps * math.sin(self.yaw), self.speed_mps * math.cos(self.yaw)
        return Claim(t_ms, self.x, math.nan, self.z, self.yaw, vx, 0.0, vz, self.epoch, self.seq)


class Speeder(Honest):
    """Everything about the car is ``factor`` times as fast."""

    factor = 1.25

    def cheat(self, now_ms: float, dt_s: float) -> list[Claim]:
        self.deed()
        self.drive(dt_s, self.factor)
        return [self.claim(now_ms)]


class Speeder105(Speeder):
    factor = 1.05


class Speeder110(Speeder):
    factor = 1.10


class Speeder200(Speeder):
    factor = 2.0


class FastClock(Honest):
    """The whole client runs 5 % too fast, its clock included: each of its samples is consistent."""

    factor = 1.05

    def cheat(self, now_ms: float, dt_s: float) -> list[Claim]:
        self.deed()
        self.drive(dt_s * self.factor)
        return [self.claim(now_ms + 1000.0 * self.since_s * (self.factor - 1.0))]


class Blinker(Honest):
    """Now and then is ``metres`` further than it can be."""

    metres = 30.0
    every_s = 5.0

    def __init__(self, vehicle: VehicleClass, radius_m: float = RADIUS_M) -> None:
        super().__init__(vehicle, radius_m)
        self._next_s = 0.0

    def cheat(self, now_ms: float, dt_s: float) -> list[Claim]:
        self.drive(dt_s)
        if self.since_s >= self._next_s:
            self._next_s = self.since_s + self.every_s
            self.advance(self.metres)
            self.deed()
        return [self.claim(now_ms)]


class Blinker100(Blinker):
    metres = 100.0


class LagSwitch(Honest):
    """Says nothing for as long as the bank lasts, then has come twice as far as a car can in that time."""

    silent_s = 1.0
    every_s = 5.0
    pace = 1.0
    """Of its caps, between two silences."""

    def cheat(self, now_ms: float, dt_s: float) -> list[Claim]:
        phase_s = self.since_s % self.every_s
        if phase_s >= self.silent_s:
            self.drive(dt_s, self.pace)
            self.deed()
            return [self.claim(now_ms)]
        self.advance(2.0 * self.top_mps * dt_s)
        self.speed_mps = self.top_mps
        return []


class LagSwitchRacing(LagSwitch):
    """The same against the bank of a race."""

    silent_s = 0.5


class LagSwitch105(LagSwitch):
    """The same, and between two silences it uses the tolerance."""

    pace = 1.05


class LagSwitchRacing105(LagSwitchRacing):
    """Both."""

    pace = 1.05


class WallPasser(Honest):
    """Drives on where a wall is."""

    where: Where = "wall"


class WallHopper(Honest):
    """The same with one sample per second, so that none of them is near the wall."""

    where: Where = "wall"

    def cheat(self, now_ms: float, dt_s: float) -> list[Claim]:
        self.drive(dt_s)
        return [self.claim(now_ms)] if self.since_s % 1.0 < dt_s else []


class Flyer(Honest):
    """Climbs to 40 m and stays there."""

    height_m = 40.0
    climb_mps = 8.0
    ground_m = 2.5

    def cheat(self, now_ms: float, dt_s: float) -> list[Claim]:
        self.deed()
        self.drive(dt_s)
        up_m = min(self.climb_mps * self.since_s, self.height_m)
        climbing = self.climb_mps if up_m < self.height_m else 0.0
        return [self.claim(now_ms)._replace(y=self.ground_m + up_m, vy=climbing)]


class TimeReverser(Honest):
    """Its clock runs backwards while it drives too fast: every speed by its clock is negative."""

    def cheat(self, now_ms: float, dt_s: float) -> list[Claim]:
        self.deed()
        self.drive(dt_s, 1.5)
        return [self.claim(now_ms - 2000.0 * self.since_s)]


class SeqReplayer(Honest):
    """Says the same ``seq`` again and again, each time further ahead than it can be."""

    def cheat(self, now_ms: float, dt_s: float) -> list[Claim]:
        self.deed()
        self.drive(dt_s, 2.0)
        return [self.claim(now_ms, ahead=0)]


class EpochForger(Honest):
    """Guesses the next epoch, as if the server had put it a hundred metres ahead."""

    def begin(self) -> None:
        super().begin()
        self.advance(100.0)

    def cheat(self, now_ms: float, dt_s: float) -> list[Claim]:
        self.deed()
        self.drive(dt_s)
        claim = self.claim(now_ms)
        return [claim._replace(epoch=claim.epoch + 1)]


class CorrectionDenier(Honest):
    """Drives too fast, and when it is put back goes on from where it claims to be, with the new epoch."""

    def place(self, x: float, z: float, yaw: float, vx: float, vz: float, epoch: int) -> None:
        if not self.cheats:
            super().place(x, z, yaw, vx, vz, epoch)
        self.epoch = epoch

    def cheat(self, now_ms: float, dt_s: float) -> list[Claim]:
        self.deed()
        self.drive(dt_s, 1.25)
        return [self.claim(now_ms)]


class BorderBlinker(Honest):
    """Jumps 100 m while it is handed from one zone to the next."""

    where: Where = "border"
    metres = 100.0

    def __init__(self, vehicle: VehicleClass, radius_m: float = RADIUS_M) -> None:
        super().__init__(vehicle, radius_m)
        self.border_x = math.nan
        """Where two zones meet; whoever drives it sets it."""
        self._side = 0.0

    def cheat(self, now_ms: float, dt_s: float) -> list[Claim]:
        self.drive(dt_s)
        beyond_m = self.x - self.border_x
        side = math.copysign(1.0, beyond_m)
        if self._side not in (0.0, side) and abs(beyond_m) > 8.0:  # beyond the band: the handoff is under way
            self._side = side
            self.advance(self.metres)
            self.deed()
        elif self._side == 0.0:
            self._side = side
        return [self.claim(now_ms)]


class Resumer(Honest):
    """Breaks its connection, and is elsewhere with the first sample of the next one."""

    reconnects_every_s = 10.0
    metres = 100.0

    def __init__(self, vehicle: VehicleClass, radius_m: float = RADIUS_M) -> None:
        super().__init__(vehicle, radius_m)
        self._fresh = False

    def resumed(self) -> None:
        self._fresh = self.cheats

    def cheat(self, now_ms: float, dt_s: float) -> list[Claim]:
        self.drive(dt_s)
        if self._fresh:
            self._fresh = False
            self.advance(self.metres)
            self.deed()
        return [self.claim(now_ms)]


class GateCheat(Honest):
    """Drives on around the circle where the route has its gate elsewhere, or facing the other way."""

    def cheat(self, now_ms: float, dt_s: float) -> list[Claim]:
        self.drive(dt_s)
        if self.yaw > MISPLACED_TURN:
            self.deed()
        return [self.claim(now_ms)]


@dataclass(frozen=True, slots=True)
class Technique:
    """One row of the detection table."""

    name: str
    make: Callable[[VehicleClass], Honest]
    races: bool = False
    note: str = ""
    route: int | None = None
    """Of ``circuit.py``, which it races on; its twin does so on the fair one."""
    twin: Callable[[VehicleClass], Honest] = Honest
    """Whom it is measured against."""


TECHNIQUES: Final[tuple[Technique, ...]] = (
    Technique("speed x1.05", Speeder105, note="inside the tolerance"),
    Technique("speed x1.10", Speeder110),
    Technique("speed x1.25", Speeder),
    Technique("speed x2", Speeder200),
    Technique("clock x1.05", FastClock, note="inside the tolerance"),
    Technique("blink 30 m", Blinker),
    Technique("blink 100 m", Blinker100),
    Technique("lag switch, 1 s bank", LagSwitch, note="gains the bank once"),
    Technique("lag switch, racing", LagSwitchRacing, races=True, note="gains the bank once"),
    Technique("wall pass", WallPasser),
    Technique("wall pass, 1 Hz", WallHopper),
    Technique("flying", Flyer),
    Technique("time reversal", TimeReverser),
    Technique("seq replay", SeqReplayer),
    Technique("epoch forgery", EpochForger),
    Technique("denied corrections", CorrectionDenier),
    Technique("teleport in handoff", BorderBlinker),
    Technique("teleport after resume", Resumer),
)

_BESIDE: Final = "beside a twin at x1.05"

TOLERANCE_TECHNIQUES: Final[tuple[Technique, ...]] = (
    Technique("lag switch, 1 s bank, again", LagSwitch, note=_BESIDE, twin=Speeder105),
    Technique("lag switch, racing, again", LagSwitchRacing, races=True, note=_BESIDE, twin=Speeder105),
    Technique("lag switch and x1.05, 1 s bank", LagSwitch105, note=_BESIDE, twin=Speeder105),
    Technique("lag switch and x1.05, racing", LagSwitchRacing105, races=True, note=_BESIDE, twin=Speeder105),
)
"""What silence is worth to somebody who could have the tolerance without it."""

GATE_TECHNIQUES: Final[tuple[Technique, ...]] = (
    Technique("gate skip", GateCheat, route=1),
    Technique("reverse gates", GateCheat, route=2),
    Technique("impossible split", LagSwitchRacing, route=0, note="a lag switch over two gates"),
)
"""Those who need a race."""

UNSPEAKABLE: Final = (("NaN", "NaN"), ("1e308", "1e308"), ("Infinity", "Infinity"), ("-1e999", "-1e999"))
"""(name, JSON text) of numbers that no coordinate can be: refused in ``shared/messages``, before any zone."""
