"""The tick of a zone against a plain loop over its players: same rows, same events, to the last bit."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipc.control import (
    MESSAGES_PER_TICK_MAX,
    Command,
    Crossing,
    Event,
    Place,
    PlacedAt,
    Reidentify,
    Resume,
    SetFlags,
    Tick,
    UseKiosk,
)
from ipc.layout import SAMPLE
from shared.constants import (
    AIRBORNE_M,
    BORDER_BAND_M,
    CELL_M,
    FLAG_AIRBORNE,
    FLAG_AWAY,
    FLAG_GHOST,
    HOME_BAND_M,
    ROUNDS_MAX,
)
from shared.messages import PlacedReason
from shared.player_state import COLUMNS, PlayerState, fresh
from shared.world.static_world import StaticWorld
from shared.world.zone_map import ZoneMap
from zones.simulation import Outcome, Slots, ZoneWorld, step

SIZE_M = 512
WORLD = ZoneWorld(1, ZoneMap.split(SIZE_M, 4), StaticWorld.empty(SIZE_M, 250), anticheat="off")
GROUND_M = 2.5
NOW_MS = 1_000_000.0
WRAP = 2**32
X0, Z0, X1, Z1 = WORLD.rect_m.tolist()
CENTRE_X, CENTRE_Z = (X0 + X1) / 2, (Z0 + Z1) / 2
ABROAD = (X0 + 10.0, Z0 - BORDER_BAND_M - 1.0)
"""Beyond the border band, in zone 0."""


@dataclass
class Members:
    """Members of a zone with their rings, as plain Python objects and as the columns made of them."""

    slots: list[int]
    generations: list[int]
    state: PlayerState
    rings: dict[int, list[Any]] = field(default_factory=dict)
    """Slot to the samples from its tail on."""

    def heads(self) -> np.ndarray[Any, np.dtype[np.uint32]]:
        counts = [len(self.rings.get(slot, ())) for slot in self.slots]
        return (self.state.tail.astype(np.int64) + counts).astype(np.uint32)

    def reader(self) -> Any:
        """What InputReader.read does, over the lists."""
        tails = dict(zip(self.slots, self.state.tail.tolist(), strict=True))

        def read(slots: Slots, positions: Any) -> Any:
            records = [
                self.rings[slot][(position - tails[slot]) % WRAP]
                for slot, position in zip(slots.tolist(), positions.tolist(), strict=True)
            ]
            assert len({*slots.tolist()}) == len(slots), "a round takes one sample per player"
            return np.array(records, SAMPLE)

        return read


def members(*slots: int) -> Members:
    """Members with generation 1 who stand in the middle of the zone and have driven before."""
    state = fresh(len(slots))
    state.pos[:] = (CENTRE_X, GROUND_M, CENTRE_Z)
    state.sample_ms[:] = NOW_MS - 100.0
    state.offset_ms[:] = 0.0
    return Members(list(slots), [1] * len(slots), state)


def sample(
    seq: int, x: float, z: float, epoch: int = 0, t_ms: float = NOW_MS, recv_ms: float = NOW_MS, vx: float = 0.0
) -> tuple[float, ...]:
    return (recv_ms, t_ms, x, nan, z, 0.0, vx, 0.0, 0.0, epoch, seq)


def tick_with(*commands: Command, number: int = 7) -> Tick:
    return Tick(number, NOW_MS, 0, number - 1, [], [], [], list(commands))


def do(who: Members, tick: Tick | None = None) -> Outcome:
    return step(
        WORLD,
        tick or tick_with(),
        np.array(who.slots, np.intp),
        np.array(who.generations, np.uint32),
        np.zeros(len(who.slots), np.uint8),
        who.state,
        who.heads(),
        who.reader(),
    )


def bits(state: PlayerState) -> dict[str, bytes]:
    return {name: getattr(state, name).tobytes() for name, *_ in COLUMNS}


# --- commands


def test_a_placement_sets_the_pose_stops_the_car_and_is_answered_with_its_epoch() -> None:
    who = members(3, 9)
    who.state.vel[:], who.state.epoch[:], who.state.seq[:] = 30.0, 5, 44
    who.state.left_ms[:] = 77.0
    others = bits(who.state)
    outcome = do(who, tick_with(Place(9, 1, 30.0, 300.0, 1.25, "respawn", fresh=False)))
    assert outcome.events == [PlacedAt(9, 1, 6, 30.0, GROUND_M, 300.0, 1.25, "respawn")]
    assert who.state.pos[1].tolist() == [30.0, GROUND_M, 300.0]
    assert who.state.vel[1].tolist() == [0.0, 0.0, 0.0]
    assert (who.state.yaw[1], who.state.sample_ms[1], who.state.epoch[1]) == (1.25, NOW_MS, 6)
    assert who.state.seq[1] == 44, "the connection is the same: its numbers go on"
    assert who.state.offset_ms[1] == 0.0
    assert who.state.epoch[0] == 5
    assert who.state.vel[0].tobytes() == others["vel"][:24]


def test_a_new_connection_starts_its_numbers_and_its_clock_anew() -> None:
    who = members(3)
    who.state.seq[0] = 44
    do(who, tick_with(Place(3, 1, 300.0, 20.0, 0.0, "enter", fresh=True)))
    assert (who.state.seq[0], who.state.offset_ms[0]) == (-1, inf)


def test_commands_are_obeyed_in_order_each_with_an_epoch_of_its_own() -> None:
    who = members(3, 4)
    places: list[Command] = [
        Place(slot, 1, x, 20.0, 0.0, "respawn", fresh=False) for slot, x in ((3, 10.0), (4, 20.0), (3, 30.0))
    ]
    outcome = do(who, tick_with(*places))
    told = [(event.slot, event.epoch, event.x) for event in outcome.events if isinstance(event, PlacedAt)]
    assert told == [(3, 1, 10.0), (4, 1, 20.0), (3, 2, 30.0)]
    assert who.state.pos[0, 0] == 30.0
    assert who.state.epoch.tolist() == [2, 1]


def test_commands_come_before_the_samples_of_their_tick() -> None:
    who = members(3)
    before, after = sample(1, CENTRE_X + 1, CENTRE_Z, epoch=0), sample(2, CENTRE_X + 2, CENTRE_Z, epoch=1)
    who.rings[3] = [before, after]
    outcome = do(who, tick_with(Place(3, 1, CENTRE_X, CENTRE_Z, 0.0, "respawn", fresh=False)))
    assert (outcome.judged, outcome.accepted) == (2, 1), "the first was sent before the client knew"
    assert who.state.pos[0, 0] == CENTRE_X + 2
    assert who.state.seq[0] == 2


@pytest.mark.parametrize(("slot", "generation"), [(3, 2), (2, 1), (5, 1), (900, 1)])
def test_a_command_for_somebody_who_is_gone_is_not_obeyed(slot: int, generation: int) -> None:
    who = members(3, 4)
    undisturbed = copy.deepcopy(who)
    do(undisturbed)
    outcome = do(who, tick_with(Place(slot, generation, 1.0, 1.0, 0.0, "respawn", fresh=False)))
    assert outcome.events == []
    assert bits(who.state) == bits(undisturbed.state)


# --- samples


def test_samples_are_judged_in_order_and_the_last_good_one_stands() -> None:
    who = members(3)
    who.rings[3] = [sample(seq, CENTRE_X + seq, CENTRE_Z) for seq in (1, 2, 3)]
    outcome = do(who)
    assert (outcome.judged, outcome.accepted) == (3, 3)
    assert who.state.pos[0, 0] == CENTRE_X + 3
    assert who.state.tail[0] == 3


def test_at_most_eight_samples_of_a_player_are_judged_per_tick_and_none_is_lost() -> None:
    who = members(3, 4)
    who.rings[3] = [sample(seq, CENTRE_X, CENTRE_Z) for seq in range(1, 21)]
    who.rings[4] = [sample(1, CENTRE_X, CENTRE_Z)]
    judged = []
    for _ in range(4):
        outcome = do(who)
        judged.append(outcome.judged)
        for row, slot in enumerate(who.slots):
            taken = int(who.state.tail[row])
            assert int(who.state.seq[row]) == taken
            who.rings[slot] = [sample(seq, CENTRE_X, CENTRE_Z) for seq in range(taken + 1, {3: 21, 4: 2}[slot])]
    assert ROUNDS_MAX == 8
    assert judged == [9, 8, 4, 0]


def test_a_bad_sample_is_counted_and_taken_but_moves_nobody() -> None:
    who = members(3)
    who.rings[3] = [sample(1, -5.0, CENTRE_Z), sample(2, CENTRE_X, CENTRE_Z, epoch=9), sample(3, CENTRE_X, 400.0)]
    outcome = do(who)
    assert (outcome.judged, outcome.accepted) == (3, 1)
    assert who.state.tail[0] == 3
    assert who.state.pos[0].tolist() == [CENTRE_X, GROUND_M, 400.0]


def test_the_tail_wraps_with_the_ring() -> None:
    who = members(3)
    who.state.tail[0] = WRAP - 2
    who.rings[3] = [sample(seq, CENTRE_X, CENTRE_Z) for seq in (1, 2, 3)]
    assert do(who).judged == 3
    assert who.state.tail[0] == 1


# --- crossings


def test_a_member_beyond_the_band_is_told_with_the_zone_it_stands_in_until_it_is_released() -> None:
    who = members(3)
    who.rings[3] = [sample(1, *ABROAD)]
    [event] = do(who).events
    assert event == Crossing(3, 1, 0, float(who.state.left_ms[0]))
    who.rings.clear()
    assert do(who, tick_with(number=8)).events == [event], "told again, with the same time"


def test_within_the_band_nobody_is_told() -> None:
    who = members(3)
    who.rings[3] = [sample(1, X0 + 10.0, Z0 - BORDER_BAND_M + 1.0)]
    assert do(who).events == []
    assert who.state.left_ms[0] > 0.0


def test_more_crossings_than_a_done_holds_leave_the_youngest_for_later() -> None:
    count = MESSAGES_PER_TICK_MAX + 20
    who = members(*range(count))
    who.state.pos[:] = (ABROAD[0], 0.0, ABROAD[1])
    who.state.left_ms[:] = NOW_MS - np.random.default_rng(1).permutation(count)
    events = do(who).events
    assert len(events) == MESSAGES_PER_TICK_MAX
    told = [event.left_ms for event in events if isinstance(event, Crossing)]
    assert told == sorted(who.state.left_ms.tolist())[:MESSAGES_PER_TICK_MAX]


def test_placements_and_crossings_share_the_room_of_a_done() -> None:
    who = members(*range(300))
    who.state.pos[:] = (ABROAD[0], 0.0, ABROAD[1])
    places: list[Command] = [Place(slot, 1, CENTRE_X, CENTRE_Z, 0.0, "respawn", fresh=False) for slot in range(200)]
    events = do(who, tick_with(*places)).events
    assert sum(isinstance(event, PlacedAt) for event in events) == 200
    assert sum(isinstance(event, Crossing) for event in events) == MESSAGES_PER_TICK_MAX - 200


# --- the plain loop


def plain_step(who: Members, tick: Tick) -> tuple[list[dict[str, Any]], list[Event], int, int]:
    """The tick as one would write it for one player at a time; rows as dicts, in the members' order."""
    players = [{name: getattr(who.state, name)[row].tolist() for name, *_ in COLUMNS} for row in range(len(who.slots))]
    events: list[Event] = []
    judged = accepted = 0
    for command in tick.commands:
        for slot, generation, player in zip(who.slots, who.generations, players, strict=True):
            if (slot, generation) == (command.slot, command.generation):
                events.extend(plain_obey(player, command, tick.now_ms))
    for slot, player in zip(who.slots, players, strict=True):
        for record in who.rings.get(slot, ())[:ROUNDS_MAX]:
            judged += 1
            accepted += plain_sample(player, record)
            player["tail"] = (player["tail"] + 1) % WRAP
    crossings = []
    for slot, generation, player in zip(who.slots, who.generations, players, strict=True):
        target = plain_border(player, tick.now_ms)
        if target is not None:
            crossings.append(Crossing(slot, generation, target, player["left_ms"]))
        player["tick"] = tick.tick
    crossings.sort(key=lambda crossing: crossing.left_ms)
    return players, [*events, *crossings], judged, accepted


