"""A race on a real shard in which everything goes wrong: each gets the end that the rules say, nobody else is hurt.

The short route of the program that an operator runs, ``python -m scripts.race_trial``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.race_trial import hold
from shared.world.land import Land
from shared.world.world_file import load_preset


@pytest.mark.timeout(240)
def test_everybody_gets_its_end_while_zones_die_and_sockets_break(tmp_path: Path) -> None:
    land = Land.of_file(load_preset("harbour"))
    [route] = [each for each in land.routes if each.id == "quay-sprint"]
    assert hold(route, racers=8, zones=4, seed=1, folder=tmp_path, flags=["--world", "harbour"]) == []
