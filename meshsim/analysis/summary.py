"""The summary: every figure that people quote, as plain JSON, the same bytes for the same tables."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from meshsim.analysis.certificate_figures import certificates, tokens
from meshsim.analysis.change_figures import changes, trials
from meshsim.analysis.data import RunData
from meshsim.analysis.decision_figures import undecided
from meshsim.analysis.failing import failing_after
from meshsim.analysis.federation_figures import federation
from meshsim.analysis.header_figures import header_figures
from meshsim.analysis.metrics import LATENCY_QUANTILES_PPM, METRICS
from meshsim.analysis.numbers import to_json
from meshsim.analysis.radio_figures import air_of_slice
from meshsim.analysis.reading import Flags, Ints, compacted
from meshsim.analysis.reasons import denials, failures, grouped, refusals
from meshsim.analysis.revocation_figures import revocations
from meshsim.analysis.selection import PPM, Selected, Selection, count, mean, mean_of, quantile, share
from meshsim.analysis.verdict import Verdict
from meshsim.scenario.expectations import RADIO_METRIC_NAMES
from meshsim.telemetry.rows import ATTRIBUTION, LATER_OUTCOMES, REQUEST_OUTCOMES

SLOWEST_PPM = 990_000
"""The slowest answers are those at or above this quantile of latency."""

_HANDSHAKE_METRICS = (
    "handshakes",
    "handshakes_full",
    "handshakes_resumed",
    "handshakes_refused",
    "handshakes_broken",
)


def summarise(run: RunData, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """The content of ``summary.json``.

    Keys: ``scenario``, ``seed``, ``digest``, ``totals``, ``slices``, ``services``, ``handshakes``, ``denials``,
    ``refusals``, ``failures``, ``certificates``, ``changes``, ``trials``, ``undecided``, ``faults``, ``links``,
    ``expectations``; and where there are any, ``tokens``, ``federation``, ``revocations``, ``exposed`` and ``removed``.
    Durations are integers in nanoseconds and end in ``_ns``, shares are floats from 0 to 1; null where nothing was
    measured.
    """
    run.preload("requests", "slice", "outcome", "t_intended_ns", "latency_ns", "budget_ns", "attempts", *ATTRIBUTION)
    run.preload("handshakes", "slice", "outcome", "resumed", "t_start_ns", "duration_ns", "cpu_client_ns")
    return {
        "scenario": run.manifest.scenario,
        "seed": run.manifest.seed,
        "digest": run.manifest.digest,
        "totals": _totals(run),
        "slices": {name: _of_slice(run, name) for name in run.scenario.network.slices},
        "services": dict(_services(run)),
        "handshakes": _handshakes(run),
        "denials": denials(run),
        "refusals": refusals(run),
        "failures": failures(run),
        "certificates": certificates(run),
        **tokens(run),
        **({"federation": federation(run)} if run.scenario.mesh.federation is not None else {}),
        "changes": changes(run),
        **({"revocations": revocations(run)} if run.rows("revocations") else {}),
        "trials": trials(run, grouped),
        "undecided": undecided(run, grouped),
        **header_figures(run, grouped),
        "faults": _faults(run),
        "links": _links(run),
        "expectations": [{**msgspec.to_builtins(verdict), "verdict": verdict.word} for verdict in verdicts],
    }


def _totals(run: RunData) -> dict[str, Any]:
    rows = Selected(run, Selection())
    decisions = run.flags("decisions", "allowed")
    outcomes = [(outcome, count(rows.outcome(outcome))) for outcome in REQUEST_OUTCOMES]
    return {
        **_request_figures(rows),
        **{name: _json(name, rows) for name in (*_HANDSHAKE_METRICS, "handshake_bytes")},
        "handshake_cpu_ns": _json("handshake_cpu", rows),
        "duration_ns": run.duration_ns,
        "end_ns": run.end_ns,
        "requests_per_s": _json("requests_per_s", rows),
        "calls": len(run.flags("calls", "encrypted")),
        "calls_in_plaintext": count(~run.flags("calls", "encrypted")),
        "call_bytes": sum(
            int(run.compact("calls", name).sum(dtype=np.int64)) for name in ("bytes_sent", "bytes_received")
        ),
        "decisions": len(decisions),
        "decisions_denied": count(~decisions),
        "oom_kills": int(run.ints("nodes", "oom_kills").sum()),
        "outcomes": {name: number for name, number in outcomes if number or name not in LATER_OUTCOMES},
    }


def _of_slice(run: RunData, name: str) -> dict[str, Any]:
    rows = Selected(run, Selection(slice=name))
    budgets = run.compact("requests", "budget_ns")[rows.requests]
    settings = run.scenario.network.slices[name]
    return {
        **_request_figures(rows),
        **{name: _json(name, rows) for name in _HANDSHAKE_METRICS},
        "budget_ns": int(budgets.max()) if budgets.size else settings.latency_budget_ns,
        "sst": settings.sst,
        "sd": settings.sd,
        "five_qi": settings.five_qi,
        "attribution_mean_ns": _attribution(run, rows.answered),
        "attribution_slowest_ns": _attribution(run, slowest(rows)),
        **{name: _json(name, rows) for name in RADIO_METRIC_NAMES},
        "radio": air_of_slice(run, name),
    }


def _request_figures(rows: Selected) -> dict[str, Any]:
    figures: dict[str, Any] = {
        name: _json(name, rows)
        for name in ("requests", "success_rate", "within_budget", "denied", "timeouts", "failures", "retries")
    }
    ordered = rows.latencies_ns
    ordered.sort()
    figures["latency_mean_ns"] = to_json(mean(ordered), "duration")
    for name, share_ppm in {**LATENCY_QUANTILES_PPM, "max": PPM}.items():
        figures[f"latency_{name}_ns"] = quantile_of_sorted(ordered, share_ppm)
    return figures


def slowest(rows: Selected) -> Flags:
    """Which selected requests are among the slowest one in a hundred of those answered."""
    limit = quantile(rows.latencies_ns, SLOWEST_PPM)
    if limit is None:
        return rows.answered
    chosen: Flags = rows.answered & (rows.run.compact("requests", "latency_ns") >= limit)
    return chosen


def quantile_of_sorted(ordered: Ints, share_ppm: int) -> int | None:
    """As ``metrics.quantile``, of values in ascending order."""
    return int(ordered[-(-ordered.size * share_ppm // PPM) - 1]) if ordered.size else None


def _attribution(run: RunData, rows: Flags) -> dict[str, int | None]:
    """Mean of each attribution column over ``rows``, keyed without its unit's ending."""
    means = {column: mean_of(run.compact("requests", column), rows) for column in ATTRIBUTION}
    return {column.removesuffix("_ns"): None if value is None else round(value) for column, value in means.items()}


