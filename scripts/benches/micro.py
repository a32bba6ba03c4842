"""Pieces of the shard, timed by themselves: medians over repeats, so that one busy moment does not count."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

import numpy as np

from ipc import layout
from ipc.cell_arena import CellReader, CellWriter
from ipc.control import Tick
from ipc.input_ring import InputReader, InputWriter
from ipc.world_table import MainTable, ZoneTable
from scripts.benches import writes
from scripts.benches.timing import Timing, spread
from shard.fanout import CellNews, Fanout
from shard.memory import Memory
from shard.watching import Watching
from shared.constants import CELL_M
from shared.messages import Move, MovePayload, decode_client, encode
from shared.world.static_world import StaticWorld
from shared.world.world import World
from shared.world.zone_map import ZoneMap
from zones.simulation import ZoneWorld
from zones.zone import Zone

REPEATS = 15
MIN_RUN_S = 0.01
IN_VIEW = 20


def time_prepared(piece: str, prepare: Callable[[], object], call: Callable[[], object], repeats: int) -> Timing:
    """Time ``call`` alone, each time after ``prepare``."""
    runs = []
    for _ in range(repeats):
        prepare()
        began = time.perf_counter()
        call()
        runs.append(1e6 * (time.perf_counter() - began))
    return spread(piece, runs)


def time_piece(piece: str, call: Callable[[], object], repeats: int = REPEATS) -> Timing:
    """Time ``call``, repeated until a run is long enough to measure."""
    count = 1
    while True:
        began = time.perf_counter()
        for _ in range(count):
            call()
        if (time.perf_counter() - began) >= MIN_RUN_S:
            break
        count *= 2
    gc.collect()
    runs = []
    for _ in range(repeats):
        began = time.perf_counter()
        for _ in range(count):
            call()
        runs.append(1e6 * (time.perf_counter() - began) / count)
    return spread(piece, runs)


def run() -> list[Timing]:
    """All pieces."""
    return [*_messages(), *writes.run(), *_zone(100), *_zone(1000), *_zone(4000)]


def _messages() -> list[Timing]:
    move = encode(Move(MovePayload(7, 123456, 1234567.8, 1234.56, 2345.67, 1.234, 12.34, -23.45)))
    memory = Memory(layout.Geometry(16, 1))
    try:
        ring = memory.ring

        def write() -> None:
            ring.write(3, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 1, 2)
            ring.rewind(3)

        return [
            time_piece("decode a move", lambda: decode_client(move)),
            time_piece("write a sample (and make room again)", write),
        ]
    finally:
        memory.close()


class _NullSocket:
    def offer(self, frame: bytes) -> bool:
        return True


def _zone(players: int) -> list[Timing]:
    """A zone whose players all move in every tick, IN_VIEW of them in the 3 x 3 cells around each."""
    edge = max(round((players * (3 * CELL_M) ** 2 / IN_VIEW) ** 0.5 / CELL_M), 4) * CELL_M
    memory = Memory(layout.Geometry(players, 1))
    blocks = memory.blocks
    views = ZoneTable(blocks["table"]), InputReader(blocks["input"]), CellWriter(blocks["cells-0"])
    try:
        zone_map = ZoneMap.split(edge, 1)
        zone = Zone(ZoneWorld(0, zone_map, StaticWorld.empty(zone_map.size_m)), *views, time.monotonic_ns)
        bench = _ZoneBench(zone, memory.table, memory.ring, memory.arenas[0], World("open", 1, edge), players)
        for _ in range(5):
            bench.write_samples()
            bench.tick()
        fanout = Fanout(players, Watching(zone_map.size_m // CELL_M, CELL_M, 0))
        socket = _NullSocket()
        homes, pos = memory.table.committed("home"), memory.table.committed("pos")
        for slot in range(players):
            fanout.watch(slot, socket)
        cells = CellNews(at_rates=False)
        page = memory.arenas[0].read(bench.half)
        cells.add(page, turn=1)
        fanout.publish(1, 0.0, homes, pos, cells)
        return [
            time_prepared(f"tick of a zone with {players} players", bench.write_samples, bench.tick, repeats=40),
            time_piece(f"read its {len(page.entries)} cells in main", bench.read),
            time_piece(
                f"join and offer frames to {players} watchers", lambda: fanout.publish(2, 0.0, homes, pos, cells)
            ),
        ]
    finally:
        for view in views:
            view.release()
        memory.close()


class _ZoneBench:
    def __init__(
        self, zone: Zone, table: MainTable, ring: InputWriter, arena: CellReader, world: World, players: int
    ) -> None:
        self._zone, self._table, self._ring, self._arena = zone, table, ring, arena
        self._count = 0
        self.half = 0
        self._slots = np.arange(players)
        poses = [world.spawn(number) for number in range(players)]
        self._x = np.array([pose.x for pose in poses])
        self._z = np.array([pose.z for pose in poses])
        for slot in range(players):
            table.seat(slot, 1, f"player-{slot}", f"Player {slot}", 0, 0)
        self._adopt = [(slot, 1) for slot in range(players)]

    def write_samples(self) -> None:
        """One sample per player, received now: what the next tick will judge."""
        self._count += 1
        now_ms = 1e6 + 50.0 * self._count
        turn = self._count / 10
        xs, zs = (self._x + 10 * np.sin(turn)).tolist(), (self._z + 10 * np.cos(turn)).tolist()
        for slot, (x, z) in enumerate(zip(xs, zs, strict=True)):
            self._ring.write(slot, now_ms, now_ms, x, 0.0, z, turn % 6, 10.0, 0.0, 0.0, 0, self._count)

    def tick(self) -> None:
        """Samples for everybody (not timed), then the tick of the zone, then the commit."""
        self._table.head[:] = self._ring.heads
        self.half ^= 1
        adopted, self._adopt = self._adopt, []
        self._zone.tick(Tick(self._count, 1e6 + 50.0 * self._count, self.half, self._count - 1, adopted, [], [], []))
        self._table.commit(self._slots)
        self._ring.tails[:] = self._ring.heads

    def read(self) -> None:
        """What main does with the cells of a Done."""
        CellNews(at_rates=False).add(self._arena.read(self.half), turn=1)
