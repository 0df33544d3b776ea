"""Presets in motion: how long a mesh lives on without its issuer, against what follows from its rotation points."""

from __future__ import annotations

from typing import Any

import pytest

MIN = 60 * 1_000_000_000
H = 60 * MIN


def outage(preset: str, minutes: int, rate: str) -> dict[str, Any]:
    """Thirty workloads of a mesh whose issuer goes away after a minute for good; every request has a new connection."""
    return {
        "scenario": "outage",
        "duration": f"{minutes} min",
        "fidelity": "modelled",
        "network": {
            "nodes": {"core": {"kind": "core"}, "edge": {"kind": "edge", "memory": "16 GiB"}},
            "links": [{"between": ["core", "edge"], "latency": "1 ms"}],
            "slices": {"web": {"sst": 1, "five_qi": 9}},
        },
        "services": {"front": {"replicas": {"edge": 30}, "work": {"constant": "1 ms"}, "memory": "10 MB"}},
        "fleets": {"client": {"node": "core", "size": 30}},
        "mesh": {
            "preset": preset,
            "tls": {"resumption": False},
            "pool": {"idle_timeout": "1 s"},
            "resilience": {"retries": 0},
        },
        "traffic": [{"from": "client", "to": "front", "slice": "web", "arrivals": {"poisson": rate}}],
        "faults": [{"kind": "ca-outage", "at": "1 min", "for": f"{minutes - 1} min"}],
    }


@pytest.mark.parametrize(
    ("preset", "minutes", "rate", "window_ns"),
    [
        ("istio", 1560, "60 /h", (11.76 * H, 24 * H)),  # 12 h, less 1 % of jitter
        ("linkerd", 1560, "60 /h", (7.2 * H, 24 * H)),
        ("spire", 70, "40 /min", (27 * MIN, 60 * MIN)),
    ],
)
def test_mesh_without_its_issuer(
    simulate: Any, preset: str, minutes: int, rate: str, window_ns: tuple[float, float]
) -> None:
    """Requests begin to fail, and fail for good, within the window that the preset's lifetime and rotation leave."""
    result = simulate(outage(preset, minutes, rate))
    failed_ns = [row.t_intended_ns - MIN for row in result.requests if row.outcome != "ok"]
    answered_ns = [row.t_intended_ns - MIN for row in result.requests if row.outcome == "ok"]
    assert {row.outcome for row in result.requests} == {"ok", "tls-refused"}
    assert window_ns[0] <= min(failed_ns) < window_ns[0] + (window_ns[1] - window_ns[0]) / 2
    assert max(answered_ns) <= window_ns[1] < max(failed_ns)
    assert {row.reason for row in result.handshakes if row.outcome == "refused"} == {"expired"}


def test_consul_refuses_a_storm_and_lets_it_come_again(simulate: Any) -> None:
    """Consul signs 50 certificates a second; those of a storm that would wait for long are refused, and come later."""
    data = outage("consul", 5, "10 /min")
    data["services"]["front"]["replicas"] = {"edge": 120}
    data["faults"] = [{"kind": "ca-rotation", "at": "1 min", "for": "2 min"}]
    data["mesh"]["identity"] = {"renew_within": "100 ms"}
    result = simulate(data)
    renewals = [row for row in result.issuances if row.purpose == "renewal"]
    assert {row.reason for row in renewals} == {"", "the issuer is overloaded"}
    done = [row for row in renewals if row.outcome == "done"]
    assert len(done) == 150
    assert max(row.queue_ns for row in done) <= MIN / 120
    assert max(row.t_end_ns for row in done) < 3 * MIN
