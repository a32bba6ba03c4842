"""Whose token is good: the cases that real projects produce, and those that attackers do."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from functools import partial
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from scripts.mint_token import LOCAL_ISSUER, mint
from shard.access.auth import (
    LEEWAY_S,
    LIFETIME_MAX_S,
    AuthFault,
    Claims,
    KeyFault,
    KeyPools,
    PublicKey,
    load_keys,
    parse_key_set,
    verify,
)

NOW_S = 1_000_000.0
"""Long ago by any machine's clock: a verdict that asks the clock instead is wrong in every test."""
SECRET = "a secret of the tests, forty bytes long."
OTHER_SECRET = SECRET.replace("forty", "FORTY")
SUB = "0f8fad5b-d9cb-469f-a165-70867728950e"
SESSION = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
ISSUER = "https://abcdefgh.supabase.co/auth/v1"

EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_PEM = EC_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
EC_DER = EC_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
RSA_PEM = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
EC_JWK = {**ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True), "kid": "ec-1", "alg": "ES256", "use": "sig"}
RSA_JWK = {**RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True), "kid": "rsa-1", "alg": "RS256"}
OCT_JWK = {"kty": "oct", "kid": "oct-1", "alg": "HS256", "k": "b2N0IGtleSBvZiB0aGUgdGVzdHMsIGZvcnR5IGJ5dGVz"}

PUBLIC = (PublicKey("ec-1", "ES256", EC_KEY.public_key()), PublicKey("rsa-1", "RS256", RSA_KEY.public_key()))
KEYS = KeyPools(secret=SECRET, public_keys=PUBLIC, issuer=ISSUER)

BASE: dict[str, Any] = {
    "iss": ISSUER,
    "aud": "authenticated",
    "sub": SUB,
    "role": "authenticated",
    "iat": int(NOW_S),
    "exp": int(NOW_S) + 3600,
    "session_id": SESSION,
}


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def raw(header: object, payload: object, secret: str | bytes = SECRET, digest: str = "sha256") -> str:
    """A token signed with HMAC-SHA256 whatever its header says; bytes go in as they are."""
    key = secret.encode() if isinstance(secret, str) else secret
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    body = ".".join(encoded(part) for part in parts)
    return f"{body}.{encoded(hmac.digest(key, body.encode(), digest))}"


def hs256(secret: str | bytes = SECRET, header: dict[str, Any] | None = None, **claims: Any) -> str:
    return raw({"alg": "HS256", "typ": "JWT", **(header or {})}, {**BASE, **claims}, secret)


def with_claim(claim: str, value: object) -> str:
    return raw({"alg": "HS256"}, {**BASE, claim: value})


def with_alg(alg: object) -> str:
    return raw({"alg": alg}, BASE)


def without(claim: str) -> str:
    return raw({"alg": "HS256"}, {name: value for name, value in BASE.items() if name != claim})


def es256(kid: Any = "ec-1", **claims: Any) -> str:
    return jwt.encode({**BASE, **claims}, EC_KEY, "ES256", headers={} if kid is None else {"kid": kid})


def rs256(kid: Any = "rsa-1", **claims: Any) -> str:
    return jwt.encode({**BASE, **claims}, RSA_KEY, "RS256", headers={"kid": kid})


def refused(token: Any, keys: KeyPools = KEYS, now_s: float = NOW_S) -> AuthFault:
    verdict = verify(token, keys, now_s)
    assert isinstance(verdict, AuthFault), "admitted"
    return verdict


# --- admitted ------------------------------------------------------------------------------------------------------


def test_the_claims_of_a_good_token() -> None:
    claims = verify(hs256(), KEYS, NOW_S)
    assert claims == Claims(player=SUB, expires_at_s=NOW_S + 3600, is_anonymous=False, session_id=SESSION)  # type: ignore[arg-type]


