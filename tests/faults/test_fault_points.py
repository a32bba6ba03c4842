"""Workers that are killed before, amid and after each write of a tick: the state is that of a run without the kill.

Real processes, without sockets and clock: a kill, the takeover by a spare, and the same Ticks again.
"""

from __future__ import annotations

import logging
import os
import random
import signal
from dataclasses import replace

import psutil
import pytest

from shard.fleet import fleet as fleet_module
from shard.fleet.fleet import Fleet
from shard.fleet.restart import FAILED_STARTS_MAX, Sacrifice
from shard.fleet.zone_handle import ZoneHandle, ZoneLost
from tests.stepper import ShardStepper, SpawnedZone
from zones.fault_point import FaultPoint, FaultStep
from zones.worker import ZoneSpec

ZONES = 2
PLAYERS = 8
TICKS = 16
FAULT_TICK = 9
SIZE_M = 256
POISON_M = 77.125

States = list[dict[str, dict[str, object]]]


def whole(shard: ShardStepper) -> Fleet:
    """Wait until every zone is served and every spare is ready."""
    fleet = shard.fleet
    assert fleet is not None
    while not fleet.whole:
        fleet.turn(1.0)
    return fleet


def play(fault: FaultPoint | None) -> tuple[States, dict[str, list[object]], Fleet]:
    """Drive around the border of two zones; the state after each tick, and what each player was told of itself."""
    rng = random.Random(5)
    names = [f"player-{number}" for number in range(PLAYERS)]
    history: States = []
    with ShardStepper(ZONES, SIZE_M, PLAYERS, zones_in="process", spares=1, fault=fault) as shard:
        fleet = whole(shard)
        for name in names:
            shard.enter(name)
        for tick in range(1, TICKS + 1):
            for name in names:
                x, z = SIZE_M / 2 + rng.uniform(-25, 25), SIZE_M / 2 + rng.uniform(-25, 25)
                if shard.realm.occupant(name) is None or not shard.clients[name].placements:
                    continue
                if rng.random() < 0.15:
                    shard.put(name, x, z)
                else:
                    shard.move(name, x, z, 3.0)
            if tick == FAULT_TICK:
                shard.realm.leave(names[0])
                shard.realm.hold(names[1])
            shard.step()
            history.append(shard.state())
        told: dict[str, list[object]] = {name: list(shard.clients[name].placements) for name in names}
        assert shard.realm.barrier.ledger.count > 5
        return history, told, fleet


@pytest.fixture(scope="module")
def undisturbed() -> tuple[States, dict[str, list[object]]]:
    history, told, fleet = play(None)
    assert fleet.lost == 0
    return history, told


@pytest.mark.parametrize("step", list(FaultStep))
def test_a_kill_at_any_step_changes_nothing(
    step: FaultStep, undisturbed: tuple[States, dict[str, list[object]]]
) -> None:
    history, told, fleet = play(FaultPoint(list(FaultStep).index(step) % ZONES, step, FAULT_TICK))
    assert fleet.lost == 1
    assert [(takeover.cause, takeover.number) for takeover in fleet.takeovers] == [("killed", 1)]
    assert fleet.takeovers[0].tick == FAULT_TICK + (step is FaultStep.DONE), "a whole Done counts, half of one does not"
    assert history == undisturbed[0]
    assert told == undisturbed[1]


