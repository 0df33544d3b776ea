"""Samplers of a link's extra one-way delay, in nanoseconds."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from meshsim.network.radio import quantile_ns
from meshsim.scenario.data_files import DelayQuantiles, DelaySamples
from meshsim.scenario.network import ExtraDelay

_Z99 = 2.3263478740408408
"""The 99 % quantile of the standard normal distribution."""


def delay_sampler(
    delay: ExtraDelay, measured: DelaySamples | DelayQuantiles | None, random: Random
) -> Callable[[], int]:
    """Return the function that draws the extra delay of one train; each draw is rounded to nanoseconds at once.

    ``measured`` is the content of the file that an empirical delay names: each of the samples is as likely as the
    others; between quantiles the distribution is linear, and flat outside them. What a normal distribution has below
    zero becomes zero.
    """
    uniform = random.random
    if delay.uniform_ns is not None:
        low_ns, high_ns = delay.uniform_ns
        return lambda: low_ns + round(uniform() * (high_ns - low_ns))
    if delay.normal is not None:
        mean_ns, deviation_ns = delay.normal.mean_ns, delay.normal.standard_deviation_ns
        normalvariate = random.normalvariate
        return lambda: max(0, round(normalvariate(mean_ns, deviation_ns)))
    if delay.lognormal is not None:
        mu = math.log(delay.lognormal.median_ns)
        sigma = (math.log(delay.lognormal.p99_ns) - mu) / _Z99
        lognormvariate = random.lognormvariate
        return lambda: round(lognormvariate(mu, sigma))
    if isinstance(measured, DelaySamples):
        delays_ns, count = measured.delays_ns, len(measured.delays_ns)
        return lambda: delays_ns[int(uniform() * count)]
    assert measured is not None, "an empirical delay has its file"
    points = measured.points
    return lambda: quantile_ns(points, uniform())