def plain_obey(player: dict[str, Any], command: Command, now_ms: float) -> list[Event]:
    if isinstance(command, SetFlags):
        player["flags"] = (player["flags"] | command.on) & ~command.off & 0xFF
        return []
    if isinstance(command, Reidentify | UseKiosk):
        return []  # the first is the listing's affair, the second is judged after the samples
    assert isinstance(command, Place | Resume), "races have tests of their own"
    reason: PlacedReason = "resume"
    if isinstance(command, Place):
        reason = command.reason
        player["flags"] &= ~FLAG_AIRBORNE
        player.update(pos=[command.x, GROUND_M, command.z], vel=[0.0, 0.0, 0.0], yaw=command.yaw, left_ms=0.0)
    else:
        player["flags"] &= ~(FLAG_AWAY | FLAG_GHOST)
    player.update(sample_ms=now_ms, epoch=player["epoch"] + 1)
    if isinstance(command, Resume) or (isinstance(command, Place) and command.fresh):
        player.update(seq=-1, offset_ms=inf)
    (x, y, z), (vx, _, vz) = player["pos"], player["vel"]
    return [
        PlacedAt(command.slot, command.generation, player["epoch"], x, y, z, player["yaw"], reason, vx, vz),
    ]


def plain_sample(player: dict[str, Any], record: Sequence[Any]) -> bool:
    recv_ms, _, x, y, z, yaw, vx, vy, vz, epoch, seq = record
    if epoch != player["epoch"] or seq <= player["seq"] or not (0.0 <= x < SIZE_M and 0.0 <= z < SIZE_M):
        return False
    player["pos"] = [x, GROUND_M if math.isnan(y) else y, z]
    player["flags"] = (player["flags"] & ~FLAG_AIRBORNE) | (FLAG_AIRBORNE if y > GROUND_M + AIRBORNE_M else 0)
    player["vel"], player["yaw"], player["seq"] = [vx, vy, vz], yaw, seq
    player["sample_ms"], player["offset_ms"] = recv_ms, 0.0  # the client's clock is ours and nothing took time
    return True


