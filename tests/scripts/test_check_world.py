"""The operator's check: what it says, what it draws, and that the shipped picture is of the shipped world."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET
import zlib
from pathlib import Path

import numpy as np
import pytest

import shared.world
from scripts import bench_world, check_world
from scripts.atlas.map_png import map_png
from scripts.atlas.map_svg import map_svg, stamp
from scripts.atlas.raster import ground_picture, png, small_png
from shared.world.land import Land, land_of
from shared.world.terrain import Terrain
from shared.world.world import World
from shared.world.zone_map import ZoneMap
from tests.fakes.small_world import SMALL, small_land, small_text

PRESETS = Path(shared.world.__file__).parent / "presets"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALL, encoding="utf-8")
    return path


def read_png(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The pixels of a PNG file as raster.py writes them: full colour or a palette, no filters."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    parts: dict[bytes, bytes] = {}
    at = 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        name, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert zlib.crc32(name + body) == struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0]
        parts[name] = body
        at += 12 + length
    width, height, depth, kind = struct.unpack(">IIBB", parts[b"IHDR"][:10])
    assert depth == 8
    rows = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(height, -1)
    assert (rows[:, 0] == 0).all()
    if kind == 2:
        return rows[:, 1:].reshape(height, width, 3)
    palette = np.frombuffer(parts[b"PLTE"], np.uint8).reshape(-1, 3)
    return palette[rows[:, 1:]]


def test_a_good_world_is_summed_up(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_world.main([str(file), "--zones", "4"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert f"world   small, seed 7, 1024 m, 256 chunks, hash {World.of_file(small_land().file).hash}" in said.out
    assert "roads   3, 2.2 km" in said.out
    assert "spawns  2; kiosks 1 race, 2 travel, 1 garage, 1 board" in said.out
    assert "route   round: 1550 m x 3, 8 gates, through" in said.out


def test_the_preset_and_another_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_world.main(["harbour", "--seed", "5"]) == 0
    assert "harbour, seed 5, 4096 m" in capsys.readouterr().out


def test_problems_are_listed_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad, out = tmp_path / "bad.toml", tmp_path / "out.svg"
    bad.write_text(small_text(("at = [512, 400]", "at = [400, 400]"), ("at = [560, 600]", "at = [520, 600]")))
    assert check_world.main([str(bad), "--svg", str(out)]) == 1
    said = capsys.readouterr()
    lines = said.err.splitlines()
    assert lines[0].startswith(f'{bad}: kiosks[0] (id "k-race"): is 114 m from the nearest road; ')
    assert lines[1].startswith(f"{bad}: landmarks[0]: ")
    assert lines[2] == "2 problems"
    assert said.out == ""
    assert out.exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "bad.toml: name: is missing; add it"),
        (SMALL.replace("seed = 7", "seed = [7]"), "bad.toml: seed: does not fit; expected int, got array"),
        ("name = ", "bad.toml: Invalid value (at end of document); correct the TOML"),
    ],
)
def test_a_file_that_cannot_be_used(text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text(text)
    assert check_world.main([str(bad)]) == 1
    assert capsys.readouterr().err.strip() == says


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_world.main([str(tmp_path / "no.toml")]) == 1
    assert "no.toml: cannot be read (No such file or directory); give a readable file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--zones", "0"], ["--zones", "65"], ["--seed", "-1"], ["--svg", "a", "--png", "b"]]
)
def test_wrong_arguments(file: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        check_world.main([str(file), *arguments])
    assert arguments[-2] in capsys.readouterr().err


def test_more_zones_than_chunks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = tmp_path / "tiny.toml"
    tiny.write_text(
        'name = "tiny"\nseed = 1\nsize_m = 128\n[terrain]\nstep_m = 128\nrelief_m = [[5]]\nbiomes = ["f"]\n'
        '[[biomes]]\nname = "f"\nletter = "f"\n[[spawns]]\nid = "s"\nat = [64, 64]\nyaw_deg = 0\n'
    )
    assert check_world.main([str(tiny)]) == 0
    assert check_world.main([str(tiny), "--zones", "9"]) == 2
    assert "--zones: 9 zones do not fit a world of 128 m" in capsys.readouterr().err


@pytest.mark.parametrize("zones", [1, 5, 64])
def test_the_svg_shows_everything(zones: int, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "map.svg"
    assert check_world.main([str(file), "--zones", str(zones), "--svg", str(out)]) == 0
    root = ET.parse(out).getroot()
    texts = {text.text for text in root.iter(f"{SVG}text")}
    assert {f"zone {number}" for number in range(zones)} <= texts
    assert {"Dash", "Round", "By Gates", "Small Town", "race kiosk, 1", "spawn point, 2"} <= texts
    circles = [(float(each.get("cx", "")), float(each.get("cy", ""))) for each in root.iter(f"{SVG}circle")]
    land = small_land()
    assert {(kiosk.x, kiosk.z) for kiosk in land.kiosks} <= set(circles)
    lines = [tuple(float(each.get(key, "")) for key in ("x1", "y1", "x2", "y2")) for each in root.iter(f"{SVG}line")]
    gates = [gate for route in land.routes for gate in np.round(route.gates_m, 1).tolist()]
    for gate in gates:
        assert any(np.allclose(gate, line, atol=0.11) for line in lines)
    assert len(list(root.iter(f"{SVG}polyline"))) == 2 * len(land.roads.entries) + len(land.routes)


def test_names_are_escaped() -> None:
    land = small_land(('name = "Small Town"', 'name = "<b>&"'))
    root = ET.fromstring(map_svg(land, None))
    assert [text.text for text in root.iter(f"{SVG}text") if text.text and "<b>" in text.text] == ["<b>&", "<b>&"]


def test_the_png_is_a_picture(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "map.png"
    assert check_world.main([str(file), "--png", str(out), "--zones", "4"]) == 0
    picture = read_png(out.read_bytes())
    assert picture.shape == (1600, 1600, 3)
    scale = 1600 / 1024
    road, sea = picture[int(527 * scale), int(650 * scale)], picture[int(1000 * scale), int(1000 * scale)]
    assert road.min() > 230, "a road is nearly white"
    assert sea[2] > sea[0] + 30, "the sea is blue"
    kiosk = picture[int(700 * scale), int(555 * scale)]
    assert kiosk.tolist() == [0xD1, 0x8A, 0x13]


def test_pictures_come_back_as_they_were(file: Path) -> None:
    land = small_land()
    picture = ground_picture(land.terrain, 120)
    assert (read_png(png(picture)) == picture).all()
    small = read_png(small_png(picture, 64))
    assert len(np.unique(small.reshape(-1, 3), axis=0)) <= 64
    assert np.abs(small.astype(int) - picture.astype(int)).mean() < 6
    flat = ground_picture(Terrain(Land.of(World("open", 1, 1024)).terrain.relief, None), 40)
    assert len(np.unique(flat.reshape(-1, 3), axis=0)) == 1
    assert (np.abs(read_png(small_png(flat)).astype(int) - flat) < 8).all()


def test_maps_of_worlds_without_anything() -> None:
    land = Land.of(World("open", 1, 1024))
    zones = ZoneMap.split(1024, 2)
    assert ET.fromstring(map_svg(land, zones)).tag == f"{SVG}svg"
    assert read_png(map_png(land, zones, 200)).shape == (200, 200, 3)


def test_the_picture_in_the_readme_is_of_the_shipped_world() -> None:
    """Drawn by ``python -m scripts.check_world harbour --zones 8 --svg shared/world/presets/harbour.svg``."""
    shipped = PRESETS / "harbour.svg"
    assert shipped.stat().st_size < 400_000
    root = ET.parse(shipped).getroot()
    land = land_of(World("harbour", 1, 4096))
    assert root.findtext(f"{SVG}title") == f"harbour, {stamp(land)}", "draw it anew"


def test_the_benchmark_prints_its_table(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_world.main([str(file), "--rounds", "1"]) == 0
    said = capsys.readouterr().out
    assert len(said.splitlines()) == 15
    assert "chunks made and encoded" in said
