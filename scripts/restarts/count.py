"""What a process has that could leak, and what there is more of than before."""

from __future__ import annotations

from dataclasses import asdict, dataclass

MEMORY_SLACK_MIB = 8.0
"""How much memory may differ between the counts: the allocator keeps what it was given. 10,000 leaks of a kilobyte are
more than this."""


@dataclass(frozen=True, slots=True)
class Count:
    """What this process has."""

    memory_mib: float
    descriptors: int
    children: int
    zombies: int
    blocks: int
    workers: int


def leaks(before: Count, after: Count) -> list[str]:
    """What there is more of than before."""
    found = []
    for name, was in asdict(before).items():
        slack = MEMORY_SLACK_MIB if name == "memory_mib" else 0
        if asdict(after)[name] > was + slack:
            found.append(f"{name}: {was} before, {asdict(after)[name]} after")
    return found
