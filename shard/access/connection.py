"""One player's socket. Moves go from the bytes of the socket into the ring within the socket's own callback.

``websockets`` does the handshake, the closing, pings and everything unusual. Two shortcuts are ours, because they are
the cost of the whole server. Main's processor time per player-second with 600 players of ``scripts.bench``, medians of
three, before anything else was made faster: 0.92 ms with ``recv()`` in a task, 0.77 with frames taken in the library's
callback, 0.57 with both shortcuts.

- *In*: whole, final, masked text frames at a frame boundary are unmasked and decoded here, and for as long as a driver
  sends nothing else they do not even come here but to its ``Inlet``; everything else goes to the library's parser,
  whose frames arrive in ``process_event``. No task wakes, no queue.
- *Out*: a frame that many share is written to the transport as it is. That is sound because frames of a server are not
  masked, we negotiate no extension, and we never send a fragmented message.

Bytes wait in ``_backlog`` and messages in ``_held`` while there is a reason (``_halt``) not to go on; the socket is not
read then, so TCP is the queue. What one read brings is handled in pieces, so that nobody takes the loop for itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, cast

from websockets.asyncio.server import Server, ServerConnection
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State
from websockets.server import ServerProtocol

from ipc.input_ring import Lane
from shard.access.admission import Refusal, Ticket
from shard.access.budget import ENOUGH, Allowance, Intake
from shard.access.client_frames import FRAGMENTS_MAX, Fragments, between_frames, whole_text_frames
from shard.access.doors import Doors
from shard.access.inlet import Inlet
from shard.access.pacing import Share
from shard.access.wsframe import text_frame
from shard.clock import ServerClock
from shard.players.occupants import Nobody
from shard.players.reception import Reception
from shard.players.session import AUTH_TIMEOUT_S, Session
from shard.views.fanout import Offer
from shared.messages import (
    Auth,
    ClientFault,
    CloseCode,
    Move,
    Notice,
    NoticePayload,
    Placed,
    PlacedPayload,
    ServerMessage,
    decode_client,
    encode,
)

UNSENT_BYTES_MAX = 64 * 1024
"""A socket with more than this unsent gets no snapshot: the next one replaces it anyway."""

CHUNKS_UNSENT_BYTES_MAX = UNSENT_BYTES_MAX // 2
"""A socket with more than this unsent gets no chunks until it has less, so that they do not crowd out snapshots."""

RELIABLE_BYTES_MAX = 256 * 1024
"""A socket with more than this unsent is cut off: what may not be left out has filled the rest."""

STUCK_S = 15.0
"""A socket that could not be written for so long is cut off."""

DEGRADED_EVERY_S = 10.0
"""Between two notices that snapshots were left out."""

REFUSED_S = 2.0
"""How long a socket that is turned away has for its request."""

PIECE_BYTES = 1024
"""The library's parser gets so much at a time: a hundred and seventy of the smallest frames, 2 ms."""

# Why a connection does not go on: bits of ``_halt``. Plain integers, because the arithmetic of enum flags takes a
# microsecond each time.
_RING = 1
"""Its ring is full."""
_AUTH = 2
"""A token is being verified."""
_TURN = 4
"""It has had its share of this pass of the loop."""
_BUDGET = 8
"""It sent too much: what is here is handled, but nothing more is read for a while."""
_NO_MORE = _RING | _AUTH | _TURN


