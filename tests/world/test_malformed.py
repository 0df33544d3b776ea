"""Malformed requests in a run: refused with 400 and a reason, while all else goes on."""

from __future__ import annotations

import pytest

from meshsim.sidecar.malformed import EXPECTED
from tests.world.conftest import TWO_EDGES, Simulate

SCENARIO = (
    TWO_EDGES.replace("duration: 1 s", "duration: 2 s")
    + """\
scenario: malformed
services:
  planner: {replicas: {edge-2: 1}, work: {constant: 1 ms}}
fleets:
  robots: {node: edge-1}
traffic:
  - {name: honest, from: robots, to: planner, slice: web, arrivals: {constant: 10 /s}}
  - {name: bad, from: robots, to: planner, slice: web, malformed: two-lengths, arrivals: {constant: 10 /s}}
mesh: {policy: {files: [mesh.cedar]}}
"""
)


@pytest.mark.parametrize("shape", EXPECTED)
def test_each_shape_is_refused(simulate: Simulate, shape: str) -> None:
    """Real bytes and sizes alone come to the same: status 400, the reason among the decisions, nothing delivered."""
    results = [simulate(SCENARIO, fidelity=level, traffic__1__malformed=shape) for level in ("real", "modelled")]
    assert results[0].content() == results[1].content()
    result = results[0]
    assert {(row.outcome, row.status) for row in result.requests if row.source == "honest"} == {("ok", 200)}
    assert {(row.outcome, row.status) for row in result.requests if row.source == "bad"} == {("denied", 400)}
    bad = [row for row in result.decisions if row.engine == "http"]
    assert {(row.rule, row.allowed) for row in bad} == {(EXPECTED[shape], False)}
    assert len(bad) == sum(row.source == "bad" for row in result.requests) == 20


def test_each_refusal_takes_a_connection(simulate: Simulate) -> None:
    """After a refusal nobody knows where the next request begins, so the connection is used no more."""
    result = simulate(SCENARIO)
    assert len(result.handshakes) == 20 + 1


def test_malformed_requests_need_no_tls(simulate: Simulate) -> None:
    """Plaintext in the clear is refused the same way."""
    result = simulate(SCENARIO, fidelity="real", mesh__tls__mode="DISABLE")
    assert {(row.outcome, row.status) for row in result.requests if row.source == "bad"} == {("denied", 400)}


def test_a_refusal_is_no_wrong_decision(simulate: Simulate) -> None:
    """No policy decided it: it is not held against policies that change, and no authorizer is asked."""
    changed = SCENARIO.replace("{files: [mesh.cedar]}", "{files: [mesh.cedar], authorizer: {node: edge-1}}")
    changed += "changes: [{at: 500 ms, policy: {files: [mesh.cedar]}}]\n"
    result = simulate(changed)
    assert {row.wrongly for row in result.decisions} == {""}
    sent = [row for row in result.requests if row.source == "bad"]
    assert (
        max(row.policy_ns for row in sent)
        < 1_000_000
        < min(row.policy_ns for row in result.requests if row.source == "honest")
    )
