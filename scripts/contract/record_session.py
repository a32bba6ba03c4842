"""Records a session with a real shard for the tests of the page: ``python -m scripts.contract.record_session FILE``.

One player enters among two others, drives to and fro across a border between zones, asks for this and that, leaves,
comes back, and is replaced by a newer connection. The token is left out of the recording.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
import time
from pathlib import Path
from uuid import UUID

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from scripts.mint_token import mint
from scripts.running_shard import RunningShard
from shared.messages import (
    Auth,
    AuthPayload,
    ClientMessage,
    Enter,
    EnterPayload,
    Leave,
    Move,
    MovePayload,
    Ping,
    PingPayload,
    Placed,
    PlacedPayload,
    Respawn,
    Signal,
    SignalPayload,
    Who,
    decode_server,
    encode,
)

SECRET = "a secret for recordings that is long enough"
WORLD_M = 128
BORDER_M = 64.0
"""Of two zones in a world of 128 m, where x is this."""
BEYOND_M = 14.0
SPEED_MPS = 10.0
ACCELERATION_MPS2 = 4.0
PERIOD_S = 0.05
DRIVE_S = 8.0


class Recorder:
    """One player whose frames are kept."""

    def __init__(self, socket: ClientConnection) -> None:
        self.lines: list[dict[str, object]] = []
        self.placed: PlacedPayload | None = None
        self._socket = socket
        self._seq = 65_500  # so that the row's 16 bits wrap

    async def say(self, message: ClientMessage, recorded: ClientMessage | None = None) -> None:
        """Send a message; record another in its place if one is given."""
        self.lines.append({"from": "client", "frame": encode(recorded or message).decode()})
        await self._socket.send(encode(message).decode())

    async def hear(self) -> None:
        """Record until the server closes."""
        try:
            async for frame in self._socket:
                self.lines.append({"from": "server", "frame": frame})
                message = decode_server(frame)
                if isinstance(message, Placed):
                    self.placed = message.payload
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else 1006
            self.lines.append({"from": "server", "close": code})

    async def wait_placed(self) -> PlacedPayload:
        """The next ``placed``."""
        while self.placed is None:
            await asyncio.sleep(PERIOD_S)
        placed, self.placed = self.placed, None
        return placed

    async def drive(self, start: PlacedPayload) -> None:
        """Swing between the start and a point beyond the border, beginning and ending at rest."""
        turn = BORDER_M + math.copysign(BEYOND_M, BORDER_M - start.x)
        reach = (turn - start.x) / 2
        rate = min(SPEED_MPS / abs(reach), math.sqrt(ACCELERATION_MPS2 / abs(reach)))
        swings = max(1, round(DRIVE_S * rate / math.tau))
        for step in range(math.ceil(swings * math.tau / rate / PERIOD_S) + 1):
            phase = min(step * PERIOD_S * rate, swings * math.tau)
            x, vx = start.x + reach * (1 - math.cos(phase)), reach * rate * math.sin(phase)
            yaw = math.copysign(math.pi / 2, vx)
            self._seq += 1
            t_ms = time.monotonic() * 1000.0
            await self.say(Move(MovePayload(start.epoch, self._seq, t_ms, x, start.z, yaw, vx, 0.0)))
            await asyncio.sleep(PERIOD_S)


def _auth(number: int) -> Auth:
    return Auth(AuthPayload(mint(SECRET, str(UUID(int=number + 1)), time.time())), id=1)


async def record(url: str) -> list[dict[str, object]]:
    """The lines of one session at the shard that listens at ``url``."""
    how = {"compression": None, "proxy": None, "max_size": None}
    async with connect(url, **how) as ann, connect(url, **how) as bob, connect(url, **how) as mine:  # type: ignore[arg-type]
        for number, companion in enumerate((ann, bob), 1):
            await companion.send(encode(_auth(number)).decode())
            await companion.send(encode(Enter(EnterPayload(name=f"Player {number}"))).decode())
        recorder = Recorder(mine)
        hearing = asyncio.create_task(recorder.hear())
        draining = [asyncio.create_task(_drain(companion)) for companion in (ann, bob)]
        await recorder.say(_auth(0), recorded=Auth(AuthPayload("TOKEN"), id=1))
        await recorder.say(Ping(PingPayload(time.monotonic() * 1000.0), id=2))
        await recorder.say(Who(id=3))
        await recorder.say(Enter(EnterPayload(name="Recorder", vehicle="kart"), id=4))
        await recorder.drive(await recorder.wait_placed())
        await recorder.say(Signal(SignalPayload("horn")))
        await recorder.say(Respawn(id=5))
        await recorder.wait_placed()
        await ann.close()
        await asyncio.sleep(1.5)
        await recorder.say(Leave(id=6))
        await recorder.say(Respawn(id=7))  # not allowed in the lobby
        await recorder.say(Enter(id=8))
        await recorder.wait_placed()
        await asyncio.sleep(0.5)
        async with connect(url, **how) as newer:  # type: ignore[arg-type]
            await newer.send(encode(_auth(0)).decode())
            await asyncio.wait_for(hearing, 5.0)
        for task in draining:
            task.cancel()
        return recorder.lines


async def _drain(socket: ClientConnection) -> None:
    """Read and forget, or the shard would take the connection for dead."""
    async for _ in socket:
        pass


def main() -> int:
    """Record one session into the file that is named; returns the exit code."""
    with RunningShard(["--zones", "2", "--world-size", str(WORLD_M)], {"SUPABASE_JWT_SECRET": SECRET}) as shard:
        lines = asyncio.run(record(shard.url))
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    Path(sys.argv[1]).write_text(text, encoding="utf-8")
    print(f"{len(lines)} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main())
