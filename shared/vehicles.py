"""Vehicle classes: what a car of each kind can do. The caps are what the zone judges samples by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VehicleClass:
    """One class of vehicle; all players of a class share its caps."""

    name: str
    speed_cap_mps: float
    """Top speed on the flat, metres per second."""
    accel_cap_mps2: float
    """Largest forward acceleration, metres per second squared."""


VEHICLES: tuple[VehicleClass, ...] = (
    VehicleClass("car", speed_cap_mps=70.0, accel_cap_mps2=12.0),
    VehicleClass("kart", speed_cap_mps=40.0, accel_cap_mps2=14.0),
    VehicleClass("truck", speed_cap_mps=35.0, accel_cap_mps2=5.0),
)
"""Rows of the WorldTable hold the index into this tuple."""

VEHICLE_INDEX: dict[str, int] = {vehicle.name: index for index, vehicle in enumerate(VEHICLES)}
DEFAULT_VEHICLE = VEHICLES[0].name
