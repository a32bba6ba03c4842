"""A watcher in plain Python: applies snapshots exactly in the order that the wire contract gives.

It knows nothing of how the shard makes them, and breaks off at whatever the contract does not allow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass
class Car:
    """One entity of a watcher's picture."""

    who: list[Any]
    """[slot, player, name, vehicle]."""
    cell: int | None
    """The cell that lists it; None: none does, and it is removed at the end of the message."""
    row: list[int] = field(default_factory=list)
    """[slot, seq, x, z, yaw, speed, flags?, y?] as received last."""
    tick: int = 0
    """Of the message that brought the row."""


class Watcher:
    """What one client sees."""

    def __init__(self) -> None:
        self.cars: dict[int, Car] = {}
        self.late: dict[int, int] = {}
        """Cells that the last message called late, with their ticks."""
        self.seen_by: set[str] = set()
        """Every player that was ever in the picture."""

    def apply(self, payload: Json) -> None:
        """One ``snapshot``: reset, drop, clearing of full cells, all who, all at, all gone, then the unlisted go."""
        cells: list[Json] = payload["cells"]
        assert len({cell["c"] for cell in cells}) == len(cells), "a cell is told once per message"
        if payload.get("reset"):
            self._unlist(lambda car: True)
        dropped = set(payload.get("drop", ()))
        self._unlist(lambda car: car.cell in dropped)
        cleared = {cell["c"] for cell in cells if cell.get("full")}
        self._unlist(lambda car: car.cell in cleared)
        for cell in cells:
            self._who(cell)
        for cell in cells:
            self._at(cell, payload.get("tick", 0))
        for cell in cells:
            for slot in cell.get("gone", ()):
                if slot in self.cars and self.cars[slot].cell == cell["c"]:
                    self.cars[slot].cell = None
        self.cars = {slot: car for slot, car in self.cars.items() if car.cell is not None}
        self.late = {cell["c"]: cell["late"] for cell in cells if cell.get("late")}
        self.seen_by |= {car.who[1] for car in self.cars.values()}

    def _unlist(self, which: Any) -> None:
        for car in self.cars.values():
            if which(car):
                car.cell = None

    def _who(self, cell: Json) -> None:
        rows = {row[0] for row in cell.get("at", ())}
        for who in cell.get("who", ()):
            slot = who[0]
            assert slot in rows, f"slot {slot} comes into cell {cell['c']} without its row"
            known = self.cars.get(slot)
            if known is None or known.who[1] != who[1]:
                self.cars[slot] = Car(who, cell["c"])
            else:
                known.who, known.cell = who, cell["c"]

    def _at(self, cell: Json, tick: int) -> None:
        for row in cell.get("at", ()):
            assert row[0] in self.cars, f"a row of slot {row[0]}, of which nobody said who it is"
            assert 6 <= len(row) <= 8, row
            car = self.cars[row[0]]
            car.row, car.tick = row, tick

    # --- what tests ask

    def players(self) -> set[str]:
        """Who is in the picture."""
        players = [car.who[1] for car in self.cars.values()]
        assert len(set(players)) == len(players), "somebody is there twice"
        return set(players)

    def listing(self) -> dict[int, int]:
        """Slot to cell."""
        return {slot: car.cell for slot, car in self.cars.items() if car.cell is not None}

    def car_of(self, player: str) -> Car:
        """The car of a player in the picture."""
        [car] = [car for car in self.cars.values() if car.who[1] == player]
        return car
