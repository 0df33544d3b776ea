"""What is told of signers that cannot keep up or are too far away, and of faults that take the control plane."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshsim.scenario.loader import load_text

TEXT = """\
scenario: desk
duration: 120 s
network:
  nodes: {desk: {kind: core, cores: 1}, core: {kind: core}, edge: {kind: edge}}
  links: [{between: [desk, core], latency: 15 ms}, {between: [core, edge], latency: 2 ms}]
  slices: {web: {sst: 1, five_qi: 9}}
services:
  api: {replicas: {core: 1}, work: {constant: 1 ms}, request_authentication: {issuers: [login]},
        token: {issuer: login}}
fleets: {users: {node: edge, size: 10, token: {issuer: login}}}
mesh:
  identity: {svid_ttl: 20 s}
  tokens: {issuers: {login: {ttl: 20 s, endpoint: {node: desk, margin: 2 s}}}}
traffic: [{from: users, to: api, slice: web, arrivals: {constant: 1 /s}}]
"""
TOKENS = "mesh.tokens.issuers.login.endpoint"
ISSUER = "mesh.identity.issuer"
OTHER = "mesh.federation={domains: {other.example: {node: core, services: [api], identity: {issuer: {node: desk}}}}}"


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ([f"{TOKENS}.timeout=102 ms"], "is waited for 102 ms, and takes 3 round trips to 'desk', 102 ms from 'edge'"),
        ([f"{TOKENS}.timeout=103 ms"], ""),
        ([f"{TOKENS}.signatures=1 /s"], "11 holders, each asking for a new token every 10 s, are 1.1 /s, and 1 /s"),
        ([f"{TOKENS}.signatures=1.1 /s"], ""),
        ([f"{TOKENS}.signatures_per_node=0.5 /s"], "10 holders on 'edge', each asking for a new token every 10 s, are"),
        ([f"{TOKENS}.signatures_per_node=1 /s"], ""),
        ([f"{TOKENS}.cores=8"], "8 signatures at a time are to be made on 'desk', which has 1 core: they take turns"),
        ([f"{TOKENS}.cores=1"], ""),
        ([f"{ISSUER}={{node: desk, timeout: 34 ms}}"], "takes 1 round trip to 'desk', 34 ms from 'edge': nobody there"),
        ([f"{ISSUER}={{node: desk, timeout: 35 ms}}"], ""),
        (
            [f"{ISSUER}={{node: desk, timeout: 35 ms}}", "mesh.identity.at_start=onboarding"],
            "takes 3 round trips to 'desk', 102 ms from 'edge'",
        ),
        ([f"{ISSUER}={{node: desk, signatures: 1 /s}}"], "11 holders, each asking for a new certificate every 10 s"),
        ([f"{ISSUER}={{node: desk, signatures: 1 /s}}", "duration=10 s"], ""),
        ([f"{ISSUER}={{node: desk, cores: 2}}"], "2 signatures at a time are to be made on 'desk'"),
        ([OTHER, "mesh.federation.domains.other.example.identity.issuer.cores=2"], "2 signatures at a time are to be"),
        ([OTHER, "mesh.federation.domains.other.example.identity.issuer.signatures=0.05 /s"], "1 holder, each ask"),
    ],
)
def test_signers_that_cannot_keep_up_are_noted(overrides: list[str], says: str) -> None:
    """A time-out below the round trips, a rate below what holders ask, and cores that are not there; no mistakes."""
    notes = load_text(TEXT, Path("desk.yaml"), overrides).notes
    assert len(notes) == bool(says)
    assert all(says in note for note in notes)


@pytest.mark.parametrize(
    ("fault", "control", "says"),
    [
        ("{kind: node-crash, target: desk, at: 1 s, for: 1 s}", "", "the first core node, as mesh.control.node names"),
        ("{kind: node-crash, target: desk, at: 1 s, for: 1 s}", "desk", ""),
        ("{kind: node-crash, target: core, at: 1 s, for: 1 s}", "", ""),
        ("{kind: link-down, target: desk--core, at: 1 s, for: 1 s}", "", "this cuts a link of it, too"),
        ("{kind: link-down, target: desk--core, at: 1 s, for: 1 s}", "core", ""),
        ("{kind: link-down, target: core--edge, at: 1 s, for: 1 s}", "", ""),
    ],
)
def test_faults_that_take_the_control_plane_are_noted(fault: str, control: str, says: str) -> None:
    """Where the control plane is by default is told where a fault stops it or cuts one of its node's links."""
    overrides = [f"faults=[{fault}]", *([f"mesh.control.node={control}"] if control else [])]
    notes = load_text(TEXT, Path("desk.yaml"), overrides).notes
    assert len(notes) == bool(says)
    assert all("the control plane is on 'desk'" in note and says in note for note in notes)
