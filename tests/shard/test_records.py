"""Scores outlive a body: bounded, fading, and never so high that entering is removal."""

from __future__ import annotations

import pytest

from shard.conduct.records import PLAYERS_MAX, SECOND_CHANCE, Records
from shared.thresholds import DEFAULT


def test_a_score_is_kept_and_fades_while_its_player_is_out() -> None:
    records = Records()
    records.left("a", 8.0, 1000.0)
    assert records.entered("a", 61_000.0) == pytest.approx(4.0)
    assert records.entered("a", 61_000.0) == 0.0, "it is in the row again"


def test_nobody_enters_with_a_score_that_removes() -> None:
    records = Records()
    records.left("a", 1000.0, 0.0)
    assert records.entered("a", 0.0) == SECOND_CHANCE < DEFAULT.remove_at


def test_low_scores_and_the_oldest_are_forgotten() -> None:
    records = Records()
    records.left("clean", 0.1, 0.0)
    assert len(records) == 0
    for number in range(PLAYERS_MAX + 3):
        records.left(str(number), 5.0, 0.0)
    assert len(records) == PLAYERS_MAX
    assert (records.entered("2", 0.0), records.entered("3", 0.0)) == (0.0, 5.0)
    records.left("4", 5.0, 0.0)
    assert records.entered("4", 1e9) == 0.0