class Connection(ServerConnection):
    """A WebSocket connection that feeds a session."""

    __slots__ = (
        "_allowance",
        "_at_boundary",
        "_backlog",
        "_clock",
        "_degraded_s",
        "_doors",
        "_ending",
        "_fed",
        "_fragments",
        "_halt",
        "_held",
        "_inlet",
        "_intake",
        "_lane",
        "_meter",
        "_open",
        "_paid",
        "_pause",
        "_paused_s",
        "_received_ms",
        "_reception",
        "_refusal",
        "_share",
        "_skipped",
        "_timeout",
        "offer",
        "session",
        "ticket",
    )

    def __init__(
        self,
        protocol: ServerProtocol,
        server: Server,
        reception: Reception,
        clock: ServerClock,
        doors: Doors,
        **how: Any,
    ):
        super().__init__(protocol, server, **how)
        self.session = Session()
        self.ticket: Ticket | None = None
        """None: it was turned away."""
        self._refusal = b""
        """What it is answered then, once its request is here: closing before that would reset the connection."""
        self._reception = reception
        self._clock = clock
        self._lane: Lane | None = None
        self._inlet: Inlet | None = None
        self._fed: Inlet | None = None
        """To whom the transport hands its bytes; None: to us."""
        self._doors = doors
        self._meter = -1
        """Its number among the meters."""
        self._intake: Intake
        self._allowance = Allowance()
        self._paid = False
        """The move that waits for room is within the allowance already."""
        self._share = Share(doors.passes)
        self._open = False
        """Between the handshake and the first sign of an end; kept so in ``send_data``."""
        self.offer: Offer = self._refuse
        """The transport's ``write``, unless it is not open, or more than UNSENT_BYTES_MAX is unsent: no snapshots."""
        self._at_boundary = False
        """The library's parser has nothing of an unfinished frame or message."""
        self._fragments = Fragments()
        self._received_ms = 0.0
        """Server time at which the bytes at hand were received."""
        self._halt = 0
        self._held: deque[tuple[float, bytes | bytearray]] = deque()
        """Whole messages, and their time of receipt."""
        self._backlog: deque[tuple[float, bytes]] = deque()
        """Bytes behind them that were not looked at."""
        self._timeout: asyncio.TimerHandle | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None
        self._paused_s = 0.0
        """When writing was paused last, on the loop's clock."""
        self._skipped = False
        """Snapshots were left out."""
        self._degraded_s = -DEGRADED_EVERY_S

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A socket was accepted."""
        peer = transport.get_extra_info("peername")
        found = self._doors.arrive(self, str(peer[0]) if isinstance(peer, tuple) else "")
        if isinstance(found, Refusal):
            self.transport = cast(asyncio.Transport, transport)
            self._refusal = found.response()
            self._timeout = self.loop.call_later(REFUSED_S, self.transport.abort)
            return
        self.ticket = found
        self._meter = self._doors.meters.claim()
        self._intake = Intake(self._doors.meters, self._meter)
        super().connection_made(transport)

    def opened(self) -> None:
        """The handshake is done: the time to authenticate begins."""
        self._open = self.protocol.state is State.OPEN
        self._mute(self.paused)
        self._timeout = self.loop.call_later(AUTH_TIMEOUT_S, self._reception.auth_timeout, self)
        self._go_on()

    def give_way(self) -> None:
        """Too many sockets say nothing, and this is the oldest of them."""
        if self._open:
            self.end(CloseCode.OVERLOADED, "too many connections that do not authenticate")
        else:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        if self.ticket is None:
            if self._timeout is not None:
                self._timeout.cancel()
            return
        self._doors.leave(self.ticket)
        self._doors.meters.give_back(self._meter)
        super().connection_lost(exc)
        self._shut()
        for timer in (self._timeout, self._pause):
            if timer is not None:
                timer.cancel()
        self._held.clear()
        self._backlog.clear()
        self._reception.lost(self)
        self.offer = Nobody().offer  # no reference to itself any more

    def eof_received(self) -> None:
        """The other end sends no more."""
        if self.ticket is not None:
            super().eof_received()

    # --- in

    def data_received(self, data: bytes) -> None:
        """Bytes of the socket."""
        if self.ticket is None:
            if self._refusal:
                self.transport.write(self._refusal)
                self.transport.close()
                self._refusal = b""
            return
        self._received_ms = self._clock.now_ms()
        self._count(len(data), 0)
        self._backlog.append((self._received_ms, data))
        if self.request is None and not self._halt:
            self._stop(_TURN)  # a handshake: storms of them wait for their turn
            self._doors.pacer.add(self._turn)
        else:
            self._go_on()

    @property
    def lane(self) -> Lane | None:
        """Where the samples of the player's car go; None: it has none that it may drive."""
        return self._lane

    @lane.setter
    def lane(self, lane: Lane | None) -> None:
        self._lane = lane
        meters, now_ms = self._doors.meters, self._clock.now_ms
        self._inlet = None if lane is None else Inlet(self, lane, meters, self._meter, now_ms)
        self._steer()

    def _steer(self) -> None:
        """Whenever any of this may have changed: let the transport hand its bytes to the inlet, or again to us."""
        inlet = self._inlet if self._open and self._at_boundary and not self._halt else None
        if self._fed is not inlet and not self.transport.is_closing():
            self._fed = inlet
            self.transport.set_protocol(inlet or self)

    def over(self, over_s: float) -> None:
        """The inlet has counted more than the budget has."""
        self._over(self._intake.over(over_s, self._clock.now_ms() / 1000.0))

    def hand(self, received_ms: float, payload: bytes | bytearray) -> None:
        """A message of the inlet."""
        if self._open and not self._take(received_ms, payload):
            self.put_off(received_ms, payload)

    def put_off(self, received_ms: float, payload: bytes | bytearray) -> None:
        """A ``move`` of the inlet that is within its rate and finds no room in the ring."""
        self._paid = True
        self._held.append((received_ms, payload))
        self._wait_for_room()

    def _count(self, size_bytes: int, frames: int) -> None:
        """Charge the budget of bytes and frames."""
        if wait_s := self._intake.take(size_bytes, frames, self._clock.now_ms() / 1000.0):
            self._over(wait_s)

    def _over(self, wait_s: float) -> None:
        """It has sent too much: do not read on for a while, or never again."""
        if self._ending is not None:
            return
        if wait_s == ENOUGH:
            self._stop(_BUDGET)
            self._reception.over(self, ENOUGH)
        elif not self._halt & _BUDGET:
            self._stop(_BUDGET)
            self._pause = self.loop.call_later(wait_s, self._start, _BUDGET)

    def _stop(self, why: int) -> None:
        if not self._halt and not self.transport.is_closing():
            self.transport.pause_reading()
        self._halt |= why
        self._steer()

    def _start(self, why: int) -> None:
        if self._halt & why:
            self._halt &= ~why
            self._go_on()

    def _turn(self) -> None:
        self._start(_TURN)

    def _wait_for_room(self) -> None:
        self._stop(_RING)
        self._reception.waiting.add(self)

    def _go_on(self) -> None:
        """Handle what waits, until there is a reason not to; read the socket again when there is none."""
        while not self._halt & _NO_MORE and (self._held or self._backlog):
            if self._ending is not None:
                self._held.clear()
            if not self._share.take():
                self._stop(_TURN)
                self._doors.pacer.add(self._turn)
            elif self._held:
                if not self._open:
                    return  # the handshake is not answered yet: ``opened`` goes on
                if not self._take(*self._held[0]):
                    self._wait_for_room()
                    return
                if self._held:
                    self._held.popleft()
            elif self._backlog:
                self._read_piece()
        if not self._halt and self._is_up():
            self._steer()
            self.transport.resume_reading()

    def _is_up(self) -> bool:
        """Whether the transport is there and not about to end."""
        return self.ticket is not None and not self.transport.is_closing()

    def _read_piece(self) -> None:
        """Turn the front of the backlog into messages: a helping of whole frames, or a few bytes for the library."""
        self._received_ms, data = self._backlog.popleft()
        if self._at_boundary and self._open:
            payloads, size = whole_text_frames(data)
            if payloads:
                self._count(0, len(payloads))
                self._held.extend((self._received_ms, payload) for payload in payloads)
                if size < len(data):
                    self._backlog.appendleft((self._received_ms, data[size:]))
                return
        if len(data) > PIECE_BYTES:
            self._backlog.appendleft((self._received_ms, data[PIECE_BYTES:]))
            self._stop(_TURN)
            self._doors.pacer.add(self._turn)
        super().data_received(data[:PIECE_BYTES])
        self._at_boundary = self._open and not self._fragments and between_frames(self.protocol)

    def process_event(self, event: Event) -> None:
        """A frame that came by way of the library's parser, or the handshake."""
        if not isinstance(event, Frame):
            super().process_event(event)
            return
        self._count(0, 1)
        if event.opcode is Opcode.TEXT or event.opcode is Opcode.CONT:
            self._fragment(event)
        elif event.opcode is Opcode.BINARY:
            self.end(CloseCode.UNSUPPORTED, "messages are JSON text, not binary")
        else:
            super().process_event(event)

    def _fragment(self, frame: Frame) -> None:
        if self._ending is not None:
            return
        if len(self._fragments) == FRAGMENTS_MAX:
            self._fragments.clear()
            self.end(CloseCode.TOO_BIG, f"a message has at most {FRAGMENTS_MAX} fragments")
        elif (whole := self._fragments.add(frame)) is not None:
            self._held.append((self._received_ms, whole))

    def _take(self, received_ms: float, data: bytes | bytearray) -> bool:
        """Handle one message; False when it is a move that finds no room in the ring."""
        try:
            message = decode_client(data)
        except ClientFault as fault:
            self._reception.malformed(self, fault)
            return True
        if type(message) is Move and self.lane is not None:
            if not self._paid and not self._doors.meters.move(self._meter, received_ms / 1000.0):
                return True
            fits = self.lane.write(received_ms, message.payload)
            self._paid = not fits
            return fits
        if type(message) is Auth and self.ticket is not None:
            self._doors.admission.spoke(self.ticket)
        if type(message) is not Move and (wait_s := self._allowance.take(type(message), received_ms / 1000.0)):
            self._reception.over(self, wait_s, message.id)
            return True
        self._reception.obey(self, message)
        return True

    def take_held(self) -> bool:
        """A tick was committed: go on with what was held. True when nothing waits for room any more."""
        self._halt &= ~_RING
        self._go_on()
        return not self._halt & _RING

    def hold(self) -> None:
        """Look at nothing further until ``go_on``."""
        self._stop(_AUTH)

    def go_on(self) -> None:
        """Go on with what was held."""
        self._start(_AUTH)

    # --- out

    def send_data(self) -> None:
        """Write what the library has to say, and learn at once when it has begun to end the connection.

        It does so by itself at an EOF, a missed pong, a breach of the protocol; whatever it is, it comes through here.
        """
        super().send_data()
        if self._open and self.protocol.state is not State.OPEN:
            self._shut()

    def _shut(self) -> None:
        """Neither read nor write messages from now on."""
        self._open = False
        self._steer()
        self._mute(True)

    def _mute(self, mute: bool) -> None:
        self.offer = self._refuse if mute or not self._open else self.transport.write
        self._reception.renewed(self)

    def _refuse(self, frame: bytes) -> bool:
        """In place of the transport's ``write``, which does not say anything."""
        self._skipped = True
        return False

    def has_room(self) -> bool:
        """Whether so little is unsent that chunks may be written; also when none ever will: ``offer`` says so."""
        if not self._open or self.transport.is_closing():
            return True
        return self.transport.get_write_buffer_size() < CHUNKS_UNSENT_BYTES_MAX

    def deliver(self, frame: bytes) -> None:
        """Write a frame that must not be left out; a socket that has let too many of them pile up is cut off."""
        if self._open:
            self.transport.write(frame)
            if self.paused and self.transport.get_write_buffer_size() > RELIABLE_BYTES_MAX:
                self.abort()

    def send(self, message: ServerMessage) -> None:  # type: ignore[override]
        """Write one message; nothing happens on a connection that is closing."""
        if self._open:
            self.deliver(text_frame([encode(message)]))

    def placed(self, payload: PlacedPayload) -> None:
        """The server moved the player's car."""
        self.send(Placed(payload, re=self.session.answers(payload.reason)))

    def pause_writing(self) -> None:
        """More than UNSENT_BYTES_MAX is unsent."""
        super().pause_writing()
        self._mute(True)
        self._paused_s = self.loop.time()

    def resume_writing(self) -> None:
        """The other end reads again."""
        super().resume_writing()
        self._mute(False)
        now_s = self.loop.time()
        if self._skipped and now_s - self._degraded_s >= DEGRADED_EVERY_S:
            self._degraded_s = now_s
            self.send(Notice(NoticePayload("degraded", "you read too slowly: snapshots were left out")))
        self._skipped = False

    def stuck(self) -> bool:
        """Whether it could not be written for STUCK_S."""
        return self.paused and self.loop.time() - self._paused_s > STUCK_S

    def abort(self) -> None:
        """Cut the connection off without another word."""
        self._shut()
        self.transport.abort()

    def end(self, code: CloseCode, reason: str) -> None:
        """Close with a code. Idempotent; what arrives from now on is ignored."""
        if self._ending is None:
            self._shut()
            self._held.clear()
            self._ending = self.loop.create_task(self.close(code, reason))
            self._halt &= _BUDGET | _TURN  # go on reading, or the other end's good-bye is not heard
            if not self._halt and self._is_up():
                self.transport.resume_reading()
