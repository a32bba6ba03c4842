"""Kiosks in a whole shard: judged by real zones, answered once, and seen by those who stand near and nobody else."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest

from ipc.control import Reidentify, SetFlags, UseKiosk
from shard.land.kiosks import STATE_EVERY_MS, TIMEOUT_MS
from shard.players.occupants import Entry
from shared.constants import BORDER_BAND_M, CELL_M, FLAG_AWAY, FLAG_RACING
from shared.messages import Error, InteractPayload, Kiosk, KioskPayload, SignalHeard, SignalHeardPayload
from tests.fakes.kiosk_world import BOARD, GARAGE, TRAVEL_A, TRAVEL_B, kiosk_world
from tests.stepper import PERIOD_MS, InlineZone, Recorder, ShardStepper, payload_of
from tests.watcher import Watcher

WORLD = kiosk_world()


@dataclass
class Viewer(Recorder):
    """A client that follows the contract to the letter, and notes who was in the picture after each frame."""

    view: Watcher = field(default_factory=Watcher)
    shows: list[set[str]] = field(default_factory=list)

    def offer(self, frame: bytes) -> bool:
        message: dict[str, Any] = json.loads(payload_of(frame))
        if message["type"] != "snapshot":
            return super().offer(frame)
        self.view.apply(message["payload"])
        self.shows.append(self.view.players())
        return True


def join(shard: ShardStepper, player: str, at: tuple[float, float]) -> Viewer:
    """Let a player in and stand it somewhere."""
    viewer = Viewer()
    shard.clients[player] = viewer
    shard._seq[player] = 0
    shard.realm.enter(Entry(player, f"Driver {player}", "car"), viewer)
    shard.step()
    shard.put(player, *at)
    shard.step(4)  # placed, told to be abroad, handed over, forgotten
    return viewer


def ask(shard: ShardStepper, player: str, kiosk: str, action: str, args: Any = None, re: int = 7) -> None:
    shard.realm.attendant.use(shard.body(player), InteractPayload(kiosk, action, args), re)


def answer(shard: ShardStepper, player: str, kiosk: str, action: str, args: Any = None) -> KioskPayload:
    """Ask, and wait for the one answer."""
    client = shard.clients[player]
    before = len(answers(client))
    ask(shard, player, kiosk, action, args, re=before)
    shard.step(2)
    found = answers(client)
    assert len(found) == before + 1, found[before:]
    assert found[-1].re == before
    return found[-1].payload


def answers(client: Recorder) -> list[Kiosk]:
    return [each for each in client.sent if isinstance(each, Kiosk) and each.payload.action != "state"]


def boards(client: Recorder) -> list[Kiosk]:
    """The board's states that a client was shown; where it appeared first, it saw other kiosks."""
    return [each for each in client.kiosks("state") if each.payload.kiosk == "k-board"]


def heard(client: Recorder) -> list[SignalHeardPayload]:
    return [each.payload for each in client.sent if isinstance(each, SignalHeard)]


@pytest.fixture(params=["thread", "process"])
def shard(request: pytest.FixtureRequest) -> Iterator[ShardStepper]:
    """Zone 0 is the western half, zone 1 the eastern; the border lies at x = 512."""
    with ShardStepper(zones=2, players=16, zones_in=request.param, world=WORLD) as made:
        yield made


@pytest.fixture
def inline() -> Iterator[ShardStepper]:
    """The same in one process."""
    with ShardStepper(zones=2, players=16, world=WORLD) as made:
        yield made


# --- who may


