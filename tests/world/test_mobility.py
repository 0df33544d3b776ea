"""Devices that move: handovers, new addresses, services that follow."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any

import pytest

Convoy = Callable[..., Any]


@pytest.fixture(scope="module")
def convoy(run_shipped: Callable[..., Any]) -> Convoy:
    """A function that runs the convoy with overrides."""
    return lambda *overrides: run_shipped("follow-me", *overrides)


def test_handovers_are_those_of_the_trace(convoy: Convoy) -> None:
    """Every device is at the base station of the trace's cell, from the instant at which the trace changes it."""
    run = convoy()
    trace = run.loaded.radio_traces["n78-arterial"]
    cells = run.loaded.scenario.network.radios["n78-arterial"].cells
    for call in run.calls:
        index = bisect_right(trace.times_ns, call.t_end_ns) - 1
        assert call.source_node == cells[trace.cells[index]]


def test_a_new_address_breaks_connections_and_tickets_mend_them(convoy: Convoy) -> None:
    """With a new address at each handover every device connects again, resumed where it knows the server."""
    breaking, keeping = convoy(), convoy("network.radios.n78-arterial.handover_changes_address=false")
    cars = [row for row in breaking.handshakes if row.client.startswith("convoy/")]
    assert len(cars) > len([row for row in keeping.handshakes if row.client.startswith("convoy/")])
    assert [row.outcome for row in cars] == ["established"] * len(cars)
    assert sum(row.resumed for row in cars) >= 3 * 6  # three of the four handovers lead to a known server
    assert {row.outcome for row in breaking.requests} == {"ok"}


def test_a_service_follows_and_nothing_is_lost(convoy: Convoy) -> None:
    """The replica moves once, all sidecars hear of it, and every request is answered before, during and after."""
    run = convoy()
    moves = {(row.version, row.reason) for row in run.configs if row.reason != "start"}
    assert moves == {(2, "co-driver moved from edge-west to edge-east")}
    hosts = {row.proxy for row in run.configs}
    assert {row.proxy for row in run.configs if row.version == 2 and row.event == "acked"} == hosts
    served = [row.destination_node for row in sorted(run.calls, key=lambda row: row.t_start_ns)]
    assert served.index("edge-east") > served.index("edge-west")
    assert "edge-west" not in served[-100:]
    assert {row.outcome for row in run.requests} == {"ok"}
