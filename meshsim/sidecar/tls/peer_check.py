"""Judging real certificates in OpenSSL's path check: all that the path check itself cannot know.

It reads the certificates that arrived and nothing else, so that it says independently what ``verification`` predicts
from facts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from cryptography import x509

from meshsim.identity.bundle import TrustBundle
from meshsim.sidecar.tls.certificates import certificate_facts, epoch_ns, fingerprint, lifetime_ns, svid_flaw
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
    NOT_ONE_URI,
    NOT_YET_VALID,
    REVOKED,
    SIGNING_CERTIFICATE,
    UNEXPECTED_SPIFFE_ID,
    UNKNOWN_AUTHORITY,
    WRONG_KEY_USAGE,
    WRONG_TRUST_DOMAIN,
)
from meshsim.sidecar.tls.settings import StaleCrls

NO_ISSUER: Final = 20
"""X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY: no chain to a trusted root."""
NO_ISSUERS: Final = frozenset({2, NO_ISSUER, 21})
"""That, and its variants: for an intermediate, and for a leaf alone."""
MISSING_CRL: Final = 3
"""X509_V_ERR_UNABLE_TO_GET_CRL."""
LISTED: Final = 23
"""X509_V_ERR_CERT_REVOKED."""
FOUND: Final[Mapping[int, str]] = {25: INVALID_CHAIN, 26: WRONG_KEY_USAGE, 47: NAME_NOT_PERMITTED}
"""What OpenSSL finds by itself (X509_V_ERR_*): a path that is too long, a purpose, a name outside its constraints."""

ERRORS: Final[Mapping[str, int]] = {
    NOT_ONE_URI: 28,
    INVALID_SPIFFE_ID: 28,
    SIGNING_CERTIFICATE: 28,
    WRONG_KEY_USAGE: 26,
    WRONG_TRUST_DOMAIN: NO_ISSUER,
    UNKNOWN_AUTHORITY: NO_ISSUER,
    INVALID_CHAIN: 25,
    INTERMEDIATE_NOT_YET_VALID: 9,
    INTERMEDIATE_EXPIRED: 10,
    NOT_YET_VALID: 9,
    EXPIRED: 10,
    NO_CRL: MISSING_CRL,
    CRL_NOT_YET_VALID: 11,
    CRL_EXPIRED: 12,
    REVOKED: LISTED,
    UNEXPECTED_SPIFFE_ID: 62,
    NAME_NOT_PERMITTED: 47,
}
"""X509_V_ERR_* by reason; OpenSSL derives the alert from it. 28 is CERT_REJECTED, 62 HOSTNAME_MISMATCH, its word for a
wrong name."""


def _found(error: int) -> str:
    assert error in FOUND, f"OpenSSL finds error {error}, which no authority here gives cause for"
    return FOUND[error]


class PeerCheck:
    """One verifier's judgement of one peer; ``clock_ns`` is set before each step of the handshake."""

    def __init__(
        self,
        bundles: Mapping[str, TrustBundle],
        authorities: Mapping[bytes, str],
        expected_peers: frozenset[str] | None,
        crls: Mapping[x509.Name, x509.CertificateRevocationList],
        stale: StaleCrls = "refuse",
    ) -> None:
        self.clock_ns = 0
        self.reason = ""
        """Why the peer was refused."""
        self._bundles = bundles
        self._authorities = authorities
        self._expected_peers = expected_peers
        self._stale = stale
        self._crls = crls
        """Revocation lists by the name of who issued them."""
        self.accepted = False
        """Whether the peer's certificate was accepted, unless an error comes after that."""
        self.issued: tuple[x509.Certificate, x509.Certificate] | None = None
        """The certificate that was accepted and its issuer's, in a full handshake."""

    def judge(self, path: Callable[[], Sequence[x509.Certificate]], error: int) -> int:
        """Judge the path that OpenSSL has found, the leaf first; ``error`` is OpenSSL's own finding.

        OpenSSL asks once for each certificate, and for each error: the first time decides, unless an error comes after
        it. Returns the X509_V_ERR number to fail with, or 0.
        """
        if self.accepted and error == 0:
            return 0
        if self.accepted:
            reason: str | None = _found(error)
        else:
            certificates = path()
            reason = self._judge(certificates, error)
            if reason is None and error == MISSING_CRL:
                return 0  # there is no list for anybody in this path; OpenSSL knows of others
            if reason is None:
                self.accepted = True
                self.issued = certificates[0], certificates[1]
                return 0
        assert reason is not None
        self.reason = reason
        return ERRORS[reason]

    def judge_again(self, path: Sequence[x509.Certificate]) -> str | None:
        """Return why a certificate whose path was accepted once would be refused now; its signatures do not change."""
        lists = [self._crls.get(certificate.subject) for certificate in path[1:]]
        pairs = zip(path, lists, strict=False)
        if any(crl and crl.get_revoked_certificate_by_serial_number(below.serial_number) for below, crl in pairs):
            return self._judge(path, LISTED)
        return self._judge(path, MISSING_CRL if None in lists else 0)

    def _judge(self, path: Sequence[x509.Certificate], error: int) -> str | None:
        leaf = path[0]
        flaw = svid_flaw(leaf)
        if flaw is not None:
            return flaw
        facts = certificate_facts(leaf)
        bundle = self._bundles.get(facts.trust_domain)
        if bundle is None:
            return WRONG_TRUST_DOMAIN
        root = self._authorities.get(fingerprint(path[-1])) if len(path) > 1 else None
        if error in NO_ISSUERS or root not in bundle.authorities:
            return UNKNOWN_AUTHORITY
        if error not in (0, MISSING_CRL, LISTED):
            return _found(error)
        for place in reversed(range(len(path))):
            not_before_ns, not_after_ns = lifetime_ns(path[place])
            intermediate = 0 < place < len(path) - 1
            if self.clock_ns < not_before_ns:
                return INTERMEDIATE_NOT_YET_VALID if intermediate else NOT_YET_VALID
            if self.clock_ns > not_after_ns:
                return INTERMEDIATE_EXPIRED if intermediate else EXPIRED
        if self._crls:
            flaw = self._crl_flaw(path, error)
            if flaw is not None:
                return flaw
        revoked = bundle.revoked_serials
        if revoked and any(certificate.serial_number in revoked for certificate in path[:-1]):
            return REVOKED
        if self._expected_peers is not None and facts.spiffe_id not in self._expected_peers:
            return UNEXPECTED_SPIFFE_ID
        return None

    def _crl_flaw(self, path: Sequence[x509.Certificate], error: int) -> str | None:
        """Return what revocation lists say: OpenSSL finds serial numbers, and dates are judged by the node's clock."""
        lists = [self._crls.get(certificate.subject) for certificate in path[1:]]
        known = [crl for crl in lists if crl is not None]
        if not known:
            return None
        if len(known) < len(lists):
            assert error in (MISSING_CRL, LISTED), "OpenSSL misses no list though one is missing"
            return NO_CRL
        for crl in reversed(known):
            assert crl.next_update_utc is not None, "authorities here always say when they will know more"
            if self.clock_ns < epoch_ns(crl.last_update_utc):
                return CRL_NOT_YET_VALID
            if self.clock_ns > epoch_ns(crl.next_update_utc) and self._stale == "refuse":
                return CRL_EXPIRED
        assert error != MISSING_CRL, "OpenSSL misses a list though none is missing"
        return REVOKED if error == LISTED else None
