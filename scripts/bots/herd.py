"""Thousands of clients from one core: raw sockets, raw frames, and only a sample of what comes back is read.

What a herd checks: every frame's header and length (so every byte is accounted for), the tick of every snapshot of a
sampled client, and, of those, its own rows and the rows of the other sampled clients near it: from them the time from
sending a move to seeing it. What it does not check is everything that a strict bot does; ``scripts.swarm`` is for that.

Each client drives a circle around its spawn point, so its rows change with every sample and the density stays. All
samples of a step are computed and written as one text of fixed width, which is then cut: what is left per client and
tick is a send, a receive, and the look at a header.
"""

from __future__ import annotations

import base64
import contextlib
import math
import os
import select
import socket
import struct
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from shared.messages import (
    Auth,
    AuthPayload,
    Enter,
    EnterPayload,
    Error,
    Placed,
    ServerMessage,
    Welcome,
    decode_server,
    encode,
)

PERIOD_S = 0.05
PHASES = 10
"""Steps into which a period is divided: sends are spread over it."""
SPEED_MPS = 10.0
RADIUS_M = 15.0
APPROACH_MPS = 15.0
"""Of a circle's middle on its way into a crowd: 25 m/s with the circle itself, slower than any vehicle may."""
GOLDEN_ANGLE = 2.399963
"""Radians; points at its multiples never line up."""
SAMPLE_EVERY = 40
READ_BYTES = 16 * 1024
"""More would be allocated and given back by a system call each, for every receive."""
FIRST_SEQ = 100_000
"""Leaves all of them six digits."""
_ONE: list[bytes] = [b""]
"""One whole frame at which nobody looks."""
F64 = NDArray[np.float64]
_UPGRADE = (
    "GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class HerdFault(Exception):
    """The herd cannot go on; the text says which client met what."""


def client_frame(payload: bytes) -> bytes:
    """A text frame of a client, masked with zeros: legal, and free."""
    length = len(payload)
    if length < 126:
        return struct.pack("!BB4x", 0x81, 0x80 | length) + payload
    return struct.pack("!BBH4x", 0x81, 0x80 | 126, length) + payload


_MOVE = (
    b'{"type":"move","payload":{"epoch":%5d,"seq":%6d,"t":%9.0f,"x":%7.2f,"z":%7.2f,"yaw":%5.3f,"vx":%6.2f,"vz":%6.2f}}'
)
"""Numbers are padded with blanks, so that every move has the same length."""
_MOVE_BYTES = len(_MOVE % (0, 0, 0, 0, 0, 0, 0, 0))
_MOVE_FRAME = client_frame(bytes(_MOVE_BYTES))[:-_MOVE_BYTES] + _MOVE
_MOVE_FRAME_BYTES = len(client_frame(bytes(_MOVE_BYTES)))
assert b"%" not in _MOVE_FRAME[: -len(_MOVE)], "the header is part of a format"


@dataclass(slots=True)
class Totals:
    """What the herd has counted since ``begin``."""

    seconds: float = 0.0
    moves: int = 0
    frames: int = 0
    bytes_in: int = 0
    steps: int = 0
    late_sends: int = 0
    """Steps that began more than a tenth of a period after their time: the herd's own fault."""
    lost: int = 0
    """Connections that ended."""
    seen_ms: dict[int, list[float]] = field(default_factory=lambda: {1: [], 2: [], 4: []})
    """From sending a move to receiving the row with its seq, between different clients; by ticks between two rows."""
    kinds: Counter[str] = field(default_factory=Counter)
    """Bytes of sampled clients' snapshots by kind: rows, names of who came, full cells, and the envelope."""
    missed_ticks: int = 0
    """Ticks without a snapshot, of sampled clients."""
    sampled_ticks: int = 0


class Client:
    """One connection of the herd."""

    def __init__(self, number: int, address: tuple[str, int], token: str) -> None:
        self.number = number
        self.slot = -1
        self.lost = False
        self.epoch = 0
        self.world_m = 0
        self.centre = (0.0, 0.0)
        """Where the middle of its circle is when it is placed."""
        self.sampled = number % SAMPLE_EVERY < 2  # pairs, so that the second can see the first
        self.sent: deque[tuple[int, float]] = deque(maxlen=40)
        """(seq, monotonic time) of the newest moves of a sampled client."""
        self.tick = 0
        self.row_ticks: dict[int, int] = {}
        """Slot to the tick that brought its last row, of a sampled client."""
        self._buffer = b""
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(_UPGRADE.format(host=f"{address[0]}:{address[1]}", key=key).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            part = self.socket.recv(4096)
            if not part:
                raise HerdFault(f"client {number}: the handshake was refused")
            answer += part
        head, _, self._buffer = answer.partition(b"\r\n\r\n")
        if b" 101 " not in head.partition(b"\r\n")[0]:
            raise HerdFault(f"client {number}: {head.partition(chr(13).encode())[0].decode()}")
        self.socket.sendall(client_frame(encode(Auth(AuthPayload(token)))))
        self.socket.sendall(client_frame(encode(Enter(EnterPayload(name=f"Herd {number:05d}")))))
        self.send = self.socket.send

    def settle(self, timeout_s: float) -> None:
        """Wait, blocking, until the client stands in the world. Raises HerdFault."""
        self.socket.settimeout(timeout_s)
        while self.slot < 0:
            self._buffer += self._receive()
            for payload in self._frames():
                self._hear(decode_server(payload))
        self.socket.setblocking(False)

    def read(self) -> tuple[int, list[bytes]]:
        """Everything that has arrived: its bytes, and the payloads of whole frames."""
        data = self._receive()
        size = len(data)
        if not self._buffer and size > 4 and data[0] == 0x81:  # nearly always: one whole snapshot
            length = data[1]
            if length == 126 and (data[2] << 8 | data[3]) + 4 == size:
                return size, [data[4:]] if self.sampled else _ONE
        self._buffer = self._buffer + data if self._buffer else data
        return size, self._frames()

    def _receive(self) -> bytes:
        try:
            data = self.socket.recv(READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError as fault:
            raise HerdFault(f"client {self.number}: {fault}") from None
        if not data:
            raise HerdFault(f"client {self.number}: the connection ended")
        return data

    def _frames(self) -> list[bytes]:
        buffer, at, size = self._buffer, 0, len(self._buffer)
        found = []
        while size - at >= 2:
            length, start = buffer[at + 1], at + 2
            if length == 126:
                if size - at < 4:
                    break
                length, start = (buffer[at + 2] << 8) | buffer[at + 3], at + 4
            elif length == 127:
                if size - at < 10:
                    break
                length, start = int.from_bytes(buffer[at + 2 : at + 10], "big"), at + 10
            if size < start + length:
                break
            if buffer[at] == 0x81:
                found.append(buffer[start : start + length])
            elif buffer[at] == 0x89:
                with contextlib.suppress(OSError):  # a socket that is full or gone shows soon enough
                    self.socket.send(struct.pack("!BB4x", 0x8A, 0x80 | length) + buffer[start : start + length])
            elif buffer[at] == 0x88:
                code = int.from_bytes(buffer[start : start + 2], "big")
                raise HerdFault(f"client {self.number}: closed with {code} {buffer[start + 2 : start + length]!r}")
            at = start + length
        self._buffer = buffer[at:]
        return found

    def _hear(self, message: ServerMessage) -> None:
        if isinstance(message, Error):
            raise HerdFault(f"client {self.number}: {message.payload.code}: {message.payload.message}")
        if isinstance(message, Welcome):
            self.world_m = message.payload.world.size_m
        elif isinstance(message, Placed):
            self.slot, self.epoch = message.payload.slot, message.payload.epoch
            turn = self.number + time.monotonic() * SPEED_MPS / RADIUS_M
            x, z = message.payload.x - RADIUS_M * math.sin(turn), message.payload.z - RADIUS_M * math.cos(turn)
            self.centre = (
                min(max(x, RADIUS_M), self.world_m - RADIUS_M),
                min(max(z, RADIUS_M), self.world_m - RADIUS_M),
            )


class Course:
    """Where everybody drives: circles of RADIUS_M at SPEED_MPS, whose middles may be on their way somewhere."""

    def __init__(self, clients: list[Client]) -> None:
        self._number = np.arange(len(clients), dtype=np.float64)
        self._epoch = np.array([client.epoch for client in clients], np.float64)
        self._centre = np.array([client.centre for client in clients]).reshape(-1, 2)
        self._goal = self._centre.copy()

    def head_for(self, goals: F64) -> None:
        """Take the middles to ``goals`` (N, 2) metres, at APPROACH_MPS."""
        self._goal = goals

    @property
    def arrived(self) -> bool:
        """Whether all middles are where they shall be."""
        return bool((self._goal == self._centre).all())

    def frames(self, which: slice, now_s: float, seq: int) -> list[memoryview]:
        """The next moves of these clients, as frames: a period after their last ones."""
        centre = self._centre[which]  # a view
        way = self._goal[which] - centre
        away_m = np.sqrt((way * way).sum(axis=1))[:, None]
        far = away_m >= APPROACH_MPS * PERIOD_S
        drift = np.where(far, way * (APPROACH_MPS / np.maximum(away_m, 1e-9)), 0.0)
        centre[:] = np.where(far, centre + drift * PERIOD_S, self._goal[which])
        turn = self._number[which] + now_s * SPEED_MPS / RADIUS_M
        sin, cos = np.sin(turn), np.cos(turn)
        values = np.column_stack(
            (
                self._epoch[which],
                np.full(len(turn), seq),
                np.full(len(turn), now_s * 1000.0),
                centre[:, 0] + RADIUS_M * sin,
                centre[:, 1] + RADIUS_M * cos,
                turn % math.tau,
                drift[:, 0] + SPEED_MPS * cos,
                drift[:, 1] - SPEED_MPS * sin,
            )
        )
        text = memoryview(_MOVE_FRAME * len(turn) % tuple(values.ravel().tolist()))
        assert len(text) == len(turn) * _MOVE_FRAME_BYTES, "a number is wider than its place"
        return [text[at : at + _MOVE_FRAME_BYTES] for at in range(0, len(text), _MOVE_FRAME_BYTES)]


class Herd:
    """All clients of one process. ``connect`` them, let them ``run``, read the Totals, ``close``."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.totals = Totals()
        self._course = Course([])
        self._seq = FIRST_SEQ
        self._poll = select.epoll()
        self._by_fd: dict[int, Client] = {}
        self._by_slot: dict[int, Client] = {}

    def connect(self, address: tuple[str, int], tokens: list[str], timeout_s: float = 30.0) -> None:
        """Connect, authenticate and enter one more client per token; returns when all stand in the world."""
        fresh = [Client(len(self.clients) + number, address, token) for number, token in enumerate(tokens)]
        for client in fresh:
            client.settle(timeout_s)
            self._poll.register(client.socket, select.EPOLLIN)
            self._by_fd[client.socket.fileno()] = client
            self._by_slot[client.slot] = client
        self.clients += fresh
        self._course = Course(self.clients)

    def run(self, seconds: float) -> Totals:
        """Drive for ``seconds``; returns what was counted."""
        self.totals = Totals()
        began = due = time.monotonic()
        phase = 0
        while due - began < seconds:
            self._send(phase, due)
            phase = (phase + 1) % PHASES
            due += PERIOD_S / PHASES
            self._read_until(due)
        self.totals.seconds = time.monotonic() - began
        return self.totals

    def gather(self, x: float, z: float, radius_m: float, timeout_s: float = 60.0) -> None:
        """Have everybody drive into a disc, evenly spread; returns when all are there."""
        number = np.arange(len(self.clients))
        away_m = (radius_m - RADIUS_M) * np.sqrt((number + 0.5) / len(self.clients))
        turn = number * GOLDEN_ANGLE
        self._course.head_for(np.column_stack((x + away_m * np.sin(turn), z + away_m * np.cos(turn))))
        end_s = time.monotonic() + timeout_s
        while not self._course.arrived:
            self.run(0.5)
            if time.monotonic() > end_s:
                raise HerdFault("not everybody arrived in the crowd in time")

    def close(self) -> None:
        """End all connections at once."""
        for client in self.clients:
            client.socket.close()
        self._poll.close()

    def _send(self, phase: int, due: float) -> None:
        now_s = time.monotonic()
        totals = self.totals
        totals.steps += 1
        totals.late_sends += now_s - due > PERIOD_S / 10
        if phase == 0:
            self._seq += 1
        which = slice(phase, None, PHASES)
        for client, frame in zip(self.clients[which], self._course.frames(which, now_s, self._seq), strict=True):
            if client.lost:
                continue
            if client.sampled:
                client.sent.append((self._seq, now_s))
            try:
                client.send(frame)
            except BlockingIOError:
                continue  # the shard does not read us: it will show in the latencies
            except OSError:
                self._lose(client)
            totals.moves += 1

    def _read_until(self, due: float) -> None:
        totals = self.totals
        while True:
            left = due - time.monotonic()
            ready = self._poll.poll(max(left, 0.0), 256)
            for descriptor, _ in ready:
                client = self._by_fd[descriptor]
                try:
                    size, frames = client.read()
                except HerdFault:
                    self._lose(client)
                    continue
                totals.bytes_in += size
                totals.frames += len(frames)
                if client.sampled:
                    self._look(client, frames)
            if left <= 0:
                return

    def _look(self, client: Client, frames: list[bytes]) -> None:
        """Read the snapshots of a sampled client: its ticks, and how old the moves are that it is shown."""
        now_s = time.monotonic()
        for frame in frames:
            message = orjson.loads(frame)
            if message["type"] != "snapshot":
                continue
            tick = message["payload"]["tick"]
            self._weigh(message["payload"], len(frame))
            if client.tick:
                self.totals.sampled_ticks += tick - client.tick
                self.totals.missed_ticks += tick - client.tick - 1
            client.tick = tick
            for cell in message["payload"]["cells"]:
                for row in cell.get("at", ()):
                    other = self._by_slot.get(row[0])
                    if other is not None and other.sampled and other is not client:
                        ticks = tick - client.row_ticks.get(row[0], tick - 1)
                        client.row_ticks[row[0]] = tick
                        self._time(other, row[1], now_s, 1 if ticks < 2 else 2 if ticks == 2 else 4)

    def _weigh(self, payload: dict[str, Any], size: int) -> None:
        kinds = self.totals.kinds
        before = kinds.total()
        for cell in payload["cells"]:
            if cell.get("full"):
                kinds["full"] += len(orjson.dumps(cell))
            else:
                kinds["at"] += len(orjson.dumps(cell.get("at", [])))
                kinds["who"] += len(orjson.dumps(cell["who"])) if "who" in cell else 0
        kinds["envelope"] += size - (kinds.total() - before)

    def _time(self, other: Client, seq: int, now_s: float, ticks: int) -> None:
        for sent, at_s in other.sent:
            if sent & 0xFFFF == seq:
                self.totals.seen_ms[ticks].append(1000 * (now_s - at_s))
                return

    def _lose(self, client: Client) -> None:
        self.totals.lost += 1
        self._poll.unregister(client.socket)
        del self._by_fd[client.socket.fileno()]
        client.socket.close()
        client.lost = True
