"""What is wrong with Istio policies in one mesh, though each is right by itself."""

from __future__ import annotations

from collections.abc import Iterator

from meshsim.policy.engine import Directory
from meshsim.policy.istio_identities import unknown_identities
from meshsim.policy.istio_scope import is_for, unused, workloads
from meshsim.policy.istio_types import AuthorizationPolicy, Clause, Policies
from meshsim.policy.istio_values import METADATA
from meshsim.scenario.errors import Diagnostic
from meshsim.scenario.policy import IstioPolicy
from meshsim.scenario.words import expected, show


def check(policies: Policies, directory: Directory, settings: IstioPolicy) -> list[Diagnostic]:
    """Every mistake that only shows in a mesh with these services and settings."""
    mistakes: list[Diagnostic] = []
    for scope in (one.scope for either in (policies.authorization, policies.authentication) for one in either):
        if settings.unmatched == "error":
            mistakes += unused(scope, directory)
    if settings.unmatched == "error":
        mistakes += unknown_identities(policies, directory, settings)
    mistakes += _providers(policies, directory, settings)
    for clause in _clauses(policies):
        if clause.attribute.startswith(METADATA):
            mistakes += _metadata(clause, settings)
        elif clause.attribute in ("meshsim.slice", "meshsim.site"):
            mistakes += _names(clause, directory)
    return mistakes


def _clauses(policies: Policies) -> Iterator[Clause]:
    for policy in policies.authorization:
        for rule in policy.rules:
            yield from rule.conditions


def _providers(policies: Policies, directory: Directory, settings: IstioPolicy) -> Iterator[Diagnostic]:
    declared = settings.extension_providers
    asking = [policy for policy in policies.authorization if policy.action == "CUSTOM" and policy.provider]
    for policy in asking:
        if policy.provider not in declared:
            near = expected(policy.provider, list(declared), "expected it below mesh.policy.istio.extension_providers")
            yield policy.provider_place.diagnostic(f"unknown extension provider {show(policy.provider)}; {near}")
    first: dict[str, AuthorizationPolicy] = {}
    for service, version in workloads(directory):
        here = [policy for policy in asking if is_for(policy.scope, service, directory, version)]
        for policy in here:
            if policy.provider != here[0].provider and policy.name not in first:
                first[policy.name] = policy
                said = f"{service} would have two providers, {show(here[0].provider)} and {show(policy.provider)}"
                yield policy.provider_place.diagnostic(f"{said}; expected one for a workload, as Istio has it")


def _metadata(clause: Clause, settings: IstioPolicy) -> Iterator[Diagnostic]:
    name, _, key = clause.attribute.removeprefix("experimental.").partition("[")
    if key.removesuffix("]") not in settings.filter_metadata.get(name, {}):
        said = f"no filter here says {show(key.removesuffix(']'))} as {name}"
        yield clause.place.diagnostic(f"{said}; expected it below mesh.policy.istio.filter_metadata")


def _names(clause: Clause, directory: Directory) -> Iterator[Diagnostic]:
    noun, known = ("slice", directory.slices) if clause.attribute == "meshsim.slice" else ("site", directory.sites)
    for value in (*clause.values, *clause.not_values):
        if "*" not in value and value not in known:
            near = expected(value, sorted(known), f"the scenario has no {noun}")
            yield clause.place.diagnostic(f"unknown {noun} {show(value)}; {near}")
