"""Our text frames are those of the library, byte for byte, around every change of the length's form."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from shard.access.wsframe import text_frame


@pytest.mark.parametrize("size", [0, 1, 124, 125, 126, 127, 128, 1000, 65534, 65535, 65536, 65537, 200_000])
def test_a_frame_is_the_librarys(size: int) -> None:
    payload = (b"snapshot " * (size // 9 + 1))[:size]
    assert text_frame([payload]) == Frame(Opcode.TEXT, payload).serialize(mask=False)


@settings(max_examples=80, deadline=None)
@given(parts=st.lists(st.text(max_size=60).map(str.encode), max_size=12))
def test_parts_are_joined_into_one_frame(parts: list[bytes]) -> None:
    assert text_frame(parts) == Frame(Opcode.TEXT, b"".join(parts)).serialize(mask=False)


@pytest.mark.parametrize("size", [125, 126, 65535, 65536])
def test_the_length_is_that_of_all_parts_together(size: int) -> None:
    parts = [b"a" * (size - 3), b"", b"bc", b"d"]
    assert text_frame(parts) == Frame(Opcode.TEXT, b"".join(parts)).serialize(mask=False)
