"""Who seems to call whom in manifests: what environment variables and AuthorizationPolicies give away."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from meshsim.scenario.manifest_reader import Manifest
from meshsim.scenario.manifests.gateways import GatewayRoute
from meshsim.scenario.manifests.kubernetes import Cluster, KubeService
from meshsim.scenario.shape import step

_HOST = re.compile(r"(?:^|[/@,;=\s])([a-z0-9][a-z0-9-]*)((?:\.[a-z0-9-]+)*):([0-9]{1,5})(?![0-9])")
_URL = re.compile(r"[a-z0-9+]+://([a-z0-9][a-z0-9-]*)((?:\.[a-z0-9-]+)*)(?=[/?#]|$)")
_NAME = re.compile(r"(?:^|[/@,;=\s])([a-z0-9][a-z0-9-]*)((?:\.[a-z0-9-]+)\.svc(?:\.cluster\.local)?)(?=[/?#,;\s]|$)")
"""A host by itself: only a name that is one of Kubernetes beyond doubt."""
_PRINCIPAL = re.compile(r"(?:.*/)?ns/([a-z0-9-]+)/sa/([a-z0-9-]+)")


class Evidence(msgspec.Struct, frozen=True):
    """A call that manifests give away."""

    caller: str
    callee: str
    why: str
    versions: tuple[str, ...] = ()
    """The versions of the caller that make it; none: all of them do."""
    path: str = ""
    """Path of its requests, if that is known."""
    hosts: tuple[str, ...] = ()
    """Authorities that its requests can have, if those are known."""
    exclusive: bool = False
    """Whether the caller makes one of such calls for each request, as gateways do."""


def evidence(cluster: Cluster, policies: list[Manifest]) -> list[Evidence]:
    """The calls that manifests give away, each once, those left out that would close a circle."""
    found: dict[tuple[str, str], Evidence] = {}
    for one in [*_from_environment(cluster), *_from_policies(cluster, policies)]:
        if one.caller != one.callee and not _reaches(found, one.callee, one.caller):
            found.setdefault((one.caller, one.callee), one)
    return list(found.values())


def from_gateways(routes: Sequence[GatewayRoute]) -> list[Evidence]:
    """What gateways call, by the VirtualServices that are bound to them."""
    first: dict[tuple[str, str], GatewayRoute] = {}
    for route in routes:
        first.setdefault((route.gateway, route.to), route)
    why = "a VirtualService of its Gateway leads there"
    return [
        Evidence(gateway, to, why, path=route.path, hosts=route.hosts, exclusive=True)
        for (gateway, to), route in first.items()
    ]


def _reaches(known: dict[tuple[str, str], Evidence], start: str, end: str) -> bool:
    waiting, seen = [start], {start}
    while waiting:
        name = waiting.pop()
        if name == end:
            return True
        below = {callee for caller, callee in known if caller == name} - seen
        seen |= below
        waiting += below
    return False


def _from_environment(cluster: Cluster) -> Iterator[Evidence]:
    for service in cluster.services.values():
        named: dict[str, list[str]] = {}
        for version, deployment in service.versions().items():
            for callee in dict.fromkeys(
                key for value in deployment.environment for key in _named(cluster, service, value)
            ):
                named.setdefault(callee, []).append(version)
        for callee, versions in named.items():
            first = service.versions()[versions[0]].name
            why = f"an environment variable of {first} names it"
            yield Evidence(service.key, callee, why, _some(service, versions))


def _some(service: KubeService, versions: list[str]) -> tuple[str, ...]:
    """These versions of a service; none if they are all of them."""
    return tuple(versions) if len(versions) < len(service.deployments) else ()


def _named(cluster: Cluster, caller: KubeService, text: str) -> Iterator[str]:
    """The services that a text names as a host with one of their ports, in a URL, or by their whole name in DNS."""
    hosts = [(name, rest, int(port)) for name, rest, port in _HOST.findall(text)]
    hosts += [(name, rest, 0) for pattern in (_URL, _NAME) for name, rest in pattern.findall(text)]
    for name, rest, port in hosts:
        namespace = rest.split(".")[1] if rest else caller.namespace
        for service in cluster.services.values():
            known = {0, *(one.number for one in service.ports)}
            if (service.name, service.namespace) == (name, namespace) and port in known:
                yield service.key


def _from_policies(cluster: Cluster, policies: list[Manifest]) -> Iterator[Evidence]:
    """Calls that AuthorizationPolicies allow to a service account by name."""
    for policy in policies:
        spec = step(policy.whole.data, "spec")
        if policy.kind != "AuthorizationPolicy" or step(spec, "action") not in (None, "ALLOW"):
            continue
        callees = list(_chosen(cluster, policy.namespace, spec))
        for principal in _principals(spec) if callees else ():
            match = _PRINCIPAL.fullmatch(principal)
            for caller in cluster.services.values() if match is not None else ():
                assert match is not None
                versions = [name for name, one in caller.versions().items() if one.service_account == match[2]]
                if caller.namespace == match[1] and versions:
                    why = f"the AuthorizationPolicy {policy.name} allows it"
                    yield from (Evidence(caller.key, one.key, why, _some(caller, versions)) for one in callees)


def _chosen(cluster: Cluster, namespace: str, spec: Any) -> Iterator[KubeService]:
    """The services that a policy is for by a selector or by references; what is wrong with these, the engine tells."""
    labels = step(step(spec, "selector"), "matchLabels")
    wanted = labels if isinstance(labels, dict) else {}
    references = [*_items(step(spec, "targetRefs")), step(spec, "targetRef")]
    attached = {(step(one, "kind"), f"{namespace}/{step(one, 'name')}") for one in references}
    for service in cluster.services.values():
        selected = service.namespace == namespace and any(
            wanted.items() <= one.labels.items() for one in service.deployments
        )
        ways = {("Service", f"{service.namespace}/{service.name}"), ("Gateway", service.waypoint)}
        if (wanted and selected) or (service.waypoint and not ways.isdisjoint(attached)):
            yield service


def _principals(spec: Any) -> Iterator[str]:
    for rule in _items(step(spec, "rules")):
        for entry in _items(step(rule, "from")):
            for principal in _items(step(step(entry, "source"), "principals")):
                if isinstance(principal, str):
                    yield principal


def _items(data: Any) -> list[Any]:
    return data if isinstance(data, list) else []
