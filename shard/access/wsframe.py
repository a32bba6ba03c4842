"""The bytes of a server's text frame (RFC 6455, 5.2): unmasked and unfragmented, so one frame serves every socket."""

from __future__ import annotations

from collections.abc import Sequence


def text_frame(parts: Sequence[bytes]) -> bytes:
    """One frame whose payload is ``parts`` joined; they must be UTF-8."""
    payload = b"".join(parts)
    length = len(payload)
    if length < 126:
        return b"\x81%c%b" % (length, payload)
    if length < 65536:
        return b"\x81\x7e%b%b" % (length.to_bytes(2), payload)
    return b"\x81\x7f%b%b" % (length.to_bytes(8), payload)
