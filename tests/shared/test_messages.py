"""The decoder: what is a message, what is refused, and that nothing else ever happens."""

import json
import math
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect as msi

from scripts import bench_messages, fuzz_messages
from scripts.fuzz_messages import judge
from shared.messages import (
    CLIENT_MESSAGES,
    TYPE_OF,
    Chunks,
    ClientFault,
    Enter,
    EnterPayload,
    Interact,
    Leave,
    Move,
    MovePayload,
    Ping,
    PingPayload,
    State,
    Who,
    WhoPayload,
    decode_client,
    encode,
)
from shared.messages.codec import REFUSAL_CHARS_MAX

FOLDER = Path(__file__).parent / "fixtures" / "wire"
FRAMES: dict[str, dict[str, Any]] = {
    path.stem.removeprefix("client_"): json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(FOLDER.glob("client_*.json"))
}
CLASSES = {TYPE_OF[cls]: cls for cls in CLIENT_MESSAGES}


def refusal(data: bytes) -> ClientFault:
    """The refusal of ``data``; fails if it is accepted."""
    with pytest.raises(ClientFault) as caught:
        decode_client(data)
    fault = caught.value
    assert fault.code in ("malformed", "unknown_type")
    assert fault.message == str(fault)
    assert 0 < len(fault.message) <= REFUSAL_CHARS_MAX
    assert fault.message.isprintable()
    return fault


def changed(kind: str, path: tuple[Any, ...], value: Any) -> bytes:
    """The complete frame of a type, with one field at ``path`` below the message set to ``value``."""
    message = json.loads(json.dumps(FRAMES[kind]))
    target = message
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    return json.dumps(message).encode()


def scalar_fields() -> Iterator[tuple[str, tuple[Any, ...], msi.Type]]:
    """Every field of every client message that holds a number, a string or a boolean, as (type, path, field type)."""
    for kind, cls in CLASSES.items():
        yield from ((kind, path, leaf) for path, leaf in _leaves(msi.type_info(cls), FRAMES[kind], ()))


def _leaves(kind: msi.Type, value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], msi.Type]]:
    if isinstance(kind, msi.Metadata):
        yield from _leaves(kind.type, value, path)
    elif isinstance(kind, msi.UnionType):
        parts = [part for part in kind.types if not isinstance(part, msi.NoneType)]
        if len(parts) == 1:
            yield from _leaves(parts[0], value, path)
    elif isinstance(kind, msi.StructType):
        for field in kind.fields:
            if field.encode_name in value:
                yield from _leaves(field.type, value[field.encode_name], (*path, field.encode_name))
    elif isinstance(kind, msi.ListType):
        yield from _leaves(kind.item_type, value[0], (*path, 0))
    elif isinstance(kind, msi.TupleType):
        for index, item in enumerate(kind.item_types):
            yield from _leaves(item, value[index], (*path, index))
    elif isinstance(kind, (msi.IntType, msi.FloatType, msi.StrType, msi.BoolType)):
        yield path, kind


FIELDS = list(scalar_fields())
NUMBERS = [field for field in FIELDS if isinstance(field[2], (msi.IntType, msi.FloatType))]
STRINGS = [field for field in FIELDS if isinstance(field[2], msi.StrType)]


def _names(field: tuple[str, tuple[Any, ...], msi.Type]) -> str:
    return f"{field[0]}-{'.'.join(map(str, field[1]))}"


