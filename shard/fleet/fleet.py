"""The workers of one shard: one per zone, and warm spares that take over from those that are lost.

A worker is lost when its process has ended, when it speaks nonsense, or when it owes a Done for too long. Then, in this
order: it is killed; it is reaped, and from then on nobody writes what it wrote; what it has said to the end is taken,
a whole Done is committed; a spare is told the zone's members and the Tick that was not answered, and goes on from the
committed rows. ``restart.py`` decides when, and what the spare is spared. Nothing here waits for a process: the
rest of the world stays on schedule.
"""

from __future__ import annotations

import logging
import select
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto

from ipc.control import Done, Fault, Ready, Tick, ToMain, ToZone
from shard.fleet import restart
from shard.fleet.restart import Cause, Exit, GiveUp, Restart, Sacrifice
from shard.fleet.zone_handle import ZoneHandle, ZoneLost
from shard.realm import Realm
from zones.worker import ZoneSpec

READY_TIMEOUT_S = 30.0
"""For a worker to import and attach: 60 ms on an idle core, but 64 of them may start on two."""
STOP_TIMEOUT_S = 2.0
ZONE_TIMEOUT_S = 2.0
"""Without a Done for so long a zone is hung: forty ticks, in which nothing of ours could keep it."""
TAKEOVERS_KEPT = 4096
_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Signals that others send, the kernel short of memory among them; all others are a worker's own fault."""

log = logging.getLogger(__name__)


class Standing(Enum):
    """What a worker is."""

    STARTING = auto()
    SPARE = auto()
    SERVING = auto()
    DYING = auto()
    """Killed, not reaped yet."""


