"""Sizes of certificates, from the DER encodings of what an authority here puts into them (X.690, RFC 5280).

A signature counts with its nominal size, which ECDSA alone departs from.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from meshsim.identity.revocation import Crl, OcspStaple
from meshsim.identity.spiffe import SCHEME
from meshsim.identity.svid import KEY_TYPES, STANDARD, IssuerFacts, Profile, Svid

_NAME_BYTES: Final = 29
"""A name with a common name of 16 characters."""
_FIXED_BYTES: Final = 5 + 18 + _NAME_BYTES + 32
"""Version, serial number, issuer and validity."""
_CRITICAL_BYTES: Final = 3
_IDENTIFIER_BYTES: Final = 5
"""Object identifier of an extension."""
_KEY_USAGE_BYTES: Final = 16
_AUTHORITY_KEY_BYTES: Final = 33
_SUBJECT_KEY_BYTES: Final = 31


def der_size_bytes(content_bytes: int) -> int:
    """Return the size of a DER element with this much content (X.690, section 8.1.3), up to 65535 bytes."""
    assert 0 <= content_bytes < 65_536, content_bytes
    return content_bytes + (2 if content_bytes < 128 else 3 if content_bytes < 256 else 4)


def signed_size_bytes(content_bytes: int, signer_key_type: str) -> int:
    """Return the size of something signed: the whole of what is signed, the algorithm, and the signature's bits."""
    key = KEY_TYPES[signer_key_type]
    return der_size_bytes(content_bytes + key.algorithm_size_bytes + der_size_bytes(1 + key.signature_size_bytes))


def _extension(value_bytes: int, *, critical: bool) -> int:
    return der_size_bytes(_IDENTIFIER_BYTES + (_CRITICAL_BYTES if critical else 0) + der_size_bytes(value_bytes))


def _names(names: tuple[str, ...]) -> int:
    return der_size_bytes(sum(der_size_bytes(len(name.encode())) for name in names))


def _certificate(extension_bytes: int, subject_bytes: int, key_type: str, signer_key_type: str) -> int:
    key, signer = KEY_TYPES[key_type], KEY_TYPES[signer_key_type]
    extensions = der_size_bytes(der_size_bytes(extension_bytes))
    body = _FIXED_BYTES + signer.algorithm_size_bytes + subject_bytes + key.public_key_size_bytes + extensions
    return signed_size_bytes(der_size_bytes(body), signer_key_type)


@lru_cache(maxsize=4096)
def _leaf_size_bytes(names: tuple[str, ...], profile: Profile, key_type: str, signer_key_type: str) -> int:
    extensions = _extension(5 if profile.ca else 2, critical=True) + _AUTHORITY_KEY_BYTES
    if profile.usages is not None:
        extensions += _KEY_USAGE_BYTES
    if profile.purposes:
        extensions += _extension(der_size_bytes(10 * len(profile.purposes)), critical=False)
    if names:
        extensions += _extension(_names(names), critical=True)
    return _certificate(extensions, 2, key_type, signer_key_type)


@lru_cache(maxsize=4096)
def _plain_leaf_size_bytes(spiffe_id_bytes: int, key_type: str, signer_key_type: str) -> int:
    return _leaf_size_bytes(("x" * spiffe_id_bytes,), STANDARD, key_type, signer_key_type)


def certificate_size_bytes(svid: Svid) -> int:
    """Return the nominal size of an SVID's DER certificate, without those of its issuers."""
    signer_key_type = svid.issuers[0].key_type
    if svid.profile is STANDARD:
        return _plain_leaf_size_bytes(len(svid.spiffe_id.encode()), svid.key_type, signer_key_type)
    names = (*svid.uris, *svid.profile.dns_names)
    return _leaf_size_bytes(names, svid.profile, svid.key_type, signer_key_type)


def issuer_size_bytes(issuer: IssuerFacts, signer_key_type: str) -> int:
    """Return the nominal size of an intermediate's DER certificate."""
    constraints = 5 if issuer.path_length is None else 8
    extensions = _extension(constraints, critical=True) + _KEY_USAGE_BYTES + _SUBJECT_KEY_BYTES + _AUTHORITY_KEY_BYTES
    extensions += _extension(_names((SCHEME + issuer.trust_domain,)), critical=False)
    if issuer.permitted:
        subtrees = sum(der_size_bytes(der_size_bytes(len(name))) for name in issuer.permitted)
        extensions += _extension(der_size_bytes(der_size_bytes(subtrees)), critical=True)
    return _certificate(extensions, _NAME_BYTES, issuer.key_type, signer_key_type)


def root_size_bytes(facts: IssuerFacts) -> int:
    """Return the nominal size of a root's DER certificate, which it signs itself."""
    extensions = _extension(5, critical=True) + _KEY_USAGE_BYTES + _SUBJECT_KEY_BYTES
    extensions += _extension(_names((SCHEME + facts.trust_domain,)), critical=False)
    return _certificate(extensions, _NAME_BYTES, facts.key_type, facts.key_type)


def chain_sizes_bytes(svid: Svid) -> tuple[int, ...]:
    """Return the nominal sizes of the certificates that a holder sends: its own, then its intermediates."""
    signers = [issuer.key_type for issuer in svid.issuers[1:]]
    above = (issuer_size_bytes(issuer, signer) for issuer, signer in zip(svid.chain, signers, strict=False))
    return (certificate_size_bytes(svid), *above)


def staple_size_bytes(staple: OcspStaple) -> int:
    """Return the nominal size of an OCSP response in DER."""
    time = 17
    certificate = der_size_bytes(11 + 22 + 22 + 18)  # SHA-1, two hashes, a serial number
    status = der_size_bytes(time) if staple.status == "revoked" else 2
    single = der_size_bytes(certificate + status + time + der_size_bytes(time))
    text = der_size_bytes(der_size_bytes(22) + time + der_size_bytes(single))
    content = der_size_bytes(11 + der_size_bytes(signed_size_bytes(text, staple.issuer_key_type)))
    return der_size_bytes(3 + der_size_bytes(content))


def crl_size_bytes(crl: Crl, issuer_key_type: str) -> int:
    """Return the nominal size of a revocation list in DER: what it takes to bring it to a verifier.

    A list of up to a million certificates or so.
    """
    key, time = KEY_TYPES[issuer_key_type], 15
    entries = len(crl.serials) * _long(18 + time)
    number = der_size_bytes(max(1, crl.number.bit_length() // 8 + 1))
    extensions = der_size_bytes(der_size_bytes(_AUTHORITY_KEY_BYTES + der_size_bytes(5 + der_size_bytes(number))))
    listed = _long(entries) if entries else 0
    content = _long(3 + key.algorithm_size_bytes + _NAME_BYTES + 2 * time + listed + extensions)
    return _long(content + key.algorithm_size_bytes + der_size_bytes(1 + key.signature_size_bytes))


def _long(content_bytes: int) -> int:
    """Return the size of a DER element, however long."""
    if content_bytes < 128:
        return content_bytes + 2
    return content_bytes + 2 + (content_bytes.bit_length() + 7) // 8