ADMITTED: dict[str, Callable[[], str]] = {
    "hs256": hs256,
    "hs256 with a kid": lambda: hs256(header={"kid": "legacy"}),
    "hs256 with the kid of a public key": lambda: hs256(header={"kid": "ec-1"}),
    "es256 by kid": es256,
    "rs256 by kid": rs256,
    "aud as a list": lambda: hs256(aud=["other", "authenticated"]),
    "no optional claim": lambda: without("session_id"),
    "as supabase mints": lambda: mint(SECRET, SUB, NOW_S, iss=ISSUER),
    "exp 1 s ago": lambda: hs256(iat=NOW_S - 60, exp=NOW_S - 1),
    "exp at the end of the leeway": lambda: hs256(iat=NOW_S - 60, exp=NOW_S - LEEWAY_S + 0.001),
    "iat 5 s ahead": lambda: hs256(iat=NOW_S + 5),
    "iat at the end of the leeway": lambda: hs256(iat=NOW_S + LEEWAY_S),
    "nbf 5 s ahead": lambda: hs256(nbf=NOW_S + 5),
    "decimal times": lambda: hs256(iat=NOW_S - 0.25, exp=NOW_S + 0.5),
    "a week": lambda: hs256(exp=NOW_S + 7 * 86400),
    "longest life": lambda: hs256(exp=NOW_S + LIFETIME_MAX_S),
    "empty client_id": lambda: hs256(client_id=""),
    "amr as objects": lambda: hs256(amr=[{"method": "password", "timestamp": 1}]),
    "claim twice, last wins": lambda: raw({"alg": "HS256"}, json.dumps(BASE).replace("{", '{"aud": "x", ', 1).encode()),
}


@pytest.mark.parametrize("make", ADMITTED.values(), ids=ADMITTED)
def test_admitted(make: Callable[[], str]) -> None:
    verdict = verify(make(), KEYS, NOW_S)
    assert isinstance(verdict, Claims), verdict
    assert verdict.player == SUB


@pytest.mark.parametrize("kid", ["legacy", "ec-1", "x" * 300])
def test_a_kid_does_not_matter_where_only_a_secret_is_configured(kid: str) -> None:
    """Projects with the legacy secret put one into their tokens, too."""
    only_a_secret = load_keys({"SUPABASE_JWT_SECRET": SECRET})
    assert isinstance(verify(hs256(header={"kid": kid}), only_a_secret, NOW_S), Claims)


def test_without_a_configured_issuer_iss_may_be_anything_or_missing() -> None:
    keys = replace(KEYS, issuer=None)
    assert isinstance(verify(hs256(iss="https://other.example"), keys, NOW_S), Claims)
    assert isinstance(verify(without("iss"), keys, NOW_S), Claims)


def test_another_audience_may_be_configured() -> None:
    keys = replace(KEYS, audience="players")
    assert isinstance(verify(hs256(aud="players"), keys, NOW_S), Claims)
    assert refused(hs256(), keys).code == "auth_failed"


@pytest.mark.parametrize("session", [None, "", 5, "not-a-uuid", ["x"], "\ud800", SESSION + "\n"], ids=repr)
def test_an_odd_session_id_does_not_matter_and_is_not_passed_on(session: object) -> None:
    verdict = verify(hs256(session_id=session), KEYS, NOW_S)
    assert isinstance(verdict, Claims)
    assert verdict.session_id is None


def test_guests_are_marked_and_can_be_refused() -> None:
    verdict = verify(hs256(is_anonymous=True), KEYS, NOW_S)
    assert isinstance(verdict, Claims)
    assert verdict.is_anonymous
    strict = replace(KEYS, allow_anonymous=False)
    assert refused(hs256(is_anonymous=True), strict).code == "forbidden"
    assert refused(hs256(is_anonymous="false"), strict).code == "forbidden", "an odd value counts as a guest"
    assert isinstance(verify(hs256(is_anonymous=False), strict, NOW_S), Claims)


# --- refused -------------------------------------------------------------------------------------------------------

NOT_A_TIME: dict[str, object] = {
    "a numeric string": str(int(NOW_S) + 3600),
    "true": True,
    "1e300": 1e300,
    "NaN": float("nan"),
    "Infinity": float("inf"),
    "-Infinity": float("-inf"),
    "a list": [NOW_S + 3600],
    "an object": {},
    "negative": -1,
    "400 digits": 10**400,
    "year 10000": 253402300800,
}

