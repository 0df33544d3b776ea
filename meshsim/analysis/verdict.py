"""Expectations compared with what happened: pass, fail, or inconclusive when there was nothing to measure."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import assert_never

import msgspec
import numpy as np

from meshsim.analysis.certificate_metrics import TABLES as OF_CERTIFICATES
from meshsim.analysis.change_figures import changes
from meshsim.analysis.data import RunData
from meshsim.analysis.decision_figures import DECISIONS
from meshsim.analysis.failing import failing_after
from meshsim.analysis.federation_metrics import BUNDLES
from meshsim.analysis.metrics import METRICS
from meshsim.analysis.never import culprits
from meshsim.analysis.node_metrics import TABLE as NODES
from meshsim.analysis.numbers import show, show_duration, show_share, to_json
from meshsim.analysis.radio_metrics import TABLE as RADIO
from meshsim.analysis.radio_metrics import within
from meshsim.analysis.revocation_figures import revocations, value_of
from meshsim.analysis.selection import NS_PER_S, Kind, Selected, Selection, Value, share
from meshsim.scenario.bounds import CountBound, DurationBound, RateBound, ShareBound
from meshsim.scenario.expectations import (
    Convergence,
    ConvergenceExpectation,
    Expectation,
    Failure,
    FailureExpectation,
    Never,
    NeverExpectation,
    RecoveryExpectation,
    RevocationExpectation,
    Revocations,
)
from meshsim.scenario.metric_expectations import MetricExpectation

EXIT_PASSED, EXIT_FAILED, EXIT_INCONCLUSIVE = 0, 1, 3
"""Exit codes of the public contract."""

_BASE_UNITS: dict[Kind, Fraction] = {
    "duration": Fraction(1),
    "count": Fraction(1),
    "size": Fraction(1),
    "share": Fraction(1, 1_000_000),  # a scenario holds parts per million
    "rate": Fraction(1, 1_000_000),  # and microhertz
}

_STANDS_WITHOUT_REQUESTS = frozenset({"requests", "requests_per_s"})
"""Metrics for which a selection without requests is an answer and not the lack of one."""

NEARLY_ALL = Fraction(99, 100)
"""A verdict on latency says of how many requests it speaks when fewer than this share were answered."""

Bound = DurationBound | ShareBound | RateBound | CountBound


class Verdict(msgspec.Struct, frozen=True):
    """What became of one expectation. One that bounds several metrics gives one verdict for each."""

    expectation: str
    """The expectation in one line."""
    passed: bool | None
    """None: inconclusive, there was nothing to measure."""
    measured: str
    """What was measured, for people."""
    value: int | float | None
    """What was measured: ns, a share from 0 to 1, a rate per second, or a count."""
    reason: str
    """Why it failed or is inconclusive, or more about how it passed; may be empty."""

    @property
    def word(self) -> str:
        """pass, fail or inconclusive."""
        return "inconclusive" if self.passed is None else "pass" if self.passed else "fail"


def evaluate(run: RunData, expectations: Sequence[Expectation] | None = None) -> list[Verdict]:
    """The verdicts on ``expectations``, by default on those of the run's own scenario, in order.

    Raises KeyError if one names a phase or fault that the scenario does not have.
    """
    verdicts: list[Verdict] = []
    for expectation in run.scenario.expect if expectations is None else expectations:
        if isinstance(expectation, MetricExpectation):
            verdicts += _on_metrics(run, expectation)
        elif isinstance(expectation, RecoveryExpectation):
            verdicts.append(_on_recovery(run, expectation))
        elif isinstance(expectation, ConvergenceExpectation):
            verdicts.append(_on_convergence(run, expectation.converges))
        elif isinstance(expectation, FailureExpectation):
            verdicts += _on_failure(run, expectation.fails)
        elif isinstance(expectation, RevocationExpectation):
            verdicts += _on_revocation(run, expectation.revokes)
        elif isinstance(expectation, NeverExpectation):
            verdicts.append(_on_never(run, expectation.never))
        else:
            assert_never(expectation)
    return verdicts


def exit_code(verdicts: Sequence[Verdict]) -> int:
    """0 if all passed (or there are none), 1 if any failed, else 3: inconclusive is not passed."""
    if any(verdict.passed is False for verdict in verdicts):
        return EXIT_FAILED
    return EXIT_INCONCLUSIVE if any(verdict.passed is None for verdict in verdicts) else EXIT_PASSED


def _on_metrics(run: RunData, expectation: MetricExpectation) -> list[Verdict]:
    selection = Selection(expectation.slice, expectation.service, expectation.source, expectation.during)
    rows = Selected(run, selection)
    verdicts = []
    for name, bound in expectation.metrics().items():
        metric = METRICS[name]
        text = f"{name} {_bound_text(bound, metric.kind)}{_selection_text(selection)}"
        value = metric.compute(rows)
        of_no_requests = (RADIO, NODES, DECISIONS, BUNDLES, *OF_CERTIFICATES)
        without_requests = name in _STANDS_WITHOUT_REQUESTS or metric.table in of_no_requests
        if value is None or not (without_requests or rows.requests.number):
            why = f"no {_lacking(rows, metric.table)} to measure it by"
            verdicts.append(Verdict(text, None, show(None, metric.kind), None, why))
            continue
        passed = _holds(value, bound, metric.kind)
        measured = show(value, metric.kind)
        reason = _caution(rows) if metric.kind == "duration" and metric.table == "requests" else ""
        verdicts.append(Verdict(text, passed, measured, to_json(value, metric.kind), reason))
    return verdicts


def _lacking(rows: Selected, table: str) -> str:
    """What there would have to be for a metric of this table."""
    if table == RADIO:
        return "packets that anything is promised" if within(rows) is not None else "packets by radio"
    if table == BUNDLES:
        return "new bundles"
    if table == NODES:
        return "samples of nodes"
    if table in OF_CERTIFICATES:
        return "certificates"
    if not rows.requests.number:
        return "requests"
    return "handshakes" if table == "handshakes" else "answered requests"


def _caution(rows: Selected) -> str:
    """What share of the requests a latency speaks of, where it is not nearly all: those that failed have none."""
    answered = share(rows.requests.answered, rows.requests.number)
    return "" if answered is None or answered >= NEARLY_ALL else f"of the {show_share(answered)} that were answered"


def _on_recovery(run: RunData, expectation: RecoveryExpectation) -> Verdict:
    wanted = expectation.recovers
    ended_ns = run.fault_windows[wanted.after].to_ns
    began_ns = run.fault_windows[wanted.after].from_ns
    text = (
        f"success_rate {_bound_text(wanted.success_rate, 'share')} within {show_duration(wanted.within_ns)} "
        f"after {wanted.after}{_selection_text(Selection(slice=wanted.slice))}"
    )
    later = [at.from_ns for name, at in run.fault_windows.items() if at.from_ns >= began_ns and name != wanted.after]
    until_ns = min([run.duration_ns, *later])
    from_ns = ended_ns + wanted.within_ns
    if from_ns >= until_ns:
        why = "the next fault begins" if later and until_ns == min(later) else "the run ends"
        return Verdict(text, None, show(None, "share"), None, f"{why} before it could be seen")
    seconds = _rate_per_second(run, wanted.slice, from_ns, until_ns)
    if not seconds:
        return Verdict(text, None, show(None, "share"), None, "no requests to measure it by")
    bad = [(at_ns, rate) for at_ns, rate in seconds if not _holds(rate, wanted.success_rate, "share")]
    at_ns, worst = min(bad or seconds, key=lambda second: (second[1], second[0]))
    if bad:
        reason = f"{len(bad)} of {len(seconds)} seconds miss it, the worst is the one from {_at(at_ns)}"
    elif all(rate == worst for _, rate in seconds):
        reason = f"in each of {len(seconds)} seconds"
    else:
        reason = f"the lowest of {len(seconds)} seconds, from {_at(at_ns)}"
    return Verdict(text, not bad, show(worst, "share"), to_json(worst, "share"), reason)


def _on_convergence(run: RunData, wanted: Convergence) -> Verdict:
    text = f"every proxy within {show_duration(wanted.within_ns)} after {wanted.after}"
    found = next((change for change in changes(run) if change["change"] == wanted.after), None)
    if found is None:
        return Verdict(text, None, show(None, "duration"), None, "the run ended before it came")
    after_ns = found["converged_after_ns"]
    if after_ns is None:
        why = (
            "it was rolled back" if found["rolled_back"] else f"{found['acked']} of {found['proxies']} proxies took it"
        )
        return Verdict(text, False, show(None, "duration"), None, why)
    return Verdict(text, after_ns <= wanted.within_ns, show(after_ns, "duration"), after_ns, "")


def _on_failure(run: RunData, wanted: Failure) -> list[Verdict]:
    selection = Selection(wanted.slice, wanted.service, wanted.source)
    found = failing_after(run, wanted.after, selection)
    verdicts = []
    for what, bound, value_ns in (("first", wanted.first, found.first_ns), ("total", wanted.total, found.total_ns)):
        if bound is None:
            continue
        text = f"{what} failure {_bound_text(bound, 'duration')} after {wanted.after}{_selection_text(selection)}"
        if not found.requests:
            verdicts.append(Verdict(text, None, show(None, "duration"), None, "no requests to measure it by"))
            continue
        never = "no request failed" if what == "first" else "requests succeeded to the end of the fault"
        passed: bool | None = value_ns is not None and _holds(value_ns, bound, "duration")
        if value_ns is None and bound.at_most is None:
            # It came later than the run watched, if at all: that is late enough, or too early to say.
            watched_ns = found.watched_ns if what == "first" else run.fault_windows[wanted.after].duration_ns
            passed = True if bound.at_least is not None and watched_ns >= bound.at_least else None
        reason = never if value_ns is None else ""
        verdicts.append(Verdict(text, passed, show(value_ns, "duration"), to_json(value_ns, "duration"), reason))
    return verdicts


def _on_revocation(run: RunData, wanted: Revocations) -> list[Verdict]:
    found = next((one for one in revocations(run) if one["revocation"] == wanted.after), None)
    watched_ns = run.duration_ns - run.fault_windows[wanted.after].from_ns
    bounds: list[tuple[str, str, Kind, Bound | None]] = [
        ("obeyed", "obeyed by the last peer", "duration", wanted.obeyed),
        ("last_served", "last call served", "duration", wanted.last_served),
        ("served", "calls served", "count", wanted.served),
        ("accepted", "handshakes accepted", "count", wanted.accepted),
    ]
    verdicts = []
    for what, words, kind, bound in bounds:
        if bound is None:
            continue
        text = f"{words} {_bound_text(bound, kind)} after {wanted.after}"
        if found is None:
            verdicts.append(Verdict(text, None, show(None, kind), None, "the run ended before it came"))
            continue
        value = value_of(found, what)
        passed, reason = value is not None and _holds(value, bound, kind), ""
        if value is None and what == "obeyed":
            # It comes later than the run watched, if at all.
            reason = f"{found['obeyed']} of {found['peers']} peers came to that"
            passed = bound.at_most is None and bound.at_least is not None and watched_ns >= bound.at_least
        elif value is None:
            passed, reason = bound.at_least is None, "no call was served"
        verdicts.append(Verdict(text, passed, show(value, kind), to_json(value, kind), reason))
    return verdicts


def _rate_per_second(run: RunData, slice_name: str | None, from_ns: int, until_ns: int) -> list[tuple[int, Fraction]]:
    """Start and success rate of every second in which a request was meant to be sent.

    A rest of less than a second at the end belongs to the second before it, lest a single request decide.
    """
    whole_seconds = max(1, (until_ns - from_ns) // NS_PER_S)
    total, good = np.zeros((2, whole_seconds), dtype=np.int64)
    for rows in Selected(run, Selection(slice=slice_name)).pieces("requests"):
        times_ns = rows.run.ints("requests", "t_intended_ns")
        # What is still in progress when the next fault strikes is that fault's, not this one's.
        ended_before = (rows.run.ints("requests", "t_done_ns") < until_ns) | (until_ns >= run.duration_ns)
        chosen = rows.requests & (times_ns >= from_ns) & (times_ns < until_ns) & ended_before
        second = np.minimum((times_ns[chosen] - from_ns) // NS_PER_S, whole_seconds - 1)
        total += np.bincount(second, minlength=whole_seconds)
        good += np.bincount(second[rows.answered[chosen]], minlength=whole_seconds)
    return [
        (from_ns + number * NS_PER_S, Fraction(int(good[number]), int(total[number])))
        for number in np.flatnonzero(total).tolist()
    ]


def _on_never(run: RunData, never: Never) -> Verdict:
    text = f"never {never}"
    table, number, first_ns = culprits(run, never)
    if not run.rows(table):
        return Verdict(text, None, show(None, "count"), None, f"no {table} to measure it by")
    reason = ""
    if number:
        rate = share(number, run.rows(table))
        assert rate is not None
        reason = f"{show_share(rate)} of {table}, the first at {_at(first_ns)}"
    return Verdict(text, number == 0, show(number, "count"), number, reason)


def _holds(value: Value, bound: Bound, kind: Kind) -> bool:
    """Whether a value in base units is within a bound in the scenario's units; exact."""
    unit = _BASE_UNITS[kind]
    above = bound.at_least is None or value >= bound.at_least * unit
    return above and (bound.at_most is None or value <= bound.at_most * unit)


def _bound_text(bound: Bound, kind: Kind) -> str:
    parts = [
        f"{word} {show(limit * _BASE_UNITS[kind], kind)}"
        for word, limit in (("at least", bound.at_least), ("at most", bound.at_most))
        if limit is not None
    ]
    return " and ".join(parts)


def _selection_text(selection: Selection) -> str:
    words = (
        ("slice", selection.slice),
        ("service", selection.service),
        ("flow", selection.source),
        ("during", selection.during),
    )
    text = ", ".join(f"{word} {value}" for word, value in words if value is not None)
    return f" ({text})" if text else ""


def _at(time_ns: int) -> str:
    return f"{time_ns / NS_PER_S:.2f}".rstrip("0").rstrip(".") + " s"
