"""How much of a process's CPU time OpenSSL takes: every call of it that does work, timed.

Calls into OpenSSL go through one object, ``OpenSSL.SSL._lib``. While it is measured another stands in its place, which
times what it passes on, less the time in which OpenSSL calls back into Python.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from OpenSSL import SSL, crypto

from meshsim.sidecar.tls import openssl, openssl_bytes, openssl_engine, openssl_sessions

_MODULES: tuple[Any, ...] = (SSL, crypto, openssl, openssl_bytes, openssl_engine, openssl_sessions)
_WORKING = (
    *("SSL_new", "SSL_free", "X509_digest", "X509_STORE_CTX_get1_chain"),
    *("SSL_do_handshake", "SSL_read", "SSL_write", "SSL_use_certificate", "SSL_use_PrivateKey"),
    *("SSL_set_session", "SSL_CTX_new", "BIO_new", "BIO_read", "BIO_write", "BIO_new_mem_buf"),
    *("d2i_X509_bio", "i2d_X509_bio", "d2i_PrivateKey_bio", "d2i_SSL_SESSION", "i2d_SSL_SESSION"),
)
"""What does more than hand out a pointer or a number."""


class OpenSslTime:
    """The CPU time that OpenSSL has taken so far."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.spent_ns = 0
        self._calls = self._callbacks = 0

    def share(self, cpu_s: float) -> float:
        """Return OpenSSL's share of this CPU time, from both of which the timing's own part is taken off."""
        counted_ns, whole_ns = _timing_ns()
        spent_ns = self.spent_ns - counted_ns * (self._calls - self._callbacks)
        return spent_ns / (cpu_s * 1e9 - whole_ns * (self._calls + self._callbacks))

    def timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of OpenSSL's whose time is added."""

        def passed_on(*arguments: Any) -> Any:
            self._calls += 1
            began_ns = time.thread_time_ns()
            try:
                return call(*arguments)
            finally:
                self.spent_ns += time.thread_time_ns() - began_ns

        return passed_on

    def taken_off(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that OpenSSL calls back, whose time is taken off again."""

        def passed_on(*arguments: Any) -> Any:
            self._callbacks += 1
            began_ns = time.thread_time_ns()
            try:
                return callback(*arguments)
            finally:
                self.spent_ns -= time.thread_time_ns() - began_ns

        return passed_on


def _nothing() -> None:
    return None


def _timing_ns(rounds: int = 20_000) -> tuple[float, float]:
    """Return what timing a call adds to the time that is counted for it, and to that of the process."""
    known = OpenSslTime()
    timed = known.timed(_nothing)
    began_ns = time.thread_time_ns()
    for _ in range(rounds):
        _nothing()
    bare_ns = time.thread_time_ns() - began_ns
    for _ in range(rounds):
        timed()
    all_ns = time.thread_time_ns() - began_ns - bare_ns
    return (known.spent_ns - bare_ns) / rounds, (all_ns - bare_ns) / rounds


class _Lib:
    """OpenSSL's functions, those that work timed."""

    def __init__(self, lib: Any, known: OpenSslTime) -> None:
        self._lib = lib
        for name in _WORKING:
            setattr(self, name, known.timed(getattr(lib, name)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lib, name)


class _Ffi:
    """What makes functions of Python's known to OpenSSL: their time is taken off."""

    def __init__(self, ffi: Any, known: OpenSslTime) -> None:
        self._ffi, self._known = ffi, known

    def callback(self, kind: str, function: Callable[..., Any]) -> Any:
        """Return what OpenSSL can call back."""
        return self._ffi.callback(kind, self._known.taken_off(function))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ffi, name)


@contextmanager
def openssl_timed() -> Iterator[OpenSslTime]:
    """Time what OpenSSL does for engines that are made from now on."""
    known = OpenSslTime()
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
