"""The cheating bots over real sockets, and what they say of what they met."""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import subprocess
import sys
from collections import Counter

import pytest

from scripts import swarm
from scripts.bots import cheat
from scripts.bots.cheat import CheatBot, Outcome, cheat_table, move_of, solid_places
from scripts.bots.cheats import cheat_all
from scripts.bots.gate_cheat import GATE_CHEATS, GateCheatBot, chosen
from scripts.fair.techniques import TECHNIQUES, UNSPEAKABLE, Claim, Technique, WallPasser
from scripts.mint_token import LOCAL_ISSUER
from scripts.running_shard import RunningShard
from shared.messages import (
    Error,
    ErrorPayload,
    Limits,
    Notice,
    NoticePayload,
    Placed,
    PlacedPayload,
    PlacedReason,
    RaceGate,
    RaceGatePayload,
    Welcome,
    WelcomePayload,
    WorldInfo,
    decode_client,
    encode,
)
from shared.vehicles import VEHICLES
from shared.world.land import Land
from shared.world.world import World
from tests.fakes.small_world import small_land

SECRET = "a secret for cheats that is long enough"


def bot_of(name: str) -> CheatBot:
    technique = next(each for each in TECHNIQUES if each.name == name)
    return CheatBot(technique, VEHICLES[0], "token", "cheat-00")


def placed(x: float, z: float, epoch: int, reason: PlacedReason, check: str | None = None) -> bytes:
    return encode(Placed(PlacedPayload(epoch, 3, x, 0.0, z, 0.0, 9, reason, 0.0, 0.0, None, check)))


def welcome(size_m: int, zones: list[tuple[float, float, float, float]]) -> bytes:
    world = WorldInfo("open", 1, size_m, 64, "0" * 16)
    limits = Limits(30, 16384, 32, 25, 6)
    return encode(Welcome(WelcomePayload("p", "s", 1, 20, 1.75e12, 1.76e12, False, world, zones, limits)))


def welcome_to(land: Land) -> bytes:
    world = World.of_file(land.file, land.seed) if land.file.name != "open" else World("open", land.seed, land.size_m)
    info = WorldInfo(world.preset, world.seed, world.size_m, 64, world.hash)
    zones = [(0.0, 0.0, float(land.size_m), float(land.size_m))]
    payload = WelcomePayload("p", "s", 1, 20, 1.75e12, 1.76e12, False, info, zones, Limits(30, 16384, 32, 25, 6))
    return encode(Welcome(payload))


