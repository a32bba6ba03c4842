"""Reading what clients send nearly always, without the library: whole, final, masked text frames (RFC 6455, 5.2).

Whatever else arrives is for the library's own parser; tests hold these shortcuts to it.
"""

from __future__ import annotations

from typing import Any

from websockets.frames import Frame
from websockets.server import ServerProtocol
from websockets.streams import StreamReader

from shard.access.pacing import FRAMES_PER_PASS
from shared.constants import MESSAGE_BYTES_MAX

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform without the compiled module
    from websockets.utils import apply_mask

FRAGMENTS_MAX = 64
"""Of one message; ours have none, and a flood of empty ones is an old attack."""

_FIN_TEXT = 0x81
_MASKED = 0x80
_HEADERS = {6 + length: bytes((_FIN_TEXT, _MASKED | length)) for length in range(126)} | {
    8 + length: bytes((_FIN_TEXT, _MASKED | 126, *length.to_bytes(2))) for length in range(126, MESSAGE_BYTES_MAX + 1)
}
"""Size of a frame to how it begins if it is final, masked and text."""
_NEVER = b"no frame begins like this"


def only_text_frame(data: bytes) -> bytes | bytearray | None:
    """The payload when ``data`` is one whole, final, masked text frame without RSV bits and nothing else."""
    size = len(data)
    if not data.startswith(_HEADERS.get(size, _NEVER)):
        return None
    return apply_mask(data[8:], data[4:8]) if size > 131 else apply_mask(data[6:], data[2:6])


def whole_text_frames(data: bytes) -> tuple[list[bytes], int]:
    """The payloads of the first whole, final, masked text frames without RSV bits, at most FRAMES_PER_PASS of them,
    and how many bytes they take. Whatever else comes first, frames above MESSAGE_BYTES_MAX too, is for the library.
    """
    size, at = len(data), 0
    payloads: list[bytes] = []
    while size - at >= 6 and data[at] == _FIN_TEXT and len(payloads) < FRAMES_PER_PASS:
        length = data[at + 1] - _MASKED
        start = at + 2
        if length == 126:
            length = (data[at + 2] << 8) | data[at + 3]
            start = at + 4
        end = start + 4 + length
        if length < 0 or length == 127 or length > MESSAGE_BYTES_MAX or end > size:
            break
        payloads.append(apply_mask(data[start + 4 : end], data[start : start + 4]))
        at = end
    return payloads, at


class Fragments(list[bytes]):
    """Of the message that is not complete yet."""

    def add(self, frame: Frame) -> bytes | None:
        """One more data frame; returns the whole message when it is the last of one."""
        self.append(bytes(frame.data))
        if not frame.fin:
            return None
        whole = b"".join(self)
        self.clear()
        return whole


def between_frames(protocol: ServerProtocol) -> bool:
    """Whether the library's parser waits for the first byte of a frame, no fragmented message being open.

    An empty buffer is not enough: the parser may hold the header of a frame whose rest has not arrived.
    """
    parser: Any = protocol.parser
    while parser.gi_yieldfrom is not None:
        parser = parser.gi_yieldfrom
    return parser.gi_code is StreamReader.at_eof.__code__ and not protocol.reader.buffer
