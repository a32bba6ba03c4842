"""Cheats over real sockets: one client per technique of ``scripts/fair/techniques.py``, and what the shard did to it.

Those who cheat at gates race for it, see ``gate_cheat.py``.

Each drives honestly at first, so that its budgets and its speed are those of a player, then cheats until the time is
over or it is removed. Nothing here judges: the result says what happened, in the order of the techniques.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from websockets.exceptions import InvalidHandshake

from scripts.bots.connection import BotConnection
from scripts.bots.road_driver import known_land
from scripts.fair.techniques import BorderBlinker, Claim, Technique
from shared.messages import (
    Auth,
    AuthPayload,
    Enter,
    EnterPayload,
    Error,
    Lobby,
    Move,
    MovePayload,
    Placed,
    PlacedPayload,
    ServerMessage,
    Welcome,
    WelcomePayload,
    WorldInfo,
    decode_server,
    encode,
)
from shared.vehicles import VehicleClass
from shared.world.land import Land
from shared.world.prop_table import CIRCLE
from shared.world.static_world import StaticWorld
from shared.world.world import World

PERIOD_S: Final = 0.05
WARM_UP_S: Final = 8.0
"""To top speed, and for the banks to fill."""
RADIUS_M: Final = 300.0
EDGE_M: Final = 40.0
"""Who comes so near to the end of the world turns towards its middle."""
BEYOND_M: Final = 120.0
"""How far behind a wall or a border a cheat turns round."""
AWAY_S: Final = 0.4


@dataclass(slots=True)
class Outcome:
    """What one cheat met. Seconds are since its first sample that cheats."""

    name: str
    vehicle: str
    player: str = ""
    """Its ``sub``: what the shard's log and evidence call it."""
    moves: int = 0
    """Samples that were sent."""
    first_s: float = math.nan
    """Until the first correction, error or end."""
    corrections: Counter[str] = field(default_factory=Counter)
    """By check."""
    notices: Counter[str] = field(default_factory=Counter)
    """By code, of a race."""
    gates: int = 0
    """That the shard counted in a race, up to the first deed ..."""
    gates_after: int = 0
    """... and since."""
    errors: Counter[str] = field(default_factory=Counter)
    closed: str = ""
    """Code and reason, when the shard ended the connection."""
    closed_s: float = math.nan
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain data; numbers that are not known are None."""
        return {
            "technique": self.name,
            "vehicle": self.vehicle,
            "player": self.player or None,
            "moves": self.moves,
            "firstReactionS": None if math.isnan(self.first_s) else round(self.first_s, 3),
            "corrections": dict(self.corrections),
            "notices": dict(self.notices),
            "gates": self.gates,
            "gatesAfter": self.gates_after,
            "errors": dict(self.errors),
            "closed": self.closed or None,
            "closedS": None if math.isnan(self.closed_s) else round(self.closed_s, 3),
            "note": self.note or None,
        }


class CheatBot:
    """One client. ``run`` drives it to its end."""

    def __init__(
        self,
        technique: Technique,
        vehicle: VehicleClass,
        token: str,
        name: str,
        player: str = "",
        land: Land | None = None,
    ) -> None:
        """``land``: the shard's world, perhaps; one that the shard does not have is not looked at."""
        self.outcome = Outcome(technique.name, vehicle.name, player)
        self.client = technique.make(vehicle)
        self.client.radius_m = RADIUS_M
        self._vehicle, self._token, self._name = vehicle, token, name
        self._given_land = land
        self._connection: BotConnection | None = None
        self._placed = False
        self._size_m = 0.0
        self._borders_x: list[float] = []
        self._solids_at: list[tuple[float, float]] = []
        self._target: tuple[float, float] | None = None
        """What a cheat drives at: a wall from when it begins to cheat, a border always."""
        self._closing = self._over = False
        self._deed_s = math.nan
        self._break_s = math.inf

    async def run(self, url: str, until_s: float) -> Outcome:
        """Cheat until the time is over (``time.perf_counter``) or the shard has had enough."""
        try:
            await self._connect(url)
        except (OSError, TimeoutError, InvalidHandshake) as fault:
            self.outcome.note = f"not connected: {type(fault).__name__}: {fault}"
            return self.outcome
        last_s = next_s = time.perf_counter()
        begin_s = math.inf
        while next_s < until_s and not self._over:
            next_s = max(next_s + PERIOD_S, time.perf_counter() - PERIOD_S)
            await asyncio.sleep(max(0.0, next_s - time.perf_counter()))
            now_s = time.perf_counter()
            if self._placed:
                if begin_s == math.inf:
                    begin_s = now_s + WARM_UP_S
                if now_s >= begin_s and not self.client.cheats:
                    self.client.begin()
                    if self.client.reconnects_every_s:
                        self._break_s = now_s
                self._step(now_s, now_s - last_s)
                if now_s >= self._break_s:
                    self._break_s = now_s + self.client.reconnects_every_s
                    await self._reconnect(url)
            last_s = now_s
        self._closing = True
        if self._connection is not None:
            await self._connection.close()
        return self.outcome

    def send_raw(self, text: bytes) -> bool:
        """Send what no message type can say."""
        return self._connection is not None and self._connection.send_now(text)

    def deed(self) -> None:
        """Time begins to count."""
        if math.isnan(self._deed_s):
            self._deed_s = time.perf_counter()

    # --- driving

    def _step(self, now_s: float, dt_s: float) -> None:
        self._steer()
        claims = self.client.claims(1e7 + 1000.0 * now_s, dt_s)
        through = self.client.where == "wall" and self._drives_at_target and self._is_behind and bool(claims)
        if through or not math.isnan(self.client.deed_s):
            self.deed()
        for claim in claims:
            if 0.0 <= claim.x < self._size_m and 0.0 <= claim.z < self._size_m:
                self.outcome.moves += self.send_raw(encode(move_of(claim)))

    def _steer(self) -> None:
        """Towards the target and beyond it, if there is one; else round and round; and away from the world's end."""
        client, middle = self.client, self._size_m / 2.0
        ahead_x, ahead_z = client.x + EDGE_M * math.sin(client.yaw), client.z + EDGE_M * math.cos(client.yaw)
        if not (EDGE_M < ahead_x < self._size_m - EDGE_M and EDGE_M < ahead_z < self._size_m - EDGE_M):
            client.yaw = math.atan2(middle - client.x, middle - client.z)
        elif self._target is not None and self._drives_at_target:
            client.radius_m = 1e9
            to_x, to_z = self._target[0] - client.x, self._target[1] - client.z
            if math.hypot(to_x, to_z) > BEYOND_M or not self._is_behind:
                client.yaw = math.atan2(to_x, to_z)

    @property
    def _drives_at_target(self) -> bool:
        return self._target is not None and (self.client.cheats or self.client.where != "wall")

    @property
    def _is_behind(self) -> bool:
        """Whether it has driven over its target, and on."""
        assert self._target is not None, "ask _drives_at_target first"
        to_x, to_z = self._target[0] - self.client.x, self._target[1] - self.client.z
        return to_x * math.sin(self.client.yaw) + to_z * math.cos(self.client.yaw) < 0.0

    def _choose_target(self) -> None:
        client = self.client
        if client.where == "wall":
            self._target = min(
                self._solids_at, key=lambda at: math.hypot(at[0] - client.x, at[1] - client.z), default=None
            )
            if self._target is None and not self.outcome.note:
                self.outcome.note = "nothing solid in this world"
        elif isinstance(client, BorderBlinker):
            border_x = min(self._borders_x, key=lambda x: abs(x - client.x), default=math.nan)
            client.border_x = border_x
            if math.isnan(border_x):
                self.outcome.note = "no border in this world"
            else:
                self._target = border_x, min(max(client.z, 2 * EDGE_M), self._size_m - 2 * EDGE_M)

    # --- the connection

    async def _connect(self, url: str) -> None:
        connection = await BotConnection.open(url)
        self._connection = connection
        connection.listen(self)
        connection.send_now(encode(Auth(AuthPayload(self._token))))

    async def _reconnect(self, url: str) -> None:
        """Break the connection without a word, and come back."""
        old, self._connection, self._placed = self._connection, None, False
        if old is not None:
            self._closing = True
            old.transport.abort()
        await asyncio.sleep(AWAY_S)
        self._closing = False
        self.client.resumed()
        try:
            await self._connect(url)
        except (OSError, TimeoutError, InvalidHandshake) as fault:
            self.outcome.note, self._over = f"could not come back: {type(fault).__name__}", True

    def received(self, message: bytes, *, is_text: bool) -> None:
        """One message of the shard."""
        del is_text
        try:
            parsed = decode_server(message)
        except msgspec.DecodeError:
            self.outcome.note = "could not read a message of the shard"
            return
        if type(parsed) is Placed:
            self._was_placed(parsed.payload)
        elif type(parsed) is Welcome:
            self._welcomed(parsed.payload)
        elif type(parsed) is Lobby and self._connection is not None:
            self._connection.send_now(encode(Enter(EnterPayload(self._name, self._vehicle.name))))
        elif type(parsed) is Error:
            self.outcome.errors[parsed.payload.code] += 1
            self._reacted()
        else:
            self._heard(parsed)

    def _heard(self, message: ServerMessage) -> None:
        """Everything else."""

    def ended(self, code: int, reason: str) -> None:
        """The connection is over."""
        if self._closing:
            return
        self._over, self._placed = True, False
        self.outcome.closed = f"{code} {reason}".strip()
        self.outcome.closed_s = time.perf_counter() - self._deed_s
        self._reacted()

    def _welcomed(self, welcome: WelcomePayload) -> None:
        if self._size_m:
            return
        self._size_m = float(welcome.world.size_m)
        self._borders_x = sorted({x for x0, _, x1, _ in welcome.zones for x in (x0, x1) if 0.0 < x < self._size_m})
        if self.client.where == "wall":
            land = self._land(welcome.world)
            if land is None:
                self.outcome.note = f"this world is not known here: {welcome.world.preset}"
            else:
                self._solids_at = solid_places(land)

    def _land(self, world: WorldInfo) -> Land | None:
        given = self._given_land
        if given is not None and World.of_file(given.file, given.seed).hash == world.hash:
            return given
        return known_land(world)

    def _was_placed(self, placed: PlacedPayload) -> None:
        self.client.place(placed.x, placed.z, placed.yaw, placed.vx, placed.vz, placed.epoch)
        if placed.reason == "correction":
            self.outcome.corrections[placed.check or "unnamed"] += 1
            if placed.check == "clip" and self.client.cheats:
                self.deed()  # there was something else in its way
            self._reacted()
        elif not self._placed and self._target is None:
            self._choose_target()
        self._placed = True

    def _reacted(self) -> None:
        if math.isnan(self.outcome.first_s) and not math.isnan(self._deed_s):
            self.outcome.first_s = time.perf_counter() - self._deed_s


