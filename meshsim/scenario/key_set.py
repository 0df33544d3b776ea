"""JSON Web Key Sets (RFC 7517) as rules for tokens carry them: read, or refused for what is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import msgspec

from meshsim.scenario.words import expected, show

FAMILIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
        **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
        **dict.fromkeys(("HS256", "HS384", "HS512"), "oct"),
        "EdDSA": "OKP",
    }
)
"""Type of the key that checks a signature, by algorithm: those that Envoy's JWT filter knows."""
_PUBLIC: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"EC": ("crv", "x", "y"), "RSA": ("n", "e"), "oct": ("k",), "OKP": ("crv", "x")}
)
"""What makes a key of each type (RFC 7518, section 6; RFC 8037), the private parts left out."""

SIGNING_CURVE: Final = "Ed25519"
AGREEING_CURVE: Final = "X25519"
"""Curves of keys with kty OKP that Istio reads (RFC 8037); of Ed448 neither it nor Envoy knows."""


class Key(msgspec.Struct, frozen=True):
    """One key of a set."""

    kty: str
    kid: str
    """Empty if it has none."""
    alg: str
    """The one algorithm that it is for; empty for any of its type."""
    text: str
    """What makes it, as JSON."""

    def takes(self, kid: str, algorithm: str) -> bool:
        """Whether a signature is tried with it, by what the header of the token says."""
        return not (kid and self.kid and kid != self.kid) and self.alg in ("", algorithm)


@lru_cache(maxsize=256)
def read_key_set(text: str) -> tuple[Key, ...]:
    """The keys of a set; raises ValueError that says what is wrong."""
    try:
        keys = json.loads(text)["keys"]
    except (ValueError, TypeError, KeyError, RecursionError):
        keys = None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise ValueError('is no JSON Web Key Set; expected JSON such as {"keys": [{"kty": …}]} (RFC 7517)')
    if not keys:
        raise ValueError("holds no key, so that no token could ever be accepted; expected at least one")
    read = tuple(found for number, key in enumerate(keys, 1) if (found := _key(key, number)) is not None)
    if not read:
        raise ValueError("holds no key that signs, so that no token could ever be accepted; expected at least one")
    return read


def _key(key: dict[str, Any], number: int) -> Key | None:
    """One key of a set; None for one that is for agreeing on keys alone, which Envoy leaves out."""
    kty = key.get("kty")
    if not isinstance(kty, str) or kty not in _PUBLIC:
        what = "has no kty" if kty is None else f"has the kty {show(str(kty))}"
        raise ValueError(f"{what} in key {number}; {expected(str(kty or ''), list(_PUBLIC))}")
    texts = {name: key.get(name, "") for name in ("kid", "alg")}
    for name, value in texts.items():
        if not isinstance(value, str):
            raise ValueError(f"has a {name} that is no text in key {number}; expected text")
    missing = [name for name in _PUBLIC[kty] if not isinstance(key.get(name), str)]
    if missing:
        raise ValueError(f"has no {missing[0]} in key {number}; expected it of a key with kty {kty} (RFC 7518)")
    if kty == "OKP" and key["crv"] != SIGNING_CURVE:
        if key["crv"] == AGREEING_CURVE:
            return None
        raise ValueError(f"has the crv {show(key['crv'])} in key {number}; expected {SIGNING_CURVE}")
    made = Key(kty, texts["kid"], texts["alg"], json.dumps({name: key[name] for name in ("kty", *_PUBLIC[kty])}))
    try:
        crypto_key(made)
    except ValueError as error:
        raise ValueError(f"has a key {number} that cannot be read ({error}); expected a key of kty {kty}") from None
    return made


@lru_cache(maxsize=1024)
def crypto_key(key: Key) -> Any:
    """The key as PyJWT uses it; raises ValueError for one that is none."""
    from jwt import PyJWTError
    from jwt.algorithms import ECAlgorithm, HMACAlgorithm, OKPAlgorithm, RSAAlgorithm

    readers: dict[str, Any] = {"EC": ECAlgorithm, "RSA": RSAAlgorithm, "oct": HMACAlgorithm, "OKP": OKPAlgorithm}
    try:
        return readers[key.kty].from_jwk(key.text)
    except (PyJWTError, ValueError, TypeError, KeyError) as error:
        raise ValueError(str(error).rstrip(".") or type(error).__name__) from None
