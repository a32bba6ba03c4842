"""The table of all settings: how each is written, where it is listed, and what it is when nobody sets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from shared.constants import PLAYERS_DEFAULT, PLAYERS_MAX, ROW_BUDGET, TICK_HZ, VIEW_RADIUS_M, ZONES_MAX
from shared.world.world import PRESETS
from shared.world.world_file import FILE_PRESETS

DEFAULT_SEED = 1

SPARES_MAX = 16
"""Each takes some 40 MiB, and only as many zones as die within a quarter of a second need one at once."""
VIEW_RADIUS_MAX_M = 1024
"""Above, a new watcher is told a thousand cells at once."""
ROW_BUDGET_MIN = 10
"""Below, not even the few who are beside a car come in every tick."""
TICK_HZ_MIN = 5
"""Below, a client that interpolates two ticks behind shows cars more than 400 ms late."""
TICK_HZ_MAX = 60
"""Above, a period leaves no room for eight rounds of judging and a frame to every socket."""

OPEN_SIZE_M = 4096
"""Edge of a world that has no size of its own: room for two thousand, twenty in sight of each."""

LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
LogFormat: TypeAlias = Literal["text", "json"]
LOG_LEVELS: Final[dict[str, LogLevel]] = {"debug": "debug", "info": "info", "warning": "warning", "error": "error"}


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: how it is written, where it is listed, and what it is when nobody sets it."""

    group: str
    flag: str
    env: str
    metavar: str | None
    """None: a switch, without a value."""
    default: str
    help: str

    @property
    def key(self) -> str:
        return self.flag[2:].replace("-", "_")


