"""The pipe: whole messages in order, however their bytes are cut, never blocking, and a clear end."""

from __future__ import annotations

import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipc.pipe import PipeClosed, PipeEnd
from shared.constants import PIPE_MESSAGE_BYTES_MAX


class RawPair:
    """A PipeEnd whose other end is a plain socket, so that bytes come and go as a test likes."""

    def __init__(self) -> None:
        self.raw, ours = socket.socketpair()
        self.end = PipeEnd(Connection(ours.detach()))
        self.raw.settimeout(10.0)

    def read_raw(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += self.raw.recv(count - len(data))
        return data

    def close(self) -> None:
        self.end.close()
        self.raw.close()


@pytest.fixture
def pair() -> Iterator[RawPair]:
    opened = RawPair()
    yield opened
    opened.close()


@pytest.fixture
def ends() -> Iterator[tuple[PipeEnd, PipeEnd]]:
    one, other = (PipeEnd(connection) for connection in Pipe(duplex=True))
    yield one, other
    one.close()
    other.close()


def framed(message: bytes) -> bytes:
    return struct.pack("<I", len(message)) + message


MESSAGES = st.lists(st.binary(max_size=60), max_size=8)


@settings(max_examples=80, deadline=None)
@given(messages=MESSAGES, cuts=st.lists(st.integers(0, 600), max_size=30), every=st.sampled_from([1, 2, 3]))
def test_messages_arrive_whole_and_in_order_over_any_slicing(
    messages: list[bytes], cuts: list[int], every: int
) -> None:
    stream = b"".join(map(framed, messages))
    borders = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    ends = [sum(4 + len(message) for message in messages[: count + 1]) for count in range(len(messages))]
    pair = RawPair()
    try:
        received: list[bytes] = []
        for number, (start, stop) in enumerate(pairwise(borders)):
            pair.raw.sendall(stream[start:stop])
            if number % every == 0:
                received += pair.end.receive()
                assert received == messages[: sum(end <= stop for end in ends)], "all that is whole, and no more"
        received += pair.end.receive()
        assert received == messages
        assert pair.end.receive() == []
    finally:
        pair.close()


def test_half_a_message_neither_blocks_nor_returns(pair: RawPair) -> None:
    message = framed(b"twelve bytes")
    for byte in message[:-1]:
        pair.raw.sendall(bytes([byte]))
        assert pair.end.receive() == []
    pair.raw.sendall(message[-1:])
    assert pair.end.receive() == [b"twelve bytes"]


def test_nothing_to_read_is_no_message(pair: RawPair) -> None:
    assert pair.end.receive() == []


def test_more_than_one_read_holds_is_received_at_once(ends: tuple[PipeEnd, PipeEnd]) -> None:
    one, other = ends
    messages = [bytes([number]) * PIPE_MESSAGE_BYTES_MAX for number in range(6)]
    received: list[bytes] = []
    for message in messages:
        one.send(message)
    while len(received) < len(messages):
        received += other.receive()
        one.flush()
    assert received == messages


def test_what_is_sent_is_a_length_and_the_message(pair: RawPair) -> None:
    pair.end.send(b"hello")
    pair.end.send(b"")
    assert pair.read_raw(13) == b"\x05\x00\x00\x00hello\x00\x00\x00\x00"


# --- the end


def test_pending_messages_come_before_the_end(pair: RawPair) -> None:
    pair.raw.sendall(framed(b"one") + framed(b"two"))
    pair.raw.close()
    assert pair.end.receive() == [b"one", b"two"]
    for _ in range(2):
        with pytest.raises(PipeClosed, match="closed"):
            pair.end.receive()


def test_messages_that_are_read_together_with_the_end_come_first(
    pair: RawPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ipc.pipe._READ_BYTES", 7)  # so that the first reads are full and the last one is the end
    pair.raw.sendall(framed(b"one") + framed(b"two"))
    pair.raw.close()
    assert pair.end.receive() == [b"one", b"two"]
    with pytest.raises(PipeClosed, match="closed"):
        pair.end.receive()


def test_an_end_within_a_message_is_the_end(pair: RawPair) -> None:
    pair.raw.sendall(framed(b"one") + framed(b"a lost one")[:-3])
    pair.raw.close()
    assert pair.end.receive() == [b"one"]
    with pytest.raises(PipeClosed):
        pair.end.receive()


def test_a_message_too_large_is_from_nobody_of_ours(pair: RawPair) -> None:
    pair.raw.sendall(struct.pack("<I", PIPE_MESSAGE_BYTES_MAX + 1))
    with pytest.raises(PipeClosed, match=f"{PIPE_MESSAGE_BYTES_MAX + 1} bytes .* {PIPE_MESSAGE_BYTES_MAX} are allowed"):
        pair.end.receive()


def test_the_largest_message_is_received(pair: RawPair) -> None:
    message = bytes(range(256)) * (PIPE_MESSAGE_BYTES_MAX // 256)
    sender = threading.Thread(target=pair.raw.sendall, args=(framed(message),))
    sender.start()
    received: list[bytes] = []
    while not received:
        received = pair.end.receive_within(10.0)
    sender.join()
    assert received == [message]


def test_sending_to_a_closed_end_says_so(ends: tuple[PipeEnd, PipeEnd]) -> None:
    one, other = ends
    other.close()
    with pytest.raises(PipeClosed, match="writing"):
        one.send(b"anybody?")


def test_the_other_process_end_is_noticed_while_waiting(ends: tuple[PipeEnd, PipeEnd]) -> None:
    one, other = ends
    other.send(b"last words")
    other.close()
    assert one.receive_within(10.0) == [b"last words"]
    with pytest.raises(PipeClosed):
        one.receive_within(10.0)


def test_closing_twice_is_harmless(ends: tuple[PipeEnd, PipeEnd]) -> None:
    ends[0].close()
    ends[0].close()


# --- a full pipe


def test_a_full_pipe_keeps_the_rest_and_sends_it_later(ends: tuple[PipeEnd, PipeEnd]) -> None:
    one, other = ends
    messages = [bytes([number]) * 40_000 for number in range(50)]
    for message in messages:
        one.send(message)  # far more than the kernel takes; none of these may wait
    assert not one.flush()
    received: list[bytes] = []
    for _ in range(1000):
        received += other.receive()
        if one.flush() and len(received) == len(messages):
            break
    assert received == messages
    assert one.flush()
    assert other.receive() == []


def test_both_directions_are_independent(ends: tuple[PipeEnd, PipeEnd]) -> None:
    one, other = ends
    while one.flush():
        one.send(b"x" * 60_000)
    other.send(b"an answer")
    assert one.receive() == [b"an answer"]


@pytest.mark.skipif(sys.platform != "linux", reason="the room in a socket pair is the platform's")
def test_the_largest_message_leaves_at_once(ends: tuple[PipeEnd, PipeEnd]) -> None:
    """The bound on messages is what a socket pair takes from a writer without a reader."""
    one, other = ends
    one.send(bytes(PIPE_MESSAGE_BYTES_MAX))
    assert one.flush()
    assert other.receive() == [bytes(PIPE_MESSAGE_BYTES_MAX)]


# --- waiting


def test_waiting_ends_with_the_time(pair: RawPair) -> None:
    pair.raw.sendall(framed(b"half")[:-1])
    began = time.monotonic()
    assert pair.end.receive_within(0.05) == []
    assert time.monotonic() - began >= 0.045
    pair.raw.sendall(b"f")
    assert pair.end.receive_within(0.0) == [b"half"]


def test_waiting_ends_with_a_whole_message(pair: RawPair) -> None:
    data = framed(b"in pieces")

    def drip() -> None:
        for byte in data:
            pair.raw.sendall(bytes([byte]))

    dripping = threading.Timer(0.02, drip)
    dripping.start()
    assert pair.end.receive_within(10.0) == [b"in pieces"]
    dripping.join()


def test_no_time_to_wait_is_a_look(ends: tuple[PipeEnd, PipeEnd]) -> None:
    one, other = ends
    assert one.receive_within(0.0) == []
    other.send(b"here")
    assert one.receive_within(0.0) == [b"here"]
