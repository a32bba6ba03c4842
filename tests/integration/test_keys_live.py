"""Keys from an address while players come and go: rotation, and key servers that fail, hang, redirect and lie."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from shard.access.auth import KeyPools, load_keys
from shard.access.key_set import fetch_key_set, key_set_address
from shard.access.keys import KeyStore
from shared.messages import Auth, AuthPayload, CloseCode, Error, Lobby, ServerMessage, Welcome
from tests.fakes.key_server import KeyServer, Mode, SigningKey
from tests.socket_shard import SECRET, SocketClient, SocketShard, player_id, token

OLD, NEW, FOREIGN = (SigningKey.make(kid) for kid in ("old", "new", "foreign"))


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with KeyServer(OLD) as made:
        yield made


def store(server: KeyServer, configured: KeyPools | None = None) -> KeyStore:
    """The keys of that server, loaded; a fetch gives up after half a second."""
    configured = configured or load_keys({})
    address = key_set_address({"SUPABASE_JWKS_URL": server.url}, configured)
    made = KeyStore(configured, address, wait_s=0.5, fetch=lambda where: fetch_key_set(where, 0.4))
    made.load()
    return made


@contextlib.asynccontextmanager
async def client_of(keys: KeyStore) -> AsyncIterator[SocketClient]:
    async with SocketShard.open(keys=keys) as shard, SocketClient.connect(shard) as client:
        yield client


async def login(client: SocketClient, text: str) -> ServerMessage:
    """What a token is answered with."""
    await client.send(Auth(AuthPayload(text), id=1))
    return await client.receive()


def of(key: SigningKey, number: int = 0) -> str:
    return key.token(player_id(number), time.time())


def test_a_key_of_the_set_admits(server: KeyServer) -> None:
    async def scenario() -> None:
        async with client_of(store(server)) as client:
            assert isinstance(await login(client, of(OLD)), Welcome)

    asyncio.run(scenario())


def test_after_a_rotation_old_and_new_tokens_admit_without_a_restart(server: KeyServer) -> None:
    async def scenario() -> None:
        keys = store(server)
        keys._tried_s -= 60.0  # the start lies a minute back
        server.rotate(OLD, NEW)
        async with SocketShard.open(keys=keys) as shard, contextlib.AsyncExitStack() as stack:
            for number, key in enumerate((NEW, OLD, NEW)):
                client = await stack.enter_async_context(SocketClient.connect(shard))
                assert isinstance(await login(client, of(key, number)), Welcome)
        assert server.requests == 2

    asyncio.run(scenario())


def test_unknown_keys_cost_one_fetch_however_many_come(server: KeyServer) -> None:
    async def scenario() -> None:
        keys = store(server)
        keys._tried_s -= 60.0
        async with SocketShard.open(keys=keys) as shard, contextlib.AsyncExitStack() as stack:
            for number in range(30):
                client = await stack.enter_async_context(SocketClient.connect(shard))
                bad = SigningKey(f"invented-{number}", FOREIGN.key)
                error = await login(client, of(bad))
                assert isinstance(error, Error)
                assert error.payload.code == "auth_failed"
        assert server.requests == 2

    asyncio.run(scenario())


@pytest.mark.parametrize("mode", ["fail", "hang", "redirect", "garbage", "oversized", "drip", "close", "cut"])
def test_while_the_server_misbehaves_old_keys_hold_and_unknown_ones_are_told_to_wait(
    server: KeyServer, mode: Mode
) -> None:
    async def scenario() -> None:
        keys = store(server)
        keys._tried_s -= 60.0
        server.mode = mode
        async with SocketShard.open(keys=keys) as shard:
            async with SocketClient.connect(shard) as client:
                error = await login(client, of(NEW))
                assert isinstance(error, Error)
                assert (error.payload.code, error.re) == ("not_ready", 1)
                assert error.payload.retry_after_ms is not None
                await client.socket.wait_closed()
                assert client.socket.close_code == CloseCode.OVERLOADED
            async with SocketClient.connect(shard) as client:
                assert isinstance(await login(client, of(OLD)), Welcome)

    asyncio.run(scenario())


def test_while_a_token_waits_for_the_set_its_socket_is_not_read(server: KeyServer) -> None:
    async def scenario() -> None:
        keys = store(server)
        keys._tried_s -= 60.0
        server.mode = "hang"
        async with SocketShard.open(keys=keys) as shard, SocketClient.connect(shard) as client:
            await client.send(Auth(AuthPayload(of(NEW))))
            await asyncio.sleep(0.1)
            [connection] = shard.gateway._server.connections  # type: ignore[union-attr]
            assert not connection.transport.is_reading()

    asyncio.run(scenario())


def test_an_oct_key_in_the_set_does_not_admit(server: KeyServer) -> None:
    """Its secret is public: whoever reads the set could sign with it."""

    async def scenario() -> None:
        with KeyServer(OLD, mode="with_oct") as lying:
            async with client_of(store(lying)) as client:
                error = await login(client, token(0))
                assert isinstance(error, Error)
                assert error.payload.code == "auth_failed"

    asyncio.run(scenario())


def test_guests_can_be_kept_out() -> None:
    async def scenario() -> None:
        pools = replace(load_keys({"SUPABASE_JWKS": f'{{"keys": [{_json(OLD)}]}}'}), allow_anonymous=False)
        async with client_of(KeyStore(pools)) as client:
            guest = OLD.token(player_id(0), time.time(), is_anonymous=True)
            error = await login(client, guest)
            assert isinstance(error, Error)
            assert error.payload.code == "forbidden"

    asyncio.run(scenario())


def test_a_secret_beside_the_set_admits_too(server: KeyServer) -> None:
    async def scenario() -> None:
        async with client_of(store(server, load_keys({"SUPABASE_JWT_SECRET": SECRET}))) as client:
            assert isinstance(await login(client, token(0)), Welcome)
            assert isinstance(await client.receive(), Lobby)

    asyncio.run(scenario())


def _json(key: SigningKey) -> str:
    import json

    return json.dumps(key.jwk())
