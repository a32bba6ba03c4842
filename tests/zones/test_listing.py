"""What watchers have been told, and what is news to them."""

from __future__ import annotations

import numpy as np
import pytest

from shared.constants import PROOF_OF_LIFE_MS
from zones.listing import Listing, News
from zones.rows import SEQ, X

START_MS = 1_000_000.0


class Zone:
    """A listing with members whose cells and rows a test sets."""

    def __init__(self, row_budget: int = 0) -> None:
        self.listing = Listing(8, row_budget)
        self.cells: dict[int, int] = {}
        self.rows: dict[int, list[int]] = {}
        self.now_ms = START_MS

    def adopt(self, slot: int, cell: int, generation: int = 1) -> None:
        self.listing.adopt([(slot, generation)])
        self.cells[slot] = cell
        self.rows[slot] = [slot, 0, 100, 200, 0, 0, 0, 0]

    def release(self, slot: int, generation: int = 1) -> None:
        self.listing.release([(slot, generation)])
        del self.cells[slot]

    def forget(self, slot: int, generation: int = 1) -> None:
        self.listing.forget([(slot, generation)])

    def tick(self, ms: float = 50.0) -> News:
        self.now_ms += ms
        slots = sorted(self.cells)
        return self.listing.update(
            np.array(slots, np.intp),
            np.array([self.cells[slot] for slot in slots], np.int32),
            np.array([self.rows[slot] for slot in slots], np.int64).reshape(-1, 8),
            self.now_ms,
        )

    def told(self, ms: float = 50.0) -> tuple[list[int], list[int], dict[int, list[int]]]:
        """Slots that entered and slots whose row is sent, and who is gone from where."""
        news = self.tick(ms)
        slots = np.array(sorted(self.cells), np.intp)
        return slots[news.entered].tolist(), slots[news.age == 0].tolist(), news.gone


@pytest.fixture
def zone() -> Zone:
    return Zone()


def test_a_new_member_enters_with_its_row_and_is_no_news_afterwards(zone: Zone) -> None:
    zone.adopt(3, cell=7)
    assert zone.told() == ([3], [3], {})
    assert zone.told() == ([], [], {})


def test_a_change_of_any_column_is_news_once(zone: Zone) -> None:
    zone.adopt(3, cell=7)
    zone.told()
    for column in range(8):
        if column not in (0, SEQ):
            zone.rows[3][column] += 1
            assert zone.told() == ([], [3], {})
            assert zone.told() == ([], [], {})


def test_an_acknowledgement_alone_is_no_news(zone: Zone) -> None:
    zone.adopt(3, cell=7)
    zone.told()
    for _ in range(5):
        zone.rows[3][SEQ] += 1
        assert zone.told() == ([], [], {})
    zone.rows[3][X] += 1
    assert zone.told() == ([], [3], {})


@pytest.mark.parametrize("hz", [5, 20, 30, 60])
def test_a_parked_car_is_told_once_per_second(zone: Zone, hz: int) -> None:
    zone.adopt(3, cell=7)
    zone.told()
    sent_after_ms = []
    last_ms = zone.now_ms
    for _ in range(4 * hz):
        zone.rows[3][SEQ] += 1
        if zone.told(1000.0 / hz)[1]:
            sent_after_ms.append(zone.now_ms - last_ms)
            last_ms = zone.now_ms
    assert len(sent_after_ms) == 4
    assert all(abs(after_ms - PROOF_OF_LIFE_MS) < 1.0 for after_ms in sent_after_ms)


def test_a_row_that_was_sent_for_another_reason_is_proof_of_life_too(zone: Zone) -> None:
    zone.adopt(3, cell=7)
    zone.told()
    zone.rows[3][X] += 1
    assert zone.told(600.0) == ([], [3], {})
    assert zone.told(600.0) == ([], [], {})
    assert zone.told(400.0) == ([], [3], {})


def test_a_move_to_another_cell_is_an_entry_there_and_a_parting_here(zone: Zone) -> None:
    zone.adopt(3, cell=7)
    zone.adopt(4, cell=7)
    zone.told()
    zone.cells[3] = 8
    assert zone.told() == ([3], [3], {7: [3]})
    assert zone.told() == ([], [], {})


def test_a_released_member_stays_listed_until_it_is_forgotten(zone: Zone) -> None:
    zone.adopt(3, cell=7)
    zone.told()
    zone.release(3)
    assert zone.told() == ([], [], {})
    assert zone.told() == ([], [], {})
    zone.forget(3)
    assert zone.told() == ([], [], {7: [3]})
    assert zone.told() == ([], [], {})


def test_who_leaves_the_world_is_released_and_forgotten_at_once(zone: Zone) -> None:
    zone.adopt(3, cell=7)
    zone.told()
    zone.release(3)
    zone.forget(3)
    assert zone.told() == ([], [], {7: [3]})


