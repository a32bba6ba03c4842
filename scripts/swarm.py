"""Drive a swarm of bots against a running shard and judge what each is shown: ``python -m scripts.swarm --bots 300``.

Exit code 0: all was well. 1: a violation of the contract, or a connection that ended without being asked to. 2: bad
arguments, no secret to mint tokens with, or no server. Latencies include this process's own lag, which is shown beside.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import multiprocessing
import os
import resource
import signal
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType
from typing import NoReturn

from scripts.bots.cheat import cheat_table
from scripts.bots.cheats import cheat_all
from scripts.bots.fleet import Fleet, FleetSpec, Progress
from scripts.bots.racer import Conduct
from scripts.bots.report import table
from scripts.bots.rules import Findings, Rules
from scripts.bots.tally import Tally
from scripts.mint_token import LOCAL_ISSUER
from shard.access.auth import KeyFault, KeyPools, load_keys
from shard.access.dev_secret import read_or_create
from shared.constants import VIEW_RADIUS_M
from shared.world.faults import WorldFileFault
from shared.world.land import Land
from shared.world.routes import Route
from shared.world.world_file import FILE_PRESETS, load, load_preset

BOTS_MAX = 20_000
"""Bot numbers have four digits in names of at most twenty characters; far more than one machine drives."""
PROCESSES_MAX = 64
DEFAULT_SECRET_FILE = ".dev-secret"
END_WAIT_S = 30.0
"""How long after its time a process may take to close its connections."""
DESCRIPTORS_SPARE = 64


class SwarmFault(ValueError):
    """The swarm cannot be run. The text is one line that names the argument and the fix."""


def main(argv: Sequence[str] | None = None, env: Mapping[str, str] | None = None) -> int:
    """Run a swarm, print its result, return the exit code. ``argv`` is without the program's name."""
    env = os.environ if env is None else env
    try:
        flags = _parser().parse_args(sys.argv[1:] if argv is None else argv)
        specs = _specs(flags, _signing_keys(flags.token_secret_file, env))
        if flags.cheats:
            return _run_cheats(specs[0], _land(flags.world), flags.route, as_json=flags.json)
        _raise_descriptor_limit(specs[0].bots)
        route = _route(flags) if flags.racers else None
        tally = _run_here(specs[0], route) if len(specs) == 1 else _run_processes(specs)
        if not tally.connected_most and tally.disconnects:
            raise SwarmFault(f"--url: no bot could connect to {flags.url}: {next(iter(tally.disconnects))}")
    except (SwarmFault, KeyFault) as fault:
        print(f"swarm: {fault}", file=sys.stderr)
        return 2
    print(table(tally), file=sys.stderr if flags.json else sys.stdout)
    if flags.json:
        print(json.dumps(tally.result()))
    return int(tally.failed)


# --- running ---------------------------------------------------------------------------------------------------------


def _run_here(spec: FleetSpec, route: Route | None) -> Tally:
    """All bots in this process; Ctrl-C ends the run early."""

    async def run() -> Tally:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        with _interrupt(lambda: loop.call_soon_threadsafe(stop.set)):
            fleet = Fleet(spec, route=route)
            tally = await fleet.run(stop, _show)
            if fleet.book is not None:
                print(fleet.book.table(), file=sys.stderr)
            return tally

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(run())


def _run_cheats(spec: FleetSpec, land: Land, route: str | None, as_json: bool) -> int:
    """One cheat per technique, for ``--seconds`` after a warm-up. Raises SwarmFault when none could connect."""
    keys = spec.secret, spec.issuer, spec.audience
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        outcomes = runner.run(cheat_all(spec.url, *keys, spec.seconds, spec.seed, land, route))
    if all(outcome.note.startswith("not connected") for outcome in outcomes):
        raise SwarmFault(f"--url: no bot could connect to {spec.url}: {outcomes[0].note}")
    print(cheat_table(outcomes), file=sys.stderr if as_json else sys.stdout)
    if as_json:
        print(json.dumps([outcome.as_dict() for outcome in outcomes]))
    return 0


def _run_processes(specs: Sequence[FleetSpec]) -> Tally:
    """One spawned process per spec. Ctrl-C tells all of them to end early; a process that dies is a disconnect."""
    context = multiprocessing.get_context("spawn")
    tally = Tally(findings=Findings(specs[0].violations_kept))
    pipes: dict[Connection, int] = {}
    latest: dict[int, Progress] = {}
    stopping: list[float] = []
    children = []
    for number, spec in enumerate(specs):
        ours, theirs = context.Pipe()
        child = context.Process(target=_child, args=(spec, theirs), daemon=True)
        child.start()
        theirs.close()
        children.append(child)
        pipes[ours] = number
    give_up_s = time.monotonic() + specs[0].ramp_s + specs[0].seconds + 2 * END_WAIT_S
    with _interrupt(lambda: stopping.append(time.monotonic())):
        while pipes and time.monotonic() < give_up_s:
            if len(stopping) == 1:
                stopping.append(math.inf)
                give_up_s = stopping[0] + END_WAIT_S
                for pipe in pipes:
                    pipe.send(None)
            ready = wait(list(pipes), timeout=0.2)
            for pipe in [pipe for pipe in pipes if pipe in ready]:
                _take(pipe, pipes, latest, tally)
            if pipes and len(latest) == len(pipes):
                _show(_sum(list(latest.values())))
                latest.clear()
    for number in pipes.values():
        tally.disconnects[f"process {number} did not end"] += 1
    for child in children:
        child.join(1.0)
        if child.is_alive():
            child.kill()
            child.join()
    return tally


