"""The shortcut for a chunk that is one frame takes exactly what the careful reader takes as one frame."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from shard.access.client_frames import only_text_frame, whole_text_frames
from shared.constants import MESSAGE_BYTES_MAX

FRAMES = st.builds(
    lambda payload, opcode, fin, mask: Frame(opcode, payload, fin=fin).serialize(mask=mask),
    st.binary(max_size=140),
    st.sampled_from([Opcode.TEXT, Opcode.TEXT, Opcode.BINARY, Opcode.CONT]),
    st.booleans(),
    st.booleans(),
)
CHUNKS = st.one_of(
    FRAMES,
    st.binary(max_size=20),
    st.builds(lambda frame, cut: frame[:cut], FRAMES, st.integers(0, 140)),
    st.builds(lambda one, other: one + other, FRAMES, FRAMES),
    st.builds(
        lambda frame, at, byte: frame[:at] + bytes([byte]) + frame[at + 1 :],
        FRAMES,
        st.integers(0, 3),
        st.integers(0, 255),
    ),
)


@given(chunk=CHUNKS)
@example(chunk=Frame(Opcode.TEXT, b"hello").serialize(mask=True))
@example(chunk=Frame(Opcode.TEXT, bytes(200)).serialize(mask=True))
@example(chunk=b"\x81\xfe\x00\x00\x00\x00")
def test_the_shortcut_agrees_with_the_careful_reader(chunk: bytes) -> None:
    payloads, size = whole_text_frames(chunk)
    alone = payloads[0] if len(payloads) == 1 and size == len(chunk) else None
    shortcut = only_text_frame(chunk)
    assert (shortcut is None) == (alone is None)
    assert shortcut == alone


def test_sizes_around_the_limit() -> None:
    for size in (125, 126, MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX + 1, 65_600):
        test = Frame(Opcode.TEXT, bytes(size)).serialize(mask=True)
        shortcut = only_text_frame(test)
        assert shortcut == (bytes(size) if size <= MESSAGE_BYTES_MAX else None)
