"""Numbers that more than one process depends on. Units are in the names; each says why it has its value."""

from __future__ import annotations

PROTOCOL_VERSION = 1
"""Version of the wire contract; sent in ``welcome.protocol``."""

TICK_HZ = 20
"""Default tick rate. 50 ms is what interpolating clients need two of to hide a late one."""

CHUNK_M = 64
"""Edge of a chunk; zones are cut along chunk edges so that a cell never lies in two zones."""

CELL_M = CHUNK_M
"""Edge of an interest cell. Equal to the chunk: one grid for streaming, interest and zones."""

CELL_MIN_M = 8
"""Edge of the smallest cell: a crowded one is split in four, three times at most."""

CELL_SPLIT_ABOVE = 24
"""A cell with more players is split: two dozen rows are 900 bytes, beside which four cells' brackets are small, and in
smaller cells more cars would cross from one to the next, which is told to everybody at once."""

CELL_MERGE_AT = 12
"""Four cells with no more players than this between them become one again: half, so that they seldom alternate."""

VIEW_RADIUS_M = 192
"""Default radius of view: three cells of CELL_M."""

ROW_BUDGET = 100
"""Default rows per frame: 3.6 kB, of which half is used on average, 36 kB/s."""

ZONES_MAX = 64
PLAYERS_MAX = 8192
PLAYERS_DEFAULT = 2048

HOME_BAND_M = 4.0
"""How far a player leaves the home cell before the home changes: a wobble on a cell's edge moves nobody's interest."""

BORDER_BAND_M = 8.0
"""How far a player leaves the zone's rectangle before it is handed off: driving along a border costs nothing."""

RING_ENTRIES = 128
"""Entries of a slot's input ring. A power of two: positions are counters masked, and counters may wrap."""

RING_PENDING_MAX = 64
"""Samples of a player that may wait to be judged: 2 s of a stalled client at 30 Hz. The other half is evidence."""

ROUNDS_MAX = 8
"""Samples of one player that a zone judges in one tick: 160 per second, five times what a client may send."""

CARRY_FORWARD_MS = 150.0
"""A row shows its last sample carried forward by its velocity, at most this far: three lost ticks, not a flight."""

SAMPLE_AGE_MAX_MS = 500.0
"""A sample's own clock is believed no further back than this before it was received."""

CLOCK_CREEP_MS_PER_S = 1.0
"""How fast the offset between a client's clock and ours may be let slide: twice a bad crystal (500 ppm)."""

PROOF_OF_LIFE_MS = 1000.0
"""A row that did not change is sent again after this long; also the bound on how old an acknowledgement may be."""

SLOT_REST_MS = 5000.0
"""A freed slot rests this long, so that no client can take its next player for the last one."""

SEQ_MASK = 0xFFFF
"""Snapshot rows carry ``seq`` modulo 65536."""

NAME_CHARS_MIN, NAME_CHARS_MAX = 3, 20
PLAYER_ID_BYTES_MAX = 64
"""Longest ``sub`` that is admitted: a UUID has 36 characters, other issuers use a few more."""

MESSAGE_BYTES_MAX = 16 * 1024
"""Largest client message. Tokens with much metadata take several kB; everything else is far below."""

PIPE_MESSAGE_BYTES_MAX = 64 * 1024
"""Largest control message: what a Unix socket buffers without blocking its writer, so a sender never waits."""

DEADLINE_FRACTION = 0.6
"""Share of a tick's period after which zones that have not answered are left out of the tick's frames."""

LAST_CALL_FRACTION = 0.9
"""The same where most zones have not answered: then the host is slow, not they, and frames without them would only add
to its load: they cost as much as others, and what they leave out has to be told in full afterwards."""

AIRBORNE_M = 1.5
"""Higher above the ground than this a car flies: the ground as zones know it is off by up to 1.1 m on steep banks."""

FLAG_RACING = 1
FLAG_GHOST = 2
FLAG_AWAY = 4
FLAG_FROZEN = 8
FLAG_AIRBORNE = 16

assert RING_ENTRIES & (RING_ENTRIES - 1) == 0, "positions are counters masked: keep RING_ENTRIES a power of two"
assert RING_ENTRIES >= 2 * RING_PENDING_MAX, "the judged half of the ring must stay as evidence"
assert CELL_M == CHUNK_M, "zones are cut along chunk edges and cells must not straddle zones"
assert HOME_BAND_M + BORDER_BAND_M < CELL_M / 2, "a player must be listed within half a cell of where it is"
assert CELL_M == CELL_MIN_M << 3, "shared/quadtree.py splits three times"
assert CELL_MERGE_AT < CELL_SPLIT_ABOVE, "a cell that was just merged must not be split at once"
