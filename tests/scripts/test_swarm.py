"""The swarm as a command against a small shard over real sockets, and one bot's answers to each kind of message."""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import jwt
import pytest
from msgspec.structs import replace
from websockets.asyncio.server import ServerConnection, broadcast, serve

from scripts import swarm
from scripts.bots.bot import Bot, Identity, Phase, Surroundings
from scripts.bots.cross_check import CrossCheck
from scripts.bots.driver import CarState, Roamer
from scripts.bots.referee import Referee
from scripts.bots.report import table
from scripts.bots.rules import Findings, Kind, Rules, Violation
from scripts.bots.tally import Tally, percentiles_ms
from scripts.bots.truth import Track
from shared.constants import SEQ_MASK
from shared.messages import (
    AtRow,
    Auth,
    Cell,
    Enter,
    Error,
    ErrorPayload,
    Leave,
    Limits,
    Lobby,
    LobbyPayload,
    Move,
    Ping,
    Placed,
    PlacedPayload,
    Pong,
    PongPayload,
    ServerMessage,
    Snapshot,
    SnapshotPayload,
    Welcome,
    WelcomePayload,
    WhoRow,
    WorldInfo,
    decode_client,
    encode,
)
from shared.vehicles import VEHICLES

SECRET = "a secret for tests that is long enough to be one"
SIZE_M = 64
WELCOME = WelcomePayload(
    player="p",
    session="s",
    protocol=1,
    tick_hz=20.0,
    server_time_ms=1e12,
    expires_at_ms=2e12,
    resumed=False,
    world=WorldInfo("open", 1, SIZE_M, 64, "0" * 16),
    zones=[(0.0, 0.0, 32.0, 64.0), (32.0, 0.0, 64.0, 64.0)],
    limits=Limits(30, 16384, 32, 25, 6),
)


class Member:
    """One connection of the little shard."""

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.player = ""
        self.slot = -1
        self.row: AtRow | None = None
        self.told: set[int] = set()


class LittleShard:
    """Plays one cell with everybody in it, at 20 Hz, correctly, unless ``forget_after`` ticks it loses a player."""

    def __init__(self, forget_after: int | None = None, hang_up_after: int | None = None) -> None:
        self.forget_after = forget_after
        self.hang_up_after = hang_up_after
        self.members: dict[int, Member] = {}
        self.slots = 0
        self.tick = 0
        self.port = 0

    async def serve_until(self, ready: threading.Event, stop: asyncio.Event) -> None:
        async with serve(self.client, "127.0.0.1", 0, compression=None) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            ready.set()
            while not stop.is_set():
                self.play()
                if self.tick == self.hang_up_after:
                    await self.hang_up()
                await asyncio.sleep(0.05)

    async def client(self, connection: ServerConnection) -> None:
        member = Member(connection)
        try:
            async for message in connection:
                assert isinstance(message, str)
                for answer in self.answer(member, message):
                    await connection.send(encode(answer), text=True)
        finally:
            self.members.pop(member.slot, None)

    def answer(self, member: Member, message: str) -> list[ServerMessage]:
        parsed = decode_client(message.encode())
        if isinstance(parsed, Auth):
            claims = jwt.decode(parsed.payload.token, SECRET, algorithms=["HS256"], audience="authenticated")
            member.player = claims["sub"]
            return [Welcome(WELCOME), Lobby(LobbyPayload("welcome", 1, 8))]
        if isinstance(parsed, Enter):
            self.slots += 1
            member.slot = self.slots
            x, z = 20.0 + 5 * self.slots, 32.0
            member.row, member.told = AtRow(member.slot, 0, int(100 * x), int(100 * z), 0, 0), set()
            self.members[member.slot] = member
            return [Placed(PlacedPayload(1, member.slot, x, 0.0, z, 0.0, self.tick, "enter"))]
        if isinstance(parsed, Leave):
            self.members.pop(member.slot, None)
            return [Lobby(LobbyPayload("left", 1, 8))]
        if isinstance(parsed, Ping):
            return [Pong(PongPayload(parsed.payload.t, 1e12 + 50.0 * self.tick))]
        if isinstance(parsed, Move) and member.row is not None:
            move = parsed.payload
            speed = (move.vx**2 + move.vz**2) ** 0.5
            yaw = int(1000 * move.yaw)
            member.row = AtRow(
                member.slot, move.seq & SEQ_MASK, int(100 * move.x), int(100 * move.z), yaw, int(100 * speed)
            )
        return []

    def play(self) -> None:
        self.tick += 1
        hidden = {max(self.members)} if self.members and self.tick > (self.forget_after or 1 << 30) else set()
        shown = [member for slot, member in self.members.items() if slot not in hidden]
        for member in list(self.members.values()):
            rows = [other.row for other in shown if other.row is not None]
            who = [
                WhoRow(other.slot, other.player, f"name {other.slot}", "car")
                for other in shown
                if other.slot not in member.told
            ]
            gone = sorted(member.told - {other.slot for other in shown})
            member.told = {other.slot for other in shown}
            cell = Cell(7, who=who, at=rows, gone=gone)
            snapshot = Snapshot(SnapshotPayload(self.tick, 1e12 + 50.0 * self.tick, [cell]))
            broadcast([member.connection], encode(snapshot), text=True)

    async def hang_up(self) -> None:
        for member in list(self.members.values()):
            await member.connection.close(1012, "restart")


