"""Judging real certificates in OpenSSL's path check: all that the path check itself cannot know.

It reads the certificates that arrived and nothing else, so that it says independently what ``verification`` predicts
from facts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache, wraps
from typing import Final, TypeVar

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from meshsim.identity.bundle import TrustBundle
from meshsim.identity.spiffe import is_workload_id, trust_domain_of
from meshsim.identity.svid import SECOND_NS
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


_Read = TypeVar("_Read")
_REMEMBERED: Final = 1_024
"""Certificates of which it is remembered what they say: OpenSSL checks the same ones again and again."""


def _remembered(read: Callable[[x509.Certificate], _Read]) -> Callable[[x509.Certificate], _Read]:
    """Remember what was read of each of the last certificates.

    By the object and not by what it says, which it takes longer to hash than to look up: for the same bytes
    ``read_certificate`` gives the same object.
    """
    known: dict[int, tuple[x509.Certificate, _Read]] = {}

    @wraps(read)
    def found(certificate: x509.Certificate) -> _Read:
        entry = known.get(id(certificate))
        if entry is None:
            if len(known) >= _REMEMBERED:
                known.clear()
            # The certificate is kept beside what it says, so that no other one can have its id.
            entry = known[id(certificate)] = certificate, read(certificate)
        return entry[1]

    return found


class CertificateFacts(msgspec.Struct, frozen=True):
    """What an X.509-SVID says."""

    spiffe_id: str
    serial: int
    not_before_ns: int
    """Epoch."""
    not_after_ns: int
    """Epoch."""


@lru_cache(_REMEMBERED)
def read_certificate(encoded: bytes) -> x509.Certificate:
    """Return the certificate that these bytes are, in DER."""
    return x509.load_der_x509_certificate(encoded)


@_remembered
def fingerprint(certificate: x509.Certificate) -> bytes:
    """Return what tells a certificate from all others: its SHA-256 digest."""
    return certificate.fingerprint(hashes.SHA256())


@_remembered
def certificate_facts(certificate: x509.Certificate) -> CertificateFacts:
    """Read an X.509-SVID that has been accepted: it has exactly one URI name."""
    (spiffe_id,) = _uris(certificate)
    not_before_ns, not_after_ns = _lifetime_ns(certificate)
    return CertificateFacts(spiffe_id, certificate.serial_number, not_before_ns, not_after_ns)


def _uris(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)


@_remembered
def svid_flaw(certificate: x509.Certificate) -> str | None:
    """Return what keeps a certificate from being a workload's X.509-SVID (X.509-SVID, section 5.2), if anything."""
    uris = _uris(certificate)
    if len(uris) != 1:
        return NOT_ONE_URI
    extensions = {extension.oid: extension.value for extension in certificate.extensions}
    constraints = extensions.get(x509.BasicConstraints.oid)
    usage = extensions.get(x509.KeyUsage.oid)
    purposes = extensions.get(x509.ExtendedKeyUsage.oid)
    if isinstance(constraints, x509.BasicConstraints) and constraints.ca:
        return SIGNING_CERTIFICATE
    if isinstance(usage, x509.KeyUsage) and (usage.key_cert_sign or usage.crl_sign):
        return SIGNING_CERTIFICATE
    if not isinstance(usage, x509.KeyUsage) or not usage.digital_signature:
        return WRONG_KEY_USAGE
    both = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    if isinstance(purposes, x509.ExtendedKeyUsage) and not set(purposes) >= both:
        return WRONG_KEY_USAGE
    return None if is_workload_id(uris[0]) else INVALID_SPIFFE_ID


