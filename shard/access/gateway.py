"""The listening socket and the handshake: everything between the network and a connection's session."""

from __future__ import annotations

import asyncio
import http
import logging
import random
import socket
import ssl
from functools import partial
from typing import Any, cast

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Origin

from shard.access.accepting import PacedServer
from shard.access.admission import Admission, AdmissionLimits
from shard.access.connection import UNSENT_BYTES_MAX, Connection
from shard.access.doors import Doors
from shard.clock import ServerClock
from shard.config import Config, StartFault
from shard.players.reception import Reception
from shared.constants import MESSAGE_BYTES_MAX
from shared.messages import CloseCode

PATHS = ("/ws", "/")
SEND_BUFFER_BYTES = 32 * 1024
"""Of each accepted socket: left to itself the kernel takes megabytes for a reader that never reads. Linux doubles what
it is asked for, so at most 64 KiB wait there."""
SILENT_MAX = 2048
"""Sockets that have not presented a token, in all: 40 MiB, and a storm of clients whose machines are slow."""
BACKLOG = 1024
DRAIN_BATCHES = 10
DRAIN_S = 1.0
"""Over which the connections are closed: those who come back at once shall not come back together."""
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


def tls_context(config: Config) -> ssl.SSLContext | None:
    """What ``--tls-cert`` and ``--tls-key`` give; None without them. Raises StartFault."""
    if config.tls_cert is None or config.tls_key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(config.tls_cert, config.tls_key)
    except OSError as fault:  # SSLError is one
        why = fault.strerror or str(fault)
        raise StartFault(f"--tls-cert, --tls-key: cannot be used ({why}); give a PEM chain and its key") from None
    return context


def make_doors(config: Config, loop: asyncio.AbstractEventLoop) -> Doors:
    """Admission by the settings."""
    limits = AdmissionLimits(
        config.max_connections,
        silent_max=min(SILENT_MAX, config.max_connections),
        exempt_loopback=config.exempt_loopback,
    )
    return Doors(loop, Admission(limits, config.trusted_proxies))


class Gateway:
    """The WebSocket server of one shard."""

    def __init__(
        self, config: Config, reception: Reception, clock: ServerClock, doors: Doors, listener: socket.socket
    ) -> None:
        """Raises StartFault when the certificate cannot be used."""
        self._origins: list[Origin | None] | None = [*map(Origin, config.origins), None] if config.origins else None
        self._make_connection: Any = partial(Connection, reception=reception, clock=clock, doors=doors)
        self._doors = doors
        self._listener = listener
        self._tls = tls_context(config)
        self._server: Server | None = None

    async def open(self) -> None:
        """Begin to accept connections.

        The library serves; only accepting is ours, for it has to be paced. No extension is negotiated: compressing a
        snapshot takes 45 us for half the bytes, and the processor is the scarce one.
        """
        server = serve(
            _serve_connection,
            process_request=self._admit,
            server_header=None,
            open_timeout=OPEN_TIMEOUT_S,
        )

        def make_protocol() -> Connection:
            """What ``serve`` would make for each socket, were it to accept them."""
            connection: Connection = self._make_connection(
                ServerProtocol(origins=self._origins, max_size=MESSAGE_BYTES_MAX),
                server,
                ping_interval=PING_S,
                ping_timeout=PING_S,
                close_timeout=CLOSE_TIMEOUT_S,
                write_limit=UNSENT_BYTES_MAX,
            )
            return connection

        async def accept() -> asyncio.Server:
            loop = asyncio.get_running_loop()
            paced = PacedServer(loop, self._listener, make_protocol, self._tls, OPEN_TIMEOUT_S)
            return cast(asyncio.Server, paced)

        server.create_server = accept
        self._server = await server

    def refuse_arrivals(self) -> None:
        """From now on every handshake is answered with 503."""
        self._doors.admission.draining = True

    async def drain(self) -> None:
        """Close every connection with 1012, in jittered batches over DRAIN_S. Does not wait for their good-byes."""
        connections = [] if self._server is None else list(self._server.connections)
        random.shuffle(connections)
        for batch in range(DRAIN_BATCHES if connections else 0):
            for connection in connections[batch::DRAIN_BATCHES]:
                assert isinstance(connection, Connection), "create_connection makes no others"
                connection.end(CloseCode.RESTARTING, "restarting")
            await asyncio.sleep(random.uniform(0.5, 1.5) * DRAIN_S / DRAIN_BATCHES)

    async def close(self) -> None:
        """Stop accepting, close every connection with 1012, and wait for them, CLOSE_TIMEOUT_S at most."""
        if self._server is not None:
            self._server.close(code=CloseCode.RESTARTING, reason="restarting")
            await self._server.wait_closed()

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a handshake that is not for us, or from where there are too many."""
        assert isinstance(connection, Connection), "create_connection makes no others"
        if request.path.partition("?")[0] not in PATHS:
            return connection.respond(http.HTTPStatus.NOT_FOUND, "The WebSocket is at /ws.\n")
        assert connection.ticket is not None, "who was turned away makes no request"
        refusal = self._doors.identify(connection.ticket, request.headers.get_all("X-Forwarded-For"))
        if refusal is None:
            return None
        response = connection.respond(refusal.status, f"{refusal.reason}\n")
        response.headers["Retry-After"] = str(refusal.retry_after_s)
        return response


async def _serve_connection(connection: ServerConnection) -> None:
    """The library's handler: all work is done in the connection's callbacks."""
    assert isinstance(connection, Connection), "create_connection makes no others"
    connection.opened()
    await connection.wait_closed()
