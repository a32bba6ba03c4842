"""Where the log goes: text lines for a person at a terminal, JSON lines for a machine; always stderr, one line each.

What happened is the message, which is constant; with what goes into ``extra``::

    log.warning("zone late", extra={"zone": 3, "late_ms": 71.5})

    12:31:07.250 WARNING shard.supervisor: zone late  zone=3 late_ms=71.5
    {"time":"2026-11-22T12:31:07.250Z","level":"warning","logger":"shard.app","message":"zone late","zone":3,...}
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Literal, TextIO

import orjson

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""Attributes that every LogRecord has; all others came in by ``extra``. ``taskName`` is new in Python 3.12."""


def configure(level: str, format: Literal["text", "json"], stream: TextIO | None = None) -> None:
    """Send every log record of ``level`` and above to ``stream``, stderr by default. Replaces what was there before.

    ``websockets`` stays at warning or above whatever the level: its debug lines print frames, and frames carry tokens;
    its info lines tell of every connection that opens or closes.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter() if format == "text" else JsonFormatter())
    number = logging.getLevelNamesMapping()[level.upper()]
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    logging.getLogger("websockets").setLevel(max(number, logging.WARNING))


class TextFormatter(logging.Formatter):
    """``time LEVEL logger: message  key=value``; local time; a traceback follows on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created).strftime("%H:%M:%S.%f")[:-3]
        fields = "".join(f" {key}={_shown(value)}" for key, value in _extra(record).items())
        message = _one_line(record.getMessage())
        line = f"{moment} {record.levelname} {record.name}: {message}{' ' if fields else ''}{fields}"
        traceback = _traceback(self, record)
        return f"{line}\n{traceback}" if traceback else line


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time (UTC), level, logger, message, then the extra fields, then ``traceback``."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for key, value in _extra(record).items():
            line[f"{key}_" if key in line else key] = value
        traceback = _traceback(self, record)
        if traceback:
            line["traceback"] = traceback
        try:
            return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY).decode()
        except TypeError:  # lone surrogates, integers above 64 bits: an odd value must not cost the line
            return json.dumps(line, default=str, skipkeys=True)


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = [formatter.formatException(record.exc_info)] if record.exc_info else []
    parts += [formatter.formatStack(record.stack_info)] if record.stack_info else []
    return "\n".join(parts)


def _shown(value: object) -> str:
    """A value as one word: text with spaces, quotes or control characters in it is quoted."""
    text = str(value)
    return text if text.isprintable() and text and " " not in text and '"' not in text else json.dumps(text)


def _one_line(text: str) -> str:
    """``text`` without anything that a terminal would obey; a message may quote what a client sent."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()
