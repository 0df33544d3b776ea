"""Metrics of trust between trust domains: bundles that were fetched, or not, and handshakes refused between them.

Bundles belong to trust domains: neither a slice, a service nor a flow has any.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from meshsim.analysis.data import RunData
from meshsim.analysis.reading import Flags, Ints
from meshsim.analysis.selection import Kind, Metric, Selected
from meshsim.analysis.tallies import count

BUNDLES = "bundles"


def fetches(rows: Selected, *events: str) -> Flags:
    """Which rows of ``bundles`` are selected and one of these events."""
    run = rows.run
    chosen: Flags = run.names(BUNDLES, "event").is_in(events)
    if rows.selection.during is not None:
        chosen &= rows.window.holds(run.ints(BUNDLES, "t_ns"))
    return chosen


def _counted(*events: str) -> Callable[[Selected], int]:
    return lambda rows: count(fetches(rows, *events))


def _lag_max(rows: Selected) -> int | None:
    lags_ns = rows.run.ints(BUNDLES, "lag_ns")[fetches(rows, "taken")]
    return int(lags_ns.max()) if lags_ns.size else None


def domains(piece: RunData, column: str) -> tuple[Ints, list[str]]:
    """Trust domain of one end of each handshake: a code for each row, and what it stands for."""
    names = piece.names("handshakes", column)
    mesh = piece.scenario.mesh
    known = list(mesh.trust_domains)
    of_name = [known.index(mesh.trust_domain_of(name.partition("/")[0])) for name in names.values]
    return np.array([*of_name, -1], dtype=np.int64)[names.codes], known


def _refused_across(rows: Selected) -> int:
    """How many of the selected handshakes were refused between two trust domains."""
    found = 0
    for piece in rows.pieces("handshakes"):
        clients, _ = domains(piece.run, "client")
        servers, _ = domains(piece.run, "server")
        refused = piece.run.names("handshakes", "outcome").is_in(("refused",))
        found += count(piece.handshakes & (clients != servers) & refused)
    return found


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
            _refused_across,
        ),
    ]