def _take(pipe: Connection, pipes: dict[Connection, int], latest: dict[int, Progress], tally: Tally) -> None:
    """Take one message of a child: its progress, or its result, after which nothing more comes."""
    try:
        message = pipe.recv()
    except EOFError:
        tally.disconnects[f"process {pipes[pipe]} died"] += 1
        message = Tally()
    if isinstance(message, Progress):
        latest[pipes[pipe]] = message
    else:
        tally.merge(message)
        latest.pop(pipes.pop(pipe), None)
        pipe.close()


def _child(spec: FleetSpec, pipe: Connection) -> None:
    """The main function of a spawned process: anything that comes through ``pipe`` means stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    async def run() -> Tally:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def told_to_stop() -> None:
            loop.remove_reader(pipe.fileno())
            stop.set()

        loop.add_reader(pipe.fileno(), told_to_stop)
        return await Fleet(spec).run(stop, pipe.send)

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        tally = runner.run(run())
    pipe.send(tally)
    pipe.close()


def _sum(parts: Sequence[Progress]) -> Progress:
    in_world = sum(part.in_world for part in parts)
    size = sum(part.bytes_per_player_s * part.in_world for part in parts)
    return Progress(
        elapsed_s=max(part.elapsed_s for part in parts),
        connected=sum(part.connected for part in parts),
        in_world=in_world,
        messages_per_s=sum(part.messages_per_s for part in parts),
        bytes_per_player_s=size / max(in_world, 1),
        violations=sum(part.violations for part in parts),
    )


def _show(progress: Progress) -> None:
    print(progress.line(), file=sys.stderr, flush=True)


@contextmanager
def _interrupt(act: Callable[[], object]) -> Iterator[None]:
    """Call ``act`` on Ctrl-C instead of raising KeyboardInterrupt somewhere."""

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        act()

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


# --- arguments -------------------------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SwarmFault(f"{' '.join(message.split())}; see --help")


def _parser() -> _Parser:
    parser = _Parser(prog="python -m scripts.swarm", description=__doc__.splitlines()[0], allow_abbrev=False)
    add = parser.add_argument
    add("--bots", type=int, metavar="N", help="clients, over all processes (default 300, or the racers alone)")
    add("--seconds", type=float, default=60.0, metavar="S", help="time to drive after the ramp (default 60)")
    add("--ramp", type=float, default=5.0, metavar="S", help="time over which the bots connect (default 5)")
    add("--processes", type=int, default=1, metavar="N", help="bots of different processes judge no pairs (default 1)")
    add("--url", default="ws://127.0.0.1:8765/ws", help="default ws://127.0.0.1:8765/ws")
    add("--seed", type=int, default=1, metavar="N", help="same seed: same players and journeys (default 1)")
    add("--churn", type=float, default=0.0, metavar="N", help="times per minute that each bot leaves (default 0)")
    add("--churn-seconds", type=float, default=math.inf, metavar="S", help="nobody leaves later than this")
    add("--line-stall", type=float, default=0.0, metavar="S", help="so long the lines hold up what is sent (default 0)")
    add("--keep", type=int, default=200, metavar="N", help="violations kept with their evidence (default 200)")
    add("--view-radius", type=float, default=VIEW_RADIUS_M, metavar="M", help="that of the shard (default %(default)s)")
    add("--come-back", action="store_true", help="connect again when the line breaks, and expect the same car")
    add(
        "--cheats",
        action="store_true",
        help="one cheat per technique in place of honest bots, best in --world scripts/fair/yard.toml",
    )
    add("--racers", type=int, default=0, metavar="N", help="so many of the bots race, on --route (default 0)")
    add("--route", metavar="NAME", help="to race on; the shard runs with --dev and the same --world")
    add("--world", default=FILE_PRESETS[0], metavar="NAME|FILE", help=f"of the route (default {FILE_PRESETS[0]})")
    conducts = ", ".join(each for each in Conduct if each is not Conduct.HONEST)
    add("--misconduct", default="", metavar="LIST", help=f"what the last racers do, one each: {conducts}")
    add("--json", action="store_true", help="one JSON object on stdout, the table on stderr")
    add(
        "--token-secret-file",
        metavar="PATH",
        help=f"HS256 secret (default: SUPABASE_JWT_SECRET of the environment, else {DEFAULT_SECRET_FILE})",
    )
    return parser


def _specs(flags: argparse.Namespace, keys: KeyPools) -> list[FleetSpec]:
    """One spec per process. Raises SwarmFault."""
    if flags.bots is None:
        flags.bots = flags.racers or 300
    for flag, value, low, high in (
        ("--bots", flags.bots, 1, BOTS_MAX),
        ("--racers", flags.racers, 0, flags.bots),
        ("--processes", flags.processes, 1, 1 if flags.racers else min(PROCESSES_MAX, flags.bots)),
        ("--seconds", flags.seconds, 0.1, 7 * 86400),
        ("--ramp", flags.ramp, 0.0, 86400),
        ("--churn", flags.churn, 0.0, 60.0),
        ("--churn-seconds", flags.churn_seconds, 0.0, math.inf),
        ("--line-stall", flags.line_stall, 0.0, 10.0),
        ("--keep", flags.keep, 0, 1_000_000),
        ("--view-radius", flags.view_radius, 64.0, 1024.0),
    ):
        if not low <= value <= high:
            raise SwarmFault(f"{flag}: must be {low} to {high}, not {value}")
    url = urllib.parse.urlsplit(flags.url)
    if url.scheme not in ("ws", "wss") or not url.hostname:
        raise SwarmFault(f"--url: must be like ws://127.0.0.1:8765/ws, not {flags.url!r}")
    assert keys.secret is not None, "_signing_keys returns keys with a secret"
    cuts = [flags.bots * part // flags.processes for part in range(flags.processes + 1)]
    return [
        FleetSpec(
            url=flags.url,
            first=first,
            bots=end - first,
            seconds=flags.seconds,
            ramp_s=flags.ramp,
            seed=flags.seed,
            churn_per_minute=flags.churn,
            secret=keys.secret,
            issuer=keys.issuer or LOCAL_ISSUER,
            audience=keys.audience,
            churn_s=flags.churn_seconds,
            violations_kept=flags.keep,
            come_back=flags.come_back,
            racers=_conducts(flags),
            rules=Rules(
                view_radius_m=flags.view_radius,
                visible_m=min(Rules().visible_m, flags.view_radius * 0.6),
                stall_s=flags.line_stall,
            ),
        )
        for first, end in pairwise(cuts)
    ]


def _conducts(flags: argparse.Namespace) -> tuple[Conduct, ...]:
    """How each racer behaves: honest ones first, then those of --misconduct. Raises SwarmFault."""
    try:
        others = [Conduct(part.strip()) for part in flags.misconduct.split(",") if part.strip()]
    except ValueError as fault:
        raise SwarmFault(f"--misconduct: {fault}; use some of {', '.join(Conduct)}") from None
    if len(others) > flags.racers:
        raise SwarmFault(f"--misconduct: names {len(others)} racers, there are {flags.racers}; raise --racers")
    racers: int = flags.racers
    return (Conduct.HONEST,) * (racers - len(others)) + tuple(others)


def _route(flags: argparse.Namespace) -> Route:
    """What --world and --route name. Raises SwarmFault."""
    land = _land(flags.world)
    for route in land.routes:
        if route.id == flags.route:
            if flags.racers > len(route.grid):
                raise SwarmFault(f"--racers: at most {len(route.grid)} start on {route.id}, not {flags.racers}")
            return route
    raise SwarmFault(f"--route: must be one of {', '.join(route.id for route in land.routes)}, not {flags.route!r}")


def _land(world: str) -> Land:
    """What --world names: a preset or a file. Raises SwarmFault."""
    if world in FILE_PRESETS:
        return Land.of_file(load_preset(world))
    if not Path(world).is_file():
        raise SwarmFault(f"--world: must be one of {', '.join(FILE_PRESETS)}, or a world file, not {world!r}")
    try:
        return Land.of_file(load(Path(world)))
    except WorldFileFault as fault:
        raise SwarmFault(f"--world: {fault}") from None


def _signing_keys(secret_file: str | None, env: Mapping[str, str]) -> KeyPools:
    """What to mint with: a file that is named, else the environment, else the default file. Raises the faults."""
    keys = load_keys(env)
    if secret_file is None and keys.secret is not None:
        return keys
    path = Path(secret_file or DEFAULT_SECRET_FILE)
    if not path.exists():
        raise SwarmFault(
            f"--token-secret-file: {path} does not exist; start a shard with --dev here, or set SUPABASE_JWT_SECRET"
        )
    return replace(keys, secret=read_or_create(path))


def _raise_descriptor_limit(bots: int) -> None:
    """Let this process and its children have a descriptor per bot. Raises SwarmFault."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = bots + DESCRIPTORS_SPARE
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise SwarmFault(
            f"--bots: {bots} in one process need {needed} open files, the limit is {hard}; add --processes"
        )
    if soft != resource.RLIM_INFINITY and needed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed; it halves the cost of a bot."""
    try:
        import uvloop  # noqa: PLC0415 - missing on some platforms
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    sys.exit(main())
