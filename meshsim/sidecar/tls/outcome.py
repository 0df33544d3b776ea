"""What a step or a whole handshake comes to: established or refused, by whom and why."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from meshsim.sidecar.tls.flights import Flight, SessionTicket
from meshsim.sidecar.tls.operations import Operations

End = Literal["client", "server"]

ALERT_CODES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "unexpected_message": 10,
        "bad_record_mac": 20,
        "handshake_failure": 40,
        "bad_certificate": 42,
        "unsupported_certificate": 43,
        "certificate_revoked": 44,
        "certificate_expired": 45,
        "certificate_unknown": 46,
        "illegal_parameter": 47,
        "unknown_ca": 48,
        "decode_error": 50,
        "protocol_version": 70,
        "bad_certificate_status_response": 113,
        "certificate_required": 116,
    }
)
"""The fatal alerts that an end can send here, by their names in RFC 8446, section 6."""

NO_COMMON_VERSION: Final = "no common version"
NO_SERVER_CERTIFICATE: Final = "no server certificate"
NO_COMMON_CIPHER: Final = "no common cipher"
NO_COMMON_GROUP: Final = "no common group"
NO_COMMON_SIGNATURE: Final = "no common signature scheme"
NOT_ONE_URI: Final = "not exactly one URI name"
INVALID_SPIFFE_ID: Final = "invalid SPIFFE ID"
SIGNING_CERTIFICATE: Final = "signing certificate"
WRONG_KEY_USAGE: Final = "wrong key usage"
WRONG_TRUST_DOMAIN: Final = "wrong trust domain"
UNKNOWN_AUTHORITY: Final = "unknown authority"
INVALID_CHAIN: Final = "invalid chain"
INTERMEDIATE_NOT_YET_VALID: Final = "intermediate not yet valid"
INTERMEDIATE_EXPIRED: Final = "intermediate expired"
NOT_YET_VALID: Final = "not yet valid"
EXPIRED: Final = "expired"
REVOKED: Final = "revoked"
UNEXPECTED_SPIFFE_ID: Final = "unexpected SPIFFE ID"
NO_CRL: Final = "no revocation list"
CRL_NOT_YET_VALID: Final = "revocation list not yet valid"
CRL_EXPIRED: Final = "revocation list expired"
NO_STAPLE: Final = "no OCSP staple"
STAPLE_NOT_YET_VALID: Final = "OCSP staple not yet valid"
STAPLE_EXPIRED: Final = "OCSP staple expired"
STAPLE_REVOKED: Final = "revoked by OCSP staple"
STAPLE_UNKNOWN: Final = "unknown by OCSP staple"
NAME_NOT_PERMITTED: Final = "name not permitted"
NO_CLIENT_CERTIFICATE: Final = "no client certificate"
TAMPERED_RECORD: Final = "tampered record"
PLAINTEXT: Final = "plaintext"
TRUNCATED: Final = "truncated"
PEER_REFUSED: Final = "peer refused"

REASONS: Final = (
    NO_COMMON_VERSION,
    NO_SERVER_CERTIFICATE,
    NO_COMMON_CIPHER,
    NO_COMMON_GROUP,
    NO_COMMON_SIGNATURE,
    NOT_ONE_URI,
    INVALID_SPIFFE_ID,
    SIGNING_CERTIFICATE,
    WRONG_KEY_USAGE,
    WRONG_TRUST_DOMAIN,
    UNKNOWN_AUTHORITY,
    INVALID_CHAIN,
    INTERMEDIATE_NOT_YET_VALID,
    INTERMEDIATE_EXPIRED,
    NOT_YET_VALID,
    EXPIRED,
    NO_CRL,
    CRL_NOT_YET_VALID,
    CRL_EXPIRED,
    REVOKED,
    NO_STAPLE,
    STAPLE_NOT_YET_VALID,
    STAPLE_EXPIRED,
    STAPLE_REVOKED,
    STAPLE_UNKNOWN,
    UNEXPECTED_SPIFFE_ID,
    NAME_NOT_PERMITTED,
    NO_CLIENT_CERTIFICATE,
    TAMPERED_RECORD,
    PLAINTEXT,
    TRUNCATED,
    PEER_REFUSED,
)
"""Every reason that a refusal can give; ``PEER_REFUSED`` is the view of the end that an alert reached."""


class Established(msgspec.Struct, frozen=True, gc=False):
    """One end may now send application bytes.

    In TLS 1.3 the client gets here before the server has looked at its certificate, so that a client's connection may
    still be refused later on.
    """

    resumed: bool
    version: str
    cipher: str
    group: str
    key_type: str
    """Of the server's certificate; of the original one when resumed."""
    mutual: bool
    """Whether the client presented a certificate, now or when the resumed session began."""
    peer_spiffe_id: str
    """Empty on a server whose client presented no certificate."""
    peer_not_after_ns: int
    """End of validity of the peer's certificate, epoch; 0 when it presented none."""
    peer_not_before_ns: int
    """Start of its validity, epoch; 0 when it presented none."""
    resumed_after_expiry: bool
    """Ground truth: the session goes back to a certificate of either end that had expired, by this end's clock, when it
    was taken up: for the client with its ClientHello, for the server when it answered that.

    OpenSSL accepts such a session: no certificate is sent, so none is checked.
    """


class Refused(msgspec.Struct, frozen=True, gc=False):
    """The handshake has failed, or a client's connection was refused after it was established."""

    alert: str
    """RFC 8446 name of the fatal alert; empty when OpenSSL has none to give."""
    by: End
    """Which end gave up."""
    reason: str
    """One of ``REASONS``."""
    sent: bool
    """Whether the alert went out to the other end."""


class TlsStep(msgspec.Struct, frozen=True, gc=False):
    """What an end does in answer to a start, a flight or the end of the transport."""

    flights: tuple[Flight, ...] = ()
    """To send, in order."""
    operations: Operations = ()
    """CPU operations carried out, each with how often; the driver charges them before the flights leave."""
    established: Established | None = None
    refused: Refused | None = None
    ticket: SessionTicket | None = None
    """On a client: a ticket to keep for the next handshake with this peer."""
