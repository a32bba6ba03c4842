"""Feeds the decoder with broken messages and demands a message or a clean refusal: ``python -m scripts.fuzz_messages``.

Inputs are the frozen frames of the tests, mutated by a seeded generator: the same seed gives the same inputs. With
``--engine atheris`` (a package for Linux, not among the extras) coverage steers the mutations instead. Anything but a
message or a ClientFault ends the run with exit code 1, the input printed and saved.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from shared.messages import CLIENT_MESSAGES, ERROR_CODES, ClientFault, check_name, decode_client, encode
from shared.messages.codec import REFUSAL_CHARS_MAX

FRAMES = Path(__file__).resolve().parent.parent / "tests" / "shared" / "fixtures" / "wire"
FAILURE = Path("fuzz_messages_failure.bin")
BYTES_MAX = 1024
"""Inputs are cut to this: longer ones only spend time, the decoder has no state that grows with length."""

TOKENS: tuple[bytes, ...] = (
    *(b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b"\x00", b"\n", b" ", b"-", b".", b"e", b"E9"),
    *(b"null", b"true", b"false", b"NaN", b"Infinity", b"-0", b"0", b"1", b"1e308", b"1e999", b"-1e999", b"1.0"),
    *(b"2147483648", b"4294967296", b"9223372036854775808", b"18446744073709551616", b"9" * 400, b"0.1e-400"),
    *(b"\\ud800", b"\\udc00", b"\\u0000", b"\\u202e", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xef\xbb\xbf"),
    *(b"\xf4\x90\x80\x80", "\u0308".encode(), "\u2066".encode(), b"[" * 200, b'{"a":' * 60, b"{}", b"[]", b'""'),
    *(b'"type":', b'"payload":', b'"id":', b'"re":', b'"epoch":', b'"want":', b'"args":', b'"name":'),
)


class Broken(Exception):
    """The decoder did something else than accept or refuse."""


def judge(data: bytes) -> bool:
    """True when ``data`` is a message, False when it is refused as it should be. Raises Broken, or what escaped."""
    try:
        message = decode_client(data)
    except ClientFault as fault:
        text = fault.message
        if fault.code not in ERROR_CODES or not 0 < len(text) <= REFUSAL_CHARS_MAX or not text.isprintable():
            raise Broken(f"a refusal that cannot be sent: {fault.code!r}, {text!r}") from None
        return False
    if type(message) not in CLIENT_MESSAGES:
        raise Broken(f"accepted as {message!r}")
    for value in msgspec.structs.astuple(message.payload):
        if isinstance(value, float) and not math.isfinite(value):
            raise Broken(f"accepted {value}")
    if decode_client(encode(message)) != message:
        raise Broken(f"{message!r} is read differently when it is written again")
    return True


def seeds() -> list[bytes]:
    """The frozen frames of clients, as they are and without white space."""
    texts = [path.read_bytes() for path in sorted(FRAMES.glob("client_*.json"))]
    return texts + [msgspec.json.format(text, indent=-1) for text in texts]


def mutations(rng: random.Random, corpus: Sequence[bytes]) -> Callable[[], bytes]:
    """A source of inputs: each is a frame with one to four changes."""
    below = rng.random

    def place(length: int) -> int:
        return int(below() * length)

    def cut(data: bytes) -> bytes:
        at = place(len(data) + 1)
        return data[:at] + data[at + 1 + place(8) :]

    def overwrite(data: bytes) -> bytes:
        at = place(len(data) + 1)
        return data[:at] + bytes((place(256),)) + data[at + 1 :]

    def insert(data: bytes) -> bytes:
        at = place(len(data) + 1)
        return data[:at] + TOKENS[place(len(TOKENS))] + data[at:]

    def replace(data: bytes) -> bytes:
        at = place(len(data) + 1)
        return data[:at] + TOKENS[place(len(TOKENS))] + data[at + 1 + place(6) :]

    def repeat(data: bytes) -> bytes:
        at, length = place(len(data) + 1), 1 + place(24)
        return data[:at] + data[at : at + length] + data[at:]

    def splice(data: bytes) -> bytes:
        other = corpus[place(len(corpus))]
        return data[: place(len(data) + 1)] + other[place(len(other) + 1) :]

    changes = (cut, overwrite, insert, replace, repeat, splice)

    def produce() -> bytes:
        data = corpus[place(len(corpus))]
        for _ in range(1 + place(4)):
            data = changes[place(len(changes))](data)
        return data[:BYTES_MAX]

    return produce


def fuzz(inputs: int, seed: int) -> int:
    """Judge so many mutated inputs and print what came of it; returns the exit code."""
    produce = mutations(random.Random(seed), seeds())
    accepted = 0
    began_s = time.perf_counter()
    for count in range(1, inputs + 1):
        data = produce()
        try:
            accepted += judge(data)
        except Exception:
            _report(data, count)
            return 1
    took_s = time.perf_counter() - began_s
    print(f"{inputs} inputs, {inputs - accepted} refused, {accepted} accepted, {took_s:.1f} s, seed {seed}: no failure")
    return 0


def fuzz_by_coverage(inputs: int, seed: int) -> int:
    """The same promise with atheris; returns the exit code."""
    try:
        import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415
    except ImportError:
        print("atheris is not installed: `pip install atheris`, or leave --engine out", file=sys.stderr)
        return 2

    def one(data: bytes) -> None:
        try:
            judge(data)
        except Exception:
            _report(data, None)
            raise

    for function in (judge, decode_client, check_name):
        atheris.instrument_func(function)
    with tempfile.TemporaryDirectory(prefix="fuzz-messages-") as corpus:
        for number, frame in enumerate(seeds()):
            Path(corpus, str(number)).write_bytes(frame)
        Path(corpus, "tokens.dict").write_text("".join(f'"{_escaped(token)}"\n' for token in TOKENS))
        flags = [f"-runs={inputs}", f"-seed={seed}", f"-max_len={BYTES_MAX}", f"-dict={corpus}/tokens.dict"]
        atheris.Setup([sys.argv[0], *flags, corpus], one)
        child = multiprocessing.get_context("fork").Process(target=atheris.Fuzz)  # which ends its process
        child.start()
        child.join()
    return 1 if child.exitcode else 0


def _escaped(token: bytes) -> str:
    return "".join(f"\\x{byte:02X}" for byte in token)


def _report(data: bytes, count: int | None) -> None:
    FAILURE.write_bytes(data)
    traceback.print_exc()
    which = "" if count is None else f" after {count} inputs"
    print(f"FAILED{which} on {data!r}\nsaved as {os.path.abspath(FAILURE)}", file=sys.stderr)


def main() -> int:
    """Parse the command line and fuzz; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.fuzz_messages", description="Fuzz the message decoder.")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="how many inputs (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the mutations (default %(default)s)")
    parser.add_argument("--engine", choices=("plain", "atheris"), default="plain", help="who mutates")
    parser.add_argument("--input", type=Path, help="judge only this saved input")
    options = parser.parse_args()
    if options.input is not None:
        print("accepted" if judge(options.input.read_bytes()) else "refused")
        return 0
    return (fuzz_by_coverage if options.engine == "atheris" else fuzz)(options.inputs, options.seed)


if __name__ == "__main__":
    sys.exit(main())
