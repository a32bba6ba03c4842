"""Corrections and removal over a real socket."""

from __future__ import annotations

import asyncio

import pytest
from websockets.exceptions import ConnectionClosed

from shard.conduct.leniency import Leniency
from shared.messages import CloseCode, Error, Placed, ServerMessage
from tests.socket_shard import SocketClient, SocketShard, player_id


async def _tick_until(
    shard: SocketShard, client: SocketClient, kinds: tuple[type[ServerMessage], ...]
) -> ServerMessage:
    """Tick until a message of one of ``kinds`` is here. Raises ConnectionClosed."""
    while True:
        await asyncio.sleep(0.002)
        shard.tick()
        try:
            message = await client.receive(0.02)
        except TimeoutError:
            continue
        if isinstance(message, kinds):
            return message


@pytest.mark.parametrize("mode", ["enforce", "observe"])
def test_a_cheat_is_set_back_then_removed_with_4428_and_only_when_enforced(mode: str) -> None:
    async def scenario() -> None:
        async with SocketShard.open(anticheat=mode, size_m=1024) as shard, SocketClient.connect(shard) as client:  # type: ignore[arg-type]
            shard.realm.barrier.leniency = Leniency(1e9)  # this shard ticks when it likes: that is no lateness
            await client.authenticate(1)
            placed = await client.enter(shard)
            corrections: list[Placed] = []
            removed: Error | None = None
            for number in range(40):
                x, z = placed.payload.x, placed.payload.z
                far = 400.0 if x < 512 else -400.0
                back = mode == "observe" and number % 2 == 1
                await client.socket.send(client.move(x if back else x + far, z), text=True)
                if mode == "observe":
                    await asyncio.sleep(0.005)
                    shard.tick()
                    continue
                message = await _tick_until(shard, client, (Placed, Error))
                if isinstance(message, Error):
                    removed = message
                    break
                assert isinstance(message, Placed)
                corrections.append(message)
                placed, client.epoch = message, message.payload.epoch
            if mode == "observe":
                assert shard.realm.conduct.counts["teleport"] + shard.realm.conduct.counts["late"] > 0
                assert shard.realm.occupant(player_id(1)) is not None
                return
            assert len(corrections) >= 6
            for number, message in enumerate(corrections, start=1):
                assert message.payload.reason == "correction"
                assert message.payload.check in ("teleport", "late")
                assert message.payload.seq == number
            assert removed is not None
            assert removed.payload.code == "removed"
            with pytest.raises(ConnectionClosed) as closed:
                await client.receive()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == CloseCode.REMOVED
            assert shard.realm.occupant(player_id(1)) is None, "its car is gone, not held"
            assert shard.realm.conduct.removals == 1
            assert player_id(1) not in shard.reception.guests

    asyncio.run(scenario())
