"""Whether an end accepts its peer's certificate, as a pure function of facts.

What makes it an X.509-SVID comes first (it says whose bundle is to be asked), then the chain to a trusted root, then
validity at the verifier's own clock from the root down, then revocation, then the name. The first failure decides the
alert, which is the one that OpenSSL sends for the corresponding X.509 verification error.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from meshsim.identity.bundle import TrustBundle
from meshsim.identity.spiffe import is_workload_id
from meshsim.identity.svid import STANDARD, Svid
from meshsim.sidecar.tls import operations
from meshsim.sidecar.tls.operations import Operations
from meshsim.sidecar.tls.outcome import (
    EXPIRED,
    INTERMEDIATE_EXPIRED,
    INTERMEDIATE_NOT_YET_VALID,
    INVALID_CHAIN,
    INVALID_SPIFFE_ID,
    NAME_NOT_PERMITTED,
    NOT_ONE_URI,
    NOT_YET_VALID,
    REVOKED,
    SIGNING_CERTIFICATE,
    UNEXPECTED_SPIFFE_ID,
    UNKNOWN_AUTHORITY,
    WRONG_KEY_USAGE,
    WRONG_TRUST_DOMAIN,
)

VERIFICATION_ALERTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        NOT_ONE_URI: "bad_certificate",
        INVALID_SPIFFE_ID: "bad_certificate",
        SIGNING_CERTIFICATE: "bad_certificate",
        WRONG_KEY_USAGE: "unsupported_certificate",
        WRONG_TRUST_DOMAIN: "unknown_ca",
        UNKNOWN_AUTHORITY: "unknown_ca",
        INVALID_CHAIN: "unknown_ca",
        # RFC 8446 would let certificate_expired cover this too; OpenSSL sends bad_certificate.
        INTERMEDIATE_NOT_YET_VALID: "bad_certificate",
        INTERMEDIATE_EXPIRED: "certificate_expired",
        NOT_YET_VALID: "bad_certificate",
        EXPIRED: "certificate_expired",
        REVOKED: "certificate_revoked",
        UNEXPECTED_SPIFFE_ID: "bad_certificate",
        NAME_NOT_PERMITTED: "certificate_unknown",
    }
)
"""The alert for each reason to refuse a certificate."""

UNTRUSTED: Final = frozenset(
    {
        NOT_ONE_URI,
        INVALID_SPIFFE_ID,
        SIGNING_CERTIFICATE,
        WRONG_KEY_USAGE,
        WRONG_TRUST_DOMAIN,
        UNKNOWN_AUTHORITY,
        INVALID_CHAIN,
    }
)
"""Reasons found before any signature is checked."""

SIGNING_USAGES: Final = frozenset({"key_cert_sign", "crl_sign"})
"""Key usages that no leaf may have (X.509-SVID, section 4.3)."""
PURPOSES: Final = frozenset({"server_auth", "client_auth"})
"""Extended key usages that go together (X.509-SVID, section 4.4)."""


def verify_peer(
    svid: Svid, bundles: Mapping[str, TrustBundle], expected_peers: frozenset[str] | None, clock_ns: int
) -> str | None:
    """Return why the verifier refuses the certificate, or ``None`` when it accepts.

    ``expected_peers`` are the SPIFFE IDs that may answer, or ``None`` for anyone trusted (a server's view);
    ``clock_ns`` is the verifier's epoch time.
    """
    flaw = standard_flaw(svid)
    if flaw is not None:
        return flaw
    bundle = bundles.get(svid.trust_domain)
    if bundle is None:
        return WRONG_TRUST_DOMAIN
    flaw = _chain_flaw(svid, bundle, clock_ns)
    if flaw is not None:
        return flaw
    revoked = bundle.revoked_serials
    if revoked and (svid.serial in revoked or any(issuer.serial in revoked for issuer in svid.chain)):
        return REVOKED
    if expected_peers is not None and svid.spiffe_id not in expected_peers:
        return UNEXPECTED_SPIFFE_ID
    return None if _names_permitted(svid) else NAME_NOT_PERMITTED


def standard_flaw(svid: Svid) -> str | None:
    """Return what keeps a certificate from being a workload's X.509-SVID (X.509-SVID, section 5.2), if anything."""
    profile = svid.profile
    if profile is not STANDARD:
        if len(svid.uris) != 1:
            return NOT_ONE_URI
        usages = profile.usages or frozenset()
        if profile.ca or usages & SIGNING_USAGES:
            return SIGNING_CERTIFICATE
        if "digital_signature" not in usages or (profile.purposes and not set(profile.purposes) >= PURPOSES):
            return WRONG_KEY_USAGE
    return None if is_workload_id(svid.uris[0]) else INVALID_SPIFFE_ID


def _chain_flaw(svid: Svid, bundle: TrustBundle, clock_ns: int) -> str | None:
    """Return what is wrong with the path from a trusted root down to a certificate, its own dates included."""
    issuers = svid.issuers
    root = issuers[-1]
    if root.authority not in bundle.authorities or (svid.bare and len(issuers) > 1):
        return UNKNOWN_AUTHORITY
    for below, issuer in enumerate(issuers):
        if issuer.path_length is not None and below > issuer.path_length:
            return INVALID_CHAIN
    if clock_ns < root.not_before_ns:
        return NOT_YET_VALID
    if clock_ns > root.not_after_ns:
        return EXPIRED
    for issuer in reversed(svid.chain):
        if clock_ns < issuer.not_before_ns:
            return INTERMEDIATE_NOT_YET_VALID
        if clock_ns > issuer.not_after_ns:
            return INTERMEDIATE_EXPIRED
    if clock_ns < svid.not_before_ns:
        return NOT_YET_VALID
    return EXPIRED if clock_ns > svid.not_after_ns else None


def _names_permitted(svid: Svid) -> bool:
    """Say whether every name lies within the constraints of each authority above it."""
    names = [svid.trust_domain]
    for issuer in svid.issuers:
        if issuer.permitted and not set(names) <= set(issuer.permitted):
            return False
        names.append(issuer.trust_domain)
    return True


def verification_operations(svid: Svid, reason: str | None) -> Operations:
    """Return the work of checking a certificate and its chain, refused for ``reason`` or accepted (``None``).

    That is each certificate itself and the signature on it, and for an accepted one the peer's proof of its key.
    """
    checks: Operations = ((operations.CERTIFICATE_CHECK, 1 + len(svid.chain)),)
    if reason in UNTRUSTED:
        return checks
    times: dict[str, int] = {}
    for issuer in svid.issuers[: 1 + len(svid.chain)]:
        times[issuer.key_type] = times.get(issuer.key_type, 0) + 1
    if reason is None:
        times[svid.key_type] = times.get(svid.key_type, 0) + 1
    return checks + tuple((f"{key_type}.verify", count) for key_type, count in times.items())
