"""How old the pose is at which a car is given back."""

from __future__ import annotations

import math

import pytest

from scripts.bots.trail import KEPT, Trail


def driven(seconds: float, speed_mps: float = 20.0) -> Trail:
    """East, at 20 Hz, from 0 on."""
    trail = Trail()
    for step in range(round(seconds * 20) + 1):
        trail.add(speed_mps * step / 20, 5.0, step / 20)
    return trail


def test_the_age_is_counted_from_when_it_was_there_to_the_cut() -> None:
    found = driven(10.0).comeback("p", 180.0, 5.0, 10.0, 12.0)
    assert found.age_s == pytest.approx(1.0)
    assert found.off_m == 0.0
    assert (found.player, found.cut_s, found.back_s) == ("p", 10.0, 12.0)


def test_whoever_stood_there_to_the_end_has_lost_nothing() -> None:
    assert driven(10.0, speed_mps=0.0).comeback("p", 0.0, 5.0, 10.0, 12.0).age_s == 0.0


def test_a_place_where_it_never_was_is_off_its_trail() -> None:
    assert driven(10.0).comeback("p", 100.0, 8.0, 10.0, 12.0).off_m == pytest.approx(3.0)


def test_what_was_driven_after_the_cut_does_not_count() -> None:
    found = driven(10.0).comeback("p", 180.0, 5.0, 8.0, 12.0)
    assert found.off_m == pytest.approx(20.0)
    assert found.age_s == pytest.approx(0.0)


def test_nothing_is_known_of_a_bot_that_never_drove_and_little_is_kept() -> None:
    assert Trail().comeback("p", 1.0, 1.0, 5.0, 6.0).age_s == math.inf
    found = driven(KEPT / 20 + 5.0).comeback("p", 0.0, 5.0, KEPT / 20 + 5.0, 30.0)
    assert found.off_m > 90.0