FAILED: dict[str, Callable[[], object]] = {
    # signature and algorithm
    "other secret": lambda: hs256(OTHER_SECRET),
    "empty secret": lambda: hs256(""),
    "cut signature": lambda: hs256()[:-4],
    "no signature": lambda: hs256().rsplit(".", 1)[0] + ".",
    "es256 of another key": lambda: jwt.encode(BASE, ec.generate_private_key(ec.SECP256R1()), "ES256", {"kid": "ec-1"}),
    "hs256 with the ec key's pem": lambda: hs256(EC_PEM),
    "hs256 with the ec key's pem and kid": lambda: hs256(EC_PEM, {"kid": "ec-1"}),
    "hs256 with the ec key's der": lambda: hs256(EC_DER, {"kid": "ec-1"}),
    "hs256 with the rsa key's pem": lambda: hs256(RSA_PEM, {"kid": "rsa-1"}),
    "hs256 with the jwk's text": lambda: hs256(json.dumps(EC_JWK), {"kid": "ec-1"}),
    "es256 header over an hmac by the secret": lambda: hs256(header={"alg": "ES256", "kid": "ec-1"}),
    "es256 header over an hmac by the pem": lambda: hs256(EC_PEM, {"alg": "ES256", "kid": "ec-1"}),
    "es256 with the kid of the rsa key": lambda: es256("rsa-1"),
    "rs256 with the kid of the ec key": lambda: rs256("ec-1"),
    **{
        f"alg {alg!r}": partial(with_alg, alg)
        for alg in ("none", "None", "NONE", "nOnE", "", "hs256", "HS384", "HS512", "HS256 ", "ES384", "PS256", "EdDSA")
    },
    **{f"alg {alg!r}": partial(with_alg, alg) for alg in (["HS256"], {"HS256": 1}, None, 5, True)},
    "alg none unsigned": lambda: jwt.encode(BASE, "", "none"),
    "alg missing": lambda: raw({"typ": "JWT"}, BASE),
    "HS384 by its own rule": lambda: raw({"alg": "HS384"}, BASE, digest="sha384"),
    # kid and crit
    "kid unknown": lambda: es256("ec-2"),
    "kid missing": lambda: es256(None),
    "kid a path": lambda: es256("../../dev/null"),
    "kid empty": lambda: es256(""),
    "kid 8 kB": lambda: es256("k" * 8192),
    "kid a number": lambda: hs256(header={"kid": 1}),
    "kid null": lambda: hs256(header={"kid": None}),
    "kid a list": lambda: hs256(header={"kid": ["ec-1"]}),
    "crit unknown": lambda: hs256(header={"crit": ["exp"], "exp": 1}),
    "crit empty": lambda: hs256(header={"crit": []}),
    "crit no list": lambda: hs256(header={"crit": "b64"}),
    "b64 false": lambda: hs256(header={"b64": False, "crit": ["b64"]}),
    # claims
    **{f"{claim} missing": partial(without, claim) for claim in ("exp", "iat", "sub", "aud", "role", "iss")},
    **{f"{claim} null": partial(with_claim, claim, None) for claim in ("exp", "iat", "sub", "aud", "role", "iss")},
    **{f"exp {name}": partial(with_claim, "exp", value) for name, value in NOT_A_TIME.items()},
    **{f"iat {name}": partial(with_claim, "iat", value) for name, value in NOT_A_TIME.items()},
    **{f"nbf {name}": partial(with_claim, "nbf", value) for name, value in NOT_A_TIME.items()},
    "exp before iat": lambda: hs256(iat=NOW_S + 5, exp=NOW_S + 4),
    "exp equal to iat": lambda: hs256(exp=NOW_S),
    "a life of ten years": lambda: hs256(exp=NOW_S + 10 * 365 * 86400),
    "a life above the longest": lambda: hs256(exp=NOW_S + LIFETIME_MAX_S + 1),
    "iat beyond the leeway": lambda: hs256(iat=NOW_S + LEEWAY_S + 0.001),
    "nbf beyond the leeway": lambda: hs256(nbf=NOW_S + LEEWAY_S + 0.001),
    **{
        f"sub {sub!r}": partial(with_claim, "sub", sub)
        for sub in (
            "",
            5,
            [SUB],
            "player-1",
            SUB.upper(),
            SUB + "\n",
            " " + SUB,
            SUB[:-1],
            SUB + "0",
            "é" * 36,
            "x" * 9000,
        )
    },
    **{
        f"iss {iss!r}": partial(with_claim, "iss", iss)
        for iss in (
            ISSUER + "/",
            ISSUER[:-1],
            ISSUER + "0",
            ISSUER.upper(),
            "https://other.supabase.co/auth/v1",
            "",
            [ISSUER],
            5,
        )
    },
    **{
        f"aud {aud!r}": partial(with_claim, "aud", aud)
        for aud in (
            "",
            "authenticate",
            "authenticated2",
            "anon",
            [],
            ["other"],
            ["authenticated", 5],
            5,
            {"authenticated": 1},
        )
    },
    "storage link": lambda: raw({"alg": "HS256"}, {"url": "bucket/car.png", "iat": NOW_S, "exp": NOW_S + 60}),
    "id token": lambda: raw({"alg": "HS256"}, {k: v for k, v in {**BASE, "aud": "client-1"}.items() if k != "role"}),
    "jti a number": lambda: hs256(jti=5),
    # form
    "empty": lambda: "",
    "publishable key": lambda: "sb_publishable_x",
    "secret key": lambda: "sb_secret_x",
    "refresh token": lambda: "v1.MjAyNi0xMS0yMg",
    "1 MB of a": lambda: "a" * 1_000_000,
    "1 MB token": lambda: hs256(user_metadata="m" * 1_000_000),
    "leading space": lambda: " " + hs256(),
    "trailing space": lambda: hs256() + " ",
    "trailing newline": lambda: hs256() + "\n",
    "newline between": lambda: hs256().replace(".", ".\n", 1),
    "base64 padding": lambda: hs256() + "=",
    "bearer": lambda: "Bearer " + hs256(),
    "NUL at the end": lambda: hs256() + "\0",
    "lone surrogate": lambda: hs256() + "\ud800",
    "lone surrogate in the payload": lambda: hs256(sub="\ud800" + SUB),
    "full-width letters": lambda: hs256().replace("e", "\uff45", 1),
    "standard base64": lambda: "+/" + hs256()[2:],
    "two parts": lambda: hs256().rsplit(".", 1)[0],
    "four parts": lambda: hs256() + ".eyJ9",
    "five parts": lambda: hs256() + ".a.a",
    "dots": lambda: "..",
    "bytes": lambda: hs256().encode(),
    "None": lambda: None,
    "number": lambda: 5,
    "list": lambda: [hs256()],
    "header no object": lambda: raw(["HS256"], BASE),
    "header no json": lambda: raw(b"HS256", BASE),
    "header nested deeply": lambda: raw(b"[" * 5000, BASE),
    "payload a list": lambda: raw({"alg": "HS256"}, [BASE]),
    "payload no json": lambda: raw({"alg": "HS256"}, b"exp"),
    "payload not utf-8": lambda: raw({"alg": "HS256"}, b'{"sub":"\xff"}'),
    "payload nested deeply": lambda: raw({"alg": "HS256"}, b'{"a":' * 2000),
}


