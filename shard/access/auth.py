"""Who is this? A Supabase access token comes in, the player's claims or a refusal come out.

Pure: keys, token and time are parameters. Keys live in two closed pools: the HS256 secret, and the public ES256 and
RS256 keys by ``kid``. The token's own ``alg``, which nobody has verified yet, only chooses the pool; the algorithm
that verifies is the one bound to the key found there. So no public key ever serves as an HMAC secret, and ``none``
finds no pool.

A good signature is not enough: the project's API keys, storage links and ID tokens are signed with the same keys.
What makes a token a player's: the claims in _REQUIRED, this audience, this issuer, the role ``authenticated``.

Signature, audience and issuer are PyJWT's work. Times are checked here, against ``now_s``: PyJWT would ask the
machine's clock, and takes a numeric string or 1e300 for a time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.types import Options

from shared.constants import MESSAGE_BYTES_MAX
from shared.ids import PlayerId
from shared.messages import ErrorCode

LEEWAY_S = 10.0
"""How far the issuer's clock may differ from ours."""

LIFETIME_MAX_S = 7 * 86400 + 60
"""Longest life of a token: a week is the most that Supabase offers; the minute is for rounding."""

SECRET_BYTES_MIN = 32
"""An HS256 secret shorter than its hash can be guessed offline from one token (RFC 7518, 3.2)."""

RSA_BITS_MIN = 2048

PLAYER_ROLE = "authenticated"

_SECRET_NAMES = ("SUPABASE_JWT_SECRET", "JWT_SECRET", "GOTRUE_JWT_SECRET")
_PUBLISHED_SECRETS = (
    "super-secret-jwt-token-with-at-least-32-characters-long",
    "your-super-secret-jwt-token-with-at-least-32-characters-long",
)
"""Defaults of Supabase's local stack and of its self-hosting example: everybody knows them."""
_SECONDS_MAX = 253402300800
"""Year 10000: keeps infinities and absurd numbers out of the arithmetic."""
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_API_KEY_ROLES = ("anon", "service_role", "supabase_admin")
_REQUIRED = ("exp", "iat", "sub", "aud", "role")
_SIGNATURE_AND_NAMES: Final[Options] = {
    "require": list(_REQUIRED),
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "enforce_minimum_key_length": True,
}

_FAILED = "authentication failed: sign in again and send the new access token"
_EXPIRED = "the token has expired: refresh the session and send the new access token"
_FORBIDDEN = "this token does not admit a player: send the access token of a signed-in user"
_NOT_READY = "the server has no keys yet: try again in a few seconds"


class KeyFault(ValueError):
    """Configured keys cannot be used. The text is one line that names the variable and the fix, never a key."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One asymmetric key, bound to the only algorithm that it may verify."""

    kid: str
    alg: str
    """``ES256`` or ``RS256``."""
    key: EllipticCurvePublicKey | RSAPublicKey


@dataclass(frozen=True, slots=True)
class KeyPools:
    """All that decides whose tokens are good. Immutable: a rotation makes another one with dataclasses.replace."""

    secret: str | None = field(default=None, repr=False)
    """The HS256 secret."""
    public_keys: tuple[PublicKey, ...] = ()
    """Each ``kid`` once."""
    issuer: str | None = None
    """``iss`` must equal this; None: not checked."""
    audience: str = PLAYER_ROLE
    """``aud`` must be this, or a list that contains it."""
    allow_anonymous: bool = True
    """Whether guests of Supabase's anonymous sign-in may play."""

    @property
    def is_empty(self) -> bool:
        """No key at all: nobody can be verified."""
        return self.secret is None and not self.public_keys

    def describe(self) -> str:
        """One line for the start banner, without anything secret."""
        parts = []
        if self.secret is not None:
            known = self.secret in _PUBLISHED_SECRETS
            parts.append("HS256 secret" + (" (the PUBLISHED default: anybody can mint tokens)" if known else ""))
        for alg in ("ES256", "RS256"):
            kids = [key.kid for key in self.public_keys if key.alg == alg]
            if kids:
                parts.append(f"{alg} keys: {', '.join(kids)}")
        parts.append(f"issuer {self.issuer}" if self.issuer else "issuer not checked (set SUPABASE_URL)")
        parts.append(f"audience {self.audience}")
        if not self.allow_anonymous:
            parts.append("no guests")
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a good token says about its bearer."""

    player: PlayerId
    expires_at_s: float
    """``exp``: Unix seconds, by the issuer's clock."""
    is_anonymous: bool
    session_id: str | None
    """Supabase's id of the sign-in, where the token carries one."""


@dataclass(frozen=True, slots=True)
class AuthFault:
    """Why a token is refused."""

    code: ErrorCode
    message: str
    """For the client; does not tell a bad signature from a wrong audience or an unknown key."""
    detail: str
    """For the log; never contains any part of the token."""
    unknown_kid: bool = False
    """No key of this name: a set fetched anew may have it."""


Verdict: TypeAlias = Claims | AuthFault


