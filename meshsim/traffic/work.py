"""Work samplers: the CPU time of one request, in nanoseconds."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from meshsim.scenario.services import Work

_Z99 = 2.3263478740408408
"""The 99 % quantile of the standard normal distribution."""


def sampler(work: Work, random: Random) -> Callable[[], int]:
    """Return the function that draws the work of one request; each draw is rounded to nanoseconds at once."""
    uniform = random.random
    if work.constant_ns is not None:
        constant_ns = work.constant_ns
        return lambda: constant_ns
    if work.exponential_ns is not None:
        rate = 1 / work.exponential_ns
        log = math.log
        return lambda: round(-log(1.0 - uniform()) / rate)  # what random.expovariate does, without the call
    if work.uniform_ns is not None:
        low_ns, high_ns = work.uniform_ns
        return lambda: low_ns + round(uniform() * (high_ns - low_ns))
    assert work.lognormal is not None
    mu = math.log(work.lognormal.median_ns)
    sigma = (math.log(work.lognormal.p99_ns) - mu) / _Z99
    lognormvariate = random.lognormvariate
    return lambda: round(lognormvariate(mu, sigma))