@pytest.mark.parametrize("make", FAILED.values(), ids=FAILED)
def test_failed(make: Callable[[], str]) -> None:
    assert refused(make()).code == "auth_failed"


@pytest.mark.parametrize("public_pem", [EC_PEM, EC_DER, RSA_PEM], ids=["ec pem", "ec der", "rsa pem"])
def test_without_a_secret_no_hmac_is_good(public_pem: bytes) -> None:
    keys = replace(KEYS, secret=None)
    for kid in ("ec-1", "rsa-1"):
        assert refused(hs256(public_pem, {"kid": kid}), keys).code == "auth_failed"
    assert refused(hs256(), keys).detail == "signed with HS256, but no secret is configured"
    assert isinstance(verify(es256(), keys, NOW_S), Claims)


def test_without_public_keys_no_asymmetric_token_is_good() -> None:
    assert refused(es256(), KeyPools(secret=SECRET)).code == "auth_failed"


API_KEY_TIMES = {"iat": int(NOW_S) - 1000, "exp": int(NOW_S) + 315_360_000}
FORBIDDEN: dict[str, Callable[[], str]] = {
    "anon key": lambda: raw({"alg": "HS256"}, {"iss": "supabase", "ref": "abc", "role": "anon", **API_KEY_TIMES}),
    "service_role key": lambda: raw({"alg": "HS256"}, {"iss": "supabase", "role": "service_role", **API_KEY_TIMES}),
    "anon with a player's claims": lambda: hs256(role="anon"),
    "service_role with a player's claims": lambda: hs256(role="service_role"),
    "another role": lambda: hs256(role="editor"),
    "role in capitals": lambda: hs256(role="Authenticated"),
    "role a list": lambda: hs256(role=["authenticated"]),
    "role empty": lambda: hs256(role=""),
    "third-party application": lambda: hs256(client_id="9d0f5c0e"),
}


