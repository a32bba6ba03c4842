"""What takes the bytes of a driving player's socket: whole moves, which go straight into the ring.

While a connection has no reason to do anything else, its transport's protocol is its Inlet. Whatever is no move goes
to the connection itself. So an Inlet is small, and beside its place in the ring touches nothing but columns that all
share: see ``shard/access/meters.py`` for why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from ipc.input_ring import Lane
from shard.access.client_frames import only_text_frame
from shard.access.meters import Meters
from shared.messages import ClientFault, Move, decode_client


class Owner(Protocol):
    """The connection."""

    def data_received(self, data: bytes) -> None:
        """Bytes that are no whole text frame by themselves."""

    def over(self, over_s: float) -> None:
        """It has sent more than its burst, by so many seconds of its rate."""

    def hand(self, received_ms: float, payload: bytes | bytearray) -> None:
        """Any message. It is counted as read."""

    def put_off(self, received_ms: float, payload: bytes | bytearray) -> None:
        """A ``move`` within its rate that finds no room in the ring."""

    def eof_received(self) -> bool | None: ...
    def connection_lost(self, exc: Exception | None) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...


class Inlet(asyncio.Protocol):
    """Of one connection, for as long as its player has this lane. ``number`` is the connection's among the meters."""

    __slots__ = ("_meters", "_now_ms", "_number", "_owner", "_ring", "_slot")

    def __init__(self, owner: Owner, lane: Lane, meters: Meters, number: int, now_ms: Callable[[], float]) -> None:
        self._owner = owner
        self._ring = lane.ring
        self._slot = lane.slot
        self._meters = meters
        self._number = number
        self._now_ms = now_ms

    def data_received(self, data: bytes) -> None:
        """Nearly always one move."""
        payload = only_text_frame(data)
        if payload is None:
            self._owner.data_received(data)
            return
        received_ms = self._now_ms()
        now_s, number, meters = received_ms / 1000.0, self._number, self._meters
        if (over_s := meters.read(number, len(data), 1, now_s)) > 0.0:
            self._owner.over(over_s)
            self._owner.hand(received_ms, payload)
            return
        try:
            message = decode_client(payload)
        except ClientFault:  # found again there, and answered
            self._owner.hand(received_ms, payload)
            return
        if type(message) is not Move:
            self._owner.hand(received_ms, payload)
        elif meters.move(number, now_s) and not self._ring.write(self._slot, received_ms, message.payload):
            self._owner.put_off(received_ms, payload)

    def eof_received(self) -> bool | None:
        """The other end sends no more."""
        return self._owner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._owner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Too much is unsent."""
        self._owner.pause_writing()

    def resume_writing(self) -> None:
        """The other end reads again."""
        self._owner.resume_writing()
