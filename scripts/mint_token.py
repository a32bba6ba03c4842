"""Mint access tokens like Supabase's, for bots and tests: ``python -m scripts.mint_token --count 3``.

Signs with the HS256 secret that the environment configures for the shard, else with the throw-away secret of
``python -m shard --dev``; issuer and audience follow the same environment, so that a shard beside it admits the token.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import jwt

from shard.access.auth import PLAYER_ROLE, KeyFault, KeyPools, load_keys
from shard.access.dev_secret import read_or_create

LOCAL_ISSUER = "http://127.0.0.1:54321/auth/v1"
"""Issuer of Supabase's local stack; used where none is configured and the shard checks none."""

COUNT_MAX = 100_000
MINUTES_MIN, MINUTES_MAX = 0.1, 7 * 24 * 60
"""Six seconds, to watch a token expire, to a week, the longest that the shard admits."""


class MintFault(ValueError):
    """An argument cannot be used. The text is one line that names the argument and the fix."""


def mint(secret: str, sub: str, now_s: float, lifetime_s: float = 3600.0, **overrides: object) -> str:
    """A token of player ``sub``, issued at ``now_s`` (Unix seconds), with every claim that Supabase puts in.

    ``overrides`` replace or add claims; None leaves one out. The same arguments give the same token.
    """
    issued_s = int(now_s)
    claims: dict[str, object] = {
        "aal": "aal1",
        "amr": [{"method": "password", "timestamp": issued_s}],
        "app_metadata": {"provider": "email", "providers": ["email"]},
        "aud": PLAYER_ROLE,
        "email": "",
        "exp": issued_s + int(lifetime_s),
        "iat": issued_s,
        "is_anonymous": False,
        "iss": LOCAL_ISSUER,
        "phone": "",
        "role": PLAYER_ROLE,
        "session_id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{sub}/{issued_s}")),
        "sub": sub,
        "user_metadata": {},
    }
    claims |= overrides
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept, secret, algorithm="HS256")


def signing_keys(env: Mapping[str, str], secret_file: Path) -> KeyPools:
    """What a shard with the same environment verifies with, and certainly a secret. Raises KeyFault."""
    keys = load_keys(env)
    if keys.is_empty:
        return replace(keys, secret=read_or_create(secret_file))
    if keys.secret is None:
        raise KeyFault("SUPABASE_JWKS: public keys cannot sign; set SUPABASE_JWT_SECRET, too, or unset SUPABASE_JWKS")
    return keys


def main(argv: Sequence[str] | None = None, env: Mapping[str, str] | None = None, now_s: float | None = None) -> int:
    """Print tokens, one per line; return the exit code, 2 with one line on stderr for what cannot be done."""
    env = os.environ if env is None else env
    now_s = time.time() if now_s is None else now_s
    try:
        flags = _parser().parse_args(sys.argv[1:] if argv is None else argv)
        subs = _subs(flags.sub, flags.count)
        if not MINUTES_MIN <= flags.minutes <= MINUTES_MAX:
            raise MintFault(f"--minutes: must be {MINUTES_MIN} to {MINUTES_MAX}, not {flags.minutes}")
        keys = signing_keys(env, Path(flags.secret_file))
    except (MintFault, KeyFault) as fault:
        print(f"mint_token: {fault}", file=sys.stderr)
        return 2
    assert keys.secret is not None, "signing_keys returns keys with a secret"
    issuer = keys.issuer or LOCAL_ISSUER
    for sub in subs:
        print(mint(keys.secret, sub, now_s, flags.minutes * 60, iss=issuer, aud=keys.audience))
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise MintFault(f"{' '.join(message.split())}; see --help")


def _parser() -> _Parser:
    parser = _Parser(prog="python -m scripts.mint_token", description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--sub", metavar="UUID", help="the player (default: a new one for each token)")
    parser.add_argument("--minutes", type=float, default=60.0, metavar="N", help="life of a token (default 60)")
    parser.add_argument("--count", type=int, default=1, metavar="N", help="number of tokens (default 1)")
    parser.add_argument("--secret-file", default=".dev-secret", metavar="PATH", help="default .dev-secret")
    return parser


def _subs(sub: str | None, count: int) -> list[str]:
    """The players to mint for: ``sub`` alone, or ``count`` new ones."""
    if not 1 <= count <= COUNT_MAX:
        raise MintFault(f"--count: must be 1 to {COUNT_MAX}, not {count}")
    if sub is None:
        return [str(uuid.uuid4()) for _ in range(count)]
    if count != 1:
        raise MintFault("--sub: names one player; leave out --count, or --sub")
    try:
        return [str(uuid.UUID(sub))]
    except ValueError:
        raise MintFault(f"--sub: must be a UUID, not {sub[:64]!r}") from None


if __name__ == "__main__":
    sys.exit(main())