def test_a_zone_that_fails_tells_what_where_and_at_which_tick(
    undisturbed: tuple[States, dict[str, list[object]]], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        history, _, fleet = play(FaultPoint(1, FaultStep.ROWS_HALF, FAULT_TICK, how="raise"))
    assert history == undisturbed[0]
    [takeover] = fleet.takeovers
    assert takeover.cause == "crash"
    [failed] = [record for record in caplog.records if record.message == "zone failed"]
    assert vars(failed)["zone"] == 1
    assert vars(failed)["tick"] == FAULT_TICK
    assert vars(failed)["restart"] == 1
    assert vars(failed)["kind"] == "RuntimeError"
    assert any("a fault on purpose in tick 9" in record.message for record in caplog.records)
    [lost] = [record for record in caplog.records if record.message == "zone lost"]
    assert vars(lost)["tick"] == FAULT_TICK - 1, "the last committed"


def test_a_zone_that_fails_on_its_samples_loses_them_and_lives() -> None:
    """As it was, then without what waits to be judged."""
    fault = FaultPoint(0, how="raise", poison_m=POISON_M, again=True)
    with ShardStepper(1, SIZE_M, 4, zones_in="process", spares=1, fault=fault) as shard:
        fleet = whole(shard)
        for name in ("poisoner", "victim"):
            shard.enter(name)
        shard.step(2)
        shard.put("poisoner", POISON_M - 2, 50)
        shard.put("victim", 60, 60)
        shard.step()
        shard.move("poisoner", POISON_M, 50)
        shard.move("victim", 61, 60)
        shard.step()
        assert [takeover.sacrifice for takeover in fleet.takeovers] == [Sacrifice.SAMPLES]
        assert fleet.lost == 2
        assert shard.state()["victim"]["pos"] == [60, 0, 60], "its sample went, too"
        shard.move("victim", 62, 60)
        shard.step()
        assert shard.state()["victim"]["pos"] == [62, 0, 60]
        assert shard.state().keys() == {"poisoner", "victim"}


def step_the_others(shard: ShardStepper, zone: int) -> None:
    """One tick of the rest of the world; ``zone`` may be late."""
    assert shard.fleet is not None
    shard.begin()
    while any(desk.zone != zone for desk in shard.realm.barrier.late()):
        shard.fleet.turn(0.1)
    shard.realm.end_tick()


def test_a_zone_that_fails_on_whatever_it_is_given_loses_its_players_to_the_lobby_and_lives() -> None:
    fault = FaultPoint(1, FaultStep.STEPPED, 6, how="raise", again=True)
    removed: list[str] = []
    with ShardStepper(2, SIZE_M, 4, zones_in="process", spares=2, fault=fault) as shard:
        fleet = whole(shard)
        shard.realm.evacuated = removed.append
        for name in ("resident", "neighbour"):
            shard.enter(name)
        shard.step(2)
        shard.put("resident", 200, 100)
        shard.put("neighbour", 50, 100)
        shard.step(3)
        step_the_others(shard, 1)
        while not removed or not fleet.whole:
            step_the_others(shard, 1)
            fleet.turn(0.1)
        assert removed == ["resident"]
        assert fleet.takeovers[-1].sacrifice is Sacrifice.PLAYERS
        shard.step()
        assert shard.state().keys() == {"neighbour"}
        shard.enter("resident")
        shard.step(2)
        assert shard.state().keys() == {"resident", "neighbour"}


def test_a_zone_that_cannot_live_at_all_is_restarted_with_pauses_while_the_rest_lives() -> None:
    fault = FaultPoint(1, FaultStep.STEPPED, how="raise", again=True)
    with ShardStepper(2, SIZE_M, 4, zones_in="process", spares=2, fault=fault) as shard:
        fleet = whole(shard)
        while fleet.lost < 5:
            step_the_others(shard, 1)
            fleet.turn(0.05)
        assert fleet.failure is None
        assert shard.realm.barrier.desks[0].committed == shard.realm.tick
        assert shard.realm.barrier.desks[1].committed == 0


def test_a_zone_that_is_stopped_is_replaced_after_the_timeout_and_not_before(
    undisturbed: tuple[States, dict[str, list[object]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ShardStepper(2, SIZE_M, 4, zones_in="process", spares=1) as shard:
        fleet = whole(shard)
        shard.enter("driver")
        shard.step(3)
        zone = int(shard.memory.table.owner[shard.body("driver").slot])
        link = shard.links[zone]
        assert isinstance(link, SpawnedZone)
        stopped = link.worker
        os.kill(stopped.handle.pid, signal.SIGSTOP)
        shard.begin()
        for _ in range(39):
            fleet.note_late([zone], 0.05)
            fleet.poll()
        assert link.worker is stopped, "two seconds are not over"
        assert not fleet.dying
        fleet.note_late([zone], 0.06)
        assert fleet.dying
        shard.collect()
        assert link.worker is not stopped
        assert [takeover.cause for takeover in fleet.takeovers] == ["hang"]
        shard.realm.end_tick()
        shard.step()
        assert shard.state()["driver"]["tick"] == 5


def test_a_done_that_a_hung_zone_has_sent_counts_when_the_zone_is_dead() -> None:
    """It is in the pipe, unread; only after the reaping is it sure to be the last word."""
    fault = FaultPoint(0, FaultStep.DONE, 4, how="stop")
    with ShardStepper(1, SIZE_M, 4, zones_in="process", spares=1, fault=fault) as shard:
        fleet = whole(shard)
        shard.enter("driver")
        shard.step(3)
        link = shard.links[0]
        assert isinstance(link, SpawnedZone)
        process = psutil.Process(link.worker.handle.pid)
        shard.begin()
        while process.status() != psutil.STATUS_STOPPED:
            pass
        fleet.note_late([0], 10.0)
        while fleet.dying:
            fleet.turn(1.0)
        assert shard.realm.barrier.late() == []
        assert shard.state()["driver"]["tick"] == 4
        shard.realm.end_tick()
        shard.step()
        assert shard.state()["driver"]["tick"] == 5


def test_a_spare_that_dies_is_replaced() -> None:
    with ShardStepper(1, SIZE_M, 4, zones_in="process", spares=1) as shard:
        fleet = whole(shard)
        [spare] = [worker for worker in fleet.workers if worker.zone is None]
        os.kill(spare.handle.pid, signal.SIGKILL)
        while spare in fleet.workers:
            fleet.turn(1.0)
        whole(shard)
        assert fleet.lost == 0
        assert fleet.failure is None
        shard.step(2)


def test_a_zone_comes_back_without_any_spare() -> None:
    with ShardStepper(1, SIZE_M, 4, zones_in="process", spares=0) as shard:
        shard.enter("driver")
        shard.step(2)
        link = shard.links[0]
        assert isinstance(link, SpawnedZone)
        os.kill(link.worker.handle.pid, signal.SIGKILL)
        shard.step(3)
        assert shard.state()["driver"]["tick"] == 5
        assert shard.fleet is not None
        assert shard.fleet.lost == 1


def test_when_no_process_can_be_started_the_fleet_gives_up_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(spec: ZoneSpec) -> ZoneHandle:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("shard.fleet.restart.FIRST_PAUSE_S", 0.0)
    with ShardStepper(1, SIZE_M, 4, zones_in="process", spares=0) as shard:
        shard.step()
        monkeypatch.setattr(fleet_module, "ZoneHandle", refuse)
        link = shard.links[0]
        assert isinstance(link, SpawnedZone)
        os.kill(link.worker.handle.pid, signal.SIGKILL)
        with pytest.raises(ZoneLost, match=f"{FAILED_STARTS_MAX} workers in a row .* Resource temporarily unavailable"):
            shard.step()


def test_workers_that_die_before_they_are_ready_are_failed_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shard.fleet.restart.FIRST_PAUSE_S", 0.0)
    with ShardStepper(1, SIZE_M, 4, zones_in="process", spares=0) as shard:
        shard.step()
        assert shard.fleet is not None
        shard.fleet._spec = replace(shard.fleet._spec, instance="nothing")
        link = shard.links[0]
        assert isinstance(link, SpawnedZone)
        os.kill(link.worker.handle.pid, signal.SIGKILL)
        with pytest.raises(ZoneLost, match=r"ended before it was ready, exit .*BlockFault"):
            shard.step()
