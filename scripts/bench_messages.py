"""What reading and writing messages costs, and what other ways would: ``python -m scripts.bench_messages``.

Every way of reading is first shown to accept the same frames and to refuse the same broken ones, so that none is fast
by leaving checks out; "json, unchecked" is there to show what the checks cost. Ways of writing start from plain values,
as a server does. pydantic takes part where it is installed (extra ``bench``). Medians of rounds in turn, one process.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import importlib.util
import json
import operator
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
import orjson

from shared.messages import (
    Chunks,
    ChunksPayload,
    Error,
    ErrorPayload,
    Move,
    MovePayload,
    Ping,
    PingPayload,
    Placed,
    PlacedPayload,
    Pong,
    PongPayload,
    decode_client,
    encode,
)

Read: TypeAlias = Callable[[bytes], object]
Write: TypeAlias = Callable[[], bytes]

FRAMES: dict[str, bytes] = {
    "move": encode(Move(MovePayload(7, 123456, 98765.25, 1023.5, 2047.25, 1.5708, 12.5, -3.25))),
    "move, all fields": encode(
        Move(MovePayload(7, 123456, 98765.25, 1023.5, 2047.25, 1.5708, 12.5, -3.25, 4.5, 0.1), id=9)
    ),
    "ping": encode(Ping(PingPayload(98765.25), id=9)),
    "chunks, 32": encode(Chunks(ChunksPayload([(100 + n, 200 - n) for n in range(32)]), id=9)),
}
BROKEN: tuple[tuple[bytes, bytes], ...] = (
    (b'"t":98765.25', b'"t":true'),
    (b'"t":98765.25', b'"t":1e308'),
    (b'"t":98765.25', b'"t":NaN'),
    (b'"t":98765.25', b'"t":"1"'),
    (b'"t":98765.25', b'"t":98765.25,"colour":1'),
    (b'"epoch":7', b'"epoch":-1'),
    (b'"epoch":7', b'"epoch":7.5'),
    (b'"z":2047.25,', b""),
    (b'"id":9', b'"id":true'),
    (b"[100,200]", b"[100,1024]"),
    (b"[100,200]", b"[100]"),
)
"""Replacements in a frame that every checked way must refuse."""

# --- reading by hand -----------------------------------------------------------------------------------------------

_MOVE: dict[str, tuple[bool, bool, float, float]] = {
    # name: (integer, required, least, most)
    "epoch": (True, True, 0, 2**32 - 1),
    "seq": (True, True, 0, 2**32 - 1),
    "t": (False, True, 0, 1e15),
    "x": (False, True, 0, 65536),
    "z": (False, True, 0, 65536),
    "yaw": (False, True, -100, 100),
    "vx": (False, True, -200, 200),
    "vz": (False, True, -200, 200),
    "y": (False, False, -1000, 10000),
    "vy": (False, False, -200, 200),
}
_PING: dict[str, tuple[bool, bool, float, float]] = {"t": (False, True, 0, 1e15)}


def checked(parse: Read) -> Read:
    """A reader that parses and then checks by hand what the contract says of these three messages."""

    def read(data: bytes) -> object:
        message = parse(data)
        if type(message) is not dict:
            raise ValueError("no object")
        kind, payload = message.get("type"), message.get("payload")
        if type(payload) is not dict or not message.keys() <= {"type", "payload", "id"}:
            raise ValueError("envelope")
        number = message.get("id")
        if number is not None and (type(number) is not int or not 0 <= number <= 2**31 - 1):
            raise ValueError("id")
        if kind == "move":
            _check_numbers(payload, _MOVE)
        elif kind == "ping":
            _check_numbers(payload, _PING)
        elif kind == "chunks":
            _check_chunks(payload)
        else:
            raise ValueError("type")
        return message

    return read


def _check_numbers(payload: dict[str, Any], fields: Mapping[str, tuple[bool, bool, float, float]]) -> None:
    if not payload.keys() <= fields.keys():
        raise ValueError("unknown field")
    for name, (integer, required, least, most) in fields.items():
        value = payload.get(name)
        if value is None:
            if required:
                raise ValueError(name)
            continue
        kind = type(value)
        if (kind is not int and (integer or kind is not float)) or not least <= value <= most:
            raise ValueError(name)


def _check_chunks(payload: dict[str, Any]) -> None:
    want = payload.get("want")
    if payload.keys() != {"want"} or type(want) is not list or not 1 <= len(want) <= 32:
        raise ValueError("want")
    for pair in want:
        if type(pair) is not list or len(pair) != 2:
            raise ValueError("want")
        for index in pair:
            if type(index) is not int or not 0 <= index <= 1023:
                raise ValueError("want")


# --- pydantic ------------------------------------------------------------------------------------------------------


def pydantic_read() -> Read:
    """A reader of the same three messages by pydantic's compiled validators, strict as ours."""
    pydantic: Any = importlib.import_module("pydantic")
    config = pydantic.ConfigDict(extra="forbid", frozen=True)

    def model(name: str, fields: Mapping[str, Any]) -> Any:
        return pydantic.create_model(name, __config__=config, **fields)

    def limited(kind: type, least: float, most: float) -> Any:
        return Annotated[kind, pydantic.Field(ge=least, le=most, strict=True)]

    def numbers(fields: Mapping[str, tuple[bool, bool, float, float]]) -> dict[str, Any]:
        kinds = {
            name: limited(int if integer else float, low, high) for name, (integer, _, low, high) in fields.items()
        }
        return {name: (kinds[name], ...) if fields[name][1] else (kinds[name] | None, None) for name in fields}

    index = limited(int, 0, 1023)
    want = Annotated[list[tuple[index, index]], pydantic.Field(min_length=1, max_length=32)]  # type: ignore[valid-type]
    payloads = {
        "move": model("MovePayload", numbers(_MOVE)),
        "ping": model("PingPayload", numbers(_PING)),
        "chunks": model("ChunksPayload", {"want": (want, ...)}),
    }
    number = limited(int, 0, 2**31 - 1) | None
    messages = [
        model(kind.title(), {"type": (Literal[kind], ...), "payload": (payload, ...), "id": (number, None)})
        for kind, payload in payloads.items()
    ]
    union: Any = Annotated[functools.reduce(operator.or_, messages), pydantic.Field(discriminator="type")]
    validate: Read = pydantic.TypeAdapter(union).validate_json
    return validate


