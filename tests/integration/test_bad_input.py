"""What the published page says about bad input ("What the server does with bad input"), asked of real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import pytest
from websockets.exceptions import ConnectionClosed

from shard.access.connection import Connection
from shared.constants import MESSAGE_BYTES_MAX
from shared.messages import CloseCode, Error, Leave, Lobby, Snapshot, decode_server, encode
from tests.socket_shard import SocketClient, SocketShard

DEEP = b'{"type":"leave","payload":' + b'{"a":' * 1025 + b"1" + b"}" * 1026
TOO_BIG = b'{"type":"nonesuch"}'.ljust(MESSAGE_BYTES_MAX + 1)

REFUSED = {
    "depth 1025": (DEEP, "malformed"),
    "invalid UTF-8": (b'{"type":"leave\xff"}', "malformed"),
    "BOM": (b'\xef\xbb\xbf{"type":"leave"}', "malformed"),
    "lone surrogate, escaped": (b'{"type":"race_join","payload":{"race":"\\ud800"}}', "malformed"),
    "lone surrogate, raw": (b'{"type":"race_join","payload":{"race":"\xed\xa0\x80"}}', "malformed"),
    "NaN": (b'{"type":"move","payload":{"epoch":1,"seq":1,"t":1,"x":NaN,"z":1,"yaw":0,"vx":0,"vz":0}}', "malformed"),
    "1e308": (
        b'{"type":"move","payload":{"epoch":1,"seq":1,"t":1,"x":1e308,"z":1,"yaw":0,"vx":0,"vz":0}}',
        "malformed",
    ),
    "1e999": (
        b'{"type":"move","payload":{"epoch":1,"seq":1,"t":1,"x":1e999,"z":1,"yaw":0,"vx":0,"vz":0}}',
        "malformed",
    ),
    "bool": (b'{"type":"move","payload":{"epoch":1,"seq":1,"t":1,"x":true,"z":1,"yaw":0,"vx":0,"vz":0}}', "malformed"),
    "unknown key": (b'{"type":"leave","payload":{"colour":1}}', "malformed"),
    "empty": (b"", "malformed"),
    "unknown type": (b'{"type":"nonesuch"}', "unknown_type"),
    "a server's type": (b'{"type":"snapshot","payload":{}}', "unknown_type"),
    "not in the world": (b'{"type":"enter"}', "not_allowed"),
}


def _run(
    scenario: Callable[[SocketShard, SocketClient], Awaitable[None]], *, enter: bool = True, samples: int = 0
) -> None:
    """A scenario with one client in the world; only so many samples may reach its ring."""

    async def main() -> None:
        async with SocketShard.open() as shard, SocketClient.connect(shard) as client:
            if enter:
                await client.authenticate(0)
                await client.enter(shard)
            before = int(shard.memory.ring.heads.sum())
            await asyncio.wait_for(scenario(shard, client), 20.0)
            assert int(shard.memory.ring.heads.sum()) - before == samples

    asyncio.run(main())


async def _error(client: SocketClient) -> Error:
    while True:
        message = await client.receive()
        if isinstance(message, Error):
            return message
        assert isinstance(message, Snapshot)


async def _close(client: SocketClient) -> tuple[int, list[str]]:
    """The close code, and the errors that came before it."""
    errors: list[str] = []

    async def read() -> None:
        while True:
            message = decode_server(await client.socket.recv(decode=False))
            if isinstance(message, Error):
                errors.append(message.payload.code)

    with pytest.raises(ConnectionClosed) as closed:
        await read()
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, errors


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_message_is_answered_and_the_player_drives_on(name: str) -> None:
    data, code = REFUSED[name]

    async def scenario(_shard: SocketShard, client: SocketClient) -> None:
        await client.socket.send(data, text=True)
        error = await _error(client)
        assert error.payload.code == code
        assert error.re is None
        await client.socket.send(encode(Leave(id=5)), text=True)
        while not isinstance(message := await client.receive(), Lobby):
            pass
        assert message.re == 5

    _run(scenario)


def test_a_good_move_does_reach_the_ring() -> None:
    async def scenario(_shard: SocketShard, client: SocketClient) -> None:
        await client.socket.send(client.move(10, 10), text=True)
        await client.socket.send(b"{", text=True)
        await _error(client)

    _run(scenario, samples=1)


def test_the_third_bad_message_ends_the_connection() -> None:
    async def scenario(_shard: SocketShard, client: SocketClient) -> None:
        for _ in range(3):
            await client.socket.send("{", text=True)
        assert await _close(client) == (CloseCode.MALFORMED, ["malformed"] * 3)

    _run(scenario)


@pytest.mark.parametrize(
    ("data", "text", "code"),
    [
        (b'{"type":"leave"}', False, CloseCode.UNSUPPORTED),
        (TOO_BIG, True, CloseCode.TOO_BIG),
        ([b"{"] + [b""] * 5000 + [b"}"], True, CloseCode.TOO_BIG),
    ],
    ids=["binary", "16 KiB + 1", "5,000 empty fragments"],
)
@pytest.mark.parametrize("enter", [True, False], ids=["in the world", "as the first message"])
def test_what_is_no_message_at_all_closes(
    data: bytes | Iterable[bytes], text: bool, code: CloseCode, enter: bool
) -> None:
    async def scenario(_shard: SocketShard, client: SocketClient) -> None:
        sending = asyncio.create_task(client.socket.send(data, text=text))
        assert (await _close(client))[0] == code
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)

    _run(scenario, enter=enter)


def test_the_largest_message_is_read() -> None:
    async def scenario(_shard: SocketShard, client: SocketClient) -> None:
        await client.socket.send(TOO_BIG[:-1], text=True)
        assert (await _error(client)).payload.code == "unknown_type"

    _run(scenario)


@pytest.mark.parametrize(
    ("data", "code", "error"),
    [
        (b'{"type":"enter"}', CloseCode.AUTH_FAILED, "auth_failed"),
        (b'{"type":"auth","payload":{"token":"no"}}', CloseCode.AUTH_FAILED, "auth_failed"),
        (b"{", CloseCode.MALFORMED, "malformed"),
        (b"{}", CloseCode.MALFORMED, "malformed"),
        (b"[]", CloseCode.MALFORMED, "malformed"),
        (b'{"type":"auth\xff"}', CloseCode.MALFORMED, "malformed"),
        (b'{"type":"auth","payload":{"token":5}}', CloseCode.MALFORMED, "malformed"),
        (b'{"type":"hello"}', CloseCode.MALFORMED, "unknown_type"),
    ],
)
def test_before_auth_one_mistake_is_enough(data: bytes, code: CloseCode, error: str) -> None:
    async def scenario(_shard: SocketShard, client: SocketClient) -> None:
        await client.socket.send(data, text=True)
        assert await _close(client) == (code, [error])

    _run(scenario, enter=False)


def test_a_client_that_stops_sending_without_a_word_does_not_stop_the_tick() -> None:
    """Between the end of the client's stream and the loss of the socket a tick may fall: it must not write there."""

    async def scenario() -> None:
        async with SocketShard.open() as shard, SocketClient.connect(shard) as client:
            await client.authenticate(0)
            await client.enter(shard)
            occupant = shard.realm.occupant(client.player)
            assert occupant is not None
            connection = occupant.client
            assert isinstance(connection, Connection)
            shard.tick()
            connection.eof_received()  # what the loop calls when the client has shut down its side
            shard.put(client.player, 100, 100)
            shard.tick()
            shard.tick()

    asyncio.run(scenario())
