"""A zone writes the uncommitted half of its members' rows, and not one byte besides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shared.player_state import COLUMNS
from tests.stepper import InlineZone, ShardStepper, SpawnedZone

MAIN_COLUMNS = ("owner", "generation", "front", "head", "player", "name", "vehicle")


def _copy(shard: ShardStepper, names: tuple[str, ...]) -> dict[str, Any]:
    record = shard.memory.blocks["table"].record
    return {name: record[name].copy() for name in names}


@pytest.mark.parametrize("zones_in", ["thread", "process"])
def test_foreign_rows_and_mains_columns_stay_untouched(zones_in: Any) -> None:
    names = tuple(name for name, *_ in COLUMNS)
    with ShardStepper(zones=4, size_m=512, players=32, zones_in=zones_in) as shard:
        for number in range(24):
            shard.enter(f"player-{number:02d}", keep=False)
        shard.step(3)
        record = shard.memory.blocks["table"].record
        free = np.flatnonzero(record["owner"] == -1)
        assert len(free) > 8
        for name in names:  # canaries in the rows of nobody
            record[name][:, free] = 77
        canaries = {name: record[name][:, free].copy() for name in names}
        for _tick in range(20):
            for player in list(shard.clients):
                row = shard.state()[player]["pos"]
                assert isinstance(row, list)
                shard.move(player, min(row[0] + 2.0, 511.0), row[2], 40.0)
            mains, rows = _copy(shard, MAIN_COLUMNS), _copy(shard, names)
            shard.begin()
            mains_sent = _copy(shard, MAIN_COLUMNS)
            members = [desk.index.copy() for desk in shard.realm.barrier.desks]
            answers = [_answer(link) for link in shard.links]
            for name in MAIN_COLUMNS:
                assert np.array_equal(record[name], mains_sent[name]), f"a zone wrote main's column {name}"
            for name in names:
                changed = np.argwhere(_differs(record[name], rows[name]))
                for half, slot in changed.tolist():
                    assert slot in np.concatenate(members), f"{name} of slot {slot}, whom no zone owns, was written"
                    assert half != mains["front"][slot], f"{name} of slot {slot} was written in the committed half"
            for done in answers:
                shard.realm.commit(done)
            shard.realm.end_tick()
        for name in names:
            assert np.array_equal(record[name][:, free], canaries[name]), f"a canary in {name} was touched"


def test_a_zone_that_stands_still_has_its_rows_for_itself() -> None:
    """With only zone 0 running, only rows of zone 0's members change."""
    names = tuple(name for name, *_ in COLUMNS)
    with ShardStepper(zones=2, size_m=512, players=32) as shard:
        for number in range(24):
            shard.enter(f"player-{number:02d}", keep=False)
        shard.step(3)
        late = shard.links[1]
        assert isinstance(late, InlineZone)
        late.held = []
        shard.step()
        foreign = shard.realm.barrier.desks[1].index
        assert len(foreign) > 4
        before = _copy(shard, names)
        shard.step(5)
        after = _copy(shard, names)
        for name in names:
            assert not _differs(after[name], before[name])[:, foreign].any(), name
        assert _differs(after["tick"], before["tick"]).any(), "zone 0 did not run"
        late.release_held()
        shard.step(2)


def _answer(link: InlineZone | SpawnedZone) -> Any:
    while True:
        if messages := link.receive():
            return messages[0]


def _differs(one: Any, other: Any) -> Any:
    """(2, slots): where rows differ, bit by bit."""
    different = one.view(np.uint8).reshape(*one.shape[:2], -1) != other.view(np.uint8).reshape(*one.shape[:2], -1)
    return different.any(axis=-1)
