"""The published page suffices: a reader written from it alone follows a session and knows who is where."""

import ast
import inspect
import json
import re
from pathlib import Path

import pytest

from scripts.contract import session_reader
from scripts.contract.session_reader import ANSWERS, ERROR_BEFORE_CLOSE, SERVER, PageViolation, SessionReader
from scripts.gen_types import TYPES

RECORDINGS = sorted((Path(__file__).parent / "fixtures").glob("session*.jsonl"))
HAND_MADE = Path(__file__).parent / "fixtures" / "session.jsonl"


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_the_reader_follows_every_recorded_session(path: Path) -> None:
    reader = SessionReader().read(path.read_text(encoding="utf-8").splitlines())
    assert reader.snapshots > 0
    assert reader.player is not None


def test_the_hand_made_session_ends_as_the_page_says() -> None:
    reader = SessionReader().read(HAND_MADE.read_text(encoding="utf-8").splitlines())
    assert (reader.state, reader.slot, reader.epoch, reader.tick) == ("world", 3, 12, 109)
    assert (reader.acknowledged, reader.ignored, reader.close) == (7, 1, 4409)
    assert {slot: each["cell"] for slot, each in reader.listing().items()} == {3: 2, 8: 6, 9: 6}
    assert reader.listing()[9]["row"] == [7000, 1990, 3140, -50, 16, 125]
    assert reader.entities[3].vehicle == "kart", "a garage changed it"
    assert reader.listing()[8]["row"] == [6600, 3050, 0, 500, 0, None]


def _entry(side: str, kind: str, payload: dict[str, object], **numbers: int) -> str:
    return json.dumps({"from": side, "frame": json.dumps({"type": kind, "payload": payload, **numbers})})


@pytest.mark.parametrize(
    ("after", "entry", "violation"),
    [
        (0, _entry("client", "enter", {}), "first message is auth"),
        (0, _entry("server", "lobby", {"reason": "welcome", "online": 1, "capacity": 2}), "before welcome"),
        (2, _entry("server", "pong", {"t": 1, "serverTimeMs": 1}), "follows welcome instead of lobby"),
        (3, _entry("server", "lobby", {"reason": "left", "online": 1, "capacity": 2}), "once on every entry"),
        (3, _entry("server", "pong", {"t": 1, "serverTimeMs": 1}, re=77), "answers nothing"),
        (3, _entry("server", "pong", {"t": 1, "serverTimeMs": 1}, re=1), "pong answers auth"),
        (3, _entry("server", "pong", {"t": True, "serverTimeMs": 1}), "pong.t is no number"),
        (3, _entry("server", "pong", {"t": 1}), "pong without serverTimeMs"),
        (3, _entry("server", "snapshot", {"tick": 1, "t": 1, "cells": []}), "snapshot in the state lobby"),
        (10, _entry("server", "snapshot", {"tick": 100, "t": 1, "cells": []}), "ticks grow"),
        (10, _entry("server", "snapshot", {"tick": 101, "t": 1, "cells": [{"c": 1, "who": [[5, "p", "n", "car"]]}]}),
         "came in without a row"),
        (10, _entry("server", "snapshot", {"tick": 101, "t": 1, "cells": [{"c": 1, "at": [[3, 1, 2, 3, 4, 5.5]]}]}),
         "more than integers"),
        (9, _entry("server", "placed", {"epoch": 11, "slot": 3, "x": 1, "y": 0, "z": 1, "yaw": 0, "tick": 1,
                                        "reason": "grid"}), "without another epoch"),
        (9, json.dumps({"from": "server", "close": 4428}), "no error before 4428"),
    ],
)  # fmt: skip
def test_the_reader_sees_what_the_page_excludes(after: int, entry: str, violation: str) -> None:
    lines = HAND_MADE.read_text(encoding="utf-8").splitlines()[:after]
    with pytest.raises(PageViolation, match=violation):
        SessionReader().read([*lines, entry])


def test_the_reader_knows_only_the_page() -> None:
    imported = {
        name
        for node in ast.walk(ast.parse(inspect.getsource(session_reader)))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= {"__future__", "json", "sys", "collections.abc", "dataclasses", "typing"}


def test_what_the_reader_was_told_by_hand_still_stands_on_the_page() -> None:
    page = (TYPES / "PROTOCOL.md").read_text(encoding="utf-8")
    client, server = (
        page.split(f"## {title}\n")[1].split("\n## ")[0] for title in ("Client to server", "Server to client")
    )
    fields = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", server, re.MULTILINE))
    assert {kind: re.findall(r"`([^`]+)`", text) for kind, text in fields.items()} == {
        kind: list(names) for kind, names in SERVER.items()
    }
    answers = dict(re.findall(r"^\| `(\w+)` \| [^|]* \| [^|]* \| ([^|]*) \|", client, re.MULTILINE))
    assert {kind: set(re.findall(r"`(\w+)`", text)) for kind, text in answers.items()} == ANSWERS
    closes = dict(re.findall(r"^\| (44\d\d) \| [^|]* \| [^|]* \| `(\w+)` \|", page, re.MULTILINE))
    assert {int(code): error for code, error in closes.items()}.items() <= {
        (code, error) for code, errors in ERROR_BEFORE_CLOSE.items() for error in errors
    }
