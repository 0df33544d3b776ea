"""A small plant that all questions are about."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshsim.inquiry.subject import Subject, subject_of_scenario

SCENARIO = """\
scenario: plant
duration: 1 s
network:
  nodes:
    gnb-1: {kind: gnb, site: hall}
    edge-1: {kind: edge, site: hall}
    core-1: {kind: core, site: office}
  links:
    - {between: [gnb-1, edge-1], latency: 1 ms}
    - {between: [edge-1, core-1], latency: 5 ms}
  slices:
    control: {sst: 2, five_qi: 82}
    video: {sst: 1, five_qi: 7}
  radios:
    air: {fixed: {uplink: 3 ms, downlink: 3 ms}, cells: {cell-1: gnb-1}}
services:
  planner: {replicas: {edge-1: 1}, work: {constant: 1 ms}, calls: [{to: vision}], namespace: plant}
  vision: {replicas: {edge-1: 1}, work: {constant: 1 ms}, namespace: plant, tls: {mode: PERMISSIVE}}
  viewer: {replicas: {core-1: 1}, work: {constant: 1 ms}, namespace: office, service_account: screens}
fleets:
  robots: {size: 3, radio: air}
  rovers: {size: 1, radio: air}
mesh:
  trust_domain: plant.example
  policy: {files: [plant.cedar]}
traffic:
  - {from: robots, to: planner, slice: control, arrivals: {poisson: 10 /s}}
  - {from: rovers, to: viewer, slice: video, arrivals: {poisson: 10 /s}}
"""
POLICY = """\
@id("robots-plan")
permit (principal in Fleet::"robots", action == Action::"GET", resource == Service::"planner")
when { context.path like "/plans/*" };

@id("planner-looks")
permit (principal in Service::"planner", action in Action::"read", resource == Service::"vision");

@id("rovers-show")
permit (principal in Fleet::"rovers", action, resource == Service::"viewer")
when { context.slice == Slice::"video" };

@id("no-secrets")
forbid (principal, action, resource)
when { context.path like "*/secret" };
"""


def write(folder: Path, policy: str = POLICY) -> Path:
    """Write the plant into a folder; return the scenario file."""
    (folder / "plant.cedar").write_text(policy, encoding="utf-8")
    file = folder / "plant.yaml"
    file.write_text(SCENARIO, encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def plant_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scenario file of the plant."""
    return write(tmp_path_factory.mktemp("plant"))


@pytest.fixture(scope="session")
def plant(plant_file: Path) -> Subject:
    """The plant."""
    return subject_of_scenario(plant_file)
