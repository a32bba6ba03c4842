"""Receipts: what a racer can show elsewhere to prove how it did. A signed JWT; no database, no callback.

A receipt is signed with a key of its own: HS256 with a secret, or ES256, whose public half anybody may have. Whoever
holds the key of players' access tokens could mint players, so the two are never the same. The header's ``typ`` and the
claim ``typ`` keep a receipt from being taken for any other token, and the other way round (RFC 8725, 3.11).

``jti`` names race, start and player: it is the same however often the receipt is sent, and no two races share it. So a
consumer that records each ``jti`` once awards once. Race ids alone start anew with each shard.

Pure: key, token and time are parameters, and the algorithm is the key's, never the token's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from jwt.types import Options

from shard.access.auth import KeyFault, check_secret

ISSUER: Final = "shard"
TYPE: Final = "race-receipt+jwt"
"""``typ`` of the header."""
CLAIM_TYPE: Final = "race_receipt"
"""``typ`` among the claims."""
SPLITS_MAX: Final = 128
"""Above, only the times at the ends of laps are in the receipt: a token has to fit into a header line or a URL."""
LEEWAY_S: Final = 60.0
"""How far the verifier's clock may differ from the shard's."""
TOKEN_CHARS_MAX: Final = 16 * 1024

_CHECKED_HERE: Final[Options] = {
    "require": ["iss", "sub", "iat", "exp", "jti"],
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "enforce_minimum_key_length": True,
}


@dataclass(frozen=True, slots=True)
class Receipt:
    """How one racer did in one race."""

    player: str
    race: str
    route: str
    world: str
    """``hash`` of the world: a time counts only for the land that it was driven on."""
    vehicle: str
    place: int
    of: int
    """How many took part."""
    status: str
    """finished, dnf, dsq or invalidated."""
    start_ms: float
    time_ms: float | None
    """With penalties; None for who did not finish."""
    err_ms: float | None
    splits_ms: tuple[float, ...]
    """From the start: at each gate, or at the end of each lap where there are very many gates."""
    penalty_ms: float
    flags: tuple[str, ...]

    @property
    def jti(self) -> str:
        """Race, start and player."""
        return f"{self.race}:{self.start_ms:.0f}:{self.player}"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """What receipts are signed with."""

    alg: str
    """``HS256`` or ``ES256``."""
    key: str | EllipticCurvePrivateKey = field(repr=False)

    @property
    def verifying(self) -> VerifyingKey:
        """What checks them."""
        return VerifyingKey(self.alg, self.key if isinstance(self.key, str) else self.key.public_key())

    def describe(self) -> str:
        """For the start banner, without anything secret."""
        return self.alg if self.verifying.kid is None else f"{self.alg}, kid {self.verifying.kid}"


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """What receipts are verified with, and the only algorithm that it verifies."""

    alg: str
    key: str | EllipticCurvePublicKey = field(repr=False)

    @property
    def kid(self) -> str | None:
        """Name of a public key: 16 hex digits of the SHA-256 of its DER form. A secret has none."""
        if isinstance(self.key, str):
            return None
        der = self.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(der).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Expected:
    """What a receipt must be about; None: anything."""

    player: str | None = None
    race: str | None = None
    route: str | None = None
    world: str | None = None


class ReceiptFault(ValueError):
    """A receipt is refused. The text says why, in one line."""


def sign(receipt: Receipt, key: SigningKey, now_s: float, lifetime_s: float) -> str:
    """The receipt as a compact JWT, issued at ``now_s`` (Unix seconds)."""
    issued_s = int(now_s)
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "typ": CLAIM_TYPE,
        "sub": receipt.player,
        "jti": receipt.jti,
        "iat": issued_s,
        "exp": issued_s + int(lifetime_s),
        "race": receipt.race,
        "route": receipt.route,
        "world": receipt.world,
        "vehicle": receipt.vehicle,
        "place": receipt.place,
        "of": receipt.of,
        "status": receipt.status,
        "start_ms": round(receipt.start_ms),
        "time_ms": _rounded(receipt.time_ms),
        "err_ms": _rounded(receipt.err_ms),
        "splits_ms": [_rounded(split) for split in receipt.splits_ms],
        "penalty_ms": _rounded(receipt.penalty_ms),
        "flags": list(receipt.flags),
    }
    kid = key.verifying.kid
    headers = {"typ": TYPE} if kid is None else {"typ": TYPE, "kid": kid}
    return jwt.encode(claims, key.key, algorithm=key.alg, headers=headers)


def verify(token: str, key: VerifyingKey, now_s: float, expected: Expected | None = None) -> Mapping[str, Any]:
    """The claims of a good receipt. Raises ReceiptFault, and nothing else, whatever the token is."""
    expected = expected or Expected()
    if len(token) > TOKEN_CHARS_MAX:
        raise ReceiptFault("too long for a receipt")
    try:
        header = jwt.get_unverified_header(token)
        if header.get("alg") != key.alg:
            raise ReceiptFault(f"signed with {str(header.get('alg'))[:20]!r}, this key verifies {key.alg} only")
        if header.get("typ") != TYPE:
            raise ReceiptFault(f"its header's typ is not {TYPE}: it is another kind of token")
        claims = jwt.decode(token, key.key, algorithms=[key.alg], options=_CHECKED_HERE)
    except jwt.InvalidSignatureError:
        raise ReceiptFault("the signature does not fit: it was edited, or signed with another key") from None
    except jwt.MissingRequiredClaimError as fault:
        raise ReceiptFault(f"claim {fault.claim} is missing") from None
    except ReceiptFault:
        raise
    except Exception as fault:  # PyJWT's faults and whatever else hostile input shakes out
        raise ReceiptFault(f"not a token: {type(fault).__name__}") from None
    _judge(claims, now_s, expected)
    return claims


def _judge(claims: Mapping[str, Any], now_s: float, expected: Expected) -> None:
    if claims["iss"] != ISSUER or claims.get("typ") != CLAIM_TYPE:
        raise ReceiptFault("issued by somebody else, or for something else than a race")
    issued_s, ends_s = claims["iat"], claims["exp"]
    if type(issued_s) is not int or type(ends_s) is not int:
        raise ReceiptFault("iat or exp is not a whole number of seconds")
    if issued_s > now_s + LEEWAY_S:
        raise ReceiptFault("issued in the future: compare the clocks")
    if ends_s <= now_s - LEEWAY_S:
        raise ReceiptFault(f"expired {now_s - ends_s:.0f} s ago")
    wanted = {"sub": expected.player, "race": expected.race, "route": expected.route, "world": expected.world}
    for claim, value in wanted.items():
        if value is not None and claims.get(claim) != value:
            raise ReceiptFault(f"is about {claim} {str(claims.get(claim))[:80]!r}, not {value!r}")


def splits_for_receipt(splits_ms: tuple[float, ...], gates: int) -> tuple[float, ...]:
    """The splits that go into a receipt: all, or those at the ends of laps where there are more than SPLITS_MAX."""
    return splits_ms if len(splits_ms) <= SPLITS_MAX else splits_ms[gates::gates]


def _rounded(time_ms: float | None) -> float | None:
    """Tenths of a millisecond: a crossing is not known better."""
    return None if time_ms is None else round(time_ms, 1)


# --- keys ----------------------------------------------------------------------------------------------------------


def parse_key(secret: str | None, pem: str | None, taken: str | None) -> SigningKey | None:
    """The key out of SHARD_RECEIPT_SECRET and SHARD_RECEIPT_KEY (or its file); None where neither is set.

    ``taken`` is the secret of players' tokens, which must not sign receipts, too. Raises KeyFault.
    """
    if secret and pem:
        raise KeyFault("SHARD_RECEIPT_SECRET: leave it out, or SHARD_RECEIPT_KEY: receipts have one key")
    if secret:
        if secret == taken:
            raise KeyFault("SHARD_RECEIPT_SECRET: is the secret of players' tokens; set another: receipts leave here")
        return SigningKey("HS256", check_secret(secret, "SHARD_RECEIPT_SECRET"))
    return None if not pem else SigningKey("ES256", _private_key(pem))


def _private_key(pem: str) -> EllipticCurvePrivateKey:
    where = "SHARD_RECEIPT_KEY"
    try:
        key = load_pem_private_key(pem.replace("\\n", "\n").encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFault(
            f"{where}: is no private key in PEM without a password; make one with "
            "`openssl ecparam -genkey -name prime256v1 -noout`"
        ) from None
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise KeyFault(f"{where}: must be an EC key on P-256 (prime256v1), for ES256")
    return key


def parse_public_key(pem: str, origin: str) -> VerifyingKey:
    """The public half of an ES256 key. Raises KeyFault."""
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFault(f"{origin}: is no public key in PEM; make it with `openssl ec -in KEY -pubout`") from None
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise KeyFault(f"{origin}: must be an EC key on P-256 (prime256v1), for ES256")
    return VerifyingKey("ES256", key)