@pytest.mark.parametrize("make", FORBIDDEN.values(), ids=FORBIDDEN)
def test_forbidden(make: Callable[[], str]) -> None:
    assert refused(make()).code == "forbidden"


def test_a_leaked_service_key_is_told_to_the_log() -> None:
    assert "LEAKED" in refused(FORBIDDEN["service_role key"]()).detail
    assert "LEAKED" not in refused(FORBIDDEN["anon key"]()).detail


def test_a_forged_api_key_is_only_a_bad_signature() -> None:
    assert refused(raw({"alg": "HS256"}, {"role": "service_role", **API_KEY_TIMES}, OTHER_SECRET)).code == "auth_failed"


def test_an_expired_token_has_its_own_code_because_the_client_can_cure_it() -> None:
    assert refused(hs256(iat=NOW_S - 60, exp=NOW_S - LEEWAY_S)).code == "token_expired"
    assert refused(es256(iat=int(NOW_S) - 7200, exp=int(NOW_S) - 3600)).code == "token_expired"


def test_the_same_token_expires_by_the_time_given() -> None:
    token = hs256()
    assert isinstance(verify(token, KEYS, NOW_S + 3600 + LEEWAY_S - 0.001), Claims)
    assert refused(token, now_s=NOW_S + 3600 + LEEWAY_S).code == "token_expired"
    assert refused(token, now_s=NOW_S - LEEWAY_S - 0.001).code == "auth_failed"


@pytest.mark.parametrize("now_s", [1_000.0, NOW_S, 10_000_000_000.0])
def test_the_clock_of_this_machine_plays_no_part(now_s: float) -> None:
    token = hs256(iat=now_s - 1, nbf=now_s - 1, exp=now_s + 1)
    assert isinstance(verify(token, KEYS, now_s), Claims)


def test_true_is_not_the_first_second_of_1970() -> None:
    assert isinstance(verify(hs256(iat=0, nbf=1, exp=1), KEYS, 1.0), Claims)
    for claims in ({"iat": 0, "exp": True}, {"iat": False, "exp": 1}, {"iat": 0, "exp": 1, "nbf": True}):
        assert refused(raw({"alg": "HS256"}, {**BASE, **claims}), now_s=1.0).code == "auth_failed"


def test_an_expired_token_with_another_defect_is_not_called_expired() -> None:
    old: dict[str, Any] = {"iat": NOW_S - 7200, "exp": NOW_S - 3600}
    assert refused(hs256(OTHER_SECRET, **old)).code == "auth_failed"
    assert refused(hs256(aud="other", **old)).code == "auth_failed"
    assert refused(hs256(role="anon", **old)).code == "forbidden"


def test_without_any_key_the_server_is_not_ready() -> None:
    assert refused(hs256(), KeyPools()).code == "not_ready"


# --- what a refusal tells ------------------------------------------------------------------------------------------


def test_the_client_cannot_tell_signature_audience_issuer_and_kid_apart() -> None:
    tokens = (hs256(OTHER_SECRET), hs256(aud="other"), hs256(iss="other"), es256("ec-2"), without("sub"), "x")
    assert len({refused(token).message for token in tokens}) == 1
    assert len({refused(token).detail for token in tokens}) == len(tokens), "the log can"


def test_only_an_unknown_kid_asks_for_a_new_key_set() -> None:
    assert refused(es256("ec-2")).unknown_kid
    for token in (es256(None), hs256(OTHER_SECRET, {"kid": "ec-2"}), es256("rsa-1"), hs256(aud="other")):
        assert not refused(token).unknown_kid


MARK = "MARKED-0123456789"


@pytest.mark.parametrize(
    "token",
    [
        es256(MARK),
        hs256(header={"alg": MARK}),
        hs256(header={"crit": [MARK], MARK: 1}),
        hs256(header={"kid": [MARK]}),
        *(with_claim(claim, MARK) for claim in ("sub", "role", "aud", "iss", "exp", "iat", "nbf", "client_id")),
        raw({"alg": "HS256"}, {"role": "service_role", "sub": MARK}),
        raw(MARK.encode(), BASE),
        raw({"alg": "HS256"}, MARK.encode()),
        hs256() + MARK + "\ud800",
        "sb_secret_" + MARK,
    ],
)
def test_nothing_of_the_token_is_in_message_or_detail(token: str) -> None:
    fault = refused(token)
    told = f"{fault.message} {fault.detail}"
    assert MARK not in told
    assert not any(part[:12] in told for part in token.split(".") if len(part) >= 12)
    assert told.isprintable()


