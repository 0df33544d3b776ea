"""Signed JWTs as facts and as text, made deterministically: the same seed gives the same tokens to the byte.

A token of a holder follows from the issuer's clock alone: its number is how many renewal intervals have passed. Keys
are hashed from the seed; ECDSA signatures are RFC 6979, so that the text, and with it the size on the wire, is the same
at every fidelity.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meshsim.identity.bundle_words import KID_CHARACTERS
from meshsim.identity.keys import private_key, sign

if TYPE_CHECKING:
    from meshsim.identity.keys import PrivateKey, PublicKey

S: Final = 1_000_000_000
KEY_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {"ES256": "ecdsa-p256", "ES384": "ecdsa-p384", "EdDSA": "ed25519", "RS256": "rsa-2048"}
)
"""Type of the key that signs, by algorithm (RFC 7518, section 3.1; RFC 8037 for EdDSA)."""
_COORDINATE_BYTES: Final[Mapping[str, int]] = MappingProxyType({"ES256": 32, "ES384": 48})
UNSIGNED: Final = "none"
"""The algorithm of a token that nobody signed."""
CONFUSED: Final = "HS256"
"""The algorithm that makes a shared secret of a public key, where a verifier takes it (algorithm confusion)."""


class Issuer(msgspec.Struct, frozen=True):
    """Who signs tokens: a name in claims, an algorithm, and a key that follows from the seed."""

    name: str
    iss: str
    algorithm: str
    seed: int
    honest: bool = True
    """False of a key that only pretends to be this issuer's."""
    trust_domain: str = ""
    """Trust domain in whose bundle its keys are; empty for one with a single key that everybody knows."""
    key: str = ""
    """Which of its keys, by the authority of the trust domain that it goes with (``Authority.id``)."""

    def keyed(self, key: str) -> Issuer:
        """The issuer with another of its keys."""
        return msgspec.structs.replace(self, key=key)


class Token(msgspec.Struct, frozen=True):
    """One token: what a verifier finds in it, and its text."""

    text: str
    iss: str
    algorithm: str
    """What its header says; ``none`` if nobody signed it."""
    genuine: bool
    """Whether the signature is the issuer's."""
    audiences: tuple[str, ...]
    not_before_s: int
    expires_s: int
    thumbprint: str
    """Of the certificate that it is bound to (``x5t#S256``); empty if to none."""
    claims: str
    """All claims as canonical JSON."""
    key: str = ""
    """Which key of its issuer signed it, as its header says; empty where the issuer has but one."""


class Grant(msgspec.Struct, frozen=True):
    """What an issuer puts into the tokens of one holder."""

    issuer: Issuer
    subject: str
    audiences: tuple[str, ...]
    more: str
    """Further claims as canonical JSON."""
    ttl_s: int
    renew_s: int
    """Seconds between one token and the next."""
    bound: bool
    begin_s: int
    """When the first one was made, in seconds since the Unix epoch."""

    def token(self, time_s: int, thumbprint: str = "") -> Token:
        """The token that the holder has at an instant, bound to the certificate with this thumbprint if any is."""
        number = self._number(time_s)
        return _token(self, self.begin_s + number * self.renew_s, number, thumbprint if self.bound else "")

    def made(self, issued_s: int, thumbprint: str = "") -> Token:
        """The token that the issuer makes when it is asked at an instant, bound likewise."""
        return _token(self, issued_s, issued_s, thumbprint if self.bound else "")

    def issued_s(self, time_s: int) -> int:
        """When the token that the holder has at an instant was made."""
        return self.begin_s + self._number(time_s) * self.renew_s

    def signed_with(self, key: str) -> Grant:
        """The same, signed with another key of the issuer."""
        return msgspec.structs.replace(self, issuer=self.issuer.keyed(key))

    def _number(self, time_s: int) -> int:
        return max(0, time_s - self.begin_s) // self.renew_s


