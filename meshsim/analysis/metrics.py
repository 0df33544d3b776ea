"""The metrics: one dictionary of named numbers, each exact and in its base unit."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from meshsim.analysis.certificate_metrics import certificate_metrics
from meshsim.analysis.data import RunData
from meshsim.analysis.decision_figures import decision_metrics
from meshsim.analysis.federation_metrics import federation_metrics
from meshsim.analysis.header_figures import header_metrics
from meshsim.analysis.node_metrics import node_metrics
from meshsim.analysis.radio_metrics import radio_metrics
from meshsim.analysis.revocation_figures import revocation_metrics
from meshsim.analysis.selection import (
    NS_PER_S,
    PPM,
    Kind,
    Metric,
    Selected,
    Selection,
    Value,
    share,
)
from meshsim.telemetry.outcomes import REQUEST_OUTCOMES
from meshsim.telemetry.rows import ATTRIBUTION

LATENCY_QUANTILES_PPM = {"p50": 500_000, "p95": 950_000, "p99": 990_000, "p999": 999_000}
"""The quantiles that metrics are named after."""


def measure(run: RunData, name: str, selection: Selection | None = None) -> Value | None:
    """The value of metric ``name``, in its base unit; None if the selection holds nothing to compute it from.

    Raises KeyError for an unknown metric, phase or fault.
    """
    return METRICS[name].compute(Selected(run, selection or Selection()))


def _requests_per_s(rows: Selected) -> Fraction | None:
    return share(rows.requests.number * NS_PER_S, rows.window.to_ns - rows.window.from_ns)


def _of_outcome(outcome: str) -> Callable[[Selected], int]:
    return lambda rows: rows.requests.outcomes[outcome]


def _latency(share_ppm: int) -> Callable[[Selected], int | None]:
    return lambda rows: rows.latency(share_ppm)


def _handshake(share_ppm: int) -> Callable[[Selected], int | None]:
    return lambda rows: rows.handshake_duration(share_ppm)


def _mean_of(column: str) -> Callable[[Selected], Fraction | None]:
    return lambda rows: rows.mean_part(column)


def _catalogue() -> dict[str, Metric]:
    metrics = (
        *_request_metrics(),
        *_of_each_quantile(),
        *_handshake_metrics(),
        *radio_metrics(),
        *node_metrics(),
        *certificate_metrics(),
        *revocation_metrics(),
        *decision_metrics(),
        *header_metrics(),
        *federation_metrics(),
    )
    return {metric.name: metric for metric in metrics}


def _request_metrics() -> list[Metric]:
    metrics = [
        Metric("requests", "count", "requests", "Requests.", lambda rows: rows.requests.number),
        Metric("requests_per_s", "rate", "requests", "Requests per second of the run or window.", _requests_per_s),
        Metric("answered", "count", "requests", "Requests answered (outcome ok).", lambda rows: rows.requests.answered),
        Metric(
            "success_rate",
            "share",
            "requests",
            "Answered requests over all requests.",
            lambda rows: share(rows.requests.answered, rows.requests.number),
        ),
        Metric(
            "within_budget",
            "share",
            "requests",
            "Requests answered within their slice's budget over all requests: a late one counts as a failed one.",
            lambda rows: share(rows.requests.within_budget, rows.requests.number),
        ),
        Metric(
            "failures",
            "count",
            "requests",
            "Requests with any outcome but ok.",
            lambda rows: rows.requests.number - rows.requests.answered,
        ),
        Metric("denied", "count", "requests", "Requests denied by policy.", _of_outcome("denied")),
        Metric("timeouts", "count", "requests", "Requests that timed out.", _of_outcome("timeout")),
        Metric(
            "retries",
            "count",
            "requests",
            "Attempts after the first, of the clients' sidecars.",
            lambda rows: rows.requests.attempts - rows.requests.number,
        ),
        Metric(
            "latency_mean",
            "duration",
            "requests",
            "Mean latency of answered requests.",
            lambda rows: share(rows.requests.latency_ns, rows.requests.answered),
        ),
        Metric("latency_max", "duration", "requests", "Largest latency of answered requests.", _latency(PPM)),
    ]
    for outcome in REQUEST_OUTCOMES[3:]:
        text = f"Requests with outcome {outcome}."
        metrics.append(Metric(outcome.replace("-", "_"), "count", "requests", text, _of_outcome(outcome)))
    for column in ATTRIBUTION:
        text = f"Mean of {column} over answered requests."
        metrics.append(Metric(f"mean_{column}", "duration", "requests", text, _mean_of(column)))
    return metrics


def _of_each_quantile() -> list[Metric]:
    metrics = []
    for name, share_ppm in LATENCY_QUANTILES_PPM.items():
        text = f"Latency that {share_ppm / 10_000:g} % of answered requests do not exceed."
        metrics.append(Metric(f"latency_{name}", "duration", "requests", text, _latency(share_ppm)))
        text = f"Time that {share_ppm / 10_000:g} % of established handshakes do not exceed, TCP set-up not counted."
        metrics.append(Metric(f"handshake_{name}", "duration", "handshakes", text, _handshake(share_ppm)))
    return metrics


def _handshake_metrics() -> list[Metric]:
    def of(name: str, kind: Kind, text: str, compute: Callable[[Selected], int]) -> Metric:
        return Metric(name, kind, "handshakes", text, compute)

    return [
        of("handshakes", "count", "TLS handshakes established.", lambda rows: rows.handshakes.number("established")),
        of(
            "handshakes_full",
            "count",
            "TLS handshakes established without a ticket.",
            lambda rows: rows.handshakes.number("established", resumed=False),
        ),
        of(
            "handshakes_resumed",
            "count",
            "TLS handshakes established with a ticket.",
            lambda rows: rows.handshakes.number("established", resumed=True),
        ),
        Metric(
            "resumed_share",
            "share",
            "handshakes",
            "TLS handshakes established with a ticket over all that were established.",
            lambda rows: share(
                rows.handshakes.number("established", resumed=True), rows.handshakes.number("established")
            ),
        ),
        of(
            "handshakes_refused",
            "count",
            "TLS handshakes refused.",
            lambda rows: rows.handshakes.number("refused"),
        ),
        of(
            "handshakes_broken",
            "count",
            "TLS handshakes cut off by the loss of their connection.",
            lambda rows: rows.handshakes.number("broken"),
        ),
        of(
            "handshake_cpu",
            "duration",
            "CPU time of both ends of all handshakes, whatever their outcome.",
            lambda rows: rows.handshakes.cpu_ns,
        ),
        of(
            "handshake_bytes",
            "size",
            "Bytes of all handshakes, both ways (nominal).",
            lambda rows: rows.handshakes.sent_bytes,
        ),
    ]


METRICS = _catalogue()
"""Every metric by name. ``expect`` can bound those in ``METRIC_NAMES`` of the scenario; notebooks have them all."""
