"""Mistakes in the policies of a scenario that is wrong itself, so that all are told at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from meshsim.policy.engine import Directory, PolicyFile
from meshsim.policy.engines import build_engine
from meshsim.policy.istio_read import read_policies
from meshsim.scenario.errors import Diagnostic, ScenarioError
from meshsim.scenario.policy import root_namespace_of

if TYPE_CHECKING:
    from meshsim.scenario.policy import Policy
    from meshsim.scenario.policy_sources import PolicySources, RefusedScenario


def with_policies(error: RefusedScenario, base: Path) -> ScenarioError:
    """The mistakes of a scenario with those of its policies, which stand in or below ``base``."""
    sources = error.policies
    return ScenarioError([*error.diagnostics, *(() if sources is None else policy_mistakes(sources, base))])


def policy_mistakes(sources: PolicySources, base: Path) -> list[Diagnostic]:
    """What is wrong with the policies of a scenario that has mistakes itself.

    Identities of single workloads are not looked up: which there are is known of a sound scenario alone. Where not all
    names are known, only what Istio's policies are by themselves is told.
    """
    found: list[Diagnostic] = []
    for policy, texts in sources.sets:
        files = [PolicyFile(name, text, str(base / name)) for name, text in texts]
        if not sources.names_known:
            found += _by_themselves(policy, files)
            continue
        try:
            build_engine(policy.engine, files, _directory(sources, policy), policy.default, policy)
        except ScenarioError as error:
            found += error.diagnostics
    return found


def _by_themselves(policy: Policy, files: list[PolicyFile]) -> list[Diagnostic]:
    if policy.engine != "istio":
        return []  # the checks of the other engines go by the names of the mesh
    providers = {} if policy.istio is None else policy.istio.extension_providers
    asked = {file for provider in providers.values() for file in provider.files}
    return list(read_policies([file for file in files if file.name not in asked])[1])


def _directory(sources: PolicySources, policy: Policy) -> Directory:
    return Directory(
        services=sources.services,
        fleets=sources.fleets,
        slices=sources.slices,
        sites=sources.sites,
        nodes=sources.nodes,
        namespaces=sources.namespaces,
        labels=sources.labels,
        version_labels=sources.version_labels,
        ports=sources.ports,
        ambient=sources.ambient,
        sidecars=sources.sidecars,
        waypoints=sources.waypoints,
        gateways=sources.gateways,
        trust_domains=sources.trust_domains,
        trust_domain=sources.trust_domain,
        root_namespace=root_namespace_of(policy),
    )
