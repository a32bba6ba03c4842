"""An honest driver over a real socket, of whom everything that it sent is known: sample by sample."""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from scripts.bots.connection import BotConnection
from scripts.explain import Observer
from scripts.mint_token import mint
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
    decode_server,
    encode,
)
from shared.thresholds import DEFAULT
from tests.fakes.walled_world import WALL_X, WALL_Z

FRAMES_HZ = 60
ACCEL_MPS2, BRAKE_MPS2, SIDE_MPS2 = 9.0, 9.0, 9.0
ARRIVED_M = 6.0


class Post(NamedTuple):
    """Where to drive, metres, and how fast at most."""

    x: float
    z: float
    mps: float


class LiveDriver:
    """Drives to one post after the other and stands at the last; the wall of the walled world stops its body."""

    def __init__(self, name: str, secret: str, posts: Sequence[Post], hz: int) -> None:
        assert FRAMES_HZ % hz == 0, "it sends after every so many-th frame"
        self.player = str(uuid.uuid4())
        self.sent: dict[int, tuple[float, float]] = {}
        """Where it said it was, by ``seq``."""
        self.corrections: list[str | None] = []
        self.errors: list[str] = []
        self.ends: list[int] = []
        """Close codes of a connection that it did not close."""
        self.contacts = 0
        """Samples sent while it touched the wall."""
        self._name, self._posts, self._every = name, list(posts), FRAMES_HZ // hz
        self._token = mint(secret, self.player, time.time(), 3600.0)
        self._connection: BotConnection | None = None
        self._epoch = -1
        self._x = self._z = self._yaw = self._mps = self._vx = self._vz = 0.0
        self._touches = self._leaves = False

    async def run(self, url: str, until_s: float) -> None:
        """Drive until then (``time.perf_counter``); the connection stays open."""
        self._connection = connection = await BotConnection.open(url)
        connection.listen(self)
        connection.send_now(encode(Auth(AuthPayload(self._token))))
        next_s, frame = time.perf_counter(), 0
        while next_s < until_s and not self.ends:
            next_s += 1.0 / FRAMES_HZ
            await asyncio.sleep(max(0.0, next_s - time.perf_counter()))
            if self._epoch < 0:
                continue
            self._step()
            frame += 1
            if frame % self._every == 0:
                self._send(1000.0 * frame / FRAMES_HZ)

    async def close(self) -> None:
        """Leave."""
        self._leaves = True
        if self._connection is not None:
            await self._connection.close()

    def _send(self, t_ms: float) -> None:
        seq = len(self.sent) + 1
        move = MovePayload(self._epoch, seq, 1e6 + t_ms, self._x, self._z, self._yaw, self._vx, self._vz)
        assert self._connection is not None, "it drives once it is connected"
        if self._connection.send_now(encode(Move(move))):
            self.sent[seq] = self._x, self._z
            self.contacts += self._touches

    def _step(self) -> None:
        dt_s = 1.0 / FRAMES_HZ
        x, z, most = self._posts[0]
        away_m = math.hypot(x - self._x, z - self._z)
        if away_m < ARRIVED_M + 0.5 * self._mps and len(self._posts) > 1:  # or it would circle around it
            del self._posts[0]
        if len(self._posts) == 1:
            most = min(most, math.sqrt(BRAKE_MPS2 * max(away_m - ARRIVED_M, 0.0)))
        turn = math.remainder(math.atan2(x - self._x, z - self._z) - self._yaw, math.tau)
        room = SIDE_MPS2 / max(self._mps, 1.0) * dt_s
        self._yaw = math.remainder(self._yaw + max(-room, min(room, turn)), math.tau)
        self._mps = max(min(self._mps + ACCEL_MPS2 * dt_s, most), self._mps - BRAKE_MPS2 * dt_s, 0.0)
        to_x = self._x + self._mps * math.sin(self._yaw) * dt_s
        to_z = self._z + self._mps * math.cos(self._yaw) * dt_s
        nearest_x = WALL_X + DEFAULT.body_m
        self._touches = WALL_Z[0] < to_z < WALL_Z[1] and WALL_X < to_x < nearest_x
        if self._touches:
            to_x = nearest_x
        self._vx, self._vz = (to_x - self._x) / dt_s, (to_z - self._z) / dt_s
        self._x, self._z = to_x, to_z

    def received(self, message: bytes, *, is_text: bool) -> None:
        """One message of the shard."""
        del is_text
        parsed = decode_server(message)
        if type(parsed) is Placed:
            placed = parsed.payload
            self._x, self._z, self._yaw, self._mps, self._epoch = placed.x, placed.z, placed.yaw, 0.0, placed.epoch
            if placed.reason == "correction":
                self.corrections.append(placed.check)
        elif type(parsed) is Lobby and self._connection is not None:
            self._connection.send_now(encode(Enter(EnterPayload(self._name))))
        elif type(parsed) is Error:
            self.errors.append(parsed.payload.code)

    def ended(self, code: int, reason: str) -> None:
        """The connection is over."""
        del reason
        if not self._leaves:
            self.ends.append(code)


class Seen(NamedTuple):
    """What the shard has of a player, read from its memory."""

    seq: int
    x: float
    z: float
    yaw: float
    taken: int
    """Samples that came as far as the zone."""
    strikes: float


def seen(observer: Observer, player: str) -> Seen:
    """The committed row of a player who is in the world."""
    slot, table = observer.slot(player), observer.table
    for _ in range(100):
        front = int(table["front"][slot])
        names = ("seq", "pos", "yaw", "tail", "strikes")
        row: dict[str, Any] = {name: np.array(table[name][front, slot]) for name in names}
        if int(table["front"][slot]) == front:
            x, _, z = row["pos"].tolist()
            return Seen(int(row["seq"]), x, z, float(row["yaw"]), int(row["tail"]), float(row["strikes"]))
    raise AssertionError("the shard writes faster than it can be read")
