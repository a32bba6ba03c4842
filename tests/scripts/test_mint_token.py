"""Minted tokens look like Supabase's, and the shard beside the minter admits them."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import jwt
import pytest

from scripts.mint_token import LOCAL_ISSUER, main, mint
from shard.access.auth import Claims, KeyPools, load_keys, verify
from shard.access.dev_secret import read_or_create

SECRET = "a secret of the tests, forty bytes long."
SUB = "0f8fad5b-d9cb-469f-a165-70867728950e"
NOW_S = 1_000_000.75
ROOT = Path(__file__).parents[2]


def claims_of(token: str) -> dict[str, object]:
    return jwt.decode(token, options={"verify_signature": False})


def tokens(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_a_token_has_every_claim_that_supabase_promises() -> None:
    claims = claims_of(mint(SECRET, SUB, NOW_S))
    promised = {"iss", "aud", "exp", "iat", "sub", "role", "aal", "session_id", "email", "phone", "is_anonymous"}
    assert promised <= set(claims)
    assert (claims["sub"], claims["aud"], claims["role"]) == (SUB, "authenticated", "authenticated")
    assert (claims["iat"], claims["exp"]) == (1_000_000, 1_003_600)


def test_the_shard_admits_it() -> None:
    verdict = verify(mint(SECRET, SUB, NOW_S, 60), KeyPools(secret=SECRET, issuer=LOCAL_ISSUER), NOW_S)
    assert isinstance(verdict, Claims)
    assert (verdict.player, verdict.expires_at_s) == (SUB, 1_000_060)
    assert verdict.session_id is not None


def test_overrides_replace_add_and_remove_claims() -> None:
    claims = claims_of(mint(SECRET, SUB, NOW_S, role="anon", extra=[1], email=None))
    assert (claims["role"], claims["extra"]) == ("anon", [1])
    assert "email" not in claims


def test_the_same_arguments_give_the_same_token() -> None:
    assert mint(SECRET, SUB, NOW_S) == mint(SECRET, SUB, NOW_S)


def test_one_token_per_line_each_for_another_player(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--count", "3", "--minutes", "5"], {"SUPABASE_JWT_SECRET": SECRET}, NOW_S) == 0
    verdicts = [verify(token, KeyPools(secret=SECRET), NOW_S) for token in tokens(capsys)]
    assert len(verdicts) == 3
    assert len({verdict.player for verdict in verdicts if isinstance(verdict, Claims)}) == 3
    assert {verdict.expires_at_s for verdict in verdicts if isinstance(verdict, Claims)} == {1_000_300}


def test_a_given_player(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--sub", SUB.upper()], {"SUPABASE_JWT_SECRET": SECRET}, NOW_S) == 0
    assert claims_of(tokens(capsys)[0])["sub"] == SUB


def test_without_a_configured_secret_the_one_of_dev_is_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "secret"
    assert main(["--secret-file", str(path)], {}, NOW_S) == 0
    assert isinstance(verify(tokens(capsys)[0], KeyPools(secret=read_or_create(path)), NOW_S), Claims)


def test_issuer_and_audience_follow_the_environment(capsys: pytest.CaptureFixture[str]) -> None:
    env = {
        "SUPABASE_JWT_SECRET": SECRET,
        "SUPABASE_URL": "https://abc.supabase.co",
        "SUPABASE_JWT_AUDIENCE": "players",
    }
    assert main([], env, NOW_S) == 0
    assert isinstance(verify(tokens(capsys)[0], load_keys(env), NOW_S), Claims)


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["--sub", "bot-1"], "--sub: must be a UUID, not 'bot-1'"),
        (["--sub", SUB, "--count", "2"], "--sub: names one player"),
        (["--count", "0"], "--count: must be 1 to"),
        (["--count", "x"], "argument --count: invalid int value"),
        (["--minutes", "0"], "--minutes: must be 0.1 to 10080"),
        (["--minutes", "10081"], "--minutes: must be"),
        (["--minutes", "nan"], "--minutes: must be"),
        (["--nope"], "unrecognized arguments: --nope"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_2(
    argv: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv, {"SUPABASE_JWT_SECRET": SECRET}, NOW_S) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"mint_token: {reason}")
    assert err.count("\n") == 1


def test_bad_keys_are_one_line_and_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], {"SUPABASE_JWT_SECRET": "short"}, NOW_S) == 2
    assert capsys.readouterr().err.startswith("mint_token: SUPABASE_JWT_SECRET: has 5 bytes")


def test_it_runs_as_a_module(tmp_path: Path) -> None:
    env = {"PYTHONPATH": str(ROOT), "PATH": os.environ.get("PATH", "")}
    command = [sys.executable, "-m", "scripts.mint_token", "--count", "2"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=True)
    subs = [str(claims_of(token)["sub"]) for token in done.stdout.splitlines()]
    assert len(subs) == 2
    assert all(str(uuid.UUID(sub)) == sub for sub in subs)
    assert (tmp_path / ".dev-secret").exists()
