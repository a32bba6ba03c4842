"""The process of one zone: attach, wait for a Tick, do it, answer Done, until told to stop or left alone."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection

from setproctitle import setproctitle

from ipc import block, layout
from ipc.cell_arena import CellWriter
from ipc.control import Done, Fault, Ready, Stop, ToMain, ToZone, decode_to_zone, encode
from ipc.input_ring import InputReader
from ipc.pipe import PipeClosed, PipeEnd
from ipc.world_table import ZoneTable
from shared.vehicles import VehicleClass
from shared.world.static_world import StaticWorld
from shared.world.zone_map import ZoneMap
from zones.simulation import ZoneWorld
from zones.zone import Zone

_ORPHAN_CHECK_S = 1.0
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class ZoneSpec:
    """All that a worker needs to know to become a zone; picklable."""

    instance: str
    zone: int
    geometry: layout.Geometry
    zone_map: ZoneMap
    vehicles: tuple[VehicleClass, ...]
    main_pid: int
    row_budget: int = 0
    """Rows of one cell per tick; 0: all."""


def main(spec: ZoneSpec, connection: Connection) -> None:
    """Entry point of a spawned worker. Exits 0 when stopped, 1 after a bug of its own, 3 when main is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: main decides what ends when
    _die_with(spec.main_pid)
    setproctitle(f"shard: zone {spec.zone}")
    pipe = PipeEnd(connection)
    tick = 0
    try:
        with ExitStack() as stack:
            zone = _attach(spec, stack)
            gc.freeze()  # everything so far lives as long as the process: later collections need not look at it
            _say(pipe, Ready(spec.zone, os.getpid()))
            for message in _messages(pipe, spec.main_pid):
                if isinstance(message, Stop):
                    return
                tick = message.tick
                done: Done = zone.tick(message)
                _say(pipe, done)
    except PipeClosed:
        sys.exit(3)
    except Exception as bug:
        fault = Fault(spec.zone, tick, type(bug).__name__, traceback.format_exc()[-20_000:])
        _say(pipe, fault)
        sys.exit(1)


def _attach(spec: ZoneSpec, stack: ExitStack) -> Zone:
    geometry = spec.geometry
    blocks = {
        "table": layout.table_dtype(geometry),
        "input": layout.input_dtype(geometry),
        f"cells-{spec.zone}": layout.arena_dtype(geometry),
    }
    table, ring, arena = (block.attach(spec.instance, kind, dtype, geometry) for kind, dtype in blocks.items())
    views = ZoneTable(table), InputReader(ring), CellWriter(arena)
    for opened in (table, ring, arena):
        stack.callback(opened.close)
    for view in views:
        stack.callback(view.release)  # runs before the closes: views must be gone when the memory is unmapped
    world = ZoneWorld(spec.zone, spec.zone_map, StaticWorld.empty(spec.zone_map.size_m), spec.vehicles)
    return Zone(world, *views, time.monotonic_ns, spec.row_budget)


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