def test_every_change_of_one_character_spoils_a_token() -> None:
    token = hs256()
    for index, char in enumerate(token):
        changed = token[:index] + ("B" if char == "A" else "A") + token[index + 1 :]
        assert isinstance(verify(changed, KEYS, NOW_S), AuthFault), f"changed at {index}"


@given(st.text(max_size=200) | st.binary(max_size=100).map(encoded).map(lambda part: f"{part}.{part}.{part}"))
@settings(max_examples=200, deadline=None)
def test_no_text_makes_verify_raise(text: str) -> None:
    assert isinstance(verify(text, KEYS, NOW_S), AuthFault)


@given(
    st.dictionaries(
        st.sampled_from([*BASE, "nbf", "client_id", "jti"]), st.none() | st.floats() | st.text() | st.booleans()
    )
)
@settings(max_examples=200, deadline=None)
def test_no_signed_claims_make_verify_raise(claims: dict[str, object]) -> None:
    assert isinstance(verify(raw({"alg": "HS256"}, {**BASE, **claims}), KEYS, NOW_S), AuthFault | Claims)


# --- keys ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SUPABASE_JWT_SECRET", "JWT_SECRET", "GOTRUE_JWT_SECRET"])
def test_the_secret_has_three_names(name: str) -> None:
    assert load_keys({name: SECRET}).secret == SECRET


def test_supabase_jwt_secret_comes_first_and_empty_means_not_set() -> None:
    assert load_keys({"SUPABASE_JWT_SECRET": SECRET, "JWT_SECRET": OTHER_SECRET}).secret == SECRET
    assert load_keys({"SUPABASE_JWT_SECRET": "", "GOTRUE_JWT_SECRET": OTHER_SECRET}).secret == OTHER_SECRET


def test_no_key_at_all_is_empty() -> None:
    assert load_keys({}) == KeyPools()
    assert load_keys({}).is_empty
    assert not load_keys({"SUPABASE_JWT_SECRET": SECRET}).is_empty
    assert not load_keys({"SUPABASE_JWKS": json.dumps([EC_JWK])}).is_empty


BAD_SECRETS = {
    "short": ("x" * 31, "has 31 bytes, needs at least 32"),
    "white space": (SECRET + "\n", "white space"),
    "publishable key": ("sb_publishable_" + "x" * 40, "is an API key"),
    "anon key": (FORBIDDEN["anon key"](), "is an API key"),
    "public key": (EC_PEM.decode().strip(), "is a public key"),
    "jwk": (json.dumps(EC_JWK), "is a public key"),
    "not utf-8": ("\udcff" * 40, "is not UTF-8"),
}


@pytest.mark.parametrize(("secret", "reason"), BAD_SECRETS.values(), ids=BAD_SECRETS)
def test_a_bad_secret_is_refused_without_showing_it(secret: str, reason: str) -> None:
    with pytest.raises(KeyFault, match=f"^JWT_SECRET: .*{reason}") as caught:
        load_keys({"JWT_SECRET": secret})
    assert secret[:16] not in str(caught.value)
    assert str(caught.value).isprintable()


def test_32_bytes_are_enough() -> None:
    assert load_keys({"JWT_SECRET": "é" * 16}).secret == "é" * 16


@pytest.mark.parametrize("text", [json.dumps({"keys": [EC_JWK, RSA_JWK]}), json.dumps([EC_JWK, RSA_JWK])])
def test_a_key_set_is_an_object_or_a_list(text: str) -> None:
    keys = load_keys({"SUPABASE_JWKS": text})
    assert [(key.kid, key.alg) for key in keys.public_keys] == [("ec-1", "ES256"), ("rsa-1", "RS256")]
    assert isinstance(verify(es256(), keys, NOW_S), Claims)
    assert isinstance(verify(rs256(), keys, NOW_S), Claims)


