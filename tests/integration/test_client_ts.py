"""The compiled TypeScript client in a real shard, beside a Python observer that reads by the published page."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from websockets.asyncio.client import ClientConnection, connect

from scripts.contract.client_build import NodeMissing, build_client
from scripts.contract.session_reader import SessionReader
from scripts.mint_token import mint
from scripts.running_shard import RunningShard
from shared.messages import Auth, AuthPayload, ClientMessage, Enter, EnterPayload, Placed, Respawn, encode
from tests.socket_shard import SocketClient, SocketShard

SECRET = "a secret for tests that is long enough"
WORLD_M = 128
"""Two by two cells, one per zone: everybody watches all of them, so all must see the same."""
SNAPSHOTS = 1000
PATIENCE_S = 150.0
DRIVE = Path(__file__).parent.parent / "node" / "drive.mjs"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Node project that has installed the client by path; skips where there is no Node, unless REQUIRE_NODE=1."""
    try:
        app = build_client(tmp_path_factory.mktemp("node"))
    except NodeMissing as reason:
        if os.environ.get("REQUIRE_NODE") == "1":
            pytest.fail(f"REQUIRE_NODE=1, but {reason}")
        pytest.skip(str(reason))
    (app / DRIVE.name).write_text(DRIVE.read_text(encoding="utf-8"), encoding="utf-8")
    return app


@dataclass
class Observer:
    """A player who stands still and follows its session by the page."""

    socket: ClientConnection
    reader: SessionReader
    recording: list[dict[str, Any]]

    async def say(self, message: ClientMessage) -> None:
        frame = encode(message).decode()
        self._note("client", frame)
        self.reader.sent(frame)
        await self.socket.send(frame)

    async def hear(self) -> None:
        """Read one frame. Raises PageViolation for what the page excludes."""
        frame = await self.socket.recv()
        assert isinstance(frame, str), "the shard sends text"
        self._note("server", frame)
        self.reader.received(frame)

    async def follow(self) -> None:
        """Read until cancelled."""
        while True:
            await self.hear()

    def _note(self, side: str, frame: str) -> None:
        self.recording.append({"from": side, "frame": frame})


@contextlib.asynccontextmanager
async def _observer(url: str, number: int) -> AsyncIterator[Observer]:
    token = mint(SECRET, str(UUID(int=number + 1)), time.time())
    async with connect(url, compression=None, proxy=None, max_size=None) as socket:
        observer = Observer(socket, SessionReader(), [])
        await observer.say(Auth(AuthPayload(token), id=1))
        await observer.say(Enter(EnterPayload(name=f"Observer {number}"), id=2))
        while observer.reader.state != "world":
            await observer.hear()
        following = asyncio.create_task(observer.follow())
        try:
            yield observer
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following


async def _drive(app: Path, url: str) -> tuple[dict[str, Any], list[dict[int, Any]]]:
    """What the client printed, and what three observers see, at a moment when all cars are parked."""
    token = mint(SECRET, str(UUID(int=0)), time.time())
    async with contextlib.AsyncExitStack() as stack:
        observers = [await stack.enter_async_context(_observer(url, number)) for number in range(3)]
        flags = ["--url", url, "--token", token, "--snapshots", str(SNAPSHOTS)]
        process = await asyncio.create_subprocess_exec(
            *("node", *_websocket_flag(), DRIVE.name, *flags),
            cwd=app,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            line = await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
            assert line, (await process.stderr.read()).decode()
            listings = [observer.reader.listing() for observer in observers]  # now: soon the first of them leaves
            for observer in observers:
                _require_replay(observer)
            process.stdin.close()  # type: ignore[union-attr]
            assert await asyncio.wait_for(process.wait(), 10.0) == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return json.loads(line), listings


def _require_replay(observer: Observer) -> None:
    """The recording of a session, read again from its lines, ends with the same listing."""
    again = SessionReader().read(map(json.dumps, observer.recording))
    assert again.listing() == observer.reader.listing()


def _websocket_flag() -> list[str]:
    """Node 20 has a WebSocket only on request; later versions have it anyway and still take the flag."""
    return ["--experimental-websocket"]


def test_the_client_and_an_observer_agree_after_borders_and_a_broken_line(app: Path) -> None:
    with RunningShard(
        ["--zones", "4", "--world-size", str(WORLD_M), "--debug"], {"SUPABASE_JWT_SECRET": SECRET}
    ) as shard:
        seen, listings = asyncio.run(_drive(app, shard.url))
    assert seen["snapshots"] >= SNAPSHOTS
    assert seen["crossings"] > 1, "it should have crossed a border before and after the break"
    assert seen["closes"] == [1006]
    assert seen["corrections"] == 0
    assert seen["acknowledged"] > 0
    assert seen["drawn"], "poses to draw are where the rows say"
    for listing in listings:
        assert len(listing) == len(listings) + 1
        assert json.loads(json.dumps(listing)) == seen["entities"]


@pytest.mark.parametrize("asked", [Enter(id=7), Respawn(id=7)], ids=["enter", "respawn"])
def test_placed_carries_the_number_of_the_message_that_it_answers(asked: Enter | Respawn) -> None:
    async def scenario() -> int | None:
        async with SocketShard.open() as shard, SocketClient.connect(shard) as client:
            await client.authenticate(0)
            if isinstance(asked, Respawn):
                await client.enter(shard)
            await client.send(asked)
            for _ in range(200):
                await asyncio.sleep(0.005)
                shard.tick()
                with contextlib.suppress(TimeoutError):
                    message = await client.receive(0.005)
                    if isinstance(message, Placed):
                        return message.re
        raise AssertionError("no placed came")

    assert asyncio.run(scenario()) == 7
