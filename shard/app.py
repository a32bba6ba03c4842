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
from shard.clock import ServerClock
from shard.config import Config, StartFault
from shard.denylist import DenyList
from shard.gateway import Gateway, listen, make_doors
from shard.keys import KeyStore
from shard.memory import Memory
from shard.realm import Realm
from shard.reception import HouseRules, Reception
from shard.rounds import Rounds
from shard.supervisor import Fleet, Supervisor
from shard.systemd import Notifier
from shard.watching import Watching
from shard.zone_handle import ZoneLost
from shared.constants import CELL_M
from shared.vehicles import VEHICLES
from shared.world.zone_map import ZoneMap

try:
    from uvloop import Loop
except ImportError:  # a platform without uvloop
    Loop = asyncio.SelectorEventLoop  # type: ignore[assignment, misc]

EXIT_FAILED = 1

log = logging.getLogger(__name__)


def run(config: Config, keys: KeyStore) -> int:
    """Run the shard until SIGTERM or Ctrl-C; returns the exit code. Raises StartFault when it cannot start."""
    setproctitle("shard: main")
    if stale := remove_stale():
        log.warning("removed what a dead shard left", extra={"blocks": len(stale)})
    with ExitStack() as stack:
        listener = stack.enter_context(listen(config))
        try:
            memory = stack.enter_context(closing(Memory(_geometry(config))))
        except BlockFault as fault:
            raise StartFault(str(fault)) from None
        zone_map = ZoneMap.split(config.world.size_m, config.zones)
        fleet = Fleet(memory.instance, memory.geometry, zone_map, VEHICLES, config.row_budget)
        stack.callback(fleet.stop)
        try:
            fleet.wait_ready()
        except ZoneLost as lost:
            raise StartFault(f"a zone did not start: {lost}") from None
        realm = Realm(
            config.world,
            zone_map,
            memory,
            fleet.handles,
            1000.0 / config.tick_hz,
            config.max_players,
            audit=config.debug,
            watching=Watching(config.world.size_m // CELL_M, config.view_radius_m, config.row_budget),
        )
        with asyncio.Runner(loop_factory=Loop) as runner:
            return runner.run(_serve(config, keys, realm, fleet, listener))


async def _serve(config: Config, keys: KeyStore, realm: Realm, fleet: Fleet, listener: socket.socket) -> int:
    """Tick and serve until told to stop or broken."""
    loop = asyncio.get_running_loop()
    stop, hurry = asyncio.Event(), asyncio.Event()

    def signalled() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled)
    clock = ServerClock()
    doors = make_doors(config, loop)
    house = HouseRules(config.resume_s, config.max_queue, config.idle_minutes * 60.0)
    reception = Reception(realm, keys, config.tick_hz, clock.now_ms, doors.pacer.add, house, DenyList(config.deny_file))
    rounds = Rounds(reception)
    notifier = Notifier(os.environ)

    def ticked() -> None:
        rounds.ticked()
        if not realm.barrier.late():
            if realm.tick == 1:
                notifier.ready(f"{config.zones} zones, up to {config.max_players} players")
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
        leaving = loop.create_task(_see_out(config, gateway))
        hurrying = loop.create_task(hurry.wait())
        await asyncio.wait((leaving, hurrying, ticking), return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        hurrying.cancel()
    await gateway.close()
    fetching.cancel()
    notifier.close()
    ticking.cancel()
    try:
        await ticking
    except asyncio.CancelledError:
        handoffs = {f"handoff_{name}": value for name, value in realm.barrier.ledger.summary().items()}
        counts = {
            "ticks": realm.tick,
            "late_ticks": supervisor.late_ticks,
            "tick_late_p99_ms": supervisor.lateness_ms(0.99),
            "tick_late_max_ms": supervisor.lateness_ms(1.0),
        }
        log.info("stopped", extra={**counts, **handoffs})
        return 0
    except Exception:
        log.exception("the shard cannot go on")
    return EXIT_FAILED


async def _see_out(config: Config, gateway: Gateway) -> None:
    """Give the players the time they were promised, then close their connections."""
    await asyncio.sleep(config.drain_s)
    await gateway.drain()


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
