"""Players of a zone that cannot live are told so over their sockets, and may come back."""

from __future__ import annotations

import asyncio
import contextlib

from shared.messages import Enter, EnterPayload, Lobby, Queued, Snapshot
from tests.socket_shard import SocketClient, SocketShard
from tests.stepper import InlineZone


def test_players_who_are_moved_out_are_in_the_lobby_and_may_enter_again() -> None:
    async def play() -> None:
        async with SocketShard.open(zones=1) as shard, SocketClient.connect(shard) as client:
            await client.authenticate(1)
            await client.enter(shard)
            async with SocketClient.connect(shard) as lost:
                await lost.authenticate(2)
                await lost.enter(shard)
            while shard.reception.guests[lost.player].peer is not None:
                await asyncio.sleep(0.001)
            link = shard.links[0]
            assert isinstance(link, InlineZone)
            link.dies = "told"
            shard.realm.begin_tick(shard.clock.now_ms())
            shard.collect()
            assert shard.realm.evacuate(0) == 2
            shard.replace(0)
            shard.realm.end_tick()
            shard.rounds.ticked()
            while isinstance(message := await client.receive(), Snapshot):
                pass
            assert isinstance(message, Lobby)
            assert message.payload.reason == "removed"
            assert lost.player not in shard.reception.guests, "nobody is there to be told"
            shard.tick()
            await client.enter(shard)

    asyncio.run(play())


def test_who_was_moved_out_goes_before_those_who_wait_for_their_first_car() -> None:
    async def play() -> None:
        async with contextlib.AsyncExitStack() as stack:
            shard = await stack.enter_async_context(SocketShard.open(zones=1, players=1))
            driver, first, second = [await stack.enter_async_context(SocketClient.connect(shard)) for _ in range(3)]
            for number, client in enumerate((driver, first, second)):
                await client.authenticate(number)
            await driver.enter(shard)
            for client in (first, second):
                await client.send(Enter(EnterPayload()))
                assert isinstance(await client.receive(), Queued)
            link = shard.links[0]
            assert isinstance(link, InlineZone)
            link.dies = "told"
            shard.realm.begin_tick(shard.clock.now_ms())
            shard.collect()
            assert shard.realm.evacuate(0) == 1
            shard.replace(0)
            shard.realm.end_tick()
            while not isinstance(await driver.receive(), Lobby):
                pass
            await driver.send(Enter(EnterPayload(), id=4))
            queued = await driver.receive()
            assert isinstance(queued, Queued)
            assert (queued.payload.position, queued.payload.of, queued.re) == (1, 3, 4)
            while shard.realm.occupant(driver.player) is None:
                await asyncio.sleep(0.01)
                shard.tick()
            assert not shard.reception.guests[driver.player].owed, "once"
            assert shard.realm.occupant(first.player) is None

    asyncio.run(play())
