"""The shard put together: memory, fleet, realm, gateway; started in this order, ended in the reverse."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from contextlib import ExitStack, closing

from setproctitle import setproctitle

from ipc.block import BlockFault, remove_stale
from ipc.layout import Geometry
from shard.access.denylist import DenyList
from shard.access.gateway import Gateway, listen, make_doors
from shard.access.keys import KeyStore
from shard.clock import ServerClock
from shard.conduct.evidence import EvidenceLog
from shard.config import Config, StartFault
from shard.fleet.fleet import Fleet
from shard.fleet.memory import Memory
from shard.fleet.recorder import SEGMENT_BYTES, Recorder, header_of
from shard.fleet.supervisor import Supervisor
from shard.fleet.zone_handle import ZoneLost
from shard.land.chunk_stock import LazyStock, WholeStock
from shard.land.world_store import prepare
from shard.players.reception import HouseRules, Reception
from shard.players.rounds import Rounds
from shard.races.director import Director
from shard.races.receipts import SigningKey, sign
from shard.realm import Realm
from shard.state.checkpoint import LEAP_MS
from shard.state.keeper import Keeper
from shard.state.state_dir import StateDir, StateDirFault
from shard.systemd import Notifier
from shard.views.watching import Watching
from shared.constants import CELL_M
from shared.heap import keep_memory
from shared.world.land import Land, land_of
from shared.world.survey import survey
from shared.world.zone_map import ZoneMap
from zones.worker import ZoneSpec

try:
    from uvloop import Loop
except ImportError:  # a platform without uvloop
    Loop = asyncio.SelectorEventLoop  # type: ignore[assignment, misc]

EXIT_FAILED = 1

log = logging.getLogger(__name__)


def run(config: Config, keys: KeyStore, receipts: SigningKey | None = None) -> int:
    """Run the shard until SIGTERM or Ctrl-C; returns the exit code. Raises StartFault when it cannot start."""
    setproctitle("shard: main")
    keep_memory()
    if stale := remove_stale():
        log.warning("removed what a dead shard left", extra={"blocks": len(stale)})
    with ExitStack() as stack:
        listener = stack.enter_context(listen(config))
        state = stack.enter_context(closing(open_state(config))) if config.state_dir is not None else None
        land = _survey(config)
        try:
            world = prepare(land, config.world.hash, config.world_cache)
            memory = stack.enter_context(closing(Memory(_geometry(config), world, land.size_m)))
        except BlockFault as fault:
            raise StartFault(str(fault)) from None
        zone_map = ZoneMap.split(land.size_m, config.zones, land.load())
        spec = ZoneSpec(
            instance=memory.instance,
            zone=None,
            geometry=memory.geometry,
            zone_map=zone_map,
            vehicles=land.vehicles,
            world_columns=memory.world_columns,
            main_pid=os.getpid(),
            anticheat=config.anticheat,
            row_budget=config.row_budget,
        )
        fleet = Fleet(spec, config.spares, config.zone_timeout_s)
        stack.callback(fleet.stop)
        try:
            fleet.wait_ready()
        except ZoneLost as lost:
            raise StartFault(f"a zone did not start: {lost}") from None
        realm = Realm(
            config.world,
            zone_map,
            memory,
            fleet.links,
            1000.0 / config.tick_hz,
            config.max_players,
            audit=config.debug,
            land=land,
            watching=Watching(config.world.size_m // CELL_M, config.view_radius_m, config.row_budget),
        )
        fleet.serve(realm)
        if config.evidence is not None:
            evidence = realm.conduct.evidence = stack.enter_context(closing(open_evidence(config)))
            evidence.solids = memory.world.static.solids
        if config.record is not None:
            realm.recorder = stack.enter_context(closing(open_recorder(config, realm)))
        set_race_rules(realm.races, config, receipts)
        log.info("receipts", extra={"key": receipts.describe() if receipts else "none: set SHARD_RECEIPT_SECRET"})
        with asyncio.Runner(loop_factory=Loop) as runner:
            return runner.run(_serve(config, keys, realm, fleet, listener, state))


async def _serve(
    config: Config, keys: KeyStore, realm: Realm, fleet: Fleet, listener: socket.socket, state: StateDir | None
) -> int:
    """Tick and serve until told to stop or broken."""
    loop = asyncio.get_running_loop()
    stop, hurry = asyncio.Event(), asyncio.Event()

    def signalled() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled)
    found = None if state is None else state.load(realm.world.hash, time.time() * 1000.0)
    clock = ServerClock(0.0 if found is None else found.now_ms + LEAP_MS)
    doors = make_doors(config, loop)
    world = realm.memory.world
    kept = map(world.chunk, range(world.chunks))
    stock = WholeStock(realm.land.chunks, kept) if world.chunks else LazyStock(realm.land)
    deny = DenyList(config.deny_file)
    reception = Reception(realm, keys, config.tick_hz, clock.now_ms, doors.pacer.add, house_rules(config), deny, stock)
    realm.evacuated = reception.removed
    rounds = Rounds(reception)
    keeper = None if state is None else Keeper(state, realm, reception)
    if keeper is not None and found is not None:
        keeper.bring_back(found)
    notifier = Notifier(os.environ)

    ready = False

    def ticked() -> None:
        nonlocal ready
        rounds.ticked()
        if keeper is not None:
            keeper.ticked(reception.now_s)
        if not ready and not realm.barrier.late():
            ready = True
            notifier.ready(f"{config.zones} zones, up to {config.max_players} players")
        # Also while a zone is down: it is replaced, and the others' players need no restart.
        notifier.beat(time.monotonic())

    supervisor = Supervisor(realm, fleet, clock, 1000.0 / config.tick_hz, ticked)
    gateway = Gateway(config, reception, clock, doors, listener)
    ticking = loop.create_task(supervisor.run())
    ticking.add_done_callback(lambda _: stop.set())
    fetching = loop.create_task(keys.run())
    await gateway.open()
    _announce(config, keys, realm, listener)
    await stop.wait()
    log.info("stopping", extra={"online": reception.online})
    notifier.stopping(f"{reception.online} players are told")
    gateway.refuse_arrivals()
    if reception.online and not ticking.done():
        rounds.warn(f"the server restarts in {config.drain_s:.0f} s; reconnect when you are told to")
        realm.races.close(realm.now_ms)
        reception.post_races()
        leaving = loop.create_task(_see_out(config, gateway, reception))
        hurrying = loop.create_task(hurry.wait())
        await asyncio.wait((leaving, hurrying, ticking), return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        hurrying.cancel()
        _cancel_races(reception)
    await gateway.close()
    fetching.cancel()
    notifier.close()
    ticking.cancel()
    try:
        await ticking
    except asyncio.CancelledError:
        if keeper is not None:
            keeper.close()
        handoffs = {f"handoff_{name}": value for name, value in realm.barrier.ledger.summary().items()}
        counts = {
            "ticks": realm.tick,
            "late_ticks": supervisor.late_ticks,
            "zones_lost": fleet.lost,
            "tick_late_p99_ms": supervisor.lateness_ms(0.99),
            "tick_late_max_ms": supervisor.lateness_ms(1.0),
            "gc_in_ticks": supervisor.garbage.in_ticks.count,
            "gc_in_zone_ticks": fleet.collections,
            "gc_in_gaps": supervisor.garbage.in_gaps.count,
            "gc_longest_ms": round(supervisor.garbage.in_gaps.longest_ms, 2),
        }
        checkpoints = {} if keeper is None else keeper.summary()
        log.info("stopped", extra={**counts, **checkpoints, **handoffs, **realm.conduct.summary()})
        return 0
    except Exception:
        log.exception("the shard cannot go on")
    return EXIT_FAILED


def house_rules(config: Config) -> HouseRules:
    """How long players may stay, by the settings."""
    return HouseRules(config.resume_s, config.max_queue, config.idle_minutes * 60.0)


def set_race_rules(races: Director, config: Config, receipts: SigningKey | None) -> None:
    """How races are run, by the settings: who may open one, how long the lost are waited for, who signs."""
    races.resume_ms = config.resume_s * 1000.0
    races.open_anywhere = config.dev
    if receipts is not None:
        lifetime_s = config.receipt_days * 86400.0
        races.sign = lambda receipt, now_ms: sign(receipt, receipts, now_ms / 1000.0, lifetime_s)


def open_evidence(config: Config) -> EvidenceLog:
    """The record of verdicts. Raises StartFault when the file cannot be written."""
    assert config.evidence is not None, "ask for it with --evidence"
    try:
        return EvidenceLog(config.evidence, config.anticheat)
    except OSError as fault:
        raise StartFault(f"--evidence: {config.evidence}: {fault.strerror}") from None


def open_state(config: Config) -> StateDir:
    """The directory of checkpoints. Raises StartFault when it cannot be used."""
    assert config.state_dir is not None, "ask for it with --state-dir"
    try:
        return StateDir(config.state_dir)
    except StateDirFault as fault:
        raise StartFault(f"--state-dir: {fault}") from None


def open_recorder(config: Config, realm: Realm) -> Recorder:
    """The recording of all ticks. Raises StartFault when the directory cannot be written."""
    assert config.record is not None, "ask for it with --record"
    period_ms = 1000.0 / config.tick_hz
    header = header_of(
        realm.memory,
        realm.world,
        realm.zone_map,
        realm.land.vehicles,
        config.anticheat,
        config.row_budget,
        period_ms,
    )
    try:
        return Recorder(config.record, header, realm.memory, segments_kept=config.record_mib * 2**20 // SEGMENT_BYTES)
    except OSError as fault:
        raise StartFault(f"--record: {config.record}: {fault.strerror}") from None


async def _see_out(config: Config, gateway: Gateway, reception: Reception) -> None:
    """Give the players, and races under way, the time they were promised, then close their connections."""
    await asyncio.sleep(config.drain_s)
    _cancel_races(reception)
    await gateway.drain()


def _cancel_races(reception: Reception) -> None:
    """Races that have not finished by now cannot any more. Harmless when there is none."""
    reception.realm.races.drain(reception.realm.now_ms)
    reception.post_races()


def _survey(config: Config) -> Land:
    """The land, if it can be driven. Raises StartFault with everything that is wrong with an operator's file."""
    land = land_of(config.world)
    content = config.world.content
    if content is not None and (findings := survey(land)):
        lines = "\n  ".join(finding.line(content.name) for finding in findings)
        raise StartFault(f"--world: the world cannot be served; `python -m scripts.check_world` draws it\n  {lines}")
    return land