def test_a_key_without_alg_gets_the_one_of_its_kind() -> None:
    bare = [{name: value for name, value in jwk.items() if name not in ("alg", "use")} for jwk in (EC_JWK, RSA_JWK)]
    assert [key.alg for key in parse_key_set(json.dumps(bare), "set")] == ["ES256", "RS256"]


def test_a_symmetric_key_in_the_set_verifies_nothing() -> None:
    keys = load_keys({"SUPABASE_JWKS": json.dumps([OCT_JWK, EC_JWK])})
    assert keys.secret is None
    assert [key.kid for key in keys.public_keys] == ["ec-1"]
    secret = base64.urlsafe_b64decode(OCT_JWK["k"])
    assert refused(hs256(secret, {"kid": "oct-1"}), keys).code == "auth_failed"
    disguised = {**OCT_JWK, "alg": "ES256", "crv": "P-256"}
    assert parse_key_set(json.dumps([disguised]), "set") == ()


PASSED_OVER: dict[str, dict[str, Any]] = {
    "P-384": ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key(), as_dict=True) | {"kid": "k"},
    "Ed25519": OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate().public_key(), as_dict=True) | {"kid": "k"},
    "ec for encryption": {**EC_JWK, "use": "enc"},
    "rsa for RS512": {**RSA_JWK, "alg": "RS512"},
    "rsa claimed to be HS256": {**RSA_JWK, "alg": "HS256"},
    "ec claimed to be RS256": {**EC_JWK, "alg": "RS256"},
    "unknown kind": {"kty": "PQ", "kid": "k"},
    "no kind": {"kid": "k"},
    "kind a list": {"kty": ["EC"], "kid": "k"},
    "curve a list": {**EC_JWK, "crv": ["P-256"]},
}


@pytest.mark.parametrize("jwk", PASSED_OVER.values(), ids=PASSED_OVER)
def test_keys_of_other_kinds_are_passed_over(jwk: dict[str, Any]) -> None:
    assert [key.kid for key in parse_key_set(json.dumps([jwk, RSA_JWK]), "set")] == ["rsa-1"]


SMALL_RSA_JWK = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key(), as_dict=True) | {"kid": "small"}
BAD_SETS: dict[str, tuple[str, str]] = {
    "no json": ("keys", "is not JSON"),
    "white space": (" ", "is not JSON"),
    "cut": (json.dumps([EC_JWK])[:-5], "is not JSON"),
    "nested deeply": ("[" * 100_000, "is not JSON"),
    "text": ('"keys"', "must be an object"),
    "object without keys": (json.dumps(EC_JWK), "must be an object"),
    "keys no list": (json.dumps({"keys": {"ec-1": EC_JWK}}), "must be an object"),
    "entry no object": (json.dumps([EC_JWK, "x"]), "key 1 is not an object"),
    "private ec": (ECAlgorithm.to_jwk(EC_KEY).replace("{", '{"kid": "k", ', 1).join("[]"), "key 0 is a private key"),
    "private rsa": (json.dumps([{**RSA_JWK, "d": "AQAB"}]), "key 0 is a private key"),
    "kid missing": (json.dumps([{k: v for k, v in EC_JWK.items() if k != "kid"}]), "key 0 needs a kid"),
    "kid a number": (json.dumps([{**EC_JWK, "kid": 1}]), "key 0 needs a kid"),
    "kid empty": (json.dumps([{**EC_JWK, "kid": ""}]), "key 0 needs a kid"),
    "kid with a newline": (json.dumps([{**EC_JWK, "kid": "a\nb"}]), "key 0 needs a kid"),
    "kid twice": (json.dumps([EC_JWK, {**RSA_JWK, "kid": "ec-1"}]), "key 1 has the kid of another"),
    "point off the curve": (json.dumps([{**EC_JWK, "y": EC_JWK["x"]}]), "key 0 is not a valid ES256 key"),
    "x missing": (json.dumps([{k: v for k, v in EC_JWK.items() if k != "x"}]), "key 0 is not a valid ES256 key"),
    "x a number": (json.dumps([{**EC_JWK, "x": 5}]), "key 0 is not a valid ES256 key"),
    "n no base64": (json.dumps([{**RSA_JWK, "n": "%%%"}]), "key 0 is not a valid RS256 key"),
    "rsa of 1024 bits": (json.dumps([SMALL_RSA_JWK]), "key 0 has 1024 bits; RSA keys need at least 2048"),
    "no key": ('{"keys": []}', "has no ES256 or RS256 key"),
    "only symmetric": (json.dumps([OCT_JWK]), "has no ES256 or RS256 key"),
}


