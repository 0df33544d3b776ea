"""Certification authorities: cheap to ask for an SVID, real when its certificate is wanted.

Everything an authority makes follows from its seed: keys and signatures (``keys``), and serial numbers, which are
hashes, so that the same seed gives the same certificates to the byte.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import msgspec

from meshsim.identity import keys
from meshsim.identity.svid import KEY_TYPES, SECOND_NS, STANDARD, IssuerFacts, Profile, Svid

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, CertificateRevocationList

    from meshsim.identity.revocation import Crl, OcspStaple

SERIAL_BYTES: Final = 16
YEAR_2050_NS: Final = 2_524_608_000 * SECOND_NS
"""From here on certificates write dates in a longer form (RFC 5280, section 4.1.2.5), and their sizes change."""


class Material(msgspec.Struct, frozen=True):
    """The real X.509-SVID: a certificate and its private key."""

    certificate: Certificate
    private_key: keys.PrivateKey


class Authority:
    """A certification authority of one trust domain, valid from ``not_before_ns`` to ``not_after_ns`` (epoch).

    Without a ``parent`` it is a root, which signs its own certificate; with one, an intermediate, whose certificate
    ends with its parent's at the latest. ``path_length`` and ``permitted`` trust domains are none, as SPIRE has it.
    """

    def __init__(
        self,
        trust_domain: str,
        name: str,
        seed: int,
        key_type: str,
        not_before_ns: int,
        not_after_ns: int,
        parent: Authority | None = None,
        *,
        path_length: int | None = None,
        permitted: tuple[str, ...] = (),
    ) -> None:
        assert key_type in KEY_TYPES, key_type
        assert 0 <= not_before_ns < not_after_ns < YEAR_2050_NS, (not_before_ns, not_after_ns)
        last_ns = not_after_ns if parent is None else min(not_after_ns, parent.not_after_ns)
        self.trust_domain = trust_domain
        self.name = name
        self.key_type = key_type
        self.parent = parent
        self.not_before_ns = whole_seconds(not_before_ns)
        self.not_after_ns: int = whole_seconds(last_ns)
        self.id = f"{trust_domain}/{name}"
        """Names the authority in SVIDs, bundles and telemetry; unique within a run."""
        self._seed = seed
        self.serial = _serial(self._hash("root serial"))
        """Serial number of its own certificate."""
        facts = IssuerFacts(
            authority=self.id,
            trust_domain=trust_domain,
            key_type=key_type,
            serial=self.serial,
            not_before_ns=self.not_before_ns,
            not_after_ns=self.not_after_ns,
            path_length=path_length,
            permitted=permitted,
        )
        self.issuers: tuple[IssuerFacts, ...] = (facts,) if parent is None else (facts, *parent.issuers)
        """Its own certificate and those above it, up to the root's."""
        self._materials: dict[Svid, Material] = {}
        self._own: Material | None = None
        self._crls: dict[Crl, CertificateRevocationList] = {}
        self._staples: dict[OcspStaple, bytes] = {}

    def issue(
        self,
        spiffe_id: str,
        key_type: str,
        not_before_ns: int,
        not_after_ns: int,
        generation: int,
        holder: str = "",
        profile: Profile = STANDARD,
    ) -> Svid:
        """Issue an SVID; pure, and cheap because nothing is signed until ``material`` is asked for.

        Times are rounded down to whole seconds, and the end is capped at the authority's own, so that no SVID
        outlives its issuer. ``spiffe_id`` may lie in another trust domain, and ``profile`` may be against the standard:
        peers will then refuse it.
        """
        return Svid(
            spiffe_id=spiffe_id,
            key_type=key_type,
            serial=_serial(self._hash("serial", spiffe_id, holder, str(generation))),
            not_before_ns=whole_seconds(not_before_ns),
            not_after_ns=min(whole_seconds(not_after_ns), self.not_after_ns),
            issuers=self.issuers,
            generation=generation,
            holder=holder,
            profile=profile,
        )

    def material(self, svid: Svid) -> Material:
        """Return the real certificate and key of an SVID that this authority issued; minted once, then remembered."""
        assert svid.issuer == self.id, f"{svid.issuer} is not {self.id}"
        found = self._materials.get(svid)
        if found is None:
            from meshsim.identity.minting import mint_leaf

            key = self._key(svid.key_type, "workload", svid.spiffe_id, svid.holder, str(svid.generation))
            found = self._materials[svid] = Material(mint_leaf(svid, key.public_key(), self.signer()), key)
        return found

    def own(self) -> Material:
        """Return the authority's own certificate and key."""
        if self._own is None:
            from meshsim.identity.minting import mint_authority

            key = self._key(self.key_type, "root")
            signer = Signer(self.key_type, key, key.public_key(), self._common_name())
            certificate = mint_authority(
                self.issuers[0],
                self._common_name(),
                key.public_key(),
                signer if self.parent is None else self.parent.signer(),
                is_root=self.parent is None,
            )
            self._own = Material(certificate, key)
        return self._own

    def real_crl(self, crl: Crl) -> CertificateRevocationList:
        """Return a revocation list of this authority in DER; minted once, then remembered."""
        assert crl.issuer == self.id, f"{crl.issuer} is not {self.id}"
        found = self._crls.get(crl)
        if found is None:
            from meshsim.identity.minting_revocation import mint_crl

            found = self._crls[crl] = mint_crl(crl, self.signer())
        return found

    def real_staple(self, staple: OcspStaple) -> bytes:
        """Return the DER of an OCSP response of this authority; minted once, then remembered."""
        assert staple.issuer == self.id, f"{staple.issuer} is not {self.id}"
        found = self._staples.get(staple)
        if found is None:
            from meshsim.identity.minting_revocation import mint_staple

            found = self._staples[staple] = mint_staple(staple, self.signer())
        return found

    def root(self) -> Material:
        """Return the certificate and key of the root that it goes back to: its own, if it is one."""
        return self.own() if self.parent is None else self.parent.root()

    def sent_along(self) -> tuple[Certificate, ...]:
        """Return the certificates that stand between what it issues and the root, its own first."""
        return () if self.parent is None else (self.own().certificate, *self.parent.sent_along())

    def signer(self) -> Signer:
        """Return what signs in this authority's name."""
        key = self.own().private_key
        return Signer(self.key_type, key, key.public_key(), self._common_name())

    def _hash(self, purpose: str, *parts: str) -> bytes:
        digest = hashlib.sha256()
        for part in ("meshsim authority", str(self._seed), self.id, purpose, *parts):
            data = part.encode()
            digest.update(len(data).to_bytes(4, "big") + data)
        return digest.digest()

    def _key(self, key_type: str, *parts: str) -> keys.PrivateKey:
        return keys.private_key(key_type, self._hash("key high", *parts) + self._hash("key low", *parts))

    def _common_name(self) -> str:
        # A digest as common name gives every issuer name one length, whatever authorities are called.
        return self._hash("subject")[:8].hex()


class Signer(msgspec.Struct, frozen=True):
    """A key that signs, and the name and public key that certificates refer to it by."""

    key_type: str
    private_key: keys.PrivateKey
    public_key: keys.PublicKey
    common_name: str


def _serial(digest: bytes) -> int:
    # The top bits 01 keep a serial positive and its DER of one length.
    return int.from_bytes(digest[:SERIAL_BYTES], "big") & ((1 << 126) - 1) | 1 << 126


def whole_seconds(time_ns: int) -> int:
    """Round an epoch time down to the whole second that a certificate can express."""
    return time_ns - time_ns % SECOND_NS
