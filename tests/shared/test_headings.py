"""Sines and arctangents of our own: as good as the platform's, and the same to the bit on every one."""

from __future__ import annotations

import hashlib
import math

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.world.headings import FULL_TURN_MRAD, heading, mrad_of_degrees, yaw_mrad


def test_headings_are_those_of_the_platform_to_the_last_digits() -> None:
    yaw = np.linspace(-10.0, 10.0, 100_001)
    x, z = heading(yaw)
    assert np.abs(x - np.sin(yaw)).max() < 6e-16
    assert np.abs(z - np.cos(yaw)).max() < 6e-16


def test_every_milliradian_has_its_heading_for_good() -> None:
    """Pinned: solids and chunks hang on these bits."""
    x, z = heading(np.arange(FULL_TURN_MRAD + 1) / 1000.0)
    assert hashlib.sha256(x.tobytes() + z.tobytes()).hexdigest()[:16] == "5a12ba59b7374767"
    assert np.abs(x * x + z * z - 1.0).max() < 1e-15


def test_the_four_directions() -> None:
    x, z = heading(np.array([0.0, math.pi / 2, math.pi, 3 * math.pi / 2]))
    assert np.allclose(x, [0, 1, 0, -1], atol=1e-15)
    assert np.allclose(z, [1, 0, -1, 0], atol=1e-15)


def test_a_yaw_comes_back_from_its_heading() -> None:
    yaws = np.arange(FULL_TURN_MRAD + 1)
    x, z = heading(yaws / 1000.0)
    assert (yaw_mrad(x, z) == yaws).all()
    assert (yaw_mrad(x * 1e6, z * 1e6) == yaws).all()
    assert yaw_mrad(np.array([0.0]), np.array([0.0])) == 0


@given(x=st.floats(-1e5, 1e5), z=st.floats(-1e5, 1e5))
def test_yaws_are_those_of_atan2(x: float, z: float) -> None:
    assume(x != 0.0 or z != 0.0)
    exact = math.atan2(x, z) % math.tau * 1000.0
    got = int(yaw_mrad(np.array([x]), np.array([z]))[0])
    assert 0 <= got <= FULL_TURN_MRAD
    assert min(abs(got - exact), 2000 * math.pi - abs(got - exact)) <= 0.5 + 1e-6


def test_degrees() -> None:
    assert [mrad_of_degrees(degrees) for degrees in (0, 90, 180, 270, 359.99)] == [0, 1571, 3142, 4712, 6283]
