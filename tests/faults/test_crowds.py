"""Storms and abuse on a real shard, in numbers that CI can afford; the full ones are the commands' defaults."""

from __future__ import annotations

import pytest

from scripts import abuse, storm


@pytest.mark.timeout(120)
def test_two_hundred_clients_arrive_at_once_with_es256_tokens_and_those_who_drive_notice_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = storm.main(["--clients", "200", "--seconds", "1", "--drivers", "10"])
    assert code == 0, capsys.readouterr().out


@pytest.mark.timeout(120)
def test_abusers_cost_honest_players_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """50 that say nothing, 20 that never read, 10 with garbage and a flood, beside 20 honest bots."""
    flags = ["--bots", "20", "--silent", "50", "--deaf", "20", "--garbage", "10", "--seconds", "10"]
    assert abuse.main(flags) == 0, capsys.readouterr().out
