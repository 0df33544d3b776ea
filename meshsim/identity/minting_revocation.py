"""Making real revocation lists and OCSP responses, with signatures that follow from key and content."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from meshsim.identity import keys
from meshsim.identity.minting import as_datetime, authority_key, common_name, signature_anew
from meshsim.identity.revocation import Crl, OcspStaple

if TYPE_CHECKING:
    from meshsim.identity.authority import Signer

_SEQUENCE, _INTEGER, _BITS, _OCTETS, _ENUMERATED, _TIME = 0x30, 0x02, 0x03, 0x04, 0x0A, 0x18
_EXPLICIT_0, _EXPLICIT_2 = 0xA0, 0xA2
_GOOD, _REVOKED, _UNKNOWN = 0x80, 0xA1, 0x82
_SHA1: Final = bytes.fromhex("300906052b0e03021a0500")
"""AlgorithmIdentifier of SHA-1, which names issuers in OCSP (RFC 6960, section 4.3)."""
_BASIC_RESPONSE: Final = bytes.fromhex("06092b0601050507300101")
"""id-pkix-ocsp-basic (RFC 6960, section 4.2.1)."""


def mint_crl(crl: Crl, signer: Signer) -> x509.CertificateRevocationList:
    """Return the revocation list that the facts describe, in the name of ``signer``."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(common_name(signer.common_name))
        .last_update(as_datetime(crl.this_update_ns))
        .next_update(as_datetime(crl.next_update_ns))
        .add_extension(authority_key(signer), critical=False)
        .add_extension(x509.CRLNumber(crl.number), critical=False)
    )
    for serial in sorted(crl.serials):
        revoked = x509.RevokedCertificateBuilder().serial_number(serial)
        builder = builder.add_revoked_certificate(revoked.revocation_date(as_datetime(crl.this_update_ns)).build())
    if signer.key_type.startswith("ml-dsa"):
        hedged = builder.sign(signer.private_key, None)
        encoded = signature_anew(hedged.public_bytes(Encoding.DER), hedged.tbs_certlist_bytes, signer)
        return x509.load_der_x509_crl(encoded)
    deterministic = True if signer.key_type.startswith("ecdsa") else None
    return builder.sign(signer.private_key, keys.hash_for(signer.key_type), ecdsa_deterministic=deterministic)


def mint_staple(staple: OcspStaple, signer: Signer) -> bytes:
    """Return the DER of the OCSP response that the facts describe, signed by the issuer itself (RFC 6960, 4.2.1)."""
    key = signer.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key_hash = _element(_OCTETS, hashlib.sha1(_bits_of(key), usedforsecurity=False).digest())
    issuer = common_name(signer.common_name).public_bytes()
    name_hash = _element(_OCTETS, hashlib.sha1(issuer, usedforsecurity=False).digest())
    serial = _element(_INTEGER, staple.serial.to_bytes(16, "big"))
    single = _element(
        _SEQUENCE,
        _element(_SEQUENCE, _SHA1, name_hash, key_hash, serial),
        _status(staple),
        _time(staple.this_update_ns),
        _element(_EXPLICIT_0, _time(staple.next_update_ns)),
    )
    # Produced when it begins to be valid: the wall clock has no say.
    produced = _time(staple.this_update_ns)
    text = _element(_SEQUENCE, _element(_EXPLICIT_2, key_hash), produced, _element(_SEQUENCE, single))
    signature = keys.sign(signer.key_type, signer.private_key, text)
    basic = _element(_SEQUENCE, text, keys.ALGORITHMS[signer.key_type], _element(_BITS, b"\0", signature))
    content = _element(_SEQUENCE, _BASIC_RESPONSE, _element(_OCTETS, basic))
    return _element(_SEQUENCE, _element(_ENUMERATED, b"\0"), _element(_EXPLICIT_0, content))


def _status(staple: OcspStaple) -> bytes:
    if staple.status == "revoked":
        return _element(_REVOKED, _time(staple.this_update_ns))
    return _element(_GOOD if staple.status == "good" else _UNKNOWN)


def _time(time_ns: int) -> bytes:
    return _element(_TIME, as_datetime(time_ns).strftime("%Y%m%d%H%M%SZ").encode())


def _element(tag: int, *parts: bytes) -> bytes:
    """Return a DER element (X.690, section 8.1)."""
    content = b"".join(parts)
    size = len(content)
    if size < 128:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def _bits_of(key: bytes) -> bytes:
    """Return the bits of a public key without the algorithm around them: the last element of its DER, unused bits off.

    Its length stands right before it, and fills up what is left of the whole.
    """
    at = 2 + (key[1] & 0x7F if key[1] & 0x80 else 0)
    at += 2 + key[at + 1]  # the AlgorithmIdentifier, which is short for every key type
    at += 2 + (key[at + 1] & 0x7F if key[at + 1] & 0x80 else 0)
    return key[at + 1 :]
