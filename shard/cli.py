"""The command: settings and keys in, exit code out. 0 after a clean stop, 2 when nothing was started."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

from shard import logs
from shard.access.auth import KeyFault, load_keys
from shard.access.dev_secret import read_or_create
from shard.access.key_set import key_set_address
from shard.access.keys import KeyStore
from shard.config import Config, ConfigFault, StartFault, parse_config
from shard.races.receipt_key import choose_receipt_key

EXIT_NOT_STARTED = 2
"""Bad settings, bad keys, or a machine that cannot run them: a restart alone does not help. argparse uses it, too."""


def main(argv: Sequence[str] | None = None, env: Mapping[str, str] | None = None) -> int:
    """Run the shard until it is told to stop; return the exit code. ``argv`` is without the program's name.

    What keeps it from starting is one line on stderr, without traceback.
    """
    argv = sys.argv[1:] if argv is None else argv
    env = os.environ if env is None else env
    try:
        config = parse_config(argv, env, is_tty=sys.stderr.isatty())
        keys = choose_keys(config, env)
        dev_file = config.dev_secret_file if config.dev else None
        receipts = choose_receipt_key(env, keys.pools.secret, dev_file)
        if not config.check:
            logs.configure(config.log_level, config.log_format)
        keys.load()
        if config.check:
            print(_summary(config, keys, receipts.describe() if receipts else "none"))
            return 0
        from shard.app import run  # noqa: PLC0415 - a bad flag is refused before the whole server is loaded

        return run(config, keys, receipts)
    except (ConfigFault, KeyFault, StartFault) as fault:
        print(f"shard: {fault}", file=sys.stderr)
        return EXIT_NOT_STARTED


def choose_keys(config: Config, env: Mapping[str, str]) -> KeyStore:
    """The configured keys, not loaded yet; with ``--dev`` and none, the throw-away secret. Raises KeyFault."""
    keys = load_keys(env)
    keys = replace(keys, allow_anonymous=keys.allow_anonymous and config.anonymous)
    address = key_set_address(env, keys)
    if keys.is_empty and address is None:
        if not config.dev:
            raise KeyFault(
                "no key to verify players with: set SUPABASE_JWT_SECRET (HS256), SUPABASE_JWKS (ES256, RS256), "
                "SUPABASE_JWKS_URL or SUPABASE_URL, or use --dev on a developer's machine"
            )
        keys = replace(keys, secret=read_or_create(config.dev_secret_file))
    return KeyStore(keys, address)


def _summary(config: Config, keys: KeyStore, receipts: str) -> str:
    """What would run, for ``--check``: a line per subject."""
    host = f"[{config.host}]" if ":" in config.host else config.host
    port = str(config.port) if config.port else "any free port"
    world = config.world
    scheme = "wss" if config.tls_cert else "ws"
    return "\n".join(
        (
            f"listen   {scheme}://{host}:{port}/ws, origins: {', '.join(config.origins) or 'any'}",
            f"world    {world.preset}, seed {world.seed}, {world.size_m} m, hash {world.hash}",
            f"size     {config.zones} zones at {config.tick_hz} Hz, {config.max_players} players",
            f"keys     {keys.describe()}",
            f"receipts {receipts}",
            f"logs     {config.log_level}, {config.log_format}",
            f"mode     {'development' if config.dev else 'normal'}{', invariants checked' if config.debug else ''}",
        )
    )
