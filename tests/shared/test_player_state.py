"""The columns of a player's state: complete, typed, fresh, and documented."""

from __future__ import annotations

import ast
import dataclasses
import inspect

import numpy as np

from shared import player_state
from shared.player_state import BORDER_COLUMNS, COLUMNS, PlayerState, fresh


def test_every_field_is_a_column_in_the_order_of_the_class() -> None:
    assert [name for name, *_ in COLUMNS] == [field.name for field in dataclasses.fields(PlayerState)]


def test_fresh_players_have_the_declared_types_shapes_and_values() -> None:
    state = fresh(5)
    assert len(state) == 5
    for name, dtype, shape, value in COLUMNS:
        column = getattr(state, name)
        assert column.dtype == np.dtype(dtype), name
        assert column.shape == (5, *shape), name
        assert (column == value).all(), name
        assert column.flags.c_contiguous, name


def test_what_a_fresh_player_starts_with() -> None:
    """The values that the tick relies on: no sample yet, no clock yet, no home yet, no race."""
    state = fresh(1)
    assert state.seq[0] == -1
    assert (state.offset_ms[0], state.kiosk_ms[0]) == (np.inf, -np.inf)
    assert (state.budget_m[0], state.own_m[0], state.t_ms[0], state.span_ms[0]) == (np.inf,) * 4
    assert (state.home[0], state.cell[0], state.race[0]) == (-1, -1, -1)
    others = [name for name, *_, value in COLUMNS if value]
    assert sorted(others) == sorted(
        ["budget_m", "cell", "home", "kiosk_ms", "offset_ms", "own_m", "race", "seq", "span_ms", "t_ms"]
    )


def test_columns_of_fresh_players_share_no_memory() -> None:
    one, other = fresh(3), fresh(3)
    arrays = [getattr(state, name) for state in (one, other) for name, *_ in COLUMNS]
    for index, array in enumerate(arrays):
        assert not any(np.shares_memory(array, rest) for rest in arrays[index + 1 :])


def test_nobody_is_a_state_too() -> None:
    assert len(fresh(0)) == 0


def test_only_the_listing_and_the_way_out_depend_on_where_zones_are_cut() -> None:
    assert frozenset({"cell", "left_ms"}) == BORDER_COLUMNS


def test_counters_have_the_width_that_the_wire_and_the_ring_give_them() -> None:
    kinds = {name: dtype for name, dtype, *_ in COLUMNS}
    assert (kinds["epoch"], kinds["tail"], kinds["tick"]) == ("u4", "u4", "u4")
    assert kinds["seq"] == "i8", "-1 and the whole range of a client's 32 bits"
    for name, dtype, *_ in COLUMNS:
        if name.endswith(("_ms", "_m")) or name in ("pos", "vel", "yaw"):
            assert dtype == "f8", f"{name}: poses, times and budgets are float64"


def test_every_column_says_its_shape_and_meaning() -> None:
    body = ast.parse(inspect.getsource(player_state)).body
    state = next(node for node in body if isinstance(node, ast.ClassDef) and node.name == "PlayerState")
    told = {}
    for node, after in zip(state.body, state.body[1:], strict=False):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            told[node.target.id] = after.value.value if is_text else ""  # type: ignore[attr-defined]
    for name, _, shape, _ in COLUMNS:
        expected = f"(N, {shape[0]})" if shape else "(N,)"
        assert told[name].startswith(expected), f"{name}: its comment begins with its shape {expected}"
