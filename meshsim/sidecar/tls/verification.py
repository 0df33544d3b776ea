"""Whether an end accepts its peer's certificate, as a pure function of facts.

The order is that of the path check: the chain to a trusted authority first, then validity at the verifier's own
clock, then revocation, then the name. The first failure decides the alert, which is the one that OpenSSL sends for
the corresponding X.509 verification error.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from meshsim.identity.bundle import TrustBundle
from meshsim.identity.svid import Svid
from meshsim.sidecar.tls.outcome import (
    EXPIRED,
    NOT_YET_VALID,
    REVOKED,
    UNEXPECTED_SPIFFE_ID,
    UNKNOWN_AUTHORITY,
    WRONG_TRUST_DOMAIN,
)

VERIFICATION_ALERTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        WRONG_TRUST_DOMAIN: "unknown_ca",
        UNKNOWN_AUTHORITY: "unknown_ca",
        # RFC 8446 would let certificate_expired cover this too; OpenSSL sends bad_certificate.
        NOT_YET_VALID: "bad_certificate",
        EXPIRED: "certificate_expired",
        REVOKED: "certificate_revoked",
        UNEXPECTED_SPIFFE_ID: "bad_certificate",
    }
)
"""The alert for each reason to refuse a certificate."""

UNTRUSTED: Final = frozenset({WRONG_TRUST_DOMAIN, UNKNOWN_AUTHORITY})
"""Reasons found before any signature is checked: there is no key to check it with."""


def verify_peer(
    svid: Svid, bundles: Mapping[str, TrustBundle], expected_peers: frozenset[str] | None, clock_ns: int
) -> str | None:
    """Return why the verifier refuses the certificate, or ``None`` when it accepts.

    ``expected_peers`` are the SPIFFE IDs that may answer, or ``None`` for anyone trusted (a server's view);
    ``clock_ns`` is the verifier's epoch time.
    """
    bundle = bundles.get(svid.trust_domain)
    if bundle is None:
        return WRONG_TRUST_DOMAIN
    if svid.issuer not in bundle.authorities:
        return UNKNOWN_AUTHORITY
    if clock_ns < svid.not_before_ns:
        return NOT_YET_VALID
    if clock_ns > svid.not_after_ns:
        return EXPIRED
    if svid.serial in bundle.revoked_serials:
        return REVOKED
    if expected_peers is not None and svid.spiffe_id not in expected_peers:
        return UNEXPECTED_SPIFFE_ID
    return None
