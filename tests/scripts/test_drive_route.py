"""The route driver: its measure, its way, and a short drive over real sockets in the world ``harbour``."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math

import pytest

from scripts.bots.sight import SIGHT_M, Sight, quantile
from scripts.bots.trip import Trip, course_of, way_to_route
from scripts.drive_route import DriveFault, Outcome, RouteDrive, main, table
from shared.constants import CHUNK_M
from shared.world.land import Land, land_of
from shared.world.world import World
from tests.socket_shard import SocketShard, token

HARBOUR = World("harbour", 1, 4096)


@pytest.fixture(scope="module")
def harbour() -> Land:
    return land_of(HARBOUR)


# --- the measure


def test_what_is_in_sight_is_what_a_circle_touches() -> None:
    sight = Sight(64)
    x, z = 1000.0, 1030.0
    found = set(sight.within(x, z, SIGHT_M))
    for cx in range(64):
        for cz in range(64):
            near_x = min(max(x, cx * CHUNK_M), (cx + 1) * CHUNK_M)
            near_z = min(max(z, cz * CHUNK_M), (cz + 1) * CHUNK_M)
            assert ((cx, cz) in found) is (math.hypot(near_x - x, near_z - z) <= SIGHT_M)


def test_nothing_is_asked_for_twice_or_off_the_map_and_nearest_first() -> None:
    sight = Sight(64)
    asked = [index for want in sight.drove(10.0, 10.0, 0.0) for index in want]
    assert asked[0] == (0, 0)
    assert all(0 <= cx < 64 and 0 <= cz < 64 for cx, cz in asked)
    assert not sight.drove(10.0, 10.0, 1.0)
    more = [index for want in sight.drove(74.0, 10.0, 2.0) for index in want]
    assert more
    assert not set(more) & set(asked)
    assert all(len(want) <= 32 for want in Sight(64).drove(2000.0, 2000.0, 0.0))


def test_late_is_have_minus_need_and_what_never_comes_is_infinitely_late() -> None:
    sight = Sight(64, ahead_m=1000.0)
    sight.drove(32.0, 32.0, 0.0)
    first = set(sight.needed_s)
    sight.received((5, 0), 1.0)
    sight.received((5, 0), 1.5)
    sight.received((0, 5), 9.0)
    sight.drove(32.0 + 2 * CHUNK_M, 32.0, 4.0)
    late = sight.late_s(but_not=first)
    assert late[0] == -3.0
    assert late[-1] == math.inf
    assert sight.twice == 1
    assert (0, 5) not in sight.needed_s, "it was never in sight"


def test_quantiles() -> None:
    ordered = [float(number) for number in range(1, 101)]
    assert (quantile(ordered, 0.5), quantile(ordered, 0.99), quantile(ordered, 1.0)) == (50.0, 99.0, 100.0)
    assert math.isnan(quantile([], 0.5))


# --- the way


def test_a_trip_leads_along_its_points_at_top_speed() -> None:
    trip = Trip([(0.0, 0.0), (0.0, 0.0), (0.0, 300.0), (400.0, 300.0)], top_mps=50.0, accel_mps2=10.0)
    assert trip.length_m == 700.0
    seconds = 0.0
    while not trip.arrived:
        before = trip.driven_m
        car = trip.step(0.05)
        seconds += 0.05
        assert trip.driven_m - before <= 50.0 * 0.05
        on_first, on_second = car.x == 0.0 and car.yaw == 0.0, car.z == 300.0 and car.yaw == pytest.approx(math.pi / 2)
        assert on_first or on_second
    assert (car.x, car.z) == pytest.approx((400.0, 300.0))
    assert seconds < 700.0 / 49.0 + 49.0 / 8.0 + 0.1


def test_the_way_to_the_grand_tour_leads_over_roads_from_every_spawn_point(harbour: Land) -> None:
    route = next(each for each in harbour.routes if each.id == "grand-tour")
    course = course_of(route)
    for spawn in harbour.file.spawns:
        way = way_to_route(harbour, *spawn.at, route)
        assert way[0] == tuple(spawn.at)
        assert way[-1] == course[0]
        steps = [math.dist(one, other) for one, other in itertools.pairwise(way[2:])]
        assert max(steps, default=0.0) <= 33.0, "pieces of road"
    assert Trip(course, 70.0, 12.0).length_m > 11_000.0


# --- over sockets


async def _drive(metres: float, route: str = "grand-tour", world: World | None = HARBOUR) -> Outcome:
    async with SocketShard.open(world=world) as shard:

        async def tick() -> None:
            while True:
                await asyncio.sleep(0.05)
                shard.tick()

        ticking = asyncio.create_task(tick())
        try:
            return await RouteDrive(token(0), route, metres_max=metres).drive(shard.url)
        finally:
            ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ticking


@pytest.mark.timeout(60)
def test_a_short_drive_misses_nothing_and_is_refused_nothing() -> None:
    outcome = asyncio.run(_drive(400.0))
    assert outcome.km >= 0.4
    assert outcome.first_sight_chunks > 30
    assert outcome.chunks >= 5 * 7, "five lines of chunks came into sight"
    assert (outcome.missing, outcome.twice, outcome.corrections, outcome.errors) == (0, 0, 0, {})
    assert outcome.late_p50_ms < 0.0
    assert outcome.chunk_bytes_per_km > 1000.0
    assert outcome.other_bytes_per_km > 1000.0
    assert "grand-tour" in table(outcome)


@pytest.mark.parametrize(
    ("route", "world", "text"), [("nonesuch", HARBOUR, "grand-tour"), ("grand-tour", None, "has the routes none")]
)
def test_a_route_that_is_not_there_is_named(route: str, world: World | None, text: str) -> None:
    with pytest.raises(DriveFault, match=text):
        asyncio.run(_drive(400.0, route, world))


def test_where_no_shard_is_there_is_no_drive(
    capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    secret = tmp_path_factory.mktemp("secret") / "secret"
    secret.write_text("a secret for tests that is long enough")
    assert main(["--url", "ws://127.0.0.1:9/ws", "--secret-file", str(secret)]) == 2
    assert "drive_route: ws://127.0.0.1:9/ws" in capsys.readouterr().err


def test_good_is_early_and_complete() -> None:
    outcome = Outcome("r", 1.0, 1.0, 9, 5.0, 9, -900.0, -100.0, 20.0, 0, 0, 0, {}, 1.0, 1.0)
    assert outcome.good
    late = Outcome("r", 1.0, 1.0, 9, 5.0, 9, -900.0, 1.0, 20.0, 0, 0, 0, {}, 1.0, 1.0)
    refused = Outcome("r", 1.0, 1.0, 9, 5.0, 9, -900.0, -1.0, 20.0, 0, 0, 0, {"not_allowed": 1}, 1.0, 1.0)
    assert not late.good
    assert not refused.good
