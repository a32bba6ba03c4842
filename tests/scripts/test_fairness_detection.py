"""The detection table: every technique is mitigated, in a stated time, and gains no more than the tolerances give."""

from __future__ import annotations

import pytest

from scripts.fair.dishonest import EFFECT_M, Found, measure
from scripts.fair.techniques import GATE_TECHNIQUES, TECHNIQUES, TOLERANCE_TECHNIQUES
from shared.vehicles import VEHICLES

CASES_EACH = 3
"""One per vehicle class."""
CHEATING_S = 90.0
BANK_S = 1.0
BANK_RACING_S = 0.5
TOLERANCE = 1.05 / 0.99 - 1.0
"""Budgets are filled at 105 % of the cap, honest twins drive at 99 % of it: who knows the rules gains that for ever."""
CAP_MPS = max(vehicle.speed_cap_mps for vehicle in VEHICLES)
WITHIN_TOLERANCE = ("speed x1.05", "clock x1.05")
IGNORED = ("seq replay", "epoch forgery")
FIRST_S = {
    "speed x1.10": 60.0,
    "speed x1.25": 8.0,
    "speed x2": 2.0,
    "blink 30 m": 0.2,
    "blink 100 m": 0.2,
    "lag switch, 1 s bank": 10.0,
    "lag switch, racing": 10.0,
    "wall pass": 0.3,
    "wall pass, 1 Hz": 1.3,
    "flying": 10.0,
    "time reversal": 1.0,
    "denied corrections": 8.0,
    "teleport in handoff": 0.3,
    "teleport after resume": 0.3,
    "gate skip": 4.0,
    "reverse gates": 2.0,
    "impossible split": 10.0,
}
"""By when every case is mitigated, the way of the sample included."""
REMOVED = (
    "speed x1.25",
    "speed x2",
    "denied corrections",
    "blink 30 m",
    "blink 100 m",
    "flying",
    "time reversal",
    "wall pass",
)
"""Whoever goes on with these for CHEATING_S is removed."""


@pytest.fixture(scope="module")
def found() -> dict[str, Found]:
    techniques = (*TECHNIQUES, *TOLERANCE_TECHNIQUES, *GATE_TECHNIQUES)
    return {each.name: each for each in measure(techniques, CASES_EACH, 1, CHEATING_S)}


@pytest.mark.parametrize("name", FIRST_S)
def test_every_technique_is_mitigated_in_its_time(found: dict[str, Found], name: str) -> None:
    assert found[name].mitigated == CASES_EACH
    mitigated_s = found[name].mitigated_s
    assert mitigated_s is not None
    assert mitigated_s <= FIRST_S[name]


@pytest.mark.parametrize("technique", [*TECHNIQUES, *GATE_TECHNIQUES], ids=lambda technique: technique.name)
def test_nobody_gains_more_than_tolerance_and_bank(found: dict[str, Found], technique: object) -> None:
    """The sum of all steps is bounded by bank + 105 % of the cap, whatever a client says."""
    each = found[technique.name]  # type: ignore[attr-defined]
    bank_m = CAP_MPS * 1.05 * BANK_S + 1.0
    leash_m = 0.25 * CAP_MPS
    assert each.lead_m <= bank_m + leash_m + TOLERANCE * CAP_MPS * CHEATING_S


@pytest.mark.parametrize("name", IGNORED)
def test_what_the_protocol_ignores_has_no_effect(found: dict[str, Found], name: str) -> None:
    assert found[name].lead_m < EFFECT_M
    assert found[name].gain_m < 0.0, "its car stands still"


@pytest.mark.parametrize("name", WITHIN_TOLERANCE)
def test_what_lies_inside_the_tolerance_is_said_with_its_gain(found: dict[str, Found], name: str) -> None:
    assert found[name].note == "inside the tolerance"
    assert found[name].removed == 0
    assert found[name].gain_m / found[name].played_s <= 0.05 * CAP_MPS


@pytest.mark.parametrize("name", ["blink 30 m", "blink 100 m", "teleport in handoff", "teleport after resume"])
def test_a_teleport_leads_nowhere(found: dict[str, Found], name: str) -> None:
    assert found[name].lead_m < EFFECT_M


@pytest.mark.parametrize(
    ("name", "bank_s"),
    [
        ("lag switch, 1 s bank, again", BANK_S),
        ("lag switch, racing, again", BANK_RACING_S),
        ("lag switch and x1.05, 1 s bank", BANK_S),
        ("lag switch and x1.05, racing", BANK_RACING_S),
    ],
)
def test_silence_gains_the_bank_at_most(found: dict[str, Found], name: str, bank_s: float) -> None:
    """Over somebody who uses the tolerance all the time without it; no share of it grows with time."""
    assert found[name].lead_m <= 1.05 * CAP_MPS * bank_s + 1.0 + EFFECT_M
    assert found[name].gain_m < 0.0, "whoever leaps again is put back, and has lost more than it gained"


@pytest.mark.parametrize("name", ["lag switch, 1 s bank", "lag switch, racing", "impossible split"])
def test_a_lag_switch_gains_nothing_on_average(found: dict[str, Found], name: str) -> None:
    """Nor over an honest twin, beyond the bank once: driving at 99 % of the cap fills it by a hundredth per second."""
    bank_m = 1.05 * CAP_MPS * (BANK_S if name == "lag switch, 1 s bank" else BANK_RACING_S) + 1.0
    assert found[name].gain_m <= bank_m
    assert found[name].lead_m <= 2.0 * bank_m, "once, and what it regains by the tolerance while it is followed"


@pytest.mark.parametrize("name", ["wall pass", "wall pass, 1 Hz"])
def test_a_wall_is_never_passed(found: dict[str, Found], name: str) -> None:
    assert found[name].extra_m < 0.1
    assert sum(found[name].set_backs.values()) + found[name].late > 0


@pytest.mark.parametrize(("name", "told"), [("gate skip", "missed gate"), ("reverse gates", "wrong way")])
def test_a_gate_that_is_missed_or_passed_backwards_never_counts(found: dict[str, Found], name: str, told: str) -> None:
    assert set(found[name].told) == {told}
    assert found[name].told[told] >= CASES_EACH, "each is told"
    assert found[name].gates == 0, "nor does any gate after it"


def test_a_split_that_no_car_can_drive_voids_the_result(found: dict[str, Found]) -> None:
    assert set(found["impossible split"].told) == {"implausible"}
    assert found["impossible split"].told["implausible"] >= CASES_EACH


@pytest.mark.parametrize("technique", GATE_TECHNIQUES, ids=lambda technique: technique.name)
def test_honest_twins_are_told_nothing_about_their_gates(found: dict[str, Found], technique: object) -> None:
    each = found[technique.name]  # type: ignore[attr-defined]
    assert each.twin_told == 0
    assert each.twin_gates > 40 * CASES_EACH


@pytest.mark.parametrize("name", REMOVED)
def test_who_goes_on_is_removed(found: dict[str, Found], name: str) -> None:
    assert found[name].removed == CASES_EACH
