"""Checks of federation: trust domains that exist, who is in them, and nodes that reach each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from meshsim.scenario import units
from meshsim.scenario.check_identity import check_issuer, check_lifetimes
from meshsim.scenario.check_reach import components, control_node
from meshsim.scenario.findings import Finding
from meshsim.scenario.model import Scenario
from meshsim.scenario.positions import Path
from meshsim.scenario.variants import replicas_by_node
from meshsim.scenario.words import expected

_AT: Path = ("mesh", "federation")
_IDENTITY: Path = ("mesh", "identity")
CARRIERS = ("edge", "regional", "core", "gnb")
"""Kinds of node that workloads run on."""


def check_federation(scenario: Scenario) -> Iterator[Finding]:
    """Trust domains that are none, memberships that contradict each other, faults of what is not there."""
    federation = scenario.mesh.federation
    yield from _check_faults(scenario)
    if federation is None:
        return
    own = scenario.mesh.trust_domain
    yield from _check_trusts(scenario, own, (*_AT, "trusts"), federation.trusts)
    yield from _check_endpoint(scenario, own, (*_AT, "endpoint"))
    seen: dict[str, str] = {}
    for name, domain in federation.domains.items():
        at: Path = (*_AT, "domains", name)
        if name == own:
            message = f"{name!r} is the mesh's own trust domain (mesh.trust_domain); expected another one"
            yield Finding(at, message, at_key=True)
            continue
        if not domain.services and not domain.fleets:
            message = f"nobody is in the trust domain {name!r}; expected services, fleets or both"
            yield Finding(at, message, at_key=True)
        for key, members in (("services", domain.services), ("fleets", domain.fleets)):
            for index, member in enumerate(members):
                other = seen.setdefault(member, name)
                if other != name or member in members[:index]:
                    where = "twice here" if other == name else f"in the trust domain {other!r} too"
                    yield Finding((*at, key, index), f"{member!r} is {where}; expected it in one, once")
        yield from _check_trusts(scenario, name, (*at, "trusts"), domain.trusts)
        yield from _check_node(scenario, domain.node, (*at, "node"))
        yield from _check_endpoint(scenario, name, (*at, "endpoint"))
        yield from _check_identity(scenario, name, (*at, "identity"), domain.node)


def _check_trusts(scenario: Scenario, name: str, at: Path, trusts: Sequence[str]) -> Iterator[Finding]:
    known = [other for other in scenario.mesh.trust_domains if other != name]
    for index, other in enumerate(trusts):
        if other == name:
            message = f"{name!r} believes its own workloads anyway; expected trust domains beside it"
            yield Finding((*at, index), message)
        elif other not in known:
            yield Finding((*at, index), f"there is no trust domain {other!r}; {expected(other, known)}")
        elif other in trusts[:index]:
            yield Finding((*at, index), f"{other!r} stands here twice; expected it once")


def _check_node(scenario: Scenario, node: str | None, at: Path) -> Iterator[Finding]:
    found = scenario.network.nodes.get(node or "")
    if found is not None and found.kind not in CARRIERS:
        message = "a router carries no workloads; expected a node of kind edge, regional, core or gnb"
        yield Finding(at, message)


def _check_endpoint(scenario: Scenario, name: str, at: Path) -> Iterator[Finding]:
    endpoint = scenario.mesh.endpoint_of(name)
    yield from _check_node(scenario, endpoint.node, (*at, "node"))
    hint_ns = endpoint.refresh_hint_ns
    if hint_ns is not None and hint_ns % units.NS_PER_S:
        message = f"{units.format_duration(hint_ns)!r} is no whole number of seconds; expected one, as bundles have it"
        yield Finding((*at, "refresh_hint"), message)


def _check_identity(scenario: Scenario, name: str, at: Path, node: str) -> Iterator[Finding]:
    """Lifetimes in a trust domain; what it does not say itself comes from mesh.identity, and may be wrong there."""
    mesh, domains = scenario.mesh, scenario.mesh.federation
    assert domains is not None
    identity = mesh.identity_of(name)
    if identity.issuer is not None:
        node = identity.issuer.node or node
    own = domains.domains[name].identity.model_fields_set
    yield from check_issuer(scenario, identity, at)
    for finding in check_lifetimes(scenario, identity, at, node):
        if finding.alone and f"{finding.path[-1]}_ns" not in own:
            continue  # it is told at mesh.identity
        places = [path for path in (finding.path, *finding.rivals) if path[: len(at)] == at]
        shared = tuple((*_IDENTITY, *path[len(at) :]) for path in places)
        if places and own:
            yield msgspec.structs.replace(finding, rivals=(*finding.rivals, *shared))


def _check_faults(scenario: Scenario) -> Iterator[Finding]:
    federation = scenario.mesh.federation
    others = [] if federation is None else list(federation.domains)
    for index, fault in enumerate(scenario.faults):
        path: Path = ("faults", index)
        if fault.kind == "bundle-endpoint":
            if federation is None:
                message = "no trust domain has a bundle endpoint; expected mesh.federation"
                yield Finding((*path, "kind"), message)
            elif fault.target not in scenario.mesh.trust_domains:
                known = expected(fault.target, scenario.mesh.trust_domains)
                yield Finding((*path, "target"), f"there is no trust domain {fault.target!r}; {known}")
        elif fault.kind == "ca-rotation" and fault.target not in ("authority", *others):
            if fault.target == scenario.mesh.trust_domain:  # a likely name would be somebody else's authority
                message = f"{fault.target!r} is the mesh's own trust domain; expected authority, or no target"
            else:
                known = expected(fault.target, ["authority", *others])
                message = f"there is no authority {fault.target!r}; {known}"
            yield Finding((*path, "target"), message)


def check_joined(scenario: Scenario) -> Iterator[Finding]:
    """Control planes that cannot reach the bundle endpoints that they fetch from, and issuers out of reach."""
    mesh, nodes = scenario.mesh, scenario.network.nodes
    federation, home = mesh.federation, control_node(scenario)
    if federation is None or any(end not in nodes for link in scenario.network.links for end in link.between):
        return
    part = components(scenario)
    planes = {mesh.trust_domain: home, **{name: domain.node for name, domain in federation.domains.items()}}
    for name, plane in planes.items():
        at: Path = (*_AT, "trusts") if name == mesh.trust_domain else (*_AT, "domains", name, "trusts")
        for index, other in enumerate(mesh.trusted_by(name)):
            if other not in planes:
                continue
            goal = mesh.endpoint_of(other).node or planes[other]
            if plane in part and goal in part and not part[plane] & part[goal]:
                message = f"node {plane!r} cannot reach the bundle endpoint of {other!r} on {goal!r}"
                yield Finding((*at, index), f"{message}; expected links that join them")
    for name, domain in federation.domains.items():
        issuer = domain.identity.issuer
        if issuer is not None:
            place = issuer.node or domain.node
            at = (*_AT, "domains", name, *(("identity", "issuer", "node") if issuer.node else ("node",)))
            known = part.get(place, frozenset())
            carrying = [node for member in domain.services for node in _nodes_of(scenario, member)]
            apart = next((node for node in carrying if node in part and not part[node] & known), None)
            if apart is not None and known:
                message = f"the issuer of {name!r} on {place!r} cannot reach node {apart!r}"
                yield Finding(at, f"{message}; expected links that join them")


def _nodes_of(scenario: Scenario, service: str) -> tuple[str, ...]:
    return tuple(replicas_by_node(scenario.services[service])) if service in scenario.services else ()
