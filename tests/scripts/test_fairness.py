"""The false-positive table at a fiftieth of its size; its clients and zones behave as real ones do."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ipc.control import Command, Place, PlacedAt
from scripts import fairness
from scripts.fair import honest
from scripts.fair.cars import Cars
from scripts.fair.clients import FRAME_MS, Clients, Habits
from scripts.fair.honest import Row, drive
from scripts.fair.line import Line
from scripts.fair.proving_ground import ProvingGround
from scripts.fair.scenarios import SCENARIOS, SERVERS, Scenario
from scripts.fair.server import GENERATION, PERIOD_MS, Happened, Server
from scripts.fair.tables import faults, total
from shard.conduct.leniency import Leniency

CI_MINUTES = fairness.MINUTES / 50.0
START_MS = 1.75e12


@pytest.mark.timeout(1200)  # 100 s of one quiet core; many at once take longer
def test_honest_drivers_are_not_wronged() -> None:
    """Nobody removed, no race invalidated, less than one set-back per 1,000 player-minutes."""
    rows = fairness.honest_rows(CI_MINUTES, seed=1, processes=min(2, os.cpu_count() or 1))
    assert faults(rows) == []
    assert [row.name for row in rows] == [scenario.name for scenario in SCENARIOS]
    assert sum(row.player_minutes for row in rows) == pytest.approx(CI_MINUTES, rel=0.02)
    assert min(row.samples / row.player_minutes for row in rows) > 50, "at 1 Hz there are 60 per minute"
    summed = total(rows)
    assert summed.moved > 200
    assert summed.handoffs > 200
    by_name = {row.name: row for row in rows}
    assert by_name["60 Hz, thinned"].thinned > 0.4 * by_name["60 Hz, thinned"].samples
    assert by_name["delay 100 ms"].thinned == 0


def test_the_work_is_divided_equally_among_all_scenarios() -> None:
    for minutes in (fairness.MINUTES, CI_MINUTES, fairness.MINUTES_LEAST):
        shares: Counter[str] = Counter()
        for part in fairness.parts(minutes, 1):
            assert len({scenario.server for scenario in part.scenarios}) == 1
            for scenario in part.scenarios:
                shares[scenario.name] += round(1000 * part.cars_each * part.minutes)
        assert set(shares) == {scenario.name for scenario in SCENARIOS}
        assert sum(shares.values()) == pytest.approx(1000 * minutes, rel=0.01)
        assert min(shares.values()) == pytest.approx(max(shares.values()), abs=2 * fairness.DRIVE_MOST_MIN)
    assert {scenario.server for scenario in SCENARIOS} == set(SERVERS)


def test_the_same_seed_gives_the_same_table() -> None:
    some = tuple(scenario for scenario in SCENARIOS if scenario.server == "borders")
    first, again, other = (drive(some, 3, 0.2, seed) for seed in (4, 4, 5))
    assert first == again
    assert first != other


def test_the_command_prints_both_tables_and_writes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = (Scenario("delay 20 ms"),)
    monkeypatch.setattr(fairness, "SCENARIOS", one)
    monkeypatch.setattr(fairness, "SERVERS", ("steady",))
    monkeypatch.setattr(fairness, "measure", lambda techniques, each, seed: [])
    page, data = tmp_path / "page.md", tmp_path / "data.json"
    argv = ["--minutes", "10", "--markdown", str(page), "--json", str(data)]
    code = fairness.main(argv)
    said = capsys.readouterr().out
    assert code == 0, said
    assert "Honest drivers" in said
    assert "Cheats, beside an honest twin" in said
    assert "all well" in said
    assert page.read_text().count("|---|") == 2
    assert json.loads(data.read_text())["total"]["player_minutes"] == pytest.approx(10.0, rel=0.02)


def test_a_wrong_makes_the_exit_code_one(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    wronged = Row("a", 1000.0, removals=1)
    monkeypatch.setattr(fairness, "honest_rows", lambda minutes, seed, processes: [wronged])
    monkeypatch.setattr(fairness, "measure", lambda techniques, each, seed: [])
    assert fairness.main([]) == 1
    assert "NOT well:\n  a: 1 removed" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [["--minutes", "1"], ["--processes", "0"], ["--seed", "-1"], ["--minutes", "nan"]])
def test_bad_arguments_are_refused_with_their_bounds(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        fairness.main(argv)
    assert caught.value.code == 2
    assert "must be" in capsys.readouterr().err


# --- the clients


def some_clients(count: int, delay_ms: float = 100.0) -> Clients:
    ground = ProvingGround.build(1, size_m=512, walls=0, houses=0, poles=0)
    rng = np.random.default_rng(1)
    cars = Cars.make(ground, np.zeros(count, np.uint8), rng)
    zero = np.zeros(count)

    def line() -> Line:
        return Line(np.full(count, delay_ms), zero, zero, zero, zero, zero, np.random.default_rng(2), START_MS)

    habits = Habits(
        frames_per_sample=np.full(count, 3),
        hidden_every_ms=zero,
        hidden_ms=zero,
        skew_ppm=zero,
        offset_ms=zero,
        clock_step_every_ms=zero,
        clock_step_ms=zero,
        grain_ms=zero,
        hitch_every_ms=zero,
        hitch_ms=zero,
        hitch_waits=np.zeros(count, np.bool_),
        break_every_ms=zero,
        away_ms=zero,
        hop_every_ms=zero,
    )
    return Clients(cars, habits, line(), line(), 2.5, START_MS, rng)


def placed_at(epoch: int, x: float, z: float, reason: str = "enter", slot: int = 0) -> PlacedAt:
    return PlacedAt(slot, GENERATION, epoch, x, 2.5, z, 0.0, reason, 3.0, 4.0)  # type: ignore[arg-type]


def test_a_client_is_silent_until_it_is_placed_and_then_says_the_epoch_it_was_given() -> None:
    clients = some_clients(1)
    clients.tell(placed_at(7, 50.0, 60.0), START_MS)
    for frame in range(30):
        clients.frame(START_MS + frame * FRAME_MS)
        if frame * FRAME_MS < 100.0:
            assert clients.sent[0] == 0
    samples, _ = clients.wire.look(np.zeros(1, np.intp), np.zeros(1, np.int64))
    assert samples["epoch"][0] == 7
    assert np.hypot(samples["x"][0] - 50.0, samples["z"][0] - 60.0) < 2.0
    assert clients.sent[0] in (7, 8), "20 Hz from 100 ms to 500 ms"


def test_corrections_in_flight_are_adopted_in_their_order_and_samples_on_their_way_keep_the_old_epoch() -> None:
    clients = some_clients(1)
    clients.tell(placed_at(1, 50.0, 60.0), START_MS)
    for frame in range(30):
        now_ms = START_MS + frame * FRAME_MS
        if frame == 20:
            clients.tell(placed_at(2, 300.0, 60.0, "correction"), now_ms)
            clients.tell(placed_at(3, 400.0, 60.0, "respawn"), now_ms + 1.0)
        clients.frame(now_ms)
    count = int(clients.sent[0])
    samples, due_ms = clients.wire.look(np.zeros(count, np.intp), np.arange(count))
    assert samples["epoch"].tolist() == sorted(samples["epoch"].tolist())
    told_ms = START_MS + 20 * FRAME_MS + 100.0
    for epoch, sent_ms, x in zip(samples["epoch"], due_ms - 100.0, samples["x"], strict=True):
        assert (epoch == 1) == (sent_ms < told_ms + FRAME_MS)
        assert epoch != 3 or x > 399.0


def test_a_client_that_comes_back_ignores_what_was_meant_for_its_last_connection() -> None:
    clients = some_clients(2)
    for slot in range(2):
        clients.tell(placed_at(1, 50.0, 60.0, slot=slot), START_MS)
    for frame in range(12):
        clients.frame(START_MS + frame * FRAME_MS)
    now_ms = START_MS + 200.0
    clients.tell(placed_at(2, 300.0, 300.0, "correction"), now_ms)
    clients.end(0)
    for frame in range(12):
        clients.frame(now_ms + frame * FRAME_MS)
    assert clients.cars.x[0] < 100.0, "the message went to a connection that is gone"
    assert clients.wire.arrived(now_ms + 1e6)[0].tolist() == [1]


# --- the zones


def test_a_player_beyond_a_border_is_handed_to_the_zone_it_stands_in() -> None:
    ground = ProvingGround.build(1, size_m=512, walls=0, houses=0, poles=0)
    server = Server(ground.static, 4, np.zeros(1, np.uint8), np.array([100.0]), np.array([100.0]))
    assert server.zone.tolist() == [server.worlds[0].zone_map.zone_of_point(100.0, 100.0)]
    server.tick(START_MS, [Place(0, GENERATION, 100.0, 100.0, 0.0, "enter", fresh=True)])
    server.tick(START_MS + PERIOD_MS, [Place(0, GENERATION, 400.0, 100.0, 0.0, "respawn", fresh=False)])
    happened = server.tick(START_MS + 2 * PERIOD_MS, [])
    assert happened.handed_off == [0]
    assert server.zone.tolist() == [server.worlds[0].zone_map.zone_of_point(400.0, 100.0)]
    assert server.state.pos[0, 0] == 400.0


def test_a_late_zone_obeys_and_judges_later() -> None:
    ground = ProvingGround.build(1, size_m=512, walls=0, houses=0, poles=0)
    server = Server(ground.static, 1, np.zeros(1, np.uint8), np.array([100.0]), np.array([100.0]))
    place = Place(0, GENERATION, 100.0, 100.0, 0.0, "enter", fresh=True)
    assert server.tick(START_MS, [place], late=[0]).placed == []
    assert [each.x for each in server.tick(START_MS + PERIOD_MS, []).placed] == [100.0]
    assert server.tick(START_MS + 2 * PERIOD_MS, []).placed == []


def test_who_was_removed_is_nobodys_member() -> None:
    ground = ProvingGround.build(1, size_m=512, walls=0, houses=0, poles=0)
    server = Server(ground.static, 1, np.zeros(1, np.uint8), np.array([100.0]), np.array([100.0]))
    server.remove(0)
    assert server.tick(START_MS, [Place(0, GENERATION, 9.0, 9.0, 0.0, "enter", fresh=True)]).placed == []


def test_main_that_stands_still_ticks_twice_when_it_wakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tick that was due, and then one at the present time: after that the schedule begins anew."""
    times: list[float] = []
    tick = Server.tick

    def noted(self: Server, now_ms: float, commands: list[Command], late: set[int]) -> Happened:
        times.append(now_ms)
        return tick(self, now_ms, commands, late)

    monkeypatch.setattr(Server, "tick", noted)
    drive([Scenario("main late", server="main late")], 2, 0.2, 1)
    gaps = Counter(np.diff(times).round().tolist())
    assert gaps == {PERIOD_MS: len(times) - 2, honest.LATE_TICKS * PERIOD_MS: 1}


def test_lateness_is_remembered_for_a_second_and_forgiven() -> None:
    leniency = Leniency(PERIOD_MS)
    told = []
    for now_ms in (0.0, 50.0, 300.0, 350.0, 1250.0, 1300.0, 1350.0):
        leniency.begin(now_ms, [0, 1] if now_ms != 1250.0 else [1], 100)
        told.append((leniency.late_ms(0), leniency.late_ms(1), leniency.forgive))
    assert told[:2] == [(0.0, 0.0, False)] * 2
    assert told[2] == told[3] == (200.0, 200.0, True)
    assert told[4] == (200.0, 850.0, True), "zone 0 got no tick"
    assert told[5] == (900.0, 850.0, True)


@pytest.mark.parametrize(("flagged", "members", "forgive"), [(20, 99, True), (20, 100, False), (19, 19, False)])
def test_many_flagged_at_once_are_forgiven(flagged: int, members: int, forgive: bool) -> None:
    leniency = Leniency(PERIOD_MS)
    leniency.begin(0.0, [0], members)
    leniency.flagged(flagged)
    leniency.begin(50.0, [0], members)
    assert leniency.forgive is forgive
    leniency.begin(100.0, [0], members)
    assert not leniency.forgive
