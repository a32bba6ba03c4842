"""Chunks: together they hold the world once, neighbours fit, the hash names the content, the bytes are as agreed."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from shared.constants import CHUNK_M
from shared.messages import Chunk as ChunkMessage
from shared.messages import ChunkPayload, decode_server
from shared.world import chunks as chunks_module
from shared.world.chunks import CHUNKS_AT_ONCE, Chunk, encode, frame, make_chunks, text_word
from shared.world.entries import GarageKiosk
from shared.world.land import Land, land_of
from shared.world.roads import VERGE_M
from shared.world.world import World
from tests.fakes.small_world import lands, small_land

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]


@pytest.fixture(scope="module")
def small() -> Land:
    return small_land()


@pytest.fixture(scope="module")
def all_small(small: Land) -> dict[tuple[int, int], Chunk]:
    return everything(small)


def everything(land: Land) -> dict[tuple[int, int], Chunk]:
    indices = [(cx, cz) for cz in range(land.chunks) for cx in range(land.chunks)]
    return dict(zip(indices, make_chunks(land, indices), strict=True))


def as_bytes(land: Land) -> list[bytes]:
    return [encode(chunk.payload()) for chunk in everything(land).values()]


def pieces_of(chunk: Chunk) -> set[tuple[tuple[int, ...], ...]]:
    """The straight pieces of road that the chunk lists."""
    return {pair for road in chunk.roads for pair in itertools.pairwise(road)}


def test_a_chunk_is_sent_as_the_contract_says(small: Land, all_small: dict[tuple[int, int], Chunk]) -> None:
    for chunk in all_small.values():
        message = decode_server(frame(encode(chunk.payload()), 7))
        assert isinstance(message, ChunkMessage)
        assert message.re == 7
        assert message.payload == chunk.payload()
        assert message.payload.seed == small.seed
    unasked = decode_server(frame(encode(all_small[0, 0].payload()), None))
    assert isinstance(unasked, ChunkMessage)
    assert unasked.re is None


def test_numbers_on_the_wire_are_whole_centimetres_milliradians_and_per_cent(
    all_small: dict[tuple[int, int], Chunk],
) -> None:
    def check(value: object) -> None:
        if isinstance(value, dict):
            for each in value.values():
                check(each)
        elif isinstance(value, list):
            for each in value:
                check(each)
        elif isinstance(value, float):
            assert len(repr(value).partition(".")[2]) <= 3, value

    for chunk in all_small.values():
        check(json.loads(encode(chunk.payload())))


def test_biomes_are_those_of_the_file(all_small: dict[tuple[int, int], Chunk]) -> None:
    assert all_small[0, 0].biome == "wood"
    assert all_small[7, 7].biome == "town"
    assert all_small[15, 12].biome == "field"


def test_every_kiosk_is_in_the_one_chunk_in_which_it_stands(
    small: Land, all_small: dict[tuple[int, int], Chunk]
) -> None:
    found = [(kiosk.kiosk, index) for index, chunk in all_small.items() for kiosk in chunk.payload().kiosks]
    assert sorted(found) == sorted((k.id, (int(k.x // CHUNK_M), int(k.z // CHUNK_M))) for k in small.kiosks)
    kiosk = next(kiosk for chunk in all_small.values() for kiosk in chunk.payload().kiosks if kiosk.kiosk == "k-garage")
    assert (kiosk.kind, kiosk.x, kiosk.z, kiosk.yaw, kiosk.radius_m) == ("garage", 555.0, 700.0, 4.712, 12.0)


def test_every_gate_is_in_every_chunk_that_it_touches(small: Land, all_small: dict[tuple[int, int], Chunk]) -> None:
    found = {(part.route, part.gate, index) for index, chunk in all_small.items() for part in chunk.gates}
    twice = 0
    for route in small.routes:
        for number, (ax, az, bx, bz) in enumerate(route.gates_m.tolist()):
            share = np.linspace(0.0, 1.0, 2001)
            touched = set(
                zip(
                    ((ax + (bx - ax) * share) // CHUNK_M).astype(int).tolist(),
                    ((az + (bz - az) * share) // CHUNK_M).astype(int).tolist(),
                    strict=True,
                )
            )
            listed = {index for name, gate, index in found if (name, gate) == (route.id, number)}
            assert touched <= listed
            assert len(listed) <= len(touched) + 1, "a gate that ends on an edge touches both sides"
            twice += len(listed) > 1
    assert twice > 0, "some gate of the small world lies across an edge"


@settings(max_examples=10, deadline=None)
@given(land=lands())
def test_roads_connect(land: Land) -> None:
    """A piece that crosses an edge is in both chunks, whole; all pieces near a chunk are in it; nothing is made up."""
    chunks = everything(land)
    x0, z0, x1, z1 = land.roads.ends_m().T
    posts = land.roads.post_cm[land.roads.piece_posts].reshape(-1, 4)
    heights = land.roads.post_y_cm[land.roads.piece_posts]
    widths = 2 * land.roads.half_cm[land.roads.piece_road]
    names = {
        ((ax, az, width, ya), (bx, bz, width, yb)): number
        for number, ((ax, az, bx, bz), (ya, yb), width) in enumerate(
            zip(posts.tolist(), heights.tolist(), widths.tolist(), strict=True)
        )
    }
    crossed = 0
    for (cx, cz), chunk in chunks.items():
        listed = pieces_of(chunk)
        assert listed <= set(names), "only pieces of the world"
        for pair, number in names.items():
            share = np.linspace(0.0, 1.0, 65)
            x = x0[number] + (x1[number] - x0[number]) * share - cx * CHUNK_M
            z = z0[number] + (z1[number] - z0[number]) * share - cz * CHUNK_M
            reach = widths[number] / 200.0 + VERGE_M
            off = np.maximum(np.maximum(-x, x - CHUNK_M), np.maximum(-z, z - CHUNK_M))
            if off.min() <= reach - 0.5 and _beside(x, z) <= reach - 0.5:
                assert pair in listed
                crossed += off.min() <= 0.0 < off.max()
    assert crossed > 0 or land.chunks == 1


def _beside(x: F64, z: F64) -> float:
    """Distance of points from the square 0 .. CHUNK_M."""
    off_x = np.maximum(np.maximum(-x, x - CHUNK_M), 0.0)
    off_z = np.maximum(np.maximum(-z, z - CHUNK_M), 0.0)
    return float(np.hypot(off_x, off_z).min())


@settings(max_examples=15, deadline=None)
@given(land=lands())
def test_the_same_seed_is_the_same_bytes(land: Land) -> None:
    assert as_bytes(Land.of_file(land.file, land.seed)) == as_bytes(land)


def test_another_seed_is_another_world(small: Land) -> None:
    here, there = everything(small), everything(small_land(seed=small.seed + 1))
    same = [index for index in here if here[index].hash == there[index].hash]
    assert not same, "the seed alone makes every hash differ"
    assert sum(here[index].payload().props == there[index].payload().props for index in here) < len(here) * 0.2


def test_a_batch_of_any_size_and_order_gives_the_same_chunks(small: Land) -> None:
    whole = everything(small)
    indices = list(whole)
    np.random.default_rng(3).shuffle(indices)
    assert len(indices) == CHUNKS_AT_ONCE
    for batch in (1, 7, 100):
        for first in range(0, 100, batch):
            for chunk in make_chunks(small, indices[first : first + batch]):
                assert chunk.payload() == whole[chunk.cx, chunk.cz].payload()
    assert make_chunks(small, []) == []


def test_more_chunks_than_are_made_in_one_go(monkeypatch: pytest.MonkeyPatch, small: Land) -> None:
    whole = everything(small)
    monkeypatch.setattr(chunks_module, "CHUNKS_AT_ONCE", 50)
    assert [chunk.hash for chunk in everything(small).values()] == [chunk.hash for chunk in whole.values()]


def test_chunks_off_the_map_are_our_own_bug(small: Land) -> None:
    for index in ((-1, 0), (0, 16), (16, 0)):
        with pytest.raises(AssertionError, match="on the map"):
            make_chunks(small, [index])


def test_the_hash_covers_every_field(small: Land, all_small: dict[tuple[int, int], Chunk]) -> None:
    """Whatever is sent, and the ground. The TypeScript twin is tested to do the same over the received message."""
    parts = [next(each for each in all_small.values() if len(getattr(each, name)) > 1) for name in ("props", "roads")]
    parts += [next(each for each in all_small.values() if getattr(each, name)) for name in ("kiosks", "gates")]
    chunk = replace(
        parts[0], props=parts[0].props, roads=parts[1].roads[:1], kiosks=parts[2].kiosks, gates=parts[3].gates
    )
    base = chunks_module._hashes([chunks_module._words(chunk)])[0]
    kiosk, gate, road = chunk.kiosks[0], chunk.gates[0], chunk.roads[0]
    edited = [
        replace(chunk, cx=chunk.cx + 1),
        replace(chunk, cz=chunk.cz + 1),
        replace(chunk, seed=chunk.seed ^ 2**31),
        replace(chunk, biome="else"),
        replace(chunk, ground=(*chunk.ground[:-1], chunk.ground[-1] + 1)),
        replace(chunk, props=chunk.props.take(slice(0, len(chunk.props) - 1))),
        replace(chunk, props=chunk.props.take(np.arange(len(chunk.props))[::-1])),
        *(
            replace(chunk, props=replace(chunk.props, **{name: _bent(getattr(chunk.props, name))}))
            for name in ("kind", "x_cm", "y_cm", "z_cm", "yaw_mrad", "scale_pct")
        ),
        *(
            replace(chunk, roads=((*road[:-1], tuple(number + (at == part) for part, number in enumerate(road[-1]))),))  # type: ignore[arg-type]
            for at in range(4)
        ),
        replace(chunk, roads=(road[:1], road[1:])),
        replace(chunk, kiosks=()),
        *(
            replace(chunk, kiosks=(other,))
            for other in (
                replace(kiosk, x=1.0),
                replace(kiosk, z=1.0),
                replace(kiosk, yaw=1.0),
                replace(kiosk, entry=msgspec.structs.replace(kiosk.entry, id="other")),
                replace(kiosk, entry=msgspec.structs.replace(kiosk.entry, radius_m=5.0)),
                replace(kiosk, entry=GarageKiosk(id=kiosk.id, at=kiosk.entry.at, yaw_deg=0.0)),
            )
        ),
        replace(chunk, gates=()),
        *(
            replace(chunk, gates=(replace(gate, **change), *chunk.gates[1:]))
            for change in ({"gate": 9}, {"route": "r"}, {"ax": 1.0}, {"az": 1.0}, {"bx": 1.0}, {"bz": 1.0})
        ),
    ]
    hashes = chunks_module._hashes([chunks_module._words(each) for each in edited])
    assert len({base, *hashes}) == len(edited) + 1


def _bent(column: I32) -> I32:
    bent = column.copy()
    bent[-1] += 1 if bent[-1] < 5 else -1
    return bent


def test_hashes_of_a_batch_are_those_of_a_plain_loop(all_small: dict[tuple[int, int], Chunk]) -> None:
    def mix(value: int) -> int:
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
            value = ((value ^ (value >> shift)) * factor) & 0xFFFFFFFF
        return value ^ (value >> 16)

    for chunk in list(all_small.values())[::37]:
        words = [word & 0xFFFFFFFF for word in chunks_module._words(chunk).tolist()]
        halves = []
        for lane in (0x243F6A88, 0x85A308D3):
            total = sum(mix(word ^ mix((place + lane) & 0xFFFFFFFF)) for place, word in enumerate(words))
            halves.append(mix((total ^ len(words)) & 0xFFFFFFFF))
        assert chunk.hash == f"{halves[0]:08x}{halves[1]:08x}"


def test_names_are_hashed_as_fnv_1a() -> None:
    """Published test vectors of the algorithm's authors."""
    vectors = {"": 0x811C9DC5, "a": 0xE40C292C, "foobar": 0xBF9CF968}
    assert {text: text_word(text) & 0xFFFFFFFF for text in vectors} == vectors
    assert text_word("a") < 0


def test_a_whole_world_has_no_two_equal_hashes() -> None:
    land = land_of(World("harbour", 1, 4096))
    hashes = [chunk.hash for chunk in everything(land).values()]
    assert len(set(hashes)) == len(hashes) == 4096


def test_the_largest_chunk_fits_a_message() -> None:
    land = land_of(World("harbour", 1, 4096))
    sizes = sorted(len(encode(chunk.payload())) for chunk in everything(land).values())
    assert sizes[-1] < 8 * 1024
    assert sum(sizes) < 4_000_000, "the whole world fits shared memory with room to spare"


def test_the_open_world_is_made_of_empty_chunks() -> None:
    (chunk,) = make_chunks(Land.of(World("open", 1, 1024)), [(3, 4)])
    payload = chunk.payload()
    assert payload == ChunkPayload(3, 4, 1, "plain", [], [], [1024, 0, *[0] * 9], [], [], chunk.hash)
    assert chunk.ground == (1024, 0, *[0] * 9)
