"""Pieces of the shard, timed by themselves: medians over repeats, so that one busy moment does not count."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any
from unittest import mock

import msgspec
import numpy as np
from numpy.typing import NDArray

from ipc import layout
from ipc.cell_arena import CellReader, CellWriter
from ipc.control import Arm, GatePassed, Tick
from ipc.input_ring import InputReader, InputWriter
from ipc.world_table import MainTable, ZoneTable
from scripts.benches import writes
from scripts.benches.timing import Timing, spread
from shard.fleet.memory import Memory
from shard.races.director import Director, Entrant
from shard.races.race import COUNTDOWN_MS
from shard.views.fanout import CellNews, Fanout
from shard.views.watching import Watching
from shared import player_state
from shared.cells import CellColumns
from shared.constants import CELL_M
from shared.messages import Move, MovePayload, decode_client, encode
from shared.player_state import PlayerState, fresh
from shared.vehicles import VEHICLES
from shared.world.land import Land
from shared.world.prop_kinds import PROP_KINDS
from shared.world.prop_table import PropTable
from shared.world.route_table import RouteTable
from shared.world.solids import CELL_M as SOLIDS_CELL_M
from shared.world.solids import Solids
from shared.world.static_world import StaticWorld
from shared.world.world import World
from shared.world.world_file import load_preset
from shared.world.zone_map import ZoneMap
from zones import gates
from zones.anticheat import Judge
from zones.simulation import ZoneWorld
from zones.tracks import Tracks
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
    zones = [*_zone(100), *_zone(1000), *_zone(4000)]
    return [
        *_messages(),
        *writes.run(),
        *_races(100, 10),
        *zones,
        *_judging(1000, 0),
        *_judging(1000, 8),
        *_racers(1000),
    ]


def _messages() -> list[Timing]:
    sample = MovePayload(7, 123456, 1234567.8, 1234.56, 2345.67, 1.234, 12.34, -23.45)
    move = encode(Move(sample))
    memory = Memory(layout.Geometry(16, 1))
    try:
        ring = memory.ring
        lane = ring.lane(3)

        def write() -> None:
            lane.write(1.0, sample)
            ring.rewind(3)

        return [
            time_piece("decode a move", lambda: decode_client(move)),
            time_piece("write a sample (and make room again)", write),
        ]
    finally:
        memory.close()


def _judging(players: int, obstacles: int) -> list[Timing]:
    """All checks of one round, every player with a sample and ``obstacles`` candidates in its cell of the grid."""
    size_m, step_m = 1024, 0.5
    rng = np.random.default_rng(1)
    cells = size_m // round(SOLIDS_CELL_M)
    column, row, _ = (axis.ravel() for axis in np.meshgrid(range(cells), range(cells), range(obstacles)))
    props = PropTable(*(np.zeros(len(row), np.int32) for _ in fields(PropTable)))
    middle_m = (np.stack([column, row]) + 0.5) * SOLIDS_CELL_M + rng.uniform(-4.0, 4.0, (2, len(row)))
    trunk = next(index for index, kind in enumerate(PROP_KINDS) if kind.shape == "circle")
    props = replace(
        props, kind=props.kind + trunk, x_cm=_cm(middle_m[0]), z_cm=_cm(middle_m[1]), scale_pct=props.kind + 1
    )
    static = replace(StaticWorld.empty(size_m), solids=Solids.of(props, size_m))
    world = ZoneWorld(0, ZoneMap.split(size_m, 1), static)
    state = fresh(players)
    state.pos[:, 0], state.pos[:, 2] = rng.uniform(16.0, size_m - 100.0, (2, players))
    everybody = np.arange(players)
    seats = everybody, np.ones(players, np.uint32), np.zeros(players, np.uint8)
    samples = np.zeros(players, layout.SAMPLE)
    samples["y"], samples["vx"] = np.nan, 20.0 * step_m
    pairs: list[int] = []

    def prepare() -> None:
        samples["recv_ms"] += 50.0
        samples["t_ms"] += 50.0
        samples["seq"] += 1
        samples["x"], samples["z"] = state.pos[:, 0] + step_m, state.pos[:, 2]

    def judge_all() -> None:
        now_ms = float(samples["recv_ms"][0])
        judge = Judge(world.rules, Tick(1, now_ms, 0, 0, [], [], [], []), *seats, state)
        judge.open()
        ruling = judge.judge(everybody, samples)
        judge.docket.verdicts()
        state.pos[ruling.good, 0] = ruling.samples["x"][ruling.good]
        samples["epoch"] = state.epoch
        pairs.append(judge.pairs)

    timing = time_prepared("", prepare, judge_all, repeats=100)
    piece = f"judge a sample of each of {players} players, {pairs[-1] / players:.1f} obstacles near each"
    return [replace(timing, piece=piece)]


def _cm(metres: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.rint(metres * 100.0).astype(np.int32)


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
        encode = _last_encode(zone, bench)
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
            time_piece(f"of this, encode its {len(page.entries)} cells", encode),
            time_piece(f"read its {len(page.entries)} cells in main", bench.read),
            time_piece(
                f"join and offer frames to {players} watchers", lambda: fanout.publish(2, 0.0, homes, pos, cells)
            ),
        ]
    finally:
        for view in views:
            view.release()
        memory.close()


def _last_encode(zone: Zone, bench: _ZoneBench) -> Callable[[], object]:
    """One more tick; returns what encodes its cells again."""
    encode, asked = zone._encoder.encode, []

    def listening(*arguments: Any) -> CellColumns:
        asked.append(arguments)
        return encode(*arguments)

    with mock.patch.object(zone._encoder, "encode", listening):
        bench.write_samples()
        bench.tick()
    return lambda: encode(*asked[0])


def _racers(racers: int) -> list[Timing]:
    """What races add to a round of samples, by themselves: nobody races, all do, one in fifty passes a gate."""
    lanes = np.arange(racers, dtype=np.float64)
    gates_m = np.array([[100.0, 0.0, 100.0, 4096.0], [400.0, 0.0, 400.0, 4096.0], [700.0, 0.0, 700.0, 4096.0]])
    once = RouteTable(
        np.array([0, 3], np.int32), gates_m, np.zeros(3), np.array([True]), np.array([9], np.int32), np.array([900.0])
    )
    tracks = Tracks.of(once)
    everybody, ones = np.arange(racers), np.ones(racers, np.uint32)
    samples = np.zeros(racers, layout.SAMPLE)
    samples["z"] = lanes
    state, others = player_state.fresh(racers), player_state.fresh(racers)

    def prepare(passing: int) -> Callable[[], None]:
        def back() -> None:
            for row in range(racers):
                gates.arm(state, row, Arm(row, 1, 1, 0, 0.0), tracks)
            state.sample_ms[:], state.offset_ms[:], state.client_ms[:] = 1e6, 0.0, 1e6
            state.pos[:] = np.column_stack((np.where(lanes < passing, 99.0, 50.0), np.zeros(racers), lanes))
            samples["x"], samples["recv_ms"], samples["t_ms"] = state.pos[:, 0] + 2.0, 1e6 + 50.0, 1e6 + 50.0

        return back

    def judge(who: PlayerState) -> None:
        referee = gates.Referee(tracks, VEHICLES, everybody, ones, np.zeros(racers, np.uint8), who)
        referee.admit(everybody, samples)
        began = referee.begin(everybody)
        who.pos[:, 0] += 2.0  # what moving them does
        who.sample_ms += 50.0
        referee.end(began, samples)
        referee.release(1e6)

    return [
        time_piece(f"gates: a round with {racers} players, nobody races", lambda: judge(others)),
        time_prepared(f"gates: a round with {racers} racers, none at a gate", prepare(0), lambda: judge(state), 40),
        time_prepared(f"gates: a round with {racers} racers, 20 at a gate", prepare(20), lambda: judge(state), 40),
    ]


class _ZoneBench:
    SPEED_MPS = 10.0
    TURN = SPEED_MPS * 0.05 / 10.0
    """Radians per tick, on a circle of 10 m."""

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
        table.column("pos")[:, :, 0], table.column("pos")[:, :, 2] = self._at(0)
        self._adopt = [(slot, 1) for slot in range(players)]

    def write_samples(self) -> None:
        """One sample per player, received now: what the next tick will judge."""
        self._count += 1
        now_ms = 1e6 + 50.0 * self._count
        turn = self._count * self.TURN
        vx, vz = self.SPEED_MPS * np.cos(turn), -self.SPEED_MPS * np.sin(turn)
        for slot, (x, z) in enumerate(zip(*map(np.ndarray.tolist, self._at(self._count)), strict=True)):
            self._ring.write(slot, now_ms, MovePayload(0, self._count, now_ms, x, z, turn % 6, vx, vz))

    def _at(self, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where everybody is at a sample: circles of 10 m."""
        return self._x + 10.0 * np.sin(count * self.TURN), self._z + 10.0 * np.cos(count * self.TURN)

    def tick(self) -> None:
        """Samples for everybody (not timed), then the tick of the zone, then the commit."""
        self._table.head[:] = self._ring.heads
        self.half ^= 1
        adopted, self._adopt = self._adopt, []
        now_ms = 1e6 + 50.0 * self._count
        done = self._zone.tick(Tick(self._count, now_ms, self.half, self._count - 1, adopted, [], [], []))
        assert done.accepted == len(self._slots), f"{done.counts}: a tick without accepted samples costs little"
        self._table.commit(self._slots)
        self._ring.tails[:] = self._ring.heads

    def read(self) -> None:
        """What main does with the cells of a Done."""
        CellNews(at_rates=False).add(self._arena.read(self.half), turn=1)


