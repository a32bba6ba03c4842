"""Where a key set is published, and getting it from there once: bounded in time, bytes and trust.

The address is SUPABASE_JWKS_URL, or follows from SUPABASE_URL. It is https, or http on loopback; redirects are not
followed and no proxy is asked, so that the keys come from where the operator said. TIMEOUT_S and KEY_SET_BYTES_MAX hold
for the whole answer: a server that drips gets no more. What comes back is judged by ``parse_key_set``: nothing but
public ES256 and RS256 keys gets in, whatever the server sends.
"""

from __future__ import annotations

import http.client
import io
import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from shard.access.auth import KeyFault, KeyPools, PublicKey, parse_key_set

TIMEOUT_S: Final = 5.0
"""A fetch in all: connection, TLS and a reader that drips included; only the resolver has its own patience."""
KEY_SET_BYTES_MAX: Final = 64 * 1024
"""A set has some 300 bytes per key."""

_WELL_KNOWN = "/auth/v1/.well-known/jwks.json"
_HEAD_BYTES_MAX = 16 * 1024


@dataclass(frozen=True, slots=True)
class KeySetAddress:
    """Where a key set is published. Checked: https, or http on loopback."""

    url: str = field(repr=False)
    """May have a query with an API key in it: not for the log."""
    origin: str
    """The variable that it comes from."""

    @property
    def shown(self) -> str:
        """The address without its query."""
        return self.url.partition("?")[0]


def key_set_address(env: Mapping[str, str], configured: KeyPools) -> KeySetAddress | None:
    """Where the key set is to be fetched from, by ``env``; ``configured`` is what ``load_keys`` made of it.

    SUPABASE_JWKS_URL wins over SUPABASE_URL. The latter is no order to fetch where an inline set says which keys hold,
    or where it is plain http to another host (an internal one) beside a secret. None: nowhere. Raises KeyFault.
    """
    if url := env.get("SUPABASE_JWKS_URL"):
        return _checked(url, "SUPABASE_JWKS_URL")
    url = env.get("SUPABASE_URL")
    if not url or env.get("SUPABASE_JWKS"):
        return None
    try:
        return _checked(url.rstrip("/") + _WELL_KNOWN, "SUPABASE_URL")
    except KeyFault:
        if configured.is_empty:
            raise
        return None


def fetch_key_set(
    address: KeySetAddress, timeout_s: float = TIMEOUT_S, tls: ssl.SSLContext | None = None
) -> tuple[PublicKey, ...]:
    """Fetch and parse one key set, whatever content type it claims. Blocks. ``tls`` replaces the host's trust store.

    Raises KeyFault, whose text names the variable and the address without its query.
    """
    try:
        text = _get(address, timeout_s, tls).decode()
    except KeyFault:
        raise
    except TimeoutError:
        raise KeyFault(f"{address.origin}: no answer from {address.shown} within {timeout_s:g} s") from None
    except UnicodeDecodeError:
        raise KeyFault(f"{address.origin}: {address.shown} is not UTF-8 text") from None
    except (OSError, http.client.HTTPException) as fault:
        reason = (fault.strerror if isinstance(fault, OSError) else None) or str(fault) or type(fault).__name__
        shown = " ".join(reason.split())[:100]
        raise KeyFault(f"{address.origin}: {address.shown} cannot be fetched ({shown})") from None
    return parse_key_set(text, f"{address.origin}: {address.shown}")


def _checked(url: str, origin: str) -> KeySetAddress:
    """``url`` as an address that may be fetched from. Raises KeyFault."""
    rule = "must be like https://abcdefgh.supabase.co" + ("" if origin == "SUPABASE_URL" else _WELL_KNOWN)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise KeyFault(f"{origin}: {rule}") from None
    if not host or parts.username is not None or parts.fragment or not re.fullmatch(r"[!-~]+", url):
        raise KeyFault(f"{origin}: {rule}, without user and fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise KeyFault(f"{origin}: must begin with https:// (http:// goes to this machine only)")
    return KeySetAddress(url, origin)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _get(address: KeySetAddress, timeout_s: float, tls: ssl.SSLContext | None) -> bytes:
    """The body of the answer to a GET. Raises KeyFault, OSError, HTTPException."""
    parts = urlsplit(address.url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    end_s = time.monotonic() + timeout_s
    raw = _connect(host, parts.port or (443 if secure else 80), end_s)
    try:
        raw.settimeout(_left_s(end_s))
        sock = (tls or _host_trust()).wrap_socket(raw, server_hostname=host) if secure else raw
        raw = sock
        connection: Any = (http.client.HTTPSConnection if secure else http.client.HTTPConnection)(host, parts.port)
        connection.sock = _Timed(sock, end_s, f"{address.origin}: {address.shown}")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers={"Accept": "application/json", "Connection": "close"})
        response = connection.getresponse()
        if 300 <= response.status < 400:
            raise KeyFault(f"{address.origin}: {address.shown} redirects; set the address that it leads to")
        if response.status != http.client.OK:
            raise KeyFault(f"{address.origin}: {address.shown} answers with status {response.status}")
        body: bytes = response.read(KEY_SET_BYTES_MAX + 1)
        if len(body) > KEY_SET_BYTES_MAX:
            raise KeyFault(f"{address.origin}: {address.shown} has more than {KEY_SET_BYTES_MAX} bytes")
        return body
    finally:
        raw.close()


def _connect(host: str, port: int, end_s: float) -> socket.socket:
    """A connection to the first of the host's addresses that takes it. Raises OSError."""
    fault: OSError = OSError("the name has no address")
    for family, kind, protocol, _, where in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(_left_s(end_s))
            sock.connect(where)
        except OSError as caught:
            fault = caught
            sock.close()
        else:
            return sock
    raise fault


def _left_s(end_s: float) -> float:
    """Seconds until ``end_s``. Raises TimeoutError."""
    left_s = end_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


@cache
def _host_trust() -> ssl.SSLContext:
    """The host's certificate authorities; reading them takes tens of milliseconds."""
    return ssl.create_default_context()


class _Answer(io.RawIOBase):
    """What a server sends, with an end and a size for all of it: no single read is ever slow enough for a socket's own
    timeout when a server sends a byte per second.
    """

    def __init__(self, sock: socket.socket, end_s: float, shown: str) -> None:
        self._sock = sock
        self._end_s = end_s
        self._shown = shown
        self._left_bytes = KEY_SET_BYTES_MAX + _HEAD_BYTES_MAX

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(_left_s(self._end_s))
        count = self._sock.recv_into(buffer)
        self._left_bytes -= count
        if self._left_bytes < 0:
            raise KeyFault(f"{self._shown} has more than {KEY_SET_BYTES_MAX} bytes")
        return count


class _Timed:
    """The part of a socket that ``http.client`` uses. Whoever made the socket closes it."""

    def __init__(self, sock: socket.socket, end_s: float, shown: str) -> None:
        self._sock = sock
        self._end_s = end_s
        self._answer = _Answer(sock, end_s, shown)

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(_left_s(self._end_s))
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self._answer)

    def close(self) -> None:
        pass
