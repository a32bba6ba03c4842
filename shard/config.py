"""Every setting of the shard, read once at start: flags over environment over defaults.

Arguments and environment come in, a frozen Config or a ConfigFault comes out; nothing else is read. To add a setting:
a row in ``options.py``, a field in Config, a line in parse_config. Keys and secrets are no settings: ``auth.py``.
"""

from __future__ import annotations

import argparse
import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, TypeVar

from shard.access.admission import Network, parse_proxy
from shard.options import (
    DEFAULT_SEED,
    LOG_LEVELS,
    OPEN_SIZE_M,
    OPTIONS,
    ROW_BUDGET_MIN,
    SPARES_MAX,
    TICK_HZ_MAX,
    TICK_HZ_MIN,
    VIEW_RADIUS_MAX_M,
    LogFormat,
    LogLevel,
    Option,
)
from shared.constants import (
    CELL_M,
    PLAYERS_MAX,
    PROTOCOL_VERSION,
    ZONES_MAX,
)
from shared.thresholds import MODES, Mode
from shared.world.world import PRESETS, WORLD_SIZE_MAX_M, WORLD_SIZE_MIN_M, World, WorldFault
from shared.world.world_file import FILE_PRESETS, load, load_preset
from shared.world.zone_map import TooManyZones, ZoneMap

VERSION = "0.1.0"
"""Release of this server, as in pyproject.toml."""

T = TypeVar("T")

_SWITCH: Final = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_ORIGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(?P<port>:[0-9]{1,5})?")
_DEFAULT_PORTS = (("http", ":80"), ("https", ":443"))


class ConfigFault(ValueError):
    """A setting cannot be used. The text is one line that names the setting and the fix."""


class StartFault(Exception):
    """The settings are good, but this machine cannot run them now: the port is taken, /dev/shm is too small.

    Raised by the shells during start. The text is one line that names the cause and the fix; the exit code is 2.
    """


@dataclass(frozen=True, slots=True)
class Config:
    """What this shard runs with. Every value is in range, and the zones fit the world."""

    host: str
    """Address or name to listen on. With ``dev`` always a loopback one."""
    port: int
    """TCP port; 0 means any free one."""
    origins: tuple[str, ...]
    """Values of the Origin header that are let in, compared exactly. Empty: any."""
    world: World
    world_cache: Path | None
    """Directory of built worlds; None: none is kept."""
    zones: int
    """Zone processes."""
    spares: int
    """Further processes, ready to take a zone over."""
    zone_timeout_s: float
    """A zone that does not answer for so long is replaced."""
    tick_hz: int
    """Ticks per second."""
    view_radius_m: int
    """Whoever is nearer than this to a player is seen by it."""
    row_budget: int
    """Rows per frame; 0: everybody in view in every tick."""
    max_players: int
    """Player slots: rows of every block."""
    max_queue: int
    """Places in the queue for a full world."""
    max_connections: int
    """Sockets in all."""
    trusted_proxies: tuple[Network, ...]
    """Whose X-Forwarded-For is believed."""
    exempt_loopback: bool
    """Loopback addresses are limited in all only. On with ``dev``."""
    tls_cert: Path | None
    tls_key: Path | None
    """Both or none."""
    resume_s: float
    """How long a car is held after its socket is lost."""
    idle_minutes: int
    """After which a driver gives up its slot while others queue; 0: never."""
    receipt_days: int
    """How long a race receipt is valid."""
    drain_s: float
    """Between telling players that the shard ends and closing their connections."""
    anticheat: Mode
    evidence: Path | None
    """Where verdicts of the anti-cheat are recorded."""
    state_dir: Path | None
    """Directory of checkpoints; None: a restart forgets everything."""
    record: Path | None
    """Directory into which all ticks are recorded."""
    record_mib: int
    """Most that a recording takes."""
    anonymous: bool
    """Whether guests of Supabase's anonymous sign-in may play."""
    deny_file: Path | None
    log_level: LogLevel
    log_format: LogFormat
    dev: bool
    """A developer's machine: loopback only, and a throw-away key where none is configured."""
    debug: bool
    """Check the invariants on every tick."""
    check: bool
    """Validate, print what would run, and exit."""
    dev_secret_file: Path
    """Where the throw-away HS256 secret of ``dev`` is kept."""


@dataclass(frozen=True, slots=True)
class _Given:
    """The text of one setting and where it was written: a flag, an environment name."""

    where: str
    text: str

    def fault(self, rule: str) -> ConfigFault:
        shown = self.text if len(self.text) <= 60 else self.text[:60] + "..."
        return ConfigFault(f"{self.where}: {rule}, not {shown!r}")


