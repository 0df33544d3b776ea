"""Making real certificates: what the facts say, in DER, with a signature that follows from key and content."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from meshsim.identity import keys
from meshsim.identity.spiffe import SCHEME
from meshsim.identity.svid import SECOND_NS, USAGES, IssuerFacts, Svid

if TYPE_CHECKING:
    from meshsim.identity.authority import Signer

PURPOSES: Final = {
    "server_auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client_auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "code_signing": ExtendedKeyUsageOID.CODE_SIGNING,
}


def mint_leaf(svid: Svid, public_key: keys.PublicKey, signer: Signer) -> x509.Certificate:
    """Return the certificate that an SVID's facts describe, in the name of ``signer``."""
    profile = svid.profile
    builder = (
        _dated(svid.serial, svid.not_before_ns, svid.not_after_ns)
        .subject_name(x509.Name([]))
        .issuer_name(common_name(signer.common_name))
        .public_key(public_key)
        .add_extension(x509.BasicConstraints(ca=profile.ca, path_length=None), critical=True)
    )
    if profile.usages is not None:
        builder = builder.add_extension(_key_usage(profile.usages), critical=True)
    if profile.purposes:
        purposes = [PURPOSES[purpose] for purpose in profile.purposes]
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    builder = builder.add_extension(authority_key(signer), critical=False)
    names: list[x509.GeneralName] = [_uri(uri) for uri in svid.uris]
    names += [x509.DNSName(name) for name in profile.dns_names]
    if names:
        # Critical because the subject is empty (RFC 5280, section 4.2.1.6).
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    return _sign(builder, signer)


def mint_authority(
    facts: IssuerFacts, name: str, public_key: keys.PublicKey, signer: Signer, *, is_root: bool
) -> x509.Certificate:
    """Return the certificate of an authority: a root signs its own, an intermediate has its parent's signature."""
    usage = _key_usage(frozenset({"key_cert_sign", "crl_sign"}))
    builder = (
        _dated(facts.serial, facts.not_before_ns, facts.not_after_ns)
        .subject_name(common_name(name))
        .issuer_name(common_name(signer.common_name))
        .public_key(public_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=facts.path_length), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )
    if not is_root:
        builder = builder.add_extension(authority_key(signer), critical=False)
    if facts.permitted:
        subtrees = [_uri(name) for name in facts.permitted]
        builder = builder.add_extension(x509.NameConstraints(subtrees, None), critical=True)
    names = x509.SubjectAlternativeName([_uri(SCHEME + facts.trust_domain)])
    return _sign(builder.add_extension(names, critical=False), signer)


def _dated(serial: int, not_before_ns: int, not_after_ns: int) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .serial_number(serial)
        .not_valid_before(as_datetime(not_before_ns))
        .not_valid_after(as_datetime(not_after_ns))
    )


def common_name(name: str) -> x509.Name:
    """Return the name of an authority: a common name and nothing else."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _uri(uri: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(uri)


def authority_key(signer: Signer) -> x509.AuthorityKeyIdentifier:
    """Return the extension that says whose key signed."""
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key)


def _key_usage(usages: frozenset[str]) -> x509.KeyUsage:
    return x509.KeyUsage(encipher_only=False, decipher_only=False, **{usage: usage in usages for usage in USAGES})


def _sign(builder: x509.CertificateBuilder, signer: Signer) -> x509.Certificate:
    algorithm = keys.hash_for(signer.key_type)
    if signer.key_type.startswith("ml-dsa"):
        return _sign_anew(builder.sign(signer.private_key, None), signer)
    deterministic = True if signer.key_type.startswith("ecdsa") else None
    return builder.sign(signer.private_key, algorithm, ecdsa_deterministic=deterministic)


def _sign_anew(certificate: x509.Certificate, signer: Signer) -> x509.Certificate:
    encoded = certificate.public_bytes(Encoding.DER)
    return x509.load_der_x509_certificate(signature_anew(encoded, certificate.tbs_certificate_bytes, signer))


def signature_anew(encoded: bytes, text: bytes, signer: Signer) -> bytes:
    """Return something signed with the one signature that ML-DSA gives without randomness, in place of OpenSSL's.

    It comes last (RFC 5280, sections 4.1 and 5.1) and has one length.
    """
    signature = keys.sign(signer.key_type, signer.private_key, text)
    return encoded[: -len(signature)] + signature


def as_datetime(time_ns: int) -> datetime:
    """Return an epoch time in whole seconds as certificates are told it."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=time_ns // SECOND_NS)
