"""Honest bots drive while others misbehave, all at once: ``python -m scripts.abuse``.

The bots drive twice in the same shard, first alone, then beside clients that never authenticate, that never read, that
send garbage, and one that floods. Exit code 0: no bot saw a violation or lost its connection, the latency p99 of the
second run is within twice that of the first (or within FLOOR_MS, where the first is next to nothing), main grew by no
more than the README states, and the flood was cut off with 4429 each time.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import resource
import secrets
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import psutil
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.frames import Frame, Opcode

from scripts.mint_token import mint
from scripts.running_shard import RunningShard
from shared.messages import (
    Auth,
    AuthPayload,
    CloseCode,
    Enter,
    EnterPayload,
    Move,
    MovePayload,
    Placed,
    decode_server,
    encode,
)

FLOOR_MS = 100.0
SMALL_BUFFER_BYTES = 4096
NO_MESSAGE = bytes.fromhex("818400000000") + b'"no"'  # a masked text frame; the mask is zero
FLOOD_FRAME = Frame(Opcode.TEXT, encode(Move(MovePayload(1, 1, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0)))).serialize(mask=True)
FLOOD_PER_S = 100_000
STUCK_BYTES = 320 * 1024
"""Of main's memory per socket that is not read: 384 KiB, less what the kernel holds."""
SOCKET_BYTES = 20 * 1024
"""Of main's memory per socket, whatever it does."""
SPARE_BYTES = 16 * 2**20
"""What the bots' own game takes between two looks, and what the allocator keeps."""