def move_of(claim: Claim) -> Move:
    """A claim as a message."""
    on_ground = math.isnan(claim.y)
    return Move(
        MovePayload(
            epoch=claim.epoch,
            seq=claim.seq,
            t=max(claim.t_ms, 0.0),
            x=claim.x,
            z=claim.z,
            yaw=claim.yaw,
            vx=claim.vx,
            vz=claim.vz,
            y=None if on_ground else claim.y,
            vy=None if on_ground else claim.vy,
        )
    )


def solid_places(land: Land) -> list[tuple[float, float]]:
    """Middles of walls and buildings of a world, in metres: what a cheat that drives through things looks for."""
    solids = StaticWorld.of(land).solids
    wide = (solids.shape != CIRCLE) & (solids.half_d >= 1.5)
    return list(zip(solids.x[wide].tolist(), solids.z[wide].tolist(), strict=True))


def cheat_table(outcomes: Sequence[Outcome]) -> str:
    """For people."""
    head = ("technique", "moves", "first reaction", "corrections", "race", "errors", "closed", "note")
    rows = [head]
    for each in outcomes:
        corrections = ", ".join(f"{check} {count}" for check, count in each.corrections.most_common())
        errors = ", ".join(f"{code} {count}" for code, count in each.errors.most_common())
        closed = f"{each.closed} after {each.closed_s:.1f} s" if each.closed else "-"
        first = "-" if math.isnan(each.first_s) else f"{each.first_s:.2f} s"
        told = ", ".join(f"{code} {count}" for code, count in each.notices.most_common())
        counted = f"{each.gates} gates, then {each.gates_after}" if each.gates + each.gates_after else ""
        race = "; ".join(filter(None, (told, counted)))
        cells = (corrections or "-", race or "-", errors or "-", closed, each.note)
        rows.append((each.name, str(each.moves), first, *cells))
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
