"""Metrics of nodes against the plainest way to compute them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from meshsim.analysis.data import RunData
from meshsim.analysis.metrics import measure
from meshsim.analysis.selection import Selection
from meshsim.results.tables import read_table

PPM = 1_000_000
S = 1_000_000_000


@pytest.mark.parametrize("during", [None, "calm", "node-crash"])
def test_utilisation_is_weighted_by_cores(during: str | None, corridor: Any) -> None:
    """The mean counts each node that is up by its cores; the largest is that of one node in one interval."""
    run = RunData(corridor.folder.path, corridor.scenario, corridor.manifest)
    window = run.window(during)
    rows = [
        row
        for row in read_table(corridor.folder.path, "nodes").to_pylist()
        if row["up"] and (during is None or window.from_ns < row["t_ns"] <= window.to_ns)
    ]
    cores = {name: node.cores for name, node in corridor.scenario.network.nodes.items()}
    used = sum(row["utilisation_ppm"] * cores[row["node"]] for row in rows)
    available = sum(PPM * cores[row["node"]] for row in rows)
    assert 0 < used < available
    assert measure(run, "node_utilisation_mean", Selection(during=during)) == Fraction(used, available)
    largest = max(row["utilisation_ppm"] for row in rows)
    assert measure(run, "node_utilisation_max", Selection(during=during)) == Fraction(largest, PPM)