def test_every_refusal_has_its_reason_and_the_zone_judges_where_the_car_stands_now(shard: ShardStepper) -> None:
    anna = join(shard, "anna", TRAVEL_A)
    x, z = TRAVEL_A
    body = shard.body("anna")

    ask(shard, "anna", "nowhere", "go", {"to": "k-travel-b"}, re=5)
    [error] = [each for each in anna.sent if isinstance(each, Error)]
    assert (error.payload.code, error.re) == ("unknown_kiosk", 5)

    def reason() -> str | None:
        said = answer(shard, "anna", "k-travel-a", "list")
        assert said.ok == (said.reason is None)
        return said.reason

    assert reason() is None
    for flag, why in ((FLAG_AWAY, "away: come back first"), (FLAG_RACING, "racing: finish or leave the race first")):
        shard.realm.barrier.command(SetFlags(body.slot, body.generation, flag, 0))
        shard.step()
        assert reason() == why
        shard.realm.barrier.command(SetFlags(body.slot, body.generation, 0, flag))
        shard.step()
    shard.move("anna", x + 3.0, z + 4.0, vx=6.0, vz=8.0)
    assert reason() == "too_fast: 10.0 m/s, slow down to 3 m/s"
    shard.move("anna", x + 30.0, z + 40.0)
    assert reason() == "too_far: 50.0 m away, come within 12 m"
    shard.move("anna", x + 3.0, z + 4.0, vx=1.0)  # arrives with the very Tick that carries the question
    assert reason() is None
    assert shard.realm.barrier.unanswered == 0


def test_a_cooldown_travels_with_the_car_across_zones(shard: ShardStepper) -> None:
    join(shard, "anna", TRAVEL_A)
    assert answer(shard, "anna", "k-travel-a", "go", {"to": "k-travel-b"}).ok
    shard.step(4)
    shard.put("anna", *TRAVEL_B)
    shard.step()
    assert shard.realm.barrier.table.owner[shard.body("anna").slot] == 0
    refused = answer(shard, "anna", "k-travel-b", "go", {"to": "k-travel-a"})
    assert str(refused.reason).startswith("cooldown: wait 4.")
    assert answer(shard, "anna", "k-travel-b", "list").ok, "looking waits for nothing"
    shard.step(100)
    assert answer(shard, "anna", "k-travel-b", "go", {"to": "k-travel-a"}).ok


# --- travel


def test_travel_into_another_zone_shows_one_car_to_everybody_all_the_time(shard: ShardStepper) -> None:
    anna = join(shard, "anna", TRAVEL_A)
    ben = join(shard, "ben", (TRAVEL_A[0] + 5.0, TRAVEL_A[1]))
    cleo = join(shard, "cleo", TRAVEL_B)
    shard.step(30)
    placements, frames = len(anna.placements), len(cleo.shows)
    assert ben.view.players() == {"anna", "ben"}
    assert answer(shard, "anna", "k-travel-a", "go", {"to": "k-travel-b"}).state == {"to": "k-travel-b"}
    shard.step(4)
    [placed] = anna.placements[placements:]
    assert placed.reason == "kiosk"
    assert math.dist((placed.x, placed.z), TRAVEL_B) < 30.0
    assert shard.realm.barrier.table.owner[placed.slot] == 0, "handed off"
    assert anna.view.players() == cleo.view.players() == {"anna", "cleo"}
    assert ben.view.players() == {"ben"}
    assert all(seen in ({"cleo"}, {"anna", "cleo"}) for seen in cleo.shows[frames:])
    row = cleo.view.car_of("anna").row
    assert (row[2], row[3]) == (round(placed.x * 100), round(placed.z * 100))
    shard.move("anna", placed.x + 1.0, placed.z)
    shard.step()
    assert cleo.view.car_of("anna").row[2] == round((placed.x + 1.0) * 100), "the new zone takes its moves"
    assert shard.realm.barrier.ledger.summary()["gap_ticks"] == 0


def test_many_who_travel_at_once_do_not_stand_in_each_other(shard: ShardStepper) -> None:
    names = [f"p{number}" for number in range(10)]
    for number, name in enumerate(names):
        join(shard, name, (TRAVEL_A[0] + number * 0.5, TRAVEL_A[1]))
    for name in names:
        ask(shard, name, "k-travel-a", "go", {"to": "k-travel-b"})
    shard.step(3)
    poses = [shard.clients[name].placements[-1] for name in names]
    assert {pose.reason for pose in poses} == {"kiosk"}
    for index, one in enumerate(poses):
        assert all(math.dist((one.x, one.z), (other.x, other.z)) > 4.0 for other in poses[:index])


# --- garage


