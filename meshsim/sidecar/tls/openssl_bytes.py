"""Steps of a handshake and certificates, straight from OpenSSL.

pyOpenSSL's own calls come to the same, and take several times as long as what they pass on: for each one a buffer,
an exception for "no more bytes", a certificate that is written into a new memory BIO and read from it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from OpenSSL import SSL, crypto

from meshsim.sidecar.tls.certificates import read_certificate

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

# pyOpenSSL has no public calls for what is needed here, and no types.
_lib: Any = SSL._lib  # type: ignore[attr-defined] # there is no public name for it
_ffi: Any = SSL._ffi  # type: ignore[attr-defined] # there is no public name for it

READ_BYTES: Final = 1 << 16
MOST_KNOWN: Final = 1_024
"""Certificates that are known by their digest."""

_BUFFER: Final = _ffi.new("unsigned char[]", READ_BYTES)
_DIGEST_BYTES: Final = 32
_DIGEST: Final = _ffi.new("unsigned char[]", _DIGEST_BYTES)
_SIZE: Final = _ffi.new("unsigned int *")
_SHA256: Final = _lib.EVP_get_digestbyname(b"sha256")

_KNOWN: dict[bytes, Certificate] = {}
"""Certificates by the SHA-256 digest of what arrived."""


def shake_hands(connection: SSL.Connection) -> bool:
    """Go on with a handshake; say whether it is over, or more has to arrive. Raises ``SSL.Error``."""
    result = _lib.SSL_do_handshake(connection._ssl)
    if result != 1:
        _check_waiting(connection, result)
    return bool(result == 1)


def read_opened(connection: SSL.Connection, most: int = READ_BYTES) -> bytes:
    """Return what has been opened, as many bytes at most; none if more has to arrive. Raises ``SSL.Error``."""
    size = _lib.SSL_read(connection._ssl, _BUFFER, most)
    if size > 0:
        return bytes(_ffi.buffer(_BUFFER, size))
    _check_waiting(connection, size)
    return b""


def _check_waiting(connection: SSL.Connection, result: int) -> None:
    """Raise ``SSL.Error`` unless a call came to no end because more has to arrive."""
    helper = connection._context._ocsp_helper
    if helper is not None:
        helper.raise_if_problem()
    if _lib.SSL_get_error(connection._ssl, result) != _lib.SSL_ERROR_WANT_READ:
        connection._raise_ssl_error(connection._ssl, result)


def read_output(connection: SSL.Connection) -> bytes:
    """Take what a connection has to say to the other end."""
    parts: list[bytes] = []
    size = READ_BYTES
    while size == READ_BYTES:  # what is shorter than asked for was all
        size = _lib.BIO_read(connection._from_ssl, _BUFFER, READ_BYTES)
        if size > 0:
            parts.append(bytes(_ffi.buffer(_BUFFER, size)))
    return parts[0] if len(parts) == 1 else b"".join(parts)


def give_input(connection: SSL.Connection, wire: bytes) -> None:
    """Give a connection what the other end has said."""
    taken = _lib.BIO_write(connection._into_ssl, wire, len(wire))
    assert taken == len(wire), "a buffer in memory takes all"


def path_of(store_context: Any) -> list[Certificate]:
    """Return the certificates that OpenSSL has put together so far, the leaf first."""
    stack = _lib.X509_STORE_CTX_get1_chain(store_context)
    assert stack != _ffi.NULL, "a path has its leaf at least"
    raw = [_lib.sk_X509_value(stack, at) for at in range(_lib.sk_X509_num(stack))]
    _lib.sk_X509_free(stack)
    return [_taken(each) for each in raw]


def peer_certificate(connection: SSL.Connection) -> Certificate | None:
    """Return what the other end proved to be, if anything."""
    raw = _lib.SSL_get_peer_certificate(connection._ssl)
    return None if raw == _ffi.NULL else _taken(raw)


def _taken(raw: Any) -> Certificate:
    """Return the certificate behind a pointer that has been counted once more for us, and give that back."""
    done = _lib.X509_digest(raw, _SHA256, _DIGEST, _SIZE)
    assert done == 1 and _SIZE[0] == _DIGEST_BYTES
    digest = bytes(_ffi.buffer(_DIGEST))
    certificate = _KNOWN.get(digest)
    if certificate is not None:
        _lib.X509_free(raw)
        return certificate
    wrapped = crypto.X509._from_raw_x509_ptr(raw)  # gives it back when it is gone
    if len(_KNOWN) >= MOST_KNOWN:
        _KNOWN.clear()
    certificate = _KNOWN[digest] = read_certificate(crypto.dump_certificate(crypto.FILETYPE_ASN1, wrapped))
    return certificate
