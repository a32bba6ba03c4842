"""The benchmark: what it says of runs is what they were."""

from __future__ import annotations

import math
import time
import uuid
from pathlib import Path

import pytest

from scripts.bench import _cost_line, _sizes
from scripts.benches import micro
from scripts.benches.cost import Point, cost_of
from scripts.bots.herd import Herd
from scripts.mint_token import mint
from scripts.running_shard import RunningShard


def test_costs_are_told_apart() -> None:
    points = [Point(zones, players, 7.0 * zones + 0.3 * players) for zones in (1, 4, 8) for players in (250, 1000)]
    cost = cost_of([*points, Point(1, 2000, 7.0 + 0.36 * 2000)])
    assert cost.per_zone_ms == pytest.approx(7.0)
    assert cost.per_player_ms == pytest.approx({250: 0.3, 1000: 0.3, 2000: 0.36})
    assert cost.spread == pytest.approx(0.2)
    assert "per zone 7.0; per player 0.300 with 250, 0.300 with 1000, 0.360 with 2000 (dearest" in _cost_line(cost)


def test_without_a_second_number_of_zones_their_cost_is_not_guessed() -> None:
    cost = cost_of([Point(1, 100, 40.0), Point(1, 200, 80.0)])
    assert math.isnan(cost.per_zone_ms)
    assert cost.per_player_ms == pytest.approx({100: 0.4, 200: 0.4})
    assert "per zone unknown" in _cost_line(cost)


def test_a_zones_tick_is_timed_with_everybody_driving() -> None:
    """The bench itself asserts that every sample was accepted."""
    tick, encode, read, join = micro._zone(100)
    assert tick.us > encode.us > 0.0
    cells = int(read.piece.split()[2])
    assert cells > 30, "spread over the world, not in one spot"
    assert join.us > 0.0


def test_a_herd_sees_what_it_sent_in_every_tick(tmp_path: Path) -> None:
    secret_file = tmp_path / "secret"
    flags = ["--zones", "1", "--world-size", "512", "--row-budget", "0", "--dev-secret-file", str(secret_file)]
    with RunningShard(flags) as shard:
        host, port = shard.url.removeprefix("ws://").removesuffix("/ws").rsplit(":", 1)
        secret = secret_file.read_text().strip()
        herd = Herd()
        try:
            tokens = [mint(secret, str(uuid.UUID(int=number + 1)), time.time()) for number in range(42)]
            herd.connect((host, int(port)), tokens)
            herd.run(1.0)
            totals = herd.run(2.0)
        finally:
            herd.close()
    assert totals.lost == 0
    assert totals.moves == pytest.approx(42 * totals.seconds * 20.0, rel=0.05)
    assert totals.frames > 0.8 * totals.moves
    assert totals.sampled_ticks > 0
    assert len(totals.seen_ms[1]) > 0.5 * totals.seconds * 20.0, "pairs are told of each other in every tick"
    assert min(totals.seen_ms[1]) > 0.0


def test_sizes_are_players_and_zones() -> None:
    assert _sizes("250,1000x4") == [(250, 1), (1000, 4)]
    assert _sizes("") == []
