"""Zones that die at any point of any tick, and those who take over: nobody is lost, doubled, or left as a ghost.

Zones are in this process: a death is a zone that is thrown away, with nonsense in whatever it had not committed.
"""

from __future__ import annotations

import os
import random
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipc.control import Assume
from scripts.bots.world_view import WorldView
from tests.stepper import Death, InlineZone, ShardStepper

ZONES = 4
SIZE_M = 256
PLAYERS = 8
WATCHERS = 4
TICKS = 30
EXAMPLES = int(os.environ.get("TAKEOVER_EXAMPLES", "10"))
MIDDLE_M = SIZE_M / 2
DEATHS = get_args(Death)

Plan = dict[int, list[tuple[int, Death, int]]]
"""Tick to deaths: zone, how, and ticks until somebody takes over."""


class Play:
    """One scenario of a few players who drive, come and go around the corner of four zones, with deaths by plan."""

    def __init__(self, shard: ShardStepper, seed: int, plan: Plan) -> None:
        self.shard = shard
        self.plan = plan
        self.rng = random.Random(seed)
        self.names = [f"player-{number:02d}" for number in range(PLAYERS)]
        self.views = {name: WorldView() for name in self.names}
        self.missing: dict[int, int] = {}
        self.written = dict.fromkeys(self.names, 0)

    def tick(self) -> None:
        shard, rng = self.shard, self.rng
        for number, name in enumerate(self.names):
            fate = rng.random()
            occupant = shard.realm.occupant(name)
            x, z = MIDDLE_M + rng.uniform(-20, 20), MIDDLE_M + rng.uniform(-20, 20)
            if occupant is None:
                if fate < 0.3 and name not in shard.clients:
                    shard.enter(name, keep=number < WATCHERS)
            elif not shard.clients[name].placements:
                pass
            elif fate < 0.02 and number >= PLAYERS // 2:
                shard.realm.leave(name)
            elif fate < 0.06:
                shard.put(name, x, z)
            elif fate < 0.8:
                self.written[name] += shard.move(name, x, z)
        for zone, how, ticks in self.plan.get(shard.realm.tick, ()):
            link = shard.links[zone]
            assert isinstance(link, InlineZone)
            if not link.dead:
                link.dies = how
                self.missing[zone] = ticks
        shard.begin()
        shard.collect()
        for zone in list(self.missing):
            if self.missing[zone] == 0:
                del self.missing[zone]
                shard.replace(zone)
                shard.collect()
            else:
                self.missing[zone] -= 1
        shard.realm.end_tick()
        self.look()

    def look(self) -> None:
        """Nothing that anybody is shown is against the contract."""
        for name, client in self.shard.clients.items():
            if self.shard.realm.occupant(name) is None:
                self.views[name].clear()
                client.snapshots.clear()
            for snapshot in client.snapshots:
                changes = self.views[name].apply(snapshot.payload)
                assert not changes.unknown_rows
                assert not changes.without_row
            client.snapshots.clear()

    def settle(self) -> None:
        """All is quiet, everybody is back: what everybody sees is what there is."""
        self.rng.seed(0)
        shard = self.shard
        for zone in list(self.missing):
            del self.missing[zone]
            shard.replace(zone)
        for _ in range(64 // 8):  # whatever a ring holds is judged by then
            shard.step()
            self.look()
        here = {name for name in self.names if shard.realm.occupant(name) is not None}
        state = shard.state()
        for name in here & set(self.names[:WATCHERS]):
            view = self.views[name]
            assert view.slot_of.keys() == here, f"{name} sees ghosts, or misses somebody"
            for other in here:
                entity = view.find(other)
                assert entity is not None
                assert entity.row is not None
                pos = state[other]["pos"]
                assert isinstance(pos, list)
                assert (entity.row.x, entity.row.z) == (round(pos[0] * 100), round(pos[2] * 100)), other


def play(seed: int, plan: Plan, ticks: int) -> list[dict[str, dict[str, object]]]:
    """The state after each tick."""
    with ShardStepper(zones=ZONES, size_m=SIZE_M, players=PLAYERS) as shard:
        scene = Play(shard, seed, plan)
        history = []
        for _ in range(ticks):
            scene.tick()
            history.append(shard.state())
        scene.settle()
        history.append(shard.state())
        assert shard.realm.barrier.ledger.count > 0 or ticks < 10
        return history


DEATH = st.tuples(st.integers(0, ZONES - 1), st.sampled_from(DEATHS))


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    seed=st.integers(0, 1000),
    deaths=st.dictionaries(st.integers(1, TICKS - 2), st.lists(DEATH, max_size=ZONES), max_size=20),
)
def test_whoever_is_taken_over_within_the_tick_has_lost_nothing_at_all(
    seed: int, deaths: dict[int, list[tuple[int, Death]]]
) -> None:
    plan: Plan = {tick: [(zone, how, 0) for zone, how in each] for tick, each in deaths.items()}
    assert play(seed, plan, TICKS) == play(seed, {}, TICKS)


