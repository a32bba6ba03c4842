"""Chunks: the world in squares of 64 m, as clients ask for it. A pure function of (world file, seed, cx, cz).

A chunk lists

- the **props** that stand in it,
- the **roads** that shape its ground, as whole pieces (at most 32 m each): so the ground on its edge is the same as the
  neighbour's, and a road that crosses the edge is in both. A client that draws roads draws each piece in the chunk in
  which the piece's first point lies;
- the **kiosks** that stand in it and the **gates** that touch it;
- its **ground**: the numbers from which ``shared/types/terrain.ts`` computes every height in it.

``hash`` covers all of it but itself, as 32-bit words, so that a client can recompute it from what it received.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.constants import CHUNK_M
from shared.messages import ChunkGate, ChunkKiosk, ChunkPayload, PropRow
from shared.world import noise
from shared.world.land import Kiosk, Land
from shared.world.prop_kinds import PROP_KINDS
from shared.world.prop_table import PropTable

I32 = NDArray[np.int32]
U32 = NDArray[np.uint32]

CHUNKS_AT_ONCE: Final = 256
"""Chunks made in one go: arrays long enough that numpy's overhead per call does not count, short enough for a cache."""

RoadPost = tuple[int, int, int, int]
"""x, z, width and y of a point of a road, centimetres."""
_LANES: Final = (0x243F6A88, 0x85A308D3)
"""Two independent sums make 64 bits; digits of pi."""
_HASH_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class GatePart:
    """A gate that touches a chunk; ends in metres that are whole centimetres."""

    route: str
    gate: int
    ax: float
    az: float
    bx: float
    bz: float


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """One chunk in whole centimetres, milliradians and per cent."""

    cx: int
    cz: int
    seed: int
    biome: str
    ground: tuple[int, ...]
    """Step of the relief in metres, roughness in per cent, and nine heights in centimetres: see ``relief.py``."""
    props: PropTable
    roads: tuple[tuple[RoadPost, ...], ...]
    kiosks: tuple[Kiosk, ...]
    gates: tuple[GatePart, ...]
    hash: str
    """16 hex digits."""

    def payload(self) -> ChunkPayload:
        """The chunk as it is sent."""
        return ChunkPayload(
            cx=self.cx,
            cz=self.cz,
            seed=self.seed,
            biome=self.biome,
            props=_prop_rows(self.props),
            roads=[
                [(x / 100.0, z / 100.0, width / 100.0, y / 100.0) for x, z, width, y in road] for road in self.roads
            ],
            ground=list(self.ground),
            kiosks=[
                ChunkKiosk(kiosk.id, kiosk.kind, kiosk.x, kiosk.z, kiosk.yaw, kiosk.entry.radius_m)
                for kiosk in self.kiosks
            ],
            gates=[ChunkGate(part.route, part.gate, part.ax, part.az, part.bx, part.bz) for part in self.gates],
            hash=self.hash,
        )


def make_chunks(land: Land, indices: Sequence[tuple[int, int]]) -> list[Chunk]:
    """The chunks (cx, cz), in the order asked for. Every index must be on the map and come once."""
    side = land.chunks
    assert all(0 <= cx < side and 0 <= cz < side for cx, cz in indices), "chunks must be on the map"
    chunks: list[Chunk] = []
    for first in range(0, len(indices), CHUNKS_AT_ONCE):
        chunks += _make(land, indices[first : first + CHUNKS_AT_ONCE])
    return chunks


def encode(payload: ChunkPayload) -> bytes:
    """The payload as JSON, for a cache of ready chunks."""
    return _ENCODER.encode(payload)


def frame(payload: bytes, re: int | None) -> bytes:
    """The whole ``chunk`` message around an encoded payload; ``re`` as in the request."""
    tail = b"}" if re is None else b',"re":%d}' % re
    return b'{"type":"chunk","payload":' + payload + tail


_ENCODER: Final = msgspec.json.Encoder()


def _make(land: Land, indices: Sequence[tuple[int, int]]) -> list[Chunk]:
    asked = np.array(indices, np.int32).reshape(-1, 2)
    table, first = land.props.place(asked)
    middle = asked * np.int32(CHUNK_M * 100) + np.int32(CHUNK_M * 50)
    biomes = land.biomes.at(middle[:, 0], middle[:, 1]).tolist()
    drafts: list[Chunk] = []
    for number, (cx, cz) in enumerate(indices):
        drafts.append(
            Chunk(
                cx=cx,
                cz=cz,
                seed=land.seed,
                biome=land.biomes.entries[biomes[number]].name,
                ground=land.terrain.relief.of_chunk(cx, cz),
                props=table.take(slice(int(first[number]), int(first[number + 1]))),
                roads=_roads(land, cx, cz),
                kiosks=land.kiosks_by_chunk.get((cx, cz), ()),
                gates=tuple(_gates(land, cx, cz)),
                hash="",
            )
        )
    hashes = _hashes([_words(draft) for draft in drafts])
    return [_with_hash(draft, hash_) for draft, hash_ in zip(drafts, hashes, strict=True)]


