"""Sessions as OpenSSL writes them, and what is behind a ticket that a server is offered.

OpenSSL resumes a session without a look at the certificate behind it. A server that minds (``TlsSettings.bound``) has
to look itself, before the handshake begins: it has another connection open the ticket, and reads the certificate there.
There is no call to decline a single ticket. But OpenSSL does not resume a session with another *session id context*,
and what it issues then has that one: so the server has two of them, and tickets of either.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from cryptography import x509
from OpenSSL import SSL

from meshsim.sidecar.tls.damage import CHANGE_CIPHER_SPEC_TYPE
from meshsim.sidecar.tls.sizes import RECORD_HEADER_BYTES

# pyOpenSSL has no public calls for what is needed here, and no types.
_lib: Any = SSL._lib  # type: ignore[attr-defined] # there is no public name for it
_ffi: Any = SSL._ffi  # type: ignore[attr-defined] # there is no public name for it

_PEER: Final = 0xA3
"""Tag of the peer's certificate in an encoded session (SSL_SESSION_ASN1 in OpenSSL's ssl/ssl_asn1.c)."""
_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_READ_BYTES: Final = 1 << 16
_MOST_BYTES: Final = 1 << 18
"""More than a session takes, with the largest chain of certificates that OpenSSL reads (100 kB)."""

_SESSION: Final = _ffi.new("unsigned char[]", _MOST_BYTES)
_ENCODED: Final = _ffi.buffer(_SESSION)
"""The same, of which slices are bytes."""
_CURSOR: Final = _ffi.new("unsigned char **")

Maker = Callable[[bool], SSL.Connection]
"""Makes a connection, with the second session id context if so asked."""


def encoded_session(connection: SSL.Connection) -> bytes:
    """Return the session of a connection in OpenSSL's DER encoding."""
    session = _lib.SSL_get_session(connection._ssl)
    size = _lib.i2d_SSL_SESSION(session, _ffi.NULL)
    assert 0 < size <= _MOST_BYTES, size
    _CURSOR[0] = _SESSION  # which writing moves on
    _lib.i2d_SSL_SESSION(session, _CURSOR)
    encoded: bytes = _ENCODED[:size]
    return encoded


def use_session(connection: SSL.Connection, session: bytes) -> None:
    """Have a client offer a session: a fresh copy each time, as OpenSSL spoils that of a handshake that fails."""
    data = _ffi.new("unsigned char[]", session)
    cursor = _ffi.new("const unsigned char **", data)
    copy = _lib.d2i_SSL_SESSION(_ffi.NULL, cursor, len(session))
    assert copy != _ffi.NULL, "a session that OpenSSL wrote"
    done = _lib.SSL_set_session(connection._ssl, _ffi.gc(copy, _lib.SSL_SESSION_free))
    assert done == 1, done


def peer_in(session: bytes) -> x509.Certificate | None:
    """Return the certificate that the peer showed when an encoded session began; None if it showed none."""
    at, _ = _content(session, 0)
    while at < len(session):
        begin, end = _content(session, at)
        if session[at] == _PEER:
            return x509.load_der_x509_certificate(session[begin:end])
        at = end
    return None


def _content(encoded: bytes, at: int) -> tuple[int, int]:
    """Return where the content of the DER element at a place begins and ends."""
    size, begin = encoded[at + 1], at + 2
    if size & 0x80:
        begin += size & 0x7F
        size = int.from_bytes(encoded[at + 2 : begin], "big")
    return begin, begin + size


def is_client_hello(wire: bytes) -> bool:
    """Say whether a client's bytes bring a ClientHello; what else it says in a handshake is encrypted."""
    if wire[:1] == bytes((CHANGE_CIPHER_SPEC_TYPE,)):
        wire = wire[RECORD_HEADER_BYTES + 1 :]  # comes before one that is sent again
    return wire[:1] == bytes((_HANDSHAKE,)) and wire[RECORD_HEADER_BYTES:][:1] == bytes((_CLIENT_HELLO,))


def choose(make: Maker, hellos: list[bytes], refuses: Callable[[x509.Certificate | None], bool]) -> SSL.Connection:
    """Return the connection to answer a ClientHello with: one that declines a ticket whose certificate is refused.

    ``hellos`` ends with that one; what came before it, if the client was asked to try again, is answered already.
    """
    for second in (False, True):
        trial = _fed(make(second), hellos)
        if _lib.SSL_session_reused(trial._ssl):
            refused = refuses(peer_in(encoded_session(trial)))
            return _fed(make(second != refused), hellos[:-1])
    return _fed(make(False), hellos[:-1])


def _fed(connection: SSL.Connection, hellos: list[bytes]) -> SSL.Connection:
    """Return a server's connection that has answered these hellos, its answers dropped."""
    connection.set_accept_state()
    for hello in hellos:
        connection.bio_write(hello)
        with suppress(SSL.Error):  # it waits for the client, or refuses the hello as the one that is used will
            connection.do_handshake()
        with suppress(SSL.WantReadError):
            connection.bio_read(_READ_BYTES)
    return connection