def _geometry(config: Config) -> Geometry:
    """Rows for every player, and an eighth more for those whose slot rests after they left."""
    return Geometry(config.max_players + config.max_players // 8 + 16, config.zones)


def _announce(config: Config, keys: KeyStore, realm: Realm, listener: socket.socket) -> None:
    """What an operator wants to see at start: address, world and zone map, auth mode, memory."""
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    world = realm.world
    log.info(
        "listening",
        extra={
            "url": f"{'wss' if config.tls_cert else 'ws'}://{shown}:{port}/ws",
            "origins": list(config.origins) or "any",
        },
    )
    log.info("world", extra={"preset": world.preset, "seed": world.seed, "size_m": world.size_m, "hash": world.hash})
    for zone, rect in enumerate(realm.zone_map.rects_m.tolist()):
        x0, z0, x1, z1 = map(round, rect)
        log.info("zone", extra={"zone": zone, "x": f"{x0}..{x1}", "z": f"{z0}..{z1}"})
    log.info("auth", extra={"keys": keys.describe()})
    if config.zones > (cores := os.cpu_count() or 1):
        log.warning(
            "more zones than cores: each costs a share of a core", extra={"zones": config.zones, "cores": cores}
        )
    mib = realm.memory.total_bytes / 2**20
    log.info(
        "ready",
        extra={"instance": realm.memory.instance, "players_max": config.max_players, "memory_mib": round(mib, 1)},
    )
