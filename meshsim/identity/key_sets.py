"""Tokens before a key set that a rule brings along: which of its keys are tried, and whether one of them fits.

As in Envoy's JWT filter: a key is tried if neither its ``kid`` nor its ``alg`` is another than the token's. Where none
is, the key is unknown; where some are and none fits, the signature is bad.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any, Final

from meshsim.identity.token_reading import Reading
from meshsim.identity.tokens import Issuer, kid_of, public_pem
from meshsim.scenario.key_set import FAMILIES, Key, crypto_key, read_key_set
from meshsim.scenario.token_reasons import BAD_SIGNATURE, UNKNOWN_KEY, WRONG_ALGORITHM

_OPTIONS: Final[Any] = {f"verify_{name}": False for name in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")}
"""What PyJWT leaves to us: it would hold times against the wall clock."""


@lru_cache(maxsize=4096)
def standing(issuer: Issuer, algorithm: str, text: str) -> str:
    """Predict why a key set refuses the signatures of an issuer by an algorithm; empty if its key is there."""
    tried, reason = _tried(text, kid_of(issuer), algorithm)
    if reason:
        return reason
    own = public_pem(issuer)
    return "" if any(_pem(key) == own for key in tried) else BAD_SIGNATURE


def verify_by(text: str, token: Reading) -> str:
    """Let PyJWT check the signature of a token with the keys of a set; return why it is refused, empty if it is not."""
    tried, reason = _tried(text, token.kid, token.algorithm)
    if reason:
        return reason
    return "" if any(is_signed(token, crypto_key(key)) for key in tried) else BAD_SIGNATURE


def is_signed(token: Reading, key: Any) -> bool:
    """Say whether a key made the signature of a token, by its algorithm: PyJWT tells."""
    import jwt

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of keys that are short: they are as somebody has written them
        try:
            jwt.decode(token.text, key=key, algorithms=[token.algorithm], options=_OPTIONS)
        except jwt.PyJWTError:  # another key's signature, or a key of the type and of another curve
            return False
    return True


def _tried(text: str, kid: str, algorithm: str) -> tuple[list[Key], str]:
    """The keys that are tried, and why the token is refused if there are none."""
    if algorithm not in FAMILIES:
        return [], WRONG_ALGORITHM
    named = [key for key in read_key_set(text) if key.takes(kid, algorithm)]
    fitting = [key for key in named if key.kty == FAMILIES[algorithm]]
    return fitting, "" if fitting else WRONG_ALGORITHM if named else UNKNOWN_KEY


def _pem(key: Key) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    if key.kty == "oct":
        return b""
    pem: bytes = crypto_key(key).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem
