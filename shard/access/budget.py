"""What one connection may send: bytes and frames before they are decoded, messages by type afterwards.

Both levels only count, so that they can stand in front of everything else.

- ``Intake`` sees every chunk that is read from the socket. A connection over its budget is not read until it has caught
  up; TCP then holds back the sender, nothing is lost and nothing is decoded. Whoever stays over for OVER_MAX_S is not
  in a hurry but an attack. A client that was cut off for seconds and then delivers everything at once is neither: the
  burst covers 16 s of moves at 30 Hz, and an idle second between two overruns starts the count anew.
- ``Allowance`` sees every decoded message. ``move`` beyond its rate is thinned without a word, as the contract says;
  other messages are refused with the time to wait, and who goes on regardless for OVER_MAX_S is cut off, too. Who
  waits as told is never cut off, however often it is refused.

Every method returns seconds: 0.0 means go on, ENOUGH that the connection ends with 4429. The caller owns the clock, any
that never goes backwards.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from shard.access.bucket import Bucket
from shared.messages import (
    Auth,
    Chunks,
    ClientMessage,
    Enter,
    Interact,
    Leave,
    Move,
    Ping,
    RaceJoin,
    RaceLeave,
    Respawn,
    Signal,
    Who,
)

ENOUGH: Final = math.inf
"""Over the budget for too long: error ``rate_limited``, close 4429."""

INTAKE_BYTES_PER_S: Final = 24 * 1024
"""Five times 30 moves of 150 bytes per second."""

INTAKE_FRAMES_PER_S: Final = 60
"""Twice the moves that a client may send; control frames count, too."""

INTAKE_BURST_S: Final = 8.0
"""What may come at once, in seconds of the rates above: 192 KiB and 480 frames, a stall of 16 s at 30 Hz."""

PAUSE_MAX_S: Final = 1.0
"""Longest pause without a look at the socket: pongs must come in before keepalive gives the connection up."""

OVER_MAX_S: Final = 5.0
"""How long a connection may be over its budget."""

CALM_S: Final = 1.0
"""This long within the budget, and the next overrun is a new one."""

_S_PER_BYTE: Final = 1.0 / INTAKE_BYTES_PER_S
_S_PER_FRAME: Final = 1.0 / INTAKE_FRAMES_PER_S


class _Overrun:
    """How long a connection has been over a budget, short calm moments included."""

    __slots__ = ("_since_s", "_until_s")

    def __init__(self) -> None:
        self._since_s = -math.inf
        self._until_s = -math.inf

    def lasts(self, now_s: float, wait_s: float) -> bool:
        """It is over now and for ``wait_s`` more; True when that has gone on for OVER_MAX_S."""
        if now_s > self._until_s + CALM_S:
            self._since_s = now_s
        self._until_s = now_s + wait_s
        return now_s - self._since_s >= OVER_MAX_S


class Intake:
    """Bytes and frames of one connection, before decoding. Runs for every chunk that is received."""

    __slots__ = ("_bytes_paid_s", "_frames_paid_s", "_overrun")

    def __init__(self) -> None:
        self._bytes_paid_s = -math.inf
        """The moment until which the bytes so far are paid for, as in ``shard/access/bucket.py``."""
        self._frames_paid_s = -math.inf
        self._overrun = _Overrun()

    def take(self, size_bytes: int, frames: int, now_s: float) -> float:
        """Count what was received. Returns 0.0, or how many seconds not to read the socket, or ENOUGH.

        What was counted may be decoded; it is only the next read that has to wait.
        """
        by_bytes, by_frames = self._bytes_paid_s, self._frames_paid_s
        by_bytes = (by_bytes if by_bytes > now_s else now_s) + size_bytes * _S_PER_BYTE
        by_frames = (by_frames if by_frames > now_s else now_s) + frames * _S_PER_FRAME
        self._bytes_paid_s, self._frames_paid_s = by_bytes, by_frames
        over_s = (by_bytes if by_bytes > by_frames else by_frames) - now_s - INTAKE_BURST_S
        if over_s <= 0.0:
            return 0.0
        if self._overrun.lasts(now_s, over_s):
            return ENOUGH
        return min(over_s, PAUSE_MAX_S)


Class: TypeAlias = Literal["move", "control", "auth", "ping", "signal", "chunks"]

RATES: Final[Mapping[Class, tuple[float, int]]] = MappingProxyType(
    {
        "move": (30.0, 60),  # welcome.limits.movesPerSecond; two seconds' worth arrives at once after a stall
        "control": (5.0, 10),
        "auth": (0.2, 2),  # the first, and a refresh at once where the first token was about to expire
        "ping": (2.0, 5),
        "signal": (1.0, 5),
        "chunks": (
            10.0,
            20,
        ),  # a message whenever something comes into sight; shard/land/streaming.py counts the chunks
    }
)
"""(messages per second, burst) of each class."""

CLASS_OF: Final[Mapping[type[ClientMessage], Class]] = MappingProxyType(
    {
        Move: "move",
        Auth: "auth",
        Ping: "ping",
        Signal: "signal",
        Enter: "control",
        Leave: "control",
        Respawn: "control",
        Chunks: "chunks",
        Interact: "control",
        RaceJoin: "control",
        RaceLeave: "control",
        Who: "control",
    }
)
"""Which budget a message is counted against."""

_INDEX: Final = {message: list(RATES).index(kind) for message, kind in CLASS_OF.items()}
_MOVE: Final = list(RATES).index("move")


class Allowance:
    """Messages of one connection by class, after decoding."""

    __slots__ = ("_buckets", "_moves", "_not_before_s", "_overrun", "thinned")

    def __init__(self) -> None:
        self._buckets = tuple(Bucket(per_s, burst) for per_s, burst in RATES.values())
        self._moves = self._buckets[_MOVE]
        self._not_before_s = [-math.inf] * len(RATES)
        """What the client was last told, by class."""
        self._overrun = _Overrun()
        self.thinned = 0
        """Moves beyond their rate, which were ignored."""

    def move(self, now_s: float) -> bool:
        """Whether to take one more ``move``; False: ignore it and say nothing."""
        if self._moves.take(now_s) == 0.0:
            return True
        self.thinned += 1
        return False

    def take(self, message: type[ClientMessage], now_s: float) -> float:
        """Count one message that is no ``move``. 0.0: obey it; seconds: refuse it as ``rate_limited``; or ENOUGH."""
        assert message is not Move, "ask `move`: moves are thinned, not refused"
        index = _INDEX[message]
        wait_s = self._buckets[index].take(now_s)
        if wait_s:
            regardless = now_s < self._not_before_s[index]
            self._not_before_s[index] = now_s + wait_s
            if regardless and self._overrun.lasts(now_s, 0.0):
                return ENOUGH
        return wait_s
