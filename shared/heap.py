"""The C library's heap keeps what arrays have given back: the next tick needs as much again.

Left to itself glibc returns large blocks to the kernel at once. A zone with 2,000 players then took 280 page faults in
every tick, a sixth of its time.
"""

from __future__ import annotations

import ctypes
from typing import Final

KEPT_BYTES: Final = 32 * 1024 * 1024
"""What lies free at the end of the heap at most; single blocks above it are never kept (glibc allows no more)."""

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3


def keep_memory() -> bool:
    """Have this process keep freed memory, KEPT_BYTES at most. False: nothing is changed, the library is not glibc."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, KEPT_BYTES) and mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES))
