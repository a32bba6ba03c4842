"""A realm over real workers, without sockets and without a clock: what is killed, when, and what is there then."""

from __future__ import annotations

import gc
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import psutil

from ipc.input_ring import Lane
from ipc.layout import Geometry
from scripts.restarts.count import Count
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

    def __init__(self, zones: int, spares: int, players: int, seed: int) -> None:
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
        self.fleet = Fleet(spec, spares)
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
        """One kill and one takeover. Spares may still be starting at the end: the next cycle waits for one."""
        self.tick()
        spares = [worker for worker in self.fleet.workers if worker.standing is Standing.SPARE]
        serving = [worker for worker in self.fleet.workers if worker.standing is Standing.SERVING]
        victim = self.rng.choice(spares if spares and self.rng.random() < 0.1 else serving)
        self.fates[victim.standing.name.lower()] += 1
        self.tick(victim)
        while victim in self.fleet.workers or not self.fleet.manned:
            self._turn()
            if victim not in self.fleet.workers and not self.realm.barrier.late():
                self.tick()  # who succeeds a zone that died between two ticks is back with the next

    def count(self) -> Count:
        """What there is when all zones and all spares are."""
        while not self.fleet.whole:
            self._turn()
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
        """What is wrong with the world after all this, and a tick more."""
        self.tick()
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