@settings(max_examples=2 * EXAMPLES, deadline=None)
@given(
    seed=st.integers(0, 1000),
    deaths=st.dictionaries(
        st.integers(1, TICKS - 2),
        st.lists(st.tuples(st.integers(0, ZONES - 1), st.sampled_from(DEATHS), st.integers(0, 4)), max_size=ZONES),
        max_size=20,
    ),
)
def test_whoever_is_taken_over_later_breaks_no_invariant_and_leaves_no_ghost(seed: int, deaths: Plan) -> None:
    play(seed, deaths, TICKS)


@pytest.mark.parametrize("how", DEATHS)
def test_a_death_in_every_tick_of_every_zone(how: Death) -> None:
    plan: Plan = {tick: [(zone, how, 0) for zone in range(ZONES)] for tick in range(1, TICKS)}
    assert play(3, plan, TICKS) == play(3, {}, TICKS)


def _apply(shard: ShardStepper, player: str, view: WorldView) -> None:
    for snapshot in shard.clients[player].snapshots:
        changes = view.apply(snapshot.payload)
        assert not changes.unknown_rows
        assert not changes.without_row
    shard.clients[player].snapshots.clear()


def _zone(shard: ShardStepper, number: int) -> InlineZone:
    link = shard.links[number]
    assert isinstance(link, InlineZone)
    return link


@pytest.mark.parametrize("how", DEATHS)
@pytest.mark.parametrize("ticks", [0, 3])
def test_who_leaves_an_otherwise_empty_cell_as_its_zone_dies_is_no_ghost(how: Death, ticks: int) -> None:
    """Only the dead worker knew that it had to say so."""
    with ShardStepper(zones=2, size_m=256) as shard:
        view = WorldView()
        shard.enter("onlooker")
        shard.enter("leaver")
        shard.step()
        shard.put("onlooker", 120, 100)
        shard.put("leaver", 140, 100)
        shard.step(3)
        _apply(shard, "onlooker", view)
        assert view.find("leaver") is not None
        assert int(shard.memory.table.owner[shard.body("leaver").slot]) == 1
        shard.realm.leave("leaver")
        _zone(shard, 1).dies = how
        shard.begin()
        shard.collect()
        if ticks == 0:
            shard.replace(1)
            shard.collect()
            shard.realm.end_tick()
        else:
            shard.realm.end_tick()
            shard.step(ticks)
            shard.replace(1)
        shard.step(2)
        _apply(shard, "onlooker", view)
        assert view.slot_of.keys() == {"onlooker"}


