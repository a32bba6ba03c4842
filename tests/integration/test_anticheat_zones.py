"""Budgets, strikes and set-backs over borders, resumes and new entries: the state travels with the player."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pytest

from shard.players.occupants import Entry
from shared.constants import FLAG_GHOST
from shared.vehicles import VEHICLES
from tests.stepper import Death, InlineZone, Recorder, ShardStepper

CAP = VEHICLES[0].speed_cap_mps
TICKS = 160


def _journey(
    zones: int, zones_in: Literal["thread", "process"] = "thread", deaths: Sequence[Death] = ()
) -> tuple[list[Any], int, dict[str, int]]:
    """Honest drivers at 99 % of the cap and cheats of several kinds, back and forth over all borders.

    With ``deaths`` zones die all the time, one after the other, and another takes over within the tick.
    """
    with ShardStepper(zones=zones, size_m=1024, zones_in=zones_in, anticheat="enforce") as shard:
        names = [f"player-{number}" for number in range(12)]
        factors = [0.99, 0.6, 1.1, 1.4, 2.0, 0.99] * 2
        for name in names:
            shard.enter(name)
        shard.step(2)
        for number, name in enumerate(names):
            shard.put(name, 300.0, 60.0 + 75.0 * number)
        shard.step(2)
        speeds = np.zeros(12)
        history: list[Any] = []
        for tick in range(TICKS):
            for number, name in enumerate(names):
                if (tick + number) % 23 in (3, 4, 5) and number % 3 == 0:
                    continue  # its line stalls; it stands on the brake
                placed = shard.clients[name].placements[-1]
                mine = shard.state()[name] if tick == 0 else history[-1][name]
                position: Any = mine["pos"]
                if placed.epoch != mine["epoch"]:
                    continue
                speeds[number] = min(speeds[number] + 11.0 * 0.05, factors[number] * CAP)
                way = speeds[number] * 0.05 * (1.0 if tick < TICKS / 2 else -1.0)
                jump = 150.0 if number == 9 and tick % 40 == 20 else 0.0
                shard.move(name, position[0] + way + jump, position[2], vx=way * 20.0)
            if deaths and tick % 3 == 0:
                _die(shard, tick // 3 % zones, deaths[tick // 3 % len(deaths)])
            else:
                shard.step()
            history.append(shard.state())
        return history, shard.realm.barrier.ledger.count, dict(shard.realm.conduct.counts)


def _die(shard: ShardStepper, zone: int, how: Death) -> None:
    link = shard.links[zone]
    assert isinstance(link, InlineZone)
    link.dies = how
    shard.begin()
    shard.collect()
    shard.replace(zone)
    shard.collect()
    shard.realm.end_tick()


def test_however_the_world_is_cut_every_player_is_judged_the_same() -> None:
    """A border is no reset and no offence: after every tick all books are those of a world without borders."""
    whole, none, counts = _journey(1)
    cut, handoffs, cut_counts = _journey(8)
    assert none == 0
    assert handoffs > 10
    assert cut == whole
    assert cut_counts == counts
    assert counts["teleport"] >= 2
    last = whole[-1]
    assert any(player["strikes"] > 0 for player in last.values())
    for honest in (0, 1, 5, 6, 7, 11):
        assert last[f"player-{honest}"]["strikes"] < 0.5, "it turned round on the spot, which the others need"
        assert last[f"player-{honest}"]["budget_m"] < CAP * 1.05 * 1.2 + 1.0, "the bank, and a stall of 0.2 s"


def test_a_zone_that_dies_takes_no_book_with_it() -> None:
    """Budgets, strikes, epochs and corrections under way are the same after every tick, whoever judged it."""
    whole = _journey(4)
    assert _journey(4, deaths=("told", "written", "said")) == whole
    assert whole[2]["teleport"] >= 2


def test_spawned_zones_judge_as_zones_in_this_process_do() -> None:
    assert _journey(2, "process")[::2] == _journey(2)[::2]


@pytest.fixture
def cheat() -> Any:
    with ShardStepper(size_m=1024, anticheat="enforce") as shard:
        shard.enter("cheat")
        shard.step(2)
        shard.put("cheat", 300.0, 300.0)
        shard.step(2)
        while shard.state()["cheat"]["strikes"] < 11.0:  # type: ignore[operator]
            x: float = shard.clients["cheat"].placements[-1].x
            shard.move("cheat", x + 400.0, 300.0)
            shard.step(2)
        yield shard


def test_a_correction_reaches_the_client_with_check_and_seq(cheat: ShardStepper) -> None:
    corrections = [placed for placed in cheat.clients["cheat"].placements if placed.reason == "correction"]
    assert [(placed.check, placed.seq) for placed in corrections] == [("teleport", n) for n in range(1, 5)]
    assert len({placed.epoch for placed in cheat.clients["cheat"].placements}) == len(cheat.clients["cheat"].placements)
    assert cheat.realm.barrier.unanswered == 0, "corrections answer no command"


def test_who_becomes_a_ghost_has_its_race_invalidated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []
    with ShardStepper(size_m=1024, anticheat="enforce") as shard:
        invalidate = shard.realm.races.invalidate

        def watched(player: str, reason: str, now_ms: float) -> None:
            asked.append((player, reason))
            invalidate(player, reason, now_ms)

        monkeypatch.setattr(shard.realm.races, "invalidate", watched)
        shard.enter("cheat")
        shard.step(2)
        shard.put("cheat", 300.0, 300.0)
        shard.step(2)
        while shard.state()["cheat"]["strikes"] < 14.0:  # type: ignore[operator]
            assert (asked != []) == (shard.state()["cheat"]["strikes"] >= 10.0)  # type: ignore[operator]
            shard.move("cheat", shard.clients["cheat"].placements[-1].x + 400.0, 300.0)
            shard.step(2)
    assert asked == [("cheat", "anti-cheat")]


def test_a_resume_keeps_the_score_and_the_ghost(cheat: ShardStepper) -> None:
    before = cheat.state()["cheat"]["strikes"]
    assert cheat.realm.hold("cheat")
    cheat.step()
    assert cheat.realm.resume("cheat", cheat.clients["cheat"])
    cheat.step(2)
    after: Any = cheat.state()["cheat"]
    assert after["strikes"] == pytest.approx(before, rel=0.01)
    assert after["flags"] & FLAG_GHOST


def test_who_leaves_and_enters_again_keeps_its_score(cheat: ShardStepper) -> None:
    cheat.realm.leave("cheat")
    cheat.step(3)
    assert cheat.realm.occupant("cheat") is None
    assert len(cheat.realm.records) == 1
    cheat.clients["cheat"] = Recorder()
    cheat.realm.enter(Entry("cheat", "cheat", "car"), cheat.clients["cheat"])
    cheat.step(3)
    again: Any = cheat.state()["cheat"]
    assert again["strikes"] == pytest.approx(12.0, abs=0.3)
    assert again["flags"] & FLAG_GHOST
    assert len(cheat.realm.records) == 0


def test_removal_is_handed_out_once_and_the_next_entry_is_a_second_chance(cheat: ShardStepper) -> None:
    for _ in range(20):
        cheat.move("cheat", cheat.clients["cheat"].placements[-1].x + 400.0, 300.0)
        cheat.step(2)
        if cheat.realm.removed:
            break
    cheat.step(3)
    assert cheat.realm.removed == ["cheat"]
    cheat.realm.leave("cheat")
    cheat.step(3)
    cheat.realm.removed.clear()
    cheat.realm.enter(Entry("cheat", "cheat", "car"), cheat.clients["cheat"])
    cheat.step(4)
    again: Any = cheat.state()["cheat"]
    assert again["strikes"] == pytest.approx(15.0, abs=0.2)
    assert cheat.realm.removed == []
