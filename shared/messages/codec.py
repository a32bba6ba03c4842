"""Reading and writing messages: the only place in the project that parses what a client sent."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec
from msgspec import Struct

from shared.messages.client import CLIENT_MESSAGES, ClientMessage
from shared.messages.envelope import ErrorCode
from shared.messages.server import SERVER_MESSAGES, ServerMessage

REFUSAL_CHARS_MAX: Final = 200
"""Longest text of a refusal: it may quote the client's own words, and goes to the log and back to the client."""


class ClientFault(Exception):
    """What a client sent cannot be accepted. ``code`` is an ErrorCode, the text names field and bound."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code: ErrorCode = code
        self.message = message

    @classmethod
    def quoting(cls, code: ErrorCode, text: str) -> ClientFault:
        """A refusal whose text may quote what the client sent: made printable, and cut in the middle when long."""
        text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
        if len(text) > REFUSAL_CHARS_MAX:
            text = f"{text[: REFUSAL_CHARS_MAX - 60]} ... {text[-55:]}"
        return cls(code, text)


_client_decoder: Final[msgspec.json.Decoder[ClientMessage]] = msgspec.json.Decoder(ClientMessage)
_server_decoder: Final[msgspec.json.Decoder[ServerMessage]] = msgspec.json.Decoder(ServerMessage)
_encoder: Final = msgspec.json.Encoder()
TYPE_OF: Final[Mapping[type[Struct], str]] = MappingProxyType(
    {message: str(message.__struct_config__.tag) for message in (*CLIENT_MESSAGES, *SERVER_MESSAGES)}
)
"""The wire name of each message class."""


def decode_client(data: bytes | bytearray | memoryview) -> ClientMessage:
    """Read one message of a client. Raises ClientFault, and nothing else, for whatever is not one."""
    try:
        return _client_decoder.decode(data)
    except msgspec.ValidationError as fault:
        text = str(fault)
        unknown = text.startswith("Invalid value '")  # only of `type`: a wrong Literal is an "Invalid enum value"
        raise ClientFault.quoting("unknown_type" if unknown else "malformed", text) from None
    except msgspec.DecodeError as fault:
        raise ClientFault.quoting("malformed", str(fault)) from None
    except RecursionError:
        raise ClientFault("malformed", "JSON is nested too deeply") from None
    except UnicodeDecodeError as fault:
        raise ClientFault("malformed", f"a string is not UTF-8: {fault.reason} at its byte {fault.start}") from None


def decode_server(data: bytes | str) -> ServerMessage:
    """Read one message of the shard, as bots, tests and Python clients do. Raises msgspec.DecodeError."""
    return _server_decoder.decode(data)


def encode(message: ClientMessage | ServerMessage) -> bytes:
    """One message as JSON bytes."""
    return _encoder.encode(message)