OPTIONS: Final = (
    Option("network", "--host", "SHARD_HOST", "ADDRESS", "", "where to listen (0.0.0.0; with --dev 127.0.0.1)"),
    Option("network", "--port", "SHARD_PORT", "N", "8765", "TCP port; 0 takes any free one"),
    Option(
        "network",
        "--origin",
        "SHARD_ORIGINS",
        "URL",
        "",
        "admit pages of this origin only, compared exactly; repeat or use commas",
    ),
    Option(
        "network",
        "--trusted-proxy",
        "SHARD_TRUSTED_PROXIES",
        "NET",
        "",
        "believe X-Forwarded-For of this address or network; repeat or use commas",
    ),
    Option(
        "network",
        "--exempt-loopback",
        "SHARD_EXEMPT_LOOPBACK",
        None,
        "auto",
        "no limits per address on loopback; auto is on with --dev",
    ),
    Option("network", "--max-connections", "SHARD_MAX_CONNECTIONS", "N", "auto", "sockets; auto is 2 per slot"),
    Option("network", "--tls-cert", "SHARD_TLS_CERT", "PATH", "", "certificate chain (PEM), for those without a proxy"),
    Option("network", "--tls-key", "SHARD_TLS_KEY", "PATH", "", "its private key (PEM)"),
    Option("players", "--resume-seconds", "SHARD_RESUME_SECONDS", "S", "30", "hold a car after its socket is lost"),
    Option("players", "--max-queue", "SHARD_MAX_QUEUE", "N", "1000", "places in the queue for a full world"),
    Option(
        "players",
        "--idle-minutes",
        "SHARD_IDLE_MINUTES",
        "N",
        "0",
        "who stands still for so long gives up its slot while others queue; 0: never",
    ),
    Option(
        "players",
        "--anticheat",
        "SHARD_ANTICHEAT",
        "MODE",
        "enforce",
        "enforce; observe: judge and log, but move and remove nobody; off",
    ),
    Option(
        "players",
        "--evidence",
        "SHARD_EVIDENCE",
        "PATH",
        "",
        "record the anti-cheat's verdicts here, with samples and obstacles; turned over at 16 MiB, 4 old files kept",
    ),
    Option(
        "players",
        "--state-dir",
        "SHARD_STATE_DIR",
        "DIR",
        "",
        "checkpoint the world here every second: after a crash or restart players get their cars back",
    ),
    Option("players", "--anonymous", "SHARD_ANONYMOUS", None, "on", "admit guests of Supabase's anonymous sign-in"),
    Option("players", "--deny-file", "SHARD_DENY_FILE", "PATH", "", "players who may not be here, one sub per line"),
    Option("players", "--receipt-days", "SHARD_RECEIPT_DAYS", "N", "7", "how long a race receipt is valid"),
    Option(
        "players",
        "--drain-seconds",
        "SHARD_DRAIN_SECONDS",
        "S",
        "1",
        "after SIGTERM, races may finish for so long",
    ),
    Option(
        "world",
        "--world",
        "SHARD_WORLD",
        "NAME|FILE",
        FILE_PRESETS[0],
        f"{', '.join((*FILE_PRESETS, *PRESETS))}, or a world file (.toml); with --world-size {PRESETS[0]}",
    ),
    Option(
        "world", "--seed", "SHARD_SEED", "N", "auto", "what the world is grown from, 32 bits; auto is the file's own"
    ),
    Option(
        "world",
        "--world-size",
        "SHARD_WORLD_SIZE",
        "M",
        "auto",
        f"edge of `{PRESETS[0]}` in metres, a multiple of 64; auto is {OPEN_SIZE_M}",
    ),
    Option(
        "world",
        "--world-cache",
        "SHARD_WORLD_CACHE",
        "DIR",
        "auto",
        "where built worlds are kept; auto is ~/.cache/shard, `off` keeps none",
    ),
    Option("size", "--zones", "SHARD_ZONES", "N", "8", f"zone processes, 1 to {ZONES_MAX}"),
    Option("size", "--spares", "SHARD_SPARES", "N", "1", "warm processes that take over from zones that die, 0 to 16"),
    Option("size", "--zone-timeout", "SHARD_ZONE_TIMEOUT", "S", "2", "replace a zone that does not answer for so long"),
    Option(
        "size", "--tick-hz", "SHARD_TICK_HZ", "HZ", str(TICK_HZ), f"ticks per second, {TICK_HZ_MIN} to {TICK_HZ_MAX}"
    ),
    Option("size", "--view-radius", "SHARD_VIEW_RADIUS", "M", str(VIEW_RADIUS_M), "who is nearer than this is seen"),
    Option(
        "size",
        "--row-budget",
        "SHARD_ROW_BUDGET",
        "N",
        str(ROW_BUDGET),
        "rows per snapshot: in a crowd first the rate of the farther is cut, then the view; "
        "0: everybody in view in every tick",
    ),
    Option("size", "--max-players", "SHARD_MAX_PLAYERS", "N", str(PLAYERS_DEFAULT), f"slots, 1 to {PLAYERS_MAX}"),
    Option("logs", "--record", "SHARD_RECORD", "DIR", "", "record all ticks there, for `python -m scripts.replay DIR`"),
    Option(
        "logs",
        "--record-mib",
        "SHARD_RECORD_MIB",
        "MIB",
        "512",
        "most that a recording takes, 128 to 1048576; the oldest goes first",
    ),
    Option("logs", "--log-level", "SHARD_LOG_LEVEL", "LEVEL", "info", f"one of: {', '.join(LOG_LEVELS)}"),
    Option("logs", "--log-format", "SHARD_LOG_FORMAT", "FORMAT", "auto", "text, json; auto is text on a terminal"),
    Option(
        "development",
        "--dev",
        "SHARD_DEV",
        None,
        "off",
        "listen on loopback only; where no key is configured, use a throw-away one",
    ),
    Option(
        "development",
        "--dev-secret-file",
        "SHARD_DEV_SECRET_FILE",
        "PATH",
        ".dev-secret",
        "where the throw-away key is kept",
    ),
    Option("development", "--debug", "SHARD_DEBUG", None, "off", "check the invariants on every tick"),
)
