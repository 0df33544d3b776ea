"""How much of a process's CPU time OpenSSL takes: every call of it that does work, timed.

Calls into OpenSSL go through one object, ``OpenSSL.SSL._lib``. While it is measured another stands in its place, which
times what it passes on, less the time in which OpenSSL calls back into Python.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from OpenSSL import SSL, crypto

from meshsim.bench.call_time import CallTime
from meshsim.sidecar.tls import openssl, openssl_bytes, openssl_engine, openssl_sessions

_MODULES: tuple[Any, ...] = (SSL, crypto, openssl, openssl_bytes, openssl_engine, openssl_sessions)
_WORKING = (
    *("SSL_new", "SSL_free", "X509_digest", "X509_STORE_CTX_get1_chain"),
    *("SSL_do_handshake", "SSL_read", "SSL_write", "SSL_use_certificate", "SSL_use_PrivateKey"),
    *("SSL_set_session", "SSL_CTX_new", "BIO_new", "BIO_read", "BIO_write", "BIO_new_mem_buf"),
    *("d2i_X509_bio", "i2d_X509_bio", "d2i_PrivateKey_bio", "d2i_SSL_SESSION", "i2d_SSL_SESSION"),
)
"""What does more than hand out a pointer or a number."""


class _Lib:
    """OpenSSL's functions, those that work timed."""

    def __init__(self, lib: Any, known: CallTime) -> None:
        self._lib = lib
        for name in _WORKING:
            setattr(self, name, known.timed(getattr(lib, name)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lib, name)


class _Ffi:
    """What makes functions of Python's known to OpenSSL: their time is taken off."""

    def __init__(self, ffi: Any, known: CallTime) -> None:
        self._ffi, self._known = ffi, known

    def callback(self, kind: str, function: Callable[..., Any]) -> Any:
        """Return what OpenSSL can call back."""
        return self._ffi.callback(kind, self._known.taken_off(function))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ffi, name)


@contextmanager
def openssl_timed() -> Iterator[CallTime]:
    """Time what OpenSSL does for engines that are made from now on."""
    known = CallTime()
    before = [module._lib for module in _MODULES]
    ffi = openssl_engine._ffi
    for module in _MODULES:
        module._lib = _Lib(module._lib, known)
    openssl_engine._ffi = _Ffi(ffi, known)
    try:
        yield known
    finally:
        openssl_engine._ffi = ffi
        for module, lib in zip(_MODULES, before, strict=True):
            module._lib = lib
