"""Draw the anti-cheat's evidence: ``python -m scripts.evidence FILE [--line N] [--out FILE.svg]``.

One verdict per picture: the samples as the client sent them, the obstacles near by, the step that was not believed in
red, and what the check said. Without ``--line`` the newest verdict is drawn.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import orjson

PIXELS = 900
SHOWN_M = 120.0
"""Samples further from the verdict than this are from before a move by the server."""


def svg(record: dict[str, Any]) -> str:
    """The picture of one line of evidence, as SVG text; metres as in the world, north up."""
    column = {name: index for index, name in enumerate(record["columns"])}
    (x0, z0), (x1, z1) = record["from"], record["to"]
    path = [
        (sample[column["x"]], sample[column["z"]], sample[column["seq"]])
        for sample in record["samples"]
        if sample[column["t_ms"]] and math.dist((sample[column["x"]], sample[column["z"]]), (x0, z0)) <= SHOWN_M
    ]
    xs, zs = [x0, x1, *(x for x, *_ in path)], [z0, z1, *(z for _, z, _ in path)]
    edge = max(max(xs) - min(xs), max(zs) - min(zs), 12.0) * 1.15
    left, top = (max(xs) + min(xs) - edge) / 2, (max(zs) + min(zs) - edge) / 2
    unit = edge / 160
    title = f"{record['check']}: {record['excess']:.2f} {record['unit']} beyond {record['allowed']:.2f}"
    notes = [
        title,
        f"player {record['player']}  tick {record['tick']}  zone {record['zone']}  seq {record['seq']}",
        f"{record['mode']}: {record['action']}, {record['strikes']:.2f} strikes, score {record['score']:.2f}",
        f"server late by {record['late_ms']:.0f} ms",
    ]
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{PIXELS}" height="{PIXELS}"',
        f'viewBox="{left:.3f} {top:.3f} {edge:.3f} {edge:.3f}" font-family="DejaVu Sans, sans-serif">',
        f"<title>{escape(title)}</title>",
        f'<rect x="{left:.3f}" y="{top:.3f}" width="{edge:.3f}" height="{edge:.3f}" fill="#f6f3ea"/>',
        *(_obstacle(shape, unit) for shape in record["obstacles"]),
    ]
    if path:
        points = " ".join(f"{x:.3f},{z:.3f}" for x, z, _ in path)
        body.append(f'<polyline points="{points}" fill="none" stroke="#2b62b8" stroke-width="{unit / 2:.3f}"/>')
        body += [f'<circle cx="{x:.3f}" cy="{z:.3f}" r="{unit / 2:.3f}" fill="#2b62b8"/>' for x, z, _ in path]
    body += [
        f'<line x1="{x0:.3f}" y1="{z0:.3f}" x2="{x1:.3f}" y2="{z1:.3f}" stroke="#c8322b" stroke-width="{unit:.3f}"/>',
        f'<circle cx="{x0:.3f}" cy="{z0:.3f}" r="{unit:.3f}" fill="#0b7a75"/>',
        f'<circle cx="{x1:.3f}" cy="{z1:.3f}" r="{unit:.3f}" fill="#c8322b"/>',
    ]
    for number, note in enumerate(notes):
        y = top + unit * (5 + 4 * number)
        body.append(f'<text x="{left + 2 * unit:.3f}" y="{y:.3f}" font-size="{3 * unit:.3f}">{escape(note)}</text>')
    return "\n".join([*body, "</svg>"]) + "\n"


def _obstacle(shape: dict[str, Any], unit: float) -> str:
    x, z, (half_w, half_d) = shape["x"], shape["z"], shape["half"]
    colour = "#8d8676"
    name = f"<title>{escape(shape['shape'])} {shape['id']}</title>"
    if shape["shape"] == "circle":
        return f'<circle cx="{x:.3f}" cy="{z:.3f}" r="{half_w:.3f}" fill="{colour}">{name}</circle>'
    ahead_x, ahead_z = shape["ahead"]
    turn = math.degrees(math.atan2(ahead_z, ahead_x))
    thick = max(half_w, unit / 4)
    return (
        f'<rect x="{-half_d:.3f}" y="{-thick:.3f}" width="{2 * half_d:.3f}" height="{2 * thick:.3f}" fill="{colour}" '
        f'transform="translate({x:.3f} {z:.3f}) rotate({turn:.3f})">{name}</rect>'
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Draw one verdict; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.evidence", description="draw one verdict as SVG")
    parser.add_argument("file", type=Path, help="what --evidence wrote")
    parser.add_argument("--line", type=int, default=0, help="which verdict, counted from 1; 0: the newest")
    parser.add_argument("--out", type=Path, help="where to write (default: beside the file)")
    options = parser.parse_args(argv)
    try:
        lines = options.file.read_bytes().splitlines()
    except OSError as fault:
        print(f"{options.file}: {fault.strerror}", file=sys.stderr)
        return 2
    if not 0 <= options.line <= len(lines) or not lines:
        print(f"{options.file} has {len(lines)} verdicts: --line must be 1 to {len(lines)}", file=sys.stderr)
        return 2
    number = options.line or len(lines)
    out: Path = options.out or options.file.with_name(f"{options.file.name}-{number}.svg")
    out.write_text(svg(orjson.loads(lines[number - 1])))
    print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
