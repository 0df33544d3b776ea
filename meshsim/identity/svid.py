"""An X.509-SVID as the facts that decide whether a peer accepts it; no cryptography is done to make one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Final

import msgspec

from meshsim.identity.spiffe import trust_domain_of
from meshsim.scenario.tls import SCHEMES

SECOND_NS: Final = 1_000_000_000


class KeyType(msgspec.Struct, frozen=True):
    """What a certificate's key costs in bytes; sizes are those of the DER encodings that go on the wire."""

    name: str
    """As scenarios and telemetry write it, for instance ``ecdsa-p256``."""
    public_key_size_bytes: int
    """SubjectPublicKeyInfo."""
    signature_size_bytes: int
    """Nominal signature: for ECDSA the commonest length of its DER."""
    algorithm_size_bytes: int
    """AlgorithmIdentifier of its signatures in certificates."""
    signature_slack_bytes: int = 0
    """How much shorter than nominal a signature may be before something must be wrong."""
    signature_excess_bytes: int = 0
    """How much longer than nominal a signature can be."""

    @property
    def schemes(self) -> tuple[str, ...]:
        """Signature schemes that TLS 1.3 has for it, the one that OpenSSL prefers first."""
        return SCHEMES[self.name]


# An ECDSA signature is a SEQUENCE of two INTEGERs as long as the curve's order, each one longer when its top bit is set
# (so 70, 71 or 72 bytes with P-256, 71 half of the time) and shorter by each leading zero byte (seven of them: once in
# 2^48).
KEY_TYPES: Final[Mapping[str, KeyType]] = MappingProxyType(
    {
        key.name: key
        for key in (
            KeyType("ecdsa-p256", 91, 71, 12, 8, 1),
            KeyType("ecdsa-p384", 120, 103, 12, 8, 1),
            KeyType("ed25519", 44, 64, 7),
            KeyType("rsa-2048", 294, 256, 15),
            KeyType("rsa-3072", 422, 384, 15),
            KeyType("ml-dsa-44", 1_334, 2_420, 13),
            KeyType("ml-dsa-65", 1_974, 3_309, 13),
        )
    }
)
"""Every key type that an authority can mint, by name."""


class Profile(msgspec.Struct, frozen=True):
    """What a leaf says of itself beside its SPIFFE ID, its dates and its key; by default all as the standard has it.

    Anything else is a certificate that was issued by mistake or with bad intent, which verifiers have to find out.
    """

    uris: tuple[str, ...] | None = None
    """URI names; ``None`` for the SPIFFE ID alone, as X.509-SVID, section 2, has it."""
    dns_names: tuple[str, ...] = ()
    """DNS names, of which there may be any number."""
    ca: bool = False
    """Basic constraints' cA."""
    usages: frozenset[str] | None = frozenset({"digital_signature"})
    """Key usages among ``USAGES``; ``None`` leaves the extension out."""
    purposes: tuple[str, ...] = ("server_auth", "client_auth")
    """Extended key usages; the empty tuple leaves the extension out."""

    def __post_init__(self) -> None:
        assert self.usages is None or self.usages <= set(USAGES), self.usages
        assert set(self.purposes) <= {"server_auth", "client_auth", "code_signing"}, self.purposes


USAGES: Final = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)
"""Key usages in the order of their bits (RFC 5280, section 4.2.1.3), those that the first byte holds."""

STANDARD: Final = Profile()
"""An X.509-SVID as the standard has it."""


class IssuerFacts(msgspec.Struct, frozen=True, cache_hash=True):
    """The certificate of an authority as far as a verifier minds it."""

    authority: str
    """``Authority.id``."""
    trust_domain: str
    key_type: str
    serial: int
    not_before_ns: int
    not_after_ns: int
    path_length: int | None = None
    """Most intermediates that may stand below it; ``None``: any number, as SPIRE has it."""
    permitted: tuple[str, ...] = ()
    """Trust domains that names below it must be of (RFC 5280, section 4.2.1.10); none: any, as SPIRE has it."""


class Svid(msgspec.Struct, frozen=True, dict=True, cache_hash=True):
    """One X.509-SVID: who it names, when it is valid, and who says so.

    Valid from ``not_before_ns`` to ``not_after_ns``, both included (RFC 5280, section 4.1.2.5), as nanoseconds since
    the Unix epoch in whole seconds, because that is all that a certificate can say.
    """

    spiffe_id: str
    key_type: str
    serial: int
    not_before_ns: int
    not_after_ns: int
    issuers: tuple[IssuerFacts, ...]
    """Authorities from the one that signed it up to the root."""
    generation: int
    """Counts the certificates of one holder, from 0; a rotation adds one."""
    holder: str = ""
    """Which of several workloads with the same SPIFFE ID holds it: replicas have keys of their own."""
    profile: Profile = STANDARD
    """What it says of itself."""
    bare: bool = False
    """Whether its holder forgets to send the intermediates along."""

    def __post_init__(self) -> None:
        assert self.key_type in KEY_TYPES, self.key_type
        assert self.issuers, "somebody signed it"
        assert not self.profile.uris or self.profile.uris[0] == self.spiffe_id, "the SPIFFE ID is the first URI name"
        assert self.not_before_ns % SECOND_NS == self.not_after_ns % SECOND_NS == 0, "certificates tell seconds"

    @cached_property
    def trust_domain(self) -> str:
        """The trust domain that the SPIFFE ID belongs to."""
        return trust_domain_of(self.spiffe_id)

    @cached_property
    def issuer(self) -> str:
        """``Authority.id`` of the authority that signed it."""
        return self.issuers[0].authority

    @cached_property
    def root(self) -> IssuerFacts:
        """The authority that a verifier has to trust."""
        return self.issuers[-1]

    @cached_property
    def chain(self) -> tuple[IssuerFacts, ...]:
        """The intermediates that are sent along with it, its issuer's first; the root is not."""
        return () if self.bare else self.issuers[:-1]

    @cached_property
    def uris(self) -> tuple[str, ...]:
        """The URI names that it carries."""
        return (self.spiffe_id,) if self.profile.uris is None else self.profile.uris
