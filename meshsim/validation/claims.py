"""Claims: criteria that hold a number of the simulator against the one that it should be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from meshsim.validation.section import Criterion

SEED = 1
"""Of the document."""
REPLICATIONS = 30
"""Independent runs from which a confidence interval is made."""
T_99 = 2.7564
"""Quantile 0.995 of Student's t with ``REPLICATIONS`` - 1 degrees of freedom."""
NORMAL_99 = 2.5758
"""Quantile 0.995 of the normal distribution."""
WIDEST = 0.03
"""A confidence interval that is wider than this share of the theory, each way, holds too much to prove anything."""


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
    by_chance: bool = False
    """Whether the tolerance is a 99 % confidence interval, which one true claim in a hundred misses."""


def within(
    text: str, expected: float, measured: float, tolerance: float, unit: str = "", *, by_chance: bool = False
) -> Claim:
    """Claim that ``measured`` differs from ``expected`` by at most ``tolerance``."""
    passed = abs(measured - expected) <= tolerance
    return _claim(text, expected, measured, tolerance, unit, passed, by_chance)


def at_least(text: str, bound: float, measured: float, unit: str = "") -> Claim:
    """Claim that ``measured`` reaches ``bound``."""
    found = f"{measured:g}{_of(unit)}, wanted at least {bound:g}{_of(unit)}"
    return Claim(text, found, measured >= bound, bound, measured, 0.0, unit, "at least")


def at_most(text: str, bound: float, measured: float, unit: str = "") -> Claim:
    """Claim that ``measured`` does not pass ``bound``."""
    found = f"{measured:g}{_of(unit)}, wanted at most {bound:g}{_of(unit)}"
    return Claim(text, found, measured <= bound, bound, measured, 0.0, unit, "at most")


def in_interval(text: str, theory: float, means: Sequence[float], unit: str = "", *, widest: float = WIDEST) -> Claim:
    """Claim that ``theory`` lies in the 99 % confidence interval of the mean of ``REPLICATIONS`` independent runs.

    A wide interval would hold anything: one wider than the share ``widest`` does not pass.
    """
    assert len(means) == REPLICATIONS, len(means)
    mean = math.fsum(means) / REPLICATIONS
    variance = math.fsum((one - mean) ** 2 for one in means) / (REPLICATIONS - 1)
    half = T_99 * math.sqrt(variance / REPLICATIONS)
    return _claim(text, theory, mean, half, unit, abs(mean - theory) <= half <= widest * abs(theory), True)


def share_in_interval(text: str, share: float, hits: int, draws: int) -> Claim:
    """Claim that ``share`` is what was counted in independent ``draws``, as 99 % of such counts are; in percent."""
    half = NORMAL_99 * math.sqrt(share * (1 - share) / draws)
    return within(text, 100 * share, 100 * hits / draws, 100 * half, "%", by_chance=True)


def _claim(
    text: str, expected: float, measured: float, tolerance: float, unit: str, passed: bool, by_chance: bool
) -> Claim:
    places = 3 if tolerance <= 0 else max(0, 1 - math.floor(math.log10(tolerance)))
    shown = [f"{value:.{places}f}" for value in (measured, tolerance, expected)]
    found = f"{shown[0]} ± {shown[1]}{_of(unit)}, wanted {shown[2]}{_of(unit)}"
    return Claim(text, found, passed, expected, measured, tolerance, unit, "within", by_chance)


def _of(unit: str) -> str:
    return f" {unit}" if unit else ""
