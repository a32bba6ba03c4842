"""The command: what starts, what does not and says why in one line, and what the log looks like."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import pytest

from shard import logs
from shard.access.keys import KeyStore
from shard.cli import main
from shard.config import Config, StartFault
from shard.races.receipts import SigningKey

SECRET = "a secret of the tests, forty bytes long."
ENV = {"SUPABASE_JWT_SECRET": SECRET}
ROOT = Path(__file__).parents[2]


class App(ModuleType):
    """Stands in for ``shard.app``: notes what it was asked to run."""

    def __init__(self) -> None:
        super().__init__("shard.app")
        self.asked: list[tuple[Config, KeyStore]] = []
        self.fault: Exception | None = None
        self.receipts: SigningKey | None = None

    def run(self, config: Config, keys: KeyStore, receipts: SigningKey | None = None) -> int:
        self.asked.append((config, keys))
        self.receipts = receipts
        if self.fault:
            raise self.fault
        return 7


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> App:
    stand_in = App()
    monkeypatch.setitem(sys.modules, "shard.app", stand_in)
    return stand_in


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root, library = logging.getLogger(), logging.getLogger("websockets")
    handlers, level, library_level = root.handlers, root.level, library.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    library.setLevel(library_level)


def the_fault(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr; nothing else was printed."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("shard: ")
    assert err.count("\n") == 1
    return err.removeprefix("shard: ").rstrip("\n")


def test_it_runs_what_the_flags_and_the_environment_say_and_returns_the_exit_code(app: App) -> None:
    assert main(["--zones", "2"], {**ENV, "SHARD_PORT": "0"}) == 7
    [(config, keys)] = app.asked
    assert (config.zones, config.port, keys.pools.secret) == (2, 0, SECRET)


def test_it_reads_the_machine_where_nothing_is_passed(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["shard", "--zones", "3"])
    monkeypatch.setenv("SUPABASE_JWT_SECRET", SECRET)
    monkeypatch.setenv("SHARD_TICK_HZ", "30")
    assert main() == 7
    assert (app.asked[0][0].zones, app.asked[0][0].tick_hz) == (3, 30)


def test_a_bad_flag_is_one_line_and_exit_2(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", "x"], ENV) == 2
    assert the_fault(capsys).startswith("--port: must be")
    assert not app.asked


def test_a_bad_key_is_one_line_and_exit_2(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], {"SUPABASE_JWT_SECRET": "short"}) == 2
    assert the_fault(capsys).startswith("SUPABASE_JWT_SECRET: has 5 bytes")
    assert not app.asked


def test_what_the_machine_cannot_run_is_one_line_and_exit_2(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    app.fault = StartFault("port 8765 is taken; use --port")
    assert main([], ENV) == 2
    assert the_fault(capsys) == "port 8765 is taken; use --port"


def test_a_bug_is_not_dressed_up_as_a_fault(app: App) -> None:
    app.fault = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        main([], ENV)


@pytest.mark.parametrize("argv", [[], ["--check"], ["--no-dev"]])
def test_without_a_key_it_refuses_and_names_the_ways_out(
    argv: list[str], app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv, {}) == 2
    fault = the_fault(capsys)
    assert all(way in fault for way in ("SUPABASE_JWT_SECRET", "SUPABASE_JWKS", "--dev"))
    assert not app.asked


def test_dev_makes_a_secret_where_none_is_configured(app: App, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    env = {"SUPABASE_JWT_ISSUER": "https://abc.supabase.co/auth/v1"}
    assert main(["--dev", "--dev-secret-file", str(path)], env) == 7
    assert app.asked[0][1].pools.secret == path.read_text().strip()
    assert app.asked[0][1].pools.issuer == "https://abc.supabase.co/auth/v1"
    assert app.receipts is not None
    assert app.receipts.key == (tmp_path / "secret-receipts").read_text().strip()
    assert app.receipts.key != app.asked[0][1].pools.secret


def test_receipts_have_the_configured_key_and_none_where_there_is_none(app: App) -> None:
    assert main([], ENV) == 7
    assert app.receipts is None
    assert main([], {**ENV, "SHARD_RECEIPT_SECRET": "r" * 32}) == 7
    assert app.receipts is not None
    assert (app.receipts.alg, app.receipts.key) == ("HS256", "r" * 32)


def test_a_receipt_key_that_cannot_be_used_keeps_the_shard_from_starting(
    app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([], {**ENV, "SHARD_RECEIPT_SECRET": SECRET}) == 2
    assert the_fault(capsys).startswith("SHARD_RECEIPT_SECRET: is the secret of players' tokens")
    assert not app.asked


def test_dev_uses_the_configured_key_where_there_is_one(app: App, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    assert main(["--dev", "--dev-secret-file", str(path)], ENV) == 7
    assert app.asked[0][1].pools.secret == SECRET
    assert not path.exists()


def test_dev_does_not_replace_a_broken_key(app: App, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["--dev", "--dev-secret-file", str(tmp_path / "secret")]
    assert main(argv, {"SUPABASE_JWKS": "{"}) == 2
    assert the_fault(capsys).startswith("SUPABASE_JWKS: is not JSON")
    assert not app.asked


def test_dev_refuses_a_secret_that_others_can_read(
    app: App, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "secret"
    path.write_text(SECRET)
    path.chmod(0o644)
    assert main(["--dev", "--dev-secret-file", str(path)], {}) == 2
    assert "mode 0644 lets others read the secret" in the_fault(capsys)
    assert not app.asked


def test_check_prints_what_would_run_and_runs_nothing(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", "--host", "::1", "--port", "0", "--debug"], ENV) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for fact in (
        "ws://[::1]:any free port/ws",
        "harbour, seed 1, 4096 m",
        "8 zones at 20 Hz, 2048 players",
        "HS256 secret",
    ):
        assert fact in out
    assert "origins: any" in out
    assert "invariants checked" in out
    assert SECRET not in out
    assert not app.asked


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_help_and_version_exit_0_without_any_key(flag: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main([flag], {})
    assert caught.value.code == 0


def run_module(*flags: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "shard", *flags]
    everything = {"PATH": os.environ.get("PATH", ""), **env}
    return subprocess.run(command, cwd=ROOT, env=everything, capture_output=True, text=True, timeout=60, check=False)


def test_python_m_shard_check() -> None:
    done = run_module("--check", "--zones", "2", **ENV)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 zones at 20 Hz" in done.stdout
    assert "logs     info, json" in done.stdout, "stderr is no terminal here"


def test_python_m_shard_with_a_bad_flag() -> None:
    done = run_module("--check", "--zones", "0", **ENV)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "shard: --zones: must be a whole number from 1 to 64, not '0'\n"


# --- the log -------------------------------------------------------------------------------------------------------


def logged(format: Literal["text", "json"], level: str, *args: object, **kwargs: Any) -> str:
    stream = io.StringIO()
    logs.configure("info", format, stream)
    getattr(logging.getLogger("shard.test"), level)(*args, **kwargs)
    return stream.getvalue()


def test_a_text_line_has_level_logger_message_and_fields() -> None:
    line = logged("text", "warning", "zone %s late", "A", extra={"zone": 3, "why": "a b", "late_ms": 71.5})
    assert line[12:] == ' WARNING shard.test: zone A late  zone=3 why="a b" late_ms=71.5\n'
    assert logged("text", "info", "up")[12:] == " INFO shard.test: up\n"


def test_a_text_line_shows_control_characters_instead_of_obeying_them() -> None:
    line = logged("text", "info", "name \x1b[2J\nfake line", extra={"name_": "\x1b[31m\n", "none": ""})
    assert line.count("\n") == 1
    assert line[:-1].isprintable()
    assert 'none=""' in line


def test_a_json_line_is_one_object_with_the_fields() -> None:
    line = logged("json", "warning", "zone %s late", "A\n", extra={"zone": 3, "ms": np.float64(1.5), "at": (1, "x")})
    assert line.count("\n") == 1
    fields = json.loads(line)
    assert fields.pop("time").endswith("Z")
    assert fields == {
        "level": "warning",
        "logger": "shard.test",
        "message": "zone A\n late",
        "zone": 3,
        "ms": 1.5,
        "at": [1, "x"],
    }


def test_an_extra_field_cannot_hide_level_or_time() -> None:
    fields = json.loads(logged("json", "info", "up", extra={"level": "none", "time": "never", "logger": 5}))
    assert (fields["level"], fields["logger"]) == ("info", "shard.test")
    assert (fields["level_"], fields["time_"], fields["logger_"]) == ("none", "never", 5)


@pytest.mark.parametrize(
    "value", ["\ud800", 2**70, {1: "\udcff"}, object(), {1, 2}, float("nan")], ids=lambda value: type(value).__name__
)
def test_an_odd_value_does_not_cost_the_line(value: object) -> None:
    assert json.loads(logged("json", "info", "up", extra={"odd": value}))["message"] == "up"
    assert "odd=" in logged("text", "info", "up", extra={"odd": value})


@pytest.mark.parametrize("format", ["text", "json"])
def test_a_traceback_is_kept(format: Literal["text", "json"]) -> None:
    try:
        raise ValueError("told")
    except ValueError:
        line = logged(format, "exception", "broken", extra={"zone": 1})
    assert "ValueError: told" in line
    assert format == "text" or (line.count("\n") == 1 and "ValueError" in json.loads(line)["traceback"])


def test_the_level_holds_and_the_last_configuration_is_the_only_one() -> None:
    first, second = io.StringIO(), io.StringIO()
    logs.configure("debug", "text", first)
    logs.configure("warning", "text", second)
    logging.getLogger("shard.test").info("quiet")
    logging.getLogger("shard.test").error("loud")
    assert first.getvalue() == ""
    assert second.getvalue().count("\n") == 1


def test_frames_are_never_logged_because_they_carry_tokens() -> None:
    stream = io.StringIO()
    logs.configure("debug", "text", stream)
    logging.getLogger("websockets.server").debug('< TEXT \'{"type":"auth"...')
    logging.getLogger("websockets.server").info("connection open")
    assert not stream.getvalue()
    logging.getLogger("websockets.server").warning("something is wrong")
    assert stream.getvalue().count("\n") == 1
    logs.configure("error", "text", stream)
    logging.getLogger("websockets.server").warning("something is wrong")
    assert stream.getvalue().count("\n") == 1


def test_the_command_configures_the_log(app: App) -> None:
    assert main(["--log-level", "error", "--log-format", "json"], ENV) == 7
    root = logging.getLogger()
    assert root.level == logging.ERROR
    assert isinstance(root.handlers[0].formatter, logs.JsonFormatter)
