"""Accepting sockets a few at a time: the event loop's own server accepts until the backlog is empty.

A thousand clients that arrive at once would otherwise take one pass of the loop for 150 ms, and a tick that is due with
it. What is not accepted in this pass waits in the kernel's backlog for the next.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Final

ACCEPTS_PER_PASS: Final = 8
"""A connection with transport, protocol and tasks is 0.15 to 0.25 ms of work: two milliseconds per pass at most."""

EXHAUSTED_S: Final = 0.5
"""How long nothing is accepted after the process ran out of descriptors or memory."""

_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

log = logging.getLogger(__name__)


class PacedServer(asyncio.AbstractServer):
    """Accepts from a listening socket for as long as it is open."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listener: socket.socket,
        make_protocol: Callable[[], asyncio.Protocol],
        tls: ssl.SSLContext | None,
        tls_timeout_s: float,
    ) -> None:
        listener.setblocking(False)
        self._loop = loop
        self._listener: socket.socket | None = listener
        self._make_protocol = make_protocol
        self._tls = tls
        self._tls_timeout_s = tls_timeout_s
        self._opening: set[asyncio.Task[None]] = set()
        self.accepted = 0
        """Sockets accepted so far."""
        loop.add_reader(listener.fileno(), self._accept)

    def close(self) -> None:
        """Accept no more, and close the listening socket. Idempotent."""
        if self._listener is not None:
            self._loop.remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None

    async def wait_closed(self) -> None:
        """Until sockets that were being set up are set up or gone."""
        if self._opening:
            await asyncio.wait(self._opening)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop that it was made for."""
        return self._loop

    async def start_serving(self) -> None:
        """It serves from the start."""

    async def serve_forever(self) -> None:
        """Nothing here waits: close it to end it."""
        raise NotImplementedError("a PacedServer is closed by its owner")

    def is_serving(self) -> bool:
        """Whether sockets are accepted."""
        return self._listener is not None

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The listening socket."""
        return () if self._listener is None else (self._listener,)

    def _accept(self) -> None:
        """The listener is readable: take a helping. It stays readable while there are more."""
        assert self._listener is not None, "the reader is removed before the listener is closed"
        for _ in range(ACCEPTS_PER_PASS):
            try:
                accepted, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as fault:
                if fault.errno not in _EXHAUSTED:
                    raise
                log.error("no more sockets can be accepted for now", extra={"why": str(fault)})
                self._loop.remove_reader(self._listener.fileno())
                self._loop.call_later(EXHAUSTED_S, self._again)
                return
            self.accepted += 1
            task = self._loop.create_task(self._open(accepted))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    def _again(self) -> None:
        if self._listener is not None:
            self._loop.add_reader(self._listener.fileno(), self._accept)

    async def _open(self, accepted: socket.socket) -> None:
        """Give a socket its transport and protocol; with TLS after the handshake."""
        accepted.setblocking(False)
        timeout_s = None if self._tls is None else self._tls_timeout_s
        try:
            await self._loop.connect_accepted_socket(
                self._make_protocol, accepted, ssl=self._tls, ssl_handshake_timeout=timeout_s
            )
        except OSError as fault:  # SSLError and resets among them
            log.debug("a socket was not opened", extra={"why": str(fault)})
            accepted.close()
