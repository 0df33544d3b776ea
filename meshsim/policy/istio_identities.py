"""Identities that policies name and no workload has."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from meshsim.policy.engine import Directory, trust_domain_of
from meshsim.policy.istio_attachment import waypoint_identity
from meshsim.policy.istio_trust import LOCAL
from meshsim.policy.istio_types import AuthorizationPolicy, Clause, Policies
from meshsim.scenario.errors import Diagnostic
from meshsim.scenario.policy import IstioPolicy
from meshsim.scenario.words import expected, show

SCHEME = "spiffe://"
_OF_SERVICE = re.compile(r"spiffe://[^/]+/ns/([^/]+)/sa/([^/]+)")
_PRINCIPAL = re.compile(r"([^/]+)/(ns/([^/]+)/sa/[^/]+)")
_FLEET = re.compile(r"[^/]+/fleet/[^/]+")
_DEVICE = re.compile(r"([^/]+/fleet/[^/]+)/\d+")
_LET_PASS = "(mesh.policy.istio.unmatched: ignore lets it pass)"


def unknown_identities(policies: Policies, directory: Directory, settings: IstioPolicy) -> Iterator[Diagnostic]:
    """Principals, namespaces and service accounts of this mesh that no workload has.

    Patterns, foreign trust domains and the root namespace, in which gateways are, can mean somebody from elsewhere.
    Nothing is told where identities are not known.
    """
    if not directory.workloads:
        return
    waypoints = {waypoint_identity(one, directory): "" for one in directory.waypoints.values()}
    directory = msgspec.structs.replace(directory, workloads={**directory.workloads, **waypoints})
    for policy in policies.authorization:
        for clause in _clauses(policy):
            for value in (*clause.values, *clause.not_values):
                said = "" if "*" in value else _problem(clause.attribute, value, policy, directory, settings)
                if said:
                    yield clause.place.diagnostic(f"{said} {_LET_PASS}")


def _clauses(policy: AuthorizationPolicy) -> Iterator[Clause]:
    for rule in policy.rules:
        for source in rule.sources:
            yield from source
        yield from rule.conditions


def _problem(
    attribute: str, value: str, policy: AuthorizationPolicy, directory: Directory, settings: IstioPolicy
) -> str:
    if attribute == "source.principal":
        return _principal(value, directory, settings)
    own = {trust_domain_of(spiffe_id) for spiffe_id in directory.workloads}
    if attribute not in ("source.namespace", "source.serviceAccount") or directory.trust_domains - own:
        return ""  # what is meant can be in a trust domain of which no workload is here
    found = [match for one in directory.workloads if (match := _OF_SERVICE.fullmatch(one))]
    if attribute == "source.namespace":
        known = sorted({match[1] for match in found})
        if value in known or value == directory.root_namespace:
            return ""
        return f"no workload is in the namespace {show(value)}; {expected(value, known)}"
    namespace, _, account = value.rpartition("/")
    whole = f"{namespace or policy.scope.namespace}/{account}"
    known = sorted({f"{match[1]}/{match[2]}" for match in found})
    if whole in known or whole.startswith(f"{directory.root_namespace}/"):
        return ""
    return f"no workload has the service account {show(whole)}; {expected(whole, known)}"


def _principal(value: str, directory: Directory, settings: IstioPolicy) -> str:
    written, _, path = value.partition("/")
    form = _PRINCIPAL.fullmatch(value)
    domains = (directory.trust_domain, *settings.trust_domain_aliases)
    if form is None or written not in (LOCAL, *domains):
        domains = (written,)
    own = {trust_domain_of(spiffe_id) for spiffe_id in directory.workloads}
    if own.isdisjoint(domains) or (form is not None and form[3] == directory.root_namespace):
        return ""
    if any(f"{SCHEME}{domain}/{path}" in directory.workloads for domain in domains):
        return ""
    known = [one.removeprefix(SCHEME) for one in directory.workloads]
    if _FLEET.fullmatch(value):  # each device has an identity of its own: a fleet is all that begin so
        known = [_DEVICE.sub(r"\1/*", one) for one in known]
    return f"no workload has the identity {show(value)}; {expected(value, sorted(set(known)))}"
