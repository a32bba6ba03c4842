"""Fetching a key set from servers that do their worst, and the addresses that are asked at all."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shard.access.auth import KeyFault, KeyPools
from shard.access.key_set import KEY_SET_BYTES_MAX, KeySetAddress, fetch_key_set, key_set_address
from tests.fakes.key_server import MODES, KeyServer, Mode, SigningKey, make_certificate

KEY = SigningKey.make("first")
OTHER = SigningKey.make("second")
SECRET = KeyPools(secret="a secret of the tests, forty bytes long.")
NOTHING = KeyPools()

REFUSED: dict[Mode, str] = {
    "private": "is a private key",
    "fail": "answers with status 500",
    "not_found": "answers with status 404",
    "redirect": "redirects; set the address that it leads to",
    "garbage": "is not JSON",
    "binary": "is not UTF-8 text",
    "oversized": f"has more than {KEY_SET_BYTES_MAX} bytes",
    "endless": f"has more than {KEY_SET_BYTES_MAX} bytes",
    "endless_head": f"has more than {KEY_SET_BYTES_MAX} bytes",
    "cut": "is not JSON",
    "not_http": "cannot be fetched",
    "close": "cannot be fetched",
    "hang": "no answer from .* within 0.3 s",
    "drip": "no answer from .* within 0.3 s",
}
ACCEPTED: dict[Mode, list[str]] = {
    "serve": ["first", "second"],
    "chunked": ["first", "second"],
    "wrong_type": ["first", "second"],  # what a server calls it decides nothing, what it is does
    "with_oct": ["first", "second"],
    "empty": [],
}


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with KeyServer(KEY, OTHER) as server:
        yield server


def address(server: KeyServer, query: str = "") -> KeySetAddress:
    return KeySetAddress(server.url + query, "SUPABASE_JWKS_URL")


def test_every_mode_of_the_server_is_accepted_or_refused() -> None:
    assert set(REFUSED) | set(ACCEPTED) == set(MODES)


@pytest.mark.parametrize("mode", ACCEPTED)
def test_accepted(server: KeyServer, mode: Mode) -> None:
    server.mode = mode
    keys = fetch_key_set(address(server))
    assert [(key.kid, key.alg) for key in keys] == [(kid, "ES256") for kid in ACCEPTED[mode]]
    assert server.paths == ["/auth/v1/.well-known/jwks.json"]


@pytest.mark.parametrize("mode", REFUSED)
def test_refused_in_time(server: KeyServer, mode: Mode) -> None:
    server.mode = mode
    begun = time.monotonic()
    with pytest.raises(KeyFault, match=f"^SUPABASE_JWKS_URL: .*({REFUSED[mode]})") as caught:
        fetch_key_set(address(server, "?apikey=hush"), timeout_s=0.3)
    assert time.monotonic() - begun < 2.0
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert server.requests == 1, "no redirect is followed"


def test_the_query_is_sent(server: KeyServer) -> None:
    fetch_key_set(address(server, "?apikey=hush"))
    assert server.paths == ["/auth/v1/.well-known/jwks.json?apikey=hush"]


def test_no_proxy_of_the_environment_is_asked(server: KeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert len(fetch_key_set(address(server))) == 2


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(KeyFault, match=r"cannot be fetched \(Connection refused\)"):
        fetch_key_set(KeySetAddress(f"http://127.0.0.1:{port}/", "SUPABASE_JWKS_URL"))


def test_a_host_without_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(KeyFault, match=r"^SUPABASE_URL: https://nowhere\.invalid/keys cannot be .*\(Name or service"):
        fetch_key_set(KeySetAddress("https://nowhere.invalid/keys", "SUPABASE_URL"))


def test_a_certificate_must_be_trusted(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(certificate, key)
    with KeyServer(KEY, tls=ours) as server:
        with pytest.raises(KeyFault, match=r"cannot be fetched .*CERTIFICATE_VERIFY_FAILED"):
            fetch_key_set(address(server))
        assert server.requests == 0
        trust = ssl.create_default_context(cafile=certificate)
        assert [found.kid for found in fetch_key_set(address(server), tls=trust)] == ["first"]
        other_name = KeySetAddress(server.url.replace("127.0.0.1", "localhost"), "SUPABASE_JWKS_URL")
        with pytest.raises(KeyFault, match=r"cannot be fetched .*CERTIFICATE_VERIFY_FAILED"):
            fetch_key_set(other_name, tls=trust)


def test_a_tls_server_that_hangs_in_the_handshake(server: KeyServer) -> None:
    silent = KeySetAddress(server.url.replace("http:", "https:"), "SUPABASE_JWKS_URL")
    with pytest.raises(KeyFault, match=r"within 0.2 s|cannot be fetched"):
        fetch_key_set(silent, timeout_s=0.2)


# --- the address ---------------------------------------------------------------------------------------------------


def found(env: dict[str, str], configured: KeyPools = NOTHING) -> str | None:
    address = key_set_address(env, configured)
    return address.url if address else None


def test_where_the_set_is() -> None:
    url = "https://abcdefgh.supabase.co"
    derived = "https://abcdefgh.supabase.co/auth/v1/.well-known/jwks.json"
    assert found({}) is None
    assert found({"SUPABASE_JWKS_URL": "", "SUPABASE_URL": ""}) is None
    assert found({"SUPABASE_URL": url}) == derived
    assert found({"SUPABASE_URL": url + "/"}) == derived
    assert found({"SUPABASE_URL": "https://example.com/supabase"}) == derived.replace(
        "abcdefgh.supabase.co", "example.com/supabase"
    )
    explicit = "https://keys.example.com/set?apikey=1"
    assert found({"SUPABASE_URL": url, "SUPABASE_JWKS_URL": explicit}) == explicit


def test_an_inline_set_says_which_keys_hold_unless_an_address_is_given_too() -> None:
    inline = {"SUPABASE_JWKS": "[]", "SUPABASE_URL": "https://abcdefgh.supabase.co"}
    assert found(inline) is None
    assert found({**inline, "SUPABASE_JWKS_URL": "https://example.com/"}) == "https://example.com/"


@pytest.mark.parametrize("host", ["127.0.0.1:54321", "127.8.8.8", "localhost:54321", "[::1]:54321"])
def test_plain_http_on_loopback(host: str) -> None:
    assert found({"SUPABASE_JWKS_URL": f"http://{host}/keys"}) == f"http://{host}/keys"
    assert found({"SUPABASE_URL": f"http://{host}"}) == f"http://{host}/auth/v1/.well-known/jwks.json"


@pytest.mark.parametrize(
    "url",
    [
        "http://abcdefgh.supabase.co/keys",
        "http://10.0.0.1/keys",
        "http://localhost.example.com/keys",
        "http://127.0.0.1.example.com/keys",
        "ftp://localhost/keys",
        "file:///etc/keys",
        "abcdefgh.supabase.co",
        "https://",
        "https://user:hush@example.com/keys",
        "https://hush@example.com/keys",
        "https://example.com:port/keys",
        "https://example.com:99999/keys",
        "https://example.com/keys#hush",
        "https://example.com/ keys",
        "https://example.com/keys\r\nHost: evil.example.com",
        "https://exämple.com/keys",
        "https://[::1/keys",
    ],
)
def test_refused_addresses(url: str) -> None:
    for configured in (NOTHING, SECRET):
        with pytest.raises(KeyFault, match=r"^SUPABASE_JWKS_URL: must ") as caught:
            key_set_address({"SUPABASE_JWKS_URL": url}, configured)
        assert "hush" not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_an_internal_http_url_is_no_source_but_no_fault_beside_a_secret() -> None:
    env = {"SUPABASE_URL": "http://kong:8000"}
    assert found(env, SECRET) is None
    with pytest.raises(KeyFault, match=r"^SUPABASE_URL: must begin with https://"):
        key_set_address(env, NOTHING)


def test_the_log_does_not_get_the_query() -> None:
    address = KeySetAddress("https://example.com/keys?apikey=hush", "SUPABASE_JWKS_URL")
    assert address.shown == "https://example.com/keys"
    assert "hush" not in repr(address)
