"""The end of a shard: players are told, new ones refused, then all are closed with 1012; a second signal hurries."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from pathlib import Path
from uuid import UUID

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from scripts.bots.fleet import Fleet, FleetSpec
from scripts.bots.racer import Conduct
from scripts.mint_token import LOCAL_ISSUER, mint
from scripts.running_shard import RunningShard
from shard.access.auth import PLAYER_ROLE
from shared.messages import Auth, AuthPayload, Lobby, Notice, decode_server, encode
from shared.world.land import Land
from shared.world.world_file import load_preset

PLAYERS = 20


async def _lobby(shard: RunningShard, secret: str, number: int) -> ClientConnection:
    """A connected player in the lobby."""
    connection = await connect(shard.url, proxy=None, compression=None, ping_interval=None)
    token = mint(secret, str(UUID(int=number + 1)), time.time())
    await connection.send(encode(Auth(AuthPayload(token))), text=True)
    while not isinstance(decode_server(await connection.recv(decode=False)), Lobby):
        pass
    return connection


async def _last_words(connection: ClientConnection) -> tuple[list[str], int, float]:
    """Codes of the notices, close code, and when it came."""
    notices: list[str] = []
    try:
        while True:
            message = decode_server(await connection.recv(decode=False))
            if isinstance(message, Notice):
                notices.append(message.payload.code)
    except ConnectionClosed as closed:
        return notices, closed.rcvd.code if closed.rcvd else 1006, time.monotonic()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    return tmp_path / "secret"


def test_sigterm_tells_everybody_refuses_newcomers_and_closes_in_batches(secret: Path) -> None:
    async def scenario(shard: RunningShard) -> None:
        key = secret.read_text().strip()
        connections = [await _lobby(shard, key, number) for number in range(PLAYERS)]
        listening = [asyncio.create_task(_last_words(connection)) for connection in connections]
        began_s = time.monotonic()
        shard.signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
        with pytest.raises(InvalidStatus) as refused:
            await connect(shard.url, proxy=None)
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"]
        ends = await asyncio.gather(*listening)
        assert {(tuple(notices), code) for notices, code, _ in ends} == {(("draining",), 1012)}
        assert min(at_s for _, _, at_s in ends) - began_s >= 0.9, "they were promised a second"
        assert max(at_s for _, _, at_s in ends) - min(at_s for _, _, at_s in ends) > 0.3, "all at once"
        assert await asyncio.to_thread(shard.wait) == 0
        assert time.monotonic() - began_s < 5.0

    with RunningShard(["--zones", "2", "--dev-secret-file", str(secret)]) as shard:
        asyncio.run(asyncio.wait_for(scenario(shard), 30.0))


def test_a_second_signal_ends_at_once(secret: Path) -> None:
    async def scenario(shard: RunningShard) -> None:
        key = secret.read_text().strip()
        connection = await _lobby(shard, key, 0)
        shard.signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
        began_s = time.monotonic()
        shard.signal(signal.SIGTERM)
        assert (await _last_words(connection))[1] == 1012
        assert await asyncio.to_thread(shard.wait) == 0
        assert time.monotonic() - began_s < 3.0

    with RunningShard(["--zones", "2", "--drain-seconds", "60", "--dev-secret-file", str(secret)]) as shard:
        asyncio.run(asyncio.wait_for(scenario(shard), 30.0))


def _racers(shard: RunningShard, secret: str) -> Fleet:
    """Eight bots, as many as the grid of the route has places: their race begins at once."""
    [route] = [each for each in Land.of_file(load_preset("harbour")).routes if each.id == "quay-sprint"]
    spec = FleetSpec(
        url=shard.url,
        first=0,
        bots=8,
        seconds=60.0,
        ramp_s=0.5,
        seed=1,
        churn_per_minute=0.0,
        secret=secret,
        issuer=LOCAL_ISSUER,
        audience=PLAYER_ROLE,
        racers=(Conduct.HONEST,) * 8,
    )
    return Fleet(spec, route=route)


async def _is_running(fleet: Fleet) -> None:
    assert fleet.book is not None
    while fleet.book.state is None or fleet.book.state.phase != "running":
        await asyncio.sleep(0.1)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("drain_s", "phase"), [(60, "finished"), (3, "cancelled")])
def test_a_race_that_runs_may_finish_until_the_end(secret: Path, drain_s: int, phase: str) -> None:
    async def scenario(shard: RunningShard) -> None:
        fleet = _racers(shard, secret.read_text().strip())
        assert fleet.book is not None
        driving = asyncio.create_task(fleet.run(asyncio.Event(), lambda _: None))
        await _is_running(fleet)
        shard.signal(signal.SIGTERM)
        began_s = time.monotonic()
        tally = await driving  # until all have their results, or the race is cancelled
        state = fleet.book.state
        assert state is not None
        assert state.phase == phase
        if phase == "finished":
            assert fleet.book.differences() == []
            assert not tally.failed
            shard.signal(signal.SIGTERM)  # that is all there was to wait for
        else:
            assert state.reason == "server_restart"
            assert time.monotonic() - began_s > drain_s - 0.5
        assert await asyncio.to_thread(shard.wait) == 0

    flags = ["--zones", "2", "--drain-seconds", str(drain_s), "--dev-secret-file", str(secret)]
    with RunningShard(flags) as shard:
        asyncio.run(asyncio.wait_for(scenario(shard), 100.0))


def test_systemd_is_told_of_readiness_life_and_end(tmp_path: Path, secret: Path) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(address))
        listener.settimeout(5.0)
        env = {"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "200000"}
        with RunningShard(["--zones", "2", "--dev-secret-file", str(secret)], env) as shard:
            assert listener.recv(4096).startswith(b"READY=1")
            assert [listener.recv(4096) for _ in range(3)] == [b"WATCHDOG=1"] * 3
            assert shard.stop() == 0
        listener.settimeout(0.2)
        news = [b""]
        while not news[-1].startswith(b"STOPPING=1"):
            news.append(listener.recv(4096))
