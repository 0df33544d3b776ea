"""Metrics of trust between trust domains: bundles that were fetched, or not, and handshakes refused between them.

Bundles belong to trust domains: neither a slice, a service nor a flow has any.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from meshsim.analysis.data import RunData
from meshsim.analysis.reading import Flags
from meshsim.analysis.selection import Kind, Metric, Selected, count

BUNDLES = "bundles"


def fetches(rows: Selected, *events: str) -> Flags:
    """Which rows of ``bundles`` are selected and one of these events."""
    run = rows.run
    chosen: Flags = run.names(BUNDLES, "event").is_in(events)
    if rows.selection.during is not None:
        times_ns = run.ints(BUNDLES, "t_ns")
        chosen &= (times_ns >= rows.window.from_ns) & (times_ns < rows.window.to_ns)
    return chosen


def _counted(*events: str) -> Callable[[Selected], int]:
    return lambda rows: count(fetches(rows, *events))


def _lag_max(rows: Selected) -> int | None:
    lags_ns = rows.run.ints(BUNDLES, "lag_ns")[fetches(rows, "taken")]
    return int(lags_ns.max()) if lags_ns.size else None


def domains(run: RunData, column: str) -> tuple[Any, list[str]]:
    """Trust domain of one end of each handshake: a code for each row, and what it stands for."""
    names = run.names("handshakes", column)
    mesh = run.scenario.mesh
    known = list(mesh.trust_domains)
    of_name = [known.index(mesh.trust_domain_of(name.partition("/")[0])) for name in names.values]
    return np.array([*of_name, -1], dtype=np.int64)[names.codes], known


def _across(rows: Selected) -> Flags:
    """Which rows of ``handshakes`` are selected and between two trust domains."""
    clients, _ = domains(rows.run, "client")
    servers, _ = domains(rows.run, "server")
    chosen: Flags = rows.handshakes & (clients != servers)
    return chosen


def _refused(rows: Selected) -> int:
    return count(_across(rows) & rows.run.names("handshakes", "outcome").is_in(("refused",)))


def federation_metrics() -> list[Metric]:
    """The metrics of trust between trust domains."""

    def of(name: str, kind: Kind, text: str, compute: Callable[[Selected], int | None]) -> Metric:
        return Metric(name, kind, BUNDLES, text, compute)

    return [
        of("bundles_taken", "count", "Bundles of other trust domains that were fetched and new.", _counted("taken")),
        of("bundles_refused", "count", "Bundles that came and were not believed.", _counted("refused")),
        of("bundles_stale", "count", "Times that a bundle became stale.", _counted("stale")),
        of("bundle_fetches_failed", "count", "Fetches of bundles without an answer.", _counted("failed")),
        of("bundle_lag_max", "duration", "Longest time that a bundle had been there when it was taken.", _lag_max),
        Metric(
            "handshakes_refused_across",
            "count",
            "handshakes",
            "TLS handshakes between trust domains that were refused.",
            _refused,
        ),
    ]