def test_a_change_at_the_garage_is_told_to_all_who_watch_and_to_those_who_come(shard: ShardStepper) -> None:
    x, z = GARAGE
    told: list[Entry] = []
    shard.realm.attendant.renamed = told.append
    anna = join(shard, "anna", GARAGE)
    ben = join(shard, "ben", (x + 3.0, z))
    slot = shard.body("anna").slot
    assert ben.view.car_of("anna").who == [slot, "anna", "Driver anna", "car"]
    frames = len(ben.shows)
    assert answer(shard, "anna", "k-garage", "vehicle", {"vehicle": "kart"}).state == {"vehicle": "kart"}
    shard.step()
    for viewer in (anna, ben):
        assert viewer.view.car_of("anna").who == [slot, "anna", "Driver anna", "kart"]
    shard.step(40)
    assert answer(shard, "anna", "k-garage", "name", {"name": "Fast Änna"}).ok
    shard.step()
    for viewer in (anna, ben):
        assert viewer.view.car_of("anna").who == [slot, "anna", "Fast Änna", "kart"]
    assert all(seen == {"anna", "ben"} for seen in ben.shows[frames:]), "nobody blinks"
    cleo = join(shard, "cleo", (x, z + 3.0))
    assert cleo.view.car_of("anna").who == [slot, "anna", "Fast Änna", "kart"], "the cell's full form knows it, too"
    assert shard.memory.table.vehicle[slot] == 1
    assert told == [Entry("anna", "Driver anna", "kart"), Entry("anna", "Fast Änna", "kart")]
    assert shard.body("anna").entry == told[-1]
    assert shard.realm.barrier.unanswered == 0


def test_another_zone_knows_the_new_name_after_a_handoff(shard: ShardStepper) -> None:
    x, z = GARAGE
    ben = join(shard, "ben", (500.0, z))
    join(shard, "anna", (x - 11.0, z))
    assert answer(shard, "anna", "k-garage", "name", {"name": "Fast Anna"}).ok
    shard.move("anna", 512.0 - BORDER_BAND_M - 2.0, z)
    shard.step(4)
    assert shard.memory.table.owner[shard.body("anna").slot] == 0
    assert ben.view.car_of("anna").who[2] == "Fast Anna"


def test_a_change_in_the_tick_of_a_handoff_is_not_lost(inline: ShardStepper) -> None:
    x, z = GARAGE
    ben = join(inline, "ben", (500.0, z))
    join(inline, "anna", (x, z))
    inline.move("anna", 512.0 - BORDER_BAND_M - 2.0, z)
    inline.step()  # zone 1 says that she has left
    body = inline.body("anna")
    inline.realm.barrier.command(Reidentify(body.slot, body.generation, "Fast Anna", 2))
    inline.step(4)
    assert inline.memory.table.owner[body.slot] == 0
    assert ben.view.car_of("anna").who == [body.slot, "anna", "Fast Anna", "truck"]


def test_the_zone_has_the_caps_of_the_new_class_at_once(inline: ShardStepper) -> None:
    join(inline, "anna", GARAGE)
    answer(inline, "anna", "k-garage", "vehicle", {"vehicle": "kart"})
    inline.step()
    [link] = [link for link in inline.links if isinstance(link, InlineZone) and len(link.zone._slots)]
    assert link.zone._vehicles.tolist() == [1]


# --- state


def test_a_state_reaches_those_near_when_it_changes_or_comes_into_view_and_nobody_else(shard: ShardStepper) -> None:
    x, z = BOARD
    anna, far = join(shard, "anna", BOARD), join(shard, "far", (100.0, 900.0))
    ben = join(shard, "ben", (x + CELL_M, z))
    shard.step(20)
    assert (len(boards(anna)), len(boards(ben))) == (1, 1)
    shard.realm.attendant.desk.record("dash", "cleo", "Cleo", "kart", 61_234.0)
    shard.step()
    line = {"player": "cleo", "name": "Cleo", "vehicle": "kart", "timeMs": 61_234.0}
    for client in (anna, ben):
        _, news = boards(client)
        assert (news.re, news.payload.ok) == (None, True)
        assert news.payload.state == {"route": "dash", "times": [line]}
    assert boards(far) == []
    shard.put("ben", x + 3 * CELL_M, z)
    shard.step(int(STATE_EVERY_MS / PERIOD_MS))
    shard.realm.attendant.desk.record("dash", "cleo", "Cleo", "kart", 60_000.0)
    shard.step()
    assert (len(boards(anna)), len(boards(ben))) == (3, 2)
    shard.put("ben", x, z)
    shard.step()
    assert len(boards(ben)) == 3
    assert boards(ben)[-1].payload == boards(anna)[-1].payload


