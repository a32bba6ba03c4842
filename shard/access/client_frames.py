"""Reading what clients send nearly always, without the library: whole, final, masked text frames (RFC 6455, 5.2).

Whatever else arrives is for the library's own parser; tests hold these shortcuts to it.
"""

from __future__ import annotations

from typing import Any

from websockets.server import ServerProtocol
from websockets.streams import StreamReader

from shard.access.pacing import FRAMES_PER_PASS
from shared.constants import MESSAGE_BYTES_MAX

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform without the compiled module
    from websockets.utils import apply_mask

_FIN_TEXT = 0x81
_MASKED = 0x80


def only_text_frame(data: bytes) -> bytes | bytearray | None:
    """The payload when ``data`` is one whole, final, masked text frame without RSV bits and nothing else."""
    size = len(data)
    if size < 6 or data[0] != _FIN_TEXT:
        return None
    length = data[1] - _MASKED
    start = 2
    if length == 126 and size >= 8:
        length = (data[2] << 8) | data[3]
        start = 4
    elif length < 0 or length > 125:
        return None
    if start + 4 + length != size or length > MESSAGE_BYTES_MAX:
        return None
    return apply_mask(data[start + 4 :], data[start : start + 4])


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


def between_frames(protocol: ServerProtocol) -> bool:
    """Whether the library's parser waits for the first byte of a frame, no fragmented message being open.

    An empty buffer is not enough: the parser may hold the header of a frame whose rest has not arrived.
    """
    parser: Any = protocol.parser
    while parser.gi_yieldfrom is not None:
        parser = parser.gi_yieldfrom
    return parser.gi_code is StreamReader.at_eof.__code__ and not protocol.reader.buffer
