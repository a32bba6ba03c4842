"""TLS by the shard itself: a whole session over it, and certificates that cannot be used."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from shard.access.gateway import tls_context
from shard.config import ConfigFault, StartFault, parse_config
from tests.fakes.key_server import make_certificate
from tests.socket_shard import SocketClient, SocketShard


def test_a_player_drives_over_tls(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)

    async def main() -> None:
        flags = ["--tls-cert", str(certificate), "--tls-key", str(key)]
        trust = ssl.create_default_context(cafile=str(certificate))
        trust.check_hostname = False
        async with SocketShard.open(flags=flags) as shard:
            url = shard.url.replace("ws://", "wss://")
            async with connect(url, ssl=trust, proxy=None, compression=None, ping_interval=None) as socket:
                client = SocketClient(socket)
                await client.authenticate(0)
                await client.enter(shard)
                for _ in range(5):
                    await client.socket.send(client.move(100.0, 100.0), text=True)
                await asyncio.sleep(0.05)
                shard.tick()
                assert shard.memory.table.committed("seq")[shard.body(client.player).slot] == 5

    asyncio.run(asyncio.wait_for(main(), 20.0))


def test_who_does_not_speak_tls_leaves_nothing_behind(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)

    async def main() -> None:
        async with SocketShard.open(flags=["--tls-cert", str(certificate), "--tls-key", str(key)]) as shard:
            for _ in range(3):
                reader, writer = await asyncio.open_connection("127.0.0.1", shard.port)
                writer.write(b"GET /ws HTTP/1.1\r\nHost: here\r\n\r\n")
                with contextlib.suppress(ConnectionError):
                    await reader.read()
                writer.close()
            await asyncio.sleep(0.05)
            assert shard.doors.meters.claim() == 0, "no number of a connection that never was"

    asyncio.run(asyncio.wait_for(main(), 20.0))


def test_a_certificate_without_its_key_is_refused() -> None:
    with pytest.raises(ConfigFault, match="--tls-key: must be given, too"):
        parse_config(["--tls-cert", "cert.pem"], {})


def test_what_is_no_certificate_is_a_start_fault(tmp_path: Path) -> None:
    path = tmp_path / "nonsense.pem"
    path.write_text("nonsense")
    config = parse_config(["--tls-cert", str(path), "--tls-key", str(path)], {})
    with pytest.raises(StartFault, match="--tls-cert, --tls-key: cannot be used"):
        tls_context(config)
