"""When strikes are our own fault: somebody was late, or too many were flagged at once."""

from __future__ import annotations

import pytest

from shard.conduct.leniency import FLAGGED_LEAST, MEMORY_MS, Leniency

PERIOD_MS = 50.0


def ticking(ticks: int = 3) -> tuple[Leniency, float]:
    leniency, now_ms = Leniency(PERIOD_MS), 1e12
    for _ in range(ticks):
        now_ms += PERIOD_MS
        leniency.begin(now_ms, [0, 1], 100)
    return leniency, now_ms


def test_on_schedule_nothing_is_forgiven() -> None:
    leniency, _ = ticking(100)
    assert not leniency.forgive
    assert (leniency.late_ms(0), leniency.late_ms(1)) == (0.0, 0.0)


def test_when_main_stands_still_all_zones_are_late_by_as_much_for_a_second() -> None:
    leniency, now_ms = ticking()
    now_ms += PERIOD_MS + 730.0
    leniency.begin(now_ms, [0, 1], 100)
    assert leniency.forgive
    assert leniency.reason == "late"
    assert leniency.late_ms(0) == leniency.late_ms(1) == 730.0
    forgiving = 0
    while leniency.forgive:
        forgiving += 1
        now_ms += PERIOD_MS
        leniency.begin(now_ms, [0, 1], 100)
    assert forgiving == MEMORY_MS / PERIOD_MS
    assert leniency.late_ms(0) == 0.0


def test_a_zone_that_missed_ticks_is_late_itself_and_all_are_forgiven() -> None:
    leniency, now_ms = ticking()
    for zones in ([0], [0], [0, 1]):
        now_ms += PERIOD_MS
        leniency.begin(now_ms, zones, 100)
    assert leniency.late_ms(1) == 2 * PERIOD_MS
    assert leniency.late_ms(0) == 0.0
    assert leniency.forgive


@pytest.mark.parametrize(
    ("flagged", "members", "forgiven"),
    [(FLAGGED_LEAST, 99, True), (FLAGGED_LEAST, 100, False), (19, 20, False), (60, 200, True), (40, 200, False)],
)
def test_twenty_players_and_a_fifth_of_the_shard_at_once_are_our_fault(
    flagged: int, members: int, forgiven: bool
) -> None:
    """However they are spread over the zones."""
    leniency, now_ms = ticking()
    for share in (flagged // 3, flagged // 3, flagged - 2 * (flagged // 3)):
        leniency.flagged(share)
    leniency.begin(now_ms + PERIOD_MS, [0, 1], members)
    assert leniency.forgive == forgiven
    assert leniency.forgiven == forgiven
    leniency.begin(now_ms + 2 * PERIOD_MS, [0, 1], members)
    assert not leniency.forgive, "the next tick is another one"
