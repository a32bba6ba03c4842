"""What is watched around a home: everybody within the radius, the near ones more often, and never beyond the budget."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shard.views import watching as watching_module
from shard.views.watching import (
    IN_TURNS,
    MEAN_SHARE,
    MIDDLE_M,
    NEAR_M,
    RECOUNT_TICKS,
    SHORTENED,
    SLOWED,
    UNCUT,
    Watch,
    Watching,
)
from shared.cells import CellPage
from tests.cell_forms import plain_cell

SIDE = 16
MIDDLE = 8 * SIDE + 8


def page(members: dict[int, int], nodes: tuple[int, ...] = ()) -> CellPage:
    """Cells with so many cars."""
    slots = iter(range(100_000))
    return CellPage.of(
        [plain_cell(cell, [next(slots) for _ in range(members[cell])]) for cell in sorted(members)], nodes
    )


def watching(members: dict[int, int] | None = None, nodes: tuple[int, ...] = (), budget: int = 100) -> Watching:
    made = Watching(SIDE, 192.0, budget)
    made.learn(0, page(members or {}, nodes))
    made.tick()
    return made


def split(tree: Watching, cell: int, levels: int) -> list[int]:
    """The nodes of a root that is split all over."""
    nodes = []
    front = [cell]
    for _ in range(levels):
        nodes += front
        front = [quarter for node in front for quarter in tree.tree.quarters(node)]
    return nodes


@pytest.mark.parametrize(("radius", "across"), [(64.0, 3), (128.0, 5), (192.0, 7), (193.0, 9)])
def test_every_square_nearer_than_the_radius_is_watched(radius: float, across: int) -> None:
    found = Watching(SIDE, radius, 0).watch(MIDDLE)
    if radius != 193.0:
        assert len(found.periods) == across * across
    reach = across // 2
    assert {MIDDLE + reach, MIDDLE - reach * SIDE} <= found.periods.keys()
    assert MIDDLE + reach + 1 not in found.periods
    assert set(found.periods.values()) == {1}, "without a budget all are told in every tick"
    corner = Watching(SIDE, radius, 0).watch(0)
    assert {0, 1, SIDE, SIDE + 1} <= corner.periods.keys()


def test_distance_says_how_often() -> None:
    watch = watching().watch(MIDDLE)
    assert watch.near == (MIDDLE,)
    assert len(watch.middle) == 8
    assert len(watch.far) == 40
    assert watch.tier == UNCUT
    assert watch.tail == b"]}}"


def test_a_crowd_costs_rate_first_then_sight_then_turns() -> None:
    homes = dict.fromkeys(range(SIDE * SIDE), 4)
    uncut = watching(homes, budget=200).watch(MIDDLE)
    assert (uncut.tier, uncut.rows) == (UNCUT, 49 * 4)
    ring = [MIDDLE + dx + dz * SIDE for dx in (-1, 0, 1) for dz in (-1, 0, 1) if dx or dz]
    town = watching(dict.fromkeys(homes, 3) | dict.fromkeys(ring, 17), budget=230).watch(MIDDLE)
    assert town.tier == SLOWED
    assert len(town.periods) == 49
    assert len(town.middle) < 8
    city = watching(dict.fromkeys(homes, 12)).watch(MIDDLE)
    assert city.tier == SHORTENED
    assert len(city.periods) < 49
    assert city.tail == b'],"tier":2}}'
    stadium = watching({MIDDLE: 150, MIDDLE + 1: 3}).watch(MIDDLE)
    assert (stadium.tier, stadium.near) == (IN_TURNS, (MIDDLE,))
    assert MIDDLE + 1 not in stadium.periods


CROWDS = st.dictionaries(st.integers(0, SIDE * SIDE - 1), st.integers(1, 60), max_size=60)


@given(members=CROWDS, home=st.integers(0, SIDE * SIDE - 1), budget=st.sampled_from([10, 40, 100]))
def test_rows_per_frame_stay_within_the_budget_and_the_nearest_come_first(
    members: dict[int, int], home: int, budget: int
) -> None:
    made = watching(members, budget=budget)
    watch = made.watch(home)
    assert next(iter(watch.periods)) == home
    assert watch.periods[home] == 1
    cost = sum(min(members.get(cell, 0), budget * period) / period for cell, period in watch.periods.items())
    assert cost <= budget / MEAN_SHARE or len([cell for cell in watch.periods if members.get(cell)]) == 1
    assert (watch.tier == IN_TURNS) == (members.get(home, 0) > budget)
    periods = list(watch.periods.values())
    assert periods == sorted(periods), "whoever is farther is not told more often"
    x, z, _ = made.tree.boxes(np.array(list(watch.periods)))
    away = np.hypot(x - x[0], z - z[0]).tolist()
    assert away == sorted(away)
    assert all(period > 1 for far_m, period in zip(away, periods, strict=True) if far_m > NEAR_M)
    assert all(period == 4 for far_m, period in zip(away, periods, strict=True) if far_m > MIDDLE_M)
    if watch.tier == SLOWED:
        near = sum(members.get(cell, 0) for cell in watch.near[:-1])
        assert near < budget / 5, "the nearest fifth of the budget at full rate, to the end of a cell"


def test_in_a_flash_crowd_the_nearest_twenty_come_in_every_tick_and_the_next_thirty_in_every_second() -> None:
    made = Watching(SIDE, 192.0, 100)
    roots = [MIDDLE + dx + dz * SIDE for dx in (-1, 0) for dz in (-1, 0)]
    nodes = tuple(sorted(node for root in roots for node in split(made, root, 3)))
    leaves = [leaf for root in roots for leaf in made.tree.leaves(root, set(nodes))]
    made.learn(0, page(dict.fromkeys(leaves, 8), nodes))
    made.tick()
    watch = made.watch(made.tree.quarters(nodes[-1])[0])
    full, half = 8 * len(watch.near), 8 * len(watch.middle)
    assert full >= 20
    assert full + half >= 50
    assert watch.tier == SHORTENED
    assert 40 < full + half / 2 + 8 * len(watch.far) / 4 <= 100 / MEAN_SHARE
    assert 60 < watch.rows == 8 * len(watch.periods) <= 100, "even a frame in which all are due is within the budget"


# --- when a watch is made anew


def test_when_all_are_forgotten_those_who_watch_do_not_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching_module, "WATCHES_MAX", 2)
    made = watching(dict.fromkeys(range(SIDE * SIDE), 1))
    before = [made.watch(home) for home in range(5)]
    version = made.version
    for _ in range(RECOUNT_TICKS):
        made.tick()
    after = [made.watch(home) for home in range(5)]
    assert made.version > version, "by which the fan-out learns that it has to ask again"
    assert all(new.same_as(old) and new is not old for new, old in zip(after, before, strict=True))


def test_a_watch_stays_the_same_object_while_it_would_be_the_same() -> None:
    made = watching({MIDDLE: 3})
    first = made.watch(MIDDLE)
    for number in range(3 * RECOUNT_TICKS):
        made.learn(0, page({MIDDLE: 3 + number % 5, MIDDLE + 1: 2}))
        made.tick()
        assert made.watch(MIDDLE) is first
    assert made.computed == 1, "few players: distance alone decides, once for all"


def test_a_split_within_reach_makes_it_anew_at_once_and_one_beyond_does_not() -> None:
    made = watching()
    homes = {home: made.watch(home) for home in (MIDDLE, MIDDLE + 3, MIDDLE + 5)}
    made.learn(0, page({}, (MIDDLE,)))
    made.tick()
    assert made.watch(MIDDLE + 5) is homes[MIDDLE + 5]
    watch = made.watch(MIDDLE + 3)
    assert watch is not homes[MIDDLE + 3]
    assert MIDDLE not in watch.periods
    assert set(made.tree.quarters(MIDDLE)) <= watch.periods.keys()
    made.learn(0, page({}))
    made.tick()
    assert made.watch(MIDDLE + 3).same_as(homes[MIDDLE + 3])


def test_the_watch_of_a_part_counts_its_distance_from_that_part() -> None:
    made = watching()
    nodes = tuple(split(made, MIDDLE, 3))
    made.learn(0, page({}, nodes))
    made.tick()
    north_west = made.tree.leaves(MIDDLE, set(nodes))[0]
    watch = made.watch(north_west)
    assert watch.near[0] == north_west
    assert MIDDLE - 4 not in watch.periods, "192 m from its own edge"
    assert MIDDLE - 3 in watch.periods
    assert MIDDLE + 4 not in watch.periods, "which is 248 m from it, and was 192 m from the square"
    assert 12 <= len(watch.near) <= 64


def test_where_counts_matter_they_are_looked_at_about_once_per_second() -> None:
    made = watching({MIDDLE: 150})
    made.watch(MIDDLE)
    computed = made.computed
    tiers = []
    for number in range(100):
        made.learn(0, page({MIDDLE: 150 if number < 50 else 3}))
        made.tick()
        tiers.append(made.watch(MIDDLE).tier)
    assert made.computed - computed <= 100 // (RECOUNT_TICKS // 2)
    assert tiers[49] == IN_TURNS
    assert tiers[50 + RECOUNT_TICKS] == UNCUT


def test_a_growing_crowd_is_noticed_within_a_second() -> None:
    made = watching({MIDDLE: 3})
    assert made.watch(MIDDLE).tier == UNCUT
    for _ in range(RECOUNT_TICKS):
        made.learn(0, page({MIDDLE: 150}))
        made.tick()
    assert made.watch(MIDDLE).tier == IN_TURNS


def test_watches_differ_in_cells_rates_or_tier() -> None:
    one = Watch(1, (1,), (2,), (3,))
    assert one.same_as(Watch(1, (1,), (2,), (3,)))
    assert not one.same_as(Watch(1, (1,), (2, 3), ()))
    assert not one.same_as(Watch(1, (1,), (2,), (3,), SLOWED))
    assert not one.same_as(Watch(1, (1,), (2,)))
