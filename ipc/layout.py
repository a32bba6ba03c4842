"""The shared-memory blocks of one shard: the only place that knows where anything lies.

One shard has these blocks, each named ``shard-<instance>-<kind>`` and beginning with the same header::

    table     WorldTable   header | main's columns, a row per slot | zones' columns, two halves, a row per slot
    input     InputRing    header | 128 samples per slot
    cells-Z   CellArena    header | two halves, each: split cells | directory of cells | bytes of cells  (one per zone)
    world     WorldBlock   header | the static world: obstacles, ground, gates, encoded chunks
    gateway   GatewayTable header | what only main knows of its sockets, a row per slot, written once per second

A block is a numpy record whose fields are whole columns, so that a column is contiguous; only a sample of the InputRing
is a record of its own, because main writes it with one ``struct.pack_into`` per received message.

Who may write what, and when it is valid:

- *main's columns* and ``head``: main only, and only while the owning zone is idle (its last Done is in).
- *zones' columns*: the zone that owns the row writes ``col[1 - front[slot], slot]`` during a tick; the half
  ``front[slot]`` is the committed one. Main flips ``front`` when it takes the zone's Done; that flip is the commit.
- *InputRing*: main writes entries at ``head`` at any time; the zone reads entries from its ``tail`` to the ``head``
  that was published with its Tick. At most RING_PENDING_MAX entries are pending, so nothing unread is overwritten.
- *WorldBlock*: main writes it before the first zone is spawned; from then on nobody writes it.
- *GatewayTable*: main only, once per second; read by ``scripts.explain`` alone. Nothing depends on it.
- *CellArena*: the zone writes the half that its Tick names; main reads the half that the last committed Done wrote.

No fence is needed: a pipe message, which is a system call, lies between every writer and every reader.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from shared.constants import NAME_CHARS_MAX, PLAYER_ID_BYTES_MAX, RING_ENTRIES, ZONES_MAX
from shared.player_state import COLUMNS

LAYOUT_VERSION: Final = 2
"""Grows with every change of a dtype below; blocks of another version are refused."""

MAGIC: Final = 0x3A_64_72_61_68_73_0A_07
"""First 8 bytes of every block."""

HEADER: Final = np.dtype(
    [
        ("magic", "u8"),
        ("layout", "u4"),
        ("owner_pid", "u4"),
        ("owner_started", "f8"),  # seconds since the epoch, as the kernel tells it: a pid alone may be somebody else's
        ("instance", "S12"),
        ("kind", "S12"),
        ("slots", "u4"),
        ("zones", "u4"),
        ("bytes", "u8"),  # of the whole block
    ],
    align=True,
)

SAMPLE: Final = np.dtype(
    [
        ("recv_ms", "f8"),  # server time at which the socket's bytes were received
        ("t_ms", "f8"),  # client clock
        ("x", "f8"),  # metres
        ("y", "f8"),  # metres; NaN: on the ground
        ("z", "f8"),
        ("yaw", "f8"),  # radians
        ("vx", "f8"),  # metres per second
        ("vy", "f8"),
        ("vz", "f8"),
        ("epoch", "u4"),
        ("seq", "u4"),
    ]
)
SAMPLE_STRUCT: Final = struct.Struct("=9d2I")
"""The same record for ``pack_into``."""

CELL: Final = np.dtype(
    [
        ("cell", "i4"),  # cell id; those without members come last
        ("members", "i4"),
        ("flags", "u4"),  # TOLD, FULL of shared/cells.py
        ("who_at", "u4"),  # all places are bytes from the start of the half's payload
        ("who_end", "u4"),
        ("head_at", "u4"),
        ("rows_at", "u4"),  # end of the head, too
        ("came_end", "u4"),  # of the rows of those who came in this tick
        ("one_end", "u4"),  # of the rows that changed within 1 tick
        ("two_end", "u4"),
        ("four_end", "u4"),
        ("rows_end", "u4"),
    ]
)
"""One entry of a zone's directory: where the pieces of the cell lie; see EncodedCell."""

