"""Telling systemd how the shard is: one datagram per line of news, as ``sd_notify(3)`` describes.

Without NOTIFY_SOCKET nothing happens. Whatever is wrong with the socket is logged once and otherwise ignored: nobody
listening is no reason to stop. ``beat`` is to be called for every tick, not by a timer: a shard whose ticks stand still
must stop beating, so that systemd restarts it.
"""

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import Mapping
from typing import Final

STATUS_CHARS_MAX: Final = 200

log = logging.getLogger(__name__)


class Notifier:
    """The way to the service manager. ``env`` is the environment, ``pid`` this process."""

    def __init__(self, env: Mapping[str, str], pid: int | None = None) -> None:
        self._address = _address(env.get("NOTIFY_SOCKET") or "")
        self._socket: socket.socket | None = None
        self._failed = False
        self._beaten_s = -math.inf
        self.watchdog_s = _watchdog_s(env, os.getpid() if pid is None else pid) if self._address else None
        """Seconds between two beats, half of what systemd waits; None: it does not watch."""

    def ready(self, status: str) -> None:
        """Every zone has ticked and the socket listens: clients may come."""
        self._send(f"READY=1\nSTATUS={_one_line(status)}")

    def status(self, status: str) -> None:
        """One line for ``systemctl status``."""
        self._send(f"STATUS={_one_line(status)}")

    def stopping(self, status: str) -> None:
        """The shard drains and will exit."""
        self._send(f"STOPPING=1\nSTATUS={_one_line(status)}")

    def beat(self, now_s: float) -> None:
        """A tick is done. Tells systemd once per ``watchdog_s``; ``now_s`` never goes backwards."""
        if self.watchdog_s is not None and now_s - self._beaten_s >= self.watchdog_s:
            self._beaten_s = now_s
            self._send("WATCHDOG=1")

    def close(self) -> None:
        """Give the socket back. Idempotent; later news open another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, news: str) -> None:
        """One datagram, without waiting."""
        if self._address is None:
            return
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
            self._socket.sendto(news.encode(errors="replace"), self._address)
        except OSError as fault:
            if not self._failed:
                log.warning("systemd cannot be told", extra={"why": fault.strerror or type(fault).__name__})
            self._failed = True
        else:
            self._failed = False


def _address(name: str) -> str | None:
    """The socket's address; @ stands for the NUL of the abstract namespace."""
    if name.startswith("@"):
        return "\0" + name[1:]
    if name.startswith("/"):
        return name
    if name:
        log.warning("NOTIFY_SOCKET: neither a path nor @name; systemd is not told", extra={"address": name})
    return None


def _watchdog_s(env: Mapping[str, str], pid: int) -> float | None:
    """Half of WATCHDOG_USEC, unless it is meant for another process."""
    microseconds = env.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or int(microseconds) == 0:
        return None
    if env.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return int(microseconds) / 2e6


def _one_line(status: str) -> str:
    """A status cannot smuggle in another assignment."""
    return " ".join(status.split())[:STATUS_CHARS_MAX]
