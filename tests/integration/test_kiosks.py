"""Kiosks and signals over real sockets: asked, refused and answered by number, shown to others, limited."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from ipc.control import SetFlags
from shared.constants import FLAG_RACING
from shared.messages import (
    Error,
    Interact,
    InteractPayload,
    Kiosk,
    Move,
    MovePayload,
    Placed,
    PresenceRow,
    RaceJoin,
    RacePayload,
    RaceState,
    Respawn,
    ServerMessage,
    Signal,
    SignalHeard,
    SignalPayload,
    Snapshot,
)
from shared.world.land import Land, land_of
from tests.fakes.kiosk_world import GARAGE, RACE, TRAVEL_A, TRAVEL_B, kiosk_world
from tests.socket_shard import SocketClient, SocketShard, player_id

SETTLE_S = 0.02
T = TypeVar("T", bound=ServerMessage)


def run(scenario: Callable[[SocketShard], Awaitable[None]]) -> None:
    """A scenario on a shard of two zones with kiosks."""

    async def main() -> None:
        async with SocketShard.open(world=kiosk_world()) as shard:
            await asyncio.wait_for(scenario(shard), 30.0)

    asyncio.run(main())


async def ticks(shard: SocketShard, count: int = 3) -> None:
    """Some ticks, with time for the sockets between them."""
    for _ in range(count):
        await asyncio.sleep(SETTLE_S / 2)
        shard.tick()
    await asyncio.sleep(SETTLE_S)


async def next_of(client: SocketClient, kind: type[T]) -> T:
    """The next message of a kind; snapshots, placements, states of kiosks and races do not count."""
    while True:
        message = await client.receive()
        state = isinstance(message, Kiosk) and message.payload.action == "state"
        if isinstance(message, kind) and not state:
            return message
        assert state or isinstance(message, Snapshot | Placed | RaceState), message


@contextlib.asynccontextmanager
async def driver(shard: SocketShard, number: int, at: tuple[float, float]) -> AsyncIterator[SocketClient]:
    """A player in the world who stands somewhere."""
    async with SocketClient.connect(shard) as client:
        await client.authenticate(number)
        await client.enter(shard)
        shard.put(client.player, *at)
        await ticks(shard, 4)
        client.epoch = (await next_of(client, Placed)).payload.epoch
        yield client


async def use(
    shard: SocketShard, client: SocketClient, action: str, args: Any = None, kiosk: str = "k-travel-a"
) -> Kiosk:
    """Use a kiosk, and wait for the answer by its number."""
    client.seq += 1
    await client.send(Interact(InteractPayload(kiosk, action, args), id=client.seq))
    await ticks(shard)
    said = await next_of(client, Kiosk)
    assert said.re == client.seq
    assert (said.payload.kiosk, said.payload.action) == (kiosk, action)
    return said


def test_refusals_come_by_number_with_what_to_change() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with SocketClient.connect(shard) as client:
            await client.authenticate(1)
            await client.send(Interact(InteractPayload("k-travel-a", "list"), id=3))
            refused = await next_of_error(client)
            assert (refused.payload.code, refused.re) == ("not_allowed", 3)
        async with driver(shard, 0, TRAVEL_A) as client:
            x, z = TRAVEL_A

            async def reason(action: str = "list", args: Any = None) -> str:
                said = await use(shard, client, action, args)
                assert (said.payload.ok, said.payload.state) == (False, None)
                return str(said.payload.reason)

            await client.send(Interact(InteractPayload("nowhere", "list"), id=99))
            refused = await next_of_error(client)
            assert (refused.payload.code, refused.re) == ("unknown_kiosk", 99)
            assert await reason("fly") == "unknown_action: a travel kiosk has list, go"
            assert await reason("go", {"to": "moon"}) == "bad_args: to is one of k-travel-b"
            body = shard.body(client.player)
            shard.realm.barrier.command(SetFlags(body.slot, body.generation, FLAG_RACING, 0))
            assert await reason() == "racing: finish or leave the race first"
            shard.realm.barrier.command(SetFlags(body.slot, body.generation, 0, FLAG_RACING))
            client.seq += 1
            await client.send(Move(MovePayload(client.epoch, client.seq, 1.0, x, z, 0.0, 0.0, 20.0)))
            assert await reason() == "too_fast: 20.0 m/s, slow down to 3 m/s"
            client.seq += 1
            await client.send(Move(MovePayload(client.epoch, client.seq, 2.0, x, z + 20.0, 0.0, 0.0, 0.0)))
            assert await reason() == "too_far: 20.0 m away, come within 12 m"

    run(scenario)


async def next_of_error(client: SocketClient) -> Error:
    return await next_of(client, Error)


def test_travel_is_answered_then_placed_and_waits_for_its_cooldown() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with driver(shard, 0, TRAVEL_A) as client:
            said = await use(shard, client, "list")
            assert said.payload.state == {"to": [{"kiosk": "k-travel-b", "x": TRAVEL_B[0], "z": TRAVEL_B[1]}]}
            said = await use(shard, client, "go", {"to": "k-travel-b"})
            assert (said.payload.ok, said.payload.state) == (True, {"to": "k-travel-b"})
            placed = await next_of(client, Placed)
            assert (placed.payload.reason, placed.re) == ("kiosk", None)
            await ticks(shard, 4)
            assert shard.memory.table.owner[placed.payload.slot] == 0
            shard.put(client.player, *TRAVEL_B)
            said = await use(shard, client, "go", {"to": "k-travel-a"}, kiosk="k-travel-b")
            assert str(said.payload.reason).startswith("cooldown: wait ")

    run(scenario)


def test_a_lost_car_is_put_on_the_nearest_road_where_it_is_safe() -> None:
    async def scenario(shard: SocketShard) -> None:
        land = land_of(shard.world)
        at = (620.0, 640.0)
        assert from_road_m(land, *at) > 20.0, "off the road"
        async with driver(shard, 0, at) as client:
            await client.send(Respawn(id=6))
            await ticks(shard)
            placed = (await next_of(client, Placed)).payload
            pose = land.respawn(*at, 0.0)
            assert (placed.reason, placed.x, placed.z, placed.yaw) == ("respawn", pose.x, pose.z, pose.yaw)
            assert from_road_m(land, placed.x, placed.z) < 5.0

    run(scenario)


def from_road_m(land: Land, x: float, z: float) -> float:
    nearest = land.graph.nearest(x, z)
    assert nearest is not None
    return nearest.distance_m


def test_a_new_name_and_vehicle_are_seen_by_others_in_the_world_and_in_the_list_of_players() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with driver(shard, 0, GARAGE) as anna, driver(shard, 1, (GARAGE[0] + 4.0, GARAGE[1])) as ben:
            said = await use(shard, anna, "name", {"name": "Fast Anna"}, kiosk="k-garage")
            assert said.payload.state == {"name": "Fast Anna"}
            await ticks(shard)
            names: list[tuple[str, str]] = []
            while ("Fast Anna", "car") not in names:
                snapshot = await next_of(ben, Snapshot)
                whos = [who for cell in snapshot.payload.cells for who in cell.who]
                names += [(who.name, who.vehicle) for who in whos if who.player == anna.player]
            page = shard.reception.roster.page()
            assert PresenceRow(player_id(0), "Fast Anna", "driving") in (page.page or [])
            assert shard.reception.guests[anna.player].entry == shard.body(anna.player).entry

    run(scenario)


def test_a_signal_is_heard_by_others_near_and_limited_per_player() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with driver(shard, 0, GARAGE) as anna, driver(shard, 1, (GARAGE[0] + 4.0, GARAGE[1])) as ben:
            now_ms = shard.clock.now_ms()
            shard.reception._now_ms = lambda: now_ms  # or the cell would have room again on a slow machine
            for number in range(6):
                await anna.send(Signal(SignalPayload("wave"), id=number))
            slot = shard.body(anna.player).slot
            for client in (anna, ben):
                for _ in range(5):
                    heard = await next_of(client, SignalHeard)
                    assert (heard.payload.slot, heard.payload.kind) == (slot, "wave")
            refused = await next_of_error(anna)
            assert (refused.payload.code, refused.re) == ("rate_limited", 5)
            assert 0 < (refused.payload.retry_after_ms or 0) <= 1000
            for number in range(5):
                await ben.send(Signal(SignalPayload("horn"), id=number))
            for client in (ben, anna):
                for _ in range(3):
                    assert (await next_of(client, SignalHeard)).payload.kind == "horn"
            refused = await next_of_error(ben)
            assert (refused.payload.code, refused.re) == ("rate_limited", 3), "the cell has passed on eight"
            assert 0 < (refused.payload.retry_after_ms or 0) <= 1000

    run(scenario)


def test_signals_and_kiosks_need_a_car() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with SocketClient.connect(shard) as client:
            await client.authenticate(0)
            await client.send(Signal(SignalPayload("horn"), id=4))
            refused = await next_of_error(client)
            assert (refused.payload.code, refused.re) == ("not_allowed", 4)

    run(scenario)


async def joined(shard: SocketShard, client: SocketClient, race: str) -> RaceState | Error:
    """The answer to ``race_join``, by its number."""
    client.seq += 1
    await client.send(RaceJoin(RacePayload(race), id=client.seq))
    await ticks(shard)
    while True:
        message = await client.receive()
        if isinstance(message, RaceState | Error) and message.re == client.seq:
            return message


def test_races_are_opened_and_joined_at_their_kiosk() -> None:
    async def scenario(shard: SocketShard) -> None:
        x, z = RACE
        async with driver(shard, 0, RACE) as anna, driver(shard, 1, (x + 4.0, z)) as ben:
            opened = await use(shard, anna, "open", {"route": "dash"}, kiosk="k-race")
            assert (opened.payload.ok, opened.payload.state) == (True, {"race": "r1-dash"})
            refused = await use(shard, anna, "open", {"route": "dash"}, kiosk="k-race")
            assert str(refused.payload.reason).startswith(("not_allowed: you are in a race", "cooldown"))
            known = await use(shard, ben, "join", {"race": "r1-dash"}, kiosk="k-race")
            assert known.payload.state == {"race": "r1-dash"}
            assert shard.realm.races.race_of(ben.player) == "r1-dash"
            shown = await use(shard, ben, "show", kiosk="k-race")
            assert shown.payload.state is not None
            assert [(race["race"], race["racers"]) for race in shown.payload.state["races"]] == [("r1-dash", 2)]

    run(scenario)


def test_race_join_is_answered_near_the_kiosk_and_refused_far_from_it() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with driver(shard, 0, RACE) as anna, driver(shard, 1, GARAGE) as ben:
            await use(shard, anna, "open", {"route": "dash"}, kiosk="k-race")
            far = await joined(shard, ben, "r1-dash")
            assert isinstance(far, Error)
            assert (far.payload.code, far.payload.message) == (
                "not_allowed",
                "drive to a race kiosk of dash first: k-race",
            )
            shard.put(ben.player, RACE[0] + 6.0, RACE[1])
            await ticks(shard)
            near = await joined(shard, ben, "r1-dash")
            assert isinstance(near, RaceState)
            assert [racer.player for racer in near.payload.racers] == [anna.player, ben.player]
            assert isinstance(await joined(shard, ben, "dash"), Error), "only developers join a route"

    run(scenario)


def test_those_near_a_race_kiosk_are_told_who_joins() -> None:
    async def scenario(shard: SocketShard) -> None:
        x, z = RACE
        async with (
            driver(shard, 0, RACE) as anna,
            driver(shard, 1, (x + 4.0, z)) as ben,
            driver(shard, 2, (x, z + 6.0)) as watcher,
        ):
            await use(shard, anna, "open", {"route": "dash"}, kiosk="k-race")
            assert isinstance(await joined(shard, ben, "r1-dash"), RaceState)
            await asyncio.sleep(0.6)  # twice a second at most
            await ticks(shard)
            states = []
            with contextlib.suppress(TimeoutError):
                while True:
                    message = await watcher.receive(0.2)
                    if isinstance(message, Kiosk) and message.payload.kiosk == "k-race":
                        assert message.payload.state is not None
                        states.append([race["racers"] for race in message.payload.state["races"]])
            assert states[0] == []
            assert states[-1] == [2]

    run(scenario)


def test_who_has_joined_stays_with_its_car_before_the_countdown_too() -> None:
    async def scenario(shard: SocketShard) -> None:
        async with driver(shard, 0, RACE) as anna:
            await use(shard, anna, "open", {"route": "dash"}, kiosk="k-race")
            shard.put(anna.player, *GARAGE)
            await ticks(shard, 30)  # its cooldown at kiosks is over
            said = await use(shard, anna, "vehicle", {"vehicle": "kart"}, kiosk="k-garage")
            assert (said.payload.ok, said.payload.reason) == (False, "racing: finish or leave the race first")
            occupant = shard.realm.occupant(anna.player)
            assert occupant is not None
            assert occupant.entry.vehicle == "car"

    run(scenario)