ARENA_BYTES_PER_PLAYER: Final = 384
"""Room for a player in a half: its row (60), its name (120), its name among the news on entry (120), and brackets."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """The sizes that all blocks of a shard share."""

    slots: int
    zones: int

    def __post_init__(self) -> None:
        assert self.slots >= 1, "a shard needs a slot"
        assert 1 <= self.zones <= ZONES_MAX, f"zones must be 1 to {ZONES_MAX}"

    @property
    def arena_cells(self) -> int:
        """Entries of a zone's directory: each player can keep one cell listed and empty another."""
        return 2 * self.slots + 64

    @property
    def arena_nodes(self) -> int:
        """Split cells of a zone: each of three levels holds more than CELL_MERGE_AT players, or somebody is held."""
        return self.slots + 64

    @property
    def arena_bytes(self) -> int:
        """Payload bytes of one half of one zone's arena: every player at once for a few zones, a fair share for many.

        A crowd that does not fit costs watchers detail, never correctness: cells that do not fit are left out, flagged,
        and sent full as soon as they fit.
        """
        players = max(min(self.slots, 256), 4 * self.slots // max(self.zones, 4))
        return players * ARENA_BYTES_PER_PLAYER + 4096


def table_dtype(geometry: Geometry) -> np.dtype[np.void]:
    """The WorldTable: one record, every field a column over all slots (zones' columns: over two halves and slots)."""
    slots = geometry.slots
    main = [
        ("header", HEADER),
        ("owner", "i2", (slots,)),  # zone that owns the row, NO_ZONE: none; for recovery and observers
        ("generation", "u4", (slots,)),
        ("front", "u1", (slots,)),  # half of the last committed tick: 0 or 1
        ("head", "u4", (slots,)),  # samples written to the ring as of the Tick; wraps
        ("player", f"S{PLAYER_ID_BYTES_MAX}", (slots,)),  # UTF-8
        ("name", f"S{NAME_CHARS_MAX * 4}", (slots,)),  # UTF-8
        ("vehicle", "u1", (slots,)),  # index into shared.vehicles.VEHICLES
    ]
    zones = [(name, dtype, (2, slots, *shape)) for name, dtype, shape, _ in COLUMNS]
    return np.dtype(main + zones, align=True)


def input_dtype(geometry: Geometry) -> np.dtype[np.void]:
    """The InputRing: ``samples`` is (slots, RING_ENTRIES)."""
    return np.dtype([("header", HEADER), ("samples", SAMPLE, (geometry.slots, RING_ENTRIES))], align=True)


def gateway_dtype(geometry: Geometry) -> np.dtype[np.void]:
    """The GatewayTable: settings, a row per zone, and a row per slot."""
    slots, zones = geometry.slots, geometry.zones
    return np.dtype(
        [
            ("header", HEADER),
            ("tick", "u4"),  # at which it was written
            ("size_m", "u4"),  # of the world
            ("view_radius_m", "f8"),
            ("row_budget", "u4"),
            ("half", "u1", (zones,)),  # half of each CellArena that was committed last
            ("committed", "u4", (zones,)),  # its tick
            ("watching", "u1", (slots,)),  # 1: a socket is sent snapshots
            ("home", "i4", (slots,)),  # cell around which its client knows the cells; -1: it has been shown nothing
            ("near", "u2", (slots,)),  # cells told in every tick
            ("middle", "u2", (slots,)),  # in every second
            ("far", "u2", (slots,)),  # in every fourth
            ("rows", "u4", (slots,)),  # players in these cells when that was decided
            ("tier", "u1", (slots,)),  # what a crowd cost: 0 nothing, 1 rate, 2 sight, 3 turns
            ("sent_tick", "u4", (slots,)),  # of the last snapshot offered; 0: none
            ("refused", "u4", (slots,)),  # snapshots left out since it began to watch, because too much was unsent
            ("unsent_bytes", "u4", (slots,)),  # in main, besides what the kernel holds
        ],
        align=True,
    )


def arena_dtype(geometry: Geometry) -> np.dtype[np.void]:
    """A CellArena: directory, number of its entries, and payload, each in two halves."""
    return np.dtype(
        [
            ("header", HEADER),
            ("cells", "u4", (2,)),
            ("omitted", "u4", (2,)),  # cells left out because the half was full
            ("split", "u4", (2,)),  # number of nodes
            ("nodes", "i4", (2, geometry.arena_nodes)),  # ids of the cells that are split into four, ascending
            ("directory", CELL, (2, geometry.arena_cells)),
            ("payload", "u1", (2, geometry.arena_bytes)),
        ],
        align=True,
    )


Columns: TypeAlias = tuple[tuple[str, str, tuple[int, ...]], ...]
"""(name, numpy dtype, shape) of each column of a WorldBlock; what is not told by the geometry."""


def world_dtype(columns: Columns) -> np.dtype[np.void]:
    """A WorldBlock: the header and the given columns."""
    return np.dtype([("header", HEADER), *columns], align=True)


assert SAMPLE.itemsize == SAMPLE_STRUCT.size == 80, "the ring's record and its struct must be one"
assert HEADER.itemsize % 8 == 0, "columns after the header must stay aligned"
