"""Tokens as somebody presents them who should not: forged, out of time, unsigned, or meant for others."""

from __future__ import annotations

import json
from typing import Any

from meshsim.identity.tokens import CONFUSED, UNSIGNED, Grant, Token, signed

OTHER_AUDIENCE = "https://elsewhere.example"
OTHER_ISSUER = "https://issuer.elsewhere.example"
HOUR_S = 3600


def flawed(grant: Grant, flaw: str, time_s: int, leeway_s: int, thumbprint: str = "") -> Token:
    """The token that this holder would have at an instant, with one flaw.

    ``forged`` by another key, ``expired`` or ``early`` beyond the leeway, ``unsigned`` (alg none), ``confused`` (the
    public key as a shared secret), for an ``other-audience`` or by an ``other-issuer``.
    """
    import msgspec

    whole = grant.token(time_s, thumbprint)
    claims: dict[str, Any] = json.loads(whole.claims)
    issuer = grant.issuer
    forger = msgspec.structs.replace(issuer, honest=False)
    match flaw:
        case "forged":
            return signed(forger, claims)
        case "expired":
            return signed(issuer, _moved(claims, -(grant.ttl_s + leeway_s + HOUR_S)))
        case "early":
            return signed(issuer, _moved(claims, grant.ttl_s + leeway_s + HOUR_S))
        case "unsigned":
            return signed(issuer, claims, UNSIGNED)
        case "confused":
            return signed(issuer, claims, CONFUSED)
        case "other-audience":
            return signed(issuer, {**claims, "aud": [OTHER_AUDIENCE]})
        case "other-issuer":
            return signed(msgspec.structs.replace(forger, iss=OTHER_ISSUER), {**claims, "iss": OTHER_ISSUER})
    raise AssertionError(f"no flaw is called {flaw!r}")


def _moved(claims: dict[str, Any], seconds: int) -> dict[str, Any]:
    return {**claims, **{name: claims[name] + seconds for name in ("iat", "nbf", "exp")}}
