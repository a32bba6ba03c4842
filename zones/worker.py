"""The process of one zone: attach, wait for a Tick, do it, answer Done, until told to stop or left alone.

A spare is the same process without a zone: imported, attached, and ready to assume any.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np
from setproctitle import setproctitle

from ipc import block, layout, world_block
from ipc.cell_arena import CellWriter
from ipc.control import Assume, Fault, Ready, Stop, Tick, ToMain, ToZone, decode_to_zone, encode
from ipc.input_ring import InputReader
from ipc.pipe import PipeClosed, PipeEnd
from ipc.world_table import ZoneTable
from shared.garbage import Garbage
from shared.heap import keep_memory
from shared.thresholds import DEFAULT, Mode, Thresholds
from shared.vehicles import VehicleClass
from shared.world.zone_map import ZoneMap
from zones.fault_point import FaultPoint, FaultStep, Trap, TrappedReader, TrappedTable, TrappedWriter
from zones.simulation import ZoneWorld
from zones.warm_up import warm_up
from zones.zone import Zone

_ORPHAN_CHECK_S = 1.0
_GAP_S = 0.01
"""Time between a Done and the next Tick that a zone may count on."""
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class ZoneSpec:
    """All that a worker needs to know to become a zone; picklable."""

    instance: str
    zone: int | None
    """None: a spare, which is told later."""
    geometry: layout.Geometry
    zone_map: ZoneMap
    vehicles: tuple[VehicleClass, ...]
    world_columns: layout.Columns
    """How the WorldBlock is laid out."""
    main_pid: int
    limits: Thresholds = DEFAULT
    anticheat: Mode = "enforce"
    row_budget: int = 0
    """Rows of one cell per tick; 0: all."""
    fault: FaultPoint | None = None
    """For tests: where this worker is to fail."""


class Worker:
    """The blocks of one worker and, once it has one, its zone."""

    def __init__(self, spec: ZoneSpec, stack: ExitStack) -> None:
        self.spec = spec
        self.zone: Zone | None = None
        self.number: int | None = None
        self.tick = 0
        """The last one that was told."""
        self.garbage = Garbage(time.perf_counter)
        self._stack = stack
        meant = spec.fault is not None and (spec.zone == spec.fault.zone or (spec.zone is None and spec.fault.again))
        self._trap = Trap(spec.fault) if spec.fault is not None and meant else None
        table = self._attach("table", layout.table_dtype(spec.geometry))
        ring = self._attach("input", layout.input_dtype(spec.geometry))
        self._views = (
            (ZoneTable(table), InputReader(ring))
            if self._trap is None
            else (TrappedTable(table, self._trap), TrappedReader(ring, self._trap))
        )
        for view in self._views:
            stack.callback(view.release)  # runs before the closes: views must be gone when the memory is unmapped
        land = world_block.attach(spec.instance, spec.world_columns, spec.geometry)
        stack.callback(land.close)
        reader = world_block.WorldReader(land, spec.world_columns, spec.zone_map.size_m)
        stack.callback(reader.release)
        self._static = reader.static
        if spec.zone is not None:
            self.become(spec.zone)

    def become(self, number: int) -> Zone:
        """Be zone ``number`` from now on; a worker is one zone in its life."""
        if self.zone is not None:
            assert self.number == number, f"zone {self.number} was told to be zone {number}"
            return self.zone
        setproctitle(f"shard: zone {number}")
        self.number = number
        opened = self._attach(f"cells-{number}", layout.arena_dtype(self.spec.geometry))
        arena = CellWriter(opened) if self._trap is None else TrappedWriter(opened, self._trap)
        self._stack.callback(arena.release)
        self.zone = Zone(self._world(number), *self._views, arena, time.monotonic_ns, self.spec.row_budget)
        self.zone.collections = lambda: self.garbage.in_ticks.count
        return self.zone

    def warm_up(self) -> None:
        """Be as fast in the first tick as in every other."""
        warm_up(self._world(self.number or 0))

    def obey(self, pipe: PipeEnd, message: Tick | Assume) -> None:
        """Do what main says, and answer a Tick."""
        if isinstance(message, Assume):
            self.become(message.zone).assume(message.members)
            return
        assert self.zone is not None, "a spare was given a Tick before a zone"
        self.tick = message.tick
        if self._trap is None:
            _say(pipe, self.zone.tick(message))
            return
        self._trap.tick = message.tick
        self._trap.pass_by(FaultStep.TOLD)
        self._trap.say(pipe, self.zone.tick(message))

    def _world(self, number: int) -> ZoneWorld:
        spec = self.spec
        return ZoneWorld(number, spec.zone_map, self._static, spec.vehicles, spec.limits, spec.anticheat)

    def _attach(self, kind: str, dtype: np.dtype[np.void]) -> block.Block:
        opened = block.attach(self.spec.instance, kind, dtype, self.spec.geometry)
        self._stack.callback(opened.close)
        return opened


def main(spec: ZoneSpec, connection: Connection) -> None:
    """Entry point of a spawned worker. Exits 0 when stopped, 1 after a bug of its own, 3 when main is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: main decides what ends when
    _die_with(spec.main_pid)
    keep_memory()
    setproctitle("shard: spare" if spec.zone is None else f"shard: zone {spec.zone}")
    pipe = PipeEnd(connection)
    worker = None
    try:
        with ExitStack() as stack:
            worker = Worker(spec, stack)
            worker.warm_up()
            worker.garbage.begin()  # everything so far lives as long as the process
            _say(pipe, Ready(spec.zone, os.getpid()))
            for message in _messages(pipe, spec.main_pid):
                if isinstance(message, Stop):
                    return
                worker.obey(pipe, message)
                worker.garbage.collect(_GAP_S)  # the Done is out: now there is time
    except PipeClosed:
        sys.exit(3)
    except Exception as bug:
        zone, tick = (spec.zone, 0) if worker is None else (worker.number, worker.tick)
        fault = Fault(zone, tick, type(bug).__name__, traceback.format_exc()[-20_000:])
        _say(pipe, fault)
        sys.exit(1)


def _messages(pipe: PipeEnd, main_pid: int) -> Iterator[ToZone]:
    """Messages of main as they come. Raises PipeClosed when main is gone."""
    while True:
        for data in pipe.receive_within(_ORPHAN_CHECK_S):
            yield decode_to_zone(data)
        if os.getppid() != main_pid:
            raise PipeClosed("main is gone")


def _say(pipe: PipeEnd, message: ToMain) -> None:
    """Send, waiting for room if need be: a worker has nothing else to do."""
    pipe.send(encode(message))
    while not pipe.flush():
        time.sleep(0.001)


def _die_with(main_pid: int) -> None:
    """Have the kernel kill this process when main dies, whatever it is doing then (Linux)."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != main_pid:  # main died before the request was in place
        os._exit(3)
