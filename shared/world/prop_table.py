"""Props as columns: what placing, chunks and solids hand to each other."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from shared.constants import CHUNK_M
from shared.world.headings import heading
from shared.world.prop_kinds import PROP_KINDS

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

HALF_WIDTH_M: Final = np.array([kind.half_width_m for kind in PROP_KINDS])
HALF_DEPTH_M: Final = np.array([kind.half_depth_m for kind in PROP_KINDS])
_SHAPES: Final = ("none", "circle", "box", "wall")
SHAPE: Final = np.array([_SHAPES.index(kind.shape) for kind in PROP_KINDS], np.int8)
NONE, CIRCLE, BOX, WALL = range(4)
"""Values of ``SHAPE``."""


@dataclass(frozen=True, slots=True, eq=False)
class PropTable:
    """N props; every column is (N,) int32. A prop stands in the chunk that its position lies in, and in no other."""

    kind: I32
    """Index into PROP_KINDS."""
    x_cm: I32
    y_cm: I32
    z_cm: I32
    yaw_mrad: I32
    """0 to 6283."""
    scale_pct: I32

    @classmethod
    def empty(cls) -> Self:
        """No props."""
        return cls(*(np.zeros(0, np.int32) for _ in fields(cls)))

    @classmethod
    def joined(cls, tables: list[PropTable]) -> Self:
        """All props of several tables, in order."""
        names = [field.name for field in fields(cls)]
        return cls(*(np.concatenate([getattr(table, name) for table in tables]) for name in names))

    def __len__(self) -> int:
        return len(self.kind)

    def take(self, which: NDArray[np.integer] | NDArray[np.bool_] | slice) -> PropTable:
        """Some of the props, in the order of ``which``."""
        return PropTable(*(getattr(self, field.name)[which] for field in fields(self)))

    def chunk(self) -> tuple[I32, I32]:
        """(cx, cz) of every prop."""
        return self.x_cm // np.int32(CHUNK_M * 100), self.z_cm // np.int32(CHUNK_M * 100)

    def position_m(self) -> tuple[F64, F64]:
        """x and z, metres."""
        return self.x_cm / 100.0, self.z_cm / 100.0

    def half_sizes_m(self) -> tuple[F64, F64]:
        """Half the width and half the depth of every prop, at its scale."""
        scale = self.scale_pct / 100.0
        return HALF_WIDTH_M[self.kind] * scale, HALF_DEPTH_M[self.kind] * scale

    def shape(self) -> NDArray[np.int8]:
        """NONE, CIRCLE, BOX or WALL."""
        return SHAPE[self.kind]

    def heading(self) -> tuple[F64, F64]:
        """Unit vectors (x, z) that the props face."""
        return heading(self.yaw_mrad / 1000.0)
