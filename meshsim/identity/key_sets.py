"""Tokens before a key set that a rule brings along: which of its keys are tried, and whether one of them fits.

As in Envoy's JWT filter: a key is tried if neither its ``kid`` nor its ``alg`` is another than the token's. Where none
is, the key is unknown; where some are and none fits, the signature is bad.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from meshsim.identity.token_reading import Reading, decoded
from meshsim.identity.tokens import Issuer, kid_of, public_pem
from meshsim.scenario.key_set import FAMILIES, Key, crypto_key, read_key_set
from meshsim.scenario.token_reasons import BAD_SIGNATURE, UNKNOWN_KEY, WRONG_ALGORITHM


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

    algorithm = jwt.get_algorithm_by_name(token.algorithm)
    signed, _, signature = token.text.rpartition(".")
    try:
        return bool(algorithm.verify(signed.encode(), algorithm.prepare_key(key), decoded(signature)))
    except jwt.PyJWTError:  # a key of the type and of another curve
        return False


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
