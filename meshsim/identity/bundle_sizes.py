"""Sizes of SPIFFE bundle documents, from what they say: nothing is minted for it.

A document is JSON of base64, so its size follows from the sizes of the certificates and keys in it. Those of ECDSA
certificates are nominal; a real document is some characters longer or shorter for each.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from meshsim.identity.bundle_words import JWT_USE, KID_CHARACTERS, REFRESH_HINT, SEQUENCE, X509_USE
from meshsim.identity.sizes import root_size_bytes
from meshsim.identity.svid import KEY_TYPES, IssuerFacts

_PUBLIC_KEYS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "ecdsa-p256": {"kty": "EC", "crv": "P-256", "x": "x" * 43, "y": "y" * 43},
        "ecdsa-p384": {"kty": "EC", "crv": "P-384", "x": "x" * 64, "y": "y" * 64},
        "ed25519": {"kty": "OKP", "crv": "Ed25519", "x": "x" * 43},
        "rsa-2048": {"kty": "RSA", "n": "n" * 342, "e": "AQAB"},
        "rsa-3072": {"kty": "RSA", "n": "n" * 512, "e": "AQAB"},
        "ml-dsa-44": {"kty": "AKP", "alg": "ML-DSA-44", "pub": "p" * 1750},
        "ml-dsa-65": {"kty": "AKP", "alg": "ML-DSA-65", "pub": "p" * 2603},
    }
)
"""Members of a JWK by key type, with as many characters as base64 has for so many bytes."""


def document_size_bytes(
    roots: Iterable[IssuerFacts], jwt_key_types: Iterable[str], sequence: int | None, refresh_hint_s: int | None
) -> int:
    """Return the nominal size of the document with these authorities and keys of these types for tokens."""
    keys: list[dict[str, Any]] = []
    for facts in roots:
        encoded = "c" * _base64_characters(root_size_bytes(facts))
        keys.append({**_PUBLIC_KEYS[facts.key_type], "use": X509_USE, "x5c": [encoded]})
    keys += ({**_PUBLIC_KEYS[kind], "use": JWT_USE, "kid": "k" * KID_CHARACTERS} for kind in jwt_key_types)
    content: dict[str, Any] = {"keys": keys}
    if sequence is not None:
        content[SEQUENCE] = sequence
    if refresh_hint_s is not None:
        content[REFRESH_HINT] = refresh_hint_s
    return len(json.dumps(content, separators=(",", ":")))


def document_slack_bytes(roots: Iterable[IssuerFacts]) -> int:
    """Return by how much a real document may be longer or shorter than its nominal size."""
    slack = 0
    for facts in roots:
        kind = KEY_TYPES[facts.key_type]
        # A base64 character for six bits, in groups of four.
        slack += 4 * (max(kind.signature_slack_bytes, kind.signature_excess_bytes) + 2) // 3 + 4
    return slack


def _base64_characters(size_bytes: int) -> int:
    return (size_bytes + 2) // 3 * 4
