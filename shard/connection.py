"""One player's socket. Moves go from the bytes of the socket into the ring within the socket's own callback.

``websockets`` does the handshake, the closing, pings and everything unusual. Two shortcuts are ours, because they are
the cost of the whole server (measured in ``scripts/bench.py``):

- *In*: a chunk that is nothing but whole, final, masked text frames, at a frame boundary, is unmasked and decoded here;
  every other chunk goes to the library's parser, whose frames arrive in ``process_event``. No task wakes, no queue.
- *Out*: a frame that many share is written to the transport as it is. That is sound because frames of a server are not
  masked, we negotiate no extension, and we never send a fragmented message.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from websockets.asyncio.server import Server, ServerConnection
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State
from websockets.server import ServerProtocol
from websockets.streams import StreamReader

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform without the compiled module
    from websockets.utils import apply_mask

from shard.clock import ServerClock
from shard.realm import Realm
from shard.reception import Reception
from shard.session import AUTH_TIMEOUT_S, Session
from shard.wsframe import text_frame
from shared.constants import MESSAGE_BYTES_MAX
from shared.messages import (
    ClientFault,
    CloseCode,
    Move,
    Placed,
    PlacedPayload,
    ServerMessage,
    decode_client,
    encode,
)
from shared.messages import State as SessionState

UNSENT_BYTES_MAX = 64 * 1024
"""A socket with more than this unsent gets no snapshot: the next one replaces it anyway."""

FRAGMENTS_MAX = 64
"""Fragments of one message; ours have none, and a flood of empty ones is an old attack."""

_FIN_TEXT = 0x81
_MASKED = 0x80


class Connection(ServerConnection):
    """A WebSocket connection that feeds a session."""

    def __init__(self, protocol: ServerProtocol, server: Server, reception: Reception, clock: ServerClock, **how: Any):
        super().__init__(protocol, server, **how)
        self.session = Session()
        self._reception = reception
        self._realm: Realm = reception.realm
        self._clock = clock
        self._open = False
        """Between the handshake and the first sign of an end; the library's own state is two calls away."""
        self._at_boundary = False
        """The library's parser has nothing of an unfinished frame or message."""
        self._fragments: list[bytes] = []
        self._fragmented = False
        self._received_ms = 0.0
        """Server time at which the bytes at hand were received."""
        self._held: deque[tuple[float, bytes | bytearray]] = deque()
        """Messages of the last read that wait for room in the ring, with their time of receipt."""
        self._timeout: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None

    def opened(self) -> None:
        """The handshake is done: the time to authenticate begins."""
        self._open = True
        self._timeout = self.loop.call_later(AUTH_TIMEOUT_S, self._reception.auth_timeout, self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        super().connection_lost(exc)
        self._open = False
        if self._timeout is not None:
            self._timeout.cancel()
        self._held.clear()
        self._reception.lost(self)

    # --- in

    def data_received(self, data: bytes) -> None:
        """Bytes of the socket."""
        self._received_ms = self._clock.now_ms()
        if self._at_boundary and self._open:
            payloads = _whole_text_frames(data)
            if payloads is not None:
                for payload in payloads:
                    self._message(payload)
                return
        super().data_received(data)
        self._open = self._open and self.protocol.state is State.OPEN
        self._at_boundary = self._open and not self._fragmented and _between_frames(self.protocol)

    def process_event(self, event: Event) -> None:
        """A frame that came by way of the library's parser, or the handshake."""
        if not isinstance(event, Frame):
            super().process_event(event)
        elif event.opcode is Opcode.TEXT or event.opcode is Opcode.CONT:
            self._fragment(event)
        elif event.opcode is Opcode.BINARY:
            self.end(CloseCode.UNSUPPORTED, "messages are JSON text, not binary")
        else:
            super().process_event(event)

    def _fragment(self, frame: Frame) -> None:
        if frame.fin and not self._fragmented:
            self._message(bytes(frame.data))
            return
        self._fragmented = not frame.fin
        self._fragments.append(bytes(frame.data))
        if len(self._fragments) > FRAGMENTS_MAX:
            self._fragments.clear()
            self.end(CloseCode.TOO_BIG, f"a message has at most {FRAGMENTS_MAX} fragments")
        elif frame.fin:
            whole = b"".join(self._fragments)
            self._fragments.clear()
            self._message(whole)

    def _message(self, data: bytes | bytearray) -> None:
        """One whole message."""
        if self._held:
            self._held.append((self._received_ms, data))
        elif self._ending is None and not self._take(self._received_ms, data):
            self._held.append((self._received_ms, data))
            self.transport.pause_reading()
            self._reception.waiting.add(self)

    def _take(self, received_ms: float, data: bytes | bytearray) -> bool:
        """Handle one message; False when it is a move that finds no room in the ring."""
        try:
            message = decode_client(data)
        except ClientFault as fault:
            self._reception.malformed(self, fault)
            return True
        if type(message) is Move and self.session.state is SessionState.WORLD:
            occupant = self._realm.occupant(self.session.player)
            return occupant is None or self._realm.sample(occupant, received_ms, message.payload)
        self._reception.obey(self, message)
        return True

    def take_held(self) -> bool:
        """A tick was committed: go on with what was held. True when all is taken and the socket is read again."""
        while self._held and self._ending is None:
            if not self._take(*self._held[0]):
                return False
            self._held.popleft()
        if not self.transport.is_closing():
            self.transport.resume_reading()
        return True

    # --- out

    def offer(self, frame: bytes) -> bool:
        """Write a shared frame, unless more than UNSENT_BYTES_MAX is unsent (then the transport has paused us)."""
        if self.paused or not self._open:
            return False
        self.transport.write(frame)
        return True

    def send(self, message: ServerMessage) -> None:  # type: ignore[override]
        """Write one message; nothing happens on a connection that is closing."""
        if self._open:
            self.transport.write(text_frame([encode(message)]))

    def placed(self, payload: PlacedPayload) -> None:
        """The server moved the player's car."""
        self.send(Placed(payload, re=self.session.answers(payload.reason)))

    def end(self, code: CloseCode, reason: str) -> None:
        """Close with a code. Idempotent; what arrives from now on is ignored."""
        if self._ending is None:
            self._open = False
            self._ending = self.loop.create_task(self.close(code, reason))


def _whole_text_frames(data: bytes) -> list[bytes] | None:
    """The payloads, if ``data`` is nothing but whole, final, masked text frames without RSV bits; otherwise None.

    Frames above MESSAGE_BYTES_MAX, which are refused, are left to the library.
    """
    size, at = len(data), 0
    payloads: list[bytes] = []
    while at < size:
        if size - at < 6 or data[at] != _FIN_TEXT:
            return None
        length = data[at + 1] - _MASKED
        start = at + 2
        if length == 126:
            length = (data[at + 2] << 8) | data[at + 3]
            start = at + 4
        end = start + 4 + length
        if length < 0 or length == 127 or length > MESSAGE_BYTES_MAX or end > size:
            return None
        payloads.append(apply_mask(data[start + 4 : end], data[start : start + 4]))
        at = end
    return payloads


def _between_frames(protocol: ServerProtocol) -> bool:
    """Whether the library's parser waits for the first byte of a frame, no fragmented message being open.

    An empty buffer is not enough: the parser may hold the header of a frame whose rest has not arrived.
    """
    parser: Any = protocol.parser
    while parser.gi_yieldfrom is not None:
        parser = parser.gi_yieldfrom
    return parser.gi_code is StreamReader.at_eof.__code__ and not protocol.reader.buffer
