"""Whether an end accepts its peer's certificate, as a pure function of facts.

What makes it an X.509-SVID comes first (it says whose bundle is to be asked), then the chain to a trusted root, then
validity at the verifier's own clock from the root down, then revocation, then the name. The first failure decides the
alert, which is the one that OpenSSL sends for the corresponding X.509 verification error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from meshsim.identity.bundle import TrustBundle
from meshsim.identity.revocation import Crl, OcspStaple
from meshsim.identity.spiffe import is_workload_id
from meshsim.identity.svid import STANDARD, Svid
from meshsim.sidecar.tls import operations
from meshsim.sidecar.tls.operations import Operations
from meshsim.sidecar.tls.outcome import (
    CRL_EXPIRED,
    CRL_NOT_YET_VALID,
    EXPIRED,
    INTERMEDIATE_EXPIRED,
    INTERMEDIATE_NOT_YET_VALID,
    INVALID_CHAIN,
    INVALID_SPIFFE_ID,
    NAME_NOT_PERMITTED,
    NO_CRL,
    NO_STAPLE,
    NOT_ONE_URI,
    NOT_YET_VALID,
    REVOKED,
    SIGNING_CERTIFICATE,
    STAPLE_EXPIRED,
    STAPLE_NOT_YET_VALID,
    STAPLE_REVOKED,
    STAPLE_UNKNOWN,
    UNEXPECTED_SPIFFE_ID,
    UNKNOWN_AUTHORITY,
    WRONG_KEY_USAGE,
    WRONG_TRUST_DOMAIN,
)
from meshsim.sidecar.tls.settings import OcspPolicy, StaleCrls, TlsSide

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
        NO_CRL: "unknown_ca",
        CRL_NOT_YET_VALID: "bad_certificate",
        CRL_EXPIRED: "certificate_expired",
        REVOKED: "certificate_revoked",
        NO_STAPLE: "bad_certificate_status_response",
        STAPLE_NOT_YET_VALID: "bad_certificate_status_response",
        STAPLE_EXPIRED: "bad_certificate_status_response",
        STAPLE_REVOKED: "bad_certificate_status_response",
        STAPLE_UNKNOWN: "bad_certificate_status_response",
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
    svid: Svid,
    bundles: Mapping[str, TrustBundle],
    expected_peers: frozenset[str] | None,
    clock_ns: int,
    crls: frozenset[Crl] = frozenset(),
    stale: StaleCrls = "refuse",
) -> str | None:
    """Return why the verifier refuses the certificate, or ``None`` when it accepts.

    ``expected_peers`` are the SPIFFE IDs that may answer, or ``None`` for anyone trusted (a server's view);
    ``clock_ns`` is the verifier's epoch time; ``stale`` says what it makes of lists that have ended.
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
    if crls:
        flaw = _crl_flaw(svid, crls, clock_ns, stale)
        if flaw is not None:
            return flaw
    if _on_deny_list(svid, bundle):
        return REVOKED
    if expected_peers is not None and svid.spiffe_id not in expected_peers:
        return UNEXPECTED_SPIFFE_ID
    return None if _names_permitted(svid) else NAME_NOT_PERMITTED


@lru_cache(4_096)
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


def lists_above(svid: Svid, crls: Iterable[Crl]) -> dict[str, Crl]:
    """Return the revocation lists of the authorities above a certificate, by ``Authority.id``."""
    above = {issuer.authority for issuer in svid.issuers}
    return {crl.issuer: crl for crl in crls if crl.issuer in above}


def _on_deny_list(svid: Svid, bundle: TrustBundle) -> bool:
    revoked = bundle.revoked_serials
    return bool(revoked) and (svid.serial in revoked or any(issuer.serial in revoked for issuer in svid.chain))


def is_revoked(svid: Svid, side: TlsSide) -> bool:
    """Say whether an end has been told that a certificate, or one above it, was revoked, however long ago."""
    bundle = side.bundles.get(svid.trust_domain)
    return (bundle is not None and _on_deny_list(svid, bundle)) or _is_listed(svid, lists_above(svid, side.crls))


def _is_listed(svid: Svid, lists: Mapping[str, Crl]) -> bool:
    # A root is trusted, whatever its own list says of it.
    serials = (svid.serial, *(issuer.serial for issuer in svid.chain))
    issuers = (lists.get(issuer.authority) for issuer in svid.issuers)
    return any(crl is not None and serial in crl.serials for serial, crl in zip(serials, issuers, strict=False))


def _crl_flaw(svid: Svid, crls: frozenset[Crl], clock_ns: int, stale: StaleCrls) -> str | None:
    """Return what revocation lists say against a path. One of an authority in it asks for one of each."""
    lists = lists_above(svid, crls)
    if not lists:
        return None
    if len(lists) < len(svid.issuers):
        return NO_CRL
    for issuer in reversed(svid.issuers):
        crl = lists[issuer.authority]
        if clock_ns < crl.this_update_ns:
            return CRL_NOT_YET_VALID
        if clock_ns > crl.next_update_ns and stale == "refuse":
            return CRL_EXPIRED
    return REVOKED if _is_listed(svid, lists) else None


def staple_flaw(policy: OcspPolicy, svid: Svid, staple: OcspStaple | None, clock_ns: int) -> str | None:
    """Return why a client that asked for an OCSP staple refuses the server, or ``None`` when it accepts."""
    if policy == "off":
        return None
    if staple is None:
        return NO_STAPLE if policy == "required" else None
    assert staple.is_about(svid), "servers keep staples of other certificates to themselves"
    if clock_ns < staple.this_update_ns:
        flaw: str | None = STAPLE_NOT_YET_VALID
    elif clock_ns > staple.next_update_ns:
        flaw = STAPLE_EXPIRED
    else:
        flaw = {"good": None, "revoked": STAPLE_REVOKED, "unknown": STAPLE_UNKNOWN}[staple.status]
    return None if policy == "soft" and flaw != STAPLE_REVOKED else flaw


def _names_permitted(svid: Svid) -> bool:
    """Say whether every name lies within the constraints of each authority above it."""
    names = [svid.trust_domain]
    for issuer in svid.issuers:
        if issuer.permitted and not set(names) <= set(issuer.permitted):
            return False
        names.append(issuer.trust_domain)
    return True


@lru_cache(4_096)
def verification_operations(svid: Svid, reason: str | None, crls: frozenset[Crl] = frozenset()) -> Operations:
    """Return the work of checking a certificate and its chain, refused for ``reason`` or accepted (``None``).

    That is parsing and judging the path, the signature on each certificate in it, the signature on each revocation list
    that is looked into (OpenSSL checks it every time), and for an accepted one the peer's proof of its key.
    """
    checks: Operations = ((operations.CERTIFICATE_CHECK, 1),)
    if reason in UNTRUSTED:
        return checks
    times: dict[str, int] = {}
    for issuer in svid.issuers[: 1 + len(svid.chain)]:
        times[issuer.key_type] = times.get(issuer.key_type, 0) + 1
    if crls and reason != NO_CRL and lists_above(svid, crls):
        for issuer in svid.issuers:
            times[issuer.key_type] = times.get(issuer.key_type, 0) + 1
    if reason is None:
        times[svid.key_type] = times.get(svid.key_type, 0) + 1
    return checks + tuple((f"{key_type}.verify", count) for key_type, count in times.items())