class Abusers:
    """All who misbehave. Each starts anew when it is thrown out."""

    def __init__(self, url: str, secret: str, port: int) -> None:
        self._url = url
        self._secret = secret
        self._port = port
        self.tries = 0
        self.floods: Counter[int] = Counter()
        """Floods that were ended, by close code."""
        self.flooded = 0
        """Messages of floods that left this process."""

    async def silent(self) -> None:
        """Connects and says nothing."""
        async with self._connect() as connection:
            await connection.wait_closed()

    async def never_reads(self) -> None:
        """Enters the world and reads nothing of it."""
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", self._port))
        async with self._connect(sock=raw) as connection:
            token = mint(self._secret, str(uuid.uuid4()), time.time())
            await connection.send(encode(Auth(AuthPayload(token))), text=True)
            await connection.send(encode(Enter(EnterPayload())), text=True)
            connection.transport.pause_reading()
            await asyncio.sleep(30.0)
            connection.transport.abort()

    async def garbage(self) -> None:
        """Sends bytes that are no frames, or frames that are no messages."""
        async with self._connect() as connection:
            while not connection.transport.is_closing():
                noise = random.randbytes(random.randrange(1, 2000))
                connection.transport.write(noise if random.random() < 0.5 else NO_MESSAGE)
                await asyncio.sleep(random.uniform(0.01, 0.1))

    async def flood(self) -> None:
        """Drives with as many moves as the line takes, up to 100,000 per second."""
        async with self._connect() as connection:
            token = mint(self._secret, str(uuid.uuid4()), time.time())
            await connection.send(encode(Auth(AuthPayload(token))), text=True)
            await connection.send(encode(Enter(EnterPayload())), text=True)
            while not isinstance(decode_server(await connection.recv(decode=False)), Placed):
                pass
            listening = asyncio.create_task(_read_to_the_end(connection))
            written = 0
            while not connection.transport.is_closing():
                if connection.transport.get_write_buffer_size() < 1 << 20:
                    connection.transport.write(FLOOD_FRAME * (FLOOD_PER_S // 100))
                    written += FLOOD_PER_S // 100
                await asyncio.sleep(0.01)
            self.flooded += written - connection.transport.get_write_buffer_size() // len(FLOOD_FRAME)
            await listening
            self.floods[connection.close_code or 0] += 1

    async def again_and_again(self, deed: Callable[[], Awaitable[None]]) -> None:
        """Until cancelled."""
        while True:
            self.tries += 1
            with contextlib.suppress(OSError, TimeoutError, WebSocketException):
                await deed()
            await asyncio.sleep(random.uniform(0.5, 1.5))

    def _connect(self, **how: Any) -> connect:
        return connect(self._url, proxy=None, compression=None, ping_interval=None, close_timeout=0.5, **how)


async def _read_to_the_end(connection: ClientConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            await connection.recv(decode=False)


async def misbehave(abusers: Abusers, silent: int, deaf: int, garbage: int, until: Callable[[], bool]) -> None:
    """All of them, until ``until`` says so."""
    deeds = [abusers.silent] * silent + [abusers.never_reads] * deaf + [abusers.garbage] * garbage + [abusers.flood]
    tasks = [asyncio.create_task(abusers.again_and_again(deed)) for deed in deeds]
    while not until():
        await asyncio.sleep(0.2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run both; print what the bots say; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.abuse", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bots", type=int, default=100, metavar="N", help="honest ones (default 100)")
    parser.add_argument("--silent", type=int, default=500, metavar="N")
    parser.add_argument("--deaf", type=int, default=200, metavar="N", help="who never read")
    parser.add_argument("--garbage", type=int, default=100, metavar="N")
    parser.add_argument("--seconds", type=float, default=20.0, metavar="S", help="of each run")
    flags = parser.parse_args(sys.argv[1:] if argv is None else argv)
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    env = {"SUPABASE_JWT_SECRET": secrets.token_hex(32)}
    with RunningShard(["--zones", "2", "--world-size", "512"], env) as shard:
        main_process = psutil.Process(shard.pid)
        port = int(shard.url.rsplit(":", 1)[1].partition("/")[0])

        def drive(seed: int) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "scripts.swarm", "--url", shard.url, "--json", "--seed", str(seed)]
            return subprocess.Popen(
                [*command, "--bots", str(flags.bots), "--ramp", "2", "--seconds", str(flags.seconds)],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **env},
                text=True,
            )

        quiet = json.loads(drive(1).communicate()[0])
        before_mib = main_process.memory_info().rss / 2**20
        bots = drive(2)
        abusers = Abusers(shard.url, env["SUPABASE_JWT_SECRET"], port)
        most_mib = before_mib

        def over() -> bool:
            nonlocal most_mib
            most_mib = max(most_mib, main_process.memory_info().rss / 2**20)
            return bots.poll() is not None

        asyncio.run(misbehave(abusers, flags.silent, flags.deaf, flags.garbage, over))
        loud = json.loads(bots.communicate()[0])
        code = shard.stop()
    for name, result in (("quiet", quiet), ("loud", loud)):
        print(f"{name:<8} {result['violations']} violations, {result['disconnects'] or 'no'} disconnects,", end=" ")
        print(f"move to seen p50 {result['moveToSeenMs']['p50']} ms, p99 {result['moveToSeenMs']['p99']} ms")
    grown = (flags.silent + flags.deaf + flags.garbage) * SOCKET_BYTES + flags.deaf * STUCK_BYTES + SPARE_BYTES
    bound_mib = before_mib + grown / 2**20
    print(
        f"abusers  {abusers.tries} tries; memory of main {before_mib:.0f} MiB, then at most {most_mib:.0f} MiB", end=" "
    )
    print(f"(bound {bound_mib:.0f})")
    print(f"flood    {abusers.flooded} moves got out, ended by {dict(abusers.floods)}")
    print(
        f"ticks    late to begin p99 {shard.log[-1]['tick_late_p99_ms']} ms, max {shard.log[-1]['tick_late_max_ms']} ms"
    )
    bound_ms = max(2 * quiet["moveToSeenMs"]["p99"], FLOOR_MS)
    faults = {
        f"quiet: {quiet['violationsByKind']}, {quiet['disconnects']}": not quiet["ok"],
        f"loud: {loud['violationsByKind']}, {loud['disconnects']}": not loud["ok"],
        f"p99 above {bound_ms:.0f} ms": loud["moveToSeenMs"]["p99"] > bound_ms,
        f"memory above {bound_mib:.0f} MiB": most_mib > bound_mib,
        "a flood was not cut off with 4429": set(abusers.floods) != {CloseCode.RATE_LIMITED},
        f"exit code {code}": code != 0,
    }
    found = [text for text, wrong in faults.items() if wrong]
    print(f"NOT well: {'; '.join(found)}" if found else "all well")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
