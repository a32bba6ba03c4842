"""Many clients ask for their first sight in the same moment: are ticks late? ``python -m scripts.chunk_rush``

Runs two shards one after the other: in both the same clients authenticate and stay in the lobby; in the second they all
ask at once, again and again around another spawn point. Prints how late ticks began in each, and how long a rush took.
What follows ``--`` goes to the shards. Exit code 1: a client was refused, or did not get all that it asked for, or
asking made one in a hundred ticks begin later by more than LATER_MS.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import secrets
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from functools import partial

from scripts.bots.connection import BotConnection
from scripts.bots.sight import SIGHT_M, Sight
from scripts.mint_token import mint
from scripts.running_shard import RunningShard
from shared.constants import CHUNK_M
from shared.messages import CHUNKS_MAX, Auth, AuthPayload, Chunks, ChunksPayload, Welcome, decode_server, encode
from shared.world.world import World

CONNECT_AT_ONCE = 20
SETTLE_S = 2.0
PATIENCE_S = 60.0
LATER_MS = 50
"""A period of the tick."""
BURST_CHUNKS = 300
"""What one client asks for in all, so that the rate of chunks is not what is measured."""


class Asker:
    """One client in the lobby, who counts what comes."""

    def __init__(self) -> None:
        self.world: World | None = None
        self.chunks = 0
        self.refused = 0
        self.ended_as = ""
        self._connection: BotConnection | None = None

    async def come(self, url: str, token: str) -> None:
        """Connect and authenticate."""
        self._connection = await BotConnection.open(url)
        self._connection.listen(self)
        self._connection.send_now(encode(Auth(AuthPayload(token))))

    def ask(self, messages: Sequence[bytes]) -> None:
        """Send these."""
        assert self._connection is not None, "come first"
        for message in messages:
            self._connection.send_now(message)

    def abort(self) -> None:
        """Be gone."""
        if self._connection is not None:
            self._connection.transport.abort()

    def received(self, message: bytes, *, is_text: bool) -> None:
        """A message of the shard; chunks are only counted."""
        if message.startswith(b'{"type":"chunk"'):
            self.chunks += 1
        elif message.startswith(b'{"type":"error"'):
            self.refused += 1
        elif message.startswith(b'{"type":"welcome"'):
            welcome = decode_server(message)
            assert isinstance(welcome, Welcome), "the type says so"
            info = welcome.payload.world
            self.world = World(info.preset, info.seed, info.size_m)

    def ended(self, code: int, reason: str) -> None:
        """The connection is over."""
        self.ended_as = f"{code} {reason}"


async def rush(url: str, tokens: Sequence[str], rounds: int) -> tuple[list[float], bool]:
    """Milliseconds that each rush took until everybody had everything, and whether all was well."""
    askers = [Asker() for _ in tokens]
    try:
        for first in range(0, len(tokens), CONNECT_AT_ONCE):
            part = slice(first, first + CONNECT_AT_ONCE)
            await asyncio.gather(
                *(asker.come(url, token) for asker, token in zip(askers[part], tokens[part], strict=True))
            )
        await _until(lambda: all(asker.world is not None for asker in askers))
        await asyncio.sleep(SETTLE_S)
        world = askers[0].world
        assert world is not None, "everybody was welcomed"
        took_ms = []
        asked = 0
        for around in _squares(world)[:rounds]:
            messages = [
                encode(Chunks(ChunksPayload(around[first : first + CHUNKS_MAX]), id=first))
                for first in range(0, len(around), CHUNKS_MAX)
            ]
            asked += len(around)
            began_s = time.monotonic()
            for asker in askers:
                asker.ask(messages)
            await _until(partial(_have, askers, asked))
            took_ms.append(1000.0 * (time.monotonic() - began_s))
            await asyncio.sleep(SETTLE_S)
        await asyncio.sleep(SETTLE_S)
        good = all(asker.chunks == asked and not asker.refused and not asker.ended_as for asker in askers)
        return took_ms, good
    finally:
        for asker in askers:
            asker.abort()


def _squares(world: World) -> list[list[tuple[int, int]]]:
    """First sights around spawn points that share no chunk, as many as the burst allows."""
    content = world.content
    places = [entry.at for entry in content.spawns] if content else [(world.size_m / 2, world.size_m / 2)]
    sight, found, seen = Sight(world.size_m // CHUNK_M), [], set[tuple[int, int]]()
    for x, z in places:
        around = sight.within(x, z, SIGHT_M)
        if seen.isdisjoint(around) and len(seen) + len(around) <= BURST_CHUNKS:
            seen.update(around)
            found.append(around)
    return found


def _have(askers: Sequence[Asker], chunks: int) -> bool:
    """Whether everybody has so many, or was refused."""
    return all(asker.chunks >= chunks or asker.refused > 0 for asker in askers)


async def _until(done: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + PATIENCE_S
    while not done() and time.monotonic() < give_up_s:
        await asyncio.sleep(0.005)


def main(argv: Sequence[str] | None = None) -> int:
    """Run both; print; return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    at = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(prog="python -m scripts.chunk_rush", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=1000, metavar="N")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rushes, as many as fit the burst at most")
    flags = parser.parse_args(words[:at])
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    secret = secrets.token_hex(32)
    tokens = [mint(secret, str(uuid.uuid4()), time.time()) for _ in range(flags.clients)]
    well = True
    quiet_ms = 0.0
    for name, rounds in (("without asking", 0), ("asking at once", flags.rounds)):
        with RunningShard(words[at + 1 :], {"SUPABASE_JWT_SECRET": secret}) as shard:
            took_ms, good = asyncio.run(rush(shard.url, tokens, rounds))
            shard.stop()
        stopped = shard.log[-1]
        late_ms = stopped["tick_late_p99_ms"]
        line = f"{flags.clients} clients {name}: {stopped['ticks']} ticks, late to begin p99 {late_ms} ms, "
        line += f"max {stopped['tick_late_max_ms']} ms"
        if took_ms:
            line += f"; {len(took_ms)} rushes, each over within {statistics.median(took_ms):.0f} ms (median)"
            if late_ms > quiet_ms + LATER_MS:
                good = False
                line += f"; LATER BY MORE THAN {LATER_MS} ms"
        quiet_ms = late_ms
        well = well and good
        print(line if good else f"{line}; NOT well")
    return int(not well)


if __name__ == "__main__":
    sys.exit(main())
