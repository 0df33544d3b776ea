"""Closed forms of the radio models, and what it takes to hold a model against them: nothing that the models use."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

from meshsim.network.radio import DOWNLINK, UPLINK, RadioModel


def mean_wait_ns(begins_ns: Sequence[int], period_ns: int) -> float:
    """Mean wait for the next of the instants ``begins_ns``, which repeat every ``period_ns``, from a uniform instant.

    Of gaps g between them: an arrival falls into a gap with probability g / period and waits half of it in the mean,
    hence the sum of g squared over twice the period (the residual life of a renewal process).
    """
    gaps_ns = [later - earlier for earlier, later in itertools.pairwise((*begins_ns, begins_ns[0] + period_ns))]
    return sum(gap_ns * gap_ns for gap_ns in gaps_ns) / (2 * period_ns)


def failures_share(error_rate: float, failures: int) -> float:
    """Probability that a transmission fails exactly so often before it gets through: the geometric law."""
    return error_rate**failures * (1 - error_rate)


def mean_repetition_ns(error_rate: float, retransmissions: int, round_trip_ns: int, recovery_ns: int) -> float:
    """Mean delay by HARQ and RLC where every slot serves: of e failures in the mean, those that end a round go to RLC.

    A round is one transmission and ``retransmissions`` repetitions, each ``round_trip_ns`` after the one before. One
    that fails as a whole costs ``recovery_ns`` from its last transmission to the next round's first.
    """
    failures = error_rate / (1 - error_rate)
    whole_round = error_rate ** (retransmissions + 1)
    rounds = whole_round / (1 - whole_round)
    return (failures - rounds) * round_trip_ns + rounds * recovery_ns


def mean_and_margin_ns(draws_ns: Sequence[int]) -> tuple[float, float]:
    """Sample mean, and the half width of its 99 % confidence interval (normal: for thousands of independent draws)."""
    size = len(draws_ns)
    mean_ns = sum(draws_ns) / size
    variance = sum((draw_ns - mean_ns) ** 2 for draw_ns in draws_ns) / (size - 1)
    return mean_ns, 2.5758293035489 * math.sqrt(variance / size)


def ping_ns(model: RadioModel, now_ns: int) -> int:
    """How long a ping sent now takes: the answer meets the radio as it is when the ping has come up."""
    uplink_ns = model.delay_ns(UPLINK, now_ns)
    return uplink_ns + model.delay_ns(DOWNLINK, now_ns + uplink_ns)


def weighted_quantile_ns(weighted: Iterable[tuple[int, int]], share: float) -> int:
    """The smallest value of (value, weight) pairs at or below which at least ``share`` of the weight lies."""
    ordered = sorted(weighted)
    total = sum(weight for _, weight in ordered)
    reached = 0
    for value_ns, weight in ordered:
        reached += weight
        if reached >= share * total:
            return value_ns
    return ordered[-1][0]


def trace_samples(times_ns: Sequence[int], round_trips_ns: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Round trips of a trace, each with how long it held; the last one as long as the one before it."""
    lasted_ns = [later - earlier for earlier, later in itertools.pairwise(times_ns)]
    return tuple(zip(round_trips_ns, (*lasted_ns, lasted_ns[-1]), strict=True))
