"""How much of a process's CPU time libraries take: every call of theirs that does work, timed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


class CallTime:
    """The CPU time that a library has taken so far."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.spent_ns = 0
        self._calls = self._callbacks = 0

    def share(self, cpu_s: float) -> float:
        """Return the library's share of this CPU time, from both of which the timing's own part is taken off."""
        return shares(cpu_s, self)[0]

    def timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of the library's whose time is added."""

        def passed_on(*arguments: Any, **named: Any) -> Any:
            self._calls += 1
            began_ns = time.thread_time_ns()
            try:
                return call(*arguments, **named)
            finally:
                self.spent_ns += time.thread_time_ns() - began_ns

        return passed_on

    def taken_off(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that the library calls back, whose time is taken off again."""

        def passed_on(*arguments: Any) -> Any:
            self._callbacks += 1
            began_ns = time.thread_time_ns()
            try:
                return callback(*arguments)
            finally:
                self.spent_ns -= time.thread_time_ns() - began_ns

        return passed_on


def shares(cpu_s: float, *libraries: CallTime) -> list[float]:
    """Return the share of each library in CPU time in which all were timed, less what the timing itself took."""
    counted_ns, whole_ns = _timing_ns()
    timed = sum(each._calls + each._callbacks for each in libraries)
    all_ns = cpu_s * 1e9 - whole_ns * timed
    return [(each.spent_ns - counted_ns * (each._calls - each._callbacks)) / all_ns for each in libraries]


def _nothing() -> None:
    return None


def _timing_ns(rounds: int = 20_000) -> tuple[float, float]:
    """Return what timing a call adds to the time that is counted for it, and to that of the process."""
    known = CallTime()
    timed = known.timed(_nothing)
    began_ns = time.thread_time_ns()
    for _ in range(rounds):
        _nothing()
    bare_ns = time.thread_time_ns() - began_ns
    for _ in range(rounds):
        timed()
    all_ns = time.thread_time_ns() - began_ns - bare_ns
    return (known.spent_ns - bare_ns) / rounds, (all_ns - bare_ns) / rounds
