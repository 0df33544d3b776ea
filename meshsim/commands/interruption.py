"""Interruption by a signal: Ctrl-C, a termination request, a closed terminal."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """The user or the system asked the command to stop. Everything unwinds, so that nothing half done stays behind."""


class Interruption:
    """Whether a signal came. The first one raises Interrupted; later ones wait for the unwinding that it began.

    OpenSSL's callbacks swallow what is raised in them and go on as if refused. So ``check`` raises again, and whatever
    else goes wrong once ``came`` is true is a consequence of the interruption.
    """

    def __init__(self) -> None:
        self.came = False

    def check(self) -> None:
        """Raise Interrupted if a signal came."""
        if self.came:
            raise Interrupted

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Raise Interrupted on a signal until the end of the block. Signals that are ignored now stay so (nohup)."""
        self.came = False
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may set handlers; whoever runs a command elsewhere keeps their own
            return
        before = {number: signal.getsignal(number) for number in SIGNALS}
        watched = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
        hook = sys.unraisablehook
        sys.unraisablehook = lambda unraisable: None if unraisable.exc_type is Interrupted else hook(unraisable)
        for number in watched:
            signal.signal(number, self._on_signal)
        try:
            yield
        finally:
            sys.unraisablehook = hook
            for number, handler in watched.items():
                signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if not self.came:
            self.came = True
            raise Interrupted


def ignore_signals() -> None:
    """For the last moments of a process, whose exit code is decided."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


INTERRUPTION = Interruption()
"""Of this process."""
