"""The rush of clients that ask at once: what it asks for, and a small one against a spawned shard."""

from __future__ import annotations

import pytest

from scripts.chunk_rush import BURST_CHUNKS, _squares, main
from shard.land.streaming import Terms
from shared.world.world import World


@pytest.mark.parametrize("world", [World("harbour", 1, 4096), World("open", 1, 1024)], ids=["harbour", "open"])
def test_every_rush_asks_for_other_chunks_within_reach_and_all_together_for_less_than_the_burst(world: World) -> None:
    squares = _squares(world)
    terms = Terms.of_world(world)
    together = [index for square in squares for index in square]
    assert len(together) == len(set(together)) <= BURST_CHUNKS < terms.burst
    assert all(terms.covers(index, None) for index in together)
    assert len(squares) == (7 if world.content else 1)
    assert all(len(square) > 30 for square in squares)


@pytest.mark.timeout(90)
def test_a_small_rush_is_served(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--clients", "5", "--rounds", "1", "--", "--zones", "1"]) == 0
    said = capsys.readouterr().out
    assert "5 clients without asking" in said
    assert "1 rushes" in said