@lru_cache(maxsize=65_536)
def _token(grant: Grant, issued_s: int, number: int, thumbprint: str) -> Token:
    claims: dict[str, Any] = {
        **json.loads(grant.more),
        "iss": grant.issuer.iss,
        "sub": grant.subject,
        "iat": issued_s,
        "nbf": issued_s,
        "exp": issued_s + grant.ttl_s,
        "jti": hashlib.sha256(f"{grant.subject}/{number}/{grant.issuer.iss}".encode()).hexdigest()[:16],
    }
    if grant.audiences:
        claims["aud"] = list(grant.audiences)
    if thumbprint:
        claims["cnf"] = {"x5t#S256": thumbprint}
    return signed(grant.issuer, claims)


def signed(issuer: Issuer, claims: Mapping[str, Any], algorithm: str | None = None) -> Token:
    """A token with these claims; ``algorithm`` may be ``none`` or ``HS256``, which no honest issuer uses."""
    algorithm = algorithm or issuer.algorithm
    header = {"alg": algorithm, "kid": kid_of(issuer), "typ": "JWT"}
    body = f"{_encoded(_canonical(header))}.{_encoded(_canonical(claims))}"
    signature = _signature(issuer, algorithm, body.encode())
    audience = claims.get("aud", [])
    confirmation = claims.get("cnf")
    return Token(
        text=f"{body}.{base64url(signature)}",
        iss=str(claims["iss"]),
        algorithm=algorithm,
        genuine=issuer.honest and algorithm == issuer.algorithm,
        audiences=(audience,) if isinstance(audience, str) else tuple(audience),
        not_before_s=int(claims["nbf"]),
        expires_s=int(claims["exp"]),
        thumbprint=str(confirmation["x5t#S256"]) if isinstance(confirmation, dict) else "",
        claims=_canonical(claims),
        key=issuer.key,
    )


def kid_of(issuer: Issuer) -> str:
    """The id of an issuer's key, as headers of tokens and bundles have it."""
    name = f"{issuer.iss}#{issuer.key}" if issuer.key else issuer.iss
    return hashlib.sha256(name.encode()).hexdigest()[:KID_CHARACTERS]


def _canonical(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _encoded(text: str) -> str:
    return base64url(text.encode())


def base64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def thumbprint_of(certificate_der: bytes) -> str:
    """The ``x5t#S256`` of a certificate (RFC 8705, section 3.1)."""
    return base64url(hashlib.sha256(certificate_der).digest())


def _hash(issuer: Issuer, purpose: str) -> bytes:
    digest = hashlib.sha256()
    parts = ("meshsim token issuer", str(issuer.seed), issuer.name, str(issuer.honest), purpose)
    for part in (*parts, issuer.key) if issuer.key else parts:
        data = part.encode()
        digest.update(len(data).to_bytes(4, "big") + data)
    return digest.digest()


@lru_cache(maxsize=256)
def _key(issuer: Issuer) -> PrivateKey:
    return private_key(KEY_TYPES[issuer.algorithm], _hash(issuer, "key high") + _hash(issuer, "key low"))


def _signature(issuer: Issuer, algorithm: str, body: bytes) -> bytes:
    if algorithm == UNSIGNED:
        return b""
    if algorithm == CONFUSED:
        return hmac.digest(public_pem(issuer), body, "sha256")
    key_type = KEY_TYPES[algorithm]
    signature = sign(key_type, _key(issuer), body)
    size = _COORDINATE_BYTES.get(algorithm)
    if size is None:
        return signature
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    # JWTs have both numbers at full length (RFC 7518, section 3.4), certificates as DER.
    return b"".join(number.to_bytes(size, "big") for number in decode_dss_signature(signature))


def public_key(issuer: Issuer) -> PublicKey:
    """The issuer's public key."""
    return _key(issuer).public_key()


def public_pem(issuer: Issuer) -> bytes:
    """The issuer's public key, as everybody can have it."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return public_key(issuer).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
