"""Slices in one cell, when one of them is flooded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

S = 1_000_000_000


def p99_ns(run: Any, from_s: int, to_s: int) -> int:
    """The 99th percentile of the control slice's latency, of requests meant for a window."""
    chosen = [
        row.latency_ns for row in run.requests if row.slice == "control" and from_s * S <= row.t_intended_ns < to_s * S
    ]
    return sorted(chosen)[len(chosen) * 99 // 100]


def test_ten_times_overload_in_one_slice_leaves_another_alone(run_shipped: Callable[..., Any]) -> None:
    """The control slice's p99 moves by less than 5 % while the video slice offers ten times what the cell carries."""
    run = run_shipped("slice-isolation")
    assert abs(p99_ns(run, 10, 15) - p99_ns(run, 1, 10)) < 0.05 * p99_ns(run, 1, 10)


def test_without_isolation_it_does_not_hold(run_shipped: Callable[..., Any]) -> None:
    """First come, first served: the same flood takes the control slice down."""
    run = run_shipped("slice-isolation", "network.radios.hall.slicing=false")
    assert p99_ns(run, 10, 15) > 10 * p99_ns(run, 1, 10)


def test_a_sliced_link_isolates_as_a_cell_does(run_shipped: Callable[..., Any]) -> None:
    """With the bottleneck on the link, slicing it keeps the control slice's latency; a plain link does not."""
    narrow = (
        "network.radios.hall.uplink=10 Gbit/s",
        "network.links.0.bandwidth=50 Mbit/s",
        "network.links.0.queue=64 MiB",
    )
    sliced = run_shipped("slice-isolation", *narrow, "network.links.0.slicing=true")
    plain = run_shipped("slice-isolation", *narrow)
    assert p99_ns(sliced, 10, 15) < 1.1 * p99_ns(sliced, 1, 10)
    used_ppm = [row.utilisation_ppm for row in sliced.links if row.link == "gnb-hall->edge-1"]
    assert max(used_ppm) <= 1_000_000
    assert min(used_ppm[11:14]) > 990_000  # flooded, it is in use all the time
    assert p99_ns(plain, 10, 15) > 10 * p99_ns(plain, 1, 10)
