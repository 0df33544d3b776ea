"""Services that follow their users into a node where they have to get a certificate first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

S = 1_000_000_000
Data = dict[str, Any]


@pytest.fixture
def road() -> Data:
    """Cars that pass from a cell with an edge node into another, and a service with one replica that follows them."""
    path = {
        "through": [{"cell": cell, "length": "200 m"} for cell in ("west", "east")],
        "speed": "20 m/s",
        "spread": False,
    }
    return {
        "scenario": "moving-in",
        "duration": "19 s",
        "fidelity": "modelled",
        "network": {
            "nodes": {
                **{f"gnb-{cell}": {"kind": "gnb", "site": cell} for cell in ("west", "east")},
                **{f"edge-{cell}": {"kind": "edge", "site": cell} for cell in ("west", "east")},
                "core": {"kind": "core"},
            },
            "links": [
                {"between": ["gnb-west", "edge-west"], "latency": "0.2 ms"},
                {"between": ["gnb-east", "edge-east"], "latency": "0.2 ms"},
                {"between": ["edge-west", "core"], "latency": "3 ms"},
                {"between": ["edge-east", "core"], "latency": "3 ms"},
            ],
            "slices": {"v2x": {"sst": 4, "five_qi": 79}},
            "radios": {"air": {"nr": {}, "cells": {cell: f"gnb-{cell}" for cell in ("west", "east")}}},
        },
        "services": {
            "guide": {
                "replicas": {"edge-west": 1},
                "work": {"constant": "0.2 ms"},
                "follow": {"fleet": "cars", "among": ["edge-west", "edge-east"], "every": "1 s", "start_up": "500 ms"},
            }
        },
        "fleets": {"cars": {"size": 2, "radio": "air", "path": path}},
        "mesh": {
            "control": {"failure_detection": "100 ms", "debounce": "10 ms"},
            "identity": {
                "issuer": {"workload_attestation": {"time": "2 s"}, "timeout": "1 s", "retry": {"cap": "1 s"}}
            },
        },
        "traffic": [{"from": "cars", "to": "guide", "slice": "v2x", "arrivals": {"constant": "20 /s"}}],
    }


def served_from(result: Any, node: str) -> list[int]:
    """When calls that a node served were made."""
    return [row.t_start_ns for row in result.calls if row.destination_node == node and row.outcome == "ok"]


def test_a_moved_replica_gets_in_before_it_takes_over(simulate: Callable[..., Any], road: Data) -> None:
    """The new replica is attested and issued first; meanwhile the old one goes on, and no request is lost."""
    result = simulate(road)
    (row,) = [row for row in result.issuances if row.purpose == "onboarding"]
    assert (row.host, row.node, row.outcome) == ("guide/2", "edge-east", "done")
    assert row.workload_attestation_ns == 2 * S
    assert min(served_from(result, "edge-east")) >= row.t_end_ns
    assert max(served_from(result, "edge-west")) >= row.t_start_ns + 2 * S
    assert {row.outcome for row in result.requests} == {"ok"}
    assert "guide moved from edge-west to edge-east" in {row.reason.rpartition("; ")[2] for row in result.configs}


def test_without_an_issuer_the_old_one_stays(simulate: Callable[..., Any], road: Data) -> None:
    """While nobody issues certificates a service that should move stays where it is, and moves when it can."""
    road["faults"] = [{"kind": "ca-outage", "at": "8 s", "for": "8 s"}]
    result = simulate(road)
    assert {row.outcome for row in result.requests} == {"ok"}
    assert min(served_from(result, "edge-east")) > 16 * S
    (fault,) = result.faults
    assert fault.certificates == len([row for row in result.issuances if row.outcome == "failed"]) > 0


def test_a_crash_while_moving_in(simulate: Callable[..., Any], road: Data) -> None:
    """If the node crashes while a replica gets in there, the old one goes on; the new one takes over once it is in."""
    road["faults"] = [{"kind": "node-crash", "target": "edge-east", "at": "12500 ms", "for": "1 s"}]
    road["network"]["links"].append({"between": ["gnb-east", "core"], "latency": "1 ms"})
    road["network"]["reroute_after"] = "50 ms"
    result = simulate(road)
    rows = [(row.outcome, row.step) for row in result.issuances if row.host == "guide/2"]
    assert rows == [("cut", "workload-attestation"), ("done", "announcement")]
    assert min(served_from(result, "edge-east")) > 15 * S
    assert served_from(result, "edge-east")
    late = [row for row in result.requests if row.t_intended_ns > 14 * S]
    assert {row.outcome for row in late} == {"ok"}
