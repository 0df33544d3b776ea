"""Checks of authorization policy: where the engine runs, and faults of it."""

from __future__ import annotations

from collections.abc import Iterator

from meshsim.scenario.findings import Finding
from meshsim.scenario.model import Scenario
from meshsim.scenario.policy import Authorizer
from meshsim.scenario.positions import Path
from meshsim.scenario.words import expected, show


def check_authorizer(scenario: Scenario) -> Iterator[Finding]:
    """Authorizers on routers or on more cores than there are; faults of engines that are not there."""
    policy = scenario.mesh.policy
    authorizers = {} if policy is None else dict(policy.authorizers)
    for name, authorizer in authorizers.items():
        yield from _check_place(scenario, authorizer, path_of(name))
    asked = policy is None or policy.engine != "istio" or (policy.istio and policy.istio.extension_providers)
    if "authorizer" in authorizers and not asked:
        message = "with the engine istio only CUSTOM policies ask an authorizer, by an extension provider"
        message = f"{message}; expected mesh.policy.istio.extension_providers"
        involved = ("mesh", "policy", "istio", "extension_providers")
        yield Finding(path_of("authorizer"), message, at_key=True, involved=(involved,))
    for index, fault in enumerate(scenario.faults):
        if fault.kind == "policy-outage" and not authorizers:
            message = "the engine runs in the proxies and is gone only with them; expected mesh.policy.authorizer"
            yield Finding(("faults", index, "kind"), message)
        elif fault.kind == "policy-outage" and fault.target not in authorizers:
            message = f"there is no authorizer {show(fault.target)}; {expected(fault.target, list(authorizers))}"
            yield Finding(("faults", index, "target"), message)
        if fault.kind == "policy-slow" and policy is None:
            message = "the mesh has no policy engine that could be slow; expected mesh.policy"
            yield Finding(("faults", index, "kind"), message)
        elif fault.kind == "policy-slow":
            known = ["engine", *(name for name in authorizers if name != "authorizer")]
            if "authorizer" in authorizers and policy is not None and policy.istio is not None:
                known = ["engine", *policy.istio.extension_providers]
            if fault.target not in known:
                message = f"nothing called {show(fault.target)} decides outside of the proxies"
                yield Finding(("faults", index, "target"), f"{message}; {expected(fault.target, known)}")


def path_of(authorizer: str) -> Path:
    """Where an authorizer stands in a scenario."""
    if authorizer == "authorizer":
        return ("mesh", "policy", "authorizer")
    return ("mesh", "policy", "istio", "extension_providers", authorizer, "authorizer")


def _check_place(scenario: Scenario, authorizer: Authorizer, at: Path) -> Iterator[Finding]:
    node = None if authorizer.node is None else scenario.network.nodes.get(authorizer.node)
    if node is not None and node.kind == "router":
        message = "a router carries no workloads; expected a node of kind edge, regional, core or gnb"
        yield Finding((*at, "node"), message)
    if node is not None and authorizer.cores is not None and authorizer.cores > node.cores:
        message = f"{authorizer.node!r} has fewer cores ({node.cores}); expected at most that many"
        yield Finding((*at, "cores"), message, rivals=((*at, "node"),))
