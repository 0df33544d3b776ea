"""An X.509-SVID as the facts that decide whether a peer accepts it; no cryptography is done to make one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Final

import msgspec

from meshsim.identity.spiffe import trust_domain_of

SECOND_NS: Final = 1_000_000_000


class KeyType(msgspec.Struct, frozen=True):
    """What a certificate's key costs in bytes; sizes are those of the DER encodings that go on the wire."""

    name: str
    """As scenarios and telemetry write it, for instance ``ecdsa-p256``."""
    public_key_size_bytes: int
    """SubjectPublicKeyInfo."""
    signature_size_bytes: int
    """Nominal signature: for ECDSA the commonest length of its DER."""
    signature_slack_bytes: int
    """How much shorter than nominal a signature may be before something must be wrong."""
    signature_excess_bytes: int
    """How much longer than nominal a signature can be."""


KEY_TYPES: Final[Mapping[str, KeyType]] = MappingProxyType(
    {
        # A P-256 signature is a SEQUENCE of two INTEGERs of 32 bytes, each one longer when its top bit is set (so 70,
        # 71 or 72 bytes, 71 half of the time) and shorter by each leading zero byte (seven of them: once in 2^48).
        "ecdsa-p256": KeyType(
            name="ecdsa-p256",
            public_key_size_bytes=91,
            signature_size_bytes=71,
            signature_slack_bytes=8,
            signature_excess_bytes=1,
        ),
    }
)
"""Every key type that an authority can mint, by name."""


class Svid(msgspec.Struct, frozen=True, dict=True):
    """One X.509-SVID: who it names, when it is valid, and who says so.

    Valid from ``not_before_ns`` to ``not_after_ns``, both included (RFC 5280, section 4.1.2.5), as nanoseconds since
    the Unix epoch in whole seconds, because that is all that a certificate can say.
    """

    spiffe_id: str
    key_type: str
    serial: int
    not_before_ns: int
    not_after_ns: int
    issuer: str
    """``Authority.id`` of the authority that signed it."""
    generation: int
    """Counts the certificates of one holder, from 0; a rotation adds one."""
    holder: str = ""
    """Which of several workloads with the same SPIFFE ID holds it: replicas have keys of their own."""

    def __post_init__(self) -> None:
        assert self.key_type in KEY_TYPES, self.key_type
        assert self.not_before_ns % SECOND_NS == self.not_after_ns % SECOND_NS == 0, "certificates tell seconds"

    @cached_property
    def trust_domain(self) -> str:
        """The trust domain that the SPIFFE ID belongs to."""
        return trust_domain_of(self.spiffe_id)
