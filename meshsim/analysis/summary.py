"""The summary: every figure that people quote, as plain JSON, the same bytes for the same tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
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
from meshsim.analysis.move_figures import moves
from meshsim.analysis.numbers import to_json
from meshsim.analysis.order import at_ranks
from meshsim.analysis.push_figures import pushes
from meshsim.analysis.radio_figures import air_of_slice
from meshsim.analysis.reading import Flags, Ints
from meshsim.analysis.reasons import denials, failures, grouped, refusals
from meshsim.analysis.revocation_figures import revocations
from meshsim.analysis.selection import PPM, Rows, Selected, Selection, rank_of, share
from meshsim.analysis.service_figures import services
from meshsim.analysis.tallies import count, counted, total
from meshsim.analysis.verdict import Verdict
from meshsim.scenario.metric_expectations import RADIO_METRIC_NAMES
from meshsim.telemetry.outcomes import LATER_OUTCOMES, REQUEST_OUTCOMES
from meshsim.telemetry.rows import ATTRIBUTION

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
    ``expectations``; and where there are any, ``tokens``, ``federation``, ``revocations``, ``moves``, ``pushes``,
    ``exposed`` and ``removed``. Durations are integers in nanoseconds and end in ``_ns``, shares are floats from 0 to
    1; null where nothing was measured.
    """
    run.preload("requests", "slice", "outcome", "t_intended_ns", "latency_ns", "budget_ns", "attempts", *ATTRIBUTION)
    run.preload("handshakes", "slice", "outcome", "resumed", "t_start_ns", "duration_ns", "cpu_client_ns")
    return {
        "scenario": run.manifest.scenario,
        "seed": run.manifest.seed,
        "digest": run.manifest.digest,
        "totals": _totals(run),
        "slices": {name: _of_slice(run, name) for name in run.scenario.network.slices},
        "services": services(run),
        "handshakes": _handshakes(run),
        "denials": denials(run),
        "refusals": refusals(run),
        "failures": failures(run),
        "certificates": certificates(run),
        **tokens(run),
        **({"federation": federation(run)} if run.scenario.mesh.federation is not None else {}),
        "changes": changes(run),
        **({"revocations": revocations(run)} if run.rows("revocations") else {}),
        **({"moves": moved} if (moved := moves(run)) else {}),
        **({"pushes": pushed} if (pushed := pushes(run)) else {}),
        "trials": trials(run, grouped),
        "undecided": undecided(run, grouped),
        **header_figures(run, grouped),
        "faults": _faults(run),
        "links": _links(run),
        "expectations": [{**msgspec.to_builtins(verdict), "verdict": verdict.word} for verdict in verdicts],
    }


def _totals(run: RunData) -> dict[str, Any]:
    rows = Selected(run, Selection())
    outcomes = [(outcome, rows.requests.outcomes[outcome]) for outcome in REQUEST_OUTCOMES]
    calls, in_plaintext, call_bytes = 0, 0, 0
    for piece in run.pieces("calls"):
        encrypted = piece.flags("calls", "encrypted")
        calls += len(encrypted)
        in_plaintext += count(~encrypted)
        for name in ("bytes_sent", "bytes_received"):
            call_bytes += int(piece.compact("calls", name).sum(dtype=np.int64))
    return {
        **_request_figures(rows),
        **{name: _json(name, rows) for name in (*_HANDSHAKE_METRICS, "handshake_bytes")},
        "handshake_cpu_ns": _json("handshake_cpu", rows),
        "duration_ns": run.duration_ns,
        "end_ns": run.end_ns,
        "requests_per_s": _json("requests_per_s", rows),
        "calls": calls,
        "calls_in_plaintext": in_plaintext,
        "call_bytes": call_bytes,
        "decisions": run.rows("decisions"),
        "decisions_denied": sum(count(~piece.flags("decisions", "allowed")) for piece in run.pieces("decisions")),
        "oom_kills": int(run.ints("nodes", "oom_kills").sum()),
        "outcomes": {name: number for name, number in outcomes if number or name not in LATER_OUTCOMES},
    }


