"""Inquiries into Istio policies."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshsim.inquiry.ask import ask
from meshsim.inquiry.constants import ANY_CASE_HOST, constants_of, header
from meshsim.inquiry.matrix import build_matrix, compare
from meshsim.inquiry.other_policies import holds_scenario, subject_of_files
from meshsim.inquiry.patterns import exactly, prefix, suffix
from meshsim.inquiry.region_words import region_words
from meshsim.inquiry.request import Request
from meshsim.inquiry.subject import Subject, subject_of_scenario
from meshsim.policy.engine import PolicyFile
from meshsim.scenario.errors import ScenarioError
from tests.inquiry.conftest import SCENARIO

POLICY = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: plans, namespace: plant}
spec:
  rules:
    - from: [{source: {principals: ["plant.example/fleet/robots/*"]}}]
      to: [{operation: {methods: [GET], paths: ["/plans/{*}"]}}]
      when: [{key: meshsim.slice, values: [control]}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-secrets, namespace: plant}
spec:
  action: DENY
  rules: [{to: [{operation: {paths: ["*/secret"]}}]}]
"""


@pytest.fixture
def plant(tmp_path: Path) -> Subject:
    """The plant under Istio policies."""
    (tmp_path / "plant-policy.yaml").write_text(POLICY, encoding="utf-8")
    scenario = SCENARIO.replace("{files: [plant.cedar]}", "{engine: istio, files: [plant-policy.yaml]}")
    file = tmp_path / "plant.yaml"
    file.write_text(scenario, encoding="utf-8")
    return subject_of_scenario(file)


def test_one_request(plant: Subject) -> None:
    """The rule that allows is named as Istio names it, and why the other had no say."""
    verdict = ask(plant, Request(source="robots", destination="planner", path="/plans/7"))
    assert (verdict.decision.allowed, verdict.decision.rule) == (True, "ns[plant]-policy[plans]-rule[0]")
    assert [account.why for account in verdict.accounts] == ["", "to: paths [*/secret], but found /plans/7"]
    denied = ask(plant, Request(source="robots", destination="planner", path="/plans/secret"))
    assert (denied.decision.allowed, denied.decision.rule) == (False, "ns[plant]-policy[no-secrets]-rule[0]")
    assert ask(plant, Request(source="rovers", destination="viewer")).decision.rule == "default-allow"


def test_the_matrix_knows_the_values_of_istio_policies(plant: Subject) -> None:
    """Classes follow from what clauses compare with, templates too."""
    matrix = build_matrix(plant)
    cells = {(cell.caller.name, cell.callee.name): cell for cell in matrix.cells}
    robots = cells["robots", "planner"]
    assert region_words(robots.allowed, matrix.space.dimensions) == [
        "GET /plans/{*} but not */secret when slice is control"
    ]
    assert (cells["rovers", "planner"].extent, cells["rovers", "viewer"].extent) == ("none", "all")


def test_flips_between_istio_policies(plant: Subject, tmp_path: Path) -> None:
    """What other files flip is found, with the settings of the scenario."""
    other = tmp_path / "other.yaml"
    other.write_text(POLICY.replace("[GET]", "[GET, PUT]"), encoding="utf-8")
    flips = compare(plant, subject_of_files(plant, [other])).flips
    assert {(flip.now_allowed, flip.caller.name, flip.callee.name) for flip in flips} == {
        (True, "robots", service) for service in ("planner", "vision")
    }


def test_constants_by_attribute() -> None:
    """Each value is a constant of what it stands beside."""
    text = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: a}
spec:
  rules:
  - from: [{source: {principals: ["a.example/ns/a/sa/b", "*/sa/c"], requestPrincipals: ["https://i/al*"]}}]
    to: [{operation: {hosts: ["A.example"], notMethods: ["P*"]}}]
    when:
    - {key: "request.headers[X-Token]", values: ["*"], notValues: ["*red"]}
    - {key: "request.headers[:path]", values: ["/a"]}
    - {key: "request.auth.audiences", values: ["shop"]}
    - {key: "request.auth.claims[a][b]", values: ["x*"]}
    - {key: source.ip, values: [10.0.0.0/8]}
    - {key: meshsim.certificate.age, values: ["< 1 h"]}
    - {key: meshsim.time, values: ["08:00-18:00"]}
    - {key: meshsim.tls.group, values: [X25519]}
    - {key: meshsim.site, values: [hall]}