def verify(token: str, keys: KeyPools, now_s: float) -> Verdict:
    """Judge one token at ``now_s``, Unix seconds. Never raises, whatever the token is; about 0.1 ms."""
    try:
        return _verify(token, keys, now_s)
    except Exception as fault:  # PyJWT's faults and whatever else hostile input shakes out: all of it is a refusal
        return _failed(type(fault).__name__)


def _verify(token: str, keys: KeyPools, now_s: float) -> Verdict:
    if keys.is_empty:
        return AuthFault("not_ready", _NOT_READY, "no key is loaded")
    if len(token) > MESSAGE_BYTES_MAX:
        return _failed("too long for a token")
    if token.startswith("sb_"):
        return _failed("an API key of the project was presented")
    if not _COMPACT.fullmatch(token):
        return _failed("not three parts of base64url")
    header = jwt.get_unverified_header(token)  # refuses a kid that is no string and every crit
    alg, kid = header.get("alg"), header.get("kid")
    key: str | EllipticCurvePublicKey | RSAPublicKey
    if alg == "HS256":  # its kid says nothing: Supabase names legacy secrets, too
        if keys.secret is None:
            return _failed("signed with HS256, but no secret is configured")
        key, algorithm = keys.secret, "HS256"
    elif alg in ("ES256", "RS256"):
        found = next((known for known in keys.public_keys if known.kid == kid), None)
        if found is None:
            return AuthFault("auth_failed", _FAILED, "no key has the token's kid", unknown_kid=kid is not None)
        key, algorithm = found.key, found.alg
    else:
        return _failed("its alg is none of HS256, ES256, RS256")
    try:
        payload = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=keys.audience,
            issuer=keys.issuer,
            options=_SIGNATURE_AND_NAMES,
        )
    except (jwt.MissingRequiredClaimError, jwt.InvalidAudienceError, jwt.InvalidIssuerError) as fault:
        return _not_ours(token, fault)
    return _judge(payload, keys, now_s)


def _not_ours(token: str, fault: jwt.InvalidTokenError) -> AuthFault:
    """The signature is good (PyJWT looks at claims only then), but audience, issuer or a claim is not a player's.

    Singles out the project's API keys: a service_role key in a client's hands is a leak that somebody must hear of.
    """
    role = jwt.decode(token, options={"verify_signature": False}).get("role")
    if role in _API_KEY_ROLES:
        leaked = "" if role == "anon" else ": it has LEAKED, rotate it"
        return AuthFault("forbidden", _FORBIDDEN, f"the project's {role} key was presented{leaked}")
    if isinstance(fault, jwt.MissingRequiredClaimError):
        return _failed(f"claim {fault.claim} is missing")
    return _failed(type(fault).__name__)


def _judge(payload: Mapping[str, Any], keys: KeyPools, now_s: float) -> Verdict:
    """Judge the claims of a token whose signature, audience and issuer are good; last what a refresh would cure."""
    if payload["role"] != PLAYER_ROLE:
        return AuthFault("forbidden", _FORBIDDEN, f"role is not {PLAYER_ROLE}")
    if payload.get("client_id"):
        return AuthFault("forbidden", _FORBIDDEN, "issued to a third-party application (client_id)")
    guest = bool(payload.get("is_anonymous"))
    if guest and not keys.allow_anonymous:
        return AuthFault("forbidden", "guests are not admitted: sign in with an account", "anonymous sign-in")
    if not _UUID.fullmatch(payload["sub"]):
        return _failed("sub is not a UUID in lower case")
    exp, iat, nbf = payload["exp"], payload["iat"], payload.get("nbf", 0)
    if not (_is_time(exp) and _is_time(iat) and _is_time(nbf)):
        return _failed("exp, iat or nbf is not a time in seconds")
    if not 0 < exp - iat <= LIFETIME_MAX_S:
        return _failed(f"exp - iat is not between 0 and {LIFETIME_MAX_S} s")
    if max(iat, nbf) > now_s + LEEWAY_S:
        return _failed("issued in the future or not valid yet: compare the clocks")
    if exp <= now_s - LEEWAY_S:
        return AuthFault("token_expired", _EXPIRED, f"expired {now_s - exp:.0f} s ago")
    session = payload.get("session_id")
    return Claims(
        player=PlayerId(payload["sub"]),
        expires_at_s=float(exp),
        is_anonymous=guest,
        session_id=session if isinstance(session, str) and _UUID.fullmatch(session) else None,
    )


def _is_time(value: object) -> bool:
    """A JSON number (no bool, no string) of seconds between 1970 and the year 10000; NaN and infinities are outside."""
    return type(value) in (int, float) and 0 <= value < _SECONDS_MAX  # type: ignore[operator]


def _failed(detail: str) -> AuthFault:
    return AuthFault("auth_failed", _FAILED, detail)


# --- keys ----------------------------------------------------------------------------------------------------------


