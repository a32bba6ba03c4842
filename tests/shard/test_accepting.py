"""Sockets are accepted a helping per pass of the loop, none is forgotten, and a full process goes on when it can."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from shard.access import accepting
from shard.access.accepting import ACCEPTS_PER_PASS, PacedServer


class Guest(asyncio.Protocol):
    """Counts the sockets that were given a transport."""

    made = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Guest.made += 1
        transport.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    Guest.made = 0
    with socket.create_server(("127.0.0.1", 0), backlog=256) as opened:
        yield opened


def test_many_who_arrive_at_once_are_accepted_a_few_per_pass(listener: socket.socket) -> None:
    arrivals = 10 * ACCEPTS_PER_PASS + 3

    async def run() -> list[int]:
        loop = asyncio.get_running_loop()
        accepted: list[int] = []
        server = PacedServer(loop, listener, Guest, None, 1.0)
        while Guest.made < arrivals:
            before = server.accepted
            await asyncio.sleep(0)  # one pass
            accepted.append(server.accepted - before)
        server.close()
        await server.wait_closed()
        assert not server.is_serving()
        assert server.sockets == ()
        return accepted

    with ExitStack() as stack:
        for _ in range(arrivals):
            stack.enter_context(socket.create_connection(listener.getsockname()))
        accepted = asyncio.run(asyncio.wait_for(run(), 10.0))
    assert sum(accepted) == arrivals
    assert max(accepted) == ACCEPTS_PER_PASS


def test_a_process_without_descriptors_waits_and_goes_on(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(accepting, "EXHAUSTED_S", 0.01)

    class Full(socket.socket):
        """Has no descriptor left for the first two sockets."""

        refused = 0

        def accept(self) -> tuple[socket.socket, object]:
            if Full.refused < 2:
                Full.refused += 1
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    async def run() -> None:
        full = Full(fileno=socket.dup(listener.fileno()))
        server = PacedServer(asyncio.get_running_loop(), full, Guest, None, 1.0)
        while not Guest.made:
            await asyncio.sleep(0.001)
        server.close()
        await server.wait_closed()

    with caplog.at_level(logging.ERROR), socket.create_connection(listener.getsockname()):
        asyncio.run(asyncio.wait_for(run(), 10.0))
    assert Full.refused == 2
    assert caplog.text.count("no more sockets can be accepted") == 2
