"""What the survey of a built world finds: each kind of fault once, in words that name place and fix."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.world.land import Land, land_of
from shared.world.survey import Finding, survey
from shared.world.world import World
from tests.fakes.small_world import small_land


def test_good_worlds_have_no_findings() -> None:
    for land in (small_land(), land_of(World("harbour", 1, 4096)), Land.of(World("open", 1, 1024))):
        assert survey(land) == []


@pytest.mark.parametrize("seed", [2, 99, 2**32 - 1])
def test_harbour_is_good_from_every_seed(seed: int) -> None:
    assert survey(land_of(World("harbour", seed, 4096))) == []


def test_a_finding_is_one_line_with_file_path_problem_and_fix() -> None:
    assert Finding("spawns[0]", "is wet", "dry it").line("a.toml") == "a.toml: spawns[0]: is wet; dry it"


FAR = ("hill = [140, 140]", "hill = [140, 140]\nfar = [900, 100]")


def road(through: str) -> tuple[str, str]:
    return '[[spawns]]\nid = "top"', (
        f'[[roads]]\nid = "new"\nname = "n"\nwidth_m = 8\nthrough = {through}\n\n[[spawns]]\nid = "top"'
    )


FOUND = [
    (
        [road("[[700, 450], [720, 620]]")],
        'roads[3].through: "new" crosses "wide" near [',
        "without a node; let both pass through a common node there, or move one",
    ),
    (
        [road('["cross", [560, 660], [470, 740], "south"]')],
        'roads[3].through: "new" crosses "long" near',
        "without a node",
    ),
    ([road("[[900, 300], [950, 400]]")], None, ""),
    ([("[ 60,  50,  40,  30,", "[ 60, 160,  40,  30,")], 'roads[2]: "loop" climbs', "lead it round, or even out the"),
    ([("at = [600, 505]", "at = [600, 940]")], 'spawns[0] (id "square"): [600, 940] is under water', "move it ashore"),
    ([("at = [118, 180]", "at = [6, 180]")], 'spawns[1] (id "top"): [6, 180] is too near the edge', "move it inwards"),
    ([("at = [560, 600]", "at = [604, 497]")], 'spawns[0] (id "square"): something solid stands', "move it"),
    ([("at = [560, 600]", "at = [604, 497]")], 'landmarks[0]: "church" at [604, 497] stands on a road', "move it"),
    ([("at = [560, 600]", "at = [520, 600]")], 'landmarks[0]: "church" at [520, 600] stands on a road', "move it"),
    ([("at = [512, 400]", "at = [534, 400]")], 'kiosks[0] (id "k-race"): stands on the road', "move it"),
    ([("at = [512, 400]", "at = [400, 400]")], 'kiosks[0] (id "k-race"): is 114 m from the nearest road', "move it"),
    ([("at = [512, 400]", "at = [530, 960]")], 'kiosks[0] (id "k-race"): [530, 960] is under water', "move it ashore"),
    (
        [FAR, road('["far", [950, 200]]'), ("at = [512, 400]", "at = [930, 120]")],
        'kiosks[0] (id "k-race"): cannot be reached by road from spawn point "square"',
        "join the roads at a node",
    ),
    (
        [FAR, road('["far", [950, 200]]'), ("at = [118, 180]", "at = [930, 120]")],
        'routes[0] (id "dash"): cannot be reached by road from spawn point "top"',
        "join the roads at a node",
    ),
    (
        [("at_m = 780, width_m = 30", "at_m = 780, width_m = 11")],
        'routes[2] (id "by-gates").gates[2]: ends on the road at',
        "make it wider: both ends belong beyond the edges of the road",
    ),
    (
        [("left = [700, 520], right", "left = [700, 527], right")],
        'routes[2] (id "by-gates").gates[1]: ends on the road',
        "make it wider",
    ),
    (
        [('road = "wide", at_m = 780, width_m = 30', 'road = "wide", at_m = 593')],
        'routes[2] (id "by-gates").gates[2]: is less than 5 m after the gate before',
        "move it on",
    ),
    (
        [('path = ["west", "cross", "east"]', 'path = ["west", "cross", "west"]')],
        'routes[0] (id "dash").path[1]: turns back',
        "leave",
    ),
]


@pytest.mark.parametrize(("changes", "starts", "ends"), FOUND, ids=[str(case[1])[:60] for case in FOUND])
def test_each_fault_is_found(changes: list[tuple[str, str]], starts: str | None, ends: str) -> None:
    lines = [finding.line("f") for finding in survey(small_land(*changes))]
    if starts is None:
        assert lines == []
        return
    mine = [line for line in lines if line.startswith(f"f: {starts}")]
    assert mine, lines
    assert ends in mine[0]
    assert "\n" not in mine[0]


def test_a_grid_that_is_not_on_the_road_is_found() -> None:
    """No file is known that leads to this: slots are set along the road. So the slot is moved by hand."""
    land = small_land()
    dash = land.routes[0]
    away = replace(dash, grid=(dash.grid[0], dash.grid[1]._replace(z=dash.grid[1].z + 4.0), *dash.grid[2:]))
    early = replace(dash, gate_at_m=dash.gate_at_m - 20.0)
    for wrong, says in ((away, "slot 1 of 8 is not on the road at"), (early, "leave no room before gate 0")):
        (finding,) = survey(replace(land, routes=(wrong, *land.routes[1:])))
        assert finding.path == 'routes[0] (id "dash").grid_slots'
        assert says in finding.problem


def test_a_gate_that_is_not_across_its_road_is_found() -> None:
    land = small_land()
    moved = land.routes[0].gates_m.copy()
    moved[2] += 25.0
    findings = survey(replace(land, routes=(replace(land.routes[0], gates_m=moved), *land.routes[1:])))
    assert [finding.path for finding in findings] == ['routes[0] (id "dash").gates[2]']
    assert "is not across its road at" in findings[0].problem


def test_a_kiosk_across_the_water_is_found() -> None:
    wet = [("22,  20,  18,  15,  12,  10,   8,   6", "22, -40, -40, -40, -40, -40, -40, -40")]
    far = ("at = [700, 512]", "at = [700, 488]")
    found = [finding for finding in survey(small_land(*wet, far)) if "k-travel-a" in finding.path]
    assert any(
        "is under water" in finding.problem or "water or something solid" in finding.problem for finding in found
    )
