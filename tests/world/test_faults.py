"""Faults in a running world: what they break, what they leave alone, and what comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from meshsim.experiment import run_folder
from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.loader import load_text
from tests.world.networks import triangle_network

MS = 1_000_000
S = 1_000_000_000
Data = dict[str, Any]


@pytest.fixture
def triangle() -> Data:
    """A client on a, a service on c; by b it is 2 ms, directly 10 ms, and a request every 20 ms."""
    return {
        "scenario": "triangle",
        "duration": "4 s",
        "network": triangle_network(cores=8),
        "services": {"front": {"replicas": {"c": 1}, "work": {"constant": "1 ms"}}},
        "fleets": {"client": {"node": "a"}},
        "mesh": {"control": {"node": "a", "failure_detection": "100 ms", "debounce": "10 ms"}},
        "traffic": [{"from": "client", "to": "front", "slice": "web", "arrivals": {"constant": "50 /s"}}],
    }


def between(result: Any, from_ms: int, to_ms: int) -> list[Any]:
    """The requests that were meant to be sent in a window."""
    return [row for row in result.requests if from_ms * MS <= row.t_intended_ns < to_ms * MS]


def test_link_down_drops_then_reroutes_then_recovers(simulate: Any, triangle: Data) -> None:
    """A cut link loses what is sent over it until routes go round it; after its end they come back to it."""
    triangle["faults"] = [{"kind": "link-down", "target": "b--c", "at": "1 s", "for": "1 s"}]
    result = simulate(triangle, fidelity="modelled")
    assert {row.outcome for row in result.requests} == {"ok"}
    assert {row.network_ns // MS for row in between(result, 100, 990)} == {4}
    # A segment that came round tells of the hole, well before the timer goes off.
    assert all(60 * MS <= row.tcp_ns <= 100 * MS for row in between(result, 1000, 1040))
    assert {row.network_ns // MS for row in between(result, 1400, 2040)} == {20}
    assert {row.network_ns // MS for row in between(result, 2120, 4000)} == {4}
    (fault,) = result.faults
    assert (fault.fault_id, fault.kind, fault.target) == ("link-down", "link-down", "b--c")
    assert (fault.t_start_ns, fault.t_end_ns) == (1 * S, 2 * S)
    drops = sum(row.drops for row in result.links if row.link in ("b->c", "c->b"))
    assert fault.effects == fault.packets == drops > 0
    assert fault.connections == fault.requests == 0
    down = {row.t_ns for row in result.links if row.link == "b->c" and not row.up}
    assert down <= {1 * S, 2 * S}


def test_node_crash_kills_and_restarts(simulate: Any, triangle: Data) -> None:
    """A crashed node answers nobody; after its restart stale connections are reset and requests succeed again."""
    triangle["mesh"]["resilience"] = {"request_timeout": "300 ms", "retries": 2}
    triangle["faults"] = [{"kind": "node-crash", "target": "c", "at": "1 s", "for": "1 s"}]
    result = simulate(triangle, fidelity="modelled")
    assert {row.outcome for row in between(result, 0, 980)} == {"ok"}
    assert "ok" not in {row.outcome for row in between(result, 1000, 1600)}
    assert {row.outcome for row in between(result, 2300, 4000)} == {"ok"}
    (fault,) = result.faults
    assert fault.connections >= 1
    assert {row.up for row in result.nodes if row.node == "c" and row.t_ns == 1 * S} <= {True, False}
    reasons = {row.reason for row in result.configs if row.version > 1}
    assert reasons == {"c is unhealthy", "c is healthy again"}
    events = [(row.t_ns, row.event) for row in result.identities if "front" in row.spiffe_id]
    assert events == [(0, "issued"), (2 * S, "issued")]


def test_stale_connection_is_reset_after_a_quick_restart(simulate: Any, triangle: Data) -> None:
    """A node that is back before anybody noticed answers a segment of an old connection with a reset; a retry helps."""
    triangle["mesh"]["control"]["failure_detection"] = "3 s"
    triangle["network"]["reroute_after"] = "2 s"
    triangle["traffic"][0]["arrivals"] = {"constant": "5 /s"}
    triangle["faults"] = [{"kind": "node-crash", "target": "c", "at": "1010 ms", "for": "100 ms"}]
    result = simulate(triangle, fidelity="modelled")
    (row,) = between(result, 1150, 1250)
    assert (row.outcome, row.attempts) == ("ok", 2)
    assert row.tcp_ns > 0
    assert {row.attempts for row in result.requests if not 1150 * MS < row.t_intended_ns < 1250 * MS} == {1}


@pytest.mark.parametrize("crash", [True, False])
def test_restarted_listener_declines_old_tickets(simulate: Any, triangle: Data, crash: bool) -> None:
    """A listener that restarted has another ticket key: the first handshake after that is full, then they resume."""
    triangle["mesh"]["pool"] = {"idle_timeout": "100 ms"}
    triangle["traffic"][0]["arrivals"] = {"constant": "4 /s"}
    if crash:
        triangle["faults"] = [{"kind": "node-crash", "target": "c", "at": "1010 ms", "for": "100 ms"}]
        triangle["mesh"]["control"]["failure_detection"] = "3 s"
        triangle["network"]["reroute_after"] = "2 s"
    rows = [row for row in simulate(triangle, fidelity="modelled").handshakes if row.outcome == "established"]
    full = [row.t_start_ns for row in rows if not row.resumed]
    assert len(full) == (2 if crash else 1)
    assert full[0] < 100 * MS
    if crash:
        assert 1110 * MS < full[1] < 1400 * MS


def test_crash_of_the_caller_kills_its_calls(simulate: Any, triangle: Data) -> None:
    """Calls of a crashed node end as reset at that instant, are counted, and what is sent while it is down fails."""
    triangle["services"]["front"]["work"] = {"constant": "100 ms"}
    triangle["faults"] = [{"kind": "node-crash", "target": "a", "at": "1010 ms", "for": "500 ms"}]
    triangle["mesh"]["control"]["node"] = "b"
    result = simulate(triangle, fidelity="modelled")
    killed = [row for row in result.requests if row.t_done_ns == 1010 * MS]
    assert {row.outcome for row in killed} == {"reset"}
    (fault,) = result.faults
    assert fault.requests == len(killed) >= 4
    assert {row.outcome for row in between(result, 1011, 1510)} == {"unreachable"}
    assert {row.outcome for row in between(result, 1700, 4000)} == {"ok"}


def test_latency_surge_adds_exactly(simulate: Any, triangle: Data) -> None:
    """While it lasts, a surge adds its delay to the network time each way; it changes no route and loses nothing."""
    triangle["traffic"][0]["arrivals"] = {"constant": "10 /s"}
    calm = simulate(triangle, fidelity="modelled")
    triangle["faults"] = [{"kind": "latency-surge", "target": "b--c", "at": "1050 ms", "for": "1 s", "add": "15 ms"}]
    result = simulate(triangle, fidelity="modelled")
    surged = 0
    for before, after in zip(calm.requests, result.requests, strict=True):
        inside = 1050 * MS < before.t_intended_ns < 2050 * MS
        surged += inside
        assert after.network_ns - before.network_ns == after.latency_ns - before.latency_ns == 30 * MS * inside
    (fault,) = result.faults
    assert fault.packets == fault.effects == 2 * surged == 20


def test_fault_that_touched_nothing(simulate: Any, triangle: Data, tmp_path: Path) -> None:
    """A fault on something that nobody uses is a mistake in the scenario, reported at its place; no run is left."""
    triangle["faults"] = [{"kind": "link-down", "target": "a--c", "at": "1 s", "for": "1 s"}]
    text = json.dumps(triangle, indent=1)
    loaded = load_text(text, tmp_path / "triangle.yaml", ["fidelity=modelled"])
    with pytest.raises(ScenarioError, match="touched nothing") as error:
        run_folder(loaded, out=tmp_path / "run")
    (diagnostic,) = error.value.diagnostics
    lines = text.splitlines()
    assert '"kind": "link-down"' in "".join(lines[diagnostic.line - 1 : diagnostic.line + 1])
    assert not (tmp_path / "run").exists()


def test_policy_denies_and_nothing_is_delivered(simulate: Any, triangle: Data) -> None:
    """A denied request has a 403, its rule is on record, and it costs the service nothing."""
    triangle["traffic"][0]["method"] = "DELETE"
    triangle["mesh"]["policy"] = {"files": ["mesh.cedar"]}
    result = simulate(triangle, fidelity="modelled")
    assert {(row.outcome, row.status, row.service_ns) for row in result.requests} == {("denied", 403, 0)}
    assert all(row.policy_ns > 0 for row in result.requests)
    assert {(row.rule, row.allowed, row.cached) for row in result.decisions} == {("no-deletes", False, False)}
    assert len(result.decisions) == len(result.requests)


def test_cached_decisions_cost_less(simulate: Any, triangle: Data) -> None:
    """With a decision cache the second like question costs a look-up, and its row says so."""
    triangle["mesh"]["policy"] = {"files": ["mesh.cedar"], "cache": True}
    result = simulate(triangle, fidelity="modelled")
    first, *others = result.requests
    assert {row.policy_ns for row in others} == {1_000}
    assert first.policy_ns > 1_000
    assert [row.cached for row in result.decisions] == [False] + [True] * len(others)


def expiring(triangle: Data, *, resumption: bool | Data) -> Data:
    """Certificates that end after two seconds and are never replaced; a new connection for each request."""
    triangle["mesh"] |= {
        "identity": {"svid_ttl": "2 s", "backdate": "1 s", "rotate_at": "100 %"},
        "pool": {"idle_timeout": "50 ms"},
        "tls": {"resumption": resumption},
        "resilience": {"retries": 0},
    }
    triangle["traffic"][0]["arrivals"] = {"constant": "5 /s"}
    return triangle


def test_expired_certificate_is_refused_in_full_handshakes(simulate: Any, triangle: Data) -> None:
    """Once a certificate has expired, full handshakes are refused with certificate_expired."""
    result = simulate(expiring(triangle, resumption=False))
    assert {row.outcome for row in between(result, 0, 1990)} == {"ok"}
    assert {row.outcome for row in between(result, 1990, 4000)} == {"tls-refused"}
    refused = [row for row in result.handshakes if row.outcome == "refused"]
    assert {(row.alert, row.refused_by) for row in refused} == {("certificate_expired", "client")}
    assert len(refused) == len(between(result, 1990, 4000))
    expired = [row.t_ns for row in result.identities if row.event == "expired"]
    assert expired == [2 * S + 1, 2 * S + 1]


def test_expired_certificate_is_outlived_by_resumption(simulate: Any, triangle: Data) -> None:
    """Resumed sessions go on after the certificates they rest on have expired, and are flagged."""
    result = simulate(expiring(triangle, resumption=True))
    assert {row.outcome for row in result.requests} == {"ok"}
    for row in result.handshakes:
        assert row.outlived_certificate == (row.t_start_ns > 2 * S), row
        assert row.resumed == (row.t_start_ns > 100 * MS)


def test_a_certificate_that_ends_in_mid_handshake_is_not_outlived(simulate: Any, triangle: Data) -> None:
    """A session that is taken up before its certificates end has not outlived them, though its handshake has."""
    expiring(triangle, resumption={"bound_to_certificate": True})
    triangle["traffic"][0]["start"] = "192 ms"
    *_, last = (row for row in simulate(triangle).handshakes if row.outcome == "established")
    assert last.resumed
    assert last.t_start_ns < 2 * S - 2 * MS
    assert last.t_start_ns + last.duration_ns + 2 * MS > 2 * S, "the client's last flight comes after their end"
    assert not last.outlived_certificate


def test_rotation_keeps_everybody_valid(simulate: Any, triangle: Data) -> None:
    """Certificates that are replaced in time never expire in use: nothing is refused and nothing outlived."""
    expiring(triangle, resumption=False)["mesh"]["identity"]["rotate_at"] = "50 %"
    result = simulate(triangle)
    assert {row.outcome for row in result.requests} == {"ok"}
    assert {row.outcome for row in result.handshakes} == {"established"}
    rotated = [row.t_ns for row in result.identities if row.event == "rotated"]
    assert rotated == [1 * S, 1 * S, 2 * S, 2 * S, 3 * S, 3 * S]


def test_sessions_go_with_what_envoy_rebuilds(simulate: Any, triangle: Data) -> None:
    """As in Envoy either end's sessions go with a new certificate of its own: the next handshake shows certificates."""
    expiring(triangle, resumption={"as_envoy": True})["mesh"]["identity"]["rotate_at"] = "50 %"
    result = simulate(triangle)
    rotated = sorted({row.t_ns for row in result.identities if row.event == "rotated"})
    assert rotated == [1 * S, 2 * S, 3 * S]
    full = [row.t_start_ns for row in result.handshakes if not row.resumed]
    expected = [min(row.t_start_ns for row in result.handshakes if row.t_start_ns >= after) for after in (0, *rotated)]
    assert full == expected


