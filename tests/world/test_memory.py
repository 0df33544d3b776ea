"""Memory: it grows and shrinks with requests and connections, and who does not fit is killed and comes back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CONNECTION_BYTES = 34 * 1024
SIDECAR_BYTES = 60_000_000
SERVICE_BYTES = 100_000_000


@pytest.fixture
def tight(line: Any) -> Any:
    """One replica whose requests take 10 MB each, and a node that holds three of them at a time."""
    line["network"]["nodes"]["edge"] |= {"cores": 2, "memory": "191 MB"}
    line["services"]["front"] |= {
        "memory": "100 MB",
        "memory_per_request": "10 MB",
        "restart_after": "300 ms",
        "work": {"constant": "20 ms"},
    }
    line["fleets"]["phone"]["size"] = 4
    line["mesh"] = {"resilience": {"retries": 0}}
    line["sample_every"] = "100 ms"
    return line


def _edge(result: Any) -> list[Any]:
    return [row for row in result.nodes if row.node == "edge"]


def test_memory_follows_requests_and_connections(simulate: Any, tight: Any) -> None:
    """A node holds replica, sidecar, each connection and each request in progress, to the byte; then it lets go."""
    tight["traffic"][0]["arrivals"] = {"constant": "2 /s"}
    tight["sample_every"] = "2 ms"
    result = simulate(tight, fidelity="modelled")
    idle_bytes = SERVICE_BYTES + SIDECAR_BYTES
    rows = _edge(result)
    assert rows[0].memory_bytes == idle_bytes
    assert {row.memory_bytes - idle_bytes for row in rows} >= {0, CONNECTION_BYTES, CONNECTION_BYTES + 10_000_000}
    held = {connection.client.name for connection in result.world._state.connections.values()}
    assert rows[-1].memory_bytes == idle_bytes + len(held) * CONNECTION_BYTES
    assert sum(row.oom_kills for row in result.nodes) == 0


def test_who_does_not_fit_is_killed(simulate: Any, tight: Any) -> None:
    """The fourth request at a time kills the replica: all four end as reset, and it serves again after a while."""
    tight["traffic"] = [
        {"name": f"burst-{n}", "from": "phone", "to": "front", "slice": "web", "arrivals": {"constant": "1 /s"}}
        for n in range(4)
    ]
    tight["duration"] = "4 s"
    tight["network"]["nodes"]["edge"]["cores"] = 8  # so that all four are let in before the first is answered
    result = simulate(tight, fidelity="modelled")
    kills = [row.t_ns for row in _edge(result) if row.oom_kills]
    assert kills
    assert all(row.oom_kills in (0, 1) for row in _edge(result))
    assert min(row.memory_bytes for row in _edge(result)) == 0
    assert {row.outcome for row in result.requests} >= {"reset"}
    assert all(row.outcome == "reset" for row in result.requests), "each second's four meet"
    replica = result.world._state.replicas[0]
    assert replica.epoch == len(kills) == 4
    assert all(row.up for row in result.nodes)


def test_with_room_nothing_is_killed(simulate: Any, tight: Any) -> None:
    """The same load on a node with memory for it ends well."""
    tight["network"]["nodes"]["edge"]["memory"] = "1 GB"
    tight["traffic"][0]["arrivals"] = {"poisson": "100 /s"}
    result = simulate(tight, fidelity="modelled")
    assert {row.outcome for row in result.requests} == {"ok"}
    assert sum(row.oom_kills for row in result.nodes) == 0


def test_nobody_listens_while_it_is_down(simulate: Any, tight: Any) -> None:
    """Requests that come while the replica is gone are refused at once, not after a timeout."""
    tight["services"]["front"]["restart_after"] = "10 s"
    tight["traffic"][0]["arrivals"] = {"constant": "100 /s"}
    tight["duration"] = "2 s"
    result = simulate(tight, fidelity="modelled")
    assert sum(row.oom_kills for row in result.nodes) == 1
    late = [row for row in result.requests if row.t_intended_ns > 1_000_000_000]
    assert {row.outcome for row in late} <= {"unreachable", "reset"}
    assert max(row.latency_ns for row in late) < 100_000_000


def test_a_crash_on_top(simulate: Any, tight: Any) -> None:
    """A node that crashes while its replica is down brings it back with itself, once, with its memory."""
    tight["services"]["front"]["restart_after"] = "500 ms"
    tight["traffic"][0]["arrivals"] = {"constant": "200 /s"}
    tight["duration"] = "3 s"
    tight["faults"] = [{"kind": "node-crash", "target": "edge", "at": "300 ms", "for": "200 ms"}]
    result = simulate(tight, fidelity="modelled")
    state = result.world._state
    grown = sum(replica.grown_bytes for replica in state.replicas)
    assert state.machines["edge"].memory_bytes == grown + (SERVICE_BYTES + SIDECAR_BYTES if state.replicas[0].up else 0)
    assert grown >= 0


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10**6),
    requests_mb=st.integers(1, 40),
    rate=st.integers(20, 200),
    restart_ms=st.integers(1, 400),
    retries=st.integers(0, 2),
)
def test_laws_hold_when_memory_runs_out(
    simulate: Any, tight: Any, seed: int, requests_mb: int, rate: int, restart_ms: int, retries: int
) -> None:
    """Accounts close, memory ends as what is still held, and fidelities agree, whatever is killed when."""
    tight["network"]["nodes"]["edge"]["memory"] = "371 MB"
    tight["services"]["front"] |= {
        "memory_per_request": f"{requests_mb} MB",
        "restart_after": f"{restart_ms} ms",
        "calls": [{"to": "back"}],
    }
    tight["services"]["back"] = {
        "replicas": {"edge": 1},
        "memory": "100 MB",
        "memory_per_request": "5 MB",
        "work": {"exponential": "10 ms"},
    }
    tight["mesh"] = {"resilience": {"retries": retries}}
    tight["traffic"][0]["arrivals"] = {"poisson": f"{rate} /s"}
    tight["duration"] = "500 ms"
    modelled = simulate(tight, fidelity="modelled", seed=seed)
    assert modelled.content() == simulate(tight, fidelity="sampled", seed=seed).content()
    state = modelled.world._state
    held = sum(replica.grown_bytes + (replica.base_bytes if replica.up else 0) for replica in state.replicas)
    assert state.machines["edge"].memory_bytes == held
    ends = [
        connection.sender(direction).name
        for connection in state.connections.values()
        for direction in (0, 1)
        if connection.open_ends[direction]
    ]
    for replica in state.replicas:
        assert replica.grown_bytes == ends.count(replica.name) * CONNECTION_BYTES


def test_real_bytes_agree(simulate: Any, tight: Any) -> None:
    """With real OpenSSL connections cut in the middle, the tables are the same."""
    tight["traffic"][0]["arrivals"] = {"constant": "200 /s"}
    real = simulate(tight, fidelity="real")
    assert sum(row.oom_kills for row in real.nodes) >= 1
    assert real.content() == simulate(tight, fidelity="modelled").content()
