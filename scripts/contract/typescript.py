"""Writes ``messages.ts``: every type of the contract, and the few tables that a client needs at run time."""

from __future__ import annotations

import json
import textwrap

from msgspec import inspect as msi

from scripts.contract.model import Contract, Field, Message, Record, is_error_code, number, unwrapped
from shared.messages import CLOSE_NOTES, ERROR_NOTES, RECONNECT_NOTES

_HEAD = """\
// Written by `python -m scripts.gen_types` from shared/messages. Do not edit: change the structs and run it again.
// Metres, seconds, radians unless a name or comment says otherwise. x east, y up, z south; PROTOCOL.md has the rest.

/** One JSON text frame. `id` numbers a client's message; the first direct reply carries the same number as `re`. */
export interface WebSocketMessage<Type extends string = string, Payload = unknown> {
  readonly type: Type;
  readonly payload: Payload;
  readonly id?: number;
  readonly re?: number;
}
"""

_CONFORMING = """\
type Conforming<Message extends WebSocketMessage> = Message;

/** Every message of both directions; does not compile if one were not a `WebSocketMessage`. */
export type AnyMessage = Conforming<ClientMessage | ServerMessage>;
"""


def typescript(contract: Contract) -> str:
    """The text of ``messages.ts``."""
    sections = [
        _HEAD,
        _constants(contract),
        _codes(),
        "\n".join(_record(record) for record in contract.records),
        _messages("Client", "What a client sends.", contract.client),
        _messages("Server", "What the shard sends. Ignore types and keys that are not listed.", contract.server),
        _CONFORMING,
        _answers(contract.client),
        _field_lists(contract),
    ]
    return "\n".join(sections)


def _constants(contract: Contract) -> str:
    lines = []
    for constant in contract.constants:
        lines += [_comment(constant.doc), f"export const {constant.name} = {number(constant.value)};", ""]
    lines += ["/** Bits of `flags` in an `AtRow`. */", "export const Flag = {"]
    for flag in contract.flags:
        lines += [_comment(flag.doc, indent=2), f"  {flag.name}: {number(flag.value)},"]
    lines += ["} as const;", ""]
    return "\n".join(lines)


def _codes() -> str:
    lines = ["/** What to do after a connection closed. */", "export type Reconnect ="]
    for rule, meaning in RECONNECT_NOTES.items():
        lines += [_comment(meaning, indent=2), f'  | "{rule}"']
    lines[-1] += ";"
    lines += ["", "/** Why a connection closed. */", "export const CloseCode = {"]
    for code, close in CLOSE_NOTES.items():
        lines += [_comment(close.meaning, indent=2), f"  {code.name}: {code.value},"]
    lines += ["} as const;", "export type CloseCode = (typeof CloseCode)[keyof typeof CloseCode];", ""]
    lines += [
        "/** The rule for each close code. */",
        "export const RECONNECT: Readonly<Record<CloseCode, Reconnect>> = {",
    ]
    lines += [f'  {code.value}: "{close.reconnect}",' for code, close in CLOSE_NOTES.items()]
    lines += ["};", "", "/** What an `error` says. */", "export const ErrorCode = {"]
    for error, meaning in ERROR_NOTES.items():
        lines += [_comment(meaning, indent=2), f'  {error.upper()}: "{error}",']
    lines += ["} as const;", "export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];", ""]
    return "\n".join(lines)


def _record(record: Record) -> str:
    lines = [_comment(record.doc)]
    if record.row:
        lines.append(f"export type {record.name} = readonly [")
        end = ["];", ""]
    elif not record.fields:
        return "\n".join([*lines, f"export type {record.name} = Readonly<Record<string, never>>;", ""])
    else:
        lines.append(f"export interface {record.name} {{")
        end = ["}", ""]
    for field in record.fields:
        mark = "" if field.required else "?"
        lines.append(_comment(_field_doc(field), indent=2))
        if record.row:
            lines.append(f"  {field.name}{mark}: {_type(field.type)},")
        else:
            lines.append(f"  readonly {field.name}{mark}: {_type(field.type)};")
    return "\n".join([*lines, *end])