@dataclass(slots=True, eq=False)
class Worker:
    """One process. ``zone`` is None until it has one."""

    handle: ZoneHandle
    zone: int | None
    since_s: float
    """When it was started, and later when it became the zone."""
    standing: Standing = Standing.STARTING
    ready: bool = False
    collections: int = 0
    """Garbage collections that have landed in its ticks."""
    waited_s: float = 0.0
    """How long it has owed a Done, as far as main was awake."""
    cause: Cause | None = None
    """Why it is dying, when that is known before its exit code."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Vacancy:
    """A zone without a worker that has ticked."""

    number: int
    """How often the zone has been without."""
    exit: Exit
    restart: Restart
    last_s: float
    """When its last Done came."""


@dataclass(frozen=True, slots=True)
class Takeover:
    """A zone that is back."""

    zone: int
    number: int
    cause: Cause
    sacrifice: Sacrifice
    tick: int
    """The first that its new worker has committed."""
    down_ms: float
    """From when main learned that the worker was lost to the first Done of the next."""
    frozen_ms: float
    """Between two Dones of the zone: how long its players stood still. A period, if nothing had happened."""


@dataclass(frozen=True, slots=True)
class Post:
    """The way to whoever is the zone. What is sent to nobody is not lost: it stays unanswered, and is told again."""

    fleet: Fleet
    zone: int

    def send(self, tick: Tick) -> None:
        """Hand the Tick over without waiting."""
        self.fleet.send(self.zone, tick)


class Fleet:
    """All workers. ``serve`` names the realm before the first message is taken."""

    def __init__(
        self,
        spec: ZoneSpec,
        spares: int = 1,
        zone_timeout_s: float = ZONE_TIMEOUT_S,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Spawn one worker per zone and the spares, all at once; ``spec`` is what they have in common.

        Call in the main thread; ``wait_ready`` next, ``stop`` at last.
        """
        zones = spec.geometry.zones
        self.links = [Post(self, zone) for zone in range(zones)]
        self.workers: list[Worker] = []
        self.takeovers: deque[Takeover] = deque(maxlen=TAKEOVERS_KEPT)
        self.collections = 0
        """Garbage collections that have landed in ticks of zones."""
        self.failure: ZoneLost | None = None
        """Set when no worker can be started any more."""
        self.hired: Callable[[Worker], None] = lambda worker: None
        """Told of every worker that is started later, and ..."""
        self.dismissed: Callable[[Worker], None] = lambda worker: None
        """... of every one whose pipe is not to be read from now on."""
        self._spec = spec
        self._spares = spares
        self._zone_timeout_s = zone_timeout_s
        self._monotonic_s = monotonic_s
        self._serving: list[Worker | None] = [None] * zones
        self._exits: list[deque[Exit]] = [deque(maxlen=restart.EXITS_KEPT) for _ in range(zones)]
        self._losses = [0] * zones
        self._done_s = [monotonic_s()] * zones
        self._vacancies: dict[int, Vacancy] = {}
        self._returning: dict[int, Vacancy] = {}
        """Zones whose new worker has not answered yet."""
        self._failed_starts = 0
        self._start_s = 0.0
        """Not before this is another worker started."""
        self._realm: Realm | None = None
        try:
            for zone in range(zones):
                self._serving[zone] = self._start(zone)
            for _ in range(spares):
                self._start(None)
        except BaseException:
            self.stop()
            raise

    def wait_ready(self) -> None:
        """Block until every zone's worker has attached; spares may take longer. Raises ZoneLost."""
        for worker in self.workers:
            if worker.zone is not None:
                worker.handle.wait_ready(READY_TIMEOUT_S)
                worker.ready, worker.standing = True, Standing.SERVING

    def serve(self, realm: Realm) -> None:
        """Whose zones these are."""
        self._realm = realm
        self._done_s = [self._monotonic_s()] * len(self._done_s)

    def stop(self) -> None:
        """Ask zones to end, wait, kill the rest, and reap all."""
        for worker in self.workers:
            if worker.standing is Standing.SERVING:
                worker.handle.ask_to_stop()
            else:
                worker.handle.kill()  # it has nothing to end
        for worker in self.workers:
            if not worker.handle.join(STOP_TIMEOUT_S):
                log.warning("zone did not stop, killing it", extra={"zone": worker.zone})
            worker.handle.kill_and_wait()
            worker.handle.close()
        self.workers.clear()

    # --- what the tick needs

    def send(self, zone: int, message: ToZone) -> None:
        """Say something to whoever is the zone; nobody may be."""
        worker = self._serving[zone]
        if worker is None:
            return
        try:
            worker.handle.send(message)
        except ZoneLost as lost:
            self._lose(worker, str(lost))

    def receive(self, worker: Worker) -> None:
        """Take what a worker has said so far."""
        if worker.standing is Standing.DYING:
            return  # its last words are taken when it can say nothing more
        try:
            messages = worker.handle.receive()
        except ZoneLost as lost:
            self._lose(worker, str(lost))
            return
        for message in messages:
            self._take(worker, message)

    def note_late(self, zones: Iterable[int], elapsed_s: float) -> None:
        """These zones owe a Done, and ``elapsed_s`` have passed in which main was awake and their pipes were drained.

        Call once per tick. Who has owed it for too long is killed.
        """
        for zone in zones:
            worker = self._serving[zone]
            if worker is None:
                continue
            worker.waited_s += elapsed_s
            if worker.waited_s >= self._zone_timeout_s:
                self._lose(worker, f"no Done for {worker.waited_s:.1f} s", "hang")

    # --- taking over

    @property
    def dying(self) -> bool:
        """Whether somebody is killed and not reaped yet: then ``poll`` soon."""
        return any(worker.standing is Standing.DYING for worker in self.workers)

    @property
    def lost(self) -> int:
        """How often a zone has lost its worker."""
        return sum(self._losses)

    @property
    def manned(self) -> bool:
        """Whether every zone has a worker that has ticked."""
        return not self._vacancies and not self._returning

    @property
    def whole(self) -> bool:
        """The same, and every spare is ready."""
        ready = sum(worker.standing is Standing.SPARE for worker in self.workers)
        return self.manned and ready >= self._spares and not self.dying

    def poll(self) -> None:
        """Bury who has ended, and give zones without a worker one that is ready and due."""
        now_s = self._monotonic_s()
        for worker in list(self.workers):
            if worker.standing is Standing.DYING and worker.handle.reaped:
                self._bury(worker, now_s)
            elif worker.standing is Standing.STARTING and now_s - worker.since_s > READY_TIMEOUT_S:
                self._lose(worker, f"not ready within {READY_TIMEOUT_S:.0f} s", "hang")
        due = [zone for zone, vacancy in self._vacancies.items() if vacancy.restart.at_s <= now_s]
        spares = [worker for worker in self.workers if worker.standing is Standing.SPARE]
        for zone, worker in zip(due, spares, strict=False):
            self._take_over(zone, worker, now_s)

    def replenish(self) -> None:
        """Start a worker if there is one too few. Takes some milliseconds: call it when a tick's work is done."""
        now_s = self._monotonic_s()
        idle = sum(worker.standing in (Standing.STARTING, Standing.SPARE) for worker in self.workers)
        if idle >= self._spares + len(self._vacancies) or now_s < self._start_s or self.failure is not None:
            return
        try:
            worker = self._start(None)
        except OSError as fault:
            self._note_failed_start(f"no process could be started: {fault}", now_s)
        else:
            self.hired(worker)

    def turn(self, timeout_s: float) -> None:
        """Wait for news and take them, then ``poll`` and ``replenish``: for programs without an event loop."""
        poll = select.poll()
        by_descriptor = {worker.handle.fileno(): worker for worker in self.workers if not self._is_dying(worker)}
        for descriptor in by_descriptor:
            poll.register(descriptor, select.POLLIN)
        for descriptor, _ in poll.poll(1.0 if self.dying else 1000.0 * timeout_s):
            self.receive(by_descriptor[descriptor])
        self.poll()
        self.replenish()

    # --- inside

    def _start(self, zone: int | None) -> Worker:
        worker = Worker(ZoneHandle(replace(self._spec, zone=zone)), zone, self._monotonic_s())
        self.workers.append(worker)
        return worker

    def _take(self, worker: Worker, message: ToMain) -> None:
        if isinstance(message, Ready):
            worker.ready, self._failed_starts = True, 0
            if worker.standing is Standing.STARTING:
                worker.standing = Standing.SPARE if worker.zone is None else Standing.SERVING
        elif isinstance(message, Fault):
            worker.cause, worker.why = "crash", f"{message.kind} at tick {message.tick}"
            extra = {"zone": worker.zone, "pid": worker.handle.pid, "tick": message.tick, "kind": message.kind}
            log.error("zone failed", extra=extra | {"restart": self._number(worker.zone)})
            log.error(message.traceback)
        else:
            self._commit(worker, message)

    def _commit(self, worker: Worker, done: Done) -> None:
        assert self._realm is not None, "call serve() first"
        worker.waited_s = 0.0
        self.collections += done.collections - worker.collections
        worker.collections = done.collections
        self._realm.commit(done)
        now_s = self._monotonic_s()
        if (vacancy := self._returning.pop(done.zone, None)) is not None:
            takeover = Takeover(
                zone=done.zone,
                number=vacancy.number,
                cause=vacancy.exit.cause,
                sacrifice=vacancy.restart.sacrifice,
                tick=done.tick,
                down_ms=1000.0 * (now_s - vacancy.exit.at_s),
                frozen_ms=1000.0 * (now_s - vacancy.last_s),
            )
            self.takeovers.append(takeover)
            extra: dict[str, object] = {
                "zone": done.zone,
                "restart": vacancy.number,
                "pid": worker.handle.pid,
                "tick": done.tick,
            }
            times: dict[str, object] = {
                "down_ms": round(takeover.down_ms, 1),
                "frozen_ms": round(takeover.frozen_ms, 1),
            }
            log.info("zone is back", extra=extra | times)
        self._done_s[done.zone] = now_s

    def _lose(self, worker: Worker, why: str, cause: Cause | None = None) -> None:
        """The worker is given up: first of all nothing of it may run on."""
        if worker.standing is Standing.DYING:
            return
        worker.standing = Standing.DYING
        worker.cause = worker.cause or cause
        worker.why = worker.why or why
        if worker.zone is not None:
            self._serving[worker.zone] = None
        self.dismissed(worker)
        worker.handle.kill()

    def _bury(self, worker: Worker, now_s: float) -> None:
        """The worker has ended: nobody writes any more what it wrote."""
        for message in worker.handle.last_words():
            self._take(worker, message)
        code = worker.handle.exitcode
        pid = worker.handle.pid
        worker.handle.close()
        self.workers.remove(worker)
        cause: Cause = worker.cause or ("killed" if code in [-number for number in _OUTSIDE] else "crash")
        extra: dict[str, object] = {"zone": worker.zone, "pid": pid, "exit": code, "cause": cause, "why": worker.why}
        if not worker.ready:
            self._note_failed_start(f"worker {pid} ended before it was ready, exit {code}: {worker.why}", now_s)
        elif worker.zone is None:
            log.warning("spare lost", extra=extra)
        else:
            self._note_vacancy(worker, worker.zone, cause, extra, now_s)

    def _note_vacancy(self, worker: Worker, zone: int, cause: Cause, extra: dict[str, object], now_s: float) -> None:
        assert self._realm is not None, "call serve() first"
        committed = self._realm.barrier.desks[zone].committed
        exits = self._exits[zone]
        exits.append(Exit(now_s, now_s - worker.since_s, cause, committed))
        plan = restart.after_exit(exits)
        self._losses[zone] += 1
        last_s = self._done_s[zone]
        if (before := self._returning.pop(zone, None)) is not None:
            last_s = before.last_s  # it was on its way back
        self._vacancies[zone] = Vacancy(self._losses[zone], exits[-1], plan, last_s)
        pause_s = round(plan.at_s - now_s, 2)
        log.warning(
            "zone lost",
            extra=extra | {"tick": committed, "restart": self._losses[zone], "pause_s": pause_s},
        )

    def _take_over(self, zone: int, worker: Worker, now_s: float) -> None:
        assert self._realm is not None, "call serve() first"
        vacancy = self._returning[zone] = self._vacancies.pop(zone)
        if vacancy.restart.sacrifice is Sacrifice.SAMPLES:
            dropped = self._realm.drop_samples(zone)
            log.error("zone fails on its input: samples dropped", extra={"zone": zone, "samples": dropped})
        elif vacancy.restart.sacrifice is Sacrifice.PLAYERS:
            moved = self._realm.evacuate(zone)
            log.error("zone fails on its input: players moved out", extra={"zone": zone, "players": moved})
        worker.zone, worker.standing, worker.since_s, worker.waited_s = zone, Standing.SERVING, now_s, 0.0
        self._serving[zone] = worker
        for message in self._realm.successor(zone):
            self.send(zone, message)

    def _note_failed_start(self, why: str, now_s: float) -> None:
        self._failed_starts += 1
        plan = restart.after_failed_starts(self._failed_starts, now_s)
        log.error("worker did not start", extra={"why": why, "in_a_row": self._failed_starts})
        if isinstance(plan, GiveUp):
            self.failure = ZoneLost(f"{self._failed_starts} workers in a row did not start; the last: {why}")
        else:
            self._start_s = plan.at_s

    def _number(self, zone: int | None) -> int:
        return 0 if zone is None else self._losses[zone] + 1

    @staticmethod
    def _is_dying(worker: Worker) -> bool:
        return worker.standing is Standing.DYING
