"""Reads a recorded session by what ``shared/types/PROTOCOL.md`` says, and by nothing else.

Deliberately knows nothing of ``shared``: if this file can follow a session and agrees with the server about who is
where, the page suffices. A recording is JSON lines, each ``{"from": "client" | "server", "frame": TEXT}`` or
``{"from": ..., "close": CODE}``; one connection per file.

``python -m scripts.contract.session_reader FILE`` prints who is where at the end of a recording.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

NUMBER, INTEGER, STRING, BOOLEAN, ARRAY, OBJECT = "number", "integer", "string", "boolean", "array", "object"

SERVER: dict[str, dict[str, str]] = {
    "welcome": {
        "player": STRING, "session": STRING, "protocol": INTEGER, "tickHz": NUMBER, "serverTimeMs": NUMBER,
        "expiresAtMs": NUMBER, "resumed": BOOLEAN, "world": OBJECT, "zones": ARRAY, "limits": OBJECT,
    },
    "lobby": {"reason": STRING, "online": INTEGER, "capacity": INTEGER},
    "queued": {"position": INTEGER, "of": INTEGER},
    "placed": {
        "epoch": INTEGER, "slot": INTEGER, "x": NUMBER, "y": NUMBER, "z": NUMBER, "yaw": NUMBER, "tick": INTEGER,
        "reason": STRING, "vx?": NUMBER, "vz?": NUMBER, "seq?": INTEGER, "check?": STRING,
    },
    "snapshot": {
        "tick": INTEGER, "t": NUMBER, "cells": ARRAY, "drop?": ARRAY, "reset?": BOOLEAN, "tier?": INTEGER,
    },
    "chunk": {
        "cx": INTEGER, "cz": INTEGER, "seed": INTEGER, "biome": STRING, "props": ARRAY, "roads": ARRAY,
        "ground": ARRAY, "kiosks": ARRAY, "gates": ARRAY, "hash": STRING,
    },
    "chunks_same": {"chunks": ARRAY},
    "kiosk": {"kiosk": STRING, "action": STRING, "ok": BOOLEAN, "reason?": STRING, "state?": OBJECT},
    "presence": {
        "online": INTEGER, "counts": OBJECT, "joined?": ARRAY, "left?": ARRAY, "changed?": ARRAY, "more?": BOOLEAN,
        "page?": ARRAY,
    },
    "race_state": {
        "race": STRING, "rev": INTEGER, "phase": STRING, "route": STRING, "racers": ARRAY, "startAtMs?": NUMBER,
        "laps?": INTEGER, "closesAtMs?": NUMBER, "reason?": STRING,
    },
    "race_gate": {
        "race": STRING, "rev": INTEGER, "player": STRING, "lap": INTEGER, "gate": INTEGER, "atMs": NUMBER,
        "errMs": NUMBER, "splitMs": NUMBER, "place": INTEGER, "gapMs?": NUMBER,
    },
    "race_result": {"race": STRING, "places": ARRAY, "receipt": STRING},
    "signal": {"slot": INTEGER, "kind": STRING},
    "notice": {"code": STRING, "message": STRING},
    "pong": {"t": NUMBER, "serverTimeMs": NUMBER},
    "error": {"code": STRING, "message": STRING, "retryAfterMs?": INTEGER},
}  # fmt: skip
"""Payload fields by type, as the page's tables have them; `?` may be missing."""

ANSWERS: dict[str, set[str]] = {
    "auth": {"welcome"}, "enter": {"placed", "queued"}, "leave": {"lobby"}, "move": set(), "respawn": {"placed"},
    "chunks": {"chunk", "chunks_same"}, "interact": {"kiosk"}, "race_join": {"race_state"},
    "race_leave": {"race_state"},
    "who": {"presence"}, "signal": set(), "ping": {"pong"},
}  # fmt: skip

CELL: dict[str, str] = {
    "c": INTEGER, "full?": BOOLEAN, "who?": ARRAY, "at?": ARRAY, "gone?": ARRAY, "late?": INTEGER,
}  # fmt: skip

