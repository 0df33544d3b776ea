"""Certification authorities: cheap to ask for an SVID, real when its certificate is wanted.

Everything an authority makes follows from its seed: keys are scalars hashed from it, signatures are RFC 6979, and
serial numbers are hashes, so that the same seed gives the same certificates to the byte.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from meshsim.identity.spiffe import SCHEME
from meshsim.identity.svid import SECOND_NS, Svid

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate, CertificateBuilder, KeyUsage, Name

P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Order of the P-256 base point (SEC 2, section 2.4.2)."""
SERIAL_BYTES: Final = 16
YEAR_2050_NS: Final = 2_524_608_000 * SECOND_NS
"""From here on certificates write dates in a longer form (RFC 5280, section 4.1.2.5), and their sizes change."""


class Material(msgspec.Struct, frozen=True):
    """The real X.509-SVID: a certificate and its private key."""

    certificate: Certificate
    private_key: EllipticCurvePrivateKey


class Authority:
    """A certification authority of one trust domain, valid from ``not_before_ns`` to ``not_after_ns`` (epoch)."""

    def __init__(
        self, trust_domain: str, name: str, seed: int, key_type: str, not_before_ns: int, not_after_ns: int
    ) -> None:
        assert key_type == "ecdsa-p256", key_type
        assert 0 <= not_before_ns < not_after_ns < YEAR_2050_NS, (not_before_ns, not_after_ns)
        self.trust_domain = trust_domain
        self.name = name
        self.key_type = key_type
        self.not_before_ns = whole_seconds(not_before_ns)
        self.not_after_ns = whole_seconds(not_after_ns)
        self.id = f"{trust_domain}/{name}"
        """Names the authority in SVIDs, bundles and telemetry; unique within a run."""
        self._seed = seed
        self.serial = _serial(self._hash("root serial"))
        """Serial number of its own certificate."""
        self._materials: dict[Svid, Material] = {}
        self._root: Material | None = None

    def issue(
        self,
        spiffe_id: str,
        key_type: str,
        not_before_ns: int,
        not_after_ns: int,
        generation: int,
        holder: str = "",
    ) -> Svid:
        """Issue an SVID; pure, and cheap because nothing is signed until ``material`` is asked for.

        Times are rounded down to whole seconds, and the end is capped at the authority's own, so that no SVID
        outlives its root. ``spiffe_id`` may lie in another trust domain: peers will then refuse it.
        """
        return Svid(
            spiffe_id=spiffe_id,
            key_type=key_type,
            serial=_serial(self._hash("serial", spiffe_id, holder, str(generation))),
            not_before_ns=whole_seconds(not_before_ns),
            not_after_ns=min(whole_seconds(not_after_ns), self.not_after_ns),
            issuer=self.id,
            generation=generation,
            holder=holder,
        )

    def material(self, svid: Svid) -> Material:
        """Return the real certificate and key of an SVID that this authority issued; minted once, then remembered."""
        assert svid.issuer == self.id, f"{svid.issuer} is not {self.id}"
        found = self._materials.get(svid)
        if found is None:
            found = self._materials[svid] = self._mint(svid)
        return found

    def root(self) -> Material:
        """Return the authority's own self-signed certificate and key."""
        if self._root is None:
            self._root = self._mint_root()
        return self._root

    def _hash(self, purpose: str, *parts: str) -> bytes:
        digest = hashlib.sha256()
        for part in ("meshsim authority", str(self._seed), self.id, purpose, *parts):
            data = part.encode()
            digest.update(len(data).to_bytes(4, "big") + data)
        return digest.digest()

    def _key(self, *parts: str) -> EllipticCurvePrivateKey:
        from cryptography.hazmat.primitives.asymmetric import ec

        wide = self._hash("key high", *parts) + self._hash("key low", *parts)
        scalar = int.from_bytes(wide, "big") % (P256_ORDER - 1) + 1  # 512 bits reduced: no bias worth the name
        return ec.derive_private_key(scalar, ec.SECP256R1())

    def _subject(self) -> Name:
        from cryptography import x509

        # A digest as common name gives every issuer name one length, whatever authorities are called.
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, self._hash("subject")[:8].hex())])

    def _sign(self, builder: CertificateBuilder, root_key: EllipticCurvePrivateKey) -> Certificate:
        from cryptography.hazmat.primitives import hashes

        return builder.sign(root_key, hashes.SHA256(), ecdsa_deterministic=True)

    def _mint_root(self) -> Material:
        from cryptography import x509

        key = self._key("root")
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        usage = _key_usage(digital_signature=False, authority=True)
        builder = (
            x509.CertificateBuilder()
            .subject_name(self._subject())
            .issuer_name(self._subject())
            .public_key(key.public_key())
            .serial_number(self.serial)
            .not_valid_before(_datetime(self.not_before_ns))
            .not_valid_after(_datetime(self.not_after_ns))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(identifier, critical=False)
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(SCHEME + self.trust_domain)]),
                critical=False,
            )
        )
        return Material(certificate=self._sign(builder, key), private_key=key)

    def _mint(self, svid: Svid) -> Material:
        from cryptography import x509
        from cryptography.x509.oid import ExtendedKeyUsageOID

        root = self.root()
        key = self._key("workload", svid.spiffe_id, svid.holder, str(svid.generation))
        root_identifier = root.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self._subject())
            .public_key(key.public_key())
            .serial_number(svid.serial)
            .not_valid_before(_datetime(svid.not_before_ns))
            .not_valid_after(_datetime(svid.not_after_ns))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True, authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(root_identifier), critical=False
            )
            # Critical because the subject is empty (RFC 5280, section 4.2.1.6).
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(svid.spiffe_id)]), critical=True)
        )
        return Material(certificate=self._sign(builder, root.private_key), private_key=key)


def _key_usage(*, digital_signature: bool, authority: bool) -> KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _serial(digest: bytes) -> int:
    # The top bits 01 keep a serial positive and its DER of one length.
    return int.from_bytes(digest[:SERIAL_BYTES], "big") & ((1 << 126) - 1) | 1 << 126


def whole_seconds(time_ns: int) -> int:
    """Round an epoch time down to the whole second that a certificate can express."""
    return time_ns - time_ns % SECOND_NS


def _datetime(time_ns: int) -> datetime:
    assert 0 <= time_ns < YEAR_2050_NS, time_ns
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=time_ns // SECOND_NS)
