"""A WebSocket client without a task of its own: messages go to a listener from the transport's callback.

``recv()`` and a reader task per connection cost about as much again as reading the frames; a process drives hundreds.
"""

from __future__ import annotations

import socket
import struct
from typing import Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State

MESSAGE_BYTES_MAX = 1 << 20
"""Far above the largest snapshot: a full view of a crowd has some tens of kilobytes."""
OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0


class Listener(Protocol):
    """Who is told what a connection receives; called on the event loop, must not block."""

    def received(self, message: bytes, *, is_text: bool) -> None:
        """One whole message came."""

    def ended(self, code: int, reason: str) -> None:
        """The connection is over. ``code`` is 1006 when nobody said good-bye. Called once."""


class BotConnection(ClientConnection):
    """A client connection that calls its listener. ``recv()`` and iteration are not usable on it."""

    _listener: Listener | None = None
    _ended = False
    _opcode = Opcode.TEXT
    _fragments: tuple[bytes, ...] = ()

    @classmethod
    async def open(cls, url: str) -> BotConnection:
        """Connect and shake hands. Raises OSError, TimeoutError, or websockets.InvalidHandshake."""
        connection = await connect(
            url,
            create_connection=cls,
            compression=None,
            proxy=None,
            ping_interval=None,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
            max_size=MESSAGE_BYTES_MAX,
        )
        assert isinstance(connection, BotConnection), "connect() was told to create one"
        return connection

    def listen(self, listener: Listener) -> None:
        """Begin to tell ``listener``; to be called right after ``open``: a shard says nothing before ``auth``."""
        self._listener = listener
        if self.protocol.state is State.CLOSED:
            self._tell_end()

    def send_now(self, message: bytes) -> bool:
        """Write one text message; False when the connection is not open or the peer has stopped reading."""
        if self.protocol.state is not State.OPEN or self.paused:
            return False
        self.protocol.send_text(message)
        self.send_data()
        return True

    def reset(self) -> None:
        """End the connection at once with a TCP reset: no good-bye, and nothing that waits is sent."""
        line = self.transport.get_extra_info("socket")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def process_event(self, event: Frame | Response) -> None:  # type: ignore[override]
        """Called by the library for every frame; the handshake is the library's own business."""
        if not isinstance(event, Frame) or event.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            super().process_event(event)
            return
        if event.opcode is not Opcode.CONT:
            self._opcode = event.opcode
        data = bytes(event.data)
        if not event.fin:
            self._fragments += (data,)
            return
        if self._fragments:
            data, self._fragments = b"".join((*self._fragments, data)), ()
        if self._listener is not None:
            self._listener.received(data, is_text=self._opcode is Opcode.TEXT)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop when the socket is gone."""
        super().connection_lost(exc)
        self._tell_end()

    def _tell_end(self) -> None:
        if self._listener is not None and not self._ended:
            self._ended = True
            self._listener.ended(self.protocol.close_code or 1006, self.protocol.close_reason or "")