def _with_hash(draft: Chunk, hash_: str) -> Chunk:
    return Chunk(
        draft.cx, draft.cz, draft.seed, draft.biome, draft.ground, draft.props, draft.roads, draft.kiosks,
        draft.gates, hash_,
    )  # fmt: skip


def _roads(land: Land, cx: int, cz: int) -> tuple[tuple[RoadPost, ...], ...]:
    grid = land.roads.by_chunk
    cell = cz * grid.cells + cx
    pieces = grid.items[grid.starts[cell] : grid.starts[cell + 1]]
    if not len(pieces):
        return ()
    chains = land.roads.chains(pieces)
    return tuple(
        tuple((x, z, width, y) for (x, z), y in zip(land.roads.post_cm[posts].tolist(), heights, strict=True))
        for posts, width in chains
        for heights in [land.roads.post_y_cm[posts].tolist()]
    )


def _gates(land: Land, cx: int, cz: int) -> Iterable[GatePart]:
    for route, gate in land.gates_by_chunk.get((cx, cz), ()):
        ax, az, bx, bz = land.routes[route].gates_m[gate].tolist()
        yield GatePart(land.routes[route].id, gate, ax, az, bx, bz)


_KIND_NAMES: Final = [kind.name for kind in PROP_KINDS]


def _prop_rows(props: PropTable) -> list[PropRow]:
    columns = (
        [_KIND_NAMES[kind] for kind in props.kind.tolist()],
        (props.x_cm / 100.0).tolist(),
        (props.y_cm / 100.0).tolist(),
        (props.z_cm / 100.0).tolist(),
        (props.yaw_mrad / 1000.0).tolist(),
        (props.scale_pct / 100.0).tolist(),
    )
    return list(map(PropRow, *columns))


def _words(chunk: Chunk) -> I32:
    """Everything in a chunk as a row of 32-bit words; ``terrain.ts`` makes the same row from what was sent."""
    props = chunk.props
    kind = _KIND_WORDS[props.kind]
    rows = np.stack([kind, props.x_cm, props.y_cm, props.z_cm, props.yaw_mrad, props.scale_pct], axis=-1)
    words = [_HASH_VERSION, chunk.cx, chunk.cz, chunk.seed, text_word(chunk.biome), len(chunk.ground), *chunk.ground]
    words += [len(props), *rows.ravel().tolist(), len(chunk.roads)]
    for road in chunk.roads:
        words.append(len(road))
        words += [number for post in road for number in post]
    words.append(len(chunk.kiosks))
    for kiosk in chunk.kiosks:
        x, z, radius = (_cm(metres) for metres in (kiosk.x, kiosk.z, kiosk.entry.radius_m))
        words += [text_word(kiosk.id), text_word(kiosk.kind), x, z, int(kiosk.yaw * 1000.0 + 0.5), radius]
    words.append(len(chunk.gates))
    for part in chunk.gates:
        words += [text_word(part.route), part.gate, *(_cm(end) for end in (part.ax, part.az, part.bx, part.bz))]
    return np.array(words, np.int64).astype(np.int32)


def _hashes(rows: list[I32]) -> list[str]:
    """16 hex digits per row: two sums of mixed words, each word mixed with its place, then mixed with the length."""
    lengths = np.array([len(row) for row in rows])
    starts = np.cumsum(lengths) - lengths
    place = (np.arange(lengths.sum()) - np.repeat(starts, lengths)).astype(np.uint32)
    words: U32 = np.concatenate(rows).view(np.uint32)
    halves: list[U32] = []
    for lane in _LANES:
        keyed: U32 = noise.mix(words ^ noise.mix(place + np.uint32(lane)))
        total: U32 = np.add.reduceat(keyed, starts, dtype=np.uint32)
        halves.append(noise.mix(total ^ lengths.astype(np.uint32)))
    return [f"{high:08x}{low:08x}" for high, low in zip(halves[0].tolist(), halves[1].tolist(), strict=True)]


def text_word(text: str) -> int:
    """A name as one signed 32-bit word: FNV-1a over its UTF-8 bytes."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value - (1 << 32) if value >= 1 << 31 else value


_KIND_WORDS: Final = np.array([text_word(name) for name in _KIND_NAMES], np.int32)


def _cm(metres: float) -> int:
    return int(np.floor(metres * 100.0 + 0.5))