ERROR_BEFORE_CLOSE = {
    4401: {"auth_failed"}, 4403: {"forbidden"}, 4408: {"auth_timeout"}, 4409: {"replaced"}, 4419: {"token_expired"},
    4428: {"removed"}, 4429: {"rate_limited"}, 4400: {"malformed", "unknown_type"},
}  # fmt: skip


class PageViolation(Exception):
    """The session does what the page excludes; the text says where and what."""


@dataclass
class Entity:
    """A car in the area of interest."""

    player: str
    name: str
    vehicle: str
    cell: int | None
    """The cell that lists it; None between the steps of a snapshot."""
    row: list[int] | None = None


@dataclass
class SessionReader:
    """Follows one connection frame by frame; its fields are what a client would know."""

    state: str = "connecting"
    player: str | None = None
    epoch: int | None = None
    slot: int | None = None
    tick: int | None = None
    entities: dict[int, Entity] = field(default_factory=dict)
    snapshots: int = 0
    acknowledged: int | None = None
    """Last ``seq`` of the own row, modulo 65536."""
    ignored: int = 0
    """Messages of the server that the page does not know."""
    close: int | None = None
    _asked: dict[int, str] = field(default_factory=dict)
    _sent: int = 0
    _error: str | None = None
    _after_welcome: str | None = None

    def read(self, lines: Iterable[str]) -> SessionReader:
        """Follow a whole recording. Raises PageViolation with the number of the line."""
        for number, line in enumerate(lines, 1):
            try:
                self.follow(json.loads(line))
            except PageViolation as violation:
                raise PageViolation(f"line {number}: {violation}") from None
        return self

    def follow(self, entry: dict[str, Any]) -> None:
        """One entry of a recording."""
        _require(self.close is None, "something follows the close")
        if "close" in entry:
            self._closed(entry["close"], entry["from"])
        elif entry["from"] == "client":
            self.sent(entry["frame"])
        else:
            self.received(entry["frame"])

    def sent(self, frame: str) -> None:
        """A frame of the client."""
        message = _envelope(frame)
        kind = message["type"]
        _require(kind in ANSWERS, f"a client does not send {kind}")
        _require(kind == "auth" or self._sent > 0, "the first message is auth")
        self._sent += 1
        if "id" in message:
            self._asked[message["id"]] = kind

    def received(self, frame: str) -> None:
        """A frame of the server."""
        message = _envelope(frame)
        kind, payload = message["type"], message.get("payload", {})
        if kind not in SERVER:
            self.ignored += 1
            return
        _require(self.state != "connecting" or kind in ("welcome", "error"), f"{kind} before welcome")
        _check(kind, payload, SERVER[kind])
        if "re" in message:
            asked = self._asked.get(message["re"])
            _require(asked is not None, f"re {message['re']} answers nothing")
            _require(kind == "error" or kind in ANSWERS[str(asked)], f"{kind} answers {asked}")
        if self._after_welcome is not None:
            _require(kind == self._after_welcome, f"{kind} follows welcome instead of {self._after_welcome}")
            self._after_welcome = None
        handle = getattr(self, f"_on_{kind}", None)
        if handle is not None:
            handle(payload)

    def _on_welcome(self, payload: dict[str, Any]) -> None:
        if self.state == "connecting":
            _require(payload["protocol"] == 1, "another version of the contract")
            self.player = payload["player"]
            self.state = "welcome"
            self._after_welcome = "placed" if payload["resumed"] else "lobby"
        else:
            _require(payload["player"] == self.player, "a refresh does not change the player")

    def _on_lobby(self, payload: dict[str, Any]) -> None:
        _require(self.state != "lobby", "lobby comes once on every entry")
        self.state = "lobby"
        self.entities.clear()
        self.epoch = self.slot = None

    def _on_queued(self, payload: dict[str, Any]) -> None:
        _require(1 <= payload["position"] <= payload["of"], "a place outside the queue")
        self.state = "queued"

    def _on_placed(self, payload: dict[str, Any]) -> None:
        _require(payload["epoch"] != self.epoch, "a placed without another epoch")
        self.state = "world"
        self.epoch, self.slot = payload["epoch"], payload["slot"]

    def _on_error(self, payload: dict[str, Any]) -> None:
        self._error = payload["code"]

    def _on_snapshot(self, payload: dict[str, Any]) -> None:
        _require(self.state == "world", f"a snapshot in the state {self.state}")
        _require(self.tick is None or payload["tick"] > self.tick, "ticks grow")
        self.tick = payload["tick"]
        self.snapshots += 1
        cells = payload["cells"]
        for cell in cells:
            _check("cell", cell, CELL)
        dropped = set(payload.get("drop", ())) | {cell["c"] for cell in cells if cell.get("full")}
        for entity in self.entities.values():
            if payload.get("reset") or entity.cell in dropped:
                entity.cell = None
        told = {row[0] for cell in cells for row in cell.get("at", ())}
        for cell in cells:
            for slot, player, name, vehicle in cell.get("who", ()):
                _require(slot in told, f"slot {slot} came in without a row")
                known = self.entities.get(slot)
                row = known.row if known is not None and known.player == player else None
                self.entities[slot] = Entity(player, name, vehicle, cell["c"], row)
        for cell in cells:
            for row in cell.get("at", ()):
                self._row(row)
        for cell in cells:
            for slot in cell.get("gone", ()):
                if slot in self.entities and self.entities[slot].cell == cell["c"]:
                    self.entities[slot].cell = None
        self.entities = {slot: each for slot, each in self.entities.items() if each.cell is not None}

    def _row(self, row: list[int]) -> None:
        _require(len(row) >= 6, f"a row of {len(row)} elements")
        _require(all(_is(INTEGER, each) for each in row), f"a row with more than integers: {row}")
        slot, seq, _, _, yaw = row[:5]
        _require(0 <= seq < 65536 and 0 <= yaw <= 6283, f"a row out of bounds: {row}")
        if slot in self.entities:
            self.entities[slot].row = row
        if slot == self.slot:
            self.acknowledged = seq

    def _closed(self, code: int, side: str) -> None:
        self.close = code
        if side == "server" and 4400 <= code < 4500:
            reasons = ERROR_BEFORE_CLOSE.get(code)
            _require(self._error is not None, f"no error before {code}")
            _require(reasons is None or self._error in reasons, f"error {self._error} before {code}")

    def listing(self) -> dict[int, dict[str, Any]]:
        """Who is near, for comparison with another reader: everything but the row's ``seq``."""
        return {
            slot: {
                "player": each.player,
                "name": each.name,
                "vehicle": each.vehicle,
                "cell": each.cell,
                "row": None if each.row is None else _whole(each.row),
            }
            for slot, each in sorted(self.entities.items())
        }


