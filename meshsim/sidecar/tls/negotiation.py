"""What two ends agree upon, as pure functions; the choices are those of OpenSSL 4.0 with its default options.

Among what both ends know, the client's order decides: for cipher suites always, for groups once the group of the
client's key share is out of the question.
"""

from __future__ import annotations

from functools import lru_cache

from meshsim.identity.svid import KEY_TYPES, Svid
from meshsim.sidecar.tls.flights import ClientHello, SessionTicket
from meshsim.sidecar.tls.settings import HASH_SIZE_BYTES, TlsSettings, TlsSide
from meshsim.sidecar.tls.verification import verify_peer


def negotiated_version(client: TlsSettings, server: TlsSettings) -> str | None:
    """Return the newest version that both ends accept, or ``None``.

    Only "1.3" can be carried out: scenario checks refuse pairs of settings that come to "1.2".
    """
    version = min(client.max_version, server.max_version)
    return version if version >= max(client.min_version, server.min_version) else None


def choose_version(hello: ClientHello, settings: TlsSettings) -> str | None:
    """Return the version that a server picks for a ClientHello, or ``None``."""
    version = min(hello.max_version, settings.max_version)
    return version if version >= max(hello.min_version, settings.min_version) else None


def choose_cipher(hello: ClientHello, settings: TlsSettings) -> str | None:
    """Return the cipher suite that a server picks, or ``None``."""
    return next((cipher for cipher in hello.ciphers if cipher in settings.ciphers), None)


def choose_group(hello: ClientHello, settings: TlsSettings) -> str | None:
    """Return the group that a server picks, or ``None``; one without a key share needs a HelloRetryRequest."""
    if hello.key_share in settings.groups:
        return hello.key_share
    return next((group for group in hello.groups if group in settings.groups), None)


def common_scheme(svid: Svid, client: tuple[str, ...], server: tuple[str, ...]) -> bool:
    """Say whether both ends accept one and the same signature scheme for the key of a certificate."""
    return _common_scheme(svid.key_type, client, server)


@lru_cache(1_024)
def _common_scheme(key_type: str, client: tuple[str, ...], server: tuple[str, ...]) -> bool:
    return any(
        (not client or scheme in client) and (not server or scheme in server) for scheme in KEY_TYPES[key_type].schemes
    )


def has_tls13(svid: Svid | None, settings: TlsSettings) -> bool:
    """Say whether a server with this certificate has TLS 1.3 to offer.

    OpenSSL has not if its own settings have no scheme for the curve of its key; at other keys it does not look.
    """
    if svid is None:
        return False
    own = settings.signature_schemes
    return not svid.key_type.startswith("ecdsa") or common_scheme(svid, own, own)


def is_timely(side: TlsSide, ticket: SessionTicket | None, expected_peers: frozenset[str], clock_ns: int) -> bool:
    """Say whether a client's stored ticket is young enough by its clock, and of a peer that it expects."""
    return (
        ticket is not None
        and side.settings.resumption
        and side.settings.max_version == ticket.version
        and clock_ns < ticket.received_ns + min(ticket.lifetime_ns, side.settings.ticket_lifetime_ns)
        and ticket.server_svid.spiffe_id in expected_peers
    )


def offers_ticket(side: TlsSide, ticket: SessionTicket | None, expected_peers: frozenset[str], clock_ns: int) -> bool:
    """Say whether a client offers a stored ticket.

    It has to be timely; a client that minds the certificates behind sessions would have to accept the server's anew.
    """
    minds = side.settings.bound or side.settings.as_envoy
    return is_timely(side, ticket, expected_peers, clock_ns) and (
        not minds or ticket is None or _accepted_anew(ticket.server_svid, side, clock_ns)
    )


def accepts_ticket(side: TlsSide, ticket: SessionTicket | None, cipher: str, clock_ns: int) -> bool:
    """Say whether a server resumes the session of an offered ticket; if not, a full handshake follows."""
    return (
        ticket is not None
        and side.settings.resumption
        and ticket.ticket_key == side.ticket_key
        and ticket.listener == side.settings
        and HASH_SIZE_BYTES[ticket.cipher] == HASH_SIZE_BYTES[cipher]
        and (not side.settings.bound or _is_sound(side, ticket, clock_ns))
    )


def _is_sound(side: TlsSide, ticket: SessionTicket, clock_ns: int) -> bool:
    """Say whether the certificates behind a ticket would do for a server that looks at them."""
    own, client = side.svid, ticket.client_svid
    return (
        own is not None
        and own.serial == ticket.server_svid.serial
        and clock_ns <= own.not_after_ns
        and (client is None or _accepted_anew(client, side, clock_ns))
    )


def _accepted_anew(svid: Svid, side: TlsSide, clock_ns: int) -> bool:
    return verify_peer(svid, side.bundles, None, clock_ns, side.crls, side.settings.stale_crls) is None


def bound_lifetime_ns(lifetime_ns: int, clock_ns: int, *ends_ns: int) -> int:
    """Return a ticket's lifetime such that it ends with the first of these instants, each itself still in it."""
    return max(0, min(lifetime_ns, *(end_ns + 1 - clock_ns for end_ns in ends_ns)))


def outlived(ticket: SessionTicket, clock_ns: int) -> bool:
    """Say whether a certificate that the session goes back to has expired by this clock."""
    client = ticket.client_svid
    return clock_ns > ticket.server_svid.not_after_ns or (client is not None and clock_ns > client.not_after_ns)