def _races(races: int, racers: int) -> list[Timing]:
    """The director with many races at once: a tick in which nothing happens, and one in which a fifth pass a gate."""
    bench = _RaceBench(races, racers)
    a_fifth = bench.racers // 5
    return [
        time_piece(f"director: a tick of {races} races with {bench.racers} racers", bench.quiet_tick),
        time_prepared(f"director: a tick in which {a_fifth} of them pass a gate", bench.prepare, bench.busy_tick, 40),
    ]


class _RaceBench:
    """Races under way on one route whose gates never end."""

    def __init__(self, races: int, racers: int) -> None:
        land = Land.of_file(load_preset("harbour"))
        endless = msgspec.structs.replace(land.routes[1].entry, laps=50, vehicle=None, grid_slots=64)
        route = replace(land.routes[1], entry=endless)
        route = replace(route, grid=route.grid * 4)
        self.racers = races * racers
        self._gates = len(route.gates_m)
        self._now_ms = 1e12
        self._director = Director([route], self)
        self._passed = [0] * self.racers
        self._next = 0
        self._events: list[GatePassed] = []
        for race in range(races):
            players = range(race * racers, (race + 1) * racers)
            opened = self._director.open(str(players[0]), route.id, self._now_ms)
            assert isinstance(opened, str), opened
            for player in players[1:]:
                self._director.join(str(player), opened, self._now_ms)
            self._director.close_list(opened, self._now_ms)
            for player in players:
                self._director.on_grid(str(player), self._now_ms)
        self._now_ms += COUNTDOWN_MS
        self._director.step(self._now_ms)
        self._racers_per_race = racers
        self._empty()

    def entrant(self, player: str) -> Entrant:
        return Entrant((int(player), 1), player, "car")

    def committed_ms(self, slot: int) -> float:
        return self._now_ms

    def quiet_tick(self) -> None:
        self._director.step(self._now_ms)
        self._empty()

    def prepare(self) -> None:
        """The events of a tick: the next fifth of the racers, each at its next gate."""
        self._now_ms += 50.0
        self._events = []
        for _ in range(self.racers // 5):
            player = self._next = (self._next + 1) % self.racers
            lap, gate = divmod(self._passed[player], self._gates)
            self._passed[player] += 1
            race = 1 + player // self._racers_per_race
            self._events.append(GatePassed(player, 1, race, lap, gate, self._now_ms - 30.0, 3.0))

    def busy_tick(self) -> None:
        for event in self._events:
            self._director.zone_event(event, self._now_ms)
        self._director.step(self._now_ms)
        self._empty()

    def _empty(self) -> None:
        self._director.take_mail()
        self._director.take_orders()
