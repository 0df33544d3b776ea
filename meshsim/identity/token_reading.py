"""The text of a token read as Envoy's JWT filter reads it, before any key is tried (source/common/jwt/jwt.cc there).

PyJWT checks signatures. What a token must be to be one at all it sees otherwise: it lets pass claims of a wrong type,
numbers that JSON does not have, and names that stand twice (RFC 7519, section 4, leaves that open).
"""

from __future__ import annotations

import json
import math
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from meshsim.identity.tokens import UNSIGNED
from meshsim.scenario.key_set import FAMILIES
from meshsim.scenario.token_reasons import MALFORMED, WRONG_ALGORITHM

DEEPEST: Final = 100
"""Levels of JSON, as protobuf reads it."""
_PART: Final = re.compile(r"[A-Za-z0-9_-]+={0,2}")
_SECTIONS: Final = 3


class Reading(msgspec.Struct, frozen=True):
    """What a token says of itself; nothing of it has been verified."""

    text: str
    """In the form that others know: three parts, none of them empty."""
    algorithm: str
    kid: str
    """Empty if it names no key."""
    claims: Mapping[str, Any]
    audiences: tuple[str, ...]
    not_before_s: int
    expires_s: int
    """0: never."""

    @property
    def iss(self) -> str:
        """Who issued it; empty if it does not say."""
        return str(self.claims.get("iss", ""))


@lru_cache(maxsize=1024)
def read_token(text: str) -> Reading | str:
    """Return what a token says, or the reason why it is none."""
    parts = [part for part in text.split(".") if part]
    try:
        header = _mapping(parts[0]) if len(parts) > 1 else {}
        algorithm = header.get("alg")
        if len(parts) != _SECTIONS:
            return WRONG_ALGORITHM if len(parts) == _SECTIONS - 1 and algorithm == UNSIGNED else MALFORMED
        if not isinstance(algorithm, str) or algorithm not in FAMILIES:
            return WRONG_ALGORITHM
        # Envoy lets extensions pass that it does not know; section 4.1.11 of RFC 7515 forbids that.
        if "crit" in header or header.get("b64") is False:
            return MALFORMED
        kid, claims = _text(header, "kid"), _mapping(parts[1])
        for name in ("iss", "sub", "jti"):
            _text(claims, name)
        _, not_before_s, expires_s = (_seconds(claims, name) for name in ("iat", "nbf", "exp"))
        decoded(parts[2])
        return Reading(".".join(parts), algorithm, kid, claims, _audiences(claims), not_before_s, expires_s)
    except (ValueError, RecursionError):
        return MALFORMED


def _mapping(part: str) -> dict[str, Any]:
    """A part of a token that is JSON: a mapping."""
    found = json.loads(
        decoded(part).decode(), object_pairs_hook=_once, parse_constant=_no_number, parse_float=_finite, parse_int=_int
    )
    if not isinstance(found, dict) or _depth(found) > DEEPEST:
        raise ValueError
    json.dumps(found, ensure_ascii=False).encode()  # raises of half a surrogate pair
    return found


def decoded(part: str) -> bytes:
    """What a part of a token holds; of its last character some bits may be left over, and say nothing."""
    bare = part.rstrip("=")
    if not _PART.fullmatch(part) or len(bare) % 4 == 1 or (len(bare) < len(part) and len(part) % 4):
        raise ValueError
    return urlsafe_b64decode(bare + "=" * (-len(bare) % 4))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    return found


def _no_number(_: str) -> float:
    raise ValueError


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError
    return number


def _int(text: str) -> int:
    _finite(text)
    return int(text)


def _depth(value: object) -> int:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if below is None else 1 + max(map(_depth, below), default=0)


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name, "")
    if not isinstance(value, str):
        raise ValueError
    return value


def _seconds(claims: Mapping[str, Any], name: str) -> int:
    """A time, of which Envoy takes whole seconds; 0 if it is not there."""
    value = claims.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= float(value) < 2.0**64:
        raise ValueError
    return int(value)


def _audiences(claims: Mapping[str, Any]) -> tuple[str, ...]:
    value = claims.get("aud", [])
    found = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str) for one in found):
        raise ValueError
    return tuple(found)
