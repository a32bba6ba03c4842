"""The tick of one zone, on one screen. Pure: members' rows, their samples and the Tick in; rows and events out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ipc.control import (
    MESSAGES_PER_TICK_MAX,
    Arm,
    Command,
    Crossing,
    Disarm,
    Event,
    Place,
    PlacedAt,
    Resume,
    Sanction,
    SetFlags,
    Tick,
)
from shared.constants import CELL_M, FLAG_AIRBORNE, FLAG_AWAY, FLAG_GHOST, ROUNDS_MAX
from shared.messages import PlacedReason
from shared.player_state import F64, U8, U32, PlayerState
from shared.thresholds import DEFAULT, Mode, Thresholds
from shared.vehicles import VEHICLES, VehicleClass
from shared.world.static_world import StaticWorld
from shared.world.zone_map import ZoneMap
from zones import border, gates, kiosks, movement, rows
from zones.anticheat import Judge, Rules, moved_by_server
from zones.sweep import Obstacles
from zones.tracks import Tracks
from zones.verdicts import Sentence

SANCTIONS_PER_TICK_MAX = 16
"""Of each step. Removals are told again; the others are for the log."""

Slots = NDArray[np.intp]
ReadSamples = Callable[[Slots, U32], Any]
"""(slots, positions) -> (N,) records of ipc.layout.SAMPLE."""


@dataclass(frozen=True, slots=True)
class ZoneWorld:
    """What a zone knows of the world for good."""

    zone: int
    zone_map: ZoneMap
    static: StaticWorld
    vehicles: tuple[VehicleClass, ...] = VEHICLES
    """Classes of vehicle; ``vehicles`` of ``step`` are indices into it."""
    limits: Thresholds = DEFAULT
    anticheat: Mode = "enforce"
    rules: Rules = field(init=False)
    """What samples are judged by: all of the above."""
    tracks: Tracks = field(init=False)
    """The gates of ``static.routes``."""

    def __post_init__(self) -> None:
        obstacles, ground = Obstacles.of(self.static.solids), self.static.ground
        rules = Rules(self.limits, self.anticheat, self.vehicles, obstacles, ground, self.zone_map.size_m)
        object.__setattr__(self, "rules", rules)
        object.__setattr__(self, "tracks", Tracks.of(self.static.routes))

    @property
    def rect_m(self) -> F64:
        """The zone's rectangle: x0, z0, x1, z1 in metres."""
        rect: F64 = self.zone_map.rects_m[self.zone]
        return rect

    @property
    def cells_per_side(self) -> int:
        """The world's grid of cells is a square of this many."""
        return self.zone_map.size_m // CELL_M


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a tick had to say besides the rows."""

    rows: rows.Rows
    """(N, 8) of all members, as they are shown at the tick's time."""
    judged: int
    accepted: int
    events: list[Event]
    flagged: int
    """Members to whom the tick gave strikes."""
    counts: dict[str, int]
    """Samples that failed, by check."""
    pairs: int
    """Segments tested against obstacles."""


def step(
    world: ZoneWorld,
    tick: Tick,
    slots: Slots,
    generations: U32,
    vehicles: U8,
    state: PlayerState,
    heads: U32,
    read: ReadSamples,
) -> Outcome:
    """Advance the members ``slots`` (N,), ascending, by one tick. Mutates every column of ``state`` (N,).

    ``vehicles`` (N,) are indices into ``world.vehicles``; ``heads`` (N,) the ring counters up to which samples belong
    to this tick.
    """
    events: list[Event] = []
    for command in tick.commands:
        _obey(world, command, tick, slots, generations, vehicles, state, events)
    judge = Judge(world.rules, tick, slots, generations, vehicles, state)
    sentence = judge.open()

    referee = gates.Referee(world.tracks, world.vehicles, slots, generations, vehicles, state)
    judged = accepted = 0
    for _round in range(ROUNDS_MAX):
        who = np.flatnonzero(heads != state.tail)
        if not len(who):
            break
        samples = read(slots[who], state.tail[who])
        admitted = referee.admit(who, samples)
        who, samples = who[admitted], samples[admitted]
        ruling = judge.judge(who, samples)
        good = ruling.good
        began = referee.begin(who[good])
        movement.apply_samples(state, who[good], ruling.samples[good], world.static.ground)
        referee.end(began, ruling.samples[good])
        state.tail[who] += np.uint32(1)
        judged += len(who)
        accepted += int(np.count_nonzero(good))

    referee.release(tick.now_ms)
    docket = judge.docket
    events += [*docket.corrections, *docket.verdicts(), *_sanctions(world, slots, generations, state, sentence)]
    events += kiosks.verdicts(tick, slots, generations, state)
    due = border.note_leaving(state, world.rect_m, tick.now_ms)
    events += _crossings(world, slots, generations, state, due, max(MESSAGES_PER_TICK_MAX - len(events), 0))
    events += referee.events  # they have room of their own
    state.home[:] = border.home_cells(state.pos, state.home, world.cells_per_side)
    state.cell[:] = border.listed_cells(state.home, world.rect_m, world.cells_per_side)
    state.tick[:] = tick.tick

    shown = movement.carried_forward(state, tick.now_ms)
    told = rows.wire_rows(slots, state, shown)
    return Outcome(told, judged, accepted, events, judge.flagged, dict(docket.counts), judge.pairs)