def plain_border(player: dict[str, Any], now_ms: float) -> int | None:
    """Home, listing and leaving; the zone in which a player stands who is due for a handoff."""
    x, _, z = player["pos"]
    beyond_m = max(X0 - x, x - X1, Z0 - z, z - Z1)
    if beyond_m <= 0.0:
        player["left_ms"] = 0.0
    elif player["left_ms"] == 0.0:
        vx, _, vz = player["vel"]
        speed_mps = math.sqrt(vx * vx + vz * vz)
        since_ms = 1000.0 * beyond_m / speed_mps if speed_mps > 1.0 else 0.0
        player["left_ms"] = min(player["sample_ms"], now_ms) - min(since_ms, 1000.0)
    side = SIZE_M // CELL_M
    cz, cx = divmod(player["home"], side)
    stays = (
        player["home"] >= 0
        and cx * CELL_M - HOME_BAND_M <= x < (cx + 1) * CELL_M + HOME_BAND_M
        and cz * CELL_M - HOME_BAND_M <= z < (cz + 1) * CELL_M + HOME_BAND_M
    )
    if not stays:
        cz, cx = int(z // CELL_M), int(x // CELL_M)
    player["home"] = cz * side + cx
    listed_x = min(max(cx, int(X0) // CELL_M), int(X1) // CELL_M - 1)
    listed_z = min(max(cz, int(Z0) // CELL_M), int(Z1) // CELL_M - 1)
    player["cell"] = listed_z * side + listed_x
    target = WORLD.zone_map.zone_of_point(x, z)
    return target if beyond_m > BORDER_BAND_M and target != WORLD.zone else None


def random_members(seed: int, count: int) -> tuple[Members, Tick]:
    rng = np.random.default_rng(seed)
    slots = sorted(rng.permutation(60)[:count].tolist())
    state = fresh(count)
    state.pos[:] = np.column_stack((rng.uniform(0, SIZE_M, count), np.zeros(count), rng.uniform(0, SIZE_M, count)))
    state.vel[:] = rng.uniform(-40, 40, (count, 3)) * rng.integers(0, 2, (count, 1))
    state.home[:] = rng.integers(-1, 64, count)
    state.epoch[:] = rng.integers(0, 3, count)
    state.seq[:] = rng.integers(-1, 10, count)
    state.tail[:] = rng.choice([0, 50, WRAP - 3], count)
    state.sample_ms[:] = NOW_MS - rng.uniform(-20, 400, count)
    state.left_ms[:] = rng.choice([0.0, NOW_MS - 800.0], count)
    state.flags[:] = rng.integers(0, 32, count)
    who = Members(slots, rng.integers(1, 4, count).tolist(), state)
    for slot in slots:
        first = int(rng.integers(0, 12))
        who.rings[slot] = [
            (
                NOW_MS - float(rng.uniform(-20, 60)),
                float(rng.uniform(0, 1e6)),
                float(rng.uniform(-10, SIZE_M + 10)),
                float(rng.choice([nan, 5.0])),
                float(rng.uniform(-10, SIZE_M + 10)),
                float(rng.uniform(-7, 7)),
                *rng.uniform(-40, 40, 3).tolist(),
                int(rng.integers(0, 4)),
                first + number,
            )
            for number in range(int(rng.integers(0, 12)))
        ]
    commands: list[Command] = []
    for slot, generation in zip(slots, who.generations, strict=True):
        if rng.random() < 0.4:
            x, z = rng.uniform(0, SIZE_M, 2).tolist()
            wrong = int(rng.random() < 0.2)
            commands.append(Place(slot, generation + wrong, x, z, 0.5, "respawn", fresh=bool(rng.random() < 0.5)))
        if rng.random() < 0.3:
            commands.append(SetFlags(slot, generation, int(rng.integers(0, 32)), int(rng.integers(0, 32))))
        if rng.random() < 0.3:
            commands.append(Resume(slot, generation))
    return who, tick_with(*commands)


@settings(max_examples=120, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 12))
def test_a_tick_is_that_of_a_plain_loop_over_the_players(seed: int, count: int) -> None:
    """How samples are dated is the business of the movement tests: here clients have our clock and are next door."""
    who, tick = random_members(seed, count)
    who.state.offset_ms[:] = 0.0
    who.rings = {slot: [(record[0], *record[:1], *record[2:]) for record in ring] for slot, ring in who.rings.items()}
    players, events, judged, accepted = plain_step(copy.deepcopy(who), tick)
    outcome = do(who, tick)
    assert (outcome.judged, outcome.accepted) == (judged, accepted)
    assert outcome.events == events
    for row, player in enumerate(players):
        for name, *_ in COLUMNS:
            assert getattr(who.state, name)[row].tolist() == player[name], name
    assert outcome.rows[:, 0].tolist() == who.slots


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 12))
def test_the_same_input_gives_the_same_bytes(seed: int, count: int) -> None:
    runs = [random_members(seed, count) for _ in range(2)]
    outcomes = [do(who, tick) for who, tick in runs]
    assert bits(runs[0][0].state) == bits(runs[1][0].state)
    assert outcomes[0].rows.tobytes() == outcomes[1].rows.tobytes()
    assert outcomes[0].events == outcomes[1].events


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 12))
def test_a_player_fares_the_same_alone_as_among_others(seed: int, count: int) -> None:
    """What makes runs with different numbers of zones equal."""
    together, tick = random_members(seed, count)
    everybody = copy.deepcopy(together)
    outcome = do(together, tick)
    for row, slot in enumerate(everybody.slots):
        state = PlayerState(**{name: getattr(everybody.state, name)[row : row + 1].copy() for name, *_ in COLUMNS})
        alone = Members([slot], [everybody.generations[row]], state, {slot: everybody.rings[slot]})
        single = do(alone, tick)
        assert single.rows.tobytes() == outcome.rows[row : row + 1].tobytes()
        for name, *_ in COLUMNS:
            assert getattr(state, name).tobytes() == getattr(together.state, name)[row : row + 1].tobytes(), name


def test_a_tick_in_which_nothing_happens_changes_only_what_tells_of_the_tick() -> None:
    who = members(3, 4)
    do(who)
    before = bits(who.state)
    outcome = do(who, tick_with(number=8))
    after = bits(who.state)
    assert {name for name in before if before[name] != after[name]} == {"tick"}
    assert (outcome.judged, outcome.accepted, outcome.events) == (0, 0, [])


def test_a_zone_without_members_has_ticks_too() -> None:
    outcome = do(members())
    assert (outcome.judged, outcome.accepted, outcome.events) == (0, 0, [])
    assert outcome.rows.shape == (0, 8)


def test_rows_show_players_carried_to_the_time_of_the_tick() -> None:
    who = members(3)
    who.rings[3] = [sample(1, CENTRE_X, CENTRE_Z, t_ms=NOW_MS - 40.0, recv_ms=NOW_MS - 40.0, vx=10.0)]
    outcome = do(who)
    assert outcome.rows[0, 2] == round((CENTRE_X + 0.4) * 100)
