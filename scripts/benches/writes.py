"""Ways to write a shared frame to many sockets, timed in turns: what ``connection.py`` does, and the others."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable

from websockets.protocol import State
from websockets.server import ServerProtocol

from scripts.benches.timing import Timing, spread
from shard.access.wsframe import text_frame

SOCKETS = 64
ROUNDS = 60
PIECES = [b'{"c":%d,"at":[%b' % (cell, b"[1234,1234,123456,123456,3141,1000]," * 2) for cell in range(9)]
"""A frame of about a kilobyte: nine cells with two rows each, for one home that all sockets share."""
HEAD = b'{"type":"snapshot","payload":{"tick":1,"t":1,"cells":['


def run() -> list[Timing]:
    """Microseconds per socket, frames of one group."""
    try:
        from uvloop import Loop  # noqa: PLC0415 - missing on some platforms
    except ImportError:
        Loop = asyncio.SelectorEventLoop  # type: ignore[assignment, misc]  # noqa: N806
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(_compare())


async def _compare() -> list[Timing]:
    loop = asyncio.get_running_loop()
    pairs = [socket.socketpair() for _ in range(SOCKETS)]
    transports: list[asyncio.WriteTransport] = []
    for ours, theirs in pairs:
        theirs.setblocking(False)
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        transports.append(transport)
    protocols = [ServerProtocol() for _ in pairs]
    for protocol in protocols:
        protocol.state = State.OPEN

    def joined() -> None:
        frame = text_frame([HEAD, b"]},".join(PIECES), b"]}", b"]}}"])
        for transport in transports:
            transport.write(frame)

    def joined_each() -> None:
        for transport in transports:
            transport.write(text_frame([HEAD, b"]},".join(PIECES), b"]}", b"]}}"]))

    def lines() -> None:
        whole = text_frame([HEAD, b"]},".join(PIECES), b"]}", b"]}}"])
        parts = [whole[:4], HEAD, PIECES[0]]
        for piece in PIECES[1:]:
            parts += (b"]},", piece)
        parts += (b"]}", b"]}}")
        assert b"".join(parts) == whole, "the same bytes"
        for transport in transports:
            transport.writelines(parts)

    def broadcast() -> None:
        payload = b"".join((HEAD, b"]},".join(PIECES), b"]}", b"]}}"))
        for transport, protocol in zip(transports, protocols, strict=True):  # what websockets.broadcast does for each
            protocol.send_text(payload)
            for data in protocol.data_to_send():
                transport.write(data)

    ways: dict[str, Callable[[], None]] = {
        "write: one join per group, transport.write": joined,
        "write: one join per socket": joined_each,
        "write: transport.writelines of the pieces": lines,
        "write: through the library, as broadcast does": broadcast,
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():  # in turns, so that all see the same machine
            began = time.perf_counter()
            way()
            await asyncio.sleep(0)
            times[name].append(1e6 * (time.perf_counter() - began) / SOCKETS)
            for _, theirs in pairs:
                theirs.recv(1 << 16)
    for each in transports:
        each.abort()
    await asyncio.sleep(0)
    for _, theirs in pairs:
        theirs.close()
    return [spread(name, runs) for name, runs in times.items()]