def test_forgetting_somebody_else_of_that_slot_is_nothing(zone: Zone) -> None:
    zone.adopt(3, cell=7, generation=2)
    zone.told()
    zone.forget(3, generation=1)
    assert zone.told() == ([], [], {})
    zone.release(3, generation=2)
    zone.forget(3, generation=1)
    assert zone.told() == ([], [], {})
    zone.forget(3, generation=2)
    assert zone.told() == ([], [], {7: [3]})


def test_who_is_back_before_it_was_forgotten_leaves_its_old_cell_by_the_way(zone: Zone) -> None:
    zone.adopt(3, cell=7)
    zone.told()
    zone.release(3)
    zone.told()
    zone.adopt(3, cell=9)
    zone.forget(3)  # meant for the time before
    assert zone.told() == ([3], [3], {7: [3]})
    zone.cells[3] = 10
    assert zone.told() == ([3], [3], {9: [3]})


def test_who_is_back_in_the_same_cell_enters_it_and_does_not_part(zone: Zone) -> None:
    zone.adopt(3, cell=7)
    zone.told()
    zone.release(3)
    zone.told()
    zone.adopt(3, cell=7)
    assert zone.told() == ([3], [3], {})


def test_the_next_player_of_a_slot_enters_anew(zone: Zone) -> None:
    zone.adopt(3, cell=7, generation=1)
    zone.told()
    zone.release(3, generation=1)
    zone.forget(3, generation=1)
    zone.told()
    zone.adopt(3, cell=7, generation=2)
    assert zone.told() == ([3], [3], {})


def test_a_member_that_was_released_before_it_was_ever_told_parts_from_nowhere(zone: Zone) -> None:
    zone.adopt(3, cell=7)
    zone.release(3)
    zone.forget(3)
    assert zone.told() == ([], [], {})


def test_many_part_from_many_cells(zone: Zone) -> None:
    for slot, cell in ((0, 1), (1, 1), (2, 2), (5, 3)):
        zone.adopt(slot, cell)
    zone.told()
    zone.cells[0] = zone.cells[2] = 3
    zone.release(1)
    zone.forget(1)
    entered, changed, gone = zone.told()
    assert (entered, changed) == ([0, 2], [0, 2])
    assert {cell: sorted(slots) for cell, slots in gone.items()} == {1: [0, 1], 2: [2]}


# --- a member that is called something else


def test_a_member_that_is_introduced_anew_enters_its_cell_again_and_is_not_gone(zone: Zone) -> None:
    zone.adopt(3, cell=7)
    zone.adopt(4, cell=7)
    zone.told()
    zone.listing.reintroduce(3)
    news = zone.tick()
    assert (news.entered.tolist(), (news.age == 0).tolist(), news.gone) == ([True, False], [True, False], {})
    assert 7 in news.touched, "the cell's text of who is in it is made anew"
    assert zone.told() == ([], [], {})


def test_a_member_introduced_anew_while_it_changes_cells_is_gone_from_the_old_one(zone: Zone) -> None:
    zone.adopt(3, cell=7)
    zone.told()
    zone.listing.reintroduce(3)
    zone.cells[3] = 8
    news = zone.tick()
    assert (news.entered.tolist(), news.gone) == ([True], {7: [3]})
    assert {7, 8} <= news.touched


def test_a_newcomer_that_is_introduced_anew_just_enters(zone: Zone) -> None:
    zone.adopt(3, cell=7)
    zone.listing.reintroduce(3)
    assert zone.told() == ([3], [3], {})


def test_ages_count_the_ticks_since_a_row_was_news(zone: Zone) -> None:
    zone.adopt(3, cell=7)
    zone.adopt(4, cell=7)
    zone.tick()
    for age in range(1, 6):
        zone.rows[4][X] += 1
        assert zone.tick().age.tolist() == [age, 0]


def test_rows_beyond_the_budget_take_turns_and_none_is_lost() -> None:
    zone = Zone(row_budget=2)
    for slot in range(5):
        zone.adopt(slot, cell=7)
    zone.adopt(6, cell=8)
    entered, changed, _ = zone.told()
    assert entered == changed == [0, 1, 2, 3, 4, 6], "who comes is told at once"
    for slot in zone.rows:
        zone.rows[slot][X] += 1
    told = [zone.told()[1] for _ in range(4)]
    assert [len([slot for slot in slots if slot != 6]) for slots in told] == [2, 2, 1, 0]
    assert sorted(slot for slots in told for slot in slots) == [0, 1, 2, 3, 4, 6]


def test_in_a_cell_over_budget_that_never_rests_nobody_waits_longer_than_the_others() -> None:
    zone = Zone(row_budget=2)
    for slot in range(6):
        zone.adopt(slot, cell=7)
    zone.told()
    last = dict.fromkeys(range(6), 0)
    for tick in range(1, 31):
        for slot in zone.rows:
            zone.rows[slot][X] += 1
        _, changed, _ = zone.told()
        assert len(changed) == 2
        for slot in changed:
            last[slot] = tick
        assert all(tick - told < 3 for slot, told in last.items() if tick >= 3)
