"""The stopwatch and the shape of a probe."""

from __future__ import annotations

import time
from collections.abc import Callable

Round = dict[str, int]
"""Raw CPU times (ns) of one pass, by name."""
Probe = Callable[[], Round]


class Stopwatch:
    """CPU time of this thread between calls, less what the calls themselves take."""

    def __init__(self) -> None:
        self._overhead_ns = 0
        self._overhead_ns = min(self._nothing() for _ in range(1_000))
        self._started_ns = 0

    def start(self) -> None:
        """Begin an interval."""
        self._started_ns = time.thread_time_ns()

    def lap(self) -> int:
        """Nanoseconds since the last ``start``."""
        return time.thread_time_ns() - self._started_ns - self._overhead_ns

    def _nothing(self) -> int:
        self.start()
        return self.lap()


def call(watch: Stopwatch, name: str, function: Callable[[], object]) -> Probe:
    """A probe that times one call of ``function`` under ``name``."""

    def probe() -> Round:
        watch.start()
        function()
        return {name: watch.lap()}

    return probe
