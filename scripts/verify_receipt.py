"""Verify a race receipt: ``python -m scripts.verify_receipt TOKEN``; ``-`` reads the token from standard input.

Prints the claims as JSON and exits 0 when the receipt is good; else says why not in one line and exits 1; 2 for bad
arguments. The key: --secret, --public-key, else what the environment configures for the shard, else the throw-away
secret of ``python -m shard --dev``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from shard.access.auth import KeyFault, check_secret
from shard.races.receipt_key import choose_receipt_key, dev_receipt_file
from shard.races.receipts import Expected, ReceiptFault, VerifyingKey, parse_public_key, verify

DEV_SECRET_FILE = ".dev-secret"


def main(argv: Sequence[str] | None = None, env: Mapping[str, str] | None = None, now_s: float | None = None) -> int:
    """Verify one receipt; returns the exit code. ``argv`` is without the program's name."""
    env = os.environ if env is None else env
    try:
        flags = _parser().parse_args(sys.argv[1:] if argv is None else argv)
        key = _key(flags, env)
    except KeyFault as fault:
        print(f"verify_receipt: {fault}", file=sys.stderr)
        return 2
    token = (sys.stdin.read() if flags.token == "-" else flags.token).strip()
    expected = Expected(flags.player, flags.race, flags.route, flags.world)
    try:
        claims = verify(token, key, time.time() if now_s is None else now_s, expected)
    except ReceiptFault as fault:
        print(f"refused: {fault}", file=sys.stderr)
        return 1
    print(json.dumps(claims, indent=1))
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise KeyFault(f"{' '.join(message.split())}; see --help")


def _parser() -> _Parser:
    parser = _Parser(prog="python -m scripts.verify_receipt", description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("token", help="the receipt, a JWT; - reads it from standard input")
    keys = parser.add_mutually_exclusive_group()
    keys.add_argument("--secret", metavar="TEXT", help="HS256 secret (others see it in ps: prefer the environment)")
    keys.add_argument("--public-key", metavar="PATH", help="ES256 public key, PEM")
    parser.add_argument("--player", metavar="SUB", help="must be this player's")
    parser.add_argument("--race", metavar="ID", help="must be of this race")
    parser.add_argument("--route", metavar="ID", help="must be of this route")
    parser.add_argument("--world", metavar="HASH", help="must be of the world with this hash")
    return parser


def _key(flags: argparse.Namespace, env: Mapping[str, str]) -> VerifyingKey:
    if flags.secret is not None:
        return VerifyingKey("HS256", check_secret(flags.secret, "--secret"))
    if flags.public_key is not None:
        try:
            pem = Path(flags.public_key).read_text()
        except (OSError, ValueError) as fault:
            raise KeyFault(f"--public-key: {flags.public_key}: {fault}") from None
        return parse_public_key(pem, "--public-key")
    file = Path(DEV_SECRET_FILE)
    key = choose_receipt_key(env, None, file if dev_receipt_file(file).exists() else None)
    if key is None:
        raise KeyFault("no key: give --secret or --public-key, or set SHARD_RECEIPT_SECRET or SHARD_RECEIPT_KEY")
    return key.verifying


if __name__ == "__main__":
    sys.exit(main())
