"""What one connection may send: bytes and frames before they are decoded, messages by type afterwards.

Both levels only count, so that they can stand in front of everything else.

- ``Intake`` judges what is read from the socket. A connection over its budget is not read until it has caught
  up; TCP then holds back the sender, nothing is lost and nothing is decoded. Whoever stays over for OVER_MAX_S is not
  in a hurry but an attack. A client that was cut off for seconds and then delivers everything at once is neither: the
  burst covers 16 s of moves at 30 Hz, and an idle second between two overruns starts the count anew.
- ``Allowance`` sees every decoded message but ``move``, which beyond its rate is thinned without a word, as the
  contract says. Others are refused with the time to wait, and who goes on regardless for OVER_MAX_S is cut off, too.
  Who waits as told is never cut off, however often it is refused.

What every move is counted against stands in columns, in ``shard/access/meters.py``.

Every method returns seconds: 0.0 means go on, ENOUGH that the connection ends with 4429. The caller owns the clock, any
that never goes backwards.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from shard.access.bucket import Bucket
from shard.access.meters import MOVES_BURST, MOVES_PER_S, Meters
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

PAUSE_MAX_S: Final = 1.0
"""Longest pause without a look at the socket: pongs must come in before keepalive gives the connection up."""

OVER_MAX_S: Final = 5.0
"""How long a connection may be over its budget."""

CALM_S: Final = 1.0
"""This long within the budget, and the next overrun is a new one."""


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
    """Bytes and frames of one connection, before decoding."""

    __slots__ = ("_meters", "_number", "_overrun")

    def __init__(self, meters: Meters, number: int) -> None:
        """``number``: the connection's, among ``meters``."""
        self._meters = meters
        self._number = number
        self._overrun = _Overrun()

    def take(self, size_bytes: int, frames: int, now_s: float) -> float:
        """Count what was received. Returns 0.0, or how many seconds not to read the socket, or ENOUGH.

        What was counted may be decoded; it is only the next read that has to wait.
        """
        over_s = self._meters.read(self._number, size_bytes, frames, now_s)
        return self.over(over_s, now_s) if over_s > 0.0 else 0.0

    def over(self, over_s: float, now_s: float) -> float:
        """It is over its budget by so many seconds. Returns what ``take`` does."""
        return ENOUGH if self._overrun.lasts(now_s, over_s) else min(over_s, PAUSE_MAX_S)


Class: TypeAlias = Literal["move", "control", "auth", "ping", "signal", "chunks"]

RATES: Final[Mapping[Class, tuple[float, int]]] = MappingProxyType(
    {
        "move": (MOVES_PER_S, MOVES_BURST),  # counted in shard/access/meters.py
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


class Allowance:
    """Messages of one connection by class, after decoding; moves are counted by the Meters."""

    __slots__ = ("_buckets", "_not_before_s", "_overrun")

    def __init__(self) -> None:
        self._buckets: dict[Class, Bucket] = {}
        """Of the classes of which there have been any."""
        self._not_before_s: dict[Class, float] = {}
        """What the client was last told, by class."""
        self._overrun = _Overrun()

    def take(self, message: type[ClientMessage], now_s: float) -> float:
        """Count one message that is no ``move``. 0.0: obey it; seconds: refuse it as ``rate_limited``; or ENOUGH."""
        assert message is not Move, "moves are thinned, not refused: ask the meters"
        kind = CLASS_OF[message]
        if kind not in self._buckets:
            self._buckets[kind] = Bucket(*RATES[kind])
        wait_s = self._buckets[kind].take(now_s)
        if wait_s:
            regardless = now_s < self._not_before_s.get(kind, -math.inf)
            self._not_before_s[kind] = now_s + wait_s
            if regardless and self._overrun.lasts(now_s, 0.0):
                return ENOUGH
        return wait_s
