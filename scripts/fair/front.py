"""What main does with samples before a zone sees them, for many players at once: thin them, file them, stop reading.

The rules are those of ``meters.py`` (``Meters.move``), ``connection.py`` (what finds no room waits in
the socket, and bytes that wait in the kernel are stamped when they are read) and ``ipc/input_ring.py``; a test holds
the thinning to the real ``Bucket``. Left out: the budget of bytes and frames, which no client here comes near.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ipc.layout import SAMPLE
from scripts.fair.line import F64, Index, Mask, Wire
from shard.access.budget import RATES
from shared.constants import RING_ENTRIES, RING_PENDING_MAX

_PER_S, _BURST = RATES["move"]
INTERVAL_MS: Final = 1000.0 / _PER_S
DEPTH_MS: Final = (_BURST - 1) * INTERVAL_MS + 1e-3
_MASK: Final = RING_ENTRIES - 1
I64 = NDArray[np.int64]


class Front:
    """Allowances and input rings of N players; slot is index."""

    def __init__(self, count: int) -> None:
        self.ring: Any = np.zeros((count, RING_ENTRIES), SAMPLE)
        self.heads = np.zeros(count, np.uint32)
        self.thinned = np.zeros(count, np.int64)
        self.filed = np.zeros(count, np.int64)
        self._paid_ms = np.full(count, -np.inf)
        self._read_ms = np.full(count, np.inf)
        """Reading is paused: what was due by then has been read. inf: it is not."""

    def read(self, slots: Index, positions: NDArray[np.uint32]) -> Any:
        """As InputReader.read."""
        return self.ring[slots, positions & _MASK]

    def connect(self, who: Index) -> None:
        """New connections have allowances of their own."""
        self._paid_ms[who] = -np.inf
        self._read_ms[who] = np.inf

    def receive(self, wire: Wire, now_ms: float, tails: NDArray[np.uint32], stood_ms: float = -np.inf) -> None:
        """Take from the wire what arrived by ``now_ms``; ``tails`` are as of the last committed tick.

        ``stood_ms``: main stood still until then, so nothing was stamped earlier that arrived since the last call.
        """
        who, count = wire.arrived(now_ms)
        if not len(who):
            return
        room = RING_PENDING_MAX - (self.heads[who] - tails[who]).astype(np.int64)
        while True:
            owner, offset = _ragged(count)
            samples, due_ms = wire.look(who[owner], offset)
            unread = due_ms > self._read_ms[who[owner]]
            recv_ms = np.where(unread, now_ms, np.maximum(due_ms, stood_ms))
            taken, paid_ms = thin(self._paid_ms[who], recv_ms, owner, offset, count)
            rank = _rank(taken, owner, len(who))
            unfit = taken & (rank >= room[owner])
            if not unfit.any():
                break
            first = np.full(len(who), np.iinfo(np.int64).max)
            np.minimum.at(first, owner[unfit], offset[unfit])
            full = first < count
            paused = who[full & ~(self._read_ms[who] < np.inf)]
            self._read_ms[paused] = now_ms
            count = np.minimum(count, first)
        self._paid_ms[who] = paid_ms
        slot = who[owner[taken]]
        entry = samples[taken]
        entry["recv_ms"] = recv_ms[taken]
        self.ring[slot, (self.heads[slot].astype(np.int64) + rank[taken]) & _MASK] = entry
        filed = np.bincount(owner[taken], minlength=len(who))
        self.heads[who] += filed.astype(np.uint32)
        self.filed[who] += filed
        self.thinned[who] += count - filed
        wire.drop(who, count)
        self._read_ms[who[filed < room]] = np.inf


def thin(paid_ms: F64, recv_ms: F64, owner: Index, offset: I64, count: I64) -> tuple[Mask, F64]:
    """Which of M samples of P players are within their allowance, and what the players have paid up to then.

    ``owner`` (M,) ascending, ``offset`` (M,) the number within the owner, ``count`` (P,) samples of each; times of
    receipt ascend within an owner. Players who cannot be over the burst are summed up in one go: each sample moves the
    paid time to max(paid, received) + interval, so after n it is the largest of received + interval * (samples since).
    """
    taken = np.ones(len(recv_ms), np.bool_)
    some = count > 0
    starts = (np.cumsum(count) - count)[some]
    paid = paid_ms.copy()
    if not len(starts):
        return taken, paid
    number = count[some]
    last = np.maximum.reduceat(recv_ms + (number[np.cumsum(some)[owner] - 1] - offset) * INTERVAL_MS, starts)
    paid[some] = np.maximum(paid_ms[some] + number * INTERVAL_MS, last)
    over = np.flatnonzero(some)[paid[some] - INTERVAL_MS - recv_ms[starts] > DEPTH_MS]
    if len(over):
        paid[over] = paid_ms[over]
        begin = (np.cumsum(count) - count)[over]
        for turn in range(int(count[over].max())):
            left = count[over] > turn
            who, at = over[left], begin[left] + turn
            until = np.maximum(paid[who], recv_ms[at])
            good = until - recv_ms[at] <= DEPTH_MS
            taken[at] = good
            paid[who] = np.where(good, until + INTERVAL_MS, paid[who])
    return taken, paid


def _ragged(count: I64) -> tuple[Index, I64]:
    """For counts 2, 0, 3: (0 0 2 2 2) and (0 1 0 1 2)."""
    owner = np.repeat(np.arange(len(count)), count)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)


def _rank(taken: Mask, owner: Index, players: int) -> I64:
    """(M,) how many of the same owner were taken before each."""
    total = np.cumsum(taken)
    before = np.zeros(players + 1, np.int64)
    np.add.at(before[1:], owner, taken)
    rank: I64 = total - taken - np.cumsum(before)[owner]
    return rank
