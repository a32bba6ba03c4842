"""What a race tells on the wire: messages out of its state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shard.races.racers import OVER, Race, Racer
from shard.races.receipts import Receipt, splits_for_receipt
from shard.races.standings import Placing, gap_ms, live, place_of
from shared.messages import (
    RaceGate,
    RaceGatePayload,
    RacePlace,
    RaceResult,
    RaceResultPayload,
    RaceState,
    RaceStatePayload,
    ServerMessage,
)
from shared.messages import Racer as RacerRow


@dataclass(frozen=True, slots=True)
class Mail:
    """One message for these players; who is not connected misses it."""

    players: tuple[str, ...]
    message: ServerMessage


def state_of(race: Race, re: int | None = None) -> RaceState:
    """The whole state, racers in the order of their places; in answer to message ``re``."""
    card = race.card
    started = race.start_ms is not None
    return RaceState(
        RaceStatePayload(
            race=card.id,
            rev=race.rev,
            phase=race.phase,
            route=card.route,
            racers=[_row(race, racer, place if started else None) for place, racer in enumerate(live(race), start=1)],
            start_at_ms=race.start_ms,
            laps=card.laps,
            closes_at_ms=race.since_ms + card.open_ms if race.phase == "open" else None,
            reason=race.reason or None,
        ),
        re=re,
    )


def _row(race: Race, racer: Racer, place: int | None) -> RacerRow:
    gates, passed = race.card.gates, racer.passed
    return RacerRow(
        player=racer.player,
        name=racer.name,
        status=racer.status,
        lap=max(passed - 1, 0) // gates if race.card.closed else 0,
        gate=passed % gates if race.card.closed else passed,
        place=place,
        away=racer.away_ms < racer.ended_ms and race.phase not in OVER,
        penalty_ms=racer.penalty_ms,
        flags=sorted(racer.flags),
        reason=racer.reason or None,
    )


def passing_of(race: Race, player: str) -> RaceGate:
    """The last gate that a racer passed."""
    assert race.start_ms is not None, "nobody passes a gate before there is a start"
    racer, gates = race.racers[player], race.card.gates
    lap, gate = divmod(racer.passed - 1, gates)
    passing = racer.passings[-1]
    return RaceGate(
        RaceGatePayload(
            race=race.card.id,
            rev=race.rev,
            player=player,
            lap=lap,
            gate=gate,
            at_ms=passing.at_ms,
            err_ms=passing.err_ms,
            split_ms=passing.at_ms - race.start_ms,
            place=place_of(race, player),
            gap_ms=gap_ms(race, player),
        )
    )


def places_of(placings: Sequence[Placing]) -> list[RacePlace]:
    """The lines of a result."""
    return [
        RacePlace(
            place=placing.place,
            player=placing.player,
            status=placing.status,
            time_ms=placing.time_ms,
            err_ms=placing.err_ms,
            gap_ms=placing.gap_ms,
            penalty_ms=placing.penalty_ms,
            flags=list(placing.flags),
            reason=placing.reason or None,
        )
        for placing in placings
    ]


def result_of(race: Race, places: list[RacePlace], receipt: str) -> RaceResult:
    """The result as one player gets it."""
    return RaceResult(RaceResultPayload(race=race.card.id, places=places, receipt=receipt))


def receipt_of(race: Race, placing: Placing, world: str) -> Receipt:
    """What one racer's receipt says; ``world`` is the hash of the world."""
    assert race.start_ms is not None, "a finished race has started"
    return Receipt(
        player=placing.player,
        race=race.card.id,
        route=race.card.route,
        world=world,
        vehicle=race.racers[placing.player].vehicle,
        place=placing.place,
        of=len(race.racers),
        status=placing.status,
        start_ms=race.start_ms,
        time_ms=placing.time_ms,
        err_ms=placing.err_ms,
        splits_ms=splits_for_receipt(placing.splits_ms, race.card.gates),
        penalty_ms=placing.penalty_ms,
        flags=placing.flags,
    )
