"""Races over real sockets: joining, the grid, the countdown, what everybody is told, receipts, resume, leaving.

Zones are in this process; what a zone tells of gates is put into its Done here, as it would be.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed

from ipc.control import Done, GatePassed, RaceEvent, Sanction, ToMain
from shard.access.denylist import DenyList
from shard.players.rounds import EXPIRY_GRACE_S, EXPIRY_NOTICE_S
from shard.races.receipts import Expected, SigningKey, sign, verify
from shared.messages import (
    Auth,
    AuthPayload,
    CloseCode,
    Error,
    Interact,
    InteractPayload,
    Kiosk,
    Leave,
    Notice,
    Placed,
    RaceGate,
    RaceJoin,
    RaceLeave,
    RacePayload,
    RaceResult,
    RaceState,
    Respawn,
    ServerMessage,
    Welcome,
)
from shared.world.land import land_of
from shared.world.world import World
from tests.fakes.small_world import small_file
from tests.socket_shard import SocketClient, SocketShard, player_id, token
from tests.stepper import InlineZone

SMALL = World.of_file(small_file())
LAND = land_of(SMALL)
KEY = SigningKey("HS256", "a secret for receipts, long enough")
SETTLE_S = 0.05
M = TypeVar("M")


def run(scenario: Callable[[Course, list[SocketClient]], Awaitable[None]], drivers: int = 2) -> None:
    """A scenario with so many players in the world."""

    async def main() -> None:
        async with SocketShard.open(world=SMALL, zones=2) as shard, contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(SocketClient.connect(shard)) for _ in range(drivers)]
            for number, client in enumerate(clients):
                await client.authenticate(number)
                await client.enter(shard)
            await asyncio.wait_for(scenario(Course(shard), clients), 30.0)

    asyncio.run(main())


class Course:
    """A shard with the routes of the small world, whose ticks are from now on 50 ms of its own time apart."""

    def __init__(self, shard: SocketShard) -> None:
        self.shard = shard
        self.now_ms = shard.clock.now_ms()
        self._told: list[RaceEvent | Sanction] = []
        self.races = shard.realm.races
        self.races.open_anywhere = True
        self.races.sign = lambda receipt, now_ms: sign(receipt, KEY, now_ms / 1000.0, 3600.0)
        link = shard.links[0]
        assert isinstance(link, InlineZone)
        receive = link.receive

        def with_news() -> list[ToMain]:
            said = receive()
            if said and self._told:
                assert isinstance(said[0], Done)
                events, self._told = self._told, []
                said[0] = msgspec.structs.replace(said[0], events=[*said[0].events, *events])
            return said

        link.receive = with_news  # type: ignore[method-assign]

    async def ticks(self, count: int = 2) -> None:
        """Let what was sent arrive, then tick."""
        await asyncio.sleep(SETTLE_S)
        for _ in range(count):
            self.now_ms += 50.0
            self.shard.realm.begin_tick(self.now_ms)
            self.shard.collect()
            self.shard.realm.end_tick()
            self.shard.rounds.ticked()

    def passes(self, number: int, gate: int, at_ms: float) -> None:
        """A zone tells that the player passed a gate of race 1, at its next Done."""
        occupant = self.shard.realm.occupant(player_id(number))
        assert occupant is not None
        self._told.append(GatePassed(occupant.slot, occupant.generation, 1, 0, gate, at_ms, 2.0))

    def ghosts(self, number: int) -> None:
        """A zone tells, at its next Done, that anti-cheat has made the player a ghost."""
        body = self.shard.body(player_id(number))
        self._told.append(Sanction(body.slot, body.generation, "ghosted", 11.0))

    async def start(self, clients: list[SocketClient], route: str = "by-gates") -> float:
        """A race of all clients, running; returns its start."""
        for client in clients:
            await client.send(RaceJoin(RacePayload(route), id=7))
            await self.ticks(1)
        self.races.close_list(f"r1-{route}", self.now_ms)
        await self.ticks(4)
        await self.ticks(100)
        state = self.races.state(f"r1-{route}")
        assert state is not None
        assert state.payload.phase == "running"
        assert state.payload.start_at_ms is not None
        return state.payload.start_at_ms


async def heard(client: SocketClient, kind: type[M]) -> list[M]:
    """The messages of this kind that have arrived."""
    found: list[M] = []
    with contextlib.suppress(TimeoutError):
        while True:
            message = await client.receive(0.2)
            if isinstance(message, kind):
                found.append(message)
    return found


async def last_words(client: SocketClient) -> list[ServerMessage]:
    """All that still comes before the connection is closed."""
    found: list[ServerMessage] = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            found.append(await client.receive())
    return found


def test_a_race_over_sockets_from_joining_to_the_receipt() -> None:
    async def scenario(course: Course, clients: list[SocketClient]) -> None:
        anna, ben = clients
        await anna.send(RaceJoin(RacePayload("by-gates"), id=7))
        await course.ticks()
        answers = [message for message in await heard(anna, RaceState) if message.re == 7]
        assert [(answer.payload.race, answer.payload.phase) for answer in answers] == [("r1-by-gates", "open")]
        await ben.send(RaceJoin(RacePayload("r1-by-gates"), id=8))  # the grid is full now
        await course.ticks(5)
        placed = await heard(anna, Placed)
        grid = LAND.routes[2].grid[0]
        assert {(each.payload.reason, each.payload.x, each.payload.z) for each in placed} == {("grid", grid.x, grid.z)}
        assert course.shard.reception.roster.page().counts["racing"] == 2
        await course.ticks(100)
        states = await heard(ben, RaceState)
        phases = [state.payload.phase for state in states]
        assert phases[-1] == "running"
        assert phases.count("countdown") >= 5, "told, and told again"
        [start_ms] = {state.payload.start_at_ms for state in states if state.payload.phase == "countdown"}
        assert start_ms is not None
        revs = [state.payload.rev for state in states]
        assert revs == sorted(revs)
        for gate in range(3):
            course.passes(0, gate, start_ms + 20.0 * (gate + 1))
            course.passes(1, gate, start_ms + 21.0 * (gate + 1))
        await course.ticks(14)
        gates = await heard(anna, RaceGate)
        assert [(gate.payload.player, gate.payload.gate) for gate in gates] == [
            (player_id(number), gate) for gate in range(3) for number in (0, 1)
        ]
        [result] = await heard(ben, RaceResult)
        assert [(line.place, line.player, line.time_ms) for line in result.payload.places] == [
            (1, player_id(0), 60.0),
            (1, player_id(1), 63.0),
        ], "a dead heat: 3 ms are within 2 and 2"
        expected = Expected(player_id(1), "r1-by-gates", "by-gates", course.shard.realm.world.hash)
        claims = verify(result.payload.receipt, KEY.verifying, course.now_ms / 1000.0, expected)
        assert (claims["place"], claims["of"], claims["time_ms"], claims["splits_ms"]) == (
            1,
            2,
            63.0,
            [21.0, 42.0, 63.0],
        )
        assert course.shard.reception.roster.page().counts["racing"] == 0

    run(scenario)


def test_refusals_answer_the_message_and_leaving_is_for_good() -> None:
    async def scenario(course: Course, clients: list[SocketClient]) -> None:
        anna, ben = clients
        await anna.send(RaceJoin(RacePayload("r9-nowhere"), id=3))
        await course.ticks()
        [error] = await heard(anna, Error)
        assert (error.re, error.payload.code) == (3, "unknown_race")
        await course.start(clients)
        await heard(anna, object)
        await anna.send(RaceLeave(RacePayload("r1-by-gates"), id=4))
        await course.ticks()
        [answer] = [message for message in await heard(anna, RaceState) if message.re == 4]
        assert [(racer.player, racer.status) for racer in answer.payload.racers][-1] == (player_id(0), "dnf")
        await anna.send(RaceJoin(RacePayload("r1-by-gates"), id=5))
        await course.ticks()
        [again] = [message for message in await heard(anna, RaceState) if message.re == 5]
        assert again.payload.racers[-1].status == "dnf"
        assert course.races.race_of(player_id(0)) is None
        assert course.races.race_of(ben.player) == "r1-by-gates"

    run(scenario)


def test_who_waits_on_the_grid_is_not_put_back_on_the_road() -> None:
    async def scenario(course: Course, clients: list[SocketClient]) -> None:
        anna, ben = clients
        for client in clients:
            await client.send(RaceJoin(RacePayload("by-gates")))
            await course.ticks(1)
        await course.ticks(5)
        await heard(anna, object)
        await anna.send(Respawn(id=4))
        await course.ticks()
        [error] = await heard(anna, Error)
        assert (error.payload.code, error.re) == ("not_allowed", 4)
        await course.ticks(105)
        await heard(anna, object)
        await anna.send(Respawn(id=5))
        await course.ticks()
        [placed] = await heard(anna, Placed)
        assert (placed.payload.reason, placed.re) == ("respawn", 5)
        assert course.races.race_of(ben.player) == "r1-by-gates"

    run(scenario)


def test_a_lost_socket_is_shown_and_the_next_one_is_told_the_race_and_gets_the_receipt() -> None:
    async def scenario(course: Course, clients: list[SocketClient]) -> None:
        anna, ben = clients
        start_ms = await course.start(clients)
        anna.socket.transport.abort()
        guest = course.shard.reception.guests[player_id(0)]
        while guest.peer is not None:
            await asyncio.sleep(SETTLE_S)
        await course.ticks()
        [*_, state] = await heard(ben, RaceState)
        assert {racer.player: racer.away for racer in state.payload.racers} == {player_id(0): True, player_id(1): False}
        for gate in range(3):
            for number in (0, 1):
                course.passes(number, gate, start_ms + 100.0 * (gate + 1) + number)
        await course.ticks(14)
        async with SocketClient.connect(course.shard) as back:
            await back.send(Auth(AuthPayload(token(0))))
            assert isinstance(await back.receive(), Welcome)
            await course.ticks(4)
            [result] = await heard(back, RaceResult)
            assert verify(result.payload.receipt, KEY.verifying, course.now_ms / 1000.0)["sub"] == player_id(0)

    run(scenario)


def test_who_comes_back_in_time_is_not_away_any_more() -> None:
    async def scenario(course: Course, clients: list[SocketClient]) -> None:
        anna, ben = clients
        await course.start(clients)
        anna.socket.transport.abort()
        guest = course.shard.reception.guests[player_id(0)]
        while guest.peer is not None:
            await asyncio.sleep(SETTLE_S)
        await course.ticks()
        async with SocketClient.connect(course.shard) as back:
            await back.send(Auth(AuthPayload(token(0))))
            assert isinstance(await back.receive(), Welcome)
            await course.ticks()
            [*_, state] = await heard(ben, RaceState)
            assert [racer.away for racer in state.payload.racers] == [False, False]
            assert course.races.race_of(player_id(0)) == "r1-by-gates"

    run(scenario)


def test_a_newer_connection_goes_on_racing_without_a_word_of_being_away() -> None:
    async def scenario(course: Course, clients: list[SocketClient]) -> None:
        _, ben = clients
        await course.start(clients)
        await heard(ben, object)
        async with SocketClient.connect(course.shard) as newer:
            await newer.send(Auth(AuthPayload(token(0))))
            assert isinstance(await newer.receive(), Welcome)
            await course.ticks()
            [state] = await heard(newer, RaceState)
            assert not any(racer.away for racer in state.payload.racers)
            assert await heard(ben, RaceState) == []
            assert course.races.race_of(player_id(0)) == "r1-by-gates"

    run(scenario)


def test_who_leaves_the_world_is_out_of_its_race() -> None:
    async def scenario(course: Course, clients: list[SocketClient]) -> None:
        anna, ben = clients
        await course.start(clients)
        await anna.send(Leave())
        await course.ticks()
        [*_, state] = await heard(ben, RaceState)
        assert [(racer.status, racer.reason) for racer in state.payload.racers] == [("racing", None), ("dnf", "left")]

    run(scenario)


def test_a_finish_is_on_the_board_of_its_route() -> None:
    async def scenario(course: Course, clients: list[SocketClient]) -> None:
        anna, _ = clients
        start_ms = await course.start(clients, "dash")
        [route] = [each for each in LAND.routes if each.id == "dash"]
        for gate in range(len(route.gates_m)):
            course.passes(0, gate, start_ms + 100.0 * (gate + 1))
            course.passes(1, gate, start_ms + 200.0 * (gate + 1))
        await course.ticks(60)
        assert await heard(anna, RaceResult)
        [board] = [kiosk for kiosk in LAND.kiosks if kiosk.kind == "board"]
        course.shard.put(player_id(0), board.x, board.z)
        await course.ticks(4)
        await anna.send(Interact(InteractPayload(board.id, "show"), id=9))
        await course.ticks(3)
        [shown] = [message for message in await heard(anna, Kiosk) if message.re == 9]
        assert shown.payload.state is not None
        times = [(line["player"], line["timeMs"]) for line in shown.payload.state["times"]]
        assert times == [(player_id(number), 100.0 * (number + 1) * len(route.gates_m)) for number in (0, 1)]

    run(scenario)


def test_whom_anticheat_makes_a_ghost_has_no_valid_result() -> None:
    async def scenario(course: Course, clients: list[SocketClient]) -> None:
        _, ben = clients
        await course.start(clients)
        course.ghosts(0)
        await course.ticks()
        [*_, state] = await heard(ben, RaceState)
        shown = {racer.player: (racer.status, racer.flags, racer.reason) for racer in state.payload.racers}
        assert shown == {player_id(0): ("racing", ["invalidated"], "anti-cheat"), player_id(1): ("racing", [], None)}

    run(scenario)


def test_whose_zone_cannot_go_on_is_out_of_its_race() -> None:
    async def scenario(course: Course, clients: list[SocketClient]) -> None:
        await course.start(clients)
        shard = course.shard
        zone = int(shard.memory.table.owner[shard.body(player_id(0)).slot])
        link = shard.links[zone]
        assert isinstance(link, InlineZone)
        link.dies = "told"
        shard.realm.begin_tick(course.now_ms + 50.0)
        shard.collect()
        assert shard.realm.evacuate(zone) > 0
        state = course.races.state("r1-by-gates")
        assert state is not None
        assert (player_id(0), "dnf", "left") in [
            (racer.player, racer.status, racer.reason) for racer in state.payload.racers
        ]
        shard.replace(zone)
        shard.realm.end_tick()

    run(scenario)


@pytest.mark.parametrize("by", ["anti-cheat", "operator"])
@pytest.mark.parametrize("away", [False, True])
def test_who_is_removed_is_disqualified_also_while_its_car_is_held(by: str, away: bool, tmp_path: Path) -> None:
    async def scenario(course: Course, clients: list[SocketClient]) -> None:
        anna, ben = clients
        await course.start(clients)
        if away:
            anna.socket.transport.abort()
            guest = course.shard.reception.guests[player_id(0)]
            while guest.peer is not None:
                await asyncio.sleep(SETTLE_S)
        if by == "operator":
            listed = tmp_path / "deny"
            listed.write_text(player_id(0))
            course.shard.reception.deny = DenyList(listed)
        else:
            course.shard.realm.removed.append(player_id(0))
        await course.ticks()
        [*_, state] = await heard(ben, RaceState)
        ends = [(racer.status, racer.reason, racer.flags) for racer in state.payload.racers]
        assert ends == [("racing", None, []), ("dsq", "removed", [])]
        assert course.shard.realm.occupant(player_id(0)) is None

    run(scenario)


def test_a_token_that_runs_out_while_racing_costs_the_connection_but_not_the_race() -> None:
    async def scenario(course: Course, clients: list[SocketClient]) -> None:
        anna, ben = clients
        reception, rounds = course.shard.reception, course.shard.rounds
        start_ms = await course.start(clients)
        course.passes(0, 0, start_ms + 100.0)
        course.passes(1, 0, start_ms + 101.0)
        guest = reception.guests[player_id(0)]
        assert guest.peer is not None
        guest.peer.session.expires_at_s = reception.now_s + EXPIRY_NOTICE_S - 1.0
        rounds._round_s = -math.inf
        await course.ticks()
        assert [notice.payload.code for notice in await heard(anna, Notice)] == ["auth_expiring"]
        await heard(ben, object)

        guest.peer.session.expires_at_s = reception.now_s - EXPIRY_GRACE_S - 1.0
        rounds._round_s = -math.inf
        await course.ticks()
        [error] = [message for message in await last_words(anna) if isinstance(message, Error)]
        assert (error.payload.code, anna.socket.close_code) == ("token_expired", CloseCode.TOKEN_EXPIRED)
        [*_, state] = await heard(ben, RaceState)
        shown = {racer.player: (racer.status, racer.away) for racer in state.payload.racers}
        assert shown == {player_id(0): ("racing", True), player_id(1): ("racing", False)}
        occupant = course.shard.realm.occupant(player_id(0))
        assert occupant is not None, "the car is held"

        async with SocketClient.connect(course.shard) as back:
            await back.send(Auth(AuthPayload(token(0))))
            welcome = await back.receive()
            assert isinstance(welcome, Welcome)
            assert welcome.payload.resumed
            await course.ticks()
            [*_, state] = await heard(back, RaceState)
            assert not any(racer.away for racer in state.payload.racers)
            for gate in (1, 2):
                course.passes(0, gate, start_ms + 1000.0 * gate)
                course.passes(1, gate, start_ms + 1001.0 * gate + 50.0)
            await course.ticks(60)
            [result] = await heard(back, RaceResult)
            assert [(line.player, line.status, line.time_ms) for line in result.payload.places] == [
                (player_id(0), "finished", 2000.0),
                (player_id(1), "finished", 2052.0),
            ]
            claims = verify(result.payload.receipt, KEY.verifying, course.now_ms / 1000.0)
            assert claims["splits_ms"] == [100.0, 1000.0, 2000.0], "its clock ran on"

    run(scenario)