def test_a_new_connection_is_shown_the_kiosks_around_its_car_anew(inline: ShardStepper) -> None:
    first = join(inline, "anna", BOARD)
    inline.realm.hold("anna")
    inline.realm.attendant.desk.record("dash", "cleo", "Cleo", "kart", 61_234.0)
    inline.step(2)
    [old] = boards(first)
    again = inline.clients["anna"] = Viewer()
    assert inline.realm.resume("anna", again)
    inline.step(2)
    [new] = again.kiosks("state")
    assert (old.payload.state or {})["times"] == []
    assert len((new.payload.state or {})["times"]) == 1


# --- ends


def test_who_loses_its_socket_or_leaves_before_the_verdict_gets_none_and_nothing_happens(inline: ShardStepper) -> None:
    for end in ("hold", "leave", "resume"):
        name = f"anna-{end}"
        client = join(inline, name, TRAVEL_A)
        placements = len(client.placements)
        ask(inline, name, "k-travel-a", "go", {"to": "k-travel-b"})
        if end == "resume":
            other = Viewer()
            inline.realm.resume(name, other)
            inline.clients[name] = other
        else:
            getattr(inline.realm, end)(name)
        inline.step(3)
        assert answers(client) == answers(inline.clients[name]) == []
        assert inline.realm.attendant.desk.under_way == 0
        assert len(client.placements) == placements
        assert [placed.reason for placed in inline.clients[name].placements[-1:]] != ["kiosk"]


def test_a_zone_that_hangs_is_not_waited_for(inline: ShardStepper) -> None:
    client = join(inline, "anna", TRAVEL_A)
    east = inline.links[1]
    assert isinstance(east, InlineZone)
    east.held = []
    ask(inline, "anna", "k-travel-a", "go", {"to": "k-travel-b"})
    inline.step(int(TIMEOUT_MS / PERIOD_MS) - 1)
    assert answers(client) == []
    inline.step()
    [said] = answers(client)
    assert str(said.payload.reason).startswith("no_answer: ")
    placements = len(client.placements)
    east.release_held()
    inline.step(3)
    assert (len(answers(client)), len(client.placements)) == (1, placements), "the late verdict does nothing"


def test_a_question_about_a_player_who_left_is_counted_and_dropped(inline: ShardStepper) -> None:
    join(inline, "anna", TRAVEL_A)
    body = inline.body("anna")
    inline.realm.leave("anna")
    inline.realm.barrier.command(UseKiosk(body.slot, body.generation, 9, *TRAVEL_A, 12.0, 0.0))
    inline.step(2)
    assert inline.realm.barrier.unanswered == 1


def test_a_shard_without_land_has_no_kiosks() -> None:
    with closing(ShardStepper(players=4)) as shard:
        shard.enter("anna")
        shard.step()
        ask(shard, "anna", "k-board", "show")
        shard.step(2)
        [error] = shard.clients["anna"].sent
        assert isinstance(error, Error)
        assert error.payload.code == "unknown_kiosk"


# --- signals


def test_a_signal_reaches_exactly_those_who_see_the_car(shard: ShardStepper) -> None:
    names = {"anna": (480.0, 400.0), "ben": (490.0, 410.0), "cleo": (560.0, 400.0), "far": (700.0, 400.0)}
    clients = {name: join(shard, name, at) for name, at in names.items()}
    seen_by = {name for name, client in clients.items() if "anna" in client.view.players()}
    assert seen_by == {"anna", "ben", "cleo"}, "ben in the same zone, cleo beyond the border"
    assert shard.realm.signal(shard.body("anna"), "horn", 1.0) == 0.0
    horn = SignalHeardPayload(shard.body("anna").slot, "horn")
    assert {name: heard(client) for name, client in clients.items()} == {
        "anna": [horn], "ben": [horn], "cleo": [horn], "far": [],
    }  # fmt: skip
    shard.realm.hold("cleo")
    shard.realm.signal(shard.body("anna"), "wave", 1.0)
    assert (len(heard(clients["ben"])), len(heard(clients["cleo"]))) == (2, 1)