def _messages(side: str, doc: str, messages: tuple[Message, ...]) -> str:
    lines = []
    for message in messages:
        lines += [_comment(_message_doc(message))]
        lines += [f"export interface {message.name} {{", f'  readonly type: "{message.type}";']
        lines += [f"  readonly payload: {message.payload.name};"]
        if message.number is not None:
            lines.append(f"  readonly {message.number}?: number;")
        lines += ["}", ""]
    lines += [f"/** {doc} */", f"export type {side}Message ="]
    lines += [f"  | {message.name}" for message in messages]
    lines[-1] += ";"
    lines += ["", f"/** Payloads by type, {side.lower()} side. */", f"export interface {side}Payloads {{"]
    lines += [f"  readonly {message.type}: {message.payload.name};" for message in messages]
    lines += ["}", ""]
    return "\n".join(lines)


def _answers(messages: tuple[Message, ...]) -> str:
    lines = ["/** Types of the direct reply to each client message; any may be refused by `error` instead. */"]
    lines += ["export interface Answers {"]
    for message in messages:
        answers = " | ".join(f'"{answer}"' for answer in message.answers) or "never"
        lines.append(f"  readonly {message.type}: {answers};")
    lines += ["}", ""]
    return "\n".join(lines)


def _field_lists(contract: Contract) -> str:
    """What tests compare with the structs, and what the client knows a server message by."""
    lines = [
        "/** Wire names of all fields, by message type and by part; `?` marks those that may be left out. */",
        "export const MESSAGE_FIELDS = {",
    ]
    payloads = {message.payload.name for message in (*contract.client, *contract.server)}
    parts = [(record.name, record) for record in contract.records if record.name not in payloads]
    groups = [
        ("client", [(message.type, message.payload) for message in contract.client]),
        ("server", [(message.type, message.payload) for message in contract.server]),
        ("parts", parts),
    ]
    for group, members in groups:
        lines.append(f"  {group}: {{")
        for name, record in members:
            names = [field.name + ("" if field.required else "?") for field in record.fields]
            lines.append(f"    {name}: {json.dumps(names)},")
        lines.append("  },")
    lines += ["} as const;", ""]
    return "\n".join(lines)


def _type(kind: msi.Type) -> str:
    kind = unwrapped(kind)
    if isinstance(kind, (msi.IntType, msi.FloatType)):
        return "number"
    if isinstance(kind, msi.BoolType):
        return "boolean"
    if isinstance(kind, msi.StrType):
        return "string"
    if isinstance(kind, msi.AnyType):
        return "unknown"
    if isinstance(kind, msi.StructType):
        return kind.cls.__name__
    if is_error_code(kind):
        return "ErrorCode"
    if isinstance(kind, msi.LiteralType):
        return " | ".join(json.dumps(value) for value in kind.values)
    if isinstance(kind, msi.UnionType):
        return " | ".join(map(_type, kind.types))
    if isinstance(kind, msi.ListType):
        inner = _type(kind.item_type)
        return f"readonly ({inner})[]" if " " in inner else f"readonly {inner}[]"
    if isinstance(kind, msi.TupleType):
        return f"readonly [{', '.join(map(_type, kind.item_types))}]"
    if isinstance(kind, msi.DictType):
        return f"Readonly<Record<string, {_type(kind.value_type)}>>"
    raise TypeError(f"the contract does not use {kind!r} yet: say how to write it")


def _message_doc(message: Message) -> str:
    states = f" Allowed in: {', '.join(message.states)}." if message.states else ""
    return message.doc + states


def _field_doc(field: Field) -> str:
    parts = [field.doc, field.bounds, f"default {field.default}" if field.default else ""]
    return "; ".join(part for part in parts if part)


def _comment(text: str, indent: int = 0) -> str:
    """A doc comment of as many lines as it needs."""
    margin = " " * indent
    assert "*/" not in text, "would end the comment"
    if indent + len(text) + 7 <= 120:
        return f"{margin}/** {text} */" if text else ""
    body = textwrap.wrap(text, 120 - indent - 3)
    return "\n".join([f"{margin}/**", *(f"{margin} * {line}" for line in body), f"{margin} */"])
