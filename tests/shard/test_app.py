"""What the shard puts together from its settings."""

from __future__ import annotations

import pytest

from shard.app import house_rules, set_race_rules
from shard.config import parse_config
from tests.stepper import ShardStepper


@pytest.mark.parametrize(("minutes", "seconds"), [("0", 0.0), ("3", 180.0)])
def test_who_is_idle_for_so_many_minutes_gives_up_its_slot(minutes: str, seconds: float) -> None:
    assert house_rules(parse_config(["--dev", "--idle-minutes", minutes], {})).idle_s == seconds


def test_races_wait_for_the_lost_as_long_as_their_cars_are_held() -> None:
    config = parse_config(["--dev", "--resume-seconds", "7"], {})
    assert house_rules(config).resume_s == 7.0
    with ShardStepper(zones=1, players=1, size_m=256) as shard:
        set_race_rules(shard.realm.races, config, None)
        assert shard.realm.races.resume_ms == 7000.0
        assert shard.realm.races.open_anywhere
