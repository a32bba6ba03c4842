"""The numbers that name things. Each says where it comes from and when it wraps."""

from typing import NewType

Slot = NewType("Slot", int)
"""Row of a player in every block, ``0 .. max_players - 1``. Reused after a rest; always paired with a Generation."""

Generation = NewType("Generation", int)
"""How often a slot has been given out. 32 bits: at one reuse per 5 s it wraps after 680 years."""

ZoneId = NewType("ZoneId", int)
"""``0 .. zones - 1``. NO_ZONE means that no zone owns the row."""

Tick = NewType("Tick", int)
"""Number of a tick since the shard's start, from 1. 32 bits: at 60 Hz it wraps after 2.2 years."""

CellId = NewType("CellId", int)
"""Opaque name of a set of players on the wire. In one shard a cell id belongs to one zone only."""

PlayerId = NewType("PlayerId", str)
"""The ``sub`` of the player's token: a UUID in text form, the only identity that the shard accepts."""

NO_ZONE = ZoneId(-1)
"""Owner of a row that no zone simulates."""