@pytest.mark.parametrize(("node", "skew", "by", "alert"), [
    ("c", "-2 h", "server", "bad_certificate"),
    ("c", "2 h", "server", "certificate_expired"),
    ("a", "-2 h", "client", "bad_certificate"),
    ("a", "2 h", "client", "certificate_expired"),
])  # fmt: skip
def test_skewed_clock_refuses_its_peers(
    simulate: Any, triangle: Data, node: str, skew: str, by: str, alert: str
) -> None:
    """A node whose clock is off refuses valid certificates, as not yet valid or as expired, by its own clock."""
    triangle["network"]["nodes"][node]["clock_skew"] = skew
    triangle["mesh"]["resilience"] = {"retries": 0}
    result = simulate(triangle, duration="500 ms")
    assert {row.outcome for row in result.requests} == {"tls-refused"}
    assert {(row.outcome, row.refused_by, row.alert) for row in result.handshakes} == {("refused", by, alert)}


@pytest.mark.parametrize("fidelity", ["modelled", "sampled", "real"])
def test_an_authority_that_has_ended_issues_nothing(simulate: Any, line: dict[str, Any], fidelity: str) -> None:
    """After the end of the authority's certificate rotations are refused; hosts keep what they have until it ends."""
    line["duration"] = "20 s"
    line["mesh"] = {
        "identity": {"ca_ttl": "12 s", "svid_ttl": "8 s", "backdate": "1 s"},
        "pool": {"idle_timeout": "100 ms"},
        "tls": {"resumption": False},
    }
    run = simulate(line, fidelity=fidelity)
    events = [(row.event, row.t_ns > 11_000_000_000) for row in run.identities]
    assert ("refused", True) in events
    assert ("rotated", True) not in events
    assert ("issued", True) not in events
    late = {row.outcome for row in run.requests if row.t_intended_ns > 12_000_000_000}
    assert late == {"tls-refused"}
    assert {row.reason for row in run.handshakes if row.outcome == "refused"} == {"expired"}
