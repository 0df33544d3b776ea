"""The authority of a request: who gives it, who reads it, and how far it goes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import hpack
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


@pytest.mark.parametrize("fidelity", ["real", "modelled"])
@pytest.mark.parametrize("mesh", ["mesh:\n", "mesh:\n  destinations: {shop: {pool: {max_connections: 5}}}\n"])
def test_requests_of_all_authorities_share_connections(tmp_path: Path, fidelity: str, mesh: str) -> None:
    """As in Envoy, whose pools are a cluster's; what is not the name of the first request is sent in full each time."""
    result = run(tmp_path, SCENARIO.replace("mesh:\n", mesh), f"fidelity={fidelity}")
    mine = [row for row in result.calls if row.source == "door"]
    assert len({row.connection_id for row in mine}) == 1
    sent = {row.outcome: row.bytes_sent for row in mine}
    # The first request had the long name, which HPACK's table has; the other is a string with its length before it.
    assert sent["denied"] - sent["ok"] == len(hpack.Encoder().encode([(":authority", "shop")])) - 1


def test_limits_are_of_a_service_and_not_of_an_authority(tmp_path: Path) -> None:
    """Of requests with different authorities at a time, all but one are too many where one is the limit."""
    together = SCENARIO.replace("calls: [", "calls: [{parallel: [").replace("true}]\n", "true}]}]\n")
    together = together.replace("mesh:\n", "mesh:\n  destinations: {shop: {pool: {max_requests: 1}}}\n")
    result = run(tmp_path, together, "mesh.policy=null")
    outcomes = Counter(row.outcome for row in result.calls if row.source == "door")
    # Requests come at 40 instants, at 20 of them two: one call of each instant goes through.
    assert outcomes == {"ok": 40, "overflow": 2 * (40 + 20) - 40}


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