class Gathered:
    """Integers that come part by part, in one block that grows where it is: joining parts would take them twice."""

    def __init__(self) -> None:
        self._values = array("i")

    def add(self, values: Ints) -> None:
        """Take some more of them."""
        if not values.size:
            return
        narrow = compacted(values)
        if self._values.typecode == "i" and narrow.dtype != np.int32:
            self._values = array("q", self._values)
        self._values.frombytes(values.astype(np.int32 if self._values.typecode == "i" else np.int64).tobytes())

    def taken(self) -> Ints:
        """All of them, in an array that may be reordered; forgotten with this."""
        found, self._values = self._values, array("i")
        return np.frombuffer(found, dtype=np.int32 if found.typecode == "i" else np.int64)


class _ServiceCalls:
    """Calls to one service, added up part by part: there are too many to hold all of their columns at once."""

    def __init__(self) -> None:
        self.calls = 0
        self.ok = 0
        self.denied = 0
        self.retries = 0
        self._took_ns = Gathered()

    def add(self, took_ns: Ints, ok: Flags, denied: Flags, retries: Ints) -> None:
        self.calls += took_ns.size
        self.ok += count(ok)
        self.denied += count(denied)
        self.retries += int(retries.sum(dtype=np.int64))
        self._took_ns.add(took_ns[ok])

    def ordered_ns(self) -> Ints:
        """How long the calls took that ended as ok, in ascending order; forgotten with this."""
        ordered = self._took_ns.taken()
        ordered.sort()
        return ordered


