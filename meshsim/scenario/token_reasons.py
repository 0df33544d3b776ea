"""Why a request is refused for its token: the words of decisions, wherever they are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MISSING: Final = "token-missing"
MALFORMED: Final = "token-malformed"
UNKNOWN_ISSUER: Final = "token-unknown-issuer"
WRONG_ALGORITHM: Final = "token-wrong-algorithm"
UNKNOWN_KEY: Final = "token-unknown-key"
BAD_SIGNATURE: Final = "token-bad-signature"
NOT_YET_VALID: Final = "token-not-yet-valid"
EXPIRED: Final = "token-expired"
WRONG_AUDIENCE: Final = "token-wrong-audience"
NOT_BOUND: Final = "token-not-bound"
OTHER_CERTIFICATE: Final = "token-of-another-certificate"

REASONS: Final[Mapping[str, str]] = {
    MISSING: "the request carries no token, and the service requires one",
    MALFORMED: "what stands where a token is looked for is none",
    UNKNOWN_ISSUER: "signed by nobody whom the service accepts",
    NOT_YET_VALID: "not valid yet, by the verifier's clock and leeway",
    EXPIRED: "expired, by the verifier's clock and leeway",
    WRONG_AUDIENCE: "meant for somebody else",
    WRONG_ALGORITHM: "signed by another algorithm than its issuer's, or not at all",
    UNKNOWN_KEY: "signed with a key that is not known: of no issuer of the scenario (jwksUri is not fetched), not in "
    "the rule's jwks, nor in the bundle that the verifier has of the issuer's trust domain",
    BAD_SIGNATURE: "forged: the signature is not the issuer's",
    NOT_BOUND: "bound to no certificate, and the service requires that",
    OTHER_CERTIFICATE: "stolen: presented with another certificate than the one it is bound to (RFC 8705)",
}
"""Every reason to refuse a request for its token, in the order in which they are looked for, and what it means.

An algorithm that no token may have, ``none`` among them, is looked for before the issuer.
"""


UNAUTHORIZED: Final = 401
FORBIDDEN: Final = 403


def status_of(reason: str) -> int:
    """HTTP status of a refusal: 401, and 403 for a wrong audience, as Envoy's JWT filter answers."""
    return FORBIDDEN if reason == WRONG_AUDIENCE else UNAUTHORIZED
