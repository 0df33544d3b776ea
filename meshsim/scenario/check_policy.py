"""Checks of authorization policy: where the engine runs, and faults of it."""

from __future__ import annotations

from collections.abc import Iterator

from meshsim.scenario.findings import Finding
from meshsim.scenario.model import Scenario


def check_authorizer(scenario: Scenario) -> Iterator[Finding]:
    """An authorizer on a router or on more cores than there are; faults of engines that are not there."""
    policy = scenario.mesh.policy
    authorizer = None if policy is None else policy.authorizer
    at = ("mesh", "policy", "authorizer")
    if authorizer is not None and authorizer.node is not None:
        node = scenario.network.nodes.get(authorizer.node)
        if node is not None and node.kind == "router":
            message = "a router carries no workloads; expected a node of kind edge, regional, core or gnb"
            yield Finding((*at, "node"), message)
        if node is not None and authorizer.cores is not None and authorizer.cores > node.cores:
            message = f"{authorizer.node!r} has fewer cores ({node.cores}); expected at most that many"
            yield Finding((*at, "cores"), message, rivals=((*at, "node"),))
    asked = policy is None or policy.engine != "istio" or (policy.istio and policy.istio.extension_providers)
    if authorizer is not None and not asked:
        message = "with the engine istio only CUSTOM policies ask an authorizer, by an extension provider"
        yield Finding(at, f"{message}; expected mesh.policy.istio.extension_providers", at_key=True)
    for index, fault in enumerate(scenario.faults):
        if fault.kind == "policy-outage" and authorizer is None:
            message = "the engine runs in the proxies and is gone only with them; expected mesh.policy.authorizer"
            yield Finding(("faults", index, "kind"), message)
        if fault.kind == "policy-slow" and policy is None:
            message = "the mesh has no policy engine that could be slow; expected mesh.policy"
            yield Finding(("faults", index, "kind"), message)
