"""Tokens before a key set that a rule brings along: which of its keys are tried, and whether one of them fits.

As in Envoy's JWT filter: a key is tried if neither its ``kid`` nor its ``alg`` is another than the token's. Where none
is, the key is unknown; where some are and none fits, the signature is bad.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

from meshsim.identity.tokens import Issuer, kid_of, public_pem
from meshsim.scenario.key_set import FAMILIES, Key, crypto_key, read_key_set
from meshsim.scenario.token_reasons import BAD_SIGNATURE, UNKNOWN_KEY, WRONG_ALGORITHM


@lru_cache(maxsize=4096)
def standing(issuer: Issuer, algorithm: str, text: str, *, genuine: bool = True) -> str:
    """Predict why a key set refuses what an issuer's token has for a signature; empty if it accepts it.

    ``genuine``: the signature is by the issuer's key.
    """
    tried, reason = _tried(text, kid_of(issuer), algorithm)
    if reason:
        return reason
    own = public_pem(issuer)
    return "" if genuine and any(_pem(key) == own for key in tried) else BAD_SIGNATURE


def verify_by(text: str, token: str, options: Any) -> tuple[str, dict[str, Any]]:
    """Let PyJWT check the signature of a token with the keys of a set; return why it is refused, or its claims."""
    import jwt

    header = jwt.get_unverified_header(token)
    kid, algorithm = header.get("kid", ""), str(header.get("alg"))
    tried, reason = _tried(text, kid if isinstance(kid, str) else "", algorithm)
    if reason:
        return reason, {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of keys that are short: they are as somebody has written them
        for key in tried:
            try:
                return "", jwt.decode(token, key=crypto_key(key), algorithms=[algorithm], options=options)
            except jwt.PyJWTError:
                continue  # another key's signature, or a key of the type and of another curve
    return BAD_SIGNATURE, {}


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
