"""Reading real certificates: what each says, remembered, since the same few are looked at again and again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache, wraps
from typing import Final, TypeVar

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from meshsim.identity.spiffe import is_workload_id, trust_domain_of
from meshsim.identity.svid import SECOND_NS
from meshsim.sidecar.tls.outcome import INVALID_SPIFFE_ID, NOT_ONE_URI, SIGNING_CERTIFICATE, WRONG_KEY_USAGE

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
    trust_domain: str
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
    not_before_ns, not_after_ns = lifetime_ns(certificate)
    return CertificateFacts(
        spiffe_id, trust_domain_of(spiffe_id), certificate.serial_number, not_before_ns, not_after_ns
    )


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


def has_ended(certificate: x509.Certificate, clock_ns: int) -> bool:
    """Say whether a certificate is past its last second."""
    return clock_ns > lifetime_ns(certificate)[1]


@_remembered
def lifetime_ns(certificate: x509.Certificate) -> tuple[int, int]:
    """Return the first and the last second of a certificate, since the epoch."""
    return epoch_ns(certificate.not_valid_before_utc), epoch_ns(certificate.not_valid_after_utc)


def epoch_ns(time: datetime) -> int:
    """Return an instant that a certificate or a list tells, since the epoch."""
    return int(time.timestamp()) * SECOND_NS
