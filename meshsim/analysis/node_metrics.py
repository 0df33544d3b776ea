"""Metrics of nodes: how busy their cores are.

They are sampled: a phase or fault holds the intervals that end in it.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from meshsim.analysis.reading import Flags
from meshsim.analysis.selection import PPM, Metric, Selected, share
from meshsim.analysis.tallies import total

TABLE = "nodes"


def _intervals(rows: Selected) -> Flags:
    """The samples of nodes that were up, of intervals that end in the selected window."""
    run = rows.run
    chosen: Flags = run.flags(TABLE, "up").copy()
    if rows.selection.during is not None:
        chosen &= rows.window.holds_intervals(run.ints(TABLE, "t_ns"))
    return chosen


def utilisation_mean(rows: Selected) -> Fraction | None:
    """CPU time used over CPU time available; a node counts by its cores."""
    names = rows.run.names(TABLE, "node")
    nodes = rows.run.scenario.network.nodes
    cores = np.array([nodes[name].cores for name in names.values], dtype=np.int64)[names.codes]
    chosen = _intervals(rows)
    return share(total(rows.run.ints(TABLE, "utilisation_ppm") * cores, chosen), total(cores, chosen) * PPM)


def utilisation_max(rows: Selected) -> Fraction | None:
    """The largest share of its CPU time that a node used in one interval."""
    values = rows.run.ints(TABLE, "utilisation_ppm")[_intervals(rows)]
    return Fraction(int(values.max()), PPM) if values.size else None


def node_metrics() -> list[Metric]:
    """The metrics of nodes."""
    return [
        Metric(
            "node_utilisation_mean",
            "share",
            TABLE,
            "CPU time used over CPU time available, of all nodes that are up together.",
            utilisation_mean,
        ),
        Metric(
            "node_utilisation_max",
            "share",
            TABLE,
            "The same of the busiest node in the busiest sampling interval.",
            utilisation_max,
        ),
    ]
