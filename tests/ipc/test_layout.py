"""The layout of the blocks: aligned columns, one sample record for struct and numpy alike, sizes that hold a shard."""

from __future__ import annotations

import hashlib
import struct
from itertools import pairwise

import numpy as np
import pytest

from ipc.layout import (
    ARENA_BYTES_PER_PLAYER,
    CELL,
    HEADER,
    LAYOUT_VERSION,
    MAGIC,
    SAMPLE,
    SAMPLE_STRUCT,
    Geometry,
    arena_dtype,
    gateway_dtype,
    input_dtype,
    table_dtype,
)
from shared.constants import NAME_CHARS_MAX, PLAYER_ID_BYTES_MAX, PLAYERS_MAX, RING_ENTRIES, ZONES_MAX
from shared.ids import NO_ZONE
from shared.player_state import COLUMNS
from shared.vehicles import VEHICLES

GEOMETRIES = [Geometry(1, 1), Geometry(3, 2), Geometry(77, 8), Geometry(2320, 8), Geometry(9232, 64)]
BLOCKS = {"table": table_dtype, "input": input_dtype, "gateway": gateway_dtype, "arena": arena_dtype}
EVERY_BLOCK = [
    pytest.param(make(geometry), id=f"{kind}-{geometry.slots}-{geometry.zones}")
    for kind, make in BLOCKS.items()
    for geometry in GEOMETRIES
]

LAYOUTS = {1: "54b93dfe", 2: "002db82c"}
"""Version to a digest of all dtypes. A layout that differs is another version: old and new programs must not mix."""


def column_types(dtype: np.dtype[np.void]) -> dict[str, tuple[np.dtype[np.generic], int]]:
    """Per field: the dtype of one element, and the offset."""
    assert dtype.fields is not None
    return {name: (entry[0].base, entry[1]) for name, entry in dtype.fields.items()}


@pytest.mark.parametrize("dtype", EVERY_BLOCK)
def test_every_column_is_aligned_for_its_type(dtype: np.dtype[np.void]) -> None:
    for name, (kind, offset) in column_types(dtype).items():
        widest = max((field[0].base.alignment for field in (kind.fields or {}).values()), default=kind.alignment)
        assert offset % widest == 0, f"{name} lies at {offset}"
        assert kind.itemsize % widest == 0, f"the second {name} is not aligned"


@pytest.mark.parametrize("dtype", EVERY_BLOCK)
def test_every_block_begins_with_the_header_and_no_field_overlaps_the_next(dtype: np.dtype[np.void]) -> None:
    assert dtype.fields is not None
    spans = sorted((entry[1], entry[1] + entry[0].itemsize, name) for name, entry in dtype.fields.items())
    assert spans[0] == (0, HEADER.itemsize, "header")
    for (_, end, before), (start, _, name) in pairwise(spans):
        assert start >= end, f"{name} overlaps {before}"
    assert spans[-1][1] <= dtype.itemsize


@pytest.mark.parametrize("kind", [SAMPLE, CELL, HEADER], ids=["sample", "cell", "header"])
def test_the_small_records_have_no_misaligned_field(kind: np.dtype[np.void]) -> None:
    for name, (element, offset) in column_types(kind).items():
        assert offset % element.alignment == 0, name


def test_every_column_is_contiguous_in_memory() -> None:
    record = np.zeros((), table_dtype(Geometry(5, 2)))
    for name in record.dtype.names or ():
        if name != "header":
            assert record[name].flags.c_contiguous, name


def test_a_sample_is_the_same_record_for_struct_and_for_numpy() -> None:
    values = (1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5, 0xFFFFFFFE, 0x80000001)
    record = np.frombuffer(SAMPLE_STRUCT.pack(*values), SAMPLE)[0]
    names = ("recv_ms", "t_ms", "x", "y", "z", "yaw", "vx", "vy", "vz", "epoch", "seq")
    assert SAMPLE.names == names
    for name, value in zip(names, values, strict=True):
        assert record[name] == value, name


