"""Sessions over real sockets: first messages, duplicate sessions, resume, the queue, tokens that run out, presence."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from scripts.mint_token import mint
from shard.access.connection import Connection
from shard.players.reception import TAKEOVERS_PER_MINUTE, HouseRules
from shared.constants import FLAG_AWAY, FLAG_GHOST
from shared.messages import (
    Auth,
    AuthPayload,
    CloseCode,
    Enter,
    EnterPayload,
    Error,
    Leave,
    Lobby,
    Notice,
    Placed,
    PlacedPayload,
    Queued,
    QueuedPayload,
    ServerMessage,
    Snapshot,
    Welcome,
    decode_server,
    encode,
)
from tests.socket_shard import SECRET, SocketClient, SocketShard, player_id, token

SETTLE_S = 0.02


def run(scenario: Callable[[SocketShard], Awaitable[None]], **how: object) -> None:
    """A scenario on a shard of its own; the settings are those of SocketShard."""

    async def main() -> None:
        async with SocketShard.open(**how) as shard:  # type: ignore[arg-type]
            await asyncio.wait_for(scenario(shard), 30.0)

    asyncio.run(main())


async def ticks(shard: SocketShard, count: int = 3) -> None:
    """Some ticks, with time for the sockets between them."""
    for _ in range(count):
        await asyncio.sleep(SETTLE_S / 4)
        shard.tick()
    await asyncio.sleep(SETTLE_S)


async def until(client: SocketClient, kind: type[ServerMessage]) -> ServerMessage:
    """The next message of this kind; snapshots before it do not count."""
    while True:
        message = await client.receive()
        if type(message) is kind:
            return message
        assert isinstance(message, Snapshot | Placed), message


async def end_of(client: SocketClient) -> tuple[int, list[str]]:
    """The close code, and the errors before it."""
    errors: list[str] = []

    async def read() -> None:
        while True:
            message = decode_server(await client.socket.recv(decode=False))
            if isinstance(message, Error):
                errors.append(message.payload.code)

    with pytest.raises(ConnectionClosed) as closed:
        await asyncio.wait_for(read(), 10.0)
    return (closed.value.rcvd.code if closed.value.rcvd else 1006), errors


@contextlib.asynccontextmanager
async def driver(shard: SocketShard, number: int, x: float = 100.0, z: float = 100.0) -> AsyncIterator[SocketClient]:
    """A client in the world, at a place."""
    async with SocketClient.connect(shard) as client:
        await client.authenticate(number)
        await client.enter(shard)
        shard.put(client.player, x, z)
        await ticks(shard)
        client.epoch = int(shard.memory.table.committed("epoch")[shard.body(client.player).slot])
        yield client


def cut(client: SocketClient) -> None:
    """Lose the connection without a word."""
    client.socket.transport.abort()


def flags(shard: SocketShard, player: str) -> int:
    return int(shard.memory.table.committed("flags")[shard.body(player).slot])


def expires_at_s(shard: SocketShard, client: SocketClient) -> float:
    """When the token of a connection runs out."""
    peer = shard.reception.guests[client.player].peer
    assert peer is not None
    return peer.session.expires_at_s


def bodies(shard: SocketShard, player: str) -> int:
    """Rows of the table that are owned and belong to the player."""
    table = shard.memory.table
    return int(np.count_nonzero((table.player == player.encode()) & (table.owner >= 0)))


async def back(shard: SocketShard, client: SocketClient, number: int) -> tuple[Welcome, PlacedPayload | None]:
    """Authenticate; the welcome, and the ``placed`` of a resume."""
    client.player = player_id(number)
    await client.send(Auth(AuthPayload(token(number))))
    welcome = await client.receive()
    assert isinstance(welcome, Welcome), welcome
    if not welcome.payload.resumed:
        assert isinstance(await client.receive(), Lobby)
        return welcome, None
    await ticks(shard, 2)
    placed = await until(client, Placed)
    assert isinstance(placed, Placed)
    client.epoch = placed.payload.epoch
    return welcome, placed.payload


# --- first messages (notes, section F)


def test_two_auths_in_one_segment_are_one_login_and_one_refresh() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with SocketClient.connect(shard) as client:
            first, second = (encode(Auth(AuthPayload(token(0)), id=number)) for number in (1, 2))
            await asyncio.gather(client.socket.send(first, text=True), client.socket.send(second, text=True))
            messages = [await client.receive() for _ in range(3)]
            assert [type(message) for message in messages] == [Welcome, Lobby, Welcome]
            assert (messages[0].re, messages[2].re) == (1, 2)  # type: ignore[union-attr]

    run(scenario)


def test_a_message_in_the_segment_of_auth_waits_for_the_verdict() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with SocketClient.connect(shard) as client:
            texts = encode(Auth(AuthPayload(token(0)))), encode(Enter(EnterPayload())), client.move(1.0, 1.0)
            await asyncio.gather(*(client.socket.send(text, text=True) for text in texts))
            assert isinstance(await client.receive(), Welcome)
            assert isinstance(await client.receive(), Lobby)
            await ticks(shard)
            assert isinstance(await until(client, Placed), Placed)

    run(scenario)


@pytest.mark.parametrize("code", ["auth_failed", "token_expired"])
def test_a_bad_refresh_leaves_the_old_token(code: str) -> None:
    async def scenario(shard: SocketShard) -> None:
        async with driver(shard, 0) as client:
            before_s = expires_at_s(shard, client)
            expired = mint(SECRET, client.player, time.time() - 7200.0)
            await client.send(Auth(AuthPayload("a.b.c" if code == "auth_failed" else expired), id=5))
            error = await until(client, Error)
            assert isinstance(error, Error)
            assert (error.payload.code, error.re) == (code, 5)
            await ticks(shard)
            assert shard.realm.occupant(client.player) is not None
            assert expires_at_s(shard, client) == before_s
            await client.send(Leave(id=6))
            assert (await until(client, Lobby)).re == 6  # type: ignore[union-attr]

    run(scenario)


def test_a_refresh_is_answered_by_a_welcome_alone() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with driver(shard, 0) as client:
            await client.send(Auth(AuthPayload(token(0, 7200)), id=6))
            welcome = await until(client, Welcome)
            assert isinstance(welcome, Welcome)
            assert (welcome.re, welcome.payload.resumed) == (6, False)
            assert abs(welcome.payload.expires_at_ms / 1000 - shard.reception.now_s - 7200) < 5.0, "exp of the token"
            assert shard.realm.occupant(client.player) is not None

    run(scenario)


def test_a_refresh_with_another_players_token_closes_4403() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with driver(shard, 0) as client:
            await client.send(Auth(AuthPayload(token(1))))
            assert await end_of(client) == (CloseCode.FORBIDDEN, ["forbidden"])

    run(scenario)


# --- resume


def test_after_a_lost_socket_the_same_car_is_given_back() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with driver(shard, 1, 110.0, 100.0) as watcher:
            async with driver(shard, 0) as client:
                slot, player = shard.body(client.player).slot, client.player
                moves = [client.move(100.0 + number, 100.0) for number in range(3)]
                for data in moves:
                    await client.socket.send(data, text=True)
                await asyncio.sleep(SETTLE_S)
                cut(client)
                await asyncio.sleep(SETTLE_S)
                await ticks(shard)
            assert flags(shard, player) == FLAG_AWAY | FLAG_GHOST
            assert shard.memory.table.committed("pos")[slot, 0] == 102.0, "what was sent before the loss is judged"
            rows: list[int] = []
            with contextlib.suppress(TimeoutError):
                while True:
                    shown = await watcher.receive(0.1)
                    if isinstance(shown, Snapshot):
                        rows += [row.flags for cell in shown.payload.cells for row in cell.at if row.slot == slot]
            assert rows[-1] == FLAG_AWAY | FLAG_GHOST, "the watcher sees it"
            async with SocketClient.connect(shard) as again:
                welcome, placed = await back(shard, again, 0)
                assert welcome.payload.resumed
                assert placed is not None
                assert (placed.slot, placed.reason, placed.x, placed.z) == (slot, "resume", 102.0, 100.0)
                assert placed.epoch != client.epoch
                await ticks(shard)
                snapshot = await until(again, Snapshot)
                assert isinstance(snapshot, Snapshot)
                assert snapshot.payload.reset, "interest starts anew"
                assert flags(shard, player) == 0
                await again.socket.send(again.move(103.0, 100.0), text=True)
                await asyncio.sleep(SETTLE_S)
                shard.tick()
                assert shard.memory.table.committed("pos")[slot, 0] == 103.0
            assert bodies(shard, player) == 1

    run(scenario)


def test_velocity_survives_a_resume() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with driver(shard, 0) as client:
            await client.socket.send(client.move(101.0, 100.0).replace(b'"vx":0.0', b'"vx":9.0'), text=True)
            await asyncio.sleep(SETTLE_S)
            cut(client)
            await asyncio.sleep(SETTLE_S)
            await ticks(shard)
        async with SocketClient.connect(shard) as again:
            _, placed = await back(shard, again, 0)
            assert placed is not None
            assert placed.vx == 9.0

    run(scenario)


def test_a_hold_that_ends_takes_the_car_away() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with driver(shard, 0) as client:
            cut(client)
            await asyncio.sleep(SETTLE_S)
            await ticks(shard)
        assert shard.reception.roster.page().counts["away"] == 1
        await asyncio.sleep(1.2)
        await ticks(shard)
        await asyncio.sleep(1.1)
        await ticks(shard)
        assert bodies(shard, player_id(0)) == 0
        assert shard.reception.online == 0
        async with SocketClient.connect(shard) as again:
            welcome, _ = await back(shard, again, 0)
            assert not welcome.payload.resumed

    run(scenario, rules=HouseRules(resume_s=1.0))


def test_who_leaves_is_not_resumed() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with driver(shard, 0) as client:
            await client.send(Leave())
            await until(client, Lobby)
            cut(client)
            await asyncio.sleep(SETTLE_S)
        async with SocketClient.connect(shard) as again:  # before any tick: the release is under way
            welcome, _ = await back(shard, again, 0)
            assert not welcome.payload.resumed
            await ticks(shard)
            assert bodies(shard, player_id(0)) == 0

    run(scenario)


def test_another_player_does_not_get_the_car() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with driver(shard, 0) as client:
            cut(client)
            await asyncio.sleep(SETTLE_S)
        async with SocketClient.connect(shard) as other:
            welcome, _ = await back(shard, other, 1)
            assert not welcome.payload.resumed

    run(scenario)


# --- the same player twice


def test_a_newer_connection_takes_over_and_the_older_is_told_first(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    send, end = Connection.send, Connection.end

    def send_and_note(connection: Connection, message: ServerMessage) -> None:
        if isinstance(message, Error | Welcome):
            said.append(type(message).__name__)
        send(connection, message)

    def end_and_note(connection: Connection, code: CloseCode, reason: str) -> None:
        said.append(f"end {int(code)}")
        end(connection, code, reason)

    async def scenario(shard: SocketShard) -> None:
        async with driver(shard, 0) as older, SocketClient.connect(shard) as newer:
            slot = shard.body(older.player).slot
            monkeypatch.setattr(Connection, "send", send_and_note)
            monkeypatch.setattr(Connection, "end", end_and_note)
            welcome, placed = await back(shard, newer, 0)
            assert said[:3] == ["Error", "end 4409", "Welcome"]
            assert welcome.payload.resumed
            assert placed is not None
            assert placed.slot == slot
            assert await end_of(older) == (CloseCode.REPLACED, ["replaced"])
            assert bodies(shard, newer.player) == 1

    run(scenario)


def test_two_connections_in_the_same_tick_leave_one_body() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with driver(shard, 0) as client:
            cut(client)
            await asyncio.sleep(SETTLE_S)
        async with SocketClient.connect(shard) as one, SocketClient.connect(shard) as other:
            data = encode(Auth(AuthPayload(token(0))))
            await asyncio.gather(one.socket.send(data, text=True), other.socket.send(data, text=True))
            await asyncio.sleep(SETTLE_S)
            await ticks(shard)
            ends = await asyncio.gather(until_placed_or_end(one), until_placed_or_end(other))
            assert sorted(ends) == ["4409", "resume"]
            assert bodies(shard, player_id(0)) == 1

    run(scenario)


async def until_placed_or_end(client: SocketClient) -> str:
    """How it ended for one of two."""
    try:
        while True:
            message = await client.receive()
            if isinstance(message, Placed):
                return message.payload.reason
    except ConnectionClosed as closed:
        return str(closed.rcvd.code if closed.rcvd else 1006)


def test_a_takeover_during_a_handoff_keeps_the_one_body() -> None:
    async def scenario(shard: SocketShard) -> None:
        border = float(shard.zone_map.rects_m[0][2])
        async with driver(shard, 0, border - 5.0) as older:
            slot = shard.body(older.player).slot
            owner = int(shard.memory.table.owner[slot])
            await older.socket.send(older.move(border + 20.0, 100.0), text=True)
            await asyncio.sleep(SETTLE_S)
            shard.tick()  # the zone names its target: the next boundary hands over
            async with SocketClient.connect(shard) as newer:
                _, placed = await back(shard, newer, 0)
                assert placed is not None
                assert (placed.slot, placed.x) == (slot, border + 20.0)
                assert int(shard.memory.table.owner[slot]) != owner
                assert bodies(shard, older.player) == 1

    run(scenario, size_m=512)


def test_takeovers_are_limited_and_the_last_one_stays() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(driver(shard, 0))
            for _ in range(TAKEOVERS_PER_MINUTE):
                client = await stack.enter_async_context(SocketClient.connect(shard))
                welcome, _ = await back(shard, client, 0)
                assert welcome.payload.resumed
            for _ in range(15):
                late = await stack.enter_async_context(SocketClient.connect(shard))
                await late.send(Auth(AuthPayload(token(0))))
                error = await late.receive()
                assert isinstance(error, Error)
                assert error.payload.code == "rate_limited"
                assert 0 < (error.payload.retry_after_ms or 0) <= 60_000
                assert (await end_of(late))[0] == CloseCode.RATE_LIMITED
            assert bodies(shard, client.player) == 1
            await client.send(Leave(id=3))
            lobby = await until(client, Lobby)
            assert lobby.re == 3  # type: ignore[union-attr]

    run(scenario)


def test_twenty_connections_at_once_leave_one_car_and_one_driver() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with contextlib.AsyncExitStack() as stack:
            first = await stack.enter_async_context(driver(shard, 0))
            slot = shard.body(first.player).slot
            newcomers = [await stack.enter_async_context(SocketClient.connect(shard)) for _ in range(20)]
            data = encode(Auth(AuthPayload(token(0))))
            await asyncio.gather(*(each.socket.send(data, text=True) for each in newcomers))
            for _ in range(20):  # a second of ticks, all of it inside the quarrel
                await asyncio.sleep(SETTLE_S / 4)
                shard.tick()
                assert bodies(shard, first.player) == 1
            ends = await asyncio.gather(*(until_over_or_quiet(each) for each in newcomers))
            assert ends.count("4429") == 20 - TAKEOVERS_PER_MINUTE
            assert ends.count("4409") == TAKEOVERS_PER_MINUTE - 1
            assert ends.count("here") == 1
            assert shard.body(first.player).slot == slot
            assert await end_of(first) == (CloseCode.REPLACED, ["replaced"])

    run(scenario)


async def until_over_or_quiet(client: SocketClient) -> str:
    """The close code of a connection that was ended; "here" for one that goes on."""
    try:
        while True:
            await client.receive(timeout_s=0.5)
    except TimeoutError:
        return "here"
    except ConnectionClosed as closed:
        return str(closed.rcvd.code if closed.rcvd else 1006)


# --- the queue


def test_a_full_world_queues_in_order_and_lets_in() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with contextlib.AsyncExitStack() as stack:
            inside = await stack.enter_async_context(driver(shard, 0))
            waiting = []
            for number in (1, 2):
                client = await stack.enter_async_context(SocketClient.connect(shard))
                await client.authenticate(number)
                await client.send(Enter(EnterPayload(), id=9))
                queued = await client.receive()
                assert isinstance(queued, Queued)
                assert (queued.payload.position, queued.payload.of, queued.re) == (number, number, 9)
                waiting.append(client)
            third = await stack.enter_async_context(SocketClient.connect(shard))
            await third.authenticate(3)
            await third.send(Enter(EnterPayload()))
            error = await third.receive()
            assert isinstance(error, Error)
            assert error.payload.code == "world_full"
            await inside.send(Leave())
            await until(inside, Lobby)
            await ticks(shard)
            placed = await until_after_queue(waiting[0])
            assert placed.reason == "enter"
            await asyncio.sleep(1.05)  # at most once per second
            await ticks(shard)
            told = await until_told(waiting[1])
            assert (told.position, told.of) == (1, 1)
            await waiting[1].send(Leave())
            while not isinstance(message := await waiting[1].receive(), Lobby):
                assert isinstance(message, Queued)

    run(scenario, players=1, rules=HouseRules(queue_max=2))


async def until_told(client: SocketClient) -> QueuedPayload:
    """The last thing that a waiting client has been told of its place."""
    told: list[QueuedPayload] = []
    with contextlib.suppress(TimeoutError):
        while True:
            message = await client.receive(0.2)
            assert isinstance(message, Queued), message
            told.append(message.payload)
    return told[-1]


async def until_after_queue(client: SocketClient) -> PlacedPayload:
    while True:
        message = await client.receive()
        if isinstance(message, Placed):
            return message.payload
        assert isinstance(message, Queued), message


def test_an_idle_driver_makes_room_for_those_who_wait() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with driver(shard, 0) as idler, SocketClient.connect(shard) as client:
            await client.authenticate(1)
            await client.send(Enter(EnterPayload()))
            assert isinstance(await client.receive(), Queued)
            for _ in range(4):
                await asyncio.sleep(0.6)
                await ticks(shard)
            lobby = await until(idler, Lobby)
            assert isinstance(lobby, Lobby)
            assert lobby.payload.reason == "idle"
            assert (await until_after_queue(client)).reason == "enter"

    run(scenario, players=1, rules=HouseRules(idle_s=0.5))


# --- tokens that run out


def test_a_token_that_runs_out_is_announced_and_then_ends_the_connection_with_the_car_held() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with driver(shard, 0) as client:
            session = shard.reception.guests[client.player].peer
            assert session is not None
            session.session.expires_at_s = shard.reception.now_s + 65.0
            await asyncio.sleep(1.05)
            await ticks(shard)
            assert not shard.reception.guests[client.player].warned, "it has more than a minute"
            session.session.expires_at_s = shard.reception.now_s + 59.0
            await asyncio.sleep(1.05)
            await ticks(shard)
            notice = await until(client, Notice)
            assert isinstance(notice, Notice)
            assert notice.payload.code == "auth_expiring"
            await asyncio.sleep(1.05)
            await ticks(shard)
            await client.send(Auth(AuthPayload(token(0, 55)), id=8))
            welcome = await until(client, Welcome)  # which would not be next, were it told a second time
            assert isinstance(welcome, Welcome)
            await asyncio.sleep(1.05)
            await ticks(shard)
            assert isinstance(await until(client, Notice), Notice), "of the new token, which is as short"
            session.session.expires_at_s = shard.reception.now_s - 29.0
            await ticks(shard)
            assert shard.reception.guests[client.player].peer is session, "the grace is not over"
            session.session.expires_at_s = shard.reception.now_s - 31.0
            await asyncio.sleep(1.05)
            await ticks(shard)
            assert await end_of(client) == (CloseCode.TOKEN_EXPIRED, ["token_expired"])
            assert flags(shard, client.player) & FLAG_AWAY
        async with SocketClient.connect(shard) as again:
            assert (await back(shard, again, 0))[0].payload.resumed

    run(scenario)


# --- the deny file


def test_the_deny_file_removes_at_once_and_refuses_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "denied"

    async def scenario(shard: SocketShard) -> None:
        async with driver(shard, 0) as client:
            path.write_text(f"{player_id(0)}  # ramming\n")
            await asyncio.sleep(1.05)
            await ticks(shard)
            assert await end_of(client) == (CloseCode.FORBIDDEN, ["forbidden"])
            await ticks(shard)
            assert bodies(shard, client.player) == 0
        async with SocketClient.connect(shard) as again:
            await again.send(Auth(AuthPayload(token(0))))
            assert await end_of(again) == (CloseCode.FORBIDDEN, ["forbidden"])

    run(scenario, flags=["--deny-file", str(path)])
