"""Two runs held against each other, figure by figure. A is what was, B is what is to be judged.

Latencies, failures, retries, full handshakes and costs are better when smaller; shares of success are better when
larger. What is neither, such as how many requests were sent or denied, may change without a judgement: only the
scenario's expectations know what is right. What was measured in A and is missing in B makes the comparison
inconclusive: skipped is not passed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, Literal

import msgspec

PPM = 1_000_000

LESS, MORE = -1, 1
"""Which way is better."""

DIRECTIONS: dict[str, int] = {
    "success_rate": MORE,
    "within_budget": MORE,
    "radio_within_budget": MORE,
    "packet_error_rate": LESS,
    "latency_mean_ns": LESS,
    "latency_p50_ns": LESS,
    "latency_p95_ns": LESS,
    "latency_p99_ns": LESS,
    "latency_p999_ns": LESS,
    "latency_max_ns": LESS,
    "call_p50_ns": LESS,
    "call_p99_ns": LESS,
    "timeouts": LESS,
    "failures": LESS,
    "retries": LESS,
    "handshakes_full": LESS,
    "handshakes_broken": LESS,
    "handshake_bytes": LESS,
    "handshake_cpu_ns": LESS,
    "calls_in_plaintext": LESS,
    "oom_kills": LESS,
}
"""Figures that have a better and a worse. All others are told apart only."""

SETTINGS = frozenset({"budget_ns", "sst", "sd", "five_qi", "duration_ns"})
"""Keys among the figures that come from the scenario and measure nothing."""

Judgement = Literal["worse", "gone", "better", "within", "changed", "new"]
JUDGEMENTS: tuple[Judgement, ...] = ("worse", "gone", "better", "within", "changed", "new")
"""In the order in which they are told."""

Figure = int | float | str | None
Place = tuple[str, str, str]
"""Scope (total, slice, service, expectation), name of what is measured, and figure."""


class Difference(msgspec.Struct, frozen=True):
    """One figure that is not the same in both runs."""

    scope: str
    """total, slice, service or expectation."""
    name: str
    """Slice, service or expectation; empty for totals."""
    metric: str
    """Key in the summary."""
    a: Figure
    b: Figure
    change: float | None
    """(B - A) / A; None where A is 0 or either is no number."""
    verdict: Judgement


class Comparison(msgspec.Struct, frozen=True):
    """What came of it."""

    compared: int
    """Figures that both runs have."""
    differences: list[Difference]
    """The worst first."""

    @property
    def verdict(self) -> Literal["regression", "inconclusive", "no regression", "no difference"]:
        """The whole in one word."""
        found = {difference.verdict for difference in self.differences}
        if "worse" in found:
            return "regression"
        if "gone" in found or not self.compared:
            return "inconclusive"
        return "no regression" if found else "no difference"


def compare_summaries(a: Mapping[str, Any], b: Mapping[str, Any], tolerance_ppm: int) -> Comparison:
    """Compare the contents of two ``summary.json``; a figure may get worse by ``tolerance_ppm`` of what it is in A."""
    before, after = dict(_figures(a)), dict(_figures(b))
    differences = [
        Difference(*place, before.get(place), after.get(place), *_judge(place, before, after, tolerance_ppm))
        for place in [*before, *(place for place in after if place not in before)]
        if before.get(place) != after.get(place)
    ]
    differences.sort(key=lambda difference: JUDGEMENTS.index(difference.verdict))
    return Comparison(len(before.keys() & after.keys()), differences)


def _figures(summary: Mapping[str, Any]) -> Iterator[tuple[Place, Figure]]:
    """Every figure of a summary that can be compared, by its place; those that could not be measured are left out."""
    # What every slice has for itself would only be told twice.
    of_slices = {metric for figures in summary["slices"].values() for metric in figures}
    totals = {metric: value for metric, value in summary["totals"].items() if metric not in of_slices}
    groups = [("total", "", totals)]
    groups += [("slice", name, summary["slices"][name]) for name in sorted(summary["slices"])]
    groups += [("service", name, summary["services"][name]) for name in sorted(summary["services"])]
    for scope, name, figures in groups:
        for metric in sorted(figures):
            value = figures[metric]
            if isinstance(value, int | float) and metric not in SETTINGS:
                yield (scope, name, metric), value
    for verdict in summary["expectations"]:
        yield ("expectation", verdict["expectation"], "verdict"), verdict["verdict"]


def _judge(
    place: Place, before: Mapping[Place, Figure], after: Mapping[Place, Figure], tolerance_ppm: int
) -> tuple[float | None, Judgement]:
    """Relative change and judgement of a figure that differs."""
    if place not in after:
        return None, "gone"
    if place not in before:
        return None, "new"
    a, b = before[place], after[place]
    if not (isinstance(a, int | float) and isinstance(b, int | float)):
        return None, _judge_verdicts(str(a), str(b))
    old, new = Fraction(str(a)), Fraction(str(b))
    change = round(float((new - old) / old), 6) if old else None
    direction = DIRECTIONS.get(place[2])
    if direction is None:
        return change, "changed"
    if (new - old) * direction > 0:
        return change, "better"
    return change, "within" if abs(new - old) * PPM <= abs(old) * tolerance_ppm else "worse"


def _judge_verdicts(a: str, b: str) -> Judgement:
    if b == "fail":
        return "worse"
    if b == "inconclusive":
        return "gone" if a == "pass" else "changed"
    return "better"
