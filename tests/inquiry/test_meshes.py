"""Comparisons of meshes that differ in more than policies: what each side makes of a request, asked one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from meshsim.inquiry.ask import ask
from meshsim.inquiry.matrix import Comparison, compare
from meshsim.inquiry.request import Request
from meshsim.inquiry.subject import Subject, subject_of_scenario
from tests.inquiry.test_exact import _asked

SCENARIO = """\
scenario: yard
duration: 1 s
network:
  nodes: {desk: {kind: edge, site: hall}, shop: {kind: edge, site: office}}
  links: [{between: [desk, shop], latency: 1 ms}]
  slices: {web: {sst: 1, five_qi: 9}}
services:
  front: {namespace: yard, replicas: {desk: 1}, work: {constant: 1 ms}, calls: [{to: back}]}
  back: {namespace: yard, replicas: {shop: 1}, work: {constant: 1 ms}}
fleets: {users: {node: desk}}
mesh:
  policy: {engine: istio, files: [p.yaml], default: allow}
traffic: [{from: users, to: front, slice: web, arrivals: {constant: 10 /s}}]
"""
OBJECT = "{{apiVersion: security.istio.io/v1, kind: {}, metadata: {{name: p, namespace: yard}}, spec: {}}}"
NOTHING = OBJECT.format("AuthorizationPolicy", "{rules: [{}]}")


Sides = Callable[..., tuple[Subject, Subject]]


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    """A function that reads the yard with two sets of settings, and one policy."""

    def of(before: list[str], after: list[str], policy: str = NOTHING) -> tuple[Subject, Subject]:
        (tmp_path / "p.yaml").write_text(policy, encoding="utf-8")
        (tmp_path / "s.yaml").write_text(SCENARIO, encoding="utf-8")
        return subject_of_scenario(tmp_path / "s.yaml", before), subject_of_scenario(tmp_path / "s.yaml", after)

    return of


def told(comparison: Comparison, source: str, destination: str) -> set[bool]:
    """How the decisions on a caller at a service flip; the comparison has to be exact."""
    assert not comparison.space.approximate
    mine = (flip for flip in comparison.flips if (flip.caller.name, flip.callee.service) == (source, destination))
    return {flip.now_allowed for flip in mine}


def allowed(each: tuple[Subject, Subject], **request: object) -> list[bool]:
    """What each side says to a request."""
    return [ask(side, Request(**request)).decision.allowed for side in each]  # type: ignore[arg-type]  # as callers write it


def check_witnesses(each: tuple[Subject, Subject], comparison: Comparison) -> None:
    """Ask what stands below each flip."""
    for flip in comparison.flips:
        assert [ask(side, _asked(flip.ask)).decision.allowed for side in each] == [
            not flip.now_allowed,
            flip.now_allowed,
        ]


def test_each_side_knows_who_carries_what_a_caller_sends(sides: Sides) -> None:
    """What sidecars are told of a service holds for no ztunnel: a caller that gets one speaks TLS again."""
    each = sides(
        ["mesh.destinations={back: {tls: plaintext}}", "fleets.users.dataplane=ambient"],
        [
            "mesh.destinations={back: {tls: plaintext}}",
            "fleets.users.dataplane=ambient",
            "services.front.dataplane=ambient",
        ],
    )
    assert allowed(each, source="front", destination="back") == [False, True]
    comparison = compare(*each)
    assert told(comparison, "front", "back") == {True}
    check_witnesses(each, comparison)
