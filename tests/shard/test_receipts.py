"""Receipts: what is signed can be verified; what is forged, edited, expired or foreign is refused, with a reason."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from scripts import verify_receipt
from scripts.mint_token import mint
from shard.access.auth import AuthFault, KeyFault, KeyPools
from shard.access.auth import verify as verify_player
from shard.races.receipt_key import choose_receipt_key
from shard.races.receipts import (
    LEEWAY_S,
    SPLITS_MAX,
    Expected,
    Receipt,
    ReceiptFault,
    SigningKey,
    VerifyingKey,
    parse_key,
    parse_public_key,
    sign,
    splits_for_receipt,
    verify,
)

NOW_S = 1_700_000_000.0
DAY_S = 86400.0
SECRET = "a secret for receipts, long enough"
PLAYER = "0b6f3cbe-29f3-4a1c-8d55-000000000001"
RECEIPT = Receipt(
    player=PLAYER,
    race="r17-grand-tour",
    route="grand-tour",
    world="0123456789abcdef",
    vehicle="car",
    place=2,
    of=24,
    status="finished",
    start_ms=1_699_999_000_123.4,
    time_ms=423_456.789,
    err_ms=3.21,
    splits_ms=(812.34, 9000.0),
    penalty_ms=5000.0,
    flags=("false_start",),
)
HMAC = SigningKey("HS256", SECRET)
EC_KEY = generate_private_key(SECP256R1())
EC = SigningKey("ES256", EC_KEY)
PRIVATE_PEM = EC_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PUBLIC_PEM = EC_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.fixture(params=[HMAC, EC], ids=["HS256", "ES256"])
def key(request: pytest.FixtureRequest) -> SigningKey:
    made: SigningKey = request.param
    return made


def refusal(token: str, key: SigningKey = HMAC, now_s: float = NOW_S, expected: Expected | None = None) -> str:
    with pytest.raises(ReceiptFault) as caught:
        verify(token, key.verifying, now_s, expected)
    return str(caught.value)


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    head, body, signature = token.split(".")
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in (head, body))
    return header, claims, signature


def packed(data: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()


def test_it_says_how_the_racer_did(key: SigningKey) -> None:
    token = sign(RECEIPT, key, NOW_S, DAY_S)
    assert verify(token, key.verifying, NOW_S) == {
        "iss": "shard",
        "typ": "race_receipt",
        "sub": PLAYER,
        "jti": f"r17-grand-tour:1699999000123:{PLAYER}",
        "iat": 1_700_000_000,
        "exp": 1_700_086_400,
        "race": "r17-grand-tour",
        "route": "grand-tour",
        "world": "0123456789abcdef",
        "vehicle": "car",
        "place": 2,
        "of": 24,
        "status": "finished",
        "start_ms": 1_699_999_000_123,
        "time_ms": 423_456.8,
        "err_ms": 3.2,
        "splits_ms": [812.3, 9000.0],
        "penalty_ms": 5000.0,
        "flags": ["false_start"],
    }
    header, _, _ = parts(token)
    assert header["typ"] == "race-receipt+jwt"
    assert header.get("kid") == key.verifying.kid


def test_jti_tells_races_of_two_shards_and_two_players_apart_and_nothing_else() -> None:
    assert replace(RECEIPT, place=3, time_ms=None).jti == RECEIPT.jti
    others = [
        replace(RECEIPT, start_ms=RECEIPT.start_ms + 1.0),
        replace(RECEIPT, player="x"),
        replace(RECEIPT, race="r"),
    ]
    assert len({each.jti for each in others} | {RECEIPT.jti}) == 4


def test_an_edited_receipt_is_refused(key: SigningKey) -> None:
    head, _, signature = sign(RECEIPT, key, NOW_S, DAY_S).split(".")
    _, claims, _ = parts(sign(RECEIPT, key, NOW_S, DAY_S))
    for claim in claims:
        edited = claims | {claim: "other" if isinstance(claims[claim], str) else 1}
        assert "signature does not fit" in refusal(f"{head}.{packed(edited)}.{signature}", key)


@given(place=st.integers(0, 2**32), bit=st.integers(0, 7))
def test_not_a_bit_can_be_turned(place: int, bit: int) -> None:
    """Of the last character of a part only some bits mean something: a token that decodes to the same is no other."""
    token = sign(RECEIPT, HMAC, NOW_S, DAY_S)
    data = bytearray(token.encode())
    data[place % len(data)] ^= 1 << bit
    turned = data.decode("latin-1")
    if turned == token or _decoded(turned) == _decoded(token):
        return
    refusal(turned)


def _decoded(token: str) -> list[bytes] | None:
    try:
        return [base64.b64decode(part + "==", altchars=b"-_", validate=True) for part in token.split(".")]
    except ValueError:
        return None


def test_a_forged_receipt_is_refused(key: SigningKey) -> None:
    other = SigningKey("HS256", "x" * 40) if key is HMAC else SigningKey("ES256", generate_private_key(SECP256R1()))
    assert "signature does not fit" in refusal(sign(RECEIPT, other, NOW_S, DAY_S), key)


def test_no_other_algorithm_is_let_in() -> None:
    _, claims, _ = parts(sign(RECEIPT, EC, NOW_S, DAY_S))
    head = {"typ": "race-receipt+jwt"}
    for none in ("none", "None", "NONE"):
        assert "verifies ES256 only" in refusal(f"{packed(head | {'alg': none})}.{packed(claims)}.", EC)
    by_hmac = sign(RECEIPT, HMAC, NOW_S, DAY_S)
    assert "'HS256', this key verifies ES256 only" in refusal(by_hmac, EC)
    assert "'ES256', this key verifies HS256 only" in refusal(sign(RECEIPT, EC, NOW_S, DAY_S), HMAC)
    # the classic: the public key, which everybody has, as an HMAC secret
    import hmac

    signed = f"{packed(head | {'alg': 'HS256'})}.{packed(claims)}"
    digest = hmac.digest(PUBLIC_PEM.encode(), signed.encode(), "sha256")
    confused = f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"
    assert "verifies ES256 only" in refusal(confused, EC)
    hs512 = jwt.encode(claims, SECRET * 2, algorithm="HS512", headers=head)
    assert "verifies HS256 only" in refusal(hs512, HMAC)


def test_it_expires(key: SigningKey) -> None:
    token = sign(RECEIPT, key, NOW_S, DAY_S)
    verify(token, key.verifying, NOW_S + DAY_S + LEEWAY_S - 1)
    assert "expired 60 s ago" in refusal(token, key, NOW_S + DAY_S + LEEWAY_S)
    assert "issued in the future" in refusal(token, key, NOW_S - LEEWAY_S - 1)


@pytest.mark.parametrize(
    ("expected", "reason"),
    [
        (Expected(player="somebody else"), f"is about sub '{PLAYER}', not 'somebody else'"),
        (Expected(route="old-town"), "is about route 'grand-tour', not 'old-town'"),
        (Expected(world="f" * 16), "is about world '0123456789abcdef', not 'ffffffffffffffff'"),
        (Expected(race="r18-grand-tour"), "is about race 'r17-grand-tour', not 'r18-grand-tour'"),
    ],
)
def test_a_receipt_about_something_else_is_refused(expected: Expected, reason: str) -> None:
    token = sign(RECEIPT, HMAC, NOW_S, DAY_S)
    assert refusal(token, expected=expected) == reason
    verify(token, HMAC.verifying, NOW_S, Expected(PLAYER, "r17-grand-tour", "grand-tour", "0123456789abcdef"))


def test_another_issuers_token_with_the_same_key_is_refused() -> None:
    _, claims, _ = parts(sign(RECEIPT, HMAC, NOW_S, DAY_S))
    head = {"typ": "race-receipt+jwt"}
    for change in ({"iss": "another"}, {"typ": "voucher"}, {"typ": None}):
        foreign = jwt.encode(claims | change, SECRET, algorithm="HS256", headers=head)
        assert "issued by somebody else" in refusal(foreign)
    assert "another kind of token" in refusal(jwt.encode(claims, SECRET, algorithm="HS256"))
    for claim in ("iss", "sub", "iat", "exp", "jti"):
        without = {name: value for name, value in claims.items() if name != claim}
        assert refusal(jwt.encode(without, SECRET, algorithm="HS256", headers=head)) == f"claim {claim} is missing"
    odd: tuple[dict[str, Any], ...] = ({"exp": 1e300}, {"iat": True})
    for times in odd:
        assert "whole number" in refusal(jwt.encode(claims | times, SECRET, algorithm="HS256", headers=head))


def test_a_players_token_is_no_receipt_and_a_receipt_admits_no_player() -> None:
    assert "another kind of token" in refusal(mint(SECRET, PLAYER, NOW_S))
    receipt = sign(RECEIPT, HMAC, NOW_S, DAY_S)
    assert isinstance(verify_player(receipt, KeyPools(SECRET), NOW_S), AuthFault)


@given(
    st.text(max_size=80)
    | st.from_regex(r"[A-Za-z0-9_-]{0,30}\.[A-Za-z0-9_-]{0,30}\.[A-Za-z0-9_-]{0,30}", fullmatch=True)
)
def test_rubbish_is_refused_and_never_raises_anything_else(token: str) -> None:
    refusal(token)


def test_a_huge_token_is_refused() -> None:
    assert refusal("a" * 100_000) == "too long for a receipt"


def test_long_races_have_the_splits_of_their_laps() -> None:
    splits = tuple(float(number) for number in range(50 * 10 + 1))
    assert splits_for_receipt(splits, gates=10) == tuple(float(lap * 10) for lap in range(1, 51))
    assert splits_for_receipt(splits[:SPLITS_MAX], gates=10) == splits[:SPLITS_MAX]
    longest = replace(RECEIPT, splits_ms=(7_199_999.9,) * SPLITS_MAX, race="r" * 64, route="g" * 64)
    assert len(sign(longest, EC, NOW_S, DAY_S)) < 4096


# --- keys


def test_keys_come_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_text(PRIVATE_PEM)
    one_line = PRIVATE_PEM.replace("\n", "\\n")
    for env in (
        {"SHARD_RECEIPT_KEY": PRIVATE_PEM},
        {"SHARD_RECEIPT_KEY": one_line},
        {"SHARD_RECEIPT_KEY_FILE": str(file)},
    ):
        found = choose_receipt_key(env, None, None)
        assert found is not None
        token = sign(RECEIPT, found, NOW_S, DAY_S)
        assert verify(token, parse_public_key(PUBLIC_PEM, "test"), NOW_S)["place"] == 2
        assert found.describe() == f"ES256, kid {EC.verifying.kid}"
        assert PRIVATE_PEM.splitlines()[1] not in repr(found)
    assert choose_receipt_key({"SHARD_RECEIPT_SECRET": SECRET}, None, None) == HMAC
    assert SECRET not in repr(HMAC)
    assert choose_receipt_key({"SHARD_RECEIPT_SECRET": ""}, None, None) is None


def test_dev_has_a_throw_away_key_of_its_own(tmp_path: Path) -> None:
    made = choose_receipt_key({}, None, tmp_path / "secret")
    assert made is not None
    assert made == choose_receipt_key({}, None, tmp_path / "secret")
    assert made.key == (tmp_path / "secret-receipts").read_text().strip()
    assert choose_receipt_key({"SHARD_RECEIPT_SECRET": SECRET}, None, tmp_path / "secret") == HMAC


def _bad_keys() -> Iterator[tuple[dict[str, str], str]]:
    rsa = generate_rsa(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    p384 = generate_private_key(SECP384R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    yield {"SHARD_RECEIPT_SECRET": "short"}, "SHARD_RECEIPT_SECRET: has 5 bytes"
    yield {"SHARD_RECEIPT_SECRET": "players" * 6}, "SHARD_RECEIPT_SECRET: is the secret of players' tokens"
    yield {"SHARD_RECEIPT_SECRET": SECRET, "SHARD_RECEIPT_KEY": PRIVATE_PEM}, "SHARD_RECEIPT_SECRET: leave it out"
    yield {"SHARD_RECEIPT_KEY": "nonsense"}, "SHARD_RECEIPT_KEY: is no private key"
    yield {"SHARD_RECEIPT_KEY": PUBLIC_PEM}, "SHARD_RECEIPT_KEY: is no private key"
    yield {"SHARD_RECEIPT_KEY": rsa}, "SHARD_RECEIPT_KEY: must be an EC key on P-256"
    yield {"SHARD_RECEIPT_KEY": p384}, "SHARD_RECEIPT_KEY: must be an EC key on P-256"
    yield {"SHARD_RECEIPT_KEY": PRIVATE_PEM, "SHARD_RECEIPT_KEY_FILE": "x"}, "SHARD_RECEIPT_KEY_FILE: leave it out"
    yield {"SHARD_RECEIPT_KEY_FILE": "/nowhere/key.pem"}, "SHARD_RECEIPT_KEY_FILE: /nowhere/key.pem: No such file"


@pytest.mark.parametrize(("env", "reason"), list(_bad_keys()))
def test_a_key_that_cannot_be_used_is_refused_with_its_name(env: dict[str, str], reason: str) -> None:
    with pytest.raises(KeyFault) as caught:
        choose_receipt_key(env, "players" * 6, None)
    assert str(caught.value).startswith(reason)
    assert "\n" not in str(caught.value)


def test_a_public_key_must_be_one() -> None:
    for text in ("", "nonsense", PRIVATE_PEM):
        with pytest.raises(KeyFault, match=r"^--public-key: is no public key"):
            parse_public_key(text, "--public-key")
    assert parse_key(None, None, None) is None
    assert VerifyingKey("HS256", SECRET).kid is None


# --- the command


def test_the_command_verifies_and_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "public.pem").write_text(PUBLIC_PEM)
    by_file = ["--public-key", str(tmp_path / "public.pem")]
    token = sign(RECEIPT, EC, NOW_S, DAY_S)
    assert verify_receipt.main([token, *by_file], {}, NOW_S) == 0
    assert json.loads(capsys.readouterr().out)["sub"] == PLAYER
    assert verify_receipt.main([token, *by_file, "--route", "old-town"], {}, NOW_S) == 1
    assert "refused: is about route" in capsys.readouterr().err
    assert verify_receipt.main([token, "--secret", SECRET], {}, NOW_S) == 1
    assert verify_receipt.main([token], {"SHARD_RECEIPT_KEY": PRIVATE_PEM}, NOW_S) == 0
    assert verify_receipt.main([token], {"SHARD_RECEIPT_KEY": PRIVATE_PEM}, NOW_S + 2 * DAY_S) == 1
    assert "refused: expired" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["t", "--secret", "short"], "--secret: has 5 bytes"),
        (["t", "--public-key", "/nowhere"], "--public-key: /nowhere: "),
        (["t"], "no key: give --secret or --public-key"),
        ([], "the following arguments are required: token"),
        (["t", "--secret", "x" * 32, "--public-key", "y"], "argument --public-key: not allowed with"),
    ],
)
def test_the_command_names_bad_arguments(
    argv: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert verify_receipt.main(argv, {}, NOW_S) == 2
    assert capsys.readouterr().err.startswith(f"verify_receipt: {reason}")


def test_the_command_finds_the_throw_away_key_of_dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = choose_receipt_key({}, None, Path(".dev-secret"))
    assert made is not None
    assert verify_receipt.main([sign(RECEIPT, made, NOW_S, DAY_S)], {}, NOW_S) == 0