def _calls_by_service(run: RunData) -> dict[str, _ServiceCalls]:
    found: dict[str, _ServiceCalls] = {}
    for part in run.parts("calls", ("destination", "outcome"), ("t_start_ns", "t_end_ns", "retries")):
        destinations, outcomes = part.names["destination"], part.names["outcome"]
        took_ns = part.ints["t_end_ns"] - part.ints["t_start_ns"]
        order = np.argsort(destinations.codes, kind="stable")
        bounds = np.searchsorted(destinations.codes[order], np.arange(len(destinations.values) + 1))
        ok, denied = (outcomes.codes == outcomes.code(outcome) for outcome in ("ok", "denied"))
        for code, name in enumerate(destinations.values):
            rows = order[bounds[code] : bounds[code + 1]]
            calls = found.setdefault(name, _ServiceCalls())
            calls.add(took_ns[rows], ok[rows], denied[rows], part.ints["retries"][rows])
    return found


def _services(run: RunData) -> Iterator[tuple[str, dict[str, Any]]]:
    """What each service's callers saw, and its sidecars' handshakes as server."""
    found = _calls_by_service(run)
    servers = run.names("handshakes", "server")
    outcomes = run.names("handshakes", "outcome")
    established = np.bincount(
        servers.codes[outcomes.codes == outcomes.code("established")], minlength=len(servers.values) + 1
    )  # and a last one, none, for services without handshakes: code -1
    for name in run.scenario.services:
        calls = found.get(name, _ServiceCalls())
        ordered_ns = calls.ordered_ns()
        yield (
            name,
            {
                "calls": calls.calls,
                "success_rate": to_json(share(calls.ok, calls.calls), "share"),
                "denied": calls.denied,
                "retries": calls.retries,
                "call_p50_ns": quantile_of_sorted(ordered_ns, 500_000),
                "call_p99_ns": quantile_of_sorted(ordered_ns, 990_000),
                "handshakes": int(established[servers.code(name)]),
            },
        )


def _handshakes(run: RunData) -> dict[str, Any]:
    """Established handshakes, full and resumed: how long, how much CPU, how many bytes."""
    outcomes = run.names("handshakes", "outcome")
    established = outcomes.codes == outcomes.code("established")
    resumed = run.flags("handshakes", "resumed")
    kinds = {"full": established & ~resumed, "resumed": established & resumed}
    figures: dict[str, Any] = {}
    for kind, rows in kinds.items():
        ordered = np.sort(run.ints("handshakes", "duration_ns")[rows])
        figures[kind] = {
            "handshakes": count(rows),
            "duration_p50_ns": quantile_of_sorted(ordered, 500_000),
            "duration_p99_ns": quantile_of_sorted(ordered, 990_000),
            **{
                f"{column.removesuffix('_ns')}_mean{'_ns' if column.endswith('_ns') else ''}": to_json(
                    mean(run.ints("handshakes", column)[rows]), "duration"
                )
                for column in ("cpu_client_ns", "cpu_server_ns", "bytes_sent", "bytes_received")
            },
        }
    refused = outcomes.codes == outcomes.code("refused")
    reasons = run.names("handshakes", "reason")
    codes, numbers = np.unique(reasons.codes[refused], return_counts=True)
    figures["refused_by_reason"] = {
        reasons.values[code]: number for code, number in zip(codes.tolist(), numbers.tolist(), strict=True)
    }
    return figures


def _faults(run: RunData) -> list[dict[str, Any]]:
    texts = {name: run.names("faults", name) for name in ("fault_id", "kind", "target")}
    numbers = (
        "t_start_ns",
        "t_end_ns",
        "effects",
        "packets",
        "connections",
        "requests",
        "certificates",
        "configurations",
        "decisions",
    )
    figures: list[dict[str, Any]] = []
    for row in range(run.rows("faults")):
        fault = {name: text.values[text.codes[row]] for name, text in texts.items()}
        failing = failing_after(run, fault["fault_id"], Selection())
        figures.append(
            fault
            | {name: int(run.ints("faults", name)[row]) for name in numbers}
            | {"first_failure_ns": failing.first_ns, "total_failure_ns": failing.total_ns}
        )
    return figures


def _links(run: RunData) -> dict[str, int]:
    """Bytes that all links together were offered, delivered and lost."""
    return {
        name: int(run.ints("links", name).sum()) for name in ("sent_bytes", "delivered_bytes", "lost_bytes", "drops")
    }


def _json(name: str, rows: Selected) -> int | float | None:
    metric = METRICS[name]
    return to_json(metric.compute(rows), metric.kind)