def load_keys(env: Mapping[str, str]) -> KeyPools:
    """The keys and names that ``env`` configures; an empty value counts as not set, no key at all is not a fault here.

    SUPABASE_JWT_SECRET (or JWT_SECRET, GOTRUE_JWT_SECRET) is the HS256 secret, SUPABASE_JWKS an inline key set.
    The issuer is SUPABASE_JWT_ISSUER, or follows from SUPABASE_URL; where the shard reaches Supabase by an internal
    URL, set the former. SUPABASE_JWT_AUDIENCE replaces ``authenticated``. Raises KeyFault.
    """
    secret_name = next((name for name in _SECRET_NAMES if env.get(name)), None)
    secret = check_secret(env[secret_name], secret_name) if secret_name else None
    key_set = env.get("SUPABASE_JWKS")
    public_keys = parse_key_set(key_set, "SUPABASE_JWKS") if key_set else ()
    if key_set and not public_keys and secret is None:
        raise KeyFault("SUPABASE_JWKS: has no ES256 or RS256 key; a project without them needs SUPABASE_JWT_SECRET")
    issuer = _name(env, "SUPABASE_JWT_ISSUER")
    url = _name(env, "SUPABASE_URL")
    if url and not re.fullmatch(r"https?://[^?#]+", url):
        raise KeyFault("SUPABASE_URL: must be like https://abcdefgh.supabase.co")
    if url and not issuer:
        issuer = url.rstrip("/") + "/auth/v1"
    return KeyPools(secret, public_keys, issuer, _name(env, "SUPABASE_JWT_AUDIENCE") or PLAYER_ROLE)


def check_secret(text: str, origin: str) -> str:
    """``text`` if it can be an HS256 secret; ``origin`` names where it comes from. Raises KeyFault."""
    if text != text.strip():
        raise KeyFault(f"{origin}: begins or ends with white space; remove it")
    if text.startswith("sb_") or (text.startswith("eyJ") and text.count(".") == 2):
        raise KeyFault(f"{origin}: is an API key, which clients may know; set the JWT secret of the project instead")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise KeyFault(f"{origin}: is not UTF-8 text; set the JWT secret as the project shows it") from None
    if size < SECRET_BYTES_MIN:
        raise KeyFault(f"{origin}: has {size} bytes, needs at least {SECRET_BYTES_MIN}; set the project's JWT secret")
    try:
        jwt.get_algorithm_by_name("HS256").prepare_key(text)
    except jwt.InvalidKeyError:
        raise KeyFault(f"{origin}: is a public key, not a secret; put it into SUPABASE_JWKS as a JWK") from None
    return text


def parse_key_set(text: str, origin: str) -> tuple[PublicKey, ...]:
    """The ES256 and RS256 keys of a JSON key set, an object with ``keys`` or a bare list; ``origin`` names it.

    Keys of other kinds are passed over: a set may list what we do not support, and self-hosting puts the HS256 secret
    there (``oct``), which must never meet the public keys. Whatever is malformed spoils the whole set: KeyFault.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise KeyFault(f'{origin}: is not JSON; it must be like {{"keys": [...]}}') from None
    entries = data.get("keys") if isinstance(data, dict) else data
    if not isinstance(entries, list):
        raise KeyFault(f'{origin}: must be an object with a list "keys", or a list')
    keys: list[PublicKey] = []
    for number, entry in enumerate(entries):
        key = _public_key(entry, f"{origin}: key {number}")
        if key is None:
            continue
        if any(key.kid == other.kid for other in keys):
            raise KeyFault(f"{origin}: key {number} has the kid of another; each must be unique")
        keys.append(key)
    return tuple(keys)


def _public_key(entry: object, where: str) -> PublicKey | None:
    """One entry of a key set; None for a kind of key that we do not verify with."""
    if not isinstance(entry, dict):
        raise KeyFault(f"{where} is not an object")
    if entry.get("kty") == "EC" and entry.get("crv") == "P-256":
        alg = "ES256"
    elif entry.get("kty") == "RSA":
        alg = "RS256"
    else:
        return None
    if entry.get("alg", alg) != alg or entry.get("use", "sig") != "sig":
        return None
    if "d" in entry:
        raise KeyFault(f"{where} is a private key; list public keys only, as /auth/v1/.well-known/jwks.json does")
    kid = entry.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= 128 or not kid.isprintable():
        raise KeyFault(f"{where} needs a kid of 1 to 128 printable characters")
    try:
        key = jwt.PyJWK(entry, alg).key
    except (jwt.PyJWTError, ValueError, TypeError):
        raise KeyFault(f"{where} is not a valid {alg} key; copy the set again") from None
    if isinstance(key, RSAPublicKey) and key.key_size < RSA_BITS_MIN:
        raise KeyFault(f"{where} has {key.key_size} bits; RSA keys need at least {RSA_BITS_MIN}")
    assert isinstance(key, EllipticCurvePublicKey | RSAPublicKey), "without `d` PyJWK makes public keys"
    return PublicKey(kid, alg, key)


def _name(env: Mapping[str, str], variable: str) -> str | None:
    """The value of ``variable``, compared exactly with a claim later, so without white space. None if not set."""
    text = env.get(variable) or None
    if text and (" " in text or not text.isprintable()):
        raise KeyFault(f"{variable}: contains white space or unprintable characters; remove them")
    return text
