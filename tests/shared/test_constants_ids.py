"""The reasons that constants give for their values, where a reason can be computed."""

from __future__ import annotations

from shared import constants, vehicles
from shared.world.world import WORLD_SIZE_MAX_M

CLIENT_HZ_MAX = 30


def test_the_ring_holds_two_seconds_of_the_fastest_honest_client() -> None:
    assert constants.RING_PENDING_MAX >= 2 * CLIENT_HZ_MAX
    assert constants.RING_ENTRIES - constants.RING_PENDING_MAX >= 64, "64 judged samples stay as evidence"


def test_counters_wrap_onto_the_same_entry() -> None:
    assert 2**32 % constants.RING_ENTRIES == 0


def test_a_zone_judges_faster_than_a_client_may_send() -> None:
    assert constants.ROUNDS_MAX * constants.TICK_HZ >= 5 * CLIENT_HZ_MAX


def test_cars_are_carried_forward_over_three_lost_ticks() -> None:
    assert 3 * 1000.0 / constants.TICK_HZ == constants.CARRY_FORWARD_MS


def test_bands_leave_a_player_within_half_a_cell_of_where_it_is_listed() -> None:
    assert constants.HOME_BAND_M + constants.BORDER_BAND_M < constants.CELL_M / 2


def test_cell_ids_of_the_largest_world_fit_twenty_bits() -> None:
    assert (WORLD_SIZE_MAX_M // constants.CELL_M) ** 2 <= 2**20


def test_flags_are_single_bits_that_fit_their_column() -> None:
    flags = [value for name, value in vars(constants).items() if name.startswith("FLAG_")]
    assert sorted(flags) == [1, 2, 4, 8, 16]


def test_sequence_numbers_on_the_wire_are_modulo_65536() -> None:
    assert constants.SEQ_MASK == 65536 - 1


def test_vehicles_are_found_by_name_and_fit_their_column() -> None:
    assert [vehicles.VEHICLES[index].name for index in vehicles.VEHICLE_INDEX.values()] == [*vehicles.VEHICLE_INDEX]
    assert vehicles.DEFAULT_VEHICLE in vehicles.VEHICLE_INDEX
    for vehicle in vehicles.VEHICLES:
        assert vehicle.speed_cap_mps > 0
        assert vehicle.accel_cap_mps2 > 0
