"""Many honest cars at once: points with a velocity that accelerate, brake, turn and scrape as their class may.

A driver aims at a point and does what its car can to get there: full throttle at ``SHARE`` of the caps, braking only
for sharp turns, and no thought for walls. So cars run into walls at speed, slide along them and off their ends, and cut
corners as near as their bodies let them. The velocity turns towards the target by no more than the tyres hold, which
is what real tracks look like: no kinks but at walls. No solid is ever entered: steps are swept (``Solids.first_hits``),
and what is left of a step after a contact goes along the surface.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from scripts.fair.proving_ground import EDGE_M, ProvingGround
from shared.vehicles import VEHICLES, VehicleClass
from shared.world.prop_table import CIRCLE

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
Mask = NDArray[np.bool_]

STEP_S: Final = 1.0 / 60.0
"""One frame of a client."""
SHARE: Final = 0.99
"""Of every cap: no honest car is nearer to its limits."""
BRAKE_MPS2: Final = 11.0
GRIP_MPS2: Final = 12.0
"""Sideways: a good tyre on a dry road."""
BODY_M: Final = 0.9
"""Half a car's width: how near its centre comes to a wall."""
GAP_M: Final = 0.001
"""Cars rest this far off a surface, so that the next step does not begin inside."""
ROUNDING_M: Final = 1e-6
"""More than a coordinate is rounded by: what ends outside a body that is larger by this begins outside."""
ARRIVED_M: Final = 12.0
PATIENCE_S: Final = 1.5
"""A driver who has been standing so long looks for another way."""
HUG_SHARE: Final = 0.45
"""Of the targets lie right beside a wall or a corner."""


