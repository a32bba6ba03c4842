"""A whole race without sockets: bots drive it, zones judge their gates, main runs it, and all times are compared.

Everything but the way over the network is as in life; time is the test's own, so the result is always the same.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from scripts.bots.race_book import RaceBook
from scripts.bots.racer import Conduct, Racer
from shard.races.director import Director
from shared.messages import MovePayload, PlacedPayload
from shared.world.land import Land
from shared.world.static_world import StaticWorld
from shared.world.world import Pose
from tests.fakes.small_world import small_land
from tests.stepper import PERIOD_MS, InlineZone, ShardStepper
from zones.simulation import ZoneWorld
from zones.zone import Zone

WAY_MS = 0.5
"""From a client to main."""
MINUTES = 6


@pytest.fixture(scope="module")
def land() -> Land:
    return small_land()


class Meeting:
    """Racers on one route of the small world, over ``zones`` zones."""

    def __init__(self, shard: ShardStepper, land: Land, route: int, conducts: list[Conduct]) -> None:
        self.shard = shard
        self.route = land.routes[route]
        self.now_ms = shard.now_ms
        static = StaticWorld.of(land)
        for number, link in enumerate(shard.links):
            assert isinstance(link, InlineZone)
            world = ZoneWorld(number, shard.zone_map, static, land.vehicles, anticheat="off")
            link.zone = Zone(world, *link._views, link._read_clock)
        realm = shard.realm
        self.races = realm.races = Director(land.routes, realm, realm.world.hash, land.vehicles, open_anywhere=True)
        self.races.sign = lambda receipt, _: f"receipt of {receipt.player}"
        self.book = RaceBook(len(self.route.gates_m))
        self.racers: dict[str, Racer] = {}
        for index, conduct in enumerate(conducts):
            player = f"racer-{index}"
            entry = self.book.enter(player, conduct)
            entry.clock_err_ms = WAY_MS
            rng = random.Random(index)
            self.racers[player] = Racer(rng, land.vehicles[0], self.route, entry, lambda: self.now_ms, conduct)
            shard.enter(player, keep=False).on_placed = self._placing(player)
        self.tick()
        for player in self.racers:
            assert isinstance(self.races.join(player, self.route.id, realm.now_ms), str)
        race = self.races.race_of("racer-0")
        assert race is not None
        self.races.close_list(race, realm.now_ms)

    def _placing(self, player: str) -> Callable[[PlacedPayload], None]:
        def placed(payload: PlacedPayload) -> None:
            pose = Pose(payload.x, payload.y, payload.z, payload.yaw)
            self.racers[player].place(pose, payload.vx, payload.vz)

        return placed

    def tick(self) -> None:
        """All cars take a step, their samples arrive, the zones judge them."""
        shard = self.shard
        due_ms = shard.now_ms + PERIOD_MS
        self.now_ms = due_ms - 2.0 * WAY_MS
        for player, racer in self.racers.items():
            if shard.realm.occupant(player) is None or not shard.clients[player].placements:
                continue
            car = racer.step(PERIOD_MS / 1000.0)
            shard._seq[player] += 1
            epoch = shard.clients[player].placements[-1].epoch
            move = MovePayload(epoch, shard._seq[player], self.now_ms, car.x, car.z, car.yaw, car.vx, car.vz)
            shard.memory.ring.write(shard.body(player).slot, self.now_ms + WAY_MS, move)
        shard.step()
        for mail in self.races.take_mail():
            for player in mail.players:
                self.book.hear(player, mail.message)

    def run(self, minutes: float = MINUTES) -> None:
        """Until everybody has its result."""
        for _ in range(int(minutes * 60_000.0 / PERIOD_MS)):
            self.tick()
            if self.book.over:
                return


@pytest.mark.parametrize("zones", [1, 4])
def test_times_and_order_are_what_the_racers_know_them_to_be(land: Land, zones: int) -> None:
    with ShardStepper(zones=zones, size_m=1024, players=16) as shard:
        meeting = Meeting(shard, land, 1, [Conduct.HONEST] * 6)
        meeting.run()
        assert meeting.book.over
        assert meeting.book.differences() == []
        assert [line.status for line in meeting.book.places] == ["finished"] * 6
        assert all(line.err_ms is not None and line.err_ms < 60.0 for line in meeting.book.places)
        if zones > 1:
            assert shard.realm.barrier.ledger.summary()["count"] >= 6, "the race crosses zones"


def test_everybody_gets_the_end_that_its_conduct_earns(land: Land) -> None:
    with ShardStepper(zones=2, size_m=1024, players=16) as shard:
        conducts = [Conduct.HONEST, Conduct.HONEST, Conduct.FALSE_START, Conduct.SKIP_GATE, Conduct.BACKWARDS]
        meeting = Meeting(shard, land, 0, conducts)
        meeting.run()
        book = meeting.book
        assert book.differences() == []
        assert [entry.notices for entry in book.entries.values()][:2] == [[], []]
        assert "false_start" in book.entries["racer-2"].notices
        assert "gate_missed" in book.entries["racer-3"].notices
        assert "wrong_way" in book.entries["racer-4"].notices
        penalties = {line.player: line.penalty_ms for line in book.places}
        assert penalties == {player: 5000.0 * (player == "racer-2") for player in book.entries}
        assert not any(math.isnan(line.time_ms or 0.0) for line in book.places)
