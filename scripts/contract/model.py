"""The message structs, read once into plain records that the writers of TypeScript, schema and page share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from msgspec import inspect as msi

from shared import constants, messages
from shared.messages import CLIENT_MESSAGES, ERROR_CODES, SERVER_MESSAGES, TYPE_OF, ClientEnvelope, State

_CONSTANT_NOTES = {
    "PROTOCOL_VERSION": "version of this contract; `welcome.protocol`",
    "TICK_HZ": "usual ticks per second; `welcome.tickHz` is what holds",
    "CHUNK_M": "edge of a chunk, metres",
    "CARRY_FORWARD_MS": "a car without news is carried forward by its velocity for at most this long",
    "PROOF_OF_LIFE_MS": "a row that did not change is sent again after this long",
    "SLOT_REST_MS": "a freed slot is not given to another player for this long",
    "SEQ_MASK": "rows carry `move.seq` modulo 65536: these bits of it",
    "NAME_CHARS_MAX": "longest name, code points",
    "MESSAGE_BYTES_MAX": "largest client message, bytes",
}
"""Of all constants those that a client needs."""

FLAG_NOTES = {
    "RACING": "in a race",
    "GHOST": "not solid to others",
    "AWAY": "disconnected, held for a while",
    "FROZEN": "held in place by the server",
    "AIRBORNE": "not on the ground",
}


@dataclass(frozen=True, slots=True)
class Constant:
    """A number that both sides need."""

    name: str
    value: float
    doc: str


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a payload or a row."""

    name: str
    """On the wire."""
    required: bool
    type: msi.Type
    """Without the None of a field that may be left out."""
    bounds: str
    """In words for the page and for doc comments; empty when the type has none."""
    default: str
    """What a missing field means, as JSON; empty when it has no value."""
    doc: str


@dataclass(frozen=True, slots=True)
class Record:
    """A payload, a row, or a part of one."""

    name: str
    row: bool
    """Sent as an array in the order of its fields."""
    doc: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """One message type of one direction."""

    type: str
    name: str
    """Of its interface."""
    doc: str
    payload: Record
    payload_required: bool
    number: str | None
    """``id``, ``re``, or None: the number that its envelope may carry."""
    states: tuple[str, ...]
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contract:
    """Everything that is published."""

    client: tuple[Message, ...]
    server: tuple[Message, ...]
    records: tuple[Record, ...]
    """All payloads, rows and parts, each after those that it is made of."""
    constants: tuple[Constant, ...]
    flags: tuple[Constant, ...]


def read_contract() -> Contract:
    """The contract as the structs of ``shared.messages`` have it."""
    records: dict[str, Record] = {}
    client = tuple(_message(cls, records) for cls in CLIENT_MESSAGES)
    server = tuple(_message(cls, records) for cls in SERVER_MESSAGES)
    flags = [name for name in vars(constants) if name.startswith("FLAG_")]
    return Contract(
        client=client,
        server=server,
        records=tuple(records.values()),
        constants=(
            *(Constant(name, getattr(constants, name), note) for name, note in _CONSTANT_NOTES.items()),
            Constant("CHUNKS_MAX", messages.CHUNKS_MAX, "chunks that one message may ask for"),
        ),
        flags=tuple(
            Constant(name.removeprefix("FLAG_"), getattr(constants, name), FLAG_NOTES[name.removeprefix("FLAG_")])
            for name in flags
        ),
    )


def plain(text: str) -> str:
    """A docstring as one line of prose with `code` marked once, as Markdown and doc comments do."""
    return re.sub(r"\s+", " ", text.replace("``", "`")).strip()


def number(value: float) -> str:
    """A bound or constant in words: no `.0`, no exponent below 10^15."""
    return str(int(value)) if float(value).is_integer() else str(value)


def unwrapped(kind: msi.Type) -> msi.Type:
    """A type without its annotation and without None."""
    while True:
        if isinstance(kind, msi.Metadata):
            kind = kind.type
        elif isinstance(kind, msi.UnionType) and kind.includes_none:
            rest = tuple(part for part in kind.types if not isinstance(part, msi.NoneType))
            kind = rest[0] if len(rest) == 1 else msi.UnionType(rest)
        else:
            return kind


def is_error_code(kind: msi.Type) -> bool:
    """True for the Literal of all error codes, which is published by name."""
    return isinstance(kind, msi.LiteralType) and set(kind.values) == set(ERROR_CODES)


def _message(cls: type[msgspec.Struct], records: dict[str, Record]) -> Message:
    info = msi.type_info(cls)
    assert isinstance(info, msi.StructType)
    fields = {field.name: field for field in info.fields}
    payload = unwrapped(fields["payload"].type)
    assert isinstance(payload, msi.StructType)
    states: Sequence[State] = ()
    answers: tuple[str, ...] = ()
    if issubclass(cls, ClientEnvelope):
        states = [state for state in State if state in cls.states]
        answers = cls.answers
    return Message(
        type=TYPE_OF[cls],
        name=f"{cls.__name__}Message",
        doc=plain(cls.__doc__ or ""),
        payload=_record(payload, records),
        payload_required=fields["payload"].required,
        number=next((name for name in ("id", "re") if name in fields), None),
        states=tuple(state.value for state in states),
        answers=answers,
    )


