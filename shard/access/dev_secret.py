"""The throw-away HS256 secret of ``--dev``: one file, made on first use, shared by the shard and the token minter."""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from shard.access.auth import KeyFault, check_secret


def read_or_create(path: Path) -> str:
    """The secret in ``path``, which is made with mode 0600 where it does not exist.

    Two processes that start at once end up with the same secret. Raises KeyFault when the file is readable by others,
    is no usable secret, or cannot be read or made.
    """
    try:
        with suppress(FileNotFoundError):
            return _read(path)
        _create(path)
        return _read(path)
    except OSError as fault:
        reason = fault.strerror or type(fault).__name__
        raise KeyFault(f"{path}: {reason}; name a file that can be read and made as the secret file") from None


def _read(path: Path) -> str:
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise KeyFault(f"{path}: mode {mode:04o} lets others read the secret; delete the file, a new one is made")
        content = file.read(4096)
    try:
        return check_secret(content.decode().strip(), str(path))
    except ValueError as fault:
        reason = fault if isinstance(fault, KeyFault) else f"{path}: is not text"
        raise KeyFault(f"{reason}; or delete the file, a new one is made") from None


def _create(path: Path) -> None:
    """Write a new secret beside ``path`` and link it there: the name appears whole, and never replaces another file."""
    descriptor, name = tempfile.mkstemp(prefix=path.name, dir=path.parent)  # O_EXCL, mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48) + "\n")
        with suppress(FileExistsError):
            os.link(name, path)
    finally:
        os.unlink(name)
