"""Claims: criteria that hold a number of the simulator against the one that it should be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from meshsim.validation.section import Criterion

SEED = 1
"""Of the document."""
REPLICATIONS = 80
"""Independent runs from which a confidence interval is made."""
FAMILY = 128
"""Numbers of the whole validation in which chance has a part, rounded up; a test counts them."""
T_99, T_JOINT = 2.6395, 4.1677
"""Quantiles of Student's t with ``REPLICATIONS`` - 1 degrees of freedom, both ways: for an error of 1 % each, and of
1 % shared among all of ``FAMILY`` (Bonferroni's inequality)."""
NORMAL_99, NORMAL_JOINT = 2.5758, 3.9501
"""The same of the normal distribution."""
WIDEST = 0.03
"""A joint interval that is wider than this share of the theory, each way, holds too much to prove anything."""
LEAST_CHANCE = 0.001
"""So many numbers outside of their own 99 % interval, or more, are no chance if they were to be found so rarely."""


class Claim(Criterion, frozen=True):
    """One number held against the one that it should be, or against a bound."""

    expected: float = 0.0
    """What theory or a measurement says, or the bound; in ``unit``."""
    measured: float = 0.0
    """What the simulator came to, in ``unit``."""
    tolerance: float = 0.0
    """How far apart they may be, in ``unit``; 0 for a bound."""
    unit: str = ""
    comparison: Literal["within", "at least", "at most"] = "within"


def within(text: str, expected: float, measured: float, tolerance: float, unit: str = "") -> Claim:
    """Claim that ``measured`` differs from ``expected`` by at most ``tolerance``."""
    found = _compared(expected, measured, tolerance, unit)
    return Claim(text, found, abs(measured - expected) <= tolerance, 0, 0, expected, measured, tolerance, unit)


def at_least(text: str, bound: float, measured: float, unit: str = "") -> Claim:
    """Claim that ``measured`` reaches ``bound``."""
    found = f"{measured:g}{_of(unit)}, wanted at least {bound:g}{_of(unit)}"
    return Claim(text, found, measured >= bound, 0, 0, bound, measured, 0.0, unit, "at least")


def at_most(text: str, bound: float, measured: float, unit: str = "") -> Claim:
    """Claim that ``measured`` does not pass ``bound``."""
    found = f"{measured:g}{_of(unit)}, wanted at most {bound:g}{_of(unit)}"
    return Claim(text, found, measured <= bound, 0, 0, bound, measured, 0.0, unit, "at most")


def in_interval(text: str, theory: float, means: Sequence[float], unit: str = "", *, widest: float = WIDEST) -> Claim:
    """Claim that ``theory`` lies in the joint confidence interval of the mean of ``REPLICATIONS`` independent runs.

    A wide interval would hold anything: one wider than the share ``widest`` does not pass.
    """
    assert len(means) == REPLICATIONS, len(means)
    mean = math.fsum(means) / REPLICATIONS
    variance = math.fsum((one - mean) ** 2 for one in means) / (REPLICATIONS - 1)
    error = math.sqrt(variance / REPLICATIONS)
    narrow = T_JOINT * error <= widest * abs(theory)
    return _by_chance(text, theory, mean, error, unit, (T_99, T_JOINT), narrow)


def mean_in_interval(text: str, theory: float, measured: float, error: float, unit: str = "") -> Claim:
    """Claim that ``theory`` lies in the joint interval of a mean of many draws with a standard ``error``."""
    return _by_chance(text, theory, measured, error, unit, (NORMAL_99, NORMAL_JOINT), True)


def share_in_interval(text: str, share: float, hits: int, draws: int) -> Claim:
    """Claim that ``share`` is what was counted in independent ``draws``, to their joint interval; in percent."""
    error = 100 * math.sqrt(share * (1 - share) / draws)
    return mean_in_interval(text, 100 * share, 100 * hits / draws, error, "%")


def chance_of(outside: int, compared: int) -> float:
    """Return how probable it is that so many of the numbers, or more, lie outside of their own 99 % interval."""
    return 1 - sum(math.comb(compared, few) * 0.01**few * 0.99 ** (compared - few) for few in range(outside))


def _by_chance(
    text: str, theory: float, measured: float, error: float, unit: str, quantiles: tuple[float, float], narrow: bool
) -> Claim:
    own, joint = (quantile * error for quantile in quantiles)
    apart = abs(measured - theory)
    found = _compared(theory, measured, own, unit)
    if apart > own:
        times = f"{quantiles[1] / quantiles[0]:.2f} times that"
        found += f" (outside of its own 99 %; {f'jointly within {times}' if apart <= joint else f'and of {times}'})"
    if not narrow:
        found += " (an interval too wide to prove anything)"
    passed = apart <= joint and narrow
    return Claim(text, found, passed, 1, int(apart > own), theory, measured, joint, unit)


def _compared(expected: float, measured: float, tolerance: float, unit: str) -> str:
    places = 3 if tolerance <= 0 else max(0, 1 - math.floor(math.log10(tolerance)))
    shown = [f"{value:.{places}f}" for value in (measured, tolerance, expected)]
    return f"{shown[0]} ± {shown[1]}{_of(unit)}, wanted {shown[2]}{_of(unit)}"


def _of(unit: str) -> str:
    return f" {unit}" if unit else ""
