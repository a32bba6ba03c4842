"""Writes the tables of ``PROTOCOL.md`` between their markers; the prose around them is written by people."""

from __future__ import annotations

import re

from scripts.contract.model import Contract, Field, Message, Record, number, type_words
from shared.messages import CLOSE_NOTES, ERROR_NOTES, RECONNECT_NOTES

_SECTION = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def page(contract: Contract, current: str) -> str:
    """``current`` with every section between markers written anew. Raises ValueError for a missing or unknown one."""
    tables = {
        "client-messages": _client_table(contract.client),
        "server-messages": _server_table(contract.server),
        "fields": _field_tables(contract),
        "flags": _flag_table(contract),
        "constants": _constant_table(contract),
        "close-codes": _close_table(),
        "reconnect": _reconnect_table(),
        "error-codes": _error_table(),
    }
    found = [match["name"] for match in _SECTION.finditer(current)]
    if sorted(found) != sorted(tables):
        raise ValueError(f"PROTOCOL.md must have each of the sections {sorted(tables)} once, but has {sorted(found)}")
    return _SECTION.sub(lambda match: f"{match[1]}{tables[match['name']]}{match[3]}", current)


def _client_table(messages: tuple[Message, ...]) -> str:
    lines = ["| type | payload | states | answer | |", "|---|---|---|---|---|"]
    for message in messages:
        answers = " or ".join(f"`{answer}`" for answer in message.answers) or "-"
        states = ", ".join(message.states)
        lines.append(f"| `{message.type}` | {_field_names(message)} | {states} | {answers} | {message.doc} |")
    return "\n".join(lines) + "\n"


def _server_table(messages: tuple[Message, ...]) -> str:
    lines = ["| type | payload | `re` | |", "|---|---|---|---|"]
    for message in messages:
        answer = "when it answers" if message.number else "never"
        lines.append(f"| `{message.type}` | {_field_names(message)} | {answer} | {message.doc} |")
    return "\n".join(lines) + "\n"


def _field_names(message: Message) -> str:
    names = ", ".join(f"`{field.name}{'' if field.required else '?'}`" for field in message.payload.fields)
    return names or "-"


def _field_tables(contract: Contract) -> str:
    titles: dict[str, list[str]] = {}
    for message in (*contract.client, *contract.server):
        titles.setdefault(message.payload.name, []).append(f"`{message.type}`")
    blocks = []
    for record in contract.records:
        if record.fields:
            used = f", payload of {', '.join(titles[record.name])}" if record.name in titles else ""
            blocks.append(f"#### {record.name}{used}\n\n{_record_table(record)}")
    return "\n".join(blocks)


def _record_table(record: Record) -> str:
    shape = "An array, in this order. " if record.row else ""
    lines = [f"{shape}{record.doc}", "", "| field | type | bounds | |", "|---|---|---|---|"]
    for field in record.fields:
        name = f"`{field.name}`" if field.required else f"`{field.name}?`"
        lines.append(f"| {name} | {type_words(field.type)} | {field.bounds} | {_field_doc(field)} |")
    return "\n".join(lines) + "\n"


def _field_doc(field: Field) -> str:
    return f"{field.doc}; default {field.default}" if field.default else field.doc


def _flag_table(contract: Contract) -> str:
    lines = ["| bit | name | |", "|---|---|---|"]
    lines += [f"| {number(flag.value)} | `{flag.name}` | {flag.doc} |" for flag in contract.flags]
    return "\n".join(lines) + "\n"


def _constant_table(contract: Contract) -> str:
    lines = ["| name | value | |", "|---|---|---|"]
    lines += [f"| `{each.name}` | {number(each.value)} | {each.doc} |" for each in contract.constants]
    return "\n".join(lines) + "\n"


def _close_table() -> str:
    lines = ["| code | name | why | `error` before it | reconnect |", "|---|---|---|---|---|"]
    for code, close in CLOSE_NOTES.items():
        error = f"`{close.error}`" if close.error else "-"
        lines.append(f"| {code.value} | `{code.name}` | {close.meaning} | {error} | `{close.reconnect}` |")
    return "\n".join(lines) + "\n"


def _reconnect_table() -> str:
    lines = ["| rule | what a client does |", "|---|---|"]
    lines += [f"| `{rule}` | {meaning} |" for rule, meaning in RECONNECT_NOTES.items()]
    return "\n".join(lines) + "\n"


def _error_table() -> str:
    lines = ["| code | meaning |", "|---|---|"]
    lines += [f"| `{code}` | {meaning} |" for code, meaning in ERROR_NOTES.items()]
    return "\n".join(lines) + "\n"