def _obey(
    world: ZoneWorld,
    command: Command,
    tick: Tick,
    slots: Slots,
    generations: U32,
    vehicles: U8,
    state: PlayerState,
    events: list[Event],
) -> None:
    index = int(np.searchsorted(slots, command.slot))
    if index == len(slots) or slots[index] != command.slot or generations[index] != command.generation:
        return  # the player it was meant for is gone; main counts commands that were not answered
    match command:
        case SetFlags():
            state.flags[index] = (int(state.flags[index]) | command.on) & ~command.off & 0xFF
        case Arm():
            gates.arm(state, index, command, world.tracks)
        case Disarm():
            gates.disarm(state, index)
        case Resume():
            moved_by_server(world.rules, state, index, int(vehicles[index]), tick.now_ms, fresh=True)
            state.flags[index] &= np.uint8(0xFF ^ (FLAG_AWAY | FLAG_GHOST))
            _start_anew(index, tick, state)
            events.append(_placed_at(command, index, state, "resume"))
        case Place():
            moved_by_server(world.rules, state, index, int(vehicles[index]), tick.now_ms, command.fresh)
            (height,) = world.static.ground.height_m(np.array([command.x]), np.array([command.z])).tolist()
            state.pos[index] = (command.x, height, command.z)
            state.flags[index] &= np.uint8(0xFF ^ FLAG_AIRBORNE)
            state.vel[index] = 0.0
            state.yaw[index] = command.yaw
            state.left_ms[index] = 0.0
            if command.fresh:
                _start_anew(index, tick, state)
            else:
                state.sample_ms[index] = tick.now_ms
                state.epoch[index] += np.uint32(1)
            gates.put(state, index, tick.now_ms)
            events.append(_placed_at(command, index, state, command.reason))


def _start_anew(index: int, tick: Tick, state: PlayerState) -> None:
    """A new connection: epoch, ``seq`` and the client's clock are others from now on."""
    state.sample_ms[index] = tick.now_ms
    state.epoch[index] += np.uint32(1)
    state.seq[index] = -1
    state.offset_ms[index] = np.inf


def _placed_at(command: Place | Resume, index: int, state: PlayerState, reason: PlacedReason) -> PlacedAt:
    x, y, z = state.pos[index].tolist()
    vx, _, vz = state.vel[index].tolist()
    epoch, yaw = int(state.epoch[index]), float(state.yaw[index])
    return PlacedAt(command.slot, command.generation, epoch, x, y, z, yaw, reason, vx, vz)


def _sanctions(
    world: ZoneWorld, slots: Slots, generations: U32, state: PlayerState, sentence: Sentence
) -> list[Sanction]:
    """Who passed a threshold of strikes: the gravest first."""
    observed = not world.rules.enforce
    return [
        Sanction(int(slots[index]), int(generations[index]), step, float(state.strikes[index]), observed)
        for step, who in sentence.steps()
        for index in who[:SANCTIONS_PER_TICK_MAX].tolist()
    ]


def _crossings(
    world: ZoneWorld, slots: Slots, generations: U32, state: PlayerState, due: NDArray[np.bool_], room: int
) -> list[Crossing]:
    """The members beyond the border band whose place belongs to another zone; those who wait longest come first."""
    who = np.flatnonzero(due)
    targets = world.zone_map.zone_at(state.pos[who, 0], state.pos[who, 2])
    abroad = targets != world.zone
    who, targets = who[abroad], targets[abroad]
    first = np.argsort(state.left_ms[who], kind="stable")[:room]
    return [
        Crossing(int(slots[index]), int(generations[index]), int(target), float(state.left_ms[index]))
        for index, target in zip(who[first], targets[first], strict=True)
    ]