def _place(path: tuple[Any, ...]) -> str:
    """A path as a refusal names it."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


# --- every field of every message ---------------------------------------------------------------------------------


def test_there_is_a_frame_for_each_client_message() -> None:
    assert set(FRAMES) == set(CLASSES)
    assert len(NUMBERS) >= 25, "the walk over the fields finds nothing any more"


@pytest.mark.parametrize("field", NUMBERS, ids=_names)
@pytest.mark.parametrize("wrong", [True, False, "1", [1], {"a": 1}, 10**400, 10**19, -(10**19), 1e308, -1e308])
def test_a_number_is_a_number_within_its_bounds(field: tuple[str, tuple[Any, ...], msi.Type], wrong: Any) -> None:
    kind, path, _ = field
    assert f"at `{_place(path)}`" in refusal(changed(kind, path, wrong)).message


@pytest.mark.parametrize("field", NUMBERS, ids=_names)
@pytest.mark.parametrize("wrong", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "0x10", "01", "+1", "1.", ".5"])
def test_what_is_no_json_number_is_refused(field: tuple[str, tuple[Any, ...], msi.Type], wrong: str) -> None:
    kind, path, _ = field
    data = changed(kind, path, "@").replace(b'"@"', wrong.encode())
    refusal(data)


@pytest.mark.parametrize("field", NUMBERS, ids=_names)
def test_the_bounds_themselves_are_accepted_and_the_next_number_is_not(
    field: tuple[str, tuple[Any, ...], msi.Type],
) -> None:
    kind, path, leaf = field
    assert isinstance(leaf, (msi.IntType, msi.FloatType))
    assert leaf.ge is not None, "a number of a client has two bounds"
    assert leaf.le is not None, "a number of a client has two bounds"
    for bound, outward, relation in ((leaf.ge, -math.inf, ">="), (leaf.le, math.inf, "<=")):
        decode_client(changed(kind, path, bound))
        beyond: float = bound + int(math.copysign(1, outward)) if isinstance(leaf, msi.IntType) else 0
        if isinstance(leaf, msi.FloatType):
            beyond = math.nextafter(bound, outward)
        message = refusal(changed(kind, path, beyond)).message
        assert relation in message
        assert _place(path) in message


@pytest.mark.parametrize("field", [field for field in NUMBERS if isinstance(field[2], msi.IntType)], ids=_names)
@pytest.mark.parametrize("wrong", [1.5, 1.0, -0.5])
def test_an_integer_has_no_fraction(field: tuple[str, tuple[Any, ...], msi.Type], wrong: float) -> None:
    kind, path, _ = field
    assert _place(path) in refusal(changed(kind, path, wrong)).message


@pytest.mark.parametrize("field", STRINGS, ids=_names)
def test_a_string_has_a_length(field: tuple[str, tuple[Any, ...], msi.Type]) -> None:
    kind, path, leaf = field
    assert isinstance(leaf, msi.StrType)
    assert leaf.min_length is not None, "a string of a client has a longest and a shortest form"
    assert leaf.max_length is not None, "a string of a client has a longest and a shortest form"
    decode_client(changed(kind, path, "x" * leaf.min_length))
    decode_client(changed(kind, path, "\U0001f600" * leaf.max_length))
    for length, relation in ((leaf.min_length - 1, ">="), (leaf.max_length + 1, "<=")):
        message = refusal(changed(kind, path, "x" * length)).message
        assert relation in message
        assert _place(path) in message
    for other in ("1", "true", '["x"]', "{}"):
        assert _place(path) in refusal(changed(kind, path, json.loads(other))).message


@pytest.mark.parametrize("kind", FRAMES)
def test_unknown_keys_are_refused_by_name(kind: str) -> None:
    assert "`colour`" in refusal(json.dumps(FRAMES[kind] | {"colour": 1}).encode()).message
    payload = FRAMES[kind].get("payload", {}) | {"colour": 1}
    assert "`colour`" in refusal(json.dumps(FRAMES[kind] | {"payload": payload}).encode()).message


@pytest.mark.parametrize("kind", FRAMES)
def test_a_missing_field_is_refused_by_name_unless_it_is_optional(kind: str) -> None:
    fields = {field.encode_name: field for field in msgspec.structs.fields(_payload_class(kind))}
    for name, field in fields.items():
        payload = {key: value for key, value in FRAMES[kind]["payload"].items() if key != name}
        data = json.dumps(FRAMES[kind] | {"payload": payload}).encode()
        if field.required:
            assert f"`{name}`" in refusal(data).message
        else:
            decode_client(data)


def _payload_class(kind: str) -> type[msgspec.Struct]:
    info = msi.type_info(CLASSES[kind])
    assert isinstance(info, msi.StructType)
    payload = next(field.type for field in info.fields if field.name == "payload")
    assert isinstance(payload, msi.StructType)
    return payload.cls


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.parametrize("wrong", [None, 1, "x", [1], True])
def test_a_payload_is_an_object(kind: str, wrong: Any) -> None:
    assert "$.payload" in refusal(json.dumps({"type": kind, "payload": wrong}).encode()).message


@pytest.mark.parametrize("kind", FRAMES)
def test_duplicate_keys_are_harmless_the_last_counts(kind: str) -> None:
    whole = json.dumps(FRAMES[kind])
    payload = json.dumps(FRAMES[kind].get("payload", {}))
    twice = whole[:-1] + f', "type": "{kind}", "payload": {payload}, "id": 77}}'
    message = decode_client(twice.encode())
    assert type(message) is CLASSES[kind]
    assert message.id == 77
    assert "type" in refusal((whole[:-1] + ', "type": "nonesuch"}').encode()).message


# --- lists and objects inside a payload ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("want", "named"),
    [([[0, 0]] * 33, "length <= 32"), ([[0]], "length 2"), ([[0, 0, 0]], "length 2")],
)
def test_chunks_are_asked_for_in_pairs_and_not_too_many(want: Any, named: str) -> None:
    assert named in refusal(changed("chunks", ("payload", "want"), want)).message


@pytest.mark.parametrize(
    ("want", "have", "named"),
    [
        ([], [], "1 to 32 chunks"),
        ([], [[0, 0]], "length 3"),
        ([], [[0, 0, ""]], "length >= 1"),
        ([], [[0, 0, "x" * 17]], "length <= 16"),
        ([[0, 0]] * 16, [[0, 0, "a"]] * 17, "1 to 32 chunks"),
    ],
)
def test_chunks_to_compare_carry_a_hash_and_count_with_the_others(want: Any, have: Any, named: str) -> None:
    data = json.dumps({"type": "chunks", "payload": {"want": want, "have": have}}).encode()
    assert named in refusal(data).message


def test_a_message_may_only_compare() -> None:
    message = decode_client(b'{"type":"chunks","payload":{"want":[],"have":[[3,4,"5feceb66ffc86f38"]]}}')
    assert isinstance(message, Chunks)
    assert message.payload.have == [(3, 4, "5feceb66ffc86f38")]


@pytest.mark.parametrize(
    "args",
    [{"x": 1.5}, {"x": None}, {"x": [1]}, {"x": {}}, {"x": 2**31}, {"x": -1}, {"x": "y" * 65}, {"": 1}, {"k" * 65: 1},
     {f"k{n}": n for n in range(9)}],
)  # fmt: skip
def test_what_a_kiosk_is_told_is_small_and_flat(args: Any) -> None:
    assert "$.payload.args" in refusal(changed("interact", ("payload", "args"), args)).message


def test_what_a_kiosk_may_be_told() -> None:
    args = {f"k{n}": value for n, value in enumerate(["", "y" * 64, 0, 2**31 - 1, True, False, "1", "x"])}
    message = decode_client(changed("interact", ("payload", "args"), args))
    assert isinstance(message, Interact)
    assert message.payload.args == args
    assert type((message.payload.args or {})["k4"]) is bool


# --- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Ann", "x" * 20, "Zoë 3", "\U0001f697\U0001f697\U0001f697", "名前です", "O'Neill-2"])
def test_names_that_may_be_shown(name: str) -> None:
    assert decode_client(encode(Enter(EnterPayload(name)))) == Enter(EnterPayload(name))


@pytest.mark.parametrize(
    ("name", "bound"),
    [
        ("Zoe\u0308", "normal form C"),
        ("ann\u0000", "U+0000"),
        ("ann\nbob", "U+000A"),
        ("ann\u007f", "U+007F"),
        ("ann\u202ebob", "U+202E"),
        ("ann\u2066bob", "U+2066"),
        ("ann\u200fbob", "U+200F"),
        ("ann\u200bbob", "U+200B"),
        ("ann\ufeffbob", "U+FEFF"),
        ("ann\u2028bob", "U+2028"),
        ("ann\ue000", "U+E000"),
        (" ann", "space"),
        ("ann ", "space"),
        ("ann  bob", "space"),
        ("   ", "space"),
        ("an", ">= 3"),
        ("x" * 21, "<= 20"),
    ],
)
def test_names_that_may_not(name: str, bound: str) -> None:
    fault = refusal(json.dumps({"type": "enter", "payload": {"name": name}}).encode())
    assert "name" in fault.message
    assert bound in fault.message


@given(st.text(max_size=24))
def test_a_name_is_accepted_exactly_when_the_page_says_so(name: str) -> None:
    data = json.dumps({"type": "enter", "payload": {"name": name}}).encode()
    if 3 <= len(name) <= 20 and not _forbidden(name):
        assert decode_client(data) == Enter(EnterPayload(name))
    else:
        assert "name" in refusal(data).message


def _forbidden(name: str) -> bool:
    bidirectional = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    return (
        not unicodedata.is_normalized("NFC", name)
        or any(unicodedata.category(char).startswith("C") for char in name)
        or any(unicodedata.bidirectional(char) in bidirectional for char in name)
        or any(char in name for char in "\u2028\u2029")
        or name.strip() != name
        or "  " in name
    )


# --- the envelope --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["nonesuch", "Move", "", "snapshot", "welcome", "move ", "x" * 5000, "a\nb\u202ec"])
def test_an_unknown_type_is_told_apart(kind: str) -> None:
    fault = refusal(json.dumps({"type": kind, "payload": {}}).encode())
    assert fault.code == "unknown_type"
    assert "$.type" in fault.message


@pytest.mark.parametrize("data", [b'{"type": 5}', b'{"type": null}', b"{}", b'{"payload": {}}', b'{"type": ["move"]}'])
def test_a_type_is_a_string(data: bytes) -> None:
    fault = refusal(data)
    assert fault.code == "malformed"
    assert "type" in fault.message


@pytest.mark.parametrize(
    "data",
    [b"", b" ", b"null", b"true", b"1", b'"move"', b"[]", b'[{"type":"leave"}]', b"{", b'{"type"', b'{"type":"leave"',
     b'{"type":"leave"}}', b'{"type":"leave"} {}', b'{"type":"leave",}', b"{'type':'leave'}", b"// leave",
     b'{"type":"leave"}\x00', b"\x00", b'\xef\xbb\xbf{"type":"leave"}', b'\xff\xfe{\x00}\x00', b'{"type":"leave\xff"}',
     b'{"type":"race_join","payload":{"race":"\xed\xa0\x80"}}', b'{"type":"race_join","payload":{"race":"\xc0\x80"}}',
     b'{"type":"race_join","payload":{"race":"\\ud800"}}', b'{"type":"race_join","payload":{"race":"\\udc00x"}}',
     b'{"type":"race_join","payload":{"race":"\\ud800\\ud800"}}', b'{"type":"race_join","payload":{"\\ud800":1}}',
     b'{"type":"race_join","payload":{"race":"a\nb"}}', b'{"type":"race_join","payload":{"race":"\\x41"}}'],
)  # fmt: skip
def test_what_is_no_message_is_malformed(data: bytes) -> None:
    assert refusal(data).code == "malformed"


@pytest.mark.parametrize("depth", [2, 1024, 1025, 8000])
@pytest.mark.parametrize(
    "around",
    [b"%b", b'{"type":"leave","payload":%b}', b'{"type":"leave","x":%b}', b'{"type":"ping","payload":{"t":%b}}',
     b'{"type":"interact","payload":{"kiosk":"k","action":"a","args":{"x":%b}}}', b'{"x":%b,"type":"leave"}',
     b'{"payload":%b,"type":"leave"}'],
)  # fmt: skip
def test_depth_is_refused_where_nothing_is_nested(depth: int, around: bytes) -> None:
    for inner in (b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth, b"[" * depth):
        assert refusal(around % inner).code == "malformed"


def test_an_optional_field_may_be_null_or_missing() -> None:
    assert decode_client(b'{"type":"enter","payload":{"name":null},"id":null}') == Enter()
    assert decode_client(b'{"type":"who"}') == Who(WhoPayload(after=None, limit=50, follow=False))
    assert decode_client(b' \n{"type" : "leave" , "payload" : {}}\t') == Leave()


def test_bytes_bytearray_and_memoryview_are_read_alike() -> None:
    data = encode(Ping(PingPayload(1.5), id=3))
    assert decode_client(data) == decode_client(bytearray(data)) == decode_client(memoryview(data))


def test_minus_zero_and_tiny_numbers_stay_finite_and_small() -> None:
    move = MovePayload(0, 0, 0, -0.0, 5e-324, 0, 0, 0)
    message = decode_client(encode(Move(move)))
    assert isinstance(message, Move)
    assert (message.payload.x, message.payload.z) == (0.0, 5e-324)


def test_a_refusal_quotes_without_control_characters_and_keeps_the_place() -> None:
    data = json.dumps({"type": "leave", "\n\u202e" + "y" * 9000: 1}).encode()
    message = refusal(data).message
    assert "\N{REPLACEMENT CHARACTER}" * 2 in message
    assert " ... " in message
    assert refusal(json.dumps({"type": "z" * 9000}).encode()).message.endswith("at `$.type`")


@pytest.mark.parametrize("cls", CLIENT_MESSAGES, ids=lambda cls: cls.__name__)
def test_every_message_says_where_it_is_allowed(cls: type[Any]) -> None:
    assert cls.states
    assert cls.states <= set(State) - {State.AWAY, State.CLOSED}
    assert (State.CONNECTING in cls.states) == (TYPE_OF[cls] == "auth")


# --- anything at all ----------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(
    ["type", "payload", "id", "re", *sorted({key for frame in FRAMES.values() for key in frame.get("payload", {})})]
)
NEAR_MISSES = st.builds(
    lambda kind, payload, rest: {"type": kind, "payload": payload, **rest},
    st.sampled_from(sorted(FRAMES)) | JSON,
    st.dictionaries(KEYS, JSON, max_size=10) | JSON,
    st.dictionaries(KEYS, JSON, max_size=2),
)


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    judge(data)


@given(JSON)
def test_any_json(value: Any) -> None:
    judge(json.dumps(value).encode("utf-8", "surrogatepass"))


@given(NEAR_MISSES)
def test_json_that_is_nearly_a_message(value: Any) -> None:
    judge(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))


@given(st.sampled_from(sorted(FRAMES)), st.data())
def test_messages_with_a_few_bytes_changed(kind: str, data: st.DataObject) -> None:
    frame = bytearray(json.dumps(FRAMES[kind], ensure_ascii=False).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(frame) - 1))
        frame[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        if not frame:
            break
    judge(bytes(frame))


# --- the fuzzer ----------------------------------------------------------------------------------------------------


def test_the_fuzzer_finds_nothing_and_repeats_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz_messages.fuzz(20_000, seed=5) == 0
    assert fuzz_messages.fuzz(20_000, seed=5) == 0
    counts = {re.sub(r"[\d.]+ s,", "", line) for line in capsys.readouterr().out.splitlines()}
    assert len(counts) == 1
    assert "20000 inputs" in counts.pop()


def test_the_fuzzer_saves_and_prints_what_breaks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def careless(data: bytes) -> Any:
        return json.loads(data)

    monkeypatch.setattr(fuzz_messages, "decode_client", careless)
    monkeypatch.chdir(tmp_path)
    assert fuzz_messages.fuzz(1_000, seed=5) == 1
    saved = (tmp_path / "fuzz_messages_failure.bin").read_bytes()
    assert repr(saved) in capsys.readouterr().err


def test_the_benchmark_compares_only_readers_that_check_alike() -> None:
    bench_messages.verify({"ours": decode_client, "by hand": bench_messages.checked(json.loads)})
    with pytest.raises(SystemExit, match="careless accepts"):
        bench_messages.verify({"careless": json.loads})
