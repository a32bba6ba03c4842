"""What a Python developer would write first: one process, ``websockets``, ``orjson``, a snapshot encoded per client.

Speaks as much of the wire contract as the herd needs, so that both servers are measured with the same clients on the
same work. It checks nothing, hands nothing off, and knows no zones: every comparison is in its favour.

python -m scripts.benches.peer --port 8766 --world-size 2240 --secret-file .dev-secret
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import orjson
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from shared.world.world import World

TICK_HZ = 20
CELL_M = 64


@dataclass(eq=False)
class Player:
    """A connected player, as a dataclass with fields, the way one naturally has it."""

    socket: ServerConnection
    slot: int
    sub: str
    name: str = ""
    x: float = 0.0
    z: float = 0.0
    yaw: float = 0.0
    vx: float = 0.0
    vz: float = 0.0
    seq: int = 0
    inside: bool = False


class Peer:
    """The whole server."""

    def __init__(self, secret: str, world: World) -> None:
        self.secret = secret
        self.world = world
        self.players: set[Player] = set()
        self.slots = 0

    async def serve_player(self, socket: ServerConnection) -> None:
        """One connection, from the first message to the last."""
        player = Player(socket, self.slots, "")
        self.slots += 1
        self.players.add(player)
        try:
            async for text in socket:
                message = orjson.loads(text)
                await self.handle(player, message["type"], message.get("payload", {}))
        except ConnectionClosed:
            pass
        finally:
            self.players.discard(player)

    async def handle(self, player: Player, kind: str, payload: dict[str, Any]) -> None:
        """One message."""
        if kind == "move":
            player.seq = payload["seq"]
            player.x, player.z, player.yaw = payload["x"], payload["z"], payload["yaw"]
            player.vx, player.vz = payload["vx"], payload["vz"]
        elif kind == "auth":
            claims = jwt.decode(payload["token"], self.secret, algorithms=["HS256"], audience="authenticated")
            player.sub = claims["sub"]
            world = self.world
            info = {"preset": world.preset, "seed": world.seed, "sizeM": world.size_m, "chunkM": 64, "hash": world.hash}
            welcome = {
                "player": player.sub,
                "session": "0",
                "protocol": 1,
                "tickHz": TICK_HZ,
                "serverTimeMs": time.time() * 1000,
                "expiresAtMs": claims["exp"] * 1000,
                "resumed": False,
                "world": info,
                "zones": [],
                "limits": {
                    "movesPerSecond": 30,
                    "messageBytes": 16384,
                    "chunksPerMessage": 32,
                    "chunksPerSecond": 0,
                    "chunksReach": 0,
                },
            }
            await self.send(player, "welcome", welcome)
            await self.send(player, "lobby", {"reason": "welcome", "online": len(self.players), "capacity": 9999})
        elif kind == "enter":
            pose = self.world.spawn(player.slot + 1)
            player.x, player.z, player.name, player.inside = pose.x, pose.z, payload["name"], True
            placed = {"epoch": 0, "slot": player.slot, "x": pose.x, "y": 0.0, "z": pose.z, "yaw": pose.yaw}
            await self.send(player, "placed", {**placed, "tick": 0, "reason": "enter"})

    async def send(self, player: Player, kind: str, payload: dict[str, Any]) -> None:
        """One message to one player."""
        await player.socket.send(orjson.dumps({"type": kind, "payload": payload}), text=True)

    async def tick_forever(self) -> None:
        """20 times a second: a snapshot for every player, of all who are in the 3 x 3 cells around it."""
        tick, due = 0, time.monotonic()
        while True:
            tick += 1
            due += 1 / TICK_HZ
            await asyncio.sleep(max(due - time.monotonic(), 0))
            due = max(due, time.monotonic() - 1 / TICK_HZ)
            cells: dict[tuple[int, int], list[Player]] = defaultdict(list)
            inside = [player for player in self.players if player.inside]
            for player in inside:
                cells[int(player.x) // CELL_M, int(player.z) // CELL_M].append(player)
            for player in inside:
                cx, cz = int(player.x) // CELL_M, int(player.z) // CELL_M
                rows = [
                    [
                        other.slot,
                        other.seq & 0xFFFF,
                        round(other.x * 100),
                        round(other.z * 100),
                        int(other.yaw % math.tau * 1000),
                        round((other.vx * math.sin(other.yaw) + other.vz * math.cos(other.yaw)) * 100),
                    ]
                    for x in (cx - 1, cx, cx + 1)
                    for z in (cz - 1, cz, cz + 1)
                    for other in cells.get((x, z), ())
                ]
                snapshot = {"tick": tick, "t": time.time() * 1000, "cells": [{"c": 0, "at": rows}]}
                try:
                    await self.send(player, "snapshot", snapshot)
                except ConnectionClosed:
                    player.inside = False


async def run(port: int, secret: str, world: World) -> None:
    """Serve until killed."""
    peer = Peer(secret, world)
    async with serve(peer.serve_player, "127.0.0.1", port, compression=None, ping_interval=None):
        print("ready", flush=True)
        await peer.tick_forever()


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(description="A plain Python server, for comparison.")
    parser.add_argument("--port", type=int, default=8766)
    parser.add_argument("--world-size", type=int, default=2240)
    parser.add_argument("--secret-file", type=Path, default=Path(".dev-secret"))
    flags = parser.parse_args()
    asyncio.run(run(flags.port, flags.secret_file.read_text().strip(), World("open", 1, flags.world_size)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