def test_a_sample_has_its_fields_at_the_offsets_of_its_struct() -> None:
    assert SAMPLE.fields is not None
    offsets = [SAMPLE.fields[name][1] for name in SAMPLE.names or ()]
    formats = ["d"] * 9 + ["I"] * 2
    assert offsets == [struct.calcsize("=" + "".join(formats[:index])) for index in range(len(formats))]
    assert SAMPLE_STRUCT.size == SAMPLE.itemsize == 80


def test_every_column_of_a_players_state_is_in_the_table_in_two_halves() -> None:
    geometry = Geometry(7, 3)
    record = np.zeros((), table_dtype(geometry))
    for name, dtype, shape, _ in COLUMNS:
        assert record[name].shape == (2, 7, *shape), name
        assert record[name].dtype == np.dtype(dtype), name


def test_the_table_has_nothing_but_mains_columns_and_the_zones() -> None:
    main = {"header", "owner", "generation", "front", "head", "player", "name", "vehicle"}
    assert set(table_dtype(Geometry(2, 1)).names or ()) == main | {name for name, *_ in COLUMNS}


def test_mains_columns_hold_every_value_that_they_may_take() -> None:
    fields = column_types(table_dtype(Geometry(2, 1)))
    assert np.iinfo(fields["owner"][0].str).min <= NO_ZONE < 0
    assert np.iinfo(fields["owner"][0].str).max >= ZONES_MAX - 1
    assert np.iinfo(fields["vehicle"][0].str).max >= len(VEHICLES) - 1
    assert fields["generation"][0] == fields["head"][0] == np.dtype("u4")
    assert fields["player"][0].itemsize == PLAYER_ID_BYTES_MAX
    assert fields["name"][0].itemsize == 4 * NAME_CHARS_MAX, "a character of UTF-8 has up to four bytes"


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_the_ring_has_128_samples_of_every_slot_and_nothing_else(geometry: Geometry) -> None:
    dtype = input_dtype(geometry)
    assert dtype["samples"].shape == (geometry.slots, RING_ENTRIES)
    assert dtype.itemsize == HEADER.itemsize + geometry.slots * RING_ENTRIES * SAMPLE.itemsize


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_an_arena_has_two_halves_of_directory_and_payload(geometry: Geometry) -> None:
    dtype = arena_dtype(geometry)
    assert dtype["directory"].shape == (2, geometry.arena_cells)
    assert dtype["payload"].shape == (2, geometry.arena_bytes)
    assert dtype["cells"].shape == dtype["omitted"].shape == (2,)


@pytest.mark.parametrize("zones", [1, 4, 5, 8, 33, 64])
@pytest.mark.parametrize("slots", [1, 80, 256, 2320, PLAYERS_MAX + PLAYERS_MAX // 8 + 16])
def test_the_arenas_hold_every_player(slots: int, zones: int) -> None:
    geometry = Geometry(slots, zones)
    alone = geometry.arena_bytes // ARENA_BYTES_PER_PLAYER
    assert alone >= min(slots, 256), "a few hundred fit one zone whatever the number of zones"
    assert alone * zones >= slots, "all fit when they spread over the zones"
    if zones <= 4:
        assert alone >= slots, "all fit one zone of a few"
    assert geometry.arena_cells >= 2 * slots
    assert geometry.arena_bytes <= 2**32 - 1, "offsets of a directory have 32 bits"


@pytest.mark.parametrize(("slots", "zones"), [(0, 1), (-1, 1), (8, 0), (8, ZONES_MAX + 1)])
def test_sizes_that_no_shard_has_are_refused(slots: int, zones: int) -> None:
    with pytest.raises(AssertionError):
        Geometry(slots, zones)


def test_the_magic_is_text_that_no_other_file_begins_with() -> None:
    assert MAGIC.to_bytes(8, "little") == b"\x07\nshard:"


def test_another_layout_has_another_version() -> None:
    geometry = Geometry(7, 3)
    text = repr([make(geometry).descr for make in BLOCKS.values()])
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    assert LAYOUTS.get(LAYOUT_VERSION) == digest, (
        f"the layout changed: raise LAYOUT_VERSION and add it to LAYOUTS with {digest!r}"
    )