def _of_slice(run: RunData, name: str) -> dict[str, Any]:
    rows = Selected(run, Selection(slice=name))
    settings = run.scenario.network.slices[name]
    budget_ns, spent = rows.requests.budget_ns, rows.spent
    return {
        **_request_figures(rows),
        **{name: _json(name, rows) for name in _HANDSHAKE_METRICS},
        "budget_ns": settings.latency_budget_ns if budget_ns is None else budget_ns,
        "sst": settings.sst,
        "sd": settings.sd,
        "five_qi": settings.five_qi,
        "attribution_mean_ns": _attribution(spent.answered_ns, rows.requests.answered),
        "attribution_slowest_ns": _attribution(spent.slowest_ns, spent.slowest),
        **{name: _json(name, rows) for name in RADIO_METRIC_NAMES},
        "radio": air_of_slice(run, name),
    }


def _request_figures(rows: Selected) -> dict[str, Any]:
    figures: dict[str, Any] = {
        name: _json(name, rows)
        for name in ("requests", "success_rate", "within_budget", "denied", "timeouts", "failures", "retries")
    }
    figures["latency_mean_ns"] = _json("latency_mean", rows)
    for name, share_ppm in {**LATENCY_QUANTILES_PPM, "max": PPM}.items():
        figures[f"latency_{name}_ns"] = rows.latency(share_ppm)
    return figures


def _attribution(sums_ns: Mapping[str, int], number: int) -> dict[str, int | None]:
    """Mean of each attribution column over so many requests, keyed without its unit's ending."""
    means = {column: share(sum_ns, number) for column, sum_ns in sums_ns.items()}
    return {column.removesuffix("_ns"): None if value is None else round(value) for column, value in means.items()}


_MEANS = ("cpu_client_ns", "cpu_server_ns", "bytes_sent", "bytes_received")


def _handshakes(run: RunData) -> dict[str, Any]:
    """Established handshakes, full and resumed: how long, how much CPU, how many bytes."""
    kinds = ("full", "resumed")
    numbers = dict.fromkeys(kinds, 0)
    sums = {kind: dict.fromkeys(_MEANS, 0) for kind in kinds}
    reasons: Counter[str] = Counter()
    selected = Selected(run, Selection())
    for rows in selected.pieces("handshakes"):
        piece = rows.run
        for kind in kinds:
            established = _established(rows, kind)
            numbers[kind] += count(established)
            for column in _MEANS:
                sums[kind][column] += total(piece.compact("handshakes", column), established)
        reasons += counted(
            piece.names("handshakes", "reason"), piece.names("handshakes", "outcome").is_in(("refused",))
        )
    figures: dict[str, Any] = {}
    for kind in kinds:
        ranks = [rank_of(numbers[kind], share_ppm) for share_ppm in (500_000, 990_000)] if numbers[kind] else []
        p50_ns, p99_ns = at_ranks(partial(_durations_ns, selected, kind), ranks) or (None, None)
        figures[kind] = {
            "handshakes": numbers[kind],
            "duration_p50_ns": p50_ns,
            "duration_p99_ns": p99_ns,
            **{
                f"{column.removesuffix('_ns')}_mean{'_ns' if column.endswith('_ns') else ''}": to_json(
                    share(sums[kind][column], numbers[kind]), "duration"
                )
                for column in _MEANS
            },
        }
    figures["refused_by_reason"] = dict(sorted(reasons.items()))
    return figures


def _established(rows: Rows, kind: str) -> Flags:
    """Which handshakes of a piece were established, full or resumed."""
    chosen: Flags = rows.established & (rows.run.flags("handshakes", "resumed") == (kind == "resumed"))
    return chosen


def _durations_ns(selected: Selected, kind: str) -> Iterator[Ints]:
    for rows in selected.pieces("handshakes"):
        yield rows.run.compact("handshakes", "duration_ns")[_established(rows, kind)]


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
        "tokens",
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
