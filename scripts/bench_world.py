"""How fast a world is made: ``python -m scripts.bench_world [PRESET|FILE] [--rounds N]``. One core, no sockets.

Prints the best of the rounds: other work on the machine only makes a round slower.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from shard.access.wsframe import text_frame
from shard.land.chunk_stock import GROUP, LazyStock, WholeStock
from shared.world.chunks import encode, frame, make_chunks
from shared.world.land import Land
from shared.world.solids import Solids
from shared.world.world_file import FILE_PRESETS, load, load_preset

SEGMENTS = 10_000
SEGMENT_M = 3.5
"""What the fastest car drives between two samples at 20 Hz."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="bench_world", description="How fast a world is made, on one core.")
    parser.add_argument("world", nargs="?", default="harbour", help="preset or path of a world file")
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many is printed")
    options = parser.parse_args(arguments)
    file = load_preset(options.world) if options.world in FILE_PRESETS else load(Path(options.world))

    def best(work: Callable[[], object]) -> float:
        times = []
        for _ in range(max(1, options.rounds)):
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
        return min(times)

    land = Land.of_file(file)
    side = range(land.chunks)
    indices = [(cx, cz) for cz in side for cx in side]
    chunks = make_chunks(land, indices)
    encoded = [encode(chunk.payload()) for chunk in chunks]
    sizes = np.array([len(each) for each in encoded])
    props = land.props.everywhere()
    solids = Solids.of(props, land.size_m)
    rng = np.random.default_rng(1)
    x, z = rng.uniform(0, land.size_m, (2, SEGMENTS))
    step_x, step_z = rng.uniform(-SEGMENT_M, SEGMENT_M, (2, SEGMENTS))
    points = rng.integers(0, land.size_m * 100, (2, 100_000)).astype(np.int32)

    build_s = best(lambda: Land.of_file(file))
    make_s = best(lambda: make_chunks(land, indices))
    one_s = best(lambda: [make_chunks(land, [index]) for index in indices[:200]]) / 200
    encode_s = best(lambda: [encode(chunk.payload()) for chunk in chunks])
    height_s = best(lambda: land.terrain.ground_cm(points[0], points[1])) / len(points[0])
    posts_s = best(lambda: land.terrain.posts_cm(4))
    solids_s = best(lambda: Solids.of(props, land.size_m))
    hits_s = best(lambda: solids.first_hits(x, z, x + step_x, z + step_z)) / SEGMENTS
    stock, lazy = WholeStock(land.chunks, encoded), LazyStock(land)
    hit_s = best(lambda: [stock.get(cx, cz) for cx, cz in indices]) / len(indices)
    far = indices[:: land.chunks * GROUP + GROUP]  # each in a group of its own
    miss_s = best(lambda: [LazyStock(land).get(cx, cz) for cx, cz in far]) / len(far)
    for cx, cz in indices:
        lazy.get(cx, cz)
    lazy_hit_s = best(lambda: [lazy.get(cx, cz) for cx, cz in indices]) / len(indices)
    frames_s = best(lambda: [text_frame([frame(stock.get(cx, cz), 7)]) for cx, cz in indices]) / len(indices)
    grid_mb = (solids.grid.starts.nbytes + solids.grid.items.nbytes) / 1e6

    rows = [
        ("roads, routes, buildings of the whole world", f"{build_s * 1e3:.0f} ms"),
        (f"chunks made, {len(indices)} in one go", f"{len(indices) / make_s:,.0f} per second"),
        ("chunks made one by one", f"{1 / one_s:,.0f} per second"),
        ("chunks encoded", f"{len(indices) / encode_s:,.0f} per second"),
        ("chunks made and encoded", f"{len(indices) / (make_s + encode_s):,.0f} per second"),
        ("bytes per chunk, mean and largest", f"{sizes.mean():,.0f} and {sizes.max():,}"),
        ("the whole world encoded", f"{sizes.sum() / 1e6:.1f} MB"),
        ("a chunk from the stock of a whole world", f"{hit_s * 1e6:.2f} us"),
        ("the same, of a world made on demand", f"{lazy_hit_s * 1e6:.2f} us"),
        (f"the same, when its {GROUP * GROUP} chunks have to be made", f"{miss_s * 1e3:.1f} ms"),
        ("a chunk from the stock, framed for one client", f"{frames_s * 1e6:.2f} us"),
        ("heights", f"{1 / height_s:,.0f} per second"),
        ("heights of the whole world, every 4 m", f"{posts_s * 1e3:.0f} ms"),
        (f"{len(solids):,} solids filed ({grid_mb:.1f} MB of grid)", f"{solids_s * 1e3:.0f} ms"),
        (f"first hit of {SEGMENTS:,} segments of up to 5 m", f"{hits_s * 1e6:.2f} us each"),
    ]
    for name, value in rows:
        print(f"{name:<52} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
