"""The authority of a request: who gives it, who reads it, and how far it goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshsim.inquiry.ask import ask
from meshsim.inquiry.request import Request
from meshsim.inquiry.subject import subject_of_scenario
from meshsim.scenario.loader import load_text
from tests.world.conftest import Result

POLICY = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: shop, namespace: default}
spec:
  rules: [{to: [{operation: {hosts: [shop.example.com]}}]}]
"""
SCENARIO = """\
scenario: authorities
duration: 2 s
network:
  nodes:
    edge: {kind: edge, cores: 8}
    core: {kind: core, cores: 8}
  links: [{between: [edge, core], latency: 1 ms}]
  slices:
    web: {sst: 1, five_qi: 9}
services:
  door:
    replicas: {edge: 1}
    work: {constant: 1 ms}
    calls: [{to: shop, authority: shop.example.com, optional: true}, {to: shop, optional: true}]
  shop: {replicas: {core: 1}, work: {constant: 1 ms}}
  other: {replicas: {core: 1}, work: {constant: 1 ms}}
fleets:
  users: {node: edge}
mesh:
  policy: {engine: istio, files: [shop-policy.yaml]}
traffic:
  - {name: named, from: users, to: door, authority: shop.example.com, slice: web, arrivals: {constant: 20 /s}}
  - {name: plain, from: users, to: door, slice: web, arrivals: {constant: 10 /s}}
  - {name: more, from: users, to: other, slice: web, arrivals: {constant: 10 /s}}
"""
ROUTES = """\
mesh:
  routes:
    - {to: shop, match: [{authority: {exact: shop.example.com}}], split: [{to: other}], rewrite: {path: /new}}
    - {to: shop, match: [{authority: {prefix: shop}}]}
"""


def run(folder: Path, text: str = SCENARIO, *overrides: str) -> Result:
    """One run of the scenario."""
    (folder / "shop-policy.yaml").write_text(POLICY, encoding="utf-8")
    return Result(load_text(text, folder / "s.yaml", overrides))


def test_policies_read_the_authority_of_flows_and_calls(tmp_path: Path) -> None:
    """Requests with the host that a policy names are let in, those with the service's name are not, at any fidelity."""
    found = {}
    for fidelity in ("real", "modelled"):
        result = run(tmp_path, SCENARIO, f"fidelity={fidelity}")
        found[fidelity] = result.content()
        assert {(row.source, row.outcome) for row in result.requests} == {
            ("named", "ok"),
            ("plain", "denied"),
            ("more", "denied"),
        }
        outcomes = [row.outcome for row in result.calls if row.source == "door"]
        assert sorted(set(outcomes)) == ["denied", "ok"]
        assert outcomes.count("ok") == outcomes.count("denied") == 40
    assert found["real"] == found["modelled"]


def test_requests_of_each_authority_have_connections_of_their_own(tmp_path: Path) -> None:
    """An authority that changes on a connection would be a new field in HPACK; so it takes another connection."""
    result = run(tmp_path)
    apart = {
        outcome: {row.connection_id for row in result.calls if row.source == "door" and row.outcome == outcome}
        for outcome in ("ok", "denied")
    }
    assert all(apart.values())
    assert not apart["ok"] & apart["denied"]
    sent = {row.outcome: row.bytes_sent for row in result.calls if row.source == "door"}
    assert sent["ok"] == sent["denied"]  # the name is in the table by then


def test_routes_tell_authorities_apart_and_leave_them(tmp_path: Path) -> None:
    """The first route that takes an authority holds; what it leads elsewhere keeps it, with another path too."""
    result = run(tmp_path, SCENARIO.replace("mesh:\n", ROUTES))
    calls = [(row.destination, row.outcome) for row in result.calls if row.source == "door"]
    assert set(calls) == {("other", "ok"), ("shop", "denied")}
    assert {row.path for row in result.decisions if row.destination == "other" and row.allowed} == {"/new"}


@pytest.mark.parametrize(("source", "destination", "allowed"), [("door", "shop", True), ("users", "other", False)])
def test_questions_are_for_the_authority_that_is_sent(
    tmp_path: Path, source: str, destination: str, allowed: bool
) -> None:
    """A question that names no host is asked with that of the caller's first request to the service."""
    (tmp_path / "shop-policy.yaml").write_text(POLICY, encoding="utf-8")
    (tmp_path / "s.yaml").write_text(SCENARIO, encoding="utf-8")
    subject = subject_of_scenario(tmp_path / "s.yaml")
    assert ask(subject, Request(source=source, destination=destination)).decision.allowed is allowed
    named = Request(source=source, destination=destination, host="shop.example.com")
    assert ask(subject, named).decision.allowed