def _whole(row: list[int]) -> list[int | None]:
    """x, z, yaw, speed, flags, y: with the tail that a row may leave out."""
    flags = row[6] if len(row) > 6 else 0
    y = row[7] if len(row) > 7 else None
    return [*row[2:6], flags, y]


def _envelope(frame: str) -> dict[str, Any]:
    message = json.loads(frame)
    _require(isinstance(message, dict) and isinstance(message.get("type"), str), "a frame without a type")
    for number in ("id", "re"):
        if number in message:
            _require(_is(INTEGER, message[number]) and 0 <= message[number] < 2**31, f"{number} out of bounds")
    return dict(message)


def _check(what: str, payload: dict[str, Any], fields: dict[str, str]) -> None:
    """All required fields are there, and all known ones have their type."""
    for name, kind in fields.items():
        key = name.removesuffix("?")
        _require(key in payload or name != key, f"{what} without {key}")
        _require(key not in payload or _is(kind, payload[key]), f"{what}.{key} is no {kind}")


def _is(kind: str, value: object) -> bool:
    if kind in (NUMBER, INTEGER):
        number = int if kind == INTEGER else (int, float)
        return isinstance(value, number) and not isinstance(value, bool)
    return isinstance(value, {STRING: str, BOOLEAN: bool, ARRAY: list, OBJECT: dict}[kind])


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise PageViolation(otherwise)


def main() -> int:
    """Follow the recording that is named and print who is where at its end."""
    with open(sys.argv[1], encoding="utf-8") as recording:
        reader = SessionReader().read(recording)
    print(f"{reader.snapshots} snapshots, state {reader.state}, own slot {reader.slot}, close {reader.close}")
    print(json.dumps(reader.listing(), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
