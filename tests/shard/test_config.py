"""Settings: flags over environment over defaults; every bad value is one line that names the setting and the fix."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from shard.config import VERSION, ConfigFault, parse_config
from shared.world.world import World
from tests.fakes.small_world import SMALL


def test_defaults() -> None:
    config = parse_config([], {})
    assert (config.host, config.port, config.origins) == ("0.0.0.0", 8765, ())
    assert config.world == World(preset="harbour", seed=1, size_m=4096)
    assert (config.zones, config.tick_hz, config.max_players) == (8, 20, 2048)
    assert (config.log_level, config.log_format) == ("info", "json")
    assert (config.dev, config.debug, config.check) == (False, False, False)
    assert config.dev_secret_file == Path(".dev-secret")


EVERY_SETTING = [
    (["--host", "127.0.0.9"], {"SHARD_HOST": "127.0.0.9"}, "host", "127.0.0.9"),
    (["--host", "::1"], {"SHARD_HOST": "::1"}, "host", "::1"),
    (["--host", "shard.example"], {"SHARD_HOST": "shard.example"}, "host", "shard.example"),
    (["--port", "0"], {"SHARD_PORT": "0"}, "port", 0),
    (["--port", "65535"], {"SHARD_PORT": "65535"}, "port", 65535),
    (["--origin", "https://a.example"], {"SHARD_ORIGINS": "https://a.example"}, "origins", ("https://a.example",)),
    (["--seed", "4294967295"], {"SHARD_SEED": "4294967295"}, "world", World("harbour", 2**32 - 1, 4096)),
    (["--world", "open"], {"SHARD_WORLD": "open"}, "world", World("open", 1, 4096)),
    (["--world", "harbour"], {"SHARD_WORLD": "harbour"}, "world", World("harbour", 1, 4096)),
    (["--world-cache", "/x/y"], {"SHARD_WORLD_CACHE": "/x/y"}, "world_cache", Path("/x/y")),
    (["--world-size", "512"], {"SHARD_WORLD_SIZE": "512"}, "world", World("open", 1, 512)),
    (["--zones", "1"], {"SHARD_ZONES": "1"}, "zones", 1),
    (["--zones", "64"], {"SHARD_ZONES": "64"}, "zones", 64),
    (["--view-radius", "64"], {"SHARD_VIEW_RADIUS": "64"}, "view_radius_m", 64),
    (["--row-budget", "0"], {"SHARD_ROW_BUDGET": "0"}, "row_budget", 0),
    (["--row-budget", "10"], {"SHARD_ROW_BUDGET": "10"}, "row_budget", 10),
    (["--tick-hz", "5"], {"SHARD_TICK_HZ": "5"}, "tick_hz", 5),
    (["--tick-hz", "60"], {"SHARD_TICK_HZ": "60"}, "tick_hz", 60),
    (["--max-players", "8192"], {"SHARD_MAX_PLAYERS": "8192"}, "max_players", 8192),
    (["--log-level", "debug"], {"SHARD_LOG_LEVEL": "debug"}, "log_level", "debug"),
    (["--log-format", "text"], {"SHARD_LOG_FORMAT": "text"}, "log_format", "text"),
    (["--dev"], {"SHARD_DEV": "1"}, "dev", True),
    (["--debug"], {"SHARD_DEBUG": "yes"}, "debug", True),
    (["--dev-secret-file", "/x/y"], {"SHARD_DEV_SECRET_FILE": "/x/y"}, "dev_secret_file", Path("/x/y")),
]


@pytest.mark.parametrize(("flags", "env", "field", "value"), EVERY_SETTING, ids=str)
def test_each_setting_by_flag_and_by_environment(
    flags: list[str], env: dict[str, str], field: str, value: object
) -> None:
    assert getattr(parse_config(flags, {}), field) == value
    assert getattr(parse_config([], env), field) == value


def test_a_flag_wins_over_the_environment() -> None:
    assert parse_config(["--port", "1"], {"SHARD_PORT": "2"}).port == 1
    assert not parse_config(["--no-dev"], {"SHARD_DEV": "1"}).dev
    assert parse_config(["--origin", "https://a.example"], {"SHARD_ORIGINS": "https://b.example"}).origins == (
        "https://a.example",
    )


def test_a_flag_saves_from_a_bad_environment() -> None:
    assert parse_config(["--port", "1"], {"SHARD_PORT": "tcp://10.0.0.1:8765"}).port == 1


def test_empty_environment_values_count_as_not_set() -> None:
    assert parse_config([], {"SHARD_PORT": "", "SHARD_DEV": "", "SHARD_ORIGINS": ""}) == parse_config([], {})


def test_check_is_a_flag_only() -> None:
    assert parse_config(["--check"], {}).check
    assert not parse_config([], {"SHARD_CHECK": "1"}).check


def test_dev_listens_on_loopback() -> None:
    assert parse_config(["--dev"], {}).host == "127.0.0.1"
    for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
        assert parse_config(["--dev", "--host", host], {}).host == host


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.1", "example.com", "localhost.example.com", "127.0.0.1.nip.io"]
)
def test_dev_refuses_every_other_host(host: str) -> None:
    with pytest.raises(ConfigFault, match=r"^--host: must be 127\.0\.0\.1, ::1 or localhost with --dev"):
        parse_config(["--dev", "--host", host], {})
    with pytest.raises(ConfigFault, match=r"^SHARD_HOST: must be"):
        parse_config([], {"SHARD_DEV": "1", "SHARD_HOST": host})


def test_origins_repeat_and_split_at_commas_and_count_once() -> None:
    config = parse_config(["--origin", "https://a.example, http://localhost:3000", "--origin", "https://a.example"], {})
    assert config.origins == ("https://a.example", "http://localhost:3000")
    assert parse_config([], {"SHARD_ORIGINS": "capacitor://localhost,http://[::1]:3000"}).origins == (
        "capacitor://localhost",
        "http://[::1]:3000",
    )


@pytest.mark.parametrize(
    "origin",
    [
        "",
        ",",
        "*",
        "null",
        "a.example",
        "https://",
        "https://a.example/",
        "https://a.example/play",
        "https://A.example",
        "https://a.example:443",
        "http://a.example:80",
        "https://*.a.example",
        "https://a.example,",
        "https://u@a.example",
        "https://a.ex ample",
        "https://a.example?x",
    ],
)
def test_an_origin_that_no_browser_sends_is_refused(origin: str) -> None:
    with pytest.raises(ConfigFault, match=r"^--origin: must be as browsers send it"):
        parse_config(["--origin", origin], {})


def test_the_log_format_follows_the_terminal_unless_told() -> None:
    assert parse_config([], {}, is_tty=True).log_format == "text"
    assert parse_config([], {}, is_tty=False).log_format == "json"
    assert parse_config(["--log-format", "json"], {}, is_tty=True).log_format == "json"


BAD = [
    (
        "--port",
        "SHARD_PORT",
        ["-1", "65536", "x", "", "1.5", "1e3", "0x50", "\uff11\uff12", "1_0", " 1", "9" * 5000, "1\n2"],
    ),
    ("--zones", "SHARD_ZONES", ["0", "65", "-8", "eight"]),
    ("--tick-hz", "SHARD_TICK_HZ", ["4", "61", "20.0", "nan"]),
    ("--view-radius", "SHARD_VIEW_RADIUS", ["63", "1025", "far"]),
    ("--row-budget", "SHARD_ROW_BUDGET", ["1", "9", "-1", "8193", "all"]),
    ("--max-players", "SHARD_MAX_PLAYERS", ["0", "8193", "many"]),
    ("--seed", "SHARD_SEED", ["-1", "4294967296", "random"]),
    ("--world", "SHARD_WORLD", ["moon", "Open"]),
    ("--world-size", "SHARD_WORLD_SIZE", ["0", "63", "100", "65600", "4096m"]),
    ("--host", "SHARD_HOST", ["", "ws://a", "a:1", "[::1]", "a b", "-a", "127.0.0.1:80", "a\nb", "ä"]),
    ("--log-level", "SHARD_LOG_LEVEL", ["", "INFO", "loud"]),
    ("--log-format", "SHARD_LOG_FORMAT", ["xml", "Text"]),
    ("--dev-secret-file", "SHARD_DEV_SECRET_FILE", ["", "a\0b"]),
]


@pytest.mark.parametrize(
    ("flag", "env", "text"),
    [pytest.param(flag, env, text, id=f"{flag}={text[:12]!r}") for flag, env, texts in BAD for text in texts],
)
def test_a_bad_value_is_one_line_that_names_where_it_was_written(flag: str, env: str, text: str) -> None:
    cases: list[tuple[str, list[str], dict[str, str]]] = [(flag, [f"{flag}={text}"], {})]
    if text:
        cases.append((env, [], {env: text}))
    for where, argv, environment in cases:
        with pytest.raises(ConfigFault) as caught:
            parse_config(argv, environment)
        line = str(caught.value)
        assert line.startswith(f"{where}: ")
        assert "must be" in line or "use one of" in line
        assert line.isprintable()
        assert len(line) < 250


@pytest.mark.parametrize("env", ["SHARD_DEV", "SHARD_DEBUG"])
def test_a_switch_takes_words_for_on_and_off_only(env: str) -> None:
    field = env.removeprefix("SHARD_").lower()
    assert all(getattr(parse_config([], {env: word}), field) for word in ("1", "true", "YES", "on"))
    assert not any(getattr(parse_config([], {env: word}), field) for word in ("0", "False", "no", "off"))
    for word in ("2", "enabled", "-"):
        with pytest.raises(ConfigFault, match=f"^{env}: must be 1 or 0, not '{word}'"):
            parse_config([], {env: word})


def test_zones_must_fit_the_world() -> None:
    assert parse_config(["--zones", "4", "--world-size", "128"], {}).zones == 4
    with pytest.raises(ConfigFault, match=r"^--zones: 5 zones do not fit a world of 128 m.*--zones"):
        parse_config(["--zones", "5", "--world-size", "128"], {})
    with pytest.raises(ConfigFault, match=r"^SHARD_ZONES: 5 zones"):
        parse_config(["--world-size", "128"], {"SHARD_ZONES": "5"})


def test_a_world_of_a_file_keeps_its_size_and_takes_another_seed(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(SMALL)
    world = parse_config(["--world", str(file)], {}).world
    assert (world.preset, world.seed, world.size_m) == ("small", 7, 1024)
    assert parse_config(["--world", str(file), "--seed", "9"], {}).world.seed == 9
    assert parse_config(["--world", "harbour", "--world-size", "4096"], {}).world.preset == "harbour"
    with pytest.raises(ConfigFault, match=r"^--world-size: is 4096 m in harbour: leave it out, or use --world open"):
        parse_config(["--world", "harbour", "--world-size", "512"], {})


def test_a_bad_world_file_is_refused_with_its_name_and_place(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    with pytest.raises(ConfigFault, match=r"^--world: .*mine\.toml: .*give a readable file"):
        parse_config(["--world", str(file)], {})
    file.write_text(SMALL.replace("size_m = 1024", "size_m = 1000"))
    with pytest.raises(ConfigFault, match=r"^SHARD_WORLD: mine\.toml: size_m"):
        parse_config([], {"SHARD_WORLD": str(file)})


def test_built_worlds_are_kept_in_the_users_cache() -> None:
    assert parse_config([], {"XDG_CACHE_HOME": "/c"}).world_cache == Path("/c/shard")
    assert parse_config([], {"HOME": "/h"}).world_cache == Path("/h/.cache/shard")
    assert parse_config([], {}).world_cache is None
    assert parse_config(["--world-cache", "off"], {"HOME": "/h"}).world_cache is None


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["--nope"], "--nope"),
        (["--zone", "4"], "--zone"),  # no abbreviations: a later flag would change what they mean
        (["stray\nword"], "stray word"),
        (["--port"], "--port"),
        (["--dev=1"], "--dev"),
    ],
)
def test_an_unknown_or_incomplete_flag_is_a_fault(argv: list[str], named: str) -> None:
    with pytest.raises(ConfigFault, match=r"see --help$") as caught:
        parse_config(argv, {})
    assert named in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_help_and_version_exit_0(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_config([flag], {})
    assert caught.value.code == 0
    assert capsys.readouterr().out


def test_help_shows_each_flag_with_its_environment_name_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_config(["--help"], {})
    text = capsys.readouterr().out
    for flags, env, _field, _value in EVERY_SETTING:
        assert flags[0] in text
        assert f"[{next(iter(env))}]" in text
    for default in ("8765", "harbour", "20", "2048", "info", ".dev-secret"):
        assert f"(default {default})" in " ".join(text.split())


def test_the_version_is_the_one_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION
