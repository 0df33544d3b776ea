"""Published quantiles that lie where one timer puts them: together they tell that timer to a few milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from meshsim.validation.claims import Claim, at_most

MODES = (
    # What was lost, how much later than two round trips that is, and by how much the model may be off.
    ("a ClientHello or a flight", 150.0, 330.0, 3.0),
    ("a SYN or SYN-ACK", 950.0, 1_100.0, 8.0),
)


def lateness(quantiles: Sequence[tuple[float, float]]) -> tuple[Claim, ...]:
    """Claim that the model is as late as what was measured; of each quantile how late that is, and the model beyond."""
    claims = []
    for what, least_ms, most_ms, bound_ms in MODES:
        apart_ms = [apart for late, apart in quantiles if least_ms < late < most_ms]
        text = f"Where {what} was lost: the median of what the model is beyond {len(apart_ms)} published quantiles"
        claims.append(at_most(text, bound_ms, round(abs(median(apart_ms)), 2), "ms off"))
    return tuple(claims)
