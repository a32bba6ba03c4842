"""Strict bots in a real shard while its zones are stopped, and while it is asked to end."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from scripts.mint_token import mint
from scripts.running_shard import RunningShard
from shared.messages import Auth, AuthPayload, Enter, EnterPayload, Placed, decode_server, encode

PLAYERS = 500


def _swarm(shard: RunningShard, secret: Path, *flags: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "scripts.swarm", "--url", shard.url, "--json", *flags]
    return subprocess.Popen(
        [*command, "--token-secret-file", str(secret)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _zones(shard: RunningShard) -> list[psutil.Process]:
    return [child for child in psutil.Process(shard.pid).children() if "shard: zone" in " ".join(child.cmdline())]


@pytest.mark.timeout(120)
def test_zones_that_are_stopped_for_two_ticks_break_no_invariant_and_leave_no_ghost(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    rng = random.Random(3)
    with RunningShard(["--zones", "4", "--debug", "--world-size", "512", "--dev-secret-file", str(secret)]) as shard:
        swarm = _swarm(shard, secret, "--bots", "40", "--seconds", "14", "--ramp", "2", "--churn", "4")
        zones = _zones(shard)
        assert len(zones) == 4
        stops = 0
        while swarm.poll() is None:
            time.sleep(0.25)
            zone = rng.choice(zones)
            zone.suspend()
            time.sleep(0.1)
            zone.resume()
            stops += 1
        out, told = swarm.communicate()
        assert swarm.returncode == 0, told
        result: dict[str, Any] = json.loads(out)
        assert stops > 20
        assert shard.stop() == 0
        stopped = shard.log[-1]
        assert stopped["message"] == "stopped"
        assert stopped["late_ticks"] >= 10, "the zones were not even late"
    assert result["violations"] == 0


@pytest.mark.timeout(120)
def test_five_hundred_players_are_told_and_all_ends_within_five_seconds(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    codes: list[int] = []

    async def play(shard: RunningShard) -> float:
        key = secret.read_text().strip()
        async with AsyncExitStack() as stack:
            sockets = []
            for number in range(PLAYERS):
                socket = await stack.enter_async_context(
                    connect(shard.url, proxy=None, compression=None, ping_interval=None, max_queue=None)
                )
                token = mint(key, str(UUID(int=number + 1)), time.time())
                await socket.send(encode(Auth(AuthPayload(token))), text=True)
                await socket.send(encode(Enter(EnterPayload())), text=True)
                sockets.append(socket)
            for socket in sockets:
                while not isinstance(decode_server(await socket.recv(decode=False)), Placed):
                    pass
            began = time.monotonic()
            shard.signal(signal.SIGTERM)
            for socket in sockets:
                try:
                    while True:
                        await socket.recv()
                except ConnectionClosed as closed:
                    codes.append(closed.rcvd.code if closed.rcvd else 1006)
            assert await asyncio.to_thread(shard.wait) == 0
            return time.monotonic() - began

    shard = RunningShard(["--zones", "4", "--dev-secret-file", str(secret)])
    try:
        family = psutil.Process(shard.pid).children(recursive=True)
        took_s = asyncio.run(play(shard))
    finally:
        shard.kill()
    assert took_s < 5.0
    assert codes == [1012] * PLAYERS
    assert not psutil.wait_procs(family, timeout=2.0)[1]
    assert not list(Path("/dev/shm").glob(f"shard-{shard.instance}-*"))