@contextmanager
def running(shard: LittleShard) -> Iterator[str]:
    """The URL of the shard, which runs in a thread of its own."""
    ready, holder = threading.Event(), dict[str, Any]()

    async def run() -> None:
        holder["loop"], holder["stop"] = asyncio.get_running_loop(), asyncio.Event()
        await shard.serve_until(ready, holder["stop"])

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert ready.wait(10)
    try:
        yield f"ws://127.0.0.1:{shard.port}/ws"
    finally:
        holder["loop"].call_soon_threadsafe(holder["stop"].set)
        thread.join(10)


def run_swarm(url: str, *more: str) -> int:
    argv = ["--url", url, "--bots", "3", "--ramp", "0.2", "--seed", "5", *more]
    return swarm.main(argv, {"SUPABASE_JWT_SECRET": SECRET})


def test_a_good_shard_is_all_well(capsys: pytest.CaptureFixture[str]) -> None:
    with running(LittleShard()) as url:
        assert run_swarm(url, "--seconds", "4", "--json", "--churn", "12") == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert result["ok"] is True
    assert result["violations"] == 0
    assert result["connectedMost"] == result["inWorldMost"] == 3
    assert result["snapshots"] > 100
    assert result["entered"] >= 3
    assert result["moveToSeenMs"]["count"] > 50
    assert 0 < result["moveToSeenMs"]["p50"] <= result["moveToSeenMs"]["p99"] < 500
    assert result["bytesInPerPlayerSecond"] > 1000
    assert result["disconnects"] == {}
    assert "in world 3" in err
    assert "all well" in err


def test_a_shard_that_loses_a_player_is_found_out(capsys: pytest.CaptureFixture[str]) -> None:
    with running(LittleShard(forget_after=50)) as url:
        assert run_swarm(url, "--seconds", "5") == 1
    out = capsys.readouterr().out
    assert "unacknowledged" in out, "the lost one sees no own row"
    assert "lost" in out, "the others do not see it"
    assert "NOT well" in out


def test_connections_that_end_unasked_are_counted_by_code(capsys: pytest.CaptureFixture[str]) -> None:
    with running(LittleShard(hang_up_after=30)) as url:
        assert run_swarm(url, "--seconds", "2.5", "--json") == 1
    result = json.loads(capsys.readouterr().out)
    assert result["disconnects"] == {"1012 restart": 3}
    assert result["violations"] == 0


