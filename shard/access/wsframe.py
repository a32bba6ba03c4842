"""The bytes of a server's text frame (RFC 6455, 5.2): unmasked and unfragmented, so one frame serves every socket."""

from __future__ import annotations

import struct
from collections.abc import Sequence

_FIN_TEXT = 0x81


def text_frame(parts: Sequence[bytes]) -> bytes:
    """One frame whose payload is ``parts`` joined; they must be UTF-8."""
    length = sum(map(len, parts))
    if length < 126:
        header = struct.pack("!BB", _FIN_TEXT, length)
    elif length < 65536:
        header = struct.pack("!BBH", _FIN_TEXT, 126, length)
    else:
        header = struct.pack("!BBQ", _FIN_TEXT, 127, length)
    return b"".join((header, *parts))
