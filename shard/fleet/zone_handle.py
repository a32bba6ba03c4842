"""One worker's process, as main holds it: spawn, talk, stop, kill, reap. Nothing here waits unless its name says so."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal

from ipc.control import Nonsense, Ready, Stop, ToMain, ToZone, decode_to_main, encode
from ipc.pipe import PipeClosed, PipeEnd
from zones.worker import ZoneSpec
from zones.worker import main as worker_main


class ZoneLost(Exception):
    """The worker is gone or spoke nonsense; the text says what is known."""


class ZoneHandle:
    """Owns one spawned worker. Create it in main's main thread: the kernel ties the worker's life to that thread."""

    def __init__(self, spec: ZoneSpec) -> None:
        """Takes one to five milliseconds: the new interpreter starts on its own. Raises OSError when it cannot."""
        self.spec = spec
        name = "spare" if spec.zone is None else f"zone-{spec.zone}"
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=True)
        self._pipe = PipeEnd(ours)
        self._process = context.Process(target=worker_main, args=(spec, theirs), name=name, daemon=True)
        try:
            self._process.start()
        except BaseException:
            self._pipe.close()
            raise
        finally:
            theirs.close()

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        assert self._process.pid is not None, "the worker was started in the constructor"
        return self._process.pid

    @property
    def reaped(self) -> bool:
        """Whether the worker has ended and can write nothing any more; asks the kernel without waiting."""
        return self._process.exitcode is not None

    @property
    def exitcode(self) -> int | None:
        """What it ended with, minus the signal's number if by a signal; None while it has not ended."""
        return self._process.exitcode

    def fileno(self) -> int:
        """Readable when the worker has said something or is gone."""
        return self._pipe.fileno()

    def send(self, message: ToZone) -> None:
        """Queue a message. Raises ZoneLost."""
        try:
            self._pipe.send(encode(message))
        except PipeClosed as fault:
            raise self._lost(fault) from fault

    def receive(self) -> list[ToMain]:
        """All whole messages of the worker so far, without waiting. Raises ZoneLost."""
        try:
            self._pipe.flush()
            return [decode_to_main(data) for data in self._pipe.receive()]
        except (PipeClosed, Nonsense) as fault:
            raise self._lost(fault) from fault

    def last_words(self) -> list[ToMain]:
        """All whole messages that a worker has left behind. Half of one is nothing."""
        assert self.reaped, "wait until the worker is reaped: it may still be writing"
        words: list[ToMain] = []
        with contextlib.suppress(PipeClosed, Nonsense):
            while messages := self._pipe.receive():
                words += [decode_to_main(data) for data in messages]
        return words

    def wait_ready(self, timeout_s: float) -> None:
        """Block until the worker has attached. Raises ZoneLost when it does not within ``timeout_s``."""
        try:
            messages = self._pipe.receive_within(timeout_s)
        except PipeClosed as fault:
            raise self._lost(fault) from fault
        if not messages:
            raise ZoneLost(f"{self._name} was not ready within {timeout_s:.0f} s")
        first = decode_to_main(messages[0])
        if not isinstance(first, Ready):
            raise ZoneLost(f"{self._name}: {first}")

    def ask_to_stop(self) -> None:
        """Have the worker end by itself; harmless when it is gone."""
        with contextlib.suppress(ZoneLost):
            self.send(Stop())

    def join(self, timeout_s: float) -> bool:
        """Wait for the worker's end; True when it has ended and is reaped."""
        self._process.join(timeout_s)
        return self._process.exitcode is not None

    def kill(self) -> None:
        """End the worker at once, also a stopped one. It has ended when it is ``reaped``, not before."""
        if self._process.exitcode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def kill_and_wait(self) -> None:
        """End the worker at once, and reap it."""
        self.kill()
        self._process.join()

    def close(self) -> None:
        """Give back the pipe of a worker that has ended."""
        assert self._process.exitcode is not None, "stop or kill the worker first"
        self._pipe.close()
        self._process.close()

    @property
    def _name(self) -> str:
        return f"{'spare' if self.spec.zone is None else f'zone {self.spec.zone}'} (pid {self._process.pid})"

    def _lost(self, fault: Exception) -> ZoneLost:
        return ZoneLost(f"{self._name} is lost: {fault}")
