"""One end of a pipe between main and a zone: whole messages over a stream of bytes, never blocking unless asked to.

A ready ``multiprocessing.Connection`` can still block its reader on half a message, so framing is our own: a 4-byte
little-endian length before each message. The descriptors come from ``multiprocessing.Pipe`` (a Unix socket pair), which
knows how to hand one end to a spawned child.
"""

from __future__ import annotations

import os
import select
import struct
import time
from multiprocessing.connection import Connection

from shared.constants import PIPE_MESSAGE_BYTES_MAX

_LENGTH = struct.Struct("<I")
_READ_BYTES = 256 * 1024


class PipeClosed(Exception):
    """The process at the other end is gone, or sent what no process of ours sends."""


class PipeEnd:
    """Owns one descriptor. ``send`` queues what the kernel does not take at once; ``flush`` tries again."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._incoming = bytearray()
        self._outgoing = bytearray()
        os.set_blocking(connection.fileno(), False)

    def fileno(self) -> int:
        """The descriptor, for event loops."""
        return self._connection.fileno()

    def close(self) -> None:
        """Close the descriptor. Idempotent."""
        self._connection.close()

    def send(self, message: bytes) -> None:
        """Send one message without waiting. Raises PipeClosed."""
        self._outgoing += _LENGTH.pack(len(message))
        self._outgoing += message
        self.flush()

    def flush(self) -> bool:
        """Push what is queued; True when nothing is left. Raises PipeClosed."""
        while self._outgoing:
            try:
                sent = os.write(self.fileno(), self._outgoing)
            except BlockingIOError:
                return False
            except OSError as fault:
                raise PipeClosed(f"writing: {fault}") from fault
            del self._outgoing[:sent]
        return True

    def receive(self) -> list[bytes]:
        """All whole messages that have arrived, without waiting; half a message stays here until the rest comes.

        Raises PipeClosed when the other end is closed and every whole message has been handed out.
        """
        closed = False
        while True:
            try:
                data = os.read(self.fileno(), _READ_BYTES)
            except BlockingIOError:
                break
            except OSError:
                closed = True
                break
            if not data:
                closed = True
                break
            self._incoming += data
            if len(data) < _READ_BYTES:
                break
        messages = self._split()
        if closed and not messages:
            raise PipeClosed("the other end is closed")
        return messages

    def receive_within(self, timeout_s: float) -> list[bytes]:
        """Wait until at least one whole message is here; empty after ``timeout_s``. Raises PipeClosed."""
        deadline = time.monotonic() + timeout_s
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        while True:
            if messages := self.receive():
                return messages
            left = deadline - time.monotonic()
            if left <= 0:
                return []
            poll.poll(left * 1000)

    def _split(self) -> list[bytes]:
        messages: list[bytes] = []
        at = 0
        while len(self._incoming) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._incoming, at)
            if length > PIPE_MESSAGE_BYTES_MAX:
                raise PipeClosed(f"a message of {length} bytes is announced, {PIPE_MESSAGE_BYTES_MAX} are allowed")
            if len(self._incoming) - at - _LENGTH.size < length:
                break
            start = at + _LENGTH.size
            messages.append(bytes(self._incoming[start : start + length]))
            at = start + length
        del self._incoming[:at]
        return messages
