"""Judging a real certificate in OpenSSL's path check: all that the path check itself cannot know.

It reads the certificate that arrived and nothing else, so that it says independently what ``verification`` predicts
from facts.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from meshsim.identity.bundle import TrustBundle
from meshsim.identity.spiffe import trust_domain_of
from meshsim.identity.svid import SECOND_NS
from meshsim.sidecar.tls.outcome import (
    EXPIRED,
    NOT_YET_VALID,
    REVOKED,
    UNEXPECTED_SPIFFE_ID,
    UNKNOWN_AUTHORITY,
    WRONG_TRUST_DOMAIN,
)

NO_ISSUER: Final = 20
"""X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY: no chain to a trusted root."""

ERRORS: Final[Mapping[str, int]] = {
    WRONG_TRUST_DOMAIN: NO_ISSUER,
    UNKNOWN_AUTHORITY: NO_ISSUER,
    NOT_YET_VALID: 9,
    EXPIRED: 10,
    REVOKED: 23,
    UNEXPECTED_SPIFFE_ID: 62,
}
"""X509_V_ERR_* by reason; OpenSSL derives the alert from it. 62 is HOSTNAME_MISMATCH, its word for a wrong name."""


class CertificateFacts(msgspec.Struct, frozen=True):
    """What an X.509-SVID says."""

    spiffe_id: str
    serial: int
    not_before_ns: int
    """Epoch."""
    not_after_ns: int
    """Epoch."""


def certificate_facts(certificate: x509.Certificate) -> CertificateFacts:
    """Read an X.509-SVID; one without exactly one URI name fails an assertion, for no authority here mints it."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    assert len(uris) == 1, uris
    return CertificateFacts(
        spiffe_id=uris[0],
        serial=certificate.serial_number,
        not_before_ns=_epoch_ns(certificate.not_valid_before_utc),
        not_after_ns=_epoch_ns(certificate.not_valid_after_utc),
    )


def key_type_name(certificate: x509.Certificate) -> str:
    """Return the key type of a certificate, as ``KEY_TYPES`` names it."""
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey), key
    assert isinstance(key.curve, ec.SECP256R1), key.curve
    return "ecdsa-p256"


def _epoch_ns(time: datetime) -> int:
    return int(time.timestamp()) * SECOND_NS


class PeerCheck:
    """One verifier's judgement of one peer; ``clock_ns`` is set before each step of the handshake."""

    def __init__(
        self,
        bundles: Mapping[str, TrustBundle],
        authorities: Mapping[x509.Certificate, str],
        expected_peers: frozenset[str] | None,
    ) -> None:
        self.clock_ns = 0
        self.reason = ""
        """Why the peer was refused."""
        self._bundles = bundles
        self._authorities = authorities
        self._expected_peers = expected_peers
        self._root: x509.Certificate | None = None

    def judge(self, certificate: x509.Certificate, depth: int, error: int) -> int:
        """Judge one certificate of the path, the root first; ``error`` is OpenSSL's own finding.

        Returns the X509_V_ERR number to fail with, or 0.
        """
        if error == 0 and depth > 0:
            self._root = self._root or certificate
            return 0
        assert error in (0, NO_ISSUER), f"OpenSSL finds error {error} in a certificate at depth {depth}"
        reason = self._judge_leaf(certificate_facts(certificate), trusted=error == 0)
        if reason is None:
            return 0
        self.reason = reason
        return ERRORS[reason]

    def _judge_leaf(self, facts: CertificateFacts, *, trusted: bool) -> str | None:
        bundle = self._bundles.get(trust_domain_of(facts.spiffe_id))
        if bundle is None:
            return WRONG_TRUST_DOMAIN
        if not trusted or self._root is None or self._authorities[self._root] not in bundle.authorities:
            return UNKNOWN_AUTHORITY
        if self.clock_ns < facts.not_before_ns:
            return NOT_YET_VALID
        if self.clock_ns > facts.not_after_ns:
            return EXPIRED
        if facts.serial in bundle.revoked_serials:
            return REVOKED
        if self._expected_peers is not None and facts.spiffe_id not in self._expected_peers:
            return UNEXPECTED_SPIFFE_ID
        return None
