"""Steps of a handshake and certificates, straight from OpenSSL.

pyOpenSSL's own calls come to the same, and take several times as long as what they pass on: for each one a buffer,
an exception for "no more bytes", a certificate that is written into a new memory BIO and read from it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from OpenSSL import SSL, crypto

from meshsim.sidecar.tls.certificates import read_certificate
from meshsim.sidecar.tls.records import MAX_RECORD_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.x509 import Certificate

# pyOpenSSL has no public calls for what is needed here, and no types.
_lib: Any = SSL._lib  # type: ignore[attr-defined] # there is no public name for it
_ffi: Any = SSL._ffi  # type: ignore[attr-defined] # there is no public name for it

READ_BYTES: Final = 1 << 18
MOST_KNOWN: Final = 1_024
"""Certificates that are known by their digest."""

_BUFFER: Final = _ffi.new("unsigned char[]", READ_BYTES)
_READ: Final = _ffi.buffer(_BUFFER)
"""The same, of which slices are bytes."""
_DIGEST_BYTES: Final = 32
_DIGEST: Final = _ffi.new("unsigned char[]", _DIGEST_BYTES)
_DIGEST_READ: Final = _ffi.buffer(_DIGEST)
_SIZE: Final = _ffi.new("unsigned int *")
_SHA256: Final = _lib.EVP_get_digestbyname(b"sha256")

_KNOWN: dict[bytes, Certificate] = {}
"""Certificates by the SHA-256 digest of what arrived."""
_CIPHER_NAMES: dict[Any, str] = {}
"""Names of cipher suites by OpenSSL's pointers to them."""


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
        opened: bytes = _READ[:size]
        return opened
    _check_waiting(connection, size)
    return b""


def read_message(connection: SSL.Connection) -> bytes:
    """Return all that can be opened of what has arrived. Raises ``SSL.Error``."""
    parts: list[bytes] = []
    place, filled = _BUFFER, 0
    while (size := _lib.SSL_read(connection._ssl, place, READ_BYTES - filled)) > 0:
        filled += size
        # A record is read whole, so most messages are over with the first.
        if not _lib.BIO_get_mem_data(connection._into_ssl, _ffi.NULL):
            break
        if filled > READ_BYTES - MAX_RECORD_BYTES:
            parts.append(_READ[:filled])
            filled = 0
        place = _BUFFER + filled
    else:
        _check_waiting(connection, size)
    opened: bytes = _READ[:filled]
    return b"".join([*parts, opened]) if parts else opened


def write_sealed(connection: SSL.Connection, data: bytes) -> None:
    """Seal bytes, as ``read_output`` then gives them. Raises ``SSL.Error``."""
    taken = _lib.SSL_write(connection._ssl, data, len(data))
    if taken != len(data):
        connection._raise_ssl_error(connection._ssl, taken)
        raise AssertionError(f"of {len(data)} bytes {taken} were sealed: a buffer in memory takes all")


def _check_waiting(connection: SSL.Connection, result: int) -> None:
    """Raise ``SSL.Error`` unless a call came to no end because more has to arrive."""
    helper = connection._context._ocsp_helper
    if helper is not None:
        helper.raise_if_problem()
    if _lib.SSL_get_error(connection._ssl, result) != _lib.SSL_ERROR_WANT_READ:
        connection._raise_ssl_error(connection._ssl, result)


def read_output(connection: SSL.Connection) -> bytes:
    """Take what a connection has to say to the other end."""
    size = _lib.BIO_read(connection._from_ssl, _BUFFER, READ_BYTES)
    output: bytes = _READ[: max(0, size)]
    while size == READ_BYTES:  # what is shorter than asked for was all
        size = _lib.BIO_read(connection._from_ssl, _BUFFER, READ_BYTES)
        output += _READ[: max(0, size)]
    return output


def give_input(connection: SSL.Connection, wire: bytes) -> None:
    """Give a connection what the other end has said."""
    taken = _lib.BIO_write(connection._into_ssl, wire, len(wire))
    assert taken == len(wire), "a buffer in memory takes all"


def cipher_name(connection: SSL.Connection) -> str:
    """Return the cipher suite that was agreed on."""
    cipher = _lib.SSL_get_current_cipher(connection._ssl)
    name = _CIPHER_NAMES.get(cipher)  # OpenSSL has one description of each, for good
    if name is None:
        name = _CIPHER_NAMES[cipher] = str(connection.get_cipher_name())
    return name


def path_of(store_context: Any, roots: Mapping[Any, Certificate]) -> list[Certificate]:
    """Return the certificates that OpenSSL has put together so far, the leaf first.

    ``roots`` are known by their pointers. Going through a path that has no flaw of OpenSSL's finding, it begins with
    the root: with one right below, that is all.
    """
    if _lib.X509_STORE_CTX_get_error_depth(store_context) == 1:
        root = roots.get(_lib.X509_STORE_CTX_get_current_cert(store_context))
        if root is not None:
            leaf = _lib.X509_STORE_CTX_get0_cert(store_context)
            return [_known(leaf) or _taken(_counted(leaf)), root]
    stack = _lib.X509_STORE_CTX_get1_chain(store_context)
    assert stack != _ffi.NULL, "a path has its leaf at least"
    raw = [_lib.sk_X509_value(stack, at) for at in range(_lib.sk_X509_num(stack))]
    _lib.sk_X509_free(stack)
    return [_taken(each) for each in raw]


def peer_certificate(connection: SSL.Connection) -> Certificate | None:
    """Return what the other end proved to be, if anything."""
    raw = _lib.SSL_get_peer_certificate(connection._ssl)
    return None if raw == _ffi.NULL else _taken(raw)


def _counted(raw: Any) -> Any:
    """Return a pointer to a certificate, counted once more."""
    _lib.X509_up_ref(raw)
    return raw


def _digest(raw: Any) -> bytes:
    done = _lib.X509_digest(raw, _SHA256, _DIGEST, _SIZE)
    assert done == 1 and _SIZE[0] == _DIGEST_BYTES
    digest: bytes = _DIGEST_READ[:]
    return digest


def _known(raw: Any) -> Certificate | None:
    """Return the certificate behind a pointer that stays OpenSSL's, if it has been seen before."""
    return _KNOWN.get(_digest(raw))


def _taken(raw: Any) -> Certificate:
    """Return the certificate behind a pointer that has been counted once more for us, and give that back."""
    digest = _digest(raw)
    certificate = _KNOWN.get(digest)
    if certificate is not None:
        _lib.X509_free(raw)
        return certificate
    wrapped = crypto.X509._from_raw_x509_ptr(raw)  # gives it back when it is gone
    if len(_KNOWN) >= MOST_KNOWN:
        _KNOWN.clear()
    certificate = _KNOWN[digest] = read_certificate(crypto.dump_certificate(crypto.FILETYPE_ASN1, wrapped))
    return certificate
