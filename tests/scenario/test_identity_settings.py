"""Mistakes about certificates that take more than one line to make."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.loader import load_text

TEXT = """\
scenario: apart
duration: 1 min
network:
  nodes: {core: {kind: core}, edge: {kind: edge}, alone: {kind: edge}, hop: {kind: router}}
  links: [{between: [core, edge], latency: 1 ms}, {between: [core, hop], latency: 1 ms}]
  slices: {web: {sst: 1, five_qi: 9}}
services: {front: {replicas: {edge: 1}, work: {constant: 1 ms}}}
fleets: {client: {node: core}}
mesh: {identity: {issuer: {node: NODE}}}
traffic: [{from: client, to: front, slice: web, arrivals: {constant: 1 /s}}]
"""


@pytest.mark.parametrize(
    ("node", "says"),
    [
        ("alone", "the issuer on 'alone' cannot reach node 'edge'; expected links that join them"),
        ("hop", "a router carries no workloads; expected a node of kind edge, regional, core or gnb"),
    ],
)
def test_issuer_that_cannot_serve(node: str, says: str) -> None:
    """An issuer on a node that no workload can reach, or that forwards packets and does nothing else, is a mistake."""
    with pytest.raises(ScenarioError) as error:
        load_text(TEXT.replace("NODE", node), Path("apart.yaml"))
    assert [str(one) for one in error.value.diagnostics] == [f"apart.yaml:9:34: {says}"]