"""
    found = constants_of("istio", [PolicyFile("a.yaml", text)])
    assert found.principals == {"spiffe://a.example/ns/a/sa/b"}
    assert found.names == {"POST", "PUT", "PATCH", "hall"}
    assert found.texts[ANY_CASE_HOST] == {exactly("a.example")}
    assert suffix("red") in found.texts[header("x-token")]
    assert (found.texts["path"], found.texts["query"]) == ({exactly("/a")}, {exactly("")})
    assert found.texts["group"] == {exactly("X25519")}
    assert found.claim_texts == {
        ("iss",): {exactly("https://i")},
        ("sub",): {prefix("al")},
        ("aud",): {exactly("shop")},
        ("a", "b"): {prefix("x")},
    }
    assert found.listed_claims == {("aud",), ("a", "b")}
    assert found.addresses == {"10.0.0.0/8"}
    assert found.numbers["certificate_age_s"] == {3600}
    assert found.day_times == {28_800, 64_800}
    assert prefix("x") not in found.texts[header("x-token")]
    assert not found.approximate


def test_what_is_odd_in_other_files_is_told(plant: Subject, tmp_path: Path) -> None:
    """Methods in lower case, and what nobody enforces, are told of files that are compared as of the scenario's own."""
    other = tmp_path / "other.yaml"
    attached = "targetRefs: [{kind: Service, name: planner, group: ''}], rules: [{to: [{operation: {methods: [get]}}]}]"
    head = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a, namespace: plant}\n"
    other.write_text(f"{head}spec: {{{attached}}}\n# scenario: none\n", encoding="utf-8")
    assert not holds_scenario(other)
    first, second = subject_of_files(plant, [other]).warnings
    assert "'get'" in first
    assert "planner" in second


def test_other_kinds_in_a_file_are_told(plant: Subject, tmp_path: Path) -> None:
    """A file that is compared holds policies alone; what else stands in it is told at its place."""
    other = tmp_path / "other.yaml"
    rule = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec: {host: a}\n---\n"
    other.write_text(rule + POLICY, encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        subject_of_files(plant, [other])
    assert [str(one) for one in caught.value.diagnostics] == [
        f"{other}:2:7: a DestinationRule stands among policies; expected AuthorizationPolicy or RequestAuthentication "
        "alone in a file (a folder of manifests may hold all kinds)"
    ]


@pytest.mark.parametrize(("block", "approximate"), [("10.244.0.0/16", 0), ("{first}", 1), ("192.0.2.7", 0)])
def test_replicas_with_other_addresses(block: str, approximate: int, tmp_path: Path) -> None:
    """A block that holds one replica of a service and not the other is said to be more than was asked about."""
    scenario = SCENARIO.replace("{files: [plant.cedar]}", "{engine: istio, files: [plant-policy.yaml]}")
    scenario = scenario.replace("planner: {replicas: {edge-1: 1}", "planner: {replicas: {edge-1: 2}")
    (tmp_path / "plant.yaml").write_text(scenario, encoding="utf-8")
    (tmp_path / "plant-policy.yaml").write_text(POLICY, encoding="utf-8")
    first, second = subject_of_scenario(tmp_path / "plant.yaml").callees[0].addresses
    assert first != second
    when = f"      when: [{{key: destination.ip, values: [{block.format(first=first)}]}}]"
    text = POLICY.replace("      when: [{key: meshsim.slice, values: [control]}]", when)
    (tmp_path / "plant-policy.yaml").write_text(text, encoding="utf-8")
    assert len(build_matrix(subject_of_scenario(tmp_path / "plant.yaml")).space.approximate) == approximate
