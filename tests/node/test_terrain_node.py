"""The TypeScript twin computes the same heights and hashes as Python, down to the last bit, from what a chunk holds."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scripts.contract.client_build import NodeMissing, build_client
from shared.world.chunks import Chunk, encode, frame, make_chunks
from shared.world.land import land_of
from shared.world.prop_kinds import PROP_KINDS
from shared.world.world import World
from tests import golden_world

HERE = Path(__file__).parent
NODE_TIMEOUT_S = 120.0
TOWN_AND_HILL = [(cx, cz) for cz in (30, 31, 32, 33) for cx in range(26, 34)] + [
    (cx, cz) for cz in (7, 8, 9) for cx in (36, 37, 38, 39)
]
"""Neighbouring chunks with junctions, houses and hairpins."""


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the compiled client; skips where there is no Node, unless REQUIRE_NODE=1."""
    try:
        app = build_client(tmp_path_factory.mktemp("terrain"))
    except NodeMissing as reason:
        if os.environ.get("REQUIRE_NODE") == "1":
            pytest.fail(f"REQUIRE_NODE=1, but {reason}")
        pytest.skip(str(reason))
    return app.parent / "client" / "dist"


def as_sent(chunk: Chunk) -> str:
    """The message that a client receives, as text."""
    return frame(encode(chunk.payload()), 7).decode()


def vectors() -> dict[str, Any]:
    """Everything that the node test compares with."""
    chunks = [chunk for turn in range(len(golden_world.SEEDS)) for chunk in golden_world.chunks_and_land(turn)[0]]
    land = land_of(World("harbour", 1, 4096))
    return {
        "frames": [as_sent(chunk) for chunk in chunks],
        "points": [golden_world.points(chunk.cx, chunk.cz) for chunk in chunks],
        "golden": [row for rows in golden_world.read() for row in rows],
        "edge_frames": [as_sent(chunk) for chunk in make_chunks(land, TOWN_AND_HILL)],
        "shapes": {
            kind.name: {
                "shape": kind.shape,
                "halfWidthM": kind.half_width_m,
                "halfDepthM": kind.half_depth_m,
                "heightM": kind.height_m,
            }
            for kind in PROP_KINDS
        },
    }


def run(dist: Path, tmp_path: Path, content: dict[str, Any]) -> str:
    """What Node prints about these vectors."""
    file = tmp_path / "vectors.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    modules = {f"{name.upper()}_JS": dist / f"{name}.js" for name in ("terrain", "props", "codec")}
    paths = {**modules, "TERRAIN_VECTORS": file}
    done = subprocess.run(
        ["node", "--test", "--test-reporter=tap", str(HERE / "terrain.test.mjs")],
        env=os.environ | {name: str(path) for name, path in paths.items()},
        capture_output=True,
        text=True,
        timeout=NODE_TIMEOUT_S,
        check=False,
    )
    return f"exit {done.returncode}\n{done.stdout[-6000:]}{done.stderr[-2000:]}"


def test_the_twin_agrees_with_python(dist: Path, tmp_path: Path) -> None:
    said = run(dist, tmp_path, vectors())
    assert said.startswith("exit 0"), said
    assert "# pass 7" in said
    assert "# skipped 0" in said


def test_the_comparison_would_tell(dist: Path, tmp_path: Path) -> None:
    content = vectors()
    content["golden"][17][3] += 1
    content["golden"][18][0] = "0" * 16
    said = run(dist, tmp_path, content)
    assert "# fail 2" in said, said