# --- writing -------------------------------------------------------------------------------------------------------

T_MS, SERVER_MS = 98765.25, 1767225600123.5


def _pong() -> dict[str, Any]:
    return {"type": "pong", "payload": {"t": T_MS, "serverTimeMs": SERVER_MS}, "re": 9}


def _placed() -> dict[str, Any]:
    pose = {"x": 100.5, "y": 0.0, "z": 200.25, "yaw": 3.14}
    return {"type": "placed", "payload": {"epoch": 7, "slot": 42, **pose, "tick": 1234, "reason": "respawn"}}


def _error() -> dict[str, Any]:
    return {"type": "error", "payload": {"code": "not_allowed", "message": "`move` is not allowed"}, "re": 9}


WRITERS: dict[str, tuple[Callable[[], dict[str, Any]], Write]] = {
    "pong": (_pong, lambda: encode(Pong(PongPayload(T_MS, SERVER_MS), re=9))),
    "placed": (_placed, lambda: encode(Placed(PlacedPayload(7, 42, 100.5, 0.0, 200.25, 3.14, 1234, "respawn")))),
    "error": (_error, lambda: encode(Error(ErrorPayload("not_allowed", "`move` is not allowed"), re=9))),
}


def _written(plain: Callable[[], dict[str, Any]], dump: Callable[[dict[str, Any]], str | bytes]) -> bytes:
    text = dump(plain())
    return text if isinstance(text, bytes) else text.encode()


# --- measuring -----------------------------------------------------------------------------------------------------


def verify(readers: Mapping[str, Read]) -> None:
    """Every reader but the unchecked one must refuse every broken frame. Raises SystemExit with what it let through."""
    for name, read in readers.items():
        for frame in FRAMES.values():
            read(frame)
            for old, new in BROKEN:
                if old not in frame or "unchecked" in name:
                    continue
                try:
                    read(frame.replace(old, new, 1))
                except Exception:
                    continue
                raise SystemExit(f"{name} accepts {new!r} for {old!r}: the comparison would not be fair")


def medians_ns(ways: Mapping[str, Callable[[], object]], rounds: int, seconds: float) -> dict[str, float]:
    """Nanoseconds per call of each way: the median of rounds, the ways taking turns within each."""
    counts = {}
    for name, call in ways.items():
        began = time.perf_counter_ns()
        for _ in range(2000):
            call()
        counts[name] = max(1, int(2000 * seconds * 1e9 / (time.perf_counter_ns() - began)))
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, call in ways.items():
            began = time.perf_counter_ns()
            for _ in range(counts[name]):
                call()
            taken[name].append((time.perf_counter_ns() - began) / counts[name])
    return {name: statistics.median(values) for name, values in taken.items()}


def show(title: str, ways: Mapping[str, float]) -> None:
    """One table row per way, beside ours."""
    ours = ways["msgspec (ours)"]
    print(f"\n{title}")
    for name, nanoseconds in ways.items():
        print(f"  {name:<24} {nanoseconds:>9.0f} ns   x {nanoseconds / ours:.2f}")


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench_messages", description="What messages cost to read and write."
    )
    parser.add_argument(
        "--rounds", type=int, default=7, help="rounds of which the median is taken (default %(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=0.1, help="per way and round (default %(default)s)")
    options = parser.parse_args()
    readers: dict[str, Read] = {
        "msgspec (ours)": decode_client,
        "json, unchecked": json.loads,
        "json + checks": checked(json.loads),
        "orjson + checks": checked(orjson.loads),
    }
    with_pydantic = importlib.util.find_spec("pydantic") is not None
    if with_pydantic:
        readers["pydantic"] = pydantic_read()
    else:
        print("pydantic is not installed: `pip install .[bench]` to include it", file=sys.stderr)
    verify(readers)
    versions = f"msgspec {msgspec.__version__}, orjson {orjson.__version__}"
    print(f"Python {platform.python_version()}, {versions}, {platform.machine()}; median of {options.rounds} rounds")
    for title, frame in FRAMES.items():
        reading = {name: functools.partial(read, frame) for name, read in readers.items()}
        show(f"read {title} ({len(frame)} bytes)", medians_ns(reading, options.rounds, options.seconds))
    for title, (plain, ours) in WRITERS.items():
        writing: dict[str, Callable[[], object]] = {
            "msgspec (ours)": ours,
            "json": functools.partial(_written, plain, json.dumps),
            "orjson": functools.partial(_written, plain, orjson.dumps),
        }
        show(f"write {title}", medians_ns(writing, options.rounds, options.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