def test_a_car_handed_off_by_a_zone_that_dies_stays_in_sight() -> None:
    """The zone that released it cannot say `gone` any more; whoever has it now shows it."""
    with ShardStepper(zones=2, size_m=256) as shard:
        view = WorldView()
        for player in ("onlooker", "traveller"):
            shard.enter(player)
        shard.step()
        shard.put("onlooker", 100, 100)
        shard.put("traveller", 110, 100)
        shard.step(3)
        before = shard.realm.barrier.ledger.count
        for x in (119, 128, 137):
            shard.move("traveller", x, 100, 20)
            shard.step()
        _zone(shard, 0).dies = "told"  # with the release in its hands
        shard.begin()
        shard.collect()
        assert shard.realm.barrier.desks[0].outstanding is not None
        assert len(shard.realm.barrier.desks[0].outstanding.released) == 1
        shard.realm.end_tick()
        for _ in range(3):
            _apply(shard, "onlooker", view)
            assert view.find("traveller") is not None
            shard.step()
        shard.replace(0)
        shard.step(3)
        _apply(shard, "onlooker", view)
        assert view.slot_of.keys() == {"onlooker", "traveller"}
        entity = view.find("traveller")
        assert entity is not None
        assert entity.row is not None
        assert entity.row.x > 13_600
        assert shard.realm.barrier.ledger.count == before + 1


def test_a_zone_of_thousands_is_assumed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shard.fleet.barrier.ASSUMED_MAX", 5)
    with ShardStepper(zones=1, size_m=256) as shard:
        for number in range(13):
            shard.enter(f"player-{number}", keep=False)
        shard.step(2)
        _zone(shard, 0).dies = "written"
        shard.begin()
        messages = shard.realm.successor(0)
        assert [len(message.members) for message in messages if isinstance(message, Assume)] == [5, 5, 3]
        shard.replace(0)
        shard.collect()
        shard.realm.end_tick()
        shard.step()
        assert {state["tick"] for state in shard.state().values()} == {4}
        assert len(shard.state()) == 13


def test_samples_that_are_dropped_are_dropped_once_and_the_next_ones_count() -> None:
    with ShardStepper(zones=1, size_m=256) as shard:
        shard.enter("driver")
        shard.step(2)
        shard.put("driver", 50, 50)
        shard.step()
        for x in range(1, 6):
            shard.move("driver", 50 + x, 50)
        _zone(shard, 0).dies = "told"
        shard.begin()
        shard.move("driver", 60, 50)  # also this one comes before the takeover
        assert shard.realm.drop_samples(0) == 6
        shard.replace(0)
        shard.collect()
        shard.realm.end_tick()
        assert shard.state()["driver"]["pos"] == [50, 0, 50]
        shard.move("driver", 51, 50)
        shard.step()
        assert shard.state()["driver"]["pos"] == [51, 0, 50]
        assert shard.realm.auditor is not None
        assert shard.realm.auditor.samples == 1
        assert shard.memory.ring.pending(shard.body("driver").slot) == 0


def test_players_who_are_moved_out_of_a_zone_are_gone_for_all_and_may_come_back() -> None:
    with ShardStepper(zones=2, size_m=256) as shard:
        view = WorldView()
        removed: list[str] = []
        shard.realm.evacuated = removed.append
        for player in ("onlooker", "victim", "leaver", "traveller"):
            shard.enter(player)
        shard.step()
        for player, x in (("onlooker", 100), ("victim", 140), ("leaver", 145), ("traveller", 110)):
            shard.put(player, x, 100)
        shard.step(3)
        for x in (119, 128, 137):
            shard.move("traveller", x, 100, 20)
            shard.step()
        shard.realm.leave("leaver")
        shard.realm.hold("victim")
        _zone(shard, 1).dies = "told"  # with an adoption, a release and a command in its hands
        shard.begin()
        shard.collect()
        outstanding = shard.realm.barrier.desks[1].outstanding
        assert outstanding is not None
        assert (len(outstanding.adopted), len(outstanding.released), len(outstanding.commands)) == (1, 1, 1)
        assert shard.realm.evacuate(1) == 2
        assert sorted(removed) == ["traveller", "victim"]
        shard.replace(1)
        shard.realm.end_tick()
        shard.step(3)
        _apply(shard, "onlooker", view)
        assert view.slot_of.keys() == {"onlooker"}
        assert shard.state().keys() == {"onlooker"}
        for player in removed:
            shard.enter(player)
        shard.step(3)
        assert shard.state().keys() == {"onlooker", *removed}
        assert not shard.realm.barrier.ledger.under_way(0)
