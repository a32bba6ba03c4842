"""Kill workers over and over, have each taken over, and count what is left: ``python -m scripts.restarts --cycles N``.

A cycle is: a tick, a worker killed at a random moment of the next one (or a spare), the takeover, a tick. There are no
sockets and no clock: ticks follow each other as fast as they can. Before and after, everything is counted that could
leak: this process's memory, open descriptors, child processes and zombies, shared-memory blocks, entries of the fleet.
Exit code 0: nothing grew. 1: something did. 10,000 cycles take the better part of an hour: a worker starts in a quarter
of a second of one core.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from ipc.input_ring import Lane
from ipc.layout import Geometry
from shard.fleet.fleet import Fleet, Standing, Worker
from shard.fleet.memory import Memory
from shard.players.occupants import Client, Entry
from shard.realm import Realm
from shared.messages import MovePayload, PlacedPayload, ServerMessage
from shared.vehicles import VEHICLES
from shared.world.world import World
from shared.world.zone_map import ZoneMap
from zones.worker import ZoneSpec

PERIOD_MS = 50.0
SIZE_M = 512
WARM_UP_CYCLES = 20
"""Before the first count: caches fill, libraries load what they load lazily."""
MEMORY_SLACK_MIB = 8.0
"""How much memory may differ between the counts: the allocator keeps what it was given. 10,000 leaks of a kilobyte are
more than this."""


@dataclass(frozen=True, slots=True)
class Count:
    """What this process has."""

    memory_mib: float
    descriptors: int
    children: int
    zombies: int
    blocks: int
    workers: int


class Driver:
    """A client that takes every frame and drives on the spot."""

    def __init__(self) -> None:
        self.lane: Lane | None = None
        self.placements = 0
        self.epoch = 0
        self.seq = 0
        self.x = self.z = 0.0

    def placed(self, payload: PlacedPayload) -> None:
        self.placements += 1
        self.epoch, self.x, self.z = payload.epoch, payload.x, payload.z

    def offer(self, frame: bytes) -> bool:
        return bool(frame)

    def send(self, message: ServerMessage) -> None:
        """Nothing that it is told matters here."""

    def deliver(self, frame: bytes) -> None:
        """Nor that."""

    def move(self, now_ms: float) -> MovePayload:
        """The next sample."""
        self.seq += 1
        return MovePayload(self.epoch, self.seq, now_ms, self.x + 0.01 * (self.seq % 2), self.z, 0.0, 0.0, 0.0)


class Restarts:
    """One realm over real workers."""

    def __init__(self, zones: int, players: int, seed: int) -> None:
        self.rng = random.Random(seed)
        self.memory = Memory(Geometry(players + 16, zones), size_m=SIZE_M)
        zone_map = ZoneMap.split(SIZE_M, zones)
        spec = ZoneSpec(
            instance=self.memory.instance,
            zone=None,
            geometry=self.memory.geometry,
            zone_map=zone_map,
            vehicles=VEHICLES,
            world_columns=self.memory.world_columns,
            main_pid=os.getpid(),
        )
        self.fleet = Fleet(spec, spares=1)
        self.fleet.wait_ready()
        world = World("open", 1, SIZE_M)
        self.realm = Realm(world, zone_map, self.memory, self.fleet.links, PERIOD_MS, players, audit=True)
        self.fleet.serve(self.realm)
        self.drivers = {f"driver-{number}": Driver() for number in range(players)}
        self.fates: Counter[str] = Counter()
        for name, driver in self.drivers.items():
            client: Client = driver
            self.realm.enter(Entry(name, name.ljust(3), "car"), client)

    def close(self) -> None:
        """End the workers, remove the blocks."""
        self.fleet.stop()
        self.memory.close()

    def tick(self, victim: Worker | None = None) -> None:
        """One tick; ``victim`` is killed before, amid or after it."""
        for driver in self.drivers.values():
            if driver.lane is not None:
                now_ms = self.realm.now_ms + PERIOD_MS
                driver.lane.write(now_ms, driver.move(now_ms))
        moment = "" if victim is None else self.rng.choice(("before", "amid", "amid", "after"))
        if moment == "before":
            self._kill(victim)
        self.realm.begin_tick((self.realm.tick + 1) * PERIOD_MS)
        if moment == "amid":
            until = time.perf_counter() + self.rng.uniform(0.0, 0.002)
            while time.perf_counter() < until:
                pass
            self._kill(victim)
        while self.realm.barrier.late():
            self._turn()
        self.realm.end_tick()
        if moment == "after":
            self._kill(victim)

    def cycle(self) -> None:
        """One kill and one takeover."""
        self.tick()
        standing = Standing.SPARE if self.rng.random() < 0.1 else Standing.SERVING
        victim = self.rng.choice([worker for worker in self.fleet.workers if worker.standing is standing])
        self.fates[standing.name.lower()] += 1
        self.tick(victim)
        while victim in self.fleet.workers or not self.fleet.whole:
            self._turn()
            if victim not in self.fleet.workers and not self.realm.barrier.late():
                self.tick()  # who succeeds a zone that died between two ticks is back with the next

    def count(self) -> Count:
        """What there is now."""
        gc.collect()
        process = psutil.Process()
        children = process.children(recursive=True)
        return Count(
            memory_mib=round(process.memory_info().rss / 2**20, 1),
            descriptors=process.num_fds(),
            children=len(children),
            zombies=sum(child.status() == psutil.STATUS_ZOMBIE for child in children),
            blocks=len(list(Path("/dev/shm").glob(f"shard-{self.memory.instance}-*"))),
            workers=len(self.fleet.workers),
        )

    def check(self) -> list[str]:
        """What is wrong with the world after all this."""
        state = self.memory.table.committed("tick")
        wrong = []
        for name in self.drivers:
            occupant = self.realm.occupant(name)
            if occupant is None:
                wrong.append(f"{name} is lost")
            elif int(state[occupant.slot]) != self.realm.tick:
                wrong.append(f"{name} has tick {state[occupant.slot]}, the world {self.realm.tick}")
        return wrong

    def _turn(self) -> None:
        self.fleet.turn(1.0)
        if self.fleet.failure is not None:
            raise self.fleet.failure

    @staticmethod
    def _kill(victim: Worker | None) -> None:
        assert victim is not None, "only a tick with a victim has a moment"
        os.kill(victim.handle.pid, signal.SIGKILL)


def leaks(before: Count, after: Count) -> list[str]:
    """What there is more of than before."""
    found = []
    for name, was in asdict(before).items():
        slack = MEMORY_SLACK_MIB if name == "memory_mib" else 0
        if asdict(after)[name] > was + slack:
            found.append(f"{name}: {was} before, {asdict(after)[name]} after")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run the cycles; 0 if nothing leaked."""
    parser = argparse.ArgumentParser(prog="python -m scripts.restarts", description=__doc__.partition("\n")[0])
    parser.add_argument("--cycles", type=int, default=200, metavar="N", help="kills and takeovers (default 200)")
    parser.add_argument("--zones", type=int, default=4, metavar="N", help="zone processes (default 4)")
    parser.add_argument("--players", type=int, default=40, metavar="N", help="cars (default 40)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="what is killed when (default 1)")
    flags = parser.parse_args(argv)
    logging.getLogger("shard").setLevel(logging.CRITICAL)  # a line per kill is no news here
    restarts = Restarts(flags.zones, flags.players, flags.seed)
    try:
        for _ in range(WARM_UP_CYCLES):
            restarts.cycle()
        before, began_s = restarts.count(), time.monotonic()
        for number in range(1, flags.cycles + 1):
            restarts.cycle()
            if number % 500 == 0:
                print(f"{number:6d} cycles  {time.monotonic() - began_s:7.0f} s  {restarts.count()}", flush=True)
        restarts.tick()
        after, wrong = restarts.count(), restarts.check()
        frozen = sorted(takeover.down_ms for takeover in restarts.fleet.takeovers)
    finally:
        restarts.close()
    left = [path.name for path in Path("/dev/shm").glob(f"shard-{restarts.memory.instance}-*")]
    wrong += leaks(before, after) + [f"block left: {name}" for name in left]
    print(f"before  {before}\nafter   {after}")
    print(f"killed  {dict(restarts.fates)}; takeovers {len(frozen)}", end="")
    if frozen:
        print(f", from noticed to back p50 {frozen[len(frozen) // 2]:.1f} ms, max {frozen[-1]:.1f} ms", end="")
    print("\n" + ("\n".join(wrong) if wrong else "nothing leaked, nobody lost"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
