"""Nominal sizes of flights on the wire, TLS records included, computed from RFC 8446's encodings.

Message layouts are those of RFC 8446; what OpenSSL 4.0 chooses to put into them (which extensions, one message per
record, ChangeCipherSpec for middleboxes) was read off its flights, and the tests hold every figure against it. Real
flights differ only where DER does: an ECDSA signature by a few bytes, a session ticket by one 16-byte cipher block.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from meshsim.identity.revocation import OcspStaple
from meshsim.identity.sizes import certificate_size_bytes, chain_sizes_bytes, der_size_bytes, staple_size_bytes
from meshsim.identity.svid import KEY_TYPES, Svid
from meshsim.sidecar.tls.flights import (
    Alert,
    ApplicationRecords,
    ClientFinish,
    ClientHello,
    HelloRetryRequest,
    Plaintext,
    ServerFlight,
    SessionTicket,
    SessionTickets,
    Tampered,
    Truncated,
    Whole,
)
from meshsim.sidecar.tls.settings import HASH_SIZE_BYTES, TlsSettings

RECORD_HEADER_BYTES: Final = 5
PROTECTION_BYTES: Final = 17
"""Inner content type and authentication tag of a protected record."""
PROTECTED_BYTES: Final = RECORD_HEADER_BYTES + PROTECTION_BYTES
HANDSHAKE_HEADER_BYTES: Final = 4
CHANGE_CIPHER_SPEC_BYTES: Final = 6
ALERT_BYTES: Final = 7
PROTECTED_ALERT_BYTES: Final = PROTECTED_BYTES + 2
TRUNCATED_BYTES: Final = RECORD_HEADER_BYTES
"""What arrives of a truncated flight."""

CLIENT_SHARE_BYTES: Final[Mapping[str, int]] = MappingProxyType(
    {"X25519": 32, "P-256": 65, "P-384": 97, "X25519MLKEM768": 1184 + 32}
)
"""Key share of a client (RFC 8446 section 4.2.8.2; draft-ietf-tls-ecdhe-mlkem for the hybrid)."""

SERVER_SHARE_BYTES: Final[Mapping[str, int]] = MappingProxyType(
    {"X25519": 32, "P-256": 65, "P-384": 97, "X25519MLKEM768": 1088 + 32}
)
"""Key share of a server: for the hybrid a ciphertext in place of an encapsulation key."""

FULL_HANDSHAKE_TICKETS: Final = 2
RESUMED_HANDSHAKE_TICKETS: Final = 1
"""How many NewSessionTicket messages OpenSSL sends after a full and after a resumed handshake."""

DEFAULT_SCHEMES: Final = 21
"""How many signature schemes OpenSSL offers in TLS 1.3 of its own accord."""

TICKET_BLOCK_BYTES: Final = 16
_SCHEME_BYTES: Final = 2
_STATUS_REQUEST_BYTES: Final = 4 + 5
"""Extension status_request without responders or extensions (RFC 6066, section 8)."""
_STAPLE_BYTES: Final = 4 + 1 + 3
"""What stands before an OCSP response in a certificate's extensions (RFC 8446, section 4.4.2.1)."""
_CERTIFICATE_REQUEST_BYTES: Final = PROTECTED_BYTES + 55
_ENCRYPTED_EXTENSIONS_BYTES: Final = PROTECTED_BYTES + HANDSHAKE_HEADER_BYTES + 2
_CERTIFICATE_MESSAGE_BYTES: Final = PROTECTED_BYTES + HANDSHAKE_HEADER_BYTES + 1 + 3
_CERTIFICATE_ENTRY_BYTES: Final = 3 + 2
_HELLO_RETRY_REQUEST_BYTES: Final = 93
_SERVER_HELLO_BYTES: Final = 95
_PRE_SHARED_KEY_ANSWER_BYTES: Final = 6
_CLIENT_HELLO_BYTES: Final = 173
"""A TLS 1.3 ClientHello record with one group and no ciphers, key share bytes or ticket."""
_STATEFUL_TICKET_BYTES: Final = 32
_REMEMBERED: Final = 4_096
"""How many sizes are remembered of each kind: the same few certificates and settings meet again and again."""
_SESSION_BYTES: Final = 113
"""Contents of OpenSSL's SSL_SESSION structure for a 32-byte hash, a one-byte group number and no client certificate."""


