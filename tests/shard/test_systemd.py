"""What systemd hears, over real sockets."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from shard.systemd import STATUS_CHARS_MAX, Notifier


class Manager:
    """The service manager's end."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.setblocking(False)
        self.env = {"NOTIFY_SOCKET": address}

    def heard(self) -> list[str]:
        news = []
        while True:
            try:
                news.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return news


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    abstract = f"@shard-test-{secrets.token_hex(8)}"
    manager = Manager(abstract if request.param == "abstract" else str(tmp_path / "notify"))
    yield manager
    manager.socket.close()


def test_a_life(manager: Manager) -> None:
    notifier = Notifier({**manager.env, "WATCHDOG_USEC": "10000000"})
    notifier.ready("8 zones, 0 of 2048 players")
    notifier.beat(100.0)
    notifier.status("12 players")
    notifier.stopping("draining, 3 races run")
    notifier.close()
    notifier.close()
    assert manager.heard() == [
        "READY=1\nSTATUS=8 zones, 0 of 2048 players",
        "WATCHDOG=1",
        "STATUS=12 players",
        "STOPPING=1\nSTATUS=draining, 3 races run",
    ]


def test_beats_follow_the_ticks_at_half_of_what_systemd_waits(manager: Manager) -> None:
    notifier = Notifier({**manager.env, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())})
    assert notifier.watchdog_s == 1.5
    for tick in range(121):
        notifier.beat(1000.0 + tick * 0.05)
    assert manager.heard() == ["WATCHDOG=1"] * 5
    assert manager.heard() == [], "no ticks, no beats"
    notifier.close()


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"WATCHDOG_USEC": ""},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "-5"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"},
    ],
)
def test_no_watchdog_no_beats(manager: Manager, env: dict[str, str]) -> None:
    notifier = Notifier({**manager.env, **env}, pid=4711)
    assert notifier.watchdog_s is None
    notifier.beat(0.0)
    assert manager.heard() == []


def test_the_pid_is_that_of_the_process() -> None:
    env = {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "4711"}
    assert Notifier(env, pid=4711).watchdog_s == 1.5
    assert Notifier(env).watchdog_s is None


def test_a_status_is_one_line(manager: Manager) -> None:
    notifier = Notifier(manager.env)
    notifier.status("name\nWATCHDOG=trigger  " + "x" * 1000)
    notifier.close()
    [news] = manager.heard()
    assert news.startswith("STATUS=name WATCHDOG=trigger xxx")
    assert len(news) == len("STATUS=") + STATUS_CHARS_MAX


@pytest.mark.parametrize("env", [{}, {"NOTIFY_SOCKET": ""}, {"WATCHDOG_USEC": "3000000"}])
def test_without_a_socket_nothing_happens(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(socket, "socket", None)
    notifier = Notifier(env)
    assert notifier.watchdog_s is None
    notifier.ready("up")
    notifier.beat(0.0)
    notifier.stopping("down")
    notifier.close()
    assert not caplog.records


def test_an_address_of_another_kind_is_logged_and_ignored(caplog: pytest.LogCaptureFixture) -> None:
    Notifier({"NOTIFY_SOCKET": "vsock:2:1234"}).ready("up")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_nobody_listens_is_said_once_and_harms_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "notify"
    notifier = Notifier({"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "2"})
    for number in range(3):
        notifier.beat(float(number))
    assert len(caplog.records) == 1
    manager = Manager(str(path))
    notifier.beat(3.0)
    assert manager.heard() == ["WATCHDOG=1"], "systemd was restarted and hears us again"
    manager.socket.close()
    notifier.beat(4.0)
    assert len(caplog.records) == 2
    notifier.close()


def test_a_manager_that_does_not_read_is_not_waited_for(tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "notify"))
    notifier = Notifier(manager.env)
    for _ in range(5000):
        notifier.status("x" * 150)
    manager.socket.close()
    notifier.close()
