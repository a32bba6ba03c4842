"""Frozen frames: one per message type with every field, read and written by Python. ``tests/node`` does the same.

The frames were written by hand once. A failure here means that the contract changed: decide whether that needs a new
protocol version (PROTOCOL.md, "Version"), then add to the frame; do not generate it.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import inspect as msi

from shared.messages import CLIENT_MESSAGES, SERVER_MESSAGES, TYPE_OF, Empty, decode_client, decode_server, encode

FOLDER = Path(__file__).parent / "fixtures" / "wire"
CLASSES = {
    f"{side}_{TYPE_OF[cls]}": cls
    for side, classes in (("client", CLIENT_MESSAGES), ("server", SERVER_MESSAGES))
    for cls in classes
}


def _frame(name: str) -> bytes:
    return (FOLDER / f"{name}.json").read_bytes()


def test_there_is_one_frame_for_every_message_type_and_none_besides() -> None:
    assert sorted(path.stem for path in FOLDER.iterdir()) == sorted(CLASSES)


@pytest.mark.parametrize("name", CLASSES)
def test_a_frame_is_read_as_its_class_and_written_unchanged(name: str) -> None:
    frame = _frame(name)
    message = decode_client(frame) if name.startswith("client") else decode_server(frame)
    assert type(message) is CLASSES[name]
    assert json.loads(encode(message)) == json.loads(frame)


@pytest.mark.parametrize("name", CLASSES)
def test_a_frame_has_every_field_that_python_knows(name: str) -> None:
    _require_all(json.loads(_frame(name)), msi.type_info(CLASSES[name]), name)


def _require_all(value: Any, kind: msi.Type, where: str) -> None:
    """Every field of every struct below ``kind`` occurs in ``value``."""
    if isinstance(kind, msi.Metadata):
        _require_all(value, kind.type, where)
    elif isinstance(kind, msi.UnionType):
        for part in kind.types:
            if isinstance(part, (msi.StructType, msi.ListType, msi.Metadata)):
                _require_all(value, part, where)
    elif isinstance(kind, msi.ListType):
        assert value, f"{where} is empty: nothing is shown of its entries"
        for index, each in enumerate(value):
            _require_all(each, kind.item_type, f"{where}[{index}]")
    elif isinstance(kind, msi.StructType) and kind.array_like:
        assert len(value) == len(kind.fields), f"{where} must show {[field.name for field in kind.fields]}"
    elif isinstance(kind, msi.StructType):
        for field in kind.fields:
            if not _says_nothing(field.type):
                assert field.encode_name in value, f"{where} does not show {field.encode_name}"
                _require_all(value[field.encode_name], field.type, f"{where}.{field.encode_name}")


def _says_nothing(kind: msi.Type) -> bool:
    return isinstance(kind, msi.StructType) and kind.cls is Empty
