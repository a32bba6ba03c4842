"""A key-set server on loopback that can do what real ones do wrong: fail, hang, drip, redirect, lie.

It runs in threads of its own and speaks raw HTTP, because most of its lies are none that a well-behaved server tells.
Set ``mode`` and ``keys`` at any time; ``paths`` holds the target of every request so far.
"""

from __future__ import annotations

import datetime
import json
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias, get_args

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from jwt.algorithms import ECAlgorithm

from scripts.mint_token import LOCAL_ISSUER
from shard.access.auth import PLAYER_ROLE

Mode: TypeAlias = Literal[
    "serve",  # the key set
    "chunked",  # the key set, in chunked transfer coding
    "wrong_type",  # the key set, as text/html
    "empty",  # {"keys": []}
    "with_oct",  # the key set and the shared secret, as self-hosting publishes it by mistake
    "private",  # the first key with its private part
    "fail",  # status 500
    "not_found",  # status 404
    "redirect",  # status 302 to a working set of the same server
    "garbage",  # an HTML page with status 200
    "binary",  # no UTF-8
    "oversized",  # 200 KiB, announced
    "endless",  # chunk after chunk
    "endless_head",  # header after header
    "cut",  # half of the body, then the end
    "not_http",  # something else altogether
    "close",  # nothing at all
    "hang",  # accepts and never answers
    "drip",  # a byte every 50 ms
]
MODES: Final[tuple[Mode, ...]] = get_args(Mode)

OCT_JWK: Final = {"kty": "oct", "kid": "oct-1", "alg": "HS256", "k": "YSBzaGFyZWQgc2VjcmV0IHRoYXQgaXMgbG9uZyBlbm91Z2g"}
_OK = b"HTTP/1.1 200 OK\r\n"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An ES256 key of a project, with its private part."""

    kid: str
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls, kid: str) -> SigningKey:
        return cls(kid, ec.generate_private_key(ec.SECP256R1()))

    def jwk(self, private: bool = False) -> dict[str, Any]:
        """The entry of a key set."""
        key = self.key if private else self.key.public_key()
        return {**ECAlgorithm.to_jwk(key, as_dict=True), "kid": self.kid, "alg": "ES256", "use": "sig"}

    def token(self, sub: str, now_s: float, lifetime_s: float = 3600.0, **claims: object) -> str:
        """An access token of player ``sub``, issued at ``now_s`` (Unix seconds)."""
        issued_s = int(now_s)
        base = {"sub": sub, "aud": PLAYER_ROLE, "role": PLAYER_ROLE, "iss": LOCAL_ISSUER, "iat": issued_s}
        return jwt.encode(
            {**base, "exp": issued_s + int(lifetime_s), **claims}, self.key, "ES256", headers={"kid": self.kid}
        )


class KeyServer:
    """Use it as a context manager; ``url`` is the address of the set."""

    def __init__(self, *keys: SigningKey, mode: Mode = "serve", tls: ssl.SSLContext | None = None) -> None:
        self.keys = list(keys)
        self.mode: Mode = mode
        self.paths: list[str] = []
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, name="key server")]

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def base_url(self) -> str:
        """What SUPABASE_URL would be."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.base_url}/auth/v1/.well-known/jwks.json"

    @property
    def requests(self) -> int:
        """Requests so far."""
        return len(self.paths)

    def rotate(self, *keys: SigningKey) -> None:
        """From now on the set has these keys."""
        self.keys = list(keys)

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends every answer that is under way, also those that hang or drip."""
        self._closing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for sock in list(self._open):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5.0)
            assert not thread.is_alive(), "the key server does not end"
        self._listener.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.add(sock)
            thread = threading.Thread(target=self._serve, args=(sock,), name="key server connection")
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with suppress(OSError):
            if self._tls:
                raw, sock = sock, self._tls.wrap_socket(sock, server_side=True)
                self._open.discard(raw)
                self._open.add(sock)
            target = _read_target(sock)
            if target is not None:
                self.paths.append(target)
                self._answer(sock, "serve" if target.startswith("/elsewhere") else self.mode)
        self._open.discard(sock)
        sock.close()

    def _answer(self, sock: socket.socket, mode: Mode) -> None:
        keys = [key.jwk() for key in self.keys]
        body = json.dumps({"keys": keys}).encode()
        match mode:
            case "serve":
                sock.sendall(_page(body))
            case "chunked":
                half = len(body) // 2
                chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:half], body[half:]))
                sock.sendall(_OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
            case "wrong_type":
                sock.sendall(_page(body, b"text/html"))
            case "empty":
                sock.sendall(_page(b'{"keys": []}'))
            case "with_oct":
                sock.sendall(_page(json.dumps({"keys": [OCT_JWK, *keys]}).encode()))
            case "private":
                sock.sendall(_page(json.dumps({"keys": [self.keys[0].jwk(private=True)]}).encode()))
            case "fail":
                sock.sendall(_page(body, status=b"500 Internal Server Error"))
            case "not_found":
                sock.sendall(_page(body, status=b"404 Not Found"))
            case "redirect":
                where = f"Location: {self.base_url}/elsewhere\r\n".encode()
                sock.sendall(_page(body, status=b"302 Found", more=where))
            case "garbage":
                sock.sendall(_page(b"<html>please sign in to this hotel</html>"))
            case "binary":
                sock.sendall(_page(b"\xff" + body))
            case "oversized":
                sock.sendall(_page(body + b" " * 200 * 1024))
            case "endless":
                sock.sendall(_OK + b"Transfer-Encoding: chunked\r\n\r\n")
                self._forever(sock, b"400\r\n" + b" " * 0x400 + b"\r\n", 0.0)
            case "endless_head":
                sock.sendall(_OK)
                self._forever(sock, b"X-More: " + b"x" * 60_000 + b"\r\n", 0.0)
            case "cut":
                sock.sendall(_page(body)[: -len(body) // 2])
            case "not_http":
                sock.sendall(b"SSH-2.0-key_server\r\n")
            case "close":
                pass
            case "hang":
                self._closing.wait()
            case "drip":
                for byte in _page(body):
                    self._pause_and_send(sock, bytes([byte]), 0.05)

    def _forever(self, sock: socket.socket, piece: bytes, pause_s: float) -> None:
        while not self._closing.is_set():
            self._pause_and_send(sock, piece, pause_s)

    def _pause_and_send(self, sock: socket.socket, piece: bytes, pause_s: float) -> None:
        if not self._closing.wait(pause_s):
            sock.sendall(piece)


def _page(body: bytes, kind: bytes = b"application/json", status: bytes = b"200 OK", more: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %b\r\n%bContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (status, more, kind, len(body))
    return head + body


def _read_target(sock: socket.socket) -> str | None:
    """The target of a whole GET, or None."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = sock.recv(4096)
        if not data:
            return None
        head += data
    method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
    assert method == "GET", f"key sets are fetched by GET, not {method}"
    return target


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key, as PEM files in ``directory``."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "key server of the tests")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = directory / "certificate.pem", directory / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file