def test_every_technique_runs_against_a_real_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it is mitigated is asserted elsewhere: here the clients must be understood and the result complete."""
    monkeypatch.setattr(cheat, "WARM_UP_S", 0.6)
    env = {"SUPABASE_JWT_SECRET": SECRET}
    with RunningShard(["--zones", "2", "--world-size", "512"], env) as shard:
        outcomes = asyncio.run(cheat_all(shard.url, SECRET, LOCAL_ISSUER, "authenticated", 2.5, 1))
    by_name = {outcome.name: outcome for outcome in outcomes}
    unspeakable = [name for name, _ in UNSPEAKABLE]
    assert list(by_name) == ["honest", *(each.name for each in TECHNIQUES), *unspeakable, *GATE_CHEATS]
    for name in GATE_CHEATS:
        assert by_name[name].note == "no such route in this world", "that is one without routes"
    for name, _ in UNSPEAKABLE:
        assert by_name[name].errors == {"malformed": by_name[name].errors["malformed"]}
        assert by_name[name].closed.startswith("4400")
        assert by_name[name].first_s < 1.0
    for technique in TECHNIQUES:
        assert by_name[technique.name].moves >= 10, technique.name
        assert set(by_name[technique.name].errors) <= {"removed"}, technique.name
    assert by_name["honest"].corrections == by_name["honest"].errors == Counter()
    assert not by_name["honest"].closed


def test_the_swarm_has_a_flag_for_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[tuple[float, int, str, str | None]] = []

    async def all_of_them(
        url: str, secret: str, issuer: str, audience: str, seconds: float, seed: int, land: Land, route: str | None
    ) -> list[Outcome]:
        asked.append((seconds, seed, land.file.name, route))
        return [Outcome("flying", "car", moves=7, corrections=Counter(flight=2), first_s=0.25)]

    monkeypatch.setattr(swarm, "cheat_all", all_of_them)
    argv = ["--cheats", "--seconds", "3", "--seed", "8", "--json", "--route", "quay-sprint"]
    assert swarm.main(argv, {"SUPABASE_JWT_SECRET": SECRET}) == 0
    said = capsys.readouterr()
    assert asked == [(3.0, 8, "harbour", "quay-sprint")]
    assert json.loads(said.out)[0]["corrections"] == {"flight": 2}
    assert "flight 2" in said.err


def test_a_shard_that_is_not_there_is_told() -> None:
    command = [sys.executable, "-m", "scripts.swarm", "--cheats", "--seconds", "0.1", "--url", "ws://127.0.0.1:9/ws"]
    env = {**os.environ, "SUPABASE_JWT_SECRET": SECRET}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "no bot could connect" in done.stderr


def test_corrections_and_errors_are_counted_from_the_first_deed_on() -> None:
    bot = bot_of("speed x2")
    bot.received(welcome(512, [(0.0, 0.0, 512.0, 512.0)]), is_text=True)
    bot.received(placed(100.0, 100.0, 1, "enter"), is_text=True)
    assert math.isnan(bot.outcome.first_s)
    assert (bot.client.x, bot.client.epoch) == (100.0, 1)
    bot.deed()
    bot.received(placed(90.0, 100.0, 2, "correction", "budget"), is_text=True)
    first_s = bot.outcome.first_s
    bot.received(placed(80.0, 100.0, 3, "correction", "late"), is_text=True)
    bot.received(encode(Error(ErrorPayload("removed", "so long"))), is_text=True)
    bot.ended(4428, "removed")
    assert bot.outcome.corrections == {"budget": 1, "late": 1}
    assert bot.outcome.errors == {"removed": 1}
    assert bot.outcome.closed == "4428 removed"
    assert 0.0 <= first_s == bot.outcome.first_s <= bot.outcome.closed_s
    assert (bot.client.x, bot.client.epoch) == (80.0, 3)


def test_a_bot_that_jumps_at_borders_looks_for_one() -> None:
    bot = bot_of("teleport in handoff")
    bot.received(welcome(512, [(0.0, 0.0, 256.0, 512.0), (256.0, 0.0, 512.0, 512.0)]), is_text=True)
    bot.received(placed(100.0, 100.0, 1, "enter"), is_text=True)
    assert getattr(bot.client, "border_x", None) == 256.0
    alone = bot_of("teleport in handoff")
    alone.received(welcome(512, [(0.0, 0.0, 512.0, 512.0)]), is_text=True)
    alone.received(placed(100.0, 100.0, 1, "enter"), is_text=True)
    assert alone.outcome.note == "no border in this world"


def test_a_bot_that_drives_through_walls_aims_at_the_nearest() -> None:
    land = small_land()
    places = solid_places(land)
    assert places
    bot = CheatBot(Technique("wall pass", WallPasser), VEHICLES[0], "token", "cheat-00", "p", land)
    bot.received(welcome_to(land), is_text=True)
    bot.received(placed(100.0, 100.0, 1, "enter"), is_text=True)
    assert bot.outcome.note == ""
    bot._steer()
    assert bot.client.radius_m < 1e6, "first it drives as everybody does"
    bot.client.begin()
    bot._steer()
    assert bot.client.radius_m > 1e6, "straight ahead"
    x, z = min(places, key=lambda at: math.hypot(at[0] - 100.0, at[1] - 100.0))
    assert bot.client.yaw == pytest.approx(math.atan2(x - 100.0, z - 100.0))
    bot._step(1000.0, 0.05)
    assert math.isnan(bot._deed_s), "it is on its way"
    bot.client.x, bot.client.z = x + 3.0 * math.sin(bot.client.yaw), z + 3.0 * math.cos(bot.client.yaw)
    bot._step(1000.05, 0.05)
    assert not math.isnan(bot._deed_s)


def test_without_anything_solid_it_says_so() -> None:
    bot = CheatBot(Technique("wall pass", WallPasser), VEHICLES[0], "token", "cheat-00")
    bot.received(welcome_to(Land.of(World("open", 1, 512))), is_text=True)
    bot.received(placed(100.0, 100.0, 1, "enter"), is_text=True)
    assert bot.outcome.note == "nothing solid in this world"


def test_in_a_world_that_it_does_not_know_it_says_so() -> None:
    land = small_land()
    bot = CheatBot(Technique("wall pass", WallPasser), VEHICLES[0], "token", "cheat-00", "p", small_land(seed=8))
    bot.received(welcome_to(land), is_text=True)
    assert bot.outcome.note == "this world is not known here: small"


def racing_bot(name: str, land: Land, route: str | None = None) -> GateCheatBot:
    bot = GateCheatBot(name, VEHICLES[0], "token", "cheat-00", "p", random.Random(1), land, route)
    bot.received(welcome_to(land), is_text=True)
    return bot


def test_a_cheat_at_gates_races_on_the_shortest_route_or_the_one_that_is_named() -> None:
    land = small_land()
    assert chosen(land, None) is land.routes[2]
    assert chosen(land, "dash") is land.routes[0]
    assert racing_bot("gate skip", land).client.racer is not None
    stranded = racing_bot("gate skip", land, "nonesuch")
    assert stranded.client.racer is None
    assert stranded.outcome.note == "no such route in this world"


def test_what_a_racer_is_told_counts_from_its_deed_on() -> None:
    bot = racing_bot("reverse gates", small_land())
    gate = encode(RaceGate(RaceGatePayload("r1-dash", 3, "p", 0, 0, 1.75e12, 1.0, 100.0, 1)))
    other = encode(RaceGate(RaceGatePayload("r1-dash", 3, "q", 0, 0, 1.75e12, 1.0, 100.0, 1)))
    bot.received(gate, is_text=True)
    assert math.isnan(bot.outcome.first_s)
    bot.deed()
    bot.received(other, is_text=True)
    assert (bot.outcome.gates, bot.outcome.gates_after) == (1, 0)
    bot.received(encode(Notice(NoticePayload("wrong_way", "turn round"))), is_text=True)
    bot.received(gate, is_text=True)
    assert (bot.outcome.gates, bot.outcome.gates_after) == (1, 1)
    assert bot.outcome.notices == {"wrong_way": 1}
    assert bot.outcome.first_s >= 0.0


def test_a_claim_becomes_a_message_that_the_shard_reads() -> None:
    claim = Claim(12.5, 1.0, math.nan, 2.0, 0.5, 3.0, 0.0, 4.0, 7, 8)
    message = move_of(claim)
    assert decode_client(encode(message)) == message
    assert (message.payload.y, message.payload.vy) == (None, None)
    flying = move_of(claim._replace(y=40.0, vy=1.0))
    assert (flying.payload.y, flying.payload.vy) == (40.0, 1.0)
    assert move_of(claim._replace(t_ms=-5.0)).payload.t == 0.0


def test_the_table_names_what_each_met() -> None:
    outcomes = [
        Outcome(
            "a",
            "car",
            moves=5,
            first_s=0.1,
            corrections=Counter(clip=2),
            notices=Counter(wrong_way=1),
            gates=2,
            errors=Counter(removed=1),
            closed="4428 removed",
            closed_s=3.0,
        ),
        Outcome("b", "car", note="why"),
    ]
    lines = cheat_table(outcomes).splitlines()
    assert len(lines) == 3
    assert all(word in lines[1] for word in ("0.10 s", "clip 2", "removed 1", "4428 removed after 3.0 s"))
    assert "wrong_way 1; 2 gates, then 0" in lines[1]
    assert lines[2].split() == ["b", "0", "-", "-", "-", "-", "-", "why"]
    assert outcomes[1].as_dict()["firstReactionS"] is None
