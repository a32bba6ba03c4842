"""Which key signs receipts: from the environment, from a file that it names, or a throw-away one of ``--dev``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from shard.access.auth import KeyFault
from shard.access.dev_secret import read_or_create
from shard.races.receipts import SigningKey, parse_key

KEY_BYTES_MAX = 16 * 1024


def choose_receipt_key(env: Mapping[str, str], players_secret: str | None, dev_file: Path | None) -> SigningKey | None:
    """The key that ``env`` configures; with ``--dev`` and none, a throw-away secret beside ``dev_file``; else None.

    SHARD_RECEIPT_SECRET (HS256), SHARD_RECEIPT_KEY (ES256, PEM) and SHARD_RECEIPT_KEY_FILE exclude each other.
    ``players_secret`` verifies players' tokens and may not sign receipts, too. Raises KeyFault.
    """
    pem, file = env.get("SHARD_RECEIPT_KEY"), env.get("SHARD_RECEIPT_KEY_FILE")
    if pem and file:
        raise KeyFault("SHARD_RECEIPT_KEY_FILE: leave it out, or SHARD_RECEIPT_KEY: receipts have one key")
    if file:
        pem = _read(Path(file))
    key = parse_key(env.get("SHARD_RECEIPT_SECRET"), pem, players_secret)
    if key is None and dev_file is not None:
        return SigningKey("HS256", read_or_create(dev_receipt_file(dev_file)))
    return key


def dev_receipt_file(dev_file: Path) -> Path:
    """Where ``--dev`` keeps its receipt secret, given where it keeps that of players' tokens."""
    return dev_file.with_name(dev_file.name + "-receipts")


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(KEY_BYTES_MAX).decode()
    except OSError as fault:
        raise KeyFault(f"SHARD_RECEIPT_KEY_FILE: {path}: {fault.strerror or type(fault).__name__}") from None
    except ValueError:
        raise KeyFault(f"SHARD_RECEIPT_KEY_FILE: {path}: is not text") from None