def _record(info: msi.StructType, records: dict[str, Record]) -> Record:
    """Read one struct and, before it, all that its fields are made of."""
    known = records.get(info.cls.__name__)
    if known is not None:
        return known
    for field in info.fields:
        for part in _structs_in(field.type):
            _record(part, records)
    record = Record(
        name=info.cls.__name__,
        row=info.array_like,
        doc=plain(info.cls.__doc__ or ""),
        fields=tuple(_field(info, field) for field in info.fields),
    )
    records[record.name] = record
    return record


def _field(info: msi.StructType, field: msi.Field) -> Field:
    doc = _description(field.type)
    if not doc:
        raise ValueError(f"{info.cls.__name__}.{field.name} has no description: give it a Meta(description=...)")
    kind = unwrapped(field.type)
    return Field(
        name=field.encode_name,
        required=field.required,
        type=kind,
        bounds=_bounds(kind),
        default=_default(field),
        doc=plain(doc),
    )


def _structs_in(kind: msi.Type) -> list[msi.StructType]:
    kind = unwrapped(kind)
    if isinstance(kind, msi.StructType):
        return [kind]
    if isinstance(kind, msi.ListType):
        return _structs_in(kind.item_type)
    return []


def _description(kind: msi.Type) -> str:
    """The outermost description of a type."""
    if isinstance(kind, msi.Metadata):
        return str((kind.extra_json_schema or {}).get("description", "")) or _description(kind.type)
    if isinstance(kind, msi.UnionType):
        return next((text for text in map(_description, kind.types) if text), "")
    return ""


def _bounds(kind: msi.Type) -> str:
    kind = unwrapped(kind)
    if isinstance(kind, (msi.IntType, msi.FloatType)):
        return _range(kind)
    if isinstance(kind, msi.StrType):
        return _length(kind.min_length, kind.max_length, "character")
    if isinstance(kind, msi.ListType):
        inner = _bounds(kind.item_type)
        parts = [_length(kind.min_length, kind.max_length, "entry"), f"each {inner}" if inner else ""]
        return "; ".join(part for part in parts if part)
    if isinstance(kind, msi.TupleType):
        return ", ".join(dict.fromkeys(filter(None, map(_bounds, kind.item_types))))
    if isinstance(kind, msi.DictType):
        values = unwrapped(kind.value_type)
        parts = [_length(kind.min_length, kind.max_length, "entry")]
        parts += [f"keys {text}" for text in [_bounds(kind.key_type)] if text]
        if isinstance(values, msi.UnionType):
            parts += [f"{type_words(part)}s {text}" for part in values.types if (text := _bounds(part))]
        return "; ".join(part for part in parts if part)
    return ""


def type_words(kind: msi.Type) -> str:
    """A type as the page names it."""
    kind = unwrapped(kind)
    if isinstance(kind, msi.BoolType):
        return "boolean"
    if isinstance(kind, msi.IntType):
        return "integer"
    if isinstance(kind, msi.FloatType):
        return "number"
    if isinstance(kind, msi.StrType):
        return "string"
    if isinstance(kind, msi.AnyType):
        return "any"
    if isinstance(kind, msi.StructType):
        return kind.cls.__name__
    if is_error_code(kind):
        return "ErrorCode"
    if isinstance(kind, msi.LiteralType):
        return " \\| ".join(f'"{value}"' for value in kind.values)
    if isinstance(kind, msi.UnionType):
        return " \\| ".join(map(type_words, kind.types))
    if isinstance(kind, msi.ListType):
        return f"[{type_words(kind.item_type)}, ...]"
    if isinstance(kind, msi.TupleType):
        return f"[{', '.join(map(type_words, kind.item_types))}]"
    if isinstance(kind, msi.DictType):
        return f"object of {type_words(kind.value_type)}"
    raise TypeError(f"the contract does not use {kind!r} yet: say how to write it")


def _range(kind: msi.IntType | msi.FloatType) -> str:
    if kind.ge is not None and kind.le is not None:
        return f"{number(kind.ge)} to {number(kind.le)}"
    if kind.ge is not None:
        return f"at least {number(kind.ge)}"
    return f"above {number(kind.gt)}" if kind.gt is not None else ""


def _length(least: int | None, most: int | None, noun: str) -> str:
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    if least is not None and most is not None:
        return f"{least} to {most} {plural}"
    return f"at most {most} {plural}" if most is not None else ""


def _default(field: msi.Field) -> str:
    if field.required or field.default is None or field.default_factory is not msgspec.NODEFAULT:
        return ""
    return msgspec.json.encode(field.default).decode().removesuffix(".0")
