"""A real shard as a child process, for scripts and tests that need one to drive in."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
LASTING_PORTS = range(20_000, 32_000)
"""Below what the kernel takes for the near end of connections (Linux: from 32,768)."""


class ShardFailed(Exception):
    """The shard did not start, or did not end as it should; the text holds what it logged."""


def lasting_port() -> int:
    """A free port on which a shard can be killed and started again: nobody else is given it in between.

    Of the ports that the kernel chooses itself this is not so: whoever asks for any port may be given one.
    """
    for port in random.sample(LASTING_PORTS, 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise ShardFailed(f"no free port among {LASTING_PORTS.start} to {LASTING_PORTS.stop - 1}")


class RunningShard:
    """``python -m shard --dev`` with the given further flags, on any free port unless one is given.

    ``url`` is where it listens, ``listening_s`` since when (monotonic), ``log`` the records that it has written so far.
    Leaving the context ends it by SIGTERM.
    """

    def __init__(self, flags: Sequence[str] = (), env: dict[str, str] | None = None) -> None:
        port = () if "--port" in flags else ("--port", "0")
        command = [sys.executable, "-m", "shard", "--dev", "--log-format", "json", *port, *flags]
        self._process = subprocess.Popen(
            command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, env={**os.environ, **(env or {})}
        )
        self.log: list[dict[str, Any]] = []
        self._news: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.url: str = self.wait_for("listening")["url"]
            self.listening_s = time.monotonic()
            self.instance: str = self.wait_for("ready")["instance"]
        except BaseException:
            self.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Process id of main."""
        return self._process.pid

    def wait_for(self, message: str, timeout_s: float = START_TIMEOUT_S) -> dict[str, Any]:
        """The next log record with this message. Raises ShardFailed when it does not come."""
        while True:
            try:
                record = self._news.get(timeout=timeout_s)
            except queue.Empty:
                record = None
            if record is None:
                raise ShardFailed(f"the shard did not say {message!r}: {self._said()}")
            if record["message"] == message:
                return record

    def signal(self, number: int) -> None:
        """Send a signal to main."""
        self._process.send_signal(number)

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """End it by SIGTERM, as an operator would; returns the exit code. Raises ShardFailed when it does not end."""
        if self._process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def wait(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """The exit code. Raises ShardFailed, after killing it, when it does not end in time."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ShardFailed(f"the shard did not end within {timeout_s:.0f} s: {self._said()}") from None
        self._close()
        return code

    def strike(self) -> None:
        """Kill main and wait until it is dead. Its zones end with it, soon; ``kill`` waits for the rest of the log."""
        self._process.kill()
        self._process.wait()

    def kill(self) -> None:
        """End it at once; its zones end with it."""
        self.strike()
        self._close()

    def _close(self) -> None:
        self._reader.join(5.0)
        if self._process.stderr is not None:
            self._process.stderr.close()

    def _read(self) -> None:
        assert self._process.stderr is not None, "stderr is a pipe"
        for line in self._process.stderr:
            try:
                record = json.loads(line)
            except ValueError:
                record = {"level": "error", "message": line.rstrip()}
            self.log.append(record)
            self._news.put(record)
        self._news.put(None)

    def _said(self) -> str:
        return " | ".join(str(record.get("message")) for record in self.log[-12:])
