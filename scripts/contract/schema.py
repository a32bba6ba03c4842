"""Writes ``schema.json``: the contract as JSON Schema, for validators and for clients in other languages."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from shared.constants import PROTOCOL_VERSION
from shared.messages import CLIENT_MESSAGES, SERVER_MESSAGES


def schema() -> str:
    """The text of ``schema.json``: one definition per message, payload and row."""
    client_refs, client_defs = _components(CLIENT_MESSAGES)
    server_refs, server_defs = _components(SERVER_MESSAGES)
    for definition in server_defs.values():
        definition.pop("additionalProperties", None)  # clients ignore what they do not know; the server refuses it
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Messages between a client and the shard, protocol {PROTOCOL_VERSION}",
        "oneOf": [{"$ref": "#/$defs/ClientMessage"}, {"$ref": "#/$defs/ServerMessage"}],
        "$defs": {
            "ClientMessage": {"description": "What a client sends.", "oneOf": client_refs},
            "ServerMessage": {"description": "What the shard sends.", "oneOf": server_refs},
            **dict(sorted((client_defs | server_defs).items())),
        },
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _components(classes: tuple[type[msgspec.Struct], ...]) -> tuple[list[Any], dict[str, Any]]:
    """References and definitions of some messages, under the names that TypeScript gives them."""
    named = {cls.__name__: f"{cls.__name__}Message" for cls in classes}
    refs, defs = msgspec.json.schema_components(classes, ref_template="#/$defs/{name}")
    renamed = {named.get(name, name): _renamed(definition, named) for name, definition in defs.items()}
    return [_renamed(ref, named) for ref in refs], renamed


def _renamed(node: Any, named: dict[str, str]) -> Any:
    """A copy of a schema whose references follow ``named`` and whose prose marks code once."""
    if isinstance(node, list):
        return [_renamed(part, named) for part in node]
    if not isinstance(node, dict):
        return node
    copy: dict[str, Any] = {}
    for key, value in node.items():
        if key == "$ref":
            name = value.removeprefix("#/$defs/")
            copy[key] = f"#/$defs/{named.get(name, name)}"
        elif key == "title":
            copy[key] = named.get(value, value)
        elif key == "description" and isinstance(value, str):
            copy[key] = value.replace("``", "`")
        else:
            copy[key] = _renamed(value, named)
    return copy