def parse_config(argv: Sequence[str], env: Mapping[str, str], is_tty: bool = False) -> Config:
    """Read the settings from ``argv`` (without the program's name) and ``env``.

    An empty environment value counts as not set. ``is_tty`` says whether the log goes to a terminal. Raises
    ConfigFault, or SystemExit(0) after printing for ``--help`` and ``--version``.
    """
    flags = vars(_parser().parse_args(list(argv)))
    given = {option.key: _given(option, flags[option.key], env) for option in OPTIONS}
    dev = _switch(given["dev"])
    world = _world(given)
    max_players = _integer(given["max_players"], 1, PLAYERS_MAX)
    tls_cert, tls_key = _optional_path(given["tls_cert"]), _optional_path(given["tls_key"])
    if (tls_cert is None) != (tls_key is None):
        missing = "--tls-key" if tls_key is None else "--tls-cert"
        raise ConfigFault(f"{missing}: must be given, too: TLS needs a certificate and its key")
    exempt = given["exempt_loopback"]
    log_formats: dict[str, LogFormat] = {"auto": "text" if is_tty else "json", "text": "text", "json": "json"}
    return Config(
        host=_host(given["host"], dev),
        port=_integer(given["port"], 0, 65535),
        origins=_origins(given["origin"]),
        world=world,
        world_cache=_world_cache(given["world_cache"], env),
        zones=_zones(given["zones"], world),
        spares=_integer(given["spares"], 0, SPARES_MAX),
        zone_timeout_s=float(_integer(given["zone_timeout"], 1, 600)),
        tick_hz=_integer(given["tick_hz"], TICK_HZ_MIN, TICK_HZ_MAX),
        view_radius_m=_integer(given["view_radius"], CELL_M, VIEW_RADIUS_MAX_M),
        row_budget=_row_budget(given["row_budget"]),
        max_players=max_players,
        max_queue=_integer(given["max_queue"], 0, 100_000),
        max_connections=_connections(given["max_connections"], max_players),
        trusted_proxies=_proxies(given["trusted_proxy"]),
        exempt_loopback=dev if exempt.text == "auto" else _switch(exempt),
        tls_cert=tls_cert,
        tls_key=tls_key,
        resume_s=float(_integer(given["resume_seconds"], 0, 600)),
        idle_minutes=_integer(given["idle_minutes"], 0, 24 * 60),
        receipt_days=_integer(given["receipt_days"], 1, 3650),
        drain_s=float(_integer(given["drain_seconds"], 0, 600)),
        anticheat=_choice(given["anticheat"], {mode: mode for mode in MODES}),
        evidence=_optional_path(given["evidence"]),
        state_dir=_optional_path(given["state_dir"]),
        record=_optional_path(given["record"]),
        record_mib=_integer(given["record_mib"], 128, 1024 * 1024),
        anonymous=_switch(given["anonymous"]),
        deny_file=_optional_path(given["deny_file"]),
        log_level=_choice(given["log_level"], LOG_LEVELS),
        log_format=_choice(given["log_format"], log_formats),
        dev=dev,
        debug=_switch(given["debug"]),
        check=flags["check"],
        dev_secret_file=_path(given["dev_secret_file"]),
    )


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are ConfigFaults; ``--help`` and ``--version`` still print and exit 0."""

    def error(self, message: str) -> NoReturn:
        raise ConfigFault(f"{' '.join(message.split())}; see --help")


def _parser() -> _Parser:
    """All flags. Values stay text here: flags and environment are converted, and refused, in one place."""
    parser = _Parser(
        prog="python -m shard",
        description="Run one shard: a persistent world, its zone processes, and the WebSocket server in front of them.",
        epilog="Flags win over the environment names in brackets. Keys come from SUPABASE_JWT_SECRET, "
        "SUPABASE_JWKS, SUPABASE_JWKS_URL or SUPABASE_URL.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"shard {VERSION}, protocol {PROTOCOL_VERSION}")
    parser.add_argument("--check", action="store_true", help="validate settings and keys, print what would run, exit")
    groups: dict[str, argparse._ArgumentGroup] = {}
    for option in OPTIONS:
        if option.group not in groups:
            groups[option.group] = parser.add_argument_group(option.group)
        default = f" (default {option.default})" if option.default else ""
        text = f"{option.help}{default} [{option.env}]"
        group = groups[option.group]
        if option.metavar is None:
            group.add_argument(option.flag, action=argparse.BooleanOptionalAction, help=text)
        else:
            action = "append" if option.flag in ("--origin", "--trusted-proxy") else "store"
            group.add_argument(option.flag, action=action, metavar=option.metavar, help=text)
    return parser


def _given(option: Option, flag: str | bool | list[str] | None, env: Mapping[str, str]) -> _Given:
    """The text that holds for ``option``; ``flag`` is what the command line said, None for nothing."""
    if isinstance(flag, bool):
        return _Given(option.flag, "on" if flag else "off")
    if isinstance(flag, list):
        return _Given(option.flag, ",".join(flag))
    if flag is not None:
        return _Given(option.flag, flag)
    if env.get(option.env):
        return _Given(option.env, env[option.env])
    return _Given("default", option.default)


def _integer(given: _Given, low: int, high: int) -> int:
    if re.fullmatch(r"-?[0-9]{1,15}", given.text) and low <= int(given.text) <= high:
        return int(given.text)
    raise given.fault(f"must be a whole number from {low} to {high}")


def _row_budget(given: _Given) -> int:
    return 0 if given.text == "0" else _integer(given, ROW_BUDGET_MIN, PLAYERS_MAX)


def _switch(given: _Given) -> bool:
    if given.text.lower() in _SWITCH:
        return _SWITCH[given.text.lower()]
    raise given.fault("must be 1 or 0")


def _choice(given: _Given, choices: Mapping[str, T]) -> T:
    if given.text in choices:
        return choices[given.text]
    raise given.fault(f"must be one of {', '.join(choices)}")


def _path(given: _Given) -> Path:
    if given.text and "\0" not in given.text:
        return Path(given.text)
    raise given.fault("must be the path of a file")


def _optional_path(given: _Given) -> Path | None:
    return None if given.where == "default" else _path(given)


def _connections(given: _Given, max_players: int) -> int:
    """Sockets in all: by default as many in lobby and queue as in the world."""
    return 2 * max_players + 64 if given.text == "auto" else _integer(given, 1, 100_000)


def _proxies(given: _Given) -> tuple[Network, ...]:
    if given.where == "default":
        return ()
    proxies = []
    for part in given.text.split(","):
        try:
            proxies.append(parse_proxy(part.strip()))
        except ValueError as rule:
            raise _Given(given.where, part.strip()).fault(str(rule)) from None
    return tuple(proxies)


def _host(given: _Given, dev: bool) -> str:
    """An address or a name, without port; with ``dev`` a loopback one, so that its key never faces a network."""
    if given.where == "default":
        return "127.0.0.1" if dev else "0.0.0.0"
    try:
        loopback = ipaddress.ip_address(given.text).is_loopback
    except ValueError:
        if not _HOST.fullmatch(given.text):
            raise given.fault("must be an address or a name, the port goes into --port") from None
        loopback = given.text.lower() == "localhost"
    if dev and not loopback:
        raise given.fault("must be 127.0.0.1, ::1 or localhost with --dev; leave it out, or leave --dev out")
    return given.text


def _origins(given: _Given) -> tuple[str, ...]:
    """The admitted origins, each once. One that a browser never sends in this form would lock everyone out: refused."""
    if given.where == "default":
        return ()
    origins = dict.fromkeys(part.strip() for part in given.text.split(","))
    for origin in origins:
        match = _ORIGIN.fullmatch(origin)
        if not match or (match["scheme"], match["port"]) in _DEFAULT_PORTS:
            rule = "must be as browsers send it, like https://play.example.com: lower case, no path, no default port"
            raise _Given(given.where, origin).fault(rule)
    return tuple(origins)


def _world(given: Mapping[str, _Given]) -> World:
    name, size, seed = given["world"], given["world_size"], given["seed"]
    number = None if seed.text == "auto" else _integer(seed, 0, 2**32 - 1)
    size_m = None if size.text == "auto" else _integer(size, WORLD_SIZE_MIN_M, WORLD_SIZE_MAX_M)
    if name.text in PRESETS or (name.where == "default" and size_m is not None):  # only `open` comes in sizes
        try:
            return World(PRESETS[0], DEFAULT_SEED if number is None else number, size_m or OPEN_SIZE_M)
        except WorldFault as fault:
            raise ConfigFault(f"{size.where}: {fault}") from None
    if name.text not in FILE_PRESETS and not name.text.endswith(".toml"):
        known = ", ".join((*FILE_PRESETS, *PRESETS))
        raise name.fault(f"must be one of {known}, or the path of a world file that ends in .toml")
    try:
        content = load_preset(name.text) if name.text in FILE_PRESETS else load(_path(name))
    except WorldFault as fault:
        raise ConfigFault(f"{name.where}: {fault}") from None
    if size_m not in (None, content.size_m):
        raise size.fault(f"is {content.size_m} m in {content.name}: leave it out, or use --world {PRESETS[0]}")
    return World.of_file(content, number)


def _world_cache(given: _Given, env: Mapping[str, str]) -> Path | None:
    """The directory named, or the user's own cache as the XDG base directory specification has it."""
    if given.text == "off":
        return None
    if given.text != "auto":
        return _path(given)
    home = env.get("HOME")
    base = env.get("XDG_CACHE_HOME") or (f"{home}/.cache" if home else "")
    return Path(base) / "shard" if base.startswith("/") else None


def _zones(given: _Given, world: World) -> int:
    zones = _integer(given, 1, ZONES_MAX)
    try:
        ZoneMap.split(world.size_m, zones)
    except TooManyZones as fault:
        raise ConfigFault(f"{given.where}: {fault}") from None
    return zones
