"""Forged header fields in a run: gone by themselves, believed where the mesh says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshsim.scenario.loader import load_text
from tests.world.conftest import TWO_EDGES, Result

SCENARIO = (
    TWO_EDGES
    + """\
scenario: forged
services:
  front: {replicas: {edge-2: 1}, work: {constant: 1 ms}, forward_headers: [x-user-id], calls: [{to: plans}]}
  plans: {replicas: {edge-2: 1}, work: {constant: 1 ms}}
fleets: {robots: {node: edge-1}}
traffic:
  - from: robots
    to: front
    slice: web
    headers: {x-user-id: admin, x-forwarded-client-cert: URI=spiffe://mesh.example/admin}
    arrivals: {constant: 10 /s}
mesh: {policy: {files: [a.cedar]}}
"""
)
BY_USER = """\
permit (principal, action, resource == Service::"front");
permit (principal, action, resource == Service::"plans")
when { context.headers has "x-user-id" && context.headers["x-user-id"] == "admin" };
"""
BY_CERT = """\
permit (principal, action, resource == Service::"plans");
permit (principal, action, resource == Service::"front")
when { context.headers has "x-forwarded-client-cert" && context.headers["x-forwarded-client-cert"] == "%s" };
"""


def denied(tmp_path: Path, policy: str, *settings: str) -> set[str]:
    """The services that refused calls."""
    (tmp_path / "a.cedar").write_text(policy, encoding="utf-8")
    result = Result(load_text(SCENARIO, tmp_path / "s.yaml", ["fidelity=real", *settings]))
    return {row.destination for row in result.decisions if not row.allowed}


def test_identity_headers_are_not_handed_on(tmp_path: Path) -> None:
    """What a fleet says of its user reaches the service behind only where nobody removes it."""
    assert denied(tmp_path, BY_USER) == set()
    assert denied(tmp_path, BY_USER, "mesh.http={identity_headers: [x-user-*]}") == {"plans"}
    assert denied(tmp_path, BY_USER, "mesh.http={identity_headers: [x-user]}") == set()


@pytest.mark.parametrize(
    ("mode", "seen"),
    [
        ("ALWAYS_FORWARD_ONLY", "URI=spiffe://mesh.example/admin"),
        ("SANITIZE_SET", "By={front};URI={robot}"),
        ("APPEND_FORWARD", "URI=spiffe://mesh.example/admin,By={front};URI={robot}"),
    ],
)
def test_policies_see_the_proved_certificate(tmp_path: Path, mode: str, seen: str) -> None:
    """The field holds what the mode says: the caller's word, the sidecar's, or one after the other."""
    (tmp_path / "a.cedar").write_text("permit (principal, action, resource);", encoding="utf-8")
    hosts = {
        host.workload: host.spiffe_id for host in Result(load_text(SCENARIO, tmp_path / "s.yaml")).world._state.hosts()
    }
    value = seen.format(front=hosts["front"], robot=hosts["robots"])
    http = f"mesh.http={{client_cert: {{from_fleets: {mode}, fields: [By, URI]}}}}"
    assert denied(tmp_path, BY_CERT % value, http) == set()
    assert denied(tmp_path, BY_CERT % "another", http) == {"front"}


def test_forged_certificates_are_gone_by_themselves(tmp_path: Path) -> None:
    """A mesh that says nothing of X-Forwarded-Client-Cert lets nobody in by it; nor does the preset istio."""
    policy = BY_CERT % "URI=spiffe://mesh.example/admin"
    assert denied(tmp_path, policy) == {"front"}
    assert denied(tmp_path, policy, "mesh.preset=istio") == {"front"}
    assert denied(tmp_path, policy, "mesh.http={client_cert: {from_fleets: ALWAYS_FORWARD_ONLY}}") == set()
