"""Golden vectors of the preset ``harbour``: 1,000 chunk hashes, and 10 heights in each of those chunks.

``python -m tests.golden_world`` writes the file anew, after a change of the preset or of what a seed means. Both change
``welcome.world.hash`` and make every client forget its chunks: never do it without meaning to.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from shared.world.chunks import Chunk, make_chunks
from shared.world.land import Land, land_of
from shared.world.world import World

FILE = Path(__file__).parent / "shared" / "golden" / "terrain.json"
SEEDS = (1, 2**32 - 1)
CHUNKS_PER_SEED = 500
STRIDE = 1597
"""Odd, so that counting by it modulo 64 x 64 comes to every chunk once."""
POINTS_PER_CHUNK = 10


def chunk_indices(turn: int) -> list[tuple[int, int]]:
    """The chunks of the seed number ``turn``."""
    numbers = [(turn * CHUNKS_PER_SEED + index) * STRIDE % 4096 for index in range(CHUNKS_PER_SEED)]
    return [(number % 64, number // 64) for number in numbers]


def points(cx: int, cz: int) -> list[tuple[int, int]]:
    """The points of a chunk in centimetres: its corners, and six inside."""
    west, north = cx * 6400, cz * 6400
    corners = [(west, north), (west + 6400, north), (west, north + 6400), (west + 6400, north + 6400)]
    inner = [
        (west + (cx * 7919 + cz * 104729 + index * 1297) % 6400, north + (cx * 3571 + cz * 2741 + index * 5309) % 6400)
        for index in range(POINTS_PER_CHUNK - len(corners))
    ]
    return corners + inner


def chunks_and_land(turn: int) -> tuple[list[Chunk], Land]:
    """The chunks of the seed number ``turn``, made by this machine."""
    land = land_of(World("harbour", SEEDS[turn], 4096))
    return make_chunks(land, chunk_indices(turn)), land


def rows(turn: int) -> list[list[str | int]]:
    """[hash, height, height, ...] of each chunk of the seed number ``turn``."""
    chunks, land = chunks_and_land(turn)
    x_cm, z_cm = np.array([points(chunk.cx, chunk.cz) for chunk in chunks], np.int32).transpose(2, 0, 1)
    heights = land.terrain.ground_cm(x_cm, z_cm).tolist()
    return [[chunk.hash, *line] for chunk, line in zip(chunks, heights, strict=True)]


def read() -> list[list[list[str | int]]]:
    """The golden rows, per seed."""
    content = json.loads(FILE.read_text(encoding="utf-8"))
    assert content["seeds"] == list(SEEDS)
    golden: list[list[list[str | int]]] = content["rows"]
    return golden


def _write() -> None:
    turns = ["[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows(turn)) + "]" for turn in (0, 1)]
    FILE.parent.mkdir(exist_ok=True)
    text = '{"preset": "harbour", "seeds": ' + json.dumps(SEEDS) + ', "rows": [' + ",\n".join(turns) + "]}\n"
    FILE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    _write()