@dataclass(slots=True, eq=False)
class Cars:
    """N cars; every column is (N,) in metres, seconds, metres per second."""

    ground: ProvingGround
    rng: np.random.Generator
    body_m: F64
    """What keeps the centre off the walls."""
    top_mps: F64
    accel_mps2: F64
    bounce: F64
    """Share of the speed into a wall with which the car comes back from it."""
    across: Mask
    """Drivers who always aim at the other side of the world's middle, over the zones' borders."""
    x: F64
    z: F64
    vx: F64
    vz: F64
    target_x: F64
    target_z: F64
    stood_s: F64
    backing: Mask
    """Shows its rear to where it drives."""
    contacts: int = 0

    @classmethod
    def make(
        cls,
        ground: ProvingGround,
        vehicle: NDArray[np.uint8],
        rng: np.random.Generator,
        body_m: F64 | float = BODY_M,
        across: Mask | bool = False,
        vehicles: tuple[VehicleClass, ...] = VEHICLES,
    ) -> Self:
        """Cars of the classes ``vehicle`` (N,), standing at random places."""
        count = len(vehicle)
        top = np.array([each.speed_cap_mps for each in vehicles])[vehicle] * SHARE
        accel = np.array([each.accel_cap_mps2 for each in vehicles])[vehicle] * SHARE
        x, z = ground.free_points(count, BODY_M + 0.5, rng)
        body = np.broadcast_to(np.asarray(body_m, np.float64), (count,)).copy()
        far = np.broadcast_to(np.asarray(across, np.bool_), (count,)).copy()
        bounce = np.where(rng.random(count) < 0.3, rng.uniform(0.0, 0.4, count), 0.0)
        cars = cls(
            ground=ground,
            rng=rng,
            body_m=body,
            top_mps=top,
            accel_mps2=accel,
            bounce=bounce,
            across=far,
            x=x,
            z=z,
            vx=np.zeros(count),
            vz=np.zeros(count),
            target_x=np.zeros(count),
            target_z=np.zeros(count),
            stood_s=np.zeros(count),
            backing=np.zeros(count, np.bool_),
        )
        cars._aim(np.arange(count))
        return cars

    def __len__(self) -> int:
        return len(self.x)

    @property
    def yaw(self) -> F64:
        """(N,) radians: where the cars look."""
        facing: F64 = np.arctan2(self.vx, self.vz) + np.where(self.backing, np.pi, 0.0)
        return facing

    def place(self, index: int, x: float, z: float, vx: float, vz: float) -> None:
        """Put one car where the server says; it goes on from there with the speed that the server says."""
        self.x[index], self.z[index], self.vx[index], self.vz[index] = x, z, vx, vz
        self.stood_s[index] = 0.0

    def step(self, moving: Mask) -> None:
        """One frame of STEP_S for the cars that are ``moving`` (N,)."""
        vx, vz = self._steered()
        step_x = np.where(moving, 0.5 * (self.vx + vx) * STEP_S, 0.0)
        step_z = np.where(moving, 0.5 * (self.vz + vz) * STEP_S, 0.0)
        self.vx, self.vz = np.where(moving, vx, self.vx), np.where(moving, vz, self.vz)
        new_x, new_z = self.x + step_x, self.z + step_z
        close = touched = np.flatnonzero(moving & self.ground.is_near(self.x, self.z))
        if len(close):
            new_x[close], new_z[close], touched = self._slid(close, step_x[close], step_z[close])
        low, high = EDGE_M, self.ground.size_m - EDGE_M
        clipped = np.flatnonzero((new_x < low) | (new_x > high) | (new_z < low) | (new_z > high))
        self.vx[(new_x < low) | (new_x > high)] = 0.0
        self.vz[(new_z < low) | (new_z > high)] = 0.0
        new_x, new_z = np.clip(new_x, low, high), np.clip(new_z, low, high)
        bent = np.union1d(clipped, touched) if len(clipped) else touched
        if len(bent):
            self._stay_out(bent, new_x, new_z)
        self.x, self.z = new_x, new_z
        self._look_around(moving)

    # --- the driver

    def _steered(self) -> tuple[F64, F64]:
        """The velocity at the frame's end, were there no walls."""
        to_x, to_z = self.target_x - self.x, self.target_z - self.z
        way = np.sqrt(to_x * to_x + to_z * to_z) + 1e-9
        to_x, to_z = to_x / way, to_z / way
        speed = np.sqrt(self.vx * self.vx + self.vz * self.vz)
        rolls = speed > 1.0
        safe = np.where(rolls, speed, 1.0)
        dir_x, dir_z = np.where(rolls, self.vx / safe, to_x), np.where(rolls, self.vz / safe, to_z)
        ahead = dir_x * to_x + dir_z * to_z
        side = dir_x * to_z - dir_z * to_x
        wanted = np.where(ahead > 0.75, self.top_mps, 0.3 * self.top_mps)
        gain = np.clip((wanted - speed) / STEP_S, -BRAKE_MPS2 * SHARE, self.accel_mps2)
        turn = np.where(ahead > 0.0, side, np.copysign(1.0, side))  # sine of the angle to turn by, at most
        turn = np.clip(turn, -1.0, 1.0) * np.where(rolls, 1.0, 0.0)
        most = GRIP_MPS2 * SHARE * STEP_S / safe
        turn = np.clip(turn, -most, most)
        turned_x, turned_z = dir_x - dir_z * turn, dir_z + dir_x * turn
        length = np.sqrt(turned_x * turned_x + turned_z * turned_z)
        pace = np.maximum(speed + gain * STEP_S, 0.0) / length
        return turned_x * pace, turned_z * pace

    def _look_around(self, moving: Mask) -> None:
        """New targets for those who arrived or are stuck."""
        slow = self.vx * self.vx + self.vz * self.vz < 4.0
        self.stood_s = np.where(slow & moving, self.stood_s + STEP_S, 0.0)
        to_x, to_z = self.target_x - self.x, self.target_z - self.z
        stuck = self.stood_s > PATIENCE_S
        done = np.flatnonzero(stuck | (to_x * to_x + to_z * to_z < ARRIVED_M * ARRIVED_M))
        if len(done):
            self.stood_s[done] = 0.0
            self.backing[done] = stuck[done] & (self.rng.random(len(done)) < 0.3)
            self._aim(done)

    def _aim(self, who: NDArray[np.intp]) -> None:
        ground, rng, size = self.ground, self.rng, self.ground.size_m
        x, z = rng.uniform(3 * EDGE_M, size - 3 * EDGE_M, (2, len(who)))
        if len(ground.spots_x):
            spot = rng.integers(0, len(ground.spots_x), (3, len(who)))  # of three, the nearest
            off = np.square(ground.spots_x[spot] - self.x[who]) + np.square(ground.spots_z[spot] - self.z[who])
            best = spot[np.argmin(off, axis=0), np.arange(len(who))]
            hug = rng.random(len(who)) < HUG_SHARE
            x, z = np.where(hug, ground.spots_x[best], x), np.where(hug, ground.spots_z[best], z)
        middle, far = size / 2.0, self.across[who]
        over = middle + np.where(self.x[who] < middle, 1.0, -1.0) * np.abs(x - middle)
        x = np.where(far, over, x)
        self.target_x[who], self.target_z[who] = x, z

    # --- the walls

    def _slid(self, who: NDArray[np.intp], step_x: F64, step_z: F64) -> tuple[F64, F64, NDArray[np.intp]]:
        """Where the cars ``who`` (M,) get to by steps (M,): up to a solid, then along it, at most up to the next.

        Returns x and z, and the cars that touched something.
        """
        x, z = self.x[who].copy(), self.z[who].copy()
        touched = np.flatnonzero((step_x != 0.0) | (step_z != 0.0))
        touched = first = self._sweep(who, touched, x, z, step_x, step_z, last=False)
        if len(touched):  # who touches nothing the first time does not do so the second time
            self._sweep(who, touched, x, z, step_x, step_z, last=True)
        return x + step_x, z + step_z, who[first]

    def _stay_out(self, who: NDArray[np.intp], x: F64, z: F64) -> None:
        """Cars ``who`` whose straight way to (x, z) touches something after all stay where they are.

        The way was made of pieces, and is cut at the world's edge. Mutates x, z (N,) and the velocity.
        """
        body_m = self.body_m[who] + ROUNDING_M
        share, _ = self.ground.static.solids.first_hits(self.x[who], self.z[who], x[who], z[who], body_m)
        stay = who[share <= 1.0]
        x[stay], z[stay] = self.x[stay], self.z[stay]
        self.vx[stay] = self.vz[stay] = 0.0

    def _sweep(
        self, who: NDArray[np.intp], here: NDArray[np.intp], x: F64, z: F64, step_x: F64, step_z: F64, last: bool
    ) -> NDArray[np.intp]:
        """Stop what touches, and return which of ``here``. Mutates x, z, step_x, step_z, and the cars' velocity.

        Bodies are a little larger than they are, so that no end of a step is inside for the next one.
        """
        solids = self.ground.static.solids
        x0, z0, body_m = x[here], z[here], self.body_m[who[here]] + 2.0 * ROUNDING_M
        share, solid = solids.first_hits(x0, z0, x0 + step_x[here], z0 + step_z[here], body_m)
        hit = share <= 1.0
        if not hit.any():
            return here[:0]
        at, car, solid, share = here[hit], who[here[hit]], solid[hit], share[hit]
        self.contacts += len(at)
        touch_x, touch_z = x[at] + step_x[at] * share, z[at] + step_z[at] * share
        out_x, out_z = self._outward(solid, touch_x, touch_z, body_m[hit])
        x[at], z[at] = touch_x + out_x * GAP_M, touch_z + out_z * GAP_M
        into = np.minimum(self.vx[car] * out_x + self.vz[car] * out_z, 0.0)
        self.vx[car] -= (1.0 + self.bounce[car]) * into * out_x
        self.vz[car] -= (1.0 + self.bounce[car]) * into * out_z
        if last:
            step_x[at] = step_z[at] = 0.0
            return at
        left_x, left_z = step_x[at] * (1.0 - share), step_z[at] * (1.0 - share)
        into = np.minimum(left_x * out_x + left_z * out_z, 0.0)
        step_x[at], step_z[at] = left_x - into * out_x, left_z - into * out_z
        return at

    def _outward(self, solid: I32, x: F64, z: F64, body_m: F64) -> tuple[F64, F64]:
        """Unit normals of the solids' grown surfaces at points on them."""
        solids = self.ground.static.solids
        off_x, off_z = x - solids.x[solid], z - solids.z[solid]
        ahead_x, ahead_z = solids.ahead_x[solid], solids.ahead_z[solid]
        along, across = off_x * ahead_x + off_z * ahead_z, off_z * ahead_x - off_x * ahead_z
        front = np.abs(along) - solids.half_d[solid] - body_m > np.abs(across) - solids.half_w[solid] - body_m
        sign = np.copysign(1.0, np.where(front, along, across))
        box_x, box_z = np.where(front, ahead_x, -ahead_z) * sign, np.where(front, ahead_z, ahead_x) * sign
        radius = np.sqrt(off_x * off_x + off_z * off_z) + 1e-12
        disc = solids.shape[solid] == CIRCLE
        return np.where(disc, off_x / radius, box_x), np.where(disc, off_z / radius, box_z)
