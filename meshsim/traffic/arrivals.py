"""Arrival processes: open loop, never slowed down by slow answers."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
from random import Random

_UHZ_NS = 1_000_000_000 * 1_000_000
"""Nanoseconds in a second times microhertz in a hertz."""


def poisson(rate_uhz: int, start_ns: int, stop_ns: int, random: Random) -> Iterator[int]:
    """Yield the instants of a Poisson process of ``rate_uhz`` from ``start_ns`` until before ``stop_ns``."""
    mean_ns = _UHZ_NS / rate_uhz
    per_ns = 1 / mean_ns
    uniform, log = random.random, math.log
    now_ns = start_ns
    while True:
        now_ns += round(-log(1.0 - uniform()) / per_ns)  # what random.expovariate does, without the call
        if now_ns >= stop_ns:
            return
        yield now_ns


def constant(rate_uhz: int, start_ns: int, stop_ns: int) -> Iterator[int]:
    """Yield evenly spaced instants, the first at ``start_ns``; no rounding error builds up."""
    count = 0
    now_ns = start_ns
    while now_ns < stop_ns:
        yield now_ns
        count += 1
        now_ns = start_ns + count * _UHZ_NS // rate_uhz


def recorded(times_ns: tuple[int, ...], start_ns: int, stop_ns: int) -> Iterator[int]:
    """Yield the recorded instants (ascending, from the start of the run) from ``start_ns`` until ``stop_ns``."""
    yield from times_ns[bisect_left(times_ns, start_ns) : bisect_left(times_ns, stop_ns)]