def session_ticket_size_bytes(ticket: SessionTicket) -> int:
    """Return the nominal size of a ticket: a sealed OpenSSL session with the client's certificate inside."""
    if ticket.lifetime_ns == 0:
        return _STATEFUL_TICKET_BYTES
    return _sealed_session_bytes(ticket.cipher, ticket.group, ticket.client_svid)


@lru_cache(_REMEMBERED)
def _sealed_session_bytes(cipher: str, group: str, client: Svid | None) -> int:
    session = _SESSION_BYTES + HASH_SIZE_BYTES[cipher] - 32 + (group == "X25519MLKEM768")
    if client is not None:
        session += der_size_bytes(certificate_size_bytes(client))
    padded = (der_size_bytes(session) // TICKET_BLOCK_BYTES + 1) * TICKET_BLOCK_BYTES
    return 16 + 16 + padded + 32  # key name, initialisation vector, AES-256-CBC blocks, HMAC-SHA-256


def client_hello_size_bytes(settings: TlsSettings, key_share: str, ticket: SessionTicket | None) -> int:
    """Return the size of a ClientHello record."""
    versions = (settings.min_version, settings.max_version)
    size = _hello_size_bytes(versions, len(settings.ciphers), settings.groups, key_share)
    size += _schemes_excess_bytes(settings.signature_schemes)
    if settings.ocsp != "off":
        size += _STATUS_REQUEST_BYTES
    if ticket is not None:
        size += 15 + session_ticket_size_bytes(ticket) + HASH_SIZE_BYTES[ticket.cipher]
    return size


def _schemes_excess_bytes(schemes: tuple[str, ...]) -> int:
    """Return how much longer a list of signature schemes is than OpenSSL's of its own accord."""
    return _SCHEME_BYTES * (len(schemes) - DEFAULT_SCHEMES) if schemes else 0


@lru_cache(_REMEMBERED)
def _hello_size_bytes(versions: tuple[str, str], ciphers: int, groups: tuple[str, ...], key_share: str) -> int:
    classical = sum(group != "X25519MLKEM768" for group in groups)
    point_formats = 6 if classical else 0
    if versions == ("1.2", "1.2"):
        # The hybrid group exists in TLS 1.3 only, and without any group both extensions about curves are left out.
        return 167 + (8 + 2 * (classical - 1) if classical else 0) + point_formats
    size = _CLIENT_HELLO_BYTES + 2 * ciphers + 2 * (len(groups) - 1) + CLIENT_SHARE_BYTES[key_share]
    if versions == ("1.2", "1.3"):
        # 27 older suites, renegotiation info, twelve bytes of older signature algorithms, one more version.
        size += 54 + 5 + 12 + 2 + point_formats
    return size


def client_flight_size_bytes(hello_bytes: int, retried: bool) -> int:
    """Return the size of a ClientHello flight: a retried one is preceded by ChangeCipherSpec."""
    return hello_bytes + (CHANGE_CIPHER_SPEC_BYTES if retried else 0)


def hello_retry_request_size_bytes() -> int:
    """Return the size of a HelloRetryRequest flight."""
    return _HELLO_RETRY_REQUEST_BYTES + CHANGE_CIPHER_SPEC_BYTES


def _finished_size_bytes(cipher: str) -> int:
    return PROTECTED_BYTES + HANDSHAKE_HEADER_BYTES + HASH_SIZE_BYTES[cipher]


@lru_cache(_REMEMBERED)
def _certificate_flight_bytes(svid: Svid) -> int:
    chain = chain_sizes_bytes(svid)
    certificate = _CERTIFICATE_MESSAGE_BYTES + len(chain) * _CERTIFICATE_ENTRY_BYTES + sum(chain)
    verify = PROTECTED_BYTES + HANDSHAKE_HEADER_BYTES + 4 + KEY_TYPES[svid.key_type].signature_size_bytes
    return certificate + verify


@lru_cache(_REMEMBERED)
def server_flight_size_bytes(
    settings: TlsSettings,
    cipher: str,
    group: str,
    svid: Svid | None,
    staple: OcspStaple | None,
    certificate_requested: bool,
    retried: bool,
) -> int:
    """Return the size of ServerHello to Finished; ``svid`` is ``None`` when a session is resumed.

    The server lists its groups unless the chosen ``group`` is the one that it likes best.
    """
    groups = settings.groups
    size = _SERVER_HELLO_BYTES + SERVER_SHARE_BYTES[group] + _ENCRYPTED_EXTENSIONS_BYTES + _finished_size_bytes(cipher)
    if group != groups[0]:
        size += 4 + 2 + 2 * len(groups)
    if not retried:
        size += CHANGE_CIPHER_SPEC_BYTES
    if svid is None:
        return size + _PRE_SHARED_KEY_ANSWER_BYTES
    if staple is not None:
        size += _STAPLE_BYTES + staple_size_bytes(staple)
    if certificate_requested:
        size += _CERTIFICATE_REQUEST_BYTES + _schemes_excess_bytes(settings.signature_schemes)
    return size + _certificate_flight_bytes(svid)


@lru_cache(_REMEMBERED)
def client_finish_size_bytes(cipher: str, svid: Svid | None, certificate_requested: bool, retried: bool) -> int:
    """Return the size of the client's last flight; an asked client without an ``svid`` sends an empty list."""
    size = _finished_size_bytes(cipher) + (0 if retried else CHANGE_CIPHER_SPEC_BYTES)
    if certificate_requested:
        size += _CERTIFICATE_MESSAGE_BYTES if svid is None else _certificate_flight_bytes(svid)
    return size


def session_tickets_size_bytes(ticket: SessionTicket, count: int) -> int:
    """Return the size of ``count`` NewSessionTicket messages, a record each."""
    return count * (PROTECTED_BYTES + 25 + session_ticket_size_bytes(ticket))


def alert_size_bytes(encrypted: bool) -> int:
    """Return the size of an alert record."""
    return PROTECTED_ALERT_BYTES if encrypted else ALERT_BYTES


def tolerance_bytes(flight: Whole | Tampered | Truncated) -> tuple[int, int]:
    """Return how many bytes shorter and longer than nominal a real flight may be.

    The certificates and the proof of a key hold one signature each; a ticket may fall a cipher block either side.
    """
    match flight:
        case Tampered():
            return tolerance_bytes(flight.flight)
        case ServerFlight() | ClientFinish():
            if flight.svid is None:
                return 0, 0
            return _signatures_tolerance_bytes(flight.svid, flight.staple if type(flight) is ServerFlight else None)
        case SessionTickets():
            block = TICKET_BLOCK_BYTES if flight.ticket.lifetime_ns else 0
            return flight.count * block, flight.count * block
        case ClientHello():
            block = TICKET_BLOCK_BYTES if flight.ticket is not None else 0
            return block, block
        case HelloRetryRequest() | Alert() | Plaintext() | ApplicationRecords() | Truncated():
            return 0, 0


@lru_cache(_REMEMBERED)
def _signatures_tolerance_bytes(svid: Svid, staple: OcspStaple | None) -> tuple[int, int]:
    signers = [svid.key_type, *(issuer.key_type for issuer in svid.issuers[: 1 + len(svid.chain)])]
    if staple is not None:
        signers.append(staple.issuer_key_type)
    keys = [KEY_TYPES[signer] for signer in signers]
    return sum(key.signature_slack_bytes for key in keys), sum(key.signature_excess_bytes for key in keys)