@_remembered
def key_type_name(certificate: x509.Certificate) -> str:
    """Return the key type of a certificate, as ``KEY_TYPES`` names it."""
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return {"secp256r1": "ecdsa-p256", "secp384r1": "ecdsa-p384"}[key.curve.name]
    if isinstance(key, rsa.RSAPublicKey):
        return f"rsa-{key.key_size}"
    for kind, name in (
        (ed25519.Ed25519PublicKey, "ed25519"),
        (mldsa.MLDSA44PublicKey, "ml-dsa-44"),
        (mldsa.MLDSA65PublicKey, "ml-dsa-65"),
    ):
        if isinstance(key, kind):
            return name
    raise AssertionError(f"no authority here signs for {key!r}")


def _found(error: int) -> str:
    assert error in FOUND, f"OpenSSL finds error {error}, which no authority here gives cause for"
    return FOUND[error]


def has_ended(certificate: x509.Certificate, clock_ns: int) -> bool:
    """Say whether a certificate is past its last second."""
    return clock_ns > _lifetime_ns(certificate)[1]


@_remembered
def _lifetime_ns(certificate: x509.Certificate) -> tuple[int, int]:
    """Return the first and the last second of a certificate, since the epoch."""
    return _epoch_ns(certificate.not_valid_before_utc), _epoch_ns(certificate.not_valid_after_utc)


def _epoch_ns(time: datetime) -> int:
    return int(time.timestamp()) * SECOND_NS


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
        self._accepted = False
        self.issued: tuple[x509.Certificate, x509.Certificate] | None = None
        """The certificate that was accepted and its issuer's, in a full handshake."""

    def judge(self, path: Callable[[], Sequence[x509.Certificate]], error: int) -> int:
        """Judge the path that OpenSSL has found, the leaf first; ``error`` is OpenSSL's own finding.

        OpenSSL asks once for each certificate, and for each error: the first time decides, unless an error comes after
        it. Returns the X509_V_ERR number to fail with, or 0.
        """
        if self._accepted and error == 0:
            return 0
        if self._accepted:
            reason: str | None = _found(error)
        else:
            certificates = path()
            reason = self._judge(certificates, error)
            if reason is None and error == MISSING_CRL:
                return 0  # there is no list for anybody in this path; OpenSSL knows of others
            if reason is None:
                self._accepted = True
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
        bundle = self._bundles.get(trust_domain_of(facts.spiffe_id))
        if bundle is None:
            return WRONG_TRUST_DOMAIN
        root = self._authorities.get(fingerprint(path[-1])) if len(path) > 1 else None
        if error in NO_ISSUERS or root not in bundle.authorities:
            return UNKNOWN_AUTHORITY
        if error not in (0, MISSING_CRL, LISTED):
            return _found(error)
        for place in reversed(range(len(path))):
            flaw = self._time_flaw(path[place], intermediate=0 < place < len(path) - 1)
            if flaw is not None:
                return flaw
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
        if not self._crls:
            return None
        lists = [self._crls.get(certificate.subject) for certificate in path[1:]]
        known = [crl for crl in lists if crl is not None]
        if not known:
            return None
        if len(known) < len(lists):
            assert error in (MISSING_CRL, LISTED), "OpenSSL misses no list though one is missing"
            return NO_CRL
        for crl in reversed(known):
            assert crl.next_update_utc is not None, "authorities here always say when they will know more"
            if self.clock_ns < _epoch_ns(crl.last_update_utc):
                return CRL_NOT_YET_VALID
            if self.clock_ns > _epoch_ns(crl.next_update_utc) and self._stale == "refuse":
                return CRL_EXPIRED
        assert error != MISSING_CRL, "OpenSSL misses a list though none is missing"
        return REVOKED if error == LISTED else None

    def _time_flaw(self, certificate: x509.Certificate, *, intermediate: bool) -> str | None:
        not_before_ns, not_after_ns = _lifetime_ns(certificate)
        if self.clock_ns < not_before_ns:
            return INTERMEDIATE_NOT_YET_VALID if intermediate else NOT_YET_VALID
        if self.clock_ns > not_after_ns:
            return INTERMEDIATE_EXPIRED if intermediate else EXPIRED
        return None
