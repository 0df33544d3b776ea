"""What authorities say about certificates that they issued: revocation lists and OCSP responses, as facts.

Both live in their verifiers' time: valid from ``this_update_ns`` to ``next_update_ns``, both included, as nanoseconds
since the Unix epoch in whole seconds.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from meshsim.identity.svid import SECOND_NS, Svid

OcspStatus = Literal["good", "revoked", "unknown"]


class Crl(msgspec.Struct, frozen=True):
    """A certificate revocation list of one authority (RFC 5280, section 5)."""

    issuer: str
    """``Authority.id`` of the authority whose certificates it is about, and which signed it."""
    number: int
    """Counts up with each list of this authority."""
    this_update_ns: int
    next_update_ns: int
    serials: frozenset[int]
    """Serial numbers of the revoked certificates."""

    def __post_init__(self) -> None:
        assert self.this_update_ns % SECOND_NS == self.next_update_ns % SECOND_NS == 0, "revocation lists tell seconds"


class OcspStaple(msgspec.Struct, frozen=True):
    """An OCSP response about one certificate, which its holder sends along in handshakes (RFC 6960; RFC 8446, 4.4.2.1).

    It is signed by the authority that issued the certificate.
    """

    issuer: str
    """``Authority.id``."""
    issuer_key_type: str
    serial: int
    status: OcspStatus
    this_update_ns: int
    next_update_ns: int

    def __post_init__(self) -> None:
        assert self.this_update_ns % SECOND_NS == self.next_update_ns % SECOND_NS == 0, "responses tell seconds"

    def is_about(self, svid: Svid) -> bool:
        """Say whether it is about this certificate."""
        return (self.issuer, self.serial) == (svid.issuer, svid.serial)


def staple_for(svid: Svid, status: OcspStatus, this_update_ns: int, next_update_ns: int) -> OcspStaple:
    """Return what a certificate's issuer says about it; times in whole seconds."""
    issuer = svid.issuers[0]
    return OcspStaple(issuer.authority, issuer.key_type, svid.serial, status, this_update_ns, next_update_ns)