def test_processes_share_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    with running(LittleShard()) as url:
        assert run_swarm(url, "--seconds", "2.5", "--processes", "2", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["bots"] == result["inWorldMost"] == 3
    assert result["violations"] == 0


def test_ctrl_c_ends_early_with_a_result(capsys: pytest.CaptureFixture[str]) -> None:
    timer = threading.Timer(1.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    with running(LittleShard()) as url:
        timer.start()
        began_s = time.monotonic()
        assert run_swarm(url, "--seconds", "60", "--json") == 0
        assert time.monotonic() - began_s < 20
    assert json.loads(capsys.readouterr().out)["snapshots"] > 0


# --- arguments -------------------------------------------------------------------------------------------------------


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_no_server_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_swarm(f"ws://127.0.0.1:{closed_port()}/ws", "--seconds", "0.3") == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("swarm: --url: no bot could connect to ws://127.0.0.1")


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["--bots", "0"], "--bots"),
        (["--bots", "many"], "--bots"),
        (["--processes", "9", "--bots", "3"], "--processes"),
        (["--seconds", "nan"], "--seconds"),
        (["--churn", "-1"], "--churn"),
        (["--url", "http://127.0.0.1/"], "--url"),
        (["--speed", "9"], "--speed"),
        (["--token-secret-file", "/nowhere/secret"], "/nowhere/secret"),
    ],
)
def test_bad_arguments_are_one_line(argv: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert swarm.main(argv, {"SUPABASE_JWT_SECRET": SECRET}) == 2
    err = capsys.readouterr().err
    assert err.startswith("swarm: ")
    assert named in err
    assert err.count("\n") == 1


def test_the_secret_comes_from_the_named_file_then_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert swarm.main(["--bots", "1"], {}) == 2
    assert ".dev-secret" in capsys.readouterr().err
    assert not (tmp_path / ".dev-secret").exists()
    file = tmp_path / "mine"
    file.write_text("another secret, that is also long enough to be one\n")
    file.chmod(0o600)
    env = {"SUPABASE_JWT_SECRET": SECRET}
    assert swarm._signing_keys(str(file), env).secret == "another secret, that is also long enough to be one"
    assert swarm._signing_keys(None, env).secret == SECRET


# --- one bot ---------------------------------------------------------------------------------------------------------


class Desk:
    """A bot without a connection: what it would send is kept, time stands still until moved."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        churn: float = 0.0,
        rules: Rules | None = None,
        churn_until_s: float = math.inf,
    ) -> None:
        self.now_s = 100.0
        self.sent: list[Any] = []
        self.findings = Findings()
        self.tally = Tally(findings=self.findings)
        self.track = Track("p", VEHICLES[0])
        truth = {"p": self.track}
        self.referee = Referee("p", truth, self.findings, rules)
        around = Surroundings(self.tally, CrossCheck(truth), lambda: self.now_s, lambda: 0.0)
        rng = random.Random(4)
        driver = Roamer(rng, VEHICLES[0])
        identity = Identity(1, "p", "token", "bot-0001", "car")
        self.bot = Bot(
            identity, driver, self.track, self.referee, around, rng, churn, True, churn_until_s=churn_until_s
        )
        monkeypatch.setattr(self.bot, "_send", self.take)
        self.bot._enter_phase(Phase.AUTH_SENT)

    def take(self, message: Any) -> bool:
        self.sent.append(message)
        return True

    def hear(self, *messages: ServerMessage) -> None:
        for message in messages:
            self.bot.received(encode(message), is_text=True)

    def wait(self, seconds: float) -> list[Any]:
        """Step at 20 Hz; return what was sent meanwhile."""
        self.sent.clear()
        for _ in range(round(seconds / 0.05)):
            self.now_s += 0.05
            self.bot.step()
        return list(self.sent)


def enter(desk: Desk) -> None:
    desk.hear(Welcome(WELCOME), Lobby(LobbyPayload("welcome", 1, 8)))
    assert [type(message) for message in desk.wait(0.05)] == [Enter]
    desk.hear(Placed(PlacedPayload(6, 3, 30.0, 0.0, 30.0, 1.0, 5, "enter")))


def test_a_bot_enters_and_drives_with_the_epoch_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch)
    enter(desk)
    moves = desk.wait(1.0)
    assert len(moves) == 20
    assert {move.payload.epoch for move in moves} == {6}
    assert [b.payload.seq - a.payload.seq for a, b in pairwise(moves)] == [1] * 19
    assert moves[-1].payload.t - moves[0].payload.t == pytest.approx(950.0)
    assert desk.track.car == CarState(
        moves[-1].payload.x, moves[-1].payload.z, moves[-1].payload.yaw, desk.track.car.speed_mps
    )
    desk.hear(Placed(PlacedPayload(9, 3, 10.0, 0.0, 50.0, 0.0, 5, "respawn")))
    move = desk.wait(0.05)[0].payload
    assert move.epoch == 9
    assert abs(move.x - 10.0) < 1.0
    assert abs(move.z - 50.0) < 1.0
    assert not desk.findings.kept


def test_a_resumed_bot_drives_without_entering(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch)
    desk.hear(Welcome(WELCOME), Placed(PlacedPayload(2, 3, 30.0, 0.0, 30.0, 0.0, 5, "resume")))
    assert [type(message) for message in desk.wait(0.05)] == [Move]


def test_churn_leaves_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, churn=60.0)
    enter(desk)
    sent = desk.wait(9.0)
    assert isinstance(sent[-1], Leave)
    assert not desk.track.present
    desk.hear(Lobby(LobbyPayload("left", 1, 8)))
    assert desk.track.left_s == desk.now_s
    assert [type(message) for message in desk.wait(6.1) if not isinstance(message, Ping)] == [Enter]
    assert (desk.tally.entered, desk.tally.left) == (1, 1)


def test_nobody_leaves_later_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, churn=60.0, churn_until_s=0.0)
    enter(desk)
    assert not [message for message in desk.wait(20.0) if isinstance(message, Leave)]


def test_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch)
    desk.wait(9.9)
    assert not desk.findings.kept
    desk.wait(0.2)
    assert desk.findings.counts[Kind.UNANSWERED] == 1


def test_what_an_honest_bot_does_not_deserve(monkeypatch: pytest.MonkeyPatch) -> None:
    correction = Placed(PlacedPayload(7, 3, 31.0, 0.0, 30.0, 1.0, 9, "correction", seq=4, check="speed"))
    refusal = Error(ErrorPayload("rate_limited", "too many"))
    desk = Desk(monkeypatch)
    enter(desk)
    desk.hear(correction, refusal)
    assert desk.findings.counts == {Kind.CORRECTED: 1, Kind.REFUSED: 1}
    assert desk.findings.kept[0].evidence["check"] == "speed"
    assert desk.tally.errors == {"rate_limited": 1}
    cheater = Desk(monkeypatch, rules=Rules(honest=False))
    enter(cheater)
    cheater.hear(correction, refusal)
    assert not cheater.findings.kept


def test_unreadable_and_binary_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch)
    desk.bot.received(b'{"type":"snapshot","payload":{"tick":"x"}}', is_text=True)
    desk.bot.received(b'{"type":"unheard_of"}', is_text=True)
    desk.bot.received(encode(Lobby(LobbyPayload("welcome", 1, 8))), is_text=False)
    assert desk.findings.counts == {Kind.UNREADABLE: 3}


def test_pings_synchronise_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch)
    enter(desk)
    sent_ms = desk.bot._client_ms(desk.now_s)
    desk.now_s += 0.02
    desk.hear(Pong(PongPayload(sent_ms, 5_000_000.0)))
    assert desk.bot.clock_offset_ms == pytest.approx(5_000_000.0 - 1000 * (desk.now_s - 0.01))


def test_after_a_cut_the_time_is_asked_for_anew_and_the_comeback_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shard may be another one by then, whose clock is ahead of the last."""
    desk = Desk(monkeypatch)
    monkeypatch.setattr(desk.bot, "_come_back", never)
    enter(desk)
    desk.hear(Pong(PongPayload(desk.bot._client_ms(desk.now_s - 0.02), 5_000_000.0)))
    [move] = [message.payload for message in desk.wait(0.05) if isinstance(message, Move)]
    desk.wait(0.95)
    cut_s = desk.now_s

    async def cut() -> None:
        desk.bot.ended(1006, "")

    asyncio.run(cut())
    desk.now_s += 2.0
    desk.bot._enter_phase(Phase.AUTH_SENT)
    desk.sent.clear()
    desk.hear(Welcome(replace(WELCOME, resumed=True)))
    assert [type(message) for message in desk.sent] == [Ping]
    assert math.isnan(desk.bot.clock_offset_ms)
    desk.hear(Placed(PlacedPayload(7, 3, move.x, 0.0, move.z, move.yaw, 9, "resume")))
    desk.hear(Pong(PongPayload(desk.bot._client_ms(desk.now_s - 0.01), 6_000_000.0)))
    assert desk.bot.clock_offset_ms == pytest.approx(6_000_000.0 - 1000 * (desk.now_s - 0.005))
    assert desk.bot.clock_err_ms == pytest.approx(10.0), "the worse of both connections"
    [comeback] = desk.tally.comebacks
    assert (comeback.cut_s, comeback.back_s) == (cut_s, cut_s + 2.0)
    assert comeback.age_s == pytest.approx(0.95)
    assert desk.tally.cuts_s == [cut_s]
    assert not desk.findings.kept


async def never() -> None:
    """It does not come back by itself."""


# --- counting --------------------------------------------------------------------------------------------------------


def test_tallies_merge() -> None:
    one, other = Tally(bots=2, seconds=5.0, player_s=8.0), Tally(bots=3, seconds=6.0, player_s=9.0)
    one.latency.update({100: 5})
    other.latency.update({100: 5, 900: 10})
    other.findings.add(Violation(Kind.LOST, 3, 1.0, "p", {"subject": "q"}))
    one.cuts_s, other.cuts_s = [3.0], [4.0]
    one.merge(other)
    assert one.cuts_s == [3.0, 4.0]
    assert (one.bots, one.seconds, one.player_s) == (5, 6.0, 17.0)
    assert one.failed
    result = one.result()
    assert result["moveToSeenMs"] == {"count": 20, "p50": 10.0, "p95": 90.0, "p99": 90.0, "max": 90.0}
    assert result["violationsKept"][0]["evidence"] == {"subject": "q"}
    json.dumps(result)


@pytest.mark.parametrize(("late", "told"), [(0, "0.0 %"), (20, "2.0 %"), (21, "2.1 %")])
def test_whoever_reads_the_result_is_told_when_the_shard_had_not_the_processor_it_needs(late: int, told: str) -> None:
    lines = table(Tally(snapshots=1000, snapshots_late=late)).splitlines()
    [line] = [line for line in lines if line.startswith("zones late")]
    assert told in line
    assert ("overloaded" in line) is (late > 20)


def test_percentiles_of_nothing_are_zero() -> None:
    assert percentiles_ms(Tally().latency) == {"count": 0, "p50": 0.0, "p95": 0.0, "p99": 0.0, "max": 0.0}
