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


class ClientFault(Exception):
    """What a client sent cannot be accepted. ``code`` is an ErrorCode, the text names field and bound."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code: ErrorCode = code
        self.message = message


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
        raise ClientFault("unknown_type" if text.startswith("Invalid value '") else "malformed", text) from None
    except msgspec.DecodeError as fault:
        raise ClientFault("malformed", str(fault)) from None
    except RecursionError:
        raise ClientFault("malformed", "JSON is nested too deeply") from None
    except UnicodeDecodeError as fault:
        raise ClientFault("malformed", f"not UTF-8: {fault.reason} at byte {fault.start}") from None


def decode_server(data: bytes | str) -> ServerMessage:
    """Read one message of the shard, as bots, tests and Python clients do. Raises msgspec.DecodeError."""
    return _server_decoder.decode(data)


def encode(message: ClientMessage | ServerMessage) -> bytes:
    """One message as JSON bytes."""
    return _encoder.encode(message)
