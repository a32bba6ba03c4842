"""Who is shown a kiosk's state: those near, when it changes or comes into view, and nobody at any other time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shard.land.kiosk_views import KioskViews
from shared.world.land import Kiosk, land_of
from tests.fakes.kiosk_world import TRAVEL_A, kiosk_world

SIDE = 16
SLOTS = 6
KIOSKS = land_of(kiosk_world()).kiosks
TRAVEL = next(index for index, kiosk in enumerate(KIOSKS) if (kiosk.x, kiosk.z) == TRAVEL_A)


def cell_of(kiosk: Kiosk, dx: int = 0, dz: int = 0) -> int:
    return (int(kiosk.z // 64) + dz) * SIDE + int(kiosk.x // 64) + dx


HOME = cell_of(KIOSKS[TRAVEL])
FAR = 0


@dataclass
class Hall:
    """The views with players whose homes a test sets."""

    views: KioskViews = field(default_factory=lambda: KioskViews(KIOSKS, SLOTS, SIDE))
    homes: np.ndarray = field(default_factory=lambda: np.full(SLOTS, -1, np.int32))

    def update(self, *changed: int) -> dict[int, list[int]]:
        """Kiosk to slots that are shown it."""
        return {showing.kiosk: showing.slots for showing in self.views.update(self.homes, changed)}


def test_a_kiosk_is_shown_once_when_it_comes_into_view() -> None:
    hall = Hall()
    hall.views.watch(2)
    assert hall.update() == {}
    hall.homes[2] = HOME
    assert hall.update() == {TRAVEL: [2]}
    assert hall.update() == {}
    hall.homes[2] = cell_of(KIOSKS[TRAVEL], dx=-1)
    assert hall.update() == {}, "it was in view already"
    hall.homes[2] = FAR
    assert hall.update() == {}
    hall.homes[2] = HOME
    assert hall.update() == {TRAVEL: [2]}, "what changed while it was away is unknown"


def test_a_change_reaches_those_near_and_only_those() -> None:
    hall = Hall()
    for slot, home in ((0, HOME), (1, cell_of(KIOSKS[TRAVEL], -1, 1)), (2, cell_of(KIOSKS[TRAVEL], 2)), (3, FAR)):
        hall.views.watch(slot)
        hall.homes[slot] = home
    hall.homes[4] = HOME  # a body that nobody watches from
    hall.update()
    assert hall.update(TRAVEL) == {TRAVEL: [0, 1]}
    hall.views.unwatch(1)
    assert hall.update(TRAVEL) == {TRAVEL: [0]}
    hall.views.watch(1)
    assert hall.update()[TRAVEL] == [1], "a new connection knows nothing"


def test_who_comes_into_view_as_it_changes_is_shown_it_once_and_who_leaves_is_not() -> None:
    hall = Hall()
    hall.views.watch(0)
    hall.views.watch(1)
    hall.homes[0], hall.homes[1] = FAR, HOME
    hall.update()
    hall.homes[0], hall.homes[1] = HOME, FAR
    assert hall.update(TRAVEL) == {TRAVEL: [0]}


def test_who_crosses_into_another_cell_as_a_kiosk_in_view_changes_is_shown_it() -> None:
    hall = Hall()
    hall.views.watch(0)
    hall.homes[0] = HOME
    hall.update()
    hall.homes[0] = cell_of(KIOSKS[TRAVEL], dx=-1)
    assert hall.update(TRAVEL) == {TRAVEL: [0]}


def test_nobody_is_looked_at_while_nobody_changes_cells() -> None:
    slots = 2000
    views = KioskViews(KIOSKS, slots, SIDE)
    homes = np.full(slots, HOME, np.int32)
    for slot in range(slots):
        views.watch(slot)
    views.update(homes, ())
    assert views.looked_at == slots
    for _ in range(50):
        assert views.update(homes, ()) == []
    assert views.looked_at == slots
    homes[7] = FAR
    views.update(homes, ())
    assert views.looked_at == slots + 1


def near(home: int, kiosk: Kiosk) -> bool:
    return home >= 0 and max(abs(home % SIDE - kiosk.x // 64), abs(home // SIDE - kiosk.z // 64)) <= 1


HOMES = st.sampled_from([FAR, *(cell_of(kiosk, dx, dz) for kiosk in KIOSKS for dx in (-1, 0, 2) for dz in (0, 1))])
STEPS = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, SLOTS - 1), HOMES), max_size=4),
        st.sets(st.integers(0, len(KIOSKS) - 1), max_size=3),
        st.lists(st.tuples(st.integers(0, SLOTS - 1), st.booleans()), max_size=2),
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_whoever_is_near_knows_the_newest_state_and_is_told_nothing_twice(
    steps: list[tuple[list[tuple[int, int]], set[int], list[tuple[int, bool]]]],
) -> None:
    hall = Hall()
    version = [0] * len(KIOSKS)
    watching: set[int] = set()
    known: dict[tuple[int, int], int] = {}
    for moves, changed, watches in steps:
        for slot, on in watches:
            (hall.views.watch if on else hall.views.unwatch)(slot)
            (watching.add if on else watching.discard)(slot)
            known = {pair: seen for pair, seen in known.items() if pair[0] != slot}
        for slot, home in moves:
            hall.homes[slot] = home
        for index in changed:
            version[index] += 1
        known = {
            (slot, index): seen for (slot, index), seen in known.items() if near(int(hall.homes[slot]), KIOSKS[index])
        }
        for index, slots in hall.update(*changed).items():
            assert len(set(slots)) == len(slots)
            for slot in slots:
                assert slot in watching
                assert near(int(hall.homes[slot]), KIOSKS[index])
                assert known.get((slot, index)) != version[index], "told what it knows"
                known[slot, index] = version[index]
        for slot in watching:
            for index, kiosk in enumerate(KIOSKS):
                if near(int(hall.homes[slot]), kiosk):
                    assert known[slot, index] == version[index]
