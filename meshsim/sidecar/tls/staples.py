"""Judging a real OCSP response, as a client does when OpenSSL hands it over at the end of a server's flight."""

from __future__ import annotations

import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import ocsp

from meshsim.identity.svid import SECOND_NS
from meshsim.sidecar.tls.outcome import (
    NO_STAPLE,
    STAPLE_EXPIRED,
    STAPLE_NOT_YET_VALID,
    STAPLE_REVOKED,
    STAPLE_UNKNOWN,
)
from meshsim.sidecar.tls.settings import OcspPolicy


def response_flaw(
    policy: OcspPolicy, response: bytes, leaf: x509.Certificate, issuer: x509.Certificate, clock_ns: int
) -> str | None:
    """Return why a client refuses a server with this response (empty: none), or ``None`` when it accepts."""
    if not response:
        return NO_STAPLE if policy == "required" else None
    told = ocsp.load_der_ocsp_response(response)
    identifier = x509.SubjectKeyIdentifier.from_public_key(issuer.public_key()).digest
    name = hashlib.sha1(issuer.subject.public_bytes(), usedforsecurity=False).digest()
    about = (told.serial_number, told.issuer_key_hash, told.issuer_name_hash)
    assert about == (leaf.serial_number, identifier, name), "OpenSSL sends no staple of another certificate"
    _check_signature(told, issuer)
    assert told.next_update_utc is not None, "authorities here always say when they will know more"
    early = clock_ns < int(told.this_update_utc.timestamp()) * SECOND_NS
    late = clock_ns > int(told.next_update_utc.timestamp()) * SECOND_NS
    if told.certificate_status is ocsp.OCSPCertStatus.REVOKED and not early and not late:
        return STAPLE_REVOKED
    if policy == "soft":
        return None
    if early or late:
        return STAPLE_NOT_YET_VALID if early else STAPLE_EXPIRED
    return STAPLE_UNKNOWN if told.certificate_status is ocsp.OCSPCertStatus.UNKNOWN else None


def _check_signature(told: ocsp.OCSPResponse, issuer: x509.Certificate) -> None:
    """Raise ``InvalidSignature`` if it is not the issuer's, which no scenario gives cause for."""
    key = issuer.public_key()
    text, signature = told.tbs_response_bytes, told.signature
    if isinstance(key, ec.EllipticCurvePublicKey):
        algorithm = hashes.SHA256() if key.key_size == 256 else hashes.SHA384()
        key.verify(signature, text, ec.ECDSA(algorithm))
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, text, padding.PKCS1v15(), hashes.SHA256())
    else:
        key.verify(signature, text)  # type: ignore[union-attr, call-arg] # Ed25519 and ML-DSA
