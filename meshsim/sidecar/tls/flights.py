"""What one end sends before it has to wait for the other, as the facts that the other end acts upon.

Every flight has its nominal ``size_bytes`` on the wire, records included, which is the same at every fidelity. At real
fidelity ``wire`` holds the bytes that OpenSSL wrote, whose length may differ from it within ``sizes.tolerance``.
"""

from __future__ import annotations

import msgspec

from meshsim.identity.revocation import OcspStaple
from meshsim.identity.svid import Svid
from meshsim.sidecar.tls.settings import TlsSettings


class SessionTicket(msgspec.Struct, frozen=True, gc=False):
    """A session that a client may resume: what the server sealed into the ticket, and what the client noted."""

    ticket_key: str
    """The listener's key that sealed it."""
    issued_ns: int
    """Epoch time by the server's clock."""
    lifetime_ns: int
    """How long the client may offer it; 0 means not at all (RFC 8446, section 4.6.1)."""
    version: str
    cipher: str
    group: str
    """Group of the handshake that issued it."""
    listener: TlsSettings
    """The listener's settings; with others, as with another key, it does not know its tickets any more."""
    client_svid: Svid | None
    """The certificate that the client presented, in the full handshake that the session goes back to."""
    server_svid: Svid
    """The server's certificate in that handshake."""
    received_ns: int = 0
    """Epoch time by the client's clock; set when the client stores it."""
    staple_ends_ns: int = 0
    """When the OCSP staple ends, by the epoch, that the client was shown when the session began; 0 if it was shown
    none, or does not mind."""
    session: bytes | None = None
    """The OpenSSL session at real fidelity, in OpenSSL's own DER encoding."""


class ClientHello(msgspec.Struct, frozen=True, gc=False):
    """The client's first flight; with ``retried`` its second, after a HelloRetryRequest."""

    min_version: str
    max_version: str
    ciphers: tuple[str, ...]
    groups: tuple[str, ...]
    key_share: str
    """The one group that a key share is sent for."""
    signature_schemes: tuple[str, ...]
    """What the client accepts; none: all that OpenSSL has by default."""
    staple_wanted: bool
    """Whether the client asks for an OCSP staple."""
    ticket: SessionTicket | None
    retried: bool
    size_bytes: int
    wire: bytes | None = None


class HelloRetryRequest(msgspec.Struct, frozen=True, gc=False):
    """The server asks for a key share of another group."""

    group: str
    cipher: str
    size_bytes: int
    wire: bytes | None = None


class ServerFlight(msgspec.Struct, frozen=True, gc=False):
    """ServerHello to Finished."""

    version: str
    cipher: str
    group: str
    resumed: bool
    svid: Svid | None
    """The server's certificate; ``None`` when a session is resumed."""
    staple: OcspStaple | None
    """What comes with the certificate, if the client has asked and the server has it."""
    certificate_requested: bool
    signature_schemes: tuple[str, ...]
    """What the server accepts of a client's certificate; none: all that OpenSSL has by default."""
    size_bytes: int
    wire: bytes | None = None


class ClientFinish(msgspec.Struct, frozen=True, gc=False):
    """The client's last flight: its certificate if asked for one, and Finished."""

    svid: Svid | None
    size_bytes: int
    wire: bytes | None = None


class SessionTickets(msgspec.Struct, frozen=True, gc=False):
    """The NewSessionTicket messages that follow a handshake; the client keeps the last."""

    ticket: SessionTicket
    count: int
    size_bytes: int
    wire: bytes | None = None


class Alert(msgspec.Struct, frozen=True, gc=False):
    """A fatal alert; the sender has given up."""

    description: str
    """Name in RFC 8446, section 6."""
    encrypted: bool
    size_bytes: int
    wire: bytes | None = None


class Plaintext(msgspec.Struct, frozen=True, gc=False):
    """Bytes that are no TLS at all where a handshake was expected, such as an HTTP request."""

    size_bytes: int
    wire: bytes | None = None


class ApplicationRecords(msgspec.Struct, frozen=True, gc=False):
    """Protected records of application bytes, where they concern the handshake machines: when they were damaged."""

    size_bytes: int
    wire: bytes | None = None


Whole = (
    ClientHello
    | HelloRetryRequest
    | ServerFlight
    | ClientFinish
    | SessionTickets
    | Alert
    | Plaintext
    | ApplicationRecords
)


class Tampered(msgspec.Struct, frozen=True, gc=False):
    """A flight of which one bit was changed on the way: the lowest of the first content byte of its last record.

    Of application records it is the first that is changed: those before it would have been read.
    In a protected record that breaks the authentication tag, in a plain one it changes the type of the message.
    """

    flight: Whole
    size_bytes: int
    wire: bytes | None = None


class Truncated(msgspec.Struct, frozen=True, gc=False):
    """A flight that broke off after the header of its first record; its sender is not heard of again."""

    flight: Whole
    size_bytes: int
    wire: bytes | None = None


Flight = Whole | Tampered | Truncated
