"""The listening socket and the handshake: everything between the network and a connection's session."""

from __future__ import annotations

import http
import logging
import socket
from functools import partial
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Origin

from shard.clock import ServerClock
from shard.config import Config, StartFault
from shard.connection import UNSENT_BYTES_MAX, Connection
from shard.reception import Reception
from shared.constants import MESSAGE_BYTES_MAX
from shared.messages import CloseCode

PATHS = ("/ws", "/")
SEND_BUFFER_BYTES = 64 * 1024
"""Of each accepted socket: left to itself the kernel takes megabytes for a reader that never reads."""
BACKLOG = 1024
OPEN_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 2.0
PING_S = 10.0
"""Interval and patience of keepalive pings: a dead peer is noticed within 20 s."""

log = logging.getLogger(__name__)


def listen(config: Config) -> socket.socket:
    """Bind and listen on the configured address. Raises StartFault when that cannot be done."""
    try:
        found = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as fault:
        raise StartFault(f"--host: {config.host} is no address of this machine ({fault.strerror})") from None
    family, _, _, _, address = found[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)  # inherited by accepted sockets
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as fault:
        listener.close()
        raise StartFault(
            f"--port: {config.host}:{config.port} cannot be listened on ({fault.strerror}); "
            "stop what uses it or choose another --port (0 takes any free one)"
        ) from None
    return listener


class Gateway:
    """The WebSocket server of one shard."""

    def __init__(self, config: Config, reception: Reception, clock: ServerClock, listener: socket.socket) -> None:
        self._origins: list[Origin | None] | None = [*map(Origin, config.origins), None] if config.origins else None
        self._make_connection: Any = partial(Connection, reception=reception, clock=clock)
        self._listener = listener
        self._server: Server | None = None

    async def open(self) -> None:
        """Begin to accept connections."""
        self._server = await serve(
            _serve_connection,
            sock=self._listener,
            origins=self._origins,
            compression=None,  # 45 us per snapshot for half the bytes: the processor is the scarce one
            process_request=_admit,
            server_header=None,
            open_timeout=OPEN_TIMEOUT_S,
            ping_interval=PING_S,
            ping_timeout=PING_S,
            close_timeout=CLOSE_TIMEOUT_S,
            max_size=MESSAGE_BYTES_MAX,
            write_limit=UNSENT_BYTES_MAX,
            create_connection=self._make_connection,
        )

    async def close(self) -> None:
        """Stop accepting, close every connection with 1012, and wait for them, CLOSE_TIMEOUT_S at most."""
        if self._server is not None:
            self._server.close(code=CloseCode.RESTARTING, reason="restarting")
            await self._server.wait_closed()


async def _serve_connection(connection: ServerConnection) -> None:
    """The library's handler: all work is done in the connection's callbacks."""
    assert isinstance(connection, Connection), "create_connection makes no others"
    connection.opened()
    await connection.wait_closed()


def _admit(connection: ServerConnection, request: Request) -> Response | None:
    """Answer a handshake that is not for us."""
    if request.path.partition("?")[0] in PATHS:
        return None
    return connection.respond(http.HTTPStatus.NOT_FOUND, "The WebSocket is at /ws.\n")