@pytest.mark.parametrize(("text", "reason"), BAD_SETS.values(), ids=BAD_SETS)
def test_a_bad_key_set_fails_closed(text: str, reason: str) -> None:
    with pytest.raises(KeyFault, match=f"^SUPABASE_JWKS: .*{reason}") as caught:
        load_keys({"SUPABASE_JWKS": text})
    assert str(caught.value).isprintable()


def test_a_bad_key_set_fails_closed_even_beside_a_good_secret() -> None:
    with pytest.raises(KeyFault, match="is not JSON"):
        load_keys({"SUPABASE_JWKS": "{", "SUPABASE_JWT_SECRET": SECRET})


def test_an_empty_key_set_beside_a_secret_is_what_an_hs256_project_has() -> None:
    assert load_keys({"SUPABASE_JWKS": '{"keys": []}', "SUPABASE_JWT_SECRET": SECRET}) == KeyPools(secret=SECRET)


@pytest.mark.parametrize(
    ("env", "issuer"),
    [
        ({}, None),
        ({"SUPABASE_URL": "https://abcdefgh.supabase.co"}, ISSUER),
        ({"SUPABASE_URL": "https://abcdefgh.supabase.co/"}, ISSUER),
        ({"SUPABASE_URL": "http://kong:8000", "SUPABASE_JWT_ISSUER": ISSUER}, ISSUER),
        ({"SUPABASE_JWT_ISSUER": "supabase"}, "supabase"),
    ],
)
def test_the_issuer_follows_from_the_url_unless_told(env: dict[str, str], issuer: str | None) -> None:
    assert load_keys(env).issuer == issuer


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SUPABASE_URL", "abcdefgh.supabase.co"),
        ("SUPABASE_URL", "https://a.example?x"),
        ("SUPABASE_URL", " https://a.example"),
        ("SUPABASE_JWT_ISSUER", ISSUER + " "),
        ("SUPABASE_JWT_ISSUER", "\udcff"),
        ("SUPABASE_JWT_AUDIENCE", "a b"),
    ],
)
def test_a_bad_name_is_refused(name: str, value: str) -> None:
    with pytest.raises(KeyFault, match=f"^{name}: "):
        load_keys({name: value})


def test_the_audience_has_a_default() -> None:
    assert load_keys({}).audience == "authenticated"
    assert load_keys({"SUPABASE_JWT_AUDIENCE": "players"}).audience == "players"


def test_rotation_is_another_value() -> None:
    before = KeyPools(public_keys=parse_key_set(json.dumps([RSA_JWK]), "set"))
    after = replace(before, public_keys=parse_key_set(json.dumps([EC_JWK, RSA_JWK]), "set"))
    assert refused(es256(), before).unknown_kid
    assert isinstance(verify(es256(), after, NOW_S), Claims)
    assert isinstance(verify(rs256(), after, NOW_S), Claims), "tokens of the old key live on"
    with pytest.raises(FrozenInstanceError):
        before.secret = "x"  # type: ignore[misc]


def test_the_banner_names_keys_and_rules_but_no_secret() -> None:
    line = replace(KEYS, allow_anonymous=False).describe()
    assert (
        line == f"HS256 secret; ES256 keys: ec-1; RS256 keys: rsa-1; issuer {ISSUER}; audience authenticated; no guests"
    )
    assert "issuer not checked" in KeyPools(secret=SECRET).describe()
    assert SECRET not in repr(KEYS)


def test_the_banner_warns_of_the_secret_that_everybody_knows() -> None:
    known = "super-secret-jwt-token-with-at-least-32-characters-long"
    assert "PUBLISHED" in load_keys({"JWT_SECRET": known}).describe()
    assert "PUBLISHED" not in KEYS.describe()


def test_the_local_stack_of_supabase_is_admitted() -> None:
    env = {"SUPABASE_JWT_SECRET": SECRET, "SUPABASE_URL": "http://127.0.0.1:54321"}
    assert load_keys(env).issuer == LOCAL_ISSUER
    assert isinstance(verify(mint(SECRET, SUB, NOW_S), load_keys(env), NOW_S), Claims)
