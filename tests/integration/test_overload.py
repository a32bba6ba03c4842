"""Players are told over their sockets what an overloaded shard gives up, and when all is as it was."""

from __future__ import annotations

import asyncio
import math

from shard.fleet.shedding import Load, Shed
from shared.messages import Enter, EnterPayload, Notice, Placed, Queued, ServerMessage, Snapshot
from tests.socket_shard import SocketClient, SocketShard


async def heard(client: SocketClient) -> ServerMessage:
    """The next message that is no snapshot."""
    while isinstance(message := await client.receive(), Snapshot):
        pass
    return message


def test_those_who_are_in_are_told_and_those_who_come_wait_until_the_door_opens() -> None:
    async def play() -> None:
        async with (
            SocketShard.open(zones=1) as shard,
            SocketClient.connect(shard) as inside,
            SocketClient.connect(shard) as outside,
        ):
            await inside.authenticate(1)
            await inside.enter(shard)
            await outside.authenticate(2)
            relief = shard.realm.relief
            relief.load = Load(Shed.DETAIL, late_share=1.0, changed_ms=-math.inf)
            shard.tick()
            for client in (inside, outside):
                message = await heard(client)
                assert isinstance(message, Notice)
                assert (message.payload.code, "nobody is let in" in message.payload.message) == ("degraded", True)
            await outside.send(Enter(EnterPayload()))
            message = await heard(outside)
            assert isinstance(message, Queued)
            for _ in range(3):
                shard.tick()
            assert shard.realm.occupant(outside.player) is None
            relief.load = Load(Shed.DETAIL, late_share=0.0, changed_ms=-math.inf)
            for _ in range(3):
                shard.tick()
            told = [await heard(outside), await heard(outside)]
            assert {type(message) for message in told} == {Notice, Placed}
            [notice] = [message for message in told if isinstance(message, Notice)]
            assert notice.payload.code == "restored"

    asyncio.run(play())
